/* Metadata Handler: the one name space that functions in no package, packages, triggers and rules of an account share.
 */
#ifndef NR_FNMANAGER_METADATA_NAMES_H
#define NR_FNMANAGER_METADATA_NAMES_H

#include "fnmanager/manager.h"
#include "fnmanager/registry/metadata_audit.h"

enum name_collection { NAME_OF_FUNCTION, NAME_OF_PACKAGE, NAME_OF_TRIGGER, NAME_OF_RULE };

/* 0 when no other collection than `mine` has the name; NR_EEXIST with the API's sentence, or an error. Inside a job: a change asks in the transaction
 * that makes it. */
int sql_name_free(sqlite3 *db, struct nr_str account, struct nr_str name, enum name_collection mine,
                  struct nr_err *err);

/* Who changed which trigger or rule, and how: a line of the audit log, whose object is "account/trigger:name" or "account/rule:name", for a function may
 * have the name later. Texts as in struct audit_line. Inside a write job. */
int sql_audit_named(sqlite3 *db, const struct audit_line *line, enum name_collection of);

/* What is said of call->name that `mine` does not have: NR_EEXIST (409) when another collection has it, else NR_ENOENT (404); with the sentence in
 * call->err. Blocking; a handler's thread. */
int name_missing(struct fnmanager *m, struct fn_call *call, enum name_collection mine);
/* The same by a key, for who has no call; names in a package are in no other collection. */
int name_missing_key(struct nr_db *db, struct fn_key key, enum name_collection mine,
                     struct nr_err *err);

#endif
