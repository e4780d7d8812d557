/* Metadata Handler: whole functions, as they leave an account in an archive and come into another. All functions block (manage plane); any
 * thread.
 */
#ifndef NR_FNMANAGER_METADATA_EXPORT_H
#define NR_FNMANAGER_METADATA_EXPORT_H

#include "fnmanager/registry/metadata_aliases.h"

/* A function with all its versions, each a row of its own with its number; made. */
struct whole_function {
    int64_t id, published; /* published: the last number given */
    char *package, *name;
    struct fn_row *version; /* the first is LATEST */
    size_t versions;
    struct alias_list aliases;
};
void whole_function_fini(struct whole_function *f);

/* The function of the account with the lowest id above `after`, into *ret (made); NR_ENOENT: there are no more. */
int metadata_export_next(struct nr_db *db, struct nr_str account, int64_t after,
                         struct whole_function *ret);
/* Stores a whole function that is not there yet, in one transaction: all of it or nothing. NR_EEXIST, NR_EFORBIDDEN (a quota) with a
 * sentence, others. */
int metadata_import(struct nr_db *db, struct nr_str account, const struct whole_function *f,
                    struct fn_actor actor, struct nr_err *err);

#endif
