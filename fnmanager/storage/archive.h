/* Checks of uploaded archives, before anything of them is stored: what would be dangerous or endless to unpack is refused here.
 * Works on bytes in memory, writes nothing; any thread.
 */
#ifndef NR_FNMANAGER_ARCHIVE_H
#define NR_FNMANAGER_ARCHIVE_H

#include <stdint.h>

#include "common/base/err.h"
#include "common/base/str.h"

#define ARCHIVE_ENTRIES_MAX 100000
#define ARCHIVE_UNPACKED_MAX_BYTES (256ll << 20)
/* More than this many times the packed size is a bomb, once the unpacked size is above ARCHIVE_RATIO_FROM_BYTES. */
#define ARCHIVE_RATIO_MAX 200
#define ARCHIVE_RATIO_FROM_BYTES (16ll << 20)
#define ARCHIVE_PATH_MAX_BYTES 1024

enum archive_format { ARCHIVE_NONE, ARCHIVE_ZIP, ARCHIVE_TAR_GZIP };

/* What the first bytes say. */
enum archive_format archive_format_of(struct nr_str bytes);

/* Limits as a struct, so that a test can reach them with small archives. */
struct archive_limits {
    int64_t entries_max, unpacked_max_bytes, ratio_max, ratio_from_bytes;
};
extern const struct archive_limits archive_limits_default;

/* Reads the whole archive, inflating everything. 0; NR_EINVAL (unreadable, empty, traversal, link, device, encrypted); NR_ETOOBIG with
 * limit and value (entries, size, ratio). */
int archive_check(struct nr_str bytes, enum archive_format format,
                  const struct archive_limits *limits, struct nr_err *err);

#endif
