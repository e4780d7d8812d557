/* Sketches over time. A second's calls fall into few buckets, so a cell keeps only those that have something, a word each. They are written at the end of the block as time
 * goes on; what fell out of the ring lies at its beginning, and goes when the block is full. A sample that comes late is put between what is there.
 */
#include "common/base/mem.h"
#include "scaler/decide/cells.h"

enum { SPARE_CELLS = 8, GROW_BY = 64 };
_Static_assert(SKETCH_BUCKETS <= 1 << WORD_BUCKET_BITS, "a bucket's number fits a word");

static uint32_t *begin_of(const struct sketch_ring *r, int64_t number)
{
    return &r->at[(uint64_t)number % r->n];
}

static unsigned end_of(const struct sketch_ring *r, int64_t number)
{
    return number == r->newest ? r->used : *begin_of(r, number + 1);
}

static int64_t oldest_of(const struct sketch_ring *r)
{
    return r->newest - (int64_t)r->n + 1;
}

static bool ring_room(struct sketch_ring *r, struct budget *b, unsigned n)
{
    if (n <= r->n)
        return true;

    uint32_t *at = budget_alloc(b, n * sizeof *at);
    unsigned first = r->n ? *begin_of(r, oldest_of(r)) : 0;

    if (at == NULL)
        return false;
    for (int64_t c = r->newest - n + 1; c <= r->newest; c++)
        at[(uint64_t)c % n] = r->n && c >= oldest_of(r) ? *begin_of(r, c) : first;
    budget_free(b, r->at, r->n * sizeof *r->at);
    r->at = at;
    r->n = n;
    return true;
}

bool sketches_room(struct sketch_series *s, struct budget *b, unsigned fine, unsigned coarse)
{
    return ring_room(&s->fine, b, fine ? fine + SPARE_CELLS : 0) &&
           ring_room(&s->coarse, b, coarse ? coarse / COARSE_SECONDS + SPARE_CELLS : 0);
}

static void ring_free(struct sketch_ring *r, struct budget *b)
{
    budget_free(b, r->words, r->room * sizeof *r->words);
    budget_free(b, r->at, r->n * sizeof *r->at);
    memset(r, 0, sizeof *r);
}

void sketches_free(struct sketch_series *s, struct budget *b)
{
    ring_free(&s->fine, b);
    ring_free(&s->coarse, b);
}

/* The ring has the cell from now on; those that it takes the place of are empty. False: it is older than the ring is long. */
static bool ring_reach(struct sketch_ring *r, int64_t number)
{
    if (r->n == 0 || number <= r->newest - (int64_t)r->n)
        return false;
    if (number - r->newest > (int64_t)r->n)
        r->newest = number - r->n;
    while (r->newest < number)
        *begin_of(r, ++r->newest) = r->used;
    return true;
}

