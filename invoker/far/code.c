/* One file's way: asked for in parts of WIRE_CODE_CREDIT_BYTES, each collected in memory, written by a work thread beside its place, and after the last one checked and
 * renamed there by the same. One part is on its way or being written at a time: a file costs its part in memory, however large it is.
 *
 *   the link ends     what was collected of the part is dropped; the next code_need() asks on from what is written
 *   nobody holds it   what is half goes; what is whole stays, in the list of those that may go
 *   the disk is full  the file is absent, with the disk's error; the next call tries anew
 */
#include "invoker/far/code.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "ports/wire.h"

enum { PATH_BYTES = 4096, FOUND_MAX = 1000000 };

struct code_store {
    struct code_store_config c;
    char *dir;
    struct nr_map files;
    struct nr_link lru; /* held by nobody, least recently used first */
    int64_t bytes;
};

struct removal {
    struct nr_work work;
    char path[];
};

void code_folder_of(struct nr_str account, char out[static CODE_FOLDER_BYTES])
{
    unsigned char sum[NR_SHA256_BYTES];

    nr_sha256(account, sum);
    nr_hex(sum, (CODE_FOLDER_BYTES - 1) / 2, out);
}

static void path_of(const struct code *c, bool part, char out[static PATH_BYTES])
{
    (void)snprintf(out, PATH_BYTES, "%s/%s%s", c->store->dir, c->key, part ? ".part" : "");
}

/* ---- going -------------------------------------------------------------------------------------------------- */

static void remove_file(struct nr_work *w)
{
    (void)unlink(nr_container_of(w, struct removal, work)->path);
}

static void on_removed(struct nr_work *w)
{
    free(nr_container_of(w, struct removal, work));
}

/* A large file is not removed at once. */
static void post_removal(const struct code *c, bool part)
{
    char path[PATH_BYTES];

    path_of(c, part, path);
    struct removal *r = nr_alloc(sizeof(*r) + strlen(path) + 1);

    memcpy(r->path, path, strlen(path) + 1);
    r->work = (struct nr_work){.work = remove_file, .done = on_removed};
    nr_work_post(c->store->c.loop, &r->work);
}

/* Out of the store, and from the disk when anything of it is there. */
static void drop(struct code *c)
{
    struct code_store *s = c->store;

    s->bytes -= (int64_t)c->bytes;
    nr_list_del(&c->lru);
    (void)nr_map_del(&s->files, c->node.key);
    if (c->state == CODE_HERE || c->state == CODE_FOUND)
        post_removal(c, false);
    else if (c->at > 0)
        post_removal(c, true);
    free(c->part);
    free(c);
}

/* Room for what is to come: files that nobody holds go. */
static void make_room(struct code_store *s)
{
    while (s->bytes > s->c.max_bytes && !nr_list_empty(&s->lru))
        drop(nr_container_of(s->lru.next, struct code, lru));
}

static void let_go(struct code *c)
{
    if (!nr_list_empty(&c->holders) || c->working)
        return;
    if ((c->state != CODE_HERE && c->state != CODE_FOUND) || c->doomed) {
        drop(c);
        return;
    }
    nr_list_add(&c->store->lru, &c->lru);
    make_room(c->store);
}

/* ---- settling ----------------------------------------------------------------------------------------------- */

static void settle(struct code *c, enum code_state state)
{
    c->state = state;
    free(c->part);
    c->part = NULL;
    c->part_bytes = c->asked = 0;
    if (state == CODE_ABSENT) {
        c->store->bytes -= (int64_t)c->bytes;
        c->bytes = c->at = 0;
        c->told = false;
    }
    c->store->c.settled(c->store->c.arg, c);
}

/* `settled` may let go of it: then it is gone. */
static void settle_and_let_go(struct code *c, enum code_state state)
{
    c->working = true;
    settle(c, state);
    c->working = false;
    let_go(c);
}

static void want_more(struct code *c)
{
    struct code_store *s = c->store;
    uint64_t left = c->told ? c->bytes - c->at : WIRE_CODE_CREDIT_BYTES;
    size_t n = left < WIRE_CODE_CREDIT_BYTES ? (size_t)left : WIRE_CODE_CREDIT_BYTES;

    if (c->part == NULL)
        c->part = nr_try_alloc(WIRE_CODE_CREDIT_BYTES);
    if (c->part == NULL) {
        (void)nr_err_set(&c->err, NR_ENOMEM, "no memory to fetch code");
        settle_and_let_go(c, CODE_ABSENT);
        return;
    }
    c->part_bytes = 0;
    c->asked = s->c.want(s->c.arg, c, c->at, n) ? n : 0;
}

