/* An inventory of GPUs from a text. The driver is asked by its command line tool, for that is there on every host that can give GPUs to
 * containers, and a library of its would have to be there on those that cannot.
 */
#include "ports/gpus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/program.h"
#include "common/base/str.h"

enum { MEMORY_MAX_MB = 16 << 20, DRIVER_TEXT_BYTES = 16384, DRIVER_MS = 10000 };

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

/* What the driver's tool writes, behind `out`; false when there is no such tool or it fails, as it does without a device. */
static bool ask_driver(struct nr_buf *out)
{
    const char *const argv[] = {"nvidia-smi", "--query-gpu=uuid,memory.total",
                                "--format=csv,noheader,nounits", NULL};

    return nr_program_run(&(struct nr_program){.argv = argv, .out = out, .max_ms = DRIVER_MS},
                          NULL) == 0;
}

int gpus_read(const char *text, struct node_gpu **ret, unsigned *ret_count, struct nr_err *err)
{
    struct nr_str rest = nr_str_of(text ? text : "auto"), item;
    struct nr_buf lines;
    unsigned count = 0;
    int r = 0;

    nr_buf_init(&lines, DRIVER_TEXT_BYTES);
    bool driver = nr_str_eqz(rest, "auto") && ask_driver(&lines);

    nr_buf_addc(&lines, '\0');
    if (driver)
        r = gpus_read_driver(lines.p, ret, ret_count, err);
    nr_buf_fini(&lines);
    if (driver)
        return r;
    struct node_gpu *list = nr_alloc(NODE_GPUS_MAX * sizeof(*list));

    if (!nr_str_eqz(rest, "auto") && !nr_str_eqz(rest, "none"))
        while (r == 0 && nr_str_split(&rest, ',', &item))
            r = read_one(item, list, &count, err);
    return finish(list, count, r, ret, ret_count);
}
