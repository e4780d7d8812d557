/* Images that a controller asks for: each question is one call of ports/image.h to the own invoker, whose Engine workers do it. Their threads tell how far
 * it is and what came of it by mail; the loop sends that, when the link is still the one that asked. A long list becomes text on the worker's thread.
 */
#include "invoker/far/serve.h"

#include "common/base/clock.h"
#include "common/base/json.h"

enum { TELL_MS = 200, FOUND_MAX_BYTES = WIRE_PAYLOAD_MAX_BYTES - WIRE_META_MAX_BYTES };

struct served_image {
    struct nr_link in_all; /* link.images */
    struct link *l;
    uint64_t number, asked; /* asked: by which link, as link.links counts them */
    struct image_call call;
    char *reference, *auth; /* made; auth NULL: nobody's */
    struct nr_mail told, ended;
    pthread_mutex_t lock; /* of the next two */
    struct image_progress now;
    bool telling;     /* the mail is under way */
    uint64_t told_ms; /* the worker's */
    char *found;      /* made, by the worker; NULL: nothing */
    size_t found_bytes;
};

static void image_free(struct served_image *x)
{
    nr_list_del(&x->in_all);
    x->l->image_count--;
    if (x->auth)
        nr_str_wipe(nr_str_of(x->auth));
    (void)pthread_mutex_destroy(&x->lock);
    free(x->auth);
    free(x->reference);
    free(x->found);
    free(x);
}

static bool may_tell(const struct served_image *x)
{
    return x->l->up && x->l->links == x->asked;
}

/* ---- what comes of it ---- */

static void send_done(struct link *l, uint64_t number, const struct image_call *c,
                      struct nr_str found)
{
    const struct wire_image_done said = {.err = c->err.code,
                                         .why = nr_str_of(c->err.text),
                                         .id = nr_str_of(c->id),
                                         .digest = nr_str_of(c->digest),
                                         .platform = nr_str_of(c->platform),
                                         .bytes = c->bytes,
                                         .has_command = c->has_command,
                                         .has_volumes = c->has_volumes,
                                         .fits = c->fits};

    wire_write(&wire_image_done_form, &said, serve_meta(l));
    serve_send(l, WIRE_IMAGE_DONE, 0, number, found);
}

static void on_told(struct nr_mail *m)
{
    struct served_image *x = nr_container_of(m, struct served_image, told);

    (void)pthread_mutex_lock(&x->lock);
    const struct image_progress now = x->now;

    x->telling = false;
    (void)pthread_mutex_unlock(&x->lock);
    if (!may_tell(x) || !serve_flows(x->l))
        return;
    wire_write(&wire_progress_form, &now, serve_meta(x->l));
    serve_send(x->l, WIRE_IMAGE_DONE, WIRE_MORE, x->number, (struct nr_str){NULL, 0});
}

static void on_ended(struct nr_mail *m)
{
    struct served_image *x = nr_container_of(m, struct served_image, ended);

    if (may_tell(x))
        send_done(x->l, x->number, &x->call, (struct nr_str){x->found, x->found_bytes});
    image_free(x);
}

/* ---- an Engine worker's thread ---- */

static void on_progress(struct image_call *c, const struct image_progress *p)
{
    struct served_image *x = c->owner;
    uint64_t now_ms = nr_mono_ms();

    (void)pthread_mutex_lock(&x->lock);
    bool tell = !x->telling && now_ms >= x->told_ms + TELL_MS;

    x->now = *p;
    if (tell) {
        x->telling = true;
        x->told_ms = now_ms;
        nr_mailbox_post(x->l->loop, &x->told);
    }
    (void)pthread_mutex_unlock(&x->lock);
}

static void on_done(struct image_call *c)
{
    struct served_image *x = c->owner;

    if (c->found)
        x->found = nr_json_text(c->found, &x->found_bytes);
    json_decref(c->found);
    c->found = NULL;
    if (x->found_bytes > FOUND_MAX_BYTES) {
        (void)nr_err_set(&c->err, NR_ETOOBIG,
                         "What the Docker Engine tells of images has %zu bytes; the limit is %d.",
                         x->found_bytes, FOUND_MAX_BYTES);
        x->found_bytes = 0;
    }
    nr_mailbox_post(x->l->loop, &x->ended);
}

/* ---- the question ---- */

static void refuse(struct link *l, uint64_t number, int code, const char *why)
{
    struct image_call c = {.err = {0}};

    (void)nr_err_set(&c.err, code, "%s", why);
    send_done(l, number, &c, (struct nr_str){NULL, 0});
}

static void begin(struct link *l, const struct wire_frame *f, const struct wire_image *w)
{
    struct served_image *x = nr_alloc(sizeof(*x));

    *x = (struct served_image){.l = l, .number = f->head.call, .asked = l->links};
    x->reference = nr_strndup(w->reference.n ? w->reference.p : "", w->reference.n);
    x->auth = f->raw.n ? nr_strndup(f->raw.p, f->raw.n) : NULL;
    x->told.run = on_told;
    x->ended.run = on_ended;
    x->call = (struct image_call){.op = (enum image_op)w->op,
                                  .reference = x->reference,
                                  .auth = x->auth,
                                  .max_bytes = w->max_bytes,
                                  .progress = on_progress,
                                  .done = on_done,
                                  .owner = x};
    (void)pthread_mutex_init(&x->lock, NULL);
    nr_list_add(&l->images, &x->in_all);
    l->image_count++;
    invoker_image(l->invoker, &x->call);
}

int frame_image(struct link *l, const struct wire_frame *f, struct nr_err *err)
{
    struct wire_image w = {.op = IMAGE_OPS};

    if (wire_read(&wire_image_form, f->meta, &l->arena, &w, err) < 0)
        return NR_EPROTO;
    if (w.op >= IMAGE_OPS || (w.reference.n == 0 && w.op != IMAGE_LIST) ||
        (w.reference.n > 0 && memchr(w.reference.p, '\0', w.reference.n)) ||
        (f->raw.n > 0 && memchr(f->raw.p, '\0', f->raw.n)))
        return nr_err_set(err, NR_EPROTO, "no known question about an image");
    if (l->leaving)
        refuse(l, f->head.call, NR_EUNAVAIL, "The invoker is being stopped.");
    else if (l->image_count >= WIRE_IMAGE_CALLS_MAX)
        refuse(l, f->head.call, NR_EUNAVAIL, "The invoker is looking for many images already.");
    else
        begin(l, f, &w);
    return 0;
}

void asked_images_fini(struct link *l)
{
    NR_LIST_EACH(&l->images, each)
        image_free(nr_container_of(each, struct served_image, in_all));
}
