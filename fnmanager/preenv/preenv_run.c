/* One run:
 *
 *   select        Best Env Selector names the next configuration, or the end
 *   environment   Env Controller makes the function as it would be in it
 *   test          Tester runs it: blocks of one cold call and some warm ones, each block in a container of its own. A configuration
 *                 that is to be judged is tested in rounds, block by block in turn with the reference, so that a change
 *                 of the host's mood hits both
 *   analysis      Exec Analyzer makes figures of it, and says whether it is slower; further rounds while it cannot tell
 *   storage       Storage writes it down, after every block
 *
 * A list of sizes (or the axis cpu) is tested as a whole: every round visits every size, then all are judged.
 * The run ends early by its deadline, a cancel, a function that changed or went, an account or key that is not good any more, or a
 * platform that cannot run or measure it. A stop of the platform only interrupts it: figures of configurations that were done are stored,
 * the one under way begins anew.
 */
#include "fnmanager/preenv/preenv_run.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "fnmanager/preenv/preenv_advice.h"
#include "fnmanager/preenv/preenv_analyzer.h"
#include "fnmanager/preenv/preenv_controller.h"
#include "fnmanager/preenv/preenv_selector.h"
#include "fnmanager/preenv/preenv_storage.h"

enum { WARM_MIN = 2, WARM_MAX = 10, BLOCK_MS = 6000, GROWTH_BLOCK = 14 };

/* ---- telling ------------------------------------------------------------------------------------------------- */

