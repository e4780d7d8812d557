/* The figures that every program tells Prometheus of its process, by the names that ready dashboards expect, and those of the loop.
 * /proc is memory, so none of this waits for a disk.
 */
#include "gateway/internal.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static void write_memory(struct nr_buf *out)
{
    static const struct {
        const char *line, *name, *help;
    } table[] = {
        {"VmSize:", "process_virtual_memory_bytes", "Virtual memory."},
        {"VmRSS:", "process_resident_memory_bytes", "Resident memory."},
        {"RssAnon:", "narae_process_anonymous_memory_bytes", "Anonymous resident memory."},
    };
    FILE *f = fopen("/proc/self/status", "re");
    char line[128];

    while (f && fgets(line, sizeof(line), f))
        for (size_t i = 0; i < nr_countof(table); i++)
            if (nr_str_starts(nr_str_of(line), table[i].line)) {
                double kb = (double)strtoll(line + strlen(table[i].line), NULL, 10);

                nr_metric_one(out, table[i].name, "gauge", table[i].help, kb * 1024);
            }
    if (f)
        (void)fclose(f);
}

static void write_files(struct nr_buf *out)
{
    DIR *d = opendir("/proc/self/fd");
    struct rlimit most;
    int n = -3; /* ".", ".." and the folder itself */

    while (d && readdir(d))
        n++;
    if (d)
        (void)closedir(d);
    nr_metric_one(out, "process_open_fds", "gauge", "Open file descriptors.", n);
    if (getrlimit(RLIMIT_NOFILE, &most) == 0)
        nr_metric_one(out, "process_max_fds", "gauge", "File descriptors that may be open.",
                      (double)most.rlim_cur);
}

static double seconds_of(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void write_time(const struct gateway *g, struct nr_buf *out)
{
    struct rusage used;

    if (getrusage(RUSAGE_SELF, &used) == 0)
        nr_metric_one(out, "process_cpu_seconds_total", "counter",
                      "Processor time of the process, without its containers.",
                      seconds_of(used.ru_utime) + seconds_of(used.ru_stime));
    nr_metric_one(out, "process_start_time_seconds", "gauge",
                  "When the process began, in seconds since 1970.", (double)g->opened_ms / 1000);
}

static void write_loop(const struct nr_loop *l, struct nr_buf *out)
{
    struct nr_loop_stats s = nr_loop_stats(l);

    nr_metric_one(out, "narae_loop_slow_callbacks_total", "counter",
                  "Turns of the loop thread that took more than 20 ms of its processor time.",
                  (double)s.callbacks_over_20_ms);
    nr_metric_one(out, "narae_loop_longest_callback_seconds", "gauge",
                  "The longest turn, in processor time.", (double)s.longest_cpu_us / 1e6);
    nr_metric_one(out, "narae_loop_cpu_seconds_total", "counter",
                  "Processor time of the loop thread.", (double)s.cpu_us / 1e6);
}

static void write_build(const struct gateway *g, struct nr_buf *out)
{
    nr_metric_head(out, "narae_build_info", "gauge", "1; its label is the version that runs.");
    nr_buf_adds(out, "narae_build_info{");
    nr_metric_label(out, "version", nr_str_of(g->config.build ? g->config.build : ""));
    nr_buf_adds(out, "} 1\n");
}

void metrics_process(const struct gateway *g, struct nr_buf *out)
{
    write_build(g, out);
    write_time(g, out);
    write_memory(out);
    write_files(out);
    write_loop(g->config.loop, out);
}
