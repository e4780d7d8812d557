/* narae preenv: starts a trial and watches it, lists, shows, applies and cancels trials. The curve is drawn by preenv_curve.c.
 *
 * A trial is the platform's: whoever ends this command leaves it running, and finds it again with `narae preenv show`. It is looked at
 * every half second, so it is followed over restarts of the platform too.
 */
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/preenv_curve.h"
#include "cli/verbs.h"

#define LOOK_MS 500
#define AWAY_MAX 120 /* looks without an answer */

static const struct column columns[] = {
    {"ID", "id", CELL_TEXT, 8, .whole = true},
    {"STATE", "state", CELL_STATE, 0},
    {"VERSION", "version", CELL_TEXT, 0},
    {"DECLARED", "declared_mb", CELL_MB, 0},
    {"CHOSEN", "chosen_mb", CELL_MB, 0},
    {"CORES", "chosen_cpus", CELL_NUMBER, 0, .wide = true},
    {"NOISY", "noisy", CELL_YES, 0},
    {"APPLIED", "applied", CELL_YES, 0},
    {"STARTED", "started_ms", CELL_TIME, 0},
    {"REASON", "reason", CELL_TEXT, 0, .wide = true},
};

/* Of a run of the function that the first word names. */
static char *run_path(const struct cli *c, const char *id, const char *tail)
{
    nr_auto_free char *base = cli_path("/narae/v1/functions/%s/preenv/%s", c->argv[0], id);
    size_t n = strlen(base) + strlen(tail) + 1;
    char *path = nr_alloc(n);

    (void)snprintf(path, n, "%s%s", base, tail);
    return path;
}

/* The second word, else the id of the latest run (made); NULL after saying why. */
static char *run_id(struct cli *c)
{
    nr_auto_free char *path = cli_path("/narae/v1/functions/%s/preenv", c->argv[0]);
    nr_auto_json json_t *answer = NULL;

    if (c->argc > 1)
        return nr_strdup(c->argv[1]);
    if (cli_call(c, "GET", path, NULL, 0, &answer, NULL) != 0)
        return NULL;
    const char *id = nr_json_string(json_array_get(json_object_get(answer, "runs"), 0), "id");
    if (id == NULL)
        (void)cli_fail_why(c, WHY_NOT_FOUND, "%s was never tried; narae preenv run %s does it",
                           c->argv[0], c->argv[0]);
    return nr_strdup(id);
}

/* ---- watching ----------------------------------------------------------------------------------------------------------- */

struct watching {
    struct cli *c;
    const char *id;
    size_t told; /* events that were printed */
};

static bool is_running(const json_t *run)
{
    const char *state = nr_json_string(run, "state");

    return state && strcmp(state, "running") == 0;
}

/* A line that is drawn over itself on a terminal; a line for each event in a pipe. */
static void tell(struct watching *w, const json_t *run)
{
    const json_t *events = json_object_get(run, "events");
    const char *phase = nr_json_string(run, "phase");
    size_t tested = json_array_size(json_object_get(run, "configurations"));
    struct nr_buf bar;

    if (!w->c->term.err) {
        for (; w->told < json_array_size(events); w->told++) {
            const json_t *e = json_array_get(events, w->told);
            const char *station = nr_json_string(e, "station"), *text = nr_json_string(e, "text");

            cli_remark(w->c, "%s: %s", station ? station : "?", text ? text : "");
        }
        return;
    }
    nr_buf_init(&bar, 1 << 12);
    text_add_bar(&w->c->term, (double)tested, PREENV_TESTED_USUAL, 18, &bar);
    (void)fprintf(stderr, "\r\033[K[%.*s] %zu tested  %.*s", (int)bar.n, bar.p, tested,
                  w->c->term.columns > 60 ? (int)w->c->term.columns - 40 : 8, phase ? phase : "");
    nr_buf_fini(&bar);
}

/* The whole run when it has ended (made); NULL: it goes on without us, or said why. */
static json_t *watch(struct watching *w, bool *ret_left)
{
    nr_auto_free char *path = run_path(w->c, w->id, "");
    struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    json_t *run = NULL;
    sigset_t ends;
    int away = 0;

    (void)sigemptyset(&ends);
    (void)sigaddset(&ends, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &ends, NULL);
    do {
        json_decref(run);
        run = NULL;
        w->c->quiet = true;
        away = cli_call(w->c, "GET", path, NULL, 0, &run, NULL) == 0 ? 0 : away + 1;
        w->c->quiet = false;
        if (away == 0)
            tell(w, run);
        if (away == AWAY_MAX)
            break;
    } while ((away || is_running(run)) &&
             !(*ret_left = sigtimedwait(&ends, NULL, &pause) == SIGINT));
    (void)sigprocmask(SIG_UNBLOCK, &ends, NULL);
    if (w->c->term.err)
        (void)fputs("\r\033[K", stderr);
    if (run && !is_running(run) && !away)
        return run;
    json_decref(run);
    return NULL;
}

