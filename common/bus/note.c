/* The copy of a message: who holds it, who is still to have it, and how it counts in the end. */
#include "common/bus/internal.h"

struct bus_note *bus_note_make(struct bus *bus, enum bus_topic topic, struct nr_str key,
                               struct nr_str value, int64_t at_ms)
{
    struct bus_note *n = nr_try_alloc(sizeof(*n) + key.n + value.n);

    if (!n)
        return NULL;
    n->held = n->owed = 1;
    n->bus = bus;
    n->at_ms = at_ms;
    n->topic = topic;
    n->key_n = key.n;
    n->value_n = value.n;
    n->empty = value.p == NULL;
    if (key.n)
        memcpy(n->bytes, key.p, key.n);
    if (value.n)
        memcpy(n->bytes + key.n, value.p, value.n);
    return n;
}

void bus_note_free(struct bus_note *n)
{
    if (n && atomic_fetch_sub(&n->held, 1) == 1)
        free(n);
}

void bus_note_settle(struct bus_note *n, bool missed)
{
    if (missed)
        atomic_store(&n->missed, true);
    if (atomic_fetch_sub(&n->owed, 1) != 1 || !n->bus)
        return;
    atomic_fetch_sub(&n->bus->unconfirmed_bytes, (int64_t)bus_size(n->key_n, n->value_n));
    nr_count(atomic_load(&n->missed) ? &n->bus->dropped[n->topic] : &n->bus->delivered[n->topic],
             1);
}
