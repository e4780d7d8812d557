/* What a container's control groups tell of its use: one table per version says which file, what in it, which field, and by what to multiply
 * and divide. Consecutive rows of one file read it once; two rows of one field add up.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "invoker/cgroup.h"

enum { PATH_MAX_BYTES = 2048, FILE_MAX_BYTES = 16 << 10 };

/* v1 says "no limit" with the largest number of pages. */
static const int64_t no_limit_bytes = INT64_C(1) << 62;

/* How a file says its figures. */
enum shape {
    SHAPE_NUMBER, /* the whole file is one */
    SHAPE_LINES,  /* "key 123" */
    SHAPE_THIRD,  /* "8:0 key 123", added over the lines */
    SHAPE_PAIRS,  /* "8:0 key=123 other=4", added over the lines */
};

struct figure {
    size_t folder; /* in struct cgroup */
    const char *file;
    enum shape shape;
    const char *key;
    size_t field; /* in struct cgroup_usage */
    int64_t multiply, divide;
};

#define IN(folder) offsetof(struct cgroup, folder)
#define TO(field) offsetof(struct cgroup_usage, field)

/* user and system are told in ticks, which user space always counts as 1/100 s. */
static const struct figure v1[] = {
    {IN(cpuacct), "cpuacct.usage", SHAPE_NUMBER, NULL, TO(cpu_us), 1, 1000},
    {IN(cpuacct), "cpuacct.stat", SHAPE_LINES, "user", TO(cpu_user_us), 10000, 1},
    {IN(cpuacct), "cpuacct.stat", SHAPE_LINES, "system", TO(cpu_system_us), 10000, 1},
    {IN(cpu), "cpu.stat", SHAPE_LINES, "throttled_time", TO(throttled_us), 1, 1000},
    {IN(cpu), "cpu.stat", SHAPE_LINES, "nr_throttled", TO(throttled_periods), 1, 1},
    {IN(memory), "memory.usage_in_bytes", SHAPE_NUMBER, NULL, TO(memory_bytes), 1, 1},
    {IN(memory), "memory.stat", SHAPE_LINES, "rss", TO(memory_anon_bytes), 1, 1},
    {IN(memory), "memory.stat", SHAPE_LINES, "shmem", TO(memory_anon_bytes), 1, 1},
    {IN(memory), "memory.kmem.usage_in_bytes", SHAPE_NUMBER, NULL, TO(memory_kernel_bytes), 1, 1},
    {IN(memory), "memory.max_usage_in_bytes", SHAPE_NUMBER, NULL, TO(memory_peak_bytes), 1, 1},
    {IN(memory), "memory.limit_in_bytes", SHAPE_NUMBER, NULL, TO(memory_limit_bytes), 1, 1},
    {IN(memory), "memory.oom_control", SHAPE_LINES, "oom_kill", TO(oom_kills), 1, 1},
    {IN(pids), "pids.current", SHAPE_NUMBER, NULL, TO(pids), 1, 1},
    {IN(blkio), "blkio.throttle.io_service_bytes", SHAPE_THIRD, "Read", TO(io_read_bytes), 1, 1},
    {IN(blkio), "blkio.throttle.io_service_bytes", SHAPE_THIRD, "Write", TO(io_write_bytes), 1, 1},
};

