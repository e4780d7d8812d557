/* What launcher.js cannot do, or not fast: the page shared with the agent, the write of an answer, and a heap that grows.
 *
 *   open(pageFd)                       first of all
 *   limit(resultMaxBytes)              before the first call
 *   forget(slot)                       as if it had had no call
 *   begin(slot, frame)                 a RUN frame came: notes it in the page; returns what answer() wants as `activity`
 *   answer(slot, fd, text, flags, verdict, activity, log)
 *                                      writes ANSWER; and END when the call logged nothing, or its LOG frame is given (log is
 *                                      undefined where the agent collects the log). Returns 0: done; 1: the agent has to
 *                                      add LOG and END; {rest, tell}: so much the connection did not take (answered() when
 *                                      it has), and whether the agent is to be told then
 *   answered(slot)
 *   call(slot)                         the number of its call, as text
 *   setVariable(name, text)            of the environment. Unlike setenv(), which keeps every value it was ever given, the
 *                                      text has one place that is written over
 *   raiseHeap(bytes)                   the old generation may grow to this. V8 fixes the limit when the process starts and
 *                                      asks once it is reached; a container that waits without code does not know its size
 *
 * The page and what its fields mean: runtimes/agent/control.h, with the argument why a call that logged nothing may be
 * ended here. One thread, one instance a process.
 */
#include <errno.h>
#include <fcntl.h>
#include <node_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <v8.h>

#include "wire.h"

#define SLOTS_MAX 64
#define STREAM_FD_MIN 10
#define SCRATCH_BYTES (64 << 10)
#define UTF8_MAX_BYTES 4 /* of one character */
#define VARIABLES_MAX 32
#define VARIABLE_ROOM_BYTES 64

