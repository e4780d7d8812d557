/* Best Env Selector.
 *
 * Memory:
 *   declared   is tested first; its peak is read. When it is not enough the size doubles until one is, up to the node's
 *   jump       to the first step at which the peak stays below 85 % of the limit
 *   verify     a size does when it ended well, is not slower than the reference and keeps the headroom with its own peak
 *   further    code that adapts to its limit (caches, V8) peaks lower in a smaller one: then there is another jump
 *   back       a jump too far (slower, killed, no headroom) is bisected upward, between the largest size that does not do and
 *              the smallest that does
 * Processors, and any list of sizes that the caller names: all of them are tested, then the smallest one that does is chosen.
 */
#include "fnmanager/preenv/preenv_selector.h"

#include <stdarg.h>
#include <stdio.h>

int64_t preenv_step_for(double peak_mb)
{
    double need = peak_mb / PREENV_HEADROOM / PREENV_STEP_MB;
    int64_t steps = (int64_t)need;

    if ((double)steps < need)
        steps++;
    return (steps > 0 ? steps : 1) * PREENV_STEP_MB;
}

static void say(struct preenv_decision *d, enum preenv_step step, int64_t size, const char *fmt,
                ...) __attribute__((format(printf, 4, 5)));

static void say(struct preenv_decision *d, enum preenv_step step, int64_t size, const char *fmt,
                ...)
{
    va_list ap;

    d->step = step;
    d->size = size;
    va_start(ap, fmt);
    (void)vsnprintf(d->reason, sizeof(d->reason), fmt, ap);
    va_end(ap);
}

int preenv_reference(const struct preenv_search *s, const struct preenv_point *p, unsigned n)
{
    int found = -1;

    for (unsigned i = 0; i < n; i++) {
        if (p[i].outcome != PREENV_OK)
            continue;
        if (!s->grid && !s->cpu)
            return (int)i;
        if (found < 0 || p[i].size > p[found].size)
            found = (int)i;
    }
    return found;
}

static bool has_headroom(const struct preenv_point *p)
{
    return p->peak_mb <= PREENV_HEADROOM * (double)p->size;
}

static bool does(const struct preenv_search *s, const struct preenv_point *p)
{
    if (p->outcome != PREENV_OK)
        return false;
    if (s->cpu)
        return s->target_ms > 0 ? p->p95_ms <= s->target_ms : !p->slower;
    return !p->slower && has_headroom(p);
}

static const struct preenv_point *point_at(const struct preenv_point *p, unsigned n, int64_t size)
{
    for (unsigned i = 0; i < n; i++)
        if (p[i].size == size)
            return &p[i];
    return NULL;
}

static const struct preenv_point *smallest_good(const struct preenv_search *s,
                                                const struct preenv_point *p, unsigned n)
{
    const struct preenv_point *good = NULL;

    for (unsigned i = 0; i < n; i++)
        if (does(s, &p[i]) && (good == NULL || p[i].size < good->size))
            good = &p[i];
    return good;
}

/* The largest below `size` that does not do. */
static const struct preenv_point *largest_bad(const struct preenv_search *s,
                                              const struct preenv_point *p, unsigned n,
                                              int64_t size)
{
    const struct preenv_point *bad = NULL;

    for (unsigned i = 0; i < n; i++)
        if (!does(s, &p[i]) && p[i].size < size && (bad == NULL || p[i].size > bad->size))
            bad = &p[i];
    return bad;
}

/* ---- sentences ----------------------------------------------------------------------------------------------- */

static const char *why_bad(const struct preenv_point *p, char text[120])
{
    switch (p->outcome) {
    case PREENV_OK:
        if (p->slower)
            (void)snprintf(text, 120, "%.1f %% slower%s", 100 * p->slow_by,
                           p->by_cpu ? " by CPU time" : "");
        else
            (void)snprintf(text, 120, "its peak of %.0f MB leaves no headroom", p->peak_mb);
        break;
    case PREENV_OOM: (void)snprintf(text, 120, "killed for its memory"); break;
    case PREENV_ABORT: (void)snprintf(text, 120, "its heap was full"); break;
    case PREENV_TIMEOUT: (void)snprintf(text, 120, "it ran into its time limit"); break;
    default: (void)snprintf(text, 120, "it failed"); break;
    }
    return text;
}

