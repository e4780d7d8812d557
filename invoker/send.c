/* Frames out: INIT with the code's descriptor, and RUN.
 *
 * A RUN is one gathered write of header, siblings and value, straight from where the parts lie: the value is the text of the bound
 * parameters and the text of the input spliced into one object (value.h says who wins), or the input as it is. Only what the socket
 * does not take at once is copied.
 * INIT is the first thing ever written on its connection; libuv cannot pass plain files, so its first piece goes out by sendmsg(2) with
 * the descriptor on its first byte.
 */
#include "invoker/conn.h"

#include <errno.h>
#include <sys/socket.h>

#include "common/base/clock.h"

/* header, siblings, brace, parameters, comma, input, brace, brace */
enum { PARTS_MAX = 8, META_KEEP_BYTES = 4096 };

struct rest {
    uv_write_t req;
    char bytes[];
};

static void on_written(uv_write_t *req, int status)
{
    /* A broken connection shows on its read side. */
    (void)status;
    free(nr_container_of(req, struct rest, req));
}

/* Queues a copy of what is left of iov after `sent` bytes. */
static int send_rest(struct conn *c, const uv_buf_t *iov, unsigned n, size_t sent)
{
    size_t total = 0, at = 0;

    for (unsigned i = 0; i < n; i++)
        total += iov[i].len;
    if (sent == total)
        return 0;
    struct rest *rest = nr_try_alloc(sizeof(*rest) + total - sent);

    if (rest == NULL)
        return NR_ENOMEM;
    for (unsigned i = 0; i < n; i++) {
        size_t skip = sent < iov[i].len ? sent : iov[i].len;

        sent -= skip;
        memcpy(rest->bytes + at, iov[i].base + skip, iov[i].len - skip);
        at += iov[i].len - skip;
    }
    uv_buf_t buf = uv_buf_init(rest->bytes, (unsigned)at);
    int r = uv_write(&rest->req, (uv_stream_t *)&c->pipe, &buf, 1, on_written);

    if (r < 0)
        free(rest);
    return r < 0 ? NR_ECLOSED : 0;
}

static int send_all(struct conn *c, const uv_buf_t *iov, unsigned n)
{
    int sent = uv_try_write((uv_stream_t *)&c->pipe, iov, n);

    if (sent < 0 && sent != UV_EAGAIN)
        return NR_ECLOSED;
    return send_rest(c, iov, n, sent < 0 ? 0 : (size_t)sent);
}

/* ---- RUN ---------------------------------------------------------------------------------------------------- */

static void add_pair(struct nr_buf *b, const char *before, struct nr_str value)
{
    nr_buf_adds(b, before);
    nr_buf_json(b, value);
}

/* Everything before the value; every sibling is a JSON string. */
static void meta_of(const struct activation *a, struct nr_buf *b)
{
    const struct function *f = a->fn;

    add_pair(b, "{\"activation_id\":", nr_str_of(a->id));
    add_pair(b, ",\"transaction_id\":", a->transaction);
    add_pair(b, ",\"namespace\":", nr_str_of(a->account->name));
    nr_buf_adds(b, ",\"action_name\":\"/");
    size_t at = b->n;

    nr_buf_json(b, nr_str_of(f->path));
    if (!b->failed) /* the slash stands before the path, inside the quotes */
        memmove(b->p + at, b->p + at + 1, --b->n - at);
    add_pair(b, ",\"action_version\":", nr_str_of(f->version));
    if (f->provide_api_key && a->api_key.n)
        add_pair(b, ",\"api_key\":", a->api_key);
    nr_buf_adds(b, ",\"deadline\":\"");
    nr_buf_addi(b, nr_wall_ms() + f->timeout_ms);
    nr_buf_adds(b, "\",\"value\":");
}

static bool is_array(struct nr_str text)
{
    while (text.n && strchr(" \t\r\n", text.p[0]))
        text.p++, text.n--;
    return text.n && text.p[0] == '[';
}

static unsigned add_part(uv_buf_t *iov, unsigned n, const char *p, size_t bytes)
{
    union {
        const char *in;
        char *out;
    } unconst = {.in = p}; /* libuv's buffers are not const; it only reads them */

    iov[n] = uv_buf_init(unconst.out, (unsigned)bytes);
    return n + 1;
}

/* The value as parts of iov from *n on, which is moved behind them. An array cannot be merged and is passed on as it is. NR_ETOOBIG. */
static int value_parts(const struct activation *a, struct value_room *room, uv_buf_t *iov,
                       unsigned *n)
{
    bool plain = a->fn->parameters[0] == '\0' || strcmp(a->fn->parameters, "{}") == 0;
    struct nr_str bound, given;

    if ((plain && a->fn->final_names == NULL) || is_array(a->input)) {
        *n = add_part(iov, *n, a->input.p, a->input.n);
        return 0;
    }
    if (value_members(a->fn, a->input, room, &bound, &given) < 0)
        return NR_ETOOBIG;
    *n = add_part(iov, *n, "{", 1);
    if (bound.n)
        *n = add_part(iov, *n, bound.p, bound.n);
    if (bound.n && given.n)
        *n = add_part(iov, *n, ",", 1);
    if (given.n)
        *n = add_part(iov, *n, given.p, given.n);
    *n = add_part(iov, *n, "}", 1);
    return 0;
}

