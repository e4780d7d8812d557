/* sensor-feed: reads the messages that sensor-sim prints, sends them to a deployed checking function
 * one by one (or N at a time), and prints how many readings ended how, beside what was expected.
 *
 * Happy path: open -> per line: add, send when the batch is full and its time has come -> table ->
 * status 0. Where the platform is and the key come from where narae takes them.
 * Failures: a wrong option, an unreadable file: one line, status 1. A failed call is told; after
 * FAILED_MAX of them the rest is not sent. Counts that differ from --expect: status 1. */
#include "feed.h"

#include <curl/curl.h>
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FAILED_MAX 5
#define KEY_MAX 512
#define BATCH_MAX 10000
#define RATE_MAX 100000 /* calls a second */
#define RATE_DEFAULT 500
#define URL_DEFAULT "http://127.0.0.1:3233"

struct settings {
    struct feed_settings feed;
    const char *auth_file, *lines, *expect;
    long batch, rate;
    bool progress;
    char url[512];
};

static const char *const host_variables[] = {"NARAE_APIHOST", "WHISK_APIHOST", "__OW_API_HOST",
                                             NULL};
static const char *const key_variables[] = {"NARAE_AUTH", "WHISK_AUTH", "__OW_API_KEY", NULL};

static const struct option options[] = {
    {"url", required_argument, NULL, 'u'},    {"auth-file", required_argument, NULL, 'a'},
    {"action", required_argument, NULL, 'n'}, {"lines", required_argument, NULL, 'l'},
    {"batch", required_argument, NULL, 'b'},  {"rate", required_argument, NULL, 'r'},
    {"expect", required_argument, NULL, 'e'}, {"timeout", required_argument, NULL, 't'},
    {"insecure", no_argument, NULL, 'k'},     {"progress", no_argument, NULL, 'p'},
    {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
};

static const char help[] =
    "Usage: sensor-feed [OPTION]...\n"
    "Sends sensor-sim's messages to a deployed checking function and counts the outcomes.\n"
    "\n"
    "  --url=URL          the platform (NARAE_APIHOST, WHISK_APIHOST, __OW_API_HOST, else\n"
    "                     http://127.0.0.1:3233)\n"
    "  --auth-file=FILE   holds the account's key, uuid:secret (NARAE_AUTH, WHISK_AUTH or\n"
    "                     __OW_API_KEY is the key itself)\n"
    "  --action=NAME      the function, NAME or PACKAGE/NAME (validate)\n"
    "  --lines=FILE|-     the messages, one JSON object per line (-)\n"
    "  --batch=N          messages in a call, 1 to 10000 (1)\n"
    "  --rate=N           calls a second at most, 1 to 100000 (500); they go one after the other\n"
    "  --expect=FILE      what sensor-sim --counts printed; status 1 when the counts differ\n"
    "  --timeout=S        seconds a call may take, 1 to 600 (60)\n"
    "  --insecure         accept a certificate that nobody signed\n"
    "  --progress         a line on stderr every second\n"
    "  --help             this text\n";

static int parse_number(const char *option, const char *text, long max, long *ret_value)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno || end == text || *end || value < 1 || value > max) {
        fprintf(stderr, "sensor-feed: --%s=%s: expected a whole number from 1 to %ld\n", option,
                text, max);
        return -1;
    }
    *ret_value = value;
    return 0;
}

