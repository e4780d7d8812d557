/* The two walks over the tables of forms (wire_tables.c): one writes an object, one reads it. */
#include "invoker/far/wire_form.h"

#include <math.h>

#include "common/base/clock.h"
#include "common/base/json_walk.h"

enum { NUMBER_MAX_BYTES = 40 };

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
