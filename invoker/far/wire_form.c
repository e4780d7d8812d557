/* Forms: the tables of what frames carry, and the two walks over them that write an object and read it. */
#include "invoker/far/wire_form.h"

#include <math.h>

#include "common/base/clock.h"
#include "common/base/json_walk.h"
#include "ports/errand.h"

enum { TEXT_MAX_BYTES = 4096, NUMBER_MAX_BYTES = 40, COUNT_MAX = 1 << 24 };

/* ---- the tables ---- */

#define AT(member) offsetof(struct wire_welcome, member)
static const struct wire_field welcome_fields[] = {
    {"protocol", WIRE_I64, AT(protocol), 0, INT32_MAX},
    {"controller", WIRE_TEXT, AT(controller), 0, 64},
    {"epoch", WIRE_U64, AT(epoch), 0, INT64_MAX},
    {"api_host", WIRE_TEXT, AT(api_host), 0, TEXT_MAX_BYTES},
};
WIRE_FORM(wire_welcome_form, welcome_fields);
#undef AT

#define AT(member) offsetof(struct wire_why, member)
static const struct wire_field why_fields[] = {
    {"err", WIRE_I64, AT(err), -1000, 0},
    {"why", WIRE_TEXT, AT(why), 0, 1024},
};
WIRE_FORM(wire_why_form, why_fields);
#undef AT

#define AT(member) offsetof(struct wire_run, member)
static const struct wire_field run_fields[] = {
    {"activation", WIRE_TEXT, AT(activation), 0, 32},
    {"account", WIRE_TEXT, AT(account), 0, 1024},
    {"transaction", WIRE_TEXT, AT(transaction), 0, 1024},
    {"api_key", WIRE_TEXT, AT(api_key), 0, 1024},
    {"revision", WIRE_U64, AT(revision), 1, INT64_MAX},
    {"follows", WIRE_BOOL, AT(follows), 0, 0},
    {"watched", WIRE_BOOL, AT(watched), 0, 0},
};
WIRE_FORM(wire_run_form, run_fields);
#undef AT

#define AT(member) offsetof(struct wire_answer, member)
static const struct wire_field answer_fields[] = {
    {"status", WIRE_UINT, AT(status), 0, OUTCOME_INTERNAL_ERROR},
    {"start", WIRE_UINT, AT(start), 0, START_COLD},
    {"cold", WIRE_UINT, AT(cold), 0, COLD_CRASHED},
    {"timed_out", WIRE_BOOL, AT(timed_out), 0, 0},
    {"out_of_memory", WIRE_BOOL, AT(out_of_memory), 0, 0},
    {"is_array", WIRE_BOOL, AT(is_array), 0, 0},
    {"stem_empty", WIRE_BOOL, AT(stem_empty), 0, 0},
    {"ran", WIRE_BOOL, AT(ran), 0, 0},
    {"dropped", WIRE_BOOL, AT(dropped), 0, 0},
    {"run_us", WIRE_U64, AT(run_us), 0, INT64_MAX},
    {"init_us", WIRE_U64, AT(init_us), 0, INT64_MAX},
    {"queue_us", WIRE_U64, AT(queue_us), 0, INT64_MAX},
    {"network_us", WIRE_U64, AT(network_us), 0, INT64_MAX},
    {"create_us", WIRE_U64, AT(create_us), 0, INT64_MAX},
    {"boot_us", WIRE_U64, AT(boot_us), 0, INT64_MAX},
    {"handover_us", WIRE_U64, AT(handover_us), 0, INT64_MAX},
    {"thaw_us", WIRE_U64, AT(thaw_us), 0, INT64_MAX},
    {"err", WIRE_I64, AT(err), -1000, 0},
    {"why", WIRE_TEXT, AT(why), 0, 1024},
};
WIRE_FORM(wire_answer_form, answer_fields);
#undef AT

