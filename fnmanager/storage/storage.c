/* Writing: the folder of the upload, then temporary name, fsync, rename, fsync of the folder; only then may a row name it. A file
 * without a row is harmless and swept; a row without a file must not be.
 * Reading: size and SHA-256 are compared with the row. A file that is not what was uploaded is counted and never run.
 */
#include "fnmanager/storage/storage.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "common/base/file.h"

/* A file is readable for all (0444), for a function reopens it as another user through the descriptor that it was handed; the
 * folders are closed, so that no other user of the host finds a way to it. */
#define FOLDER_MODE 0700

#define CODE_DAMAGED                                                                               \
    "The code of the function is unavailable: its stored file is not what was uploaded."

int storage_init(struct storage *s, const char *data_dir, struct nr_err *err)
{
    struct nr_buf path;

    nr_buf_init(&path, 4096);
    nr_buf_printf(&path, "%s/buckets", data_dir);
    s->root = nr_buf_detach(&path, NULL);
    nr_buf_fini(&path);
    if (s->root == NULL)
        return nr_err_set(err, NR_EINVAL, "The path of the data folder is too long: %.200s...",
                          data_dir);
    nr_check(pthread_mutex_init(&s->folders, NULL) == 0 &&
             pthread_mutex_init(&s->verified_lock, NULL) == 0);
    int r = nr_dir_make(s->root, FOLDER_MODE, err);

    /* one of an earlier run may have been open to the users of the host */
    if (r == 0 && chmod(s->root, FOLDER_MODE) != 0)
        return nr_err_set(err, nr_err_from_errno(errno), "%s: its mode cannot be set: %s", s->root,
                          strerror(errno));
    return r;
}

void storage_fini(struct storage *s)
{
    if (s->root == NULL)
        return;
    storage_old_gone(s);
    pthread_mutex_destroy(&s->folders);
    pthread_mutex_destroy(&s->verified_lock);
    free(s->verified);
    free(s->root);
    s->root = NULL;
}

/* A percent-encoded name, cut when it is too long for a folder. */
static void disk_name(struct nr_str encoded, char out[STORAGE_NAME_BYTES])
{
    unsigned char hash[NR_SHA256_BYTES];
    char hex[17];

    if (encoded.n < STORAGE_NAME_BYTES) {
        (void)snprintf(out, STORAGE_NAME_BYTES, "%.*s", (int)encoded.n, encoded.p);
        return;
    }
    nr_sha256(encoded, hash);
    nr_hex(hash, 8, hex);
    (void)snprintf(out, STORAGE_NAME_BYTES, "%.160s~%s", encoded.p, hex);
}

#define NAME_MAX_BYTES 256

void storage_folder(struct fn_key key, uint64_t upload, char out[STORAGE_FOLDER_BYTES])
{
    char encoded[2 * 3 * NAME_MAX_BYTES + 2], account[STORAGE_NAME_BYTES],
        function[STORAGE_NAME_BYTES];
    size_t n = 0;

    nr_check(key.account.n <= NAME_MAX_BYTES && key.package.n <= NAME_MAX_BYTES &&
             key.name.n <= NAME_MAX_BYTES);
    disk_name((struct nr_str){encoded, nr_pct_encode(key.account, encoded)}, account);
    if (key.package.n != 0) {
        n = nr_pct_encode(key.package, encoded);
        encoded[n++] = '+';
    }
    n += nr_pct_encode(key.name, encoded + n);
    disk_name((struct nr_str){encoded, n}, function);
    (void)snprintf(out, STORAGE_FOLDER_BYTES, "%s/%s/%llu", account, function,
                   (unsigned long long)upload);
}

void storage_bucket(struct nr_str account, char out[STORAGE_FOLDER_BYTES])
{
    char encoded[3 * NAME_MAX_BYTES + 1];

    nr_check(account.n <= NAME_MAX_BYTES);
    disk_name((struct nr_str){encoded, nr_pct_encode(account, encoded)}, out);
}

char *storage_path(const struct storage *s, const char *folder, const char *file)
{
    size_t n = strlen(s->root) + strlen(folder) + strlen(file) + 3;
    char *path = nr_alloc(n);

    (void)snprintf(path, n, "%s/%s%s%s", s->root, folder, *file != '\0' ? "/" : "", file);
    return path;
}

static void remember(struct storage *s, const char *folder)
{
    if (s->old_gone)
        return;
    if (s->made_count % 64 == 0) {
        char **grown = nr_try_realloc(s->made, (s->made_count + 64) * sizeof(*grown));
        nr_check(grown != NULL);
        s->made = grown;
    }
    s->made[s->made_count++] = nr_strdup(folder);
}

/* Makes <root>/<account>/<function>/<upload>. */
static int make_folder(struct storage *s, const char *folder, struct nr_err *err)
{
    nr_auto_free char *path = storage_path(s, folder, "");
    char *at = path + strlen(s->root) + 1;
    int r = 0;

    pthread_mutex_lock(&s->folders);
    remember(s, folder);
    while (r == 0 && (at = strchr(at, '/')) != NULL) {
        *at = '\0';
        r = nr_dir_make(path, FOLDER_MODE, err);
        *at++ = '/';
    }
    if (r == 0)
        r = nr_dir_make(path, FOLDER_MODE, err);
    pthread_mutex_unlock(&s->folders);
    return r;
}

