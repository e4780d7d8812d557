/* sensor-sim: prints the messages of the two boards, one JSON object per line, in the order in
 * which a receiver gets them; or, with --counts, what a correct check of them must count.
 *
 * A line holds what a gateway knows about a message and the board's bytes as a string, because a
 * board that sends NaN does not send JSON:
 *   {"device":"orangepi0","sensor":"DHT22","received":1767571200040,"raw":"{\"temp\":23.4,...}"}
 * Wrong options end with one line on stderr and status 1; so does a write error. */
#include "sim.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HOURS_MAX 87600

enum output { LINES, BATCHES, COUNTS };

struct settings {
    struct sim_range range;
    enum output output;
    long batch;
};

struct printer {
    const struct settings *settings;
    long in_batch;
};

static const struct option options[] = {
    {"device", required_argument, NULL, 'd'},
    {"start", required_argument, NULL, 's'},
    {"hours", required_argument, NULL, 'n'},
    {"format", required_argument, NULL, 'f'},
    {"batch", required_argument, NULL, 'b'},
    {"no-faults", no_argument, NULL, 'x'},
    {"counts", no_argument, NULL, 'c'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static const char help[] =
    "Usage: sensor-sim [OPTION]...\n"
    "Prints the deterministic messages of two simulated boards in order of arrival.\n"
    "\n"
    "  --device=both|orangepi0|raspberrypi4   which boards (both)\n"
    "  --start=2026-01-05T00:00:00Z           first reading, UTC, a multiple of 5 s\n"
    "  --hours=N                              how long, 1 to 87600 (1)\n"
    "  --format=lines|batches                 one message, or one call body, per line (lines)\n"
    "  --batch=N                              messages in a batch, 1 to 10000 (500)\n"
    "  --no-faults                            readings only, no device errors\n"
    "  --counts                               instead of messages: the counts per outcome, JSON\n"
    "  --help                                 this text\n";

static int wrong(const char *option, const char *value, const char *expected)
{
    fprintf(stderr, "sensor-sim: --%s=%s: expected %s\n", option, value, expected);
    return -1;
}

static int parse_number(const char *option, const char *text, long max, long *ret_value)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno || end == text || *end || value < 1 || value > max) {
        char expected[64];
        snprintf(expected, sizeof(expected), "a whole number from 1 to %ld", max);
        return wrong(option, text, expected);
    }
    *ret_value = value;
    return 0;
}

static int parse_start(const char *text, uint64_t *ret_k)
{
    struct tm utc = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    time_t seconds = end && !*end ? timegm(&utc) : -1;
    if (seconds < 0 || seconds % SIM_PERIOD_S)
        return wrong("start", text, "UTC such as 2026-01-05T00:00:00Z, a multiple of 5 s");
    *ret_k = (uint64_t)seconds / SIM_PERIOD_S;
    return 0;
}

static int parse_device(const char *text, unsigned *ret_boards)
{
    if (strcmp(text, "both") == 0) {
        *ret_boards = (1u << SIM_BOARDS) - 1;
        return 0;
    }
    for (int b = 0; b < SIM_BOARDS; b++) {
        if (strcmp(text, sim_board_name((enum sim_board)b)) == 0) {
            *ret_boards = 1u << b;
            return 0;
        }
    }
    return wrong("device", text, "both, orangepi0 or raspberrypi4");
}

static int parse_format(const char *text, enum output *ret_output)
{
    if (strcmp(text, "lines") == 0)
        *ret_output = LINES;
    else if (strcmp(text, "batches") == 0)
        *ret_output = BATCHES;
    else
        return wrong("format", text, "lines or batches");
    return 0;
}

