/* Once mode: the executable is started for every call. Its parameters are argument 1 when they fit, and its stdin; the
 * last line of its stdout that is not blank is the result, the lines before it are log, as is stderr.
 *
 * Which line is the last is known only at the end, so the newest line waits: the next one makes it log. It is kept up
 * to the result limit and counted beyond it. The call ends when the process ends, whatever it left running; that is
 * killed. A process that a signal ended has no result.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtimes/agent/init.h"
#include "runtimes/agent/slot.h"
#include "runtimes/agent/text.h"
#include "runtimes/agent/worker.h"

#define ARGUMENT_MAX_BYTES 131071

struct once_call {
    char *input; /* the value; argument 1 and stdin */
    size_t length;
    size_t sent;
    struct text line; /* the newest line that is not blank */
    struct text next; /* the line behind it, as far as it has come */
    bool line_complete;
    unsigned blank_lines; /* between both */
};

static void once_init(struct agent *a)
{
    char path[512];
    snprintf(path, sizeof path, "%s/exec", a->action_folder);
    if (chmod(path, 0755) < 0 || access(path, X_OK) < 0)
        init_failed(a, "The action failed to generate or locate a binary. See logs for details.");
    else
        init_done(a, NULL);
}

static void log_text(struct worker *w, const struct text *t)
{
    logs_add(&w->logs, LOG_STDOUT, t->bytes ? t->bytes : "", t->stored);
    logs_add(&w->logs, LOG_STDOUT, "\n", 1);
}

/* A line has ended. */
static void take_line(struct worker *w, struct once_call *c)
{
    if (text_is_blank(&c->next)) {
        c->blank_lines++;
        text_clear(&c->next);
        return;
    }
    if (c->line.total > 0)
        log_text(w, &c->line);
    for (; c->blank_lines > 0; c->blank_lines--)
        logs_add(&w->logs, LOG_STDOUT, "\n", 1);
    text_clear(&c->line);
    c->line = c->next;
    c->next = (struct text){.limit = c->line.limit};
}

static void take_stdout(struct worker *w, const char *bytes, size_t length)
{
    struct once_call *c = w->slot->once;
    while (length > 0) {
        const char *end = memchr(bytes, '\n', length);
        size_t n = end ? (size_t)(end - bytes) : length;
        text_add(&c->next, bytes, n);
        if (!end)
            return;
        take_line(w, c);
        bytes += n + 1;
        length -= n + 1;
    }
}

static void input_ready(struct watch *watch, uint32_t events)
{
    struct worker *w = container_of(watch, struct worker, requests);
    struct once_call *c = w->slot->once;
    (void)events;
    ssize_t n =
        c->sent < c->length ? write(watch->fd, c->input + c->sent, c->length - c->sent) : -1;
    if (n > 0)
        c->sent += (size_t)n;
    if (c->sent < c->length && (n > 0 || errno == EAGAIN))
        return;
    int fd = watch->fd;
    loop_drop(&w->agent->loop, watch);
    close(fd);
}

static int start(struct slot *s, char *const *env)
{
    struct agent *a = s->agent;
    struct once_call *c = s->once;
    char path[512];
    char *argv[] = {path, c->length <= ARGUMENT_MAX_BYTES ? c->input : NULL, NULL};
    int in[2];
    snprintf(path, sizeof path, "%s/exec", a->action_folder);
    s->worker = worker_make(a, s);
    if (!s->worker || pipe2(in, O_CLOEXEC) < 0)
        return -ENOMEM;
    struct worker *w = s->worker;
    struct spawn sp = {
        .argv = argv,
        .env = env,
        .folder = a->action_folder,
        .fds = {in[0], -1, -1, -1, -1, -1},
    };
    w->stdout_hook = take_stdout;
    logs_begin(&w->logs, a->setup.log_max_bytes);
    fcntl(in[1], F_SETFL, O_NONBLOCK);
    loop_watch(&a->loop, &w->requests, in[1], EPOLLOUT, input_ready);
    int status = worker_spawn(w, &sp);
    close(in[0]);
    return status;
}

static void forget_call(struct slot *s)
{
    struct once_call *c = s->once;
    if (!c)
        return;
    free(c->input);
    text_clear(&c->line);
    text_clear(&c->next);
    free(c);
    s->once = NULL;
}

static void once_run(struct slot *s, const struct nr_frame *head, const char *payload)
{
    struct agent *a = s->agent;
    struct env env = {0};
    size_t length = head->value_at <= head->length ? head->length - head->value_at : 0;
    struct once_call *c = calloc(1, sizeof *c);
    while (length > 0 && strchr(" \t\r\n", payload[head->value_at + length - 1]))
        length--;
    if (length > 0)
        length--; /* the value is the last member: this is the end of the object around it */
    s->once = c;
    int status = c && length > 0 ? 0 : -EINVAL;
    if (status == 0) {
        c->line.limit = c->next.limit = a->setup.result_max_bytes;
        c->input = strndup(payload + head->value_at, length);
        c->length = c->input ? strlen(c->input) : 0;
        status = env_make(&env, json_object_get(a->setup.value, "env"));
        env_add_call(&env, head, payload);
    }
    if (status == 0)
        status = start(s, env.entries);
    env_free(&env);
    if (status < 0) {
        slot_fail(s, "Cannot start action. Check logs for details.");
        slot_end(s, s->call, s->worker, NR_VERDICT_TAINTED, 0);
    }
}

static enum nr_frame_verdict conclude(struct slot *s, struct worker *w, int status, bool oom)
{
    struct once_call *c = s->once;
    if (c->next.total > 0)
        take_line(w, c);
    bool good = text_is_composite(&c->line) && !WIFSIGNALED(status);
    if (good) {
        slot_answer(s, c->line.bytes, c->line.total, false);
        return NR_VERDICT_OK;
    }
    if (c->line.total > 0)
        log_text(w, &c->line);
    if (oom)
        return NR_VERDICT_OOM;
    if (WIFSIGNALED(status))
        return NR_VERDICT_EXITED;
    slot_fail(s, "The action did not return a dictionary or array.");
    return NR_VERDICT_TAINTED;
}

static void once_ended(struct worker *w, int status, bool oom)
{
    struct slot *s = w->slot;
    if (s->once && s->state == SLOT_OPEN) {
        enum nr_frame_verdict verdict = conclude(s, w, status, oom);
        s->worker = NULL;
        forget_call(s);
        slot_end(s, s->call, w, verdict, verdict == NR_VERDICT_OK ? 0 : status);
    } else {
        s->worker = NULL;
        forget_call(s);
    }
    worker_free(w);
}

const struct mode mode_once = {
    .name = "once",
    .reads_slots = true,
    .init = once_init,
    .run = once_run,
    .ended = once_ended,
};