/* "the same run time as", "12.4 % less CPU time than": what was measured; whether that is more than may be, the choice says. */
static const char *how_long(const struct preenv_point *p, char text[48])
{
    const char *what = p->by_cpu ? "CPU time" : "run time";
    double percent = 100 * (p->slow_by < 0 ? -p->slow_by : p->slow_by);

    if (percent < 0.05)
        (void)snprintf(text, 48, "the same %s as", what);
    else
        (void)snprintf(text, 48, "%.1f %% %s %s than", percent, p->slow_by < 0 ? "less" : "more",
                       what);
    return text;
}

static void choose(const struct preenv_search *s, const struct preenv_point *p, unsigned n,
                   const struct preenv_point *good, bool early, struct preenv_decision *ret)
{
    const struct preenv_point *bad = largest_bad(s, p, n, good->size);
    int reference = preenv_reference(s, p, n);
    char why[120], size[32], below[32] = "", next[200] = "", took[48];

    if (bad)
        (void)snprintf(next, sizeof(next), "; %s does not do: %s",
                       preenv_size_text(s->cpu, bad->size, below), why_bad(bad, why));
    if (early)
        (void)snprintf(next + strlen(next), sizeof(next) - strlen(next),
                       "; what lies between was not tested, for %u configurations are enough", n);
    preenv_size_text(s->cpu, good->size, size);
    if (s->cpu)
        say(ret, PREENV_CHOOSE, good->size, "%s: p95 %.1f ms%s", size, good->p95_ms, next);
    else if (reference >= 0 && &p[reference] == good)
        say(ret, PREENV_CHOOSE, good->size,
            "%s is the smallest that does: peak %.0f MB is %.0f %% of it%s", size, good->peak_mb,
            100 * good->peak_mb / (double)good->size, next);
    else
        say(ret, PREENV_CHOOSE, good->size,
            "%s: peak %.0f MB is %.0f %% of it, and calls took %s with %lld MB%s", size,
            good->peak_mb, 100 * good->peak_mb / (double)good->size, how_long(good, took),
            (long long)(reference >= 0 ? p[reference].size : 0), next);
}

/* ---- memory -------------------------------------------------------------------------------------------------- */

/* Nothing has ended well so far. */
static void go_up(const struct preenv_search *s, const struct preenv_point *p, unsigned n,
                  struct preenv_decision *ret)
{
    const struct preenv_point *last = &p[n - 1];
    int64_t next = 2 * last->size < s->ceiling ? 2 * last->size : s->ceiling;

    if (last->outcome == PREENV_TIMEOUT)
        say(ret, PREENV_GIVE_UP, 0, "A test call ran into the function's time limit at %lld MB: %s",
            (long long)last->size, last->error);
    else if (last->outcome != PREENV_OOM && last->outcome != PREENV_ABORT)
        say(ret, PREENV_GIVE_UP, 0, "A test call failed at %lld MB: %s", (long long)last->size,
            last->error);
    else if (last->size >= s->ceiling)
        say(ret, PREENV_GIVE_UP, 0,
            "It needs more memory than this node has for one function: it was killed at %lld MB, and %lld MB is the limit.",
            (long long)last->size, (long long)s->ceiling);
    else if (n >= s->tested_max)
        say(ret, PREENV_GIVE_UP, 0,
            "It was killed for its memory at each of %u sizes, up to %lld MB.", n,
            (long long)last->size);
    else
        say(ret, PREENV_TEST, n + 1 == s->tested_max ? s->ceiling : next, "%lld MB is not enough",
            (long long)last->size);
}

