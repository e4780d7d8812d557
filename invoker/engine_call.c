/* Calls to the Engine: one at a time on each worker's connection, and the breaker.
 *
 * dockerd drops idle connections after 300 s, so a call that finds its connection closed is made again once. After three failures in a row to
 * reach the Engine the breaker opens: calls fail at once, and each second one worker pings. An Engine that takes calls and says nothing
 * for 5 s counts as out of reach before their deadlines strike.
 * What is no HTTP, no JSON where JSON is due, or too long is an error with a reason; it does not open the breaker, for somebody is there.
 */
#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "invoker/engine_state.h"

enum { BREAKER_FAILURES = 3, BREAKER_MS = 1000, REPLY_MAX_BYTES = 16 << 20 };
enum { ERRAND_HEADER_BYTES = 8192 };

static bool unreachable(int r)
{
    return r == NR_EUNAVAIL || r == NR_ETIMEOUT || r == NR_ECLOSED;
}

/* Counts towards the breaker. */
static void note(struct engine *e, int r)
{
    if (!unreachable(r)) {
        atomic_store(&e->answered_ms, nr_mono_ms());
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

    if (status == NR_EINVAL) /* the path is ours and valid: what came is no HTTP */
        status = NR_EPROTO;
    ret->status = r.status;
    nr_buf_fini(&ret->body);
    ret->body = r.reply;
    return status;
}

/* While the breaker is open one worker a second asks whether the Engine is there again, by a call that does not hold it up for long. */
static bool let_through(struct engine_worker *w)
{
    struct engine *e = w->e;
    uint64_t until = atomic_load(&e->closed_until_ms), now = nr_mono_ms();
    struct engine_reply reply = {0};

    if (atomic_load(&e->failures) < BREAKER_FAILURES)
        return true;
    if (now < until ||
        !atomic_compare_exchange_strong(&e->closed_until_ms, &until, now + BREAKER_MS))
        return false;
    int r = call_once(w, "GET", "/_ping", (struct nr_str){NULL, 0}, ENGINE_PING_MS, &reply, NULL);

    nr_buf_fini(&reply.body);
    note(e, r);
    return !unreachable(r);
}

int engine_call(struct engine_worker *w, const char *method, const char *path, struct nr_str body,
                uint32_t timeout_ms, struct engine_reply *ret, struct nr_err *err)
{
    struct engine *e = w->e;
    struct nr_err first = {0};

    if (atomic_load(&e->canceled))
        return nr_err_set(err, NR_ECANCELED, "the invoker is closing");
    if (!let_through(w))
        return nr_err_set(err, NR_EUNAVAIL, "the Docker Engine on %s does not answer",
                          e->socket_path);
    uint64_t begun_us = nr_mono_us();

    atomic_store(&w->calls_from_ms, nr_mono_ms());
    int r = call_once(w, method, path, body, timeout_ms, ret, &first);

    if (r == NR_ECLOSED) {
        first = (struct nr_err){0};
        r = call_once(w, method, path, body, timeout_ms, ret, &first);
    }
    atomic_store(&w->calls_from_ms, 0);
    nr_count(&e->m.calls, 1);
    nr_hist_add_us(&e->m.seconds, nr_mono_us() - begun_us);
    note(e, r);
    return r == 0 ? 0 : nr_err_set(err, r, "Engine %s %s: %s", method, path, first.text);
}

int engine_errand(struct engine_worker *w, const struct engine_errand *x, struct engine_reply *ret,
                  struct nr_err *err)
{
    char url[1024], header[ERRAND_HEADER_BYTES];
    const char *const headers[] = {header, NULL};
    struct engine *e = w->e;
    int n = snprintf(url, sizeof(url), "http://engine/v%s%s", e->api, x->path);
    int k = snprintf(header, sizeof(header), "X-Registry-Auth: %s", x->auth ? x->auth : "");

    if (atomic_load(&e->no_errands))
        return nr_err_set(err, NR_ECANCELED, "the platform is stopping");
    if (n < 0 || (size_t)n >= sizeof(url) || k < 0 || (size_t)k >= sizeof(header))
        return nr_err_set(err, NR_EINVAL, "the Engine's path is too long");
    struct nr_fetch_req r = {
        .method = x->method,
        .url = url,
        .headers = x->auth ? headers : NULL,
        .connect_timeout_ms = ENGINE_PING_MS,
        .timeout_ms = x->timeout_ms,
        .silence_max_s = x->silence_max_s,
        .reply_max_bytes = REPLY_MAX_BYTES,
        .on_bytes = x->on_bytes,
        .arg = x->arg,
        .stop = &e->no_errands,
    };
    int status = nr_fetch_call(w->fetch, &r, err);

    explicit_bzero(header, sizeof(header));
    nr_count(&e->m.calls, 1);
    ret->status = r.status;
    nr_buf_fini(&ret->body);
    ret->body = r.reply;
    return status;
}

void engine_stop_errands(struct engine *e)
{
    atomic_store(&e->no_errands, true);
}

bool engine_reachable(const struct engine *e)
{
    uint64_t now_ms = nr_mono_ms(), answered_ms = atomic_load(&e->answered_ms);

    if (atomic_load(&e->failures) > 0)
        return false;
    for (int i = 0; i < e->worker_count; i++) {
        uint64_t from_ms = atomic_load(&e->workers[i].calls_from_ms);

        /* it took a call and has said nothing to anybody since */
        if (e->workers[i].lane == LANE_CALLS && from_ms > 0 &&
            now_ms > from_ms + ENGINE_SILENT_MS && now_ms > answered_ms + ENGINE_SILENT_MS)
            return false;
    }
    return true;
}

uint64_t engine_away_ms(const struct engine *e)
{
    uint64_t answered_ms = atomic_load(&e->answered_ms), now_ms = nr_mono_ms();

    return engine_reachable(e) || now_ms <= answered_ms ? 0 : now_ms - answered_ms;
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
