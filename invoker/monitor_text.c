/* What the monitoring agent has seen, as JSON and as metrics. */
#include "invoker/monitor_state.h"

#include <stddef.h>
#include <stdio.h>

void monitor_container_json(const struct container *ct, struct nr_buf *out)
{
    if (ct->watched)
        usage_json(&ct->watched->usage, ct->v->loop->now_ms, out);
}

int64_t monitor_function_peak_bytes(const struct monitor *m, const char *path)
{
    struct nr_map_node *n = m ? nr_map_get(&m->functions, nr_str_of(path)) : NULL;

    return n ? nr_container_of(n, struct function_use, node)->sum.memory_peak_bytes : -1;
}

void monitor_json(const struct monitor *m, const char *account, struct nr_buf *out)
{
    const char *comma = "";

    if (m == NULL)
        return;
    if (m->host_known && account == NULL)
        host_json(&m->host, out);
    nr_buf_adds(out, ",\"functions\":[");
    for (struct nr_link *l = m->lru.next; l != &m->lru; l = l->next) {
        const struct function_use *f = nr_container_of(l, struct function_use, lru);

        if (account && strcmp(account, f->account) != 0)
            continue;
        nr_buf_adds(out, comma);
        nr_buf_adds(out, "{\"function\":");
        nr_buf_json(out, nr_str_of(f->path));
        usage_sum_json(&f->sum, out);
        nr_buf_addc(out, '}');
        comma = ",";
    }
    nr_buf_addc(out, ']');
    if (account == NULL && m->others_count > 0) {
        nr_buf_printf(out, ",\"other_functions\":{\"count\":%u", m->others_count);
        usage_sum_json(&m->others, out);
        nr_buf_addc(out, '}');
    }
}

static void metrics_by_kind(const struct monitor *m, struct nr_buf *out)
{
    static const struct {
        const char *name, *help, *more;
        size_t at;
        double unit;
    } table[] = {
        {"narae_container_cpu_seconds_total", "Processor time of containers by kind.", "",
         offsetof(struct usage_sum, cpu_us), 1e-6},
        {"narae_container_throttled_seconds_total",
         "Time in which containers had used up their share of a processor.", "",
         offsetof(struct usage_sum, throttled_us), 1e-6},
        {"narae_container_oom_kills_total", "Processes killed for want of memory.", "",
         offsetof(struct usage_sum, oom_kills), 1},
        {"narae_container_io_read_bytes_total", "Bytes that containers read from disks.", "",
         offsetof(struct usage_sum, io_read_bytes), 1},
        {"narae_container_io_write_bytes_total", "Bytes that containers wrote to disks.", "",
         offsetof(struct usage_sum, io_write_bytes), 1},
    };
    char label[64];

    for (size_t i = 0; i < nr_countof(table); i++) {
        nr_metric_head(out, table[i].name, "counter", table[i].help);
        for (unsigned k = 0; k < m->kind_count; k++) {
            int64_t value;

            memcpy(&value, (const char *)&m->kinds[k].sum + table[i].at, sizeof(value));
            (void)snprintf(label, sizeof(label), "kind=\"%s\"", m->kinds[k].name);
            nr_metric_sample(out, table[i].name, label, (double)value * table[i].unit);
        }
    }
}

static void metrics_by_state(const struct monitor *m, struct nr_buf *out)
{
    int64_t memory[CT_STATES] = {0}, pids[CT_STATES] = {0};
    char label[64];

    for (struct nr_link *l = m->v->containers.next; l != &m->v->containers; l = l->next) {
        const struct container *ct = nr_container_of(l, struct container, in_all);
        const struct watched *w = ct->watched;

        if (w == NULL || w->usage.count == 0)
            continue;
        memory[ct->state] +=
            usage_memory_bytes(&w->usage.now) > 0 ? usage_memory_bytes(&w->usage.now) : 0;
        pids[ct->state] += w->usage.now.pids > 0 ? w->usage.now.pids : 0;
    }
    const struct {
        const char *name, *help;
        const int64_t *of;
    } table[] = {
        {"narae_container_memory_used_bytes",
         "Memory in use of containers, without the page cache, by their state.", memory},
        {"narae_container_processes", "Processes and threads in containers by their state.", pids},
    };
    for (size_t i = 0; i < nr_countof(table); i++) {
        nr_metric_head(out, table[i].name, "gauge", table[i].help);
        for (int s = 0; s < CT_GONE; s++) {
            (void)snprintf(label, sizeof(label), "state=\"%s\"",
                           container_state_name((enum container_state)s));
            nr_metric_sample(out, table[i].name, label, (double)table[i].of[s]);
        }
    }
}

/* The second set is what dashboards made for Kepler ask for: a node's energy, all of it and what its processors used with and without work. */
static void metrics_of_energy(const struct monitor *m, struct nr_buf *out)
{
    const double dynamic = m->joules[ENERGY_FUNCTIONS] + m->joules[ENERGY_OTHERS],
                 idle = m->joules[ENERGY_IDLE];
    char label[128];

    nr_metric_head(out, "narae_energy_joules_total", "counter",
                   "Energy that the host used, by who used it; idle: nobody did.");
    for (int i = 0; i < ENERGY_PARTS; i++) {
        (void)snprintf(label, sizeof(label), "used_by=\"%s\"",
                       energy_part_name((enum energy_part)i));
        nr_metric_sample(out, "narae_energy_joules_total", label, m->joules[i]);
    }
    nr_metric_one(out, "narae_energy_measured", "gauge",
                  "1: energy is read from the host's counters; 0: it is estimated from processor "
                  "time.",
                  m->measured);
    nr_metric_head(out, "kepler_node_info", "gauge", "Where the figures of energy come from.");
    (void)snprintf(label, sizeof(label),
                   "components_power_source=\"%s\",platform_power_source=\"%s\"",
                   m->measured ? "rapl-sysfs" : "estimator", m->measured ? "none" : "estimator");
    nr_metric_sample(out, "kepler_node_info", label, 1);
    static const char *const nodes[] = {"kepler_node_platform_joules_total",
                                        "kepler_node_package_joules_total"};
    for (size_t i = 0; i < nr_countof(nodes); i++) {
        nr_metric_head(out, nodes[i], "counter", "Energy of the node.");
        nr_metric_sample(out, nodes[i], "mode=\"dynamic\"", dynamic);
        nr_metric_sample(out, nodes[i], "mode=\"idle\"", idle);
    }
}

void monitor_metrics(const struct monitor *m, struct nr_buf *out)
{
    if (m == NULL)
        return;
    metrics_of_energy(m, out);
    metrics_by_state(m, out);
    metrics_by_kind(m, out);
    if (m->host_known)
        host_metrics(&m->host, out);
    nr_metric_one(out, "narae_monitor_looks_total", "counter", "Looks at a container's use.",
                  (double)m->looks);
    nr_metric_one(out, "narae_monitor_failed_looks_total", "counter",
                  "Looks at a container whose control group could not be read.", (double)m->failed);
    nr_metric_head(out, "narae_monitor_seconds", "histogram",
                   "CPU time of one pass over the containers and the host.");
    nr_metric_hist(out, "narae_monitor_seconds", "", &m->seconds);
}
