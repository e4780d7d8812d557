/* narae top: functions by what they use, drawn again and again on a terminal, once in a pipe.
 *
 * Containers, memory and CPU come from the invokers, what waits and runs from /metrics, calls and their times from the latest 200
 * activations of the key's account: a rate is that of the last minute, or of as much of it as they reach back.
 */
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/verbs.h"
#include "common/base/clock.h"

#define WINDOW_MS 60000
#define EVERY_S 2

static void write_rate(const json_t *row, struct nr_buf *out)
{
    nr_buf_printf(out, "%.2f", json_number_value(json_object_get(row, "rate")));
}

static void write_cores(const json_t *row, struct nr_buf *out)
{
    nr_buf_printf(out, "%.2f", json_number_value(json_object_get(row, "cpu_cores")));
}

static const struct column columns[] = {
    {"FUNCTION", "function", CELL_TEXT, 12},
    {"CALLS/S", NULL, CELL_NUMBER, 0, .write = write_rate},
    {"P50", "p50_ms", CELL_MS, 0},
    {"P95", "p95_ms", CELL_MS, 0},
    {"FAILED", "failed", CELL_NUMBER, 0},
    {"CONTAINERS", "containers", CELL_NUMBER, 0},
    {"CORES", NULL, CELL_NUMBER, 0, .write = write_cores},
    {"MEMORY", "memory_bytes", CELL_BYTES, 0},
    {"LIMIT", "memory_mb", CELL_MB, 0},
    {"CALLS", "calls", CELL_NUMBER, 0, .wide = true},
};

/* ---- what is used --------------------------------------------------------------------------------------------------------- */

/* The row of a function in an object of rows, made when it is new (lent). */
static json_t *row_of(json_t *rows, const char *function)
{
    json_t *row = json_object_get(rows, function);

    if (row == NULL) {
        row = json_pack("{s:s,s:o}", "function", function, "durations", json_array());
        json_object_set_new(rows, function, row);
    }
    return row;
}

static void add(json_t *row, const char *key, double more)
{
    double sum = json_number_value(json_object_get(row, key)) + more;

    json_object_set_new(row, key,
                        strcmp(key, "cpu_cores") ? json_integer((json_int_t)sum) : json_real(sum));
}

static void add_containers(json_t *rows, const json_t *invoker)
{
    static const char *const sums[] = {"cpu_cores", "memory_bytes", "memory_mb"};
    json_t *one;
    size_t i;

    json_array_foreach(json_object_get(invoker, "containers"), i, one) {
        const char *function = nr_json_string(one, "function");
        json_t *row = function && function[0] ? row_of(rows, function) : NULL;

        if (row == NULL) /* a stem */
            continue;
        add(row, "containers", 1);
        for (size_t k = 0; k < nr_countof(sums); k++)
            add(row, sums[k], json_number_value(json_object_get(one, sums[k])));
    }
}

/* Returns how far the list reaches back, at most the window. */
static double add_activations(json_t *rows, const json_t *list, int64_t now_ms)
{
    double reach_ms = WINDOW_MS;
    json_t *one;
    size_t i;

    json_array_foreach(list, i, one) {
        const char *path = json_string_value(cli_annotation(one, "path"));
        double ago_ms = (double)now_ms - json_number_value(json_object_get(one, "start"));
        json_t *row = row_of(rows, path ? path : nr_json_string(one, "name"));

        json_array_append(json_object_get(row, "durations"), json_object_get(one, "duration"));
        if (json_integer_value(json_object_get(one, "statusCode")) > 0)
            add(row, "failed", 1);
        if (ago_ms < WINDOW_MS)
            add(row, "calls", 1);
        if (i + 1 == json_array_size(list) && i + 1 >= 200 && ago_ms < reach_ms)
            reach_ms = ago_ms > 1000 ? ago_ms : 1000;
    }
    return reach_ms;
}

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void set_quantiles(json_t *row)
{
    json_t *durations = json_object_get(row, "durations"), *one;
    size_t i, n = json_array_size(durations);
    double ms[256];

    json_array_foreach(durations, i, one) {
        if (i < nr_countof(ms))
            ms[i] = json_number_value(one);
    }
    n = n < nr_countof(ms) ? n : nr_countof(ms);
    qsort(ms, n, sizeof(ms[0]), by_number);
    if (n) {
        json_object_set_new(row, "p50_ms", json_integer((json_int_t)ms[(n - 1) / 2]));
        json_object_set_new(row, "p95_ms", json_integer((json_int_t)ms[(n - 1) * 95 / 100]));
    }
    json_object_del(row, "durations");
}

static int by_use(const void *a, const void *b)
{
    static const char *const order[] = {"cpu_cores", "rate", "memory_bytes"};
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;

    for (size_t i = 0; i < nr_countof(order); i++) {
        double u = json_number_value(json_object_get(x, order[i])),
               v = json_number_value(json_object_get(y, order[i]));

        if (u > v || u < v)
            return u < v ? 1 : -1;
    }
    return strcmp(nr_json_string(x, "function"), nr_json_string(y, "function"));
}

/* ---- the picture ----------------------------------------------------------------------------------------------------------- */

