/* What an account's archive holds beside functions: packages and bindings, which functions need before them, and triggers, rules and APIs, which
 * need functions. Each is a file of its own: the document that its GET shows, in which "_" is the account. Blocking; any thread.
 */
#ifndef NR_FNMANAGER_ARCHIVE_ENTITIES_H
#define NR_FNMANAGER_ARCHIVE_ENTITIES_H

#include "common/base/json.h"
#include "fnmanager/manager.h"
#include "fnmanager/sealed.h"

#define ARCHIVE_ENTITY_NAME_BYTES 600

/* Whose archive; lent. */
struct archive_owner {
    struct fnmanager *m;
    struct nr_str account, key_uuid; /* key_uuid: of who exports or imports, for the audit log */
};

/* Calls add(arg, file's name, document (given)) for each entity that comes before the functions, or behind them, the oldest first; ends with the first
 * error. */
int archive_entities_export(const struct archive_owner *o, bool before_functions,
                            int (*add)(void *arg, const char *path, json_t *document), void *arg,
                            struct nr_err *err);

/* Is this the name of such a file? */
bool archive_entity_is(const char *path);
/* Stores what the file `path` (archive_entity_is()) says, as a PUT of the account would. ret_name: "package:p", "rule:r", ... ret_lost (zeroed): what its
 * parameters lost. NR_EINVAL and others with a sentence: it is left out. */
int archive_entity_import(const struct archive_owner *o, const char *path, struct nr_str text,
                          char ret_name[ARCHIVE_ENTITY_NAME_BYTES], struct sealed_lost *ret_lost,
                          struct nr_err *err);

#endif
