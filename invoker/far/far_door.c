/* Failed tokens of an address: a bucket that holds ATTEMPTS of them and fills up again within a minute. Who has none left is turned away before his
 * HELLO is judged. The table is small and fixed: the address that failed longest ago goes.
 */
#include "invoker/far/far_state.h"

enum { ATTEMPTS = 10, REFILL_MS = 60000 / ATTEMPTS, ADDRESSES = 256 };

struct entry {
    char address[NR_STREAM_PEER_BYTES];
    uint64_t failed_ms; /* when its bucket was looked at last */
    unsigned left;
};

struct far_door {
    struct entry entries[ADDRESSES];
};

struct far_door *far_door_make(void)
{
    return nr_alloc(sizeof(struct far_door));
}

void far_door_free(struct far_door *d)
{
    free(d);
}

static struct entry *find(struct far_door *d, const char *address)
{
    for (size_t i = 0; i < ADDRESSES; i++) {
        if (strcmp(d->entries[i].address, address) == 0)
            return &d->entries[i];
    }
    return NULL;
}

static void refill(struct entry *e, uint64_t now_ms)
{
    uint64_t more = (now_ms - e->failed_ms) / REFILL_MS;

    e->left = e->left + more > ATTEMPTS ? ATTEMPTS : e->left + (unsigned)more;
    e->failed_ms += more * REFILL_MS;
}

bool far_door_open(struct far_door *d, const char *address, uint64_t now_ms)
{
    struct entry *e = find(d, address);

    if (e)
        refill(e, now_ms);
    return e == NULL || e->left > 0;
}

void far_door_failed(struct far_door *d, const char *address, uint64_t now_ms)
{
    struct entry *e = find(d, address);

    if (e == NULL) {
        e = &d->entries[0];
        for (size_t i = 1; i < ADDRESSES; i++) {
            if (d->entries[i].failed_ms < e->failed_ms)
                e = &d->entries[i];
        }
        *e = (struct entry){.failed_ms = now_ms, .left = ATTEMPTS};
        (void)snprintf(e->address, sizeof(e->address), "%s", address);
    }
    refill(e, now_ms);
    e->left -= e->left > 0;
}
