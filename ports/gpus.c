/* An inventory of GPUs from a text. The driver is asked by its command line tool, for that is there on every host that can give GPUs to
 * containers, and a library of its would have to be there on those that cannot.
 */
#include "ports/gpus.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/str.h"

enum { MEMORY_MAX_MB = 16 << 20, DRIVER_TEXT_BYTES = 16384 };

static bool good_name(struct nr_str s)
{
    if (s.n == 0 || s.n >= NODE_GPU_NAME_BYTES)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", s.p[i]) ==
                NULL ||
            s.p[i] == '\0')
            return false;
    return true;
}

static bool is_there(const struct node_gpu *list, unsigned count, struct nr_str name)
{
    for (unsigned i = 0; i < count; i++)
        if (nr_str_eqz(name, list[i].name))
            return true;
    return false;
}

/* "NAME:MEMORY_MB[:nvidia|:none]" */
static int read_one(struct nr_str item, struct node_gpu *list, unsigned *count, struct nr_err *err)
{
    struct nr_str rest = item, name = {NULL, 0}, memory = {NULL, 0};
    int64_t mb = 0;

    (void)nr_str_split(&rest, ':', &name);
    (void)nr_str_split(&rest, ':', &memory);
    bool none = nr_str_eqz(rest, "none");

    if (!good_name(name) || !nr_str_to_i64(memory, 1, MEMORY_MAX_MB, &mb) ||
        (rest.p && !none && !nr_str_eqz(rest, "nvidia")))
        return nr_err_set(err, NR_EINVAL,
                          "'%.*s' is not understood: a GPU is NAME:MEMORY_MB, with :none behind it "
                          "when the Docker Engine is not to be asked for it",
                          (int)item.n, item.p);
    if (is_there(list, *count, name))
        return nr_err_set(err, NR_EINVAL, "the GPU '%.*s' is named twice", (int)name.n, name.p);
    if (*count == NODE_GPUS_MAX)
        return nr_err_set(err, NR_EINVAL, "more than %d GPUs", NODE_GPUS_MAX);
    struct node_gpu *g = &list[(*count)++];

    *g = (struct node_gpu){.memory_mb = mb, .ask_engine = !none};
    memcpy(g->name, name.p, name.n);
    return 0;
}

/* Gives the list away, or nothing when it is empty. */
static int finish(struct node_gpu *list, unsigned count, int r, struct node_gpu **ret,
                  unsigned *ret_count)
{
    if (r < 0 || count == 0) {
        free(list);
        list = NULL;
    }
    if (r == 0) {
        *ret = list;
        *ret_count = count;
    }
    return r;
}

static struct nr_str trimmed(struct nr_str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s.p++, s.n--;
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\r'))
        s.n--;
    return s;
}

int gpus_read_driver(const char *lines, struct node_gpu **ret, unsigned *ret_count,
                     struct nr_err *err)
{
    struct node_gpu *list = nr_alloc(NODE_GPUS_MAX * sizeof(*list));
    struct nr_str rest = nr_str_of(lines), line;
    unsigned count = 0;
    int r = 0;

    while (r == 0 && nr_str_split(&rest, '\n', &line) && line.n > 0) {
        struct nr_str memory = line, name = {NULL, 0};
        char item[128];

        (void)nr_str_split(&memory, ',', &name);
        name = trimmed(name);
        memory = trimmed(memory);
        int n = snprintf(item, sizeof(item), "%.*s:%.*s", (int)name.n, name.p, (int)memory.n,
                         memory.p ? memory.p : "");
        r = n > 0 && (size_t)n < sizeof(item)
                ? read_one((struct nr_str){item, (size_t)n}, list, &count, err)
                : nr_err_set(err, NR_EINVAL, "a line of the driver is too long");
    }
    return finish(list, count, r, ret, ret_count);
}

/* What the tool writes, at most the buffer; false when there is no such tool or it fails, as it does without a device. */
static bool ask_driver(char out[static DRIVER_TEXT_BYTES])
{
    char program[] = "nvidia-smi", query[] = "--query-gpu=uuid,memory.total",
         format[] = "--format=csv,noheader,nounits";
    char *const argv[] = {program, query, format, NULL};
    posix_spawn_file_actions_t actions;
    int ends[2], status = -1;
    size_t n = 0;
    ssize_t got;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return false;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    (void)posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    int r = posix_spawnp(&pid, program, &actions, NULL, argv, environ);

    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    while (r == 0 && n < DRIVER_TEXT_BYTES - 1 &&
           ((got = read(ends[0], out + n, DRIVER_TEXT_BYTES - 1 - n)) > 0 ||
            (got < 0 && errno == EINTR)))
        n += got > 0 ? (size_t)got : 0;
    out[n] = '\0';
    (void)close(ends[0]);
    while (r == 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return r == 0 && status == 0;
}

int gpus_read(const char *text, struct node_gpu **ret, unsigned *ret_count, struct nr_err *err)
{
    struct nr_str rest = nr_str_of(text ? text : "auto"), item;
    char lines[DRIVER_TEXT_BYTES];
    unsigned count = 0;
    int r = 0;

    if (nr_str_eqz(rest, "auto") && ask_driver(lines))
        return gpus_read_driver(lines, ret, ret_count, err);
    struct node_gpu *list = nr_alloc(NODE_GPUS_MAX * sizeof(*list));

    if (!nr_str_eqz(rest, "auto") && !nr_str_eqz(rest, "none"))
        while (r == 0 && nr_str_split(&rest, ',', &item))
            r = read_one(item, list, &count, err);
    return finish(list, count, r, ret, ret_count);
}
