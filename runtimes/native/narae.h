/* Narae: fast functions in C. One header, no library; compile with any C11 compiler:  cc -O2 -o exec function.c
 *
 *     #include "narae.h"
 *
 *     static int hello(struct narae_call *call, void *context)
 *     {
 *         (void)context;
 *         return narae_reply(call, call->value, call->length); // the parameters come back
 *     }
 *
 *     int main(void)
 *     {
 *         return narae_serve(hello, NULL);
 *     }
 *
 * Deploy the executable `exec` as a native function with the annotation narae.exec = "direct". The process is started
 * once, narae_serve() answers calls for ever on a connection of its own, and nothing stands between the platform and
 * the function. What the function prints on stdout and stderr is its log.
 *
 * The function gets its parameters as one JSON text and answers one JSON text, an object or an array. With
 * limits.concurrency above 1 narae_serve() forks one process per concurrent call, after whatever main() prepared
 * before; each serves one call at a time. Environment variables: the function's own, as set at its deployment; what
 * belongs to one call is read with narae_meta(). A function that never waits can have one process for all its
 * concurrent calls instead, which serves them in turn: narae_serve_in_turn().
 *
 * Everything here is static: include it in one source file. C++ compiles it too.
 */
#ifndef NARAE_H
#define NARAE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One call. */
struct narae_call {
    const char
        *value;    /* the parameters: JSON, not ended with NUL; lent until the function returns */
    size_t length; /* bytes of value */
    const char *meta; /* the JSON text before the value; narae_meta() reads it */
    size_t meta_length;
    /* private */
    const char *reply;
    size_t reply_length;
    int failed;
    char sentence[512];
};

/* The function. Returns what narae_reply() or narae_fail() returned; any other value is an error of the function. */
typedef int (*narae_fn)(struct narae_call *call, void *context);

/* Answers with this JSON text. It must stay as it is until the next call of the function, or the end of the process.
 * Returns 0. */
static inline int narae_reply(struct narae_call *call, const char *json, size_t length);

/* Answers that the call failed; the sentence goes to the developer and the process serves no further call. Returns 1. */
static inline int narae_fail(struct narae_call *call, const char *sentence);

/* Copies what is known of the call besides its parameters: "activation_id", "transaction_id", "namespace",
 * "action_name", "action_version", "deadline" (milliseconds since 1970). Returns `to`, or NULL when there is no such
 * text or it does not fit. Escapes stay as they are in JSON. */
static inline const char *narae_meta(const struct narae_call *call, const char *name, char *to,
                                     size_t size);

/* Serves calls until the platform ends the process. Returns 1 when the process was not started by the platform, or
 * it went away. context is handed to fn. */
static inline int narae_serve(narae_fn fn, void *context);

/* The same with one process, whatever limits.concurrency is: it takes the concurrent calls of its container one after
 * the other. For functions that compute for a moment and never wait: their calls then cost no change between processes,
 * and share one memory. A call that takes long keeps those behind it waiting, whose time limit runs, and one that is
 * killed takes them with it. */
static inline int narae_serve_in_turn(narae_fn fn, void *context);

/* ------------------------------------------------------------------ how: nothing below is for the function's author
 *
 * Descriptor 3 is a channel to the agent that started the process, 5 a page shared with it. The agent hands over the
 * slot's connection; frames are read from and written to it here. A call that printed nothing is ended here too, in
 * the same write as its answer; else the agent is told, who adds the log. Why "printed nothing" can be known here: the
 * agent makes the slot's `activity` odd before it reads our output and even after; so when both pipes are empty, and
 * then activity is what it was when the call began, and even, the agent has read nothing of this call.
 */
#define NARAE_CONTROL_FD 3
#define NARAE_PAGE_FD 5
#define NARAE_READ_BYTES (64 << 10)
#define NARAE_SLOTS_MAX 64

