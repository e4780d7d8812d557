/* Metadata Handler: published versions, and lists of functions and versions. All functions block (manage plane); any thread.
 */
#ifndef NR_FNMANAGER_METADATA_VERSIONS_H
#define NR_FNMANAGER_METADATA_VERSIONS_H

#include "fnmanager/registry/metadata.h"
#include "fnmanager/registry/metadata_aliases.h"

/* Versions that a function may have at a time. */
#define VERSIONS_MAX 1000

/* A publication; lent. */
struct publish_order {
    struct fn_key key;
    struct nr_str note;
    struct fn_actor actor;
    uint64_t revision; /* of the new version */
};
/* Freezes LATEST, code and settings, as the next version; its number into *ret. The files are shared, not copied. NR_ENOENT without a
 * sentence; NR_ECONFLICT when the state forbids it, NR_EQUOTA when there are VERSIONS_MAX. */
int metadata_publish(struct nr_db *db, const struct publish_order *o, int64_t *ret,
                     struct nr_err *err);

/* What a version of `key` (0: LATEST) runs as a sequence, as its row has it ("" when it is none), into *ret (made); NR_ENOENT without a
 * sentence. Cheaper than the row, which may be large. */
int metadata_components(struct nr_db *db, struct fn_key key, int64_t number, char **ret);

/* {"versions":[…]} is added to `out` (lent), the oldest first; with a number that is not FN_EVERY_VERSION this one alone, as an object.
 * `aliases` (lent) are those of the function. NR_ENOENT: no such function or version. */
int metadata_version_list(struct nr_db *db, struct fn_key key, int64_t number,
                          const struct alias_list *aliases, struct nr_buf *out);
/* [1,2,…] */
int metadata_version_numbers(struct nr_db *db, int64_t function_id, struct nr_buf *out);
/* {"functions":[…],"total":n}: an account's functions by name. */
int metadata_function_list(struct nr_db *db, struct nr_str account, int64_t limit, int64_t skip,
                           struct nr_buf *out);

#endif
