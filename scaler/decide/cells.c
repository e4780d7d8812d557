/* Rings of cells. A ring moves on with the newest cell that is written; what falls out behind is cleared at that moment, so that reading needs no look at
 * the clock. Sums are of the values in the order in which they came: the same samples give the same bits.
 */
#include "scaler/decide/cells.h"

#include "common/base/mem.h"

/* Cells beyond those of the window: the newest may be ahead of what is asked for, and a window is rounded up. */
enum { SPARE_CELLS = 8 };

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

static void *cell_at(const struct ring *r, int64_t number)
{
    return (char *)r->cell + (uint64_t)number % r->n * r->cell_bytes;
}

/* Cells first..last, all of the ring at most. */
static void ring_clear(struct ring *r, int64_t first, int64_t last)
{
    if (last - first >= (int64_t)r->n)
        first = last - r->n + 1;
    for (; first <= last; first++)
        memset(cell_at(r, first), 0xff, r->cell_bytes);
}

static bool ring_room(struct ring *r, struct budget *b, size_t cell_bytes, unsigned n)
{
    if (n <= r->n)
        return true;

    struct ring more = {budget_alloc(b, n * cell_bytes), n, (unsigned)cell_bytes, r->newest};

    if (more.cell == NULL)
        return false;
    ring_clear(&more, 0, n - 1);
    for (int64_t c = r->newest - r->n + 1; r->n && c <= r->newest; c++)
        memcpy(cell_at(&more, c), cell_at(r, c), cell_bytes);
    budget_free(b, r->cell, r->n * cell_bytes);
    *r = more;
    return true;
}

bool series_room(struct series *s, struct budget *b, bool several, unsigned fine, unsigned coarse)
{
    if (s->fine.n == 0 && s->coarse.n == 0)
        s->second = INT64_MIN;
    return ring_room(&s->fine, b, several ? sizeof(struct cell) : sizeof(double),
                     fine ? fine + SPARE_CELLS : 0) &&
           ring_room(&s->coarse, b, sizeof(struct cell),
                     coarse ? coarse / COARSE_SECONDS + SPARE_CELLS : 0);
}

void series_free(struct series *s, struct budget *b)
{
    budget_free(b, s->fine.cell, s->fine.n * s->fine.cell_bytes);
    budget_free(b, s->coarse.cell, s->coarse.n * s->coarse.cell_bytes);
    memset(s, 0, sizeof *s);
}

/* The cell to be written, or NULL when it is older than the ring is long. */
static void *ring_cell(struct ring *r, int64_t number)
{
    if (r->n == 0 || number <= r->newest - (int64_t)r->n)
        return NULL;
    if (number > r->newest) {
        ring_clear(r, r->newest + 1, number);
        r->newest = number;
    }
    return cell_at(r, number);
}

static void value_set(struct ring *r, int64_t number, double value)
{
    double *v = ring_cell(r, number);

    if (v)
        *v = value;
}

static void cell_add(struct ring *r, int64_t number, double value)
{
    struct cell *c = ring_cell(r, number);

    if (c == NULL)
        return;
    if (isnan(c->sum))
        *c = (struct cell){0, value, value, value, 0};
    c->sum += value;
    c->min = c->min < value ? c->min : value;
    c->max = c->max > value ? c->max : value;
    c->last = value;
    c->count++;
}

/* A further word on a second: was, is. */
static void cell_change(struct ring *r, int64_t number, double was, double is)
{
    struct cell *c = ring_cell(r, number);

    if (c == NULL)
        return;
    c->sum += is - was;
    c->min = c->min < is ? c->min : is;
    c->max = c->max > is ? c->max : is;
    c->last = is;
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
