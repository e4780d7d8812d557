/* Sketches over time. A second's calls fall into few buckets, so a cell keeps only those that have something, in the order of the buckets.
 */
#include "common/base/mem.h"
#include "scaler/decide/cells.h"

enum { SPARE_CELLS = 8, GROW_BY = 8 };

static bool ring_room(struct sketch_ring *r, struct budget *b, unsigned n)
{
    if (n <= r->n)
        return true;

    struct sparse *cells = budget_alloc(b, n * sizeof *cells);

    if (cells == NULL)
        return false;
    for (int64_t c = r->newest - r->n + 1; r->n && c <= r->newest; c++)
        cells[(uint64_t)c % n] = r->cell[(uint64_t)c % r->n];
    budget_free(b, r->cell, r->n * sizeof *r->cell);
    r->cell = cells;
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
    for (unsigned i = 0; i < r->n; i++)
        budget_free(b, r->cell[i].b, r->cell[i].room * sizeof *r->cell[i].b);
    budget_free(b, r->cell, r->n * sizeof *r->cell);
    memset(r, 0, sizeof *r);
}

void sketches_free(struct sketch_series *s, struct budget *b)
{
    ring_free(&s->fine, b);
    ring_free(&s->coarse, b);
}

/* The cell to be written; those that it takes the place of are emptied and keep their room. */
static struct sparse *ring_cell(struct sketch_ring *r, int64_t number)
{
    if (r->n == 0 || number <= r->newest - (int64_t)r->n)
        return NULL;
    if (number - r->newest > (int64_t)r->n)
        r->newest = number - r->n;
    while (r->newest < number)
        r->cell[(uint64_t)++r->newest % r->n].n = 0;
    return &r->cell[(uint64_t)number % r->n];
}

static uint32_t sum(uint32_t a, uint32_t b)
{
    return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

static bool grow(struct sparse *c, struct budget *b)
{
    unsigned room = c->room + GROW_BY;
    struct sparse_bucket *more = budget_alloc(b, room * sizeof *more);

    if (more == NULL)
        return false;
    if (c->n)
        memcpy(more, c->b, c->n * sizeof *more);
    budget_free(b, c->b, c->room * sizeof *c->b);
    c->b = more;
    c->room = (uint16_t)room;
    return true;
}

static bool cell_add(struct sparse *c, struct budget *b, const struct sketch *more)
{
    unsigned at = 0;

    for (uint32_t i = 0; c && i < SKETCH_BUCKETS; i++) {
        if (more->bucket[i] == 0)
            continue;
        while (at < c->n && c->b[at].bucket < i)
            at++;
        if (at < c->n && c->b[at].bucket == i) {
            c->b[at].count = sum(c->b[at].count, more->bucket[i]);
            continue;
        }
        if (c->n == c->room && !grow(c, b))
            return false;
        memmove(&c->b[at + 1], &c->b[at], (c->n - at) * sizeof *c->b);
        c->b[at] = (struct sparse_bucket){i, more->bucket[i]};
        c->n++;
    }
    return true;
}

bool sketches_add(struct sketch_series *s, struct budget *b, int64_t second,
                  const struct sketch *more)
{
    bool fine = cell_add(ring_cell(&s->fine, second), b, more);

    return cell_add(ring_cell(&s->coarse, second / COARSE_SECONDS), b, more) && fine;
}

void sketches_merge(const struct sketch_series *s, bool coarse, int64_t first, int64_t last,
                    struct sketch *to)
{
    const struct sketch_ring *r = coarse ? &s->coarse : &s->fine;
    int64_t oldest = r->newest - (int64_t)r->n + 1;

    if (r->n == 0)
        return;
    for (int64_t n = first > oldest ? first : oldest; n <= last && n <= r->newest; n++) {
        const struct sparse *c = &r->cell[(uint64_t)n % r->n];

        for (unsigned i = 0; i < c->n; i++) {
            uint32_t *bucket = &to->bucket[c->b[i].bucket];

            *bucket = sum(*bucket, c->b[i].count);
            to->count = sum(to->count, c->b[i].count);
        }
    }
}
