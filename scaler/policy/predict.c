/* What a policy lets the forecast do.
 */
#include "scaler/policy/reader.h"

#include "common/base/json.h"

enum { HOUR_MS = 3600000 };
#define DAY_MS INT64_C(86400000)

static const char *const forecast_metrics[] = {"arrivals", NULL}, *const models[] = {"auto", NULL},
                         *const may_words[] = {"prewarm", "raise_min", NULL};

/* One word of a table, for choices that have one yet. */
static void only_word(struct reader *r, json_t *value, const char *const *words)
{
    int found;
    const struct field word = {"", FIELD_WORD, 0, .words = words};

    field_read(r, value, &word, &found);
}

static void model_metric_read(struct reader *r, json_t *value, void *at)
{
    only_word(r, value, forecast_metrics);
}

static json_t *model_metric_write(const struct policy *p, const void *at)
{
    return json_string(forecast_metrics[0]);
}

static void model_read(struct reader *r, json_t *value, void *at)
{
    only_word(r, value, models);
}

static json_t *model_write(const struct policy *p, const void *at)
{
    return json_string(models[0]);
}

static void seasons_read(struct reader *r, json_t *value, void *at)
{
    const struct field season = {"", FIELD_DURATION, 0, .min = 60000, .max = 31.0 * (double)DAY_MS};
    struct predict *to = at;
    size_t i, count = json_array_size(value);
    json_t *item;

    if (!json_is_array(value) || count > nr_countof(to->season_ms)) {
        problem(r, value, NULL, "it must be a list of at most %zu times, such as \"24h\"",
                nr_countof(to->season_ms));
        return;
    }
    json_array_foreach(value, i, item) {
        size_t was = path_item(r, i);

        field_read(r, item, &season, &to->season_ms[i]);
        path_back(r, was);
    }
    to->season_count = (unsigned)count;
}

static json_t *seasons_write(const struct policy *p, const void *at)
{
    const struct predict *from = at;
    json_t *list = json_array();
    char text[24];

    for (unsigned i = 0; i < from->season_count; i++) {
        duration_write(from->season_ms[i], text);
        (void)json_array_append_new(list, json_string(text));
    }
    return list;
}

static void horizon_read(struct reader *r, json_t *value, void *at)
{
    const struct field horizon = {"", FIELD_DURATION, 0, 1000, HOUR_MS};
    const char *text = json_string_value(value);

    if (text == NULL || strcmp(text, "auto") != 0)
        field_read(r, value, &horizon, at);
    else
        *(int64_t *)at = 0;
}

static json_t *horizon_write(const struct policy *p, const void *at)
{
    char text[24] = "auto";

    if (*(const int64_t *)at != 0)
        duration_write(*(const int64_t *)at, text);
    return json_string(text);
}

static void may_read(struct reader *r, json_t *value, void *at)
{
    const struct field word = {"", FIELD_WORD, 0, .words = may_words};
    struct predict *to = at;
    size_t i;
    json_t *item;

    to->may_prewarm = to->may_raise_min = false;
    if (!json_is_array(value)) {
        problem(r, value, NULL, "it must be a list of \"prewarm\" and \"raise_min\"");
        return;
    }
    json_array_foreach(value, i, item) {
        size_t was = path_item(r, i), before = r->count;
        int found = 0;

        if (i < 16)
            field_read(r, item, &word, &found);
        if (r->count == before)
            *(found ? &to->may_raise_min : &to->may_prewarm) = true;
        path_back(r, was);
    }
}

static json_t *may_write(const struct policy *p, const void *at)
{
    const struct predict *from = at;
    json_t *list = json_array();

    if (from->may_prewarm)
        (void)json_array_append_new(list, json_string(may_words[0]));
    if (from->may_raise_min)
        (void)json_array_append_new(list, json_string(may_words[1]));
    return list;
}

static const struct field predict_fields[] = {
    {"enabled", FIELD_BOOL, offsetof(struct predict, enabled)},
    {"metric", FIELD_PART, 0, .read = model_metric_read, .write = model_metric_write},
    {"model", FIELD_PART, 0, .read = model_read, .write = model_write},
    {"history", FIELD_DURATION, offsetof(struct predict, history_ms), HOUR_MS, 90.0 * 86400000},
    {"seasons", FIELD_PART, 0, .read = seasons_read, .write = seasons_write},
    {"horizon", FIELD_PART, offsetof(struct predict, horizon_ms), .read = horizon_read,
     .write = horizon_write},
    {"quantile", FIELD_NUMBER, offsetof(struct predict, quantile), 0.5, 0.999},
    {"min_confidence", FIELD_NUMBER, offsetof(struct predict, min_confidence), 0, 1},
    {"may", FIELD_PART, 0, .read = may_read, .write = may_write},
    {"max_extra", FIELD_COUNT, offsetof(struct predict, max_extra), 0, POLICY_COUNT_MAX},
    {NULL}};

/* Who writes the member wants it. */
void predict_read(struct reader *r, json_t *value, void *at)
{
    struct policy *p = at;

    p->predict.enabled = true;
    (void)object_read(r, value, predict_fields, &p->predict);
    if (p->predict.enabled && p->target == TARGET_NODES)
        problem(r, value, NULL, "nodes are not forecast");
}

json_t *predict_write(const struct policy *p, const void *at)
{
    return object_write(p, predict_fields, &p->predict, UINT32_MAX);
}
