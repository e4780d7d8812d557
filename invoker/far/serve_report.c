/* What this invoker has, told each second with the numbers of the calls that wait here for a slot, and at once when containers have become ready, so that who places calls
 * knows of them; and what happens to containers, as it happens. Both are left out while much waits to be sent: the next report tells all anew, events may be lost.
 */
#include "invoker/far/serve.h"

#include "ports/event.h"
#include "ports/figures.h"

enum { SOON_MS = 20 };

/* Figures of a function's name, until they are told with the first of its revisions. */
struct named {
    struct nr_map_node node;
    struct container_figures figures;
};

struct telling {
    struct link *l;
    struct wire_report report;
    struct nr_map names;
    struct nr_arena arena;
    struct nr_buf key;
};

static void note_figures(void *arg, const struct container_figures *f)
{
    struct telling *t = arg;
    struct named *n = nr_arena_get(&t->arena, sizeof(*n));

    if (n == NULL)
        return;
    *n = (struct named){.figures = *f};
    n->node.key = f->key;
    (void)nr_map_put(&t->names, &n->node);
}

static void tell_pool(void *arg, const struct function *f, const struct invoker_load *load)
{
    struct telling *t = arg;
    struct wire_pool p = {.revision = f->revision,
                          .load = *load,
                          .peak_bytes = invoker_function_peak_bytes(t->l->invoker, f->path)};

    nr_buf_reset(&t->key, 4096);
    nr_buf_printf(&t->key, "%s/%s/%s", f->account, f->package, f->name);
    struct nr_map_node *n = nr_map_del(&t->names, nr_buf_str(&t->key));

    if (n)
        p.figures = nr_container_of(n, struct named, node)->figures;
    p.figures.key = nr_buf_str(&t->key);
    if (!t->key.failed)
        wire_report_pool(&t->report, &p);
}

/* The calls that have not asked for their claim. No memory for them: they are named another time. */
static void name_unasked(struct link *l, struct wire_report *r, struct nr_buf *room)
{
    NR_LIST_EACH(&l->unasked, each) {
        const struct served *c = nr_container_of(each, struct served, unasked);

        nr_buf_add(room, &c->number, sizeof(c->number));
    }
    if (!room->failed)
        wire_report_name(r, nr_buf_str(room));
}

/* naming: calls are named, too. */
static void tell(struct link *l, bool naming)
{
    struct telling t = {.l = l};
    char why[INVOKER_WHY_BYTES] = "";
    struct wire_node node = {.containers_max = l->c.containers_max,
                             .results_dropped = l->results_dropped,
                             .results_late = l->results_late};
    struct nr_buf names;

    nr_map_init(&t.names);
    nr_arena_init(&t.arena, 64 << 20);
    nr_buf_init(&t.key, 8192);
    nr_buf_init(&names, WIRE_CALLS_MAX * sizeof(uint64_t));
    invoker_figures(l->invoker, note_figures, &t, &node.figures);
    node.ready = invoker_ready(l->invoker, why);
    node.why = nr_str_of(node.ready ? "" : why);
    wire_report_begin(&t.report, l->stream, &node);
    invoker_loads(l->invoker, tell_pool, &t);
    if (naming)
        name_unasked(l, &t.report, &names);
    wire_report_end(&t.report);
    nr_buf_fini(&names);
    nr_buf_fini(&t.key);
    nr_map_fini(&t.names);
    nr_arena_fini(&t.arena);
}

static void on_report(struct nr_deadline *d)
{
    struct link *l = nr_container_of(d, struct link, report);

    nr_deadline_set(l->loop, &l->report, WIRE_REPORT_MS);
    results_send(l);
    if (serve_flows(l))
        tell(l, true);
    leave_look(l);
}

static void on_soon(struct nr_deadline *d)
{
    struct link *l = nr_container_of(d, struct link, soon);

    if (serve_flows(l))
        tell(l, false);
}

void report_start(struct link *l)
{
    l->report.fire = on_report;
    l->soon.fire = on_soon;
    nr_deadline_set(l->loop, &l->report, 0);
}

void report_soon(struct link *l)
{
    if (l->up && !nr_deadline_armed(&l->soon))
        nr_deadline_set(l->loop, &l->soon, SOON_MS);
}

void report_stop(struct link *l)
{
    nr_deadline_cancel(&l->report);
    nr_deadline_cancel(&l->soon);
}

void link_event(struct link *l, const struct event *e)
{
    if (e->id == EVENT_CONTAINER_STARTED || e->id == EVENT_INIT_AHEAD)
        report_soon(l);
    if (!serve_flows(l))
        return;
    wire_event_write(e, serve_meta(l));
    serve_send(l, WIRE_EVENT, 0, 0, (struct nr_str){NULL, 0});
}
