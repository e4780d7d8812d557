/* One connection of a container: who dials, its hello, the frames that come in.
 *
 * conn_open() accepts and checks the peer. The first frame must be HELLO, which says which slot it is. From then on every frame must
 * belong to the slot's call, be expected now, and be within what the function may still say; that is asked when its header is there,
 * before memory is taken for the rest, and again when it is whole, for the call may have moved on. It is stored in slot->got and the call is
 * ticked. An ANSWER that lies whole in what was read is lent to that tick where it lies.
 * A broken rule or a broken connection is the same: the slot's call, and no other, learns that it is lost, and the container
 * takes no further calls.
 */
#include "invoker/conn.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>

#include "common/base/json.h"
#include "invoker/frame_budget.h"
#include "invoker/outcome.h"

/* ---- opening and closing ------------------------------------------------------------------------------------ */

static void on_closed(uv_handle_t *h)
{
    struct conn *c = nr_container_of((uv_pipe_t *)h, struct conn, pipe);
    struct container *ct = c->ct;

    frame_reader_fini(&c->reader);
    free(c);
    container_unref(ct);
}

void conn_close(struct conn *c)
{
    if (c->closing)
        return;
    c->closing = true;
    nr_list_del(&c->in_ct);
    c->ct->conn_count--;
    if (c->slot) {
        c->slot->conn = NULL;
        c->ct->connected--;
        c->slot = NULL;
    }
    uv_close((uv_handle_t *)&c->pipe, on_closed);
    server_accept_waiting(c->ct);
}

void slot_close(struct slot *s)
{
    if (s->conn)
        conn_close(s->conn);
}

void slot_cut(struct slot *s)
{
    uv_os_fd_t fd;

    if (s->conn && !s->shut && uv_fileno((uv_handle_t *)&s->conn->pipe, &fd) == 0) {
        s->shut = true;
        (void)shutdown(fd, SHUT_WR);
    }
}

/* The connection is of no use any more; its call learns of it. */
static void lost(struct conn *c, const char *why)
{
    struct container *ct = c->ct;
    struct slot *s = c->slot;

    if (c->closing)
        return;
    nr_log(ct->v->log, s && s->a ? NR_LOG_INFO : NR_LOG_DEBUG, "invoker",
           "container=%s slot=%d lost: %s", ct->name, s ? (int)s->index : -1, why);
    conn_close(c);
    if (ct->state == CT_STARTING) /* not greeted yet: it may dial again */
        return;
    nr_count(&ct->v->m.lost, 1);
    enum end_reason end = s && s->a ? invoker_end_reason(s->a) : ENDED_NOT;

    (void)container_ref(ct);
    if (s == NULL || s->a == NULL || s->a != ct->ahead) /* that has an end of its own */
        container_retire(ct, end != ENDED_NOT ? end : ENDED_CRASHED);
    if (s && s->a) {
        s->got.lost = true;
        invoker_tick(s->a);
    }
    container_unref(ct);
}

void container_lose(struct container *ct, enum end_reason why, const char *sentence)
{
    (void)container_ref(ct);
    container_retire(ct, why);
    while (!nr_list_empty(&ct->conns)) /* the last call's end closes all that are left */
        lost(nr_container_of(ct->conns.next, struct conn, in_ct), sentence);
    container_unref(ct);
}

/* ---- who dials ---------------------------------------------------------------------------------------------- */

static bool is_ours(struct conn *c)
{
    struct ucred peer;
    socklen_t n = sizeof(peer);
    uv_os_fd_t fd;
    const struct peer_rule *rule = &c->ct->v->peer;

    if (uv_fileno((uv_handle_t *)&c->pipe, &fd) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0)
        return false;
    if (peer.uid == rule->uid && peer.pid > 0 && rule->inside(peer.pid, c->ct->id)) {
        c->pid = peer.pid;
        return true;
    }
    nr_log(
        c->ct->v->log, NR_LOG_ERROR, "invoker",
        "container=%s: a connection of uid %u, pid %d was refused: it is not from inside this container",
        c->ct->name, (unsigned)peer.uid, (int)peer.pid);
    return false;
}

/* ---- frames in ---------------------------------------------------------------------------------------------- */

/* The first slot loads the code, the others come after that: until then somebody else inside is dialling. */
static bool may_be_taken(const struct container *ct, json_int_t index)
{
    bool first_only = ct->state == CT_STARTING || ct->state == CT_STEM || ct->state == CT_FRESH;

    return index >= 0 && index < (json_int_t)(first_only ? 1 : ct->slot_count) &&
           ct->slots[index].conn == NULL && ct->slots[index].a == NULL && !ct->retired;
}

