#include "tests/unit/controller/fakes.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/file.h"

static struct fakes
    *the; /* the fixture of the running test; the ports have no other way to find it */

/* ---- the function manager ---- */

struct late {
    struct nr_mail mail;
    struct fn_call *call;
};

static struct function *fake_function(const struct fn_call *c)
{
    struct function *fn = nr_alloc(sizeof(*fn));
    char path[256];

    (void)snprintf(the->asked_space, sizeof(the->asked_space), "%.*s", (int)c->space.n,
                   c->space.n ? c->space.p : "");
    if (the->code)
        (void)snprintf(path, sizeof(path), "%s/%.*s", the->code, (int)c->name.n, c->name.p);
    else
        (void)snprintf(path, sizeof(path), "%s/%.*s%s%.*s",
                       c->space.n ? the->asked_space : c->account->name, (int)c->package.n,
                       c->package.n ? c->package.p : "", c->package.n ? "/" : "", (int)c->name.n,
                       c->name.p);
    *fn = (struct function){.refs = 1,
                            .revision = the->derived ? the->derived : 7,
                            .stored = 7,
                            .published = c->number,
                            .state = the->state,
                            .hold_ms = the->hold_ms,
                            .timeout_ms = 60000,
                            .memory_mb = 256,
                            .store = the->store,
                            .concurrency = 1};
    fn->account = nr_strdup(c->account->name);
    fn->package = nr_strndup(c->package.n ? c->package.p : "", c->package.n);
    fn->reason = nr_strdup(the->reason ? the->reason : "");
    fn->name = nr_strndup(c->name.p, c->name.n);
    fn->path = nr_strdup(path);
    fn->version = nr_strdup("0.0.1");
    fn->kind = nr_strdup("python:3");
    fn->binding = nr_strdup("");
    fn->limits = nr_strdup("{\"timeout\":60000,\"memory\":256,\"logs\":10,\"concurrency\":1}");
    return fn;
}

static void give_function(struct fn_call *c)
{
    struct function *fn = fake_function(c);

    if (the->shape == NULL || the->shape(fn, &c->err))
        c->fn = fn;
    else
        function_unref(fn);
}

static void answer_resolve(struct nr_mail *m)
{
    struct late *l = nr_container_of(m, struct late, mail);

    if (the->unknown || nr_str_starts(l->call->name, "missing"))
        nr_err_set(&l->call->err, NR_ENOENT, "The requested resource does not exist.");
    else if (l->call->op == FN_TRIGGER_RESOLVE)
        l->call->trigger = trigger_ref(the->trigger);
    else if (l->call->op == FN_RESOLVE)
        give_function(l->call);
    else if (the->split.n == 0)
        nr_err_set(&l->call->err, NR_ENOENT, "The function has no alias.");
    else
        l->call->split = the->split;
    struct fn_call *call = l->call;
    free(l);
    call->done(call);
}

/* Turned round, so that neither is the other. */
int fnmanager_seal(struct fnmanager *m, struct nr_str text, struct nr_str about, char **ret,
                   size_t *ret_bytes, struct nr_err *err)
{
    *ret = nr_alloc(text.n + 1);
    *ret_bytes = text.n + 1;
    (*ret)[0] = FNMANAGER_SEAL_BEGINS;
    for (size_t i = 0; i < text.n; i++)
        (*ret)[i + 1] = (char)~text.p[i];
    return 0;
}

int fnmanager_unseal(struct fnmanager *m, struct nr_str sealed, struct nr_str about, char **ret,
                     size_t *ret_bytes, struct nr_err *err)
{
    *ret = nr_alloc(sealed.n);
    *ret_bytes = sealed.n - 1;
    for (size_t i = 1; i < sealed.n; i++)
        (*ret)[i - 1] = (char)~sealed.p[i];
    return 0;
}

void fnmanager_post(struct fnmanager *m, struct fn_call *c)
{
    struct late *l = nr_alloc(sizeof(*l));

    (void)m;
    assert_true(c->op == FN_RESOLVE || c->op == FN_RESOLVE_ALIAS || c->op == FN_TRIGGER_RESOLVE);
    *(c->op == FN_RESOLVE         ? &the->asked
      : c->op == FN_RESOLVE_ALIAS ? &the->alias_asked
                                  : &the->triggers_asked) += 1;
    l->call = c;
    l->mail.run = answer_resolve;
    nr_mailbox_post(&the->loop, &l->mail);
}

/* ---- the invoker ---- */

static void set_outcome(struct activation *a)
{
    if (the->answer)
        the->answer(the, a);
    a->outcome.status = the->status;
    a->outcome.result = nr_arena_copy(&a->arena, nr_str_of(the->result));
    a->outcome.is_array = the->result[0] == '[';
}

static void run_it(struct activation *a)
{
    a->started_us = nr_mono_us();
    a->start = START_WARM;
    if (the->run == FAKE_HOLD) {
        a->i = I_AWAIT;
        the->held[the->held_count++] = a;
        return;
    }
    fakes_finish(the, a);
}

