/* Buckets in a map, and in a list by when they were used last.
 */
#include "common/net/logins.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "common/base/mem.h"

#define ADDRESSES_MAX 4096
#define ATTEMPT 60000 /* so that each millisecond brings `per_minute`, without a remainder */

struct login_bucket {
    struct nr_map_node node;
    struct nr_link lru;
    char address[NR_LOGINS_ADDRESS_BYTES];
    uint64_t tokens; /* ATTEMPT of them pay for one attempt */
    uint64_t filled_ms;
};

void nr_logins_init(struct nr_logins *l, unsigned per_minute)
{
    nr_map_init(&l->by_address);
    nr_list_init(&l->lru);
    l->per_minute = per_minute;
}

static void forget(struct nr_logins *l, struct login_bucket *b)
{
    (void)nr_map_del(&l->by_address, b->node.key);
    nr_list_del(&b->lru);
    free(b);
}

void nr_logins_fini(struct nr_logins *l)
{
    while (!nr_list_empty(&l->lru))
        forget(l, nr_container_of(l->lru.next, struct login_bucket, lru));
    nr_map_fini(&l->by_address);
}

/* The key of an address: IPv4 as it is, IPv6 by its first 64 bits. */
static size_t address_key(struct nr_str address, char out[NR_LOGINS_ADDRESS_BYTES])
{
    unsigned char bytes[16];
    size_t n = address.n < NR_LOGINS_ADDRESS_BYTES ? address.n : NR_LOGINS_ADDRESS_BYTES - 1;

    memcpy(out, address.p, n);
    out[n] = '\0';
    if (inet_pton(AF_INET6, out, bytes) == 1) {
        nr_hex(bytes, 8, out);
        return 16;
    }
    return n;
}

static struct login_bucket *bucket_of(struct nr_logins *l, struct nr_str address, uint64_t now_ms)
{
    char key[NR_LOGINS_ADDRESS_BYTES];
    size_t n = address_key(address, key);
    struct nr_map_node *node = nr_map_get(&l->by_address, (struct nr_str){key, n});
    struct login_bucket *b;

    if (node) {
        b = nr_container_of(node, struct login_bucket, node);
        nr_list_del(&b->lru);
    } else {
        if (l->by_address.count >= ADDRESSES_MAX)
            forget(l, nr_container_of(l->lru.prev, struct login_bucket, lru));
        b = nr_alloc(sizeof(*b));
        memcpy(b->address, key, n);
        b->node.key = (struct nr_str){b->address, n};
        b->tokens = (uint64_t)l->per_minute * ATTEMPT;
        b->filled_ms = now_ms;
        (void)nr_map_put(&l->by_address, &b->node);
    }
    nr_list_push(&l->lru, &b->lru);
    return b;
}

bool nr_logins_failed(struct nr_logins *l, struct nr_str address, uint64_t now_ms,
                      uint64_t *ret_wait_s)
{
    struct login_bucket *b = bucket_of(l, address, now_ms);
    uint64_t full = (uint64_t)l->per_minute * ATTEMPT;
    uint64_t gained = (now_ms - b->filled_ms) * l->per_minute;

    b->tokens = gained > full - b->tokens ? full : b->tokens + gained;
    b->filled_ms = now_ms;
    if (b->tokens >= ATTEMPT) {
        b->tokens -= ATTEMPT;
        return true;
    }
    *ret_wait_s = (ATTEMPT - b->tokens) / l->per_minute / 1000 + 1;
    return false;
}
