/* Samples, sums and their text. Two tables say which figures are summed and how all are named. */
#include "invoker/usage.h"

#include <stddef.h>
#include <string.h>

#include "common/base/mem.h"

enum { CORES_WINDOW_MS = 10000 };

static int64_t at(const void *base, size_t offset)
{
    int64_t v;

    memcpy(&v, (const char *)base + offset, sizeof(v));
    return v;
}

#define NOW(field) offsetof(struct cgroup_usage, field)
#define SUM(field) offsetof(struct usage_sum, field)

static const struct {
    size_t now, sum;
} summed[] = {
    {NOW(cpu_us), SUM(cpu_us)},
    {NOW(throttled_us), SUM(throttled_us)},
    {NOW(oom_kills), SUM(oom_kills)},
    {NOW(io_read_bytes), SUM(io_read_bytes)},
    {NOW(io_write_bytes), SUM(io_write_bytes)},
};

static const struct {
    const char *name;
    size_t at;
} now_names[] = {
    {"cpu_us", NOW(cpu_us)},
    {"cpu_user_us", NOW(cpu_user_us)},
    {"cpu_system_us", NOW(cpu_system_us)},
    {"throttled_us", NOW(throttled_us)},
    {"throttled_periods", NOW(throttled_periods)},
    {"memory_limit_bytes", NOW(memory_limit_bytes)},
    {"memory_with_cache_bytes", NOW(memory_bytes)},
    {"memory_high_water_bytes", NOW(memory_peak_bytes)},
    {"oom_kills", NOW(oom_kills)},
    {"pids", NOW(pids)},
    {"io_read_bytes", NOW(io_read_bytes)},
    {"io_write_bytes", NOW(io_write_bytes)},
};

static const struct {
    const char *name;
    size_t at;
} sum_names[] = {
    {"cpu_us", SUM(cpu_us)},
    {"throttled_us", SUM(throttled_us)},
    {"oom_kills", SUM(oom_kills)},
    {"io_read_bytes", SUM(io_read_bytes)},
    {"io_write_bytes", SUM(io_write_bytes)},
    {"memory_peak_bytes", SUM(memory_peak_bytes)},
};

static void add_figure(struct nr_buf *out, const char *name, int64_t value)
{
    if (value < 0)
        return;
    nr_buf_adds(out, ",\"");
    nr_buf_adds(out, name);
    nr_buf_adds(out, "\":");
    nr_buf_addi(out, value);
}

int64_t usage_memory_bytes(const struct cgroup_usage *now)
{
    if (now->memory_anon_bytes < 0)
        return -1;
    return now->memory_anon_bytes + (now->memory_kernel_bytes > 0 ? now->memory_kernel_bytes : 0);
}

static const struct usage_sample *sample(const struct usage *u, unsigned back)
{
    return &u->ring[(u->count - 1 - back) % USAGE_SAMPLES];
}

void usage_add(struct usage *u, const struct cgroup_usage *now, uint64_t at_ms,
               struct usage_sum *ret_more)
{
    struct usage_sum more = {0};
    int64_t memory = usage_memory_bytes(now);

    for (size_t i = 0; i < nr_countof(summed); i++) {
        int64_t before = u->count ? at(&u->now, summed[i].now) : 0;
        int64_t grown = at(now, summed[i].now) - (before > 0 ? before : 0);

        if (grown > 0)
            memcpy((char *)&more + summed[i].sum, &grown, sizeof(grown));
    }
    if (memory > u->memory_peak_bytes)
        u->memory_peak_bytes = memory;
    more.memory_peak_bytes = u->memory_peak_bytes;
    u->now = *now;
    u->ring[u->count++ % USAGE_SAMPLES] =
        (struct usage_sample){.at_ms = at_ms, .cpu_us = now->cpu_us, .memory_bytes = memory};
    *ret_more = more;
}

void usage_sum_add(struct usage_sum *to, const struct usage_sum *more)
{
    for (size_t i = 0; i < nr_countof(summed); i++) {
        int64_t sum = at(to, summed[i].sum) + at(more, summed[i].sum);

        memcpy((char *)to + summed[i].sum, &sum, sizeof(sum));
    }
    if (more->memory_peak_bytes > to->memory_peak_bytes)
        to->memory_peak_bytes = more->memory_peak_bytes;
}

double usage_cores(const struct usage *u, uint64_t window_ms)
{
    unsigned kept = u->count < USAGE_SAMPLES ? u->count : USAGE_SAMPLES, back = 1;

    if (kept < 2)
        return 0;
    const struct usage_sample *last = sample(u, 0), *first;

    while (back + 1 < kept && last->at_ms - sample(u, back)->at_ms < window_ms)
        back++;
    first = sample(u, back);
    if (last->at_ms <= first->at_ms || last->cpu_us < first->cpu_us)
        return 0;
    return (double)(last->cpu_us - first->cpu_us) / 1000 / (double)(last->at_ms - first->at_ms);
}

bool usage_active(const struct usage *u)
{
    return u->count < 2 || sample(u, 0)->cpu_us != sample(u, 1)->cpu_us;
}

void usage_json(const struct usage *u, uint64_t now_ms, struct nr_buf *out)
{
    if (u->count == 0)
        return;
    for (size_t i = 0; i < nr_countof(now_names); i++)
        add_figure(out, now_names[i].name, at(&u->now, now_names[i].at));
    add_figure(out, "memory_bytes", usage_memory_bytes(&u->now));
    add_figure(out, "memory_peak_bytes", u->memory_peak_bytes);
    nr_buf_printf(out, ",\"cpu_cores\":%.3f", usage_cores(u, CORES_WINDOW_MS));
    add_figure(out, "sampled_ms_ago", (int64_t)(now_ms - sample(u, 0)->at_ms));
}

void usage_sum_json(const struct usage_sum *s, struct nr_buf *out)
{
    for (size_t i = 0; i < nr_countof(sum_names); i++)
        add_figure(out, sum_names[i].name, at(s, sum_names[i].at));
}