static void show(struct cli *c, const json_t *run)
{
    if (cli_json(c))
        cli_print_json(run);
    else
        preenv_curve_print(c, run);
}

/* The exit status of a trial that was waited for. */
static int ended(const struct cli *c, const json_t *run)
{
    const char *state = nr_json_string(run, "state"), *reason = nr_json_string(run, "reason");
    bool failed = state && strcmp(state, "failed") == 0;

    if (!failed && (state == NULL || strcmp(state, "cancelled") != 0))
        return CLI_DONE;
    return cli_fail_why(c, failed ? WHY_PLATFORM : WHY_PARTLY, "the trial %s%s%s",
                        failed ? "failed" : "was cancelled", reason && reason[0] ? ": " : "",
                        reason ? reason : "");
}

/* ---- the verbs --------------------------------------------------------------------------------------------------------------- */

static json_t *request_of(const struct cli *c)
{
    json_t *body = json_object();

    if (c->payloads)
        json_object_set(body, "payloads", c->payloads);
    if (c->text[OPT_TOLERANCE])
        json_object_set_new(body, "tolerance", json_real(c->real[OPT_TOLERANCE] / 100));
    if (c->text[OPT_REPEATS])
        json_object_set_new(body, "repeats", json_integer(c->number[OPT_REPEATS]));
    if (c->text[OPT_DEADLINE])
        json_object_set_new(body, "deadline_s", json_integer(c->number[OPT_DEADLINE]));
    if (c->text[OPT_AXIS])
        json_object_set_new(body, "axis", json_string(c->text[OPT_AXIS]));
    if (c->text[OPT_APPLY])
        json_object_set_new(body, "apply", json_true());
    return body;
}

static int add_version(const struct cli *c, json_t *body)
{
    int64_t version;

    if (c->text[OPT_VERSION] == NULL)
        return 0;
    if (!nr_str_to_i64(nr_str_of(c->text[OPT_VERSION]), 1, INT32_MAX, &version))
        return cli_fail(c, "--version %s: a version is a number from 1", c->text[OPT_VERSION]);
    json_object_set_new(body, "version", json_integer(version));
    return 0;
}

int verb_preenv(struct cli *c)
{
    nr_auto_free char *path = cli_path("/narae/v1/functions/%s/preenv", c->argv[0]);
    nr_auto_json json_t *body = request_of(c), *answer = NULL;
    bool left = false;

    if (add_version(c, body) != 0)
        return CLI_NOT_DONE;
    int e = cli_call(c, "POST", path, body, 0, &answer, NULL);
    if (e != 0)
        return e;
    struct watching w = {.c = c, .id = nr_json_string(answer, "id")};
    if (c->text[OPT_ASYNC] || w.id == NULL) {
        if (cli_json(c))
            cli_print_json(answer);
        else
            printf("%s\n", w.id ? w.id : "?");
        return CLI_DONE;
    }
    nr_auto_json json_t *run = watch(&w, &left);
    if (run) {
        show(c, run);
        return ended(c, run);
    }
    if (!left)
        return cli_fail_why(c, WHY_NO_ANSWER,
                            "the platform does not answer; narae preenv show %s %s finds the trial "
                            "again",
                            c->argv[0], w.id);
    cli_note(c, "it goes on; narae preenv show %s %s", c->argv[0], w.id);
    return CLI_DONE;
}

/* Below the list: real calls since the latest trial are no longer like it. */
int verb_preenv_list(struct cli *c)
{
    nr_auto_free char *path = cli_path("/narae/v1/functions/%s/preenv", c->argv[0]);
    nr_auto_json json_t *answer = NULL;
    int e = cli_call(c, "GET", path, NULL, 0, &answer, NULL);

    if (e != 0)
        return e;
    const char *drift = nr_json_string(answer, "drift");

    cli_show_list(c, answer, "runs", columns, nr_countof(columns),
                  "it was never tried; narae preenv run FUNCTION does it");
    if (drift && !cli_json(c))
        text_print_wrapped(stdout, &c->term, 2, 0, drift);
    return CLI_DONE;
}

int verb_preenv_show(struct cli *c)
{
    nr_auto_free char *id = run_id(c), *path = id ? run_path(c, id, "") : NULL;
    nr_auto_json json_t *run = NULL;
    int e = path ? cli_call(c, "GET", path, NULL, 0, &run, NULL) : CLI_NOT_DONE;

    if (e == 0)
        show(c, run);
    return e;
}

int verb_preenv_apply(struct cli *c)
{
    nr_auto_free char *id = run_id(c), *path = id ? run_path(c, id, "/apply") : NULL;

    return path ? cli_do(c, "POST", path, NULL, "%s has what the trial has chosen", c->argv[0])
                : CLI_NOT_DONE;
}

int verb_preenv_cancel(struct cli *c)
{
    nr_auto_free char *id = run_id(c), *path = id ? run_path(c, id, "/cancel") : NULL;

    return path ? cli_do(c, "POST", path, NULL, "the trial of %s ends", c->argv[0]) : CLI_NOT_DONE;
}
