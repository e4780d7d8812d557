/* A sum, and the search for who is too much once it is above its limit: rare, and it ends somebody each time, so it may cost a sort. The
 * account comes first, for many small calls of one tenant take as much as a large one, and whoever holds little must not end for them.
 */
#include "invoker/frame_budget.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/size.h"
#include "invoker/internal.h"

enum { BUDGET_PARTS = 16, BUDGET_MIN_MB = 128 };

size_t frame_budget_bytes(int64_t memory_max_mb)
{
    int64_t mb = memory_max_mb / BUDGET_PARTS;

    return nr_size_of((mb > BUDGET_MIN_MB ? mb : BUDGET_MIN_MB) << 20);
}

/* By account, the largest first. */
static int compare(const void *a, const void *b)
{
    const struct frame_holder *one = a, *two = b;
    int order = strcmp(one->account, two->account);

    return order ? order : (one->bytes < two->bytes) - (one->bytes > two->bytes);
}

size_t frame_budget_offender(struct frame_holder *rows, size_t n)
{
    size_t worst = 0, most = 0;

    qsort(rows, n, sizeof(*rows), compare);
    for (size_t i = 0, sum; i < n;) {
        size_t first = i;

        for (sum = 0; i < n && strcmp(rows[i].account, rows[first].account) == 0; i++)
            sum += rows[i].bytes;
        if (sum > most) {
            most = sum;
            worst = first;
        }
    }
    return worst;
}

/* Those that can still be ended: connected ones. rows: NULL to count only. */
static size_t list(struct invoker *v, struct frame_holder *rows)
{
    size_t n = 0;

    NR_LIST_EACH(&v->containers, l) {
        struct container *ct = nr_container_of(l, struct container, in_all);

        for (unsigned i = 0; i < ct->slot_count; i++) {
            struct slot *s = &ct->slots[i];

            if (s->held_bytes == 0 || s->a == NULL || s->conn == NULL)
                continue;
            if (rows)
                rows[n] = (struct frame_holder){s->a->fn->account, s, s->held_bytes};
            n++;
        }
    }
    return n;
}

struct slot *frame_budget_take(struct slot *s, size_t bytes)
{
    struct invoker *v = s->ct->v;

    s->held_bytes += bytes;
    v->held_bytes += bytes;
    if (v->held_bytes <= v->held_max_bytes)
        return NULL;
    size_t n = list(v, NULL);
    struct frame_holder *rows = n ? nr_try_alloc(n * sizeof(*rows)) : NULL;

    if (rows == NULL)
        return s;
    (void)list(v, rows);
    struct slot *offender = rows[frame_budget_offender(rows, n)].slot;

    free(rows);
    return offender;
}

void frame_budget_give(struct slot *s)
{
    s->ct->v->held_bytes -= s->held_bytes;
    s->held_bytes = 0;
}
