/* What people and machines may know of the invoker: the probe's table and the pool as JSON, and the metrics.
 */
#include "common/base/clock.h"
#include "invoker/ahead.h"
#include "invoker/internal.h"
#include "invoker/monitor.h"
#include "invoker/network.h"
#include "invoker/stem.h"

/* Of one account, or NULL: of all, stems among them. */
static bool is_of(const struct container *ct, const char *account)
{
    return account == NULL || (ct->fn && strcmp(account, ct->fn->account) == 0);
}

/* What an account, or everybody together, has on this host. */
struct share {
    unsigned states[CT_STATES], waiting;
    int64_t memory_mb;
};

static void waiting_of(const struct invoker *v, const char *account, struct share *s)
{
    struct nr_map_node *n = NULL;
    size_t at = 0;

    while ((n = nr_map_next(&v->pools, &at, n)) != NULL) {
        const struct pool *p = nr_container_of(n, struct pool, node);

        if (account == NULL || strcmp(account, p->fn->account) == 0)
            s->waiting += p->waiting_count;
    }
}

static struct share share_of(const struct invoker *v, const char *account)
{
    struct share s = {0};

    for (struct nr_link *l = v->containers.next; l != &v->containers; l = l->next) {
        const struct container *ct = nr_container_of(l, struct container, in_all);

        if (!is_of(ct, account))
            continue;
        s.states[ct->state]++;
        s.memory_mb += ct->memory_mb;
    }
    if (account == NULL)
        s.memory_mb = atomic_load(&v->node->memory_used_mb);
    waiting_of(v, account, &s);
    return s;
}

static void one_container(const struct container *ct, uint64_t now_ms, struct nr_buf *out)
{
    nr_buf_printf(out, "{\"name\":\"%s\",\"id\":\"%.12s\",\"state\":\"%s\",\"function\":", ct->name,
                  ct->id, container_state_name(ct->state));
    nr_buf_json(out, nr_str_of(ct->fn ? ct->fn->path : ""));
    nr_buf_adds(out, ",\"version\":");
    nr_buf_json(out, nr_str_of(ct->fn ? ct->fn->version : ""));
    nr_buf_adds(out, ",\"kind\":");
    nr_buf_json(out, nr_str_of(ct->fn ? ct->fn->kind : ct->kind));
    nr_buf_printf(out,
                  ",\"start\":\"%s\",\"started_for\":\"%s\",\"cause\":\"%s\",\"memory_mb\":%lld,"
                  "\"slots\":%u,\"calls\":%u,\"frozen\":%s",
                  ct->begun_for == FOR_ADOPTION ? "adopted"
                  : ct->born_stem               ? "stem"
                                                : "cold",
                  start_reason_text(ct->begun_for), cold_cause_text(ct->cold),
                  (long long)ct->memory_mb, ct->slot_count, ct->calls,
                  ct->frozen ? "true" : "false");
    nr_buf_printf(out, ",\"idle_ms\":%lld,\"age_ms\":%llu",
                  nr_list_linked(&ct->idle) ? (long long)(now_ms - ct->idle_since_ms) : 0,
                  (unsigned long long)(span_us(ct->begun_us, nr_mono_us()) / 1000));
    monitor_container_json(ct, out);
    nr_buf_addc(out, '}');
}

/* What was chosen where this host gave a choice: everybody's to read, as the capabilities are. */
static void choices(const struct invoker *v, struct nr_buf *out)
{
    static const char *const freezers[] = {
        [FREEZER_OFF] = "off", [FREEZER_ENGINE] = "engine", [FREEZER_CGROUP] = "cgroup"};
    static const char *const raises[] = {
        [RAISE_OFF] = "off", [RAISE_ENGINE] = "engine", [RAISE_CGROUP] = "cgroup"};
    static const char *const networks[] = {
        [EGRESS_NONE] = "none", [EGRESS_BRIDGE] = "bridge", [EGRESS_SLOTS] = "slots"};

    nr_buf_printf(out,
                  ",\"choices\":{\"freezer\":\"%s\",\"memory_raise\":\"%s\",\"egress\":\"%s\","
                  "\"seccomp\":\"%s\"}",
                  freezers[v->probe.freezer], raises[v->probe.memory_raise],
                  networks[v->probe.network], v->seccomp ? "own" : "engine");
}

/* What there is for everybody together: of use to the administrator, and to a tenant a view of the others. */
static void for_all(const struct invoker *v, struct nr_buf *out)
{
    nr_buf_adds(out, ",\"stems\":");
    stems_status(v, out);
    nr_buf_adds(out, ",\"gpu_share\":\"advisory\",\"gpus\":");
    gpu_status(v->gpus, out);
    if (v->network) {
        nr_buf_adds(out, ",\"network\":");
        network_status(v->network, out);
    }
}