int storage_write(struct storage *s, const char *folder, const char *file, struct nr_str bytes,
                  mode_t mode, struct nr_err *err)
{
    nr_auto_free char *path = storage_path(s, folder, "");
    int r = make_folder(s, folder, err);

    return r < 0 ? r : nr_file_write(path, file, bytes, mode, err);
}

/* A folder comes from a row, and the registry may have been restored from a foreign backup: below the buckets, with no way out. */
static bool is_plain(const char *folder)
{
    struct nr_str rest = nr_str_of(folder), part;

    if (folder[0] == '\0') /* that would be all buckets */
        return false;
    while (nr_str_split(&rest, '/', &part))
        if (part.n == 0 || nr_str_eqz(part, ".") || nr_str_eqz(part, ".."))
            return false;
    return true;
}

void storage_remove(struct storage *s, const char *folder)
{
    char *slash;

    if (!is_plain(folder))
        return;
    nr_auto_free char *path = storage_path(s, folder, "");

    (void)nr_dir_remove(path, NULL);
    pthread_mutex_lock(&s->folders);
    while ((slash = strrchr(path, '/')) != NULL && slash > path + strlen(s->root)) {
        *slash = '\0';
        if (rmdir(path) != 0)
            break;
    }
    pthread_mutex_unlock(&s->folders);
}

int storage_read(struct storage *s, const char *folder, const char *file, int64_t bytes,
                 const unsigned char *sha256, char **ret, struct nr_err *err)
{
    nr_auto_free char *path = storage_path(s, folder, file);
    nr_auto_free char *content = NULL;
    unsigned char hash[NR_SHA256_BYTES];
    size_t n = 0;
    int r = is_plain(folder) && strchr(file, '/') == NULL
                ? nr_file_read(path, (size_t)bytes, &content, &n, NULL)
                : NR_ECORRUPT;

    if (r == NR_ENOMEM)
        return nr_err_set(err, r, "There is no memory to read the code of the function.");
    if (r == 0 && sha256 != NULL)
        nr_sha256((struct nr_str){content, n}, hash);
    if (r < 0 || n != (size_t)bytes ||
        (sha256 != NULL && memcmp(hash, sha256, sizeof(hash)) != 0)) {
        nr_count(&s->damaged, 1);
        return nr_err_set(err, NR_ECORRUPT, CODE_DAMAGED);
    }
    *ret = nr_steal(&content);
    return 0;
}

bool storage_remove_old(struct storage *s, const char *folder)
{
    nr_auto_free char *path = storage_path(s, folder, "");
    bool ours = false;

    pthread_mutex_lock(&s->folders);
    for (size_t i = 0; i < s->made_count && !ours; i++)
        ours = strcmp(s->made[i], folder) == 0;
    if (!ours && nr_dir_remove(path, NULL) != 0)
        (void)unlink(path);
    pthread_mutex_unlock(&s->folders);
    return !ours;
}

void storage_old_gone(struct storage *s)
{
    pthread_mutex_lock(&s->folders);
    for (size_t i = 0; i < s->made_count; i++)
        free(s->made[i]);
    free(s->made);
    s->made = NULL;
    s->made_count = 0;
    s->old_gone = true;
    pthread_mutex_unlock(&s->folders);
}

static bool is_verified(struct storage *s, int64_t upload)
{
    size_t byte = (size_t)upload / 8;
    bool yes;

    pthread_mutex_lock(&s->verified_lock);
    yes = byte < s->verified_bytes && (s->verified[byte] >> (upload % 8) & 1) != 0;
    pthread_mutex_unlock(&s->verified_lock);
    return yes;
}

/* Without memory it is forgotten: the file is hashed once more then. */
static void set_verified(struct storage *s, int64_t upload)
{
    size_t byte = (size_t)upload / 8;

    pthread_mutex_lock(&s->verified_lock);
    if (byte >= s->verified_bytes) {
        size_t more = byte + byte / 4 + 64;
        unsigned char *grown = nr_try_realloc(s->verified, more);
        if (grown != NULL) {
            memset(grown + s->verified_bytes, 0, more - s->verified_bytes);
            s->verified = grown;
            s->verified_bytes = more;
        }
    }
    if (byte < s->verified_bytes)
        s->verified[byte] = (unsigned char)(s->verified[byte] | 1u << (upload % 8));
    pthread_mutex_unlock(&s->verified_lock);
}

static bool file_is_right(struct storage *s, const struct fn_row *row)
{
    nr_auto_free char *path = storage_path(s, row->folder, row->file);
    nr_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    unsigned char hash[NR_SHA256_BYTES];
    struct stat st;

    nr_count(&s->hashed, 1);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size != row->code_bytes)
        return false;
    return nr_sha256_fd(fd, hash) && memcmp(hash, row->sha256, sizeof(hash)) == 0;
}

int storage_verify(struct storage *s, const struct fn_row *row, struct nr_err *err)
{
    if (row->file[0] == '\0' || is_verified(s, row->upload))
        return 0;
    if (!is_plain(row->folder) || strchr(row->file, '/') != NULL || !file_is_right(s, row)) {
        nr_count(&s->damaged, 1);
        return nr_err_set(err, NR_ECORRUPT, CODE_DAMAGED);
    }
    set_verified(s, row->upload);
    return 0;
}
