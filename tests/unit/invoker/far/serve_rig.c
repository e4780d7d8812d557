#include "tests/unit/invoker/far/serve_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "invoker/far/snapshot.h"
#include "invoker/platform.h"
#include "ports/figures.h"

struct rig *rig;

enum { PATIENCE_MS = 20000 };

/* ---- the invoker ---------------------------------------------------------------------------------------------- */

void invoker_run(struct invoker *v, struct activation *a)
{
    assert_ptr_equal(v, &rig->invoker);
    assert_true(rig->count < RIG_CALLS_MAX);
    a->invoker = v;
    a->i = I_BORROW;
    a->borrowed_us = nr_mono_us();
    memcpy(rig->ids[rig->count], a->id, sizeof(a->id));
    rig->calls[rig->count++] = a;
}

static size_t number_of(const struct activation *a)
{
    for (size_t i = 0; i < rig->count; i++)
        if (rig->calls[i] == a)
            return i;
    fail_msg("a call that the invoker does not have");
    return 0;
}

static void end(size_t n)
{
    struct activation *a = rig->calls[n];

    a->slot = NULL;
    a->i = I_END;
    rig->calls[n] = NULL;
    a->on_step(a);
}

static void answer(size_t n)
{
    struct activation *a = rig->calls[n];

    a->i = I_AWAIT;
    a->answered_us = nr_mono_us();
    a->on_step(a);
}

void invoker_claimed(struct activation *a, int status)
{
    size_t n = number_of(a);

    assert_int_equal(a->i, I_CLAIM);
    a->claim = NULL;
    if (status == 0) {
        a->i = I_AWAIT;
        a->started_us = nr_mono_us();
        return;
    }
    rig->errs[n] = status;
    activation_fail(a, status, "refused");
    answer(n);
    end(n);
}

void invoker_cut(struct activation *a, int err)
{
    size_t n = number_of(a);

    assert_true(a->i == I_BORROW || a->i == I_AWAIT);
    rig->errs[n] = err;
    activation_fail(a, err, "cut");
    answer(n);
    end(n);
}

void invoker_forget(struct invoker *v, uint64_t revision)
{
    rig->forgotten[rig->forgotten_count++ % RIG_FORGOTTEN_MAX] = revision;
}

void invoker_forget_account(struct invoker *v, const char *account, void (*done)(void *arg),
                            void *arg)
{
    (void)snprintf(rig->account, sizeof(rig->account), "%s", account);
    rig->account_done = done;
    rig->account_arg = arg;
}

void invoker_wish(struct invoker *v, const struct scaler_wish *w)
{
    rig->wish = *w;
    (void)snprintf(rig->wished, sizeof(rig->wished), "%s/%s/%s", w->account ? w->account : "-",
                   w->package ? w->package : "-", w->name ? w->name : "-");
    rig->wish_count++;
}

void invoker_know(struct invoker *v, struct function *f)
{
    rig->known_count++;
}

void invoker_rest(struct invoker *v, bool on)
{
    rig->resting = on;
}

bool invoker_ready(const struct invoker *v, char why[static INVOKER_WHY_BYTES])
{
    return true;
}

void invoker_loads(const struct invoker *v,
                   void (*each)(void *arg, const struct function *f,
                                const struct invoker_load *load),
                   void *arg)
{
    const struct invoker_load load = {1, 2, 3, 4};
    struct function f = {.account = (char[]){"acme"}, .package = (char[]){""}};

    for (size_t i = 0; i < rig->pool_count; i++) {
        f.revision = rig->pools[i];
        f.name = (char[]){"hello"};
        each(arg, &f, &load);
    }
}

void invoker_figures(struct invoker *v, void (*each)(void *arg, const struct container_figures *f),
                     void *arg, struct node_figures *ret)
{
    const struct container_figures f = {
        .key = NR_STR("acme//hello"), .ready = 5, .instance_mb = 256, .joules = 1.5};

    *ret = (struct node_figures){.memory_max_mb = 1024, .containers = v->container_count};
    if (rig->pool_count)
        each(arg, &f);
}

