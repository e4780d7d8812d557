/* The reader: a path that grows and shrinks, a list of problems, and members read by their rows.
 *
 * A member that cannot be read leaves its default and one problem; reading goes on, so that a person sees all that is wrong at once. Members are
 * taken in the order of the table, not of the document: what later ones are judged by is there.
 */
#include "scaler/policy/reader.h"

#include <math.h>
#include <stdio.h>

#include "common/base/json.h"

/* Mistyped members are looked for no further: a document that is none has thousands. */
enum { PROBLEMS_ENOUGH = 100 };

size_t path_member(struct reader *r, const char *name)
{
    size_t was = r->path_n, room = sizeof(r->path) - was;
    int n = snprintf(r->path + was, room, "%s%.60s", was ? "." : "", name);

    r->path_n = (size_t)n < room ? was + (size_t)n : sizeof(r->path) - 1;
    return was;
}

size_t path_item(struct reader *r, size_t index)
{
    size_t was = r->path_n, room = sizeof(r->path) - was;
    int n = snprintf(r->path + was, room, "[%zu]", index);

    r->path_n = (size_t)n < room ? was + (size_t)n : sizeof(r->path) - 1;
    return was;
}

void path_back(struct reader *r, size_t to)
{
    r->path_n = to;
    r->path[to] = '\0';
}

/* Cuts a text at the end of a character. */
static void show(const char *text, size_t n, char *out, size_t out_bytes)
{
    size_t most = n < out_bytes ? n : out_bytes - 4;

    if (n >= out_bytes)
        while (most > 0 && ((unsigned char)text[most] & 0xC0) == 0x80)
            most--;
    memcpy(out, text, most);
    (void)snprintf(out + most, out_bytes - most, "%s", most < n ? "..." : "");
}

static void show_value(const json_t *value, char *out, size_t out_bytes)
{
    size_t n = 0;
    nr_auto_free char *text = value ? nr_json_text(value, &n) : NULL;

    show(text ? text : "", text ? n : 0, out, out_bytes);
}

__attribute__((format(printf, 4, 0))) static void add_problem(struct reader *r, const json_t *value,
                                                              const char *nearest, const char *why,
                                                              va_list args)
{
    struct policy_problem p = {0};
    const char *path = r->is_short ? short_path(r->path) : r->path;
    char text[400];

    (void)snprintf(p.path, sizeof(p.path), "%s", path);
    show_value(value, p.value, sizeof(p.value));
    (void)vsnprintf(text, sizeof(text), why, args);
    show(text, strlen(text), p.why, sizeof(p.why));
    if (nearest)
        show(nearest, strlen(nearest), p.nearest, sizeof(p.nearest));
    if (r->count == 0)
        r->first = p;
    if (r->count < r->room)
        r->problems[r->count] = p;
    r->count++;
}

void problem(struct reader *r, const json_t *value, const char *nearest, const char *why, ...)
{
    va_list args;

    va_start(args, why);
    add_problem(r, value, nearest, why, args);
    va_end(args);
}

void problem_at(struct reader *r, const char *member, const json_t *value, const char *nearest,
                const char *why, ...)
{
    size_t was = path_member(r, member);
    va_list args;

    va_start(args, why);
    add_problem(r, value, nearest, why, args);
    va_end(args);
    path_back(r, was);
}

void *reader_memory(struct reader *r, size_t bytes)
{
    void *p = nr_arena_get(r->arena, bytes ? bytes : 1);

    if (p == NULL)
        r->no_memory = true;
    else
        memset(p, 0, bytes);
    return p;
}

const char *text_read(struct reader *r, const json_t *value, size_t max_bytes)
{
    const char *text = json_string_value(value);
    size_t n = text ? json_string_length(value) : 0;

    if (text == NULL)
        problem(r, value, NULL, "it must be a text in quotes");
    else if (n == 0)
        problem(r, value, NULL, "it is empty");
    else if (n > max_bytes)
        problem(r, value, NULL, "%zu bytes; at most %zu are allowed", n, max_bytes);
    else if (strlen(text) != n)
        problem(r, value, NULL, "there is a NUL in it");
    else {
        text = nr_arena_copy(r->arena, (struct nr_str){text, n}).p;
        r->no_memory = r->no_memory || text == NULL;
        return text;
    }
    return NULL;
}

bool name_fits_here(struct nr_str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (!letter && (i == 0 || (c != '.' && c != '_' && c != '-')))
            return false;
    }
    return name.n > 0 && name.n <= POLICY_NAME_MAX_BYTES;
}

