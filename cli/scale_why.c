/* narae scale explain, dry-run, replay, forecasts, channels, status: what was decided and why, and what would be. */
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "cli/entities.h"
#include "cli/scale.h"
#include "cli/verbs.h"

#define EXPLAIN_MAX 200 /* that the platform tells at a time */

/* ---- explain, dry-run ------------------------------------------------------------------------------------------------------ */

/* "since=…&upto=…" of the options into `out`; 0, or what is wrong was said. */
static int span_query(const struct cli *c, char *out, size_t n)
{
    int64_t since = 0, upto = INT64_MAX;
    char end[40] = "";
    int e = cli_option_when(c, OPT_SINCE, &since);

    if (e == 0)
        e = cli_option_when(c, OPT_UPTO, &upto);
    if (e != 0)
        return e;
    if (since > upto)
        return cli_fail(c, "--since %s is later than --upto %s", c->text[OPT_SINCE],
                        c->text[OPT_UPTO]);
    if (c->text[OPT_UPTO])
        (void)snprintf(end, sizeof(end), "&upto=%" PRId64, upto);
    (void)snprintf(out, n, "since=%" PRId64 "%s", since, end);
    return 0;
}

static int64_t explain_limit(const struct cli *c)
{
    return c->number[OPT_LIMIT] < 0 ? 30 : c->number[OPT_LIMIT];
}

/* The newest comes last, where the eye is. One more than are shown was asked for: it says that there are others. */
static void say_decisions(const struct cli *c, const json_t *answer)
{
    const json_t *list = json_object_get(answer, "decisions");
    size_t n = json_array_size(list), most = (size_t)explain_limit(c);
    bool more = n >= EXPLAIN_MAX || (most > 0 && n > most);

    if (more) {
        n = most > 0 && most < n ? most : n;
        cli_remark(c,
                   "the newest %zu; there %s earlier ones: -n shows more (200 at most), "
                   "--upto WHEN those until then",
                   n, n < EXPLAIN_MAX ? "are" : "may be");
    }
    if (n == 0)
        cli_remark(c,
                   c->text[OPT_ALL] ? "nothing was decided in that time"
                                    : "nothing was changed in that time; --all also shows what "
                                      "changed nothing, `narae scale dry-run %s` what would be "
                                      "decided now",
                   c->argv[0]);
    while (n-- > 0) {
        scale_say_decision(json_array_get(list, n));
        if (n > 0)
            scale_line("%s", "");
    }
}

/* 0: as many as the platform gives; JSON is what was asked for and no more. */
static int64_t explain_asked(const struct cli *c)
{
    int64_t most = explain_limit(c);

    return most == 0 || cli_json(c) || most >= EXPLAIN_MAX ? most : most + 1;
}

int verb_scale_explain(struct cli *c)
{
    char span[96], query[192];
    int e = span_query(c, span, sizeof(span));

    if (e != 0)
        return e;
    (void)snprintf(query, sizeof(query), "/explain?%s&limit=%" PRId64 "%s", span, explain_asked(c),
                   c->text[OPT_ALL] ? "&all=true" : "");
    nr_auto_free char *path = scale_policy_path(c->argv[0], query);
    nr_auto_json json_t *answer = NULL;

    e = cli_call(c, "GET", path, NULL, 0, &answer, NULL);
    if (e == 0 && cli_json(c))
        cli_print_json(answer);
    else if (e == 0)
        say_decisions(c, answer);
    return e;
}

static int say_one(const struct cli *c, const json_t *decision)
{
    if (cli_json(c))
        cli_print_json(decision);
    else
        scale_say_decision(decision);
    return CLI_DONE;
}

static bool is_file(const char *word)
{
    struct stat s;

    return strcmp(word, "-") == 0 || (stat(word, &s) == 0 && !S_ISDIR(s.st_mode));
}

/* A file that is there is a document, any other word a policy of the platform's. */
int verb_scale_dry_run(struct cli *c)
{
    const char *word = c->argv[0];
    nr_auto_json json_t *document = NULL, *answer = NULL;
    nr_auto_free char *name = NULL, *path = NULL;
    int e;

    if (!is_file(word)) {
        path = scale_policy_path(word, "/evaluate");
        e = cli_call(c, "GET", path, NULL, 0, &answer, NULL);
        return e ? e : say_one(c, answer);
    }
    if ((document = scale_document(c, word, &name)) == NULL)
        return CLI_NOT_DONE;
    if (json_object_get(document, "policy") == NULL)
        json_object_set_new(document, "policy", json_string(name));
    e = scale_send(c, "POST", "/narae/v1/scaling/evaluate", document, word, &answer);
    return e ? e : say_one(c, answer);
}

/* ---- replay ---------------------------------------------------------------------------------------------------------------- */

