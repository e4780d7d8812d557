/* A message of the topic `metrics`, read in place: judged by the scanner, then walked once, a row of a table for each member that is known. Texts are lent by
 * the message; those with escapes are decoded into the reader's room. Nothing is allocated.
 *
 * Anybody may send here, so everything has a ceiling, and what it is not is said with the value. What only the platform may tell, the metrics of
 * functions and nodes by their names, is read from the long form alone, which has a node.
 */
#include "ports/sample.h"

#include <math.h>
#include <stdlib.h>

#include "common/base/json_walk.h"

enum { DAY_MS = 24 * 3600 * 1000, SPAN_MAX_MS = 3600 * 1000, NUMBER_MAX_BYTES = 63 };

struct reading {
    struct sample *s;
    struct sample_room *room;
    struct nr_err *err;
    int64_t now_ms;
    bool long_form, has_metrics, has_value;
};

/* What of a text a sentence repeats. */
static int shown(struct nr_str text)
{
    return text.n > 60 ? 60 : (int)text.n;
}

static int read_number(struct reading *r, const char *what, struct nr_str value, double *ret)
{
    char text[NUMBER_MAX_BYTES + 1];

    if (nr_json_kind_of(value) != NR_JSON_NUMBER || value.n > NUMBER_MAX_BYTES)
        return nr_err_set(r->err, NR_EINVAL, "%s is no number: %.*s", what, shown(value), value.p);
    memcpy(text, value.p, value.n);
    text[value.n] = '\0';
    double number = strtod(text, NULL);

    if (!isfinite(number))
        return nr_err_set(r->err, NR_EINVAL, "%s is beyond every number: %s", what, text);
    *ret = number;
    return 0;
}

static bool has_control(struct nr_str text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f)
            return true;
    return false;
}

/* The text between the quotes of a member's name or of a string. */
static int decode(struct reading *r, const char *what, struct nr_str raw, size_t max_bytes,
                  struct nr_str *ret)
{
    struct sample_room *room = r->room;

    if (raw.n > 0 && memchr(raw.p, '\\', raw.n)) {
        if (raw.n > sizeof room->decoded - room->used)
            return nr_err_set(r->err, NR_EINVAL, "more than %zu bytes of texts with escapes",
                              sizeof room->decoded);
        char *to = room->decoded + room->used;

        raw = (struct nr_str){to, nr_json_decode(raw, to)};
        room->used += raw.n;
    }
    if (raw.n == 0 || raw.n > max_bytes)
        return nr_err_set(r->err, NR_EINVAL, "%s has %zu bytes, 1 to %zu are allowed", what, raw.n,
                          max_bytes);
    if (has_control(raw))
        return nr_err_set(r->err, NR_EINVAL, "%s holds a control character", what);
    *ret = raw;
    return 0;
}

static int read_text(struct reading *r, const char *what, struct nr_str value, size_t max_bytes,
                     struct nr_str *ret)
{
    if (nr_json_kind_of(value) != NR_JSON_STRING)
        return nr_err_set(r->err, NR_EINVAL, "%s is no text: %.*s", what, shown(value), value.p);
    return decode(r, what, nr_json_unquoted(value), max_bytes, ret);
}

/* Letters, digits, `_ : . -`, and no digit first. */
static int check_word(struct reading *r, const char *what, struct nr_str word)
{
    for (size_t i = 0; i < word.n; i++) {
        char c = word.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':';

        if (!letter && (i == 0 || !((c >= '0' && c <= '9') || c == '.' || c == '-')))
            return nr_err_set(r->err, NR_EINVAL,
                              "%s \"%.*s\" must be of letters, digits and _ : . -, and not begin "
                              "with a digit",
                              what, shown(word), word.p);
    }
    return 0;
}

static int read_v(struct reading *r, struct nr_str value)
{
    r->long_form = true;
    if (!nr_str_eqz(value, "1"))
        return nr_err_set(r->err, NR_EINVAL, "v is %.*s, but only version 1 is known", shown(value),
                          value.p);
    return 0;
}

