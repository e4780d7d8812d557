/* What a reader of logs is behind by: ids of activations in the order of their ends, bounded, and where some are missing.
 * Not for their logs: those are in the store. One thread.
 */
#ifndef NR_GATEWAY_LOG_LIST_H
#define NR_GATEWAY_LOG_LIST_H

#include <stdbool.h>

#include "common/base/str.h"

#define LOG_ID_BYTES 32
#define LOG_LIST_MAX 1024

/* Zeroed is empty. A ring; nothing beyond its end is touched while next() is lent. */
struct log_list {
    unsigned first, count;
    uint64_t missing; /* of the gap that was not told yet; 0: there is none */
    unsigned ahead;   /* ids that stand before it */
    char ids[LOG_LIST_MAX][LOG_ID_BYTES];
};

/* No id and no gap. */
bool log_list_empty(const struct log_list *l);
/* At the end (id is copied); one too many becomes part of the gap. */
void log_list_add(struct log_list *l, const char *id);
/* The stored ids (lent, 32 bytes each, at most LOG_LIST_MAX) come before what is there; what is in both stands once. */
void log_list_put_first(struct log_list *l, struct nr_str stored);
/* So many are missing before the first. */
void log_list_gap(struct log_list *l, uint64_t missing);
/* Everything before the gap was taken. */
bool log_list_gap_is_next(const struct log_list *l);
/* How many the gap misses; it is then over. */
uint64_t log_list_gap_told(struct log_list *l);
/* The next ids that lie together, none beyond a gap; lent until they are taken. */
struct nr_str log_list_next(const struct log_list *l);
/* The first n were written. */
void log_list_took(struct log_list *l, unsigned n);

#endif
