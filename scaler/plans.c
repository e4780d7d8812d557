/* Every function's forecast: fed with its samples minute by minute, asked once a minute whether a container is worth its memory now. A plan is told when
 * it changes, and obeyed once its forecast is trusted; what it would have kept in shadow counts for its confidence as well.
 *
 * Functions under an enforced policy are forecast too (their policies may look), but not planned for.
 */
#include "common/base/json.h"
#include "scaler/internal.h"

enum {
    MINUTE_MS = 60000,
    SAVE_AT_ONCE = 500,    /* a minute */
    SAVE_MOST = 3500,      /* at a stop: what the store's queue takes */
    CALLS_MAX = 100000000, /* in a second, whatever a sample says */
    MB_MAX = 1 << 24,
    STALE_MINUTES = 1440,
    CROWDED_STALE_MINUTES = 60, /* where there are too many */
    CROWD = PLANNED_MAX - PLANNED_MAX / 10,
    DROP_AT_ONCE = 1000,
    POPULATION_MINUTES = 10, /* between two times that it is saved */
};

struct planned *plan_find(struct scaler *s, struct nr_str key)
{
    struct nr_map_node *n = nr_map_get(&s->planned, key);

    return n ? nr_container_of(n, struct planned, node) : NULL;
}

static void planned_free(struct planned *p)
{
    forecast_free(p->forecast);
    free(p->key);
    free(p->account);
    free(p);
}

static void drop(struct scaler *s, struct planned *p)
{
    (void)nr_map_del(&s->planned, p->node.key);
    atomic_store(&s->n.functions, s->planned.count);
    planned_free(p);
}

/* forecast: given. */
static struct planned *make(struct scaler *s, struct nr_str key, size_t account_bytes,
                            struct forecast *forecast)
{
    struct planned *p = nr_alloc(sizeof(*p));

    *p = (struct planned){.key = nr_strndup(key.p, key.n),
                          .account = nr_strndup(key.p, account_bytes),
                          .forecast = forecast,
                          .instance_mb = -1,
                          .desired = -1,
                          .keep_alive_ms = -1};
    p->heard_minute = tick_now(s) / MINUTE_MS;
    forecast_back(p->forecast, p->heard_minute + 1);
    p->function = p->key + account_bytes + 1;
    forecast_account(p->forecast, p->account);
    p->node.key = nr_str_of(p->key);
    (void)nr_map_put(&s->planned, &p->node);
    atomic_store(&s->n.functions, s->planned.count);
    return p;
}

/* The minute that was counted is over. */
static void settle(struct planned *p)
{
    if (p->minute > 0) /* quiet minutes teach as well, also of those that are never called again */
        forecast_minute(p->forecast, p->minute, p->calls, p->inflight, p->was_warm);
    if (p->calls > 0 || p->was_warm)
        p->dirty = true;
    p->calls = 0;
    p->inflight = 0;
    p->was_warm = false;
}

/* Anybody may write to the topic: a number that no function can have is cut to one that fits. */
static double at_most(double value, double most)
{
    return value > most ? most : value > 0 ? value : 0;
}

void plan_sample(struct scaler *s, const struct sample *m)
{
    char room[SAMPLE_ENTITY_MAX_BYTES * 3 + 4];
    int n = snprintf(room, sizeof(room), "%.*s/%.*s", (int)m->account.n, m->account.p,
                     (int)m->function.n, m->function.p);
    int64_t minute = m->t_ms / MINUTE_MS;

    if (n <= 0 || n >= (int)sizeof(room) || m->t_ms > tick_now(s) + AHEAD_MS)
        return;
    struct planned *p = plan_find(s, (struct nr_str){room, (size_t)n});

    if (p == NULL) {
        if (s->planned.count >= PLANNED_MAX)
            return;
        p = make(s, (struct nr_str){room, (size_t)n}, m->account.n, forecast_make(s->population));
        p->minute = minute;
    }
    if (minute > p->minute) {
        settle(p);
        p->minute = minute;
    }
    p->heard_minute = minute > p->heard_minute ? minute : p->heard_minute;
    p->calls += (uint64_t)at_most(m->value[METRIC_ARRIVALS], CALLS_MAX);
    if (m->value[METRIC_INFLIGHT_MAX] > p->inflight)
        p->inflight = (uint32_t)at_most(m->value[METRIC_INFLIGHT_MAX], CALLS_MAX);
    if (m->has & UINT64_C(1) << METRIC_INSTANCE_MB && m->value[METRIC_INSTANCE_MB] > 0)
        p->instance_mb = (int64_t)at_most(m->value[METRIC_INSTANCE_MB], MB_MAX);
}

