/* Metadata Handler: the audit log. Each change writes its line in the transaction that makes it.
 */
#ifndef NR_FNMANAGER_METADATA_AUDIT_H
#define NR_FNMANAGER_METADATA_AUDIT_H

#include "fnmanager/registry/metadata.h"

/* One line. Texts are lent; an absent one is "". */
struct audit_line {
    int64_t at_ms;
    struct fn_actor actor; /* who */
    const char *move;      /* what: "block", "key-revoke", ... */
    struct fn_key
        object;     /* of what: shown as account/package/name; package and name may be absent */
    int64_t number; /* of the version; 0: LATEST, or it is no function */
    const char *from, *to; /* states, or what else it was and is */
    struct nr_str note;    /* why */
};

/* Inside a write job. */
int audit_put(sqlite3 *db, const struct audit_line *l);

/* A page of the lines about one function, the newest first: {"moves":[…]} is added to `out` (lent). Lines outlive the function; NR_ENOENT
 * when there never was one of this name. */
int metadata_history(struct nr_db *db, struct fn_key key, int64_t limit, int64_t skip,
                     struct nr_buf *out);

#endif