static void tell(struct preenv_session *x, const char *station, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void tell(struct preenv_session *x, const char *station, const char *fmt, ...)
{
    struct preenv_run *r = x->run;
    va_list ap;

    if (r->event_count == PREENV_EVENTS_MAX)
        return;
    struct preenv_event *e = &r->events[r->event_count++];

    e->at_ms = nr_wall_ms();
    e->station = station;
    va_start(ap, fmt);
    (void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    (void)snprintf(r->phase, sizeof(r->phase), "%.79s", e->text);
}

static void end_run(struct preenv_session *x, enum preenv_state state, const char *reason)
{
    struct preenv_run *r = x->run;

    if (r->state != PREENV_RUNNING)
        return;
    r->state = state;
    r->ended_ms = nr_wall_ms();
    (void)snprintf(r->reason, sizeof(r->reason), "%s", reason);
    r->phase[0] = '\0';
}

static void store(struct preenv_session *x)
{
    struct preenv_run *r = x->run;

    r->spent_ms = x->spent_before_ms + (int64_t)(nr_mono_ms() - x->begun_ms);
    int e = preenv_store(x->m->db, r);

    if (e == NR_ENOENT)
        end_run(x, PREENV_CANCELLED, "Its function was deleted.");
    else if (e < 0)
        nr_log(x->m->config.log, NR_LOG_WARN, "fnmanager", "PreEnv run %s cannot be stored: %s",
               r->id, nr_err_text(e));
}

/* ---- may it go on? ------------------------------------------------------------------------------------------- */

static bool interrupted(const struct preenv_session *x)
{
    return *x->stop && x->run->state == PREENV_RUNNING;
}

static bool goes_on(struct preenv_session *x)
{
    struct preenv_run *r = x->run;
    int64_t spent_ms = x->spent_before_ms + (int64_t)(nr_mono_ms() - x->begun_ms);
    struct nr_err err = {0};
    char text[200];

    if (r->state != PREENV_RUNNING || *x->stop)
        return false;
    if (*x->cancel) {
        end_run(x, PREENV_CANCELLED, "It was cancelled.");
    } else if (accounts_may_go_on(&x->m->accounts, r->account, r->key_uuid, SCOPE_WRITE, &err) <
               0) {
        end_run(x, PREENV_CANCELLED, err.text);
    } else if (spent_ms > 1000 * r->request.deadline_s) {
        (void)snprintf(
            text, sizeof(text),
            "Its deadline of %lld s has passed after %u tested configurations: give it more time or fewer repeats.",
            (long long)r->request.deadline_s, r->config_count);
        end_run(x, PREENV_FAILED, text);
    }
    return r->state == PREENV_RUNNING;
}

/* ---- one call ------------------------------------------------------------------------------------------------ */

/* How it ended. Where the kernel killed something of it for want of memory, that is why it failed. */
static enum preenv_outcome outcome_of(const struct errand_call *c)
{
    switch (c->err.code) {
    case 0: return c->usage.known ? PREENV_OK : PREENV_UNAVAIL;
    case NR_ESTOPPING: return PREENV_STOPPED;
    case NR_ETIMEOUT: return PREENV_TIMEOUT;
    case NR_ENOMEM: return c->usage.oom_kills > 0 ? PREENV_OOM : PREENV_ABORT;
    case NR_EPROTO: return c->usage.oom_kills > 0 ? PREENV_OOM : PREENV_ERROR;
    default: return PREENV_UNAVAIL;
    }
}

static void run_call(struct preenv_session *x, struct errand_call *c)
{
    const struct fnmanager_config *config = &x->m->config;

    c->watched = true;
    c->owner = x->m->preenv;
    if (config->errand == NULL)
        (void)nr_err_set(&c->err, NR_EUNAVAIL, "there is no invoker");
    else
        errand_wait(config->errand, config->arg, c);
    nr_buf_fini(&c->result);
}

/* Nothing more of c's configuration is to be learnt: the end of the run, or of the platform. */
static bool is_no_measurement(struct preenv_session *x, const struct errand_call *c,
                              enum preenv_outcome outcome)
{
    char text[480];

    if (outcome == PREENV_STOPPED) {
        if (goes_on(x)) /* it was not cancelled, nor does its account leave */
            *x->stop = true;
        return true;
    }
    if (outcome != PREENV_UNAVAIL)
        return false;
    (void)snprintf(text, sizeof(text), "A test call could not be run or measured: %.400s",
                   c->err.code ? c->err.text
                               : "the control groups of its container cannot be read on this host");
    end_run(x, PREENV_FAILED, text);
    return true;
}

static double ms(int64_t us)
{
    return us < 0 ? -1 : (double)us / 1e3;
}

static double mb(int64_t bytes)
{
    return bytes < 0 ? -1 : (double)bytes / (1 << 20);
}

static void add_sample(struct preenv_session *x, struct preenv_config *c,
                       const struct errand_call *call, unsigned payload)
{
    const struct call_usage *u = &call->usage;
    const struct preenv_sample s = {
        .payload = (int)payload,
        .round = x->round,
        .cold = call->cold,
        .start_ms = ms(call->start_us),
        .init_ms = ms(call->init_us),
        .run_ms = ms(call->run_us),
        .cpu_ms = ms(u->cpu_us),
        .user_ms = ms(u->user_us),
        .system_ms = ms(u->system_us),
        .throttled_ms = ms(u->throttled_us),
        .init_peak_mb = mb(u->init_peak_bytes),
        .run_peak_mb = mb(u->run_peak_bytes),
        .rest_mb = mb(u->rest_bytes),
        .high_water_mb = mb(u->high_water_bytes),
        .others = u->wall_us > 0 ? (double)u->others_us / (double)u->wall_us : 0,
    };

    if (!preenv_series_add(&c->series, &s))
        end_run(x, PREENV_FAILED, "There is no memory for its samples.");
}

/* The limit is what the configuration claims, or the measurement is none. */
static bool limit_is_right(struct preenv_session *x, const struct preenv_config *c,
                           const struct errand_call *call)
{
    char text[200];

    if (call->usage.limit_bytes < 0 || call->usage.limit_bytes == c->memory_mb << 20)
        return true;
    (void)snprintf(text, sizeof(text),
                   "Its container had a limit of %lld bytes in place of %lld MB.",
                   (long long)call->usage.limit_bytes, (long long)c->memory_mb);
    end_run(x, PREENV_FAILED, text);
    return false;
}

/* One call of payload number `payload`; false: the block is over. */
static bool test_call(struct preenv_session *x, struct preenv_config *c, struct function *f,
                      unsigned payload)
{
    struct errand_call call = {.fn = f, .account = x->who, .input = nr_str_of(x->inputs[payload])};

    if (!goes_on(x))
        return false;
    run_call(x, &call);
    enum preenv_outcome outcome = outcome_of(&call);

    if (is_no_measurement(x, &call, outcome))
        return false;
    if (call.usage.known)
        add_sample(x, c, &call, payload);
    c->outcome = outcome;
    (void)snprintf(c->error, sizeof(c->error), "%.255s", call.err.text);
    return c->outcome == PREENV_OK && limit_is_right(x, c, &call);
}

/* ---- blocks and rounds --------------------------------------------------------------------------------------- */

/* One container: a cold call, then `warm` calls of each payload. False: nothing further is to be learnt of c, or the run has ended. */
static bool block(struct preenv_session *x, struct preenv_config *c, unsigned warm)
{
    struct function *f = NULL;
    struct nr_err err = {0};
    char size[32];
    bool well;

    if (!goes_on(x))
        return false;
    if (preenv_environment(x->m, x->run, c, &f, &err) < 0) {
        end_run(x, PREENV_FAILED, err.text);
        return false;
    }
    tell(x, "test", "%s, round %u: a cold call and %u warm ones",
         preenv_size_text(x->run->request.cpu, preenv_size(x->run, c), size), x->round,
         warm * x->payloads);
    store(x);
    well = test_call(x, c, f, x->round % x->payloads);
    for (unsigned p = 0; p < x->payloads && well; p++)
        for (unsigned i = 0; i < warm && well; i++)
            well = test_call(x, c, f, p);
    if (x->m->config.errand_end)
        x->m->config.errand_end(x->m->config.arg, f->revision);
    function_unref(f);
    preenv_analyze(c, x->weights, x->payloads, x->tester->cores);
    return well && x->run->state == PREENV_RUNNING;
}

/* How many warm calls a block has: as asked, or as many as fit into some seconds. */
static void choose_warm(struct preenv_session *x, const struct preenv_config *c)
{
    double call_ms = c->series.count ? c->series.samples[0].run_ms : 0;
    double fit = BLOCK_MS / ((call_ms > 1 ? call_ms : 1) * x->payloads);

    if (x->run->request.repeats > 0)
        x->warm = (x->run->request.repeats + PREENV_ROUNDS - 1) / PREENV_ROUNDS;
    else
        x->warm = fit >= WARM_MAX ? WARM_MAX : fit > WARM_MIN ? (unsigned)fit : WARM_MIN;
}

static bool by_wall(const struct preenv_session *x)
{
    return x->run->request.cpu;
}

static void judge(struct preenv_session *x, const struct preenv_config *reference,
                  struct preenv_config *c, bool final)
{
    const struct preenv_run *r = x->run;
    char size[32];

    if (c == reference || c->outcome != PREENV_OK)
        return;
    preenv_compare(reference, c, x->weights, x->payloads, r->request.tolerance, by_wall(x), final);
    tell(x, "analysis", "%s: p50 %.1f ms, peak %.0f MB, %+.1f %% %s%s",
         preenv_size_text(r->request.cpu, preenv_size(r, c), size), c->p50_ms, c->peak_mb,
         100 * c->slow_by, c->by_cpu ? "CPU time" : "run time",
         c->verdict == PREENV_UNDECIDED ? ", undecided"
         : c->noisy                     ? ", noisy"
                                        : "");
}

/* One round of both, the order changes from round to round: what comes second finds a warmer host. False: no further round. */
static bool both(struct preenv_session *x, struct preenv_config *reference, struct preenv_config *c)
{
    struct preenv_config *turns[] = {c, reference};
    char text[480];

    for (unsigned i = 0; i < nr_countof(turns); i++) {
        struct preenv_config *t = turns[(i + x->round) % nr_countof(turns)];

        if (block(x, t, x->warm))
            continue;
        if (t == c)
            return false;
        (void)snprintf(text, sizeof(text),
                       "A test call failed at %lld MB, where it had ended well: %s",
                       (long long)reference->memory_mb, reference->error);
        if (goes_on(x))
            end_run(x, PREENV_FAILED, text);
        return false;
    }
    return true;
}

/* Rounds until it is known whether c is slower. */
static void verify(struct preenv_session *x, struct preenv_config *reference,
                   struct preenv_config *c)
{
    for (unsigned i = 1; i <= PREENV_ROUNDS_MAX; i++) {
        x->round++;
        if (!both(x, reference, c))
            return;
        if (i >= PREENV_ROUNDS)
            judge(x, reference, c, i == PREENV_ROUNDS_MAX);
        if (i >= PREENV_ROUNDS && c->verdict != PREENV_UNDECIDED)
            return;
    }
}

/* The first that ends well: its peak, and whether it grows. Others are compared with it. */
static void measure_reference(struct preenv_session *x, struct preenv_config *c)
{
    x->round++;
    x->warm = WARM_MIN;
    if (!block(x, c, 1))
        return;
    choose_warm(x, c);
    x->round++;
    if (!block(x, c, x->warm > WARM_MIN ? x->warm : WARM_MIN))
        return;
    if (preenv_may_grow(&c->series, x->round)) {
        tell(x, "analysis", "it may grow from call to call: %d calls in one container",
             GROWTH_BLOCK);
        x->round++;
        if (block(x, c, GROWTH_BLOCK))
            x->run->growth_mb = preenv_growth_mb(&c->series, x->round);
    }
    tell(x, "analysis", "%lld MB: p50 %.1f ms, peak %.0f MB", (long long)c->memory_mb, c->p50_ms,
         c->peak_mb);
}

/* ---- configurations ------------------------------------------------------------------------------------------ */

static struct preenv_config *add_config(struct preenv_session *x, int64_t size)
{
    struct preenv_run *r = x->run;
    struct preenv_config *c = &r->configs[r->config_count++];

    *c = (struct preenv_config){.memory_mb = r->request.cpu ? r->declared_mb : size,
                                .cpus_milli = r->request.cpu ? size : r->declared_cpus_milli};
    c->cold_ms = c->p50_ms = c->p95_ms = c->user_ms = c->system_ms = c->throttled_ms = -1;
    c->peak_mb = c->init_peak_mb = c->run_peak_mb = c->high_water_mb = -1;
    for (unsigned i = 0; i < PREENV_PAYLOADS_MAX; i++)
        c->payload_peak_mb[i] = -1;
    return c;
}

static void write_points(const struct preenv_run *r, struct preenv_point *points)
{
    for (unsigned i = 0; i < r->config_count; i++) {
        const struct preenv_config *c = &r->configs[i];

        points[i] = (struct preenv_point){.size = preenv_size(r, c),
                                          .outcome = c->outcome,
                                          .slower = c->verdict == PREENV_SLOWER,
                                          .slow_by = c->slow_by,
                                          .by_cpu = c->by_cpu,
                                          .peak_mb = c->peak_mb,
                                          .init_peak_mb = c->init_peak_mb,
                                          .run_peak_mb = c->run_peak_mb,
                                          .p95_ms = c->p95_ms,
                                          .error = c->error};
    }
}

static struct preenv_search search_of(const struct preenv_session *x)
{
    const struct preenv_run *r = x->run;

    return (struct preenv_search){.cpu = r->request.cpu,
                                  .declared = r->declared_mb,
                                  .floor = PREENV_STEP_MB,
                                  .ceiling =
                                      x->tester->memory_max_mb / PREENV_STEP_MB * PREENV_STEP_MB,
                                  .grid = r->request.grid_count ? r->request.grid : NULL,
                                  .grid_count = r->request.grid_count,
                                  .tested_max = PREENV_TESTED_MAX,
                                  .tolerance = r->request.tolerance,
                                  .target_ms = r->request.target_ms,
                                  .growth_mb = r->growth_mb};
}

static void select_next(struct preenv_session *x, struct preenv_decision *d, int *ret_reference)
{
    struct preenv_point points[PREENV_GRID_MAX + 1];
    const struct preenv_search s = search_of(x);

    write_points(x->run, points);
    preenv_select(&s, points, x->run->config_count, d);
    *ret_reference = preenv_reference(&s, points, x->run->config_count);
}

static void finish(struct preenv_session *x, const struct preenv_decision *d, int reference)
{
    struct preenv_run *r = x->run;

    tell(x, "selection", "%.150s", d->reason);
    if (d->step == PREENV_GIVE_UP) {
        end_run(x, PREENV_FAILED, d->reason);
        return;
    }
    r->chosen = d->step == PREENV_CHOOSE ? d->size : 0;
    preenv_advise(r, reference);
    tell(x, "storage", "the curve, the choice and its reason are stored");
    end_run(x, PREENV_DONE, d->reason);
}

/* ---- the two ways -------------------------------------------------------------------------------------------- */

static void search(struct preenv_session *x)
{
    struct preenv_run *r = x->run;
    struct preenv_decision d;
    char size[32];
    int reference;

    while (goes_on(x)) {
        select_next(x, &d, &reference);
        if (d.step != PREENV_TEST) {
            finish(x, &d, reference);
            break;
        }
        tell(x, "selection", "next is %s: %.100s", preenv_size_text(false, d.size, size), d.reason);
        struct preenv_config *c = add_config(x, d.size);

        tell(x, "environment", "memory %lld MB", (long long)d.size);
        if (reference < 0)
            measure_reference(x, c);
        else
            verify(x, &r->configs[reference], c);
        if (interrupted(x)) /* it begins anew at the next start */
            preenv_series_fini(&r->configs[--r->config_count].series);
        store(x);
    }
}

/* Every round visits every size, each in the other direction than the one before: a host that changes meanwhile changes for both ends. */
static void visit_all(struct preenv_session *x)
{
    struct preenv_run *r = x->run;
    char size[32];

    for (unsigned i = 0; i < PREENV_ROUNDS; i++) {
        x->round++;
        for (unsigned k = 0; k < r->config_count && goes_on(x); k++) {
            struct preenv_config *c = &r->configs[i % 2 ? r->config_count - 1 - k : k];

            if (i > 0 && c->outcome != PREENV_OK)
                continue;
            tell(x, "environment", "%s", preenv_size_text(r->request.cpu, preenv_size(r, c), size));
            if (x->warm == 0 && block(x, c, 1))
                choose_warm(x, c);
            (void)block(x, c, x->warm ? x->warm : 1);
        }
    }
}

static void sweep(struct preenv_session *x)
{
    struct preenv_run *r = x->run;
    struct preenv_decision d;
    int reference;

    r->config_count = 0;
    for (unsigned i = 0; i < r->request.grid_count; i++)
        (void)add_config(x, r->request.grid[i]);
    visit_all(x);
    if (!goes_on(x))
        return;
    select_next(x, &d, &reference);
    for (unsigned k = 0; reference >= 0 && k < r->config_count; k++)
        judge(x, &r->configs[reference], &r->configs[k], true);
    select_next(x, &d, &reference);
    finish(x, &d, reference);
}

/* ---- the whole ------------------------------------------------------------------------------------------------ */

static void prepare(struct preenv_session *x)
{
    struct preenv_run *r = x->run;

    x->begun_ms = nr_mono_ms();
    x->spent_before_ms = r->spent_ms;
    x->payloads = r->request.payload_count ? r->request.payload_count : 1;
    x->weights[0] = 1;
    x->inputs[0] = "{}";
    for (unsigned i = 0; i < r->request.payload_count; i++) {
        x->weights[i] = r->request.payloads[i].weight;
        x->inputs[i] = r->request.payloads[i].value;
    }
    x->warm = 0;
    if (r->config_count > 0) /* goes on after a restart: as many calls as a slow function gets */
        choose_warm(x, &r->configs[0]);
    x->who = nr_alloc(sizeof(*x->who));
    atomic_init(&x->who->refs, 1);
    x->who->name = nr_strdup(r->account);
    x->who->uuid = nr_strdup(r->key_uuid);
    free(r->place);
    r->place = preenv_place(x->m->data_dir, x->tester);
}

static void apply_choice(struct preenv_session *x)
{
    struct preenv_run *r = x->run;
    struct nr_err err = {0};

    if (!r->request.apply || r->state != PREENV_DONE || r->chosen == 0)
        return;
    if (preenv_apply(x->m, r, &err) == 0)
        r->applied = true;
    else
        preenv_add_advice(r, "The choice was not applied: %s", err.text);
}

void preenv_run_go(struct preenv_session *x)
{
    struct preenv_run *r = x->run;

    prepare(x);
    if (r->request.grid_count > 0)
        sweep(x);
    else
        search(x);
    apply_choice(x);
    store(x);
    account_unref(x->who);
    nr_log(x->m->config.log, NR_LOG_INFO, "fnmanager",
           "preenv=%s function=%s/%s%s%s state=%s configurations=%u chosen=%lld noisy=%d", r->id,
           r->account, r->package, r->package[0] ? "/" : "", r->name, preenv_state_text(r->state),
           r->config_count, (long long)r->chosen, r->noisy);
}
