/* The archive is read once, entry by entry. A function.json begins a function, the code behind it is compared with what it says and stored, and
 * with the next function.json, or the end, the function goes into the registry as a whole. What is wrong with a function refuses this
 * function: its files go, it is told, the others go on. What is wrong with the archive itself ends the import there.
 *
 * Its functions may name images of registries, which may be slow or silent, and were chosen by whoever made the archive. So an import runs on a
 * thread that may wait, an account has one at a time, and after the first registry that is not there, or some minutes of waiting, no other is asked:
 * what names an own image is refused then, the rest comes in.
 *
 * Nothing of the archive's names reaches the disk: a name is compared with the two forms that there are, and every folder is a new upload's.
 */
#include <archive.h>
#include <archive_entry.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "fnmanager/accounts/account_api.h"
#include "fnmanager/storage/archive.h"
#include "fnmanager/archive/archive_entities.h"
#include "fnmanager/storage/code.h"
#include "fnmanager/archive/export.h"
#include "fnmanager/accounts/grants_api.h"
#include "fnmanager/images/image_annotation.h"
#include "fnmanager/images/images.h"
#include "fnmanager/archive/import_mark.h"
#include "fnmanager/archive/import_parse.h"
#include "fnmanager/functions/kinds.h"
#include "fnmanager/functions/settings.h"

#define REPLY_MAX_BYTES (16 << 20)
#define JSON_MAX_BYTES (16ll << 20)
#define HEAD_MAX_BYTES 65536
#define WAIT_MAX_MS 600000
#define READ_BYTES 65536

struct reader {
    struct fnmanager *m;
    struct fn_call *call;
    struct archive *a;
    struct import_limits limits;
    bool head, end;          /* were there */
    struct imported now;     /* the function that is being read; name NULL: none */
    long long number;        /* its N */
    struct nr_err why;       /* why it is refused; code 0: it is not */
    struct nr_err away;      /* why no registry is asked any more; code 0: one may be */
    uint64_t waited_ms;      /* for registries */
    struct nr_buf good, bad; /* of the reply */
};

static int refuse_archive(struct reader *r, const char *why)
{
    return nr_err_set(&r->call->err, NR_EINVAL, "The archive is not one of an account: %.300s.",
                      why);
}

/* ---- one function -------------------------------------------------------------------------------------------------- */

/* One line of the reply: why code 0 is a good one; `what` it is else. */
static void tell(struct reader *r, const char *what, const char *name, const struct nr_err *why)
{
    struct nr_buf *out = why->code != 0 ? &r->bad : &r->good;

    if (out->n > 0)
        nr_buf_addc(out, ',');
    if (why->code != 0)
        nr_buf_printf(out, "{\"%s\":", what);
    nr_buf_json(out, nr_str_of(name));
    if (why->code != 0) {
        nr_buf_adds(out, ",\"error\":");
        nr_buf_json(out, nr_str_of(why->text));
        nr_buf_addc(out, '}');
    }
}

/* What is in is told as good, and what it lacks as refused. */
static void tell_lost(struct reader *r, const char *what, const char *name,
                      const struct sealed_lost *lost)
{
    struct nr_err why = {0};

    sealed_tell_lost(lost, &why);
    if (why.code != 0)
        tell(r, what, name, &why);
}

static void tell_function(struct reader *r)
{
    char name[600];

    (void)snprintf(name, sizeof(name), "%s%s%s", r->now.f.package,
                   r->now.f.package[0] != '\0' ? "/" : "", r->now.f.name);
    tell(r, "function", name, &r->why);
    if (r->why.code == 0)
        tell_lost(r, "function", name, &r->now.lost);
}

static int pin_image(struct reader *r, const char *account, const char *image, char **ret_pin)
{
    uint64_t from_ms = nr_mono_ms();
    int e;

    if (r->away.code != 0)
        return nr_err_set(&r->why, r->away.code, "The image '%.128s' was not looked for: %s", image,
                          r->away.text);
    e = images_pin(r->m, account, image, ret_pin, &r->why);
    r->waited_ms += nr_mono_ms() - from_ms;
    if (e == NR_EUNAVAIL || e == NR_ECANCELED)
        (void)nr_err_set(&r->away, e, "a registry that was asked before is not there.");
    else if (r->waited_ms > WAIT_MAX_MS)
        (void)nr_err_set(&r->away, NR_EUNAVAIL,
                         "registries have taken %llu s, and an import waits for at most %d s.",
                         (unsigned long long)(r->waited_ms / 1000), WAIT_MAX_MS / 1000);
    return e;
}

