/* Listing: the counts of the registry, and of what waits for the sweeper the sizes on disk.
 *
 * Verifying: each folder that a version names is looked at once, whatever number of versions share it: is the file there, has it the size and
 * the SHA-256 of the row? Then the folders are walked for what no row names. It only reports; the sweeper removes. What changes
 * meanwhile is asked for again before it is reported, and what is younger than a minute may be an upload whose row is about to be stored.
 * Compiled code is read too; what is damaged of it goes, for it is made anew.
 */
#include "fnmanager/accounts/buckets.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "fnmanager/accounts/account_api.h"
#include "fnmanager/compile/compile_check.h"
#include "fnmanager/storage/code.h"
#include "fnmanager/registry/metadata_files.h"
#include "fnmanager/accounts/quota.h"

#define LIST_REPLY_MAX_BYTES (32 << 20)
#define VERIFY_REPLY_MAX_BYTES (4 << 20)
#define FOLDERS_AT_ONCE 200
#define TOLD_MAX 1000 /* of damaged files, and of orphans; the others are counted */
#define YOUNG_S 60

/* ---- usage --------------------------------------------------------------------------------------------------------- */

struct bucket_lines {
    struct fnmanager *m;
    const struct account *caller;
    struct nr_buf *out;
    struct nr_buf names; /* of the accounts in it, '\n' behind each */
};

/* Calls each with the path of all that lies in the folder `path`. */
static void for_each_entry(const char *path, void (*each)(void *arg, const char *path), void *arg)
{
    DIR *dir = opendir(path);
    const struct dirent *e;

    if (dir == NULL)
        return;
    while ((e = readdir(dir)) != NULL) {
        char below[4096];
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            snprintf(below, sizeof(below), "%s/%s", path, e->d_name) < (int)sizeof(below))
            each(arg, below);
    }
    (void)closedir(dir);
}

static void add_size(void *arg, const char *path)
{
    int64_t *bytes = arg;
    struct stat st;

    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode))
        *bytes += st.st_size;
}

struct garbage_size {
    const struct storage *s;
    int64_t bytes;
};

static void add_garbage(void *arg, const char *folder)
{
    struct garbage_size *g = arg;
    nr_auto_free char *path = storage_path(g->s, folder, "");

    for_each_entry(path, add_size, &g->bytes);
}

static void list_one(void *arg, const struct account_row *account,
                     const struct account_amount *used)
{
    struct bucket_lines *l = arg;

    if ((l->caller->scopes & SCOPE_ADMIN) == 0 && strcmp(l->caller->name, account->name) != 0)
        return;
    nr_buf_printf(&l->names, "%s\n{\"account\":", account->name);
    nr_buf_json(&l->names, nr_str_of(account->name));
    nr_buf_printf(
        &l->names,
        ",\"bytes\":%lld,\"functions\":%lld,\"versions\":%lld,\"compiled_bytes\":%lld,\"quota\":",
        (long long)used->bytes, (long long)used->functions, (long long)used->versions,
        (long long)used->compiled_bytes);
    account_write_amount(&account->quota, &l->names);
    nr_buf_addc(&l->names, '\n');
}

int bucket_list(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct bucket_lines l = {.m = m, .caller = call->account};
    struct nr_str rest, name, line;
    const char *before = "";
    int r;

    *ret_old = 0;
    nr_buf_init(&l.names, LIST_REPLY_MAX_BYTES);
    nr_buf_init(&call->reply, LIST_REPLY_MAX_BYTES);
    nr_buf_adds(&call->reply, "{\"buckets\":[");
    r = metadata_accounts(m->db, list_one, &l);
    rest = nr_buf_str(&l.names);
    while (r == 0 && rest.n > 0 && nr_str_split(&rest, '\n', &name) &&
           nr_str_split(&rest, '\n', &line)) {
        struct garbage_size g = {.s = &m->storage};
        char bucket[STORAGE_FOLDER_BYTES];
        storage_bucket(name, bucket);
        r = metadata_garbage(m->db, bucket, add_garbage, &g);
        nr_buf_printf(&call->reply, "%s%.*s,\"garbage_bytes\":%lld}", before, (int)line.n, line.p,
                      (long long)g.bytes);
        before = ",";
    }
    nr_buf_adds(&call->reply, "]}");
    nr_buf_fini(&l.names);
    return r < 0 ? account_refuse(call, r) : 0;
}