/* ---- checking, a work thread ---------------------------------------------------------------------------------- */

static bool has_digest(const struct code *c, bool part)
{
    unsigned char sum[NR_SHA256_BYTES];
    char path[PATH_BYTES];

    path_of(c, part, path);
    nr_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0 || !nr_sha256_fd(fd, sum) || memcmp(sum, c->sha256, sizeof(sum)) != 0)
        return false;
    (void)futimens(fd, NULL); /* the order of use outlives the process */
    return true;
}

static void check_work(struct nr_work *w)
{
    struct code *c = nr_container_of(w, struct code, work);

    char path[PATH_BYTES];

    c->good = has_digest(c, false);
    path_of(c, false, path);
    if (!c->good)
        (void)unlink(path);
}

static void on_checked(struct nr_work *w)
{
    struct code *c = nr_container_of(w, struct code, work);

    c->working = false;
    if (c->good) {
        settle_and_let_go(c, CODE_HERE);
        return;
    }
    nr_log(c->store->c.log, NR_LOG_WARN, "invoker",
           "the kept code %.12s is damaged and is fetched again", c->key + CODE_FOLDER_BYTES);
    c->store->bytes -= (int64_t)c->bytes;
    c->bytes = 0;
    c->state = CODE_FETCHING;
    if (nr_list_empty(&c->holders))
        let_go(c);
    else
        want_more(c);
}

/* ---- writing, a work thread ----------------------------------------------------------------------------------- */

static int write_all(int fd, const char *p, size_t n, uint64_t at)
{
    while (n > 0) {
        ssize_t wrote = pwrite(fd, p, n, (off_t)at);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return nr_err_from_errno(wrote < 0 ? errno : EIO);
        p += wrote;
        n -= (size_t)wrote;
        at += (uint64_t)wrote;
    }
    return 0;
}

static int write_part(const struct code *c, const char *path)
{
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (c->at == 0 ? O_TRUNC : 0);
    nr_auto_close int fd = open(path, flags, 0600);

    return fd < 0 ? nr_err_from_errno(errno) : write_all(fd, c->part, c->part_bytes, c->at);
}

static void write_work(struct nr_work *w)
{
    struct code *c = nr_container_of(w, struct code, work);
    char path[PATH_BYTES], place[PATH_BYTES];
    int r = 0;

    path_of(c, false, place);
    *strrchr(place, '/') = '\0';
    if (c->at == 0)
        r = nr_dir_make(place, 0700, &c->err);
    path_of(c, true, path);
    if (r == 0 && (r = write_part(c, path)) < 0)
        (void)nr_err_set(&c->err, r, "code cannot be written to %s: %s", path, nr_err_text(r));
    c->good = r == 0;
    if (r < 0 || c->at + c->part_bytes < c->bytes)
        return;
    path_of(c, false, place);
    c->good = has_digest(c, true) && rename(path, place) == 0;
    if (!c->good)
        (void)nr_err_set(&c->err, NR_ECORRUPT,
                         "code came with another digest than it was asked by");
}

static void on_written(struct nr_work *w)
{
    struct code *c = nr_container_of(w, struct code, work);

    c->working = false;
    c->at += c->part_bytes;
    if (!c->good) {
        post_removal(c, true);
        settle_and_let_go(c, CODE_ABSENT);
    } else if (c->at == c->bytes) {
        settle_and_let_go(c, CODE_HERE);
    } else if (nr_list_empty(&c->holders)) {
        let_go(c);
    } else {
        want_more(c);
    }
}

static void post(struct code *c, void (*work)(struct nr_work *), void (*done)(struct nr_work *))
{
    c->working = true;
    c->err = (struct nr_err){0};
    c->refused = false;
    c->work = (struct nr_work){.work = work, .done = done};
    nr_work_post(c->store->c.loop, &c->work);
}

/* ---- what came ------------------------------------------------------------------------------------------------ */

