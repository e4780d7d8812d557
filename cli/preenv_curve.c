/* One line for each configuration, the smallest first; the bar is the median of the run time, the arrow the choice. */
#include "cli/preenv_curve.h"

#include <stdio.h>

#include "cli/cli.h"

#define ROW_COLUMNS 54 /* of a row without its bar */
#define BAR_MIN 6
#define BAR_MAX 40

static double number(const json_t *of, const char *key)
{
    return json_number_value(json_object_get(of, key));
}

static double size_of(const json_t *run, const json_t *config)
{
    const char *axis = nr_json_string(run, "axis");

    return number(config, axis && strcmp(axis, "cpu") == 0 ? "cpus" : "memory_mb");
}

static double chosen_of(const json_t *run)
{
    double mb = number(run, "chosen_mb");

    return mb > 0 ? mb : number(run, "chosen_cpus");
}

/* The index of the smallest configuration above `above`; the count when there is none. */
static size_t next_size(const json_t *run, const json_t *configs, double above)
{
    size_t count = json_array_size(configs), best = count;

    for (size_t i = 0; i < count; i++) {
        double size = size_of(run, json_array_get(configs, i));

        if (size > above && (best == count || size < size_of(run, json_array_get(configs, best))))
            best = i;
    }
    return best;
}

static void size_text(const json_t *run, double size, char *out, size_t n)
{
    const char *axis = nr_json_string(run, "axis");

    if (axis && strcmp(axis, "cpu") == 0)
        (void)snprintf(out, n, "%.3g cores", size);
    else
        (void)snprintf(out, n, "%.0f MB", size);
}

static void add_figures(const json_t *config, struct nr_buf *line)
{
    const char *outcome = nr_json_string(config, "outcome"),
               *verdict = nr_json_string(config, "verdict");

    if (json_is_number(json_object_get(config, "p50_ms")))
        nr_buf_printf(line, " %8.1f %8.1f", number(config, "p50_ms"), number(config, "p95_ms"));
    else
        nr_buf_printf(line, " %8s %8s", "-", "-");
    if (json_is_number(json_object_get(config, "peak_mb")))
        nr_buf_printf(line, " %6.0f MB", number(config, "peak_mb"));
    else
        nr_buf_printf(line, " %9s", "-");
    nr_buf_printf(line, "  %s%s",
                  outcome && strcmp(outcome, "ok") != 0 ? outcome
                  : verdict                             ? verdict
                                                        : "",
                  json_is_true(json_object_get(config, "noisy")) ? ", noisy" : "");
}

static void print_line(const struct cli *c, const struct nr_buf *line, enum term_colour colour)
{
    struct nr_buf cut;

    nr_buf_init(&cut, 1 << 16);
    nr_buf_adds(&cut, colour ? term_begin(&c->term, colour) : "");
    (void)text_add_cut(&c->term, nr_buf_str(line), c->term.columns ? c->term.columns : UINT32_MAX,
                       &cut);
    nr_buf_adds(&cut, colour ? term_end(&c->term) : "");
    (void)fwrite(cut.p, 1, cut.n, stdout);
    (void)fputc('\n', stdout);
    nr_buf_fini(&cut);
}

static void print_config(const struct cli *c, const json_t *run, const json_t *config,
                         double slowest_ms, unsigned width)
{
    double size = size_of(run, config), off = size - chosen_of(run);
    bool chosen = off < 0.001 && off > -0.001;
    const char *outcome = nr_json_string(config, "outcome");
    bool bad = outcome && strcmp(outcome, "ok") != 0;
    struct nr_buf line;
    char text[32];

    size_text(run, size, text, sizeof(text));
    nr_buf_init(&line, 1 << 16);
    nr_buf_printf(&line, "%s %10s ", chosen ? "->" : "  ", text);
    text_add_bar(&c->term, number(config, "p50_ms"), slowest_ms, width, &line);
    add_figures(config, &line);
    print_line(c, &line, chosen ? GREEN : bad ? RED : PLAIN);
    nr_buf_fini(&line);
}

static void print_curve(const struct cli *c, const json_t *run, const json_t *configs)
{
    unsigned width = c->term.columns == 0                      ? BAR_MAX
                     : c->term.columns < ROW_COLUMNS + BAR_MIN ? BAR_MIN
                     : c->term.columns - ROW_COLUMNS > BAR_MAX ? BAR_MAX
                                                               : c->term.columns - ROW_COLUMNS;
    double slowest_ms = 0;
    struct nr_buf head;

    for (size_t i = 0; i < json_array_size(configs); i++) {
        double ms = number(json_array_get(configs, i), "p50_ms");

        slowest_ms = ms > slowest_ms ? ms : slowest_ms;
    }
    nr_buf_init(&head, 1 << 12);
    nr_buf_printf(&head, "%13s%-*s %8s %8s %9s", "", (int)width + 1, " median", "P50 ms", "P95 ms",
                  "PEAK");
    print_line(c, &head, BOLD);
    nr_buf_fini(&head);
    for (size_t i = next_size(run, configs, -1); i < json_array_size(configs);
         i = next_size(run, configs, size_of(run, json_array_get(configs, i))))
        print_config(c, run, json_array_get(configs, i), slowest_ms, width);
}

static void print_choice(const struct cli *c, const json_t *run)
{
    const char *state = nr_json_string(run, "state"), *reason = nr_json_string(run, "reason");
    const char *id = nr_json_string(run, "id");
    char chosen[32], text[768];

    size_text(run, chosen_of(run), chosen, sizeof(chosen));
    (void)snprintf(text, sizeof(text), "%.8s is %s", id ? id : "?", state ? state : "?");
    if (chosen_of(run) > 0)
        (void)snprintf(text, sizeof(text), "%.8s is %s: %s instead of %.0f MB%s", id ? id : "?",
                       state ? state : "?", chosen, number(run, "declared_mb"),
                       json_is_true(json_object_get(run, "applied")) ? ", applied" : "");
    text_print_wrapped(stdout, &c->term, 2, 0, text);
    if (reason && reason[0]) {
        (void)fputs("  ", stdout);
        text_print_wrapped(stdout, &c->term, 2, 2, reason);
    }
}

void preenv_curve_print(const struct cli *c, const json_t *run)
{
    const json_t *configs = json_object_get(run, "configurations"),
                 *advice = json_object_get(run, "advice");

    print_choice(c, run);
    if (json_array_size(configs)) {
        (void)fputc('\n', stdout);
        print_curve(c, run, configs);
    }
    for (size_t i = 0; i < json_array_size(advice); i++) {
        (void)fputs(i ? "- " : "\n- ", stdout);
        text_print_wrapped(stdout, &c->term, 2, 2, json_string_value(json_array_get(advice, i)));
    }
}
