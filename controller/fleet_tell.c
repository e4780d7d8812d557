/* What people and machines may know of the fleet: its document, its metrics, and the figures of samples. */
#include "controller/fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"

/* ---- the document ------------------------------------------------------------------------------------------------- */

static const char *state_of(const struct fleet_host *h)
{
    if (h->far == NULL || !far_is_up(h->far))
        return "down";
    return h->draining ? "draining" : h->cordoned ? "cordoned" : "up";
}

static void add_tags(char *const *tags, struct nr_buf *out)
{
    nr_buf_adds(out, ",\"place\":[");
    for (size_t i = 0; tags && tags[i]; i++) {
        nr_buf_adds(out, i ? "," : "");
        nr_buf_json(out, nr_str_of(tags[i]));
    }
    nr_buf_addc(out, ']');
}

/* Members behind those of the text that was written last. */
static void reopen(struct nr_buf *out)
{
    if (!out->failed && out->n > 0 && out->p[out->n - 1] == '}')
        out->n--;
}

static void add_host(const struct fleet_host *h, const char *account, struct nr_buf *out)
{
    if (h->far) {
        far_status(h->far, account, out);
        reopen(out);
    } else {
        nr_buf_adds(out, "{\"name\":");
        nr_buf_json(out, nr_str_of(h->name));
        nr_buf_printf(out,
                      ",\"up\":false,\"cordoned\":%s,\"ready\":false,\"why\":\"it has not joined "
                      "since the controller started\"",
                      h->cordoned ? "true" : "false");
    }
    nr_buf_printf(out, ",\"state\":\"%s\",\"draining\":%s", state_of(h),
                  h->draining ? "true" : "false");
    add_tags(h->tags, out);
    if (account == NULL)
        nr_buf_printf(out,
                      ",\"token\":%s,\"added_ms\":%lld,\"joined_ms\":%lld,\"calls_placed\":%llu,"
                      "\"calls_bounced\":%llu",
                      h->has_token ? "true" : "false", (long long)h->added_ms,
                      (long long)h->joined_ms, (unsigned long long)atomic_load(&h->placed),
                      (unsigned long long)atomic_load(&h->bounced));
    nr_buf_addc(out, '}');
}

static void add_all_hosts(const struct invokers *f, const char *account, struct nr_buf *out)
{
    nr_buf_printf(out, ",\"layout\":\"%s\",\"unplaced\":%zu,\"invokers\":[",
                  f->config.listen == NULL ? "one host"
                  : f->local               ? "this host and others"
                                           : "other hosts",
                  f->unplaced_count);
    for (size_t i = 0; i < f->host_count; i++) {
        nr_buf_adds(out, i ? "," : "");
        add_host(f->hosts[i], account, out);
    }
    nr_buf_adds(out, "]}");
}

/* Nothing runs here: the sums of all hosts; of a single one, as the invoker of this host is in two units, also what it can do. */
static void of_all(struct invokers *f, struct nr_buf *out)
{
    char why[INVOKER_WHY_BYTES];
    const char *table = "";
    int64_t max_mb = 0, room_mb = 0;
    size_t up = 0;

    for (size_t i = 0; i < f->host_count; i++)
        if (f->hosts[i]->far && far_is_up(f->hosts[i]->far)) {
            up++;
            table = far_hello(f->hosts[i]->far)->capabilities;
            max_mb += far_hello(f->hosts[i]->far)->memory_max_mb;
            room_mb += far_room_mb(f->hosts[i]->far);
        }
    nr_buf_printf(
        out,
        "{\"name\":\"\",\"state\":\"%s\",\"engine\":\"none\",\"capabilities\":%s,"
        "\"memory_used_mb\":%lld,\"memory_max_mb\":%lld,\"waiting\":%zu,\"containers\":[]}",
        invokers_ready(f, why) ? "up" : "down", up == 1 && table[0] ? table : "[]",
        (long long)(max_mb - room_mb), (long long)max_mb, f->unplaced_count);
}

void invokers_status(struct invokers *f, const char *account, struct nr_buf *out)
{
    if (f->local)
        invoker_status(f->local, account, out);
    else
        of_all(f, out);
    reopen(out);
    add_all_hosts(f, account, out);
}

/* ---- metrics ------------------------------------------------------------------------------------------------------ */

