/* What the versions of an account were uploaded as, for who keeps what was made of it. Blocking; any thread.
 */
#ifndef NR_FNMANAGER_METADATA_SOURCES_H
#define NR_FNMANAGER_METADATA_SOURCES_H

#include "fnmanager/registry/metadata.h"

/* One upload; lent during the call. */
struct stored_source {
    const char *kind, *main, *file;
    const unsigned char *sha256;
};
/* Calls each() for every version of the account that has code, whatever its state. */
int metadata_sources(struct nr_db *db, struct nr_str account,
                     void (*each)(void *arg, const struct stored_source *s), void *arg);

#endif