/* What depends on this host and account. */
static int check_version(struct reader *r, struct fn_row *v)
{
    nr_auto_free char *account = nr_strndup(r->call->name.p, r->call->name.n);
    nr_auto_free char *pin = NULL;
    int e;

    if (strcmp(v->kind, KIND_BLACKBOX) == 0 && !kinds_image_is_native(v->image) &&
        images_are_possible(r->m) && (e = pin_image(r, account, v->image, &pin)) < 0)
        return e;
    if ((e = image_pin_set(&v->annotations, pin != NULL ? pin : "", &r->why)) < 0 ||
        (e = settings_check(v->annotations, r->m->config.node, &r->why)) < 0)
        return e;
    return grants_check(r->m, r->call->name, v->annotations, &r->why);
}

static int store_function(struct reader *r)
{
    int e;

    if (r->why.code != 0)
        return r->why.code;
    if ((e = imported_is_whole(&r->now, &r->why)) < 0)
        return e;
    for (size_t i = 0; i < r->now.f.versions; i++) {
        r->now.f.version[i].revision = fnmanager_next_revision(r->m);
        if ((e = check_version(r, &r->now.f.version[i])) < 0)
            return e;
    }
    e = metadata_import(r->m->db, r->call->name, &r->now.f, handler_actor(r->call), &r->why);
    if (e == NR_EEXIST)
        return nr_err_set(&r->why, e, "There is a function of this name already.");
    if (e == NR_ENOENT)
        return nr_err_set(&r->why, e, "The package '%s' does not exist.", r->now.f.package);
    return e < 0 ? nr_err_set(&r->why, e, "%s", e == NR_ENOSPC ? TEXT_NO_SPACE : TEXT_INTERNAL) : 0;
}

/* The function that was read, if any, comes to its end. */
static void end_function(struct reader *r)
{
    int e;

    if (r->now.f.name == NULL)
        return;
    if ((e = store_function(r)) < 0) {
        (void)nr_err_set(&r->why, e, TEXT_INTERNAL);
        /* after trouble with the disk nobody knows whether the rows are there: the sweeper judges */
        for (size_t i = 0; e != NR_EIO && e != NR_ECORRUPT && i < r->now.folders; i++) {
            if (r->now.folder[i].upload.number != 0) /* else it was never stored */
                storage_remove(&r->m->storage, r->now.folder[i].upload.folder);
        }
    }
    tell_function(r);
    imported_fini(&r->now);
    r->why = (struct nr_err){0};
}

static int begin_function(struct reader *r, long long number, struct nr_str text)
{
    end_function(r);
    r->number = number;
    if (imported_parse(text, r->m->config.kinds, &r->limits, &r->now, &r->why) == 0 ||
        r->now.f.name != NULL)
        return 0;
    imported_fini(&r->now);
    return refuse_archive(r, r->why.text);
}

/* A file of code of the function that is being read. */
static void take_code(struct reader *r, struct imported_folder *folder, struct nr_str bytes)
{
    const struct fn_key key = {r->call->name, nr_str_of(r->now.f.package),
                               nr_str_of(r->now.f.name)};
    struct code_upload *u = &folder->upload;
    unsigned char hash[NR_SHA256_BYTES];
    enum archive_format format = strcmp(u->file, "code.zip") == 0   ? ARCHIVE_ZIP
                                 : strcmp(u->file, "code.tgz") == 0 ? ARCHIVE_TAR_GZIP
                                                                    : ARCHIVE_NONE;

    nr_sha256(bytes, hash);
    if ((int64_t)bytes.n != u->bytes || memcmp(hash, u->sha256, sizeof(hash)) != 0)
        (void)nr_err_set(
            &r->why, NR_EINVAL,
            "Its code %s has %zu bytes and another SHA-256 than the archive says (%lld bytes).",
            u->file, bytes.n, (long long)u->bytes);
    else if (format != ARCHIVE_NONE && archive_format_of(bytes) != format)
        (void)nr_err_set(&r->why, NR_EINVAL, "Its code %s is no such archive.", u->file);
    else if (format != ARCHIVE_NONE)
        (void)archive_check(bytes, format, &archive_limits_default, &r->why);
    if (r->why.code != 0)
        return;
    u->number = (int64_t)fnmanager_next_revision(r->m);
    storage_folder(key, (uint64_t)u->number, u->folder);
    if (storage_write(&r->m->storage, u->folder, u->file, bytes,
                      strcmp(u->file, "exec") == 0 ? 0555 : 0444, NULL) < 0)
        (void)nr_err_set(&r->why, NR_ENOSPC, TEXT_NO_SPACE);
}