static void read_name(struct reader *r, json_t *value, const struct field *f, void *at)
{
    const char *text = text_read(r, value, POLICY_NAME_MAX_BYTES);

    if (text && !name_fits_here(nr_str_of(text)))
        problem(r, value, NULL,
                "a name has letters, digits and \"._-\", and begins with a letter or a digit");
    else if (text)
        *(const char **)at = text;
}

static void read_text(struct reader *r, json_t *value, const struct field *f, void *at)
{
    const char *text = text_read(r, value, (size_t)f->max);

    *(const char **)at = text ? text : *(const char **)at;
}

static void read_duration(struct reader *r, json_t *value, const struct field *f, void *at)
{
    char near[24] = "", low[24], high[24];
    struct nr_str text = {json_string_value(value), json_string_length(value)};
    int64_t ms;

    duration_write((int64_t)f->min, low);
    duration_write((int64_t)f->max, high);
    if (json_is_integer(value) && json_integer_value(value) >= 0 &&
        json_integer_value(value) <= (int64_t)f->max / 1000) {
        ms = json_integer_value(value) * 1000;
        duration_write((double)ms < f->min ? (int64_t)f->min : ms, near);
        problem(r, value, near, "a time needs its unit: ms, s, m, h or d");
    } else if (text.p == NULL || duration_read(text, &ms) < 0) {
        if (text.p && duration_guess(text, &ms) == 0 && (double)ms >= f->min &&
            (double)ms <= f->max)
            duration_write(ms, near);
        problem(r, value, near, "a time is a text such as \"%s\" or \"%s\"", low, high);
    } else if ((double)ms < f->min || (double)ms > f->max)
        problem(r, value, (double)ms < f->min ? low : high, "it must be %s to %s", low, high);
    else
        *(int64_t *)at = ms;
}

/* The number that somebody wrote in quotes, maybe with its unit. share: a percentage is written as one. */
static bool in_quotes(const json_t *value, bool share, char near[32])
{
    const char *text = json_string_value(value);
    char *end = NULL;
    double v = text ? strtod(text, &end) : NAN;

    if (text == NULL || end == text || !isfinite(v) ||
        end[strspn(end, " %abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")] != '\0')
        return false;
    (void)snprintf(near, 32, "%.15g", share && strchr(end, '%') ? v / 100 : v);
    return true;
}

static bool read_finite(struct reader *r, json_t *value, const struct field *f, double *ret)
{
    char near[32] = "";

    if (!json_is_number(value)) {
        bool share = f->kind == FIELD_NUMBER && (f->max <= 1 || r->is_short);
        bool quoted = in_quotes(value, share, near);

        problem(r, value, quoted ? near : NULL, "it must be a number%s",
                quoted ? ", without quotes and unit" : "");
        return false;
    }
    *ret = json_number_value(value);
    if (isfinite(*ret) && *ret >= f->min && *ret <= f->max)
        return true;
    bool percent = f->max <= 1 && *ret >= 5 && *ret / 100 >= f->min && *ret / 100 <= f->max;

    (void)snprintf(near, sizeof(near), "%.15g",
                   percent ? *ret / 100 : fmin(fmax(*ret, f->min), f->max));
    problem(r, value, near, "it must be %.15g to %.15g", f->min, f->max);
    return false;
}

static void read_count(struct reader *r, json_t *value, const struct field *f, void *at)
{
    char near[32];
    double v;

    if (!read_finite(r, value, f, &v))
        return;
    if (v != floor(v)) {
        (void)snprintf(near, sizeof(near), "%.15g", ceil(v) <= f->max ? ceil(v) : floor(v));
        problem(r, value, near, "it must be a whole number");
        return;
    }
    *(int64_t *)at = (int64_t)v;
}

static void read_number(struct reader *r, json_t *value, const struct field *f, void *at)
{
    double v;

    if (read_finite(r, value, f, &v))
        *(double *)at = v;
}

static void read_bool(struct reader *r, json_t *value, const struct field *f, void *at)
{
    const char *text = json_string_value(value);
    bool yes = text && (strcmp(text, "true") == 0 || strcmp(text, "yes") == 0);
    bool no = text && (strcmp(text, "false") == 0 || strcmp(text, "no") == 0);

    if (json_is_boolean(value))
        *(bool *)at = json_is_true(value);
    else
        problem(r, value,
                yes  ? "true"
                : no ? "false"
                     : NULL,
                "it must be true or false%s", yes || no ? ", without quotes" : "");
}

