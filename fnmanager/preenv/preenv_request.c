/* {"payloads":[{"weight","value"}],"tolerance","repeats","axis","apply","deadline_s","target_ms","sizes","version"}: one table says which
 * fields there are and who reads each. A field that nobody knows is refused by name.
 */
#include "fnmanager/preenv/preenv_request.h"

#include "common/base/json.h"
#include "common/base/mem.h"

#define TOLERANCE_PRESET 0.05
#define REPEATS_MAX 200
#define WEIGHT_MAX 1e6
#define MILLI 1000

/* Sizes of the axis cpu when none are named, in thousandths of a core. */
static const int64_t cpu_sizes[] = {2000, 1000, 500, 250};

void preenv_request_fini(struct preenv_request *q)
{
    for (unsigned i = 0; i < q->payload_count; i++)
        free(q->payloads[i].value);
    q->payload_count = 0;
}

/* ---- fields -------------------------------------------------------------------------------------------------- */

static int number_in(const json_t *j, const char *field, double min, double max, double *ret,
                     struct nr_err *err)
{
    if (!json_is_number(j) || json_number_value(j) < min || json_number_value(j) > max)
        return nr_err_set(err, NR_EINVAL, "The field '%s' must be a number from %g to %g.", field,
                          min, max);
    *ret = json_number_value(j);
    return 0;
}

static int integer_in(const json_t *j, const char *field, int64_t min, int64_t max, int64_t *ret,
                      struct nr_err *err)
{
    if (!json_is_integer(j) || json_integer_value(j) < min || json_integer_value(j) > max)
        return nr_err_set(err, NR_EINVAL, "The field '%s' must be an integer from %lld to %lld.",
                          field, (long long)min, (long long)max);
    *ret = json_integer_value(j);
    return 0;
}

static int read_payload(json_t *j, size_t i, struct preenv_request *q, struct nr_err *err)
{
    const json_t *value = json_object_get(j, "value"), *weight = json_object_get(j, "weight");
    double w = 1;
    const char *key;
    json_t *member;
    char field[48];
    int r = 0;

    json_object_foreach(j, key, member) {
        if (strcmp(key, "value") != 0 && strcmp(key, "weight") != 0)
            r = nr_err_set(err, NR_EINVAL, "A payload has 'weight' and 'value', and no '%.64s'.",
                           key);
    }
    if (r == 0 && !json_is_object(value))
        r = nr_err_set(err, NR_EINVAL, "payloads[%zu].value must be an object.", i);
    (void)snprintf(field, sizeof(field), "payloads[%zu].weight", i);
    if (r == 0 && weight)
        r = number_in(weight, field, 0, WEIGHT_MAX, &w, err);
    if (r < 0 || w <= 0) /* what has no weight is not run */
        return r;
    char *text = nr_json_text(value, NULL);

    if (text == NULL)
        return nr_err_set(err, NR_ENOMEM, "There is no memory for the payloads.");
    q->payloads[q->payload_count++] = (struct preenv_payload){w, text};
    return 0;
}

static int read_payloads(const json_t *j, const struct preenv_ranges *ranges,
                         struct preenv_request *q, struct nr_err *err)
{
    int r = 0;

    (void)ranges;
    if (!json_is_array(j) || json_array_size(j) < 1 || json_array_size(j) > PREENV_PAYLOADS_MAX)
        return nr_err_set(
            err, NR_EINVAL,
            "The field 'payloads' must be an array of 1 to %d objects {\"weight\",\"value\"}.",
            PREENV_PAYLOADS_MAX);
    for (size_t i = 0; i < json_array_size(j) && r == 0; i++)
        r = read_payload(json_array_get(j, i), i, q, err);
    if (r == 0 && q->payload_count == 0)
        r = nr_err_set(err, NR_EINVAL, "At least one payload must have a weight above 0.");
    return r;
}

static int read_tolerance(const json_t *j, const struct preenv_ranges *ranges,
                          struct preenv_request *q, struct nr_err *err)
{
    (void)ranges;
    return number_in(j, "tolerance", 0.005, 1, &q->tolerance, err);
}

static int read_repeats(const json_t *j, const struct preenv_ranges *ranges,
                        struct preenv_request *q, struct nr_err *err)
{
    int64_t n = 0;
    int r = integer_in(j, "repeats", PREENV_ROUNDS, REPEATS_MAX, &n, err);

