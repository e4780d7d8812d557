/* Pure parts of the pool. */
#include "invoker/pool_rules.h"

/* Slots that did not dial in this long after the code was loaded are not counted on any more. */
enum { LATE_SLOT_US = 1000000 };
/* So many load their code ahead at a time on the smallest node; after so long one is not counted; the first pause after a failure, how often it is doubled, the longest. */
enum {
    AHEAD_LEAST = 2,
    AHEAD_LONG_US = 10000000,
    AHEAD_AGAIN_MS = 5000,
    AHEAD_DOUBLINGS_MAX = 16,
    AHEAD_AGAIN_MAX_MS = 600000,
    AHEAD_STAYS_MS = 60000
};

unsigned slots_coming(const struct container *ct, uint64_t now_us)
{
    if (ct->retired)
        return 0;
    switch (ct->state) {
    case CT_STARTING: return ct->slot_count;
    case CT_ADOPTING: return ct->slot_count;
    case CT_FRESH:
    case CT_INIT: /* the first slot loads the code, for its call or ahead; the others dial in after that */
        return ct->slot_count - (ct->ahead == NULL);
    case CT_BUSY:
    case CT_IDLE:
    case CT_FROZEN:
        return span_us(ct->loaded_us, now_us) < LATE_SLOT_US ? ct->slot_count - ct->connected : 0;
    default: return 0;
    }
}

bool start_pays(const struct queue_view *q)
{
    unsigned served = q->slots + q->coming;

    if (q->waiting <= q->coming + q->returning || q->starting >= q->starting_max)
        return false;
    if (served == 0 || q->call_us == 0 || q->oldest_us > q->start_us)
        return true;
    return q->waiting * q->call_us / served > q->start_us;
}

bool ahead_fits(const struct ahead_view *a)
{
    unsigned most = a->cores > AHEAD_LEAST ? a->cores : AHEAD_LEAST;

    return !a->pausing && a->loading < most && a->of_account < most / 2 &&
           (a->of_version == 0 || a->loaded_before);
}

bool ahead_slows(uint64_t took_us)
{
    return took_us < AHEAD_LONG_US;
}

size_t ahead_tail(struct nr_str text, size_t n)
{
    if (text.n <= n)
        return 0;
    size_t at = text.n - n;
    const char *end = memchr(text.p + at, '\n', n);

    if (end && end + 1 < text.p + text.n)
        return (size_t)(end + 1 - text.p);
    while (at < text.n && ((unsigned char)text.p[at] & 0xC0) == 0x80)
        at++;
    return at;
}

uint64_t ahead_again_ms(unsigned failures)
{
    unsigned doublings = failures > 0 ? failures - 1 : 0;
    uint64_t ms =
        AHEAD_AGAIN_MS << (doublings < AHEAD_DOUBLINGS_MAX ? doublings : AHEAD_DOUBLINGS_MAX);

    return ms < AHEAD_AGAIN_MAX_MS ? ms : AHEAD_AGAIN_MAX_MS;
}

bool ahead_stays(uint64_t idle_since_ms, uint64_t failed_ms, uint64_t now_ms)
{
    return idle_since_ms > failed_ms && now_ms >= idle_since_ms + AHEAD_STAYS_MS;
}

void decay_towards(uint64_t *average, uint64_t value)
{
    *average = *average == 0 ? value + 1 : (7 * *average + value) / 8 + 1;
}

void past_ran(struct past *past, const struct pool *p)
{
    past->revision = p->revision;
    if (p->fn->stored > past->newest)
        past->newest = p->fn->stored;
}

/* A published version stays what it is: it was never updated, though its function's name ran before. */
enum cold_cause cold_cause_of(const struct pool *p)
{
    const struct past *past = p->past;
    bool published = p->fn->published > 0;

    if (p->container_count > 0)
        return COLD_SCALE_OUT;
    if (past->revision == 0 ||
        (published && (p->fn->stored > past->newest || past->last_end == ENDED_NOT)))
        return COLD_FIRST_CALL;
    return past->revision != p->revision && !published ? COLD_UPDATED
                                                       : cold_cause_after(past->last_end);
}

double eviction_priority(double clock, uint64_t uses, uint64_t cost_us, int64_t memory_mb)
{
    return clock + (double)uses * (double)cost_us / (double)(memory_mb > 0 ? memory_mb : 1);
}

static uint64_t rooms(int64_t free_mb, int64_t memory_mb)
{
    return free_mb > 0 ? (uint64_t)(free_mb / memory_mb) : 0;
}

unsigned stem_target(const struct stem_view *s)
{
    /* As many as are asked for while a new one starts; twice that, for requests come in bunches. */
    uint64_t asked = 2 * (uint64_t)s->per_1000_s * s->start_us;
    uint64_t n = s->minimum + (asked + 500000000) / 1000000000;
    uint64_t most = 8 * (uint64_t)s->cores > s->minimum ? 8 * (uint64_t)s->cores : s->minimum;
    uint64_t room = rooms(s->memory_free_mb, s->memory_mb);
    uint64_t spare = rooms(s->memory_spare_mb, s->memory_mb);

    n = n > s->bunch ? n : s->bunch;
    n = n < most ? n : most;
    n = n < spare ? n : spare;
    n = n > s->minimum ? n : s->minimum;
    return (unsigned)(n < room ? n : room);
}

bool memory_reserve(struct node *n, int64_t mb)
{
    int64_t used = atomic_load(&n->memory_used_mb);

    do {
        if (used + mb > n->memory_max_mb)
            return false;
    } while (!atomic_compare_exchange_weak(&n->memory_used_mb, &used, used + mb));
    return true;
}

void memory_release(struct node *n, int64_t mb)
{
    (void)atomic_fetch_sub(&n->memory_used_mb, mb);
}

int64_t memory_missing_mb(struct node *n, int64_t mb)
{
    return atomic_load(&n->memory_used_mb) + mb - n->memory_max_mb;
}
