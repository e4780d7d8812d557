/* Two files for each result: the bytes first, then the line that says what they are; so a result that is found was whole once. */
#include "fnmanager/compile/compiled.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "fnmanager/storage/storage.h"

/* Another form of what is kept here, or of how it is made, is another key. */
#define FORM "narae-compiled-1"
#define LINE_MAX_BYTES 512
#define MODE_LINE 0444
#define MODE_GARBAGE 0400 /* of a line */
#define MODE_CODE 0555
#define MODE_FOLDER 0755

void compiled_key(const char *compiler, const struct compile_source *s,
                  char ret[COMPILED_KEY_BYTES])
{
    const char *const texts[] = {FORM, compiler, s->kind, s->main, s->file};
    unsigned char hash[NR_SHA256_BYTES];
    struct nr_buf b;

    nr_buf_init(&b, 64 << 10);
    for (size_t i = 0; i < nr_countof(texts); i++)
        nr_buf_add(&b, texts[i], strlen(texts[i]) + 1);
    nr_buf_add(&b, s->account.p, s->account.n);
    nr_buf_addc(&b, '\0');
    nr_buf_add(&b, (const char *)s->sha256, NR_SHA256_BYTES);
    nr_check(!b.failed);
    nr_sha256(nr_buf_str(&b), hash);
    nr_buf_fini(&b);
    nr_hex(hash, sizeof(hash), ret);
}

static char *join(const char *a, const char *b, const char *c)
{
    size_t n = strlen(a) + strlen(b) + strlen(c) + 2;
    char *out = nr_alloc(n);

    (void)snprintf(out, n, "%s/%s%s", a, b, c);
    return out;
}

char *compiled_folder(const char *data_dir, struct nr_str account)
{
    char bucket[STORAGE_FOLDER_BYTES];

    storage_bucket(account, bucket);
    return join(data_dir, "compiled/", bucket);
}

char *compiled_path(const char *folder, const char *key)
{
    return join(folder, key, ".code");
}

static bool is_there(const char *folder, const char *key, int64_t bytes)
{
    nr_auto_free char *path = compiled_path(folder, key);
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == bytes;
}

int compiled_line(const char *folder, const char *key, struct compiled *ret)
{
    nr_auto_free char *path = join(folder, key, ""), *text = NULL;
    struct stat st;
    size_t n = 0;

    if (stat(path, &st) != 0 || nr_file_read(path, LINE_MAX_BYTES, &text, &n, NULL) < 0)
        return NR_ENOENT;
    nr_auto_json json_t *o = nr_json_parse((struct nr_str){text, n}, NULL);
    const char *file = nr_json_string(o, "file"), *sha256 = nr_json_string(o, "sha256");
    struct compiled c = {.as_is = json_is_true(json_object_get(o, "as_is")),
                         .garbage = (st.st_mode & 0777) == MODE_GARBAGE,
                         .bytes = json_integer_value(json_object_get(o, "bytes"))};

    if (!c.as_is && (file == NULL || sha256 == NULL || strlen(sha256) != 2 * NR_SHA256_BYTES ||
                     strlen(file) >= sizeof(c.file) || !nr_hex_decode(nr_str_of(sha256), c.sha256)))
        return NR_ENOENT;
    (void)snprintf(c.file, sizeof(c.file), "%s", file ? file : "");
    *ret = c;
    return 0;
}

int compiled_find(const char *folder, const char *key, struct compiled *ret)
{
    struct compiled c;

    if (compiled_line(folder, key, &c) < 0 || (!c.as_is && !is_there(folder, key, c.bytes)))
        return NR_ENOENT;
    *ret = c;
    return 0;
}

bool compiled_is_whole(const char *folder, const char *key, const struct compiled *c)
{
    nr_auto_free char *path = compiled_path(folder, key);
    nr_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    unsigned char hash[NR_SHA256_BYTES];

    return fd >= 0 && is_there(folder, key, c->bytes) && nr_sha256_fd(fd, hash) &&
           memcmp(hash, c->sha256, sizeof(hash)) == 0;
}

void compiled_name_again(const char *folder, const char *key)
{
    nr_auto_free char *path = join(folder, key, "");

    (void)chmod(path, MODE_LINE);
}

