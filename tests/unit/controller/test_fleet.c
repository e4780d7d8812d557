/* The fleet over an invoker of its own and three hosts that are scripted: who has a call, bounces, calls that wait for a host, tags, wishes shared out, accounts
 * that leave while a host is away, tokens, and what a restart finds in fleet.db.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "controller/fleet.h"

enum { HOSTS = 3, CALLS = 64 };

static char *text(const char *s)
{
    return (char *)(uintptr_t)s;
}

/* ---- the scripted hosts ------------------------------------------------------------------------------------------- */

struct far {
    struct far_hello hello;
    void *owner;
    bool up, cordoned, takes;
    struct activation *calls[CALLS];
    size_t call_count;
    struct invoker_load load;
    int desired, maximum, wishes, knows, forgets, drains;
    uint64_t known; /* a revision that it was told */
    int images;
    void (*forgotten)(void *arg);
    void *forgotten_arg;
};

struct rig {
    struct nr_loop loop;
    struct nr_log log;
    struct node node;
    char data[64];
    struct invokers *f;
    struct far far[HOSTS];
    struct far_listener_config listener;
    struct activation *here[CALLS];
    size_t here_count;
    struct invoker_load load_here;
    uint64_t served_here; /* a revision that has a container */
    bool here_is_ill;
    int images_here, images_done;
    int wished_here, ends, forgotten;
    int last_code;
    char last_text[512];
    struct function fn;
    bool closed;
};

static struct rig *the; /* the rig of the running test; the ports have no other way to find it */

int far_listen(const struct far_listener_config *c, struct far_listener **ret, struct nr_err *err)
{
    (void)err;
    the->listener = *c;
    *ret = (struct far_listener *)the;
    return 0;
}

uint16_t far_port(const struct far_listener *l)
{
    (void)l;
    return 4000;
}

const char *far_pin(const struct far_listener *l)
{
    (void)l;
    return "sha256:00";
}

void far_listener_close(struct far_listener *l, void (*closed)(void *arg), void *arg)
{
    (void)l;
    closed(arg);
}

void far_metrics(struct far_listener *l, struct nr_buf *out)
{
    (void)l;
    nr_buf_adds(out, "");
}

const struct far_hello *far_hello(const struct far *f)
{
    return &f->hello;
}

bool far_is_up(const struct far *f)
{
    return f->up;
}

bool far_takes(const struct far *f, bool warm)
{
    (void)warm;
    return f->up && f->takes && !f->cordoned;
}

size_t far_calls(const struct far *f)
{
    return f->call_count;
}

void far_set_owner(struct far *f, void *owner)
{
    f->owner = owner;
}

void *far_owner(const struct far *f)
{
    return f->owner;
}

void far_run(struct far *f, struct activation *a)
{
    a->i = I_BORROW;
    f->calls[f->call_count++] = a;
}

void far_claimed(struct far *f, struct activation *a, int status)
{
    (void)f;
    a->i = status == 0 ? I_AWAIT : I_END;
}

void far_cut(struct far *f, struct activation *a, int err)
{
    f->call_count--;
    activation_fail(a, err, "cut");
    a->i = I_END;
    a->on_step(a);
}

void far_image(struct far *f, struct image_call *c)
{
    f->images++;
    c->done(c);
}

bool far_knows(const struct far *f, uint64_t revision)
{
    return f->up && f->known == revision;
}

int64_t far_function_peak_bytes(const struct far *f, const struct function *fn)
{
    return (int64_t)fn->revision * (f - the->far);
}

void far_forget(struct far *f, uint64_t revision)
{
    assert_int_equal(revision, the->fn.revision);
    f->forgets++;
}

void far_forget_account(struct far *f, const char *account, void (*done)(void *arg), void *arg)
{
    assert_string_equal(account, "leaver");
    f->forgotten = done;
    f->forgotten_arg = arg;
}

static void pay(struct far *f)
{
    void (*done)(void *) = f->forgotten;

    f->forgotten = NULL;
    if (done)
        done(f->forgotten_arg);
}

void far_wish(struct far *f, const struct scaler_wish *w)
{
    f->desired = w->desired;
    f->maximum = w->maximum;
    f->wishes++;
}

