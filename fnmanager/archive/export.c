/* The archive is written function by function into a file that has no name: a large account needs no large memory, and nothing is left of
 * an export that was cut.
 */
#include "fnmanager/archive/export.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "fnmanager/accounts/account_api.h"
#include "fnmanager/archive/archive_entities.h"
#include "fnmanager/storage/code.h"
#include "fnmanager/images/image_annotation.h"
#include "fnmanager/functions/lifecycle.h"
#include "fnmanager/registry/metadata_export.h"
#include "fnmanager/functions/sequence.h"

struct writer {
    struct fnmanager *m;
    struct archive *a;
    struct nr_str account; /* lent */
    struct nr_err *err;
    int64_t functions, now_ms;
};

static int broken(struct writer *w)
{
    return nr_err_set(w->err, archive_errno(w->a) == ENOSPC ? NR_ENOSPC : NR_EIO,
                      archive_errno(w->a) == ENOSPC ? TEXT_NO_SPACE : TEXT_INTERNAL);
}

static int add_entry(struct writer *w, const char *name, struct nr_str bytes)
{
    struct archive_entry *e = archive_entry_new();
    bool good;

    if (e == NULL)
        return nr_err_set(w->err, NR_ENOMEM, TEXT_INTERNAL);
    archive_entry_set_pathname(e, name);
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0644);
    archive_entry_set_mtime(e, w->now_ms / 1000, 0);
    archive_entry_set_size(e, (la_int64_t)bytes.n);
    good = archive_write_header(w->a, e) == ARCHIVE_OK &&
           (bytes.n == 0 || archive_write_data(w->a, bytes.p, bytes.n) == (la_ssize_t)bytes.n);
    archive_entry_free(e);
    return good ? 0 : broken(w);
}

static int add_json(struct writer *w, const char *name, json_t *given)
{
    nr_auto_json json_t *j = given;
    size_t n = 0;
    nr_auto_free char *text = j ? nr_json_text(j, &n) : NULL;

    return text ? add_entry(w, name, (struct nr_str){text, n})
                : nr_err_set(w->err, NR_ENOMEM, TEXT_INTERNAL);
}

/* Which of the function's folders of code it is, by its first version that names it; 0: it has no file. */
static size_t folder_of(const struct whole_function *f, size_t version)
{
    if (f->version[version].file[0] == '\0')
        return 0;
    for (size_t i = 0;; i++) {
        if (strcmp(f->version[i].folder, f->version[version].folder) == 0)
            return i + 1;
    }
}

/* What a PUT would say, without the code. */
static json_t *action_json(const struct fn_row *v, struct nr_str account)
{
    nr_auto_free char *annotations = nr_strdup(v->annotations);
    json_t *exec = json_pack("{s:s}", "kind", v->kind), *limits;

    (void)image_pin_set(&annotations, "", NULL); /* of this host's registry */
    if (v->image[0] != '\0')
        (void)json_object_set_new(exec, "image", json_string(v->image));
    if (v->main[0] != '\0')
        (void)json_object_set_new(exec, "main", json_string(v->main));
    if (v->components[0] != '\0')
        (void)json_object_set_new(exec, "components", sequence_movable(v->components, account));
    limits =
        json_pack("{s:I, s:I, s:I, s:I}", "timeout", (json_int_t)v->limits.timeout_ms, "memory",
                  (json_int_t)v->limits.memory_mb, "logs", (json_int_t)v->limits.logs_mb,
                  "concurrency", (json_int_t)v->limits.concurrency);
    if (v->limits.instances >= 0)
        (void)json_object_set_new(limits, "instances", json_integer(v->limits.instances));
    return json_pack("{s:o, s:o, s:o, s:o, s:b, s:s}", "exec", exec, "limits", limits, "parameters",
                     nr_json_parse(nr_str_of(v->parameters), NULL), "annotations",
                     nr_json_parse(nr_str_of(annotations), NULL), "publish", v->publish, "version",
                     v->version);
}

static json_t *version_json(const struct whole_function *f, size_t i, struct nr_str account)
{
    const struct fn_row *v = &f->version[i];
    enum function_state state = v->state == FN_UPDATING ? FN_LATEST : v->state;
    char hex[2 * NR_SHA256_BYTES + 1];
    json_t *o =
        json_pack("{s:I, s:s, s:s, s:s, s:s, s:I, s:b, s:o}", "number", (json_int_t)v->number,
                  "state", lifecycle_name(state), "state_before", lifecycle_name(v->state_before),
                  "reason", v->reason, "note", v->note, "updated_ms", (json_int_t)v->updated_ms,
                  "has_code", v->has_code, "action", action_json(v, account));

    nr_hex(v->sha256, sizeof(v->sha256), hex);
    if (o != NULL && v->file[0] != '\0')
        (void)json_object_set_new(o, "code",
                                  json_pack("{s:I, s:s, s:I, s:s, s:b}", "folder",
                                            (json_int_t)folder_of(f, i), "file", v->file, "bytes",
                                            (json_int_t)v->code_bytes, "sha256", hex, "binary",
                                            v->binary));
    return o;
}

