/* The controller's side of a link against a peer that the test plays, frame by frame: joining and who may not, a call from RUN to DONE, claims granted and
 * refused, what bounces and what is lost when a link ends, a session that comes back, results that come too late, code and credentials, reports, cordon and
 * drain, and frames that break the protocol.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/data/digest.h"
#include "invoker/far/wire.h"
#include "ports/event.h"

#define SESSION "0123456789abcdef0123456789abcdef"
#define OTHER_SESSION "fedcba9876543210fedcba9876543210"

static struct nr_loop loop;
static struct nr_log quiet = {.level = -1};
static char dir[] = "/tmp/nr-test-far-XXXXXX";
static char address[80];
static struct far_listener *listener;

/* ---- the owner ---- */

static struct {
    int joined, lost, bounced, reported, events, admitted, closed, forgotten, drained;
    struct far *f;
    struct activation *back; /* the last that was bounced */
    char container[32];      /* of the last event */
} owner;

static int admit(void *arg, const struct far_hello *h, const char *from, struct nr_err *err)
{
    owner.admitted++;
    if (strcmp(h->token, "good") == 0)
        return 0;
    return nr_err_set(err, NR_EFORBIDDEN, "the token of \"%s\" is none", h->name);
}

static void on_joined(void *arg, struct far *f)
{
    assert_string_equal(far_hello(f)->token, "");
    owner.joined++;
    owner.f = f;
}

static void on_lost(void *arg, struct far *f)
{
    assert_false(far_is_up(f));
    owner.lost++;
}

static void on_bounced(void *arg, struct far *f, struct activation *a)
{
    assert_int_equal(a->i, I_IDLE);
    assert_false(far_has(f, a));
    owner.bounced++;
    owner.back = a;
}

static void on_reported(void *arg, struct far *f)
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

static void on_closed(void *arg)
{
    owner.closed++;
}

static void on_forgotten(void *arg)
{
    owner.forgotten++;
}

static void on_drained(void *arg)
{
    owner.drained++;
}

/* ---- the peer ---- */

enum { SEEN_MAX = 64 };

struct seen {
    struct wire_head head;
    char meta[2048];
    char raw[256];
    size_t raw_n;
};

struct peer {
    struct nr_stream *s;
    int opened, ended, count;
    struct seen seen[SEEN_MAX]; /* a ring */
    int read;                   /* how many of them the test has looked at */
    size_t code_bytes;
};

static struct peer peers[8]; /* one a dial, in turn */
static unsigned dials;
static struct peer *peer = peers;
static struct nr_tls *peer_tls; /* NULL: by the unix socket */

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

static void turn(void)
{
    struct nr_deadline wake = {.fire = on_wake};

    nr_deadline_set(&loop, &wake, 20); /* or whatever happens before */
    (void)uv_run(&loop.uv, UV_RUN_ONCE);
    nr_deadline_cancel(&wake);
}

static void until(const int *value, int wanted)
{
    uint64_t end_ms = nr_mono_ms() + 30000;

    while (*value < wanted) {
        if (nr_mono_ms() > end_ms)
            fail_msg("waited 30 s for %d, it is %d", wanted, *value);
        turn();
    }
}

static void peer_dial(void)
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

static void say(uint8_t type, uint8_t flags, uint64_t call, const char *meta, const char *raw)
{
    wire_send(peer->s, &(struct wire_head){.type = type, .flags = flags, .call = call},
              nr_str_of(meta), nr_str_of(raw));
}

/* The next frame, which must be of this type. */
static const struct seen *hear(uint8_t type)
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
static void hear_nothing(void)
{
    uint64_t end_ms = nr_mono_ms() + 30000;
    int before = peer->read;

    say(WIRE_WANT_AUTH, 0, 4711, "{\"account\":\"nobody\",\"image\":\"none\"}", NULL);
    while (peer->count <= before && nr_mono_ms() < end_ms)
        turn();
    assert_int_equal(hear(WIRE_AUTH)->head.call, 4711);
}

static void say_hello(const char *name, const char *session, const char *token)
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
static void peer_hang_up(void)
{
    int lost = owner.lost;

    nr_stream_close(peer->s);
    peer->s = NULL;
    until(&owner.lost, lost + 1);
}

/* A new link under a name; WELCOME has come. */
static const struct seen *join(const char *session)
{
    peer_dial();
    say_hello("box-1", session, "good");
    return hear(WIRE_WELCOME);
}

static void report(const char *pools)
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

static struct {
    int steps, claims;
    int answered, ended;
    int claim; /* what `claim` returns */
} steps;

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

static int on_claim(struct activation *a)
{
    assert_int_equal(a->i, I_CLAIM);
    steps.claims++;
    return steps.claim;
}

static struct function *make_function(uint64_t revision)
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

static struct activation *make_call(struct function *f)
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
static uint64_t run(struct activation *a)
{
    far_run(owner.f, a);
    assert_int_equal(a->i, I_BORROW);
    const struct seen *s = hear(WIRE_RUN);

    assert_memory_equal(s->raw, "{\"x\":1}", 7);
    assert_non_null(strstr(s->meta, "\"activation\":\"" SESSION "\""));
    return s->head.call;
}

static const char an_answer[] =
    "{\"status\":0,\"start\":4,\"cold\":1,\"ran\":true,\"run_us\":1500}";