void far_know(struct far *f, struct function *fn)
{
    assert_ptr_equal(fn, &the->fn);
    f->knows++;
}

void far_cordon(struct far *f, bool on)
{
    f->cordoned = on;
}

void far_drain(struct far *f, void (*done)(void *arg), void *arg)
{
    f->cordoned = true;
    f->drains++;
    f->forgotten = done;
    f->forgotten_arg = arg;
}

void far_load(const struct far *f, uint64_t revision, struct invoker_load *ret)
{
    (void)revision;
    *ret = f->load;
}

unsigned far_busy(const struct far *f)
{
    return (unsigned)f->call_count;
}

int64_t far_room_mb(const struct far *f)
{
    return f->hello.memory_max_mb;
}

void far_figures(struct far *f, void (*each)(void *arg, const struct container_figures *figures),
                 void *arg, struct node_figures *ret)
{
    const struct container_figures one = {.key = NR_STR("guest//fn"), .ready = 2, .memory_mb = 10};

    (void)f;
    each(arg, &one);
    *ret = (struct node_figures){.memory_max_mb = 1000, .containers = 2, .cpu_percent = 50};
}

void far_status(const struct far *f, const char *account, struct nr_buf *out)
{
    (void)account;
    nr_buf_printf(out, "{\"name\":\"%s\",\"up\":%s}", f->hello.name, f->up ? "true" : "false");
}

/* What had not started comes back from inside. */
static void bounce_all(struct far *f)
{
    while (f->call_count > 0) {
        struct activation *a = f->calls[--f->call_count];

        a->i = I_IDLE;
        the->listener.bounced(the->listener.arg, f, a);
    }
}

void far_end(struct far *f)
{
    f->up = false;
    bounce_all(f);
    pay(f);
}

/* ---- the invoker of this process ---------------------------------------------------------------------------------- */

void invoker_run(struct invoker *v, struct activation *a)
{
    (void)v;
    a->i = I_BORROW;
    the->here[the->here_count++] = a;
}

void invoker_claimed(struct activation *a, int status)
{
    a->i = status == 0 ? I_INIT : I_END;
}

void invoker_cut(struct activation *a, int err)
{
    the->here_count--;
    activation_fail(a, err, "cut here");
    a->i = I_END;
    a->on_step(a);
}

void invoker_image(struct invoker *v, struct image_call *c)
{
    (void)v;
    the->images_here++;
    c->done(c);
}

bool invoker_serves(const struct invoker *v, uint64_t revision)
{
    (void)v;
    return the->served_here == revision;
}

const char *invoker_engine(const struct invoker *v)
{
    (void)v;
    return "";
}

int64_t invoker_function_peak_bytes(const struct invoker *v, const char *path)
{
    (void)v;
    assert_non_null(path);
    return 1;
}

void invoker_forget(struct invoker *v, uint64_t revision)
{
    (void)v;
    (void)revision;
}

void invoker_load(const struct invoker *v, uint64_t revision, struct invoker_load *ret)
{
    (void)v;
    (void)revision;
    *ret = the->load_here;
}

void invoker_loads(const struct invoker *v,
                   void (*each)(void *arg, const struct function *f,
                                const struct invoker_load *load),
                   void *arg)
{
    const struct invoker_load load = {.busy = (unsigned)the->here_count};

    (void)v;
    each(arg, &the->fn, &load);
}

bool invoker_ready(const struct invoker *v, char why[static INVOKER_WHY_BYTES])
{
    (void)v;
    (void)snprintf(why, INVOKER_WHY_BYTES, "ill");
    return !the->here_is_ill;
}

void invoker_wish(struct invoker *v, const struct scaler_wish *w)
{
    (void)v;
    the->wished_here = w->desired;
}

void invoker_know(struct invoker *v, struct function *f)
{
    (void)v;
    (void)f;
}

void invoker_forget_account(struct invoker *v, const char *account, void (*done)(void *arg),
                            void *arg)
{
    (void)v;
    (void)account;
    done(arg);
}