void invoker_run(struct invoker *v, struct activation *a)
{
    (void)v;
    the->runs++;
    a->i = I_BORROW;
    if (the->run == FAKE_QUEUED || the->run == FAKE_ENTER) {
        the->held[the->held_count++] = a;
        return;
    }
    fakes_claim(the, a);
}

void fakes_claim(struct fakes *f, struct activation *a)
{
    (void)f;
    a->i = I_CLAIM;
    if (a->claim == NULL || a->claim(a) == 0)
        run_it(a);
}

/* What cannot be claimed is given back with its error, as the real one does. */
void invoker_claimed(struct activation *a, int status)
{
    if (status == 0) {
        run_it(a);
        return;
    }
    the->unclaimed++;
    activation_fail(a, status, "The call was not run.");
    a->i = I_AWAIT;
    a->on_step(a);
    a->i = I_END;
    a->on_step(a);
}

void fakes_answer(struct fakes *f, struct activation *a)
{
    (void)f;
    a->i = I_AWAIT;
    set_outcome(a);
    a->on_step(a);
}

void fakes_end(struct activation *a)
{
    nr_buf_adds(&a->logs, "2026-01-02T03:04:05.123456789Z stdout: hi\n");
    a->i = I_END;
    a->on_step(a);
}

void fakes_finish(struct fakes *f, struct activation *a)
{
    fakes_answer(f, a);
    fakes_end(a);
}

void invoker_cut(struct activation *a, int err)
{
    the->cuts++;
    activation_fail(a, err, "cut");
    a->i = I_END;
    a->on_step(a);
}

void invoker_forget(struct invoker *v, uint64_t revision)
{
    (void)v;
    assert_true(revision == 7 || the->derived || the->shape);
    the->forgotten++;
}

/* The fleet is that one invoker. */
void invokers_run(struct invokers *f, struct activation *a)
{
    (void)f;
    invoker_run(NULL, a);
}

void invokers_claimed(struct activation *a, int status)
{
    invoker_claimed(a, status);
}

void invokers_cut(struct activation *a, int err)
{
    invoker_cut(a, err);
}

bool invokers_serve(const struct invokers *f, uint64_t revision)
{
    (void)f;
    (void)revision;
    return the->serves;
}

void invokers_forget(struct invokers *f, uint64_t revision)
{
    (void)f;
    invoker_forget(NULL, revision);
}

/* ---- the disk ---- */

static ssize_t no_room(int fd, const void *bytes, size_t n, off_t at)
{
    (void)fd;
    (void)bytes;
    (void)n;
    (void)at;
    errno = ENOSPC;
    return -1;
}

typedef ssize_t (*pwrite_call)(int fd, const void *bytes, size_t n, off_t at);

/* NULL sets the real one again. */
static void set_pwrite(pwrite_call with)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    sqlite3_syscall_ptr call = NULL;

    if (with)
        memcpy(&call, &with, sizeof(call));
    (void)vfs->xSetSystemCall(vfs, "pwrite", call);
    (void)vfs->xSetSystemCall(vfs, "pwrite64", call);
}

void fakes_disk_full(bool full)
{
    set_pwrite(full ? no_room : NULL);
}

static pthread_mutex_t disk = PTHREAD_MUTEX_INITIALIZER;

static ssize_t write_when_it_moves(int fd, const void *bytes, size_t n, off_t at)
{
    nr_check(pthread_mutex_lock(&disk) == 0);
    nr_check(pthread_mutex_unlock(&disk) == 0);
    return pwrite(fd, bytes, n, at);
}

void fakes_disk_stands(bool stands)
{
    nr_check((stands ? pthread_mutex_lock : pthread_mutex_unlock)(&disk) == 0);
    if (stands)
        set_pwrite(write_when_it_moves);
}

/* ---- the fixture ---- */

void fakes_open(struct fakes *f, bool keep)
{
    char dir[64];
    struct nr_err err = {0};

    memcpy(dir, f->dir, sizeof(dir));
    memset(f, 0, sizeof(*f));
    memcpy(f->dir, dir, sizeof(dir));
    the = f;
    fakes_disk_full(false);
    f->result = "{\"ok\":true}";
    if (!keep) {
        (void)snprintf(f->dir, sizeof(f->dir), "/tmp/narae-controller-XXXXXX");
        assert_non_null(mkdtemp(f->dir));
    }
    assert_int_equal(nr_loop_init(&f->loop, &err), 0);
    f->account = nr_alloc(sizeof(*f->account));
    *f->account = (struct account){.refs = 1,
                                   .name = nr_strdup("guest"),
                                   .uuid = nr_strdup("u"),
                                   .invocations_per_minute = -1,
                                   .fires_per_minute = -1,
                                   .concurrent_invocations = 1000};
    const struct controller_config c = {.loop = &f->loop,
                                        .data_dir = f->dir,
                                        .number = 3,
                                        .retention_s = 86400,
                                        .queue_max = 1000,
                                        .queue_max_bytes = 256 << 20};
    if (controller_open(&c, &f->controller, &err) != 0)
        fail_msg("controller_open: %s", err.text);
    controller_start(f->controller);
}

