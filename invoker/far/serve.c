/* The invoker's side of a link, as a story:
 *
 *   dial     the controller, again and again, 0.1 s to 5 s apart; HELLO is sent as soon as it is known to be the one with the pin
 *   welcome  REFUSED: the sentence is logged, and it is dialled again in 5 s. WELCOME: what is still wanted is sent, everything else is forgotten; a controller process
 *            that was not here before wants nothing, and knows nothing of what the one before had told
 *   up       frames go to those whose business they are; a report each second; PING each two
 *   down     calls that had not asked for their claim are dropped, the controller places them elsewhere. Others go on, their results are kept: the same session may come
 *            back. It is dialled again
 *   close    the link ends for ever; who waits for credentials gets none
 *
 * A frame that breaks the protocol ends the link with one line. Nothing here blocks: files and long texts are read by work threads.
 */
#include "invoker/far/serve.h"

#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/net/tls.h"
#include "invoker/platform.h"

enum {
    META_KEEP_BYTES = 64 << 10,
    ARENA_MAX_BYTES = 4 << 20,
    JITTER = 4,
    FLUSH_MS = 10,
    FLUSH_MAX_MS = 2000
};

/* ---- sending ------------------------------------------------------------------------------------------------ */

struct nr_buf *serve_meta(struct link *l)
{
    nr_buf_reset(&l->meta, META_KEEP_BYTES);
    return &l->meta;
}

void serve_send(struct link *l, uint8_t type, uint8_t flags, uint64_t call, struct nr_str raw)
{
    const struct wire_head head = {
        .length = (uint32_t)(l->meta.n + raw.n),
        .meta = (uint32_t)l->meta.n,
        .call = call,
        .type = type,
        .flags = flags,
    };

    if (l->up && !l->meta.failed)
        wire_send(l->stream, &head, nr_buf_str(&l->meta), raw);
}

void serve_send_bare(struct link *l, uint8_t type, uint8_t flags, uint64_t call)
{
    if (l->up)
        wire_send_bare(l->stream, type, flags, call);
}

bool serve_flows(const struct link *l)
{
    return l->up && nr_stream_unsent(l->stream) < SERVE_WATER_BYTES;
}

bool link_is_up(const struct link *l)
{
    return l->up;
}

/* ---- welcome ------------------------------------------------------------------------------------------------ */

static void begin_pings(struct link *l)
{
    nr_deadline_set(l->loop, &l->ping, WIRE_PING_MS);
}

static void on_ping(struct nr_deadline *d)
{
    struct link *l = nr_container_of(d, struct link, ping);

    serve_send_bare(l, WIRE_PING, 0, nr_mono_us());
    begin_pings(l);
}

static void tell_api_host(struct link *l, struct nr_str url)
{
    nr_auto_free char *text = url.p ? nr_strndup(url.p, url.n) : NULL;

    if (l->api_told)
        return;
    l->api_told = true;
    l->c.api_host(l->c.arg, text);
}

static int frame_welcome(struct link *l, const struct wire_frame *f, struct nr_err *err)
{
    struct wire_welcome w = {0};

    if (l->up || wire_read(&wire_welcome_form, f->meta, &l->arena, &w, err) < 0)
        return nr_err_set(err, NR_EPROTO, "a second WELCOME");
    if (w.protocol < WIRE_PROTOCOL_OLDEST || w.protocol > WIRE_PROTOCOL || w.controller.n == 0 ||
        w.controller.n >= sizeof(l->controller) || f->raw.n % sizeof(uint64_t) != 0)
        return nr_err_set(err, NR_EPROTO,
                          "a WELCOME with protocol %lld, %zu letters of a controller and %zu bytes "
                          "of calls",
                          (long long)w.protocol, w.controller.n, f->raw.n);
    bool other = !nr_str_eqz(w.controller, l->controller);

    (void)snprintf(l->controller, sizeof(l->controller), "%.*s", (int)w.controller.n,
                   w.controller.p);
    l->up = true;
    l->redial_ms = WIRE_REDIAL_MIN_MS;
    nr_deadline_cancel(&l->limbo);
    nr_log(l->log, NR_LOG_INFO, "link",
           "%s welcomes this invoker as %s, protocol %lld, link %llu%s", l->address, l->hello.name,
           (long long)w.protocol, (unsigned long long)w.epoch,
           other ? ", another controller than before" : "");
    wishes_clear(l);
    if (other)
        known_forget_all(l);
    tell_api_host(l, w.api_host);
    calls_resume(l, f->raw);
    begin_pings(l);
    report_start(l);
    leave_tell(l);
    return 0;
}