void invoker_figures(struct invoker *v, void (*each)(void *arg, const struct container_figures *f),
                     void *arg, struct node_figures *ret)
{
    const struct container_figures one = {.key = NR_STR("guest//fn"), .ready = 1, .memory_mb = 5};

    (void)v;
    each(arg, &one);
    *ret = (struct node_figures){.memory_max_mb = 500, .containers = 1, .cpu_percent = 20};
}

void invoker_status(struct invoker *v, const char *account, struct nr_buf *out)
{
    (void)v;
    (void)account;
    nr_buf_adds(out, "{\"name\":\"0\"}");
}

void invoker_metrics(struct invoker *v, struct nr_buf *out)
{
    (void)v;
    (void)out;
}

void invoker_drain(struct invoker *v, uint64_t max_ms, void (*done)(void *arg), void *arg)
{
    (void)v;
    (void)max_ms;
    done(arg);
}

unsigned invoker_left(const struct invoker *v)
{
    (void)v;
    return 0;
}

void invoker_close(struct invoker *v, void (*closed)(void *arg), void *arg)
{
    (void)v;
    closed(arg);
}

/* ---- the rig ------------------------------------------------------------------------------------------------------ */

static void open_fleet(struct rig *r, bool local, const char *listen)
{
    const struct invokers_config c = {.loop = &r->loop,
                                      .local = local ? (struct invoker *)r : NULL,
                                      .node = &r->node,
                                      .data_dir = r->data,
                                      .listen = listen,
                                      .invoker_uid = -1,
                                      .log = &r->log};
    struct nr_err err = {0};

    r->closed = false;
    assert_int_equal(invokers_open(&c, &r->f, &err), 0);
    assert_int_equal(invokers_listen(r->f, NULL, &err), 0);
}

static void on_closed(void *arg)
{
    ((struct rig *)arg)->closed = true;
}

static void close_fleet(struct rig *r)
{
    invokers_close(r->f, on_closed, r);
    assert_true(r->closed);
}

static void setup(struct rig *r)
{
    static const char *const names[HOSTS] = {"one", "two", "three"};

    *r = (struct rig){.node = {.memory_max_mb = 4096, .cores = 2}};
    the = r;
    assert_int_equal(nr_loop_init(&r->loop, NULL), 0);
    r->log.level = NR_LOG_ERROR;
    (void)snprintf(r->data, sizeof(r->data), "/tmp/nrfleet-XXXXXX");
    assert_non_null(mkdtemp(r->data));
    r->fn = (struct function){.refs = 1000,
                              .revision = 7,
                              .stored = 7,
                              .account = text("guest"),
                              .package = text(""),
                              .name = text("fn"),
                              .path = text("guest/fn"),
                              .memory_mb = 256};
    for (size_t i = 0; i < HOSTS; i++)
        r->far[i] = (struct far){.hello = {.name = text(names[i]),
                                           .token = text(""),
                                           .session = text(names[i]),
                                           .arch = text(i == 2 ? "arm64" : "amd64"),
                                           .cores = 2,
                                           .capabilities = text("[]"),
                                           .takes_images = true,
                                           .memory_max_mb = 4096},
                                 .takes = true};
}

static void turn(struct rig *r)
{
    (void)uv_run(&r->loop.uv, UV_RUN_NOWAIT);
    nr_mailbox_drain(&r->loop);
}

static void on_changed(struct invokers_call *c)
{
    *(bool *)c->owner = true;
}

/* A change; its reply (made) or NULL with *ret_code. */
static char *change(struct rig *r, enum invokers_op op, const char *name, const char *body,
                    int *ret_code)
{
    bool done = false;
    struct invokers_call c = {.op = op,
                              .name = nr_str_of(name),
                              .body = nr_str_of(body),
                              .done = on_changed,
                              .owner = &done};

    invokers_post(r->f, &c);
    while (!done)
        (void)uv_run(&r->loop.uv, UV_RUN_ONCE);
    *ret_code = c.err.code;
    char *text = c.err.code ? NULL : nr_strndup(c.reply.p, c.reply.n);

    nr_buf_fini(&c.reply);
    return text;
}