/* ---- verify -------------------------------------------------------------------------------------------------------- */

struct verify {
    struct fnmanager *m;
    struct nr_buf damaged, orphans, compiled;
    struct compile_checked checked;
    int64_t files, bytes, damaged_count, orphan_count, compiled_count;
    int r; /* the registry's first trouble */
};

static void tell_damaged(struct verify *v, const struct stored_folder *f, const char *file,
                         int64_t expected_bytes, const char *problem, int64_t bytes)
{
    nr_auto_free char *still = NULL;

    if (metadata_folder(v->m->db, f->folder, &still) == NR_ENOENT || v->damaged_count++ >= TOLD_MAX)
        return;
    nr_buf_adds(&v->damaged, v->damaged.n > 0 ? ",{\"function\":\"" : "{\"function\":\"");
    if (f->package[0] != '\0')
        nr_buf_printf(&v->damaged, "%s/", f->package);
    nr_buf_printf(&v->damaged, "%s\",\"version\":%lld,\"file\":", f->name, (long long)f->number);
    char path[STORAGE_FOLDER_BYTES + 32];
    (void)snprintf(path, sizeof(path), "%s/%s", f->folder, file);
    nr_buf_json(&v->damaged, nr_str_of(path));
    nr_buf_printf(&v->damaged, ",\"problem\":\"%s\",\"expected_bytes\":%lld,\"bytes\":%lld}",
                  problem, (long long)expected_bytes, (long long)bytes);
}

/* sha256 NULL: only the size is known. */
static void check_file(struct verify *v, const struct stored_folder *f, const char *file,
                       int64_t expected_bytes, const unsigned char *sha256)
{
    nr_auto_free char *path = storage_path(&v->m->storage, f->folder, file);
    nr_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    unsigned char hash[NR_SHA256_BYTES];
    struct stat st;

    v->files++;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        tell_damaged(v, f, file, expected_bytes, "missing", 0);
        return;
    }
    v->bytes += st.st_size;
    if (st.st_size != expected_bytes)
        tell_damaged(v, f, file, expected_bytes, "size", st.st_size);
    else if (sha256 != NULL && (!nr_sha256_fd(fd, hash) || memcmp(hash, sha256, sizeof(hash)) != 0))
        tell_damaged(v, f, file, expected_bytes, "sha256", st.st_size);
}

static int check_rows(struct verify *v, const char *bucket)
{
    char after[STORAGE_FOLDER_BYTES] = "";
    size_t n;
    int r;

    do {
        struct stored_folder *list = NULL;
        r = metadata_folders(v->m->db, bucket, after, FOLDERS_AT_ONCE, &list, &n);
        if (r < 0)
            return r;
        for (size_t i = 0; i < n; i++) {
            check_file(v, &list[i], list[i].file, list[i].code_bytes, list[i].sha256);
            if (list[i].sent_bytes > 0)
                check_file(v, &list[i], CODE_SENT_FILE, list[i].sent_bytes, NULL);
        }
        if (n > 0)
            (void)snprintf(after, sizeof(after), "%s", list[n - 1].folder);
        stored_folders_free(list, n);
    } while (n > 0);
    return 0;
}

static const char *below_root(const struct verify *v, const char *path)
{
    return path + strlen(v->m->storage.root) + 1;
}

static void tell_orphan(struct verify *v, const char *path)
{
    struct stat st;

    if (lstat(path, &st) != 0 || st.st_mtim.tv_sec > nr_wall_ms() / 1000 - YOUNG_S ||
        v->orphan_count++ >= TOLD_MAX)
        return;
    if (v->orphans.n > 0)
        nr_buf_addc(&v->orphans, ',');
    nr_buf_json(&v->orphans, nr_str_of(below_root(v, path)));
}

/* In a folder that a row names: all but its file and the text as it was sent. */
struct strays {
    struct verify *v;
    const char *file;
};