static void end_call(uint64_t call)
{
    int ended = steps.ended;

    say(WIRE_ANSWER, 0, call, an_answer, "{\"ok\":true}");
    say(WIRE_LOGS, 0, call, NULL, "2026 stdout: one\n");
    say(WIRE_END, 0, call, NULL, NULL);
    until(&steps.ended, ended + 1);
    assert_int_equal(hear(WIRE_DONE)->head.call, call);
}

/* A sample of the metrics text. */
static double metric(const char *name)
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

static int setup(void **state)
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

static int teardown(void **state)
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

/* ---- joining ---- */

static void test_welcome(void **state)
{
    const struct seen *s = join(SESSION);

    assert_non_null(strstr(s->meta, "\"protocol\":1"));
    assert_non_null(strstr(s->meta, "\"epoch\":1"));
    assert_non_null(strstr(s->meta, "\"api_host\":\"https://api.example\""));
    assert_int_equal(s->raw_n, 0);
    assert_int_equal(owner.joined, 1);
    assert_string_equal(far_hello(owner.f)->name, "box-1");
    assert_string_equal(far_hello(owner.f)->tags[0].value, "r2");
    assert_false(far_takes(owner.f, true)); /* not before it has reported */
    assert_string_equal(far_why_not(owner.f), "it has not reported yet");
    report("");
    assert_true(far_takes(owner.f, false));
    assert_string_equal(far_why_not(owner.f), "");
}

static void test_a_token_that_is_none(void **state)
{
    for (int i = 0; i < 12; i++) {
        peer_dial();
        say_hello("box-1", SESSION, "bad");
        const struct seen *s = hear(WIRE_REFUSED);

        assert_non_null(strstr(s->meta, i < 10 ? "the token of" : "too many failed tokens"));
        until(&peer->ended, 1);
    }
    assert_int_equal(owner.admitted, 12); /* a good one is taken all the same */
    assert_int_equal(owner.joined, 0);
    assert_true(metric("narae_invoker_refused_total") == 12);
}

static void test_a_protocol_that_is_not_spoken(void **state)
{
    peer_dial();
    say(WIRE_HELLO, 0, 0,
        "{\"protocol\":3,\"oldest\":2,\"name\":\"box-1\",\"token\":\"good\",\"session\":\"" SESSION
        "\"}",
        NULL);
    assert_non_null(strstr(hear(WIRE_REFUSED)->meta, "protocols"));
    until(&peer->ended, 1);
    assert_int_equal(owner.admitted, 0);
}

static void test_two_processes_of_a_name(void **state)
{
    (void)join(SESSION);
    struct peer *first = peer;

    peer_dial();
    say_hello("box-1", OTHER_SESSION, "good");
    assert_non_null(strstr(hear(WIRE_REFUSED)->meta, "a name of its own"));
    until(&peer->ended, 1);
    assert_true(far_is_up(owner.f));
    assert_int_equal(owner.lost, 0);
    nr_stream_close(first->s);
    first->s = NULL;
    until(&owner.lost, 1);
}

/* ---- a call ---- */

static void test_a_call(void **state)
{
    struct function *f = make_function(7);
    struct activation *a = make_call(f), *b = make_call(f);

    (void)join(SESSION);
    far_run(owner.f, a);
    assert_true(far_has(owner.f, a));
    const struct seen *s = hear(WIRE_FUNCTION);

    assert_int_equal(s->head.call, 7);
    assert_memory_equal(s->raw, "{\"bound\":1}{}", 13);
    uint64_t call = hear(WIRE_RUN)->head.call;

    say(WIRE_CLAIM, WIRE_COLD, call, NULL, NULL);
    assert_int_equal(hear(WIRE_CLAIMED)->head.flags, 0);
    assert_int_equal(steps.claims, 1);
    assert_null(a->claim);
    assert_int_equal(steps.steps, 0);
    end_call(call);
    assert_int_equal(steps.answered, 1);
    assert_int_equal(a->outcome.status, OUTCOME_SUCCESS);
    assert_true(nr_str_eqz(a->outcome.result, "{\"ok\":true}"));
    assert_true(nr_str_eqz(nr_buf_str(&a->logs), "2026 stdout: one\n"));
    assert_int_equal(a->start, START_COLD);
    assert_true(a->started_us > 0 && a->answered_us >= a->started_us);
    assert_false(far_has(owner.f, a));
    /* its function is known now */
    call = run(b);
    assert_int_equal(far_calls(owner.f), 1);
    say(WIRE_CLAIM, 0, call, NULL, NULL);
    (void)hear(WIRE_CLAIMED);
    end_call(call);
    assert_int_equal(far_calls(owner.f), 0);
    activation_unref(a);
    activation_unref(b);
    function_unref(f);
}

/* The function of a call is told, and its RUN has come. */
static uint64_t first_run(struct activation *a)
{
    far_run(owner.f, a);
    (void)hear(WIRE_FUNCTION);
    return hear(WIRE_RUN)->head.call;
}