/* Returns 0, a negative number after a wrong option, 1 when help was asked for. */
static int parse_options(int argc, char **argv, struct settings *settings)
{
    int status = 0, letter;
    bool counts = false;
    long hours = 1;

    while (status == 0 && (letter = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (letter) {
        case 'd': status = parse_device(optarg, &settings->range.boards); break;
        case 's': status = parse_start(optarg, &settings->range.first_k); break;
        case 'n': status = parse_number("hours", optarg, HOURS_MAX, &hours); break;
        case 'f': status = parse_format(optarg, &settings->output); break;
        case 'b': status = parse_number("batch", optarg, 10000, &settings->batch); break;
        case 'x': settings->range.faults = false; break;
        case 'c': counts = true; break;
        case 'h': return 1;
        default: return -1; /* getopt has said what is wrong */
        }
    }
    if (status == 0 && optind < argc) {
        fprintf(stderr, "sensor-sim: %s: not an option, see --help\n", argv[optind]);
        status = -1;
    }
    if (counts)
        settings->output = COUNTS;
    settings->range.steps = (uint64_t)hours * 3600 / SIM_PERIOD_S;
    return status;
}

static void print_quoted(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        putchar(*text);
    }
    putchar('"');
}

static int print_event(void *context, const struct sim_event *event)
{
    struct printer *printer = context;
    bool batches = printer->settings->output == BATCHES;

    if (batches)
        fputs(printer->in_batch == 0 ? "{\"readings\":[" : ",", stdout);
    printf("{\"device\":\"%s\",\"sensor\":\"%s\",\"received\":%lld,\"raw\":",
           sim_board_name(event->board), sim_sensor_name(event->board),
           (long long)event->received_ms);
    print_quoted(event->payload);
    putchar('}');
    if (batches && ++printer->in_batch < printer->settings->batch)
        return ferror(stdout);
    fputs(batches ? "]}\n" : "\n", stdout);
    printer->in_batch = 0;
    return ferror(stdout); /* a closed pipe ends the run */
}

static void print_counts(const struct sim_counts *counts)
{
    printf("\"readings\":%llu,\"sent\":%llu,\"rows\":%llu,\"late\":%llu,\"dropped\":%llu,"
           "\"quarantined\":{",
           (unsigned long long)counts->readings, (unsigned long long)counts->sent,
           (unsigned long long)counts->rows, (unsigned long long)counts->late,
           (unsigned long long)counts->dropped);
    for (int r = 0; r < SIM_REASONS; r++)
        printf("%s\"%s\":%llu", r ? "," : "", sim_reason_name((enum sim_reason)r),
               (unsigned long long)counts->quarantined[r]);
    putchar('}');
}

static void add_counts(struct sim_counts *sum, const struct sim_counts *counts)
{
    sum->readings += counts->readings;
    sum->sent += counts->sent;
    sum->rows += counts->rows;
    sum->late += counts->late;
    sum->dropped += counts->dropped;
    for (int r = 0; r < SIM_REASONS; r++)
        sum->quarantined[r] += counts->quarantined[r];
}

/* {total..., "devices":{NAME:{...}}} */
static void print_all_counts(const struct sim_range *range)
{
    struct sim_counts each[SIM_BOARDS], sum = {0};
    const char *comma = "";

    for (int b = 0; b < SIM_BOARDS; b++) {
        if (!(range->boards & (1u << b)))
            continue;
        each[b] = sim_count(range, (enum sim_board)b);
        add_counts(&sum, &each[b]);
        if (each[b].unsure)
            fprintf(stderr,
                    "sensor-sim: %s: the range begins with a jump: a check without history "
                    "cannot see it and takes it for the level\n",
                    sim_board_name((enum sim_board)b));
    }
    putchar('{');
    print_counts(&sum);
    fputs(",\"devices\":{", stdout);
    for (int b = 0; b < SIM_BOARDS; b++) {
        if (!(range->boards & (1u << b)))
            continue;
        printf("%s\"%s\":{", comma, sim_board_name((enum sim_board)b));
        print_counts(&each[b]);
        putchar('}');
        comma = ",";
    }
    puts("}}");
}

int main(int argc, char **argv)
{
    struct settings settings = {.batch = 500, .range = {.faults = true}};
    struct printer printer = {.settings = &settings};

    parse_device("both", &settings.range.boards);
    parse_start("2026-01-05T00:00:00Z", &settings.range.first_k);
    int status = parse_options(argc, argv, &settings);
    if (status < 0)
        return EXIT_FAILURE;
    if (status > 0)
        return fputs(help, stdout) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;

    if (settings.output == COUNTS)
        print_all_counts(&settings.range);
    else
        sim_run(&settings.range, print_event, &printer);
    if (printer.in_batch > 0)
        fputs("]}\n", stdout);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "sensor-sim: cannot write: %s\n", strerror(errno));
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
