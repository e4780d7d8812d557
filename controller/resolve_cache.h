/* The cache behind resolve.c: what is known of the functions that were asked for, each by who asks and the names that he used.
 *
 * One entry per caller and names holds what was asked for so far: LATEST in the entry itself, versions and aliases as cells in a list, the
 * last used one first. An alias is a cell of weights.
 * Loop's thread.
 */
#ifndef NR_CONTROLLER_RESOLVE_CACHE_H
#define NR_CONTROLLER_RESOLVE_CACHE_H

#include "controller/internal.h"

#define RESOLVE_KEY_BYTES 1024

/* A question under way; made with it, freed at its answer. */
struct resolve_question {
    struct fn_call call;
    struct resolve_cell *cell;
    struct account *account;
    struct nr_link waiting; /* activations, by their `queue` link */
    bool stale;             /* changed since it was asked */
};

/* What is known of one version, or of one alias. Neither fn nor split: nothing yet. */
struct resolve_cell {
    struct nr_link link; /* in `others`; LATEST's is in no list */
    struct resolve_entry *entry;
    struct nr_str alias; /* n == 0: a version */
    int64_t number;
    struct function *fn; /* shared */
    struct alias_split *split;
    struct resolve_question *question;
};

/* Names as they are called: who calls, in which namespace (his own when he names none), package, name. */
struct resolve_names {
    struct nr_str caller, space, package, name;
};

struct resolve_entry {
    struct nr_map_node node;
    struct nr_link lru, packaged; /* packaged: in no list when it is in no package */
    struct controller *ctl;
    struct resolve_names names; /* parts of the key */
    struct resolve_cell latest;
    struct nr_link others;
    unsigned other_count;
    char key[]; /* "caller/space/package/name" */
};

/* The names that a (lent) calls. */
struct resolve_names resolve_names_of(const struct activation *a);
/* The key of n in bytes, which is lent; {NULL, 0}: it is longer than that. */
struct nr_str resolve_key(const struct resolve_names *n, char bytes[static RESOLVE_KEY_BYTES]);
/* NULL: not known. */
struct resolve_entry *resolve_entry_find(const struct controller *c, struct nr_str key);
/* A new, empty one for a key that is not known; NULL: no memory. */
struct resolve_entry *resolve_entry_make(struct controller *c, const struct resolve_names *n);
/* The entry goes when nothing is known, and nobody waits for anything, of it. */
void resolve_entry_drop_empty(struct resolve_entry *e);
/* It was the last one to be used. */
void resolve_entry_used(struct resolve_entry *e);
/* The cell of one version or alias; NULL: nobody asked for it yet. */
struct resolve_cell *resolve_cell_find(struct resolve_entry *e, struct nr_str alias,
                                       int64_t number);
/* NULL: no memory, or so many are being looked up that none can go. */
struct resolve_cell *resolve_cell_make(struct resolve_entry *e, struct nr_str alias,
                                       int64_t number);
/* Nothing is known of it, and it is gone when it is not LATEST's. */
void resolve_cell_drop(struct resolve_cell *cell);
/* Frees q and what is in it. NULL is fine. */
void resolve_question_free(struct resolve_question *q);

#endif
