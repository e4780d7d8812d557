/* What an invoker tells of its host: a report each second, in one frame or several, and events as they happen.
 *
 * far_load() needs no question to the other host: its slots are what the last report had of them, and who uses them are the calls that we gave it and that
 * have not ended. So the answer is right at once after each call, and a report that was on its way meanwhile changes nothing of it.
 */
#include "invoker/far/far_state.h"
#include "ports/event.h"

/* ---- a report ---- */

static void on_node(void *arg, const struct wire_node *n)
{
    struct far *f = arg;

    f->node = n->figures;
    f->joules += n->figures.joules;
    f->containers_max = n->containers_max;
    f->results_dropped = n->results_dropped;
    if (n->results_late > f->results_late)
        nr_count(&f->l->m.late, n->results_late - f->results_late);
    f->results_late = n->results_late;
    f->ready = n->ready;
    (void)snprintf(f->why, sizeof(f->why), "%.*s", (int)n->why.n, n->why.p ? n->why.p : "");
    if (!n->ready && f->why[0] == '\0')
        (void)snprintf(f->why, sizeof(f->why), "its Engine does not answer");
}

/* Of several revisions of a name in one report the figures are added. */
static void add_figures(struct far_name *name, uint64_t report, const struct container_figures *x)
{
    struct container_figures *to = &name->figures;

    if (name->report != report)
        *to = (struct container_figures){.key = name->node.key};
    name->report = report;
    container_figures_add(to, x);
    to->joules = to->cpu_seconds = 0; /* these are kept until they are asked for */
    name->joules += x->joules;
    name->cpu_seconds += x->cpu_seconds;
}

/* The key is ours, whatever the other side says of it: nobody's figures can be told by somebody else's invoker. */
static void on_pool(void *arg, const struct wire_pool *p)
{
    struct far *f = arg;
    struct far_function *e = far_function_of(f, p->revision);

    if (e == NULL)
        return;
    e->report = f->report;
    e->load = p->load;
    add_figures(e->name, f->report, &p->figures);
    if (e->name->peak_bytes < p->peak_bytes)
        e->name->peak_bytes = p->peak_bytes;
}

static const struct wire_report_hooks report_hooks = {on_node, on_pool};

int far_on_report(struct far_link *link, const struct wire_frame *w)
{
    struct far *f = link->f;
    struct nr_err err = {0};

    if (!f->reporting)
        f->report++;
    f->reporting = w->head.flags & WIRE_MORE;
    if (wire_report_read(w, &link->l->arena, &report_hooks, f, &err) < 0)
        return far_link_broken(link, "%s", err.text);
    if (w->raw.n % sizeof(uint64_t) != 0)
        return far_link_broken(link, "REPORT: %zu bytes are no numbers of calls", w->raw.n);
    far_named(f, w->raw);
    if (f->reporting)
        return 0;
    f->naming += (w->head.flags & WIRE_ON) != 0;
    f->reported_ms = link->l->config.loop->now_ms;
    far_functions_reported(f);
    link->l->config.reported(link->l->config.arg, f);
    return 0;
}

/* ---- events ---- */

/* Its own host's, or of a function that it was told and has calls or containers of: of nobody else's. */
static bool may_tell(const struct far *f, const struct event *e)
{
    return e->account == NULL || far_name_known(f, e->account, e->package, e->name);
}

int far_on_event(struct far_link *link, const struct wire_frame *w)
{
    struct event e;
    struct nr_err err = {0};
    int r = wire_event_read(w->meta, &link->l->arena, &e, &err);

    if (r == NR_ENOENT)
        return 0;
    if (r < 0)
        return far_link_broken(link, "%s", err.text);
    nr_count(&link->l->m.events, 1);
    if (link->l->config.event && may_tell(link->f, &e))
        link->l->config.event(link->l->config.arg, link->f, &e);
    return 0;
}

/* ---- what is asked of it ---- */

int64_t far_function_peak_bytes(const struct far *f, const struct function *fn)
{
    const struct far_name *name = far_name_find(f, fn->account, fn->package, fn->name);

    return name && name->peak_bytes > 0 ? name->peak_bytes : -1;
}

void far_load(const struct far *f, uint64_t revision, struct invoker_load *ret)
{
    const struct far_function *e = far_function_of(f, revision);

    *ret = (struct invoker_load){0};
    if (e == NULL)
        return;
    unsigned slots = e->load.ready + e->load.busy;

    ret->busy = e->calls < slots ? e->calls : slots;
    ret->ready = slots - ret->busy;
    ret->waiting = e->calls - ret->busy;
    ret->starting = e->load.starting;
}

unsigned far_busy(const struct far *f)
{
    return (unsigned)f->calls.count;
}

int64_t far_room_mb(const struct far *f)
{
    return f->reported_ms ? f->node.memory_max_mb - f->node.memory_used_mb
                          : f->hello->memory_max_mb;
}

void far_figures(struct far *f, void (*each)(void *arg, const struct container_figures *figures),
                 void *arg, struct node_figures *ret)
{
    struct nr_map_node *n = NULL;
    size_t at = 0;

    while ((n = nr_map_next(&f->names, &at, n)) != NULL) {
        struct far_name *name = nr_container_of(n, struct far_name, node);
        struct container_figures told = {.key = name->node.key};

        if (name->report == f->report && f->link)
            told = name->figures;
        else if (name->joules == 0 && name->cpu_seconds == 0)
            continue;
        told.joules = name->joules;
        told.cpu_seconds = name->cpu_seconds;
        name->joules = name->cpu_seconds = 0;
        each(arg, &told);
    }
    *ret = f->link ? f->node : (struct node_figures){.cpu_percent = -1};
    ret->joules = f->joules;
    f->joules = 0;
}
