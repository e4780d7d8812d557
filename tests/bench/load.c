/* Load for benchmarks: N keep-alive connections on one loop, each with one request under way, or at a fixed rate.
 *
 *   load --url=http://127.0.0.1:3233 --target=/x [--method=M] [--auth=uuid:key] [--body=TEXT|@FILE] [--header='Name: value']...
 *        [--targets=FILE] [--connections=N] [--seconds=S] [--requests=N] [--rate=R] [--warmup-ms=MS] [--timeout-ms=MS]
 *        [--expect-status=200] [--json]
 *
 * Every latency is kept, so the percentiles are exact. With --rate requests are due at even distances, whatever the answers do: one
 * that finds no connection free counts from the time at which it was due, one that starts late by our own timer from its start.
 * With --targets the requests go to the lines of a file, one after the other, and from the beginning again.
 * Requests that start in the warm-up are not counted. Exit: 0 without errors, 1 with, 2 usage.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/timerfd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/net/http_client.h"

#define KINDS_MAX 16

struct options {
    const char *url, *target, *targets, *method, *auth, *body;
    int64_t connections, seconds, requests, rate, warmup_ms, timeout_ms, expect_status;
    struct nr_buf headers;
    bool json;
};

struct load;

/* One connection. */
struct line {
    struct load *load;
    struct nr_http_client *client;
    struct nr_http_call call;
    struct nr_deadline next; /* when nobody listens */
    struct nr_link free;     /* in l->free: with a rate, nothing under way */
    uint64_t start_us;
    bool counts;
};

struct load {
    struct options o;
    struct nr_loop loop;
    struct line *lines;
    struct nr_buf head;   /* of every target, one behind the other */
    struct nr_str *heads; /* where they are in it */
    size_t head_count, head_next;
    struct nr_str body;
    char *body_mem;
    uint32_t *samples;
    size_t sample_count, sample_cap;
    uint64_t begin_us, count_from_us, end_us, last_us;
    int64_t started, errors, bytes;
    int open;
    struct {
        char name[24];
        int64_t count;
    } kinds[KINDS_MAX];
    struct nr_deadline over;
    bool stopping;
    struct pace {
        struct nr_link free;  /* connections; the one used last is the last to be used again */
        uint64_t first_us, n; /* the n-th request from now on is due at first_us + n / rate */
        bool behind;          /* the next one was due when no connection was free */
        int fd;
        uv_poll_t timer;
    } pace;
};

static void start(struct line *line, uint64_t from_us);

/* ---- counting ---- */

static void count_error(struct load *l, const char *name)
{
    size_t i = 0;

    while (i < KINDS_MAX - 1 && l->kinds[i].count && strcmp(l->kinds[i].name, name) != 0)
        i++;
    (void)snprintf(l->kinds[i].name, sizeof(l->kinds[i].name), "%s", name);
    l->kinds[i].count++;
    l->errors++;
}