    (void)ranges;
    q->repeats = (unsigned)n;
    return r;
}

static int read_axis(const json_t *j, const struct preenv_ranges *ranges, struct preenv_request *q,
                     struct nr_err *err)
{
    const char *s = json_string_value(j);

    (void)ranges;
    if (s == NULL || (strcmp(s, "memory") != 0 && strcmp(s, "cpu") != 0))
        return nr_err_set(err, NR_EINVAL, "The field 'axis' must be \"memory\" or \"cpu\".");
    q->cpu = strcmp(s, "cpu") == 0;
    return 0;
}

static int read_apply(const json_t *j, const struct preenv_ranges *ranges, struct preenv_request *q,
                      struct nr_err *err)
{
    (void)ranges;
    if (!json_is_boolean(j))
        return nr_err_set(err, NR_EINVAL, "The field 'apply' must be true or false.");
    q->apply = json_is_true(j);
    return 0;
}

static int read_deadline(const json_t *j, const struct preenv_ranges *ranges,
                         struct preenv_request *q, struct nr_err *err)
{
    return integer_in(j, "deadline_s", 1, ranges->deadline_max_s, &q->deadline_s, err);
}

static int read_target(const json_t *j, const struct preenv_ranges *ranges,
                       struct preenv_request *q, struct nr_err *err)
{
    (void)ranges;
    return number_in(j, "target_ms", 0.1, 600000, &q->target_ms, err);
}

static int read_version(const json_t *j, const struct preenv_ranges *ranges,
                        struct preenv_request *q, struct nr_err *err)
{
    (void)ranges;
    return integer_in(j, "version", 1, INT32_MAX, &q->version, err);
}

/* ---- sizes --------------------------------------------------------------------------------------------------- */

static int read_size(const json_t *j, const struct preenv_ranges *ranges, bool cpu, int64_t *ret,
                     struct nr_err *err)
{
    double n = json_number_value(j), max = cpu ? ranges->cores : (double)ranges->memory_max_mb;
    int64_t size = (int64_t)(cpu ? n * MILLI + 0.5 : n);

    if (cpu && (!json_is_number(j) || n < 0.05 || n > max))
        return nr_err_set(err, NR_EINVAL,
                          "A size of the axis cpu is a number of cores from 0.05 to %d.",
                          ranges->cores);
    if (!cpu && (!json_is_integer(j) || size < PREENV_STEP_MB || n > max || size % PREENV_STEP_MB))
        return nr_err_set(err, NR_EINVAL,
                          "A size must be a multiple of %d MB from %d to %lld, what this node has.",
                          PREENV_STEP_MB, PREENV_STEP_MB, (long long)ranges->memory_max_mb);
    *ret = size;
    return 0;
}

static int falling(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return (*x < *y) - (*x > *y);
}

static void sort_sizes(struct preenv_request *q)
{
    unsigned n = 0;

    qsort(q->grid, q->grid_count, sizeof(q->grid[0]), falling);
    for (unsigned i = 0; i < q->grid_count; i++)
        if (i == 0 || q->grid[i] != q->grid[n - 1])
            q->grid[n++] = q->grid[i];
    q->grid_count = n;
}

/* Every step up to what is declared, or as many as there is room for. */
static void all_sizes(const struct preenv_ranges *ranges, struct preenv_request *q)
{
    for (int64_t mb = PREENV_STEP_MB; mb <= ranges->declared_mb && q->grid_count < PREENV_GRID_MAX;
         mb += PREENV_STEP_MB)
        q->grid[q->grid_count++] = mb;
}

/* The axis is known by now: it stands before in the table. */
static int read_sizes(const json_t *j, const struct preenv_ranges *ranges, struct preenv_request *q,
                      struct nr_err *err)
{
    const char *word = json_string_value(j);
    int r = 0;

    if (word && strcmp(word, "all") == 0 && !q->cpu)
        all_sizes(ranges, q);
    else if (!json_is_array(j) || json_array_size(j) < 1 || json_array_size(j) > PREENV_GRID_MAX)
        return nr_err_set(err, NR_EINVAL, "The field 'sizes' must be an array of 1 to %d sizes%s.",
                          PREENV_GRID_MAX, q->cpu ? "" : ", or \"all\"");
    for (size_t i = 0; i < json_array_size(j) && r == 0; i++)
        r = read_size(json_array_get(j, i), ranges, q->cpu, &q->grid[q->grid_count++], err);
    sort_sizes(q);
    return r;
}

