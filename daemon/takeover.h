/* An upgrade without a gap: a process that serves hands its listening sockets to the next one, which may be of another release.
 *
 *   the new one                                   the one that serves
 *   finds <run>/takeover, says `hello`       ->   gives copies of its listening sockets; from here on they outlive either of the two
 *   tries the Engine, looks at the schemas        serves on
 *   `ask`                                    ->   accepts nothing more, takes what has begun, lets short calls end, leaves what is idle, freezes the
 *                                                 registry, unlocks the folder
 *   opens, adopts, accepts                   <-   `connections` (those that were idle), `untouched` (encrypted, and quite new), `released`
 *   `serving`                                ->   ends the calls that it still has, however long they take, and itself
 *
 * Whoever dies leaves the other one a way: before `ask` nothing has changed; a new one that dies after it, or does not serve in time and is ended for
 * that, is replaced by a process of the old release, which gets the sockets too; an old one that dies is as after a crash, with the sockets still there.
 * Protocol: a message is one packet, its first word says what it is; both sides tell the highest and the oldest version that they speak.
 */
#ifndef NR_DAEMON_TAKEOVER_H
#define NR_DAEMON_TAKEOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/net/loop.h"

struct daemon;
struct endings;
struct node;
struct release;
struct takeover;

enum { TAKEOVER_PROTOCOL = 1, TAKEOVER_OLDEST = 1 };
enum { LISTENING_MAX = 8, PASS_FDS_MAX = 200, PASS_TEXT_BYTES = 256 };

/* Sockets that listen, whoever opened them. */
struct listening {
    int fds[LISTENING_MAX];
    size_t count;
};

/* ---- passing.c: packets with descriptors over a unix socket ---------------------------------------------------- */

struct passed {
    char text[PASS_TEXT_BYTES];
    int fds[PASS_FDS_MAX]; /* given */
    size_t count;
};

/* Does anybody listen at this path, of whatever kind? Never waits. */
bool pass_answers(const char *path);
/* A socket that listens at this path, which nobody but its owner may open; *ret_fd given. A socket that nobody listens on any more goes; NR_EBUSY: somebody does. */
int pass_listen(const char *path, int *ret_fd, struct nr_err *err);
/* *ret_fd given. NR_ENOENT: nobody listens there. */
int pass_dial(const char *path, int *ret_fd);
/* The next who dialled (*ret_fd given) and his process (*ret_pidfd given; -1: this kernel knows no such descriptors). NR_EFORBIDDEN: neither root nor
 * who we are; NR_EBUSY: nobody waits. Never blocks. */
int pass_accept(int listen_fd, int *ret_fd, pid_t *ret_pid, int *ret_pidfd);
/* Sends text and copies of n descriptors (lent). Never blocks: NR_EBUSY when there is no room, NR_ECLOSED when nobody is there any more. */
int pass_send(int fd, const char *text, const int *fds, size_t n);
/* The next packet, waited for as long; 0, NR_ETIMEOUT, NR_ECLOSED. */
int pass_receive(int fd, int timeout_ms, struct passed *ret);
/* Closes descriptors. */
void pass_close(const int *fds, size_t n);

/* ---- sockets.c: sockets that were open before we began ---------------------------------------------------------- */

/* Those of a supervisor (LISTEN_PID, LISTEN_FDS: 3 and on) become d->listening. NR_EINVAL: one of them does not listen. */
int listening_inherit(struct daemon *d, struct nr_err *err);
/* Do d->listening and --listen agree? --listen becomes what is so; the preset one says nothing. NR_EINVAL with both. */
int listening_judge(struct daemon *d, struct nr_err *err);
/* Runs our own program as a process of its own, with our options: the file as it is now, to take over from us (l NULL), or the very program that
 * runs, with these sockets (lent). */
int successor_spawn(const struct daemon *d, const struct listening *l, pid_t *ret_pid,
                    struct nr_err *err);