/* The sum of a metric's samples in a page. */
static double metric(const char *page, const char *name)
{
    struct nr_str rest = nr_str_of(page), line;
    size_t n = strlen(name);
    double sum = 0;

    while (nr_str_split(&rest, '\n', &line)) {
        if (line.n <= n || memcmp(line.p, name, n) != 0 || (line.p[n] != ' ' && line.p[n] != '{'))
            continue;
        const char *blank = memrchr(line.p, ' ', line.n);

        sum += blank ? strtod(blank, NULL) : 0;
    }
    return sum;
}

struct picture {
    json_t *rows; /* made: an array */
    double running, waiting, activations, load, used_mb, max_mb;
};

static int look(struct cli *c, struct picture *p)
{
    nr_auto_json json_t *invokers = NULL, *activations = NULL, *rows = json_object();
    nr_auto_free char *page = NULL;
    json_t *one;
    const char *key;
    int e = cli_call(c, "GET", "/narae/v1/invokers", NULL, 0, &invokers, NULL);

    if (e == 0)
        e = cli_call(c, "GET", "/api/v1/namespaces/_/activations?limit=200", NULL, 0, &activations,
                     NULL);
    if (e == 0)
        e = cli_text(c, "/metrics", &page);
    if (e != 0)
        return e;
    const json_t *invoker = json_is_array(invokers) ? json_array_get(invokers, 0) : invokers;
    add_containers(rows, invoker);
    double reach_ms = add_activations(rows, activations, nr_wall_ms());

    *p = (struct picture){.rows = json_array(),
                          .running = metric(page, "narae_running_activations"),
                          .waiting = metric(page, "narae_calls_waiting"),
                          .activations = metric(page, "narae_activations_total"),
                          .load = json_number_value(json_at(invoker, "host.load_1")),
                          .used_mb = json_number_value(json_object_get(invoker, "memory_used_mb")),
                          .max_mb = json_number_value(json_object_get(invoker, "memory_max_mb"))};
    json_object_foreach(rows, key, one) {
        set_quantiles(one);
        json_object_set_new(
            one, "rate",
            json_real(json_number_value(json_object_get(one, "calls")) * 1000 / reach_ms));
        json_array_append(p->rows, one);
    }
    return 0;
}

/* The rows in order, at most `limit` of them (made). */
static json_t *sorted(const json_t *rows, size_t limit)
{
    size_t n = json_array_size(rows);
    nr_auto_free json_t **list = nr_alloc((n + 1) * sizeof(json_t *));
    json_t *out = json_array();

    for (size_t i = 0; i < n; i++)
        list[i] = json_array_get(rows, i);
    qsort(list, n, sizeof(json_t *), by_use);
    for (size_t i = 0; i < n && i < limit; i++)
        json_array_append(out, list[i]);
    return out;
}

static int draw(struct cli *c, bool again)
{
    struct picture p = {0};
    unsigned screen = terminal_rows(&c->term);
    size_t limit = c->number[OPT_LIMIT] > 0 ? (size_t)c->number[OPT_LIMIT] : 200;
    char head[256];
    int e = look(c, &p);

    if (e != 0)
        return e;
    if (again && screen > 6 && limit > screen - 5)
        limit = screen - 5;
    nr_auto_json json_t *all = p.rows, *rows = sorted(p.rows, limit);
    if (cli_json(c)) {
        nr_auto_json json_t *whole =
            json_pack("{s:f,s:f,s:f,s:f,s:O}", "running", p.running, "waiting", p.waiting,
                      "activations", p.activations, "load_1", p.load, "functions", rows);

        (void)all;
        cli_print_json(whole);
        return 0;
    }
    if (again)
        (void)fputs("\033[H\033[J", stdout);
    (void)snprintf(
        head, sizeof(head),
        "%.0f calls run, %.0f wait, %.0f have ended; load %.2f; %.0f of %.0f MB given to "
        "containers",
        p.running, p.waiting, p.activations, p.load, p.used_mb, p.max_mb);
    text_print_wrapped(stdout, &c->term, 2, 0, head);
    (void)fputc('\n', stdout);
    table_print(stdout, &c->term, c->form == FORM_WIDE, columns, nr_countof(columns), rows);
    (void)fflush(stdout);
    return 0;
}

int verb_top(struct cli *c)
{
    int64_t every_s = c->number[OPT_EVERY] > 0 ? c->number[OPT_EVERY] : EVERY_S;
    struct timespec pause = {.tv_sec = (time_t)(every_s < 86400 ? every_s : 86400)};
    sigset_t ends;
    int e;

    if (c->text[OPT_ONCE] || !c->term.out || cli_json(c))
        return draw(c, false);
    (void)sigemptyset(&ends);
    (void)sigaddset(&ends, SIGINT);
    (void)sigaddset(&ends, SIGTERM);
    (void)sigaddset(&ends, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &ends,
                      NULL); /* taken between two pictures, so that the cursor comes back */
    (void)fputs("\033[?1049h\033[?25l", stdout);
    while ((e = draw(c, true)) == 0 && sigtimedwait(&ends, NULL, &pause) < 0)
        ;
    (void)fputs("\033[?25h\033[?1049l", stdout);
    return e;
}