enum {
    NARAE_INIT_DONE = 2,
    NARAE_ANSWER = 3,
    NARAE_END = 5,
    NARAE_INIT = 16,
    NARAE_RUN = 17,
    NARAE_FAILED = 2,
    NARAE_TRUNCATED = 4,
    NARAE_OK = 0,
    NARAE_TAINTED = 3,
    NARAE_TO_INIT = 'I',
    NARAE_TO_SERVE = 'S',
    NARAE_TO_REDIALLED = 'R',
    NARAE_LOADED = 'i',
    NARAE_FORKED = 'f',
    NARAE_DONE = 'd',
    NARAE_LOST = 'l',
    NARAE_RUN_MAX_BYTES = 8192 + (4 << 20)
};

struct narae_frame {
    uint32_t length;
    uint8_t type;
    uint8_t flags;
    uint16_t value_at;
    uint64_t call;
};

struct narae_end {
    uint8_t verdict;
    uint8_t unused[3];
    int32_t exit_status;
};

struct narae_control {
    uint32_t type;
    uint32_t slot;
    uint64_t call;
    int32_t value;
    uint32_t length;
};

struct narae_line { /* one slot's line of the shared page */
    uint32_t activity;
    uint32_t answering;
    uint64_t call;
    uint32_t begun;
    uint32_t ended;
    uint8_t unused[40];
};

struct narae_slot {
    int fd;
    int control;
    int streams[2]; /* our output pipes, whatever the function does with 1 and 2 */
    unsigned index;
    size_t result_max_bytes;
    struct narae_line *line;
    const char *
        here; /* 1, and 0 in a child that the function forks; NULL where the kernel wipes no page at a fork */
    char *bytes; /* of the frame being read */
    size_t capacity;
};

static inline int narae_reply(struct narae_call *call, const char *json, size_t length)
{
    call->reply = json;
    call->reply_length = length;
    return 0;
}

static inline int narae_fail(struct narae_call *call, const char *sentence)
{
    size_t n = 0;
    for (; *sentence && n + 2 < sizeof call->sentence; sentence++) {
        if (*sentence == '"' || *sentence == '\\')
            call->sentence[n++] = '\\';
        call->sentence[n++] = (unsigned char)*sentence < ' ' ? ' ' : *sentence;
    }
    while (*sentence && n > 0 && ((unsigned char)call->sentence[n - 1] & 0xC0) == 0x80)
        n--; /* it was cut: not inside a character */
    if (*sentence && n > 0 && (unsigned char)call->sentence[n - 1] >= 0xC0)
        n--;
    call->sentence[n] = 0;
    call->failed = 1;
    return 1;
}

static inline const char *narae_meta(const struct narae_call *call, const char *name, char *to,
                                     size_t size)
{
    char key[64];
    int n = snprintf(key, sizeof key, "\"%s\":", name);
    if (n < 0 || (size_t)n >= sizeof key)
        return NULL;
    const char *end = call->meta + call->meta_length;
    const char *p = (const char *)memmem(call->meta, call->meta_length, key, (size_t)n);
    if (!p)
        return NULL;
    for (p += n; p < end && *p == ' '; p++) {
    }
    if (p == end || *p++ != '"')
        return NULL;
    const char *close = p;
    while (close < end && *close != '"')
        close += *close == '\\' ? 2 : 1;
    if (close >= end || (size_t)(close - p) >= size)
        return NULL;
    memcpy(to, p, (size_t)(close - p));
    to[close - p] = 0;
    return to;
}

