/* What is the case now, by the newest samples. Who asks for it goes on to ask for windows of the same function, so these are fetched meanwhile, all at once: each
 * function has a few kilobytes of them, and a thousand functions more than a processor's own memory holds.
 */
#include "scaler/decide/windows_parts.h"

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static int64_t whole(double value)
{
    return value > 0 ? value < 1e15 ? (int64_t)value : (int64_t)1e15 : 0;
}

enum { LINE_BYTES = 64, FETCH_MAX_BYTES = 4096 };

static void fetch(const void *from, size_t bytes)
{
    for (size_t at = 0; at < bytes && at < FETCH_MAX_BYTES; at += LINE_BYTES)
        __builtin_prefetch((const char *)from + at);
}

/* Of seconds with totals these, before the longest window and at its end, which is where shorter ones end; else all of them. */
static void fetch_seconds(const struct ring *r, unsigned seconds)
{
    int64_t first = r->newest - (int64_t)seconds + 1;

    if (!ring_is_whole(r, first, r->newest)) {
        fetch(r->value, r->n * sizeof(double));
        return;
    }
    __builtin_prefetch(ring_totals(r) + ring_place(r, first - 1));
    __builtin_prefetch(ring_totals(r) + ring_place(r, r->newest));
}

/* Of columns the sums and the counts only. */
static void fetch_windows(const struct thing *t, const struct source *s)
{
    for (unsigned i = 0; i < SAMPLE_SKETCHES; i++) {
        size_t bytes;
        const void *newest =
            sketches_newest(&s->sketch[i].fine, t->fine[sample_sketches[i]] + 1u, &bytes);

        fetch(newest, bytes);
    }
    for (uint64_t left = s->series ? t->wants : 0; left; left &= left - 1) {
        unsigned metric = (unsigned)__builtin_ctzll(left);
        const struct series *m = &s->series[metric];

        fetch_seconds(&m->fine, t->fine[metric]);
        fetch(m->coarse.value, m->coarse.n * sizeof(double));
        if (m->coarse.n)
            fetch(ring_counts(&m->coarse), m->coarse.n * sizeof(uint32_t));
    }
}

void windows_now(struct windows *w, const char *account, const char *function, int64_t now_ms,
                 struct window_now *ret)
{
    const struct thing *t =
        account && function ? thing_find(w, nr_str_of(account), nr_str_of(function)) : NULL;

    *ret = (struct window_now){.node_free_mb = -1};
    for (const struct source *n = w->nodes.sources; n; n = n->next) {
        if (n->t_ms <= now_ms - LIVE_MS)
            continue;
        ret->known = true;
        ret->nodes++;
        if (n->second != INT64_MIN && n->now[0] >= 0)
            ret->node_free_mb = (ret->node_free_mb < 0 ? 0 : ret->node_free_mb) + whole(n->now[0]);
    }
    for (const struct source *s = t ? t->sources : NULL; s; s = s->next) {
        fetch_windows(t, s);
        if (!source_present(w, s, now_ms))
            continue;
        ret->known = true;
        ret->instances += whole(s->now[NOW_INSTANCES]);
        ret->busy += whole(s->now[NOW_BUSY]);
        ret->starting += whole(s->now[NOW_STARTING]);
        ret->inflight += whole(s->now[NOW_INFLIGHT]);
        ret->waiting += whole(s->now[NOW_QUEUE]);
        ret->instance_mb = (int64_t)larger((double)ret->instance_mb, s->now[NOW_INSTANCE_MB]);
        ret->instances_max = (int64_t)larger((double)ret->instances_max, s->now[NOW_INSTANCES_MAX]);
        ret->concurrent_max =
            (int64_t)larger((double)ret->concurrent_max, s->now[NOW_CONCURRENT_MAX]);
    }
}
