/* A source is looked up by its key first, then looked at (an executable, or an archive with what runs in it, needs no compiler), then compiled: when the
 * account may run anything, there is a place for a compiler, and room for what it makes. The result is kept before anything names it.
 */
#include "fnmanager/compile/compile.h"

#include <fcntl.h>
#include <stdio.h>

#include "common/base/file.h"
#include "fnmanager/compile/compile_check.h"
#include "fnmanager/compile/compile_known.h"
#include "fnmanager/compile/compile_room.h"
#include "fnmanager/compile/compile_run.h"
#include "fnmanager/images/images.h"
#include "fnmanager/manager.h"
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

_Static_assert(2 * (COMPILES_MAX + COMPILE_WAITERS_MAX) <= HANDLER_IMAGE_THREADS,
               "compilers take at most half of the threads that may wait");

/* What is to be made. */
struct job {
    struct fnmanager *m;
    struct account *who;
    const struct runtime_kind *kind;
    const struct compile_source *source;
    bool called;         /* for a call, else for a deploy */
    struct nr_buf *said; /* as compile_source() has it */
    const char *folder;
    char key[COMPILED_KEY_BYTES];
};

static int compile_and_keep(const struct job *j, struct nr_err *err)
{
    const struct form *f = form_of(j->kind);
    nr_auto_free char *bytes = NULL;
    struct compiled made = {.as_is = false};
    size_t n = 0;
    int r = compile_run(j->m, j->who, j->kind->compiler, j->source, &bytes, &n, j->said, err);

    if (r == 0)
        r = judge(f, (struct nr_str){bytes, n}, err);
    if (r < 0)
        return r;
    (void)snprintf(made.file, sizeof(made.file), "%s", f->file);
    r = compile_room_keep(j->m, j->source->account, j->folder, j->key, (struct nr_str){bytes, n},
                          &made, err);
    if (r == 0)
        compile_know(&j->m->compiling, j->key);
    return r;
}

/* Who may run nothing has nothing compiled either. */
static int may_run(const struct account *who, struct nr_err *err)
{
    if (who->concurrent_invocations != 0)
        return 0;
    return nr_err_set(
        err, NR_EQUOTA,
        "The account may run 0 calls at once (concurrentInvocations), and so nothing is compiled for it.");
}

/* Another may have made it meanwhile. */
static int compile_in_turn(const struct job *j, struct nr_err *err)
{
    struct nr_str account = j->source->account;
    struct compiled c;
    int at = compile_enter(&j->m->compiling, account, j->called, err), r = 0;

    if (at < 0)
        return at;
    if (compile_find(j->m, account, j->folder, j->key, &c) < 0 &&
        (r = need_images(j->m, j->kind, err)) == 0 &&
        (r = compile_room(j->m, account, j->folder, err)) == 0)
        r = compile_and_keep(j, err);
    compile_leave(&j->m->compiling, at);
    return r;
}

/* Not while its folder is swept: an empty one goes. */
static int keep_as_it_is(const struct job *j, struct nr_err *err)
{
    struct compiled c = {.as_is = true};

    pthread_mutex_lock(&j->m->compiling.keeping);
    int r = compiled_keep(j->folder, j->key, (struct nr_str){"", 0}, &c, err);

    pthread_mutex_unlock(&j->m->compiling.keeping);
    return r;
}

static int make(struct job *j, struct nr_err *err)
{
    const struct compile_source *source = j->source;
    struct compiled c = {.as_is = false};
    int r;

    j->kind = kind_of(j->m, source->kind);
    if (j->kind == NULL || source->file[0] == '\0')
        return 0;
    nr_auto_free char *folder = compiled_folder(j->m->data_dir, source->account);

    j->folder = folder;
    compiled_key(j->kind->compiler, source, j->key);
    if (compile_find(j->m, source->account, folder, j->key, &c) == 0) {
        if (c.garbage)
            compiled_name_again(folder, j->key);
        return 0;
    }
    if ((r = is_as_it_is(form_of(j->kind), source, &c.as_is, err)) < 0)
        return r;
    if (c.as_is)
        return keep_as_it_is(j, err);
    r = may_run(j->who, err);
    return r < 0 ? r : compile_in_turn(j, err);
}

int compile_source(struct fnmanager *m, struct account *who, const struct compile_source *source,
                   struct nr_buf *said, struct nr_err *err)
{
    struct job j = {.m = m, .who = who, .source = source, .said = said};

    return make(&j, err);
}

int compile_row(struct fnmanager *m, struct account *who, struct nr_str account,
                const struct fn_row *row, struct nr_err *err)
{
    nr_auto_free char *path = storage_path(&m->storage, row->folder, row->file);
    const struct compile_source s = {account, row->kind,       row->main,  row->file,
                                     path,    row->code_bytes, row->sha256};
    struct job j = {.m = m, .who = who, .source = &s, .called = true};

    return make(&j, err);
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
    if (compile_find(m, account, folder, key, &c) < 0)
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
