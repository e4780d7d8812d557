/* A source is looked up by its key first, then looked at (an executable, or an archive with what runs in it, needs no compiler), then compiled. The
 * result is kept before anything names it. Results that no version names any more go when a new one comes, so what an account's folder
 * holds is bounded by its versions, and by a ceiling.
 */
#include "fnmanager/compile/compile.h"

#include <fcntl.h>
#include <stdio.h>

#include "common/base/file.h"
#include "fnmanager/compile/compile_run.h"
#include "fnmanager/images/images.h"
#include "fnmanager/manager.h"
#include "fnmanager/registry/metadata_sources.h"
#include "fnmanager/storage/archive_list.h"
#include "fnmanager/storage/code.h"

#define FILE_EXECUTABLE "exec"

/* What the compilers of the families make, and how it is run. */
static const struct form {
    const char *family, *file, *magic, *exec;
    const char *
        runs; /* an archive with this file runs as it is; NULL: all is for the compiler (that of Java puts classes and jars into one) */
} forms[] = {
    {"go", FILE_EXECUTABLE, "\177ELF", "loop", FILE_EXECUTABLE},
    {"java", "code.jar", "PK\3\4", "", NULL},
};

static const struct runtime_kind *kind_of(const struct fnmanager *m, const char *kind)
{
    for (const struct runtime_kind *k = m->config.kinds; k->kind != NULL; k++) {
        if (k->compiler != NULL && strcmp(k->kind, kind) == 0)
            return k;
    }
    return NULL;
}

static const struct form *form_of(const struct runtime_kind *k)
{
    for (size_t i = 0; i < nr_countof(forms); i++) {
        if (strcmp(forms[i].family, k->family) == 0)
            return &forms[i];
    }
    return NULL;
}

bool compile_is_needed(const struct fnmanager *m, const char *kind)
{
    return kind_of(m, kind) != NULL;
}

/* ---- does it need a compiler? --------------------------------------------------------------------------------- */

static bool has_file(const struct archive_files *l, const char *path)
{
    for (size_t i = 0; i < l->n; i++) {
        if (strcmp(l->item[i].path, path) == 0)
            return true;
    }
    return false;
}

static int look_into(const struct form *f, struct nr_str bytes, bool *ret_as_is, struct nr_err *err)
{
    enum archive_format format = archive_format_of(bytes);
    struct archive_files files = {0};
    int r = format == ARCHIVE_NONE ? 0 : archive_list(bytes, format, &files, err);

    if (r == 0)
        *ret_as_is = has_file(&files, f->runs);
    archive_files_fini(&files);
    return r;
}

static int is_as_it_is(const struct form *f, const struct compile_source *s, bool *ret_as_is,
                       struct nr_err *err)
{
    nr_auto_free char *bytes = NULL;
    size_t n = 0;

    *ret_as_is = f->runs != NULL && strcmp(s->file, FILE_EXECUTABLE) == 0;
    if (*ret_as_is || f->runs == NULL ||
        (strcmp(s->file, "code.zip") != 0 && strcmp(s->file, "code.tgz") != 0))
        return 0;
    int r = nr_file_read(s->path, CODE_MAX_BYTES, &bytes, &n, err);

    return r < 0 ? r : look_into(f, (struct nr_str){bytes, n}, ret_as_is, err);
}

/* ---- room ------------------------------------------------------------------------------------------------------ */

struct names {
    const struct runtime_kind *kinds;
    struct nr_str account;
    char (*key)[COMPILED_KEY_BYTES]; /* made */
    size_t n;
};

static void note(void *arg, const struct stored_source *s)
{
    struct names *l = arg;

    for (const struct runtime_kind *k = l->kinds; k->kind != NULL; k++) {
        if (k->compiler == NULL || strcmp(k->kind, s->kind) != 0)
            continue;
        void *grown = nr_try_realloc(l->key, (l->n + 1) * sizeof(*l->key));

        nr_check(grown != NULL);
        l->key = grown;
        const struct compile_source source = {.account = l->account,
                                              .kind = s->kind,
                                              .main = s->main,
                                              .file = s->file,
                                              .sha256 = s->sha256};

        compiled_key(k->compiler, &source, l->key[l->n++]);
    }
}