/* The reference ended well, but nothing has headroom and is fast. */
static void find_good(const struct preenv_search *s, const struct preenv_point *p, unsigned n,
                      const struct preenv_point *reference, struct preenv_decision *ret)
{
    const struct preenv_point *largest = reference;

    for (unsigned i = 0; i < n; i++)
        if (p[i].outcome == PREENV_OK && p[i].size > largest->size)
            largest = &p[i];
    int64_t next = preenv_step_for(largest->peak_mb);

    if (next <= largest->size)
        next = largest->size + PREENV_STEP_MB;
    if (next <= s->ceiling && n < s->tested_max && largest->size < 2 * reference->size)
        say(ret, PREENV_TEST, next, "the peak of %.0f MB leaves no headroom in %lld MB",
            largest->peak_mb, (long long)largest->size);
    else
        say(ret, PREENV_CHOOSE, reference->size,
            "%lld MB stays: its peak of %.0f MB is %.0f %% of it, and no larger size that this node has gives headroom",
            (long long)reference->size, reference->peak_mb,
            100 * reference->peak_mb / (double)reference->size);
}

static void narrow(const struct preenv_search *s, const struct preenv_point *p, unsigned n,
                   const struct preenv_point *good, struct preenv_decision *ret)
{
    const struct preenv_point *bad = largest_bad(s, p, n, good->size);
    int64_t below = bad ? bad->size : 0, target = preenv_step_for(good->peak_mb);

    if (target < s->floor)
        target = s->floor;
    if (n >= s->tested_max)
        choose(s, p, n, good, good->size - below > PREENV_STEP_MB && target < good->size, ret);
    else if (target < good->size && target > below)
        say(ret, PREENV_TEST, target, "its peak of %.0f MB fits into %lld MB", good->peak_mb,
            (long long)target);
    else if (bad && target < good->size && good->size - below > PREENV_STEP_MB)
        say(ret, PREENV_TEST, below + (good->size - below) / PREENV_STEP_MB / 2 * PREENV_STEP_MB,
            "%lld MB does not do and %lld MB does", (long long)below, (long long)good->size);
    else
        choose(s, p, n, good, false, ret);
}

static void no_choice(const struct preenv_search *s, struct preenv_decision *ret)
{
    say(ret, PREENV_NO_CHOICE, 0,
        "It grows by %.1f MB per call: no size lasts, so none is recommended. Recycle its container instead.",
        s->growth_mb);
}

/* ---- both axes ----------------------------------------------------------------------------------------------- */

static void select_from_grid(const struct preenv_search *s, const struct preenv_point *p,
                             unsigned n, struct preenv_decision *ret)
{
    const struct preenv_point *good = smallest_good(s, p, n);
    char size[32];
    int reference = preenv_reference(s, p, n);

    for (unsigned i = 0; i < s->grid_count; i++)
        if (point_at(p, n, s->grid[i]) == NULL) {
            say(ret, PREENV_TEST, s->grid[i], "%s is on the list",
                preenv_size_text(s->cpu, s->grid[i], size));
            return;
        }
    if (good)
        choose(s, p, n, good, false, ret);
    else if (reference < 0)
        say(ret, PREENV_GIVE_UP, 0, "None of the %u configurations ended well: %s", n, p[0].error);
    else if (s->cpu)
        say(ret, PREENV_NO_CHOICE, 0, "p95 is %.1f ms with %s, above the target of %.1f ms",
            p[reference].p95_ms, preenv_size_text(true, p[reference].size, size), s->target_ms);
    else
        say(ret, PREENV_NO_CHOICE, 0, "None of the %u sizes leaves headroom for its peak.", n);
}

void preenv_select(const struct preenv_search *s, const struct preenv_point *p, unsigned n,
                   struct preenv_decision *ret)
{
    int reference = preenv_reference(s, p, n);
    const struct preenv_point *good = smallest_good(s, p, n);

    if (s->grid)
        select_from_grid(s, p, n, ret);
    else if (n == 0)
        say(ret, PREENV_TEST, s->declared, "it is declared with %lld MB", (long long)s->declared);
    else if (reference < 0)
        go_up(s, p, n, ret);
    else if (s->growth_mb > 0)
        no_choice(s, ret);
    else if (good == NULL)
        find_good(s, p, n, &p[reference], ret);
    else
        narrow(s, p, n, good, ret);
}
