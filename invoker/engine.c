/* The Engine's workers.
 *
 * submit() puts a job into the queue of its rank and wakes a worker; the worker runs job->work(), which makes its calls with
 * engine_call(), and posts the job back to the loop, where job->done() runs. Workers are as many as cores, each with one connection
 * and one call at a time: more than 2 x cores calls in flight only add latency.
 *
 * Failures: dockerd drops idle connections after 300 s, so a call that finds its connection closed is made again once. After three
 * failures in a row to reach the Engine the breaker opens: calls fail at once for a second, then one is let through.
 * Closing: workers finish the call they are in (each has its deadline), run what waits as canceled, say good-bye by mail; the loop
 * joins them then, so it never waits for one.
 */
#include "invoker/engine.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/net/fetch.h"

enum { BREAKER_FAILURES = 3, BREAKER_MS = 1000, REPLY_MAX_BYTES = 16 << 20 };

/* The API version we speak, and the oldest Engine we can use. */
enum { API_MAJOR = 1, API_MINOR = 41 };

struct engine_worker {
    struct engine *e;
    struct nr_fetch *fetch;
    pthread_t thread;
    bool pulls; /* takes RANK_PULL and nothing else */
    struct nr_mail gone;
};

struct engine {
    struct nr_loop *loop;
    struct nr_log *log;
    char *socket_path;
    char api[16], version[64];

    pthread_mutex_t lock;
    pthread_cond_t wake, wake_puller;
    struct nr_link queues[RANK_COUNT];
    unsigned waiting;
    bool stopping, abandoned;
    _Atomic bool canceled;

    _Atomic int failures;             /* in a row */
    _Atomic uint64_t closed_until_ms; /* the breaker lets nothing through before */
    struct engine_metrics m;

    struct engine_worker *workers, own;
    int worker_count, alive;
    void (*closed)(void *arg);
    void *closed_arg;
};

/* ---- calls -------------------------------------------------------------------------------------------------- */

static bool unreachable(int r)
{
    return r == NR_EUNAVAIL || r == NR_ETIMEOUT || r == NR_ECLOSED;
}

/* Counts towards the breaker. */
static void note(struct engine *e, int r)
{
    if (!unreachable(r)) {
        if (atomic_exchange(&e->failures, 0) >= BREAKER_FAILURES)
            nr_log(e->log, NR_LOG_INFO, "invoker", "the Docker Engine answers again");
        return;
    }
    nr_count(&e->m.failures, 1);
    int n = atomic_fetch_add(&e->failures, 1) + 1;

    if (n >= BREAKER_FAILURES)
        atomic_store(&e->closed_until_ms, nr_mono_ms() + BREAKER_MS);
    if (n == BREAKER_FAILURES)
        nr_log(
            e->log, NR_LOG_WARN, "invoker",
            "the Docker Engine on %s does not answer: warm calls go on, new containers fail until it is back",
            e->socket_path);
}

/* Lets one call through each BREAKER_MS while the breaker is open. */
static bool let_through(struct engine *e)
{
    uint64_t until = atomic_load(&e->closed_until_ms), now = nr_mono_ms();

    if (atomic_load(&e->failures) < BREAKER_FAILURES)
        return true;
    return now >= until &&
           atomic_compare_exchange_strong(&e->closed_until_ms, &until, now + BREAKER_MS);
}

static int call_once(struct engine_worker *w, const char *method, const char *path,
                     struct nr_str body, uint32_t timeout_ms, struct engine_reply *ret,
                     struct nr_err *err)
{
    char url[1024];
    int n = snprintf(url, sizeof(url), "http://engine%s%s%s", w->e->api[0] ? "/v" : "", w->e->api,
                     path);

    if (n < 0 || (size_t)n >= sizeof(url))
        return nr_err_set(err, NR_EINVAL, "the Engine's path is too long");
    struct nr_fetch_req r = {
        .method = method,
        .url = url,
        .body = body,
        .content_type = body.n ? "application/json" : NULL,
        .connect_timeout_ms = ENGINE_PING_MS,
        .timeout_ms = timeout_ms,
        .reply_max_bytes = REPLY_MAX_BYTES,
    };
    int status = nr_fetch_call(w->fetch, &r, err);

    ret->status = r.status;
    nr_buf_fini(&ret->body);
    ret->body = r.reply;
    return status;
}

