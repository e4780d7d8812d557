/* Votes, floors and what is forbidden become one number, which limits then clamp.
 *
 * The highest vote counts. A freeze forbids the votes of rules whose priority is not above its own, a block forbids theirs downward. Where no rule votes,
 * desired stays; when none did for two of the longest windows (and the time that a start may take), it decays to the floors.
 */
#include "scaler/decide/state.h"

#include "common/base/mem.h"

static void schedule_times(struct work *w, unsigned i)
{
    const struct timetable *t = w->p->schedules[i].when;
    int64_t now_ms = w->in->now_ms;

    if (now_ms >= w->state->schedule[i].last_ms && now_ms < w->state->schedule[i].next_ms)
        return;
    w->state->schedule[i].last_ms = timetable_last(t, now_ms);
    w->state->schedule[i].next_ms = timetable_next(t, now_ms);
}

static int64_t higher(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Overlapping schedules: the highest of each counts, in place of the bounds' maximum. */
static void schedules_floor(struct work *w)
{
    int64_t max = -1, floor = -1;

    for (unsigned i = 0; i < w->p->schedule_count; i++) {
        const struct schedule *s = &w->p->schedules[i];
        int64_t last;

        schedule_times(w, i);
        last = w->state->schedule[i].last_ms;
        if (last == INT64_MIN || last > w->in->now_ms || w->in->now_ms - last >= s->for_ms)
            continue;
        w->min = higher(w->min, s->min);
        w->warm = higher(w->warm, s->min_warm);
        max = higher(max, s->max);
        floor = higher(floor, higher(s->min, s->min_warm));
    }
    w->max = max >= 0 ? max : w->max;
    w->d->floor_schedule = floor;
}

/* How many calls at a time one container is meant to have. */
static double inflight_target(const struct policy *p)
{
    for (unsigned i = 0; i < p->rule_count; i++) {
        const struct condition *c = first_metric(p, &p->conditions[p->rules[i].when]);

        if (p->rules[i].action == ACTION_TRACK && c->metric.function == NULL &&
            (c->metric.id == METRIC_INFLIGHT_PER_INSTANCE || c->metric.id == METRIC_INFLIGHT))
            return p->rules[i].target;
    }
    return 1;
}

/* The forecast may raise, by so much and no more, what would be without it. */
static void forecast_floor(struct work *w)
{
    const struct predict *f = &w->p->predict;
    const struct forecast_view *view = &w->in->forecast;
    int64_t without = higher(w->rules, higher(w->warm, w->min)), floor;

    w->d->forecast = *view;
    w->d->forecast_shadow = !f->enabled || view->confidence < f->min_confidence ||
                            !(f->may_prewarm || f->may_raise_min);
    if (!view->known || w->d->forecast_shadow)
        return;
    floor = count_up(view->p90 / inflight_target(w->p));
    if (f->max_extra >= 0 && floor > without + f->max_extra)
        floor = without + f->max_extra;
    w->d->floor_forecast = floor;
    if (f->may_prewarm)
        w->warm = higher(w->warm, floor);
}

static bool forbidden(const struct work *w, unsigned i)
{
    return w->frozen && w->p->rules[i].priority <= w->freeze_priority;
}

static bool blocked(const struct work *w, unsigned i)
{
    return w->m->block_ms > w->in->now_ms && w->p->rules[i].priority <= w->m->block_priority;
}

/* What is done about metrics that nobody told for too long. -1: nothing is missing. */
static int64_t missing_vote(const struct work *w)
{
    if (!w->missing)
        return -1;
    return w->p->missing == MISSING_FALLBACK ? w->p->missing_fallback
           : w->p->missing == MISSING_HOLD   ? w->from
                                             : higher(w->from, w->p->missing_fallback);
}

/* The highest vote that nothing forbids, -1: none. */
static int64_t highest_vote(struct work *w)
{
    int64_t best = -1, held = -1, frozen = -1;

    for (unsigned i = 0; i < w->p->rule_count; i++) {
        if (w->vote[i] < 0)
            continue;
        if (forbidden(w, i))
            frozen = higher(frozen, w->vote[i]);
        else if (w->vote[i] < w->from && blocked(w, i))
            held = higher(held, w->vote[i]);
        else
            best = higher(best, w->vote[i]);
    }
    if (frozen >= 0 && frozen != w->from && frozen > best)
        clamp_note(w, CLAMP_FREEZE, frozen, w->from, "a rule of priority %lld freezes it",
                   (long long)w->freeze_priority);
    if (best >= 0 || held < 0)
        return best;
    clamp_note(w, CLAMP_BLOCK_DOWN, held, w->from, "a rule forbids it for %s s more",
               number_text((double)(w->m->block_ms - w->in->now_ms) / 1000).z);
    return w->from;
}

/* No rule has a vote: it stays, or has stayed for long enough. */
static int64_t no_vote(const struct work *w)
{
    int64_t quiet_ms = w->in->now_ms - w->m->voted_ms,
            keep_ms = KEEP_WINDOWS * w->state->longest_ms;

    keep_ms = w->p->rule_count && keep_ms < START_DEADLINE_MS ? START_DEADLINE_MS : keep_ms;
    return quiet_ms >= keep_ms ? 0 : w->m->level;
}

static void rules_merge(struct work *w)
{
    int64_t best = highest_vote(w), missing = missing_vote(w);

    w->voted = best >= 0 || missing >= 0;
    w->d->made_by = missing > best ? MADE_BY_MISSING : MADE_BY_RULES;
    if (missing >= 0 && missing > best) {
        clamp_note(w, CLAMP_MISSING, best < 0 ? w->m->level : best, missing,
                   "a metric was not told for %s s",
                   number_text((double)w->p->missing_after_ms / 1000).z);
        best = missing;
    }
    w->rules = best >= 0 ? best : no_vote(w);
}

/* Only what a freeze does not forbid moves it; floors do not either. */
static void stay_frozen(struct work *w)
{
    int64_t vote = -1;

    for (unsigned i = 0; i < w->p->rule_count; i++)
        if (w->vote[i] >= 0 && !forbidden(w, i))
            vote = higher(vote, w->vote[i]);
    w->wanted = vote < 0 ? w->from : vote;
    w->d->made_by = vote < 0 ? MADE_BY_FREEZE : MADE_BY_RULES;
}

/* The first of all that want the most; a rule that votes before floors, floors before what is merely left as it is. */
static enum decision_maker maker(const struct work *w, bool calls)
{
    const struct decision *d = w->d;
    int64_t most = higher(w->wanted, bounds_min(w));
    const struct {
        int64_t wants;
        enum decision_maker by;
    } all[] = {{w->voted ? w->rules : -1, d->made_by},
               {d->floor_schedule, MADE_BY_SCHEDULE},
               {d->floor_forecast, MADE_BY_FORECAST},
               {d->floor_min_warm, MADE_BY_MIN_WARM},
               {bounds_min(w) > 0 ? bounds_min(w) : -1, MADE_BY_MIN},
               {w->warm > 0 ? w->warm : -1, MADE_BY_PREWARM},
               {calls && w->rules < 1 ? 1 : -1, MADE_BY_CALLS}};

    for (unsigned i = 0; i < nr_countof(all); i++)
        if (all[i].wants == most)
            return all[i].by;
    return most > 0 ? MADE_BY_KEEPING : MADE_BY_QUIET;
}

void votes_merge(struct work *w)
{
    const struct window_now *now = &w->in->now;
    bool calls = w->p->target == TARGET_FUNCTION && now->inflight + now->waiting > 0;

    rules_merge(w);
    schedules_floor(w);
    forecast_floor(w);
    w->wanted =
        higher(higher(w->rules, w->warm), higher(w->d->floor_forecast, w->d->floor_schedule));
    w->wanted = calls ? higher(w->wanted, 1) : w->wanted;
    w->d->made_by = maker(w, calls);
    if (w->frozen)
        stay_frozen(w);
}