static void stray(void *arg, const char *path)
{
    const struct strays *s = arg;
    const char *name = strrchr(path, '/') + 1;

    if (strcmp(name, s->file) != 0 && strcmp(name, CODE_SENT_FILE) != 0)
        tell_orphan(s->v, path);
}

static void walk_upload(void *arg, const char *path)
{
    struct verify *v = arg;
    nr_auto_free char *file = NULL;
    int r = metadata_folder(v->m->db, below_root(v, path), &file);

    if (r == 0)
        for_each_entry(path, stray, &(struct strays){v, file});
    else if (r == NR_ENOENT && metadata_is_garbage(v->m->db, below_root(v, path)) == NR_ENOENT)
        tell_orphan(v, path);
    else if (r != NR_ENOENT && v->r == 0)
        v->r = r;
}

static void walk_function(void *arg, const char *path)
{
    struct stat st;

    if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
        for_each_entry(path, walk_upload, arg);
    else
        tell_orphan(arg, path);
}

static int verify(struct verify *v, struct nr_str account)
{
    char bucket[STORAGE_FOLDER_BYTES];
    int r;

    storage_bucket(account, bucket);
    if ((r = check_rows(v, bucket)) < 0)
        return r;
    nr_auto_free char *path = storage_path(&v->m->storage, bucket, "");

    for_each_entry(path, walk_function, v);
    return v->r;
}

static void tell_compiled(void *arg, const struct compile_name *n, const char *file)
{
    struct verify *v = arg;

    if (v->compiled_count++ >= TOLD_MAX)
        return;
    nr_buf_printf(&v->compiled, "%s{\"function\":\"%s%s%s\",\"version\":%lld,\"file\":",
                  v->compiled.n > 0 ? "," : "", n->package, n->package[0] ? "/" : "", n->name,
                  (long long)n->number);
    nr_buf_json(&v->compiled, nr_str_of(file));
    nr_buf_addc(&v->compiled, '}');
}

static void write_compiled(const struct verify *v, struct nr_buf *out)
{
    nr_buf_printf(
        out, ",\"compiled\":{\"files\":%lld,\"bytes\":%lld,\"damaged_count\":%lld,\"damaged\":[",
        (long long)v->checked.files, (long long)v->checked.bytes, (long long)v->checked.damaged);
    nr_buf_add(out, v->compiled.p, v->compiled.n);
    nr_buf_adds(out, "]}");
}

int bucket_verify(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct account_row row = {0};
    struct verify v = {.m = m};
    int r = account_may_see(call);

    *ret_old = 0;
    if (r < 0)
        return r;
    nr_buf_init(&v.damaged, VERIFY_REPLY_MAX_BYTES);
    nr_buf_init(&v.orphans, VERIFY_REPLY_MAX_BYTES);
    nr_buf_init(&v.compiled, VERIFY_REPLY_MAX_BYTES);
    nr_buf_init(&call->reply, 3 * VERIFY_REPLY_MAX_BYTES + 4096);
    r = metadata_account(m->db, call->name, &row);
    account_row_fini(&row);
    if (r == 0)
        r = verify(&v, call->name);
    if (r == 0)
        r = compile_verify(m, call->name, tell_compiled, &v, &v.checked);
    if (r == 0)
        nr_buf_printf(
            &call->reply,
            "{\"files\":%lld,\"bytes\":%lld,\"damaged_count\":%lld,\"orphan_count\":%lld,\"damaged\":[",
            (long long)v.files, (long long)v.bytes, (long long)v.damaged_count,
            (long long)v.orphan_count);
    nr_buf_add(&call->reply, v.damaged.p, v.damaged.n);
    nr_buf_adds(&call->reply, "],\"orphans\":[");
    nr_buf_add(&call->reply, v.orphans.p, v.orphans.n);
    nr_buf_addc(&call->reply, ']');
    write_compiled(&v, &call->reply);
    nr_buf_addc(&call->reply, '}');
    *ret_old = v.compiled_count > 0 ? HANDLER_MANY : 0;
    nr_count(&m->storage.damaged, (uint64_t)v.damaged_count);
    nr_buf_fini(&v.damaged);
    nr_buf_fini(&v.orphans);
    nr_buf_fini(&v.compiled);
    return r < 0 ? account_refuse(call, r) : 0;
}
