/* Reading refuses what is not exactly a secret: a key that was cut off or pasted wrongly would open nothing, and say so much later.
 */
#include "fnmanager/accounts/secret_file.h"

#include <limits.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define DIGITS (2 * SECRET_BYTES)

int secret_file_read(const char *path, unsigned char out[SECRET_BYTES], struct nr_log *log,
                     struct nr_err *err)
{
    nr_auto_free char *text = NULL;
    size_t n = 0;
    struct stat st;
    bool good;
    int r = nr_file_read(path, 2 * DIGITS, &text, &n, NULL);

    if (r < 0)
        return nr_err_set(err, r, "%s cannot be read: %s", path, nr_err_text(r));
    good = (n == DIGITS || (n == DIGITS + 1 && text[DIGITS] == '\n')) &&
           nr_hex_decode((struct nr_str){text, DIGITS}, out);
    if (text != NULL) /* it is: an empty file has an empty text */
        explicit_bzero(text, n);
    if (!good)
        return nr_err_set(err, NR_ECORRUPT,
                          "%s does not hold %d hexadecimal digits: put the right file back", path,
                          DIGITS);
    if (stat(path, &st) == 0 && (st.st_mode & 077) != 0) {
        nr_log(log, NR_LOG_WARN, "fnmanager", "%s could be read by others; its mode is 0600 now",
               path);
        (void)chmod(path, 0600);
    }
    return 0;
}

int secret_file_make(const char *path, unsigned char out[SECRET_BYTES], struct nr_err *err)
{
    const char *slash = strrchr(path, '/');
    char folder[PATH_MAX], text[DIGITS + 2];
    int r;

    if (slash == NULL || (size_t)(slash - path) >= sizeof(folder))
        return nr_err_set(err, NR_EINVAL, "%.200s is no path of a key's file", path);
    (void)snprintf(folder, sizeof(folder), "%.*s", slash > path ? (int)(slash - path) : 1, path);
    nr_random(out, SECRET_BYTES);
    nr_hex(out, SECRET_BYTES, text);
    text[DIGITS] = '\n';
    r = nr_file_write(folder, slash + 1, (struct nr_str){text, DIGITS + 1}, 0600, err);
    explicit_bzero(text, sizeof(text));
    return r;
}
