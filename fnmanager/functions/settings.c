/* One reader per setting in a table; what a node has is judged apart from what can be meant at all, for a stored function is read again on
 * nodes that have other things.
 */
#include "fnmanager/functions/settings.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "ports/tags.h"

enum { CPUS_MIN_MILLI = 50, SHARE_MIN = 2, SHARE_MAX = 262144, GPU_STEP_MB = 256 };
enum { MEMORY_STEP_MB = 64 };
enum { MILLI = 1000, CPUS_MAX = 1 << 20 };

static int read_cpus(const json_t *value, struct settings *s, struct nr_err *err)
{
    double cores = json_number_value(value);

    if (!json_is_number(value) || cores * MILLI < CPUS_MIN_MILLI - 0.5 || cores > CPUS_MAX)
        return nr_err_set(err, NR_EINVAL,
                          "The annotation 'narae.cpus' must be a number of cores from 0.05 up to "
                          "those of the node%s.",
                          json_is_number(value) ? ", not so few or so many" : "");
    s->cpus_milli = (int64_t)(cores * MILLI + 0.5);
    return 0;
}

static int read_share(const json_t *value, struct settings *s, struct nr_err *err)
{
    int64_t share = json_integer_value(value);

    if (!json_is_integer(value) || share < SHARE_MIN || share > SHARE_MAX)
        return nr_err_set(
            err, NR_EINVAL,
            "The annotation 'narae.cpu_share' must be an integer from %d to %d (256 MB of memory weigh "
            "1024 without it).",
            SHARE_MIN, SHARE_MAX);
    s->cpu_share = share;
    return 0;
}

/* ---- GPUs --------------------------------------------------------------------------------------------------- */

static const struct gpu_rule {
    const char *key;
    int64_t min, max, step;
} gpu_rules[] = {
    {"count", 0, NODE_GPUS_MAX, 1},
    {"memory_mb", GPU_STEP_MB, 1 << 30, GPU_STEP_MB},
    {"percentage", 1, 100, 1},
};

enum { GPU_COUNT, GPU_MEMORY, GPU_PERCENTAGE, GPU_RULES };

static int refuse_gpu(const struct gpu_rule *r, int64_t n, struct nr_err *err)
{
    if (n > r->min && n < r->max)
        return nr_err_set(
            err, NR_EINVAL,
            "narae.gpu.%s %lld is not a multiple of %lld; the nearest are %lld and %lld.", r->key,
            (long long)n, (long long)r->step, (long long)(n / r->step * r->step),
            (long long)((n / r->step + 1) * r->step));
    return nr_err_set(err, NR_EINVAL, "narae.gpu.%s %lld %s allowed threshold of %lld.", r->key,
                      (long long)n, n < r->min ? "below" : "exceeds",
                      (long long)(n < r->min ? r->min : r->max));
}

static int one_gpu_member(const char *key, const json_t *value, int64_t n[GPU_RULES],
                          struct nr_err *err)
{
    for (size_t i = 0; i < GPU_RULES; i++) {
        const struct gpu_rule *r = &gpu_rules[i];

        if (strcmp(r->key, key) != 0)
            continue;
        if (!json_is_integer(value))
            return nr_err_set(err, NR_EINVAL, "narae.gpu.%s must be an integer.", key);
        n[i] = json_integer_value(value);
        return n[i] < r->min || n[i] > r->max || n[i] % r->step != 0 ? refuse_gpu(r, n[i], err) : 0;
    }
    return nr_err_set(err, NR_EINVAL,
                      "narae.gpu has no '%.64s'; it knows count, memory_mb and percentage.", key);
}

static int read_gpu(const json_t *value, struct settings *s, struct nr_err *err)
{
    int64_t n[GPU_RULES] = {-1, 0, 0};
    const char *key;
    json_t *each;
    int r = 0;

    if (!json_is_object(value))
        return nr_err_set(err, NR_EINVAL,
                          "The annotation 'narae.gpu' must be an object like {\"count\":1}.");
    json_object_foreach((json_t *)(uintptr_t)value, key, each) {
        if (r == 0)
            r = one_gpu_member(key, each, n, err);
    }
    bool share = n[GPU_MEMORY] > 0 || n[GPU_PERCENTAGE] > 0;

    if (r == 0 && share && n[GPU_COUNT] == 0)
        return nr_err_set(
            err, NR_EINVAL,
            "narae.gpu asks for a share of 0 GPUs; leave count out for a share of one.");
    if (r < 0)
        return r;
    s->gpu = (struct function_gpu){.count = n[GPU_COUNT] >= 0 ? (unsigned)n[GPU_COUNT]
                                            : share           ? 1
                                                              : 0,
                                   .memory_mb = n[GPU_MEMORY],
                                   .percentage = (int)n[GPU_PERCENTAGE]};
    return 0;
}