/* It is added and dials with its token. */
static void join(struct rig *r, size_t i)
{
    struct far *far = &r->far[i];
    struct nr_err err = {0};
    int code;
    nr_auto_free char *reply = change(r, INVOKERS_ADD, far->hello.name, NULL, &code);
    static char token[HOSTS][65];

    assert_int_equal(code, 0);
    const char *at = strstr(reply, "\"token\":\"");

    assert_non_null(at);
    memcpy(token[i], at + 9, 64);
    far->hello.token = token[i];
    assert_int_equal(r->listener.admit(r->listener.arg, &far->hello, "192.0.2.1", &err), 0);
    far->up = true;
    r->listener.joined(r->listener.arg, far);
}

static void lose(struct rig *r, size_t i)
{
    r->far[i].up = false;
    bounce_all(&r->far[i]);
    r->listener.lost(r->listener.arg, &r->far[i]);
}

static void teardown(struct rig *r)
{
    close_fleet(r);
    turn(r);
    assert_int_equal(nr_loop_fini(&r->loop), 0);
    static const char *const files[] = {"fleet.db", "fleet.db-wal", "fleet.db-shm"};
    char path[128];

    for (size_t i = 0; i < nr_countof(files); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", r->data, files[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(r->data), 0);
}

static void on_step(struct activation *a)
{
    struct rig *r = a->owner;

    r->ends += a->i == I_END;
    r->last_code = a->err;
    (void)snprintf(r->last_text, sizeof(r->last_text), "%s", a->error.text);
}

static struct activation *call(struct rig *r)
{
    struct activation *a = activation_make();

    a->fn = function_ref(&r->fn);
    a->owner = r;
    a->on_step = on_step;
    invokers_run(r->f, a);
    return a;
}

static size_t given(const struct rig *r)
{
    size_t n = r->here_count;

    for (size_t i = 0; i < HOSTS; i++)
        n += r->far[i].call_count;
    return n;
}

static void free_calls(struct rig *r, struct activation **all, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (all[i]->i != I_END)
            invokers_cut(all[i], NR_ECANCELED);
        activation_unref(all[i]);
    }
    r->fn.refs = 1000;
}

/* ---- calls -------------------------------------------------------------------------------------------------------- */

static void test_calls_are_shared(void **state)
{
    struct activation *all[32];
    struct rig r;

    (void)state;
    setup(&r);
    open_fleet(&r, true, "127.0.0.1:0");
    for (size_t i = 0; i < HOSTS; i++)
        join(&r, i);
    for (size_t i = 0; i < 32; i++)
        all[i] = call(&r);
    assert_in_range(r.here_count, 6, 10);
    for (size_t i = 0; i < HOSTS; i++)
        assert_in_range(r.far[i].call_count, 6, 10);
    assert_ptr_equal(r.far[0].calls[0]->far, &r.far[0]);
    invokers_claimed(r.far[0].calls[0], 0);
    assert_int_equal(r.far[0].calls[0]->i, I_AWAIT);
    invokers_claimed(r.here[0], 0);
    assert_int_equal(r.here[0]->i, I_INIT);
    invokers_forget(r.f, 7);
    assert_int_equal(r.far[0].forgets + r.far[1].forgets + r.far[2].forgets, 3);
    free_calls(&r, all, 32);
    assert_int_equal(r.ends, 32);
    teardown(&r);
}

static void test_what_bounces_is_placed_elsewhere(void **state)
{
    struct activation *all[12];
    struct rig r;

    (void)state;
    setup(&r);
    open_fleet(&r, false, "127.0.0.1:0");
    for (size_t i = 0; i < HOSTS; i++)
        join(&r, i);
    for (size_t i = 0; i < 12; i++)
        all[i] = call(&r);
    assert_int_equal(given(&r), 12);
    assert_true(r.far[1].call_count > 0);
    lose(&r, 1);
    assert_int_equal(r.far[1].call_count, 0);
    assert_int_equal(given(&r), 12);
    assert_int_equal(r.ends, 0);
    free_calls(&r, all, 12);
    teardown(&r);
}

