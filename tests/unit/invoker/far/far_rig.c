#include "far_rig.h"

#include "common/base/clock.h"
#include "common/base/file.h"
#include "ports/event.h"

struct nr_loop loop;
struct nr_log quiet = {.level = -1};
char dir[] = "/tmp/nr-test-far-XXXXXX";
char address[80];
struct far_listener *listener;
struct owner owner;
static struct peer peers[8]; /* one a dial, in turn */
static unsigned dials;
struct peer *peer = peers;
struct nr_tls *peer_tls;
struct steps steps;
const char an_answer[] = "{\"status\":0,\"start\":4,\"cold\":1,\"ran\":true,\"run_us\":1500}";

/* ---- the owner ---- */

int admit(void *arg, const struct far_hello *h, const char *from, struct nr_err *err)
{
    owner.admitted++;
    if (strcmp(h->token, "good") == 0)
        return 0;
    return nr_err_set(err, NR_EFORBIDDEN, "the token of \"%s\" is none", h->name);
}

void on_joined(void *arg, struct far *f)
{
    assert_string_equal(far_hello(f)->token, "");
    owner.joined++;
    owner.f = f;
}

void on_lost(void *arg, struct far *f)
{
    assert_false(far_is_up(f));
    owner.lost++;
}

void on_bounced(void *arg, struct far *f, struct activation *a)
{
    assert_int_equal(a->i, I_IDLE);
    assert_false(far_has(f, a));
    owner.bounced++;
    owner.back = a;
}

void on_reported(void *arg, struct far *f)
{
    owner.reported++;
}

static void on_event(void *arg, struct far *f, const struct event *e)
{
    owner.events++;
    (void)snprintf(owner.container, sizeof(owner.container), "%s",
                   e->member[0].text ? e->member[0].text : "");
}

static void registry_auth(void *arg, const char *account, const char *image, char **ret_auth)
{
    *ret_auth = strcmp(image, "own/image") == 0 ? nr_strdup("credentials of acme") : NULL;
}

void on_closed(void *arg)
{
    owner.closed++;
}

void on_forgotten(void *arg)
{
    owner.forgotten++;
}

void on_drained(void *arg)
{
    owner.drained++;
}

/* ---- the peer ---- */

static int64_t peer_length(void *arg, const char *head)
{
    return wire_length(head, false, true);
}

static int peer_frame(void *arg, const char *head, struct nr_str payload)
{
    struct peer *p = arg;
    struct wire_frame f;

    assert_int_equal(wire_take(head, payload, &f), 0);
    if (f.head.type == WIRE_PING)
        wire_send_bare(p->s, WIRE_PONG, 0, f.head.call);
    if (f.head.type == WIRE_PING || f.head.type == WIRE_PONG)
        return 0;
    struct seen *s = &p->seen[p->count++ % SEEN_MAX];

    s->head = f.head;
    (void)snprintf(s->meta, sizeof(s->meta), "%.*s", (int)f.meta.n, f.meta.n ? f.meta.p : "");
    s->raw_n = f.raw.n;
    if (f.raw.n > 0)
        memcpy(s->raw, f.raw.p, f.raw.n < sizeof(s->raw) ? f.raw.n : sizeof(s->raw));
    if (f.head.type == WIRE_CODE)
        p->code_bytes += f.raw.n;
    return 0;
}

static void peer_opened(void *arg)
{
    ((struct peer *)arg)->opened++;
}

static void peer_ended(void *arg, int code, const char *why)
{
    struct peer *p = arg;

    p->s = NULL;
    p->ended++;
}

static const struct nr_stream_hooks peer_hooks = {.head_bytes = sizeof(struct wire_head),
                                                  .length = peer_length,
                                                  .frame = peer_frame,
                                                  .opened = peer_opened,
                                                  .ended = peer_ended};

static void on_wake(struct nr_deadline *d) {}

void turn(void)
{
    struct nr_deadline wake = {.fire = on_wake};

    nr_deadline_set(&loop, &wake, 20); /* or whatever happens before */
    (void)uv_run(&loop.uv, UV_RUN_ONCE);
    nr_deadline_cancel(&wake);
}

void until(const int *value, int wanted)
{
    uint64_t end_ms = nr_mono_ms() + 30000;

    while (*value < wanted) {
        if (nr_mono_ms() > end_ms)
            fail_msg("waited 30 s for %d, it is %d", wanted, *value);
        turn();
    }
}