/* ---- once a minute ------------------------------------------------------------------------------------------ */

static int wanted(struct scaler *s, const struct planned *p, int64_t minute)
{
    struct forecast_view view = {0};

    /* The next minute as well: a container that is due at its beginning must be started before it. */
    if (!forecast_warm(p->forecast, minute, s->c.memory_price, p->instance_mb) &&
        !forecast_warm(p->forecast, minute + 1, s->c.memory_price, p->instance_mb))
        return 0;
    forecast_look(p->forecast, minute * MINUTE_MS, MINUTE_MS, 0.9, &view);
    return !view.known || view.p50 <= 1           ? 1
           : view.p50 >= PLAN_DESIRED_MAX         ? PLAN_DESIRED_MAX
           : view.p50 > (double)(int64_t)view.p50 ? (int)view.p50 + 1
                                                  : (int)view.p50;
}

static void plan_one(struct scaler *s, struct planned *p, int64_t minute, int64_t now_ms)
{
    bool ours = s->c.decides && s->hearing && bus_owns(&s->hear, p->node.key) &&
                bus_heard_ms(&s->hear, p->node.key) > 0;
    bool trusted = forecast_confidence(p->forecast) >= FORECAST_TRUSTED;
    bool obey = s->c.predict == SCALER_PREDICT_ON && trusted && !entry_enforced(s, p->node.key);
    int desired = wanted(s, p, minute);
    int64_t keep_ms = PLAN_KEEP_MS;

    p->was_warm = desired > 0;
    if (!ours)
        return;
    if (!obey && p->told) { /* what was wished for holds no longer */
        p->desired = -1;
        p->keep_alive_ms = -1;
        record_plan(s, p, true);
        p->told = false;
        return;
    }
    if (p->desired == desired && p->keep_alive_ms == keep_ms && p->told == obey &&
        (!obey || now_ms - p->told_ms < AGAIN_MS / 2))
        return;
    p->desired = desired;
    p->keep_alive_ms = keep_ms;
    p->told = obey;
    p->told_ms = now_ms;
    record_plan(s, p, obey);
}

static bool is_stale(const struct scaler *s, const struct planned *p, int64_t minute)
{
    int64_t quiet = minute - p->heard_minute;

    return !p->told && (quiet > STALE_MINUTES ||
                        (quiet > CROWDED_STALE_MINUTES && s->planned.count >= PLANNED_MAX &&
                         forecast_confidence(p->forecast) < FORECAST_TRUSTED));
}

/* There must be room for functions that are called: those that are not for long go, many at a time. */
static void drop_stale(struct scaler *s, int64_t minute)
{
    struct planned *stale[DROP_AT_ONCE];
    struct nr_map_node *n = NULL;
    unsigned count = 0;
    size_t at = 0;

    if (s->planned.count < CROWD)
        return;
    while (count < DROP_AT_ONCE && (n = nr_map_next(&s->planned, &at, n)) != NULL) {
        struct planned *p = nr_container_of(n, struct planned, node);

        if (is_stale(s, p, minute))
            stale[count++] = p;
    }
    while (count > 0)
        drop(s, stale[--count]);
}

void plans_back(struct scaler *s, int64_t now_ms)
{
    struct nr_map_node *n = NULL;
    int64_t minute = now_ms / MINUTE_MS;
    size_t at = 0;

    while ((n = nr_map_next(&s->planned, &at, n)) != NULL) {
        struct planned *p = nr_container_of(n, struct planned, node);

        p->minute = p->minute > minute ? minute : p->minute;
        p->heard_minute = p->heard_minute > minute ? minute : p->heard_minute;
        p->told_ms = p->told_ms > now_ms ? 0 : p->told_ms;
        forecast_back(p->forecast, minute);
    }
}

