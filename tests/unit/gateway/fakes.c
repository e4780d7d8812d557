#include "tests/unit/gateway/fakes.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "common/base/clock.h"

static struct fakes
    *the; /* the fixture of the running test; the ports have no other way to find it */

/* ---- the server ---- */

struct nr_http_server {
    int unused;
};

void nr_http_config_init(struct nr_http_config *c)
{
    memset(c, 0, sizeof(*c));
}

int nr_http_open(struct nr_loop *l, const struct nr_http_config *c, const struct nr_http_hooks *h,
                 void *user, struct nr_http_server **ret, struct nr_err *err)
{
    the->hooks = h;
    the->user = user;
    assert_int_equal(c->request_bytes, sizeof(struct gateway_request));
    *ret = nr_alloc(sizeof(**ret));
    return 0;
}

int nr_http_listen(struct nr_http_server *s, const char *address, int *ret_port, struct nr_err *err)
{
    if (strcmp(address, "taken") == 0)
        return nr_err_set(err, NR_EBUSY, "cannot listen on %s", address);
    *ret_port = 4711;
    return 0;
}

/* Sockets change hands in the tests of the server and in those of an upgrade. */
int nr_http_listen_fd(struct nr_http_server *s, int fd, int *ret_port, struct nr_err *err)
{
    (void)s;
    (void)ret_port;
    return nr_err_set(err, NR_EINVAL, "no socket %d here", fd);
}

size_t nr_http_listeners(const struct nr_http_server *s, int *ret_fds, size_t max)
{
    (void)s;
    (void)ret_fds;
    (void)max;
    return 0;
}

size_t nr_http_hand_over(struct nr_http_server *s, int *ret_fds, size_t max)
{
    return nr_http_listeners(s, ret_fds, max);
}

size_t nr_http_hand_over_untouched(struct nr_http_server *s, int *ret_fds, size_t max)
{
    return nr_http_listeners(s, ret_fds, max);
}

void nr_http_part(struct nr_http_server *s, bool on)
{
    (void)s;
    (void)on;
}

unsigned nr_http_reading(const struct nr_http_server *s)
{
    (void)s;
    return 0;
}

unsigned nr_http_greeting(const struct nr_http_server *s)
{
    return nr_http_reading(s);
}

void nr_http_adopt(struct nr_http_server *s, int fd, bool untouched)
{
    (void)s;
    (void)fd;
    (void)untouched;
}

void nr_http_drain(struct nr_http_server *s, void (*idle)(void *arg), void *arg)
{
    idle(arg);
}

void nr_http_close(struct nr_http_server *s, void (*closed)(void *arg), void *arg)
{
    free(s);
    closed(arg);
}

struct nr_http_stats nr_http_stats(const struct nr_http_server *s)
{
    return (struct nr_http_stats){.connections = 3};
}

struct nr_str nr_http_header(const struct nr_http_req *r, const char *name)
{
    for (unsigned i = 0; i < r->header_count; i++)
        if (nr_str_eqz(r->headers[i].name, name))
            return r->headers[i].value;
    return (struct nr_str){NULL, 0};
}

bool nr_http_query(struct nr_http_req *r, const char *name, struct nr_str *ret)
{
    struct nr_str rest = r->query, pair, key;

    while (nr_str_split(&rest, '&', &pair)) {
        if (!nr_str_split(&pair, '=', &key) || !nr_str_eqz(key, name))
            continue;
        char *room = nr_arena_get(&r->arena, pair.n + 1);
        ssize_t n = pair.p ? nr_pct_decode(pair, true, room) : 0;

        *ret = n < 0 ? (struct nr_str){NULL, 0} : (struct nr_str){room, (size_t)n};
        return true;
    }
    return false;
}

static char *text_of(struct nr_str s)
{
    return s.n ? nr_strndup(s.p, s.n) : nr_strdup("");
}

static void forget_answer(struct answer *a)
{
    free(a->head);
    free(a->body);
    *a = (struct answer){0};
}