static bool on_hello(struct conn *c, const struct nr_frame *head, struct nr_str payload)
{
    struct container *ct = c->ct;
    nr_auto_json json_t *j = head->type == NR_FRAME_HELLO ? nr_json_parse(payload, NULL) : NULL;
    const char *id = j ? nr_json_string(j, "id") : NULL;
    const char *kind = j ? nr_json_string(j, "kind") : NULL;
    json_int_t protocol = json_integer_value(json_object_get(j, "protocol"));
    json_int_t index = json_integer_value(json_object_get(j, "slot"));

    if (id == NULL || strcmp(id, ct->name) != 0 || protocol != NR_FRAME_PROTOCOL ||
        !may_be_taken(ct, index) ||
        !adopt_hello_fits(ct, json_is_true(json_object_get(j, "ready")))) {
        nr_count(&ct->v->m.protocol_errors, 1);
        lost(c, "its hello is not the one expected");
        return false;
    }
    (void)snprintf(ct->kind, sizeof(ct->kind), "%s", kind ? kind : "");
    if (ct->pid == 0)
        ct->pid = c->pid;
    c->slot = &ct->slots[index];
    c->slot->conn = c;
    container_greeted(ct, c->slot);
    return !c->closing;
}

/* How many bytes a frame of each type may have now, by the call's progress and the function's own limits; -1: none is expected. */

static int64_t init_done_room(const struct slot *s)
{
    return s->init_sent && !s->run_sent && !s->got.init_done ? NR_FRAME_INIT_MAX_BYTES : -1;
}

/* With the true length that stands before an answer that was cut. */
static int64_t answer_room(const struct slot *s)
{
    int64_t max_bytes = NR_RESULT_MAX_BYTES + (int64_t)sizeof(uint64_t);

    return s->run_sent && !s->got.answered ? max_bytes - (int64_t)s->parts.n : -1;
}

/* The function's own limit, and what passed its launcher by; twice where this call has loaded the code: that phase has a log too. */
static int64_t log_room(const struct slot *s)
{
    int64_t max_bytes = s->ct->fn->log_max_bytes;
    int64_t raw_bytes =
        max_bytes < NR_FRAME_LOG_RAW_MAX_BYTES ? max_bytes : NR_FRAME_LOG_RAW_MAX_BYTES;
    int64_t own_bytes = max_bytes + raw_bytes + NR_FRAME_LOG_SPARE_BYTES;

    if (s->run_sent && s->init_sent)
        own_bytes *= 2;
    if (own_bytes > NR_FRAME_LOG_MAX_BYTES)
        own_bytes = NR_FRAME_LOG_MAX_BYTES;
    return s->got.ended ? -1 : own_bytes - (int64_t)s->log_bytes;
}

static int64_t end_room(const struct slot *s)
{
    return s->got.ended ? -1 : (int64_t)sizeof(struct nr_frame_end);
}

static bool take_init_done(struct slot *s, const struct nr_frame *head, struct nr_str payload)
{
    s->got.init_done = true;
    s->got.flags = head->flags;
    nr_buf_reset(&s->parts, 0);
    nr_buf_add(&s->parts, payload.p, payload.n);
    s->got.bytes = nr_buf_str(&s->parts);
    return !s->parts.failed;
}

static bool take_answer(struct slot *s, const struct nr_frame *head, struct nr_str payload)
{
    s->got.flags |= head->flags;
    s->got.bytes = payload;
    if ((head->flags & NR_FRAME_MORE) || s->parts.n) {
        nr_buf_add(&s->parts, payload.p, payload.n);
        s->got.bytes = nr_buf_str(&s->parts);
    }
    if (s->parts.failed)
        return false;
    s->got.answered = !(head->flags & NR_FRAME_MORE);
    if (s->got.answered) {
        frame_budget_give(s);
        invoker_tick(s->a);
    }
    return true;
}

static bool take_log(struct slot *s, const struct nr_frame *head, struct nr_str payload)
{
    s->log_bytes += payload.n;
    if (s->ct->fn->log_max_bytes > 0)
        nr_buf_add(&s->a->logs, payload.p, payload.n);
    return true;
}

static bool take_end(struct slot *s, const struct nr_frame *head, struct nr_str payload)
{
    struct nr_frame_end end;

    memcpy(&end, payload.p, sizeof(end));
    if (end.verdict > NR_VERDICT_TAINTED)
        return false;
    s->got.ended = true;
    s->got.verdict = end.verdict;
    invoker_tick(s->a);
    return true;
}

/* Empty frames count against no ceiling of bytes, so frames are counted too. */
enum { CALL_FRAMES_MAX = 4096 };

