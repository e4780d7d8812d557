/* Metadata Handler: moves of the lifecycle, each with all that belongs to it in one transaction. All functions block (manage plane); any
 * thread.
 */
#ifndef NR_FNMANAGER_METADATA_MOVES_H
#define NR_FNMANAGER_METADATA_MOVES_H

#include "fnmanager/functions/lifecycle.h"
#include "fnmanager/registry/metadata.h"

/* What is asked for; lent. */
struct move_order {
    struct fn_key key;
    int64_t number; /* of a version; 0: LATEST; FN_EVERY_VERSION */
    enum lifecycle_move move;
    uint64_t
        expected; /* revision of LATEST that was judged, else NR_ECONFLICT without a sentence; 0: any */
    struct nr_str reason;
    int64_t hold_ms, deadline_ms; /* MOVE_BEGIN; 0: the old code serves; wall clock */
    struct fn_actor actor;
    uint64_t (*next_revision)(void *arg);
    void *arg;
};

/* A version that has moved. */
struct moved {
    int64_t version_id, number;
    enum function_state from;
    int to; /* enum function_state or LIFECYCLE_GONE */
    uint64_t old_revision;
};
struct moved_list {
    struct moved *item; /* made; free() */
    size_t n;
};

/* Moves a version, or LATEST and every version that allows it. NR_ENOENT without a sentence; NR_ECONFLICT with one when nothing moved:
 * no version allows it, LATEST is UPDATING, a purge would take what is not RETIRED, an alias stands in the way. */
int metadata_move(struct nr_db *db, const struct move_order *o, struct moved_list *ret,
                  struct nr_err *err);

/* The same inside a write job, which must fail with it. */
int sql_move(sqlite3 *db, const struct move_order *o, struct moved_list *ret, struct nr_err *err);

/* A function by its names; made. */
struct fn_name {
    char *account, *package, *name;
    int64_t number;
    uint64_t revision;
};
struct fn_names {
    struct fn_name *item;
    size_t n;
};
void fn_names_free(struct fn_names *l);

/* Ends every update window whose deadline is at or before now_ms; *ret (made) are the functions that are LATEST again. */
int metadata_windows_end(struct nr_db *db, int64_t now_ms, struct fn_names *ret);
/* When the next window ends (wall clock), into *ret; 0: none is open. */
int metadata_windows_next(struct nr_db *db, int64_t *ret);

/* What may go by age at now_ms, into *ret (made), at most 256: FN_RETIRED for its account's days or longer (LATEST when all of its function
 * is), or FN_PUBLISHED as long ago; never what an alias still needs. `days`: of accounts that have no number of their own; 0: for ever. */
int metadata_outdated(struct nr_db *db, enum function_state state, int64_t now_ms, int64_t days,
                      struct fn_names *ret);
/* PUBLISHED versions of a function that no alias names, the newest of its versions left out: as many as its account keeps, or `keep` when that
 * has no number of its own; 0: all of them. */
int metadata_surplus(struct nr_db *db, struct fn_key key, int64_t keep, struct fn_names *ret);

#endif