static bool is_named(void *arg, const char *key)
{
    const struct names *l = arg;

    for (size_t i = 0; i < l->n; i++) {
        if (strcmp(l->key[i], key) == 0)
            return true;
    }
    return false;
}

/* What no version names any more goes; what is left must leave room for one more. */
static int make_room(struct fnmanager *m, struct nr_str account, const char *folder,
                     struct nr_err *err)
{
    struct names l = {.kinds = m->config.kinds, .account = account};
    int r = metadata_sources(m->db, account, note, &l);

    if (r == 0)
        compiled_sweep(folder, SWEEP_AFTER_MS, is_named, &l);
    free(l.key);
    if (r < 0)
        return nr_err_set(err, r, TEXT_INTERNAL);
    int64_t bytes = compiled_bytes(folder);

    if (bytes + COMPILED_FILE_MAX_BYTES <= COMPILED_OF_ACCOUNT_MAX_BYTES)
        return 0;
    return nr_err_set(
        err, NR_EFORBIDDEN,
        "What was compiled for the account's versions takes %lld bytes; at most %lld are allowed before another compilation. Delete functions or versions.",
        (long long)bytes, (long long)(COMPILED_OF_ACCOUNT_MAX_BYTES - COMPILED_FILE_MAX_BYTES));
}

/* ---- compiling -------------------------------------------------------------------------------------------------- */

/* "go" of "narae/go:0123" */
static struct nr_str family_of(const char *image)
{
    const char *slash = strrchr(image, '/');
    const char *begin = slash ? slash + 1 : image;

    return (struct nr_str){begin, strcspn(begin, ":")};
}

static int need_image(struct fnmanager *m, const struct runtime_kind *k, const char *image,
                      struct nr_err *err)
{
    struct image_call c = {.op = IMAGE_FIND, .reference = image};
    struct nr_str family = family_of(image);
    int r = images_ask(m, &c, NULL, NULL);

    json_decref(c.found);
    if (r == NR_ENOENT)
        return nr_err_set(
            err, NR_EUNAVAIL,
            "The kind '%s' cannot be used on this host yet: its image %s is missing. `%s %.*s` makes it.",
            k->kind, image, m->config.image_hint ? m->config.image_hint : "scripts/images",
            (int)family.n, family.p);
    return r < 0 ? nr_err_set(err, r, "%s", c.err.text) : 0;
}

static int need_images(struct fnmanager *m, const struct runtime_kind *k, struct nr_err *err)
{
    int r;

    if (m->config.errand == NULL || !images_are_possible(m))
        return nr_err_set(err, NR_EUNAVAIL, "Nothing can be compiled here: no invoker is there.");
    r = need_image(m, k, k->compiler, err);
    return r == 0 ? need_image(m, k, k->image, err) : r;
}

/* What a compiler gave back is looked at as an upload is. */
static int judge(const struct form *f, struct nr_str bytes, struct nr_err *err)
{
    size_t n = strlen(f->magic);

    if (bytes.n < n || memcmp(bytes.p, f->magic, n) != 0)
        return nr_err_set(err, NR_EINVAL, "What the compiler made is not what it should make.");
    return archive_format_of(bytes) == ARCHIVE_ZIP
               ? archive_check(bytes, ARCHIVE_ZIP, &archive_limits_default, err)
               : 0;
}

static int compile_and_keep(struct fnmanager *m, struct account *who, const struct runtime_kind *k,
                            const struct compile_source *s, const char *folder, const char *key,
                            struct nr_err *err)
{
    const struct form *f = form_of(k);
    nr_auto_free char *bytes = NULL;
    struct compiled made = {.as_is = false};
    size_t n = 0;
    int r = need_images(m, k, err);

