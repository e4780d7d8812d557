/* The controller as a whole: open, start, drain, close, metrics. What a call goes through stands in invoke.c.
 *
 * Stopping: new calls are refused, queued rows stay in their table, running calls finish; what still runs after max_ms is cut.
 */
#include "controller/internal.h"

#include "common/base/clock.h"

#define CUT_MS 3000

int controller_open(const struct controller_config *config, struct controller **ret,
                    struct nr_err *err)
{
    struct controller *c = nr_alloc(sizeof(*c));

    c->loop = config->loop;
    c->fnmanager = config->fnmanager;
    c->invokers = config->invokers;
    c->log = config->log;
    c->number = config->number;
    c->data_dir = nr_strdup(config->data_dir);
    c->retention_s = config->retention_s;
    c->retention_max_bytes = config->retention_max_bytes;
    c->queue_max = config->queue_max;
    c->queue_max_bytes = config->queue_max_bytes;
    c->on_metric = config->on_metric;
    c->on_metric_arg = config->on_metric_arg;
    c->beside = config->living != NULL;
    nr_random(&c->run, sizeof(c->run));
    c->run = (c->run & INT64_MAX) | 1;
    c->pool = activation_pool_make();
    nr_map_init(&c->uses);
    nr_map_init(&c->functions);
    nr_map_init(&c->triggers);
    nr_map_init(&c->holds);
    nr_map_init(&c->live);
    nr_list_init(&c->lru);
    nr_list_init(&c->triggers_lru);
    nr_list_init(&c->packaged);
    nr_list_init(&c->all);
    nr_list_init(&c->answered);
    nr_list_init(&c->asking);
    nr_list_init(&c->followers);
    nr_list_init(&c->forgettings);
    counts_init(&c->counts);
    c->counts.event = config->event;
    c->counts.event_arg = config->event_arg;
    int e = journal_open(c, config->living, err);
    if (e != 0) {
        controller_close(c);
        return e;
    }
    *ret = c;
    return 0;
}

void controller_start(struct controller *c)
{
    journal_tidy_start(c);
    journal_reload(c);
}

/* The calls of a version that is retired at once. One whose row is being written ends when that is on disk. */
static void cancel_calls(struct controller *c, uint64_t revision)
{
    NR_LIST_EACH(&c->all, l) {
        struct activation *a = nr_container_of(l, struct activation, in_account);

        if (a->fn == NULL || a->fn->stored != revision || a->c > C_RUN)
            continue;
        bool answered = a->c == C_RUN && a->answered_us != 0;

        if (!answered)
            activation_fail(
                a, NR_EGONE,
                "The call was ended: the function was retired, and its running calls with it.");
        if (a->c == C_RUN && !answered)
            run_cut(a, NR_EGONE);
    }
}

void controller_on_change(void *controller, const char *account, const char *package,
                          const char *name, uint64_t old_revision, enum fn_change what)
{
    struct controller *c = controller;

    if (what == FN_TRIGGER_CHANGED) {
        triggers_forget(c, account, name);
        return;
    }
    if (what == FN_ACCOUNT_CHANGED) {
        resolve_forget_account(c, account);
        return;
    }
    resolve_forget(c, account, package, name, old_revision, what);
    if (what == FN_PACKAGE_CHANGED)
        return;
    hold_release(c, account, package, name);
    if (old_revision && what == FN_CANCEL)
        cancel_calls(c, old_revision);
    if (old_revision && what != FN_KEPT)
        invokers_forget(c->invokers, old_revision);
}

static void cut_all(struct controller *c, bool queued_only)
{
    NR_LIST_EACH(&c->all, l) {
        struct activation *a = nr_container_of(l, struct activation, in_account);

        if (a->c == C_RUN && (!queued_only || (a->durable && a->i == I_BORROW)))
            run_cut(a, NR_ESTOPPING);
    }
}

/* Cut, and what even then does not end (rows that the disk refuses) is left to the recovery of the next start. */
static void on_drain_over(struct nr_deadline *d)
{
    struct controller *c = nr_container_of(d, struct controller, drain_deadline);
    void (*idle)(void *) = c->idle;

    if (!c->cut) {
        c->cut = true;
        nr_deadline_set(c->loop, &c->drain_deadline, CUT_MS);
        cut_all(c, false);
        return;
    }
    c->idle = NULL;
    if (idle)
        idle(c->idle_arg);
}

void controller_drain(struct controller *c, uint64_t max_ms, void (*idle)(void *arg), void *arg)
{
    c->stopping = true;
    nr_deadline_cancel(&c->tidy);
    hold_stop(c);
    cut_all(c, true);
    if (c->running == 0) {
        idle(arg);
        return;
    }
    c->idle = idle;
    c->idle_arg = arg;
    c->drain_deadline.fire = on_drain_over;
    nr_deadline_set(c->loop, &c->drain_deadline, max_ms);
}

struct asked_counts controller_asked(const struct controller *c)
{
    return c->asked;
}

int64_t controller_run(const struct controller *c)
{
    return c->run;
}

int64_t controller_running(const struct controller *c)
{
    return c->running;
}

