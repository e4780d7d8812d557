/* A whole function manager on a data folder of its own, and calls to it that wait for their answer. For tests. */
#ifndef NR_TESTS_FNMANAGER_RIG_H
#define NR_TESTS_FNMANAGER_RIG_H

#include "common/net/loop.h"
#include "ports/fnmanager.h"

struct rig {
    char dir[64]; /* data folder; removed by rig_end() */
    struct nr_loop loop;
    struct fnmanager *m;
    struct fnmanager_config config;
    struct account *guest, *admin;
    /* what on_change said last, and how often */
    char changed[600];
    uint64_t changed_revision;
    enum fn_change change;
    int changes;
};

/* What a call gave back: texts are made, rig_reply_fini() frees them. */
struct rig_reply {
    int status, code, changes_at_done;
    char *body; /* reply of a 2xx, or the error's sentence */
    struct function *fn;
};

extern const struct runtime_kind rig_kinds[];

/* Makes the folder and opens the manager. */
void rig_begin(struct rig *r);
/* Closes the manager and the loop (which must be clean), removes the folder. */
void rig_end(struct rig *r);
/* Only the manager: as a stop and a start of the daemon. */
void rig_close(struct rig *r);
void rig_open(struct rig *r);

/* One call by `who`; package and body may be NULL. */
struct rig_reply rig_call(struct rig *r, struct account *who, enum fn_op op, const char *package,
                          const char *name, const char *body, bool overwrite);
/* The same with all of the call given. Fills loop and done, waits. */
struct rig_reply rig_run(struct rig *r, struct fn_call *call);
void rig_reply_fini(struct rig_reply *reply);

/* PUT by guest; asserts the status and gives the body. */
char *rig_put(struct rig *r, const char *name, const char *body, bool overwrite, int status);
/* The text of <dir>/<name> without its newline (made), or NULL. */
char *rig_file(struct rig *r, const char *name);
/* How many regular files lie below <dir>/buckets. */
int rig_bucket_files(struct rig *r);
/* "uuid:secret" of <dir>/<name>, checked: 0 and an account, or NR_EAUTH. */
int rig_login(struct rig *r, const char *pair, struct account **ret);

#endif