void nr_http_reply(struct nr_http_req *r, int status, struct nr_str headers, struct nr_str body)
{
    struct answer *a = &the->answer;
    int count = a->count + 1;

    forget_answer(a);
    *a = (struct answer){count, status, text_of(headers), text_of(body)};
}

uint64_t nr_http_filed_bytes(const struct nr_http_req *r)
{
    (void)r;
    return 0;
}

void nr_http_reply_begin(struct nr_http_req *r, int status, struct nr_str headers)
{
    nr_http_reply(r, status, headers, (struct nr_str){NULL, 0});
    the->answer.count--;
    nr_buf_init(&the->parts, 64 << 20);
}

size_t nr_http_reply_part(struct nr_http_req *r, struct nr_str bytes)
{
    the->answer.parts++;
    nr_buf_add(&the->parts, bytes.p, bytes.n);
    return the->waits;
}

void nr_http_reply_end(struct nr_http_req *r)
{
    struct answer *a = &the->answer;

    a->count++;
    free(a->body);
    a->body = text_of(nr_buf_str(&the->parts));
    nr_buf_fini(&the->parts);
}

/* ---- the function manager ---- */

int fnmanager_authenticate(struct fnmanager *m, struct nr_str uuid, struct nr_str secret,
                           struct account **ret)
{
    struct account *a;

    if (!nr_str_eqz(uuid, "me") || !nr_str_eqz(secret, "secret"))
        return NR_EAUTH;
    a = nr_alloc(sizeof(*a));
    *a = (struct account){.refs = 1,
                          .scopes = the->scopes,
                          .invocations_per_minute = 60,
                          .concurrent_invocations = 30,
                          .fires_per_minute = 60};
    a->name = nr_strdup("guest");
    a->uuid = nr_strdup("me");
    *ret = a;
    return 0;
}

int fnmanager_account(struct fnmanager *m, struct nr_str name, struct account **ret,
                      struct nr_err *err)
{
    if (nr_str_eqz(name, "asleep"))
        return nr_err_set(err, NR_EAUTH, "The account 'asleep' is suspended: a secret.");
    if (!nr_str_eqz(name, "guest") && !nr_str_eqz(name, "shop"))
        return nr_err_set(err, NR_ENOENT, "no such account");
    *ret = nr_alloc(sizeof(**ret));
    **ret = (struct account){.refs = 1, .name = nr_strndup(name.p, name.n), .uuid = nr_strdup("")};
    return 0;
}

bool fnmanager_still_good(struct fnmanager *m, const struct account *account)
{
    return strcmp(account->uuid, "me") == 0;
}

void fnmanager_post(struct fnmanager *m, struct fn_call *c)
{
    the->posts++;
    the->call = c;
    nr_buf_init(&c->reply, 64 << 20);
}

void fnmanager_runtimes(struct fnmanager *m, struct nr_buf *out)
{
    nr_buf_adds(out, "{\"python\":[{\"kind\":\"python:3\"}]}");
}

void fnmanager_metrics(struct fnmanager *m, struct nr_buf *out)
{
    nr_metric_one(out, "narae_fnmanager_fake", "gauge", "A neighbour's.", 1);
}

void answer_call(struct fakes *f, int status, const char *body)
{
    struct fn_call *c = f->call;

    f->call = NULL;
    c->status = status;
    if (status >= 400)
        nr_err_set(&c->err, NR_EINVAL, "%s", body);
    else
        nr_buf_adds(&c->reply, body);
    c->done(c);
}

/* ---- the controller and the invoker ---- */

static void reply_to(struct activation *a, int status, const char *body)
{
    if (the->refuse_code) {
        activation_fail(a, the->refuse_code, "%s", body);
        nr_buf_adds(&a->reply_head, "Retry-After: 7\r\n");
    } else {
        a->reply_status = status;
        nr_buf_adds(&a->reply, body);
        a->outcome.result = nr_arena_copy(&a->arena, nr_str_of(body));
        a->outcome.status = the->outcome;
        memcpy(a->id, "0123456789abcdef0123456789abcdef", 33);
    }
    a->on_reply(a);
    activation_unref(a);
}

