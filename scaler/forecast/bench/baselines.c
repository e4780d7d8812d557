/* Policies to compare with: a fixed time, and the hybrid histogram of Shahrad et al. (USENIX ATC 2020).
 *
 * Both decide at a call and hold until the next: warm from `from` to `until` minutes after it. What they cost follows from the gap to the next call.
 */
#include "scaler/forecast/bench/bench.h"

#include <math.h>
#include <stdbool.h>

enum {
    BINS = 241,     /* gaps of 0 to 240 minutes */
    GAPS_LEAST = 5, /* fewer tell nothing */
};
#define SPREAD_LEAST 2.0 /* coefficient of variation over the bins: below, the histogram is flat */
#define HEAD_PART 0.05
#define TAIL_PART 0.99
#define HEAD_MARGIN 0.9
#define TAIL_MARGIN 1.1

/* Warm from so many minutes after a call until so many. */
struct window {
    uint64_t from, until;
};
struct gaps {
    uint64_t bin[BINS], inside, beyond;
};

/* The next call comes after `gap` minutes; 0: none comes in the `left` minutes until the end. */
static void settle(struct cost *c, struct window w, uint64_t gap, uint64_t left)
{
    uint64_t first = w.from == 0 ? 1 : w.from, last = w.until;
    if (gap == 0) {
        last = last < left ? last : left;
        c->idle += last >= first ? last - first + 1 : 0;
    } else if (gap >= first && gap <= last) {
        c->idle += gap - first;
    } else {
        c->cold++;
        c->idle += gap > last && last >= first ? last - first + 1 : 0;
    }
}

static uint64_t bin_at(const struct gaps *g, double part)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < BINS; i++) {
        sum += g->bin[i];
        if (sum > 0 && (double)sum >= part * (double)g->inside)
            return i;
    }
    return BINS - 1;
}

static bool telling(const struct gaps *g)
{
    uint64_t known = g->inside + g->beyond;
    if (known < GAPS_LEAST || g->beyond * 2 > known || g->inside == 0)
        return false;
    double mean = (double)g->inside / BINS, squares = 0;
    for (size_t i = 0; i < BINS; i++)
        squares += ((double)g->bin[i] - mean) * ((double)g->bin[i] - mean);
    return sqrt(squares / BINS) / mean >= SPREAD_LEAST;
}

static struct window hybrid_window(const struct gaps *g, uint64_t fallback_minutes)
{
    if (!telling(g))
        return (struct window){0, fallback_minutes};
    uint64_t from = (uint64_t)floor(HEAD_MARGIN * (double)bin_at(g, HEAD_PART));
    uint64_t until = (uint64_t)ceil(TAIL_MARGIN * (double)bin_at(g, TAIL_PART));
    return (struct window){from <= 1 ? 0 : from, until};
}

static void note(struct gaps *g, uint64_t gap)
{
    if (gap < BINS)
        g->bin[gap]++, g->inside++;
    else
        g->beyond++;
}

static void cost_of_one(const uint32_t *calls, size_t minutes, uint64_t keep, bool hybrid,
                        struct cost *c)
{
    struct gaps g = {0};
    struct window w = {0, keep};
    size_t called = SIZE_MAX;
    for (size_t m = 0; m < minutes; m++) {
        if (calls[m] == 0)
            continue;
        if (called == SIZE_MAX) {
            c->cold++;
        } else {
            settle(c, w, m - called, 0);
            note(&g, m - called);
        }
        called = m;
        if (hybrid)
            w = hybrid_window(&g, keep);
    }
    if (called != SIZE_MAX)
        settle(c, w, 0, minutes - 1 - called);
}

struct cost cost_fixed(const struct trace *t, uint64_t keep_minutes)
{
    struct cost c = {0};
    for (size_t f = 0; f < t->functions; f++)
        cost_of_one(t->calls + f * t->minutes, t->minutes, keep_minutes, false, &c);
    return c;
}

struct cost cost_hybrid(const struct trace *t, uint64_t fallback_minutes)
{
    struct cost c = {0};
    for (size_t f = 0; f < t->functions; f++)
        cost_of_one(t->calls + f * t->minutes, t->minutes, fallback_minutes, true, &c);
    return c;
}
