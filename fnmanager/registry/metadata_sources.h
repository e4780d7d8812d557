/* What the versions of an account were uploaded as, for who keeps what was made of it. Blocking; any thread.
 */
#ifndef NR_FNMANAGER_METADATA_SOURCES_H
#define NR_FNMANAGER_METADATA_SOURCES_H

#include "fnmanager/registry/metadata.h"

/* One upload, and the version that it is of; lent during the call. */
struct stored_source {
    const char *kind, *main, *file;
    const unsigned char *sha256;
    const char *package, *name;
    int64_t number; /* 0: LATEST */
    uint64_t revision;
};
/* Calls each() for every version of the account that has code, whatever its state. */
int metadata_sources(struct nr_db *db, struct nr_str account,
                     void (*each)(void *arg, const struct stored_source *s), void *arg);
/* What was made of them takes so many bytes by now. An account that is gone has nothing. */
int metadata_sources_measured(struct nr_db *db, struct nr_str account, int64_t bytes);
/* Is there room for anything? NR_EFORBIDDEN with a sentence: its quota is full, or the account takes no changes. */
int metadata_sources_room(struct nr_db *db, struct nr_str account, struct nr_err *err);
/* So many more are to be kept of it: they count from now on. NR_EFORBIDDEN with a sentence where they are above the quota: nothing has changed then. */
int metadata_sources_made(struct nr_db *db, struct nr_str account, int64_t bytes,
                          struct nr_err *err);

#endif