/* ---- the archive --------------------------------------------------------------------------------------------------- */

/* The bytes of an entry (made). NR_ETOOBIG with a sentence. */
static int read_entry(struct reader *r, struct archive_entry *e, int64_t max, char **ret,
                      struct nr_str *ret_bytes)
{
    int64_t bytes = archive_entry_size(e);
    la_ssize_t n;

    if (bytes < 0 || bytes > max)
        return nr_err_set(&r->call->err, NR_ETOOBIG,
                          "The archive holds '%.200s' of %lld bytes, more than the allowed %lld.",
                          archive_entry_pathname(e), (long long)bytes, (long long)max);
    *ret = nr_try_alloc((size_t)bytes + 1);
    if (*ret == NULL)
        return nr_err_set(&r->call->err, NR_ENOMEM, "There is no memory to read the archive.");
    n = archive_read_data(r->a, *ret, (size_t)bytes);
    if (n != bytes)
        return refuse_archive(r, "it ends in the middle of a file");
    *ret_bytes = (struct nr_str){*ret, (size_t)bytes};
    return 0;
}

static int check_head(struct reader *r, struct nr_str text)
{
    nr_auto_json json_t *j = nr_json_parse(text, NULL);
    json_int_t format = json_integer_value(json_object_get(j, "format"));

    if (format != EXPORT_FORMAT)
        return nr_err_set(&r->call->err, NR_EINVAL,
                          "The archive has the form %lld; this release reads %d.",
                          (long long)format, EXPORT_FORMAT);
    r->head = true;
    return 0;
}

/* A package, trigger, rule or API. */
static int take_entity(struct reader *r, struct archive_entry *e)
{
    const struct archive_owner owner = {r->m, r->call->name, nr_str_of(r->call->account->uuid)};
    char name[ARCHIVE_ENTITY_NAME_BYTES];
    nr_auto_free char *mem = NULL;
    struct nr_str bytes = {NULL, 0};
    struct sealed_lost lost = {0};
    struct nr_err why = {0};
    int x;

    end_function(r);
    if ((x = read_entry(r, e, JSON_MAX_BYTES, &mem, &bytes)) < 0)
        return x;
    (void)archive_entity_import(&owner, archive_entry_pathname(e), bytes, name, &lost, &why);
    tell(r, "entity", name, &why);
    if (why.code == 0)
        tell_lost(r, "entity", name, &lost);
    return 0;
}