/* Tells the supervisor, if there is one that wants to know (NOTIFY_SOCKET): "READY=1". */
void supervisor_tell(const char *text);
/* What is under way may take so long from now on. */
void supervisor_extend(uint64_t ms);

/* ---- endings.c: processes of this installation that have handed over and still end their calls ------------------ */

/* Reads what <run>/ending-* say; files of processes that are gone are removed. The memory of those that are not is part of node->memory_used_mb (node:
 * kept) until they give it back. Blocking. */
int endings_open(struct nr_loop *loop, const char *run, struct node *node, struct nr_log *log,
                 struct endings **ret, struct nr_err *err);
/* Reads anew. Blocking. */
int endings_read(struct endings *e, struct nr_err *err);
bool endings_any(const struct endings *e);
/* What of node->memory_used_mb is theirs. */
int64_t endings_memory_mb(const struct endings *e);
/* The runs of their calls, a JSON array (made); NULL: there are none. */
char *endings_runs(const struct endings *e);
/* Is a container of this name (8 hex) one of theirs? arg is the endings. */
bool endings_foreign(void *arg, const char *name);
/* On the loop: `room` when they have given memory back, `alone` once, when the last of them has ended. */
void endings_watch(struct endings *e, void (*room)(void *arg), void (*alone)(void *arg), void *arg);
/* The loop runs no more. NULL is fine. */
void endings_close(struct endings *e);

/* Our own file. */
struct own_ending {
    int fd; /* holds the lock; -1: there is none */
    struct nr_loop *loop;
    struct nr_deadline next;
    struct nr_work work;
    int64_t (*memory_mb)(void *arg);
    void *arg;
    int64_t told_mb;
};

/* Says what is ours until we end: <run>/ending-<pid>, locked. run_number: of our calls; `has` is what invoker_hand_over() wrote (n == 0: no containers).
 * Blocking. */
int own_ending_write(struct own_ending *own, const char *run, int64_t memory_mb, int64_t run_number,
                     struct nr_str has, struct nr_err *err);
/* The memory that is ours, as memory_mb() says it, is told twice a second from now on. */
void own_ending_tell(struct own_ending *own, struct nr_loop *loop, int64_t (*memory_mb)(void *arg),
                     void *arg);
/* The loop still runs: it is told no more. */
void own_ending_stop(struct own_ending *own);
/* We end: removes it. */
void own_ending_remove(struct own_ending *own, const char *run);

/* ---- takeover.c: the new one's side, all of it blocking, before the loop runs ---------------------------------- */

/* --takeover: says hello to whoever serves. *ret_found false: nobody does, and the start is like any other. */
int takeover_find(struct daemon *d, bool *ret_found, struct nr_err *err);
/* Asks, and waits until the other one has let go; d->takeover has what it gave. One that died meanwhile has let go too. */
int takeover_ask(struct daemon *d, struct nr_err *err);
/* The place that the other one's containers have is known now: those it left are adopted. */
int takeover_adopt(struct daemon *d, struct nr_err *err);
/* Revisions begin above it; 0: there was nobody. */
uint64_t takeover_revision(const struct takeover *t);
/* We serve: goes on with the connections, and tells the other one. */
void takeover_serving(struct daemon *d);
/* NULL is fine. */
void takeover_free(struct takeover *t);

/* ---- release.c: the side of who serves -------------------------------------------------------------------------- */

/* Opens <run>/takeover. At the end of a start. */
int release_open(struct daemon *d, struct nr_err *err);
/* A signal asks for the end: true when we hand over or have, and what runs was now given its time; a second one is not for us. */
bool release_hurry(struct release *r);
/* USR2: starts a process of the program as it lies on the disk now, to take over. */
void release_upgrade(struct release *r);
/* Closes handles; the loop still runs. NULL is fine. */
void release_close(struct release *r);
/* The loop runs no more. NULL is fine. */
void release_free(struct release *r);

#endif