/* 0, or -1 when the host is gone. */
static inline int narae_write(int fd, struct iovec *iov, size_t count)
{
    size_t at = 0;
    while (at < count) {
        struct msghdr m;
        memset(&m, 0, sizeof m);
        m.msg_iov = iov + at;
        m.msg_iovlen = count - at;
        ssize_t n = sendmsg(fd, &m, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        for (; at < count && (size_t)n >= iov[at].iov_len; at++)
            n -= (ssize_t)iov[at].iov_len;
        if (at < count) {
            iov[at].iov_base = (char *)iov[at].iov_base + n;
            iov[at].iov_len -= (size_t)n;
        }
    }
    return 0;
}

static inline void narae_tell(int control, uint32_t type, unsigned slot, uint64_t call,
                              int32_t value)
{
    struct narae_control c = {type, slot, call, value, 0};
    if (send(control, &c, sizeof c, MSG_NOSIGNAL) != (ssize_t)sizeof c)
        _exit(1); /* the agent is gone, and with it the container */
}

/* Waits for a message with up to four descriptors. */
static inline struct narae_control narae_hear(int control, int fds[4])
{
    struct narae_control c;
    union {
        char bytes[CMSG_SPACE(4 * sizeof(int))];
        struct cmsghdr align;
    } room;
    struct iovec iov = {&c, sizeof c};
    struct msghdr m;
    ssize_t n;
    memset(&m, 0, sizeof m);
    m.msg_iov = &iov;
    m.msg_iovlen = 1;
    m.msg_control = room.bytes;
    m.msg_controllen = sizeof room.bytes;
    do
        n = recvmsg(control, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < (ssize_t)sizeof c)
        _exit(1);
    for (int i = 0; i < 4; i++)
        fds[i] = -1;
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    if (h && h->cmsg_type == SCM_RIGHTS)
        memcpy(fds, CMSG_DATA(h), h->cmsg_len - CMSG_LEN(0));
    return c;
}

/* 1: a whole frame lies in s->bytes; 0: the connection is at its end. */
static inline int narae_read(struct narae_slot *s, struct narae_frame *head)
{
    size_t filled = 0, need = sizeof *head;
    while (filled < need) {
        ssize_t n = read(s->fd, s->bytes + filled, s->capacity - filled);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return 0;
        filled += (size_t)n;
        if (filled < sizeof *head)
            continue;
        memcpy(head, s->bytes, sizeof *head);
        if (head->length > NARAE_RUN_MAX_BYTES || head->value_at > head->length)
            return 0;
        need = sizeof *head + head->length;
        if (need > s->capacity) {
            char *grown = (char *)realloc(s->bytes, need);
            if (!grown)
                _exit(1);
            s->bytes = grown;
            s->capacity = need;
        }
    }
    return 1;
}

static inline int narae_printed_nothing(const struct narae_slot *s, uint32_t activity)
{
    int out = 0, err = 0;
    if (ioctl(s->streams[0], FIONREAD, &out) < 0 || ioctl(s->streams[1], FIONREAD, &err) < 0 ||
        out || err)
        return 0;
    return activity % 2 == 0 && __atomic_load_n(&s->line->activity, __ATOMIC_SEQ_CST) == activity;
}

static inline void narae_answer(struct narae_slot *s, uint64_t of, const char *bytes, size_t length,
                                int failed, uint32_t activity)
{
    uint64_t true_length = length;
    struct narae_end fine = {NARAE_OK, {0, 0, 0}, 0};
    struct narae_frame end = {sizeof fine, NARAE_END, 0, 0, of};
    struct narae_frame head = {(uint32_t)length, NARAE_ANSWER, (uint8_t)(failed ? NARAE_FAILED : 0),
                               0, of};
    struct iovec iov[5];
    size_t n = 0;
    iov[n].iov_base = &head;
    iov[n++].iov_len = sizeof head;
    if (length > s->result_max_bytes) {
        head.flags |= NARAE_TRUNCATED;
        head.length = (uint32_t)(sizeof true_length + s->result_max_bytes);
        length = s->result_max_bytes;
        iov[n].iov_base = &true_length;
        iov[n++].iov_len = sizeof true_length;
    }
    iov[n].iov_base = (void *)(uintptr_t)bytes;
    iov[n++].iov_len = length;
    fflush(stdout);
    int alone = !failed && narae_printed_nothing(s, activity);
    if (alone) {
        iov[n].iov_base = &end;
        iov[n++].iov_len = sizeof end;
        iov[n].iov_base = &fine;
        iov[n++].iov_len = sizeof fine;
    }
    __atomic_store_n(&s->line->answering, 1, __ATOMIC_SEQ_CST);
    if (alone) /* before the write: the host may hang up as soon as it has END, and must not seem to cut a call */
        __atomic_add_fetch(&s->line->ended, 1, __ATOMIC_SEQ_CST);
    narae_write(s->fd, iov, n); /* a host that is gone shows at the next read */
    __atomic_store_n(&s->line->answering, 0, __ATOMIC_SEQ_CST);
    if (!alone)
        narae_tell(s->control, NARAE_DONE, s->index, of, failed ? NARAE_TAINTED : NARAE_OK);
}

static inline void narae_refuse(struct narae_slot *s, uint64_t of)
{
    char text[] = "{\"error\":\"Cannot initialize the action more than once.\"}";
    struct narae_end fine = {NARAE_OK, {0, 0, 0}, 0};
    struct narae_frame head = {sizeof text - 1, NARAE_INIT_DONE, NARAE_FAILED, 0, of};
    struct narae_frame end = {sizeof fine, NARAE_END, 0, 0, of};
    struct iovec iov[4] = {
        {&head, sizeof head}, {text, sizeof text - 1}, {&end, sizeof end}, {&fine, sizeof fine}};
    narae_write(s->fd, iov, 4);
}

/* A page that tells a child from its parent without two system calls in every call. */
static inline const char *narae_own_page(void)
{
#ifdef MADV_WIPEONFORK
    char *page =
        (char *)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == (char *)MAP_FAILED)
        return NULL;
    if (madvise(page, 4096, MADV_WIPEONFORK) == 0) {
        *page = 1;
        return page;
    }
    munmap(page, 4096);
#endif
    return NULL;
}