/* Calls that have ended, whose end the disk refused to the last: the next start finds their rows and records them as failed. */
static void drop_unwritten(struct controller *c)
{
    int64_t dropped = 0;

    NR_LIST_EACH(&c->all, l) {
        struct activation *a = nr_container_of(l, struct activation, in_account);

        if (a->c != C_END || a->row_pending)
            continue;
        nr_deadline_cancel(&a->wait);
        nr_list_del(&a->queue);
        nr_list_del(l);
        (void)nr_map_del(&c->live, a->by_id.key);
        compose_release(a);
        activation_unref(a);
        dropped++;
    }
    if (dropped > 0)
        nr_log(
            c->log, NR_LOG_WARN, "controller",
            "the ends of %lld accepted calls could not be written; the next start records them as failed",
            (long long)dropped);
}

void controller_close(struct controller *c)
{
    if (c == NULL)
        return;
    nr_deadline_cancel(&c->tidy);
    nr_deadline_cancel(&c->drain_deadline);
    NR_LIST_EACH(&c->all, l)
        nr_deadline_cancel(&nr_container_of(l, struct activation, in_account)->wait);
    c->closed = true;
    nr_db_stop(c->db);
    nr_mailbox_drain(c->loop); /* what the store still had to say */
    beside_fini(c);
    forget_fini(c);
    drop_unwritten(c);
    nr_db_close(c->db);
    resolve_fini(c);
    triggers_fini(c);
    hold_fini(c);
    admission_fini(c);
    counts_fini(&c->counts);
    activation_pool_close(c->pool);
    nr_map_fini(&c->live);
    free(c->data_dir);
    free(c);
}

static void outcome_metrics(const struct controller *c, struct nr_buf *out)
{
    static const char *const names[] = {"success", "application_error", "developer_error",
                                        "internal_error"};
    static const char *const reasons[REFUSED_REASONS] = {[REFUSED_MINUTE] = "minute",
                                                         [REFUSED_CONCURRENT] = "concurrent",
                                                         [REFUSED_QUEUE] = "queue",
                                                         [REFUSED_HOLD] = "update",
                                                         [REFUSED_FIRES] = "fires"};

    nr_metric_head(out, "narae_activations_total", "counter",
                   "Calls that ended, by status of their record.");
    for (size_t i = 0; i < nr_countof(names); i++) {
        char label[64];

        (void)snprintf(label, sizeof(label), "status=\"%s\"", names[i]);
        nr_metric_sample(out, "narae_activations_total", label, (double)c->m.outcomes[i]);
    }
    nr_metric_head(
        out, "narae_refused_total", "counter",
        "Calls and fires refused by a limit: of their account, of the queue, or of the wait for an update.");
    for (size_t i = 0; i < nr_countof(reasons); i++) {
        char label[64];

        (void)snprintf(label, sizeof(label), "limit=\"%s\"", reasons[i]);
        nr_metric_sample(out, "narae_refused_total", label, (double)c->m.refused[i]);
    }
}

void controller_metrics(struct controller *c, struct nr_buf *out)
{
    const struct journal_count *r = &c->rows;
    struct nr_db_stats db = nr_db_stats(c->db);
    const struct {
        const char *name, *type, *help;
        double value;
    } one[] = {
        {"narae_running_activations", "gauge", "Calls that have not ended.", (double)c->running},
        {"narae_held_activations", "gauge", "Calls that wait for the end of an update.",
         (double)c->held},
        {"narae_accepted_total", "counter",
         "Calls accepted with 202 since the start, and those found at it.", (double)r->accepted},
        {"narae_accepted_queued", "gauge", "Accepted calls that have not started.",
         (double)r->queued},
        {"narae_accepted_running", "gauge", "Accepted calls that run.", (double)r->running},
        {"narae_accepted_drift", "gauge", "Accepted - (queued + running + terminal); must be 0.",
         (double)(r->accepted - r->queued - r->running - r->terminal)},
        {"narae_downgraded_total", "counter",
         "Blocking calls whose wait ended before the function.", (double)c->m.downgraded},
        {"narae_records_dropped_total", "counter", "Records that the disk refused.",
         (double)c->m.records_dropped},
        {"narae_fires_total", "counter", "Triggers that were fired and started calls.",
         (double)c->m.fires},
        {"narae_fires_idle_total", "counter", "Triggers that were fired without an active rule.",
         (double)c->m.fires_idle},
        {"narae_rules_refused_total", "counter",
         "Calls of active rules that were refused when their trigger was fired.",
         (double)c->m.rules_refused},
        {"narae_late_results_total", "counter", "Results of a superseded attempt, dropped.",
         (double)c->m.late_results},
        {"narae_disk_full", "gauge",
         "1 while no call is accepted for later because the disk is full.", c->disk_full},
        {"narae_resolved_functions", "gauge", "Functions in the resolve cache.",
         (double)c->functions.count},
        {"narae_samples_passed_over_total", "counter",
         "Calls that are in no sample: too many functions were called in a second.",
         (double)c->counts.passed_over},
        {"narae_journal_commits_total", "counter", "Commits of calls.db.", (double)db.commits},
        {"narae_journal_jobs_total", "counter", "Jobs of calls.db.", (double)db.jobs},
    };

    outcome_metrics(c, out);
    for (size_t i = 0; i < nr_countof(one); i++)
        nr_metric_one(out, one[i].name, one[i].type, one[i].help, one[i].value);
    follow_metrics(c, out);
    nr_metric_head(out, "narae_wait_seconds", "histogram",
                   "From acceptance to the start of the run.");
    nr_metric_hist(out, "narae_wait_seconds", "", &c->m.wait);
    nr_metric_head(out, "narae_duration_seconds", "histogram", "Init and run time of calls.");
    nr_metric_hist(out, "narae_duration_seconds", "", &c->m.duration);
    told_metrics(&c->m.starts, out);
}
