/* Chained hash table, sizes are powers of two. The hash is SipHash with one and three rounds under a key drawn once per process,
 * so that a client cannot choose keys that all fall into one chain.
 */
#include "common/base/map.h"

#include <pthread.h>

#include "common/base/clock.h"

/* Of *at in a walk: the bucket above, below the place in its chain; with 32 bits 16 million buckets and chains of 255. */
enum { FIRST_SIZE = 16, AT_SHIFT = sizeof(size_t) > 4 ? 24 : 8 };

static struct {
    pthread_once_t once;
    uint64_t key[2];
} seed = {.once = PTHREAD_ONCE_INIT};

static void draw_seed(void)
{
    nr_random(seed.key, sizeof(seed.key));
}

static inline uint64_t rotl(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] = rotl(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] = rotl(v[2], 32);
}

static inline void sip_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
}

uint64_t nr_hash(struct nr_str s)
{
    const char *p = s.p;
    size_t left = s.n;
    uint64_t word;

    (void)pthread_once(&seed.once, draw_seed);
    uint64_t v[4] = {
        seed.key[0] ^ 0x736f6d6570736575u,
        seed.key[1] ^ 0x646f72616e646f6du,
        seed.key[0] ^ 0x6c7967656e657261u,
        seed.key[1] ^ 0x7465646279746573u,
    };

    for (; left >= 8; left -= 8, p += 8) {
        memcpy(&word, p, 8);
        sip_word(v, word);
    }
    word = 0;
    if (left)
        memcpy(&word, p, left);
    sip_word(v, word | (uint64_t)s.n << 56);
    v[2] ^= 0xFF;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void nr_map_init(struct nr_map *m)
{
    *m = (struct nr_map){0};
}

void nr_map_fini(struct nr_map *m)
{
    if (m == NULL)
        return;
    free(m->buckets);
    *m = (struct nr_map){0};
}

/* The place that points to the key's node, or the NULL at the end of its chain. The table must exist. */
static struct nr_map_node **find(const struct nr_map *m, struct nr_str key, uint64_t hash)
{
    struct nr_map_node **at = &m->buckets[hash & (m->size - 1)];

    while (*at && !((*at)->hash == hash && nr_str_eq((*at)->key, key)))
        at = &(*at)->next;
    return at;
}

struct nr_map_node *nr_map_get(const struct nr_map *m, struct nr_str key)
{
    return m->count ? *find(m, key, nr_hash(key)) : NULL;
}

static void grow(struct nr_map *m)
{
    size_t size = m->size * 2;
    struct nr_map_node **buckets = nr_try_alloc(size * sizeof(struct nr_map_node *));

    if (buckets == NULL)
        return;
    for (size_t i = 0; i < m->size; i++)
        for (struct nr_map_node *n = m->buckets[i], *next; n; n = next) {
            next = n->next;
            n->next = buckets[n->hash & (size - 1)];
            buckets[n->hash & (size - 1)] = n;
        }
    free(m->buckets);
    m->buckets = buckets;
    m->size = size;
}

struct nr_map_node *nr_map_put(struct nr_map *m, struct nr_map_node *node)
{
    if (m->buckets == NULL) {
        m->buckets = nr_alloc(FIRST_SIZE * sizeof(struct nr_map_node *));
        m->size = FIRST_SIZE;
    }
    node->hash = nr_hash(node->key);
    struct nr_map_node **at = find(m, node->key, node->hash);
    struct nr_map_node *old = *at;

    node->next = old ? old->next : NULL;
    *at = node;
    if (old)
        return old == node ? NULL : old;
    if (++m->count > m->size / 4 * 3)
        grow(m);
    return NULL;
}

struct nr_map_node *nr_map_del(struct nr_map *m, struct nr_str key)
{
    if (m->count == 0)
        return NULL;
    struct nr_map_node **at = find(m, key, nr_hash(key));
    struct nr_map_node *node = *at;

    if (node) {
        *at = node->next;
        m->count--;
    }
    return node;
}

/* *at is the bucket and the place in its chain of the node returned last. When another node than `after` is found there, `after`
 * has been taken out and its successor moved up; `after` itself is not looked into. */
struct nr_map_node *nr_map_next(const struct nr_map *m, size_t *at, struct nr_map_node *after)
{
    size_t bucket = *at >> AT_SHIFT, place = *at & (((size_t)1 << AT_SHIFT) - 1);

    for (; bucket < m->size; bucket++, place = 0) {
        struct nr_map_node *n = m->buckets[bucket];

        for (size_t i = 0; n && i < place; i++)
            n = n->next;
        if (n && n == after) {
            n = n->next;
            place++;
        }
        if (n) {
            *at = bucket << AT_SHIFT | place;
            return n;
        }
    }
    return NULL;
}

size_t nr_map_drain(struct nr_map *m, bool (*goes)(struct nr_map_node *n, void *arg),
                    void (*gone)(struct nr_map_node *n, void *arg), void *arg)
{
    struct nr_map_node *out = NULL, *next;
    size_t count = 0;

    for (size_t i = 0; i < m->size && m->count > 0; i++)
        for (struct nr_map_node **at = &m->buckets[i], *n = *at; n; n = *at) {
            if (goes && !goes(n, arg)) {
                at = &n->next;
                continue;
            }
            *at = n->next;
            n->next = out;
            out = n;
            m->count--;
            count++;
        }
    for (; out; out = next) {
        next = out->next;
        gone(out, arg);
    }
    return count;
}