static int read_t(struct reading *r, struct nr_str value)
{
    double t;

    if (read_number(r, "t", value, &t) < 0)
        return NR_EINVAL;
    if (fabs(t - (double)r->now_ms) > DAY_MS)
        return nr_err_set(r->err, NR_EINVAL,
                          "t is %.0f, more than a day from now, which is %lld (milliseconds since "
                          "1970)",
                          t, (long long)r->now_ms);
    r->s->t_ms = (int64_t)t;
    return 0;
}

static int read_span(struct reading *r, struct nr_str value)
{
    if (!nr_str_to_i64(value, 1, SPAN_MAX_MS, &r->s->span_ms))
        return nr_err_set(r->err, NR_EINVAL, "span_ms is %.*s, 1 to %d are allowed", shown(value),
                          value.p, SPAN_MAX_MS);
    return 0;
}

static int read_seq(struct reading *r, struct nr_str value)
{
    int64_t seq;

    if (!nr_str_to_i64(value, 0, INT64_MAX, &seq))
        return nr_err_set(r->err, NR_EINVAL, "seq is no whole number: %.*s", shown(value), value.p);
    r->s->seq = (uint64_t)seq;
    return 0;
}

static int read_at_once(struct reading *r, struct nr_str value)
{
    enum nr_json_kind kind = nr_json_kind_of(value);

    if (kind != NR_JSON_TRUE && kind != NR_JSON_FALSE)
        return nr_err_set(r->err, NR_EINVAL, "at_once is neither true nor false: %.*s",
                          shown(value), value.p);
    r->s->at_once = kind == NR_JSON_TRUE;
    return 0;
}

static int read_node(struct reading *r, struct nr_str value)
{
    return read_text(r, "node", value, SAMPLE_ENTITY_MAX_BYTES, &r->s->node);
}

static int read_account(struct reading *r, struct nr_str value)
{
    return read_text(r, "account", value, SAMPLE_ENTITY_MAX_BYTES, &r->s->account);
}

static int read_function(struct reading *r, struct nr_str value)
{
    return read_text(r, "function", value, 2 * SAMPLE_ENTITY_MAX_BYTES + 1, &r->s->function);
}

static int read_version(struct reading *r, struct nr_str value)
{
    return read_text(r, "version", value, SAMPLE_NAME_MAX_BYTES, &r->s->version);
}

static int read_metrics(struct reading *r, struct nr_str value)
{
    struct nr_json_walk walk;
    struct nr_json_member m;

    if (nr_json_kind_of(value) != NR_JSON_OBJECT)
        return nr_err_set(r->err, NR_EINVAL, "metrics is no object");
    r->has_metrics = true;
    for (nr_json_walk_begin(&walk, value); nr_json_walk_next(&walk, &m);) {
        enum metric_id id = metric_find(m.key);
        double number;

        if (id == METRICS)
            continue;
        if (read_number(r, sample_metrics[id].name, m.value, &number) < 0)
            return NR_EINVAL;
        if (number < 0)
            return nr_err_set(r->err, NR_EINVAL, "%s is %g, which is below 0",
                              sample_metrics[id].name, number);
        r->s->value[id] = number;
        r->s->has |= 1ull << id;
    }
    return 0;
}

/* [bucket, count] */
static int read_bucket(struct reading *r, struct nr_str value, struct sketch *k)
{
    struct nr_json_walk walk;
    struct nr_json_member m;
    int64_t number[2] = {0, 0};
    unsigned n = 0;

    bool good = true;

    for (nr_json_walk_begin(&walk, value); nr_json_walk_next(&walk, &m); n++)
        good = good && n < 2 &&
               nr_str_to_i64(m.value, 0, n ? UINT32_MAX : SKETCH_BUCKETS - 1, &number[n]);
    if (!good || n != 2 || number[1] > UINT32_MAX - k->count)
        return nr_err_set(r->err, NR_EINVAL,
                          "a sketch's bucket is [0 to %d, count], counts below 2^32 in all, not "
                          "%.*s",
                          SKETCH_BUCKETS - 1, shown(value), value.p);
    k->bucket[number[0]] += (uint32_t)number[1];
    k->count += (uint32_t)number[1];
    return 0;
}

