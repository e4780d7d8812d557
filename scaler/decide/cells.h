/* What a window is made of: rings of cells of one second or of ten, sums in them exact, and the same of sketches. Pure; one thread at a time.
 */
#ifndef NR_SCALER_DECIDE_CELLS_H
#define NR_SCALER_DECIDE_CELLS_H

#include <math.h>

#include "ports/sample.h"

enum {
    COARSE_SECONDS = 10,
    FINE_MAX_SECONDS = 120, /* a longer window is made of coarse cells */
    CARRY_SECONDS = 3       /* a gauge that nobody told for so long is what it was */
};

/* Bytes that all rings together may have. */
struct budget {
    size_t used, max;
};
/* Zeroed memory (made), or NULL when the budget or the machine has no more. budget_free: bytes as they were asked for; NULL is fine. */
void *budget_alloc(struct budget *b, size_t bytes);
void budget_free(struct budget *b, void *p, size_t bytes);

struct cell {
    double sum, min, max, last;
    uint32_t count; /* of values */
};

/* n cells, the newest of which is number `newest`; numbers count from 1970. Where a cell has one value the ring is these values, then n running totals of
 * them, so that the sum of a stretch is a difference and no walk. Else it is columns, one behind the other, since a question is for one or two of them: n
 * sums, n of min, of max and of last, then n counts. Nothing is known of a cell with all bits of its value, or sum, set, which make a NAN.
 *
 * Totals hold in the stretch that ends with the newest cell and in which every cell has a whole number, as nearly all that is counted is: of these a
 * sum is the same in whatever order they are added. All else is added in the order of time, as ever. */
struct ring {
    double *value;
    unsigned n;
    bool several;
    int64_t newest;
    int64_t whole_from; /* where that stretch begins; beyond `newest`: there is none */
};

/* One number over time, in seconds, in tens of them, or both, as windows ask for. */
struct series {
    struct ring fine, coarse;
    int64_t second; /* the newest one that was told; INT64_MIN: none */
    double last;    /* of that second */
};

/* Makes room for windows of so many seconds (0: none), keeping what is there. False: there is no memory for all of it. several: a second may have several
 * values; always the same of a series. */
bool series_room(struct series *s, struct budget *b, bool several, unsigned fine, unsigned coarse);
void series_free(struct series *s, struct budget *b);
/* What was the case at the end of a second: seconds that nobody told of before it, CARRY_SECONDS at most, are as the last one. */
void series_gauge(struct series *s, int64_t second, double value);
/* How many in a second; told twice it adds up. */
void series_count(struct series *s, int64_t second, double value);
/* One of several values of a second, all of which count alike; the series has room for several. */
void series_value(struct series *s, int64_t second, double value);
/* The clock of who tells was set back: what was after `second` is forgotten. */
void series_rewind(struct series *s, int64_t second);

static inline uint32_t *ring_counts(const struct ring *r)
{
    return (uint32_t *)(r->value + (size_t)4 * r->n);
}
static inline uint64_t *ring_totals(const struct ring *r)
{
    return (uint64_t *)(void *)(r->value + r->n);
}
static inline unsigned ring_place(const struct ring *r, int64_t number)
{
    return (unsigned)((uint64_t)number % r->n);
}
/* At a place of the ring. */
static inline struct cell ring_cell(const struct ring *r, unsigned at)
{
    const double *v = r->value + at;

    return (struct cell){v[0], v[r->n], v[2 * r->n], v[3 * r->n], ring_counts(r)[at]};
}
static inline struct cell cell_of_value(double value)
{
    return (struct cell){value, value, value, value, 1};
}
/* Cells first..last of values: whole numbers all of them, behind another one, all in the ring? So their sum, and each of them, is a difference of totals. */
static inline bool ring_is_whole(const struct ring *r, int64_t first, int64_t last)
{
    return r->n > 0 && !r->several && first > r->whole_from && first <= last && last <= r->newest &&
           first - 1 > r->newest - (int64_t)r->n;
}
static inline double ring_sum(const struct ring *r, int64_t first, int64_t last)
{
    const uint64_t *totals = ring_totals(r);

    return (double)(int64_t)(totals[ring_place(r, last)] - totals[ring_place(r, first - 1)]);
}
/* False: it is out of the ring, or nothing is known of it. */
static inline bool ring_read(const struct ring *r, int64_t number, struct cell *ret)
{
    if (r->n == 0 || number > r->newest || number <= r->newest - (int64_t)r->n)
        return false;

    unsigned at = ring_place(r, number);

    *ret = r->several ? ring_cell(r, at) : cell_of_value(r->value[at]);
    return !isnan(ret->sum);
}

/* Sketches of seconds or of tens: only the buckets that have something. Those of all cells lie in one block, in the order of the cells' numbers and in each in
 * that of the buckets, so that a window is read as it lies. A word is a bucket, and so many in it; what is too many for one word has several. */
enum { WORD_BUCKET_BITS = 8, WORD_COUNT_MAX = (1 << 24) - 1 };
struct sketch_ring {
    uint32_t *words;
    unsigned used, room; /* of words; what lies before the oldest cell is of no cell any more */
    uint32_t *at;        /* n: where each cell begins in words; it ends where the next one begins */
    unsigned n;
    int64_t newest;
};
struct sketch_series {
    struct sketch_ring fine, coarse;
};

bool sketches_room(struct sketch_series *s, struct budget *b, unsigned fine, unsigned coarse);
void sketches_free(struct sketch_series *s, struct budget *b);
/* False: there was no memory for all of it. */
bool sketches_add(struct sketch_series *s, struct budget *b, int64_t second,
                  const struct sketch *more);
/* The words of the newest cells, so many (lent), and how many bytes they are. */
const void *sketches_newest(const struct sketch_ring *r, unsigned cells, size_t *ret_bytes);
/* Cells first..last of the fine or the coarse ring, added to *to. */
void sketches_merge(const struct sketch_series *s, bool coarse, int64_t first, int64_t last,
                    struct sketch *to);

#endif
