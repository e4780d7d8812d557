/* Two files for each result: the bytes first, then the line that says what they are; so a result that is found is whole. */
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

int compiled_find(const char *folder, const char *key, struct compiled *ret)
{
    nr_auto_free char *path = join(folder, key, ""), *text = NULL;
    size_t n = 0;

    if (nr_file_read(path, LINE_MAX_BYTES, &text, &n, NULL) < 0)
        return NR_ENOENT;
    nr_auto_json json_t *o = nr_json_parse((struct nr_str){text, n}, NULL);
    const char *file = nr_json_string(o, "file"), *sha256 = nr_json_string(o, "sha256");
    struct compiled c = {.as_is = json_is_true(json_object_get(o, "as_is")),
                         .bytes = json_integer_value(json_object_get(o, "bytes"))};

    if (!c.as_is &&
        (file == NULL || sha256 == NULL || strlen(sha256) != 2 * NR_SHA256_BYTES ||
         !nr_hex_decode(nr_str_of(sha256), c.sha256) || !is_there(folder, key, c.bytes)))
        return NR_ENOENT;
    (void)snprintf(c.file, sizeof(c.file), "%s", file ? file : "");
    *ret = c;
    return 0;
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

int64_t compiled_bytes(const char *folder)
{
    DIR *d = opendir(folder);
    struct dirent *e;
    struct stat st;
    int64_t sum = 0;

    while (d != NULL && (e = readdir(d)) != NULL) {
        if (e->d_name[0] != '.' && fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            sum += st.st_size;
    }
    if (d != NULL)
        (void)closedir(d);
    return sum;
}

/* A result's line goes before its bytes. */
static void remove_result(int folder_fd, const char *key)
{
    char name[COMPILED_KEY_BYTES + 8];

    (void)unlinkat(folder_fd, key, 0);
    (void)snprintf(name, sizeof(name), "%.64s.code", key);
    (void)unlinkat(folder_fd, name, 0);
}

void compiled_sweep(const char *folder, int64_t old_ms, bool (*needed)(void *arg, const char *key),
                    void *arg)
{
    int64_t before_ms = nr_wall_ms() - old_ms;
    DIR *d = opendir(folder);
    struct dirent *e;
    struct stat st;

    while (d != NULL && (e = readdir(d)) != NULL) {
        char key[COMPILED_KEY_BYTES];

        (void)snprintf(key, sizeof(key), "%.64s", e->d_name);
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            (int64_t)st.st_mtim.tv_sec * 1000 > before_ms)
            continue;
        if (e->d_name[0] == '.') /* half written before a crash */
            (void)unlinkat(dirfd(d), e->d_name, 0);
        else if (!needed(arg, key))
            remove_result(dirfd(d), key);
    }
    if (d != NULL)
        (void)closedir(d);
}
