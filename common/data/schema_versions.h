/* How many numbered steps the schema of each database of the data folder has in this release. Whoever adds a step raises the number here:
 * the list of steps does not compile otherwise. Not the steps themselves: they stand beside the code that uses the tables. `narae restore`
 * judges by these numbers whether a backup fits this release.
 */
#ifndef NR_COMMON_DATA_SCHEMA_VERSIONS_H
#define NR_COMMON_DATA_SCHEMA_VERSIONS_H

#define NR_SCHEMA_META 12   /* fnmanager/registry/schema.c */
#define NR_SCHEMA_CALLS 4   /* controller/recovery.c */
#define NR_SCHEMA_SCALING 2 /* scaler/store.c */
#define NR_SCHEMA_FLEET 2   /* controller/fleet_store.c */

/* For a list of steps that ends with NULL. */
#define NR_SCHEMA_CHECK(steps, number)                                                             \
    _Static_assert(sizeof(steps) / sizeof((steps)[0]) == (number) + 1,                             \
                   "a step came or went: its number in common/data/schema_versions.h")

#endif
