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

static bool ring_room(struct ring *r, struct budget *b, unsigned n)
{
    if (n <= r->n)
        return true;

    struct cell *cells = budget_alloc(b, n * sizeof *cells);

    if (cells == NULL)
        return false;
    for (int64_t c = r->newest - r->n + 1; r->n && c <= r->newest; c++)
        cells[(uint64_t)c % n] = r->cell[(uint64_t)c % r->n];
    budget_free(b, r->cell, r->n * sizeof *r->cell);
    r->cell = cells;
    r->n = n;
    return true;
}

bool series_room(struct series *s, struct budget *b, unsigned fine, unsigned coarse)
{
    if (s->fine.n == 0 && s->coarse.n == 0)
        s->second = INT64_MIN;
    return ring_room(&s->fine, b, fine ? fine + SPARE_CELLS : 0) &&
           ring_room(&s->coarse, b, coarse ? coarse / COARSE_SECONDS + SPARE_CELLS : 0);
}

void series_free(struct series *s, struct budget *b)
{
    budget_free(b, s->fine.cell, s->fine.n * sizeof *s->fine.cell);
    budget_free(b, s->coarse.cell, s->coarse.n * sizeof *s->coarse.cell);
    memset(s, 0, sizeof *s);
}

/* The cell to be written, or NULL when it is older than the ring is long. */
static struct cell *ring_cell(struct ring *r, int64_t number)
{
    if (r->n == 0 || number <= r->newest - (int64_t)r->n)
        return NULL;
    if (number - r->newest >= (int64_t)r->n) {
        memset(r->cell, 0, r->n * sizeof *r->cell);
        r->newest = number;
    }
    while (r->newest < number)
        r->cell[(uint64_t)++r->newest % r->n] = (struct cell){0};
    return &r->cell[(uint64_t)number % r->n];
}

static void cell_add(struct cell *c, double value)
{
    if (c == NULL)
        return;
    c->sum += value;
    c->min = c->count && c->min < value ? c->min : value;
    c->max = c->count && c->max > value ? c->max : value;
    c->last = value;
    c->count++;
}

/* A further word on a second: was, is. */
static void cell_change(struct cell *c, double was, double is)
{
    if (c == NULL)
        return;
    c->sum += is - was;
    c->min = c->min < is ? c->min : is;
    c->max = c->max > is ? c->max : is;
    c->last = is;
}

static void put_new(struct series *s, int64_t second, double value)
{
    cell_add(ring_cell(&s->fine, second), value);
    cell_add(ring_cell(&s->coarse, second / COARSE_SECONDS), value);
    s->second = second;
    s->last = value;
}

/* The newest second anew. */
static void put_again(struct series *s, double value)
{
    struct cell *c = ring_cell(&s->fine, s->second);

    if (c)
        *c = (struct cell){value, value, value, value, 1};
    cell_change(ring_cell(&s->coarse, s->second / COARSE_SECONDS), s->last, value);
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
    cell_add(ring_cell(&s->fine, second), value);
    cell_add(ring_cell(&s->coarse, second / COARSE_SECONDS), value);
    if (second >= s->second) {
        s->second = second;
        s->last = value;
    }
}

static void ring_rewind(struct ring *r, int64_t number)
{
    if (r->n == 0 || number >= r->newest)
        return;
    if (r->newest - number >= (int64_t)r->n)
        memset(r->cell, 0, r->n * sizeof *r->cell);
    else
        for (int64_t c = number + 1; c <= r->newest; c++)
            r->cell[(uint64_t)c % r->n] = (struct cell){0};
    r->newest = number;
}

void series_rewind(struct series *s, int64_t second)
{
    if (second >= s->second)
        return;
    ring_rewind(&s->fine, second);
    ring_rewind(&s->coarse, second / COARSE_SECONDS);
    s->second = second;

    const struct cell *c = ring_at(&s->fine, second);

    s->last = c ? c->last : 0;
}