static void test_claims(void **state)
{
    struct function *f = make_function(7);
    struct activation *a = make_call(f), *b = make_call(f);

    (void)join(SESSION);
    uint64_t call = first_run(a);

    steps.claim = 1; /* it is being written */
    say(WIRE_CLAIM, 0, call, NULL, NULL);
    until(&steps.claims, 1);
    hear_nothing();
    far_claimed(owner.f, a, 0);
    assert_int_equal(hear(WIRE_CLAIMED)->head.flags, 0);
    end_call(call);
    /* it could not be written */
    call = run(b);
    say(WIRE_CLAIM, 0, call, NULL, NULL);
    until(&steps.claims, 2);
    far_claimed(owner.f, b, NR_ENOSPC);
    assert_int_equal(hear(WIRE_CLAIMED)->head.flags, WIRE_FAILED);
    assert_int_equal(steps.ended, 2);
    assert_int_equal(b->err, NR_ENOSPC);
    assert_int_equal(far_calls(owner.f), 0);
    activation_unref(a);
    activation_unref(b);
    function_unref(f);
}

static void test_taken_back(void **state)
{
    struct function *f = make_function(7);
    struct activation *a = make_call(f);

    (void)join(SESSION);
    uint64_t call = first_run(a);

    assert_true(far_take_back(owner.f, a));
    assert_int_equal(owner.bounced, 0);
    assert_int_equal(a->i, I_IDLE);
    assert_int_equal(hear(WIRE_CUT)->head.call, call);
    say(WIRE_CLAIM, 0, call, NULL, NULL); /* it was on its way */
    assert_int_equal(hear(WIRE_CLAIMED)->head.flags, WIRE_FAILED);
    assert_int_equal(steps.claims, 0);
    call = run(a);
    say(WIRE_CLAIM, 0, call, NULL, NULL);
    (void)hear(WIRE_CLAIMED);
    assert_false(far_take_back(owner.f, a));
    end_call(call);
    call = run(a);
    say(WIRE_BOUNCE, 0, call, NULL, NULL);
    until(&owner.bounced, 1);
    assert_ptr_equal(owner.back, a);
    /* it had asked for its claim, and does not want the call any more */
    call = run(a);
    a->claim = on_claim;
    steps.claim = 1;
    say(WIRE_CLAIM, 0, call, NULL, NULL);
    until(&steps.claims, 2);
    say(WIRE_BOUNCE, 0, call, NULL, NULL);
    hear_nothing();
    assert_int_equal(owner.bounced, 1);
    far_claimed(owner.f, a, 0);
    assert_int_equal(owner.bounced, 2);
    hear_nothing(); /* no CLAIMED */
    activation_unref(a);
    function_unref(f);
}

static void test_cuts(void **state)
{
    struct function *f = make_function(7);
    struct activation *a = make_call(f), *b = make_call(f);

    (void)join(SESSION);
    uint64_t call = first_run(a);

    far_cut(owner.f, a, NR_ECANCELED); /* it waits there */
    assert_int_equal(steps.ended, 1);
    assert_int_equal(a->err, NR_ECANCELED);
    assert_int_equal(hear(WIRE_CUT)->head.call, call);
    say(WIRE_ANSWER, 0, call, "{\"status\":3,\"err\":-24,\"why\":\"canceled\"}", NULL);
    say(WIRE_END, 0, call, NULL, NULL);
    assert_int_equal(hear(WIRE_DONE)->head.call, call);
    /* it runs there: the answer is ours at once, its logs are still taken */
    call = run(b);
    say(WIRE_CLAIM, 0, call, NULL, NULL);
    (void)hear(WIRE_CLAIMED);
    far_cut(owner.f, b, NR_ETIMEOUT);
    assert_int_equal(steps.answered, 2);
    assert_int_equal(steps.ended, 1);
    (void)hear(WIRE_CUT);
    far_cut(owner.f, b, NR_ESTOPPING); /* once is enough */
    end_call(call);
    assert_int_equal(b->err, NR_ETIMEOUT);
    assert_int_equal(b->outcome.result.n, 0);
    assert_int_equal(b->logs.n, 17);
    assert_true(metric("narae_invoker_late_results_total") == 0);
    activation_unref(a);
    activation_unref(b);
    function_unref(f);
}

/* ---- links that end ---- */

/* Four calls: given, being claimed, granted, answered. */
struct four {
    struct function *f;
    struct activation *a[4];
    uint64_t call[4];
};

static void four_calls(struct four *x)
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

static void four_free(struct four *x)
{
    for (int i = 0; i < 4; i++)
        activation_unref(x->a[i]);
    function_unref(x->f);
}

static bool wants(const struct seen *s, uint64_t call)
{
    for (size_t at = 0; at + 8 <= s->raw_n; at += 8) {
        if (memcmp(s->raw + at, &call, 8) == 0)
            return true;
    }
    return false;
}

