/* One table: which file, which line, which word of it, and how it is told. */
#include "invoker/host.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/metric.h"
#include "common/base/str.h"

enum { FILE_MAX_BYTES = 8192, PATH_MAX_BYTES = 512 };

/* The processors are told in ticks, which user space always counts as 1/100 s; memory in KiB; pressure in microseconds. */
static const struct {
    const char *file, *line; /* line: how it begins; "": the only one */
    int word;                /* behind that beginning */
    double unit;
    const char *json, *metric, *label, *help;
} figures[HOST_FIGURES] = {
#define CPU "narae_host_cpu_seconds_total"
#define CPU_HELP "Processor time of the host by use."
#define MEMORY "narae_host_memory_bytes"
#define MEMORY_HELP "Memory of the host."
#define LOAD "narae_host_load"
#define LOAD_HELP "Processes that want to run, mean over some minutes."
#define PRESSURE "narae_host_pressure_seconds_total"
#define PRESSURE_HELP "Time in which some process waited for this resource."
    [HOST_CPU_USER] = {"stat", "cpu ", 0, 0.01, "cpu_user_seconds", CPU, "mode=\"user\"", CPU_HELP},
    [HOST_CPU_SYSTEM] = {"stat", "cpu ", 2, 0.01, "cpu_system_seconds", CPU, "mode=\"system\"",
                         CPU_HELP},
    [HOST_CPU_IDLE] = {"stat", "cpu ", 3, 0.01, "cpu_idle_seconds", CPU, "mode=\"idle\"", CPU_HELP},
    [HOST_CPU_IOWAIT] = {"stat", "cpu ", 4, 0.01, "cpu_iowait_seconds", CPU, "mode=\"iowait\"",
                         CPU_HELP},
    [HOST_CPU_STEAL] = {"stat", "cpu ", 7, 0.01, "cpu_steal_seconds", CPU, "mode=\"steal\"",
                        CPU_HELP},
    [HOST_MEMORY_TOTAL] = {"meminfo", "MemTotal:", 0, 1024, "memory_total_bytes", MEMORY,
                           "of=\"total\"", MEMORY_HELP},
    [HOST_MEMORY_AVAILABLE] = {"meminfo", "MemAvailable:", 0, 1024, "memory_available_bytes",
                               MEMORY, "of=\"available\"", MEMORY_HELP},
    [HOST_SWAP_FREE] = {"meminfo", "SwapFree:", 0, 1024, "swap_free_bytes", MEMORY,
                        "of=\"swap_free\"", MEMORY_HELP},
    [HOST_LOAD_1] = {"loadavg", "", 0, 1, "load_1", LOAD, "minutes=\"1\"", LOAD_HELP},
    [HOST_LOAD_5] = {"loadavg", "", 1, 1, "load_5", LOAD, "minutes=\"5\"", LOAD_HELP},
    [HOST_LOAD_15] = {"loadavg", "", 2, 1, "load_15", LOAD, "minutes=\"15\"", LOAD_HELP},
    [HOST_PRESSURE_CPU] = {"pressure/cpu", "some ", 3, 1e-6, "pressure_cpu_seconds", PRESSURE,
                           "of=\"cpu\"", PRESSURE_HELP},
    [HOST_PRESSURE_MEMORY] = {"pressure/memory", "some ", 3, 1e-6, "pressure_memory_seconds",
                              PRESSURE, "of=\"memory\"", PRESSURE_HELP},
    [HOST_PRESSURE_IO] = {"pressure/io", "some ", 3, 1e-6, "pressure_io_seconds", PRESSURE,
                          "of=\"io\"", PRESSURE_HELP},
};

static void read_file(const char *root, const char *name, char text[FILE_MAX_BYTES])
{
    char path[PATH_MAX_BYTES];
    ssize_t n = -1;

    (void)snprintf(path, sizeof(path), "%s/%s", root, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        n = read(fd, text, FILE_MAX_BYTES - 1);
        (void)close(fd);
    }
    text[n > 0 ? n : 0] = '\0';
}

/* The word-th number of a line, with or without "total=" before it; -1 when it has none. */
static double number_in(struct nr_str line, int word)
{
    struct nr_str part = {NULL, 0};

    while (nr_str_split(&line, ' ', &part))
        if (part.n > 0 && word-- == 0) {
            const char *equals = memchr(part.p, '=', part.n), *from = equals ? equals + 1 : part.p;
            char *end;
            double value = strtod(from, &end);

            return end > from && value >= 0 ? value : -1;
        }
    return -1;
}

static double find(const char *text, const char *beginning, int word)
{
    struct nr_str rest = nr_str_of(text), line;

    while (nr_str_split(&rest, '\n', &line))
        if (line.n > 0 && nr_str_starts(line, beginning)) {
            size_t n = strlen(beginning);

            return number_in((struct nr_str){line.p + n, line.n - n}, word);
        }
    return -1;
}

void host_read(const char *root, struct host_usage *ret)
{
    char text[FILE_MAX_BYTES] = "";

    for (size_t i = 0; i < HOST_FIGURES; i++) {
        if (i == 0 || strcmp(figures[i].file, figures[i - 1].file) != 0)
            read_file(root, figures[i].file, text);
        double value = find(text, figures[i].line, figures[i].word);

        ret->figure[i] = value < 0 ? -1 : value * figures[i].unit;
    }
}

void host_json(const struct host_usage *h, struct nr_buf *out)
{
    const char *comma = "";

    nr_buf_adds(out, ",\"host\":{");
    for (size_t i = 0; i < HOST_FIGURES; i++) {
        if (h->figure[i] < 0)
            continue;
        nr_buf_printf(out, "%s\"%s\":%.15g", comma, figures[i].json, h->figure[i]);
        comma = ",";
    }
    nr_buf_addc(out, '}');
}

void host_metrics(const struct host_usage *h, struct nr_buf *out)
{
    const char *named = "";

    for (size_t i = 0; i < HOST_FIGURES; i++) {
        const char *name = figures[i].metric;
        size_t n = strlen(name);

        if (h->figure[i] < 0)
            continue;
        if (strcmp(name, named) != 0)
            nr_metric_head(out, name,
                           n > 6 && strcmp(name + n - 6, "_total") == 0 ? "counter" : "gauge",
                           figures[i].help);
        nr_metric_sample(out, name, figures[i].label, h->figure[i]);
        named = name;
    }
}
