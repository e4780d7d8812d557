/* A registry of many functions, for the benchmarks `registry` and `backup`: fills a data folder through the operations of the function manager,
 * without HTTP, and times in it how lists are made and calls resolve.
 *
 *   registry_fill fill FOLDER FUNCTIONS VERSIONS   each function is put and published VERSIONS times, with new code each time
 *   registry_fill records FOLDER FUNCTIONS RECORDS   RECORDS calls of the functions, spread over them; their records stay in the folder
 *   registry_fill measure FOLDER FUNCTIONS         pages of both lists; then calls of functions spread over all, the first time (cold)
 *                                                  and again (warm), from controller_invoke() until the invoker has it. Prints one
 *                                                  JSON object
 */
#include <stdio.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "controller/internal.h"
#include "fnmanager/functions/action.h"
#include "fnmanager/handler.h"
#include "fnmanager/manager.h"
#include "fnmanager/functions/version_controller.h"

#define THREADS 16
#define SAMPLES 8000 /* fewer than the cache holds */
#define WARM_ROUNDS 10
#define PAGES_FROM 3
#define PAGES 200
#define PAGE_ROWS 200
#define CALLS_EACH 10 /* of a function, before the next one has its turn */

static const struct runtime_kind kinds[] = {
    {.kind = "python:3",
     .family = "python",
     .image = "narae/python:bench",
     .extension = ".py",
     .is_default = true},
    {.kind = NULL},
};

static _Noreturn void die(const char *what, const char *why)
{
    (void)fprintf(stderr, "registry_fill: %s: %s\n", what, why);
    exit(1);
}

static struct account *account_of_guest(void)
{
    struct account *a = nr_alloc(sizeof(*a));

    *a = (struct account){.refs = 1,
                          .name = nr_strdup("guest"),
                          .uuid = nr_strdup("bench"),
                          .scopes = SCOPE_INVOKE | SCOPE_READ | SCOPE_WRITE,
                          .invocations_per_minute = -1,
                          .fires_per_minute = -1,
                          .concurrent_invocations = -1};
    return a;
}

static struct fnmanager *manager_of(const char *folder, struct nr_loop *loop)
{
    struct fnmanager *m = NULL;
    struct nr_err err = {0};
    const struct fnmanager_config c = {.data_dir = folder,
                                       .kinds = kinds,
                                       .native_image = "narae/native:bench",
                                       .guest_profile = "local",
                                       .memory_max_mb = 4096,
                                       .loop = loop};

    if (fnmanager_open(&c, &m, &err) != 0)
        die(folder, err.text);
    return m;
}

/* ---- fill ------------------------------------------------------------------------------------------------------- */

struct filler {
    pthread_t thread;
    struct fnmanager *m;
    int64_t functions, versions, *next;
};

static void operate(struct fnmanager *m, struct fn_call *call,
                    int (*run)(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old))
{
    uint64_t old = 0;

    if (run(m, call, &old) < 0)
        die("an operation failed", call->err.text);
    nr_buf_fini(&call->reply);
}

static void fill_one(struct fnmanager *m, struct account *guest, int64_t i, int64_t versions)
{
    char name[32], body[512];
    int n = snprintf(name, sizeof(name), "function-%06lld", (long long)i);

    for (int64_t v = 1; v <= versions; v++) {
        struct fn_call put = {
            .op = FN_ACTION_PUT, .account = guest, .name = {name, (size_t)n}, .overwrite = v > 1};
        struct fn_call publish = {.op = FN_VERSION_PUBLISH,
                                  .account = guest,
                                  .name = put.name,
                                  .number = FN_EVERY_VERSION};
        int b =
            snprintf(body, sizeof(body),
                     "{\"exec\":{\"kind\":\"python:3\",\"code\":\"def main(args):\\n    return "
                     "{'function': %lld, 'version': %lld}\\n\"},\"parameters\":[{\"key\":\"unit\","
                     "\"value\":\"kWh\"}],\"annotations\":[{\"key\":\"line\",\"value\":%lld}]}",
                     (long long)i, (long long)v, (long long)(i % 16));

        put.body = (struct nr_str){body, (size_t)b};
        operate(m, &put, action_put);
        operate(m, &publish, version_publish);
    }
}

static void *fill_work(void *arg)
{
    struct filler *f = arg;
    struct account *guest = account_of_guest();
    int64_t i;

    while ((i = __atomic_fetch_add(f->next, 1, __ATOMIC_RELAXED)) < f->functions)
        fill_one(f->m, guest, i, f->versions);
    account_unref(guest);
    return NULL;
}