static void keep_sample(struct load *l, uint64_t us)
{
    if (l->sample_count == l->sample_cap) {
        size_t cap = l->sample_cap ? l->sample_cap * 2 : 1 << 16;
        uint32_t *more = nr_try_realloc(l->samples, cap * sizeof(*more));

        if (more == NULL) {
            count_error(l, "no memory for samples");
            return;
        }
        l->samples = more;
        l->sample_cap = cap;
    }
    l->samples[l->sample_count++] = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

static void count(struct line *line, uint64_t now_us)
{
    struct load *l = line->load;
    char name[24];

    if (!line->counts)
        return;
    l->last_us = now_us;
    if (line->call.err) {
        count_error(l, nr_err_name(line->call.err));
    } else if (l->o.expect_status && line->call.status != l->o.expect_status) {
        (void)snprintf(name, sizeof(name), "status %d", line->call.status);
        count_error(l, name);
    } else {
        l->bytes += (int64_t)line->call.reply.n;
        keep_sample(l, now_us - line->start_us);
    }
}

/* ---- running ---- */

static void on_closed(void *arg)
{
    struct load *l = arg;

    if (--l->open == 0)
        uv_stop(&l->loop.uv);
}

static void stop(struct load *l)
{
    if (l->stopping)
        return;
    l->stopping = true;
    nr_deadline_cancel(&l->over);
    for (int64_t i = 0; i < l->o.connections; i++) {
        l->lines[i].counts = false; /* cut by us */
        nr_deadline_cancel(&l->lines[i].next);
        nr_http_client_close(l->lines[i].client, on_closed, l);
    }
    if (l->o.rate)
        uv_close((uv_handle_t *)&l->pace.timer, NULL);
}

static void on_over(struct nr_deadline *d)
{
    stop(nr_container_of(d, struct load, over));
}

static uint64_t due_us(const struct load *l)
{
    return l->pace.first_us + l->pace.n * 1000000 / (uint64_t)l->o.rate;
}

/* Starts what is due, and sets the timer for the next one while a connection is free for it. */
static void keep_pace(struct load *l)
{
    struct pace *p = &l->pace;
    uint64_t now_us = nr_mono_us();
    struct itimerspec at = {0};
    struct nr_link *it;

    while (due_us(l) <= now_us && (it = nr_list_pop(&p->free))) {
        start(nr_container_of(it, struct line, free), p->behind ? due_us(l) : nr_mono_us());
        p->behind = false;
        p->n++;
    }
    p->behind = due_us(l) <= now_us;
    if (nr_list_empty(&p->free))
        return;
    at.it_value.tv_sec = (time_t)(due_us(l) / 1000000);
    at.it_value.tv_nsec = (long)(due_us(l) % 1000000) * 1000;
    nr_check(timerfd_settime(p->fd, TFD_TIMER_ABSTIME, &at, NULL) == 0);
}

static void on_due(uv_poll_t *timer, int status, int events)
{
    struct load *l = timer->data;
    uint64_t times;

    (void)status;
    (void)events;
    if (read(l->pace.fd, &times, sizeof(times)) > 0)
        keep_pace(l);
}

static void rest(struct line *line)
{
    struct load *l = line->load;

    nr_list_add(&l->pace.free, &line->free);
    if (l->pace.behind || l->pace.free.next == &line->free)
        keep_pace(l);
}

static void on_next(struct nr_deadline *d)
{
    struct line *line = nr_container_of(d, struct line, next);

    if (line->load->o.rate)
        rest(line);
    else
        start(line, nr_mono_us());
}

static void on_done(struct nr_http_call *call)
{
    struct line *line = nr_container_of(call, struct line, call);
    struct load *l = line->load;
    uint64_t now_us = nr_mono_us();

    count(line, now_us);
    if (l->stopping)
        return;
    if (l->o.requests && (int64_t)l->sample_count + l->errors >= l->o.requests) {
        stop(l);
        return;
    }
    if (call->err == NR_EUNAVAIL) { /* nobody listens: do not spin */
        nr_deadline_set(&l->loop, &line->next, 100);
        return;
    }
    if (l->o.rate)
        rest(line);
    else
        start(line, now_us);
}

/* from_us: since when its answer is waited for. */
static void start(struct line *line, uint64_t from_us)
{
    struct load *l = line->load;

    if (l->o.requests && l->started >= l->o.requests)
        return;
    line->start_us = from_us;
    line->counts = from_us >= l->count_from_us;
    if (line->counts) {
        if (l->begin_us == 0)
            l->begin_us = from_us;
        l->started++;
    }
    line->call.head = l->heads[l->head_next++ % l->head_count];
    line->call.body = l->body;
    line->call.timeout_ms = (uint32_t)l->o.timeout_ms;
    line->call.done = on_done;
    nr_check(nr_http_client_call(line->client, &line->call) == 0);
}

/* ---- report ---- */

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static uint32_t percentile(const struct load *l, double p)
{
    size_t i = (size_t)(p / 100 * (double)l->sample_count);

    if (l->sample_count == 0)
        return 0;
    return l->samples[i < l->sample_count ? i : l->sample_count - 1];
}

static void report(struct load *l)
{
    double seconds = l->last_us > l->begin_us ? (double)(l->last_us - l->begin_us) / 1e6 : 0;
    double rate = seconds > 0 ? (double)l->sample_count / seconds : 0, sum = 0;
    const char *form =
        l->o.json
            ? "{\"requests\":%zu,\"seconds\":%.3f,\"rate\":%.1f,\"mean_us\":%.1f,\"p50_us\":%u,\"p90_us\":%u,"
              "\"p99_us\":%u,\"p999_us\":%u,\"max_us\":%u,\"reply_bytes\":%" PRId64 ",\"errors\":{"
            : "requests %zu in %.3f s: %.1f/s\nlatency us: mean %.1f  p50 %u  p90 %u  p99 %u  p99.9 %u  max %u\n"
              "reply bytes %" PRId64 "\n";

    for (size_t i = 0; i < l->sample_count; i++)
        sum += l->samples[i];
    if (l->sample_count > 0)
        qsort(l->samples, l->sample_count, sizeof(*l->samples), by_size);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    printf(form, l->sample_count, seconds, rate,
           l->sample_count ? sum / (double)l->sample_count : 0, percentile(l, 50),
           percentile(l, 90), percentile(l, 99), percentile(l, 99.9), percentile(l, 100), l->bytes);
#pragma GCC diagnostic pop
    for (size_t i = 0; i < KINDS_MAX && l->kinds[i].count; i++) {
        if (l->o.json)
            printf("%s\"%s\":%" PRId64, i ? "," : "", l->kinds[i].name, l->kinds[i].count);
        else
            printf("error %s: %" PRId64 "\n", l->kinds[i].name, l->kinds[i].count);
    }
    if (l->o.json)
        printf("}}\n");
}

/* ---- setting up ---- */

static const struct option longs[] = {
    {"url", required_argument, NULL, 'u'},
    {"target", required_argument, NULL, 't'},
    {"targets", required_argument, NULL, 'f'},
    {"method", required_argument, NULL, 'm'},
    {"auth", required_argument, NULL, 'a'},
    {"body", required_argument, NULL, 'b'},
    {"header", required_argument, NULL, 'H'},
    {"connections", required_argument, NULL, 'c'},
    {"seconds", required_argument, NULL, 's'},
    {"requests", required_argument, NULL, 'n'},
    {"rate", required_argument, NULL, 'r'},
    {"warmup-ms", required_argument, NULL, 'w'},
    {"timeout-ms", required_argument, NULL, 'T'},
    {"expect-status", required_argument, NULL, 'e'},
    {"json", no_argument, NULL, 'j'},
    {NULL, 0, NULL, 0},
};

/* Where the value of an option goes: a text or a number, and its range. */
static bool take_option(struct options *o, int name, const char *value)
{
    const struct {
        int name;
        const char **text;
        int64_t *number, min, max;
    } table[] = {
        {'u', &o->url, NULL, 0, 0},
        {'t', &o->target, NULL, 0, 0},
        {'f', &o->targets, NULL, 0, 0},
        {'m', &o->method, NULL, 0, 0},
        {'a', &o->auth, NULL, 0, 0},
        {'b', &o->body, NULL, 0, 0},
        {'c', NULL, &o->connections, 1, 100000},
        {'s', NULL, &o->seconds, 0, 86400},
        {'n', NULL, &o->requests, 0, INT32_MAX},
        {'r', NULL, &o->rate, 0, 10000000},
        {'w', NULL, &o->warmup_ms, 0, 3600000},
        {'T', NULL, &o->timeout_ms, 0, 3600000},
        {'e', NULL, &o->expect_status, 0, 999},
    };

    if (name == 'j')
        return o->json = true;
    if (name == 'H') {
        nr_buf_printf(&o->headers, "%s\r\n", value);
        return true;
    }
    for (size_t i = 0; i < nr_countof(table); i++) {
        if (table[i].name != name)
            continue;
        if (table[i].number)
            return nr_str_to_i64(nr_str_of(value), table[i].min, table[i].max, table[i].number);
        *table[i].text = value;
        return true;
    }
    return false;
}

/* The head of one target more. */
static void add_head(struct load *l, size_t *ends, const char *target, const char *host)
{
    const struct options *o = &l->o;

    nr_http_call_head(&l->head,
                      o->method       ? o->method
                      : l->body.n > 0 ? "POST"
                                      : "GET",
                      target, host, o->headers.p, l->body.n);
    ends[l->head_count++] = l->head.n;
}

static int make_heads(struct load *l, const char *host, struct nr_err *err)
{
    nr_auto_free char *text = NULL;
    size_t n = 0, lines = 1, at = 0;
    int r = l->o.targets ? nr_file_read(l->o.targets, 16 << 20, &text, &n, err) : 0;

    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    nr_auto_free size_t *ends = nr_alloc(lines * sizeof(*ends));

    if (text == NULL)
        add_head(l, ends, l->o.target ? l->o.target : "/", host);
    for (char *rest = text, *target; rest && (target = strsep(&rest, "\n")) != NULL;)
        if (target[0])
            add_head(l, ends, target, host);
    if (l->head_count == 0 || l->head.failed)
        return nr_err_set(err, NR_EINVAL, "--targets: no targets, or too many");
    l->heads = nr_alloc(l->head_count * sizeof(*l->heads));
    for (size_t i = 0; i < l->head_count; at = ends[i++])
        l->heads[i] = (struct nr_str){l->head.p + at, ends[i] - at};
    return 0;
}

static int make_request(struct load *l, char *address, size_t address_bytes, struct nr_err *err)
{
    struct options *o = &l->o;
    const char *host = nr_str_starts(nr_str_of(o->url), "http://") ? o->url + 7 : o->url;
    int host_bytes = (int)strcspn(host, "/"), r;
    char host_text[256], coded[1024];

    if (nr_str_starts(nr_str_of(o->url), "unix:")) {
        (void)snprintf(address, address_bytes, "%s", o->url);
        (void)snprintf(host_text, sizeof(host_text), "localhost");
    } else {
        (void)snprintf(host_text, sizeof(host_text), "%.*s", host_bytes, host);
        (void)snprintf(address, address_bytes, "%s%s", host_text,
                       strchr(host_text, ':') ? "" : ":80");
        if (host[host_bytes] == '/' && o->target == NULL)
            o->target = host + host_bytes;
    }
    if (o->body && o->body[0] == '@') {
        if ((r = nr_file_read(o->body + 1, 64 << 20, &l->body_mem, &l->body.n, err)) < 0)
            return r;
        l->body.p = l->body_mem;
    } else {
        l->body = nr_str_of(o->body);
    }
    if (o->auth) {
        if (strlen(o->auth) > sizeof(coded) / 2)
            return nr_err_set(err, NR_EINVAL, "--auth is too long");
        nr_base64_encode(o->auth, strlen(o->auth), coded);
        nr_buf_printf(&o->headers, "Authorization: Basic %s\r\n", coded);
    }
    if (l->body.n > 0)
        nr_buf_adds(&o->headers, "Content-Type: application/json\r\n");
    nr_buf_add(&o->headers, "", 1);
    return make_heads(l, host_text, err);
}

static void open_pace(struct load *l)
{
    struct pace *p = &l->pace;

    nr_list_init(&p->free);
    p->first_us = nr_mono_us();
    p->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    nr_check(p->fd >= 0 && uv_poll_init(&l->loop.uv, &p->timer, p->fd) == 0);
    p->timer.data = l;
    nr_check(uv_poll_start(&p->timer, UV_READABLE, on_due) == 0);
}

static int run(struct load *l, struct nr_err *err)
{
    char address[300];
    int r = make_request(l, address, sizeof(address), err);
    uint64_t now_us = nr_mono_us();

    if (r < 0 || (r = nr_loop_init(&l->loop, err)) < 0)
        return r;
    l->lines = nr_alloc((size_t)l->o.connections * sizeof(*l->lines));
    l->count_from_us = now_us + (uint64_t)l->o.warmup_ms * 1000;
    l->over.fire = on_over;
    if (l->o.rate)
        open_pace(l);
    if (l->o.seconds)
        nr_deadline_set(&l->loop, &l->over, (uint64_t)(l->o.seconds * 1000 + l->o.warmup_ms));
    for (int64_t i = 0; i < l->o.connections && r == 0; i++) {
        struct line *line = &l->lines[i];

        line->load = l;
        line->next.fire = on_next;
        r = nr_http_client_open(&l->loop, address, 64 << 20, &line->client, err);
        if (r < 0) {
            l->o.connections = i;
            break;
        }
        l->open++;
        if (l->o.rate)
            nr_list_add(&l->pace.free, &line->free);
        else
            start(line, now_us);
    }
    if (r == 0 && l->o.rate)
        keep_pace(l);
    if (r < 0)
        stop(l);
    if (l->open > 0)
        uv_run(&l->loop.uv, UV_RUN_DEFAULT);
    nr_check(nr_loop_fini(&l->loop) == 0);
    return r;
}

int main(int argc, char **argv)
{
    struct load l = {
        .o = {.connections = 1, .expect_status = 200, .warmup_ms = 500, .timeout_ms = 70000}};
    struct nr_err err = {0};
    int name, r;

    nr_buf_init(&l.o.headers, 1 << 16);
    nr_buf_init(&l.head, 64 << 20);
    while ((name = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (!take_option(&l.o, name, optarg)) {
            (void)fprintf(stderr, "load: unknown option or bad value: %s\n", argv[optind - 1]);
            return 2;
        }
    }
    if (l.o.url == NULL) {
        (void)fprintf(stderr, "load: --url=http://ADDRESS:PORT is missing\n");
        return 2;
    }
    if (l.o.seconds == 0 && l.o.requests == 0)
        l.o.seconds = 5;
    r = run(&l, &err);
    if (r < 0)
        (void)fprintf(stderr, "load: %s\n", err.text);
    else
        report(&l);
    nr_buf_fini(&l.o.headers);
    free(l.heads);
    nr_buf_fini(&l.head);
    free(l.samples);
    free(l.lines);
    free(l.body_mem);
    return r < 0 ? 2 : l.errors > 0;
}