#define AT(member) offsetof(struct call_usage, member)
static const struct wire_field usage_fields[] = {
    {"known", WIRE_BOOL, AT(known), 0, 0},
    {"cpu_us", WIRE_I64, AT(cpu_us), -1, INT64_MAX},
    {"user_us", WIRE_I64, AT(user_us), -1, INT64_MAX},
    {"system_us", WIRE_I64, AT(system_us), -1, INT64_MAX},
    {"init_peak_bytes", WIRE_I64, AT(init_peak_bytes), -1, INT64_MAX},
    {"run_peak_bytes", WIRE_I64, AT(run_peak_bytes), -1, INT64_MAX},
    {"rest_bytes", WIRE_I64, AT(rest_bytes), -1, INT64_MAX},
    {"high_water_bytes", WIRE_I64, AT(high_water_bytes), -1, INT64_MAX},
    {"limit_bytes", WIRE_I64, AT(limit_bytes), -1, INT64_MAX},
    {"oom_kills", WIRE_I64, AT(oom_kills), -1, INT64_MAX},
    {"throttled_us", WIRE_I64, AT(throttled_us), -1, INT64_MAX},
    {"others_us", WIRE_I64, AT(others_us), -1, INT64_MAX},
    {"wall_us", WIRE_I64, AT(wall_us), -1, INT64_MAX},
};
WIRE_FORM(wire_usage_form, usage_fields);
#undef AT

#define AT(member) offsetof(struct wire_range, member)
static const struct wire_field range_fields[] = {
    {"sha256", WIRE_TEXT, AT(sha256), 0, 64},
    {"revision", WIRE_U64, AT(revision), 0, INT64_MAX},
    {"at", WIRE_U64, AT(at), 0, WIRE_CODE_MAX_BYTES},
    {"bytes", WIRE_U64, AT(bytes), 0, WIRE_CODE_MAX_BYTES},
};
WIRE_FORM(wire_range_form, range_fields);
#undef AT

#define AT(member) offsetof(struct wire_auth, member)
static const struct wire_field auth_fields[] = {
    {"account", WIRE_TEXT, AT(account), 0, 1024},
    {"image", WIRE_TEXT, AT(image), 0, TEXT_MAX_BYTES},
};
WIRE_FORM(wire_auth_form, auth_fields);
#undef AT

#define AT(member) offsetof(struct wire_image, member)
static const struct wire_field image_fields[] = {
    {"op", WIRE_UINT, AT(op), 0, IMAGE_OPS - 1},
    {"reference", WIRE_TEXT, AT(reference), 0, WIRE_REFERENCE_MAX_BYTES},
    {"max_bytes", WIRE_I64, AT(max_bytes), 0, INT64_MAX},
};
WIRE_FORM(wire_image_form, image_fields);
#undef AT

#define AT(member) offsetof(struct image_progress, member)
static const struct wire_field progress_fields[] = {
    {"layers", WIRE_UINT, AT(layers), 0, COUNT_MAX},
    {"layers_done", WIRE_UINT, AT(layers_done), 0, COUNT_MAX},
    {"bytes", WIRE_I64, AT(bytes), 0, INT64_MAX},
    {"bytes_total", WIRE_I64, AT(bytes_total), 0, INT64_MAX},
};
WIRE_FORM(wire_progress_form, progress_fields);
#undef AT

#define AT(member) offsetof(struct wire_image_done, member)
static const struct wire_field image_done_fields[] = {
    {"err", WIRE_I64, AT(err), -1000, 0},
    {"why", WIRE_TEXT, AT(why), 0, 1024},
    {"id", WIRE_TEXT, AT(id), 0, IMAGE_DIGEST_BYTES - 1},
    {"digest", WIRE_TEXT, AT(digest), 0, IMAGE_DIGEST_BYTES - 1},
    {"platform", WIRE_TEXT, AT(platform), 0, IMAGE_PLATFORM_BYTES - 1},
    {"bytes", WIRE_I64, AT(bytes), 0, INT64_MAX},
    {"has_command", WIRE_BOOL, AT(has_command), 0, 0},
    {"has_volumes", WIRE_BOOL, AT(has_volumes), 0, 0},
    {"fits", WIRE_BOOL, AT(fits), 0, 0},
};
WIRE_FORM(wire_image_done_form, image_done_fields);
#undef AT