static const struct {
    int64_t (*room)(const struct slot *s);
    bool (*take)(struct slot *s, const struct nr_frame *head, struct nr_str payload);
} frames[] = {
    [NR_FRAME_INIT_DONE] = {init_done_room, take_init_done},
    [NR_FRAME_ANSWER] = {answer_room, take_answer},
    [NR_FRAME_LOG] = {log_room, take_log},
    [NR_FRAME_END] = {end_room, take_end},
};

/* What is wrong with such a frame now, or NULL. */
static const char *objection(const struct slot *s, const struct nr_frame *head)
{
    if (s == NULL)
        return head->type == NR_FRAME_HELLO ? NULL : "it did not say hello";
    if (head->type >= nr_countof(frames) || frames[head->type].room == NULL || s->a == NULL ||
        s->call == 0 || head->call != s->call || s->frames >= CALL_FRAMES_MAX)
        return "a frame came that does not belong here";
    int64_t room = frames[head->type].room(s);

    if (room < 0)
        return "a frame came that does not belong here";
    return (int64_t)head->length > room ? "it says more than the function's limits allow" : NULL;
}

static bool refuse(struct conn *c, const char *why)
{
    nr_count(&c->ct->v->m.protocol_errors, 1);
    lost(c, why);
    return false;
}

/* Its call ends with a sentence of its own, and so does its container. */
static void end_for_budget(struct slot *s)
{
    const struct invoker *v = s->ct->v;
    char text[256];

    (void)snprintf(
        text, sizeof(text),
        "The action was aborted: it made the platform hold %zu bytes of its unfinished answer and logs, "
        "when those of all calls were more than the %zu MB that there are for them.",
        s->held_bytes, v->held_max_bytes >> 20);
    nr_log(v->log, NR_LOG_WARN, "invoker",
           "container=%s account=%s function=%s slot=%u held_bytes=%zu limit_bytes=%zu is ended",
           s->ct->name, s->a->fn->account, s->a->fn->path, s->index, s->held_bytes,
           v->held_max_bytes);
    if (s->a->err == 0 && s->a->outcome.result.n == 0)
        outcome_refuse(&s->a->outcome, OUTCOME_DEVELOPER_ERROR, text);
    (void)refuse(s->conn, "answers and logs of all calls are too much");
}

/* Before memory is taken for the frame. */
static bool on_begin(void *arg, const struct nr_frame *head)
{
    struct conn *c = arg;
    const char *why = objection(c->slot, head);

    if (why)
        return refuse(c, why);
    if (c->slot == NULL || head->type == NR_FRAME_END)
        return true;
    struct slot *offender = frame_budget_take(c->slot, head->length);

    if (offender)
        end_for_budget(offender);
    return !c->closing;
}

static bool on_frame(void *arg, const struct nr_frame *head, struct nr_str payload)
{
    struct conn *c = arg;
    struct slot *s = c->slot;

    if (s == NULL)
        return on_hello(c, head, payload);
    const char *why = objection(s, head);

    if (why)
        return refuse(c, why);
    s->frames++;
    if (!frames[head->type].take(s, head, payload))
        return refuse(c, "a frame came that does not belong here");
    return !c->closing;
}

/* ---- bytes in ----------------------------------------------------------------------------------------------- */

static void on_room(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    struct conn *c = h->data;
    char *at;
    size_t n;

    if (frame_reader_room(&c->reader, &at, &n))
        *buf = uv_buf_init(at, (unsigned)n);
    else
        *buf = uv_buf_init(c->ct->v->read_buf, READ_BUF_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct conn *c = stream->data;

    if (n < 0) {
        lost(c, uv_strerror((int)n));
    } else if (n > 0) {
        static const struct frame_to to = {on_begin, on_frame};
        int r = frame_reader_feed(&c->reader, buf->base, (size_t)n, &to, c);

        if (r < 0) {
            nr_count(&c->ct->v->m.protocol_errors, 1);
            lost(c, nr_err_text(r));
        }
    }
}

void conn_open(struct container *ct)
{
    struct conn *c = nr_alloc(sizeof(*c));

    c->ct = container_ref(ct);
    frame_reader_init(&c->reader);
    nr_check(uv_pipe_init(&ct->v->loop->uv, &c->pipe, 0) == 0);
    c->pipe.data = c;
    nr_list_add(&ct->conns, &c->in_ct);
    ct->conn_count++;
    if (uv_accept((uv_stream_t *)&ct->server, (uv_stream_t *)&c->pipe) < 0 || !is_ours(c) ||
        uv_read_start((uv_stream_t *)&c->pipe, on_room, on_read) < 0)
        conn_close(c);
}