static void say_figures(const json_t *recorded, const json_t *replayed)
{
    static const struct {
        const char *key, *title;
    } rows[] = {{"changes", "changes"},
                {"desired_max", "most at a time"},
                {"cold_starts", "cold starts"},
                {"idle_mb_s", "idle memory, MB s"}};

    scale_line("%-18s %12s %12s %12s", "", "RECORDED", "REPLAYED", "DIFFERENCE");
    for (size_t i = 0; i < nr_countof(rows); i++) {
        const json_t *a = json_object_get(recorded, rows[i].key),
                     *b = json_object_get(replayed, rows[i].key);

        if (json_is_number(a) && json_is_number(b))
            scale_line("%-18s %12.0f %12.0f %+12.0f", rows[i].title, json_number_value(a),
                       json_number_value(b), json_number_value(b) - json_number_value(a));
    }
}

/* "3", "2 -> 3", or "nothing" where nothing was decided. */
static void add_move(const json_t *j, char *out, size_t n)
{
    const json_t *from = json_object_get(j, "from"), *to = json_object_get(j, "to");

    if (!json_is_integer(to) || json_integer_value(to) < 0)
        (void)snprintf(out, n, "nothing");
    else if (json_is_integer(from))
        (void)snprintf(out, n, "%" JSON_INTEGER_FORMAT " -> %" JSON_INTEGER_FORMAT,
                       json_integer_value(from), json_integer_value(to));
    else
        (void)snprintf(out, n, "%" JSON_INTEGER_FORMAT, json_integer_value(to));
}

static void say_difference(const json_t *one)
{
    const char *why = nr_json_string(one, "why");
    char time[CLI_TIME_BYTES], recorded[64], replayed[64];

    cli_time_text(json_integer_value(json_object_get(one, "t")), time);
    add_move(json_object_get(one, "recorded"), recorded, sizeof(recorded));
    add_move(json_object_get(one, "replayed"), replayed, sizeof(replayed));
    scale_line("  %s  recorded %s, replayed %s%s%s", time, recorded, replayed, why ? ": " : "",
               why ? why : "");
}

static void say_replay(const struct cli *c, const json_t *answer)
{
    const json_t *differences = json_object_get(answer, "differences");
    long long more = json_integer_value(json_object_get(answer, "more"));
    const char *why = nr_json_string(answer, "why");
    char since[CLI_TIME_BYTES], upto[CLI_TIME_BYTES];

    cli_time_text(json_integer_value(json_object_get(answer, "since_ms")), since);
    cli_time_text(json_integer_value(json_object_get(answer, "upto_ms")), upto);
    scale_line("%s from %s to %s: %lld samples, %lld evaluations", c->argv[0], since, upto,
               (long long)json_integer_value(json_object_get(answer, "samples")),
               (long long)json_integer_value(json_object_get(answer, "evaluations")));
    if (!json_is_true(json_object_get(answer, "exact")))
        scale_line("not exact: %s", why && why[0] ? why : "the record has gaps");
    say_figures(json_object_get(answer, "recorded"), json_object_get(answer, "replayed"));
    if (json_is_true(json_object_get(answer, "same")))
        scale_line("every decision is the one that was recorded");
    else
        scale_line(json_array_size(differences) ? "where it differs:"
                                                : "it would have wanted the same all the time");
    for (size_t i = 0; i < json_array_size(differences); i++)
        say_difference(json_array_get(differences, i));
    if (more > 0)
        scale_line("  and %lld more", more);
}

int verb_scale_replay(struct cli *c)
{
    nr_auto_free char *name = NULL;
    nr_auto_json json_t *document = NULL, *answer = NULL;
    char span[96], query[128];
    int e = span_query(c, span, sizeof(span));

    if (e != 0)
        return e;
    if (c->argc > 1 && (document = scale_document(c, c->argv[1], &name)) == NULL)
        return CLI_NOT_DONE;
    if (document) /* the edited rule takes the place of this one, whatever it is called */
        json_object_set_new(document, "policy", json_string(c->argv[0]));
    (void)snprintf(query, sizeof(query), "/replay?%s", span);
    nr_auto_free char *path = scale_policy_path(c->argv[0], query);

    e = scale_send(c, "POST", path, document, c->argc > 1 ? c->argv[1] : c->argv[0], &answer);
    if (e == 0 && cli_json(c))
        cli_print_json(answer);
    else if (e == 0)
        say_replay(c, answer);
    return e;
}

/* ---- forecasts, status ----------------------------------------------------------------------------------------------------- */

static void write_confidence(const json_t *row, struct nr_buf *out)
{
    nr_buf_printf(out, "%.2f", json_number_value(json_object_get(row, "confidence")));
}

static void write_ahead(const json_t *row, struct nr_buf *out)
{
    const json_t *keep = json_object_get(row, "keep_minutes");

    if (json_is_integer(keep))
        nr_buf_printf(out, "%" JSON_INTEGER_FORMAT " min", json_integer_value(keep));
    else
        nr_buf_addc(out, '-');
}

static const struct column forecasts[] = {
    {"ACCOUNT", "account", CELL_TEXT, 8},
    {"FUNCTION", "function", CELL_TEXT, 12},
    {"CLASS", "class", CELL_TEXT, 0},
    {"CONFIDENCE", NULL, CELL_NUMBER, 0, .write = write_confidence},
    {"TRUSTED", "trusted", CELL_YES, 0},
    {"KEPT FOR", NULL, CELL_TEXT, 0, .write = write_ahead},
    {"NEXT WARM", "next_warm_ms", CELL_TIME, 0},
};

