/* Relay mode: an image that is not ours serves POST /init and POST /run on port 8080 itself. It is started as its own
 * entry point says, and every call is one HTTP exchange on a connection of its own.
 *
 *   init     connect every 20 ms until the server listens, POST /init with the code inside the JSON
 *   run      POST /run with the payload as it came; the reply's body is the ANSWER
 *   logs     the server's stdout and stderr. Images of this kind end a call's log with a line on both; it is awaited
 *            for a while and not shown. An image that never wrote one gets 20 ms of silence instead.
 * With several slots the logs of calls that run at once cannot be told apart: the first to end has them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtimes/agent/http.h"
#include "runtimes/agent/init.h"
#include "runtimes/agent/relay_body.h"
#include "runtimes/agent/slot.h"
#include "runtimes/agent/worker.h"

#define SERVER_PORT 8080
#define CONNECT_AGAIN_MS 20
#define LOG_POLL_MS 5
#define LOG_SILENCE_MS 20
#define LOG_PATIENCE_FIRST_MS                                                                      \
    500 /* no end of a log was seen from this server yet, and this is its first call */
#define LOG_PATIENCE_MS 1500

/* One exchange with the server. */
struct relay_call {
    struct slot *slot;
    struct watch conn;
    struct timer timer;
    char *request; /* head and body */
    size_t length;
    size_t sent;
    bool init;
    struct http_reply reply;
    uint64_t answered_ms;
    uint64_t quiet_ms;  /* since when nothing was logged */
    uint64_t log_bytes; /* then */
};

static void connect_now(struct timer *t);

static void disconnect(struct relay_call *c)
{
    int fd = c->conn.fd;
    loop_drop(&c->slot->agent->loop, &c->conn);
    if (fd >= 0)
        close(fd);
}

static void relay_forget(struct slot *s)
{
    struct relay_call *c = s->relay;
    if (!c)
        return;
    disconnect(c);
    timer_clear(&s->agent->loop, &c->timer);
    free(c->request);
    http_reply_fini(&c->reply);
    free(c);
    s->relay = NULL;
}

static int relay_boot(struct agent *a)
{
    struct env env;
    if (!a->command[0])
        return -EINVAL;
    a->launcher = worker_make(a, NULL);
    if (!a->launcher || env_make(&env, NULL) < 0)
        return -ENOMEM;
    a->launcher->logs.strip_sentinel = true;
    struct spawn sp = {
        .argv = a->command,
        .env = env.entries,
        .fds = {-1, -1, -1, -1, -1, -1},
    };
    int status = worker_spawn(a->launcher, &sp);
    env_free(&env);
    return status;
}

static uint64_t logged_bytes(const struct worker *w)
{
    return w->logs.used_bytes + w->logs.dropped_bytes;
}

static void finish(struct relay_call *c)
{
    struct slot *s = c->slot;
    struct agent *a = s->agent;
    int status = c->reply.state == HTTP_DONE ? c->reply.status : 0;
    uint64_t call = s->call;
    relay_forget(s);
    if (status == 0)
        slot_end(s, call, a->launcher, NR_VERDICT_EXITED, 0);
    else
        slot_end(s, call, a->launcher, status == 200 ? NR_VERDICT_OK : NR_VERDICT_TAINTED, 0);
}

/* Has the log of this call come to its end? */
static bool log_complete(struct relay_call *c, uint64_t now)
{
    struct agent *a = c->slot->agent;
    struct logs *l = &a->launcher->logs;
    if (l->sentinels[LOG_STDOUT] > 0 && l->sentinels[LOG_STDERR] > 0)
        return true;
    uint64_t bytes =
        logged_bytes(a->launcher) + l->sentinels[LOG_STDOUT] + l->sentinels[LOG_STDERR];
    if (bytes != c->log_bytes) {
        c->log_bytes = bytes;
        c->quiet_ms = now;
    }
    bool quiet = now - c->quiet_ms >= LOG_SILENCE_MS;
    if (c->reply.state != HTTP_DONE)
        return quiet;
    if (a->sentinels_seen)
        return now - c->answered_ms >= LOG_PATIENCE_MS;
    return quiet && (a->relayed > 1 || now - c->answered_ms >= LOG_PATIENCE_FIRST_MS);
}

static void await_log(struct timer *t)
{
    struct relay_call *c = container_of(t, struct relay_call, timer);
    struct agent *a = c->slot->agent;
    struct logs *l = &a->launcher->logs;
    worker_drain(a->launcher);
    if (l->sentinels[LOG_STDOUT] > 0 || l->sentinels[LOG_STDERR] > 0)
        a->sentinels_seen = true;
    if (log_complete(c, loop_now_ms()))
        finish(c);
    else
        timer_set(&a->loop, &c->timer, LOG_POLL_MS, await_log);
}

static void tell_init(struct relay_call *c)
{
    struct slot *s = c->slot;
    struct agent *a = s->agent;
    int status = c->reply.state == HTTP_DONE ? c->reply.status : 0;
    char *error = status == 200 ? NULL : relay_init_error(&c->reply.body);
    worker_drain(a->launcher);
    relay_forget(s);
    if (status == 0)
        init_lost(a, a->launcher, NR_VERDICT_EXITED, 0);
    else
        init_done(a, error);
    free(error);
}

