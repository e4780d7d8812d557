/* A deadline stands in the ring that belongs to the highest bit in which its time differs from the wheel's: then all of a finer ring
 * comes before all of a coarser one, and the next thing to do is the first marked slot of the first ring that has any.
 * When the time reaches a slot of a coarser ring, its deadlines are added again and fall into finer rings; in ring 0 they fire.
 * Cancelling unlinks without telling the wheel, so a marked slot may be empty.
 */
#include "common/net/wheel.h"

#define SLOT_BITS 6
#define FAR_MS                                                                                     \
    ((uint64_t)1                                                                                   \
     << 40) /* 34 years: beyond it a deadline is cut to it, so that seven rings are enough */

void nr_wheel_init(struct nr_wheel *w, uint64_t now_ms)
{
    w->at_ms = now_ms;
    for (unsigned ring = 0; ring < NR_WHEEL_RINGS; ring++) {
        w->marked[ring] = 0;
        for (unsigned slot = 0; slot < NR_WHEEL_SLOTS; slot++)
            nr_list_init(&w->slots[ring][slot]);
    }
}

static void put(struct nr_wheel *w, struct nr_deadline *d)
{
    uint64_t differs = (d->at_ms ^ w->at_ms) | (NR_WHEEL_SLOTS - 1);
    unsigned ring = (63U - (unsigned)__builtin_clzll(differs)) / SLOT_BITS;
    unsigned slot = (unsigned)(d->at_ms >> (ring * SLOT_BITS)) & (NR_WHEEL_SLOTS - 1);

    nr_check(ring < NR_WHEEL_RINGS);
    w->marked[ring] |= (uint64_t)1 << slot;
    nr_list_add(&w->slots[ring][slot], &d->link);
}

void nr_wheel_add(struct nr_wheel *w, struct nr_deadline *d)
{
    if (d->at_ms <= w->at_ms)
        d->at_ms = w->at_ms + 1;
    else if (d->at_ms - w->at_ms > FAR_MS)
        d->at_ms = w->at_ms + FAR_MS;
    put(w, d);
}

/* The first slot that holds something; false when the wheel is empty. */
static bool first(struct nr_wheel *w, unsigned *ret_ring, unsigned *ret_slot, uint64_t *ret_ms)
{
    for (unsigned ring = 0; ring < NR_WHEEL_RINGS; ring++) {
        unsigned shift = ring * SLOT_BITS;
        unsigned here = (unsigned)(w->at_ms >> shift) & (NR_WHEEL_SLOTS - 1);
        uint64_t ahead = w->marked[ring] & (~(uint64_t)0 << here);

        while (ahead) {
            unsigned slot = (unsigned)__builtin_ctzll(ahead);

            if (!nr_list_empty(&w->slots[ring][slot])) {
                *ret_ring = ring;
                *ret_slot = slot;
                *ret_ms = (w->at_ms >> (shift + SLOT_BITS) << (shift + SLOT_BITS)) | (uint64_t)slot
                                                                                         << shift;
                return true;
            }
            w->marked[ring] &= ~((uint64_t)1 << slot);
            ahead &= ahead - 1;
        }
    }
    return false;
}

uint64_t nr_wheel_next_ms(struct nr_wheel *w)
{
    unsigned ring, slot;
    uint64_t ms;

    return first(w, &ring, &slot, &ms) ? ms : UINT64_MAX;
}

void nr_wheel_turn(struct nr_wheel *w, uint64_t now_ms)
{
    unsigned ring, slot;
    uint64_t ms;

    while (first(w, &ring, &slot, &ms) && ms <= now_ms) {
        struct nr_link *it;

        w->at_ms = ms;
        /* One by one, for what fires may cancel its neighbours. Nothing is added to this slot meanwhile: a new time is later. */
        while ((it = nr_list_pop(&w->slots[ring][slot]))) {
            struct nr_deadline *d = nr_container_of(it, struct nr_deadline, link);

            if (ring == 0)
                d->fire(d);
            else
                put(w, d);
        }
    }
    if (w->at_ms < now_ms)
        w->at_ms = now_ms;
}

void nr_wheel_clear(struct nr_wheel *w)
{
    for (unsigned ring = 0; ring < NR_WHEEL_RINGS; ring++) {
        for (unsigned slot = 0; slot < NR_WHEEL_SLOTS; slot++) {
            while (nr_list_pop(&w->slots[ring][slot]))
                ;
        }
    }
}
