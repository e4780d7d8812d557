/* A decision in words: what was seen, who voted, what raised and what clamped, and what came of it. */
#include <math.h>
#include <stdio.h>

#include "cli/scale.h"

#define WORDS_BYTES 512

static const char *text_of(const json_t *j, const char *key)
{
    const char *text = nr_json_string(j, key);

    return text ? text : "";
}

/* "60s": as it was written, or milliseconds. */
static void window_text(const json_t *window, char out[32])
{
    if (json_is_string(window))
        (void)snprintf(out, 32, "%s", json_string_value(window));
    else
        (void)snprintf(out, 32, "%gs", json_number_value(window) / 1000);
}

/* " > 1.4", " between 3 and 5": what the value was held against. */
static void add_bound(const json_t *in, char *out, size_t n)
{
    const json_t *than = json_object_get(in, "than");
    const char *op = text_of(in, "op");

    out[0] = '\0';
    if (json_array_size(than) == 2)
        (void)snprintf(out, n, "%s %.6g and %.6g", op, json_number_value(json_array_get(than, 0)),
                       json_number_value(json_array_get(than, 1)));
    else if (op[0] && json_is_number(than))
        (void)snprintf(out, n, "%s %.6g", op, json_number_value(than));
}

/* "{topic=plant.raw}", or nothing. */
static void add_labels(const json_t *in, char *out, size_t n)
{
    const char *key;
    json_t *value;
    size_t at = 0;

    out[0] = '\0';
    json_object_foreach(json_object_get(in, "labels"), key, value) {
        const char *text = json_string_value(value);
        int more =
            snprintf(out + at, n - at, "%s%.60s=%.100s", at ? "," : "{", key, text ? text : "");

        if (more < 0 || (size_t)more + 2 >= n - at)
            break;
        at += (size_t)more;
    }
    if (at)
        (void)snprintf(out + at, n - at, "}");
}

/* ", holds: > 3", ", holds since 3 s of 5m: > 3", ", unknown: not told for 31 s": what the value means for the rule. */
static void add_meaning(const json_t *in, char *out, size_t n)
{
    const json_t *holds = json_object_get(in, "holds_ms"), *age = json_object_get(in, "age_ms");
    bool held = json_is_true(json_object_get(in, "held"));
    char bound[96], since[96] = "";

    add_bound(in, bound, sizeof(bound));
    out[0] = '\0';
    if (json_is_true(json_object_get(in, "unknown")) && json_is_number(age))
        (void)snprintf(out, n, ", unknown: not told for %.0f s", json_number_value(age) / 1000);
    else if (json_is_null(json_object_get(in, "value")))
        (void)snprintf(out, n, ", unknown%s%s", bound[0] ? ": " : "", bound);
    else if (bound[0]) {
        if (!held && json_is_number(holds))
            (void)snprintf(since, sizeof(since), " since %.0f s of %.40s",
                           json_number_value(holds) / 1000, text_of(in, "for"));
        (void)snprintf(out, n, ", %s%s: %s", held || since[0] ? "holds" : "does not hold", since,
                       bound);
    }
}

static void say_input(const json_t *in, const char *title)
{
    const json_t *value = json_object_get(in, "value"), *age = json_object_get(in, "age_ms");
    long long samples = json_integer_value(json_object_get(in, "samples")),
              among = json_integer_value(json_object_get(in, "containers"));
    char window[32], seen[WORDS_BYTES], labels[256], meaning[256], shared[48] = "";

    window_text(json_object_get(in, "window"), window);
    add_meaning(in, meaning, sizeof(meaning));
    add_labels(in, labels, sizeof(labels));
    if (among > 0)
        (void)snprintf(shared, sizeof(shared), " with %lld container%s", among,
                       among > 1 ? "s" : "");
    if (!json_is_number(value))
        (void)snprintf(seen, sizeof(seen), "never told");
    else
        (void)snprintf(seen, sizeof(seen), "%.6g%s (%lld samples, the newest %.1f s old)",
                       json_number_value(value), shared, samples, json_number_value(age) / 1000);
    scale_line("  %-9s %s%s, %s of %s: %s%s", title, text_of(in, "metric"), labels,
               text_of(in, "aggregate"), window, seen, meaning);
}