int slot_send_run(struct slot *s)
{
    struct invoker *v = s->ct->v;
    struct nr_frame head = {.type = NR_FRAME_RUN, .call = ++v->next_call};
    uv_buf_t iov[PARTS_MAX];
    size_t length = 0;

    if (s->conn == NULL)
        return NR_ECLOSED;
    nr_buf_reset(&v->meta, META_KEEP_BYTES);
    meta_of(s->a, &v->meta);
    if (v->meta.failed)
        return NR_ETOOBIG;
    unsigned n = add_part(iov, 1, v->meta.p, v->meta.n);

    if (value_parts(s->a, &v->value, iov, &n) < 0)
        return NR_ETOOBIG;
    n = add_part(iov, n, "}", 1);
    for (unsigned i = 1; i < n; i++)
        length += iov[i].len;
    if (length - v->meta.n > NR_FRAME_VALUE_MAX_BYTES)
        return NR_ETOOBIG;
    head.length = (uint32_t)length;
    head.value_at = (uint16_t)v->meta.n;
    iov[0] = uv_buf_init((char *)&head, sizeof(head));
    int r = send_all(s->conn, iov, n);

    if (r == 0) {
        s->run_sent = true;
        s->call = head.call;
    }
    return r;
}

/* ---- INIT --------------------------------------------------------------------------------------------------- */

/* Variables of the function's processes: parameters that belong to init first, so that ours win. */
static void env_of(const struct activation *a, struct nr_buf *b)
{
    const struct function *f = a->fn;
    struct nr_str bound = nr_json_members(nr_str_of(f->init_parameters));

    nr_buf_adds(b, "{");
    nr_buf_add(b, bound.p, bound.n);
    nr_buf_adds(b, bound.n ? ",\"__OW_ACTION_NAME\":\"/" : "\"__OW_ACTION_NAME\":\"/");
    size_t at = b->n;

    nr_buf_json(b, nr_str_of(f->path));
    if (!b->failed)
        memmove(b->p + at, b->p + at + 1, --b->n - at);
    add_pair(b, ",\"__OW_ACTION_VERSION\":", nr_str_of(f->version));
    add_pair(b, ",\"__OW_NAMESPACE\":", nr_str_of(a->account ? a->account->name : f->account));
    add_pair(b, ",\"__OW_ACTIVATION_ID\":", nr_str_of(a->id));
    add_pair(b, ",\"__OW_TRANSACTION_ID\":", a->transaction);
    if (f->provide_api_key && a->api_key.n)
        add_pair(b, ",\"__OW_API_KEY\":", a->api_key);
    if (a->slot->ct->v->api_host)
        add_pair(b, ",\"__OW_API_HOST\":", nr_str_of(a->slot->ct->v->api_host));
    if (f->concurrency > 1)
        nr_buf_adds(b, ",\"__OW_ALLOW_CONCURRENT\":\"true\"");
    nr_buf_printf(b, ",\"__OW_DEADLINE\":\"%lld\"}", (long long)(nr_wall_ms() + f->timeout_ms));
}

static void init_of(const struct activation *a, struct nr_buf *b)
{
    const struct function *f = a->fn;

    add_pair(b, "{\"value\":{\"name\":", nr_str_of(f->name));
    add_pair(b, ",\"main\":", nr_str_of(f->main));
    nr_buf_printf(b, ",\"binary\":%s,\"env\":", f->binary ? "true" : "false");
    env_of(a, b);
    add_pair(b, "},\"file\":", nr_str_of(f->file));
    add_pair(b, ",\"exec\":", nr_str_of(f->exec));
    nr_buf_printf(
        b,
        ",\"slots\":%u,\"log_max_bytes\":%lld,\"result_max_bytes\":%d,\"timeout_ms\":%lld,"
        "\"memory_mb\":%lld}",
        a->slot->ct->slot_count, (long long)f->log_max_bytes, NR_RESULT_MAX_BYTES,
        (long long)f->timeout_ms, (long long)a->slot->ct->memory_mb);
}

/* The first piece of iov with `fd` on its first byte (-1: none). Returns the bytes sent, or a negative errno. */
static ssize_t send_with_fd(int sock, uv_buf_t *iov, unsigned n, int fd)
{
    struct iovec parts[2];
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct msghdr m = {.msg_iov = parts, .msg_iovlen = n};

    for (unsigned i = 0; i < n; i++)
        parts[i] = (struct iovec){iov[i].base, iov[i].len};
    if (fd >= 0) {
        m.msg_control = control.bytes;
        m.msg_controllen = sizeof(control.bytes);
        struct cmsghdr *cm = CMSG_FIRSTHDR(&m);

        cm->cmsg_level = SOL_SOCKET;
        cm->cmsg_type = SCM_RIGHTS;
        cm->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cm), &fd, sizeof(int));
    }
    ssize_t sent;

    do
        sent = sendmsg(sock, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

int slot_send_init(struct slot *s)
{
    struct container *ct = s->ct;
    struct nr_frame head = {.type = NR_FRAME_INIT, .call = ++ct->v->next_call};
    struct nr_buf payload;
    uv_os_fd_t sock;
    int r = NR_ETOOBIG;

    if (s->conn == NULL || uv_fileno((uv_handle_t *)&s->conn->pipe, &sock) < 0)
        return NR_ECLOSED;
    nr_buf_init(&payload, NR_FRAME_INIT_MAX_BYTES);
    init_of(s->a, &payload);
    if (!payload.failed) {
        head.length = (uint32_t)payload.n;
        uv_buf_t iov[] = {uv_buf_init((char *)&head, sizeof(head)),
                          uv_buf_init(payload.p, (unsigned)payload.n)};
        ssize_t sent = send_with_fd(sock, iov, 2, ct->code_fd);

        if (sent == -EAGAIN || sent == -ENOBUFS || sent == -ETOOMANYREFS)
            r = 1;
        else
            r = sent < 0 ? NR_ECLOSED : send_rest(s->conn, iov, 2, (size_t)sent);
    }
    nr_buf_fini(&payload);
    if (r == 0) {
        s->init_sent = true;
        s->call = head.call;
    }
    return r;
}
