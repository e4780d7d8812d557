/* See rig.h. */
#include "tests/unit/scaler/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"

enum { PATIENCE_MS = 20000 };

static char admin_name[] = "admin", guest_name[] = "guest", other_name[] = "other", uuid[] = "";

static void on_wish(void *arg, const struct scaler_wish *w)
{
    struct rig *r = arg;
    struct rig_wish *to = &r->wish[r->wishes < RIG_WISHES_MAX ? r->wishes++ : RIG_WISHES_MAX - 1];

    if (w->stem_kind)
        (void)snprintf(to->what, sizeof(to->what), "%s", w->stem_kind);
    else
        (void)snprintf(to->what, sizeof(to->what), "%s/%s/%s", w->account, w->package, w->name);
    to->desired = w->desired;
    to->maximum = w->maximum;
    to->keep_alive_ms = w->keep_alive_ms;
    to->ahead_only = w->ahead_only;
}

const struct rig_wish *rig_wish_for(const struct rig *r, const char *what)
{
    for (unsigned i = r->wishes; i-- > 0;)
        if (strcmp(r->wish[i].what, what) == 0)
            return &r->wish[i];
    return NULL;
}

struct scaler *rig_open(struct rig *r, const char *dir, bool platform, bool decides)
{
    struct scaler_config c = r->config;
    struct scaler *s = NULL;
    struct nr_err err = {0};
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s", r->folder, dir);
    (void)mkdir(path, 0700);
    c.data_dir = path;
    c.platform = platform;
    c.decides = decides;
    c.wish = platform ? on_wish : NULL;
    if (scaler_open(&c, &s, &err) != 0)
        fail_msg("%s", err.text);
    return s;
}

static void on_stopped(void *arg)
{
    *(bool *)arg = true;
}

static bool is_set(struct rig *r, const void *arg)
{
    (void)r;
    return *(const bool *)arg;
}

void rig_close(struct rig *r, struct scaler *s)
{
    bool stopped = false;

    scaler_stop(s, on_stopped, &stopped);
    rig_until(r, is_set, &stopped);
    scaler_close(s);
}

int rig_setup(void **state)
{
    struct rig *r = nr_alloc(sizeof(*r));
    struct nr_err err = {0};

    r->log = (struct nr_log){.out = stderr, .level = NR_LOG_ERROR};
    r->admin = (struct account){.refs = 1, .name = admin_name, .uuid = uuid, .scopes = SCOPE_ADMIN};
    r->guest = (struct account){.refs = 1, .name = guest_name, .uuid = uuid};
    r->other = (struct account){.refs = 1, .name = other_name, .uuid = uuid};
    (void)snprintf(r->folder, sizeof(r->folder), "/tmp/nr-scaler-XXXXXX");
    assert_non_null(mkdtemp(r->folder));
    assert_int_equal(nr_loop_init(&r->loop, &err), 0);
    const struct bus_config c = {.client = "test", .log = &r->log};

    assert_int_equal(bus_open(&c, &r->bus, &err), 0);
    r->config = (struct scaler_config){.loop = &r->loop,
                                       .bus = r->bus,
                                       .node = "here",
                                       .predict = SCALER_PREDICT_SHADOW,
                                       .memory_price = 0.02,
                                       .retention_s = 86400,
                                       .history_max_bytes = 64 << 20,
                                       .arg = r,
                                       .log = &r->log};
    r->scaler = rig_open(r, "data", true, true);
    *state = r;
    return 0;
}

int rig_teardown(void **state)
{
    struct rig *r = *state;

    if (r->scaler)
        rig_close(r, r->scaler);
    bus_close(r->bus, 100);
    assert_int_equal(nr_loop_fini(&r->loop), 0);
    assert_int_equal(nr_dir_remove(r->folder, NULL), 0);
    free(r);
    return 0;
}

/* ---- calls -------------------------------------------------------------------------------------------------- */

static void on_done(struct scale_call *c)
{
    *(bool *)c->owner = true;
}

struct rig_reply rig_call(struct rig *r, struct account *who, struct scale_call call)
{
    bool done = false;

    call.account = who;
    call.admin = who->scopes & SCOPE_ADMIN;
    call.done = on_done;
    call.owner = &done;
    scaler_post(r->scaler, &call);
    rig_until(r, is_set, &done);
    struct rig_reply reply = {.code = call.err.code, .created = call.created, .err = call.err};

    if (call.reply.n > 0) {
        reply.json = nr_json_parse(nr_buf_str(&call.reply), NULL);
        assert_non_null(reply.json);
    }
    nr_buf_fini(&call.reply);
    return reply;
}

void rig_reply_fini(struct rig_reply *reply)
{
    json_decref(reply->json);
    reply->json = NULL;
}

/* ---- samples ------------------------------------------------------------------------------------------------ */

static void publish(struct rig *r, const struct sample *s)
{
    struct nr_buf key, text;

    nr_buf_init(&key, 1024);
    nr_buf_init(&text, SAMPLE_MAX_BYTES);
    sample_key(s, &key);
    sample_write(s, &text);
    assert_true(bus_publish(r->bus, BUS_METRICS, nr_buf_str(&key), nr_buf_str(&text)));
    nr_buf_fini(&key);
    nr_buf_fini(&text);
}

static void tell(struct sample *s, enum metric_id m, double value)
{
    s->has |= UINT64_C(1) << m;
    s->value[m] = value;
}

void rig_sample(struct rig *r, const char *function, double inflight, double instances)
{
    struct sample node = {
        .t_ms = nr_wall_ms(), .span_ms = 1000, .seq = ++r->seq, .node = NR_STR("here")};

    struct sample s = node;

    tell(&node, METRIC_NODE_MEMORY_FREE_MB, 8192);
    s.account = NR_STR("guest");
    s.function = nr_str_of(function);
    tell(&s, METRIC_ARRIVALS, inflight);
    tell(&s, METRIC_INFLIGHT, inflight);
    tell(&s, METRIC_INFLIGHT_MAX, inflight);
    tell(&s, METRIC_INSTANCES, instances);
    tell(&s, METRIC_INSTANCES_BUSY, inflight < instances ? inflight : instances);
    tell(&s, METRIC_INSTANCE_MB, 128);
    publish(r, &s);
    publish(r, &node);
}

/* ---- time --------------------------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *t)
{
    uv_stop(t->loop);
}

static void run_for(struct rig *r, uint64_t ms)
{
    uv_timer_t timer;

    (void)uv_timer_init(&r->loop.uv, &timer);
    (void)uv_timer_start(&timer, on_timer, ms, 0);
    (void)uv_run(&r->loop.uv, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&timer, NULL);
    (void)uv_run(&r->loop.uv, UV_RUN_NOWAIT);
}

void rig_pass(struct rig *r, uint64_t ms)
{
    run_for(r, ms);
}

void rig_until(struct rig *r, bool (*question)(struct rig *r, const void *arg), const void *arg)
{
    uint64_t begun_ms = nr_mono_ms();

    while (!question(r, arg)) {
        if (nr_mono_ms() - begun_ms > PATIENCE_MS)
            fail_msg("not within %d s; the last of %u wishes: %s %d", PATIENCE_MS / 1000, r->wishes,
                     r->wishes ? r->wish[r->wishes - 1].what : "none",
                     r->wishes ? r->wish[r->wishes - 1].desired : 0);
        run_for(r, 5);
    }
}
