/* Rings of cells. A ring moves on with the newest cell that is written; what falls out behind is cleared at that moment, so that reading needs no look at
 * the clock. Sums are of the values in the order in which they came: the same samples give the same bits.
 */
#include "scaler/decide/cells.h"

#include "common/base/mem.h"

/* Cells beyond those of the window: the newest may be ahead of what is asked for, and a window is rounded up. */
enum { SPARE_CELLS = 8 };
/* A total of as many as fit a ring is exact as a double as well. */
static const double whole_max = 1ll << 40;

void *budget_alloc(struct budget *b, size_t bytes)
{
    if (bytes > b->max || b->used > b->max - bytes)
        return NULL;

    void *p = nr_try_alloc(bytes);

    if (p)
        b->used += bytes;
    return p;
}

void budget_free(struct budget *b, void *p, size_t bytes)
{
    if (p == NULL)
        return;
    b->used -= bytes;
    free(p);
}

static size_t ring_bytes(unsigned n, bool several)
{
    return n *
           (several ? 4 * sizeof(double) + sizeof(uint32_t) : sizeof(double) + sizeof(uint64_t));
}

/* Cells first..last, all of the ring at most. */
static void ring_clear(struct ring *r, int64_t first, int64_t last)
{
    if (last - first >= (int64_t)r->n)
        first = last - r->n + 1;
    for (; first <= last; first++)
        memset(r->value + ring_place(r, first), 0xff, sizeof *r->value);
}

/* Where the cell is that is to be written. False: it is older than the ring is long. */
static bool ring_reach(struct ring *r, int64_t number, unsigned *ret)
{
    if (r->n == 0 || number <= r->newest - (int64_t)r->n)
        return false;
    if (number > r->newest) {
        ring_clear(r, r->newest + 1, number);
        r->newest = number;
    }
    *ret = ring_place(r, number);
    return true;
}

static bool is_whole(double value)
{
    return value >= -whole_max && value <= whole_max && value == (double)(int64_t)value;
}

/* The totals with a value of the newest cell, behind the stretch that ends before it (`goes_on`) or as its first. */
static void total_set(struct ring *r, unsigned at, double value, bool goes_on)
{
    uint64_t *totals = ring_totals(r);

    if (!is_whole(value)) {
        r->whole_from = r->newest + 1;
        return;
    }
    if (!goes_on)
        r->whole_from = r->newest;
    totals[at] = (goes_on ? totals[ring_place(r, r->newest - 1)] : 0) + (uint64_t)(int64_t)value;
}

static void value_set(struct ring *r, int64_t number, double value)
{
    int64_t newest = r->newest;
    unsigned at;

    if (!ring_reach(r, number, &at))
        return;
    r->value[at] = value;
    if (number < newest)
        r->whole_from = newest + 1; /* the totals behind it are of what it was */
    else
        total_set(r, at, value, r->whole_from < number && number <= newest + 1);
}

static void cell_set(struct ring *r, unsigned at, const struct cell *c)
{
    double *v = r->value + at;

    v[0] = c->sum;
    v[r->n] = c->min;
    v[2 * r->n] = c->max;
    v[3 * r->n] = c->last;
    ring_counts(r)[at] = c->count;
}

static void cell_copy(struct ring *to, const struct ring *from, int64_t number)
{
    unsigned at = ring_place(to, number), was = ring_place(from, number);

    if (to->several) {
        struct cell one = ring_cell(from, was);

        cell_set(to, at, &one);
        return;
    }
    to->value[at] = from->value[was];
    if (number >= from->whole_from) {
        ring_totals(to)[at] = ring_totals(from)[was];
        to->whole_from = to->whole_from < number ? to->whole_from : number;
    }
}

