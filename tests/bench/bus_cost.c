/* What bus_publish() costs its caller, in this process and over Kafka, with room and without; and what a full queue takes of memory.
 * One JSON object on standard output.
 *
 *   bus_cost [HOST:PORT]      without a broker: only what needs none
 */
#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/bus/bus.h"

enum { ROUNDS = 50, PER_ROUND = 2000, SAMPLE_BYTES = 400, FULL_BYTES = 1600, SETTLE_MS = 60000 };

static const char nobody[] = "127.0.0.1:1"; /* a port that refuses */

struct cost {
    double mean_ns, p99_ns;
};

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static uint32_t publish_ns(struct bus *b, unsigned i, struct nr_str value)
{
    struct timespec begin, end;
    char key[16];

    (void)snprintf(key, sizeof(key), "k%u", i % 64);
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    (void)bus_publish(b, BUS_METRICS, nr_str_of(key), value);
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    return (uint32_t)((end.tv_sec - begin.tv_sec) * 1000000000 + end.tv_nsec - begin.tv_nsec);
}

static void on_message(struct bus_reader *r, const struct bus_message *m)
{
    (void)r;
    (void)m;
}

static void on_gone(struct bus_reader *r)
{
    r->owner = NULL;
}

/* Gives everything that was published its end, so that a queue is never what is measured. */
static void settle(struct bus *b, struct nr_loop *loop)
{
    uint64_t until_ms = nr_mono_ms() + SETTLE_MS;

    while (bus_stats(b).unconfirmed > 0 && nr_mono_ms() < until_ms) {
        (void)uv_run(&loop->uv, UV_RUN_NOWAIT);
        (void)usleep(500);
    }
}

static struct cost measure(struct bus *b, bool settles, struct nr_str value)
{
    static uint32_t ns[ROUNDS * PER_ROUND];
    struct nr_loop loop;
    struct bus_reader r = {
        .loop = &loop, .topics = 1u << BUS_METRICS, .on_message = on_message, .owner = &loop};
    struct cost c = {0};

    nr_check(nr_loop_init(&loop, NULL) == 0 && bus_read(b, &r, NULL) == 0);
    for (unsigned i = 0; i < ROUNDS * PER_ROUND; i++) {
        ns[i] = publish_ns(b, i, value);
        c.mean_ns += ns[i];
        if (settles && i % PER_ROUND == PER_ROUND - 1)
            settle(b, &loop);
    }
    bus_unread(b, &r, on_gone);
    while (r.owner)
        (void)uv_run(&loop.uv, UV_RUN_NOWAIT);
    (void)nr_loop_fini(&loop);
    qsort(ns, nr_countof(ns), sizeof(ns[0]), by_size);
    c.mean_ns /= ROUNDS * PER_ROUND;
    c.p99_ns = ns[nr_countof(ns) / 100 * 99];
    return c;
}

static long resident_kib(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    long pages = 0;

    if (f && fscanf(f, "%*s %ld", &pages) != 1)
        pages = 0;
    if (f)
        (void)fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static struct bus *open_bus(const char *brokers, struct nr_log *log)
{
    const struct bus_config c = {
        .brokers = brokers, .prefix = "bench", .client = "bench", .log = log};
    struct nr_err err = {0};
    struct bus *b;

    if (bus_open(&c, &b, &err) == 0)
        return b;
    fprintf(stderr, "%s\n", err.text);
    exit(1);
}

static void print_cost(const char *name, const char *brokers, bool settles, struct nr_str value,
                       struct nr_log *log)
{
    struct bus *b = open_bus(brokers, log);
    struct cost c = measure(b, settles, value);

    printf("\"%s\": {\"mean_ns\": %.0f, \"p99_ns\": %.0f}, ", name, c.mean_ns, c.p99_ns);
    bus_close(b, 2000);
}

int main(int argc, char **argv)
{
    static char text[FULL_BYTES];
    struct nr_log log = {.out = stderr, .level = NR_LOG_ERROR};
    struct nr_str sample = {text, SAMPLE_BYTES}, large = {text, FULL_BYTES};

    memset(text, 'x', sizeof(text));
    printf("{");
    print_cost("here", NULL, true, sample, &log);
    if (argc > 1)
        print_cost("kafka", argv[1], true, sample, &log);
    struct bus *b = open_bus(nobody, &log);
    long before_kib = resident_kib();

    while (bus_publish(b, BUS_METRICS, NR_STR("k"), large))
        ;
    long grown_kib = resident_kib() - before_kib;

    bus_close(b, 0);
    print_cost("full", nobody, false, sample, &log);
    printf("\"full_queue_kib\": %ld}\n", grown_kib);
    return 0;
}