static void fill(const char *folder, int64_t functions, int64_t versions)
{
    struct fnmanager *m = manager_of(folder, NULL);
    struct filler fillers[THREADS];
    uint64_t from_us = nr_mono_us();
    int64_t next = 0;

    for (size_t t = 0; t < THREADS; t++) {
        fillers[t] =
            (struct filler){.m = m, .functions = functions, .versions = versions, .next = &next};
        nr_check(pthread_create(&fillers[t].thread, NULL, fill_work, &fillers[t]) == 0);
    }
    for (size_t t = 0; t < THREADS; t++)
        nr_check(pthread_join(fillers[t].thread, NULL) == 0);
    fnmanager_close(m);
    printf("{\"seconds\":%.1f}\n", (double)(nr_mono_us() - from_us) / 1e6);
}

/* ---- resolve ---------------------------------------------------------------------------------------------------- */

/* The invoker's end of the port: what reaches it has resolved. */
static bool reached;

void invokers_run(struct invokers *f, struct activation *a)
{
    (void)f;
    reached = true;
    a->i = I_AWAIT;
    a->outcome.result = NR_STR("{}");
    a->on_step(a);
    a->i = I_END;
    a->on_step(a);
}

void invokers_claimed(struct activation *a, int status)
{
    (void)a;
    (void)status;
}

void invokers_cut(struct activation *a, int err)
{
    (void)a;
    (void)err;
}

bool invokers_serve(const struct invokers *f, uint64_t revision)
{
    (void)f;
    (void)revision;
    return false;
}

void invokers_forget(struct invokers *f, uint64_t revision)
{
    (void)f;
    (void)revision;
}

struct call_watch *invoker_watch(struct activation *a,
                                 void (*done)(void *arg, const struct call_usage *u), void *arg)
{
    (void)a;
    (void)done;
    (void)arg;
    return NULL;
}

void invoker_watch_end(struct call_watch *w, uint64_t run_us)
{
    (void)w;
    (void)run_us;
}

static void on_reply(struct activation *a)
{
    if (a->error.code != 0)
        die("a call was refused", a->error.text);
}