/* Adds "&KEY=VALUE" to the path (made), in its place. */
static void add_query(char **path, const char *key, const char *value)
{
    nr_auto_free char *old = *path, *text = cli_path("%s", value);
    size_t n = strlen(old) + strlen(key) + strlen(text) + 3;

    *path = nr_alloc(n);
    (void)snprintf(*path, n, "%s&%s=%s", old, key, text);
}

int verb_scale_forecasts(struct cli *c)
{
    nr_auto_free char *path =
        cli_path("/narae/v1/scaling/forecasts?limit=%d",
                 c->number[OPT_LIMIT] < 0 ? (int64_t)30 : c->number[OPT_LIMIT]);

    if (c->argc)
        add_query(&path, "function", c->argv[0]);
    if (c->text[OPT_ACCOUNT])
        add_query(&path, "account", c->text[OPT_ACCOUNT]);
    return cli_get_list(c, path, "forecasts", forecasts, nr_countof(forecasts),
                        "nothing is foreseen yet: functions are learned as they are called");
}

static bool is_away(const json_t *status)
{
    const char *bus = nr_json_string(status, "bus");

    return bus && strcmp(bus, "away") == 0;
}

/* Without the bus it hears no samples, and nobody hears what it decides. */
static void write_decides(const json_t *status, struct nr_buf *out)
{
    bool decides = json_is_true(json_object_get(status, "decides"));

    nr_buf_adds(out, !decides ? "-" : is_away(status) ? "cut off: the broker is away" : "yes");
}

static void write_bus(const json_t *status, struct nr_buf *out)
{
    const char *brokers = nr_json_string(status, "brokers");

    if (brokers == NULL) {
        nr_buf_adds(out, is_away(status) ? "away" : "in this process");
        return;
    }
    nr_buf_adds(out, "Kafka ");
    text_add_clean(nr_str_of(brokers), out);
    nr_buf_adds(out, is_away(status) ? ", away" : "");
}

static const struct column status_fields[] = {
    {"scaler", "scaler", CELL_TEXT, 0},
    {"decides", NULL, CELL_TEXT, 16, .write = write_decides},
    {"last heard", "heard_ms", CELL_TIME, 0},
    {"bus", NULL, CELL_TEXT, 16, .write = write_bus},
    {"node", "node", CELL_TEXT, 0},
    {"policies", "policies", CELL_NUMBER, 0},
    {"functions", "functions", CELL_NUMBER, 0},
    {"forecasts", "predict", CELL_TEXT, 0},
    {"memory price", "memory_price", CELL_TEXT, 0},
    {"evaluations", "evaluations", CELL_NUMBER, 0},
    {"changes", "changes", CELL_NUMBER, 0},
    {"dropped", "dropped", CELL_OBJECT, 0},
};

int verb_scale_status(struct cli *c)
{
    return cli_get_list(c, "/narae/v1/scaling/status", NULL, status_fields,
                        nr_countof(status_fields), NULL);
}

/* ---- channels ---------------------------------------------------------------------------------------------------------------- */

static const struct column channels[] = {
    {"CHANNEL", "channel", CELL_TEXT, 8},
    {"URL", "url", CELL_TEXT, 16},
    {"CHANGED", "updated_ms", CELL_TIME, 0},
};

static int set_channel(struct cli *c, const char *word)
{
    const char *equals = strchr(word, '=');

    if (equals == NULL || equals == word || equals[1] == '\0')
        return cli_fail(c, "%s: give NAME=URL, or NAME=none to delete it\n  for example: %s", word,
                        c->verb->example);
    nr_auto_free char *name = nr_strndup(word, (size_t)(equals - word));
    nr_auto_free char *path = cli_path("/narae/v1/scaling/channels/%s", name);
    nr_auto_json json_t *body = json_pack("{s:s}", "url", equals + 1);

    if (strcmp(equals + 1, "none") != 0)
        return body ? cli_do(c, "PUT", path, body, "%s is told at %s", name, equals + 1)
                    : cli_fail(c, "%s is no UTF-8", word);
    struct nr_buf users;

    nr_buf_init(&users, 4096);
    uses_of_channel(c, name, &users);
    if (users.n && c->text[OPT_YES])
        cli_note(c, "deleting the channel %s%.*s", name, (int)users.n, users.p);
    int e = cli_confirm(c, "delete the channel %s%.*s", name, (int)users.n, users.n ? users.p : "");
    nr_buf_fini(&users);
    return e ? e : cli_do(c, "DELETE", path, NULL, "deleted the channel %s", name);
}

int verb_scale_channels(struct cli *c)
{
    int e = 0;

    for (int i = 0; e == 0 && i < c->argc; i++)
        e = set_channel(c, c->argv[i]);
    if (c->argc)
        return e;
    return cli_get_list(c, "/narae/v1/scaling/channels", "channels", channels, nr_countof(channels),
                        "no channels; narae scale channels ops=https://... makes one");
}