#define AT(member) offsetof(struct wire_node, member)
static const struct wire_field node_fields[] = {
    {"memory_max_mb", WIRE_I64, AT(figures.memory_max_mb), 0, INT32_MAX},
    {"memory_used_mb", WIRE_I64, AT(figures.memory_used_mb), 0, INT32_MAX},
    {"containers", WIRE_UINT, AT(figures.containers), 0, INT32_MAX},
    {"waiting", WIRE_UINT, AT(figures.waiting), 0, INT32_MAX},
    {"cpu_percent", WIRE_DOUBLE, AT(figures.cpu_percent), -1, 1000},
    {"joules", WIRE_DOUBLE, AT(figures.joules), 0, INT32_MAX},
    {"containers_max", WIRE_UINT, AT(containers_max), 0, INT32_MAX},
    {"results_dropped", WIRE_U64, AT(results_dropped), 0, INT64_MAX},
    {"results_late", WIRE_U64, AT(results_late), 0, INT64_MAX},
    {"ready", WIRE_BOOL, AT(ready), 0, 0},
    {"why", WIRE_TEXT, AT(why), 0, 1024},
};
WIRE_FORM(wire_node_form, node_fields);
#undef AT

#define AT(member) offsetof(struct wire_pool, member)
static const struct wire_field pool_fields[] = {
    {"revision", WIRE_U64, AT(revision), 1, INT64_MAX},
    {"peak_bytes", WIRE_I64, AT(peak_bytes), -1, INT64_MAX},
    {"ready", WIRE_UINT, AT(load.ready), 0, COUNT_MAX},
    {"busy", WIRE_UINT, AT(load.busy), 0, COUNT_MAX},
    {"starting", WIRE_UINT, AT(load.starting), 0, COUNT_MAX},
    {"waiting", WIRE_UINT, AT(load.waiting), 0, COUNT_MAX},
    {"key", WIRE_TEXT, AT(figures.key), 0, TEXT_MAX_BYTES},
    {"containers_ready", WIRE_UINT, AT(figures.ready), 0, COUNT_MAX},
    {"containers_busy", WIRE_UINT, AT(figures.busy), 0, COUNT_MAX},
    {"containers_starting", WIRE_UINT, AT(figures.starting), 0, COUNT_MAX},
    {"calls_waiting", WIRE_UINT, AT(figures.waiting), 0, COUNT_MAX},
    {"oldest_us", WIRE_U64, AT(figures.oldest_us), 0, INT64_MAX},
    {"instance_mb", WIRE_I64, AT(figures.instance_mb), 0, INT32_MAX},
    {"instances_max", WIRE_I64, AT(figures.instances_max), 0, INT32_MAX},
    {"looked", WIRE_BOOL, AT(figures.looked), 0, 0},
    {"cpu_percent", WIRE_DOUBLE, AT(figures.cpu_percent), 0, INT32_MAX},
    {"memory_mb", WIRE_DOUBLE, AT(figures.memory_mb), 0, INT32_MAX},
    {"memory_percent", WIRE_DOUBLE, AT(figures.memory_percent), 0, INT32_MAX},
    {"joules", WIRE_DOUBLE, AT(figures.joules), 0, INT32_MAX},
    {"cpu_seconds", WIRE_DOUBLE, AT(figures.cpu_seconds), 0, INT32_MAX},
};
WIRE_FORM(wire_pool_form, pool_fields);
#undef AT

#define AT(member) offsetof(struct scaler_wish, member)
static const struct wire_field wish_fields[] = {
    {"account", WIRE_Z, AT(account), 0, 1024},
    {"package", WIRE_Z, AT(package), 0, 1024},
    {"name", WIRE_Z, AT(name), 0, 1024},
    {"desired", WIRE_INT, AT(desired), -1, INT32_MAX},
    {"maximum", WIRE_INT, AT(maximum), -1, INT32_MAX},
    {"keep_alive_ms", WIRE_I64, AT(keep_alive_ms), -1, INT64_MAX},
    {"ahead_only", WIRE_BOOL, AT(ahead_only), 0, 0},
    {"stem_kind", WIRE_Z, AT(stem_kind), 0, 1024},
};
WIRE_FORM(wire_wish_form, wish_fields);
#undef AT

