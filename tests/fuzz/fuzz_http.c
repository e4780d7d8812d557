/* What clients may send to the HTTP server: the input goes through a real connection, once whole and once in pieces whose sizes the
 * first byte chooses. The owner must see the same requests both times and the same must be refused; every request seen ends once;
 * nothing stays in flight.
 */
#include "tests/fuzz/fuzz.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>

#include "common/base/mem.h"
#include "common/net/http_server.h"

static struct {
    struct nr_loop loop;
    struct nr_http_server *server;
    int port, heads, ends;
    struct nr_buf seen;
} world;

static void note(struct nr_str s)
{
    nr_check(s.n == 0 || s.p != NULL);
    nr_buf_addu(&world.seen, s.n);
    nr_buf_addc(&world.seen, ':');
    nr_buf_add(&world.seen, s.p, s.n);
}

static void on_head(struct nr_http_req *r)
{
    world.heads++;
    nr_check(r->header_count <= NR_HTTP_HEADERS_MAX);
    for (unsigned i = 0; i < r->header_count; i++) {
        struct nr_str name = r->headers[i].name, value = r->headers[i].value;

        nr_check(name.n > 0 && value.p != NULL);
        nr_check(!memchr(name.p, ' ', name.n) && !memchr(value.p, '\r', value.n) &&
                 !memchr(value.p, '\n', value.n) && !memchr(value.p, '\0', value.n));
    }
    nr_check(r->path.n > 0 && !memchr(r->path.p, '?', r->path.n) &&
             !memchr(r->path.p, ' ', r->path.n));
    if (r->path.n % 7 == 3)
        nr_http_reply(r, 403, (struct nr_str){NULL, 0}, NR_STR("at once"));
}

static void on_request(struct nr_http_req *r)
{
    struct nr_str value;

    nr_check(r->content_length < 0 || (uint64_t)r->content_length == r->body.n);
    nr_buf_addu(&world.seen, (unsigned)r->method);
    note(r->path);
    note(r->query);
    for (unsigned i = 0; i < r->header_count; i++) {
        note(r->headers[i].name);
        note(r->headers[i].value);
    }
    note(r->body);
    if (nr_http_query(r, "a", &value))
        note(value);
    if (r->path.n % 5 == 2) {
        nr_http_reply_begin(r, 200, (struct nr_str){NULL, 0});
        nr_http_reply_part(r, r->body);
        nr_http_reply_end(r);
    } else {
        nr_http_reply(r, 200, (struct nr_str){NULL, 0}, r->body);
    }
}

static void on_end(struct nr_http_req *r)
{
    world.ends++;
}

static void open_world(void)
{
    static const struct nr_http_hooks hooks = {
        .on_head = on_head, .on_request = on_request, .on_end = on_end};
    struct nr_http_config config;

    nr_http_config_init(&config);
    config.line_max_bytes = 300; /* so that inputs reach the ceilings */
    config.headers_max_bytes = 1000;
    config.body_max_bytes = 70000;
    nr_check(nr_loop_init(&world.loop, NULL) == 0);
    nr_check(nr_http_open(&world.loop, &config, &hooks, NULL, &world.server, NULL) == 0);
    nr_check(nr_http_listen(world.server, "127.0.0.1:0", &world.port, NULL) == 0);
    nr_buf_init(&world.seen, 64 << 20);
}

static int dial(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)world.port)};
    struct linger now = {1, 0}; /* no port stays in TIME_WAIT over a million inputs */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    nr_check(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    return fd;
}

/* Reads replies away; true at the end of the connection. */
static bool drained(int fd)
{
    char bytes[65536];
    ssize_t n;

    (void)uv_run(&world.loop.uv, UV_RUN_NOWAIT);
    while ((n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
        ;
    return n == 0 || errno != EAGAIN;
}

/* How many were refused. */
static uint64_t feed(const uint8_t *bytes, size_t n, unsigned seed)
{
    uint64_t refused = nr_http_stats(world.server).refused;
    bool over = false;
    int fd = dial();

    nr_buf_reset(&world.seen, SIZE_MAX);
    while (n > 0 && !over) {
        size_t piece = seed ? 1 + (size_t)rand_r(&seed) % (seed % 3 ? 3 : 500) : n;
        ssize_t sent = send(fd, bytes, piece < n ? piece : n, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (sent > 0) {
            bytes += sent;
            n -= (size_t)sent;
        }
        over = drained(fd) || (sent < 0 && errno != EAGAIN);
    }
    (void)shutdown(fd, SHUT_WR);
    while (!over)
        over = drained(fd);
    close(fd);
    while (nr_http_stats(world.server).connections > 0)
        (void)uv_run(&world.loop.uv, UV_RUN_NOWAIT);
    nr_check(world.heads == world.ends);
    nr_check(nr_http_stats(world.server).inflight_bytes == 0);
    return nr_http_stats(world.server).refused - refused;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    uint64_t whole, pieces;
    char *first;
    size_t first_bytes = 0;

    if (world.server == NULL)
        open_world();
    if (n < 1)
        return 0;
    whole = feed(bytes + 1, n - 1, 0);
    nr_buf_addc(&world.seen, '.');
    first = nr_buf_detach(&world.seen, &first_bytes);
    pieces = feed(bytes + 1, n - 1, 1U + bytes[0]);
    nr_buf_addc(&world.seen, '.');
    nr_check(whole == pieces);
    nr_check(first_bytes == world.seen.n && memcmp(first, world.seen.p, first_bytes) == 0);
    free(first);
    return 0;
}
