#include "http_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "common/base/clock.h"

#define PATIENCE_MS 30000
#define GOT_MAX_BYTES (64 << 20)
#define BIG_BYTES (8 << 20)

/* ---- the owner ---- */

static void see(struct rig *rig, const struct nr_http_req *r)
{
    nr_buf_reset(&rig->seen, SIZE_MAX);
    nr_buf_printf(&rig->seen, "%d %.*s", (int)r->method, (int)r->path.n, r->path.p);
    if (r->query.p)
        nr_buf_printf(&rig->seen, " ?%.*s", (int)r->query.n, r->query.p);
    for (unsigned i = 0; i < r->header_count; i++)
        nr_buf_printf(&rig->seen, " [%.*s=%.*s]", (int)r->headers[i].name.n, r->headers[i].name.p,
                      (int)r->headers[i].value.n, r->headers[i].value.p);
    nr_buf_adds(&rig->seen, " body=");
    nr_buf_add(&rig->seen, r->body.p, r->body.n);
    nr_buf_add(&rig->seen, "", 1);
}

static void on_head(struct nr_http_req *r)
{
    struct rig *rig = r->user;
    struct own *o = nr_container_of(r, struct own, http);

    rig->heads++;
    assert_int_equal(o->mark, 0);
    o->mark = 0xABCD;
    if (nr_str_eqz(r->path, "/refuse"))
        nr_http_reply(r, 401, NR_STR("WWW-Authenticate: Basic\r\n"), NR_STR("who are you"));
    if (nr_str_eqz(r->path, "/ten"))
        r->body_max_bytes = 10;
    if (nr_str_eqz(r->path, "/file")) {
        r->body_fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        r->body_within_ms = rig->file_within_ms;
        assert_true(r->body_fd > 0);
        rig->filing = r;
    }
}

static void reply_later(struct nr_deadline *d)
{
    struct own *o = nr_container_of(d, struct own, later);

    nr_http_reply(&o->http, 200, NR_STR("X-Late: yes\r\n"), o->http.path);
}

static void hold(struct rig *rig, struct own *o)
{
    nr_list_add(&rig->held, &o->link);
    rig->held_count++;
}

static void on_request(struct nr_http_req *r)
{
    struct rig *rig = r->user;
    struct own *o = nr_container_of(r, struct own, http);

    rig->requests++;
    see(rig, r);
    assert_true(nr_str_eqz(r->peer, "127.0.0.1"));
    if (nr_str_eqz(r->path, "/later")) {
        o->later.fire = reply_later;
        nr_deadline_set(r->loop, &o->later, 5);
    } else if (nr_str_eqz(r->path, "/hold")) {
        hold(rig, o);
    } else if (nr_str_eqz(r->path, "/stream")) {
        nr_http_reply_begin(r, 200, NR_STR("Content-Type: text/plain\r\n"));
        hold(rig, o);
    } else if (nr_str_eqz(r->path, "/parts")) {
        nr_http_reply_begin(r, 200, (struct nr_str){NULL, 0});
        nr_http_reply_part(r, NR_STR("one,"));
        nr_http_reply_part(r, NR_STR(""));
        nr_http_reply_part(r, NR_STR("two"));
        nr_http_reply_end(r);
    } else if (nr_str_eqz(r->path, "/none")) {
        nr_http_reply(r, 204, (struct nr_str){NULL, 0}, NR_STR("not sent"));
    } else if (nr_str_eqz(r->path, "/big")) {
        char *big = nr_alloc(BIG_BYTES);

        memset(big, 'x', BIG_BYTES);
        nr_http_reply(r, 200, (struct nr_str){NULL, 0}, (struct nr_str){big, BIG_BYTES});
        free(big); /* lent for the call only */
    } else {
        nr_http_reply(r, 200, (struct nr_str){NULL, 0}, r->body.n ? r->body : r->path);
    }
    /* The end never comes from inside the reply: the request is still whole here. */
    if (o->mark != 0xABCD)
        rig->bad_ends++;
}

static void on_gone(struct nr_http_req *r)
{
    struct rig *rig = r->user;

    rig->gones++;
    assert_true(r->gone);
}

static void on_end(struct nr_http_req *r)
{
    struct rig *rig = r->user;
    struct own *o = nr_container_of(r, struct own, http);

    rig->ends++;
    assert_int_equal(o->mark, 0xABCD);
    o->mark = 0xDEAD;
    assert_false(nr_deadline_armed(&o->later));
}

static void on_drained(struct nr_http_req *r)
{
    ((struct rig *)r->user)->drained++;
}

static void error_body(void *user, int status, const char *text, struct nr_buf *head,
                       struct nr_buf *out)
{
    nr_buf_printf(out, "{\"error\":\"%s\",\"code\":\"%d\"}", text, status);
}

/* ---- the rig ---- */

void rig_config(struct rig *rig)
{
    memset(rig, 0, sizeof(*rig));
    nr_http_config_init(&rig->config);
    rig->config.request_bytes = sizeof(struct own);
    rig->config.extra_headers = "Server: rig\r\n";
    nr_list_init(&rig->held);
    nr_buf_init(&rig->seen, GOT_MAX_BYTES);
}

