/* What the agent and a launcher that serves its slots itself ("direct") say to each other beside the calls.
 *
 * The launcher is started with the container and inherits
 *     3   the control channel: a SEQPACKET pair, one message = struct control and its text, descriptors by SCM_RIGHTS;
 *         or, where the profile says control=node, a stream of Node's IPC lines
 *     4   a memory file that holds the JSON of INIT once INIT has been told
 *     5   a memory file with struct control_page, to be mapped (or read and written at offsets)
 *
 *   agent      'P' a container that waits without code: rehearse, so that the first call finds everything loaded. Descriptor: a
 *                  connection on which one RUN has come and nothing follows
 *   launcher   'b' it has booted, and rehearsed: only now the agent says hello
 *   agent      'I' INIT came: load the code for `value` slots; results are cut at `call` bytes. Descriptor: the code,
 *                  when it is not in the action's folder already
 *   launcher   'i' loaded (value 0), or not (value 1, text: the JSON of the error)
 *   agent      'S' serve this slot. Descriptors: its connection; and, where slots are forked, stdout, stderr, control
 *   worker     'f' a forked worker lives: value is its process id; or the launcher itself, which serves this slot in turn with others
 *   worker     'd' its ANSWER of `call` is written: send LOG and END with verdict `value`
 *   worker     'l' it met the end of the slot's connection between two calls
 *   agent      'R' the slot is connected again. Descriptor: the connection
 *
 * native SDK users have the same in runtimes/native/narae.h; a unit test compares both.
 */
#ifndef NARAE_AGENT_CONTROL_H
#define NARAE_AGENT_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTROL_FD 3
#define CONTROL_INIT_FD 4
#define CONTROL_PAGE_FD 5
#define CONTROL_TEXT_MAX_BYTES (32 << 10)

enum control_type {
    CONTROL_REHEARSE = 'P',
    CONTROL_BOOTED = 'b',
    CONTROL_INIT = 'I',
    CONTROL_SERVE = 'S',
    CONTROL_REDIALLED = 'R',
    CONTROL_LOADED = 'i',
    CONTROL_FORKED = 'f',
    CONTROL_DONE = 'd',
    CONTROL_LOST = 'l',
};

struct control {
    uint32_t type; /* enum control_type */
    uint32_t slot;
    uint64_t call;
    int32_t value;
    uint32_t length; /* of the text behind it */
};

/* One slot's line of the shared page.
 *
 * Why a worker may end a call that logged nothing without asking the agent:
 * the agent makes `activity` odd before it reads from the slot's log pipes and even again when what it read is
 * accounted for. A worker writes call, then begun, then remembers activity; at the end it asks the kernel how many
 * bytes lie in its two pipes (FIONREAD), and only then looks at activity again.
 *   - Bytes of this call that nobody has read are seen by FIONREAD: they were written before it, by the same process.
 *   - Bytes of this call that the agent has read made activity odd before that read; the pipe's lock orders that read
 *     before the FIONREAD that no longer saw the bytes, and the FIONREAD before the worker's look: the look differs
 *     from what was remembered.
 *   - Bytes from before the call that are read during it may be counted to it (the agent looks at `begun` after its
 *     read); then either activity was odd when it was remembered, or it moved later: the worker asks the agent.
 * So "both pipes empty and activity even and unmoved" means that the agent holds nothing for this call, and the worker
 * writes ANSWER and END at once. Else it writes ANSWER, says CONTROL_DONE, and the agent adds LOG and END.
 *
 * A call is open while begun != ended + (calls the agent ended): that, and `call`, is all the agent needs to account
 * for log bytes and to write the END of a worker that died. `answering` is set while an ANSWER is half written: a
 * worker that dies there leaves a stream on which no frame can follow. A worker that writes END itself raises `ended`
 * before that write, inside `answering`: a host that hangs up the moment it has END has cut no call.
 * The page belongs to the tenant as much as to us: nothing here is believed beyond the tenant's own calls.
 */
struct control_slot {
    uint32_t activity;  /* agent */
    uint32_t answering; /* worker */
    uint64_t call;      /* worker: of the last RUN */
    uint32_t begun;     /* worker: RUN frames read */
    uint32_t ended;     /* worker: calls whose END it wrote itself */
    uint8_t unused[40];
};

struct control_page {
    struct control_slot slots[64];
};

_Static_assert(sizeof(struct control) == 24, "a control message is 24 bytes and a text");
_Static_assert(sizeof(struct control_slot) == 64, "one cache line per slot");
_Static_assert(sizeof(struct control_page) == 4096, "one page");

/* Sends one message with its text and up to four descriptors (lent; they are copied). node: in Node's IPC lines, which
 * carry one descriptor at most. 0 or a negative errno. */
int control_send(int fd, bool node, const struct control *c, const char *text, const int *fds,
                 unsigned fd_count);

/* Messages that came in. */
struct control_inbox {
    char bytes[sizeof(struct control) + CONTROL_TEXT_MAX_BYTES + 1];
};

/* Reads one message. 1: *ret and *ret_text (lent until the next call, ends with NUL); 0: nothing now; -EPIPE: the
 * other side is gone. A message that cannot be understood is skipped. */
int control_receive(int fd, bool node, struct control_inbox *in, struct control *ret,
                    const char **ret_text);

#endif
