/* One start, timed in C: what tests/bench/cold interleaves. Prints one JSON object of microseconds on standard output.
 *
 *   cold_start engine  --docker=SOCKET --create=FILE --dial=PATH     the Engine's own time for the container that naraed makes:
 *                      create and start by FILE, until the agent inside has dialled PATH and said hello
 *   cold_start default --docker=SOCKET --create=FILE --port=PORT     Docker's default: create and start by FILE, until the
 *                      server inside answers on its bridge address
 *   cold_start call    --url=URL --auth=UUID:KEY --body=TEXT         one HTTP call on a connection that is open already
 *
 * The container is removed afterwards, outside the time. Status 1 with one line when anything but the expected comes.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/option.h"
#include "common/net/fetch.h"
#include "ports/frames.h"

enum { GIVE_UP_MS = 30000 };

struct settings {
    char *docker, *create, *dial, *url, *auth, *body;
    int64_t port, start_at_us, linger_ms;
};

#define AT(field) offsetof(struct settings, field)
static const struct nr_option options[] = {
    {"docker", NR_OPT_STRING, AT(docker), "/var/run/docker.sock",
     .help = "socket of the Docker Engine"},
    {"create", NR_OPT_STRING, AT(create), NULL, .help = "file with the body of the create call"},
    {"dial", NR_OPT_STRING, AT(dial), NULL, .help = "engine: socket that the agent dials"},
    {"port", NR_OPT_INT, AT(port), "8080", 1, 65535,
     .help = "default: where the server inside listens"},
    {"url", NR_OPT_STRING, AT(url), NULL, .help = "call: what to POST to"},
    {"auth", NR_OPT_STRING, AT(auth), NULL, .help = "call: uuid:key"},
    {"body", NR_OPT_STRING, AT(body), "{}", .help = "call: what to send"},
    {"start-at-us", NR_OPT_INT, AT(start_at_us), "0", 0, INT64_MAX, "us",
     .help = "begin at this moment of the monotonic clock, with others"},
    {"linger-ms", NR_OPT_INT, AT(linger_ms), "0", 0, GIVE_UP_MS * 10, "ms",
     .help = "remove the container so much later, when others are still being timed"},
    {NULL},
};

static uint64_t now_us(void)
{
    return nr_mono_us();
}

/* Several of us begin at one moment; all that can be done before has been. */
static void await_moment(const struct settings *s)
{
    struct timespec at = {.tv_sec = s->start_at_us / 1000000,
                          .tv_nsec = s->start_at_us % 1000000 * 1000};

    while (s->start_at_us > 0 &&
           clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        continue;
}

/* One call; true when it was answered with a 2xx. *ret_reply (made, may be NULL) is its JSON. */
static bool ask(struct nr_fetch *f, const struct settings *s, const char *method, const char *url,
                struct nr_str body, json_t **ret_reply)
{
    struct nr_err err = {0};
    struct nr_fetch_req r = {.method = method,
                             .url = url,
                             .user_password = s->auth,
                             .body = body,
                             .content_type = body.n ? "application/json" : NULL,
                             .timeout_ms = GIVE_UP_MS};
    int e = nr_fetch_call(f, &r, &err);

    if (e == 0 && ret_reply)
        *ret_reply = nr_json_parse(nr_buf_str(&r.reply), NULL);
    if (e != 0 || r.status / 100 != 2)
        (void)fprintf(stderr, "cold_start: %s: %s (HTTP %d) %.*s\n", url, err.text, r.status,
                      e == 0 ? (int)r.reply.n : 0, e == 0 && r.reply.p ? r.reply.p : "");
    if (e == 0)
        nr_buf_fini(&r.reply);
    return e == 0 && r.status / 100 == 2;
}

/* ---- a container by the Engine's socket ------------------------------------------------------------------------- */

struct container {
    struct nr_fetch *engine;
    char id[80];
    uint64_t began_us, created_us, returned_us;
};

static bool start_container(struct container *c, const struct settings *s)
{
    nr_auto_free char *body = NULL;
    nr_auto_json json_t *made = NULL;
    struct nr_err err = {0};
    char url[256];
    size_t n;

    if (s->create == NULL || nr_file_read(s->create, 4 << 20, &body, &n, &err) != 0) {
        (void)fprintf(stderr, "cold_start: --create: %s\n", err.text);
        return false;
    }
    /* the connection is there before the clock runs, as it is for a daemon and for any client at work */
    if (!ask(c->engine, s, "GET", "http://engine/v1.41/version", (struct nr_str){0}, NULL))
        return false;
    await_moment(s);
    c->began_us = now_us();
    if (!ask(c->engine, s, "POST", "http://engine/v1.41/containers/create",
             (struct nr_str){body, n}, &made))
        return false;
    c->created_us = now_us();
    const char *id = nr_json_string(made, "Id");
    (void)snprintf(c->id, sizeof(c->id), "%s", id ? id : "");
    (void)snprintf(url, sizeof(url), "http://engine/v1.41/containers/%s/start", c->id);
    if (!ask(c->engine, s, "POST", url, (struct nr_str){0}, NULL))
        return false;
    c->returned_us = now_us();
    return true;
}

static bool remove_container(const struct container *c, const struct settings *s)
{
    struct timespec later = {.tv_sec = s->linger_ms / 1000,
                             .tv_nsec = s->linger_ms % 1000 * 1000000};
    char url[256];

    (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &later, NULL);

    if (c->id[0] == '\0')
        return true;
    (void)snprintf(url, sizeof(url), "http://engine/v1.41/containers/%s?force=true", c->id);
    return ask(c->engine, s, "DELETE", url, (struct nr_str){0}, NULL);
}

static void print_container(const struct container *c, uint64_t ready_us)
{
    printf("{\"create_us\":%llu,\"returned_us\":%llu,\"us\":%llu}\n",
           (unsigned long long)(c->created_us - c->began_us),
           (unsigned long long)(c->returned_us - c->began_us),
           (unsigned long long)(ready_us - c->began_us));
}

/* ---- engine: until the agent says hello ------------------------------------------------------------------------- */

struct door {
    int listener;
    uint64_t hello_us; /* 0: nobody came */
};

static int open_door(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    if (path == NULL || strlen(path) >= sizeof(at.sun_path))
        return -1;
    (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    (void)unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)) != 0 ||
        chmod(path, 0666) != 0 || listen(fd, 16) != 0)
        return -1;
    return fd;
}