void peer_dial(void)
{
    peer = &peers[dials++ % nr_countof(peers)];
    memset(peer, 0, sizeof(*peer));
    const struct nr_stream_config c = {.loop = &loop,
                                       .hooks = &peer_hooks,
                                       .arg = peer,
                                       .open_ms = 30000,
                                       .unsent_max_bytes = 64 << 20};

    assert_int_equal(nr_stream_dial(&c, address, peer_tls, &peer->s, NULL), 0);
    until(&peer->opened, 1);
}

void say(uint8_t type, uint8_t flags, uint64_t call, const char *meta, const char *raw)
{
    wire_send(peer->s, &(struct wire_head){.type = type, .flags = flags, .call = call},
              nr_str_of(meta), nr_str_of(raw));
}

/* The next frame, which must be of this type. */
const struct seen *hear(uint8_t type)
{
    uint64_t end_ms = nr_mono_ms() + 30000;

    while (peer->count <= peer->read) {
        if (nr_mono_ms() > end_ms || peer->ended)
            fail_msg("%s never came", wire_type_text(type));
        turn();
    }
    const struct seen *s = &peer->seen[peer->read++ % SEEN_MAX];

    if (s->head.type != type)
        fail_msg("%s came in place of %s: %s", wire_type_text(s->head.type), wire_type_text(type),
                 s->meta);
    return s;
}

/* All that was sent to the peer so far has come; nothing more may have. */
void hear_nothing(void)
{
    uint64_t end_ms = nr_mono_ms() + 30000;
    int before = peer->read;

    say(WIRE_WANT_AUTH, 0, 4711, "{\"account\":\"nobody\",\"image\":\"none\"}", NULL);
    while (peer->count <= before && nr_mono_ms() < end_ms)
        turn();
    assert_int_equal(hear(WIRE_AUTH)->head.call, 4711);
}

void say_hello(const char *name, const char *session, const char *token)
{
    char meta[512];

    (void)snprintf(
        meta, sizeof(meta),
        "{\"protocol\":1,\"oldest\":1,\"name\":\"%s\",\"session\":\"%s\",\"token\":\"%s\","
        "\"arch\":\"x86_64\",\"cores\":2,\"kinds\":[\"python:3\"],\"tags\":{\"board\":\"r2\"}}",
        name, session, token);
    say(WIRE_HELLO, 0, 0, meta, NULL);
}

/* Its links end by themselves; what is left of it goes. */
void peer_hang_up(void)
{
    int lost = owner.lost;

    nr_stream_close(peer->s);
    peer->s = NULL;
    until(&owner.lost, lost + 1);
}

/* A new link under a name; WELCOME has come. */
const struct seen *join(const char *session)
{
    peer_dial();
    say_hello("box-1", session, "good");
    return hear(WIRE_WELCOME);
}

void report(const char *pools)
{
    char meta[1024];
    int before = owner.reported;

    (void)snprintf(
        meta, sizeof(meta),
        "{\"node\":{\"memory_max_mb\":1024,\"containers\":3,\"ready\":true,\"joules\":0.5,"
        "\"cpu_percent\":12},\"pools\":[%s]}",
        pools);
    say(WIRE_REPORT, 0, 0, meta, NULL);
    until(&owner.reported, before + 1);
}

/* ---- calls ---- */

static void on_step(struct activation *a)
{
    steps.steps++;
    if (a->i == I_AWAIT)
        steps.answered++;
    else if (a->i == I_END)
        steps.ended++;
    else
        fail_msg("a step at %d", a->i);
}

int on_claim(struct activation *a)
{
    assert_int_equal(a->i, I_CLAIM);
    steps.claims++;
    return steps.claim;
}

struct function *make_function(uint64_t revision)
{
    struct function *f = nr_alloc(sizeof(*f));

    atomic_store(&f->refs, 1);
    f->revision = f->stored = revision;
    f->account = nr_strdup("acme");
    f->package = nr_strdup("");
    f->name = nr_strdup("f");
    f->path = nr_strdup("acme/f");
    f->binding = nr_strdup("");
    f->version = nr_strdup("0.0.1");
    f->reason = nr_strdup("");
    f->kind = nr_strdup("blackbox");
    f->image = nr_strdup("own/image");
    f->exec = nr_strdup("");
    f->main = nr_strdup("");
    f->file = nr_strdup("");
    f->code_path = nr_strdup("");
    f->parameters = nr_strdup("{\"bound\":1}");
    f->init_parameters = nr_strdup("{}");
    f->limits = nr_strdup("{}");
    f->timeout_ms = 60000;
    f->memory_mb = 256;
    f->log_max_bytes = 1024;
    f->concurrency = 1;
    return f;
}

struct activation *make_call(struct function *f)
{
    struct activation *a = activation_make();

