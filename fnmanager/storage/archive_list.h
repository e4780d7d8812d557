/* What an archive holds, file by file. Works on bytes in memory; any thread.
 */
#ifndef NR_FNMANAGER_ARCHIVE_LIST_H
#define NR_FNMANAGER_ARCHIVE_LIST_H

#include "common/data/digest.h"
#include "fnmanager/storage/archive.h"

/* One file; the path is made. */
struct archive_file {
    char *path;
    size_t order; /* in the archive */
    int64_t bytes;
    unsigned char sha256[NR_SHA256_BYTES];
};
struct archive_files {
    struct archive_file *item; /* by path; of two with one path the later one */
    size_t n;
};
void archive_files_fini(struct archive_files *l);

/* The files of an archive that archive_check() has let pass, into *ret (made). NR_EINVAL, NR_ENOMEM with a sentence. */
int archive_list(struct nr_str bytes, enum archive_format format, struct archive_files *ret,
                 struct nr_err *err);

#endif
