/* The numbered steps of meta.db. Additive only: a release appends steps and never changes one.
 */
#ifndef NR_FNMANAGER_SCHEMA_H
#define NR_FNMANAGER_SCHEMA_H

/* For nr_db_config.steps; ends with NULL. */
extern const char *const schema_steps[];

#endif