static json_t *alias_json(const struct alias_row *a)
{
    json_t *weights = json_object();

    for (size_t i = 0; i < a->split.n; i++) {
        char number[24];
        (void)snprintf(number, sizeof(number), "%lld", (long long)a->split.part[i].version);
        (void)json_object_set_new(weights, number, json_integer(a->split.part[i].weight));
    }
    return json_pack("{s:s, s:o, s:b}", "name", a->name, "weights", weights, "protected",
                     a->is_protected);
}

static json_t *function_json(const struct whole_function *f, struct nr_str account)
{
    json_t *versions = json_array(), *aliases = json_array();

    for (size_t i = 0; i < f->versions; i++)
        (void)json_array_append_new(versions, version_json(f, i, account));
    for (size_t i = 0; i < f->aliases.n; i++)
        (void)json_array_append_new(aliases, alias_json(&f->aliases.item[i]));
    return json_pack("{s:s, s:s, s:I, s:o, s:o}", "package", f->package, "name", f->name,
                     "published", (json_int_t)f->published, "versions", versions, "aliases",
                     aliases);
}

static int add_code(struct writer *w, const struct fn_row *v, size_t folder)
{
    nr_auto_free char *bytes = NULL;
    char name[128];
    int r =
        storage_read(&w->m->storage, v->folder, v->file, v->code_bytes, v->sha256, &bytes, w->err);

    (void)snprintf(name, sizeof(name), "functions/%lld/code/%zu/%s", (long long)w->functions,
                   folder, v->file);
    return r < 0 ? r : add_entry(w, name, (struct nr_str){bytes, (size_t)v->code_bytes});
}

static int add_function(struct writer *w, const struct whole_function *f)
{
    char name[64];
    int r;

    w->functions++;
    (void)snprintf(name, sizeof(name), "functions/%lld/function.json", (long long)w->functions);
    r = add_json(w, name, function_json(f, w->account));
    for (size_t i = 0; r == 0 && i < f->versions; i++) {
        if (folder_of(f, i) == i + 1)
            r = add_code(w, &f->version[i], i + 1);
    }
    return r;
}

static int add_document(void *arg, const char *path, json_t *document)
{
    return add_json(arg, path, document);
}

static int add_all(struct writer *w, struct nr_str account, struct nr_str key_uuid)
{
    const struct archive_owner owner = {w->m, account, key_uuid};
    int64_t after = 0;
    int r = add_json(w, EXPORT_HEAD,
                     json_pack("{s:i, s:s%, s:I}", "format", EXPORT_FORMAT, "account", account.p,
                               account.n, "exported_ms", (json_int_t)w->now_ms));

    if (r == 0)
        r = archive_entities_export(&owner, true, add_document, w, w->err);
    while (r == 0) {
        struct whole_function f = {0};
        r = metadata_export_next(w->m->db, account, after, &f);
        if (r == NR_ENOENT)
            break;
        after = f.id;
        if (r == 0 && f.versions > 0)
            r = add_function(w, &f);
        whole_function_fini(&f);
    }
    if (r == NR_ENOENT)
        r = archive_entities_export(&owner, false, add_document, w, w->err);
    if (r < 0)
        return r;
    r = add_json(w, EXPORT_END, json_pack("{s:I}", "functions", (json_int_t)w->functions));
    return r < 0 ? r : archive_write_close(w->a) == ARCHIVE_OK ? 0 : broken(w);
}

static void free_writer(struct archive **a)
{
    if (*a != NULL)
        (void)archive_write_free(*a);
}

static int write_archive(struct fnmanager *m, struct fn_call *call, int fd)
{
    struct archive *a __attribute__((cleanup(free_writer))) = archive_write_new();
    struct writer w = {
        .m = m, .a = a, .account = call->name, .err = &call->err, .now_ms = nr_wall_ms()};

    if (a == NULL)
        return nr_err_set(&call->err, NR_ENOMEM, TEXT_INTERNAL);
    (void)archive_write_set_format_pax_restricted(a);
    (void)archive_write_set_bytes_in_last_block(a, 1);
    if (archive_write_open_fd(a, fd) != ARCHIVE_OK)
        return broken(&w);
    return add_all(&w, call->name, nr_str_of(call->account->uuid));
}

int account_export(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct account_row row = {0};
    int r = account_may_see(call);

    *ret_old = 0;
    if (r < 0)
        return r;
    r = metadata_account(m->db, call->name, &row);
    account_row_fini(&row);
    if (r < 0)
        return account_refuse(call, r);
    nr_auto_close int fd = open(m->data_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0)
        return account_refuse(call, nr_err_from_errno(errno));
    if ((r = write_archive(m, call, fd)) < 0)
        return account_refuse(call, r);
    call->file_bytes = lseek(fd, 0, SEEK_END);
    call->file = nr_steal_fd(&fd);
    return 0;
}
