/* The rig asks the Engine by itself (docker's command line would be one more thing to install), so that what it says about
 * containers does not come from the code under test.
 */
#include "tests/contract/invoker/rig.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/data/digest.h"
#include "common/net/fetch.h"

static const char docker_socket[] = "/var/run/docker.sock";

/* ---- the Engine, asked apart -------------------------------------------------------------------------------- */

static json_t *ask(const char *path)
{
    char url[512];
    struct nr_fetch *f = nr_fetch_make(docker_socket);
    struct nr_fetch_req req = {.method = "GET", .url = url};
    struct nr_err err = {0};

    (void)snprintf(url, sizeof(url), "http://engine/v1.41%s", path);
    int r = nr_fetch_call(f, &req, &err);
    json_t *j = r == 0 && req.status == 200 ? nr_json_parse(nr_buf_str(&req.reply), NULL) : NULL;

    nr_buf_fini(&req.reply);
    nr_fetch_free(f);
    return j;
}

void rig_kill(const char *id)
{
    char url[256];
    struct nr_fetch *f = nr_fetch_make(docker_socket);
    struct nr_fetch_req req = {.method = "POST", .url = url};

    (void)snprintf(url, sizeof(url), "http://engine/v1.41/containers/%.64s/kill", id);
    assert_int_equal(nr_fetch_call(f, &req, NULL), 0);
    assert_int_equal(req.status, 204);
    nr_buf_fini(&req.reply);
    nr_fetch_free(f);
}

char *rig_create(const struct rig *r, const char *name, const char *folder)
{
    char url[256], body[512];
    struct nr_fetch *f = nr_fetch_make(docker_socket);
    struct nr_fetch_req req = {.method = "POST", .url = url, .content_type = "application/json"};

    (void)snprintf(url, sizeof(url), "http://engine/v1.41/containers/create?name=narae-%.8s-%s",
                   r->installation, name);
    int n = snprintf(body, sizeof(body),
                     "{\"Image\":\"%s\",\"Labels\":{\"narae.installation\":\"%s\"},"
                     "\"HostConfig\":{\"Binds\":[%s%s%s]}}",
                     r->native, r->installation, folder ? "\"" : "", folder ? folder : "",
                     folder ? ":/data\"" : "");

    req.body = (struct nr_str){body, (size_t)n};
    assert_int_equal(nr_fetch_call(f, &req, NULL), 0);
    assert_int_equal(req.status, 201);
    nr_auto_json json_t *made = nr_json_parse(nr_buf_str(&req.reply), NULL);
    char *id = nr_strdup(nr_json_string(made, "Id"));

    nr_buf_fini(&req.reply);
    nr_fetch_free(f);
    return id;
}

char *rig_containers(struct rig *r)
{
    char filter[128], encoded[400], path[512];
    struct nr_buf out;
    size_t i, n;
    json_t *each;

    (void)snprintf(filter, sizeof(filter), "{\"label\":[\"narae.installation=%s\"]}",
                   r->installation);
    (void)nr_pct_encode(nr_str_of(filter), encoded);
    (void)snprintf(path, sizeof(path), "/containers/json?all=1&filters=%s", encoded);
    nr_auto_json json_t *list = ask(path);

    assert_non_null(list);
    nr_buf_init(&out, 1 << 20);
    nr_buf_adds(&out, "");
    json_array_foreach(list, i, each)
        nr_buf_printf(&out, "%s\n", nr_json_string(each, "Id"));
    char *text = nr_buf_detach(&out, &n);

    nr_buf_fini(&out);
    return text;
}

bool rig_has_bridge(void)
{
    nr_auto_json json_t *bridge = ask("/networks/bridge");

    return bridge != NULL;
}

static bool image_name(const char *family, char out[64])
{
    char command[256], path[128];
    const char *source = getenv("NARAE_SOURCE"); /* another tree, whose images are built */

    (void)snprintf(command, sizeof(command), "%s/scripts/image-name %s",
                   source ? source : NARAE_SOURCE, family);
    FILE *f = popen(command, "r");
    bool read = f && fgets(out, 64, f);

    if (f)
        (void)pclose(f);
    if (!read)
        return false;
    out[strcspn(out, "\n")] = '\0';
    (void)snprintf(path, sizeof(path), "/images/%s/json", out);
    nr_auto_json json_t *image = ask(path);

    return image != NULL;
}

/* ---- opening and closing ------------------------------------------------------------------------------------ */