static inline void narae_answer_failure(struct narae_slot *s, uint64_t of, struct narae_call *call,
                                        uint32_t activity)
{
    char failure[sizeof call->sentence + 32];
    if (!call->failed)
        narae_fail(call, "The action did not return a dictionary or array.");
    int n = snprintf(failure, sizeof failure, "{\"error\":\"%s\"}", call->sentence);
    narae_answer(s, of, failure, (size_t)n, 1, activity);
}

static inline void narae_one_call(struct narae_slot *s, const struct narae_frame *head, narae_fn fn,
                                  void *context)
{
    struct narae_call call;
    const char *payload = s->bytes + sizeof *head;
    size_t end = head->length;
    pid_t pid = s->here ? 0 : getpid();
    while (end > head->value_at && strchr(" \t\r\n", payload[end - 1]))
        end--;
    call.meta = payload;
    call.meta_length = head->value_at;
    call.value = payload + head->value_at;
    call.length =
        end > head->value_at ? end - head->value_at - 1 : 0; /* without the brace around all */
    call.reply = NULL;
    call.reply_length = 0;
    call.failed = 0;
    call.sentence[0] = 0;
    __atomic_store_n(&s->line->call, head->call, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&s->line->begun, 1, __ATOMIC_SEQ_CST);
    uint32_t activity = __atomic_load_n(&s->line->activity, __ATOMIC_SEQ_CST);
    int status = fn(&call, context);
    if (s->here ? !*s->here : getpid() != pid)
        _exit(0); /* a child that the function forked does not answer in its parent's place */
    while (call.reply_length > 0 && strchr(" \t\r\n", *call.reply) && *call.reply) {
        call.reply++;
        call.reply_length--;
    }
    if (status == 0 && call.reply_length > 0 && (*call.reply == '{' || *call.reply == '[')) {
        narae_answer(s, head->call, call.reply, call.reply_length, 0, activity);
        return;
    }
    narae_answer_failure(s, head->call, &call, activity);
}