static void one_reason(struct nr_buf *out, const char *text, const nr_counter *n, bool *any)
{
    nr_buf_printf(out, "%s\"%s\":%llu", *any ? "," : "", text, (unsigned long long)atomic_load(n));
    *any = true;
}

/* Why containers were started and why they ended, since the start of the platform. */
static void reasons(const struct invoker *v, struct nr_buf *out)
{
    bool any = false;

    nr_buf_adds(out, ",\"started\":{");
    for (int r = 0; r < START_REASONS; r++)
        one_reason(out, start_reason_text((enum start_reason)r), &v->m.started[r], &any);
    nr_buf_adds(out, "},\"ended\":{");
    any = false;
    for (int r = ENDED_NOT + 1; r < END_REASONS; r++)
        one_reason(out, end_reason_text((enum end_reason)r), &v->m.ended[r], &any);
    nr_buf_addc(out, '}');
}

static void containers_of(const struct invoker *v, const char *account, struct nr_buf *out)
{
    const char *comma = "";

    nr_buf_adds(out, ",\"containers\":[");
    for (struct nr_link *l = v->containers.next; l != &v->containers; l = l->next) {
        const struct container *ct = nr_container_of(l, struct container, in_all);

        if (!is_of(ct, account))
            continue;
        nr_buf_adds(out, comma);
        one_container(ct, v->loop->now_ms, out);
        comma = ",";
    }
    nr_buf_addc(out, ']');
}

const char *invoker_engine(const struct invoker *v)
{
    for (unsigned i = 0; i < v->probe.count; i++) {
        const struct capability *c = &v->probe.table[i];

        if (c->yes && strcmp(c->name, "engine") == 0)
            return c->value;
    }
    return "";
}

void invoker_capabilities(const struct invoker *v, struct nr_buf *out)
{
    probe_capabilities(&v->probe, out);
}

int64_t invoker_function_peak_bytes(const struct invoker *v, const char *path)
{
    return monitor_function_peak_bytes(v->monitor, path);
}

void invoker_status(struct invoker *v, const char *account, struct nr_buf *out)
{
    const struct share share = share_of(v, account);

    nr_buf_printf(out, "{\"name\":\"0\",\"state\":\"%s\",\"engine\":%s,",
                  v->stopping ? "draining" : "up",
                  engine_reachable(v->engine) ? "\"up\"" : "\"down\"");
    probe_status(&v->probe, out);
    nr_buf_printf(
        out,
        ",\"memory_used_mb\":%lld,\"memory_max_mb\":%lld,\"waiting\":%u,\"containers_by_state\":{",
        (long long)share.memory_mb, (long long)v->node->memory_max_mb, share.waiting);
    for (int s = 0; s < CT_GONE; s++)
        nr_buf_printf(out, "%s\"%s\":%u", s ? "," : "",
                      container_state_name((enum container_state)s), share.states[s]);
    nr_buf_addc(out, '}');
    choices(v, out);
    if (account == NULL) {
        for_all(v, out);
        reasons(v, out);
    }
    containers_of(v, account, out);
    nr_buf_adds(out, ",\"inits_ahead_failed\":");
    ahead_status(v, account, out);
    monitor_json(v->monitor, account, out);
    nr_buf_addc(out, '}');
}

bool invoker_ready(const struct invoker *v, char why[static INVOKER_WHY_BYTES])
{
    uint64_t away_ms = engine_away_ms(v->engine);

    if (away_ms < INVOKER_PATIENCE_MS)
        return true;
    (void)snprintf(why, INVOKER_WHY_BYTES,
                   "the Docker Engine has not answered for %llu s: warm calls are served, no "
                   "container can be started",
                   (unsigned long long)away_ms / 1000);
    return false;
}