/* The first part tells how large it is. */
static int set_size(struct code *c, uint64_t bytes, struct nr_err *err)
{
    struct code_store *s = c->store;

    if (bytes > WIRE_CODE_MAX_BYTES)
        return nr_err_set(err, NR_EPROTO, "code of %llu bytes; at most %lld are taken",
                          (unsigned long long)bytes, WIRE_CODE_MAX_BYTES);
    c->told = true;
    c->bytes = bytes;
    s->bytes += (int64_t)bytes;
    make_room(s);
    if (bytes < c->asked)
        c->asked = (size_t)bytes;
    return 0;
}

int code_part(struct code *c, uint64_t at, uint64_t bytes, struct nr_str part, struct nr_err *err)
{
    if (c->state != CODE_FETCHING || c->working || c->asked == 0 || (part.n == 0 && bytes > 0) ||
        at != c->at + c->part_bytes || (c->told && bytes != c->bytes))
        return nr_err_set(err, NR_EPROTO, "a part of code that was not asked for");
    if (!c->told && set_size(c, bytes, err) < 0)
        return NR_EPROTO;
    if (part.n > c->asked - c->part_bytes)
        return nr_err_set(err, NR_EPROTO, "more code than was asked for");
    if (c->store->bytes > c->store->c.max_bytes) {
        (void)nr_err_set(&c->err, NR_ENOSPC,
                         "the functions that are known here need more than %lld bytes of code",
                         (long long)c->store->c.max_bytes);
        settle_and_let_go(c, CODE_ABSENT);
        return 0;
    }
    if (part.n)
        memcpy(c->part + c->part_bytes, part.p, part.n);
    c->part_bytes += part.n;
    if (c->part_bytes == c->asked) {
        c->asked = 0;
        post(c, write_work, on_written);
    }
    return 0;
}

void code_refused(struct code *c, const char *why)
{
    if (c->state != CODE_FETCHING || c->working)
        return;
    c->err = (struct nr_err){0};
    (void)nr_err_set(&c->err, NR_ENOENT, "%s", why);
    c->refused = true;
    if (c->at > 0)
        post_removal(c, true);
    settle_and_let_go(c, CODE_ABSENT);
}

void code_lost(struct code *c)
{
    c->asked = 0;
    if (!c->working)
        c->part_bytes = 0;
}

int code_need(struct code *c)
{
    if (c->state == CODE_HERE)
        return 0;
    if (c->state == CODE_FOUND) {
        c->state = CODE_CHECKING;
        post(c, check_work, on_checked);
    } else if (c->state == CODE_ABSENT || c->state == CODE_FETCHING) {
        c->state = CODE_FETCHING;
        if (!c->working && c->asked == 0)
            want_more(c);
    }
    return 1;
}

/* ---- who holds it --------------------------------------------------------------------------------------------- */

static struct code *file_make(struct code_store *s, const char *key, enum code_state state)
{
    struct code *c = nr_alloc(sizeof(*c));

    c->store = s;
    c->state = state;
    memcpy(c->key, key, sizeof(c->key));
    (void)nr_hex_decode(nr_str_of(key + CODE_FOLDER_BYTES), c->sha256);
    nr_list_init(&c->holders);
    c->node.key = nr_str_of(c->key);
    (void)nr_map_put(&s->files, &c->node);
    return c;
}

struct code *code_hold(struct code_store *s, struct nr_str account,
                       const unsigned char sha256[static NR_SHA256_BYTES], struct nr_link *holder)
{
    char key[CODE_KEY_BYTES];

    code_folder_of(account, key);
    key[CODE_FOLDER_BYTES - 1] = '/';
    nr_hex(sha256, NR_SHA256_BYTES, key + CODE_FOLDER_BYTES);
    struct nr_map_node *n = nr_map_get(&s->files, nr_str_of(key));
    struct code *c = n ? nr_container_of(n, struct code, node) : file_make(s, key, CODE_ABSENT);

    nr_list_del(&c->lru);
    c->doomed = false;
    nr_list_add(&c->holders, holder);
    return c;
}

void code_release(struct code *c, struct nr_link *holder)
{
    nr_list_del(holder);
    let_go(c);
}

struct code *code_fetched(struct code_store *s, const unsigned char sha256[static NR_SHA256_BYTES])
{
    struct nr_map_node *n = NULL;
    size_t at = 0;

    while ((n = nr_map_next(&s->files, &at, n)) != NULL) {
        struct code *c = nr_container_of(n, struct code, node);

        if (c->asked > 0 && memcmp(c->sha256, sha256, sizeof(c->sha256)) == 0)
            return c;
    }
    return NULL;
}