/* One frame. 0: the connection was at its end; narae_lost() is to follow. */
static inline int narae_take(struct narae_slot *s, narae_fn fn, void *context)
{
    struct narae_frame head;
    if (narae_read(s, &head)) {
        if (head.type == NARAE_RUN)
            narae_one_call(s, &head, fn, context);
        else
            narae_refuse(s, head.call);
        return 1;
    }
    return 0;
}

/* The agent is told, and dials again. */
static inline void narae_lost(struct narae_slot *s)
{
    close(s->fd);
    s->fd = -1;
    narae_tell(s->control, NARAE_LOST, s->index, 0, 0);
}

static inline void narae_serve_slot(struct narae_slot *s, narae_fn fn, void *context)
{
    s->here = narae_own_page();
    s->streams[0] = fcntl(1, F_DUPFD_CLOEXEC, 10);
    s->streams[1] = fcntl(2, F_DUPFD_CLOEXEC, 10);
    for (;;) {
        int fds[4];
        if (narae_take(s, fn, context))
            continue;
        narae_lost(s);
        while (narae_hear(s->control, fds).type != NARAE_TO_REDIALLED) {
        }
        s->fd = fds[0];
    }
}

/* In a process of its own, whose parent becomes the agent. Returns only in the process that called it. */
static inline void narae_fork_slot(struct narae_slot *s, const int fds[4], narae_fn fn,
                                   void *context)
{
    pid_t between = fork();
    if (between != 0) {
        while (between > 0 && waitpid(between, NULL, 0) < 0 && errno == EINTR) {
        }
        for (int i = 0; i < 4; i++)
            close(fds[i]);
        return;
    }
    if (fork() != 0)
        _exit(0);
    setsid();
    dup2(fds[1], 1);
    dup2(fds[2], 2);
    close(fds[1]);
    close(fds[2]);
    close(NARAE_CONTROL_FD);
    s->fd = fds[0];
    s->control = fds[3];
    narae_tell(s->control, NARAE_FORKED, s->index, 0, (int32_t)getpid());
    narae_serve_slot(s, fn, context);
}

/* One process for all slots. Each slot keeps the pipes and the control channel that a process of its own would have: the
 * pipes of the slot whose call runs lie on 1 and 2, and so to the agent there is no difference. */
struct narae_turns {
    int poll;
    struct narae_slot slots[NARAE_SLOTS_MAX];
    const struct narae_slot *printing; /* whose pipes lie on 1 and 2 */
    const char *here;
    char *bytes; /* of the frame being read, for all */
    size_t capacity;
};

enum {
    NARAE_OF_SLOT = 0,
    NARAE_OF_CONTROL = NARAE_SLOTS_MAX,
    NARAE_OF_LAUNCHER = 2 * NARAE_SLOTS_MAX
};

static inline void narae_await(const struct narae_turns *t, int fd, unsigned what)
{
    struct epoll_event e;
    memset(&e, 0, sizeof e);
    e.events = EPOLLIN;
    e.data.u32 = what;
    if (epoll_ctl(t->poll, EPOLL_CTL_ADD, fd, &e) < 0)
        _exit(1);
}

static inline void narae_turn_add(struct narae_turns *t, const struct narae_slot *model,
                                  unsigned index, const int fds[4])
{
    struct narae_slot *s = &t->slots[index % NARAE_SLOTS_MAX];
    *s = *model;
    s->fd = fds[0];
    s->streams[0] = fds[1];
    s->streams[1] = fds[2];
    s->control = fds[3];
    s->here = t->here;
    narae_tell(s->control, NARAE_FORKED, s->index, 0, (int32_t)getpid());
    narae_await(t, s->control, NARAE_OF_CONTROL + index);
    narae_await(t, s->fd, NARAE_OF_SLOT + index);
}

