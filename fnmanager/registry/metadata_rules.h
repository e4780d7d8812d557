/* Metadata Handler: rules, which tie a trigger to a function. All functions block (manage plane) but for those that say "inside a job"; any thread.
 *
 * A rule is active, inactive, or an orphan: its trigger was deleted. An orphan is shown as inactive and is no part of a later trigger of the same
 * name until it is activated or stored again.
 */
#ifndef NR_FNMANAGER_METADATA_RULES_H
#define NR_FNMANAGER_METADATA_RULES_H

#include "fnmanager/registry/metadata.h"
#include "ports/trigger.h"

/* Rules of an account, and of one trigger. */
#define RULES_MAX 10000
#define RULES_OF_TRIGGER_MAX 256

/* What a PUT makes of a rule; lent. */
struct rule_put {
    struct fn_key key;                    /* the package does not matter */
    const char *trigger;                  /* its name, in the rule's account; NULL: stays */
    const struct function_target *action; /* NULL: stays */
    const char *annotations;              /* JSON array text; NULL: they stay */
    const char *version;                  /* NULL: the next one */
    int publish;                          /* -1: stays */
    bool overwrite;
    uint64_t revision;
    int64_t now_ms;
    struct fn_actor actor;
};
/* The triggers that a change of a rule concerns (made; rule_triggers_fini): that of the rule, and the one it had before when it is another. */
struct rule_triggers {
    char *now, *before; /* NULL: none */
};
void rule_triggers_fini(struct rule_triggers *t);

/* Stores it and adds its JSON to out (lent). A new one is active; one that was there keeps its status. NR_EEXIST without a sentence: it exists and
 * is not to be overwritten; with one: another collection has the name. NR_EINVAL, NR_EQUOTA with a sentence. */
int metadata_rule_put(struct nr_db *db, const struct rule_put *put, struct nr_buf *out,
                      struct rule_triggers *ret, struct nr_err *err);
/* Adds its JSON to out (lent); NR_ENOENT. */
int metadata_rule_get(struct nr_db *db, struct fn_key key, struct nr_buf *out);
/* Removes it; what it was, inactive, is added to out (lent). NR_ENOENT. */
int metadata_rule_delete(struct nr_db *db, struct fn_key key, struct fn_actor actor,
                         struct nr_buf *out, struct rule_triggers *ret);
/* Activates or not; what it is already is no change (*ret stays empty). NR_ENOENT; with a sentence: its trigger is gone. */
int metadata_rule_state(struct nr_db *db, struct fn_key key, bool active, struct fn_actor actor,
                        struct rule_triggers *ret, struct nr_err *err);
/* A page of the account's rules, or their number, as JSON. */
int metadata_rule_list(struct nr_db *db, const struct fn_list *q);
/* What it calls, into *ret (made; function_target_fini); NR_ENOENT. */
int metadata_rule_action(struct nr_db *db, struct fn_key key, struct function_target *ret);

/* The rules of a trigger by name, into *ret (made), orphans not; inside a job. */
int sql_rules_of(sqlite3 *db, struct nr_str account, struct nr_str trigger,
                 struct trigger_rule **ret, size_t *ret_n);
void trigger_rules_free(struct trigger_rule *rules, size_t n);
/* The rules of a trigger that goes become orphans; inside a job. */
int sql_orphan_rules(sqlite3 *db, struct nr_str account, struct nr_str trigger);

#endif