/* In the account's folder, and nobody holds it. */
static bool is_of(struct nr_map_node *n, void *folder)
{
    const struct code *c = nr_container_of(n, struct code, node);

    return memcmp(c->key, folder, CODE_FOLDER_BYTES - 1) == 0 && nr_list_linked(&c->lru);
}

static void gone(struct nr_map_node *n, void *arg)
{
    drop(nr_container_of(n, struct code, node));
}

void code_forget(struct code_store *s, struct nr_str account)
{
    char folder[CODE_FOLDER_BYTES];
    struct nr_map_node *n = NULL;
    size_t at = 0;

    code_folder_of(account, folder);
    (void)nr_map_drain(&s->files, is_of, gone, folder);
    while ((n = nr_map_next(&s->files, &at, n)) != NULL) {
        struct code *c = nr_container_of(n, struct code, node);

        c->doomed = c->doomed || memcmp(c->key, folder, CODE_FOLDER_BYTES - 1) == 0;
    }
}

/* ---- opening -------------------------------------------------------------------------------------------------- */

struct found {
    char key[CODE_KEY_BYTES];
    int64_t bytes, used_s;
};

static bool is_hex(const char *s, size_t n)
{
    return strlen(s) == n && strspn(s, "0123456789abcdef") == n;
}

/* One account's folder; what is no whole file goes. */
static void look_into(int dir_fd, const char *folder, struct nr_buf *out)
{
    int fd = openat(dir_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    struct found f;
    struct stat st;

    if (d == NULL && fd >= 0)
        (void)close(fd);
    for (const struct dirent *e; d && (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        if (!is_hex(e->d_name, sizeof(f.key) - 1 - CODE_FOLDER_BYTES) ||
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode)) {
            (void)unlinkat(dirfd(d), e->d_name, 0);
            continue;
        }
        (void)snprintf(f.key, sizeof(f.key), "%.16s/%.64s", folder, e->d_name);
        f.bytes = st.st_size;
        f.used_s = st.st_mtime;
        nr_buf_add(out, &f, sizeof(f));
    }
    if (d)
        (void)closedir(d);
}

static int by_use(const void *a, const void *b)
{
    const struct found *one = a, *other = b;

    return (one->used_s > other->used_s) - (one->used_s < other->used_s);
}

static void look(struct code_store *s)
{
    DIR *d = opendir(s->dir);
    struct nr_buf found;

    nr_buf_init(&found, FOUND_MAX * sizeof(struct found));
    for (const struct dirent *e; d && (e = readdir(d)) != NULL;)
        if (is_hex(e->d_name, CODE_FOLDER_BYTES - 1))
            look_into(dirfd(d), e->d_name, &found);
    if (d)
        (void)closedir(d);
    struct found *list = (struct found *)(void *)found.p;
    size_t count = found.n / sizeof(*list);

    if (count > 0)
        qsort(list, count, sizeof(*list), by_use);
    for (size_t i = 0; i < count; i++) {
        struct code *c = file_make(s, list[i].key, CODE_FOUND);

        c->bytes = (uint64_t)list[i].bytes;
        s->bytes += list[i].bytes;
        nr_list_add(&s->lru, &c->lru);
    }
    nr_buf_fini(&found);
    make_room(s);
}

int code_store_open(const struct code_store_config *c, struct code_store **ret, struct nr_err *err)
{
    int r = nr_dir_make(c->dir, 0700, err);

    if (r < 0)
        return nr_err_wrap(err, r, "the folder of functions' code");
    if (strlen(c->dir) + CODE_KEY_BYTES + sizeof("/.part") > PATH_BYTES)
        return nr_err_set(err, NR_EINVAL, "the path of the folder %s is too long", c->dir);
    struct code_store *s = nr_alloc(sizeof(*s));

    s->c = *c;
    s->dir = nr_strdup(c->dir);
    s->c.dir = s->dir;
    nr_map_init(&s->files);
    nr_list_init(&s->lru);
    look(s);
    *ret = s;
    return 0;
}

static void code_free(struct nr_map_node *n, void *arg)
{
    struct code *c = nr_container_of(n, struct code, node);

    free(c->part);
    free(c);
}

void code_store_free(struct code_store *s)
{
    if (s == NULL)
        return;
    (void)nr_map_drain(&s->files, NULL, code_free, NULL);
    nr_map_fini(&s->files);
    free(s->dir);
    free(s);
}

int64_t code_store_bytes(const struct code_store *s)
{
    return s->bytes;
}