static void say_vote(const json_t *vote, const char *title)
{
    const json_t *desired = json_object_get(vote, "desired");
    const char *why = text_of(vote, "why");
    char wants[64] = "";

    if (json_is_integer(desired) && json_integer_value(desired) >= 0)
        (void)snprintf(wants, sizeof(wants), " wants %lld", (long long)json_integer_value(desired));
    scale_line("  %-9s %s (%s)%s%s%s", title, text_of(vote, "rule"), text_of(vote, "action"), wants,
               why[0] ? ": " : "", why);
}

/* What clamps are called in records, and by people. */
static const struct {
    const char *by, *words;
} clamps[] = {
    {"step_up", "a step up is bounded"},
    {"step_down", "a step down is bounded"},
    {"stabilize", "going down waits until it is steady"},
    {"block_down_for", "a rule forbids going down for a while"},
    {"freeze", "a rule has frozen it"},
    {"cooldown", "a rule cools down"},
    {"bounds", "the policy's bounds"},
    {"function_limit", "the function's own limit of containers"},
    {"account_quota", "the account's quota"},
    {"node_memory", "the memory of the host"},
    {"missing_metrics", "metrics are missing"},
    {"young", "it is not known for long enough to go down"},
};

static void say_clamp(const json_t *clamp, const char *title)
{
    const char *by = text_of(clamp, "by"), *why = text_of(clamp, "why"), *words = by;

    if (json_is_integer(json_object_get(clamp, "from")) &&
        json_equal(json_object_get(clamp, "from"), json_object_get(clamp, "to")))
        return;
    for (size_t i = 0; i < nr_countof(clamps); i++)
        if (strcmp(clamps[i].by, by) == 0)
            words = clamps[i].words;
    scale_line("  %-9s %lld to %lld: %s%s%s%s", title,
               (long long)json_integer_value(json_object_get(clamp, "from")),
               (long long)json_integer_value(json_object_get(clamp, "to")), words,
               why[0] ? " (" : "", why, why[0] ? ")" : "");
}

/* One line each; the title stands before the first. */
static void say_each(const json_t *list, const char *title,
                     void (*say)(const json_t *one, const char *title))
{
    for (size_t i = 0; i < json_array_size(list); i++)
        say(json_array_get(list, i), i ? "" : title);
}

static void say_forecast(const json_t *d)
{
    const json_t *f = json_object_get(d, "forecast");

    if (!json_is_object(f))
        return;
    scale_line(
        "  %-9s %.3g calls at a time, at most %.3g; confidence %.2f%s", "foreseen",
        json_number_value(json_object_get(f, "p50")), json_number_value(json_object_get(f, "p90")),
        json_number_value(json_object_get(f, "confidence")),
        json_is_true(json_object_get(f, "shadow")) ? ": not trusted yet, it raises nothing" : "");
}

/* What holds it up, and of all that which makes the number. */
static void say_floors(const json_t *d)
{
    static const struct {
        const char *name, *words;
    } kinds[] = {{"schedule", "the schedule"},
                 {"forecast", "the forecast"},
                 {"min_warm", "bounds.min_warm"},
                 {"min", "bounds.min"}};
    const json_t *floors = json_object_get(d, "floors");
    const char *by = text_of(d, "made_by"), *title = "raised";

    for (size_t i = 0; i < nr_countof(kinds); i++) {
        const json_t *floor = json_object_get(floors, kinds[i].name);

        if (!json_is_integer(floor) || json_integer_value(floor) < 0)
            continue;
        scale_line("  %-9s at least %lld by %s%s", title, (long long)json_integer_value(floor),
                   kinds[i].words,
                   strcmp(by, kinds[i].name) == 0 ? ", which makes the number" : "");
        title = "";
    }
}