static bool open_in(struct rig *r, int64_t memory_mb, const struct rig_options *o,
                    const char *installation)
{
    static const struct rig_options plain = {.stems = "off"};
    struct nr_err err = {0};
    char folder[128];

    *r = (struct rig){.node = {.memory_max_mb = memory_mb, .cores = 2}};
    r->log =
        (struct nr_log){.out = stderr, .level = getenv("RIG_LOG") ? NR_LOG_DEBUG : NR_LOG_ERROR};
    if (!image_name("native", r->native) || !image_name("python", r->python)) {
        fprintf(stderr, "no Engine on %s, or no images there (scripts/images builds them)\n",
                docker_socket);
        return false;
    }
    memcpy(r->installation, installation, sizeof(r->installation));
    (void)snprintf(r->run_dir, sizeof(r->run_dir), "/run/narae-test-%.8s", r->installation);
    (void)snprintf(folder, sizeof(folder), "%s/code", r->run_dir);
    assert_int_equal(nr_dir_make(folder, 0755, &err), 0);
    assert_int_equal(nr_loop_init(&r->loop, &err), 0);
    (void)snprintf(folder, sizeof(folder), "%s/engine.sock", r->run_dir);
    proxy_open(&r->engine, folder, docker_socket);
    const char *const images[] = {r->native, r->python, NULL};
    const char *const kinds[] = {"blackbox", "python:3"};

    o = o ? o : &plain;
    const struct invoker_config c = {
        .loop = &r->loop,
        .node = &r->node,
        .docker_socket = r->engine.path,
        .run_dir = r->run_dir,
        .agent_path = NARAE_AGENT,
        .installation = r->installation,
        .images = images,
        .kinds = kinds,
        .keep_alive_ms = 600000,
        .stems = o->stems,
        .freeze_after_ms = o->freeze_after_ms,
        .containers_max = o->containers_max,
        .engine_workers = o->engine_workers,
        .freezer = o->freezer,
        .memory_raise = o->memory_raise,
        .network = o->network ? o->network : "bridge",
        .function_of = o->function_of,
        .function_of_arg = r,
        .log = &r->log,
    };
    int status = invoker_open(&c, &r->invoker, &err);

    if (status < 0)
        fail_msg("invoker_open: %s", err.text);
    return true;
}

bool rig_open(struct rig *r, int64_t memory_mb)
{
    return rig_open_with(r, memory_mb, NULL);
}

bool rig_open_with(struct rig *r, int64_t memory_mb, const struct rig_options *o)
{
    unsigned char random[8];
    char installation[17];

    nr_random(random, sizeof(random));
    nr_hex(random, sizeof(random), installation);
    return open_in(r, memory_mb, o, installation);
}

bool rig_open_after(struct rig *r, const struct rig *before, const struct rig_options *o)
{
    return open_in(r, before->node.memory_max_mb, o, before->installation);
}

static void stop(void *arg)
{
    struct rig *r = arg;

    r->stopped = true;
    uv_stop(&r->loop.uv);
}

/* A stop that is left over from before is no stop. */
static void run_until_stopped(struct rig *r)
{
    while (!r->stopped)
        (void)uv_run(&r->loop.uv, UV_RUN_DEFAULT);
    r->stopped = false;
}

unsigned rig_drain(struct rig *r, uint64_t max_ms)
{
    invoker_drain(r->invoker, max_ms, stop, r);
    run_until_stopped(r);
    return invoker_left(r->invoker);
}

void rig_close(struct rig *r)
{
    struct nr_err err = {0};

    invoker_drain(r->invoker, 20000, stop, r);
    run_until_stopped(r);
    invoker_close(r->invoker, stop, r);
    run_until_stopped(r);
    assert_int_equal(nr_loop_fini(&r->loop), 0);
    proxy_close(&r->engine);
    assert_int_equal(atomic_load(&r->node.memory_used_mb), 0);
    nr_auto_free char *left = rig_containers(r);

    assert_string_equal(left, "");
    assert_int_equal(nr_dir_remove(r->run_dir, &err), 0);
}

/* ---- functions ---------------------------------------------------------------------------------------------- */

