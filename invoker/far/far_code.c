/* What an invoker asks for: the code of a function that it was told, in parts, and credentials of a registry for a function's own image. Both are read by a
 * work thread, a few at a time, so neither the loop nor the other links wait for a disk; parts of code are sent while little waits on the link.
 *
 * An invoker gets nothing that it could not have got with a call: the function must have been told to it, by its revision and hash, or its account and image.
 * One that was forgotten while the question was on its way is answered with a refusal.
 */
#include "invoker/far/far_state.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "common/data/digest.h"

enum { BUSY_MAX = 4 };

/* One question. It outlives its invoker while a work thread has it. */
struct far_want {
    struct nr_link link; /* in f->wants until it begins */
    struct far_listener *l;
    struct far *f;         /* NULL: nobody waits for it any more */
    struct function *fn;   /* shared */
    uint64_t number;       /* of WANT_AUTH */
    uint64_t at, bytes;    /* of WANT_CODE */
    char *account, *image; /* made; of WANT_AUTH */
    struct nr_work work;
    /* what came of it */
    char *code;      /* made */
    uint64_t n, all; /* bytes of it; of the file */
    char *auth;      /* made */
    int status;
};

static void free_want(struct far_want *x)
{
    function_unref(x->fn);
    nr_str_wipe(nr_str_of(x->auth));
    free(x->auth);
    free(x->account);
    free(x->image);
    free(x->code);
    free(x);
}

/* ---- on a work thread ---- */

static int read_part(struct far_want *x)
{
    struct stat st;
    nr_auto_close int fd = open(x->fn->code_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0 || fstat(fd, &st) < 0)
        return nr_err_from_errno(errno);
    if (!S_ISREG(st.st_mode) || st.st_size > WIRE_CODE_MAX_BYTES)
        return NR_ETOOBIG;
    x->all = (uint64_t)st.st_size;
    if (x->at > x->all)
        return NR_EINVAL;
    if (x->bytes > x->all - x->at)
        x->bytes = x->all - x->at;
    x->code = nr_try_alloc(x->bytes ? x->bytes : 1);
    if (x->code == NULL)
        return NR_ENOMEM;
    while (x->n < x->bytes) {
        ssize_t got = pread(fd, x->code + x->n, x->bytes - x->n, (off_t)(x->at + x->n));

        if (got <= 0 && !(got < 0 && errno == EINTR))
            return NR_EIO;
        x->n += got > 0 ? (uint64_t)got : 0;
    }
    return 0;
}

static void do_code(struct nr_work *w)
{
    struct far_want *x = nr_container_of(w, struct far_want, work);

    x->status = read_part(x);
}

static void do_auth(struct nr_work *w)
{
    struct far_want *x = nr_container_of(w, struct far_want, work);
    const struct far_listener_config *c = &x->l->config;

    if (c->registry_auth)
        c->registry_auth(c->arg, x->account, x->image, &x->auth);
}

/* ---- answers ---- */

static void sha256_of(const struct function *fn, char out[static 2 * NR_SHA256_BYTES + 1])
{
    nr_hex(fn->sha256, NR_SHA256_BYTES, out);
}

static void refuse_code(struct far_link *link, uint64_t revision, struct nr_str sha256,
                        const char *why)
{
    struct nr_buf meta;

    nr_buf_init(&meta, 4096);
    nr_buf_printf(&meta, "{\"revision\":%llu,\"sha256\":", (unsigned long long)revision);
    nr_buf_json(&meta, sha256);
    nr_buf_adds(&meta, ",\"why\":");
    nr_buf_json(&meta, nr_str_of(why));
    nr_buf_addc(&meta, '}');
    wire_send(link->s, &(struct wire_head){.type = WIRE_CODE, .flags = WIRE_FAILED},
              nr_buf_str(&meta), (struct nr_str){NULL, 0});
    nr_buf_fini(&meta);
}

static void send_failure(const struct far_want *x)
{
    char sha256[2 * NR_SHA256_BYTES + 1];

    sha256_of(x->fn, sha256);
    nr_log(x->l->config.log, NR_LOG_WARN, "invokers",
           "invoker=%s function=%s code=\"%s\" why=\"%s\"", x->f->hello->name, x->fn->path,
           x->fn->code_path, nr_err_text(x->status));
    refuse_code(x->f->link, x->fn->revision, nr_str_of(sha256), nr_err_text(x->status));
}

static void send_part(const struct far_want *x, uint64_t from, uint64_t n)
{
    char sha256[2 * NR_SHA256_BYTES + 1];
    struct nr_buf meta;

    sha256_of(x->fn, sha256);
    const struct wire_range said = {.sha256 = nr_str_of(sha256),
                                    .revision = x->fn->revision,
                                    .at = x->at + from,
                                    .bytes = x->all};

    nr_buf_init(&meta, 1024);
    wire_write(&wire_range_form, &said, &meta);
    wire_send(x->f->link->s, &(struct wire_head){.type = WIRE_CODE}, nr_buf_str(&meta),
              (struct nr_str){x->code + from, n});
    nr_buf_fini(&meta);
}