static int read_sketch(struct reading *r, struct nr_str value, struct sketch *k)
{
    struct nr_json_walk walk;
    struct nr_json_member m;
    double growth = 0;

    memset(k, 0, sizeof *k);
    if (nr_json_kind_of(value) != NR_JSON_OBJECT)
        return nr_err_set(r->err, NR_EINVAL, "a sketch is no object: %.*s", shown(value), value.p);
    for (nr_json_walk_begin(&walk, value); nr_json_walk_next(&walk, &m);) {
        struct nr_json_walk buckets;
        struct nr_json_member b;

        if (nr_str_eqz(m.key, "g") && read_number(r, "g", m.value, &growth) < 0)
            return NR_EINVAL;
        if (!nr_str_eqz(m.key, "b"))
            continue;
        for (nr_json_walk_begin(&buckets, m.value); nr_json_walk_next(&buckets, &b);)
            if (read_bucket(r, b.value, k) < 0)
                return NR_EINVAL;
    }
    if (growth < SKETCH_GROWTH || growth > SKETCH_GROWTH)
        return nr_err_set(r->err, NR_EINVAL, "a sketch's buckets grow by %g, not by %g", growth,
                          SKETCH_GROWTH);
    return 0;
}

static int read_sketches(struct reading *r, struct nr_str value)
{
    struct nr_json_walk walk;
    struct nr_json_member m;

    if (nr_json_kind_of(value) != NR_JSON_OBJECT)
        return nr_err_set(r->err, NR_EINVAL, "sketches is no object");
    for (nr_json_walk_begin(&walk, value); nr_json_walk_next(&walk, &m);)
        for (unsigned i = 0; i < SAMPLE_SKETCHES; i++) {
            if (!nr_str_eqz(m.key, sample_metrics[sample_sketches[i]].name))
                continue;
            if (read_sketch(r, m.value, &r->room->sketch[i]) < 0)
                return NR_EINVAL;
            r->s->sketch[i] = r->room->sketch[i].count ? &r->room->sketch[i] : NULL;
        }
    return 0;
}

static int read_metric(struct reading *r, struct nr_str value)
{
    struct sample *s = r->s;

    if (read_text(r, "metric", value, SAMPLE_NAME_MAX_BYTES, &s->metric) < 0 ||
        check_word(r, "metric", s->metric) < 0)
        return NR_EINVAL;
    if (metric_find(s->metric) != METRICS)
        return nr_err_set(r->err, NR_EINVAL,
                          "metric \"%.*s\" is one of the platform's own, which only it may tell",
                          (int)s->metric.n, s->metric.p);
    return 0;
}

static int read_value(struct reading *r, struct nr_str value)
{
    r->has_value = true;
    return read_number(r, "value", value, &r->s->metric_value);
}

static int read_labels(struct reading *r, struct nr_str value)
{
    struct sample *s = r->s;
    struct nr_json_walk walk;
    struct nr_json_member m;

    if (nr_json_kind_of(value) != NR_JSON_OBJECT)
        return nr_err_set(r->err, NR_EINVAL, "labels is no object");
    s->label_count = 0;
    for (nr_json_walk_begin(&walk, value); nr_json_walk_next(&walk, &m); s->label_count++) {
        if (s->label_count == SAMPLE_LABELS_MAX)
            return nr_err_set(r->err, NR_EINVAL, "more than %d labels", SAMPLE_LABELS_MAX);
        struct sample_label *l = &s->label[s->label_count];

        if (decode(r, "a label's name", m.key, SAMPLE_NAME_MAX_BYTES, &l->name) < 0 ||
            check_word(r, "label", l->name) < 0 ||
            read_text(r, "a label's value", m.value, SAMPLE_NAME_MAX_BYTES, &l->value) < 0)
            return NR_EINVAL;
        for (unsigned i = 0; i < s->label_count; i++)
            if (nr_str_eq(s->label[i].name, l->name))
                return nr_err_set(r->err, NR_EINVAL, "label \"%.*s\" comes twice", (int)l->name.n,
                                  l->name.p);
    }
    return 0;
}