static void test_what_bounces_for_ever_is_refused(void **state)
{
    struct rig r;

    (void)state;
    setup(&r);
    open_fleet(&r, false, "127.0.0.1:0");
    join(&r, 0);
    struct activation *a = call(&r);

    for (int i = 0; i < 100 && r.far[0].call_count > 0; i++) {
        r.far[0].call_count--;
        a->i = I_IDLE;
        r.listener.bounced(r.listener.arg, &r.far[0], a);
    }
    assert_int_equal(r.ends, 1);
    assert_int_equal(r.last_code, NR_EUNAVAIL);
    assert_non_null(strstr(r.last_text, "gave it back"));
    activation_unref(a);
    teardown(&r);
}

static void test_a_call_waits_for_a_host(void **state)
{
    struct activation *all[3];
    struct rig r;

    (void)state;
    setup(&r);
    open_fleet(&r, false, "127.0.0.1:0");
    join(&r, 0);
    r.far[0].takes = false;
    for (size_t i = 0; i < 3; i++)
        all[i] = call(&r);
    assert_int_equal(given(&r), 0);
    assert_int_equal(r.f->unplaced_count, 3);
    invokers_cut(all[1], NR_ECANCELED); /* who waits can be cut */
    assert_int_equal(r.ends, 1);
    assert_int_equal(r.last_code, NR_ECANCELED);
    r.far[0].takes = true;
    r.listener.reported(r.listener.arg, &r.far[0]);
    assert_int_equal(r.far[0].call_count, 2);
    assert_int_equal(r.f->unplaced_count, 0);
    assert_ptr_equal(r.far[0].calls[0], all[0]); /* in order */
    free_calls(&r, all, 3);
    teardown(&r);
}

static void test_patience_ends(void **state)
{
    struct rig r;
    char why[INVOKER_WHY_BYTES];

    (void)state;
    setup(&r);
    open_fleet(&r, false, "127.0.0.1:0");
    join(&r, 0);
    r.far[0].takes = false;
    assert_false(invokers_ready(r.f, why));
    struct activation *a = call(&r);

    a->deadline.fire(&a->deadline); /* as the loop does when the time is over */
    assert_int_equal(r.ends, 1);
    assert_int_equal(r.last_code, NR_EUNAVAIL);
    assert_non_null(strstr(r.last_text, "No invoker has taken the call"));
    activation_unref(a);
    a = call(&r);
    a->durable = true; /* it was accepted meanwhile: it waits on */
    a->deadline.fire(&a->deadline);
    assert_int_equal(r.ends, 1);
    free_calls(&r, &a, 1);
    teardown(&r);
}

static void test_tags(void **state)
{
    char *arm[] = {text("arch=arm64"), NULL}, *none[] = {text("arch=arm64"), text("board=x"), NULL};
    struct activation *all[2];
    struct rig r;
    int code;

    (void)state;
    setup(&r);
    open_fleet(&r, true, "127.0.0.1:0");
    for (size_t i = 0; i < HOSTS; i++)
        join(&r, i);
    r.fn.place = arm;
    all[0] = call(&r);
    assert_int_equal(r.far[2].call_count, 1);
    r.fn.place = none;
    struct activation *a = call(&r);

    assert_int_equal(r.ends, 1);
    assert_int_equal(r.last_code, NR_EUNAVAIL);
    assert_non_null(strstr(r.last_text, "No invoker has the tag board=x"));
    activation_unref(a);
    free(change(&r, INVOKERS_ADD, "three", "{\"tags\":{\"board\":\"x\"}}", &code));
    assert_int_equal(code, 0); /* a new token: its link has ended, and what it had waits for it */
    assert_false(r.far[2].up);
    assert_int_equal(r.f->unplaced_count, 1);
    all[1] = call(&r); /* it is away, but known: the call waits */
    assert_int_equal(r.ends, 1);
    assert_int_equal(r.f->unplaced_count, 2);
    free_calls(&r, all, 2);
    r.fn.place = NULL;
    teardown(&r);
}

