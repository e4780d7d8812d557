/* narae invokers: this host in two lines, its containers and what they use, those that use most CPU first; then the invokers of other hosts. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/verbs.h"

static void write_cpu(const json_t *row, struct nr_buf *out)
{
    const json_t *us = json_object_get(row, "cpu_us");

    if (us)
        nr_buf_printf(out, "%.2f s", json_number_value(us) / 1e6);
}

static void write_cores(const json_t *row, struct nr_buf *out)
{
    if (json_object_get(row, "cpu_us"))
        nr_buf_printf(out, "%.2f", json_number_value(json_object_get(row, "cpu_cores")));
}

static const struct column columns[] = {
    {"NAME", "name", CELL_TEXT, 0},
    {"STATE", "state", CELL_STATE, 0},
    {"FUNCTION", "function", CELL_TEXT, 10},
    {"KIND", "kind", CELL_TEXT, 6},
    {"AGE", "age_ms", CELL_AGE, 0},
    {"CALLS", "calls", CELL_NUMBER, 0},
    {"CORES", NULL, CELL_NUMBER, 0, .write = write_cores},
    {"CPU", NULL, CELL_NUMBER, 0, .write = write_cpu},
    {"MEMORY", "memory_bytes", CELL_BYTES, 0},
    {"PEAK", "memory_peak_bytes", CELL_BYTES, 0},
    {"LIMIT", "memory_mb", CELL_MB, 0},
    {"PIDS", "pids", CELL_NUMBER, 0},
    {"OOM", "oom_kills", CELL_NUMBER, 0},
    {"ID", "id", CELL_TEXT, 0, .wide = true},
    {"START", "start", CELL_TEXT, 0, .wide = true},
    {"CAUSE", "cause", CELL_TEXT, 0, .wide = true},
    {"VERSION", "version", CELL_TEXT, 0, .wide = true},
};

static void write_tags(const json_t *row, struct nr_buf *out)
{
    const json_t *tag;
    size_t i;

    json_array_foreach(json_object_get(row, "place"), i, tag) {
        if (i)
            nr_buf_addc(out, ' ');
        text_add_clean(nr_str_of(json_string_value(tag)), out);
    }
}

static const struct column others[] = {
    {"INVOKER", "name", CELL_TEXT, 0},
    {"STATE", "state", CELL_STATE, 0},
    {"ARCH", "arch", CELL_TEXT, 0},
    {"CORES", "cores", CELL_NUMBER, 0},
    {"CALLS", "calls", CELL_NUMBER, 0},
    {"CONTAINERS", "containers", CELL_NUMBER, 0},
    {"USED", "memory_used_mb", CELL_MB, 0},
    {"MEMORY", "memory_max_mb", CELL_MB, 0},
    {"TAGS", NULL, CELL_TEXT, 8, .write = write_tags},
    {"WHY NOT", "why", CELL_TEXT, 8},
    {"ADDRESS", "address", CELL_TEXT, 0, .wide = true},
    {"VERSION", "version", CELL_TEXT, 0, .wide = true},
};

static double number(const json_t *of, const char *key)
{
    return json_number_value(json_object_get(of, key));
}

static const char *word(const json_t *of, const char *key)
{
    const char *w = nr_json_string(of, key);

    return w ? w : "?";
}

static void print_host(const struct cli *c, const json_t *invoker)
{
    const json_t *host = json_object_get(invoker, "host");
    char line[256];

    if (strcmp(word(invoker, "name"), "") == 0) {
        (void)snprintf(
            line, sizeof(line),
            "this host runs no functions itself; %.0f invokers of other hosts are known; "
            "%.0f calls wait for one",
            (double)json_array_size(json_object_get(invoker, "invokers")),
            number(invoker, "unplaced"));
        text_print_wrapped(stdout, &c->term, 2, 0, line);
        return;
    }
    (void)snprintf(
        line, sizeof(line),
        "invoker %s: %s, engine %s; %.0f of %.0f MB given to containers; %.0f calls wait",
        word(invoker, "name"), word(invoker, "state"), word(invoker, "engine"),
        number(invoker, "memory_used_mb"), number(invoker, "memory_max_mb"),
        number(invoker, "waiting"));
    text_print_wrapped(stdout, &c->term, 2, 0, line);
    if (host == NULL)
        return;
    (void)snprintf(line, sizeof(line), "  host: load %.2f; %.0f of %.0f MB available",
                   number(host, "load_1"), number(host, "memory_available_bytes") / (1 << 20),
                   number(host, "memory_total_bytes") / (1 << 20));
    text_print_wrapped(stdout, &c->term, 4, 0, line);
}

static int by_cpu(const void *a, const void *b)
{
    double x = number(*(json_t *const *)a, "cpu_cores"),
           y = number(*(json_t *const *)b, "cpu_cores");

    return (x < y) - (x > y);
}

static int print_containers(const struct cli *c, const json_t *list)
{
    size_t n = json_array_size(list);
    nr_auto_free json_t **sorted = nr_try_alloc((n + 1) * sizeof(*sorted));
    nr_auto_json json_t *rows = json_array();

    if (sorted == NULL)
        return cli_fail_why(c, WHY_MEMORY, "no memory for %zu containers", n);
    for (size_t i = 0; i < n; i++)
        sorted[i] = json_array_get(list, i);
    qsort(sorted, n, sizeof(*sorted), by_cpu);
    for (size_t i = 0; i < n; i++)
        json_array_append(rows, sorted[i]);
    table_print(stdout, &c->term, c->form == FORM_WIDE, columns, nr_countof(columns), rows);
    return CLI_DONE;
}

int verb_invokers(struct cli *c)
{
    nr_auto_json json_t *answer = NULL;
    const json_t *invoker;
    size_t i;
    int e = cli_call(c, "GET", "/narae/v1/invokers", NULL, 0, &answer, NULL);

    if (e != 0 || cli_json(c)) {
        if (e == 0)
            cli_print_json(answer);
        return e;
    }
    nr_auto_json json_t *list =
        json_is_array(answer) ? json_incref(answer) : json_pack("[O]", answer);
    json_array_foreach(list, i, invoker) {
        print_host(c, invoker);
        if ((e = print_containers(c, json_object_get(invoker, "containers"))) != 0)
            return e;
        const json_t *far = json_object_get(invoker, "invokers");

        if (json_array_size(far) > 0)
            table_print(stdout, &c->term, c->form == FORM_WIDE, others, nr_countof(others), far);
    }
    return CLI_DONE;
}
