/* The table of fields is the form of the text: it is written and read by going through it, so that both cannot differ. What is not a plain field stands below
 * it: the digest, the lists of names, the grants.
 *
 * A text comes from a controller that was authenticated; it is judged all the same, so that what another version writes is refused with a sentence and ends nothing.
 */
#include "invoker/far/snapshot.h"

#include <stddef.h>

#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/data/digest.h"
#include "invoker/far/code.h"
#include "ports/grants.h"

enum {
    NAME_MAX_BYTES = 1024,
    IMAGE_MAX_BYTES = 4096,
    OBJECT_MAX_BYTES = 4 << 20, /* bound parameters: what a RUN may hold */
    NAMES_MAX = 100000,
    CONCURRENCY_MAX = 64,
};

enum field_type { FIELD_TEXT, FIELD_INT64, FIELD_INT, FIELD_BOOL, FIELD_TYPES };

/* A text: `min` to `max` bytes. A number: its bounds. */
struct field {
    const char *name;
    enum field_type type;
    size_t at;
    int64_t min, max;
};

#define AT(member) offsetof(struct function, member)

static const struct field fields[] = {
    {"revision", FIELD_INT64, AT(revision), 1, INT64_MAX},
    {"stored", FIELD_INT64, AT(stored), 0, INT64_MAX},
    {"account", FIELD_TEXT, AT(account), 1, NAME_MAX_BYTES},
    {"package", FIELD_TEXT, AT(package), 0, NAME_MAX_BYTES},
    {"name", FIELD_TEXT, AT(name), 1, NAME_MAX_BYTES},
    {"path", FIELD_TEXT, AT(path), 1, 4 * NAME_MAX_BYTES},
    {"version", FIELD_TEXT, AT(version), 1, NAME_MAX_BYTES},
    {"published", FIELD_INT64, AT(published), 0, INT64_MAX},
    {"kind", FIELD_TEXT, AT(kind), 1, NAME_MAX_BYTES},
    {"image", FIELD_TEXT, AT(image), 1, IMAGE_MAX_BYTES},
    {"relay", FIELD_BOOL, AT(relay), 0, 0},
    {"exec", FIELD_TEXT, AT(exec), 0, NAME_MAX_BYTES},
    {"main", FIELD_TEXT, AT(main), 0, NAME_MAX_BYTES},
    {"binary", FIELD_BOOL, AT(binary), 0, 0},
    {"file", FIELD_TEXT, AT(file), 0, NAME_MAX_BYTES},
    {"code_bytes", FIELD_INT64, AT(code_bytes), 0, INT64_C(1) << 40},
    {"timeout_ms", FIELD_INT64, AT(timeout_ms), 1, INT64_C(86400000)},
    {"memory_mb", FIELD_INT64, AT(memory_mb), 1, 1 << 24},
    {"log_max_bytes", FIELD_INT64, AT(log_max_bytes), 0, INT64_C(1) << 30},
    {"concurrency", FIELD_INT, AT(concurrency), 1, CONCURRENCY_MAX},
    {"instances", FIELD_INT64, AT(instances), 0, INT32_MAX},
    {"cpus_milli", FIELD_INT64, AT(cpus_milli), 0, INT32_MAX},
    {"cpu_share", FIELD_INT64, AT(cpu_share), 0, INT32_MAX},
    {"gpu_count", FIELD_INT, AT(gpu.count), 0, 64},
    {"gpu_memory_mb", FIELD_INT64, AT(gpu.memory_mb), 0, INT32_MAX},
    {"gpu_percentage", FIELD_INT, AT(gpu.percentage), 0, 100},
    {"network", FIELD_INT, AT(network), FN_NET_EGRESS, FN_NET_NONE},
    {"provide_api_key", FIELD_BOOL, AT(provide_api_key), 0, 0},
    {"trial", FIELD_BOOL, AT(trial), 0, 0},
};

_Static_assert(sizeof(enum function_network) == sizeof(int), "read as an int");
_Static_assert(sizeof(unsigned) == sizeof(int), "read as an int");

static const char *member_of(const struct function *f, const struct field *field)
{
    return (const char *)f + field->at;
}

/* ---- writing ------------------------------------------------------------------------------------------------ */

static void write_text(const char *at, struct nr_buf *out)
{
    const char *text;

    memcpy(&text, at, sizeof(text));
    nr_buf_json(out, nr_str_of(text ? text : ""));
}

static void write_int64(const char *at, struct nr_buf *out)
{
    int64_t number;

    memcpy(&number, at, sizeof(number));
    nr_buf_addi(out, number);
}

static void write_int(const char *at, struct nr_buf *out)
{
    int number;

    memcpy(&number, at, sizeof(number));
    nr_buf_addi(out, number);
}

static void write_bool(const char *at, struct nr_buf *out)
{
    nr_buf_adds(out, *(const bool *)at ? "true" : "false");
}

static void write_names(const char *member, char *const *names, struct nr_buf *out)
{
    nr_buf_printf(out, ",\"%s\":[", member);
    for (size_t i = 0; names && names[i]; i++) {
        if (i > 0)
            nr_buf_addc(out, ',');
        nr_buf_json(out, nr_str_of(names[i]));
    }
    nr_buf_addc(out, ']');
}