static void *await_hello(void *arg)
{
    struct door *d = arg;
    struct pollfd p = {.fd = d->listener, .events = POLLIN};
    struct nr_frame hello;

    if (poll(&p, 1, GIVE_UP_MS) != 1)
        return NULL;
    int fd = accept4(d->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0 && recv(fd, &hello, sizeof(hello), MSG_WAITALL) == (ssize_t)sizeof(hello) &&
        hello.type == NR_FRAME_HELLO)
        d->hello_us = now_us();
    if (fd >= 0)
        (void)close(fd);
    return NULL;
}

static int time_engine(const struct settings *s)
{
    struct container c = {.engine = nr_fetch_make(s->docker)};
    struct door d = {.listener = open_door(s->dial)};
    pthread_t waiter;

    if (d.listener < 0) {
        (void)fprintf(stderr, "cold_start: --dial: %s\n", strerror(errno));
        return 1;
    }
    nr_check(pthread_create(&waiter, NULL, await_hello, &d) == 0);
    bool good = start_container(&c, s);
    if (!good) /* nobody will come: wake the waiter */
        (void)shutdown(d.listener, SHUT_RDWR);
    (void)pthread_join(waiter, NULL);
    if (good && d.hello_us)
        print_container(&c, d.hello_us);
    else if (good)
        (void)fprintf(stderr, "cold_start: the agent did not dial\n");
    good = remove_container(&c, s) && good && d.hello_us;
    nr_fetch_free(c.engine);
    (void)close(d.listener);
    return good ? 0 : 1;
}