void invoker_image(struct invoker *v, struct image_call *c)
{
    assert_true(rig->image_count < nr_countof(rig->images));
    rig->images[rig->image_count++] = c;
}

const char *invoker_engine(const struct invoker *v)
{
    return "Docker 99, \"runc\"";
}

void invoker_capabilities(const struct invoker *v, struct nr_buf *out)
{
    nr_buf_adds(out, "[{\"name\":\"engine\",\"yes\":true}]");
}

int64_t invoker_function_peak_bytes(const struct invoker *v, const char *path)
{
    return 4711;
}

bool invoker_serves(const struct invoker *v, uint64_t revision)
{
    return rig->serves;
}

struct call_watch *invoker_watch(struct activation *a,
                                 void (*done)(void *arg, const struct call_usage *u), void *arg)
{
    assert_int_equal(a->i, I_CLAIM);
    rig->watched = a;
    rig->watch_done = done;
    rig->watch_arg = arg;
    rig->watches++;
    return (struct call_watch *)(void *)rig;
}

void invoker_watch_end(struct call_watch *w, uint64_t run_us)
{
    assert_ptr_equal(w, rig);
    rig->last_looks++;
}

const struct platform *platform_here(void)
{
    static const struct platform here = {.architecture = "amd64"};

    return &here;
}

bool container_loaded(const struct container *ct)
{
    return ct->state == CT_BUSY;
}

int rig_claim(size_t n)
{
    struct activation *a = rig->calls[n];

    rig->slots[n] = (struct slot){.ct = &rig->container, .a = a};
    a->slot = &rig->slots[n];
    a->i = I_CLAIM;
    return a->claim(a);
}

void rig_answer(size_t n, const char *result)
{
    struct activation *a = rig->calls[n];

    a->outcome.status = OUTCOME_SUCCESS;
    a->outcome.result = nr_str_of(result);
    a->start = START_WARM;
    answer(n);
}

void rig_end(size_t n, const char *logs)
{
    nr_buf_adds(&rig->calls[n]->logs, logs);
    end(n);
}

/* ---- the controller --------------------------------------------------------------------------------------------- */

static int64_t on_length(void *arg, const char *head)
{
    return wire_length(head, true, true);
}

static int on_frame(void *arg, const char *head, struct nr_str payload)
{
    struct rig_frame *f = nr_alloc(sizeof(*f));
    struct wire_frame w;

    assert_int_equal(wire_take(head, payload, &w), 0);
    f->head = w.head;
    f->meta = nr_strndup(w.meta.n ? w.meta.p : "", w.meta.n);
    f->raw = nr_alloc(w.raw.n + 1);
    f->raw_bytes = w.raw.n;
    if (w.raw.n)
        memcpy(f->raw, w.raw.p, w.raw.n);
    nr_list_add(&rig->frames, &f->link);
    return 0;
}

static void on_ended(void *arg, int code, const char *why)
{
    print_message("controller: the link ended: %s\n", why);
    rig->peer = NULL;
}

static void on_dialed(void *arg, struct nr_stream *s)
{
    static const struct nr_stream_hooks hooks = {.head_bytes = sizeof(struct wire_head),
                                                 .length = on_length,
                                                 .frame = on_frame,
                                                 .ended = on_ended};

    rig->peer = s;
    rig->links++;
    nr_stream_begin(s, &(struct nr_stream_config){.loop = &rig->loop,
                                                  .hooks = &hooks,
                                                  .open_ms = PATIENCE_MS,
                                                  .unsent_max_bytes = 256 << 20});
}

void rig_send(uint8_t type, uint8_t flags, uint64_t call, const char *meta, struct nr_str raw)
{
    assert_non_null(rig->peer);
    wire_send(rig->peer, &(struct wire_head){.type = type, .flags = flags, .call = call},
              nr_str_of(meta), raw);
}

/* ---- the loop --------------------------------------------------------------------------------------------------- */

static void on_patience(struct nr_deadline *d) {}