/* ---- writing ---- */

/* A member's value, and whether it has one. */
union wire_value {
    const void *at;
    const struct nr_str *text;
    const char *const *z;
    const bool *flag;
    const int *number;
    const unsigned *count;
    const int64_t *i64;
    const uint64_t *u64;
    const double *real;
};

static bool is_absent(const struct wire_field *f, union wire_value v)
{
    return f->kind == WIRE_TEXT ? v.text->p == NULL : f->kind == WIRE_Z ? *v.z == NULL : false;
}

static void write_value(const struct wire_field *f, union wire_value v, struct nr_buf *out)
{
    switch (f->kind) {
    case WIRE_TEXT: nr_buf_json(out, *v.text); return;
    case WIRE_Z: nr_buf_json(out, nr_str_of(*v.z)); return;
    case WIRE_BOOL: nr_buf_adds(out, *v.flag ? "true" : "false"); return;
    case WIRE_INT: nr_buf_addi(out, *v.number); return;
    case WIRE_UINT: nr_buf_addu(out, *v.count); return;
    case WIRE_I64: nr_buf_addi(out, *v.i64); return;
    case WIRE_U64: nr_buf_addu(out, *v.u64); return;
    case WIRE_DOUBLE: nr_buf_printf(out, "%.17g", isfinite(*v.real) ? *v.real : 0.0); return;
    }
}

void wire_write(const struct wire_form *form, const void *from, struct nr_buf *out)
{
    char before = '{';

    for (size_t i = 0; i < form->count; i++) {
        const struct wire_field *f = &form->fields[i];
        union wire_value v = {.at = (const char *)from + f->at};

        if (is_absent(f, v))
            continue;
        nr_buf_addc(out, before);
        nr_buf_json(out, nr_str_of(f->name));
        nr_buf_addc(out, ':');
        write_value(f, v, out);
        before = ',';
    }
    nr_buf_adds(out, before == '{' ? "{}" : "}");
}

/* ---- reading ---- */

int wire_read_text(struct nr_str value, size_t max, struct nr_arena *arena, struct nr_str *ret)
{
    if (nr_json_kind_of(value) != NR_JSON_STRING)
        return NR_EPROTO;
    struct nr_str raw = nr_json_unquoted(value);

    if (raw.n > 6 * max)
        return NR_EPROTO;
    if (memchr(raw.p, '\\', raw.n)) {
        char *text = nr_arena_get(arena, raw.n + 1);

        if (text == NULL)
            return NR_ENOMEM;
        raw = (struct nr_str){text, nr_json_decode(raw, text)};
    }
    if (raw.n > max)
        return NR_EPROTO;
    *ret = raw;
    return 0;
}

static int read_z(const struct wire_field *f, struct nr_str value, struct nr_arena *arena,
                  const char **to)
{
    struct nr_str text;
    int r = wire_read_text(value, (size_t)f->max, arena, &text);

    if (r < 0)
        return r;
    if (memchr(text.p, '\0', text.n))
        return NR_EPROTO;
    text = nr_arena_copy(arena, text);
    if (text.p == NULL)
        return NR_ENOMEM;
    *to = text.p;
    return 0;
}

static int read_bool(struct nr_str value, bool *to)
{
    enum nr_json_kind kind = nr_json_kind_of(value);

    if (kind != NR_JSON_TRUE && kind != NR_JSON_FALSE)
        return NR_EPROTO;
    *to = kind == NR_JSON_TRUE;
    return 0;
}

static int read_double(const struct wire_field *f, struct nr_str value, double *to)
{
    char text[NUMBER_MAX_BYTES];

    if (nr_json_kind_of(value) != NR_JSON_NUMBER || value.n >= sizeof(text))
        return NR_EPROTO;
    memcpy(text, value.p, value.n);
    text[value.n] = '\0';
    double number = strtod(text, NULL);

    if (!isfinite(number) || number < (double)f->min || number > (double)f->max)
        return NR_EPROTO;
    *to = number;
    return 0;
}