static const struct {
    const char *name;
    int (*read)(struct reading *r, struct nr_str value);
} members[] = {
    {"v", read_v},
    {"t", read_t},
    {"span_ms", read_span},
    {"node", read_node},
    {"seq", read_seq},
    {"account", read_account},
    {"function", read_function},
    {"version", read_version},
    {"at_once", read_at_once},
    {"metrics", read_metrics},
    {"sketches", read_sketches},
    {"metric", read_metric},
    {"value", read_value},
    {"labels", read_labels},
};

static int read_members(struct reading *r, struct nr_str text)
{
    struct nr_json_walk walk;
    struct nr_json_member m;

    for (nr_json_walk_begin(&walk, text); nr_json_walk_next(&walk, &m);)
        for (size_t i = 0; i < sizeof members / sizeof *members; i++)
            if (nr_str_eqz(m.key, members[i].name) && members[i].read(r, m.value) < 0)
                return NR_EINVAL;
    return 0;
}

/* Nothing but the value: who sends it may be anybody. */
static int finish_short(struct reading *r)
{
    struct sample *s = r->s;

    if (!r->has_value)
        return nr_err_set(r->err, NR_EINVAL, "metric \"%.*s\" has no value", (int)s->metric.n,
                          s->metric.p);
    s->has = 0;
    s->seq = 0;
    s->span_ms = 0;
    s->at_once = false;
    s->node = s->account = s->function = s->version = (struct nr_str){NULL, 0};
    memset(s->value, 0, sizeof s->value);
    memset(s->sketch, 0, sizeof s->sketch);
    return 0;
}

static int finish_long(struct reading *r)
{
    struct sample *s = r->s;
    bool node = s->function.p == NULL;

    if (!r->long_form || !r->has_metrics)
        return nr_err_set(r->err, NR_EINVAL,
                          "neither {\"metric\":NAME,\"value\":NUMBER} nor "
                          "{\"v\":1,\"node\":NAME,\"metrics\":{...}}");
    if (s->node.p == NULL)
        return nr_err_set(r->err, NR_EINVAL, "the node is not told");
    if (node != (s->account.p == NULL))
        return nr_err_set(r->err, NR_EINVAL, "account and function are told together");
    for (unsigned i = 0; i < METRICS; i++)
        if (!sample_tells((enum metric_id)i, node))
            s->has &= ~(1ull << i);
    if (node)
        memset(s->sketch, 0, sizeof s->sketch);
    for (unsigned i = 0; i < SAMPLE_SKETCHES; i++)
        if (s->sketch[i])
            s->has |= 1ull << sample_sketches[i];
    s->at_once = s->at_once && !node;
    if (s->at_once)
        sample_at_once(s);
    s->label_count = 0;
    s->metric_value = 0;
    return 0;
}

int sample_read(struct nr_str text, int64_t now_ms, struct sample_room *room, struct sample *ret,
                struct nr_err *err)
{
    struct sample s = {.t_ms = now_ms, .span_ms = 1000};
    struct reading r = {.s = &s, .room = room, .err = err, .now_ms = now_ms};
    const char *why = NULL;
    size_t at = 0;

    if (text.n > SAMPLE_MAX_BYTES)
        return nr_err_set(err, NR_EINVAL, "a sample of %zu bytes, %d are allowed", text.n,
                          SAMPLE_MAX_BYTES);
    enum nr_json_kind kind = nr_json_scan_why(text, &at, &why);

    if (kind == NR_JSON_BAD)
        return nr_err_set(err, NR_EINVAL, "no JSON at byte %zu: %s", at, why);
    if (kind != NR_JSON_OBJECT)
        return nr_err_set(err, NR_EINVAL, "no JSON object");
    room->used = 0;
    if (read_members(&r, text) < 0 || (s.metric.p ? finish_short(&r) : finish_long(&r)) < 0)
        return NR_EINVAL;
    *ret = s;
    return 0;
}