static void test_one_with_a_limit_is_on_one_host(void **state)
{
    struct activation *all[8];
    struct rig r;

    (void)state;
    setup(&r);
    open_fleet(&r, true, "127.0.0.1:0");
    for (size_t i = 0; i < HOSTS; i++)
        join(&r, i);
    r.fn.instances = 3;
    for (size_t i = 0; i < 8; i++)
        all[i] = call(&r);
    size_t used = r.here_count > 0;

    for (size_t i = 0; i < HOSTS; i++)
        used += r.far[i].call_count > 0;
    assert_int_equal(used, 1);
    free_calls(&r, all, 8);
    teardown(&r);
}

static void on_image(struct image_call *c)
{
    ((struct rig *)c->owner)->images_done++;
}

static void image_asked(struct rig *r, struct image_call *ret)
{
    int done = r->images_done;

    *ret = (struct image_call){.op = IMAGE_LIST, .done = on_image, .owner = r};
    invokers_image(r->f, ret);
    turn(r);
    assert_int_equal(r->images_done, done + 1);
}

/* Here where there is an invoker; else on one host, and on another only when that is not well. */
static void test_images_are_asked_of_one_host(void **state)
{
    struct image_call c;
    struct rig r;

    (void)state;
    setup(&r);
    open_fleet(&r, true, "127.0.0.1:0");
    join(&r, 0);
    image_asked(&r, &c);
    assert_int_equal(r.images_here, 1);
    close_fleet(&r);
    open_fleet(&r, false, "127.0.0.1:0");
    image_asked(&r, &c);
    assert_int_equal(c.err.code, NR_EUNAVAIL);
    assert_non_null(strstr(c.err.text, "No invoker can be asked for images: no invoker takes"));
    for (size_t i = 0; i < HOSTS; i++)
        join(&r, i);
    r.far[0].hello.takes_images = false; /* an older one */
    image_asked(&r, &c);
    image_asked(&r, &c);
    assert_int_equal(c.err.code, 0);
    assert_int_equal(r.far[2].images, 2); /* "three" is before "two" */
    r.far[2].takes = false;
    image_asked(&r, &c);
    assert_int_equal(r.far[1].images, 1);
    assert_int_equal(r.far[0].images, 0);
    teardown(&r);
}

/* A trial's calls have one host: this one while it is well, else one of the others, and then that. */
static void test_a_trial_stays_where_it_is(void **state)
{
    struct activation *all[10];
    size_t n = 0, home = HOSTS;
    struct rig r;

    (void)state;
    setup(&r);
    open_fleet(&r, true, "127.0.0.1:0");
    for (size_t i = 0; i < HOSTS; i++)
        join(&r, i);
    r.fn.trial = true;
    while (n < 4)
        all[n++] = call(&r);
    assert_int_equal(r.here_count, 4);
    r.here_is_ill = true;
    while (n < 6)
        all[n++] = call(&r);
    for (size_t i = 0; i < HOSTS; i++)
        home = r.far[i].call_count > 0 ? i : home;
    assert_int_equal(r.far[home].call_count, 2);
    r.far[home].known = r.fn.revision;
    r.here_is_ill = false;
    r.far[home].load.busy = 100;
    assert_true(invokers_serve(r.f, r.fn.revision));
    assert_false(invokers_serve(r.f, r.fn.revision + 1));
    all[n++] = call(&r);
    assert_int_equal(r.far[home].call_count, 3);
    r.far[home].takes = false; /* what was there is lost */
    all[n++] = call(&r);
    assert_int_equal(r.here_count, 5);
    r.served_here = r.fn.revision;
    r.far[home].takes = true;
    all[n++] = call(&r);
    assert_int_equal(r.here_count, 6);
    assert_int_equal(invokers_function_peak_bytes(r.f, &r.fn),
                     (int64_t)r.fn.revision * (HOSTS - 1));
    free_calls(&r, all, n);
    teardown(&r);
}

static void test_alone_it_is_our_own(void **state)
{
    struct rig r;

    (void)state;
    setup(&r);
    open_fleet(&r, true, NULL);
    struct activation *a = call(&r);

    assert_int_equal(r.here_count, 1);
    free_calls(&r, &a, 1);
    int code;

    assert_null(change(&r, INVOKERS_ADD, "one", NULL, &code));
    assert_int_equal(code, NR_EINVAL);
    teardown(&r);
}