void controller_invoke(struct controller *c, struct activation *a)
{
    the->invokes++;
    if (the->answers_at_once)
        reply_to(a, 200, "{\"at\":\"once\"}");
    else
        the->held = a;
}

void controller_fire(struct controller *c, struct activation *a, struct nr_str headers)
{
    the->fires++;
    (void)snprintf(the->fire_headers, sizeof(the->fire_headers), "%.*s", (int)headers.n, headers.p);
    the->held = a;
}

void controller_find(struct controller *c, struct function_query *q)
{
    (void)snprintf(the->found, sizeof(the->found), "%s %.*s %.*s %lld", q->account->name,
                   (int)q->package.n, q->package.p ? q->package.p : "", (int)q->name.n, q->name.p,
                   (long long)q->number);
    if (the->refuse_code)
        nr_err_set(&q->err, the->refuse_code, "cannot be looked up");
    else if (the->function)
        q->fn = function_ref(the->function);
    else
        nr_err_set(&q->err, NR_ENOENT, "no such function");
    q->done(q);
}

void answer_activation(struct fakes *f, int status, const char *body)
{
    struct activation *a = f->held;

    f->held = NULL;
    reply_to(a, status, body);
}

void controller_ask(struct controller *c, struct activation_query *q)
{
    the->query = q;
    nr_buf_init(&q->reply, 4096);
}

int controller_follow(struct controller *c, struct log_follower *f, struct nr_err *err)
{
    if (the->refuse_code)
        return nr_err_set(err, the->refuse_code, "Too many follow.");
    the->follower = f;
    return 0;
}

void controller_unfollow(struct controller *c, struct log_follower *f)
{
    if (the->follower == f)
        the->follower = NULL;
}

void answer_query(struct fakes *f, int code, const char *body)
{
    struct activation_query *q = f->query;

    f->query = NULL;
    if (code)
        nr_err_set(&q->err, code, "%s", body);
    else
        nr_buf_adds(&q->reply, body);
    q->done(q);
}

struct asked_counts controller_asked(const struct controller *c)
{
    return (struct asked_counts){0};
}

void controller_metrics(struct controller *c, struct nr_buf *out)
{
    nr_metric_one(out, "narae_controller_fake", "gauge", "A neighbour's.", 2);
}

void invokers_metrics(struct invokers *f, struct nr_buf *out)
{
    nr_metric_one(out, "narae_invoker_fake", "gauge", "A neighbour's.", 3);
}

void invokers_status(struct invokers *f, const char *account, struct nr_buf *out)
{
    nr_buf_printf(out, "{\"capabilities\":[],\"of\":\"%s\"}", account ? account : "all");
}

bool invokers_ready(const struct invokers *f, char why[static INVOKER_WHY_BYTES])
{
    return true;
}

/* Every name is known but "nobody". */
void invokers_post(struct invokers *f, struct invokers_call *c)
{
    nr_buf_init(&c->reply, 1024);
    if (nr_str_eqz(c->name, "nobody"))
        (void)nr_err_set(&c->err, NR_ENOENT, "There is no invoker 'nobody'.");
    else
        nr_buf_printf(&c->reply, "{\"op\":%d,\"body\":%zu}", (int)c->op, c->body.n);
    c->made = c->op == INVOKERS_ADD;
    c->done(c);
}

/* ---- the scaler ---- */

void scaler_post(struct scaler *s, struct scale_call *c)
{
    assert_ptr_equal(s, the);
    the->scale = c;
    nr_buf_init(&c->reply, 64 << 20);
}

void scaler_metrics(struct scaler *s, struct nr_buf *out)
{
    nr_metric_one(out, "narae_scaler_fake", "gauge", "A neighbour's.", 4);
}

