/* Metadata Handler: the rows of meta.db as structs, and back. All functions block (manage plane); any thread.
 */
#ifndef NR_FNMANAGER_METADATA_H
#define NR_FNMANAGER_METADATA_H

#include "common/base/buf.h"
#include "common/data/db.h"
#include "common/data/digest.h"
#include "ports/function.h"

/* Limits of a version; instances -1: not set. */
struct fn_limits {
    int64_t timeout_ms, memory_mb, logs_mb, concurrency, instances;
};

/* Which function: lent texts. */
struct fn_key {
    struct nr_str account, package, name;
};

/* One version of a function as it is stored. Texts are made; fn_row_fini() frees them. */
struct fn_row {
    int64_t function_id, version_id;
    int64_t number; /* of a published version; 0: LATEST */
    int64_t newest; /* the newest version of the function that was published; 0: none */
    uint64_t revision;
    enum function_state state, state_before;
    enum function_state from; /* of a row that is to be stored: the state it was made from */
    char *reason,
        *note; /* of its block or retirement; of its publication; "" when none was given */
    int64_t hold_ms, deadline_ms; /* of its update window; wall clock; 0: none */
    char *version, *kind, *image, *main;
    char *
        components; /* of a sequence: JSON array text of references, with their namespaces; else "" */
    bool publish, has_code, binary;
    int64_t upload;      /* number of the upload that the code came with; 0: no file */
    char *folder, *file; /* below the buckets; "" without a file */
    int64_t code_bytes;
    int64_t
        sent_bytes; /* > 0: the text as the client sent it lies beside the file, for base64 would not give it back */
    unsigned char sha256[NR_SHA256_BYTES];
    char *parameters, *annotations; /* JSON array texts */
    struct fn_limits limits;
    int64_t updated_ms;
};
void fn_row_fini(struct fn_row *r);

/* Who does it, for the audit log; lent. */
struct fn_actor {
    struct nr_str account, key_uuid;
};

/* LATEST of `key` into *ret (made); NR_ENOENT without a sentence. */
int metadata_load(struct nr_db *db, struct fn_key key, struct fn_row *ret);
/* The same for a published version; 0: LATEST. */
int metadata_load_version(struct nr_db *db, struct fn_key key, int64_t number, struct fn_row *ret);
/* Stores LATEST: replaces the row of revision `expected` (0: there must be none), whose state must still be row->from, and puts its code
 * folder among the garbage when no version names it any more. NR_EEXIST when there is one already, NR_ECONFLICT when it changed or went
 * meanwhile; NR_EFORBIDDEN with a sentence when it would exceed a quota. */
int metadata_commit(struct nr_db *db, struct fn_key key, const struct fn_row *row,
                    uint64_t expected, struct fn_actor actor, struct nr_err *err);

struct fn_list {
    struct fn_key key; /* package "": all; the name does not matter */
    int64_t limit, skip;
    bool count;
    struct nr_buf *out; /* lent: the JSON text is added here */
};
int metadata_list(struct nr_db *db, const struct fn_list *q);

/* The last revision that was given out, into *ret. */
int metadata_revision(struct nr_db *db, uint64_t *ret);

/* Does a version use this folder? Its file's name goes into *ret_file (made); NR_ENOENT when none does. */
int metadata_folder(struct nr_db *db, const char *folder, char **ret_file);
/* 0 when this folder is among the garbage, else NR_ENOENT or an error. */
int metadata_is_garbage(struct nr_db *db, const char *folder);
/* The oldest folder among the garbage that lies there since before_ms or longer (made), or NR_ENOENT. */
int metadata_garbage_first(struct nr_db *db, int64_t before_ms, char **ret_folder);
/* Forgets the garbage of a whole bucket. */
int metadata_garbage_bucket(struct nr_db *db, const char *bucket);
int metadata_garbage_done(struct nr_db *db, const char *folder);
/* Keeps the newest `keep` lines of the audit log. */
int metadata_audit_trim(struct nr_db *db, int64_t keep);

/* The account's grants as they were put (JSON text, made); NR_ENOENT when there are none. */
int metadata_grants(struct nr_db *db, struct nr_str account, char **ret_text);

/* A change of grants; texts lent during the call. */
struct grants_put {
    struct nr_str account,
        text; /* text.p NULL: what is granted stays, only the functions become new */
    struct fn_actor actor;
    uint64_t (*next_revision)(void *arg);
    void *arg;
};
/* A function that has become new by it. */
struct grants_changed {
    int64_t version_id;
    uint64_t old_revision;
    char *package, *name;
};
/* Stores, audits, and gives each function of the account a new revision, in one transaction. *ret_list is made. */
int metadata_grants_put(struct nr_db *db, const struct grants_put *put,
                        struct grants_changed **ret_list, size_t *ret_n);
void grants_changed_free(struct grants_changed *list, size_t n);

#endif
