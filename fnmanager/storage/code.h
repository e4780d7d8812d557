/* Uploaded code: what it is, whether it may be stored, and storing it. Blocking (manage plane).
 */
#ifndef NR_FNMANAGER_CODE_H
#define NR_FNMANAGER_CODE_H

#include "fnmanager/storage/storage.h"

/* Ceiling of the `code` string. */
#define CODE_MAX_BYTES (48ll << 20)
/* Beside the code's file when base64 of it is not what the client sent. */
#define CODE_SENT_FILE "sent"

/* Code on its way into a row. Zeroed: no code. */
struct code_upload {
    bool has_code, binary;
    int64_t number; /* 0: no file (empty code) */
    char folder[STORAGE_FOLDER_BYTES];
    char file[16];
    int64_t bytes, sent_bytes;
    unsigned char sha256[NR_SHA256_BYTES];
};

/* Decodes `text` (lent) when it looks like base64, checks archives, writes the files durably as upload `number` of `key`.
 * extension: of a single source file of the kind (".py"), or NULL when the kind runs executables.
 * NR_EINVAL, NR_ETOOBIG, NR_ENOSPC with a sentence; then nothing is left on disk. */
int code_store(struct storage *s, struct fn_key key, struct nr_str text, const char *extension,
               uint64_t number, struct code_upload *ret, struct nr_err *err);
/* Is it what the client says it sent? said: 64 hexadecimal digits, p NULL: it says nothing. NR_EINVAL with a sentence. */
int code_check_sha256(const struct code_upload *u, struct nr_str said, struct nr_err *err);
/* Moves the upload's facts into a row whose code fields are empty or an older version's. */
void code_into_row(const struct code_upload *u, struct fn_row *row);
/* Adds the code of a row as a JSON string, as the client sent it. */
int code_write_json(struct storage *s, const struct fn_row *row, struct nr_buf *out,
                    struct nr_err *err);

#endif