int engine_call(struct engine_worker *w, const char *method, const char *path, struct nr_str body,
                uint32_t timeout_ms, struct engine_reply *ret, struct nr_err *err)
{
    struct engine *e = w->e;
    struct nr_err first = {0};
    uint64_t begun_us = nr_mono_us();

    if (atomic_load(&e->canceled))
        return nr_err_set(err, NR_ECANCELED, "the invoker is closing");
    if (!let_through(e))
        return nr_err_set(err, NR_EUNAVAIL, "the Docker Engine on %s does not answer",
                          e->socket_path);
    int r = call_once(w, method, path, body, timeout_ms, ret, &first);

    if (r == NR_ECLOSED) {
        first = (struct nr_err){0};
        r = call_once(w, method, path, body, timeout_ms, ret, &first);
    }
    nr_count(&e->m.calls, 1);
    nr_hist_add_us(&e->m.seconds, nr_mono_us() - begun_us);
    note(e, r);
    return r == 0 ? 0 : nr_err_set(err, r, "Engine %s %s: %s", method, path, first.text);
}

/* The Engine's {"message": ...}, or the body as it is. */
static int refused(const char *method, const char *path, const struct engine_reply *reply,
                   struct nr_err *err)
{
    static const struct {
        int status, code;
    } codes[] = {{400, NR_EINVAL}, {404, NR_ENOENT}, {409, NR_ECONFLICT}};
    nr_auto_json json_t *j = nr_json_parse(nr_buf_str(&reply->body), NULL);
    const char *message = j ? nr_json_string(j, "message") : NULL;
    int code = NR_EIO;

    for (size_t i = 0; i < nr_countof(codes); i++)
        if (codes[i].status == reply->status)
            code = codes[i].code;
    return nr_err_set(err, code, "Engine %s %s: %d %s", method, path, reply->status,
                      message ? message : "(no message)");
}

int engine_want(struct engine_worker *w, const char *method, const char *path, struct nr_str body,
                uint32_t timeout_ms, struct engine_reply *ret, struct nr_err *err)
{
    int r = engine_call(w, method, path, body, timeout_ms, ret, err);

    if (r == 0 && ret->status >= 300 && ret->status != 304)
        r = refused(method, path, ret, err);
    return r;
}

/* ---- the queue ---------------------------------------------------------------------------------------------- */

void engine_submit(struct engine *e, struct engine_job *j)
{
    (void)pthread_mutex_lock(&e->lock);
    nr_list_add(&e->queues[j->rank], &j->link);
    e->waiting++;
    (void)pthread_cond_signal(j->rank == RANK_PULL ? &e->wake_puller : &e->wake);
    (void)pthread_mutex_unlock(&e->lock);
}

static struct engine_job *take(struct engine_worker *w)
{
    struct engine *e = w->e;
    int from = w->pulls ? RANK_PULL : 0, to = w->pulls ? RANK_COUNT : RANK_PULL;

    for (int rank = from; rank < to; rank++) {
        struct nr_link *l = nr_list_pop(&e->queues[rank]);

        if (l) {
            e->waiting--;
            return nr_container_of(l, struct engine_job, link);
        }
    }
    return NULL;
}

static void job_is_back(struct nr_mail *m)
{
    struct engine_job *j = nr_container_of(m, struct engine_job, mail);

    j->done(j);
}

static void worker_is_gone(struct nr_mail *m);

static void *worker_main(void *arg)
{
    struct engine_worker *w = arg;
    struct engine *e = w->e;

    (void)pthread_mutex_lock(&e->lock);
    for (;;) {
        struct engine_job *j = take(w);

        if (j) {
            (void)pthread_mutex_unlock(&e->lock);
            j->work(w, j);
            j->mail.run = job_is_back;
            nr_mailbox_post(e->loop, &j->mail);
            (void)pthread_mutex_lock(&e->lock);
        } else if (e->stopping) {
            break;
        } else {
            (void)pthread_cond_wait(w->pulls ? &e->wake_puller : &e->wake, &e->lock);
        }
    }
    bool abandoned = e->abandoned;

    (void)pthread_mutex_unlock(&e->lock);
    w->gone.run = worker_is_gone;
    if (!abandoned)
        nr_mailbox_post(e->loop, &w->gone);
    return NULL;
}

/* ---- opening and closing ------------------------------------------------------------------------------------ */

/* "1.41" -> 41; -1 when it is no 1.x. */
static int minor_of(const char *api)
{
    int64_t minor;

    if (api == NULL || !nr_str_starts(nr_str_of(api), "1."))
        return -1;
    return nr_str_to_i64(nr_str_of(api + 2), 0, 9999, &minor) ? (int)minor : -1;
}

