/* What the schema of a database that is restored may hold (known.c). Pure; any thread.
 */
#ifndef NR_CLI_BACKUP_KNOWN_H
#define NR_CLI_BACKUP_KNOWN_H

#include <stdbool.h>

/* Has this release a table of this name in the database "meta.db", "calls.db" or "scaling.db"? */
bool backup_table_is_known(const char *database, const char *table);
/* May a row of sqlite_schema be there? sql: lent; NULL: sqlite made it. Tables must be of columns and keys, indexes of columns; triggers, and
 * indexes with a condition, must be those that this release makes, word by word. Views are none. */
bool backup_schema_is_known(const char *type, const char *name, const char *sql);

#endif