    if (r == 0)
        r = make_room(m, s->account, folder, err);
    if (r == 0)
        r = compile_run(m, who, k->compiler, s, &bytes, &n, err);
    if (r == 0)
        r = judge(f, (struct nr_str){bytes, n}, err);
    (void)snprintf(made.file, sizeof(made.file), "%s", f->file);
    return r < 0 ? r : compiled_keep(folder, key, (struct nr_str){bytes, n}, &made, err);
}

/* Another may have made it meanwhile. */
static int compile_in_turn(struct fnmanager *m, struct account *who, const struct runtime_kind *k,
                           const struct compile_source *s, bool waits, const char *folder,
                           const char *key, struct nr_err *err)
{
    struct compiled c;
    int at = compile_enter(&m->compiling, s->account, waits, err);

    if (at < 0)
        return at;
    int r =
        compiled_find(folder, key, &c) == 0 ? 0 : compile_and_keep(m, who, k, s, folder, key, err);

    compile_leave(&m->compiling, at);
    return r;
}

/* `waits`: for a place, when others compile. */
static int make(struct fnmanager *m, struct account *who, const struct compile_source *source,
                bool waits, struct nr_err *err)
{
    const struct runtime_kind *k = kind_of(m, source->kind);
    struct compiled c = {.as_is = false};
    char key[COMPILED_KEY_BYTES];
    int r;

    if (k == NULL || source->file[0] == '\0')
        return 0;
    nr_auto_free char *folder = compiled_folder(m->data_dir, source->account);

    compiled_key(k->compiler, source, key);
    if (compiled_find(folder, key, &c) == 0)
        return 0;
    if ((r = is_as_it_is(form_of(k), source, &c.as_is, err)) < 0)
        return r;
    return c.as_is ? compiled_keep(folder, key, (struct nr_str){"", 0}, &c, err)
                   : compile_in_turn(m, who, k, source, waits, folder, key, err);
}

int compile_source(struct fnmanager *m, struct account *who, const struct compile_source *source,
                   struct nr_err *err)
{
    return make(m, who, source, false, err);
}

int compile_row(struct fnmanager *m, struct account *who, struct nr_str account,
                const struct fn_row *row, struct nr_err *err)
{
    nr_auto_free char *path = storage_path(&m->storage, row->folder, row->file);
    const struct compile_source s = {account, row->kind,       row->main,  row->file,
                                     path,    row->code_bytes, row->sha256};

    return make(m, who, &s, true, err);
}

int compile_apply(struct fnmanager *m, struct nr_str account, const struct fn_row *row,
                  struct function *f)
{
    const struct runtime_kind *k = kind_of(m, row->kind);
    const struct compile_source s = {.account = account,
                                     .kind = row->kind,
                                     .main = row->main,
                                     .file = row->file,
                                     .sha256 = row->sha256};
    struct compiled c;
    char key[COMPILED_KEY_BYTES];

    if (k == NULL || row->file[0] == '\0')
        return 0;
    nr_auto_free char *folder = compiled_folder(m->data_dir, account);

    compiled_key(k->compiler, &s, key);
    if (compiled_find(folder, key, &c) < 0)
        return NR_ENOENT;
    free(f->exec);
    f->exec = nr_strdup(form_of(k)->exec);
    if (c.as_is)
        return 0;
    free(f->code_path);
    free(f->file);
    f->code_path = compiled_path(folder, key);
    f->file = nr_strdup(c.file);
    f->code_bytes = c.bytes;
    memcpy(f->sha256, c.sha256, sizeof(f->sha256));
    return 0;
}

void compile_forget(struct fnmanager *m, struct nr_str account)
{
    nr_auto_free char *folder = compiled_folder(m->data_dir, account);

    (void)nr_dir_remove(folder, NULL);
}