/* What was not granted bounces, what was goes on with the session. */
static void test_a_session_comes_back(void **state)
{
    struct four x;

    (void)join(SESSION);
    four_calls(&x);
    peer_hang_up();
    assert_int_equal(owner.bounced, 1);
    assert_ptr_equal(owner.back, x.a[0]);
    assert_false(far_takes(owner.f, true));
    far_claimed(owner.f, x.a[1], 0); /* CLAIMED was never sent */
    assert_int_equal(owner.bounced, 2);
    assert_ptr_equal(owner.back, x.a[1]);
    const struct seen *s = join(SESSION);

    assert_int_equal(owner.joined, 2);
    assert_non_null(strstr(s->meta, "\"epoch\":2"));
    assert_int_equal(s->raw_n, 16);
    assert_true(wants(s, x.call[2]) && wants(s, x.call[3]));
    end_call(x.call[2]);
    end_call(x.call[3]); /* told again from its beginning */
    assert_int_equal(steps.answered, 2);
    assert_int_equal(steps.ended, 2);
    assert_true(nr_str_eqz(nr_buf_str(&x.a[3]->logs), "2026 stdout: one\n"));
    /* a result of a call that bounced is late */
    say(WIRE_ANSWER, 0, x.call[0], an_answer, "{}");
    say(WIRE_END, 0, x.call[0], NULL, NULL);
    assert_int_equal(hear(WIRE_DONE)->head.call, x.call[0]);
    assert_true(metric("narae_invoker_late_results_total") == 1);
    assert_true(metric("narae_invoker_bounced_total") == 2);
    /* and the function is told anew on a new link */
    steps.claim = 0;
    uint64_t call = first_run(x.a[0]);

    say(WIRE_CLAIM, 0, call, NULL, NULL);
    (void)hear(WIRE_CLAIMED);
    end_call(call);
    four_free(&x);
}

/* The session is quicker than the end of its old link. */
static void test_a_session_on_two_links(void **state)
{
    struct four x;

    (void)join(SESSION);
    four_calls(&x);
    struct peer *first = peer;

    assert_int_equal(join(SESSION)->raw_n, 16);
    assert_int_equal(owner.lost, 1);
    assert_int_equal(owner.joined, 2);
    assert_true(far_is_up(owner.f));
    nr_stream_close(first->s);
    first->s = NULL;
    far_claimed(owner.f, x.a[1], NR_ENOSPC);
    assert_int_equal(steps.ended, 1);
    end_call(x.call[2]);
    end_call(x.call[3]);
    four_free(&x);
}

/* The process died: what was granted to it is lost, once, and the next one is told of nothing. */
static void test_another_session(void **state)
{
    struct four x;

    (void)join(SESSION);
    four_calls(&x);
    peer_hang_up();
    assert_int_equal(steps.ended, 0);
    assert_int_equal(join(OTHER_SESSION)->raw_n, 0);
    assert_int_equal(steps.ended, 2);
    assert_int_equal(x.a[2]->err, 0);
    assert_int_equal(x.a[2]->outcome.status, OUTCOME_INTERNAL_ERROR);
    assert_non_null(strstr(x.a[2]->outcome.result.p, "started anew"));
    assert_int_equal(x.a[3]->outcome.status, OUTCOME_SUCCESS); /* only its logs are missing */
    assert_true(metric("narae_invoker_lost_calls_total") == 1);
    say(WIRE_ANSWER, 0, x.call[2], an_answer, "{}");
    hear_nothing();
    assert_true(metric("narae_invoker_late_results_total") == 1);
    far_claimed(owner.f, x.a[1], 0);
    assert_int_equal(owner.bounced, 2);
    four_free(&x);
}

/* Removed while a claim is on its way to the disk: it comes back when that is known, and only then is all gone. */
static void test_the_end(void **state)
{
    struct four x;
    struct far *f;

    (void)join(SESSION);
    four_calls(&x);
    f = owner.f;
    far_forget_account(f, "gone", on_forgotten, NULL);
    far_drain(f, on_drained, NULL);
    owner.f = NULL;
    far_end(f);
    assert_int_equal(owner.bounced, 1);
    assert_int_equal(steps.ended, 2);
    assert_int_equal(owner.forgotten, 1);
    assert_int_equal(owner.drained, 1);
    far_claimed(f, x.a[1], 0);
    assert_int_equal(owner.bounced, 2);
    until(&peer->ended, 1);
    four_free(&x);
}

/* A call that was granted has no more time than its own limit, whether its invoker comes back or not. */
static void test_a_limit(void **state)
{
    struct function *f = make_function(7);
    struct activation *a = make_call(f);

    f->timeout_ms = 10;
    (void)join(SESSION);
    uint64_t call = first_run(a);

    say(WIRE_CLAIM, 0, call, NULL, NULL);
    (void)hear(WIRE_CLAIMED);
    peer_hang_up();
    turn();
    assert_int_equal(steps.steps, 0);
    nr_clock_fake(20000000, 0);
    until(&steps.ended, 1);
    assert_int_equal(a->outcome.status, OUTCOME_INTERNAL_ERROR);
    assert_int_equal(join(SESSION)->raw_n, 0);
    activation_unref(a);
    function_unref(f);
}

/* Given to one that is away: it comes back, later. */
static void test_given_to_nobody(void **state)
{
    struct function *f = make_function(7);
    struct activation *a = make_call(f), *b = make_call(f);

    (void)join(SESSION);
    peer_hang_up();
    far_run(owner.f, a);
    far_run(owner.f, b);
    assert_int_equal(owner.bounced, 0);
    far_cut(owner.f, b, NR_ECANCELED);
    assert_int_equal(steps.ended, 1);
    until(&owner.bounced, 1);
    assert_ptr_equal(owner.back, a);
    assert_int_equal(owner.bounced, 1);
    activation_unref(a);
    activation_unref(b);
    function_unref(f);
}

/* ---- functions, code, credentials ---- */