static const struct figure v2[] = {
    {IN(cpu), "cpu.stat", SHAPE_LINES, "usage_usec", TO(cpu_us), 1, 1},
    {IN(cpu), "cpu.stat", SHAPE_LINES, "user_usec", TO(cpu_user_us), 1, 1},
    {IN(cpu), "cpu.stat", SHAPE_LINES, "system_usec", TO(cpu_system_us), 1, 1},
    {IN(cpu), "cpu.stat", SHAPE_LINES, "throttled_usec", TO(throttled_us), 1, 1},
    {IN(cpu), "cpu.stat", SHAPE_LINES, "nr_throttled", TO(throttled_periods), 1, 1},
    {IN(memory), "memory.current", SHAPE_NUMBER, NULL, TO(memory_bytes), 1, 1},
    {IN(memory), "memory.stat", SHAPE_LINES, "anon", TO(memory_anon_bytes), 1, 1},
    {IN(memory), "memory.stat", SHAPE_LINES, "shmem", TO(memory_anon_bytes), 1, 1},
    {IN(memory), "memory.stat", SHAPE_LINES, "kernel", TO(memory_kernel_bytes), 1, 1},
    {IN(memory), "memory.peak", SHAPE_NUMBER, NULL, TO(memory_peak_bytes), 1, 1},
    {IN(memory), "memory.max", SHAPE_NUMBER, NULL, TO(memory_limit_bytes), 1, 1},
    {IN(memory), "memory.events", SHAPE_LINES, "oom_kill", TO(oom_kills), 1, 1},
    {IN(pids), "pids.current", SHAPE_NUMBER, NULL, TO(pids), 1, 1},
    {IN(blkio), "io.stat", SHAPE_PAIRS, "rbytes", TO(io_read_bytes), 1, 1},
    {IN(blkio), "io.stat", SHAPE_PAIRS, "wbytes", TO(io_write_bytes), 1, 1},
};

/* folder/name into text (NUL behind it); false when it is not readable. */
static bool read_file(const char *folder, const char *name, char text[FILE_MAX_BYTES])
{
    char path[PATH_MAX_BYTES];
    ssize_t n = -1;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        n = read(fd, text, FILE_MAX_BYTES - 1);
        (void)close(fd);
    }
    text[n > 0 ? n : 0] = '\0';
    return n >= 0;
}

/* The number that this line tells for the key, or false. */
static bool number_in(struct nr_str line, const struct figure *f, int64_t *ret)
{
    struct nr_str word, key;

    if (f->shape == SHAPE_NUMBER)
        return nr_str_to_i64(line, 0, INT64_MAX, ret);
    if (f->shape != SHAPE_LINES && !nr_str_split(&line, ' ', &word))
        return false;
    while (nr_str_split(&line, ' ', &word)) {
        bool pair = f->shape == SHAPE_PAIRS && nr_str_split(&word, '=', &key);

        if (pair && nr_str_eqz(key, f->key))
            return nr_str_to_i64(word, 0, INT64_MAX, ret);
        if (!pair)
            return nr_str_eqz(word, f->key) && nr_str_to_i64(line, 0, INT64_MAX, ret);
    }
    return false;
}

static void take(const char *text, const struct figure *f, struct cgroup_usage *u)
{
    int64_t *field = (int64_t *)(void *)((char *)u + f->field);
    struct nr_str rest = nr_str_of(text), line;
    /* a table of devices without a line for this group: it has moved nothing */
    int64_t sum = 0, one;
    bool told = f->shape == SHAPE_THIRD || f->shape == SHAPE_PAIRS;

    while (nr_str_split(&rest, '\n', &line)) {
        if (!number_in(line, f, &one) || one > INT64_MAX / f->multiply - sum)
            continue;
        sum += one;
        told = true;
    }
    int64_t before = *field < 0 ? 0 : *field, more = sum * f->multiply / f->divide;

    if (told)
        *field = more > INT64_MAX - before ? INT64_MAX : before + more;
}

int cgroup_read(const struct cgroup *g, struct cgroup_usage *ret)
{
    const struct figure *table = g->v2 ? v2 : v1;
    size_t n = g->v2 ? nr_countof(v2) : nr_countof(v1);
    char text[FILE_MAX_BYTES];
    bool there = false;
    int files = 0;

    memset(ret, 0xff, sizeof(*ret)); /* -1: not told */
    for (size_t i = 0; i < n; i++) {
        const struct figure *f = &table[i];
        const char *folder = *(char *const *)(const void *)((const char *)g + f->folder);

        if (i == 0 || strcmp(f->file, table[i - 1].file) != 0) {
            there = folder && read_file(folder, f->file, text);
            files += there;
        }
        if (there)
            take(text, f, ret);
    }
    if (ret->memory_limit_bytes > no_limit_bytes)
        ret->memory_limit_bytes = -1;
    return files > 0 ? 0 : NR_EUNAVAIL;
}