/* ---- wishes, accounts, names -------------------------------------------------------------------------------------- */

static int wished(const struct rig *r)
{
    int n = r->wished_here;

    for (size_t i = 0; i < HOSTS; i++)
        n += r->far[i].up ? r->far[i].desired : 0;
    return n;
}

static void test_wishes_follow_the_hosts(void **state)
{
    const struct scaler_wish wish = {.account = "guest",
                                     .package = "",
                                     .name = "fn",
                                     .desired = 7,
                                     .maximum = -1,
                                     .keep_alive_ms = -1};
    const struct scaler_wish over = {.account = "guest",
                                     .package = "",
                                     .name = "fn",
                                     .desired = -1,
                                     .maximum = -1,
                                     .keep_alive_ms = -1};
    struct rig r;

    (void)state;
    setup(&r);
    open_fleet(&r, true, "127.0.0.1:0");
    join(&r, 0);
    invokers_wish(r.f, &wish);
    invokers_know(r.f, &r.fn);
    assert_int_equal(wished(&r), 7);
    assert_true(r.far[0].knows > 0);
    join(&r, 1);
    join(&r, 2);
    assert_int_equal(wished(&r), 7);
    assert_in_range(r.far[2].desired, 1, 2);
    assert_true(r.far[2].knows > 0);
    lose(&r, 2);
    assert_int_equal(wished(&r), 7);
    int code;

    free(change(&r, INVOKERS_CORDON, "one", NULL, &code));
    assert_int_equal(code, 0);
    assert_int_equal(wished(&r), 7);
    assert_int_equal(r.far[0].desired, 0);
    invokers_wish(r.f, &over);
    assert_int_equal(r.far[1].desired, -1);
    assert_int_equal(r.f->wishes.count, 0);
    r.fn.refs = 1000;
    teardown(&r);
}

static void on_forgotten(void *arg)
{
    ((struct rig *)arg)->forgotten++;
}

static void test_an_account_leaves(void **state)
{
    struct rig r;

    (void)state;
    setup(&r);
    open_fleet(&r, true, "127.0.0.1:0");
    for (size_t i = 0; i < HOSTS; i++)
        join(&r, i);
    lose(&r, 2);
    invokers_forget_account(r.f, "leaver", on_forgotten, &r);
    pay(&r.far[0]);
    assert_int_equal(r.forgotten, 0); /* one that is up has not answered */
    lose(&r, 1);                      /* and is away now: that it owes it is written down */
    while (r.forgotten == 0)
        (void)uv_run(&r.loop.uv, UV_RUN_ONCE);
    assert_int_equal(r.forgotten, 1);
    assert_true(fleet_owes(r.f->hosts[1], "leaver"));
    r.fn.account = text("leaver"); /* another one of that name: not there until it has forgotten */
    r.far[1].up = true;
    r.listener.joined(r.listener.arg, &r.far[1]);
    r.load_here.ready = 0;
    struct activation *all[6];

    for (size_t i = 0; i < 6; i++)
        all[i] = call(&r);
    assert_int_equal(r.far[1].call_count, 0);
    free_calls(&r, all, 6);
    pay(&r.far[1]);
    assert_false(fleet_owes(r.f->hosts[1], "leaver"));
    /* What the third one owes is known after a restart. */
    close_fleet(&r);
    for (size_t i = 0; i < HOSTS; i++)
        r.far[i].forgotten = NULL;
    open_fleet(&r, true, "127.0.0.1:0");
    assert_int_equal(r.f->host_count, HOSTS);
    struct fleet_host *three = fleet_host_find(r.f, NR_STR("three"));

    assert_true(fleet_owes(three, "leaver"));
    assert_false(fleet_owes(fleet_host_find(r.f, NR_STR("two")), "leaver"));
    struct nr_err err = {0};

    assert_int_equal(r.listener.admit(r.listener.arg, &r.far[2].hello, "192.0.2.1", &err), 0);
    r.far[2].up = true;
    r.listener.joined(r.listener.arg, &r.far[2]);
    assert_non_null(r.far[2].forgotten);
    pay(&r.far[2]);
    assert_false(fleet_owes(three, "leaver"));
    teardown(&r);
}

