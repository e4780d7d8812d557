/* read a frame, run the module, answer; at the end of the connection the agent is told, which dials again.
 *
 * A call that logged nothing is ended here, in the same write as its answer: runtimes/agent/control.h has the argument why that can
 * be known. Else the agent is told and adds the log. A module that trapped ends its process: to the developer that is
 * a program that crashed, and the agent says so in its place, with its log.
 */
#include "serve.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "connection.h"
#include "control.h"

#define EXIT_TRAPPED 134 /* as a shell tells an abort */
#define NOT_COMPOSITE "The action did not return a dictionary or array."

struct slot {
    struct service *service;
    struct connection connection;
    struct output output;
    struct wire_line *line;
    unsigned index;
    int fd, control;
    uint64_t call;
    uint32_t activity; /* of the agent, when the call began */
};

static bool printed_nothing(const struct slot *s)
{
    int out = 0, err = 0;
    if (ioctl(1, FIONREAD, &out) < 0 || ioctl(2, FIONREAD, &err) < 0 || out || err)
        return false;
    return s->activity % 2 == 0 &&
           __atomic_load_n(&s->line->activity, __ATOMIC_SEQ_CST) == s->activity;
}

/* Sends ANSWER; total: its true length where only `length` bytes are there. */
static void answer(struct slot *s, const char *bytes, size_t length, uint64_t total, bool failed)
{
    bool cut = total > length;
    struct wire_end fine = {.verdict = VERDICT_OK};
    struct wire_frame end = {.length = sizeof fine, .type = FRAME_END, .call = s->call};
    struct wire_frame head = {
        .length = (uint32_t)(length + (cut ? sizeof total : 0)),
        .type = FRAME_ANSWER,
        .flags = (uint8_t)((failed ? FLAG_FAILED : 0) | (cut ? FLAG_TRUNCATED : 0)),
        .call = s->call};
    struct iovec parts[5] = {{&head, sizeof head},
                             {&total, cut ? sizeof total : 0},
                             {(void *)(uintptr_t)bytes, length},
                             {&end, sizeof end},
                             {&fine, sizeof fine}};
    bool alone = !failed && printed_nothing(s);
    __atomic_store_n(&s->line->answering, 1, __ATOMIC_SEQ_CST);
    if (alone) /* before the write: the host may hang up as soon as it has END */
        __atomic_add_fetch(&s->line->ended, 1, __ATOMIC_SEQ_CST);
    connection_write(s->fd, parts, alone ? 5 : 3);
    __atomic_store_n(&s->line->answering, 0, __ATOMIC_SEQ_CST);
    if (!alone)
        control_say(s->control,
                    (struct wire_control){.type = CONTROL_SAY_DONE,
                                          .slot = s->index,
                                          .call = s->call,
                                          .value = failed ? VERDICT_TAINTED : VERDICT_OK},
                    NULL);
}

static void fail(struct slot *s, const char *sentence)
{
    json_t *o = json_pack("{s:s}", "error", sentence);
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    const char *said = text ? text : "{\"error\":\"" NOT_COMPOSITE "\"}";
    answer(s, said, strlen(said), strlen(said), true);
    free(text);
    json_decref(o);
}

static void run(struct slot *s, const struct wire_frame *head, const char *payload)
{
    const char *value = payload + head->value_at;
    size_t length = head->length - head->value_at;
    char why[WHY_BYTES], sentence[WHY_BYTES + 64];
    struct output *o = &s->output;
    while (length > 0 && strchr(" \t\r\n", value[length - 1]))
        length--;
    length -= length > 0; /* the brace around all */
    s->call = head->call;
    __atomic_store_n(&s->line->call, head->call, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&s->line->begun, 1, __ATOMIC_SEQ_CST);
    s->activity = __atomic_load_n(&s->line->activity, __ATOMIC_SEQ_CST);
    output_reset(o);
    setup_begin_call(&s->service->setup, payload, head->value_at);
    enum call_end end = call_run(&s->service->module, &s->service->setup, o, value, length, why);
    setup_end_call(&s->service->setup);
    if (end == CALL_TRAPPED) {
        output_let_go(o);
        _exit(EXIT_TRAPPED);
    } else if (end == CALL_REFUSED) {
        snprintf(sentence, sizeof sentence, "The module could not be started: %s", why);
        fail(s, sentence);
    } else if (o->total > 0) {
        answer(s, o->line, o->stored, o->total, false);
    } else {
        fail(s, NOT_COMPOSITE);
    }
}

static void refuse_second_init(struct slot *s, uint64_t call)
{
    char text[] = "{\"error\":\"Cannot initialize the action more than once.\"}";
    struct wire_end fine = {.verdict = VERDICT_OK};
    struct wire_frame head = {
        .length = sizeof text - 1, .type = FRAME_INIT_DONE, .flags = FLAG_FAILED, .call = call};
    struct wire_frame end = {.length = sizeof fine, .type = FRAME_END, .call = call};
    struct iovec parts[4] = {
        {&head, sizeof head}, {text, sizeof text - 1}, {&end, sizeof end}, {&fine, sizeof fine}};
    connection_write(s->fd, parts, 4);
}

static int redialled(int control)
{
    int fds[CONTROL_FDS];
    while (control_hear(control, fds).type != CONTROL_HEAR_REDIALLED) {
    }
    return fds[0];
}

_Noreturn void serve_slot(struct service *service, unsigned index, int fd, int control)
{
    struct slot s = {.service = service,
                     .line = service->page + index,
                     .index = index,
                     .fd = fd,
                     .control = control,
                     .output = {.fd = 1, .limit = service->setup.result_max_bytes}};
    for (;;) {
        struct wire_frame head;
        const char *payload;
        if (!connection_read(&s.connection, s.fd, &head, &payload)) {
            close(s.fd);
            control_say(control, (struct wire_control){.type = CONTROL_SAY_LOST, .slot = index},
                        NULL);
            s.fd = redialled(control);
        } else if (head.type == FRAME_RUN) {
            run(&s, &head, payload);
        } else {
            refuse_second_init(&s, head.call);
        }
    }
}
