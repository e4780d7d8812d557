/* narae logs: what a call wrote, or, with -f, --since or -n, what the calls of a function wrote and write.
 *
 * The stream is read as server-sent events. When the connection ends although it should not, and when the platform stops, it is opened
 * again behind the last activation that was printed (Last-Event-ID), until somebody ends the command. Around a break the platform may
 * send an activation twice: the ids of the newest ones are kept, and each is printed once.
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/verbs.h"
#include "common/base/clock.h"

#define SEEN_MAX 2048
#define RETRY_MS 1000
#define ID_BYTES 32

struct tail {
    struct cli *c;
    struct cli_events events;
    char last_id[ID_BYTES + 1], seen[SEEN_MAX][ID_BYTES + 1];
    unsigned seen_count;
    int64_t began_ms;
    bool complete, failed;
};

/* ---- printing ------------------------------------------------------------------------------------------------------ */

static bool seen_before(struct tail *t, const char *id)
{
    for (unsigned i = 0; i < SEEN_MAX && i < t->seen_count; i++)
        if (strcmp(t->seen[i], id) == 0)
            return true;
    (void)snprintf(t->seen[t->seen_count++ % SEEN_MAX], ID_BYTES + 1, "%s", id);
    return false;
}

/* One colour per activation; what came on stderr is red. */
static void print_line(const struct tail *t, const char *id, const char *line)
{
    static const int colours[] = {32, 33, 34, 35, 36};
    const char *stream = strchr(line, ' ');
    bool err = stream && strncmp(stream, " stderr:", 8) == 0;
    unsigned hash = 0;

    for (const char *p = id; *p; p++)
        hash = hash * 31 + (unsigned char)*p;
    if (t->c->term.colour)
        printf("\033[%dm%s\033[0m %s", colours[hash % nr_countof(colours)], id,
               err ? "\033[31m" : "");
    else
        printf("%s ", id);
    cli_print_line(stdout, line);
    if (t->c->term.colour && err)
        printf("\033[0m");
}

static void print_activation(struct tail *t, const json_t *j)
{
    const char *id = nr_json_string(j, "activationId");
    json_t *line;
    size_t i;

    if (id == NULL || strlen(id) != ID_BYTES || seen_before(t, id))
        return;
    memcpy(t->last_id, id, ID_BYTES + 1);
    if (cli_json(t->c)) {
        (void)json_dumpf(j, stdout, JSON_COMPACT);
        (void)fputc('\n', stdout);
    } else {
        json_array_foreach(json_object_get(j, "logs"), i, line)
            print_line(t, id, json_string_value(line));
    }
    (void)fflush(stdout);
}

static void print_dropped(struct tail *t, const json_t *j)
{
    cli_note(t->c,
             "%" JSON_INTEGER_FORMAT " activations were left out: they ended faster than their "
             "logs were taken; `narae activations %s` lists them",
             json_integer_value(json_object_get(j, "activations")), t->c->argv[0]);
}

static void take_end(struct tail *t, const json_t *j)
{
    const char *reason = nr_json_string(j, "reason");

    t->complete = reason && strcmp(reason, "complete") == 0;
    t->failed = reason && !t->complete && strcmp(reason, "stopping") != 0;
    if (t->failed)
        (void)cli_fail_why(t->c, WHY_PLATFORM,
                           "the platform ended the logs: %s\n  naraed's log says more", reason);
}

static void take_event(void *arg, const char *name, const json_t *data)
{
    static const struct {
        const char *event;
        void (*take)(struct tail *t, const json_t *j);
    } takes[] = {{"activation", print_activation}, {"dropped", print_dropped}, {"end", take_end}};

    for (size_t i = 0; i < nr_countof(takes); i++)
        if (strcmp(takes[i].event, name) == 0)
            takes[i].take(arg, data);
}

/* ---- what is asked for ------------------------------------------------------------------------------------------- */

static int logs_path(struct cli *c, const struct tail *t, char *out, size_t n)
{
    char name[2048], limit[40] = "", since[40] = "";
    int64_t since_ms = t->began_ms;

    if (!cli_path_name(c->argv[0], name, sizeof(name)))
        return cli_fail(c, "the name %s is too long", c->argv[0]);
    if (t->began_ms == 0 && cli_option_when(c, OPT_SINCE, &since_ms) != 0)
        return CLI_NOT_DONE;
    if (c->number[OPT_LIMIT] >= 0 && t->began_ms == 0)
        (void)snprintf(limit, sizeof(limit), "&limit=%" PRId64, c->number[OPT_LIMIT]);
    if (since_ms > 0)
        (void)snprintf(since, sizeof(since), "&since=%" PRId64, since_ms);
    (void)snprintf(out, n, "/narae/v1/functions/%s/logs?follow=%d%s%s", name,
                   c->text[OPT_FOLLOW] != NULL, limit, since);
    return 0;
}

/* ---- the verb ---------------------------------------------------------------------------------------------------------- */

/* One connection. 0 ended, 1 told why it cannot be, < 0 it broke or may come back. */
static int stream_once(struct tail *t, bool again)
{
    const char *headers[] = {"Accept: text/event-stream", NULL, NULL};
    char path[4096], last[64];
    struct cli_stream stream = {.method = "GET",
                                .path = path,
                                .headers = headers,
                                .again = again,
                                .on_bytes = cli_events_bytes,
                                .arg = &t->events};
    int e = logs_path(t->c, t, path, sizeof(path));

    if (e != 0)
        return e;
    if (t->last_id[0]) {
        (void)snprintf(last, sizeof(last), "Last-Event-ID: %s", t->last_id);
        headers[1] = last;
    }
    cli_events_reset(&t->events);
    return cli_stream(t->c, &stream);
}

static int tail_function(struct cli *c)
{
    struct tail *t = nr_alloc(sizeof(*t));
    int64_t now_ms = nr_wall_ms();
    bool told = false;
    int e;

    t->c = c;
    cli_events_init(&t->events, take_event, t);
    while ((e = stream_once(t, told)) <= 0 && c->text[OPT_FOLLOW] && !t->complete && !t->failed) {
        if (!told)
            cli_note(c, "the connection ended; going on when the platform is back");
        told = true;
        if (t->last_id[0] == '\0' && t->began_ms == 0)
            t->began_ms = now_ms;
        (void)usleep(RETRY_MS * 1000);
    }
    e = e < 0       ? cli_fail_why(c, WHY_NO_ANSWER,
                                   "the connection broke before all logs had come\n  try again")
        : t->failed ? 1
                    : e;
    cli_events_fini(&t->events);
    free(t);
    return e;
}

int verb_logs(struct cli *c)
{
    nr_auto_json json_t *answer = NULL;
    json_t *line;
    size_t i;

    bool tails = c->text[OPT_FOLLOW] || c->text[OPT_SINCE] || c->text[OPT_LIMIT];

    if (tails && c->argc == 0)
        return cli_fail(c, "narae logs FUNCTION: whose logs? `narae functions` lists them\n"
                           "  for example: narae logs -f hello");
    if (tails)
        return tail_function(c);
    int e = cli_activation(c, "/logs", &answer);
    if (e != 0)
        return e;
    if (cli_json(c)) {
        cli_print_json(answer);
        return 0;
    }
    json_array_foreach(json_object_get(answer, "logs"), i, line)
        cli_print_line(stdout, json_string_value(line));
    cli_hint_sequence_logs(c, json_object_get(answer, "logs"));
    return 0;
}
