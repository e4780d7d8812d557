/* A file that holds 32 random bytes as 64 hexadecimal digits, closed to others. Blocking; manage plane.
 */
#ifndef NR_FNMANAGER_SECRET_FILE_H
#define NR_FNMANAGER_SECRET_FILE_H

#include "common/base/err.h"
#include "common/base/log.h"

#define SECRET_BYTES 32

/* The secret of the file `path` (lent) into out. NR_ENOENT when it is not there, NR_ECORRUPT when it holds something else, others; each
 * with a sentence. A mode that lets others read is warned of and closed. */
int secret_file_read(const char *path, unsigned char out[SECRET_BYTES], struct nr_log *log,
                     struct nr_err *err);
/* Makes `path` (lent; its folder is there) with a new secret, durable when it returns, and gives that in out. */
int secret_file_make(const char *path, unsigned char out[SECRET_BYTES], struct nr_err *err);

#endif