static bool ring_room(struct ring *r, struct budget *b, bool several, unsigned n)
{
    if (n <= r->n)
        return true;

    struct ring more = {budget_alloc(b, ring_bytes(n, several)), n, several, r->newest,
                        r->newest + 1};

    if (more.value == NULL)
        return false;
    ring_clear(&more, 0, n - 1);
    for (int64_t c = r->newest - r->n + 1; r->n && c <= r->newest; c++)
        cell_copy(&more, r, c);
    budget_free(b, r->value, ring_bytes(r->n, several));
    *r = more;
    return true;
}

bool series_room(struct series *s, struct budget *b, bool several, unsigned fine, unsigned coarse)
{
    if (s->fine.n == 0 && s->coarse.n == 0)
        s->second = INT64_MIN;
    return ring_room(&s->fine, b, several, fine ? fine + SPARE_CELLS : 0) &&
           ring_room(&s->coarse, b, true, coarse ? coarse / COARSE_SECONDS + SPARE_CELLS : 0);
}

void series_free(struct series *s, struct budget *b)
{
    budget_free(b, s->fine.value, ring_bytes(s->fine.n, s->fine.several));
    budget_free(b, s->coarse.value, ring_bytes(s->coarse.n, s->coarse.several));
    memset(s, 0, sizeof *s);
}

static void cell_add(struct ring *r, int64_t number, double value)
{
    struct cell c = {.count = 0};
    unsigned at;

    if (!ring_reach(r, number, &at))
        return;
    c = isnan(r->value[at]) ? (struct cell){0, value, value, value, 0} : ring_cell(r, at);
    c.sum += value;
    c.min = c.min < value ? c.min : value;
    c.max = c.max > value ? c.max : value;
    c.last = value;
    c.count++;
    cell_set(r, at, &c);
}

/* A further word on a second: was, is. */
static void cell_change(struct ring *r, int64_t number, double was, double is)
{
    struct cell c;
    unsigned at;

    if (!ring_reach(r, number, &at))
        return;
    c = ring_cell(r, at);
    c.sum += is - was;
    c.min = c.min < is ? c.min : is;
    c.max = c.max > is ? c.max : is;
    c.last = is;
    cell_set(r, at, &c);
}

static void put_new(struct series *s, int64_t second, double value)
{
    value_set(&s->fine, second, value);
    cell_add(&s->coarse, second / COARSE_SECONDS, value);
    s->second = second;
    s->last = value;
}

/* The newest second anew. */
static void put_again(struct series *s, double value)
{
    value_set(&s->fine, s->second, value);
    cell_change(&s->coarse, s->second / COARSE_SECONDS, s->last, value);
    s->last = value;
}

void series_gauge(struct series *s, int64_t second, double value)
{
    if (second == s->second) {
        put_again(s, value);
        return;
    }
    if (second < s->second)
        return;
    if (s->second != INT64_MIN && second - s->second <= CARRY_SECONDS)
        while (s->second + 1 < second)
            put_new(s, s->second + 1, s->last);
    put_new(s, second, value);
}

void series_count(struct series *s, int64_t second, double value)
{
    if (second == s->second)
        put_again(s, s->last + value);
    else if (second > s->second)
        put_new(s, second, value);
}

void series_value(struct series *s, int64_t second, double value)
{
    cell_add(&s->fine, second, value);
    cell_add(&s->coarse, second / COARSE_SECONDS, value);
    if (second >= s->second) {
        s->second = second;
        s->last = value;
    }
}

static void ring_rewind(struct ring *r, int64_t number)
{
    if (r->n == 0 || number >= r->newest)
        return;
    ring_clear(r, number + 1, r->newest);
    r->newest = number;
    r->whole_from = r->whole_from < number + 1 ? r->whole_from : number + 1;
}

void series_rewind(struct series *s, int64_t second)
{
    if (second >= s->second)
        return;
    ring_rewind(&s->fine, second);
    ring_rewind(&s->coarse, second / COARSE_SECONDS);
    s->second = second;

    struct cell c;

    s->last = ring_read(&s->fine, second, &c) ? c.last : 0;
}