static void counters(const struct invoker *v, struct nr_buf *out)
{
    const struct engine_metrics *e = engine_figures(v->engine);
    const struct {
        const char *name, *help;
        const nr_counter *value;
    } table[] = {
        {"narae_container_starts_total", "Containers asked of the Engine.", &v->m.starts},
        {"narae_container_start_failures_total", "Containers that did not come up.",
         &v->m.start_failures},
        {"narae_container_evictions_total", "Idle containers that went because memory was short.",
         &v->m.evictions},
        {"narae_container_expirations_total", "Idle containers whose keep-alive time was over.",
         &v->m.expirations},
        {"narae_slots_borrowed_warm_total", "Calls that found their code loaded.",
         &v->m.borrowed_warm},
        {"narae_slots_borrowed_cold_total", "Calls that loaded their code first.",
         &v->m.borrowed_cold},
        {"narae_slots_lost_total", "Connections of containers that broke.", &v->m.lost},
        {"narae_protocol_errors_total", "Frames that did not belong where they came.",
         &v->m.protocol_errors},
        {"narae_handovers_total", "Stems that became a function's container.", &v->m.handovers},
        {"narae_handover_failures_total", "Stems that could not be handed over.",
         &v->m.handover_failures},
        {"narae_stems_empty_total", "Containers started because no stem was ready.",
         &v->m.stems_empty},
        {"narae_inits_ahead_total", "Containers whose code was loaded before any call.",
         &v->m.inits_ahead},
        {"narae_init_ahead_failures_total",
         "Containers started ahead that ended by themselves before any call: their code could not be loaded, or they crashed.",
         &v->m.init_ahead_failures},
        {"narae_freezes_total", "Idle containers that were frozen.", &v->m.freezes},
        {"narae_thaws_total", "Frozen containers that were thawed for a call.", &v->m.thaws},
        {"narae_freeze_failures_total", "Freezes and thaws that did not work.",
         &v->m.freeze_failures},
        {"narae_engine_calls_total", "Calls to the Docker Engine.", &e->calls},
        {"narae_engine_failures_total", "Calls that did not reach the Docker Engine.",
         &e->failures},
    };

    for (size_t i = 0; i < nr_countof(table); i++)
        nr_metric_one(out, table[i].name, "counter", table[i].help,
                      (double)atomic_load(table[i].value));
}

static void reason_metrics(const struct invoker *v, struct nr_buf *out)
{
    char label[64];

    nr_metric_head(out, "narae_containers_started_total", "counter",
                   "Containers by what they were started for.");
    for (int r = 0; r < START_REASONS; r++) {
        (void)snprintf(label, sizeof(label), "for=\"%s\"", start_reason_text((enum start_reason)r));
        nr_metric_sample(out, "narae_containers_started_total", label, (double)v->m.started[r]);
    }
    nr_metric_head(out, "narae_containers_ended_total", "counter", "Containers by why they ended.");
    for (int r = ENDED_NOT + 1; r < END_REASONS; r++) {
        (void)snprintf(label, sizeof(label), "reason=\"%s\"", end_reason_text((enum end_reason)r));
        nr_metric_sample(out, "narae_containers_ended_total", label, (double)v->m.ended[r]);
    }
}

void invoker_metrics(struct invoker *v, struct nr_buf *out)
{
    const struct share all = share_of(v, NULL);
    char label[64];

    nr_metric_head(out, "narae_containers", "gauge", "Containers by state.");
    for (int s = 0; s < CT_GONE; s++) {
        (void)snprintf(label, sizeof(label), "state=\"%s\"",
                       container_state_name((enum container_state)s));
        nr_metric_sample(out, "narae_containers", label, all.states[s]);
    }
    counters(v, out);
    reason_metrics(v, out);
    nr_metric_one(out, "narae_engine_up", "gauge",
                  "1 when the last call reached the Docker Engine.", engine_reachable(v->engine));
    nr_metric_one(out, "narae_engine_jobs_waiting", "gauge", "Jobs that wait for an Engine worker.",
                  engine_waiting(v->engine));
    nr_metric_one(out, "narae_calls_waiting", "gauge", "Calls that wait for a slot.", all.waiting);
    nr_metric_one(out, "narae_containers_memory_bytes", "gauge", "Memory reserved for containers.",
                  (double)(atomic_load(&v->node->memory_used_mb) << 20));
    monitor_metrics(v->monitor, out);
    const struct {
        const char *name, *help;
        const struct nr_hist *of;
    } times[] = {
        {"narae_container_start_seconds", "From the wish to have a container to its hello.",
         &v->m.start_seconds},
        {"narae_handover_seconds", "From the choice of a stem until code can be loaded into it.",
         &v->m.handover_seconds},
        {"narae_thaw_seconds", "From a call's bytes being sent until its container runs again.",
         &v->m.thaw_seconds},
        {"narae_engine_call_seconds", "Calls to the Docker Engine.",
         &engine_figures(v->engine)->seconds},
    };
    for (size_t i = 0; i < nr_countof(times); i++) {
        nr_metric_head(out, times[i].name, "histogram", times[i].help);
        nr_metric_hist(out, times[i].name, "", times[i].of);
    }
}

/* ---- for the log -------------------------------------------------------------------------------------------- */

void containers_named(const struct invoker *v, char out[static LEFT_NAMES_BYTES])
{
    static const char more[] = ", ...";
    size_t n = 0;

    out[0] = '\0';
    for (struct nr_link *l = v->containers.next; l != &v->containers; l = l->next) {
        const struct container *ct = nr_container_of(l, struct container, in_all);
        size_t room = LEFT_NAMES_BYTES - sizeof(more) - n;
        int k =
            snprintf(out + n, room, "%s%s (%s)", n ? ", " : "", ct->name, container_function(ct));

        if (k < 0 || (size_t)k >= room) {
            memcpy(out + n, more, sizeof(more));
            return;
        }
        n += (size_t)k;
    }
}
