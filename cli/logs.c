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
#include "common/base/clock.h"

#define EVENT_MAX_BYTES (128u << 20)
#define SEEN_MAX 2048
#define RETRY_MS 1000
#define ID_BYTES 32

struct tail {
    struct cli *c;
    struct nr_buf line, data; /* of the event that is on its way */
    char event[32];
    char last_id[ID_BYTES + 1], seen[SEEN_MAX][ID_BYTES + 1];
    unsigned seen_count;
    int64_t began_ms;
    bool colour, complete, failed;
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

    if (!t->colour) {
        printf("%s %s\n", id, line);
        return;
    }
    for (const char *p = id; *p; p++)
        hash = hash * 31 + (unsigned char)*p;
    printf("\033[%dm%s\033[0m %s%s%s\n", colours[hash % nr_countof(colours)], id,
           err ? "\033[31m" : "", line, err ? "\033[0m" : "");
}

static void print_activation(struct tail *t, const json_t *j)
{
    const char *id = nr_json_string(j, "activationId");
    json_t *line;
    size_t i;

    if (id == NULL || strlen(id) != ID_BYTES || seen_before(t, id))
        return;
    memcpy(t->last_id, id, ID_BYTES + 1);
    if (t->c->json) {
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
    (void)fprintf(stderr,
                  "narae: %" JSON_INTEGER_FORMAT " activations were left out: they ended faster "
                  "than their logs were taken; `narae activations %s` lists them\n",
                  json_integer_value(json_object_get(j, "activations")), t->c->argv[0]);
}

static void take_end(struct tail *t, const json_t *j)
{
    const char *reason = nr_json_string(j, "reason");

    t->complete = reason && strcmp(reason, "complete") == 0;
    t->failed = reason && !t->complete && strcmp(reason, "stopping") != 0;
    if (t->failed)
        (void)cli_fail("the platform ended the logs: %s\n  naraed's log says more", reason);
}

static void take_event(struct tail *t)
{
    static const struct {
        const char *event;
        void (*take)(struct tail *t, const json_t *j);
    } takes[] = {{"activation", print_activation}, {"dropped", print_dropped}, {"end", take_end}};
    nr_auto_json json_t *j = t->data.n ? nr_json_parse(nr_buf_str(&t->data), NULL) : NULL;

    for (size_t i = 0; j && i < nr_countof(takes); i++)
        if (strcmp(takes[i].event, t->event) == 0)
            takes[i].take(t, j);
    t->event[0] = '\0';
    nr_buf_reset(&t->data, 1 << 20);
}

/* ---- the event stream ------------------------------------------------------------------------------------------------ */

static void take_line(struct tail *t)
{
    struct nr_str line = nr_buf_str(&t->line);

    if (line.n == 0) {
        take_event(t);
    } else if (nr_str_starts(line, "event: ")) {
        (void)snprintf(t->event, sizeof(t->event), "%.*s", (int)line.n - 7, line.p + 7);
    } else if (nr_str_starts(line, "data: ")) {
        nr_buf_add(&t->data, line.p + 6, line.n - 6);
    }
    nr_buf_reset(&t->line, 1 << 20);
}

static bool on_bytes(void *arg, struct nr_str bytes)
{
    struct tail *t = arg;

    while (bytes.n > 0) {
        const char *end = memchr(bytes.p, '\n', bytes.n);
        size_t n = end ? (size_t)(end - bytes.p) : bytes.n;

        nr_buf_add(&t->line, bytes.p, n);
        if (end)
            take_line(t);
        bytes.p += n + (end != NULL);
        bytes.n -= n + (end != NULL);
    }
    return !t->line.failed && !t->data.failed;
}

/* ---- when ------------------------------------------------------------------------------------------------------------- */

/* "90s", "10m", "2h", "1d" ago; milliseconds since 1970; or a time as logs have it. */
static bool parse_since(const char *text, int64_t *ret_ms)
{
    static const struct {
        char unit;
        int64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    size_t n = strlen(text);
    struct tm tm = {0};
    int64_t number;

    if (nr_str_to_i64(nr_str_of(text), 0, INT64_MAX, ret_ms))
        return true;
    for (size_t i = 0; n > 1 && i < nr_countof(units); i++)
        if (text[n - 1] == units[i].unit &&
            nr_str_to_i64((struct nr_str){text, n - 1}, 0, 36500, &number)) {
            *ret_ms = nr_wall_ms() - number * units[i].ms;
            return true;
        }
    if (strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) == NULL)
        return false;
    *ret_ms = (int64_t)timegm(&tm) * 1000;
    return true;
}

static int logs_path(struct cli *c, const struct tail *t, char *out, size_t n)
{
    char name[2048], limit[40] = "", since[40] = "";
    int64_t since_ms = t->began_ms;

    if (!cli_path_name(c->argv[0], name, sizeof(name)))
        return cli_fail("the name %s is too long", c->argv[0]);
    if (t->began_ms == 0 && c->since && !parse_since(c->since, &since_ms))
        return cli_fail("--since %s: give 90s, 10m, 2h or 1d, a time like 2026-01-31T12:00:00Z, or "
                        "milliseconds since 1970",
                        c->since);
    if (c->limit >= 0 && t->began_ms == 0)
        (void)snprintf(limit, sizeof(limit), "&limit=%" PRId64, c->limit);
    if (since_ms > 0)
        (void)snprintf(since, sizeof(since), "&since=%" PRId64, since_ms);
    (void)snprintf(out, n, "/narae/v1/functions/%s/logs?follow=%d%s%s", name, c->follow, limit,
                   since);
    return 0;
}

/* ---- the verb ---------------------------------------------------------------------------------------------------------- */

/* One connection. 0 ended, 1 told why it cannot be, < 0 it broke or may come back. */
static int stream_once(struct tail *t, bool again)
{
    const char *headers[] = {"Accept: text/event-stream", NULL, NULL};
    char path[4096], last[64];
    int e = logs_path(t->c, t, path, sizeof(path));

    if (e != 0)
        return e;
    if (t->last_id[0]) {
        (void)snprintf(last, sizeof(last), "Last-Event-ID: %s", t->last_id);
        headers[1] = last;
    }
    nr_buf_reset(&t->line, 0);
    nr_buf_reset(&t->data, 0);
    return cli_stream(t->c, path, headers, again, on_bytes, t);
}

static int tail_function(struct cli *c)
{
    struct tail *t = nr_alloc(sizeof(*t));
    int64_t now_ms = nr_wall_ms();
    bool told = false;
    int e;

    t->c = c;
    t->colour = isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL;
    nr_buf_init(&t->line, EVENT_MAX_BYTES);
    nr_buf_init(&t->data, EVENT_MAX_BYTES);
    while ((e = stream_once(t, told)) <= 0 && c->follow && !t->complete && !t->failed) {
        if (!told)
            (void)fprintf(stderr,
                          "narae: the connection ended; going on when the platform is back\n");
        told = true;
        if (t->last_id[0] == '\0' && t->began_ms == 0)
            t->began_ms = now_ms;
        (void)usleep(RETRY_MS * 1000);
    }
    e = e < 0       ? cli_fail("the connection broke before all logs had come; try again")
        : t->failed ? 1
                    : e;
    nr_buf_fini(&t->line);
    nr_buf_fini(&t->data);
    free(t);
    return e;
}

int verb_logs(struct cli *c)
{
    nr_auto_json json_t *answer = NULL;
    json_t *line;
    size_t i;

    if ((c->follow || c->since || c->limit >= 0) && c->argc == 0)
        return cli_fail("narae logs FUNCTION: whose logs? `narae functions` lists them\n"
                        "  for example: narae logs -f hello");
    if (c->follow || c->since || c->limit >= 0)
        return tail_function(c);
    int e = cli_activation(c, "/logs", &answer);
    if (e != 0)
        return e;
    if (c->json) {
        cli_print_json(answer);
        return 0;
    }
    json_array_foreach(json_object_get(answer, "logs"), i, line)
        printf("%s\n", json_string_value(line));
    return 0;
}
