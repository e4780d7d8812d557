/* The Engine's workers.
 *
 * submit() puts a job into the queue of its rank and wakes a worker; the worker runs job->work(), which makes its calls with
 * engine_call() (engine_call.c), and posts the job back to the loop, where job->done() runs. Each worker has one connection and one call at a
 * time. Prewarms and removals together take at most half of the workers: whatever they do, a thaw or a start that a call waits for finds
 * one that is free soon.
 *
 * Closing: workers finish the call they are in (each has its deadline), run what waits as canceled, say good-bye by mail; the loop
 * joins them then, so it never waits for one.
 */
#include "invoker/engine_state.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/mem.h"

/* Slow registries must not make everybody's images wait, and slow name servers not everybody's grants. */
enum { PULLERS = 6, GRANTERS = 4 };
/* The API version we speak, and the oldest Engine we can use. */
enum { API_MAJOR = 1, API_MINOR = 41, ID_LETTERS = 64 };

/* ---- the queue ---------------------------------------------------------------------------------------------- */

static const struct {
    int from, to; /* ranks */
    int workers;  /* 0: as configured */
    const char *name;
} lanes[LANES] = {
    [LANE_CALLS] = {0, RANK_PULL, 0, "engine"},
    [LANE_PULLS] = {RANK_PULL, RANK_HANDOVER, PULLERS, "engine-pull"},
    [LANE_HANDOVERS] = {RANK_HANDOVER, RANK_GRANT, 1, "hand-over"},
    [LANE_GRANTS] = {RANK_GRANT, RANK_RULES, GRANTERS, "grants"},
    [LANE_RULES] = {RANK_RULES, RANK_COUNT, 1, "rules"},
};

static enum engine_lane lane_of(enum engine_rank rank)
{
    enum engine_lane lane = LANE_CALLS;

    while ((int)rank >= lanes[lane].to)
        lane++;
    return lane;
}

void engine_submit(struct engine *e, struct engine_job *j)
{
    (void)pthread_mutex_lock(&e->lock);
    nr_list_add(&e->queues[j->rank], &j->link);
    e->waiting++;
    e->removals += j->rank == RANK_REMOVE;
    (void)pthread_cond_signal(&e->wake[lane_of(j->rank)]);
    (void)pthread_mutex_unlock(&e->lock);
}

static bool is_low(enum engine_rank rank)
{
    return rank == RANK_PREWARM || rank == RANK_REMOVE;
}

/* Under starts without a pause removals would never have their turn, and what is dying holds memory that starts want. */
static struct engine_job *take_late_removal(struct engine_worker *w)
{
    struct engine *e = w->e;

    if (w->lane != LANE_CALLS || e->removals <= REMOVALS_LATE || e->low_running >= e->low_max)
        return NULL;
    struct nr_link *l = nr_list_pop(&e->queues[RANK_REMOVE]);

    nr_check(l != NULL);
    e->waiting--;
    e->removals--;
    e->low_running++;
    return nr_container_of(l, struct engine_job, link);
}

/* Its first job would boot one container more than the cores can at a time: they would all be later, and whoever is warm meanwhile too. */
static bool waits_for_boots(const struct engine *e, int rank)
{
    const struct nr_link *queue = &e->queues[rank];

    return !nr_list_empty(queue) && nr_container_of(queue->next, struct engine_job, link)->boots &&
           e->booting >= e->boots_max && !e->stopping;
}

void engine_boot_over(struct engine *e)
{
    (void)pthread_mutex_lock(&e->lock);
    e->booting--;
    (void)pthread_cond_signal(&e->wake[LANE_CALLS]);
    (void)pthread_mutex_unlock(&e->lock);
}

/* While closing everything is run, for nothing that is needed comes any more. */
static struct engine_job *take(struct engine_worker *w)
{
    struct engine *e = w->e;
    struct engine_job *late = take_late_removal(w);

    if (late)
        return late;
    for (int rank = lanes[w->lane].from; rank < lanes[w->lane].to; rank++) {
        bool low = is_low((enum engine_rank)rank);
        bool may = !low || e->low_running < e->low_max || e->stopping;
        struct nr_link *l = may && !waits_for_boots(e, rank) ? nr_list_pop(&e->queues[rank]) : NULL;

        if (l == NULL)
            continue;
        e->booting += nr_container_of(l, struct engine_job, link)->boots;
        e->waiting--;
        e->removals -= rank == RANK_REMOVE;
        e->low_running += low;
        return nr_container_of(l, struct engine_job, link);
    }
    return NULL;
}

