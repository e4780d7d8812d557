#include "sim.h"

#include "common/base/mem.h"

struct policy *sim_policy(const char *policy_json)
{
    char *text = nr_strdup(policy_json);
    struct policy_problem problems[8];
    struct policy *p = NULL;
    struct nr_err err = {0};
    size_t n = 0;

    for (char *at = text; *at; at++)
        *at = *at == '\'' ? '"' : *at;
    if (policy_read(nr_str_of(text), "test", &p, problems, nr_countof(problems), &n, &err) != 0) {
        for (size_t i = 0; i < n && i < nr_countof(problems); i++)
            print_error("%s: %s: %s\n", problems[i].path, problems[i].value, problems[i].why);
        fail_msg("%s\n%s", err.text, policy_json);
    }
    free(text);
    return p;
}

struct sim *sim_make(const char *policy_json)
{
    struct sim *s = nr_alloc(sizeof *s);

    s->now_ms = s->began_ms = SIM_BEGAN_MS;
    s->policy = sim_policy(policy_json);
    s->state = decide_state_make(s->policy);
    s->windows = windows_make(16u << 20);
    windows_want(s->windows, s->policy, s->now_ms);
    s->tells = s->lives = true;
    s->free_mb = 100000;
    s->instance_mb = 128;
    return s;
}

void sim_free(struct sim *s)
{
    decide_state_free(s->state);
    windows_free(s->windows);
    policy_unref(s->policy);
    free(s);
}

static void put(struct sample *s, enum metric_id id, double value)
{
    s->has |= 1ull << id;
    s->value[id] = value;
}

static struct sample sample_of(struct sim *s)
{
    return (struct sample){.t_ms = s->now_ms,
                           .span_ms = 1000,
                           .seq = ++s->seq,
                           .node = NR_STR("box-1"),
                           .version = NR_STR("0.0.1")};
}

static void add_node(struct sim *s)
{
    struct sample n = sample_of(s);

    put(&n, METRIC_NODE_MEMORY_FREE_MB, s->free_mb);
    put(&n, METRIC_NODE_MEMORY_PERCENT, 50);
    windows_add(s->windows, &n);
}

static void add_function(struct sim *s, bool at_once)
{
    struct sample f = sample_of(s);
    struct sketch durations = {.count = 0};

    f.account = nr_str_of(s->policy->account);
    f.function = nr_str_of(s->policy->function);
    put(&f, METRIC_INFLIGHT, s->inflight);
    put(&f, METRIC_INFLIGHT_MAX, s->inflight);
    put(&f, METRIC_INSTANCES, s->instances);
    put(&f, METRIC_INSTANCES_BUSY, s->inflight < s->instances ? s->inflight : s->instances);
    put(&f, METRIC_STARTING, s->starting);
    put(&f, METRIC_QUEUE_DEPTH, s->waiting);
    put(&f, METRIC_INVOCATIONS, s->calls);
    put(&f, METRIC_ARRIVALS, s->calls + s->throttles);
    put(&f, METRIC_ERRORS, s->errors);
    put(&f, METRIC_THROTTLES, s->throttles);
    put(&f, METRIC_CPU_PERCENT, s->cpu);
    put(&f, METRIC_INSTANCE_MB, s->instance_mb);
    put(&f, METRIC_INSTANCES_MAX, s->instances_max);
    put(&f, METRIC_CONCURRENT_MAX, s->concurrent_max);
    for (int i = 0; i < (int)s->calls && s->duration_us; i++)
        sketch_add_us(&durations, s->duration_us);
    f.sketch[SAMPLE_DURATION] = &durations;
    if (at_once)
        sample_at_once(&f);
    windows_add(s->windows, &f);
}

void sim_run(struct sim *s, int seconds)
{
    for (int i = 0; i < seconds; i++) {
        s->now_ms += 1000;
        if (s->lives)
            add_node(s);
        if (s->tells && s->lives && s->policy->function)
            add_function(s, false);
    }
}

void sim_half(struct sim *s)
{
    s->now_ms += 1000;
    add_node(s);
}

int64_t sim_decide(struct sim *s)
{
    struct decide_input in = {.now_ms = s->now_ms,
                              .windows = s->windows,
                              .forecast = s->forecast,
                              .began_ms = s->began_ms,
                              .at_once = s->at_once};

    windows_now(s->windows, s->policy->account, s->policy->function, s->now_ms, &in.now);
    decide(s->policy, &in, s->state, &s->d);
    s->changes += s->d.to != s->d.from;
    return s->d.to;
}

int64_t sim_at_once(struct sim *s, int64_t ms)
{
    int64_t to, full_ms = s->now_ms;

    s->now_ms += ms;
    add_function(s, true);
    s->at_once = true;
    to = sim_decide(s);
    s->at_once = false;
    s->now_ms = full_ms;
    return to;
}

int64_t sim_evaluate(struct sim *s, int seconds, int every, bool follow)
{
    int64_t to = s->d.to;

    for (int i = 1; i <= seconds; i++) {
        sim_run(s, 1);
        if (follow)
            s->instances = (double)s->d.to;
        if (i % every == 0)
            to = sim_decide(s);
    }
    return to;
}

void sim_custom(struct sim *s, const char *name, double value, const char *label, const char *is)
{
    struct sample c = {.t_ms = s->now_ms,
                       .metric = nr_str_of(name),
                       .metric_value = value,
                       .label = {{nr_str_of(label), nr_str_of(is)}},
                       .label_count = label ? 1 : 0};

    windows_add(s->windows, &c);
}

struct window_value sim_ask(struct sim *s, const char *metric, enum aggregate a, int seconds)
{
    struct metric_ref m = {.id = metric_find(nr_str_of(metric)), .name = metric};

    return windows_ask(s->windows, &m, "acme", "parse", a, seconds * 1000LL, s->now_ms);
}

double sim_value(struct sim *s, const char *metric, enum aggregate a, int seconds)
{
    return sim_ask(s, metric, a, seconds).value;
}

void sim_old(struct sim *s)
{
    (void)sim_decide(s);
    for (int i = 0; i < 2 * 3600 + 1; i += 10) {
        sim_run(s, 10);
        (void)sim_decide(s);
    }
}

bool sim_clamped(const struct sim *s, enum clamp_kind kind)
{
    for (unsigned i = 0; i < s->d.clamp_count; i++)
        if (s->d.clamps[i].kind == kind)
            return true;
    return false;
}

int64_t sim_vote(const struct sim *s, const char *rule)
{
    for (unsigned i = 0; i < s->d.vote_count; i++)
        if (strcmp(s->d.votes[i].rule->id, rule) == 0)
            return s->d.votes[i].desired;
    return -2;
}
