/* What a file or a folder is as a function: the kind is guessed from the ending, or from what a folder or an archive holds.
 *
 *   x.py x.js x.go x.java  source text; x.jar: java
 *   x.sh, an ELF, "#!"     native (blackbox with openwhisk/dockerskeleton)
 *   x.wasm                 WebAssembly
 *   folder, x.zip          archive; __main__.py: python, package.json or index.js: nodejs, go.mod or main.go: go, exec: native
 */
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "common/base/file.h"

#define CODE_MAX_BYTES (48 << 20)
#define NATIVE_IMAGE "openwhisk/dockerskeleton"

static const struct {
    const char *file, *kind;
} signs[] = {{"__main__.py", "python:default"},
             {"package.json", "nodejs:default"},
             {"index.js", "nodejs:default"},
             {"go.mod", "go:default"},
             {"main.go", "go:default"},
             {"META-INF/MANIFEST.MF", "java:default"},
             {"exec", "blackbox"}};

static const struct {
    const char *ending, *kind;
    bool text;
} endings[] = {{".py", "python:default", true}, {".js", "nodejs:default", true},
               {".go", "go:default", true},     {".java", "java:default", true},
               {".jar", "java:default", false}, {".wasm", "wasm:default", false},
               {".sh", "blackbox", true},       {".zip", NULL, false}};

static const char *ending_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');

    return dot ? dot : "";
}

void cli_source_name(const char *path, char *out, size_t n)
{
    char clean[4096];
    size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/')
        len--;
    (void)snprintf(clean, sizeof(clean), "%.*s", (int)len, path);
    const char *slash = strrchr(clean, '/');
    (void)snprintf(out, n, "%s", slash ? slash + 1 : clean);
    char *dot = strrchr(out, '.');
    if (dot && dot != out)
        *dot = '\0';
}

static const char *sign_of(const char *name)
{
    for (size_t i = 0; i < nr_countof(signs); i++) {
        if (strcmp(signs[i].file, name) == 0)
            return signs[i].kind;
    }
    return NULL;
}

/* ---- a folder becomes a zip in memory ---------------------------------------------------------------------------- */

struct packing {
    struct archive *zip;
    const char *root, *kind;
    int entries;
};

static int pack_file(struct packing *p, const char *path, const char *name, const struct stat *st,
                     struct nr_err *err)
{
    nr_auto_free char *bytes = NULL;
    size_t n;

    if (nr_file_read(path, CODE_MAX_BYTES, &bytes, &n, err) != 0)
        return err->code;
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, name);
    archive_entry_set_size(e, (la_int64_t)n);
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, st->st_mode & 0111 ? 0755 : 0644);
    int r = archive_write_header(p->zip, e);
    archive_entry_free(e);
    if (r < ARCHIVE_WARN || archive_write_data(p->zip, bytes, n) < 0)
        return nr_err_set(err, NR_ETOOBIG, "%s does not fit: %s (an archive may have %d MB)", path,
                          archive_error_string(p->zip), CODE_MAX_BYTES >> 20);
    p->entries++;
    return 0;
}

static int pack_folder(struct packing *p, const char *path, const char *below, int depth,
                       struct nr_err *err)
{
    struct dirent **list;
    int n = depth > 32 ? -1 : scandir(path, &list, NULL, alphasort), e = 0;

    if (n < 0)
        return nr_err_set(err, NR_EIO, "%s: %s", path,
                          depth > 32 ? "folders too deep" : strerror(errno));
    for (int i = 0; i < n; i++) {
        char full[4096], name[4096];
        const char *base = list[i]->d_name;
        struct stat st;

        if (e == 0 && base[0] != '.') {
            (void)snprintf(full, sizeof(full), "%s/%s", path, base);
            (void)snprintf(name, sizeof(name), "%s%s%s", below, below[0] ? "/" : "", base);
            if (depth == 0 && p->kind == NULL)
                p->kind = sign_of(base);
            if (stat(full, &st) != 0)
                e = nr_err_set(err, NR_EIO, "%s: %s", full, strerror(errno));
            else if (S_ISDIR(st.st_mode))
                e = pack_folder(p, full, name, depth + 1, err);
            else if (S_ISREG(st.st_mode))
                e = pack_file(p, full, name, &st, err);
        }
        free(list[i]);
    }
    free(list);
    return e;
}

static int read_folder(const char *path, char **ret_bytes, size_t *ret_n, const char **ret_kind,
                       struct nr_err *err)
{
    struct packing p = {.zip = archive_write_new(), .root = path};
    nr_auto_free char *bytes = nr_try_alloc(CODE_MAX_BYTES);
    size_t used = 0;
    int e = bytes ? 0 : nr_err_set(err, NR_ENOMEM, "no memory to pack %s", path);

