/* Metadata Handler: which files the versions of an account name. All functions block (manage plane); any thread.
 */
#ifndef NR_FNMANAGER_METADATA_FILES_H
#define NR_FNMANAGER_METADATA_FILES_H

#include "fnmanager/registry/metadata.h"

/* A folder of code, and the first of the versions that share it; texts made. */
struct stored_folder {
    char *folder, *file;
    char *package, *name;
    int64_t number; /* of the version; 0: LATEST */
    int64_t code_bytes, sent_bytes;
    unsigned char sha256[NR_SHA256_BYTES];
};
void stored_folders_free(struct stored_folder *list, size_t n);

/* Up to `limit` folders of the bucket (lent, as storage_bucket() names it) behind `after` (lent; "": from the first), in the order of
 * their names. *ret_list is made; *ret_n 0: there are no more. */
int metadata_folders(struct nr_db *db, const char *bucket, const char *after, int limit,
                     struct stored_folder **ret_list, size_t *ret_n);
/* Calls `each` for every folder of the bucket that is garbage, on a thread of the database; it may not use the database. */
int metadata_garbage(struct nr_db *db, const char *bucket,
                     void (*each)(void *arg, const char *folder), void *arg);

#endif