static void per_host(const struct invokers *f, struct nr_buf *out, const char *name,
                     const char *help, bool placed)
{
    char label[INVOKER_NAME_BYTES + 16];

    nr_metric_head(out, name, "counter", help);
    if (f->local && placed)
        nr_metric_sample(out, name, "invoker=\"0\"", (double)atomic_load(&f->local_placed));
    for (size_t i = 0; i < f->host_count; i++) {
        const struct fleet_host *h = f->hosts[i];

        (void)snprintf(label, sizeof(label), "invoker=\"%s\"", h->name);
        nr_metric_sample(out, name, label, (double)atomic_load(placed ? &h->placed : &h->bounced));
    }
}

void invokers_metrics(struct invokers *f, struct nr_buf *out)
{
    if (f->local)
        invoker_metrics(f->local, out);
    if (f->listener == NULL)
        return;
    per_host(f, out, "narae_calls_placed_total", "Calls given to an invoker, each time.", true);
    per_host(f, out, "narae_calls_bounced_total",
             "Calls that an invoker of another host gave back before they had started.", false);
    nr_metric_one(out, "narae_calls_unplaced", "gauge",
                  "Calls that no invoker takes now, and that wait for one.",
                  (double)f->unplaced_count);
    nr_metric_one(out, "narae_calls_unfit_total", "counter",
                  "Calls refused because no invoker has what their function must find.",
                  (double)atomic_load(&f->unfit));
    nr_metric_one(out, "narae_calls_not_taken_total", "counter",
                  "Calls refused because no invoker took them in time.",
                  (double)atomic_load(&f->gave_up));
    far_metrics(f->listener, out);
}

/* ---- figures ------------------------------------------------------------------------------------------------------ */

/* Of one function on all hosts. */
struct gathered {
    struct nr_map_node node;
    struct container_figures figures;
};

static void gather(void *arg, const struct container_figures *c)
{
    struct nr_map *all = arg;
    struct nr_map_node *n = nr_map_get(all, c->key);

    if (n) {
        container_figures_add(&nr_container_of(n, struct gathered, node)->figures, c);
        return;
    }
    struct gathered *g = nr_alloc(sizeof(*g));

    g->figures = *c;
    g->figures.key = (struct nr_str){nr_strndup(c->key.p, c->key.n), c->key.n};
    g->node.key = g->figures.key;
    (void)nr_map_put(all, &g->node);
}

/* Processor use is of all cores of all hosts. */
static void add_node(struct node_figures *to, const struct node_figures *n, double *cores,
                     double more_cores)
{
    if (n->cpu_percent >= 0) {
        double sum =
            (to->cpu_percent > 0 ? to->cpu_percent : 0) * *cores + n->cpu_percent * more_cores;

        *cores += more_cores;
        to->cpu_percent = *cores > 0 ? sum / *cores : 0;
    }
    to->memory_max_mb += n->memory_max_mb;
    to->memory_used_mb += n->memory_used_mb;
    to->containers += n->containers;
    to->waiting += n->waiting;
    to->joules += n->joules;
}

struct telling {
    void (*each)(void *arg, const struct container_figures *c);
    void *arg;
};

static void tell_figures(struct nr_map_node *n, void *arg)
{
    const struct telling *t = arg;
    struct gathered *g = nr_container_of(n, struct gathered, node);

    t->each(t->arg, &g->figures);
    free((char *)(uintptr_t)g->figures.key.p);
    free(g);
}

void invokers_figures(struct invokers *f,
                      void (*each)(void *arg, const struct container_figures *c), void *arg,
                      struct node_figures *ret)
{
    struct node_figures one, sum = {.cpu_percent = -1, .waiting = (unsigned)f->unplaced_count};
    struct nr_map all;
    struct telling t = {each, arg};
    double cores = 0;

    if (f->listener == NULL && f->local) {
        invoker_figures(f->local, each, arg, ret);
        return;
    }
    nr_map_init(&all);
    if (f->local) {
        invoker_figures(f->local, gather, &all, &one);
        add_node(&sum, &one, &cores, f->config.node ? f->config.node->cores : 1);
    }
    for (size_t i = 0; i < f->host_count; i++) {
        struct far *far = f->hosts[i]->far;

        if (far == NULL)
            continue;
        far_figures(far, gather, &all, &one);
        if (far_is_up(far))
            add_node(&sum, &one, &cores, (double)far_hello(far)->cores);
    }
    (void)nr_map_drain(&all, NULL, tell_figures, &t);
    nr_map_fini(&all);
    *ret = sum;
}
