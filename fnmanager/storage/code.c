/* The code string of a body becomes a file: base64 is undone, for 10 MB of archive reach the function as a descriptor in no time
 * and as base64 in JSON in a seventh of a second.
 *
 * Whether it is base64 is decided by the text alone, as the API's clients expect: what the client says about it does not count. The
 * file's name tells the agent what it is. When encoding the file again would not give the client's text (blanks around it, odd
 * trailing bits) that text is kept beside it, so that what is read is what was written.
 */
#include "fnmanager/storage/code.h"

#include "fnmanager/storage/archive.h"
#include "fnmanager/storage/wasm_module.h"

#define MODE_FILE 0444
#define MODE_EXECUTABLE 0555

static void name_file(struct nr_str bytes, bool binary, const char *extension, char file[16])
{
    enum archive_format format = binary ? archive_format_of(bytes) : ARCHIVE_NONE;

    if (format == ARCHIVE_ZIP)
        (void)snprintf(file, 16, "code.zip");
    else if (format == ARCHIVE_TAR_GZIP)
        (void)snprintf(file, 16, "code.tgz");
    else if (extension == NULL || (bytes.n > 4 && memcmp(bytes.p, "\177ELF", 4) == 0))
        (void)snprintf(file, 16, "exec");
    else
        (void)snprintf(file, 16, "code%.10s", extension);
}

/* Would encoding the decoded bytes give exactly `text`? Only blanks around it and the bits of its last group can differ. */
static bool encodes_back(struct nr_str text, struct nr_str bytes)
{
    size_t tail = bytes.n % 3 != 0 ? bytes.n % 3 : 3;
    char group[8];

    if (text.n != 4 * ((bytes.n + 2) / 3) || bytes.n < tail)
        return false;
    return nr_base64_encode(bytes.p + bytes.n - tail, tail, group) == 4 &&
           memcmp(group, text.p + text.n - 4, 4) == 0;
}

static struct nr_str trimmed(struct nr_str s)
{
    while (s.n > 0 && (unsigned char)s.p[0] <= ' ') {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && (unsigned char)s.p[s.n - 1] <= ' ')
        s.n--;
    return s;
}

static int decode(struct nr_str text, char **ret_mem, struct nr_str *ret_bytes, struct nr_err *err)
{
    struct nr_str inner = trimmed(text);
    char *mem = nr_try_alloc(3 * inner.n / 4 + 4);
    ssize_t n;

    if (mem == NULL)
        return nr_err_set(err, NR_ENOMEM, "There is no memory to decode the code.");
    n = nr_base64_decode(inner, (unsigned char *)mem);
    if (n < 0) {
        free(mem);
        return nr_err_set(err, NR_EINVAL,
                          "The request content was malformed:\n'exec.code' is not valid base64.");
    }
    *ret_mem = mem;
    *ret_bytes = (struct nr_str){mem, (size_t)n};
    return 0;
}

static int write_files(struct storage *s, struct nr_str bytes, struct nr_str sent,
                       struct code_upload *u, struct nr_err *err)
{
    mode_t mode = strcmp(u->file, "exec") == 0 ? MODE_EXECUTABLE : MODE_FILE;
    int r = storage_write(s, u->folder, u->file, bytes, mode, err);

    if (r == 0 && sent.n != 0)
        r = storage_write(s, u->folder, CODE_SENT_FILE, sent, MODE_FILE, err);
    if (r < 0)
        storage_remove(s, u->folder);
    return r;
}

int code_store(struct storage *s, struct fn_key key, struct nr_str text, const char *extension,
               uint64_t number, struct code_upload *ret, struct nr_err *err)
{
    struct code_upload u = {.has_code = true, .binary = nr_base64_looks(text)};
    nr_auto_free char *mem = NULL;
    struct nr_str bytes = text, sent = {NULL, 0};
    enum archive_format format;
    int r = 0;

    if (text.n == 0) {
        *ret = u;
        return 0;
    }
    if (u.binary && (r = decode(text, &mem, &bytes, err)) < 0)
        return r;
    if (u.binary && !encodes_back(text, bytes))
        sent = text;
    format = u.binary ? archive_format_of(bytes) : ARCHIVE_NONE;
    if (format != ARCHIVE_NONE &&
        (r = archive_check(bytes, format, &archive_limits_default, err)) < 0)
        return r;
    if (extension != NULL && strcmp(extension, WASM_EXTENSION) == 0 &&
        (r = wasm_module_check(bytes, err)) < 0)
        return r;
    name_file(bytes, u.binary, extension, u.file);
    nr_sha256(bytes, u.sha256);
    storage_folder(key, number, u.folder);
    u.number = (int64_t)number;
    u.bytes = (int64_t)bytes.n;
    u.sent_bytes = (int64_t)sent.n;
    if ((r = write_files(s, bytes, sent, &u, err)) == 0)
        *ret = u;
    return r;
}

int code_check_sha256(const struct code_upload *u, struct nr_str said, struct nr_err *err)
{
    unsigned char wanted[NR_SHA256_BYTES];
    char is[2 * NR_SHA256_BYTES + 1];

    if (said.p == NULL)
        return 0;
    if (said.n != 2 * NR_SHA256_BYTES || !nr_hex_decode(said, wanted))
        return nr_err_set(err, NR_EINVAL,
                          "The header x-narae-sha256 must be %d hexadecimal digits.",
                          2 * NR_SHA256_BYTES);
    if (u->number == 0)
        return nr_err_set(err, NR_EINVAL, "The header x-narae-sha256 was given without code.");
    if (memcmp(wanted, u->sha256, sizeof(wanted)) == 0)
        return 0;
    nr_hex(u->sha256, sizeof(u->sha256), is);
    return nr_err_set(err, NR_EINVAL,
                      "The code has the SHA-256 %s, not %.*s as x-narae-sha256 says.", is,
                      (int)said.n, said.p);
}

static void replace(char **text, const char *with)
{
    free(*text);
    *text = nr_strdup(with);
}

void code_into_row(const struct code_upload *u, struct fn_row *row)
{
    row->has_code = u->has_code;
    row->binary = u->binary;
    row->upload = u->number;
    replace(&row->folder, u->folder);
    replace(&row->file, u->file);
    row->code_bytes = u->bytes;
    row->sent_bytes = u->sent_bytes;
    memcpy(row->sha256, u->sha256, sizeof(row->sha256));
}

int code_write_json(struct storage *s, const struct fn_row *row, struct nr_buf *out,
                    struct nr_err *err)
{
    nr_auto_free char *bytes = NULL;
    size_t n = 4 * (((size_t)row->code_bytes + 2) / 3);
    char *room;
    int r;

    if (row->file[0] == '\0') {
        nr_buf_adds(out, "\"\"");
        return 0;
    }
    if (row->sent_bytes > 0)
        r = storage_read(s, row->folder, CODE_SENT_FILE, row->sent_bytes, NULL, &bytes, err);
    else
        r = storage_read(s, row->folder, row->file, row->code_bytes, row->sha256, &bytes, err);
    if (r < 0)
        return r;
    if (row->sent_bytes > 0 || !row->binary) {
        nr_buf_json(out, (struct nr_str){bytes, (size_t)(row->sent_bytes > 0 ? row->sent_bytes
                                                                             : row->code_bytes)});
        return 0;
    }
    nr_buf_addc(out, '"');
    if ((room = nr_buf_room(out, n + 1)) != NULL)
        nr_buf_took(out, nr_base64_encode(bytes, (size_t)row->code_bytes, room));
    nr_buf_addc(out, '"');
    return 0;
}