void rig_until(bool (*so)(void), const char *what)
{
    struct nr_deadline patience = {.fire = on_patience};

    nr_deadline_set(&rig->loop, &patience, PATIENCE_MS);
    while (!so() && nr_deadline_armed(&patience))
        (void)uv_run(&rig->loop.uv, UV_RUN_ONCE);
    bool late = !nr_deadline_armed(&patience);

    nr_deadline_cancel(&patience);
    if (late)
        fail_msg("not in time: %s", what);
}

void rig_drop(struct rig_frame *f)
{
    nr_list_del(&f->link);
    free(f->meta);
    free(f->raw);
    free(f);
}

static bool is_background(const struct rig_frame *f)
{
    return f->head.type == WIRE_PING || f->head.type == WIRE_PONG || f->head.type == WIRE_REPORT;
}

static uint8_t awaited;

static bool has_awaited(void)
{
    NR_LIST_EACH(&rig->frames, each) {
        struct rig_frame *f = nr_container_of(each, struct rig_frame, link);

        if (f->head.type == awaited)
            return true;
        if (!is_background(f))
            fail_msg("%s came, not %s", wire_type_text(f->head.type), wire_type_text(awaited));
        rig_drop(f);
    }
    return false;
}

struct rig_frame *rig_next(uint8_t type)
{
    awaited = type;
    rig_until(has_awaited, wire_type_text(type));
    struct rig_frame *f = nr_container_of(rig->frames.next, struct rig_frame, link);

    nr_list_del(&f->link);
    return f;
}

void rig_expect(uint8_t type, uint64_t call)
{
    struct rig_frame *f = rig_next(type);

    assert_int_equal(f->head.call, call);
    rig_drop(f);
}

void rig_expect_nothing(void)
{
    static uint64_t number = 1 << 20;

    rig_send(WIRE_PING, 0, ++number, NULL, (struct nr_str){NULL, 0});
    struct rig_frame *f = rig_next(WIRE_PONG); /* frames are answered in their order */

    assert_int_equal(f->head.call, number);
    rig_drop(f);
}

/* ---- the scene ---------------------------------------------------------------------------------------------------- */

static void on_api_host(void *arg, const char *url)
{
    rig->api_count++;
    if (!rig->api_late)
        link_api_known(rig->link);
}

static bool is_dialed(void)
{
    return rig->peer != NULL;
}

static bool is_up(void)
{
    return link_is_up(rig->link);
}

void rig_dial(void)
{
    static const char *const kinds[] = {"python:3", "wasm:1", NULL};
    static const char *const images[] = {"narae/python:1", NULL};
    static struct node node = {.memory_max_mb = 1024, .cores = 2};
    char codes[96];
    struct nr_err err = {0};

    (void)snprintf(codes, sizeof(codes), "%s/code", rig->folder);
    const struct link_config c = {.loop = &rig->loop,
                                  .invoker = &rig->invoker,
                                  .node = &node,
                                  .controller = rig->address,
                                  .token = rig->token ? rig->token : "",
                                  .name = rig->name ? rig->name : "far-1",
                                  .tags = rig->tags,
                                  .code_dir = codes,
                                  .code_max_bytes = 8 << 20,
                                  .installation = "0123456789abcdef",
                                  .version = "1.2.3",
                                  .kinds = kinds,
                                  .images = images,
                                  .containers_max = 7,
                                  .api_host = on_api_host,
                                  .log = &rig->log};

    if (link_open(&c, &rig->link, &err) < 0)
        fail_msg("%s", err.text);
}

void rig_open(void)
{
    rig_dial();
    rig_until(is_dialed, "it dials");
}

void rig_welcome(const char *controller, const uint64_t *wanted, size_t count)
{
    char meta[256];

    (void)snprintf(meta, sizeof(meta),
                   "{\"protocol\":1,\"epoch\":%u,\"controller\":\"%s\",\"api_host\":\"http://x\"}",
                   rig->links, controller);
    rig_send(WIRE_WELCOME, 0, 0, meta,
             (struct nr_str){(const char *)wanted, count * sizeof(*wanted)});
    rig_until(is_up, "it is up");
}

void rig_up(void)
{
    rig_open();
    rig_drop(rig_next(WIRE_HELLO));
    rig_welcome("c1", NULL, 0);
}