static int take_entry(struct reader *r, struct archive_entry *e)
{
    const char *path = archive_entry_pathname(e);
    long long number = 0, folder = 0;
    nr_auto_free char *mem = NULL;
    struct nr_str bytes = {NULL, 0};
    struct imported_folder *f;
    int end = 0, x;

    if (path == NULL || archive_entry_filetype(e) != AE_IFREG ||
        archive_entry_hardlink(e) != NULL || archive_entry_sparse_count(e) != 0)
        return refuse_archive(r, "it holds something that is no plain file");
    if (!r->head) {
        if (strcmp(path, EXPORT_HEAD) != 0)
            return refuse_archive(r, "it does not begin with " EXPORT_HEAD);
        x = read_entry(r, e, HEAD_MAX_BYTES, &mem, &bytes);
        return x < 0 ? x : check_head(r, bytes);
    }
    if (strcmp(path, EXPORT_END) == 0) {
        r->end = true;
        return 0;
    }
    if (r->end)
        return refuse_archive(r, "it goes on behind its end");
    if (archive_entity_is(path))
        return take_entity(r, e);
    if (sscanf(path, "functions/%18lld/function.json%n", &number, &end) == 1 && end > 0 &&
        path[end] == '\0') {
        x = read_entry(r, e, JSON_MAX_BYTES, &mem, &bytes);
        return x < 0 ? x : begin_function(r, number, bytes);
    }
    if (sscanf(path, "functions/%18lld/code/%18lld/%n", &number, &folder, &end) != 2 || end == 0 ||
        number != r->number || r->now.f.name == NULL)
        return refuse_archive(r, "it holds a file that has no place in it");
    if (r->why.code != 0)
        return 0;
    f = imported_folder(&r->now, folder, path + end);
    if (f == NULL || f->upload.number != 0)
        return refuse_archive(r, "it holds a file that none of its functions names");
    if ((x = read_entry(r, e, CODE_MAX_BYTES, &mem, &bytes)) == 0)
        take_code(r, f, bytes);
    return x;
}

static void free_reader(struct archive **a)
{
    if (*a != NULL)
        (void)archive_read_free(*a);
}

static int read_all(struct reader *r)
{
    struct archive *a __attribute__((cleanup(free_reader))) = archive_read_new();
    struct archive_entry *e;
    int step, x = 0;

    if (a == NULL)
        return nr_err_set(&r->call->err, NR_ENOMEM, TEXT_INTERNAL);
    r->a = a;
    (void)archive_read_support_format_tar(a);
    int opened = r->call->body_file > 0
                     ? archive_read_open_fd(a, r->call->body_file, READ_BYTES)
                     : archive_read_open_memory(a, r->call->body.p, r->call->body.n);
    if (opened != ARCHIVE_OK)
        return refuse_archive(r, "it is no tar");
    while (x == 0 && (step = archive_read_next_header(a, &e)) != ARCHIVE_EOF)
        x = step < ARCHIVE_WARN ? refuse_archive(r, "it cannot be read to its end")
                                : take_entry(r, e);
    if (x == 0 && !r->end)
        x = refuse_archive(r, "it lacks its end");
    if (x < 0)
        (void)nr_err_set(&r->why, NR_EINVAL, "The archive is broken here.");
    end_function(r);
    return x;
}

static int prepare(struct fnmanager *m, struct fn_call *call, struct reader *r)
{
    struct account_row row = {0};
    int e = metadata_account(m->db, call->name, &row);

    if (e < 0)
        return account_refuse(call, e);
    r->limits.ranges =
        (struct body_ranges){m->config.memory_max_mb, row.concurrent_invocations, call->name};
    r->limits.secrets = &m->secrets;
    r->limits.account = row.id;
    account_row_fini(&row);
    return 0;
}

static int import(struct fnmanager *m, struct fn_call *call)
{
    struct reader r = {.m = m, .call = call};
    int e = prepare(m, call, &r);

    if (e < 0)
        return e;
    nr_buf_init(&r.good, REPLY_MAX_BYTES);
    nr_buf_init(&r.bad, REPLY_MAX_BYTES);
    if ((e = read_all(&r)) == 0) {
        nr_buf_init(&call->reply, 2 * REPLY_MAX_BYTES + 64);
        nr_buf_adds(&call->reply, "{\"imported\":[");
        nr_buf_add(&call->reply, r.good.p, r.good.n);
        nr_buf_adds(&call->reply, "],\"refused\":[");
        nr_buf_add(&call->reply, r.bad.p, r.bad.n);
        nr_buf_adds(&call->reply, "]}");
    }
    nr_buf_fini(&r.good);
    nr_buf_fini(&r.bad);
    return e;
}

int account_import(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct import_mark mark = {.account = call->name};
    int e = account_may_see(call);

    *ret_old = 0;
    if (e < 0)
        return e;
    if (!call->patient)
        return HANDLER_LATER;
    if ((e = import_begin(m, &mark, &call->err)) < 0)
        return e;
    e = import(m, call);
    import_end(m, &mark);
    *ret_old = HANDLER_MANY; /* packages and triggers told their changes */
    return e;
}
