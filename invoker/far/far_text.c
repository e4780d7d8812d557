/* What people and machines may know of an invoker on another host: one JSON object, and the metrics of all links.
 */
#include "invoker/far/far_state.h"

/* ---- status ---- */

static void add_text(struct nr_buf *out, const char *before, const char *text)
{
    nr_buf_adds(out, before);
    nr_buf_json(out, nr_str_of(text));
}

static void add_list(struct nr_buf *out, const char *before, char *const *list)
{
    nr_buf_adds(out, before);
    for (size_t i = 0; list[i]; i++)
        add_text(out, i ? "," : "", list[i]);
    nr_buf_addc(out, ']');
}

static void add_tags(struct nr_buf *out, const struct far_hello *h)
{
    nr_buf_adds(out, ",\"tags\":{");
    for (size_t i = 0; i < h->tag_count; i++) {
        add_text(out, i ? "," : "", h->tags[i].key);
        add_text(out, ":", h->tags[i].value);
    }
    nr_buf_addc(out, '}');
}

static void add_function(struct nr_buf *out, const struct far *f, const struct far_function *e)
{
    struct invoker_load load;

    far_load(f, e->revision, &load);
    add_text(out, "{\"function\":", e->fn->path);
    add_text(out, ",\"version\":", e->fn->version);
    nr_buf_printf(out, ",\"ready\":%u,\"busy\":%u,\"starting\":%u,\"waiting\":%u}", load.ready,
                  load.busy, load.starting, load.waiting);
}

static bool is_shown(const struct far *f, const struct far_function *e, const char *account)
{
    return (account == NULL || strcmp(account, e->fn->account) == 0) &&
           (e->calls > 0 || e->load.ready + e->load.busy + e->load.starting > 0);
}

static void add_functions(struct nr_buf *out, const struct far *f, const char *account)
{
    struct nr_map_node *n = NULL;
    const char *before = "";
    size_t at = 0;

    nr_buf_adds(out, ",\"functions\":[");
    while ((n = nr_map_next(&f->functions, &at, n)) != NULL) {
        const struct far_function *e = nr_container_of(n, struct far_function, node);

        if (!is_shown(f, e, account))
            continue;
        nr_buf_adds(out, before);
        add_function(out, f, e);
        before = ",";
    }
    nr_buf_addc(out, ']');
}

/* What concerns the host, not an account. */
static void add_host(struct nr_buf *out, const struct far *f)
{
    add_text(out, ",\"address\":", f->address);
    add_text(out, ",\"session\":", f->hello->session);
    add_text(out, ",\"installation\":", f->hello->installation);
    nr_buf_printf(
        out,
        ",\"links\":%llu,\"calls\":%zu,\"containers\":%u,\"containers_max\":%u,"
        "\"memory_used_mb\":%lld,\"cpu_percent\":%.1f,\"unsent_bytes\":%zu,\"rtt_us\":%llu",
        (unsigned long long)f->epoch, f->calls.count, f->node.containers, f->containers_max,
        (long long)f->node.memory_used_mb, f->node.cpu_percent,
        f->link ? nr_stream_unsent(f->link->s) : 0,
        f->link ? (unsigned long long)f->link->rtt_us : 0ull);
    if (f->reported_ms)
        nr_buf_printf(out, ",\"reported_ms_ago\":%llu",
                      (unsigned long long)(f->l->config.loop->now_ms - f->reported_ms));
}

void far_status(const struct far *f, const char *account, struct nr_buf *out)
{
    const struct far_hello *h = f->hello;

    add_text(out, "{\"name\":", h->name);
    nr_buf_printf(out, ",\"up\":%s,\"cordoned\":%s,\"ready\":%s", f->link ? "true" : "false",
                  f->cordoned ? "true" : "false", far_takes(f, false) ? "true" : "false");
    add_text(out, ",\"why\":", far_why_not(f));
    add_text(out, ",\"version\":", h->version);
    add_text(out, ",\"arch\":", h->arch);
    nr_buf_printf(out, ",\"protocol\":%d,\"cores\":%lld,\"memory_max_mb\":%lld,\"gpus\":%lld",
                  h->protocol, (long long)h->cores, (long long)h->memory_max_mb,
                  (long long)h->gpus);
    add_list(out, ",\"kinds\":[", h->kinds);
    add_list(out, ",\"images\":[", h->images);
    add_tags(out, h);
    if (account == NULL)
        add_host(out, f);
    add_functions(out, f, account);
    nr_buf_addc(out, '}');
}