static int frame_refused(struct link *l, const struct wire_frame *f, struct nr_err *err)
{
    struct wire_why w = {0};

    (void)wire_read(&wire_why_form, f->meta, &l->arena, &w, NULL);
    l->redial_ms = WIRE_REDIAL_MAX_MS;
    return nr_err_set(err, NR_EFORBIDDEN, "it refuses this invoker: %.*s",
                      (int)(w.why.n < 300 ? w.why.n : 300), w.why.p ? w.why.p : "");
}

static int frame_ping(struct link *l, const struct wire_frame *f, struct nr_err *err)
{
    serve_send_bare(l, WIRE_PONG, 0, f->head.call);
    return 0;
}

static int frame_pong(struct link *l, const struct wire_frame *f, struct nr_err *err)
{
    return 0; /* that it was heard is all that it tells */
}

/* ---- frames ------------------------------------------------------------------------------------------------- */

static const struct {
    uint8_t type;
    serve_frame *take;
    bool before; /* WELCOME has not come yet */
} frames[] = {
    {WIRE_WELCOME, frame_welcome, true},
    {WIRE_REFUSED, frame_refused, true},
    {WIRE_PING, frame_ping, true},
    {WIRE_PONG, frame_pong, true},
    {WIRE_FUNCTION, frame_function, false},
    {WIRE_RUN, frame_run, false},
    {WIRE_CLAIMED, frame_claimed, false},
    {WIRE_CUT, frame_cut, false},
    {WIRE_DONE, frame_done, false},
    {WIRE_CODE, frame_code, false},
    {WIRE_FORGET, frame_forget, false},
    {WIRE_RELEASE, frame_release, false},
    {WIRE_FORGET_ACCOUNT, frame_forget_account, false},
    {WIRE_WISH, frame_wish, false},
    {WIRE_KNOW, frame_know, false},
    {WIRE_AUTH, frame_auth, false},
    {WIRE_CORDON, frame_cordon, false},
    {WIRE_DRAIN, frame_drain, false},
    {WIRE_IMAGE, frame_image, false},
};

static int64_t on_length(void *arg, const char *head)
{
    return wire_length(head, false, ((struct link *)arg)->up);
}

static int take(struct link *l, const struct wire_frame *f, struct nr_err *err)
{
    for (size_t i = 0; i < nr_countof(frames); i++) {
        if (frames[i].type != f->head.type)
            continue;
        if (!l->up && !frames[i].before)
            return nr_err_set(err, NR_EPROTO, "it comes before WELCOME");
        return frames[i].take(l, f, err);
    }
    return 0; /* of a later protocol */
}

static int on_frame(void *arg, const char *head, struct nr_str payload)
{
    struct link *l = arg;
    struct nr_err err = {0};
    struct wire_frame f;
    int r = wire_take(head, payload, &f);

    nr_arena_reset(&l->arena);
    if (r == 0)
        r = take(l, &f, &err);
    else
        (void)nr_err_set(&err, r, "its JSON is no object");
    if (r < 0)
        nr_log(l->log, NR_LOG_WARN, "link", "the link to %s ends at %s: %s", l->address,
               wire_type_text(f.head.type), err.text);
    return r;
}

/* ---- up and down -------------------------------------------------------------------------------------------- */

