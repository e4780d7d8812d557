/* Metadata Handler: triggers. All functions block (manage plane) but for those that say "inside a job"; any thread.
 */
#ifndef NR_FNMANAGER_METADATA_TRIGGERS_H
#define NR_FNMANAGER_METADATA_TRIGGERS_H

#include "fnmanager/registry/metadata.h"
#include "ports/trigger.h"

/* Triggers of an account. */
#define TRIGGERS_MAX 10000

/* What a PUT makes of a trigger; lent. */
struct trigger_put {
    struct fn_key key; /* the package does not matter */
    const char *parameters,
        *annotations;    /* JSON array texts; NULL: they stay, a new trigger has none */
    const char *version; /* NULL: the next one */
    int publish;         /* -1: stays */
    bool overwrite;
    uint64_t revision;
    int64_t now_ms;
    struct fn_actor actor;
};
/* Stores it and adds its JSON to out (lent). NR_EEXIST without a sentence: it exists and is not to be overwritten; with one: another collection
 * has the name; NR_EQUOTA with a sentence. */
int metadata_trigger_put(struct nr_db *db, const struct trigger_put *put, struct nr_buf *out,
                         struct nr_err *err);
/* Adds the trigger's JSON, with its rules, to out (lent); NR_ENOENT. */
int metadata_trigger_get(struct nr_db *db, struct fn_key key, struct nr_buf *out);
/* Removes it; what it was is added to out (lent). Its rules stay, without it: they are inactive, and belong to no later trigger of the name
 * before they are activated or stored again. NR_ENOENT. */
int metadata_trigger_delete(struct nr_db *db, struct fn_key key, struct fn_actor actor,
                            struct nr_buf *out);
/* A page of the account's triggers, or their number, as JSON. */
int metadata_trigger_list(struct nr_db *db, const struct fn_list *q);
/* As it fires, into *ret (made, one holder); the parameters are the JSON array text that is stored. NR_ENOENT. */
int metadata_trigger_load(struct nr_db *db, struct fn_key key, struct trigger **ret);
/* Calls each(arg, name) for every trigger of the account; the name is lent. */
int metadata_trigger_names(struct nr_db *db, struct nr_str account,
                           void (*each)(void *arg, const char *name), void *arg);

/* 0 or NR_ENOENT; inside a job. */
int sql_trigger(sqlite3 *db, struct nr_str account, struct nr_str name);

#endif