/* Its place is free: a job that waited for it may be run by a worker that sleeps. */
static void ran(struct engine *e, enum engine_rank rank)
{
    if (!is_low(rank))
        return;
    e->low_running--;
    (void)pthread_cond_signal(&e->wake[LANE_CALLS]);
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
            enum engine_rank rank = j->rank;

            (void)pthread_mutex_unlock(&e->lock);
            j->work(w, j);
            j->mail.run = job_is_back;
            nr_mailbox_post(e->loop, &j->mail); /* it may be gone from now on */
            (void)pthread_mutex_lock(&e->lock);
            ran(e, rank);
        } else if (e->stopping) {
            break;
        } else {
            (void)pthread_cond_wait(&e->wake[w->lane], &e->lock);
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
    int r = engine_want(&e->own, "GET", "/version", (struct nr_str){NULL, 0}, ENGINE_ASK_MS, &reply,
                        err);
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
    for (int i = 0; i < LANES; i++)
        (void)pthread_cond_destroy(&e->wake[i]);
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
    int i = 0;

    e->worker_count = count;
    for (int lane = 0; lane < LANES; lane++)
        e->worker_count += lanes[lane].workers;
    e->workers = nr_alloc((size_t)e->worker_count * sizeof(*e->workers));
    e->low_max = count > 1 ? (unsigned)count / 2 : 1;
    for (enum engine_lane lane = 0; lane < LANES; lane++) {
        int last = i + (lane == LANE_CALLS ? count : lanes[lane].workers);

        for (; i < last; i++) {
            struct engine_worker *w = &e->workers[i];

            *w = (struct engine_worker){
                .e = e, .lane = lane, .fetch = nr_fetch_make(e->socket_path)};
            nr_check(w->fetch && pthread_create(&w->thread, NULL, worker_main, w) == 0);
            (void)pthread_setname_np(w->thread, lanes[lane].name);
            e->alive++;
        }
    }
}

int engine_open(const struct engine_config *c, struct engine **ret, struct nr_err *err)
{
    struct engine *e = nr_alloc(sizeof(*e));

    e->loop = c->loop;
    e->log = c->log;
    e->boots_max = c->boots_max;
    e->socket_path = nr_strdup(c->socket_path);
    e->own = (struct engine_worker){.e = e, .fetch = nr_fetch_make(c->socket_path)};
    for (int i = 0; i < RANK_COUNT; i++)
        nr_list_init(&e->queues[i]);
    nr_check(e->own.fetch && pthread_mutex_init(&e->lock, NULL) == 0);
    for (int i = 0; i < LANES; i++)
        nr_check(pthread_cond_init(&e->wake[i], NULL) == 0);
    int r = negotiate(e, err);

    if (r < 0) {
        engine_free(e);
        return r;
    }
    start_workers(e, c->workers);
    *ret = e;
    return 0;
}

void engine_hurry_removals(struct engine *e)
{
    (void)pthread_mutex_lock(&e->lock);
    e->low_max = (unsigned)e->worker_count;
    (void)pthread_cond_broadcast(&e->wake[LANE_CALLS]);
    (void)pthread_mutex_unlock(&e->lock);
}

void engine_cancel(struct engine *e)
{
    atomic_store(&e->canceled, true);
    engine_stop_errands(e);
}

static void stop_workers(struct engine *e, bool abandoned)
{
    (void)pthread_mutex_lock(&e->lock);
    e->stopping = true;
    e->abandoned = abandoned;
    for (int i = 0; i < LANES; i++)
        (void)pthread_cond_broadcast(&e->wake[i]);
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

bool engine_is_id(const char *text)
{
    return text && strspn(text, "0123456789abcdef") == ID_LETTERS && text[ID_LETTERS] == '\0';
}

const char *engine_api(const struct engine *e)
{
    return e->api;
}

const char *engine_version(const struct engine *e)
{
    return e->version;
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
