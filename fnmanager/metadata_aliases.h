/* Metadata Handler: aliases, the names of versions. All functions block (manage plane); any thread.
 */
#ifndef NR_FNMANAGER_METADATA_ALIASES_H
#define NR_FNMANAGER_METADATA_ALIASES_H

#include "fnmanager/metadata.h"

/* Where `alias` of the function points, into *ret; NR_ENOENT without a sentence when there is no such alias (or function). */
int metadata_alias(struct nr_db *db, struct fn_key key, struct nr_str alias,
                   struct alias_split *ret);

/* {"1":90,"2":10} as stored, into *ret; false when it is no such text. */
bool alias_split_read(struct nr_str text, struct alias_split *ret);

#endif