namespace {

struct wire_line *lines;
int streams[2] = {-1, -1}; /* our copies of 1 and 2 */
size_t result_max_bytes = 1 << 20;
size_t heap_bytes;
uint64_t calls[SLOTS_MAX]; /* of the last RUN; the page is the function's as well */
char scratch[SCRATCH_BYTES];

/* "NAME=text" as it stands in the environment. */
struct variable {
    char *entry;
    size_t name_bytes; /* with the = */
    size_t capacity;
} variables[VARIABLES_MAX];

struct arguments {
    size_t count = 7;
    napi_value at[7];
};

arguments read_arguments(napi_env env, napi_callback_info info)
{
    arguments a;
    napi_get_cb_info(env, info, &a.count, a.at, nullptr, nullptr);
    return a;
}

int64_t number(napi_env env, napi_value v)
{
    int64_t n = 0;
    napi_get_value_int64(env, v, &n);
    return n;
}

napi_value made(napi_env env, uint32_t n)
{
    napi_value v = nullptr;
    napi_create_uint32(env, n, &v);
    return v;
}

size_t slot_of(napi_env env, napi_value v)
{
    return (size_t)number(env, v) % SLOTS_MAX;
}

napi_value open_page(napi_env env, napi_callback_info info)
{
    arguments a = read_arguments(env, info);
    int page_fd = (int)number(env, a.at[0]);
    void *page = mmap(nullptr, SLOTS_MAX * sizeof *lines, PROT_READ | PROT_WRITE, MAP_SHARED, page_fd, 0);
    close(page_fd); /* no child gets it */
    for (int i = 0; i < 2; i++)
        streams[i] = fcntl(i + 1, F_DUPFD_CLOEXEC, STREAM_FD_MIN);
    lines = (struct wire_line *)page;
    if (page == MAP_FAILED)
        napi_throw_error(env, nullptr, "the page cannot be mapped");
    return nullptr;
}

napi_value limit(napi_env env, napi_callback_info info)
{
    arguments a = read_arguments(env, info);
    result_max_bytes = (size_t)number(env, a.at[0]);
    return nullptr;
}

napi_value forget(napi_env env, napi_callback_info info)
{
    arguments a = read_arguments(env, info);
    size_t slot = slot_of(env, a.at[0]);
    lines[slot] = {};
    calls[slot] = 0;
    return nullptr;
}

napi_value begin(napi_env env, napi_callback_info info)
{
    arguments a = read_arguments(env, info);
    size_t slot = slot_of(env, a.at[0]);
    void *frame = nullptr;
    size_t length = 0;
    napi_get_buffer_info(env, a.at[1], &frame, &length);
    if (length < sizeof(struct wire_frame))
        return nullptr;
    memcpy(&calls[slot], (char *)frame + offsetof(struct wire_frame, call), sizeof calls[slot]);
    __atomic_store_n(&lines[slot].call, calls[slot], __ATOMIC_SEQ_CST);
    __atomic_store_n(&lines[slot].begun, lines[slot].begun + 1, __ATOMIC_SEQ_CST);
    return made(env, __atomic_load_n(&lines[slot].activity, __ATOMIC_SEQ_CST));
}

/* The order matters: control.h has the argument. */
bool logged_nothing(size_t slot, uint32_t activity)
{
    for (int i = 0; i < 2; i++) {
        int unread = 0;
        if (ioctl(streams[i], FIONREAD, &unread) < 0 || unread > 0)
            return false;
    }
    return activity % 2 == 0 && __atomic_load_n(&lines[slot].activity, __ATOMIC_SEQ_CST) == activity;
}

/* The text in UTF-8, at least as much of it as a result may have. */
struct body {
    char *bytes = scratch;
    size_t kept = 0;
    uint64_t length = 0;
    ~body()
    {
        if (bytes != scratch)
            free(bytes);
    }
};

bool read_body(napi_env env, napi_value text, body *b)
{
    size_t length = 0;
    napi_get_value_string_utf8(env, text, scratch, sizeof scratch, &length);
    if (length + UTF8_MAX_BYTES >= sizeof scratch) {
        napi_get_value_string_utf8(env, text, nullptr, 0, &length);
        size_t most = result_max_bytes + UTF8_MAX_BYTES;
        size_t size = (length < most ? length : most) + 1;
        size_t copied;
        b->bytes = (char *)malloc(size);
        if (!b->bytes)
            return false;
        napi_get_value_string_utf8(env, text, b->bytes, size, &copied);
    }
    b->length = length;
    b->kept = length < result_max_bytes ? length : result_max_bytes;
    return true;
}

/* What of the parts is left after n bytes, as a buffer. */
napi_value rest_of(napi_env env, struct iovec *parts, int count, size_t n)
{
    size_t whole = 0, at = 0;
    napi_value v = nullptr;
    char *to = nullptr;
    for (int i = 0; i < count; i++)
        whole += parts[i].iov_len;
    napi_create_buffer(env, whole - n, (void **)&to, &v);
    for (int i = 0; to && i < count; i++) {
        size_t skipped = n < parts[i].iov_len ? n : parts[i].iov_len;
        size_t left = parts[i].iov_len - skipped;
        if (left > 0) /* a part that is not there is no address either */
            memcpy(to + at, (char *)parts[i].iov_base + skipped, left);
        at += left;
        n -= skipped;
    }
    return v;
}

/* Sends what goes at once. NULL: everything, or the host is gone, which shows where the connection is read. */
napi_value send_parts(napi_env env, int fd, struct iovec *parts, int count)
{
    size_t whole = 0;
    struct msghdr m = {};
    m.msg_iov = parts;
    m.msg_iovlen = (size_t)count;
    for (int i = 0; i < count; i++)
        whole += parts[i].iov_len;
    ssize_t n = sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    if ((n < 0 && errno != EAGAIN) || (size_t)n == whole)
        return nullptr;
    return rest_of(env, parts, count, n < 0 ? 0 : (size_t)n);
}

napi_value rest_object(napi_env env, napi_value rest, bool tell)
{
    napi_value o = nullptr, flag = nullptr;
    napi_create_object(env, &o);
    napi_get_boolean(env, tell, &flag);
    napi_set_named_property(env, o, "rest", rest);
    napi_set_named_property(env, o, "tell", flag);
    return o;
}

napi_value answer(napi_env env, napi_callback_info info)
{
    arguments a = read_arguments(env, info);
    size_t slot = slot_of(env, a.at[0]);
    uint8_t verdict = (uint8_t)number(env, a.at[4]);
    bool collected = false;
    void *log = nullptr;
    size_t log_length = 0;
    body b;
    if (!read_body(env, a.at[2], &b)) {
        napi_throw_range_error(env, nullptr, "Array buffer allocation failed");
        return nullptr;
    }
    napi_is_buffer(env, a.at[6], &collected);
    if (collected)
        napi_get_buffer_info(env, a.at[6], &log, &log_length);
    bool cut = b.length > b.kept;
    struct wire_frame heads[2] = {};
    struct wire_end end = {};
    heads[0].length = (uint32_t)(b.kept + (cut ? sizeof b.length : 0));
    heads[0].type = FRAME_ANSWER;
    heads[0].flags = (uint8_t)(number(env, a.at[3]) | (cut ? FLAG_TRUNCATED : 0));
    heads[0].call = heads[1].call = calls[slot];
    heads[1].length = sizeof end;
    heads[1].type = FRAME_END;
    end.verdict = verdict;
    struct iovec parts[] = {
        {&heads[0], sizeof heads[0]}, {&b.length, cut ? sizeof b.length : 0},
        {b.bytes, b.kept},            {log, log_length},
        {&heads[1], sizeof heads[1]}, {&end, sizeof end},
    };
    bool alone = collected || (verdict == VERDICT_OK && logged_nothing(slot, (uint32_t)number(env, a.at[5])));
    __atomic_store_n(&lines[slot].answering, 1, __ATOMIC_SEQ_CST);
    if (alone) /* before the write: the host may hang up as soon as it has END, and must not seem to cut a call */
        __atomic_store_n(&lines[slot].ended, lines[slot].ended + 1, __ATOMIC_SEQ_CST);
    napi_value rest = send_parts(env, (int)number(env, a.at[1]), parts, alone ? 6 : 3);
    if (rest)
        return rest_object(env, rest, !alone);
    __atomic_store_n(&lines[slot].answering, 0, __ATOMIC_SEQ_CST);
    return made(env, alone ? 0 : 1);
}

/* The number of the slot's call, as text. */
napi_value call_text(napi_env env, napi_callback_info info)
{
    arguments a = read_arguments(env, info);
    char text[24];
    napi_value v = nullptr;
    int n = snprintf(text, sizeof text, "%llu", (unsigned long long)calls[slot_of(env, a.at[0])]);
    napi_create_string_utf8(env, text, (size_t)n, &v);
    return v;
}

napi_value answered(napi_env env, napi_callback_info info)
{
    arguments a = read_arguments(env, info);
    __atomic_store_n(&lines[slot_of(env, a.at[0])].answering, 0, __ATOMIC_SEQ_CST);
    return nullptr;
}

struct variable *find_variable(const char *name, size_t length)
{
    for (struct variable &v : variables) {
        if (!v.entry || (v.name_bytes == length + 1 && memcmp(v.entry, name, length) == 0))
            return &v;
    }
    return nullptr;
}

/* Makes room for a name and a text; the old room goes once the environment has the new one. */
bool reserve(struct variable *v, const char *name, size_t length, size_t text_length)
{
    size_t need = length + 1 + text_length + 1;
    if (need <= v->capacity)
        return true;
    char *entry = (char *)malloc(need + VARIABLE_ROOM_BYTES);
    if (!entry)
        return false;
    memcpy(entry, name, length);
    memcpy(entry + length, "=", 2);
    if (putenv(entry) != 0) {
        free(entry);
        return false;
    }
    free(v->entry);
    *v = {entry, length + 1, need + VARIABLE_ROOM_BYTES};
    return true;
}

napi_value set_variable(napi_env env, napi_callback_info info)
{
    arguments a = read_arguments(env, info);
    char name[128];
    size_t length = 0, text_length = 0;
    napi_get_value_string_utf8(env, a.at[0], name, sizeof name, &length);
    napi_get_value_string_utf8(env, a.at[1], scratch, sizeof scratch, &text_length);
    struct variable *v = find_variable(name, length);
    if (!v || !reserve(v, name, length, text_length)) {
        setenv(name, scratch, 1); /* one too many */
        return nullptr;
    }
    memcpy(v->entry + v->name_bytes, scratch, text_length + 1);
    if (getenv(name) != v->entry + v->name_bytes)
        putenv(v->entry); /* the function had changed or removed it */
    return nullptr;
}

size_t near_heap_limit(void *, size_t current_bytes, size_t)
{
    return heap_bytes > current_bytes ? heap_bytes : current_bytes;
}

napi_value raise_heap(napi_env env, napi_callback_info info)
{
    arguments a = read_arguments(env, info);
    heap_bytes = (size_t)number(env, a.at[0]);
    v8::Isolate::GetCurrent()->AddNearHeapLimitCallback(near_heap_limit, nullptr);
    return nullptr;
}

napi_value init(napi_env env, napi_value exports)
{
    const struct {
        const char *name;
        napi_callback call;
    } functions[] = {
        {"open", open_page}, {"limit", limit}, {"forget", forget}, {"begin", begin}, {"answer", answer},
        {"answered", answered}, {"call", call_text}, {"setVariable", set_variable}, {"raiseHeap", raise_heap},
    };
    for (const auto &f : functions) {
        napi_value v = nullptr;
        napi_create_function(env, f.name, NAPI_AUTO_LENGTH, f.call, nullptr, &v);
        napi_set_named_property(env, exports, f.name, v);
    }
    return exports;
}

} // namespace

NAPI_MODULE(narae, init)
