/* The check of uploaded archives on any bytes, with small ceilings.
 *
 * What must hold: a refusal has a sentence. What is accepted is read once more by plain rules: no entry's path leaves the folder it is
 * unpacked in, no entry is anything but file or folder, and what is inflated stays under the ceiling.
 */
#include <archive.h>
#include <archive_entry.h>

#include "common/base/mem.h"
#include "fnmanager/storage/archive.h"
#include "fuzz.h"

static const struct archive_limits limits = {64, 1 << 20, 200, 1 << 16};

/* The depth below the folder while walking along the path; false when it ever goes above. */
static bool stays_inside(const char *path)
{
    int depth = 0;

    if (*path == '/')
        return false;
    while (*path != '\0') {
        size_t n = strcspn(path, "/");
        if (n == 2 && path[0] == '.' && path[1] == '.')
            depth--;
        else if (n > 0 && !(n == 1 && path[0] == '.'))
            depth++;
        if (depth < 0)
            return false;
        path += n;
        path += *path == '/';
    }
    return true;
}

static void read_accepted(struct nr_str bytes, enum archive_format format)
{
    struct archive *a = archive_read_new();
    struct archive_entry *e;
    int64_t entries = 0, inflated = 0;
    char block[4096];
    la_ssize_t n;
    int r;

    if (format == ARCHIVE_ZIP) {
        (void)archive_read_support_format_zip_seekable(a);
    } else {
        (void)archive_read_support_format_tar(a);
        (void)archive_read_support_filter_gzip(a);
    }
    nr_check(archive_read_open_memory(a, bytes.p, bytes.n) == ARCHIVE_OK);
    while ((r = archive_read_next_header(a, &e)) != ARCHIVE_EOF && r >= ARCHIVE_WARN) {
        const char *path = archive_entry_pathname(e);
        unsigned type = archive_entry_filetype(e);
        path = path != NULL ? path : archive_entry_pathname_utf8(e);
        nr_check(path != NULL && stays_inside(path));
        nr_check(type == AE_IFREG || type == AE_IFDIR);
        nr_check(archive_entry_symlink(e) == NULL && archive_entry_hardlink(e) == NULL);
        nr_check(++entries <= limits.entries_max);
        while ((n = archive_read_data(a, block, sizeof(block))) > 0)
            inflated += n;
        nr_check(inflated <= limits.unpacked_max_bytes);
    }
    nr_check(entries > 0);
    nr_check(archive_read_free(a) == ARCHIVE_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const enum archive_format formats[] = {ARCHIVE_ZIP, ARCHIVE_TAR_GZIP};
    struct nr_str text = {(const char *)bytes, n};

    (void)archive_format_of(text);
    for (size_t i = 0; i < nr_countof(formats); i++) {
        struct nr_err err = {0};
        int r = archive_check(text, formats[i], &limits, &err);
        nr_check((r == 0) == (err.text[0] == '\0') && r == err.code);
        if (r == 0)
            read_accepted(text, formats[i]);
    }
    return 0;
}