/* ---- metrics ---- */

/* A row of each invoker. */
static void each_metric(struct far_listener *l, struct nr_buf *out, const char *name,
                        const char *type, const char *help, double (*value)(const struct far *f))
{
    nr_metric_head(out, name, type, help);
    for (struct nr_link *it = l->fars.next; it != &l->fars; it = it->next) {
        const struct far *f = nr_container_of(it, struct far, in_all);
        char label[32 + WIRE_NAME_MAX_BYTES];

        (void)snprintf(label, sizeof(label), "invoker=\"%s\"", f->hello->name);
        nr_metric_sample(out, name, label, value(f));
    }
}

static double is_up(const struct far *f)
{
    return f->link != NULL;
}

static double takes(const struct far *f)
{
    return far_takes(f, false);
}

static double calls(const struct far *f)
{
    return (double)f->calls.count;
}

static double unsent(const struct far *f)
{
    return f->link ? (double)nr_stream_unsent(f->link->s) : 0;
}

static double containers(const struct far *f)
{
    return f->node.containers;
}

static double dropped(const struct far *f)
{
    return (double)(f->dropped_before + f->results_dropped);
}

void far_metrics(struct far_listener *l, struct nr_buf *out)
{
    const struct {
        const char *name, *help;
        nr_counter *counter;
    } counters[] = {
        {"narae_invoker_links_total", "Links of invokers on other hosts that were admitted.",
         &l->m.links},
        {"narae_invoker_link_ends_total", "Links that ended by themselves.", &l->m.ends},
        {"narae_invoker_violations_total", "Links that were ended for breaking the protocol.",
         &l->m.violations},
        {"narae_invoker_refused_total", "Who dialed and was not admitted.", &l->m.refused},
        {"narae_invoker_far_calls_total", "Calls given to invokers on other hosts.", &l->m.calls},
        {"narae_invoker_bounced_total",
         "Calls that had not started and came back to be placed again.", &l->m.bounced},
        {"narae_invoker_silent_calls_total",
         "Of these, calls that their invoker said nothing of and that were taken back.",
         &l->m.silent},
        {"narae_invoker_lost_calls_total", "Calls that had started and whose outcome is not known.",
         &l->m.lost_calls},
        {"narae_invoker_late_results_total",
         "Results of calls that had ended without them, and were dropped: here, or by the invoker "
         "when its link was back.",
         &l->m.late},
        {"narae_invoker_dropped_answers_total",
         "Answers that told only that the invoker had let go of the result.", &l->m.dropped},
        {"narae_invoker_code_bytes_total", "Bytes of code sent to invokers on other hosts.",
         &l->m.code_bytes},
        {"narae_invoker_far_events_total", "Events told by invokers on other hosts.", &l->m.events},
    };

    for (size_t i = 0; i < nr_countof(counters); i++)
        nr_metric_one(out, counters[i].name, "counter", counters[i].help,
                      (double)*counters[i].counter);
    nr_metric_head(out, "narae_invoker_rtt_seconds", "histogram",
                   "Round trips of a ping on a link.");
    nr_metric_hist(out, "narae_invoker_rtt_seconds", "", &l->m.rtt);
    each_metric(l, out, "narae_invoker_up", "gauge", "1: its link stands.", is_up);
    each_metric(l, out, "narae_invoker_takes_calls", "gauge", "1: calls may be given to it.",
                takes);
    each_metric(l, out, "narae_invoker_far_calls", "gauge", "Calls that it has.", calls);
    each_metric(l, out, "narae_invoker_far_containers", "gauge",
                "Containers there, as last reported.", containers);
    each_metric(l, out, "narae_invoker_unsent_bytes", "gauge", "Bytes that wait for its link.",
                unsent);
    each_metric(l, out, "narae_invoker_results_dropped_total", "counter",
                "Results that it let go of, as it reports: too many waited to be told.", dropped);
}