static void write_code(struct function *f, size_t n)
{
    char path[128];
    char *bytes = nr_alloc(n);

    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)(i * 31 >> 3);
    assert_int_equal(nr_file_write(dir, "code.zip", (struct nr_str){bytes, n}, 0600, NULL), 0);
    nr_sha256((struct nr_str){bytes, n}, f->sha256);
    (void)snprintf(path, sizeof(path), "%s/code.zip", dir);
    free(f->code_path);
    free(f->file);
    f->code_path = nr_strdup(path);
    f->file = nr_strdup("code.zip");
    f->code_bytes = (int64_t)n;
    free(bytes);
}

static void ask_code(const struct function *f, uint64_t at, uint64_t bytes)
{
    char sha256[65], meta[256];

    nr_hex(f->sha256, 32, sha256);
    (void)snprintf(
        meta, sizeof(meta), "{\"sha256\":\"%s\",\"revision\":%llu,\"at\":%llu,\"bytes\":%llu}",
        sha256, (unsigned long long)f->revision, (unsigned long long)at, (unsigned long long)bytes);
    say(WIRE_WANT_CODE, 0, 0, meta, NULL);
}

static void test_code(void **state)
{
    enum { CODE_BYTES = 1500000 };
    struct function *f = make_function(7), *unknown = make_function(8);

    write_code(f, CODE_BYTES);
    (void)join(SESSION);
    far_know(owner.f, f);
    assert_non_null(strstr(hear(WIRE_FUNCTION)->meta, "\"code_bytes\":1500000"));
    assert_int_equal(hear(WIRE_KNOW)->head.call, 7);
    ask_code(f, 0, WIRE_CODE_CREDIT_BYTES);
    for (int i = 0; i < 4; i++) {
        const struct seen *s = hear(WIRE_CODE);
        char at[32];

        (void)snprintf(at, sizeof(at), "\"at\":%d,", i * WIRE_PART_MAX_BYTES);
        assert_non_null(strstr(s->meta, at));
        assert_non_null(strstr(s->meta, "\"bytes\":1500000"));
    }
    hear_nothing(); /* no more than was asked for */
    ask_code(f, WIRE_CODE_CREDIT_BYTES, WIRE_CODE_CREDIT_BYTES);
    (void)hear(WIRE_CODE);
    (void)hear(WIRE_CODE);
    assert_int_equal(peer->code_bytes, CODE_BYTES);
    /* of a function that is forgotten, or was never told */
    ask_code(unknown, 0, 10);
    assert_int_equal(hear(WIRE_CODE)->head.flags, WIRE_FAILED);
    assert_int_equal(unlink(f->code_path), 0);
    ask_code(f, 0, 10);
    assert_int_equal(hear(WIRE_CODE)->head.flags, WIRE_FAILED);
    /* of other code than the function's */
    say(WIRE_WANT_CODE, 0, 0, "{\"revision\":7,\"sha256\":\"00\",\"bytes\":10}", NULL);
    until(&peer->ended, 1);
    function_unref(f);
    function_unref(unknown);
}

static void test_credentials(void **state)
{
    struct function *f = make_function(7);

    (void)join(SESSION);
    far_know(owner.f, f);
    (void)hear(WIRE_FUNCTION);
    (void)hear(WIRE_KNOW);
    say(WIRE_WANT_AUTH, 0, 5, "{\"account\":\"acme\",\"image\":\"own/image\"}", NULL);
    const struct seen *s = hear(WIRE_AUTH);

    assert_int_equal(s->head.call, 5);
    assert_memory_equal(s->raw, "credentials of acme", 19);
    say(WIRE_WANT_AUTH, 0, 6, "{\"account\":\"other\",\"image\":\"own/image\"}", NULL);
    s = hear(WIRE_AUTH);
    assert_int_equal(s->head.call, 6);
    assert_int_equal(s->raw_n, 0);
    function_unref(f);
}

/* What was forgotten while the link was down is told to the session when it is back; to another one there is nothing to say. */
static void test_forgotten_meanwhile(void **state)
{
    struct function *f = make_function(7);

    (void)join(SESSION);
    far_know(owner.f, f);
    (void)hear(WIRE_FUNCTION);
    (void)hear(WIRE_KNOW);
    far_forget_account(owner.f, "gone", on_forgotten, NULL);
    assert_non_null(strstr(hear(WIRE_FORGET_ACCOUNT)->meta, "\"gone\""));
    peer_hang_up();
    far_forget(owner.f, 7);
    far_forget(owner.f, 99);
    (void)join(SESSION);
    assert_int_equal(hear(WIRE_FORGET)->head.call, 7);
    uint64_t number = hear(WIRE_FORGET_ACCOUNT)->head.call;

    assert_int_equal(owner.forgotten, 0);
    say(WIRE_FORGOTTEN, 0, number, NULL, NULL);
    until(&owner.forgotten, 1);
    say(WIRE_FORGOTTEN, 0, number, NULL, NULL); /* twice, for it was asked twice */
    far_know(owner.f, f);
    (void)hear(WIRE_FUNCTION);
    (void)hear(WIRE_KNOW);
    far_forget(owner.f, 7);
    assert_int_equal(hear(WIRE_FORGET)->head.call, 7);
    hear_nothing();
    assert_int_equal(owner.forgotten, 1);
    function_unref(f);
}

