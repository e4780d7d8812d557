/* Storage Handler: one bucket of files per account, `<data>/buckets/<account>/<function>/<upload>/<file>`. Blocking; any thread.
 *
 * A folder below the buckets ("guest/hello/17") is written once and never changed, so whoever holds a snapshot keeps his file
 * until the sweeper takes the folder away.
 */
#ifndef NR_FNMANAGER_STORAGE_H
#define NR_FNMANAGER_STORAGE_H

#include <pthread.h>
#include <sys/types.h>

#include "common/base/metric.h"
#include "common/data/digest.h"
#include "fnmanager/registry/metadata.h"

/* Longest name on disk: 200 bytes, or 160 + '~' + 16; and a NUL. */
#define STORAGE_NAME_BYTES 201
/* A folder below the buckets, and a NUL: account, function, number. */
#define STORAGE_FOLDER_BYTES (2 * STORAGE_NAME_BYTES + 24)

struct storage {
    char *root;              /* "<data>/buckets" */
    pthread_mutex_t folders; /* making a folder against removing its empty parent */
    char **made; /* folders of uploads of this run, until storage_old_gone(); under `folders` */
    size_t made_count;
    bool old_gone;
    pthread_mutex_t verified_lock;
    unsigned char
        *verified; /* one bit per upload number: its file's hash was right in this process */
    size_t verified_bytes;
    nr_counter hashed, damaged;
};

/* Makes the root. */
int storage_init(struct storage *s, const char *data_dir, struct nr_err *err);
void storage_fini(struct storage *s);

/* The folder's names on disk: percent-encoded, cut and hashed when longer than 200 bytes; a package and its function joined by '+'. */
void storage_folder(struct fn_key key, uint64_t upload, char out[STORAGE_FOLDER_BYTES]);

/* The folder of all that belongs to an account. */
void storage_bucket(struct nr_str account, char out[STORAGE_FOLDER_BYTES]);

/* Writes bytes as folder/file, durable when it returns. NR_ENOSPC and others; then nothing of the file is left. */
int storage_write(struct storage *s, const char *folder, const char *file, struct nr_str bytes,
                  mode_t mode, struct nr_err *err);
/* Removes a folder with its files, and its parents when they are empty; "" is none. */
void storage_remove(struct storage *s, const char *folder);
/* The same for a folder that an earlier run left: one that this run has made is kept. Did it go? */
bool storage_remove_old(struct storage *s, const char *folder);
/* Nothing of earlier runs is looked for any more: what this run has made need not be remembered. */
void storage_old_gone(struct storage *s);
/* The bytes of folder/file (made), whole and, unless sha256 is NULL, with the right hash; NR_ECORRUPT else. */
int storage_read(struct storage *s, const char *folder, const char *file, int64_t bytes,
                 const unsigned char *sha256, char **ret, struct nr_err *err);
/* Checks size and hash of the file of a row, once per upload and process; NR_ECORRUPT when they are not what was stored. */
int storage_verify(struct storage *s, const struct fn_row *row, struct nr_err *err);
/* "<root>/folder/file" (made). */
char *storage_path(const struct storage *s, const char *folder, const char *file);

#endif