static void test_tokens(void **state)
{
    struct nr_err err = {0};
    struct rig r;
    int code;

    (void)state;
    setup(&r);
    open_fleet(&r, false, "127.0.0.1:0");
    struct far_hello hello = {.name = text("one"), .token = text(""), .session = text("s")};

    assert_int_equal(r.listener.admit(r.listener.arg, &hello, "192.0.2.1", &err), NR_EFORBIDDEN);
    join(&r, 0);
    assert_int_equal(r.listener.admit(r.listener.arg, &hello, "192.0.2.1", &err), NR_EFORBIDDEN);
    hello.token = text("0000000000000000000000000000000000000000000000000000000000000000");
    assert_int_equal(r.listener.admit(r.listener.arg, &hello, "192.0.2.1", &err), NR_EFORBIDDEN);
    hello = r.far[0].hello; /* its link broke, and it is back before we know */
    assert_int_equal(r.listener.admit(r.listener.arg, &hello, "192.0.2.1", &err), 0);
    free(change(&r, INVOKERS_DRAIN, "one", NULL, &code));
    assert_int_equal(r.far[0].drains, 1);
    pay(&r.far[0]);
    close_fleet(&r); /* cordoned it is after a restart, too */
    open_fleet(&r, false, "127.0.0.1:0");
    assert_true(fleet_host_find(r.f, NR_STR("one"))->cordoned);
    free(change(&r, INVOKERS_REMOVE, "one", NULL, &code));
    assert_int_equal(code, 0);
    assert_int_equal(r.f->host_count, 0);
    assert_null(change(&r, INVOKERS_REMOVE, "one", NULL, &code));
    assert_int_equal(code, NR_ENOENT);
    static const char *const bad[] = {
        "",    "0",   "A",
        "a_b", "a.b", "0123456789012345678901234567890123456789012345678901234567890123"};

    for (size_t i = 0; i < nr_countof(bad); i++) {
        assert_null(change(&r, INVOKERS_ADD, bad[i], NULL, &code));
        assert_int_equal(code, NR_EINVAL);
    }
    teardown(&r);
}

/* ---- what is told ------------------------------------------------------------------------------------------------- */

static void take(void *arg, const struct container_figures *c)
{
    *(struct container_figures *)arg = *c;
}

static void test_figures_are_sums(void **state)
{
    struct container_figures one = {0};
    struct node_figures node;
    struct nr_buf text;
    struct rig r;

    (void)state;
    setup(&r);
    open_fleet(&r, true, "127.0.0.1:0");
    join(&r, 0);
    join(&r, 1);
    invokers_figures(r.f, take, &one, &node);
    assert_int_equal(one.ready, 5);
    assert_int_equal(node.memory_max_mb, 2500);
    assert_int_equal(node.containers, 5);
    assert_in_range((int)node.cpu_percent, 39, 41);
    nr_buf_init(&text, 1 << 20);
    invokers_status(r.f, NULL, &text);
    nr_buf_add(&text, "", 1);
    assert_non_null(strstr(text.p, "{\"name\":\"0\",\"layout\":\"this host and others\""));
    assert_non_null(strstr(text.p, "\"state\":\"up\",\"place\":["));
    nr_buf_fini(&text);
    teardown(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_are_shared),
        cmocka_unit_test(test_what_bounces_is_placed_elsewhere),
        cmocka_unit_test(test_what_bounces_for_ever_is_refused),
        cmocka_unit_test(test_a_call_waits_for_a_host),
        cmocka_unit_test(test_patience_ends),
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_one_with_a_limit_is_on_one_host),
        cmocka_unit_test(test_a_trial_stays_where_it_is),
        cmocka_unit_test(test_images_are_asked_of_one_host),
        cmocka_unit_test(test_alone_it_is_our_own),
        cmocka_unit_test(test_wishes_follow_the_hosts),
        cmocka_unit_test(test_an_account_leaves),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_figures_are_sums),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
