/* The record of an evaluation: written for the bus, the store and people, and compared by replays.
 */
#include "scaler/decide/state.h"

static const char *const clamp_words[] = {
    [CLAMP_STEP_UP] = "step_up",         [CLAMP_STEP_DOWN] = "step_down",
    [CLAMP_STABILIZE] = "stabilize",     [CLAMP_BLOCK_DOWN] = "block_down_for",
    [CLAMP_FREEZE] = "freeze",           [CLAMP_COOLDOWN] = "cooldown",
    [CLAMP_BOUNDS] = "bounds",           [CLAMP_FUNCTION] = "function_limit",
    [CLAMP_QUOTA] = "account_quota",     [CLAMP_NODE_MEMORY] = "node_memory",
    [CLAMP_MISSING] = "missing_metrics", [CLAMP_YOUNG] = "young",
};

static const char *const maker_words[] = {
    [MADE_BY_RULES] = "rules",       [MADE_BY_MISSING] = "missing_metrics",
    [MADE_BY_SCHEDULE] = "schedule", [MADE_BY_FORECAST] = "forecast",
    [MADE_BY_MIN_WARM] = "min_warm", [MADE_BY_MIN] = "min",
    [MADE_BY_PREWARM] = "prewarm",   [MADE_BY_CALLS] = "calls",
    [MADE_BY_FREEZE] = "freeze",     [MADE_BY_KEEPING] = "keeping",
    [MADE_BY_QUIET] = "quiet",
};

const char *clamp_text(enum clamp_kind k)
{
    return clamp_words[k];
}

/* As short as it reads back the same. */
static void add_real(struct nr_buf *out, double number)
{
    char text[40];

    if (number == (double)(int64_t)number && number > -1e15 && number < 1e15) {
        nr_buf_addi(out, (int64_t)number);
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break;
    }
    nr_buf_adds(out, text);
}

static void add_text(struct nr_buf *out, const char *name, const char *text)
{
    nr_buf_printf(out, "\"%s\":", name);
    nr_buf_json(out, nr_str_of(text));
}

static void add_target(struct nr_buf *out, const struct policy *p)
{
    nr_buf_adds(out, ",\"target\":{");
    if (p->target == TARGET_FUNCTION) {
        add_text(out, "account", p->account);
        nr_buf_addc(out, ',');
        add_text(out, "function", p->function);
        if (p->version) {
            nr_buf_addc(out, ',');
            add_text(out, "version", p->version);
        }
    } else if (p->target == TARGET_STEMS)
        add_text(out, "stems", p->stems);
    else
        nr_buf_adds(out, "\"nodes\":true");
    nr_buf_adds(out, "}");
}

static void add_label(struct nr_buf *out, const char **between, struct nr_str name,
                      struct nr_str value)
{
    if (value.p == NULL)
        return;
    nr_buf_adds(out, *between);
    nr_buf_json(out, name);
    nr_buf_addc(out, ':');
    nr_buf_json(out, value);
    *between = ",";
}

static void add_labels(struct nr_buf *out, const struct metric_ref *m)
{
    const char *between = ",\"labels\":{";

    add_label(out, &between, NR_STR("account"), nr_str_of(m->account));
    add_label(out, &between, NR_STR("function"), nr_str_of(m->function));
    add_label(out, &between, NR_STR("topic"), nr_str_of(m->topic));
    add_label(out, &between, NR_STR("group"), nr_str_of(m->group));
    for (unsigned i = 0; i < m->label_count; i++)
        add_label(out, &between, m->label[i].name, m->label[i].value);
    if (between[1] == '\0')
        nr_buf_addc(out, '}');
}

/* What only some inputs have: a time that they must hold for, containers among which they are shared. */
static void add_lasting(struct nr_buf *out, const struct decision_input *i)
{
    char lasts[24];

    if (i->condition->for_ms > 0) {
        duration_write(i->condition->for_ms, lasts);
        nr_buf_printf(out, ",\"for\":\"%s\"", lasts);
    }
    if (i->holds_ms >= 0)
        nr_buf_printf(out, ",\"holds_ms\":%lld", (long long)i->holds_ms);
    if (i->divided_by > 0)
        nr_buf_printf(out, ",\"containers\":%lld", (long long)i->divided_by);
}

