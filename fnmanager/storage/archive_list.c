/* Every byte is inflated and hashed on the way; nothing is kept but names, sizes and hashes. The archive was checked when it was
 * uploaded; the ceilings of that check hold here too, for a list must not be a way round them.
 */
#include "fnmanager/storage/archive_list.h"

#include <archive.h>
#include <archive_entry.h>
#include <openssl/evp.h>

#include "common/base/mem.h"

struct walk {
    struct archive *a;
    EVP_MD_CTX *hash;
    struct archive_files *files;
    int64_t bytes;
    struct nr_err *err;
};

void archive_files_fini(struct archive_files *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->item[i].path);
    free(l->item);
    *l = (struct archive_files){0};
}

static int unreadable(const struct walk *w)
{
    const char *why = archive_error_string(w->a);

    return nr_err_set(w->err, NR_EINVAL, "The archive cannot be read: %.200s.",
                      why != NULL ? why : "damaged");
}

static int no_memory(const struct walk *w)
{
    return nr_err_set(w->err, NR_ENOMEM, "There is no memory to read the archive.");
}

static int hash_entry(struct walk *w, struct archive_file *f)
{
    for (;;) {
        const void *block;
        size_t n;
        la_int64_t offset;
        int r = archive_read_data_block(w->a, &block, &n, &offset);

        if (r == ARCHIVE_EOF)
            break;
        if (r != ARCHIVE_OK)
            return unreadable(w);
        w->bytes += (int64_t)n;
        f->bytes = offset + (int64_t)n;
        if (w->bytes > ARCHIVE_UNPACKED_MAX_BYTES)
            return nr_err_set(w->err, NR_ETOOBIG,
                              "The archive unpacks to more than the allowed %lld bytes.",
                              (long long)ARCHIVE_UNPACKED_MAX_BYTES);
        if (EVP_DigestUpdate(w->hash, block, n) != 1)
            return no_memory(w);
    }
    return EVP_DigestFinal_ex(w->hash, f->sha256, NULL) == 1 ? 0 : no_memory(w);
}

static int add_entry(struct walk *w, struct archive_entry *e)
{
    const char *path = archive_entry_pathname(e);
    struct archive_file *grown = nr_try_realloc(w->files->item, (w->files->n + 1) * sizeof(*grown));

    if (grown == NULL || EVP_DigestInit_ex(w->hash, EVP_sha256(), NULL) != 1)
        return no_memory(w);
    w->files->item = grown;
    grown[w->files->n] =
        (struct archive_file){.path = nr_strdup(path != NULL ? path : "?"), .order = w->files->n};
    return hash_entry(w, &grown[w->files->n++]);
}

static int walk_entries(struct walk *w)
{
    struct archive_entry *e;
    int r;

    while ((r = archive_read_next_header(w->a, &e)) != ARCHIVE_EOF) {
        if (r < ARCHIVE_WARN)
            return unreadable(w);
        if (archive_entry_filetype(e) != AE_IFREG)
            continue;
        if (w->files->n == ARCHIVE_ENTRIES_MAX)
            return nr_err_set(w->err, NR_ETOOBIG,
                              "The archive holds more than the allowed %d entries.",
                              ARCHIVE_ENTRIES_MAX);
        if ((r = add_entry(w, e)) < 0)
            return r;
    }
    return 0;
}

/* Of one path the later file comes last: it is the one that unpackers leave. */
static int by_path(const void *a, const void *b)
{
    const struct archive_file *x = a, *y = b;
    int r = strcmp(x->path, y->path);

    return r != 0 ? r : (x->order > y->order) - (x->order < y->order);
}

static void sort(struct archive_files *l)
{
    size_t kept = 0;

    if (l->n < 2)
        return;
    qsort(l->item, l->n, sizeof(*l->item), by_path);
    for (size_t i = 1; i < l->n; i++) {
        if (strcmp(l->item[kept].path, l->item[i].path) == 0)
            free(l->item[kept].path);
        else
            kept++;
        l->item[kept] = l->item[i];
    }
    l->n = kept + 1;
}

static int read_all(struct walk *w, struct nr_str bytes, enum archive_format format)
{
    if (w->a == NULL || w->hash == NULL)
        return no_memory(w);
    if (format == ARCHIVE_ZIP) {
        (void)archive_read_support_format_zip_seekable(w->a);
    } else {
        (void)archive_read_support_format_tar(w->a);
        (void)archive_read_support_filter_gzip(w->a);
    }
    if (archive_read_open_memory(w->a, bytes.p, bytes.n) != ARCHIVE_OK)
        return unreadable(w);
    return walk_entries(w);
}

int archive_list(struct nr_str bytes, enum archive_format format, struct archive_files *ret,
                 struct nr_err *err)
{
    struct archive_files files = {0};
    struct walk w = {
        .a = archive_read_new(), .hash = EVP_MD_CTX_new(), .files = &files, .err = err};
    int r = read_all(&w, bytes, format);

    EVP_MD_CTX_free(w.hash);
    if (w.a != NULL)
        (void)archive_read_free(w.a);
    sort(&files);
    if (r == 0)
        *ret = files;
    else
        archive_files_fini(&files);
    return r;
}
