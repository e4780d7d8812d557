/* The table of events, and their text. */
#include "ports/event.h"

const struct event_row event_table[] = {
    [EVENT_FUNCTION_CHANGED] =
        {"function_changed",
         {"change"},
         "a version of a function that is called by its name or an alias was replaced, kept beside another, or cancelled"},
    [EVENT_CONTAINER_STARTED] =
        {"container_started",
         {"container", "start", "for", "cause", "memory_mb", "took_ms", "network_ms", "create_ms",
          "boot_ms"},
         "a container can be given calls; start: cold, or stem when one that was started ahead became the function's"},
    [EVENT_CONTAINER_START_FAILED] = {"container_start_failed",
                                      {"container", "why"},
                                      "a container did not come up"},
    [EVENT_INIT_AHEAD] =
        {"init_ahead",
         {"container", "took_ms", "log"},
         "the code was loaded before any call; log: the last lines that it wrote meanwhile"},
    [EVENT_INIT_AHEAD_FAILED] =
        {"init_ahead_failed",
         {"container", "why", "took_ms", "error", "log", "failures", "again_ms"},
         "it was started ahead and ended by itself before any call; failures: in a row; again_ms: until the next try"},
    [EVENT_CONTAINER_ENDED] = {"container_ended",
                               {"container", "why", "memory_mb", "lived_ms"},
                               "a container gets no further call and is being removed"},
    [EVENT_OOM_KILLED] = {"oom_killed",
                          {"container", "kills", "memory_mb"},
                          "the kernel killed processes of a container for want of memory"},
    [EVENT_THROTTLED] =
        {"throttled",
         {"why"},
         "a call was refused by a limit (429), the first of its function in a minute"},
    [EVENT_NODE_FULL] = {"node_full",
                         {"wanted_mb", "used_mb", "max_mb"},
                         "a call waits for a container that has no room, the first in a minute"},
};

_Static_assert(sizeof event_table / sizeof *event_table == EVENTS, "a row for each event");

static void add_text(struct nr_buf *out, const char *name, const char *text)
{
    nr_buf_printf(out, ",\"%s\":", name);
    nr_buf_json(out, nr_str_of(text));
}

static void add_function(const struct event *e, struct nr_buf *out)
{
    if (e->package && e->package[0]) {
        nr_buf_adds(out, e->package);
        nr_buf_addc(out, '/');
    }
    nr_buf_adds(out, e->name);
}

void event_write(const struct event *e, const char *node, int64_t t_ms, struct nr_buf *out)
{
    const struct event_row *row = &event_table[e->id];

    nr_buf_printf(out, "{\"v\":1,\"t\":%lld", (long long)t_ms);
    add_text(out, "node", node);
    add_text(out, "event", row->name);
    if (e->account) {
        struct nr_buf function;

        nr_buf_init(&function, 2048);
        add_function(e, &function);
        add_text(out, "account", e->account);
        nr_buf_adds(out, ",\"function\":");
        nr_buf_json(out, nr_buf_str(&function));
        nr_buf_fini(&function);
    }
    if (e->version)
        add_text(out, "version", e->version);
    for (int i = 0; i < EVENT_MEMBERS_MAX && row->members[i]; i++) {
        const struct event_value *v = &e->member[i];

        if (v->text && v->text[0])
            add_text(out, row->members[i], v->text);
        else if (v->text == NULL && v->number >= 0)
            nr_buf_printf(out, ",\"%s\":%lld", row->members[i], (long long)v->number);
    }
    nr_buf_addc(out, '}');
}

void event_key(const struct event *e, const char *node, struct nr_buf *out)
{
    nr_buf_adds(out, e->account ? e->account : "node");
    nr_buf_addc(out, '/');
    if (e->account)
        add_function(e, out);
    else
        nr_buf_adds(out, node);
}
