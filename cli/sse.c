/* Server-sent events out of a stream of bytes that comes in any pieces. */
#include <stdio.h>

#include "cli/cli.h"

#define EVENT_MAX_BYTES (128u << 20)
#define KEEP_BYTES (1u << 20)

void cli_events_init(struct cli_events *e, void (*take)(void *, const char *, const json_t *),
                     void *arg)
{
    *e = (struct cli_events){.take = take, .arg = arg};
    nr_buf_init(&e->line, EVENT_MAX_BYTES);
    nr_buf_init(&e->data, EVENT_MAX_BYTES);
}

void cli_events_fini(struct cli_events *e)
{
    nr_buf_fini(&e->line);
    nr_buf_fini(&e->data);
}

void cli_events_reset(struct cli_events *e)
{
    nr_buf_reset(&e->line, 0);
    nr_buf_reset(&e->data, 0);
    e->name[0] = '\0';
}

static void end_event(struct cli_events *e)
{
    nr_auto_json json_t *j = e->data.n ? nr_json_parse(nr_buf_str(&e->data), NULL) : NULL;

    if (j)
        e->take(e->arg, e->name, j);
    e->name[0] = '\0';
    nr_buf_reset(&e->data, KEEP_BYTES);
}

static void end_line(struct cli_events *e)
{
    struct nr_str line = nr_buf_str(&e->line);

    if (line.n == 0)
        end_event(e);
    else if (nr_str_starts(line, "event: "))
        (void)snprintf(e->name, sizeof(e->name), "%.*s", (int)line.n - 7, line.p + 7);
    else if (nr_str_starts(line, "data: "))
        nr_buf_add(&e->data, line.p + 6, line.n - 6);
    nr_buf_reset(&e->line, KEEP_BYTES);
}

bool cli_events_bytes(void *events, struct nr_str bytes)
{
    struct cli_events *e = events;

    while (bytes.n > 0) {
        const char *end = memchr(bytes.p, '\n', bytes.n);
        size_t n = end ? (size_t)(end - bytes.p) : bytes.n;

        nr_buf_add(&e->line, bytes.p, n);
        if (end)
            end_line(e);
        bytes.p += n + (end != NULL);
        bytes.n -= n + (end != NULL);
    }
    return !e->line.failed && !e->data.failed;
}