int compiled_keep(const char *folder, const char *key, struct nr_str bytes, struct compiled *ret,
                  struct nr_err *err)
{
    char name[COMPILED_KEY_BYTES + 8], hex[2 * NR_SHA256_BYTES + 1], line[LINE_MAX_BYTES];
    int r = nr_dir_make(folder, MODE_FOLDER, err);

    ret->bytes = (int64_t)bytes.n;
    nr_sha256(bytes, ret->sha256);
    nr_hex(ret->sha256, sizeof(ret->sha256), hex);
    (void)snprintf(name, sizeof(name), "%s.code", key);
    if (r == 0 && !ret->as_is)
        r = nr_file_write(folder, name, bytes, MODE_CODE, err);
    int n = ret->as_is ? snprintf(line, sizeof(line), "{\"as_is\":true}\n")
                       : snprintf(line, sizeof(line),
                                  "{\"file\":\"%s\",\"bytes\":%lld,\"sha256\":\"%s\"}\n", ret->file,
                                  (long long)ret->bytes, hex);

    return r < 0 ? r : nr_file_write(folder, key, (struct nr_str){line, (size_t)n}, MODE_LINE, err);
}

/* ---- a folder ------------------------------------------------------------------------------------------------ */

/* A result's line goes before its bytes. */
static void remove_at(int folder_fd, const char *key)
{
    char name[COMPILED_KEY_BYTES + 8];

    (void)unlinkat(folder_fd, key, 0);
    (void)snprintf(name, sizeof(name), "%.64s.code", key);
    (void)unlinkat(folder_fd, name, 0);
}

void compiled_remove(const char *folder, const char *key)
{
    nr_auto_close int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0)
        remove_at(fd, key);
}

struct sweep {
    int fd; /* of the folder */
    int64_t before_s;
    bool (*needed)(const void *arg, const char *key);
    const void *arg;
    struct compiled_sizes *sizes;
};

static int64_t code_bytes(const struct sweep *w, const char *key)
{
    char name[COMPILED_KEY_BYTES + 8];
    struct stat st;

    (void)snprintf(name, sizeof(name), "%.64s.code", key);
    return fstatat(w->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_size : 0;
}

/* The mode of a line says whether a version names it, and so its last change of state since when. */
static void sweep_result(const struct sweep *w, const char *key, const struct stat *st)
{
    bool was_garbage = (st->st_mode & 0777) == MODE_GARBAGE, needed = w->needed(w->arg, key);

    if (!needed && was_garbage && st->st_ctim.tv_sec <= w->before_s) {
        remove_at(w->fd, key);
        return;
    }
    if (needed == was_garbage && fchmodat(w->fd, key, needed ? MODE_LINE : MODE_GARBAGE, 0) != 0)
        return; /* it went meanwhile */
    *(needed ? &w->sizes->kept : &w->sizes->garbage) += code_bytes(w, key);
}

/* What a crash left: a name that was being written, bytes whose line is gone, or was never written. */
static void sweep_rest(const struct sweep *w, const char *name, const struct stat *st)
{
    char key[COMPILED_KEY_BYTES];
    struct stat line;

    (void)snprintf(key, sizeof(key), "%.64s", name);
    if (st->st_ctim.tv_sec <= w->before_s &&
        (name[0] == '.' || fstatat(w->fd, key, &line, AT_SYMLINK_NOFOLLOW) != 0))
        (void)unlinkat(w->fd, name, 0);
}

void compiled_sweep(const char *folder, int64_t old_ms,
                    bool (*needed)(const void *arg, const char *key), const void *arg,
                    struct compiled_sizes *ret)
{
    DIR *d = opendir(folder);
    const struct dirent *e;
    struct stat st;

    *ret = (struct compiled_sizes){0, 0};
    if (d == NULL)
        return;
    const struct sweep w = {dirfd(d), (nr_wall_ms() - old_ms) / 1000, needed, arg, ret};

    while ((e = readdir(d)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            fstatat(w.fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (strlen(e->d_name) == COMPILED_KEY_BYTES - 1 && e->d_name[0] != '.')
            sweep_result(&w, e->d_name, &st);
        else
            sweep_rest(&w, e->d_name, &st);
    }
    (void)closedir(d);
    (void)rmdir(folder);
}