static int read_number(const struct wire_field *f, struct nr_str value, void *to)
{
    int64_t number;

    if (!nr_str_to_i64(value, f->min, f->max, &number))
        return NR_EPROTO;
    switch (f->kind) {
    case WIRE_INT: *(int *)to = (int)number; break;
    case WIRE_UINT: *(unsigned *)to = (unsigned)number; break;
    case WIRE_I64: *(int64_t *)to = number; break;
    default: *(uint64_t *)to = (uint64_t)number; break;
    }
    return 0;
}

int wire_read_value(const struct wire_field *f, struct nr_str value, struct nr_arena *arena,
                    void *to, struct nr_err *err)
{
    int r;

    switch (f->kind) {
    case WIRE_TEXT: r = wire_read_text(value, (size_t)f->max, arena, to); break;
    case WIRE_Z: r = read_z(f, value, arena, to); break;
    case WIRE_BOOL: r = read_bool(value, to); break;
    case WIRE_DOUBLE: r = read_double(f, value, to); break;
    default: r = read_number(f, value, to); break;
    }
    return r < 0 ? nr_err_set(err, r, "member \"%s\": %.*s is not what it may be", f->name,
                              value.n < 64 ? (int)value.n : 64, value.p)
                 : 0;
}

/* Members mostly come in the form's order: the search begins behind the last one. */
static const struct wire_field *field_of(const struct wire_form *form, struct nr_str key,
                                         size_t *hint)
{
    for (size_t i = 0; i < form->count; i++) {
        size_t at = (*hint + i) % form->count;

        if (nr_str_eqz(key, form->fields[at].name)) {
            *hint = at + 1;
            return &form->fields[at];
        }
    }
    return NULL;
}

int wire_read(const struct wire_form *form, struct nr_str json, struct nr_arena *arena, void *to,
              struct nr_err *err)
{
    struct nr_json_walk walk;
    struct nr_json_member m;
    size_t hint = 0;

    nr_json_walk_begin(&walk, json);
    while (nr_json_walk_next(&walk, &m)) {
        const struct wire_field *f = field_of(form, m.key, &hint);
        int r = f ? wire_read_value(f, m.value, arena, (char *)to + f->at, err) : 0;

        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- a call's answer ---- */

/* The stages of both structs, in one place. */
#define STAGES(X)                                                                                  \
    X(init_us) X(queue_us) X(network_us) X(create_us) X(boot_us) X(handover_us) X(thaw_us)

void wire_answer_of(const struct activation *a, struct wire_answer *ret)
{
    *ret = (struct wire_answer){
        .status = a->outcome.status,
        .start = a->start,
        .cold = a->cold,
        .timed_out = a->outcome.timed_out,
        .out_of_memory = a->outcome.out_of_memory,
        .is_array = a->outcome.is_array,
        .stem_empty = a->stem_empty,
        .ran = a->started_us != 0,
        .run_us =
            a->started_us && a->answered_us > a->started_us ? a->answered_us - a->started_us : 0,
        .err = a->err,
        .why = a->err ? nr_str_of(a->error.text) : (struct nr_str){NULL, 0},
    };
#define X(stage) ret->stage = a->stage;
    STAGES(X)
#undef X
}

void wire_answer_into(const struct wire_answer *w, uint64_t now_us, struct activation *a)
{
    uint64_t most_us = now_us > a->accepted_us ? now_us - a->accepted_us : 0;

    a->outcome.status = (enum outcome_status)w->status;
    a->outcome.timed_out = w->timed_out;
    a->outcome.out_of_memory = w->out_of_memory;
    a->outcome.is_array = w->is_array;
    a->start = (enum start_kind)w->start;
    a->cold = (enum cold_cause)w->cold;
    a->stem_empty = w->stem_empty;
    a->answered_us = now_us;
    if (w->ran)
        a->started_us = now_us - (w->run_us < most_us ? w->run_us : most_us);
#define X(stage) a->stage = w->stage < most_us ? w->stage : most_us;
    STAGES(X)
#undef X
    if (w->err)
        activation_fail(a, (int)w->err, "%.*s", (int)w->why.n, w->why.p ? w->why.p : "");
}
