/* What samples cost: counting one warm call (of 1, 100 and 10,000 functions in turn), and putting one second's samples together and writing them. No
 * container, no loop: the price on the warm path and on the work thread alone.
 *
 *   sample_cost [CALLS]      prints a line each
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "controller/internal.h"
#include "daemon/sample_rows.h"

enum { FUNCTIONS_MAX = 10000, NAME_BYTES = 32 };

static struct controller controller;
static struct function functions[FUNCTIONS_MAX];
static char names[FUNCTIONS_MAX][NAME_BYTES], account_name[] = "guest", package[] = "";
static struct account account = {.name = account_name, .concurrent_invocations = 1000};
static struct nr_buf text;
static size_t written;

static void add(void *arg, const struct call_figures *f)
{
    if (!sample_rows_add_calls(arg, f))
        controller_span_back(&controller, f->span);
}

static void write_one(void *arg, struct sample *s, enum series_label label)
{
    (void)label;
    s->node = NR_STR("bench");
    s->t_ms = 1767603600000;
    s->seq = ++*(uint64_t *)arg;
    nr_buf_reset(&text, SAMPLE_MAX_BYTES);
    sample_write(s, &text);
    written += text.n;
}

static void count(long calls, int n)
{
    struct activation a = {.account = &account, .start = START_WARM};
    uint64_t begun_us = nr_mono_us();

    for (long i = 0; i < calls; i++) {
        a.fn = &functions[i % n];
        a.counted_in = false;
        a.started_us = 1000;
        a.answered_us = 1000 + (uint64_t)i % 5000;
        counts_arrived(&controller.counts, &a);
        counts_entered(&controller.counts, &a);
        counts_answered(&controller.counts, &a);
    }
    printf("count_functions_%d_ns %.1f\n", n,
           (double)(nr_mono_us() - begun_us) * 1000 / (double)calls);
}

static void tell(int n)
{
    struct sample_rows rows;
    uint64_t seq = 0, begun_us = nr_mono_us(), gathered_us;

    written = 0;
    sample_rows_init(&rows);
    controller_figures(&controller, add, &rows);
    gathered_us = nr_mono_us() - begun_us;
    sample_rows_each(&rows, 1000, write_one, &seq);
    printf("sample_functions_%d_gather_us %llu write_us %llu bytes %zu\n", n,
           (unsigned long long)gathered_us,
           (unsigned long long)(nr_mono_us() - begun_us - gathered_us), written);
    for (size_t i = 0; i < rows.call_count; i++)
        controller_span_back(&controller, rows.calls[i].figures.span);
    sample_rows_fini(&rows);
}

int main(int argc, char **argv)
{
    static const int sizes[] = {1, 100, FUNCTIONS_MAX};
    long calls = argc > 1 ? strtol(argv[1], NULL, 10) : 10000000;

    nr_buf_init(&text, SAMPLE_MAX_BYTES);
    counts_init(&controller.counts);
    for (int i = 0; i < FUNCTIONS_MAX; i++) {
        (void)snprintf(names[i], NAME_BYTES, "function-%d", i);
        functions[i] = (struct function){.account = account_name,
                                         .package = package,
                                         .name = names[i],
                                         .revision = (uint64_t)i + 1};
    }
    for (size_t i = 0; i < nr_countof(sizes); i++) {
        count(calls > 0 ? calls : 1, sizes[i]);
        tell(sizes[i]);
    }
    counts_fini(&controller.counts);
    nr_buf_fini(&text);
    return 0;
}