/* Both ends keep so many snapshots and no more; one that has a call stays. */
static void test_released(void **state)
{
    struct function *called = make_function(1);
    struct activation *a = make_call(called);
    uint64_t call;

    (void)join(SESSION);
    call = first_run(a);
    for (uint64_t i = 2; i <= WIRE_FUNCTIONS_MAX + 1; i++) {
        struct function *f = make_function(i);

        far_know(owner.f, f);
        function_unref(f);
        (void)hear(i <= WIRE_FUNCTIONS_MAX ? WIRE_FUNCTION : WIRE_RELEASE);
        if (i > WIRE_FUNCTIONS_MAX) {
            assert_int_equal(peer->seen[(peer->read - 1) % SEEN_MAX].head.call, 2);
            (void)hear(WIRE_FUNCTION);
        }
        (void)hear(WIRE_KNOW);
    }
    say(WIRE_CLAIM, 0, call, NULL, NULL);
    (void)hear(WIRE_CLAIMED);
    end_call(call);
    activation_unref(a);
    function_unref(called);
}

/* ---- reports ---- */

static struct {
    int count;
    struct container_figures last;
    char key[64];
} told;

static void each_figures(void *arg, const struct container_figures *f)
{
    told.count++;
    told.last = *f;
    (void)snprintf(told.key, sizeof(told.key), "%.*s", (int)f->key.n, f->key.p);
}

static void test_reports(void **state)
{
    struct function *f = make_function(7);
    struct activation *a = make_call(f), *b = make_call(f), *c = make_call(f);
    struct invoker_load load;
    struct node_figures node;

    (void)join(SESSION);
    uint64_t call = first_run(a);

    far_load(owner.f, 7, &load);
    assert_int_equal(load.waiting, 1);
    report("{\"revision\":7,\"key\":\"acme//f\",\"ready\":1,\"busy\":1,\"starting\":2,"
           "\"containers_ready\":2,\"joules\":0.25,\"cpu_percent\":3,\"looked\":true},"
           "{\"revision\":66,\"key\":\"other//g\",\"ready\":9}");
    far_load(owner.f, 7, &load);
    assert_int_equal(load.ready, 1);
    assert_int_equal(load.busy, 1);
    assert_int_equal(load.starting, 2);
    assert_int_equal(load.waiting, 0);
    /* calls that the report cannot know of */
    (void)run(b);
    (void)run(c);
    far_load(owner.f, 7, &load);
    assert_int_equal(load.ready, 0);
    assert_int_equal(load.busy, 2);
    assert_int_equal(load.waiting, 1);
    assert_int_equal(far_busy(owner.f), 3);
    far_load(owner.f, 66, &load); /* never told */
    assert_int_equal(load.ready, 0);
    report("{\"revision\":7,\"key\":\"lies\",\"ready\":0,\"busy\":2,\"joules\":0.25}");
    far_figures(owner.f, each_figures, NULL, &node);
    assert_int_equal(told.count, 1);
    assert_string_equal(told.key, "acme//f");
    assert_true(told.last.joules == 0.5);
    assert_true(node.joules == 1.0);
    assert_int_equal(node.memory_max_mb, 1024);
    assert_int_equal(node.containers, 3);
    far_figures(owner.f, each_figures, NULL, &node);
    assert_true(told.last.joules == 0 && node.joules == 0);
    assert_true(far_take_back(owner.f, b) && far_take_back(owner.f, c));
    (void)hear(WIRE_CUT);
    (void)hear(WIRE_CUT);
    far_load(owner.f, 7, &load);
    assert_int_equal(load.ready, 1);
    report(""); /* its containers are gone */
    far_load(owner.f, 7, &load);
    assert_int_equal(load.ready + load.busy, 0);
    say(WIRE_CLAIM, 0, call, NULL, NULL);
    (void)hear(WIRE_CLAIMED);
    end_call(call);
    activation_unref(a);
    activation_unref(b);
    activation_unref(c);
    function_unref(f);
}

static void test_an_event(void **state)
{
    struct function *f = make_function(7);
    struct activation *a = make_call(f);
    const char *meta = "{\"event\":\"oom_killed\",\"account\":\"acme\",\"name\":\"f\","
                       "\"members\":{\"container\":\"ab12\"}}";

    (void)join(SESSION);
    say(WIRE_EVENT, 0, 0, meta, NULL); /* of a function that it was not told */
    hear_nothing();
    assert_int_equal(owner.events, 0);
    (void)first_run(a);
    say(WIRE_EVENT, 0, 0, meta, NULL);
    until(&owner.events, 1);
    assert_string_equal(owner.container, "ab12");
    say(WIRE_EVENT, 0, 0, "{\"event\":\"of a later version\"}", NULL);
    say(200, 0, 0, "{\"of\":\"a later version\"}", "raw");
    hear_nothing();
    assert_int_equal(owner.events, 1);
    assert_true(far_take_back(owner.f, a));
    activation_unref(a);
    function_unref(f);
}

