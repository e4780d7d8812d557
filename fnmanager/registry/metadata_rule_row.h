/* Rules as rows: what reading and changing them share. For use inside jobs only.
 */
#ifndef NR_FNMANAGER_METADATA_RULE_ROW_H
#define NR_FNMANAGER_METADATA_RULE_ROW_H

#include "common/base/buf.h"
#include "fnmanager/registry/metadata_rules.h"

enum rule_status { RULE_ACTIVE, RULE_INACTIVE, RULE_ORPHAN };

/* A rule as it is stored; texts made, rule_row_fini() frees them. */
struct rule_row {
    char *name, *version, *annotations; /* annotations: JSON array text */
    bool publish;
    int64_t updated_ms;
    enum rule_status status;
    char *trigger_account, *trigger;
    struct function_target action;
};
void rule_row_fini(struct rule_row *row);

/* Into *ret (made); NR_ENOENT. */
int sql_rule(sqlite3 *db, struct fn_key key, struct rule_row *ret);
/* How many the account has, into *ret. */
int sql_rule_count(sqlite3 *db, struct nr_str account, int64_t *ret);
/* Adds the rule's JSON to out (lent); `status` NULL: without one, as lists show it. */
void rule_write(struct nr_str account, const struct rule_row *row, const char *status,
                struct nr_buf *out);
/* "active" or "inactive". */
const char *rule_shown_status(const struct rule_row *row);
/* "active", "inactive", "orphan": as stored. */
const char *rule_status_name(enum rule_status status);

#endif