static bool is_cut(void)
{
    return !link_is_up(rig->link);
}

void rig_cut_and_redial(void)
{
    nr_stream_close(rig->peer);
    rig->peer = NULL;
    rig_until(is_cut, "it is down");
    NR_LIST_EACH(&rig->frames, each)
        rig_drop(nr_container_of(each, struct rig_frame, link));
    rig_until(is_dialed, "it dials again");
    rig_drop(rig_next(WIRE_HELLO));
}

void rig_function(uint64_t revision, const char *sha256)
{
    struct function f = {.revision = revision,
                         .stored = revision,
                         .account = (char[]){"acme"},
                         .package = (char[]){""},
                         .name = (char[]){"hello"},
                         .path = (char[]){"acme/hello"},
                         .version = (char[]){"0.0.1"},
                         .kind = (char[]){"python:3"},
                         .image = (char[]){"narae/python:1"},
                         .exec = (char[]){""},
                         .main = (char[]){""},
                         .file = sha256 ? (char[]){"code.zip"} : (char[]){""},
                         .parameters = (char[]){"{}"},
                         .init_parameters = (char[]){"{}"},
                         .timeout_ms = 60000,
                         .memory_mb = 256,
                         .concurrency = 1};
    struct nr_buf meta;

    if (sha256)
        assert_true(nr_hex_decode(nr_str_of(sha256), f.sha256));
    nr_buf_init(&meta, 65536);
    far_function_write(&f, &meta);
    char *text = nr_buf_detach(&meta, NULL);

    rig_send(WIRE_FUNCTION, 0, revision, text, NR_STR("{}{}"));
    free(text);
}

void rig_run(uint64_t number, uint64_t revision)
{
    char meta[256];

    (void)snprintf(meta, sizeof(meta),
                   "{\"activation\":\"%032llx\",\"account\":\"acme\",\"transaction\":\"t\","
                   "\"revision\":%llu}",
                   (unsigned long long)number, (unsigned long long)revision);
    rig_send(WIRE_RUN, 0, number, meta, NR_STR("{\"a\":1}"));
}

static void on_link_closed(void *arg)
{
    rig->link_closed = true;
}

static bool link_is_closed(void)
{
    return rig->link_closed;
}

static void on_listener_closed(void *arg)
{
    rig->listener_closed = true;
}

static bool listener_is_closed(void)
{
    return rig->listener_closed;
}

int rig_setup(void **state)
{
    struct nr_err err = {0};

    rig = nr_alloc(sizeof(*rig));
    *state = rig;
    nr_list_init(&rig->frames);
    rig->log = (struct nr_log){.out = stdout, .level = NR_LOG_INFO};
    rig->container.state = CT_BUSY;
    (void)snprintf(rig->folder, sizeof(rig->folder), "/tmp/narae-link-XXXXXX");
    if (mkdtemp(rig->folder) == NULL || nr_loop_init(&rig->loop, &err) < 0)
        return -1;
    (void)snprintf(rig->address, sizeof(rig->address), "unix:%s/s", rig->folder);
    return nr_stream_listen(&rig->loop, rig->address, NULL, on_dialed, NULL, &rig->listener, &err);
}

int rig_teardown(void **state)
{
    /* What the invoker still has ends before its link is freed. */
    for (size_t i = 0; i < rig->count; i++)
        if (rig->calls[i]) {
            rig->calls[i]->i = I_AWAIT;
            invoker_cut(rig->calls[i], NR_ESTOPPING);
        }
    if (rig->link) {
        link_close(rig->link, on_link_closed, NULL);
        rig_until(link_is_closed, "the link is closed");
    }
    nr_stream_close(rig->peer);
    nr_stream_listener_close(rig->listener, on_listener_closed, NULL);
    rig_until(listener_is_closed, "the listener is closed");
    int busy = nr_loop_fini(&rig->loop);

    link_free(rig->link);
    NR_LIST_EACH(&rig->frames, each)
        rig_drop(nr_container_of(each, struct rig_frame, link));
    int r = nr_dir_remove(rig->folder, NULL);

    free(rig);
    return busy ? busy : r;
}