static void preset_sizes(const struct preenv_ranges *ranges, struct preenv_request *q)
{
    if (!q->cpu || q->grid_count > 0)
        return;
    for (size_t i = 0; i < nr_countof(cpu_sizes); i++)
        if (cpu_sizes[i] <= (int64_t)ranges->cores * MILLI)
            q->grid[q->grid_count++] = cpu_sizes[i];
}

/* ---- the whole ------------------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    int (*read)(const json_t *j, const struct preenv_ranges *ranges, struct preenv_request *q,
                struct nr_err *err);
} fields[] = {
    {"axis", read_axis},        {"payloads", read_payloads}, {"tolerance", read_tolerance},
    {"repeats", read_repeats},  {"apply", read_apply},       {"deadline_s", read_deadline},
    {"target_ms", read_target}, {"sizes", read_sizes},       {"version", read_version},
};

static int check_names(json_t *body, struct nr_err *err)
{
    json_t *value;
    const char *key;
    int r = 0;

    json_object_foreach(body, key, value) {
        size_t i = 0;

        while (i < nr_countof(fields) && strcmp(fields[i].name, key) != 0)
            i++;
        if (i == nr_countof(fields))
            r = nr_err_set(
                err, NR_EINVAL,
                "The field '%.64s' is not known; there are axis, payloads, tolerance, repeats, apply, "
                "deadline_s, target_ms, sizes and version.",
                key);
    }
    return r;
}

int preenv_request_parse(struct nr_str text, const struct preenv_ranges *ranges,
                         struct preenv_request *ret, struct nr_err *err)
{
    nr_auto_json json_t *body = text.n ? nr_json_parse(text, err) : json_object();
    int r;

    *ret =
        (struct preenv_request){.tolerance = TOLERANCE_PRESET, .deadline_s = PREENV_DEADLINE_MAX_S};
    if (body == NULL)
        return nr_err_wrap(err, NR_EINVAL, "The request content was malformed");
    if (!json_is_object(body))
        return nr_err_set(err, NR_EINVAL, "The body must be an object.");
    if ((r = check_names(body, err)) < 0)
        return r;
    for (size_t i = 0; i < nr_countof(fields) && r == 0; i++) {
        const json_t *value = json_object_get(body, fields[i].name);

        if (value)
            r = fields[i].read(value, ranges, ret, err);
    }
    if (r == 0 && ret->target_ms > 0 && !ret->cpu)
        r = nr_err_set(err, NR_EINVAL, "The field 'target_ms' belongs to the axis \"cpu\".");
    if (r == 0 && ret->apply && ret->version > 0)
        r = nr_err_set(err, NR_EINVAL,
                       "A published version does not change: 'apply' is for LATEST only.");
    preset_sizes(ranges, ret);
    return r;
}

void preenv_request_write(const struct preenv_request *q, struct nr_buf *out)
{
    nr_buf_printf(out, "{\"axis\":\"%s\",\"tolerance\":%.6g,\"apply\":%s,\"deadline_s\":%lld",
                  q->cpu ? "cpu" : "memory", q->tolerance, q->apply ? "true" : "false",
                  (long long)q->deadline_s);
    if (q->repeats > 0)
        nr_buf_printf(out, ",\"repeats\":%u", q->repeats);
    if (q->target_ms > 0)
        nr_buf_printf(out, ",\"target_ms\":%.6g", q->target_ms);
    if (q->version > 0)
        nr_buf_printf(out, ",\"version\":%lld", (long long)q->version);
    for (unsigned i = 0; i < q->payload_count; i++)
        nr_buf_printf(out, "%s{\"weight\":%.6g,\"value\":%s}%s", i ? "," : ",\"payloads\":[",
                      q->payloads[i].weight, q->payloads[i].value,
                      i + 1 == q->payload_count ? "]" : "");
    for (unsigned i = 0; i < q->grid_count; i++)
        nr_buf_printf(out, q->cpu ? "%s%.3f%s" : "%s%.0f%s", i ? "," : ",\"sizes\":[",
                      (double)q->grid[i] / (q->cpu ? MILLI : 1), i + 1 == q->grid_count ? "]" : "");
    nr_buf_addc(out, '}');
}
