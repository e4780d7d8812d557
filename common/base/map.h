/* Hash map from bytes to a node that the user embeds; seeded per process (hostile keys). Grows at 3/4; growth that fails for
 * want of memory only makes chains longer. One thread at a time.
 */
#ifndef NR_COMMON_BASE_MAP_H
#define NR_COMMON_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/mem.h"
#include "common/base/str.h"

/* Embedded in the value; `key` is lent by the value and must not change while it is in a map. */
struct nr_map_node {
    struct nr_map_node *next;
    struct nr_str key;
    uint64_t hash;
};

struct nr_map {
    struct nr_map_node **buckets;
    size_t count, size;
};

void nr_map_init(struct nr_map *m);
/* Frees the table, not the values. */
void nr_map_fini(struct nr_map *m);
struct nr_map_node *nr_map_get(const struct nr_map *m, struct nr_str key);
/* node->key must be set. Returns the node that held the key before and was replaced (now out of the map), or NULL. */
struct nr_map_node *nr_map_put(struct nr_map *m, struct nr_map_node *node);
/* Takes the key out; returns its node or NULL. */
struct nr_map_node *nr_map_del(struct nr_map *m, struct nr_str key);
/* Iteration in no order: start with *at = 0 and NULL; removal of the returned node is safe if done by nr_map_del at once, and
 * `after` is only compared then: step on first, free it afterwards. */
struct nr_map_node *nr_map_next(const struct nr_map *m, size_t *at, struct nr_map_node *after);
/* Takes out every node that `goes` chooses (NULL: all of them), then gives each to `gone`, which may free it and change the map. Returns how many. */
size_t nr_map_drain(struct nr_map *m, bool (*goes)(struct nr_map_node *n, void *arg),
                    void (*gone)(struct nr_map_node *n, void *arg), void *arg);
/* The seeded hash, for sharding and tests. */
uint64_t nr_hash(struct nr_str s);

#endif