static uint32_t sum(uint32_t a, uint32_t b)
{
    return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

/* What is of no cell any more goes. */
static void compact(struct sketch_ring *r)
{
    unsigned dead = *begin_of(r, oldest_of(r));

    memmove(r->words, r->words + dead, (r->used - dead) * sizeof *r->words);
    for (unsigned i = 0; i < r->n; i++)
        r->at[i] -= dead;
    r->used -= dead;
}

/* Room for one more word. */
static bool grow(struct sketch_ring *r, struct budget *b)
{
    if (r->used < r->room)
        return true;
    if (r->used > 0)
        compact(r);
    if (r->used <= r->room / 4 * 3 && r->used < r->room)
        return true;

    unsigned room = r->room + r->room / 2 + GROW_BY;
    uint32_t *more = budget_alloc(b, room * sizeof *more);

    if (more == NULL)
        return r->used < r->room;
    if (r->used)
        memcpy(more, r->words, r->used * sizeof *more);
    budget_free(b, r->words, r->room * sizeof *r->words);
    r->words = more;
    r->room = room;
    return true;
}

static uint32_t word_of(uint32_t bucket, uint32_t count)
{
    return count << WORD_BUCKET_BITS | bucket;
}

static uint32_t bucket_of(uint32_t word)
{
    return word & ((1u << WORD_BUCKET_BITS) - 1);
}

static uint32_t count_of(uint32_t word)
{
    return word >> WORD_BUCKET_BITS;
}

/* A further word of a cell, behind so many that it has. */
static bool insert(struct sketch_ring *r, struct budget *b, int64_t number, unsigned place,
                   uint32_t word)
{
    unsigned at;

    if (!grow(r, b))
        return false;
    at = *begin_of(r, number) + place;
    memmove(&r->words[at + 1], &r->words[at], (r->used - at) * sizeof *r->words);
    r->words[at] = word;
    r->used++;
    while (++number <= r->newest)
        ++*begin_of(r, number);
    return true;
}

/* So many more in a bucket of a cell, whose words begin at *place or later: as far as they have room, then in further ones. */
static bool bucket_add(struct sketch_ring *r, struct budget *b, int64_t number, unsigned *place,
                       uint32_t bucket, uint32_t count)
{
    for (; count > 0; ++*place) {
        unsigned begin = *begin_of(r, number), n = end_of(r, number) - begin;

        while (*place < n && bucket_of(r->words[begin + *place]) < bucket)
            ++*place;

        bool there = *place < n && bucket_of(r->words[begin + *place]) == bucket;
        uint32_t has = there ? count_of(r->words[begin + *place]) : 0,
                 more = count < WORD_COUNT_MAX - has ? count : WORD_COUNT_MAX - has;

        if (there)
            r->words[begin + *place] = word_of(bucket, has + more);
        else if (!insert(r, b, number, *place, word_of(bucket, more)))
            return false;
        count -= more;
    }
    return true;
}

static bool ring_add(struct sketch_ring *r, struct budget *b, int64_t number,
                     const struct sketch *more)
{
    unsigned place = 0;

    if (!ring_reach(r, number))
        return true;
    for (uint32_t i = 0; i < SKETCH_BUCKETS; i++)
        if (more->bucket[i] > 0 && !bucket_add(r, b, number, &place, i, more->bucket[i]))
            return false;
    return true;
}

bool sketches_add(struct sketch_series *s, struct budget *b, int64_t second,
                  const struct sketch *more)
{
    bool fine = ring_add(&s->fine, b, second, more);

    return ring_add(&s->coarse, b, second / COARSE_SECONDS, more) && fine;
}

const void *sketches_newest(const struct sketch_ring *r, unsigned cells, size_t *ret_bytes)
{
    int64_t first = r->newest - (int64_t)(cells < r->n ? cells : r->n) + 1;
    unsigned begin = r->n && cells ? *begin_of(r, first) : r->used;

    *ret_bytes = (r->used - begin) * sizeof *r->words;
    return r->words + begin;
}

void sketches_merge(const struct sketch_series *s, bool coarse, int64_t first, int64_t last,
                    struct sketch *to)
{
    const struct sketch_ring *r = coarse ? &s->coarse : &s->fine;

    if (r->used == 0)
        return;
    first = first > oldest_of(r) ? first : oldest_of(r);
    last = last < r->newest ? last : r->newest;
    if (first > last)
        return;

    const uint32_t *c = r->words + *begin_of(r, first), *end = r->words + end_of(r, last);
    uint64_t count = to->count;

    for (const uint32_t *each = c; each < end; each++)
        count += count_of(*each);
    if (count <= UINT32_MAX)
        for (; c < end; c++)
            to->bucket[bucket_of(*c)] += count_of(*c);
    for (; c < end; c++)
        to->bucket[bucket_of(*c)] = sum(to->bucket[bucket_of(*c)], count_of(*c));
    to->count = (uint32_t)(count < UINT32_MAX ? count : UINT32_MAX);
}