void answer_scale(struct fakes *f, int code, const char *body)
{
    struct scale_call *c = f->scale;

    f->scale = NULL;
    if (code)
        nr_err_set(&c->err, code, "the sentence");
    nr_buf_adds(&c->reply, body);
    c->done(c);
}

/* ---- requests ---- */

static void add_headers(struct nr_http_req *r, const char *lines)
{
    struct nr_str rest = nr_str_of(lines), line, name;

    while (nr_str_split(&rest, '\n', &line)) {
        if (!nr_str_split(&line, ':', &name) || line.p == NULL)
            continue;
        r->headers[r->header_count++] = (struct nr_http_header){name, {line.p + 1, line.n - 1}};
    }
}

struct gateway_request *ask_head(struct fakes *f, enum nr_http_method method, const char *target,
                                 const char *headers, int64_t content_length)
{
    struct gateway_request *q = nr_alloc(sizeof(*q));
    struct nr_http_req *r = &q->http;
    const char *mark = strchr(target, '?');

    forget_answer(&f->answer);
    nr_arena_init(&r->arena, 1 << 20);
    r->method = method;
    r->path = (struct nr_str){target, mark ? (size_t)(mark - target) : strlen(target)};
    r->query = nr_str_of(mark ? mark + 1 : NULL);
    r->content_length = content_length;
    r->has_body = content_length != 0; /* -1: chunked */
    r->peer = NR_STR("192.0.2.1");
    r->user = f->user;
    r->loop = &f->loop;
    r->received_us = nr_mono_us();
    add_headers(r, headers);
    f->hooks->on_head(r);
    return q;
}

void ask_body(struct fakes *f, struct gateway_request *q, struct nr_str body)
{
    q->http.body = body;
    if (f->answer.count == 0)
        f->hooks->on_request(&q->http);
}

struct gateway_request *ask(struct fakes *f, enum nr_http_method method, const char *target,
                            const char *headers, const char *body)
{
    size_t n = body ? strlen(body) : 0;
    struct gateway_request *q;

    (void)snprintf(f->lines, sizeof(f->lines), "%s%s", headers,
                   n && strstr(headers, "content-type") == NULL ? "content-type: application/json\n"
                                                                : "");
    q = ask_head(f, method, target, f->lines, (int64_t)n);
    ask_body(f, q, nr_str_of(body));
    return q;
}

const struct answer *asked(struct fakes *f, enum nr_http_method method, const char *target,
                           const char *body)
{
    struct gateway_request *q = ask(f, method, target, "authorization: " GOOD_HEADER "\n", body);

    request_over(f, q);
    return &f->answer;
}

void request_over(struct fakes *f, struct gateway_request *q)
{
    f->hooks->on_end(&q->http);
    nr_arena_fini(&q->http.arena);
    free(q);
}

/* ---- the fixture ---- */

struct fakes *fakes_open(void)
{
    struct fakes *f = nr_alloc(sizeof(*f));
    struct gateway_config c = {.loop = &f->loop,
                               .listen = "any",
                               .metrics_functions = "top:5",
                               .scaler = (struct scaler *)f,
                               .log = &f->log,
                               .build = "b",
                               .build_number = "n",
                               .memory_max_mb = 4096};

    the = f;
    f->scopes = SCOPE_INVOKE | SCOPE_READ | SCOPE_WRITE;
    f->log.level = -1;
    assert_int_equal(nr_loop_init(&f->loop, NULL), 0);
    assert_int_equal(gateway_open(&c, &f->gateway, NULL), 0);
    gateway_set_ready(f->gateway, true);
    return f;
}

static void on_closed(void *arg)
{
    *(bool *)arg = true;
}

void fakes_close(struct fakes *f)
{
    bool closed = false;

    gateway_close(f->gateway, on_closed, &closed);
    assert_true(closed);
    assert_int_equal(nr_loop_fini(&f->loop), 0);
    forget_answer(&f->answer);
    free(f);
}