static void redial(struct link *l)
{
    unsigned char random;

    nr_random(&random,
              sizeof(random)); /* many invokers that lost one controller do not come at once */
    nr_deadline_set(l->loop, &l->redial,
                    l->redial_ms + l->redial_ms * random / (UINT8_MAX * JITTER));
    l->redial_ms = 2 * l->redial_ms < WIRE_REDIAL_MAX_MS ? 2 * l->redial_ms : WIRE_REDIAL_MAX_MS;
}

/* The stream is gone, or will not tell of itself any more. */
static void down(struct link *l)
{
    bool was_up = l->up;

    l->stream = NULL;
    l->up = false;
    nr_deadline_cancel(&l->ping);
    report_stop(l);
    auth_lost(l);
    if (!was_up)
        return;
    known_lost(l);
    calls_lost(l);
    nr_deadline_set(l->loop, &l->limbo, SERVE_LIMBO_MS);
}

static void on_ended(void *arg, int code, const char *why)
{
    struct link *l = arg;

    nr_log(l->log, l->up ? NR_LOG_WARN : NR_LOG_INFO, "link", "%s %s: %s",
           l->up ? "the link is down to" : "no link to", l->address, why);
    down(l);
    if (!l->closed)
        redial(l);
}

static void on_opened(void *arg)
{
    struct link *l = arg;
    struct nr_buf *b = serve_meta(l);

    wire_hello_write(&l->hello, WIRE_PROTOCOL_OLDEST, b);
    const struct wire_head head = {
        .length = (uint32_t)b->n, .meta = (uint32_t)b->n, .type = WIRE_HELLO};

    wire_send(l->stream, &head, nr_buf_str(b), (struct nr_str){NULL, 0});
    nr_str_wipe(nr_buf_str(b)); /* the token */
}

static void on_drained(void *arg)
{
    results_send(arg);
}

static void dial(struct link *l)
{
    static const struct nr_stream_hooks hooks = {.head_bytes = sizeof(struct wire_head),
                                                 .length = on_length,
                                                 .frame = on_frame,
                                                 .opened = on_opened,
                                                 .drained = on_drained,
                                                 .ended = on_ended};
    const struct nr_stream_config c = {.loop = l->loop,
                                       .hooks = &hooks,
                                       .arg = l,
                                       .open_ms = WIRE_HELLO_MS,
                                       .silence_ms = WIRE_SILENCE_MS,
                                       .unsent_max_bytes = WIRE_UNSENT_MAX_BYTES,
                                       .water_bytes = SERVE_WATER_BYTES - 1};
    struct nr_err err = {0};

    l->links++;
    if (nr_stream_dial(&c, l->address, l->tls, &l->stream, &err) == 0)
        return;
    nr_log(l->log, NR_LOG_WARN, "link", "%s cannot be dialled: %s", l->address, err.text);
    l->stream = NULL;
    redial(l);
}

static void on_redial(struct nr_deadline *d)
{
    dial(nr_container_of(d, struct link, redial));
}

/* No link for so long: what waits for its claim holds a slot for nobody. */
static void on_limbo(struct nr_deadline *d)
{
    calls_refuse(nr_container_of(d, struct link, limbo));
}

/* ---- opening ------------------------------------------------------------------------------------------------ */

static bool good_name(const char *s)
{
    size_t n = s ? strlen(s) : 0;

    return n > 0 && n <= WIRE_NAME_MAX_BYTES &&
           strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

static bool good_tag(struct nr_str s)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:";

    for (size_t i = 0; i < s.n; i++)
        if (memchr(letters, s.p[i], sizeof(letters) - 1) == NULL)
            return false;
    return s.n > 0 && s.n <= WIRE_TAG_MAX_BYTES;
}