/* ---- default: until the server inside answers --------------------------------------------------------------------- */

static bool bridge_address(const struct container *c, const struct settings *s, char *out, size_t n)
{
    nr_auto_json json_t *info = NULL;
    char url[256];

    (void)snprintf(url, sizeof(url), "http://engine/v1.41/containers/%s/json", c->id);
    if (!ask(c->engine, s, "GET", url, (struct nr_str){0}, &info))
        return false;
    const char *ip = nr_json_string(nr_json_object(info, "NetworkSettings"), "IPAddress");
    (void)snprintf(out, n, "http://%s:%d/", ip ? ip : "", (int)s->port);
    return ip && ip[0];
}

static bool await_answer(const char *url)
{
    struct nr_fetch *f = nr_fetch_make(NULL);
    uint64_t until_us = now_us() + GIVE_UP_MS * 1000ull;
    bool answered = false;

    while (!answered && now_us() < until_us) { /* refused at once until somebody listens there */
        struct nr_err err = {0};
        struct nr_fetch_req r = {.method = "GET", .url = url, .timeout_ms = 1000};

        answered = nr_fetch_call(f, &r, &err) == 0 && r.status == 200;
        nr_buf_fini(&r.reply);
    }
    nr_fetch_free(f);
    return answered;
}

static int time_default(const struct settings *s)
{
    struct container c = {.engine = nr_fetch_make(s->docker)};
    char url[128];
    bool good =
        start_container(&c, s) && bridge_address(&c, s, url, sizeof(url)) && await_answer(url);

    if (good)
        print_container(&c, now_us());
    else
        (void)fprintf(stderr, "cold_start: no answer from the default container\n");
    good = remove_container(&c, s) && good;
    nr_fetch_free(c.engine);
    return good ? 0 : 1;
}

/* ---- call --------------------------------------------------------------------------------------------------------- */

static int time_call(const struct settings *s)
{
    struct nr_fetch *f = nr_fetch_make(NULL);
    nr_auto_free char *root = nr_strdup(s->url);
    char *path = root ? strstr(root, "/api/") : NULL;

    if (path == NULL) {
        (void)fprintf(stderr, "cold_start: --url is no address below /api/\n");
        return 1;
    }
    memcpy(path, "/", sizeof("/")); /* what the platform says of itself: opens the connection */
    bool good = ask(f, s, "GET", root, (struct nr_str){0}, NULL);
    await_moment(s);
    uint64_t began_us = now_us();
    good = good && ask(f, s, "POST", s->url, nr_str_of(s->body), NULL);
    uint64_t ended_us = now_us();
    if (good)
        printf("{\"us\":%llu}\n", (unsigned long long)(ended_us - began_us));
    nr_fetch_free(f);
    return good ? 0 : 1;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(const struct settings *s);
    } ways[] = {{"engine", time_engine}, {"default", time_default}, {"call", time_call}};
    struct settings s = {0};
    const struct nr_option_set sets[] = {{"cold_start", options, &s}, {NULL, NULL, NULL}};
    struct nr_err err = {0};
    bool help = false;
    int status = 1;

    if (argc < 2 || nr_options_load(sets, argc - 1, argv + 1, &help, &err) != 0) {
        (void)fprintf(stderr, "cold_start: engine, default or call is needed. %s\n", err.text);
        return 1;
    }
    if (help)
        nr_options_help(sets, "cold_start engine|default|call --OPTION=VALUE ...", stdout);
    for (size_t i = 0; i < nr_countof(ways); i++) {
        if (!help && strcmp(ways[i].name, argv[1]) == 0)
            status = ways[i].run(&s);
    }
    nr_options_fini(sets);
    return help ? 0 : status;
}
