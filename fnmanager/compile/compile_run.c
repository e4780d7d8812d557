/* The compiler is a function of the platform: its image, the tenant's upload as its code, a revision of its own, so its container is shared with
 * nobody and goes at the end. It is called as errands are: once to compile, then for the result in pieces that fit into answers. Whatever it says is
 * what a tenant could have made it say: sizes are bounded here, and the result is looked at as an upload is.
 */
#include "fnmanager/compile/compile_run.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "fnmanager/manager.h"
#include "ports/errand.h"

enum { MEMORY_MB = 1024, MEMORY_STEP_MB = 64, TIMEOUT_MS = 120000 };
enum { PIECES_MAX = 128, ALL_PIECES_MS = 60000, TRIES = 2 };
#define REFUSED "The code does not compile:\n"

/* No function of a tenant can be called so. */
#define NAME ":compile"

struct session {
    struct fnmanager *m;
    const struct compile_source *source;
    struct account *who;
    struct function *fn;
    struct nr_err *err;
    struct nr_buf *said;
    bool
        lost; /* the container went with its result before that was fetched: no mistake of the source */
};

/* ---- the function -------------------------------------------------------------------------------------------- */

/* As functions have it: in whole steps. */
static int64_t memory_mb(int64_t max_mb)
{
    int64_t mb = max_mb < MEMORY_MB ? max_mb : MEMORY_MB;

    return mb < MEMORY_STEP_MB ? mb : mb / MEMORY_STEP_MB * MEMORY_STEP_MB;
}

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
    f->memory_mb = memory_mb(m->config.memory_max_mb);
    f->concurrency = 1;
    f->network = FN_NET_NONE;
    f->store = STORE_NONE;
    f->trial = true;
    return f;
}

/* ---- a call of it -------------------------------------------------------------------------------------------- */

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

/* How many bytes of a text are its first lines that have room in `max`; of a first line that has not, what has, in whole characters. */
static size_t lines_in(const char *text, size_t max)
{
    size_t n = strlen(text), at = max;

    if (n <= max)
        return n;
    while (at > 0 && text[at] != '\n')
        at--;
    if (at > 0)
        return at;
    for (at = max; at > 0 && ((unsigned char)text[at] & 0xC0) == 0x80;)
        at--;
    return at;
}

/* The source is no good: what the compiler wrote, whole lines of it. */
static void tell_refused(struct session *x, const char *words)
{
    size_t room = sizeof(x->err->text) - sizeof(REFUSED);
    size_t all = lines_in(words, COMPILE_SAID_MAX_BYTES), some = lines_in(words, room);

    (void)nr_err_set(x->err, NR_EINVAL, REFUSED "%.*s", (int)some, words);
    if (x->said == NULL)
        return;
    nr_buf_init(x->said, sizeof(REFUSED) + COMPILE_SAID_MAX_BYTES + 8);
    nr_buf_adds(x->said, REFUSED);
    nr_buf_add(x->said, words, all);
    nr_buf_adds(x->said, words[all] != '\0' ? "\n..." : "");
}

/* What came of a call about what was compiled (`follows`) or to be: 0, or x->err says why not. */
static int judge_call(struct session *x, const struct errand_call *c)
{
    switch (c->err.code) {
    case 0: return 0;
    case NR_ENOENT: return tell_lost(x);
    case NR_EPROTO: return c->follows ? tell_lost(x) : tell(x, &c->err);
    default: return tell(x, &c->err);
    }
}

/* The answer to `input` (JSON object text) as an object (made); NULL: x->err says why. `follows`: it is about what was compiled. */
static json_t *ask(struct session *x, const char *input, bool follows)
{
    struct errand_call c = {
        .fn = x->fn, .account = x->who, .input = nr_str_of(input), .follows = follows};
    json_t *o = NULL;
    const char *refused;

    errand_wait(x->m->config.errand, x->m->config.arg, &c);
    if (judge_call(x, &c) == 0 && (o = nr_json_parse(nr_buf_str(&c.result), NULL)) == NULL)
        (void)nr_err_set(x->err, NR_EINVAL, "The compiler's answer is no JSON.");
    nr_buf_fini(&c.result);
    if (o != NULL && (refused = nr_json_string(o, "refused")) != NULL) {
        if (follows) /* a fresh container knows nothing of it */
            (void)tell_lost(x);
        else
            tell_refused(x, refused);
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
    nr_count(&x->m->compiling.runs, 1);
    int64_t bytes = compile(x);
    int r = bytes < 0 ? (int)bytes : fetch(x, bytes, ret_bytes);

    if (r == 0)
        *ret_n = (size_t)bytes;
    x->m->config.errand_end(x->m->config.arg, x->fn->revision);
    function_unref(x->fn);
    return r;
}

int compile_run(struct fnmanager *m, struct account *who, const char *image,
                const struct compile_source *s, char **ret_bytes, size_t *ret_n,
                struct nr_buf *said, struct nr_err *err)
{
    struct nr_err why = {0};
    struct session x = {.m = m, .source = s, .who = who, .err = &why, .said = said, .lost = true};
    int r = 0;

    for (int i = 0; i < TRIES && x.lost; i++) {
        nr_count(&m->compiling.lost, i > 0);
        r = attempt(&x, image, ret_bytes, ret_n);
    }
    return r == 0 ? 0 : nr_err_set(err, why.code ? why.code : r, "%s", why.text);
}