/* What the account has, and what of it the function asks for, where: as both are judged. */
static void write_grants(const struct grants *g, struct nr_buf *out)
{
    nr_auto_json json_t *has = grants_json(g);
    nr_auto_json json_t *volumes = json_array();
    json_t *all;

    for (unsigned i = 0; i < g->volume_count; i++)
        (void)json_array_append_new(volumes, json_pack("{s:s, s:s}", "name", g->volumes[i].name,
                                                       "path", g->volumes[i].path));
    all = json_pack("{s:O, s:[{s:s, s:O}, {s:s, s:O}]}", "has", has, "asks", "key", "narae.volumes",
                    "value", volumes, "key", "narae.devices", "value",
                    json_object_get(has, "devices"));
    nr_auto_free char *text = all ? nr_json_text(all, NULL) : NULL;

    json_decref(all);
    nr_buf_adds(out, ",\"grants\":");
    nr_buf_adds(out, text ? text : "null");
    out->failed = out->failed || text == NULL;
}

void far_function_write(const struct function *f, struct nr_buf *meta)
{
    static void (*const writers[FIELD_TYPES])(const char *at,
                                              struct nr_buf *out) = {[FIELD_TEXT] = write_text,
                                                                     [FIELD_INT64] = write_int64,
                                                                     [FIELD_INT] = write_int,
                                                                     [FIELD_BOOL] = write_bool};
    char digest[2 * NR_SHA256_BYTES + 1];

    nr_hex(f->sha256, sizeof(f->sha256), digest);
    nr_buf_printf(meta, "{\"sha256\":\"%s\",\"parameters_bytes\":%zu", digest,
                  strlen(f->parameters));
    for (size_t i = 0; i < nr_countof(fields); i++) {
        nr_buf_printf(meta, ",\"%s\":", fields[i].name);
        writers[fields[i].type](member_of(f, &fields[i]), meta);
    }
    write_names("final_names", f->final_names, meta);
    write_names("bound_names", f->bound_names, meta);
    if (f->grants)
        write_grants(f->grants, meta);
    nr_buf_addc(meta, '}');
}

struct nr_str far_function_owner(const struct function *f)
{
    return (struct nr_str){f->path, strcspn(f->path, "/")};
}

/* ---- reading ------------------------------------------------------------------------------------------------ */

static int refuse(const char *member, const char *why, struct nr_err *err)
{
    return nr_err_set(err, NR_EINVAL, "the member '%s' of a function is %s", member, why);
}

static int read_text(const json_t *j, const struct field *field, char *at, struct nr_err *err)
{
    size_t n = json_string_length(j);

    if (!json_is_string(j) || strlen(json_string_value(j)) != n)
        return refuse(field->name, "absent or no text", err);
    if ((int64_t)n < field->min || (int64_t)n > field->max)
        return nr_err_set(err, NR_EINVAL,
                          "the member '%s' of a function has %zu bytes; %lld to %lld are taken",
                          field->name, n, (long long)field->min, (long long)field->max);
    char *text = nr_strndup(json_string_value(j), n);

    memcpy(at, &text, sizeof(text));
    return 0;
}

static int read_number(const json_t *j, const struct field *field, int64_t *ret, struct nr_err *err)
{
    *ret = json_integer_value(j);
    if (!json_is_integer(j))
        return refuse(field->name, "absent or no whole number", err);
    if (*ret >= field->min && *ret <= field->max)
        return 0;
    return nr_err_set(err, NR_EINVAL, "the member '%s' of a function is %lld, not %lld to %lld",
                      field->name, (long long)*ret, (long long)field->min, (long long)field->max);
}

static int read_int64(const json_t *j, const struct field *field, char *at, struct nr_err *err)
{
    int64_t number;
    int r = read_number(j, field, &number, err);

    memcpy(at, &number, sizeof(number));
    return r;
}

static int read_int(const json_t *j, const struct field *field, char *at, struct nr_err *err)
{
    int64_t number;
    int r = read_number(j, field, &number, err);
    int small = (int)number;

    memcpy(at, &small, sizeof(small));
    return r;
}

static int read_bool(const json_t *j, const struct field *field, char *at, struct nr_err *err)
{
    if (!json_is_boolean(j))
        return refuse(field->name, "absent or neither true nor false", err);
    *(bool *)at = json_is_true(j);
    return 0;
}

/* Sorted, as they are searched by halves; *ret stays NULL when there are none. */
static int read_names(const json_t *o, const char *member, char ***ret, struct nr_err *err)
{
    const json_t *list = json_object_get(o, member);
    size_t n = json_array_size(list);

    if (!json_is_array(list) || n > NAMES_MAX)
        return refuse(member, "absent, no array, or too long", err);
    if (n == 0)
        return 0;
    if ((*ret = nr_try_alloc((n + 1) * sizeof(**ret))) == NULL)
        return nr_err_set(err, NR_ENOMEM, "no memory for the names of a function");
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_array_get(list, i));

        if (name == NULL || (i > 0 && strcmp((*ret)[i - 1], name) >= 0))
            return refuse(member, "no sorted list of texts", err);
        (*ret)[i] = nr_strdup(name);
    }
    return 0;
}