void rig_open(struct rig *rig)
{
    static const struct nr_http_hooks hooks = {.on_head = on_head,
                                               .on_request = on_request,
                                               .on_gone = on_gone,
                                               .on_end = on_end,
                                               .on_drained = on_drained,
                                               .error_body = error_body};
    struct nr_err err = {0};

    assert_int_equal(nr_loop_init(&rig->loop, &err), 0);
    assert_int_equal(nr_http_open(&rig->loop, &rig->config, &hooks, rig, &rig->server, &err), 0);
    assert_int_equal(nr_http_listen(rig->server, "127.0.0.1:0", &rig->port, &err), 0);
}

static void on_rig_closed(void *arg)
{
    ((struct rig *)arg)->closed = true;
}

static bool is_closed(void *arg)
{
    return ((struct rig *)arg)->closed;
}

void rig_close(struct rig *rig)
{
    nr_http_close(rig->server, on_rig_closed, rig);
    rig_until(rig, is_closed, rig);
    assert_int_equal(rig->heads, rig->ends);
    assert_int_equal(rig->bad_ends, 0);
    nr_buf_fini(&rig->seen);
    assert_int_equal(nr_loop_fini(&rig->loop), 0);
}

static void turn(struct rig *rig, int fd)
{
    struct pollfd p[2] = {{.fd = uv_backend_fd(&rig->loop.uv), .events = POLLIN},
                          {.fd = fd, .events = POLLIN}};

    (void)uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
    if (uv_backend_timeout(&rig->loop.uv) != 0)
        (void)poll(p, 2, 2);
    (void)uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
}

void rig_until(struct rig *rig, bool (*done)(void *arg), void *arg)
{
    uint64_t end_ms = nr_mono_ms() + PATIENCE_MS;

    while (!done(arg)) {
        if (nr_mono_ms() > end_ms)
            fail_msg("not within %d ms", PATIENCE_MS);
        turn(rig, -1);
    }
}

void rig_turn(struct rig *rig, unsigned ms)
{
    uint64_t end_ms = nr_mono_ms() + ms;

    do
        turn(rig, -1);
    while (nr_mono_ms() < end_ms);
}

struct own *rig_held(struct rig *rig)
{
    struct nr_link *it = nr_list_pop(&rig->held);

    assert_non_null(it);
    rig->held_count--;
    return nr_container_of(it, struct own, link);
}

struct want_held {
    struct rig *rig;
    int n;
};

static bool are_held(void *arg)
{
    struct want_held *want = arg;

    return want->rig->held_count >= want->n;
}

void rig_wait_held(struct rig *rig, int n)
{
    rig_until(rig, are_held, &(struct want_held){rig, n});
}

/* ---- clients ---- */

void client_open(struct rig *rig, struct client *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)rig->port)};

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    memset(c, 0, sizeof(*c));
    nr_buf_init(&c->got, GOT_MAX_BYTES);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(c->fd >= 0);
    assert_int_equal(connect(c->fd, (struct sockaddr *)&to, sizeof(to)), 0);
}

void client_close(struct client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    nr_buf_fini(&c->got);
}

void client_poll(struct client *c)
{
    char bytes[65536];
    ssize_t n;

    while (!c->eof && (n = recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT)) != -1) {
        if (n == 0)
            c->eof = true;
        nr_buf_add(&c->got, bytes, (size_t)n);
    }
    if (!c->eof && errno == ECONNRESET)
        c->eof = c->reset = true;
}

void client_send(struct rig *rig, struct client *c, struct nr_str bytes, size_t piece)
{
    while (bytes.n > 0) {
        size_t want = piece && piece < bytes.n ? piece : bytes.n;
        ssize_t n = send(c->fd, bytes.p, want, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN)
            return; /* closed on us: the caller looks at what was received */
        if (n > 0) {
            bytes.p += n;
            bytes.n -= (size_t)n;
        }
        if (piece || n < 0) {
            (void)uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
            client_poll(c);
        }
    }
}

int client_count(const struct client *c, const char *text)
{
    size_t n = strlen(text);
    int count = 0;

    for (const char *p = c->got.p, *end = p + c->got.n;
         p && (p = memmem(p, (size_t)(end - p), text, n)); p += n)
        count++;
    return count;
}

size_t client_find(const struct client *c, const char *text)
{
    const char *at = c->got.n ? memmem(c->got.p, c->got.n, text, strlen(text)) : NULL;

    assert_non_null(at);
    return (size_t)(at - c->got.p);
}

bool client_has(const struct client *c, const char *text)
{
    return c->got.n && memmem(c->got.p, c->got.n, text, strlen(text)) != NULL;
}

void client_wait(struct rig *rig, struct client *c, const char *text)
{
    uint64_t end_ms = nr_mono_ms() + PATIENCE_MS;

    for (;;) {
        client_poll(c);
        if (text ? client_has(c, text) : c->eof)
            return;
        if (c->eof)
            fail_msg("connection ended without \"%s\"; got \"%.*s\"", text, (int)c->got.n,
                     c->got.p);
        if (nr_mono_ms() > end_ms)
            fail_msg("waited in vain for \"%s\"; got \"%.*s\"", text ? text : "end", (int)c->got.n,
                     c->got.p);
        turn(rig, c->fd);
    }
}

int client_status(const struct client *c)
{
    if (c->got.n < 12 || memcmp(c->got.p, "HTTP/1.1 ", 9) != 0)
        return 0;
    return (c->got.p[9] - '0') * 100 + (c->got.p[10] - '0') * 10 + (c->got.p[11] - '0');
}
