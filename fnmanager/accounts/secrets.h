/* The box of secrets: texts that the platform must be able to read again (credentials of registries, parameters marked secret), sealed by
 * AES-256-GCM under a key that lies outside the data folder, so that a copy of the data or of its backups gives none away.
 *
 * Not for keys of accounts: of those only a hash is stored (accounts.h). Blocking; any thread of the manage plane.
 */
#ifndef NR_FNMANAGER_SECRETS_H
#define NR_FNMANAGER_SECRETS_H

#include <pthread.h>

#include "common/base/log.h"
#include "common/base/str.h"
#include "common/data/db.h"
#include "fnmanager/accounts/secret_file.h"

/* Longest text that can be sealed. */
#define SECRETS_TEXT_MAX_BYTES (1 << 20)

struct secrets {
    pthread_mutex_t lock; /* of key and loaded */
    struct nr_db *db;
    struct nr_log *log;
    char *path; /* NULL: not in use */
    unsigned char key[SECRET_BYTES];
    bool loaded;
};

/* Where the key of `data_dir` (lent, there) lies unless somebody says otherwise: beside it, "<data_dir>.secret.key" (made), or NULL. */
char *secrets_default_path(const char *data_dir);

/* path: of the key's file, lent; db and log: kept. When something was sealed before, the key is read now and must be the one that was used:
 * NR_ENOENT, NR_ECONFLICT and others with a sentence that says which file to put back. Else the file is made with the first secret. */
int secrets_init(struct secrets *s, struct nr_db *db, const char *path, struct nr_log *log,
                 struct nr_err *err);
/* Would that be refused? The database at meta_path is read and not changed; one that is not there has no secrets. Blocking. */
int secrets_judge(const char *meta_path, const char *path, struct nr_log *log, struct nr_err *err);
/* Wipes the key. Fine when it was never inited. */
void secrets_fini(struct secrets *s);

/* Seals `text` (lent). `about` (lent) says what it belongs to ("registry/guest/docker.example"): it is not stored, but opens nothing else.
 * *ret (made, by free()) are ret_bytes of binary data. NR_ETOOBIG above SECRETS_TEXT_MAX_BYTES. */
int secrets_seal(struct secrets *s, struct nr_str text, struct nr_str about, char **ret,
                 size_t *ret_bytes, struct nr_err *err);
/* Opens what secrets_seal() gave for the same `about`. *ret (made, NUL behind it; by secrets_forget()) is the text. NR_ECORRUPT when it was
 * changed, belongs to something else, or was sealed under another key. */
int secrets_open(struct secrets *s, struct nr_str sealed, struct nr_str about, char **ret,
                 size_t *ret_bytes, struct nr_err *err);
/* Wipes and frees an opened text; NULL is fine. */
void secrets_forget(char *text, size_t bytes);

#endif
