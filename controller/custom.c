/* Custom metrics: a line of a function's log that is an object with the member "metric" is a value that the function tells,
 *
 *     {"metric":"room_temp_celsius","value":21.5,"labels":{"room":"a"}}
 *
 * and stays a line of the log all the same. Only the beginning of a log is looked at, and a call tells so many values at most: what a call may cost the loop
 * is bounded however much it writes. A log without the word costs one search for it.
 */
#include "controller/internal.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "ports/sample.h"

enum { LOOK_MAX_BYTES = 65536, VALUES_MAX = 64, LINE_MAX_BYTES = 4096, STAMP_MAX_BYTES = 48 };

/* What stands behind "2026-01-02T03:04:05.123456789Z stdout: "; absent when it is no such line, or does not begin an object. */
static struct nr_str text_of(struct nr_str line)
{
    static const char *const streams[] = {" stdout: ", " stderr: "};
    size_t look = line.n < STAMP_MAX_BYTES ? line.n : STAMP_MAX_BYTES;

    for (size_t i = 0; i < nr_countof(streams); i++) {
        const char *at = memmem(line.p, look, streams[i], strlen(streams[i]));

        if (at == NULL)
            continue;
        at += strlen(streams[i]);
        struct nr_str text = {at, (size_t)(line.p + line.n - at)};

        if (text.n > 0 && text.n <= LINE_MAX_BYTES && *at == '{')
            return text;
    }
    return (struct nr_str){NULL, 0};
}

static bool is_value(struct nr_str text)
{
    struct nr_str name = {NULL, 0};

    return text.p && nr_json_scan_key(text, "metric", &name) == NR_JSON_OBJECT && name.p;
}

void custom_read(struct controller *c, const struct activation *a)
{
    struct nr_str rest = nr_buf_str(&a->logs), line;
    struct sample_room room = {.used = 0};
    struct sample s = {0};
    unsigned values = 0;

    if (rest.n > LOOK_MAX_BYTES)
        rest.n = LOOK_MAX_BYTES;
    if (memmem(rest.p, rest.n, "\"metric\"", 8) == NULL)
        return;
    while (values < VALUES_MAX && nr_str_split(&rest, '\n', &line)) {
        struct nr_str text = text_of(line);

        if (!is_value(text))
            continue;
        values++;
        int64_t now_ms = nr_wall_ms();
        bool good = sample_read(text, now_ms, &room, &s, NULL) == 0 && s.metric.p;

        s.t_ms = now_ms; /* a line is of now, whatever it says */
        c->on_metric(c->on_metric_arg, a, good ? &s : NULL);
    }
}