/* The reply is complete, or will never be. */
static void replied(struct relay_call *c)
{
    struct slot *s = c->slot;
    struct text *body = &c->reply.body;
    disconnect(c);
    c->answered_ms = c->quiet_ms = loop_now_ms();
    if (c->init) {
        tell_init(c);
        return;
    }
    if (c->reply.state == HTTP_DONE)
        slot_answer(s, body->bytes ? body->bytes : "", body->total, c->reply.status != 200);
    if (s->relay == c)
        await_log(&c->timer);
}

static void connect_later(struct relay_call *c)
{
    disconnect(c);
    timer_set(&c->slot->agent->loop, &c->timer, CONNECT_AGAIN_MS, connect_now);
}

/* Sends what the server takes. One that hangs up on us may have answered before: then only reading is left. */
static void send_some(struct relay_call *c)
{
    ssize_t n =
        send(c->conn.fd, c->request + c->sent, c->length - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    c->sent += n > 0 ? (size_t)n : 0;
    if (n < 0 || c->sent == c->length) {
        free(c->request);
        c->request = NULL;
        loop_change(&c->slot->agent->loop, &c->conn, EPOLLIN);
    }
}

static void read_some(struct relay_call *c)
{
    struct agent *a = c->slot->agent;
    ssize_t n = recv(c->conn.fd, a->scratch, AGENT_READ_BYTES, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        http_reply_close(&c->reply);
    else
        http_reply_feed(&c->reply, a->scratch, (size_t)n);
    if (n <= 0 || c->reply.state == HTTP_DONE || c->reply.state == HTTP_BROKEN)
        replied(c);
}

static void conn_ready(struct watch *watch, uint32_t events)
{
    struct relay_call *c = container_of(watch, struct relay_call, conn);
    int error = 0;
    socklen_t size = sizeof error;
    if (c->sent == 0 && c->request) {
        getsockopt(watch->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error) { /* nobody listens (yet); no byte was sent */
            connect_later(c);
            return;
        }
    }
    if ((events & EPOLLOUT) && c->request)
        send_some(c);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        read_some(c);
}

static void connect_now(struct timer *t)
{
    struct relay_call *c = container_of(t, struct relay_call, timer);
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons(SERVER_PORT),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) {
        close(fd);
        fd = -1;
    }
    if (fd < 0)
        connect_later(c);
    else
        loop_watch(&c->slot->agent->loop, &c->conn, fd, EPOLLIN | EPOLLOUT, conn_ready);
}

/* Begins an exchange; body given. */
static void exchange(struct slot *s, const char *path, char *body, size_t length, bool init)
{
    struct relay_call *c = calloc(1, sizeof *c);
    if (c) {
        c->conn.fd = -1;
        c->slot = s;
        c->init = init;
        c->request = relay_request(path, body, length, &c->length);
        http_reply_init(&c->reply,
                        init ? NR_FRAME_HELLO_MAX_BYTES : s->agent->setup.result_max_bytes);
    }
    free(body);
    s->relay = c;
    if (c && c->request) {
        connect_now(&c->timer);
        return;
    }
    relay_forget(s);
    if (init)
        init_failed(s->agent, "The action could not be initialized: no memory.");
    else
        slot_end(s, s->call, s->agent->launcher, NR_VERDICT_EXITED, 0);
}

static void relay_init(struct agent *a)
{
    size_t length = 0;
    if (!a->launcher) {
        char sentence[300];
        snprintf(sentence, sizeof sentence, "executable file not found: %.200s", a->command[0]);
        if (WIFEXITED(a->server_status) && WEXITSTATUS(a->server_status) == 127)
            init_failed(a, sentence);
        else
            init_lost(a, NULL, NR_VERDICT_EXITED, a->server_status);
        return;
    }
    char *body = relay_init_body(a->setup.value, a->code_fd, &length);
    if (body)
        exchange(&a->slots[0], "/init", body, length, true);
    else
        init_failed(a, "The action could not be initialized: its code cannot be read.");
}

static bool another_runs(const struct slot *s)
{
    for (unsigned i = 0; i < s->agent->setup.slots; i++) {
        if (i != s->index && s->agent->slots[i].busy)
            return true;
    }
    return false;
}

static void relay_run(struct slot *s, const struct nr_frame *head, const char *payload)
{
    struct agent *a = s->agent;
    a->relayed++;
    if (!another_runs(s)) {
        worker_drain(a->launcher);
        logs_begin(&a->launcher->logs, a->setup.log_max_bytes);
    }
    char *body = malloc(head->length ? head->length : 1);
    if (body)
        memcpy(body, payload, head->length);
    exchange(s, "/run", body, body ? head->length : 0, false);
}

static void relay_ended(struct worker *w, int status, bool oom)
{
    struct agent *a = w->agent;
    enum nr_frame_verdict verdict = oom ? NR_VERDICT_OOM : NR_VERDICT_EXITED;
    a->launcher = NULL;
    a->server_status = status;
    if (a->phase == AGENT_STARTING) {
        relay_forget(&a->slots[0]);
        init_lost(a, w, verdict, status);
    }
    for (unsigned i = 0; a->phase == AGENT_READY && i < a->setup.slots; i++) {
        struct slot *s = &a->slots[i];
        relay_forget(s);
        if (s->busy && s->state == SLOT_OPEN)
            slot_end(s, s->call, w, verdict, status);
        else if (s->state != SLOT_CLOSED)
            slot_close(s);
    }
    worker_free(w);
}

const struct mode mode_relay = {
    .name = "relay",
    .reads_slots = true,
    .boot = relay_boot,
    .init = relay_init,
    .run = relay_run,
    .ended = relay_ended,
    .cut = relay_forget,
};