/* ---- place -------------------------------------------------------------------------------------------------- */

static int read_place(const json_t *value, struct settings *s, struct nr_err *err)
{
    int r = tags_read(value, "narae.place", NULL, err);

    if (r == 0)
        s->place = value;
    return r;
}

char **settings_place(const struct settings *s)
{
    char **tags = NULL;

    if (s->place)
        (void)tags_read(s->place, "narae.place", &tags, NULL);
    return tags;
}

/* ---- all of them -------------------------------------------------------------------------------------------- */

static const struct {
    const char *key;
    int (*read)(const json_t *value, struct settings *s, struct nr_err *err);
} readers[] = {
    {"narae.cpus", read_cpus},
    {"narae.cpu_share", read_share},
    {"narae.gpu", read_gpu},
    {"narae.place", read_place},
};

int settings_read(const json_t *annotations, struct settings *ret, struct nr_err *err)
{
    struct settings s = {.cpus_milli = 0};
    size_t i;
    json_t *e;

    json_array_foreach(annotations, i, e) {
        const char *key = nr_json_string(e, "key");
        const json_t *value = json_object_get(e, "value");

        for (size_t k = 0; key && !json_is_null(value) && k < nr_countof(readers); k++) {
            int r = strcmp(readers[k].key, key) == 0 ? readers[k].read(value, &s, err) : 0;

            if (r < 0)
                return r;
        }
    }
    *ret = s;
    return 0;
}

/* As many devices as are asked for, each with the memory. */
static int fit_gpu(const struct function_gpu *want, const struct node *node, struct nr_err *err)
{
    unsigned large = 0, have = node ? node->gpu_count : 0;
    int64_t most_mb = 0;

    for (unsigned i = 0; i < have; i++) {
        large += node->gpus[i].memory_mb >= want->memory_mb;
        most_mb = node->gpus[i].memory_mb > most_mb ? node->gpus[i].memory_mb : most_mb;
    }
    if (want->count > have)
        return nr_err_set(err, NR_EINVAL,
                          "narae.gpu.count %u exceeds the GPUs of this node: %u available.",
                          want->count, have);
    if (want->count > large)
        return nr_err_set(
            err, NR_EINVAL,
            "narae.gpu.memory_mb %lld: this node has %u GPUs of so much memory, the largest has %lld MB.",
            (long long)want->memory_mb, large, (long long)most_mb);
    return 0;
}

int settings_fit(const struct settings *s, const struct node *node, struct nr_err *err)
{
    if (node && node->more_hosts)
        return 0;
    if (node && s->cpus_milli > (int64_t)node->cores * MILLI)
        return nr_err_set(err, NR_EINVAL, "narae.cpus %.3g exceeds the cores of this node: %d.",
                          (double)s->cpus_milli / MILLI, node->cores);
    return fit_gpu(&s->gpu, node, err);
}

int settings_check(const char *annotations, const struct node *node, struct nr_err *err)
{
    nr_auto_json json_t *all = nr_json_parse(nr_str_of(annotations), NULL);
    struct settings s;
    int r = settings_read(all, &s, err);

    return r == 0 ? settings_fit(&s, node, err) : r;
}

int settings_memory_step(int64_t memory_mb, struct nr_err *err)
{
    int64_t below = memory_mb / MEMORY_STEP_MB * MEMORY_STEP_MB;

    if (memory_mb < 0 || below == memory_mb)
        return 0;
    return nr_err_set(err, NR_EINVAL,
                      "memory size %lld MB is not a multiple of %d; the nearest are %lld and %lld.",
                      (long long)memory_mb, MEMORY_STEP_MB, (long long)below,
                      (long long)below + MEMORY_STEP_MB);
}