static void send_code(const struct far_want *x)
{
    uint64_t sent = 0;

    if (x->status < 0) {
        send_failure(x);
        return;
    }
    do { /* an empty file is one empty part */
        uint64_t n = x->n - sent < WIRE_PART_MAX_BYTES ? x->n - sent : WIRE_PART_MAX_BYTES;

        send_part(x, sent, n);
        sent += n;
    } while (sent < x->n);
    nr_count(&x->l->m.code_bytes, x->n);
}

static void send_auth(const struct far_want *x)
{
    wire_send(x->f->link->s, &(struct wire_head){.type = WIRE_AUTH, .call = x->number},
              (struct nr_str){NULL, 0}, nr_str_of(x->auth));
}

static void on_done(struct nr_work *w)
{
    struct far_want *x = nr_container_of(w, struct far_want, work);
    struct far_listener *l = x->l;
    struct far *f = x->f;

    if (f) {
        nr_list_del(&x->link);
        f->wants_busy--;
        f->wants_count--;
        if (f->link && x->account)
            send_auth(x);
        else if (f->link)
            send_code(x);
    }
    free_want(x);
    l->works--;
    if (f)
        far_wants_go_on(f);
    far_listener_look_if_closed(l);
}

/* ---- the queue ---- */

void far_wants_go_on(struct far *f)
{
    NR_LIST_EACH(&f->wants, it) {
        struct far_want *x = nr_container_of(it, struct far_want, link);

        if (f->wants_busy >= BUSY_MAX || f->link == NULL)
            return;
        if (x->account == NULL && nr_stream_unsent(f->link->s) > FAR_WATER_BYTES)
            return; /* until the link is drained */
        nr_list_del(&x->link);
        nr_list_add(&f->wanted, &x->link);
        f->wants_busy++;
        f->l->works++;
        x->work = (struct nr_work){.work = x->account ? do_auth : do_code, .done = on_done};
        nr_work_post(f->l->config.loop, &x->work);
    }
}

void far_wants_drop(struct far *f)
{
    while (!nr_list_empty(&f->wants)) {
        struct nr_link *it = nr_list_pop(&f->wants);

        free_want(nr_container_of(it, struct far_want, link));
    }
    while (!nr_list_empty(&f->wanted)) {
        struct nr_link *it = nr_list_pop(&f->wanted);

        nr_container_of(it, struct far_want, link)->f = NULL;
    }
    f->wants_count = f->wants_busy = 0;
}

static int post(struct far_link *link, struct far_want *x)
{
    struct far *f = link->f;

    if (f->wants_count >= FAR_PENDING_MAX) {
        free_want(x);
        return far_link_broken(link, "more than %d questions at once", FAR_PENDING_MAX);
    }
    x->l = f->l;
    x->f = f;
    nr_list_add(&f->wants, &x->link);
    f->wants_count++;
    far_wants_go_on(f);
    return 0;
}

/* ---- questions ---- */

int far_on_want_code(struct far_link *link, const struct wire_frame *w)
{
    struct wire_range said = {0};
    struct nr_err err = {0};
    char sha256[2 * NR_SHA256_BYTES + 1];

    if (wire_read(&wire_range_form, w->meta, &link->l->arena, &said, &err) < 0)
        return far_link_broken(link, "WANT_CODE: %s", err.text);
    struct far_function *e = far_function_of(link->f, said.revision);

    if (e == NULL || e->fn->code_path[0] == '\0') {
        refuse_code(link, said.revision, said.sha256,
                    "the function is not known any more, or has no code");
        return 0;
    }
    sha256_of(e->fn, sha256);
    if (!nr_str_eqz(said.sha256, sha256) || said.bytes > WIRE_CODE_CREDIT_BYTES)
        return far_link_broken(link, "WANT_CODE of other code than the function's, or of too much");
    struct far_want *x = nr_alloc(sizeof(*x));

    *x = (struct far_want){.fn = function_ref(e->fn), .at = said.at, .bytes = said.bytes};
    return post(link, x);
}

/* Of a function that it was told? */
static struct function *function_with(const struct far *f, const struct wire_auth *said)
{
    struct nr_map_node *n = NULL;
    size_t at = 0;

    while ((n = nr_map_next(&f->functions, &at, n)) != NULL) {
        const struct far_function *e = nr_container_of(n, struct far_function, node);

        if (nr_str_eqz(said->account, e->fn->account) && nr_str_eqz(said->image, e->fn->image))
            return e->fn;
    }
    return NULL;
}

int far_on_want_auth(struct far_link *link, const struct wire_frame *w)
{
    struct wire_auth said = {0};
    struct nr_err err = {0};

    if (wire_read(&wire_auth_form, w->meta, &link->l->arena, &said, &err) < 0)
        return far_link_broken(link, "WANT_AUTH: %s", err.text);
    struct function *fn = function_with(link->f, &said);

    if (fn == NULL) {
        far_send(link->f, WIRE_AUTH, 0, w->head.call);
        return 0;
    }
    struct far_want *x = nr_alloc(sizeof(*x));

    *x = (struct far_want){.fn = function_ref(fn),
                           .number = w->head.call,
                           .account = nr_strdup(fn->account),
                           .image = nr_strdup(fn->image)};
    return post(link, x);
}