/* Microseconds until it reaches the invoker. */
static double call(struct controller *c, struct nr_loop *loop, struct account *guest, int64_t i)
{
    char name[32];
    int n = snprintf(name, sizeof(name), "function-%06lld", (long long)i);
    struct activation *a = activation_make();

    a->account = account_ref(guest);
    a->name = nr_arena_copy(&a->arena, (struct nr_str){name, (size_t)n});
    a->transaction = NR_STR("bench");
    a->input = NR_STR("{}");
    a->blocking = true;
    a->wait_ms = 60000;
    a->on_reply = on_reply;
    reached = false;
    struct timespec from, to;
    (void)clock_gettime(CLOCK_MONOTONIC, &from);
    controller_invoke(c, a);
    while (!reached)
        (void)uv_run(&loop->uv, UV_RUN_ONCE);
    (void)clock_gettime(CLOCK_MONOTONIC, &to);
    return (double)(to.tv_sec - from.tv_sec) * 1e6 + (double)(to.tv_nsec - from.tv_nsec) / 1e3;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void say(const char *name, double *us, size_t n, const char *end)
{
    qsort(us, n, sizeof(*us), by_size);
    printf("\"%s\":{\"p50_us\":%.2f,\"p99_us\":%.2f,\"max_us\":%.2f,\"calls\":%zu}%s", name,
           us[n / 2], us[(n * 99 + 99) / 100 - 1], us[n - 1], n, end);
}

static void on_listed(struct fn_call *call)
{
    *(bool *)call->owner = true;
}

/* Pages of 200, as the API gives them, from each of PAGES_FROM places. */
static void list(struct fnmanager *m, struct nr_loop *loop, struct account *guest, enum fn_op op,
                 int64_t functions)
{
    static const char *const names[PAGES_FROM] = {"first", "middle", "last"};
    static double us[PAGES];

    for (int from = 0; from < PAGES_FROM; from++) {
        char name[64];

        for (size_t i = 0; i < PAGES; i++) {
            bool done = false;
            struct fn_call call = {.op = op,
                                   .account = guest,
                                   .limit = PAGE_ROWS,
                                   .skip = (int)((functions - PAGE_ROWS) / (PAGES_FROM - 1) * from),
                                   .loop = loop,
                                   .done = on_listed,
                                   .owner = &done};
            uint64_t began_us = nr_mono_us();

            fnmanager_post(m, &call);
            while (!done)
                (void)uv_run(&loop->uv, UV_RUN_ONCE);
            us[i] = (double)(nr_mono_us() - began_us);
            if (call.err.code != 0)
                die("a list was refused", call.err.text);
            nr_buf_fini(&call.reply);
        }
        (void)snprintf(name, sizeof(name), "%s, %s page",
                       op == FN_ACTION_LIST ? "actions" : "functions", names[from]);
        say(name, us, PAGES, ",");
    }
}

static void on_idle(void *arg)
{
    *(bool *)arg = true;
}

static void resolve(struct controller *c, struct nr_loop *loop, struct account *guest,
                    int64_t functions)
{
    static double cold[SAMPLES], warm[SAMPLES * WARM_ROUNDS];
    static int64_t chosen[SAMPLES];
    size_t n = functions < SAMPLES ? (size_t)functions : SAMPLES;

    for (size_t i = 0; i < n; i++) /* spread over all of them, each once */
        chosen[i] = (int64_t)((i * 7919) % n) * (functions / (int64_t)n);
    for (size_t i = 0; i < n; i++)
        cold[i] = call(c, loop, guest, chosen[i]);
    for (size_t k = 0; k < n * WARM_ROUNDS; k++)
        warm[k] = call(c, loop, guest, chosen[k * 31 % n]);
    say("cold", cold, n, ",");
    say("warm", warm, n * WARM_ROUNDS, "}\n");
}

/* The platform's own parts on two folders, as far as calls need them. */
struct parts {
    struct nr_loop loop;
    struct fnmanager *m;
    struct controller *c;
    struct account *guest;
};

static void open_parts(struct parts *p, const char *folder, const char *calls)
{
    struct nr_err err = {0};

    if (nr_loop_init(&p->loop, &err) != 0)
        die("loop", err.text);
    p->m = manager_of(folder, &p->loop);
    const struct controller_config config = {.loop = &p->loop,
                                             .data_dir = calls,
                                             .fnmanager = p->m,
                                             .number = 1,
                                             .queue_max = 1000,
                                             .queue_max_bytes = 256 << 20};
    if (controller_open(&config, &p->c, &err) != 0)
        die(calls, err.text);
    p->guest = account_of_guest();
}

static void close_parts(struct parts *p)
{
    bool idle = false;

    controller_drain(p->c, 60000, on_idle, &idle);
    while (!idle)
        (void)uv_run(&p->loop.uv, UV_RUN_ONCE);
    controller_close(p->c);
    fnmanager_close(p->m);
    account_unref(p->guest);
    nr_check(nr_loop_fini(&p->loop) == 0);
}

static void measure_only(const char *folder, int64_t functions, int64_t unused)
{
    (void)unused;
    char calls[] =
        "/tmp/nb-calls-XXXXXX"; /* the records of these calls are no part of the registry */
    struct parts p = {.c = NULL};

    if (mkdtemp(calls) == NULL)
        die(calls, "cannot be made");
    open_parts(&p, folder, calls);
    printf("{");
    list(p.m, &p.loop, p.guest, FN_ACTION_LIST, functions);
    list(p.m, &p.loop, p.guest, FN_FUNCTION_LIST, functions);
    resolve(p.c, &p.loop, p.guest, functions);
    close_parts(&p);
    (void)nr_dir_remove(calls, NULL);
}

static void records(const char *folder, int64_t functions, int64_t count)
{
    uint64_t from_us = nr_mono_us();
    struct parts p = {.c = NULL};

    open_parts(&p, folder, folder);
    for (int64_t i = 0; i < count; i++)
        (void)call(p.c, &p.loop, p.guest, i / CALLS_EACH * 7919 % functions);
    close_parts(&p);
    printf("{\"seconds\":%.1f}\n", (double)(nr_mono_us() - from_us) / 1e6);
}

static const struct {
    const char *name, *last; /* last: what the fourth word is; NULL: there is none */
    int64_t last_max;
    void (*run)(const char *folder, int64_t functions, int64_t last);
} jobs[] = {{"fill", "VERSIONS", 1000, fill},
            {"records", "RECORDS", 100000000, records},
            {"measure", NULL, 0, measure_only}};

int main(int argc, char **argv)
{
    int64_t functions = 0, last = 0;

    for (size_t i = 0; argc > 3 && i < nr_countof(jobs); i++) {
        if (strcmp(argv[1], jobs[i].name) != 0 || argc != (jobs[i].last ? 5 : 4))
            continue;
        if (!nr_str_to_i64(nr_str_of(argv[3]), 1, 10000000, &functions) ||
            (jobs[i].last && !nr_str_to_i64(nr_str_of(argv[4]), 1, jobs[i].last_max, &last)))
            die("usage", "FUNCTIONS, VERSIONS and RECORDS are numbers from 1");
        jobs[i].run(argv[2], functions, last);
        return 0;
    }
    die("usage",
        "registry_fill fill FOLDER FUNCTIONS VERSIONS | records FOLDER FUNCTIONS RECORDS | "
        "measure FOLDER FUNCTIONS");
}