/* Returns 0, -1 after a wrong option, 1 when help was asked for. */
static int parse_options(int argc, char **argv, struct settings *settings)
{
    int letter, status = 0;
    long timeout_s = 60;

    while (status == 0 && (letter = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (letter) {
        case 'u': settings->feed.url = optarg; break;
        case 'a': settings->auth_file = optarg; break;
        case 'n': settings->feed.action = optarg; break;
        case 'l': settings->lines = optarg; break;
        case 'b': status = parse_number("batch", optarg, BATCH_MAX, &settings->batch); break;
        case 'r': status = parse_number("rate", optarg, RATE_MAX, &settings->rate); break;
        case 'e': settings->expect = optarg; break;
        case 't': status = parse_number("timeout", optarg, 600, &timeout_s); break;
        case 'k': settings->feed.insecure = true; break;
        case 'p': settings->progress = true; break;
        case 'h': return 1;
        default: return -1; /* getopt has said what is wrong */
        }
    }
    if (status == 0 && optind < argc) {
        fprintf(stderr, "sensor-feed: %s, see --help\n", argv[optind]);
        status = -1;
    }
    settings->feed.timeout_ms = timeout_s * 1000;
    return status;
}

/* The first of the variables that says something, or NULL. */
static const char *variable(const char *const *names)
{
    for (; *names; names++) {
        const char *value = getenv(*names);
        if (value && *value)
            return value;
    }
    return NULL;
}

/* The platform's address as narae reads it: https unless it says otherwise, without /api/v1. */
static int choose_url(struct settings *settings)
{
    const char *url = settings->feed.url ? settings->feed.url : variable(host_variables);
    size_t length;

    if (!url)
        url = URL_DEFAULT;
    length = strlen(url);
    while (length > 0 && url[length - 1] == '/')
        length--;
    if (length > 7 && strncmp(url + length - 7, "/api/v1", 7) == 0)
        length -= 7;
    int written = snprintf(settings->url, sizeof(settings->url), "%s%.*s",
                           strstr(url, "://") ? "" : "https://", (int)length, url);
    if (written < 0 || (size_t)written >= sizeof(settings->url)) {
        fprintf(stderr, "sensor-feed: the platform's address has more than %zu characters\n",
                sizeof(settings->url) - 1);
        return -1;
    }
    settings->feed.url = settings->url;
    return 0;
}

static int check_key(const char *from, const char *key)
{
    if (strchr(key, ':'))
        return 0;
    fprintf(stderr, "sensor-feed: %s: expected uuid:secret\n", from);
    return -1;
}

/* The key of the environment, when no file was named. */
static int take_key(char key[KEY_MAX])
{
    const char *value = variable(key_variables);

    if (!value) {
        fprintf(stderr, "sensor-feed: no key: give --auth-file=FILE or NARAE_AUTH, see --help\n");
        return -1;
    }
    if (strlen(value) >= KEY_MAX) {
        fprintf(stderr, "sensor-feed: the key has more than %d characters\n", KEY_MAX - 1);
        return -1;
    }
    memcpy(key, value, strlen(value) + 1);
    return check_key("the key of the environment", key);
}

static int read_key(const char *path, char key[KEY_MAX])
{
    FILE *file = fopen(path, "re");
    if (!file || !fgets(key, KEY_MAX, file)) {
        fprintf(stderr, "sensor-feed: %s: %s\n", path, file ? "no key in it" : strerror(errno));
        if (file)
            fclose(file);
        return -1;
    }
    fclose(file);
    key[strcspn(key, "\r\n")] = '\0';
    return check_key(path, key);
}

static uint64_t quarantined(const struct feed_counts *counts)
{
    const char *reason;
    json_t *number;
    uint64_t sum = 0;

    json_object_foreach(counts->quarantined, reason, number)
        sum += (uint64_t)json_integer_value(number);
    return sum;
}

static uint64_t readings(const struct feed_counts *counts)
{
    return counts->rows + quarantined(counts);
}

static void show_progress(const struct feed_counts *counts, time_t *shown_s)
{
    time_t now_s = time(NULL);
    if (now_s == *shown_s)
        return;
    *shown_s = now_s;
    fprintf(stderr, "  %6llu readings, %.2f ms a call\n", (unsigned long long)readings(counts),
            (double)counts->spent_us / 1000 / (double)(counts->calls ? counts->calls : 1));
}

/* When the next call may go. One that came late does not let others hurry: a busy platform is not
 * made busier. */
struct pace {
    int64_t next_us, step_us;
};

static void wait_turn(struct pace *pace)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t now_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;

    if (pace->next_us > now_us) {
        struct timespec until = {.tv_sec = pace->next_us / 1000000,
                                 .tv_nsec = pace->next_us % 1000000 * 1000};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
            ;
        now_us = pace->next_us;
    }
    pace->next_us = now_us + pace->step_us;
}

/* Sends every line of `file`. Returns 0, or -1 when a line, a call or the file failed. */
static int send_lines(struct feed *feed, const struct settings *settings, FILE *file)
{
    const struct feed_counts *counts = feed_counts(feed);
    struct pace pace = {.step_us = 1000000 / settings->rate};
    time_t shown_s = time(NULL);
    char *line = NULL;
    size_t room = 0;
    int status = 0;

    while (status == 0 && counts->failed < FAILED_MAX && getline(&line, &room, file) > 0) {
        status = feed_add(feed, line);
        if (feed_pending(feed) >= settings->batch) {
            wait_turn(&pace);
            feed_send(feed);
        }
        if (settings->progress)
            show_progress(counts, &shown_s);
    }
    if (status == 0 && counts->failed < FAILED_MAX && feed_pending(feed) > 0) {
        wait_turn(&pace);
        feed_send(feed);
    }
    if (ferror(file)) {
        fprintf(stderr, "sensor-feed: %s: %s\n", settings->lines, strerror(errno));
        status = -1;
    }
    free(line);
    return counts->failed ? -1 : status;
}

