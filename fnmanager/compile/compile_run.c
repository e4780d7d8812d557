/* The compiler is a function of the platform: its image, the tenant's upload as its code, a revision of its own, so its container is shared with
 * nobody and goes at the end. It is called as errands are: once to compile, then for the result in pieces that fit into answers. Whatever it says is
 * what a tenant could have made it say: sizes are bounded here, and the result is looked at as an upload is.
 */
#include "fnmanager/compile/compile_run.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "fnmanager/manager.h"
#include "ports/errand.h"

enum { MEMORY_MB = 1024, TIMEOUT_MS = 120000, PIECES_MAX = 128, ALL_PIECES_MS = 60000, TRIES = 2 };

/* No function of a tenant can be called so. */
#define NAME ":compile"

struct session {
    struct fnmanager *m;
    const struct compile_source *source;
    struct account *who;
    struct function *fn;
    struct nr_err *err;
    bool
        lost; /* the container went with its result before that was fetched: no mistake of the source */
};

/* ---- the function -------------------------------------------------------------------------------------------- */

static struct function *function_of(struct fnmanager *m, const char *image,
                                    const struct compile_source *s)
{
    struct function *f = nr_alloc(sizeof(*f));
    char path[600];

    (void)snprintf(path, sizeof(path), "%.*s/" NAME, (int)s->account.n, s->account.p);
    atomic_init(&f->refs, 1);
    f->revision = f->stored = fnmanager_next_revision(m);
    f->account = nr_strndup(s->account.p, s->account.n);
    f->name = nr_strdup(NAME);
    f->path = nr_strdup(path);
    f->kind = nr_strdup(s->kind);
    f->image = nr_strdup(image);
    f->version = nr_strdup("0.0.1");
    f->file = nr_strdup(s->file);
    f->code_path = nr_strdup(s->path);
    f->code_bytes = s->bytes;
    memcpy(f->sha256, s->sha256, sizeof(f->sha256));
    f->package = nr_strdup("");
    f->binding = nr_strdup("");
    f->reason = nr_strdup("");
    f->exec = nr_strdup("");
    f->main = nr_strdup("");
    f->web.secret = nr_strdup("");
    f->parameters = nr_strdup("{}");
    f->init_parameters = nr_strdup("{}");
    f->limits = nr_strdup("{}");
    f->timeout_ms = TIMEOUT_MS;
    f->memory_mb = m->config.memory_max_mb < MEMORY_MB ? m->config.memory_max_mb : MEMORY_MB;
    f->concurrency = 1;
    f->network = FN_NET_NONE;
    f->store = STORE_NONE;
    f->trial = true;
    return f;
}

/* ---- a call of it -------------------------------------------------------------------------------------------- */

struct wait {
    struct errand_call call;
    pthread_mutex_t lock;
    pthread_cond_t come;
    bool done;
};

static void on_done(struct errand_call *c)
{
    struct wait *w = nr_container_of(c, struct wait, call);

    pthread_mutex_lock(&w->lock);
    w->done = true;
    pthread_cond_signal(&w->come);
    pthread_mutex_unlock(&w->lock);
}

static void call_and_wait(const struct session *x, struct wait *w)
{
    w->call.done = on_done;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->come, NULL);
    x->m->config.errand(x->m->config.arg, &w->call);
    pthread_mutex_lock(&w->lock);
    while (!w->done)
        pthread_cond_wait(&w->come, &w->lock);
    pthread_mutex_unlock(&w->lock);
    pthread_cond_destroy(&w->come);
    pthread_mutex_destroy(&w->lock);
}

/* How an errand's failure reads to who deploys. */
static int tell(const struct session *x, const struct nr_err *why)
{
    const char *kind = x->source->kind;

    switch (why->code) {
    case NR_ETIMEOUT:
        return nr_err_set(
            x->err, NR_EINVAL,
            "The code was not compiled: the compiler of '%s' exceeded its time limit of %d milliseconds.",
            kind, TIMEOUT_MS);
    case NR_ENOMEM:
        return nr_err_set(
            x->err, NR_EINVAL,
            "The code was not compiled: the compiler of '%s' exceeded its memory limit of %lld MB.",
            kind, (long long)x->fn->memory_mb);
    case NR_EPROTO:
        return nr_err_set(x->err, NR_EINVAL,
                          "The code was not compiled: the compiler of '%s' failed: %.300s", kind,
                          why->text);
    default:
        return nr_err_set(x->err, why->code == NR_ESTOPPING ? NR_ESTOPPING : NR_EUNAVAIL,
                          "The compiler of '%s' cannot run now: %.300s", kind, why->text);
    }
}

static int tell_lost(struct session *x)
{
    x->lost = true;
    return nr_err_set(
        x->err, NR_EUNAVAIL,
        "The compiler of '%s' was stopped for want of room, and what it made was lost. Try again later.",
        x->source->kind);
}

