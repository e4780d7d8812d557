/* A ring of ids. When it is full the newest are counted instead of kept, so that what the reader gets has one gap, and he hears of
 * it when he comes to it; what ends while the gap stands goes behind it as soon as there is room.
 */
#include "gateway/log_list.h"

#include "common/base/mem.h"

bool log_list_empty(const struct log_list *l)
{
    return l->count == 0 && l->missing == 0;
}

static void put(struct log_list *l, const char *id)
{
    memcpy(l->ids[(l->first + l->count) % LOG_LIST_MAX], id, LOG_ID_BYTES);
    l->count++;
}

void log_list_add(struct log_list *l, const char *id)
{
    if (l->count < LOG_LIST_MAX) {
        put(l, id);
        return;
    }
    if (l->missing == 0)
        l->ahead = l->count;
    l->missing++;
}

static bool has(struct nr_str ids, const char *id)
{
    for (size_t i = 0; i < ids.n; i += LOG_ID_BYTES)
        if (memcmp(ids.p + i, id, LOG_ID_BYTES) == 0)
            return true;
    return false;
}

void log_list_put_first(struct log_list *l, struct nr_str stored)
{
    nr_auto_free struct log_list *old = nr_alloc(sizeof(*old));

    *old = *l;
    *l = (struct log_list){.missing = 0};
    for (size_t i = 0; i < stored.n; i += LOG_ID_BYTES)
        put(l, stored.p + i);
    for (unsigned i = 0; i < old->count; i++) {
        const char *id = old->ids[(old->first + i) % LOG_LIST_MAX];

        if (!has(stored, id))
            log_list_add(l, id);
    }
    if (old->missing > 0 && l->missing == 0)
        l->ahead = l->count;
    l->missing += old->missing;
}

void log_list_gap(struct log_list *l, uint64_t missing)
{
    l->ahead = 0;
    l->missing += missing;
}

bool log_list_gap_is_next(const struct log_list *l)
{
    return l->missing > 0 && l->ahead == 0;
}

uint64_t log_list_gap_told(struct log_list *l)
{
    uint64_t n = l->missing;

    l->missing = 0;
    return n;
}

struct nr_str log_list_next(const struct log_list *l)
{
    unsigned n = l->count < LOG_LIST_MAX - l->first ? l->count : LOG_LIST_MAX - l->first;

    if (l->missing > 0 && n > l->ahead)
        n = l->ahead;
    return (struct nr_str){l->ids[l->first], (size_t)n * LOG_ID_BYTES};
}

void log_list_took(struct log_list *l, unsigned n)
{
    l->first = (l->first + n) % LOG_LIST_MAX;
    l->count -= n;
    l->ahead -= l->ahead < n ? l->ahead : n;
}