/* The version we were written for, or the Engine's oldest where it has dropped ours. */
static int negotiate(struct engine *e, struct nr_err *err)
{
    struct engine_reply reply = {0};
    int r = engine_want(&e->own, "GET", "/version", (struct nr_str){NULL, 0}, ENGINE_PING_MS,
                        &reply, err);
    nr_auto_json json_t *j = r == 0 ? nr_json_parse(nr_buf_str(&reply.body), err) : NULL;

    nr_buf_fini(&reply.body);
    if (r < 0)
        return nr_err_wrap(
            err, NR_EUNAVAIL,
            "no Docker Engine answers on %s (start it with scripts/engine-up or name its socket with --docker)",
            e->socket_path);
    int newest = j ? minor_of(nr_json_string(j, "ApiVersion")) : -1;
    int oldest = j ? minor_of(nr_json_string(j, "MinAPIVersion")) : -1;

    if (newest < API_MINOR)
        return nr_err_set(
            err, NR_EUNAVAIL,
            "the Docker Engine on %s is too old: API %d.%d is needed (Engine 20.10 or newer)",
            e->socket_path, API_MAJOR, API_MINOR);
    (void)snprintf(e->api, sizeof(e->api), "%d.%d", API_MAJOR,
                   oldest > API_MINOR ? oldest : API_MINOR);
    (void)snprintf(e->version, sizeof(e->version), "%s",
                   nr_json_string(j, "Version") ? nr_json_string(j, "Version") : "?");
    return 0;
}

static void engine_free(struct engine *e)
{
    for (int i = 0; i < e->worker_count; i++)
        nr_fetch_free(e->workers[i].fetch);
    nr_fetch_free(e->own.fetch);
    (void)pthread_cond_destroy(&e->wake);
    (void)pthread_cond_destroy(&e->wake_puller);
    (void)pthread_mutex_destroy(&e->lock);
    free(e->workers);
    free(e->socket_path);
    free(e);
}

static void worker_is_gone(struct nr_mail *m)
{
    struct engine_worker *w = nr_container_of(m, struct engine_worker, gone);
    struct engine *e = w->e;

    (void)pthread_join(w->thread, NULL);
    if (--e->alive > 0)
        return;
    void (*closed)(void *) = e->closed;
    void *arg = e->closed_arg;

    engine_free(e);
    closed(arg);
}

static void start_workers(struct engine *e, int count)
{
    e->workers = nr_alloc((size_t)(count + 1) * sizeof(*e->workers));
    e->worker_count = count + 1;
    for (int i = 0; i <= count; i++) {
        struct engine_worker *w = &e->workers[i];

        *w = (struct engine_worker){
            .e = e, .pulls = i == count, .fetch = nr_fetch_make(e->socket_path)};
        nr_check(w->fetch && pthread_create(&w->thread, NULL, worker_main, w) == 0);
        (void)pthread_setname_np(w->thread, w->pulls ? "engine-pull" : "engine");
        e->alive++;
    }
}

int engine_open(const struct engine_config *c, struct engine **ret, struct nr_err *err)
{
    struct engine *e = nr_alloc(sizeof(*e));

    e->loop = c->loop;
    e->log = c->log;
    e->socket_path = nr_strdup(c->socket_path);
    e->own = (struct engine_worker){.e = e, .fetch = nr_fetch_make(c->socket_path)};
    for (int i = 0; i < RANK_COUNT; i++)
        nr_list_init(&e->queues[i]);
    nr_check(e->own.fetch && pthread_mutex_init(&e->lock, NULL) == 0 &&
             pthread_cond_init(&e->wake, NULL) == 0 &&
             pthread_cond_init(&e->wake_puller, NULL) == 0);
    int r = negotiate(e, err);

    if (r < 0) {
        engine_free(e);
        return r;
    }
    start_workers(e, c->workers);
    *ret = e;
    return 0;
}

void engine_cancel(struct engine *e)
{
    atomic_store(&e->canceled, true);
}

static void stop_workers(struct engine *e, bool abandoned)
{
    (void)pthread_mutex_lock(&e->lock);
    e->stopping = true;
    e->abandoned = abandoned;
    (void)pthread_cond_broadcast(&e->wake);
    (void)pthread_cond_broadcast(&e->wake_puller);
    (void)pthread_mutex_unlock(&e->lock);
}

void engine_close(struct engine *e, void (*closed)(void *arg), void *arg)
{
    if (e == NULL) {
        closed(arg);
        return;
    }
    engine_cancel(e);
    e->closed = closed;
    e->closed_arg = arg;
    stop_workers(e, false);
}

void engine_abandon(struct engine *e)
{
    stop_workers(e, true);
    for (int i = 0; i < e->worker_count; i++)
        (void)pthread_join(e->workers[i].thread, NULL);
    engine_free(e);
}

struct engine_worker *engine_own_worker(struct engine *e)
{
    return &e->own;
}

const char *engine_api(const struct engine *e)
{
    return e->api;
}

const char *engine_version(const struct engine *e)
{
    return e->version;
}

bool engine_reachable(const struct engine *e)
{
    return atomic_load(&e->failures) == 0;
}

unsigned engine_waiting(struct engine *e)
{
    (void)pthread_mutex_lock(&e->lock);
    unsigned n = e->waiting;

    (void)pthread_mutex_unlock(&e->lock);
    return n;
}

const struct engine_metrics *engine_figures(const struct engine *e)
{
    return &e->m;
}
