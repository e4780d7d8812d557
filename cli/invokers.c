/* narae invokers: each host in two lines, then its containers and what they use, those that use most CPU first. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"

static double number(const json_t *of, const char *key)
{
    return json_number_value(json_object_get(of, key));
}

static const char *word(const json_t *of, const char *key)
{
    const char *w = nr_json_string(of, key);

    return w ? w : "?";
}

static double mb(const json_t *of, const char *key)
{
    return number(of, key) / (1 << 20);
}

/* "12s", "5m", "3h", "2d". */
static void print_age(double ms)
{
    static const struct {
        double seconds;
        char unit;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}};
    double seconds = ms / 1000;
    char text[32];

    (void)snprintf(text, sizeof(text), "%.0fs", seconds);
    for (size_t i = 0; i < nr_countof(units); i++)
        if (seconds >= units[i].seconds) {
            (void)snprintf(text, sizeof(text), "%.0f%c", seconds / units[i].seconds, units[i].unit);
            break;
        }
    printf("%6s", text);
}

static void print_host(const json_t *invoker)
{
    const json_t *host = json_object_get(invoker, "host");

    printf("invoker %s: %s, engine %s; %.0f of %.0f MB given to containers; %.0f calls wait\n",
           word(invoker, "name"), word(invoker, "state"), word(invoker, "engine"),
           number(invoker, "memory_used_mb"), number(invoker, "memory_max_mb"),
           number(invoker, "waiting"));
    if (host)
        printf("  host: load %.2f; %.0f of %.0f MB available\n", number(host, "load_1"),
               mb(host, "memory_available_bytes"), mb(host, "memory_total_bytes"));
}

static int by_cpu(const void *a, const void *b)
{
    double x = number(*(json_t *const *)a, "cpu_cores"),
           y = number(*(json_t *const *)b, "cpu_cores");

    return (x < y) - (x > y);
}

static void print_container(const json_t *one)
{
    const char *function = nr_json_string(one, "function");

    printf("%-9s %-9s %-28s %-12s", word(one, "name"), word(one, "state"),
           function ? function : "-", word(one, "kind"));
    print_age(number(one, "age_ms"));
    printf(" %5.0f", number(one, "calls"));
    if (json_object_get(one, "cpu_us"))
        printf(" %6.2f %8.2f s %7.1f %7.1f", number(one, "cpu_cores"), number(one, "cpu_us") / 1e6,
               mb(one, "memory_bytes"), mb(one, "memory_peak_bytes"));
    else
        printf(" %6s %10s %7s %7s", "-", "-", "-", "-");
    printf(" %6.0f %5.0f %4.0f\n", number(one, "memory_mb"), number(one, "pids"),
           number(one, "oom_kills"));
}

static int print_containers(const json_t *list)
{
    size_t n = json_array_size(list);
    json_t **sorted = n ? nr_try_alloc(n * sizeof(*sorted)) : NULL;

    if (n && sorted == NULL)
        return cli_fail("no memory for %zu containers", n);
    for (size_t i = 0; i < n; i++)
        sorted[i] = json_array_get(list, i);
    if (n)
        qsort(sorted, n, sizeof(*sorted), by_cpu);
    printf("%-9s %-9s %-28s %-12s%6s %5s %6s %10s %7s %7s %6s %5s %4s\n", "NAME", "STATE",
           "FUNCTION", "KIND", "AGE", "CALLS", "CORES", "CPU", "MB", "PEAK", "LIMIT", "PIDS",
           "OOM");
    for (size_t i = 0; i < n; i++)
        print_container(sorted[i]);
    free(sorted);
    return 0;
}

int verb_invokers(struct cli *c)
{
    nr_auto_json json_t *answer = NULL;
    const json_t *invoker;
    size_t i;
    int e = cli_call(c, "GET", "/narae/v1/invokers", NULL, 0, &answer, NULL);

    if (e != 0 || c->json) {
        if (e == 0)
            cli_print_json(answer);
        return e;
    }
    nr_auto_json json_t *list =
        json_is_array(answer) ? json_incref(answer) : json_pack("[O]", answer);
    json_array_foreach(list, i, invoker) {
        print_host(invoker);
        if ((e = print_containers(json_object_get(invoker, "containers"))) != 0)
            return e;
    }
    return 0;
}
