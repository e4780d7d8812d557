/* PreEnv's Storage: runs as rows of meta.db. A row goes with its function. Blocking; any thread.
 */
#ifndef NR_FNMANAGER_PREENV_STORAGE_H
#define NR_FNMANAGER_PREENV_STORAGE_H

#include "fnmanager/registry/metadata.h"
#include "fnmanager/preenv/preenv.h"

/* Runs that are kept of one function; the oldest go. */
#define PREENV_KEPT 100

/* Inserts a new run; NR_ENOENT when its function is not there any more. */
int preenv_add(struct nr_db *db, const struct preenv_run *r);
/* Stores how far it is; NR_ENOENT when its row is gone, as it is when the function was deleted. */
int preenv_store(struct nr_db *db, const struct preenv_run *r);
/* Deletes it: what was refused leaves no trace. */
int preenv_forget(struct nr_db *db, const struct preenv_run *r);
/* A run of this function as its JSON text (made); NR_ENOENT when there is none. */
int preenv_load_text(struct nr_db *db, struct fn_key key, struct nr_str id, char **ret_text);
/* A run as far as it is (made), by its id alone; NR_ENOENT when there is none. */
int preenv_load(struct nr_db *db, const char *id, struct preenv_run **ret);
/* Stored runs of this function, newest first: `each` gets their JSON texts, on a thread of the database, which it may not use. */
struct preenv_list {
    struct fn_key key;
    int64_t limit, skip;
    void (*each)(void *arg, struct nr_str text);
    void *arg;
};
int preenv_list(struct nr_db *db, const struct preenv_list *q);
/* Ids of runs that have not ended, oldest first, 33 bytes each, into *ret_ids (made). */
int preenv_unfinished(struct nr_db *db, char (**ret_ids)[33], size_t *ret_n);
/* A line in the audit log: who started, cancelled or applied a run. */
int preenv_audit(struct nr_db *db, const struct preenv_run *r, struct fn_actor actor,
                 const char *move);

#endif
