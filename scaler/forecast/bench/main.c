/* policy-bench INVOCATIONS.csv: `name cold_starts idle_minutes`, a line a policy; how a price of memory trades cold starts against idle containers.
 *
 * Exit status: 0; 1 when the trace cannot be read, with the reason; 2 for a wrong call.
 */
#include <errno.h>

#include "scaler/forecast/bench/bench.h"

static const uint64_t fixed_minutes[] = {1, 5, 10, 20, 60};
static const uint64_t hybrid_minutes[] = {10, 20, 60};
/* The chance of a call that a warm minute must be worth: from memory is dear to memory is cheap. */
static const double prices[] = {0.02, 0.01, 0.006, 0.0043, 0.003, 0.002, 0.0011, 0.0005};
#define COUNT(list) (sizeof(list) / sizeof(list)[0])

static void print(const char *name, double number, struct cost c)
{
    printf("%s-%g %llu %llu\n", name, number, (unsigned long long)c.cold,
           (unsigned long long)c.idle);
}

static void run(const struct trace *t)
{
    struct cost ours[COUNT(prices)];
    for (size_t i = 0; i < COUNT(fixed_minutes); i++)
        print("fixed", (double)fixed_minutes[i], cost_fixed(t, fixed_minutes[i]));
    for (size_t i = 0; i < COUNT(hybrid_minutes); i++)
        print("hybrid", (double)hybrid_minutes[i], cost_hybrid(t, hybrid_minutes[i]));
    cost_forecast(t, prices, COUNT(prices), ours);
    for (size_t i = 0; i < COUNT(prices); i++)
        print("narae", prices[i], ours[i]);
}

int main(int argc, char **argv)
{
    struct trace t;
    struct nr_err err = {0};
    if (argc != 2 || (argv[1][0] == '-' && argv[1][1] != '\0')) {
        fprintf(stderr, "usage: policy-bench INVOCATIONS.csv    (-: standard input)\n");
        return 2;
    }
    FILE *from = argv[1][0] == '-' ? stdin : fopen(argv[1], "re");
    if (from == NULL) {
        fprintf(stderr, "policy-bench: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    int rc = trace_read(from, &t, &err);
    if (from != stdin)
        fclose(from);
    if (rc < 0) {
        fprintf(stderr, "policy-bench: %s: %s\n", argv[1], err.text);
        return 1;
    }
    run(&t);
    trace_fini(&t);
    return fflush(stdout) == 0 ? 0 : 1;
}