static int read_tags(const char *text, struct far_hello *h, struct nr_err *err)
{
    struct nr_str rest = nr_str_of(text), part, key;

    h->tags = nr_alloc(WIRE_TAGS_MAX * sizeof(*h->tags));
    while (text && text[0] && nr_str_split(&rest, ',', &part)) {
        struct nr_str value = part;

        if (h->tag_count == WIRE_TAGS_MAX || !nr_str_split(&value, '=', &key) || !good_tag(key) ||
            !good_tag(value))
            return nr_err_set(
                err, NR_EINVAL,
                "--tags is KEY=VALUE,..., at most %d of at most %d letters, not '%.*s'",
                WIRE_TAGS_MAX, WIRE_TAG_MAX_BYTES, (int)(part.n < 140 ? part.n : 140),
                part.p ? part.p : "");
        h->tags[h->tag_count++] =
            (struct far_tag){nr_strndup(key.p, key.n), nr_strndup(value.p, value.n)};
    }
    return 0;
}

static char **copy_list(const char *const *list)
{
    size_t n = 0;

    while (list && list[n])
        n++;
    char **out = nr_alloc((n + 1) * sizeof(*out));

    for (size_t i = 0; i < n; i++)
        out[i] = nr_strdup(list[i]);
    return out;
}

/* Made; v NULL: nothing is known yet. */
static char *capabilities_of(const struct invoker *v)
{
    struct nr_buf out;

    nr_buf_init(&out, WIRE_HELLO_MAX_BYTES);
    if (v)
        invoker_capabilities(v, &out);
    char *text = nr_strndup(out.n && !out.failed ? out.p : "", out.failed ? 0 : out.n);

    nr_buf_fini(&out);
    return text;
}

static int make_hello(struct link *l, struct nr_err *err)
{
    const struct platform *here = platform_here();
    const struct link_config *c = &l->c;
    struct far_hello *h = &l->hello;
    unsigned char random[WIRE_SESSION_BYTES / 2];

    *h = (struct far_hello){.protocol = WIRE_PROTOCOL,
                            .name = nr_strdup(c->name),
                            .token = nr_strdup(c->token),
                            .session = nr_alloc(WIRE_SESSION_BYTES + 1),
                            .installation = nr_strdup(c->installation),
                            .version = nr_strdup(c->version),
                            .arch = nr_strdup(here ? here->architecture : "unknown"),
                            .engine = nr_strdup(c->invoker ? invoker_engine(c->invoker) : ""),
                            .capabilities = capabilities_of(c->invoker),
                            .takes_images = true,
                            .cores = c->node->cores,
                            .memory_max_mb = c->node->memory_max_mb,
                            .gpus = c->node->gpu_count,
                            .kinds = copy_list(c->kinds),
                            .images = copy_list(c->images)};
    nr_random(random, sizeof(random));
    nr_hex(random, sizeof(random), h->session);
    if (!good_name(c->name))
        return nr_err_set(err, NR_EINVAL,
                          "--invoker-name is 1 to %d of a-z, 0-9 and -, not '%.80s'",
                          WIRE_NAME_MAX_BYTES, c->name);
    if (strlen(c->token) > WIRE_TOKEN_MAX_BYTES)
        return nr_err_set(err, NR_EINVAL, "the token of --invoker-token-file is longer than %d",
                          WIRE_TOKEN_MAX_BYTES);
    return read_tags(c->tags, h, err);
}

static int open_address(struct link *l, struct nr_err *err)
{
    bool tls = false;
    int r = nr_stream_check_address(l->address, &tls, err);

    if (r < 0)
        return nr_err_wrap(err, r, "--controller");
    if (tls != (l->c.pin != NULL))
        return nr_err_set(err, NR_EINVAL,
                          tls ? "--controller=%s needs --controller-pin: what `narae invokers add` "
                                "prints on the controller"
                              : "--controller=%s has no use for --controller-pin",
                          l->address);
    if (tls && l->c.token[0] == '\0')
        return nr_err_set(err, NR_EINVAL,
                          "--controller=%s needs --invoker-token-file: the token that `narae "
                          "invokers add` prints on the controller",
                          l->address);
    r = tls ? nr_tls_open_client(l->c.pin, &l->tls, err) : 0;
    return r < 0 ? nr_err_wrap(err, r, "--controller-pin") : 0;
}