static void test_texts(void **state)
{
    struct function *f = make_function(7);
    struct activation *a = make_call(f);
    struct nr_buf out;

    nr_buf_init(&out, 1 << 20);
    (void)join(SESSION);
    (void)first_run(a);
    report("");
    far_status(owner.f, NULL, &out);
    assert_int_equal(nr_json_scan(nr_buf_str(&out)), NR_JSON_OBJECT);
    nr_buf_addc(&out, '\0');
    assert_non_null(strstr(out.p, "\"name\":\"box-1\",\"up\":true"));
    assert_non_null(strstr(out.p, "\"tags\":{\"board\":\"r2\"}"));
    assert_non_null(strstr(out.p, "\"session\":\"" SESSION "\""));
    assert_non_null(strstr(out.p, "\"function\":\"acme/f\""));
    nr_buf_reset(&out, SIZE_MAX);
    far_status(owner.f, "other", &out); /* no other account's functions, and nothing of the host */
    assert_int_equal(nr_json_scan(nr_buf_str(&out)), NR_JSON_OBJECT);
    nr_buf_addc(&out, '\0');
    assert_null(strstr(out.p, "acme"));
    assert_null(strstr(out.p, "session"));
    assert_null(strstr(out.p, "address"));
    assert_true(metric("narae_invoker_up{invoker=\"box-1\"}") == 1);
    assert_true(metric("narae_invoker_far_calls{invoker=\"box-1\"}") == 1);
    nr_buf_fini(&out);
    assert_true(far_take_back(owner.f, a));
    activation_unref(a);
    function_unref(f);
}

/* ---- cordon, drain, leaving ---- */

static void test_cordon(void **state)
{
    struct function *f = make_function(7);
    struct activation *a = make_call(f);

    (void)join(SESSION);
    report("");
    (void)first_run(a);
    far_cordon(owner.f, true);
    assert_int_equal(owner.bounced, 0);
    assert_false(far_takes(owner.f, true));
    until(&owner.bounced, 1);
    assert_int_equal(hear(WIRE_CORDON)->head.flags, WIRE_ON);
    (void)hear(WIRE_CUT);
    peer_hang_up();
    (void)join(OTHER_SESSION); /* it holds over links and processes */
    assert_int_equal(hear(WIRE_CORDON)->head.flags, WIRE_ON);
    report("");
    assert_true(far_is_cordoned(owner.f));
    assert_false(far_takes(owner.f, true));
    far_cordon(owner.f, false);
    assert_int_equal(hear(WIRE_CORDON)->head.flags, 0);
    assert_true(far_takes(owner.f, true));
    activation_unref(a);
    function_unref(f);
}

static void test_drain(void **state)
{
    struct function *f = make_function(7);
    struct activation *a = make_call(f), *b = make_call(f);

    (void)join(SESSION);
    uint64_t call = first_run(a);

    say(WIRE_CLAIM, 0, call, NULL, NULL);
    (void)hear(WIRE_CLAIMED);
    (void)run(b);
    far_drain(owner.f, on_drained, NULL);
    (void)hear(WIRE_DRAIN);
    until(&owner.bounced, 1);
    assert_ptr_equal(owner.back, b);
    (void)hear(WIRE_CUT);
    assert_int_equal(owner.drained, 0);
    end_call(call);
    hear_nothing();
    assert_int_equal(owner.drained, 0); /* its containers are still there */
    say(WIRE_LEAVING, 0, 0, NULL, NULL);
    until(&owner.drained, 1);
    far_drain(owner.f, on_drained, NULL);
    peer_hang_up();
    until(&owner.drained, 2);
    activation_unref(a);
    activation_unref(b);
    function_unref(f);
}

/* Its process is being stopped. */
static void test_leaving(void **state)
{
    struct function *f = make_function(7);
    struct activation *a = make_call(f);

    (void)join(SESSION);
    report("");
    (void)first_run(a);
    say(WIRE_LEAVING, WIRE_MORE, 0, NULL, NULL);
    until(&owner.bounced, 1);
    assert_false(far_takes(owner.f, true));
    assert_string_equal(far_why_not(owner.f), "it is being stopped");
    activation_unref(a);
    function_unref(f);
}

/* ---- who breaks the protocol ---- */