struct function *rig_function(struct rig *r, const char *name, const char *kind, const char *exec,
                              const char *code)
{
    bool python = kind[0] == 'p';
    struct function *f = nr_alloc(sizeof(*f));
    struct nr_err err = {0};
    char folder[128], file[64], path[256];

    *f = (struct function){.refs = 1,
                           .revision = ++r->revisions,
                           .timeout_ms = 60000,
                           .memory_mb = 128,
                           .concurrency = 1};
    f->account = nr_strdup(r->account[0] ? r->account : "guest");
    f->package = nr_strdup("");
    f->name = nr_strdup(name);
    (void)snprintf(path, sizeof(path), "guest/%s", name);
    f->path = nr_strdup(path);
    f->version = nr_strdup("0.0.1");
    f->kind = nr_strdup(kind);
    f->image = nr_strdup(python ? r->python : r->native);
    f->exec = nr_strdup(exec);
    f->main = nr_strdup(python ? "main" : "");
    (void)snprintf(file, sizeof(file), "%llu-%s", (unsigned long long)f->revision,
                   python ? "code.py" : "exec");
    f->file = nr_strdup(python ? "code.py" : "exec");
    (void)snprintf(folder, sizeof(folder), "%s/code", r->run_dir);
    (void)snprintf(path, sizeof(path), "%s/%s", folder, file);
    assert_int_equal(nr_file_write(folder, file, nr_str_of(code), python ? 0444 : 0555, &err), 0);
    f->code_path = nr_strdup(path);
    f->code_bytes = (int64_t)strlen(code);
    nr_sha256(nr_str_of(code), f->sha256);
    f->parameters = nr_strdup("{}");
    f->init_parameters = nr_strdup("{}");
    f->limits = nr_strdup("{}");
    f->log_max_bytes = 10 << 20;
    f->network = FN_NET_NONE;
    return f;
}

/* ---- calls -------------------------------------------------------------------------------------------------- */

static void on_step(struct activation *a)
{
    struct rig_call *c = a->owner;

    if (a->i == I_END) {
        c->ends++;
        c->end_us = nr_mono_us();
        if (--c->rig->running == 0)
            uv_stop(&c->rig->loop.uv);
        return;
    }
    assert_int_equal(a->i, I_AWAIT);
    c->answers++;
    c->answer_us = nr_mono_us();
}

void rig_start_claimed(struct rig *r, struct rig_call *c, struct function *f, const char *input,
                       int (*claim)(struct activation *a))
{
    struct account *account = nr_alloc(sizeof(*account));
    struct activation *a = activation_make();

    *account = (struct account){.refs = 1, .name = nr_strdup(f->account), .uuid = nr_strdup("u")};
    assert_non_null(a);
    *c = (struct rig_call){.rig = r, .a = a, .begun_us = nr_mono_us()};
    a->account = account;
    a->fn = function_ref(f);
    a->transaction = NR_STR("tid\"1");
    a->input = nr_str_of(input);
    a->owner = c;
    a->on_step = on_step;
    a->claim = claim;
    nr_new_id(nr_wall_ms(), 0, a->id);
    r->running++;
    invoker_run(r->invoker, a);
}

void rig_start(struct rig *r, struct rig_call *c, struct function *f, const char *input)
{
    rig_start_claimed(r, c, f, input, NULL);
}

void rig_wait(struct rig *r)
{
    while (r->running > 0)
        (void)uv_run(&r->loop.uv, UV_RUN_DEFAULT);
}

struct pause {
    struct nr_deadline d;
    struct rig *rig;
};

static void on_pause_over(struct nr_deadline *d)
{
    uv_stop(&nr_container_of(d, struct pause, d)->rig->loop.uv);
}

void rig_pass(struct rig *r, uint64_t ms)
{
    struct pause p = {.d = {.fire = on_pause_over}, .rig = r};

    nr_deadline_set(&r->loop, &p.d, ms);
    while (nr_deadline_armed(&p.d))
        (void)uv_run(&r->loop.uv, UV_RUN_DEFAULT);
}

void rig_run(struct rig *r, struct rig_call *c, struct function *f, const char *input)
{
    rig_start(r, c, f, input);
    rig_wait(r);
    assert_int_equal(c->answers, 1);
    assert_int_equal(c->ends, 1);
}

void rig_free(struct rig_call *c)
{
    activation_unref(c->a);
    c->a = NULL;
}

int64_t rig_status(struct rig *r, const char *a, const char *b)
{
    struct nr_buf out;

    nr_buf_init(&out, 1 << 20);
    invoker_status(r->invoker, NULL, &out);
    nr_auto_json json_t *j = nr_json_parse(nr_buf_str(&out), NULL);

    nr_buf_fini(&out);
    assert_non_null(j);
    const json_t *v = json_object_get(j, a);

    return json_integer_value(b ? json_object_get(v, b) : v);
}