    a->fn = function_ref(f);
    a->on_step = on_step;
    a->claim = on_claim;
    a->input = NR_STR("{\"x\":1}");
    a->transaction = NR_STR("t-1");
    a->accepted_us = nr_mono_us();
    memcpy(a->id, SESSION, 33);
    return a;
}

/* Given, and its RUN has come. */
uint64_t run(struct activation *a)
{
    far_run(owner.f, a);
    assert_int_equal(a->i, I_BORROW);
    const struct seen *s = hear(WIRE_RUN);

    assert_memory_equal(s->raw, "{\"x\":1}", 7);
    assert_non_null(strstr(s->meta, "\"activation\":\"" SESSION "\""));
    return s->head.call;
}

void end_call(uint64_t call)
{
    int ended = steps.ended;

    say(WIRE_ANSWER, 0, call, an_answer, "{\"ok\":true}");
    say(WIRE_LOGS, 0, call, NULL, "2026 stdout: one\n");
    say(WIRE_END, 0, call, NULL, NULL);
    until(&steps.ended, ended + 1);
    assert_int_equal(hear(WIRE_DONE)->head.call, call);
}

/* A sample of the metrics text. */
double metric(const char *name)
{
    struct nr_buf out;
    double value = -1;

    nr_buf_init(&out, 1 << 20);
    far_metrics(listener, &out);
    nr_buf_addc(&out, '\0');
    for (const char *p = out.p; (p = strstr(p, name)) != NULL; p += strlen(name)) {
        if (p > out.p && p[-1] == '\n' && p[strlen(name)] == ' ')
            value = strtod(p + strlen(name), NULL);
    }
    nr_buf_fini(&out);
    return value;
}

/* ---- the frame of a test ---- */

int setup(void **state)
{
    const struct far_listener_config c = {.loop = &loop,
                                          .listen = address,
                                          .invoker_uid = -1,
                                          .api_host = "https://api.example",
                                          .log = &quiet,
                                          .admit = admit,
                                          .joined = on_joined,
                                          .lost = on_lost,
                                          .bounced = on_bounced,
                                          .reported = on_reported,
                                          .event = on_event,
                                          .registry_auth = registry_auth};
    struct nr_err err = {0};

    memset(&owner, 0, sizeof(owner));
    memset(&steps, 0, sizeof(steps));
    memset(peers, 0, sizeof(peers));
    assert_int_equal(nr_loop_init(&loop, NULL), 0);
    (void)snprintf(address, sizeof(address), "unix:%s/s", dir);
    if (far_listen(&c, &listener, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(far_port(listener), 0);
    assert_null(far_pin(listener));
    return 0;
}

int teardown(void **state)
{
    nr_stream_close(peer->s);
    if (owner.f)
        far_end(owner.f);
    far_listener_close(listener, on_closed, NULL);
    until(&owner.closed, 1);
    int r = nr_loop_fini(&loop);

    nr_clock_fake(0, 0);
    return r;
}

/* The function of a call is told, and its RUN has come. */
uint64_t first_run(struct activation *a)
{
    far_run(owner.f, a);
    (void)hear(WIRE_FUNCTION);
    return hear(WIRE_RUN)->head.call;
}

/* ---- calls in each of their states ---- */

void four_calls(struct four *x)
{
    x->f = make_function(7);
    for (int i = 0; i < 4; i++) {
        x->a[i] = make_call(x->f);
        x->call[i] = i == 0 ? first_run(x->a[i]) : run(x->a[i]);
    }
    for (int i = 2; i < 4; i++) {
        say(WIRE_CLAIM, 0, x->call[i], NULL, NULL);
        (void)hear(WIRE_CLAIMED);
    }
    steps.claim = 1;
    say(WIRE_CLAIM, 0, x->call[1], NULL, NULL);
    say(WIRE_ANSWER, 0, x->call[3], an_answer, "{}");
    say(WIRE_LOGS, 0, x->call[3], NULL, "torn off\n");
    until(&steps.claims, 3);
    until(&steps.answered, 1);
    hear_nothing();
}

void four_free(struct four *x)
{
    for (int i = 0; i < 4; i++)
        activation_unref(x->a[i]);
    function_unref(x->f);
}

bool wants(const struct seen *s, uint64_t call)
{
    for (size_t at = 0; at + 8 <= s->raw_n; at += 8) {
        if (memcmp(s->raw + at, &call, 8) == 0)
            return true;
    }
    return false;
}

int make_dir(void **state)
{
    assert_non_null(mkdtemp(dir));
    return 0;
}

int remove_dir(void **state)
{
    return nr_dir_remove(dir, NULL);
}
