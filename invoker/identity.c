/* Identity files: one small JSON text per container, written before its code is handed over, read once by the next start.
 *
 * What is read is checked member by member: a file that was cut, edited or made by a release that knew other members is no identity,
 * and its container goes.
 */
#include "invoker/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/data/digest.h"

enum { PATH_MAX_BYTES = 1024, FILE_MAX_BYTES = 16384, SLOTS_MAX = 500 };

/* Revisions are counted: after a restore another history may come to the same number, and only the code tells them apart. */
static void digest_code(const struct function *f, char out[static IDENTITY_CODE_BYTES])
{
    const char *const texts[] = {f->main, f->exec, f->init_parameters};
    unsigned char sums[1 + nr_countof(texts)][NR_SHA256_BYTES], sum[NR_SHA256_BYTES];

    memcpy(sums[0], f->sha256, sizeof(sums[0]));
    for (size_t i = 0; i < nr_countof(texts); i++)
        nr_sha256(nr_str_of(texts[i] ? texts[i] : ""), sums[1 + i]);
    nr_sha256((struct nr_str){(const char *)sums, sizeof(sums)}, sum);
    nr_hex(sum, sizeof(sum), out);
}

/* The namespace at the front of a path. */
static void take_space(const char *path, char out[static IDENTITY_SPACE_BYTES])
{
    size_t n = strcspn(path, "/");

    (void)snprintf(out, IDENTITY_SPACE_BYTES, "%.*s", (int)n, path);
}

struct identity identity_of(const struct function *f)
{
    struct identity who = {
        .kind = f->kind,
        .account = f->account,
        .package = f->package,
        .name = f->name,
        .version = f->version,
        .published = f->published,
        .revision = f->revision,
        .memory_mb = container_memory_mb(f->memory_mb),
        .slots = f->concurrency > 1 ? (unsigned)f->concurrency : 1,
        .network_slot = "",
        .settings = "",
    };

    digest_code(f, who.code);
    take_space(f->binding && f->binding[0] ? f->binding : f->path ? f->path : "", who.space);
    return who;
}

void identity_settings(const struct create_spec *s, char out[static IDENTITY_SETTINGS_BYTES])
{
    struct create_spec common = *s;
    unsigned char sum[NR_SHA256_BYTES];
    size_t n = 0;

    common.id = common.socket_dir = common.kind = ""; /* an image has one kind */
    common.command = NULL;
    common.memory_mb = common.code_tmpfs_mb = common.cpus_milli = common.cpu_share = 0;
    common.gpu = (struct gpu_grant){
        .devices = 0}; /* a revision has one wish; which devices, its label says */
    common.many_files = common.stem = common.concurrent =
        false; /* slots are compared by themselves */
    nr_auto_free char *body = create_body(&common, &n);

    out[0] = '\0';
    if (body == NULL)
        return;
    nr_sha256((struct nr_str){body, n}, sum);
    nr_hex(sum, sizeof(sum), out);
}

/* As nr_file_write(), but not pushed to the disk: no container outlives a power cut, and a call may be waiting. */
static int write_renamed(const char *folder, const char *file, struct nr_str text,
                         struct nr_err *err)
{
    char path[PATH_MAX_BYTES], fresh[PATH_MAX_BYTES + 8];

    (void)snprintf(path, sizeof(path), "%s/%s", folder, file);
    (void)snprintf(fresh, sizeof(fresh), "%s.new", path);
    nr_auto_close int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool written = fd >= 0 && write(fd, text.p, text.n) == (ssize_t)text.n;

    if (written && rename(fresh, path) == 0)
        return 0;
    int r =
        nr_err_set(err, errno ? nr_err_from_errno(errno) : NR_EIO, "%s: %s", path, strerror(errno));

    (void)unlink(fresh);
    return r;
}

int identity_write(const char *folder, const char *name, const struct identity *who,
                   struct nr_err *err)
{
    char file[32];
    nr_auto_json json_t *o = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:i, s:s, s:s, s:s, s:I}", "container",
        who->container, "kind", who->kind, "account", who->account, "space", who->space, "package",
        who->package, "name", who->name, "version", who->version, "published",
        (json_int_t)who->published, "revision", (json_int_t)who->revision, "memory_mb",
        (json_int_t)who->memory_mb, "slots", (int)who->slots, "network_slot", who->network_slot,
        "settings", who->settings, "code", who->code, "written_ms", (json_int_t)nr_wall_ms());
    size_t n = 0;
    nr_auto_free char *text = o ? nr_json_text(o, &n) : NULL;

    if (text == NULL)
        return nr_err_set(err, NR_ENOMEM, "no memory for the identity of container %s", name);
    (void)snprintf(file, sizeof(file), "%s.json", name);
    return write_renamed(folder, file, (struct nr_str){text, n}, err);
}

int identity_read(const char *folder, const char *name, struct identity *ret, struct nr_err *err)
{
    char path[PATH_MAX_BYTES];
    nr_auto_free char *text = NULL;
    size_t bytes = 0;
    json_int_t revision, memory_mb, slots, published = 0;
    const char *code = "", *space = NULL;
    struct identity w = {0};

    (void)snprintf(path, sizeof(path), "%s/%s.json", folder, name);
    int r = nr_file_read(path, FILE_MAX_BYTES, &text, &bytes, err);

    if (r < 0)
        return r;
    json_t *o = nr_json_parse((struct nr_str){text, bytes}, NULL);

    if (o == NULL ||
        json_unpack(o, "{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:s, s?s, s?I}",
                    "container", &w.container, "kind", &w.kind, "account", &w.account, "package",
                    &w.package, "name", &w.name, "version", &w.version, "revision", &revision,
                    "memory_mb", &memory_mb, "slots", &slots, "network_slot", &w.network_slot,
                    "settings", &w.settings, "code", &code, "space", &space, "published",
                    &published) < 0 ||
        strlen(code) >= sizeof(w.code) || published < 0 || revision < 0 || memory_mb < 1 ||
        slots < 1 || slots > SLOTS_MAX) {
        json_decref(o);
        return nr_err_set(err, NR_ECORRUPT, "%s is not the identity of a container", path);
    }
    (void)snprintf(w.code, sizeof(w.code), "%s", code);
    /* releases before did not tell: they kept what was the account's own only */
    (void)snprintf(w.space, sizeof(w.space), "%s", space ? space : w.account);
    w.published = published;
    w.revision = (uint64_t)revision;
    w.memory_mb = memory_mb;
    w.slots = (unsigned)slots;
    w.mem = o;
    *ret = w;
    return 0;
}

void identity_fini(struct identity *who)
{
    json_decref(who->mem);
    *who = (struct identity){0};
}

void identity_forget(const char *folder, const char *name)
{
    char path[PATH_MAX_BYTES];

    (void)snprintf(path, sizeof(path), "%s/%s.json", folder, name);
    (void)unlink(path);
}

int identity_remove(const char *folder, const char *name, struct nr_err *err)
{
    char path[PATH_MAX_BYTES];

    (void)snprintf(path, sizeof(path), "%s/%s.json", folder, name);
    if (unlink(path) < 0 && errno != ENOENT)
        return nr_err_set(err, nr_err_from_errno(errno), "%s: %s", path, strerror(errno));
    (void)snprintf(path, sizeof(path), "%s/%s.json.new", folder, name);
    (void)unlink(path);
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return nr_dir_remove(path, err);
}