static void test_hostile_frames(void **state)
{
    static const struct {
        const char *what;
        uint8_t type, flags;
        int call; /* 0: none; 1: given, 2: granted, 3: answered */
        const char *meta, *raw;
    } rows[] = {
        {"a frame of the controller", WIRE_RUN, 0, 0, "{}", "{}"},
        {"a second HELLO", WIRE_HELLO, 0, 0, "{}", NULL},
        {"JSON that is none", WIRE_EVENT, 0, 0, "{\"event\":", NULL},
        {"JSON that is no object", WIRE_REPORT, 0, 0, "[]", NULL},
        {"a payload where none is", WIRE_CLAIM, 0, 1, NULL, "x"},
        {"an answer that ran without a claim", WIRE_ANSWER, 0, 1, "{\"ran\":true}", "{}"},
        {"an answer that is success without a claim", WIRE_ANSWER, 0, 1, "{}", "{}"},
        {"logs before the answer", WIRE_LOGS, 0, 2, NULL, "x\n"},
        {"an end before the answer", WIRE_END, 0, 2, NULL, NULL},
        {"a bounce of what was granted", WIRE_BOUNCE, 0, 2, NULL, NULL},
        {"a second claim", WIRE_CLAIM, 0, 2, NULL, NULL},
        {"an answer without a result", WIRE_ANSWER, 0, 2, "{\"ran\":true}", NULL},
        {"an answer that is no JSON", WIRE_ANSWER, 0, 2, "{\"ran\":true}", "{\"a\":"},
        {"an answer that is a number", WIRE_ANSWER, 0, 2, "{\"ran\":true}", "1"},
        {"an answer of a status that is none", WIRE_ANSWER, 0, 2, "{\"status\":9}", "{}"},
        {"a second answer", WIRE_ANSWER, 0, 3, "{\"ran\":true}", "{}"},
        {"logs of nothing", WIRE_LOGS, 0, 3, NULL, NULL},
        {"a report of nothing", WIRE_REPORT, 0, 0, NULL, NULL},
        {"a report of a bad pool", WIRE_REPORT, 0, 0, "{\"pools\":[{\"revision\":0}]}", NULL},
        {"an event without a name", WIRE_EVENT, 0, 0,
         "{\"event\":\"oom_killed\",\"account\":\"a\"}", NULL},
        {"code without measure", WIRE_WANT_CODE, 0, 0, "{\"bytes\":-1}", NULL},
    };

    for (size_t i = 0; i < nr_countof(rows); i++) {
        struct function *f = make_function(7);
        struct activation *a = make_call(f);

        memset(&steps, 0, sizeof(steps));
        (void)join(SESSION);
        uint64_t call = first_run(a);
        int lost = owner.lost;

        if (rows[i].call >= 2) {
            say(WIRE_CLAIM, 0, call, NULL, NULL);
            (void)hear(WIRE_CLAIMED);
        }
        if (rows[i].call == 3)
            say(WIRE_ANSWER, 0, call, an_answer, "{}");
        say(rows[i].type, rows[i].flags, call, rows[i].meta, rows[i].raw);
        until(&owner.lost, lost + 1);
        if (metric("narae_invoker_violations_total") != (double)i + 1)
            fail_msg("%s was not counted", rows[i].what);
        if (far_has(owner.f, a)) /* granted: it ends by its own limit, or with the session */
            (void)join(OTHER_SESSION);
        assert_false(far_has(owner.f, a));
        if (far_is_up(owner.f))
            peer_hang_up();
        activation_unref(a);
        function_unref(f);
    }
    (void)join(SESSION); /* nobody else has lost anything */
    report("");
    assert_true(far_takes(owner.f, false));
}

static void test_before_hello(void **state)
{
    peer_dial();
    say(WIRE_CLAIM, 0, 1, NULL, NULL);
    until(&peer->ended, 1);
    peer_dial();
    say(WIRE_HELLO, 0, 0, "{\"name\":1}", NULL);
    (void)hear(WIRE_REFUSED);
    until(&peer->ended, 1);
    assert_int_equal(owner.admitted, 0);
}

/* By TCP: a certificate of its own, made once, with a pin that stays. */
static void test_tls(void **state)
{
    struct far_listener_config c = {.loop = &loop,
                                    .listen = "127.0.0.1:0",
                                    .data_dir = dir,
                                    .invoker_uid = -1,
                                    .log = &quiet,
                                    .admit = admit,
                                    .joined = on_joined,
                                    .lost = on_lost,
                                    .bounced = on_bounced,
                                    .reported = on_reported};
    struct far_listener *l = NULL;
    struct nr_tls *client = NULL;
    struct stat st;
    char path[128], pin[NR_TLS_PIN_BYTES], plain[sizeof(address)];
    int closed = owner.closed;

    assert_int_equal(far_listen(&c, &l, NULL), 0);
    (void)snprintf(pin, sizeof(pin), "%s", far_pin(l));
    (void)snprintf(path, sizeof(path), "%s/invokers.key", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    memcpy(plain, address, sizeof(plain));
    (void)snprintf(address, sizeof(address), "tls://127.0.0.1:%u", far_port(l));
    assert_int_equal(nr_tls_open_client(pin, &client, NULL), 0);
    peer_tls = client;
    (void)join(SESSION);
    assert_string_equal(far_hello(owner.f)->name, "box-1");
    peer_hang_up();
    far_end(owner.f);
    owner.f = NULL;
    far_listener_close(l, on_closed, NULL);
    until(&owner.closed, closed + 1);
    assert_int_equal(far_listen(&c, &l, NULL), 0); /* as a next start */
    assert_string_equal(far_pin(l), pin);
    far_listener_close(l, on_closed, NULL);
    until(&owner.closed, closed + 2);
    owner.closed = 0;
    peer_tls = NULL;
    nr_tls_close(client);
    memcpy(address, plain, sizeof(plain));
    c.cert_path = path; /* without its key */
    assert_int_equal(far_listen(&c, &l, NULL), NR_EINVAL);
    c.listen = "nowhere";
    c.cert_path = NULL;
    assert_int_equal(far_listen(&c, &l, NULL), NR_EINVAL);
}

static int make_dir(void **state)
{
    assert_non_null(mkdtemp(dir));
    return 0;
}

static int remove_dir(void **state)
{
    return nr_dir_remove(dir, NULL);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_welcome),
        T(test_a_token_that_is_none),
        T(test_a_protocol_that_is_not_spoken),
        T(test_two_processes_of_a_name),
        T(test_a_call),
        T(test_claims),
        T(test_taken_back),
        T(test_cuts),
        T(test_a_session_comes_back),
        T(test_a_session_on_two_links),
        T(test_another_session),
        T(test_the_end),
        T(test_a_limit),
        T(test_given_to_nobody),
        T(test_code),
        T(test_credentials),
        T(test_forgotten_meanwhile),
        T(test_released),
        T(test_reports),
        T(test_an_event),
        T(test_texts),
        T(test_cordon),
        T(test_drain),
        T(test_leaving),
        T(test_hostile_frames),
        T(test_before_hello),
        T(test_tls),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