/* One line of the table; `expected` NULL: nothing was expected. Returns whether they differ. */
static bool print_outcome(const char *name, uint64_t counted, json_t *expected)
{
    uint64_t wanted = (uint64_t)json_integer_value(expected);
    if (!expected) {
        printf("  %-22s %9llu\n", name, (unsigned long long)counted);
        return false;
    }
    printf("  %-22s %9llu %10llu%s\n", name, (unsigned long long)counted,
           (unsigned long long)wanted, counted == wanted ? "" : "  differs");
    return counted != wanted;
}

/* The reasons of both sides: one that was only expected, or only counted, shows with 0. */
static bool print_reasons(const struct feed_counts *counts, json_t *expect)
{
    json_t *wanted = json_object_get(expect, "quarantined"), *number, *all = json_object();
    const char *reason;
    bool differs = false;
    char name[64];

    json_object_update(all, counts->quarantined);
    json_object_foreach(wanted, reason, number)
        if (!json_object_get(all, reason))
            json_object_set_new(all, reason, json_integer(0));
    json_object_foreach(all, reason, number) {
        json_t *expected = json_object_get(wanted, reason), *none = json_integer(0);
        snprintf(name, sizeof(name), "quarantined: %s", reason);
        differs |= print_outcome(name, (uint64_t)json_integer_value(number),
                                 expect && !expected ? none : expected);
        json_decref(none);
    }
    json_decref(all);
    return differs;
}

/* Returns whether a count differs from what was expected (`expect` may be NULL). */
static bool print_table(const struct feed_counts *counts, long rate, json_t *expect)
{
    uint64_t calls = counts->calls ? counts->calls : 1;
    bool differs = false;

    printf("%llu readings\n", (unsigned long long)readings(counts));
    printf("  %llu messages in %llu calls, %llu failed; %.2f ms a call, slowest %.2f ms\n",
           (unsigned long long)counts->sent, (unsigned long long)counts->calls,
           (unsigned long long)counts->failed, (double)counts->spent_us / 1000 / (double)calls,
           (double)counts->slowest_us / 1000);
    printf("  at most %ld calls a second (--rate), one after the other\n", rate);
    printf("  %-22s %9s%s\n", "outcome", "counted", expect ? "   expected" : "");
    differs |= print_outcome("rows", counts->rows, json_object_get(expect, "rows"));
    differs |= print_outcome("of them late", counts->late, json_object_get(expect, "late"));
    differs |= print_reasons(counts, expect);
    differs |=
        print_outcome("dropped duplicates", counts->dropped, json_object_get(expect, "dropped"));
    differs |= print_outcome("readings", readings(counts), json_object_get(expect, "readings"));
    return differs;
}

/* Returns the expected counts (made), or NULL after a line on stderr. */
static json_t *load_expected(const char *path)
{
    json_error_t error;
    json_int_t number;
    json_t *reasons, *expect = json_load_file(path, 0, &error);

    if (!expect) {
        fprintf(stderr, "sensor-feed: %s: %s\n", path, error.text);
        return NULL;
    }
    if (json_unpack_ex(expect, &error, 0, "{s:I,s:I,s:I,s:I,s:o}", "readings", &number, "rows",
                       &number, "late", &number, "dropped", &number, "quarantined", &reasons)) {
        fprintf(stderr, "sensor-feed: %s: not what sensor-sim --counts prints: %s\n", path,
                error.text);
        json_decref(expect);
        return NULL;
    }
    return expect;
}

static int run(const struct settings *settings, FILE *lines, json_t *expect)
{
    struct feed *feed = feed_open(&settings->feed);
    if (!feed)
        return -1;
    int status = send_lines(feed, settings, lines);
    if (print_table(feed_counts(feed), settings->rate, expect))
        status = -1;
    feed_close(feed);
    return status;
}

int main(int argc, char **argv)
{
    struct settings settings = {
        .feed = {.action = "validate"},
        .lines = "-",
        .batch = 1,
        .rate = RATE_DEFAULT,
    };
    char key[KEY_MAX];
    json_t *expect = NULL;

    int status = parse_options(argc, argv, &settings);
    if (status > 0)
        return fputs(help, stdout) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    if (status == 0)
        status = choose_url(&settings);
    if (status == 0)
        status = settings.auth_file ? read_key(settings.auth_file, key) : take_key(key);
    if (status < 0)
        return EXIT_FAILURE;
    settings.feed.key = key;
    if (settings.expect && !(expect = load_expected(settings.expect)))
        return EXIT_FAILURE;
    FILE *lines = strcmp(settings.lines, "-") == 0 ? stdin : fopen(settings.lines, "re");
    if (!lines) {
        fprintf(stderr, "sensor-feed: %s: %s\n", settings.lines, strerror(errno));
        json_decref(expect);
        return EXIT_FAILURE;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    status = run(&settings, lines, expect);
    curl_global_cleanup();
    fclose(lines);
    json_decref(expect);
    return status == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