/* What makes the number when it is neither a vote nor a floor. */
static void say_maker(const json_t *d)
{
    static const struct {
        const char *by, *words;
    } makers[] = {{"missing_metrics", "what the policy says of missing metrics (missing_metrics)"},
                  {"prewarm", "a rule that keeps some ready"},
                  {"calls", "one for the calls that are there"},
                  {"freeze", "a rule has frozen it: it stays as it is"},
                  {"keeping", "what was wanted last stays"},
                  {"quiet", "nobody voted for so long that nothing is wanted any more"}};

    for (size_t i = 0; i < nr_countof(makers); i++)
        if (strcmp(makers[i].by, text_of(d, "made_by")) == 0)
            scale_line("  %-9s %s", "because", makers[i].words);
}

/* The rules that are told to channels, as they begin to hold. */
static void say_fired(const json_t *d)
{
    const json_t *fired = json_object_get(d, "fired");

    for (size_t i = 0; i < json_array_size(fired); i++) {
        const char *rule = json_string_value(json_array_get(fired, i));

        scale_line("  %-9s %s begins to hold", i ? "" : "alert", rule ? rule : "?");
    }
}

static void say_result(const json_t *d)
{
    const json_t *maximum = json_object_get(d, "maximum"), *on = json_object_get(d, "on_demand");
    long long ready = json_integer_value(json_object_get(d, "min_warm"));
    char most[64] = "", warm[64] = "";

    if (json_is_integer(maximum) && json_integer_value(maximum) >= 0)
        (void)snprintf(most, sizeof(most), ", at most %lld",
                       (long long)json_integer_value(maximum));
    if (ready > 0)
        (void)snprintf(warm, sizeof(warm), ", %lld of them ahead of calls", ready);
    scale_line("  %-9s %lld kept%s%s%s", "result",
               (long long)json_integer_value(json_object_get(d, "to")), warm, most,
               json_is_false(on) ? "; calls start none themselves" : "");
}

/* A policy that was taken back, with all that it asked for. */
static bool say_release(const json_t *d)
{
    char time[CLI_TIME_BYTES];

    if (strcmp(text_of(d, "kind"), "release") != 0)
        return false;
    cli_time_text(json_integer_value(json_object_get(d, "t")), time);
    scale_line("%s  nothing is asked for any more: %s", time, text_of(d, "why"));
    return true;
}

void scale_say_decision(const json_t *d)
{
    if (say_release(d))
        return;
    long long from = json_integer_value(json_object_get(d, "from")),
              to = json_integer_value(json_object_get(d, "to"));
    const char *mode = text_of(d, "mode");
    bool nobody = json_array_size(json_object_get(d, "votes")) == 0;
    char time[CLI_TIME_BYTES], change[64];

    cli_time_text(json_integer_value(json_object_get(d, "t")), time);
    (void)snprintf(change, sizeof(change), from == to ? "stays at %lld" : "%lld -> %lld", from, to);
    scale_line("%s  %s  %s, version %lld%s", time, change, text_of(d, "policy"),
               (long long)json_integer_value(json_object_get(d, "number")),
               strcmp(mode, "enforce") == 0   ? ""
               : strcmp(mode, "dry_run") == 0 ? " (dry run: nothing is done)"
                                              : " (off)");
    if (text_of(d, "at_once")[0])
        scale_line("  %-9s %s, which may start no container: decided before the policy's time",
                   "at once", text_of(d, "at_once"));
    say_each(json_object_get(d, "inputs"), "seen", say_input);
    say_each(json_object_get(d, "votes"), "voted", say_vote);
    if (nobody)
        scale_line("  %-9s nobody", "voted");
    say_forecast(d);
    say_floors(d);
    say_maker(d);
    say_each(json_object_get(d, "clamps"), "clamped", say_clamp);
    say_fired(d);
    say_result(d);
}
