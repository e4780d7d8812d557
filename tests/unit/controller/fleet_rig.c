#include "fleet_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct rig *the;

char *text(const char *s)
{
    return (char *)(uintptr_t)s;
}

/* ---- the rig ------------------------------------------------------------------------------------------------------ */

void open_fleet(struct rig *r, bool local, const char *listen)
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

void close_fleet(struct rig *r)
{
    invokers_close(r->f, on_closed, r);
    assert_true(r->closed);
}

void setup(struct rig *r)
{
    static char names[HOSTS][16] = {"one", "two", "three"};

    *r = (struct rig){.node = {.memory_max_mb = 4096, .cores = 2}, .pin = "sha256:00"};
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
    for (size_t i = 3; i < HOSTS; i++)
        (void)snprintf(names[i], sizeof(names[i]), "host-%zu", i);
    for (size_t i = 0; i < HOSTS; i++)
        r->far[i] = (struct far){.hello = {.name = names[i],
                                           .token = text(""),
                                           .session = names[i],
                                           .arch = text(i == 2 ? "arm64" : "amd64"),
                                           .cores = 2,
                                           .capabilities = text("[]"),
                                           .takes_images = true,
                                           .memory_max_mb = 4096},
                                 .takes = true};
}

void turn(struct rig *r)
{
    (void)uv_run(&r->loop.uv, UV_RUN_NOWAIT);
    nr_mailbox_drain(&r->loop);
}

static void on_changed(struct invokers_call *c)
{
    *(bool *)c->owner = true;
}

/* A change; its reply (made) or NULL with *ret_code. */
char *change(struct rig *r, enum invokers_op op, const char *name, const char *body, int *ret_code)
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
void join(struct rig *r, size_t i)
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

void lose(struct rig *r, size_t i)
{
    r->far[i].up = false;
    bounce_all(&r->far[i]);
    r->listener.lost(r->listener.arg, &r->far[i]);
}

void teardown(struct rig *r)
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

struct activation *call(struct rig *r)
{
    struct activation *a = activation_make();

    a->fn = function_ref(&r->fn);
    a->owner = r;
    a->on_step = on_step;
    invokers_run(r->f, a);
    return a;
}

size_t given(const struct rig *r)
{
    size_t n = r->here_count;

    for (size_t i = 0; i < HOSTS; i++)
        n += r->far[i].call_count;
    return n;
}

void free_calls(struct rig *r, struct activation **all, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (all[i]->i != I_END)
            invokers_cut(all[i], NR_ECANCELED);
        activation_unref(all[i]);
    }
    r->fn.refs = 1000;
}