static void add_input(struct nr_buf *out, const struct decision_input *i)
{
    const struct condition *c = i->condition;
    char window[24];

    duration_write(c->window_ms, window);
    nr_buf_addc(out, '{');
    add_text(out, "metric", c->metric.name);
    add_labels(out, &c->metric);
    nr_buf_printf(out, ",\"aggregate\":\"%s\",\"window\":\"%s\"", aggregate_text(c->aggregate),
                  window);
    if (c->op != OP_NONE) {
        nr_buf_printf(out, ",\"op\":\"%s\",\"than\":", compare_text(c->op));
        nr_buf_adds(out, c->op >= OP_BETWEEN ? "[" : "");
        add_real(out, c->value);
        if (c->op >= OP_BETWEEN) {
            nr_buf_addc(out, ',');
            add_real(out, c->value2);
            nr_buf_addc(out, ']');
        }
    }
    nr_buf_adds(out, ",\"value\":");
    if (i->got.age_ms == INT64_MAX)
        nr_buf_adds(out, "null");
    else
        add_real(out, i->got.value);
    nr_buf_printf(out, ",\"samples\":%u,\"age_ms\":", i->got.samples);
    if (i->got.age_ms == INT64_MAX)
        nr_buf_adds(out, "null");
    else
        nr_buf_addi(out, i->got.age_ms);
    nr_buf_printf(out, ",\"held\":%s,\"unknown\":%s", i->held ? "true" : "false",
                  i->unknown ? "true" : "false");
    add_lasting(out, i);
    nr_buf_addc(out, '}');
}

static void add_vote(struct nr_buf *out, const struct decision_vote *v)
{
    nr_buf_addc(out, '{');
    add_text(out, "rule", v->rule->id);
    nr_buf_printf(out, ",\"action\":\"%s\",\"desired\":", rule_action_text(v->rule->action));
    if (v->desired < 0)
        nr_buf_adds(out, "null");
    else
        nr_buf_addi(out, v->desired);
    nr_buf_addc(out, ',');
    add_text(out, "why", v->why);
    nr_buf_addc(out, '}');
}

static void add_clamp(struct nr_buf *out, const struct decision_clamp *c)
{
    nr_buf_printf(out, "{\"by\":\"%s\",\"from\":%lld,\"to\":%lld,", clamp_words[c->kind],
                  (long long)c->from, (long long)c->to);
    add_text(out, "why", c->why);
    nr_buf_addc(out, '}');
}

static void add_floor(struct nr_buf *out, const char *name, int64_t floor)
{
    nr_buf_printf(out, "\"%s\":", name);
    if (floor < 0)
        nr_buf_adds(out, "null");
    else
        nr_buf_addi(out, floor);
}

static void add_forecast(struct nr_buf *out, const struct decision *d)
{
    nr_buf_adds(out, ",\"forecast\":");
    if (!d->forecast.known) {
        nr_buf_adds(out, "null");
        return;
    }
    nr_buf_adds(out, "{\"p50\":");
    add_real(out, d->forecast.p50);
    nr_buf_adds(out, ",\"p90\":");
    add_real(out, d->forecast.p90);
    nr_buf_adds(out, ",\"confidence\":");
    add_real(out, d->forecast.confidence);
    nr_buf_printf(out, ",\"class\":\"%s\",\"shadow\":%s}", arrival_class_text(d->forecast.class),
                  d->forecast_shadow ? "true" : "false");
}

static void add_alerts(struct nr_buf *out, const struct decision *d)
{
    const char *between = ",\"fired\":[";

    for (unsigned i = 0; i < d->policy->rule_count; i++) {
        if (!(d->alerts & 1ull << i))
            continue;
        nr_buf_adds(out, between);
        nr_buf_json(out, nr_str_of(d->policy->rules[i].id));
        between = ",";
    }
    if (between[1] == '\0')
        nr_buf_addc(out, ']');
}