void plan_minute(struct scaler *s, int64_t now_ms)
{
    int64_t minute = now_ms / MINUTE_MS;
    struct nr_map_node *n = NULL;
    size_t at = 0;

    s->planned_minute = minute;
    while ((n = nr_map_next(&s->planned, &at, n)) != NULL) {
        struct planned *p = nr_container_of(n, struct planned, node);

        if (p->minute < minute) {
            settle(p);
            p->minute = minute;
        }
        if (s->c.predict != SCALER_PREDICT_OFF)
            plan_one(s, p, minute, now_ms);
    }
    drop_stale(s, minute);
    plans_save(s, false);
}

/* ---- across restarts ---------------------------------------------------------------------------------------- */

static void save(struct scaler *s, struct planned *p)
{
    nr_auto_json json_t *j = forecast_save(p->forecast);
    nr_auto_free char *text = j ? nr_json_text(j, NULL) : NULL;

    if (text)
        store_post(
            s->store,
            "INSERT OR REPLACE INTO forecasts(name, account, t, state) VALUES(?1, ?2, ?3, ?4)",
            "ttit", nr_str_of(p->key), nr_str_of(p->account), tick_now(s), nr_str_of(text));
    p->dirty = false;
}

/* What all functions taught, in a row that can be no function's. */
static void save_population(struct scaler *s)
{
    nr_auto_json json_t *j = forecast_population_save(s->population);
    nr_auto_free char *text = j ? nr_json_text(j, NULL) : NULL;

    if (text)
        store_post(
            s->store,
            "INSERT OR REPLACE INTO forecasts(name, account, t, state) VALUES('*', '', ?1, ?2)",
            "it", tick_now(s), nr_str_of(text));
}

void plans_save(struct scaler *s, bool all)
{
    int most = all ? SAVE_MOST : SAVE_AT_ONCE;
    struct nr_map_node *n = NULL;
    unsigned ends = 0;

    if (s->planned.count > 0 && (all || s->planned_minute % POPULATION_MINUTES == 0))
        save_population(s);
    /* From where the last time ended, and once around: each has its turn. */
    while (most > 0 && ends < 2) {
        n = nr_map_next(&s->planned, &s->save_at, n);
        if (n == NULL) {
            s->save_at = 0;
            ends++;
            continue;
        }
        struct planned *p = nr_container_of(n, struct planned, node);

        if (all && (p->calls > 0 || p->was_warm))
            settle(p);
        if (!p->dirty)
            continue;
        save(s, p);
        most--;
    }
}

static int load_one(void *arg, sqlite3_stmt *st)
{
    struct scaler *s = arg;
    struct nr_str key = nr_db_column(st, 0), account = nr_db_column(st, 1);
    nr_auto_json json_t *j = nr_json_parse(nr_db_column(st, 2), NULL);
    struct forecast *f = j && s->planned.count < PLANNED_MAX && key.n > account.n + 1
                             ? forecast_load(s->population, j)
                             : NULL;

    if (f)
        (void)make(s, key, account.n, f);
    return 0;
}

static int load_population(void *arg, sqlite3_stmt *st)
{
    struct scaler *s = arg;
    nr_auto_json json_t *j = nr_json_parse(nr_db_column(st, 0), NULL);
    struct forecast_population *p = j ? forecast_population_load(j) : NULL;

    if (p) {
        forecast_population_free(s->population);
        s->population = p;
    }
    return 0;
}

/* The population first: a forecast is kept in one. */
void plans_load(struct scaler *s)
{
    (void)store_read(s->store, load_population, s, "SELECT state FROM forecasts WHERE name = '*'",
                     "");
    (void)store_read(s->store, load_one, s,
                     "SELECT name, account, state FROM forecasts ORDER BY t DESC LIMIT 10000", "");
}

struct leaver {
    struct scaler *s;
    const char *account; /* NULL: all */
};

static bool leaves(struct nr_map_node *n, void *arg)
{
    const struct leaver *l = arg;

    return l->account == NULL ||
           strcmp(nr_container_of(n, struct planned, node)->account, l->account) == 0;
}

static void planned_gone(struct nr_map_node *n, void *arg)
{
    const struct leaver *l = arg;

    drop(l->s, nr_container_of(n, struct planned, node));
}

void plans_forget(struct scaler *s, const char *account)
{
    struct leaver l = {s, account};

    (void)nr_map_drain(&s->planned, leaves, planned_gone, &l);
}

void plans_free(struct scaler *s)
{
    plans_forget(s, NULL);
    nr_map_fini(&s->planned);
    forecast_population_free(s->population);
}