static void read_word(struct reader *r, json_t *value, const struct field *f, void *at)
{
    struct nr_str text = {json_string_value(value), json_string_length(value)};
    int found = text.p ? word_find(f->words, text) : -1;
    const char *meant;
    struct nearest n;
    char all[160];
    size_t used = 0;

    if (found >= 0) {
        *(int *)at = found;
        return;
    }
    nearest_begin(&n, text);
    for (const char *const *w = f->words; *w; w++) {
        nearest_try(&n, *w);
        if (**w)
            used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%s", used ? ", " : "", *w);
    }
    meant = text.p ? word_elsewhere(text) : NULL;
    problem(r, value, meant && word_find(f->words, nr_str_of(meant)) >= 0 ? meant : n.best,
            "it must be one of %s", all);
}

static void read_part(struct reader *r, json_t *value, const struct field *f, void *at)
{
    f->read(r, value, at);
}

static void (*const readers[])(struct reader *, json_t *, const struct field *, void *) = {
    [FIELD_NAME] = read_name,   [FIELD_TEXT] = read_text,     [FIELD_DURATION] = read_duration,
    [FIELD_COUNT] = read_count, [FIELD_NUMBER] = read_number, [FIELD_BOOL] = read_bool,
    [FIELD_WORD] = read_word,   [FIELD_PART] = read_part,
};

void field_read(struct reader *r, json_t *value, const struct field *f, void *base)
{
    readers[f->kind](r, value, f, (char *)base + f->offset);
}

static bool is_field(const struct field *fields, const char *name)
{
    for (; fields->name; fields++)
        if (strcmp(fields->name, name) == 0)
            return true;
    return false;
}

static void try_fields(struct nearest *n, const struct field *fields)
{
    for (; fields->name; fields++)
        nearest_try(n, fields->name);
}

uint32_t object_read(struct reader *r, json_t *object, const struct field *fields, void *base)
{
    uint32_t given = 0;
    const char *name;
    json_t *value;

    if (!json_is_object(object)) {
        problem(r, object, NULL, "it must be an object { ... }");
        return 0;
    }
    for (unsigned i = 0; fields[i].name; i++)
        if ((value = json_object_get(object, fields[i].name)) != NULL) {
            size_t was = path_member(r, fields[i].name);

            field_read(r, value, &fields[i], base);
            path_back(r, was);
            given |= UINT32_C(1) << i;
        }
    json_object_foreach(object, name, value) {
        struct nearest n;

        if (is_field(fields, name) || r->count >= PROBLEMS_ENOUGH)
            continue;
        nearest_begin(&n, nr_str_of(name));
        try_fields(&n, fields);
        for (const char *const *w = short_words; r->is_short && r->path_n == 0 && *w; w++)
            nearest_try(&n, *w);
        problem_at(r, name, value, n.best, "there is no such member here");
    }
    return given;
}

static json_t *write_count(int64_t v)
{
    return v < 0 ? NULL : json_integer(v);
}

static json_t *write_number(double v)
{
    if (v < 0)
        return NULL;
    return v == floor(v) && v < 1e15 ? json_integer((int64_t)v) : json_real(v);
}

static json_t *write_duration(int64_t ms)
{
    char text[24];

    duration_write(ms, text);
    return ms < 0 ? NULL : json_string(text);
}

static json_t *write_field(const struct policy *p, const struct field *f, const void *base)
{
    const void *at = (const char *)base + f->offset;

    switch (f->kind) {
    case FIELD_NAME:
    case FIELD_TEXT: return *(const char *const *)at ? json_string(*(const char *const *)at) : NULL;
    case FIELD_DURATION: return write_duration(*(const int64_t *)at);
    case FIELD_COUNT: return write_count(*(const int64_t *)at);
    case FIELD_NUMBER: return write_number(*(const double *)at);
    case FIELD_BOOL: return json_boolean(*(const bool *)at);
    case FIELD_WORD: return json_string(f->words[*(const int *)at]);
    case FIELD_PART: return f->write ? f->write(p, at) : NULL;
    }
    return NULL;
}

json_t *object_write(const struct policy *p, const struct field *fields, const void *base,
                     uint32_t which)
{
    json_t *object = json_object();

    for (unsigned i = 0; fields[i].name; i++)
        if (which >> i & 1) {
            json_t *value = write_field(p, &fields[i], base);

            if (value)
                (void)json_object_set_new(object, fields[i].name, value);
        }
    return object;
}