void decision_write(const struct decision *d, struct nr_buf *out)
{
    nr_buf_printf(out, "{\"v\":1,\"kind\":\"decision\",\"t\":%lld,", (long long)d->t_ms);
    add_text(out, "policy", d->policy->name);
    nr_buf_printf(out, ",\"number\":%lld", (long long)d->policy->number);
    add_target(out, d->policy);
    nr_buf_printf(out, ",\"mode\":\"%s\",\"inputs\":[", policy_mode_text(d->policy->mode));
    for (unsigned i = 0; i < d->input_count; i++) {
        nr_buf_adds(out, i ? "," : "");
        add_input(out, &d->inputs[i]);
    }
    nr_buf_adds(out, "],\"votes\":[");
    for (unsigned i = 0; i < d->vote_count; i++) {
        nr_buf_adds(out, i ? "," : "");
        add_vote(out, &d->votes[i]);
    }
    nr_buf_addc(out, ']');
    add_forecast(out, d);
    nr_buf_adds(out, ",\"floors\":{");
    add_floor(out, "forecast", d->floor_forecast);
    nr_buf_addc(out, ',');
    add_floor(out, "schedule", d->floor_schedule);
    nr_buf_addc(out, ',');
    add_floor(out, "min", d->floor_min);
    nr_buf_addc(out, ',');
    add_floor(out, "min_warm", d->floor_min_warm);
    nr_buf_printf(out, "},\"made_by\":\"%s\",%s\"clamps\":[", maker_words[d->made_by],
                  d->at_once ? "\"at_once\":\"calls wait\"," : "");
    for (unsigned i = 0; i < d->clamp_count; i++) {
        nr_buf_adds(out, i ? "," : "");
        add_clamp(out, &d->clamps[i]);
    }
    nr_buf_addc(out, ']');
    add_alerts(out, d);
    nr_buf_printf(out, ",\"from\":%lld,\"to\":%lld,\"min_warm\":%lld,", (long long)d->from,
                  (long long)d->to, (long long)d->min_warm);
    add_floor(out, "maximum", d->maximum);
    nr_buf_printf(out, ",\"on_demand\":%s,\"took_us\":%u}", d->on_demand ? "true" : "false",
                  d->took_us);
}

/* Replays read the policy anew: what is lent by it is compared by its place. */
static bool inputs_equal(const struct decision *a, const struct decision *b)
{
    for (unsigned i = 0; i < a->input_count; i++) {
        const struct decision_input *x = &a->inputs[i], *y = &b->inputs[i];

        if (x->condition - a->policy->conditions != y->condition - b->policy->conditions ||
            x->got.value != y->got.value || x->got.samples != y->got.samples ||
            x->got.age_ms != y->got.age_ms || x->held != y->held || x->unknown != y->unknown ||
            x->holds_ms != y->holds_ms || x->divided_by != y->divided_by)
            return false;
    }
    return true;
}

static bool votes_equal(const struct decision *a, const struct decision *b)
{
    for (unsigned i = 0; i < a->vote_count; i++)
        if (a->votes[i].rule - a->policy->rules != b->votes[i].rule - b->policy->rules ||
            a->votes[i].desired != b->votes[i].desired ||
            strcmp(a->votes[i].why, b->votes[i].why) != 0)
            return false;
    return true;
}

static bool clamps_equal(const struct decision *a, const struct decision *b)
{
    for (unsigned i = 0; i < a->clamp_count; i++)
        if (a->clamps[i].kind != b->clamps[i].kind || a->clamps[i].from != b->clamps[i].from ||
            a->clamps[i].to != b->clamps[i].to || strcmp(a->clamps[i].why, b->clamps[i].why) != 0)
            return false;
    return true;
}

static bool forecasts_equal(const struct decision *a, const struct decision *b)
{
    return a->forecast.known == b->forecast.known && a->forecast.p50 == b->forecast.p50 &&
           a->forecast.p90 == b->forecast.p90 && a->forecast.confidence == b->forecast.confidence &&
           a->forecast.class == b->forecast.class && a->forecast_shadow == b->forecast_shadow &&
           a->floor_forecast == b->floor_forecast && a->floor_schedule == b->floor_schedule &&
           a->floor_min == b->floor_min && a->floor_min_warm == b->floor_min_warm &&
           a->made_by == b->made_by;
}

bool decision_equal(const struct decision *a, const struct decision *b)
{
    return a->t_ms == b->t_ms && strcmp(a->policy->name, b->policy->name) == 0 &&
           a->policy->number == b->policy->number && a->input_count == b->input_count &&
           a->vote_count == b->vote_count && a->clamp_count == b->clamp_count &&
           a->from == b->from && a->to == b->to && a->min_warm == b->min_warm &&
           a->maximum == b->maximum && a->on_demand == b->on_demand && a->changed == b->changed &&
           a->raise_first == b->raise_first && a->at_once == b->at_once && a->alerts == b->alerts &&
           inputs_equal(a, b) && votes_equal(a, b) && clamps_equal(a, b) && forecasts_equal(a, b);
}
