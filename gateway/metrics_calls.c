/* Two counts of one thing: calls and fires that the door gave to the controller, and what the controller says became of them. */
#include "gateway/internal.h"

void metrics_calls(const struct gateway *g, struct nr_buf *out)
{
    const struct asked_counts n = controller_asked(g->config.controller);
    const struct {
        const char *label;
        uint64_t count;
    } became[] = {{"result=\"recorded\"", n.recorded},
                  {"result=\"refused\"", n.refused},
                  {"result=\"idle\"", n.idle}};
    const double asked = (double)g->counts.asked;

    nr_metric_one(out, "narae_gateway_calls_total", "counter",
                  "Calls and fires of clients, given to the controller.", asked);
    nr_metric_head(
        out, "narae_gateway_calls_ended_total", "counter",
        "Those that have ended: with a record, refused, or a fire without active rules.");
    for (size_t i = 0; i < nr_countof(became); i++)
        nr_metric_sample(out, "narae_gateway_calls_ended_total", became[i].label,
                         (double)became[i].count);
    nr_metric_one(out, "narae_gateway_calls_running", "gauge", "Those that have not ended.",
                  (double)n.running);
    nr_metric_one(out, "narae_gateway_calls_drift", "gauge",
                  "Calls given - (running + recorded + refused + idle); must be 0.",
                  asked - (double)(n.running + n.recorded + n.refused + n.idle));
}
