/* Credentials of registries: an Engine worker asks and waits, the loop asks the controller and tells what came. Who asks and who answers share an asking, which goes with the
 * last of both: an answer may come when nobody waits any more.
 */
#include "invoker/far/serve.h"

#include "common/base/clock.h"

enum { ANSWER_MS = 15000, ASKED_MAX = 1024 };

struct asking {
    struct nr_mail mail;
    struct link *l;
    struct nr_link link; /* in l->auths while the controller is asked; loop's thread */
    uint64_t number;
    char *account, *image;
    /* under l->auth_lock */
    char *auth;
    bool done, left;
};

static void asking_free(struct asking *q)
{
    if (q->auth)
        nr_str_wipe(nr_str_of(q->auth));
    free(q->auth);
    free(q->account);
    free(q->image);
    free(q);
}

/* auth: given; NULL: none. The loop is done with it. */
static void answer(struct link *l, struct asking *q, char *auth)
{
    nr_list_del(&q->link);
    (void)pthread_mutex_lock(&l->auth_lock);
    bool last = q->left;

    q->auth = auth;
    q->done = true;
    (void)pthread_cond_broadcast(&l->auth_done);
    (void)pthread_mutex_unlock(&l->auth_lock);
    if (last)
        asking_free(q);
}

static void on_ask(struct nr_mail *m)
{
    struct asking *q = nr_container_of(m, struct asking, mail);
    struct link *l = q->l;
    const struct wire_auth w = {nr_str_of(q->account), nr_str_of(q->image)};

    if (!l->up) {
        answer(l, q, NULL);
        return;
    }
    q->number = ++l->auth_number;
    nr_list_add(&l->auths, &q->link);
    wire_write(&wire_auth_form, &w, serve_meta(l));
    serve_send(l, WIRE_WANT_AUTH, 0, q->number, (struct nr_str){NULL, 0});
}

int frame_auth(struct link *l, const struct wire_frame *f, struct nr_err *err)
{
    NR_LIST_EACH(&l->auths, each) {
        struct asking *q = nr_container_of(each, struct asking, link);

        if (q->number != f->head.call)
            continue;
        answer(l, q, f->raw.n ? nr_strndup(f->raw.p, f->raw.n) : NULL);
        break;
    }
    return 0;
}

void link_registry_auth(struct link *l, const char *account, const char *image, char **ret_auth)
{
    struct timespec until = nr_mono_after(ANSWER_MS);
    struct asking *q = nr_alloc(sizeof(*q));

    *q = (struct asking){
        .mail.run = on_ask, .l = l, .account = nr_strdup(account), .image = nr_strdup(image)};
    *ret_auth = NULL;
    (void)pthread_mutex_lock(&l->auth_lock);
    bool asked = !l->auth_closed;

    if (asked)
        nr_mailbox_post(l->loop, &q->mail);
    while (asked && !q->done && pthread_cond_timedwait(&l->auth_done, &l->auth_lock, &until) == 0) {
    }
    bool done = q->done || !asked;

    *ret_auth = nr_steal(&q->auth);
    q->left = true;
    (void)pthread_mutex_unlock(&l->auth_lock);
    if (done)
        asking_free(q);
}

void auth_init(struct link *l)
{
    nr_list_init(&l->auths);
    (void)pthread_mutex_init(&l->auth_lock, NULL);
    nr_mono_cond_init(&l->auth_done);
}

void auth_lost(struct link *l)
{
    NR_LIST_EACH(&l->auths, each)
        answer(l, nr_container_of(each, struct asking, link), NULL);
}

void auth_fini(struct link *l)
{
    (void)pthread_mutex_lock(&l->auth_lock);
    l->auth_closed = true;
    (void)pthread_mutex_unlock(&l->auth_lock);
    auth_lost(l);
}