/* The answer to `input` (JSON object text) as an object (made); NULL: x->err says why. `follows`: it is about what was compiled. */
static json_t *ask(struct session *x, const char *input, bool follows)
{
    struct wait w = {
        .call = {.fn = x->fn, .account = x->who, .input = nr_str_of(input), .follows = follows}};
    json_t *o = NULL;
    const char *refused;

    call_and_wait(x, &w);
    if (w.call.err.code == NR_ENOENT)
        (void)tell_lost(x);
    else if (w.call.err.code != 0)
        (void)tell(x, &w.call.err);
    else if ((o = nr_json_parse(nr_buf_str(&w.call.result), NULL)) == NULL)
        (void)nr_err_set(x->err, NR_EINVAL, "The compiler's answer is no JSON.");
    nr_buf_fini(&w.call.result);
    if (o != NULL && (refused = nr_json_string(o, "refused")) != NULL) {
        if (follows) /* a fresh container knows nothing of it */
            (void)tell_lost(x);
        else
            (void)nr_err_set(x->err, NR_EINVAL, "The code does not compile:\n%s", refused);
        json_decref(o);
        o = NULL;
    }
    return o;
}

/* ---- the whole ----------------------------------------------------------------------------------------------- */

static int64_t compile(struct session *x)
{
    nr_auto_json json_t *in = json_pack("{s:s}", "main", x->source->main);
    nr_auto_free char *text = in ? nr_json_text(in, NULL) : NULL;
    nr_auto_json json_t *o = text ? ask(x, text, false) : NULL;
    int64_t bytes = json_integer_value(json_object_get(o, "bytes"));

    if (o == NULL)
        return nr_err_set(x->err, NR_EINVAL, "'main' cannot be told to the compiler.");
    if (bytes <= 0)
        return nr_err_set(x->err, NR_EINVAL, "The compiler made nothing.");
    if (bytes > COMPILED_FILE_MAX_BYTES)
        return nr_err_set(x->err, NR_ETOOBIG,
                          "The compiled code has %lld bytes; the limit is %lld.", (long long)bytes,
                          (long long)COMPILED_FILE_MAX_BYTES);
    return bytes;
}

/* Puts one piece at `at` of `room`; how many bytes it had, or an error. */
static int64_t fetch_piece(struct session *x, int number, char *at, int64_t room)
{
    char input[48];

    (void)snprintf(input, sizeof(input), "{\"piece\":%d}", number);
    nr_auto_json json_t *o = ask(x, input, true);
    const char *data = nr_json_string(o, "data");
    struct nr_str text = nr_str_of(data ? data : "");
    nr_auto_free char *bytes = nr_try_alloc(3 * text.n / 4 + 4);
    ssize_t n = bytes && text.n > 0 ? nr_base64_decode(text, (unsigned char *)bytes) : -1;

    if (n <= 0 || n > room)
        return nr_err_set(x->err, NR_EINVAL, "The compiled code did not come whole.");
    memcpy(at, bytes, (size_t)n);
    return n;
}

static int fetch(struct session *x, int64_t bytes, char **ret)
{
    nr_auto_free char *all = nr_try_alloc((size_t)bytes);
    uint64_t until_us = nr_mono_us() + 1000ull * ALL_PIECES_MS;
    int64_t at = 0, n = 0;

    if (all == NULL)
        return nr_err_set(x->err, NR_ENOMEM, "There is no memory for the compiled code.");
    for (int i = 0; at < bytes && i < PIECES_MAX && nr_mono_us() < until_us; i++) {
        if ((n = fetch_piece(x, i, all + at, bytes - at)) < 0)
            return (int)n;
        at += n;
    }
    if (at != bytes)
        return nr_err_set(x->err, NR_EINVAL, "The compiled code did not come whole.");
    *ret = nr_steal(&all);
    return 0;
}

/* One container's life. */
static int attempt(struct session *x, const char *image, char **ret_bytes, size_t *ret_n)
{
    x->fn = function_of(x->m, image, x->source);
    x->lost = false;
    *x->err = (struct nr_err){0};
    int64_t bytes = compile(x);
    int r = bytes < 0 ? (int)bytes : fetch(x, bytes, ret_bytes);

    if (r == 0)
        *ret_n = (size_t)bytes;
    x->m->config.errand_end(x->m->config.arg, x->fn->revision);
    function_unref(x->fn);
    return r;
}

int compile_run(struct fnmanager *m, struct account *who, const char *image,
                const struct compile_source *s, char **ret_bytes, size_t *ret_n, struct nr_err *err)
{
    struct nr_err why = {0};
    struct session x = {.m = m, .source = s, .who = who, .err = &why, .lost = true};
    int r = 0;

    for (int i = 0; i < TRIES && x.lost; i++)
        r = attempt(&x, image, ret_bytes, ret_n);
    return r == 0 ? 0 : nr_err_set(err, why.code ? why.code : r, "%s", why.text);
}