static struct link *link_make(const struct link_config *c)
{
    struct link *l = nr_alloc(sizeof(*l));
    struct nr_link *const lists[] = {&l->all,     &l->held,        &l->outbox, &l->kept,
                                     &l->unasked, &l->forgettings, &l->images};

    *l = (struct link){.c = *c,
                       .loop = c->loop,
                       .invoker = c->invoker,
                       .log = c->log,
                       .address = nr_strdup(c->controller),
                       .code_dir = nr_strdup(c->code_dir),
                       .redial_ms = WIRE_REDIAL_MIN_MS,
                       .redial.fire = on_redial,
                       .ping.fire = on_ping,
                       .limbo.fire = on_limbo};
    for (size_t i = 0; i < nr_countof(lists); i++)
        nr_list_init(lists[i]);
    nr_arena_init(&l->arena, ARENA_MAX_BYTES);
    nr_buf_init(&l->meta, WIRE_META_MAX_BYTES);
    nr_map_init(&l->functions);
    nr_map_init(&l->calls);
    nr_map_init(&l->wished);
    auth_init(l);
    return l;
}

int link_judge(const struct link_config *c, struct nr_err *err)
{
    struct link *l = link_make(c);
    int r = make_hello(l, err);

    if (r == 0)
        r = open_address(l, err);
    link_free(l);
    return r;
}

int link_open(const struct link_config *c, struct link **ret, struct nr_err *err)
{
    struct link *l = link_make(c);
    const struct code_store_config codes = {.loop = c->loop,
                                            .dir = c->code_dir,
                                            .max_bytes = c->code_max_bytes,
                                            .log = c->log,
                                            .arg = l,
                                            .want = known_want_code,
                                            .settled = known_code_settled};
    int r = make_hello(l, err);

    if (r == 0)
        r = open_address(l, err);
    if (r == 0)
        r = code_store_open(&codes, &l->codes, err);
    if (r < 0) {
        link_free(l);
        return r;
    }
    dial(l);
    *ret = l;
    return 0;
}

/* ---- closing ------------------------------------------------------------------------------------------------ */

/* The last frame is on its way, or has had its time. */
static void on_flush(struct nr_deadline *d)
{
    struct link *l = nr_container_of(d, struct link, leave_deadline);
    struct nr_deadline *const all[] = {&l->redial, &l->limbo, &l->soon};

    if (l->stream && nr_stream_unsent(l->stream) > 0 && ++l->flushes < FLUSH_MAX_MS / FLUSH_MS) {
        nr_deadline_set(l->loop, &l->leave_deadline, FLUSH_MS);
        return;
    }
    nr_stream_close(l->stream);
    down(l);
    for (size_t i = 0; i < nr_countof(all); i++)
        nr_deadline_cancel(all[i]);
    l->on_closed(l->on_closed_arg);
}

void link_close(struct link *l, void (*closed)(void *arg), void *arg)
{
    l->leaving = l->closed = true;
    l->on_closed = closed;
    l->on_closed_arg = arg;
    nr_deadline_cancel(&l->redial);
    serve_send_bare(l, WIRE_LEAVING, 0, 0);
    auth_fini(l);
    l->drained = NULL;
    l->leave_deadline.fire = on_flush;
    nr_deadline_set(l->loop, &l->leave_deadline, 0);
}

void link_free(struct link *l)
{
    if (l == NULL)
        return;
    calls_free(l);
    known_fini(l);
    wishes_fini(l);
    forgettings_fini(l);
    asked_images_fini(l);
    nr_map_fini(&l->functions);
    nr_map_fini(&l->calls);
    nr_map_fini(&l->wished);
    code_store_free(l->codes);
    nr_tls_close(l->tls);
    nr_arena_fini(&l->arena);
    nr_buf_fini(&l->meta);
    wire_hello_fini(&l->hello);
    (void)pthread_mutex_destroy(&l->auth_lock);
    (void)pthread_cond_destroy(&l->auth_done);
    free(l->address);
    free(l->code_dir);
    free(l);
}
