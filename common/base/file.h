/* Files that survive a power cut: temporary name, fsync, rename, fsync of the folder. Blocking: never on a loop thread.
 */
#ifndef NR_COMMON_BASE_FILE_H
#define NR_COMMON_BASE_FILE_H

#include <sys/types.h>

#include "common/base/err.h"
#include "common/base/str.h"

/* Writes `bytes` to dir/name so that after a crash either the old or the new content is there, never a mix. What a crash may
 * leave is a file `.tmp-<16 hex>` beside it. */
int nr_file_write(const char *dir, const char *name, struct nr_str bytes, mode_t mode,
                  struct nr_err *err);
/* The whole file (made, NUL behind it); NR_ETOOBIG above max_bytes, NR_ENOENT when it is not there. */
int nr_file_read(const char *path, size_t max_bytes, char **ret_bytes, size_t *ret_n,
                 struct nr_err *err);
/* mkdir -p; the last folder gets `mode` when it is new, the new ones above it 0755; fsyncs each parent of a new folder. */
int nr_dir_make(const char *path, mode_t mode, struct nr_err *err);
/* Removes a folder with all in it, never following a link; absent is fine. */
int nr_dir_remove(const char *path, struct nr_err *err);
int nr_dir_sync(const char *path, struct nr_err *err);

#endif