void fakes_on_idle(void *arg)
{
    *(int *)arg = 1;
}

void fakes_close(struct fakes *f, bool keep)
{
    int idle = 0;

    controller_drain(f->controller, 1000, fakes_on_idle, &idle);
    fakes_until(f, &idle, 1);
    nr_clock_fake(f->stall_us, 0);
    controller_close(f->controller);
    nr_clock_fake(0, 0);
    trigger_unref(f->trigger);
    account_unref(f->account);
    assert_int_equal(nr_loop_fini(&f->loop), 0);
    if (!keep)
        assert_int_equal(nr_dir_remove(f->dir, NULL), 0);
}

static void on_over(struct nr_deadline *d)
{
    d->fire = NULL;
}

void fakes_until(struct fakes *f, const int *counter, int value)
{
    struct nr_deadline over = {.fire = on_over};

    nr_deadline_set(&f->loop, &over, 5000);
    while (*counter < value && over.fire)
        (void)uv_run(&f->loop.uv, UV_RUN_ONCE);
    nr_deadline_cancel(&over);
    assert_true(*counter >= value);
}

void fakes_turns(struct fakes *f, int turns)
{
    while (turns-- > 0)
        (void)uv_run(&f->loop.uv, UV_RUN_NOWAIT);
}

static void on_reply(struct activation *a)
{
    struct fakes *f = a->owner;

    f->replies++;
    f->last_status = a->error.code ? nr_err_status(a->error.code) : a->reply_status;
    f->last_error = a->error.code;
    memcpy(f->last_id, a->id, sizeof(f->last_id));
    f->last_version = a->fn && a->error.code == 0 ? a->fn->published : -1;
    (void)snprintf(f->last_body, sizeof(f->last_body), "%.*s", (int)a->reply.n,
                   a->reply.p ? a->reply.p : "");
    (void)snprintf(f->last_head, sizeof(f->last_head), "%.*s", (int)a->reply_head.n,
                   a->reply_head.p ? a->reply_head.p : "");
    (void)snprintf(f->last_error_text, sizeof(f->last_error_text), "%.255s", a->error.text);
}

static struct activation *call_of(struct fakes *f, const char *name, bool blocking,
                                  uint32_t wait_ms)
{
    struct activation *a = activation_make();

    assert_non_null(a);
    a->account = account_ref(f->account);
    a->name = nr_arena_copy(&a->arena, nr_str_of(name));
    a->transaction = nr_arena_copy(&a->arena, NR_STR("t1"));
    a->input = NR_STR("{\"n\":1}");
    a->blocking = blocking;
    a->wait_ms = wait_ms;
    a->on_reply = on_reply;
    a->owner = f;
    return a;
}

struct activation *fakes_call(struct fakes *f, const char *name, bool blocking, uint32_t wait_ms)
{
    struct activation *a = call_of(f, name, blocking, wait_ms);

    controller_invoke(f->controller, a);
    return a;
}

struct activation *fakes_call_target(struct fakes *f, const char *name, int64_t number,
                                     const char *alias, const char *id)
{
    struct activation *a = call_of(f, name, true, 60000);

    a->number = number;
    if (alias)
        a->alias = nr_arena_copy(&a->arena, nr_str_of(alias));
    if (id)
        (void)snprintf(a->id, sizeof(a->id), "%s", id);
    controller_invoke(f->controller, a);
    return a;
}

struct activation *fakes_call_input(struct fakes *f, const char *name, struct nr_str input,
                                    uint32_t wait_ms)
{
    struct activation *a = call_of(f, name, true, wait_ms);

    a->input = input;
    controller_invoke(f->controller, a);
    return a;
}

struct activation *fakes_call_package(struct fakes *f, const char *space, const char *package,
                                      const char *name)
{
    struct activation *a = call_of(f, name, true, 60000);

    a->package = nr_arena_copy(&a->arena, nr_str_of(package));
    if (space)
        a->space = nr_arena_copy(&a->arena, nr_str_of(space));
    controller_invoke(f->controller, a);
    return a;
}

void fakes_fire(struct fakes *f, const char *name, const char *payload, const char *headers)
{
    struct activation *a = call_of(f, name, false, 0);

    a->input = nr_str_of(payload);
    controller_fire(f->controller, a, nr_str_of(headers));
}

static void on_asked(struct activation_query *q)
{
    *(int *)q->owner = 1;
}

char *fakes_ask(struct fakes *f, enum query_op op, const char *id, bool count, int *ret_err)
{
    int done = 0;
    struct activation_query q = {.op = op,
                                 .account = f->account,
                                 .id = nr_str_of(id),
                                 .upto_ms = INT64_MAX,
                                 .count = count,
                                 .done = on_asked,
                                 .owner = &done};
    char *text = NULL;

    controller_ask(f->controller, &q);
    fakes_until(f, &done, 1);
    *ret_err = q.err.code;
    if (q.err.code == 0)
        text = nr_strndup(q.reply.p, q.reply.n);
    nr_buf_fini(&q.reply);
    return text;
}
