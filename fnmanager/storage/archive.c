/* An archive is walked once, entry by entry, and every byte is inflated and counted: sizes that an archive claims are not believed.
 *
 * Zip is read by its central directory, as the runtimes that unpack it do; a reader that followed the local headers could be
 * shown other files than they see. Names are judged as bytes.
 */
#include "fnmanager/storage/archive.h"

#include <archive.h>
#include <archive_entry.h>

#include "common/base/mem.h"

const struct archive_limits archive_limits_default = {
    ARCHIVE_ENTRIES_MAX,
    ARCHIVE_UNPACKED_MAX_BYTES,
    ARCHIVE_RATIO_MAX,
    ARCHIVE_RATIO_FROM_BYTES,
};

struct walk {
    struct archive *a;
    const struct archive_limits *limits;
    int64_t packed_bytes, unpacked_bytes, entries;
    struct nr_err *err;
};

enum archive_format archive_format_of(struct nr_str bytes)
{
    if (bytes.n >= 4 && memcmp(bytes.p, "PK", 2) == 0 &&
        (bytes.p[2] == 3 || bytes.p[2] == 5 || bytes.p[2] == 7))
        return ARCHIVE_ZIP;
    if (bytes.n >= 2 && memcmp(bytes.p, "\x1f\x8b", 2) == 0)
        return ARCHIVE_TAR_GZIP;
    return ARCHIVE_NONE;
}

static void close_archive(struct archive **a)
{
    if (*a != NULL)
        (void)archive_read_free(*a);
}

static int unreadable(struct walk *w)
{
    const char *why = archive_error_string(w->a);

    return nr_err_set(w->err, NR_EINVAL, "The archive cannot be read: %.200s.",
                      why != NULL ? why : "damaged");
}

/* A part of a path between separators; '\\' counts as one, for unpackers that think so. */
static bool has_dotdot(const char *path)
{
    for (const char *p = path; *p != '\0';) {
        size_t n = strcspn(p, "/\\");
        if (n == 2 && p[0] == '.' && p[1] == '.')
            return true;
        p += n;
        p += *p != '\0';
    }
    return false;
}

static int check_name(struct walk *w, const char *path)
{
    if (path == NULL || *path == '\0')
        return nr_err_set(w->err, NR_EINVAL, "The archive holds an entry without a readable name.");
    if (strlen(path) > ARCHIVE_PATH_MAX_BYTES)
        return nr_err_set(
            w->err, NR_ETOOBIG,
            "The archive holds a path of %zu bytes, more than the allowed %d: '%.64s...'.",
            strlen(path), ARCHIVE_PATH_MAX_BYTES, path);
    if (*path == '/' || *path == '\\' || (path[1] == ':' && (path[2] == '\\' || path[2] == '/')))
        return nr_err_set(w->err, NR_EINVAL, "The archive holds an absolute path: '%.200s'.", path);
    if (has_dotdot(path))
        return nr_err_set(w->err, NR_EINVAL,
                          "The archive holds a path that leaves its folder: '%.200s'.", path);
    return 0;
}

static int check_entry(struct walk *w, struct archive_entry *e)
{
    const char *path = archive_entry_pathname(e);
    unsigned type = archive_entry_filetype(e);
    int r;

    if (path == NULL)
        path = archive_entry_pathname_utf8(e);
    if ((r = check_name(w, path)) < 0)
        return r;
    if (archive_entry_is_encrypted(e))
        return nr_err_set(w->err, NR_EINVAL, "The archive is encrypted: '%.200s'.", path);
    if (type == AE_IFLNK || archive_entry_symlink(e) != NULL || archive_entry_hardlink(e) != NULL)
        return nr_err_set(w->err, NR_EINVAL,
                          "The archive holds a link: '%.200s'. Store the file itself.", path);
    if (type != AE_IFREG && type != AE_IFDIR)
        return nr_err_set(w->err, NR_EINVAL,
                          "The archive holds something that is neither file nor folder: '%.200s'.",
                          path);
    if (++w->entries > w->limits->entries_max)
        return nr_err_set(w->err, NR_ETOOBIG,
                          "The archive holds more than the allowed %lld entries (%lld and more).",
                          (long long)w->limits->entries_max, (long long)w->entries);
    return 0;
}