static inline void narae_turn(struct narae_turns *t, unsigned what, narae_fn fn, void *context)
{
    struct narae_slot *s = &t->slots[what % NARAE_SLOTS_MAX];
    int fds[4];
    if (what >= NARAE_OF_CONTROL) {
        if (narae_hear(s->control, fds).type == NARAE_TO_REDIALLED) {
            s->fd = fds[0];
            narae_await(t, s->fd, NARAE_OF_SLOT + s->index);
        }
        return;
    }
    if (t->printing != s) {
        dup2(s->streams[0], 1);
        dup2(s->streams[1], 2);
        t->printing = s;
    }
    s->bytes = t->bytes;
    s->capacity = t->capacity;
    int more = narae_take(s, fn, context);
    t->bytes = s->bytes;
    t->capacity = s->capacity;
    if (more)
        return;
    /* A child that the function forked may hold the connection: closing it alone would leave it in the poll set, at its end for ever. */
    epoll_ctl(t->poll, EPOLL_CTL_DEL, s->fd, NULL);
    narae_lost(s);
}

/* What both ways to serve begin with. 0: not started by the platform. */
static inline int narae_begin(struct narae_slot *s)
{
    memset(s, 0, sizeof *s);
    s->line =
        (struct narae_line *)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, NARAE_PAGE_FD, 0);
    if (s->line == (struct narae_line *)MAP_FAILED || fcntl(NARAE_CONTROL_FD, F_GETFD) < 0) {
        fprintf(stderr,
                "narae_serve: this program is started by the platform, with narae.exec = direct\n");
        return 0;
    }
    for (int fd = 3; fd <= 5; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    s->control = NARAE_CONTROL_FD;
    s->capacity = NARAE_READ_BYTES;
    s->bytes = (char *)malloc(s->capacity);
    return s->bytes != NULL;
}

/* Waits for the agent's next word to the program as a whole. 1: a slot is to be served, s says which. */
static inline int narae_told(struct narae_slot *s, struct narae_line *page, int *slots, int fds[4])
{
    struct narae_control c = narae_hear(NARAE_CONTROL_FD, fds);
    if (c.type == NARAE_TO_INIT) {
        *slots = c.value;
        s->result_max_bytes = (size_t)c.call;
        fflush(stdout);
        narae_tell(NARAE_CONTROL_FD, NARAE_LOADED, 0, 0, 0);
    }
    if (c.type != NARAE_TO_SERVE)
        return 0;
    s->index = c.slot;
    s->line = page + c.slot;
    s->fd = fds[0];
    return 1;
}

static inline int narae_serve(narae_fn fn, void *context)
{
    struct narae_slot s;
    int fds[4], slots = 1;
    if (!narae_begin(&s))
        return 1;
    struct narae_line *page = s.line;
    for (;;) {
        if (!narae_told(&s, page, &slots, fds))
            continue;
        if (slots > 1)
            narae_fork_slot(&s, fds, fn, context);
        else
            narae_serve_slot(&s, fn, context);
    }
}

static inline int narae_serve_in_turn(narae_fn fn, void *context)
{
    static struct narae_turns t;
    struct epoll_event ready[NARAE_SLOTS_MAX];
    struct narae_slot s;
    int fds[4], slots = 1;
    if (!narae_begin(&s) || (t.poll = epoll_create1(EPOLL_CLOEXEC)) < 0)
        return 1;
    struct narae_line *page = s.line;
    t.here = narae_own_page();
    t.bytes = s.bytes;
    t.capacity = s.capacity;
    narae_await(&t, NARAE_CONTROL_FD, NARAE_OF_LAUNCHER);
    for (;;) {
        int n = epoll_wait(t.poll, ready, NARAE_SLOTS_MAX, -1);
        for (int i = 0; i < n; i++) {
            if (ready[i].data.u32 != NARAE_OF_LAUNCHER)
                narae_turn(&t, ready[i].data.u32, fn, context);
            else if (narae_told(&s, page, &slots, fds) && slots > 1)
                narae_turn_add(&t, &s, s.index, fds);
            else if (s.fd > 0 && slots == 1)
                narae_serve_slot(&s, fn, context); /* its only slot: 1 and 2 are its pipes */
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