    if (e == 0 && (archive_write_set_format_zip(p.zip) != ARCHIVE_OK ||
                   archive_write_open_memory(p.zip, bytes, CODE_MAX_BYTES, &used) != ARCHIVE_OK))
        e = nr_err_set(err, NR_EINTERNAL, "%s", archive_error_string(p.zip));
    if (e == 0)
        e = pack_folder(&p, path, "", 0, err);
    if (e == 0 && p.entries == 0)
        e = nr_err_set(err, NR_EINVAL, "%s holds no file", path);
    if (archive_write_close(p.zip) != ARCHIVE_OK && e == 0)
        e = nr_err_set(err, NR_ETOOBIG, "%s: %s", path, archive_error_string(p.zip));
    (void)archive_write_free(p.zip);
    if (e != 0)
        return e;
    *ret_bytes = nr_steal(&bytes);
    *ret_n = used;
    *ret_kind = p.kind;
    return 0;
}

static const char *archive_kind(const char *bytes, size_t n)
{
    struct archive *a = archive_read_new();
    struct archive_entry *e;
    const char *kind = NULL;

    (void)archive_read_support_format_zip(a);
    if (archive_read_open_memory(a, bytes, n) == ARCHIVE_OK) {
        while (kind == NULL && archive_read_next_header(a, &e) == ARCHIVE_OK)
            kind = sign_of(archive_entry_pathname(e));
    }
    (void)archive_read_free(a);
    return kind;
}

/* ---- the body ---------------------------------------------------------------------------------------------------- */

static json_t *exec_of(const struct cli *c, const char *path, const char *kind, const char *bytes,
                       size_t n, bool text, struct nr_err *err)
{
    json_t *exec = json_object();

    /* What an own image runs may be source of any language. */
    if ((text || (c->text[OPT_IMAGE] && memchr(bytes, 0, n) == NULL)) &&
        nr_utf8_valid((struct nr_str){bytes, n})) {
        json_object_set_new(exec, "code", json_stringn(bytes, n));
    } else {
        char *encoded = nr_alloc(4 * ((n + 2) / 3) + 1);

        json_object_set_new(exec, "code",
                            json_stringn(encoded, nr_base64_encode(bytes, n, encoded)));
        free(encoded);
    }
    if (c->text[OPT_IMAGE])
        kind = "blackbox";
    if (c->text[OPT_KIND])
        kind = strcmp(c->text[OPT_KIND], "native") == 0 ? "blackbox" : c->text[OPT_KIND];
    if (kind == NULL) {
        json_decref(exec);
        nr_err_set(
            err, NR_EINVAL,
            "%s: the kind cannot be guessed from the ending (.py, .js, .go, .java, .jar, .wasm, .sh, .zip), nor from a "
            "__main__.py, package.json, index.js, go.mod, main.go or exec at the top of a folder or zip; add "
            "such a file, or give --kind (python:3, nodejs:18, go:1.19, java:17, wasm:1, native)",
            path);
        return NULL;
    }
    json_object_set_new(exec, "kind", json_string(kind));
    if (strcmp(kind, "blackbox") == 0)
        json_object_set_new(exec, "image",
                            json_string(c->text[OPT_IMAGE] ? c->text[OPT_IMAGE] : NATIVE_IMAGE));
    if (c->text[OPT_MAIN])
        json_object_set_new(exec, "main", json_string(c->text[OPT_MAIN]));
    return exec;
}

json_t *cli_source_exec(const struct cli *c, const char *path, struct nr_err *err)
{
    nr_auto_free char *bytes = NULL;
    const char *kind = NULL, *ending = ending_of(path);
    struct stat st;
    bool text = false;
    size_t n;

    if (stat(path, &st) != 0) {
        nr_err_set(err, NR_ENOENT, "%s: %s", path, strerror(errno));
        return NULL;
    }
    if (S_ISDIR(st.st_mode))
        return read_folder(path, &bytes, &n, &kind, err) == 0
                   ? exec_of(c, path, kind, bytes, n, false, err)
                   : NULL;
    if (nr_file_read(path, CODE_MAX_BYTES, &bytes, &n, err) != 0)
        return NULL;
    for (size_t i = 0; i < nr_countof(endings); i++) {
        if (strcmp(endings[i].ending, ending) == 0) {
            kind = endings[i].kind;
            text = endings[i].text;
        }
    }
    if (n > 3 && memcmp(bytes, "PK\3\4", 4) == 0 && strcmp(ending, ".jar") != 0)
        kind = archive_kind(bytes, n);
    else if (kind == NULL && n > 3 &&
             (memcmp(bytes, "\177ELF", 4) == 0 || memcmp(bytes, "#!", 2) == 0))
        kind = "blackbox";
    return exec_of(c, path, kind, bytes, n, text || (n > 1 && memcmp(bytes, "#!", 2) == 0), err);
}