static int check_size(struct walk *w, int64_t unpacked_bytes)
{
    if (unpacked_bytes > w->limits->unpacked_max_bytes)
        return nr_err_set(
            w->err, NR_ETOOBIG,
            "The archive unpacks to more than the allowed %lld bytes (%lld and more).",
            (long long)w->limits->unpacked_max_bytes, (long long)unpacked_bytes);
    if (unpacked_bytes > w->limits->ratio_from_bytes &&
        unpacked_bytes / w->limits->ratio_max > w->packed_bytes)
        return nr_err_set(
            w->err, NR_ETOOBIG,
            "The archive unpacks to more than the allowed %lld times its size (%lld from %lld bytes).",
            (long long)w->limits->ratio_max, (long long)unpacked_bytes, (long long)w->packed_bytes);
    return 0;
}

/* Inflates one entry. Holes of a sparse file count: whoever unpacks it may have to write them. */
static int inflate(struct walk *w)
{
    int64_t end = 0;

    for (;;) {
        const void *block;
        size_t n;
        la_int64_t offset;
        int r = archive_read_data_block(w->a, &block, &n, &offset);
        if (r == ARCHIVE_EOF)
            break;
        if (r != ARCHIVE_OK)
            return unreadable(w);
        if (offset < 0 || offset > INT64_MAX / 4)
            return nr_err_set(w->err, NR_EINVAL,
                              "The archive holds a file with a hole beyond all limits.");
        if (offset + (int64_t)n > end)
            end = offset + (int64_t)n;
        if ((r = check_size(w, w->unpacked_bytes + end)) < 0)
            return r;
    }
    w->unpacked_bytes += end;
    return 0;
}

/* What the entry says about itself, cut to what cannot overflow: a claim above the limit needs no proof. */
static int64_t claimed_bytes(const struct walk *w, struct archive_entry *e)
{
    int64_t claimed = archive_entry_size(e);

    if (claimed < 0)
        return 0;
    return claimed > w->limits->unpacked_max_bytes ? w->limits->unpacked_max_bytes + 1 : claimed;
}

static int walk_entries(struct walk *w)
{
    for (;;) {
        struct archive_entry *e;
        int r = archive_read_next_header(w->a, &e);
        if (r == ARCHIVE_EOF)
            break;
        if (r < ARCHIVE_WARN)
            return unreadable(w);
        if ((r = check_entry(w, e)) < 0)
            return r;
        if ((r = check_size(w, w->unpacked_bytes + claimed_bytes(w, e))) < 0 ||
            (r = inflate(w)) < 0)
            return r;
    }
    if (w->entries == 0)
        return nr_err_set(w->err, NR_EINVAL, "The archive holds no files.");
    return 0;
}

int archive_check(struct nr_str bytes, enum archive_format format,
                  const struct archive_limits *limits, struct nr_err *err)
{
    struct archive *a __attribute__((cleanup(close_archive))) = archive_read_new();
    struct walk w = {.a = a, .limits = limits, .packed_bytes = (int64_t)bytes.n, .err = err};

    if (a == NULL)
        return nr_err_set(err, NR_ENOMEM, "There is no memory to check the archive.");
    if (format == ARCHIVE_ZIP) {
        (void)archive_read_support_format_zip_seekable(a);
    } else {
        (void)archive_read_support_format_tar(a);
        (void)archive_read_support_filter_gzip(a);
    }
    if (archive_read_open_memory(a, bytes.p, bytes.n) != ARCHIVE_OK)
        return unreadable(&w);
    return walk_entries(&w);
}