static int read_grants(const json_t *o, const struct snapshot_place *place, struct function *f,
                       struct nr_err *err)
{
    const json_t *grants = json_object_get(o, "grants");
    struct grants *has = NULL;

    if (grants == NULL)
        return 0;
    int r = grants_read(json_object_get(grants, "has"), place->devices, &has, err);

    if (r == 0)
        r = grants_for_function(has, json_object_get(grants, "asks"), f->network == FN_NET_EGRESS,
                                &f->grants, err);
    grants_unref(has);
    return r;
}

static int read_code(const json_t *o, const struct snapshot_place *place, struct function *f,
                     struct nr_err *err)
{
    const char *digest = nr_json_string(o, "sha256");
    char folder[CODE_FOLDER_BYTES];
    struct nr_buf path;

    if (digest == NULL || strlen(digest) != 2 * sizeof(f->sha256) ||
        !nr_hex_decode(nr_str_of(digest), f->sha256))
        return refuse("sha256", "absent or no digest", err);
    nr_buf_init(&path, 8192);
    code_folder_of(far_function_owner(f), folder);
    if (f->file[0]) /* digests as we write them: nothing of the text becomes part of a path */
        nr_buf_printf(&path, "%s/%s/", place->code_dir, folder);
    char *hex = f->file[0] ? nr_buf_room(&path, 2 * sizeof(f->sha256) + 1) : NULL;

    if (hex) {
        nr_hex(f->sha256, sizeof(f->sha256), hex);
        nr_buf_took(&path, 2 * sizeof(f->sha256));
    }
    f->code_path = path.n > 0 ? nr_buf_detach(&path, NULL) : nr_strdup("");
    nr_buf_fini(&path);
    return f->code_path ? 0 : nr_err_set(err, NR_ETOOBIG, "the path of the code is too long");
}

static int read_fields(const json_t *o, struct function *f, struct nr_err *err)
{
    static int (*const readers[FIELD_TYPES])(const json_t *j, const struct field *field, char *at,
                                             struct nr_err *err) = {[FIELD_TEXT] = read_text,
                                                                    [FIELD_INT64] = read_int64,
                                                                    [FIELD_INT] = read_int,
                                                                    [FIELD_BOOL] = read_bool};

    for (size_t i = 0; i < nr_countof(fields); i++) {
        int r = readers[fields[i].type](json_object_get(o, fields[i].name), &fields[i],
                                        (char *)f + fields[i].at, err);

        if (r < 0)
            return r;
    }
    return 0;
}

static int read_object(const char *member, struct nr_str text, char **ret, struct nr_err *err)
{
    if (text.n > OBJECT_MAX_BYTES)
        return nr_err_set(err, NR_EINVAL, "the %s of a function have %zu bytes; %d are taken",
                          member, text.n, OBJECT_MAX_BYTES);
    if (memchr(text.p, '\0', text.n) || nr_json_scan(text) != NR_JSON_OBJECT)
        return nr_err_set(err, NR_EINVAL, "the %s of a function are no JSON object", member);
    *ret = nr_strndup(text.p, text.n);
    return 0;
}

static int read_parameters(const json_t *o, struct nr_str raw, struct function *f,
                           struct nr_err *err)
{
    const json_t *bytes = json_object_get(o, "parameters_bytes");
    json_int_t n = json_integer_value(bytes);
    int r;

    if (!json_is_integer(bytes) || n < 2 || (uint64_t)n > raw.n)
        return refuse("parameters_bytes", "absent or not within the frame", err);
    r = read_object("parameters", (struct nr_str){raw.p, (size_t)n}, &f->parameters, err);
    return r < 0 ? r
                 : read_object("init parameters", (struct nr_str){raw.p + n, raw.n - (size_t)n},
                               &f->init_parameters, err);
}

int far_function_read(struct nr_str meta, struct nr_str raw, const struct snapshot_place *place,
                      struct function **ret, struct nr_err *err)
{
    nr_auto_json json_t *o = nr_json_parse(meta, err);
    struct function *f;
    int r;

    if (o == NULL)
        return NR_EINVAL;
    f = nr_alloc(sizeof(*f));
    atomic_init(&f->refs, 1);
    f->state = FN_LATEST;
    f->reason = nr_strdup("");
    f->binding = nr_strdup("");
    f->limits = nr_strdup("{}");
    if ((r = read_fields(o, f, err)) == 0 && (r = read_parameters(o, raw, f, err)) == 0 &&
        (r = read_code(o, place, f, err)) == 0 &&
        (r = read_names(o, "final_names", &f->final_names, err)) == 0 &&
        (r = read_names(o, "bound_names", &f->bound_names, err)) == 0)
        r = read_grants(o, place, f, err);
    if (r < 0)
        function_unref(f);
    else
        *ret = f;
    return r;
}
