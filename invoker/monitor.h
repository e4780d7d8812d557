/* The monitoring agent: looks every second at what each container and the host use. Loop's thread; the files are read on a work thread.
 *
 * A container that works is looked at every second. One that has no call and used no CPU since the last look is looked at half as often
 * each time, down to every 32 s: 300 frozen containers cost ten looks a second. A call makes it every second again.
 */
#ifndef NR_INVOKER_MONITOR_H
#define NR_INVOKER_MONITOR_H

#include "common/base/buf.h"

struct invoker;
struct invoker_config;
struct container;
struct monitor;

/* Made; begins to look at once. */
struct monitor *monitor_open(struct invoker *v, const struct invoker_config *c);
/* No further look; what is under way holds its containers until it is done. NULL is fine. */
void monitor_stop(struct monitor *m);
/* All containers are gone. NULL is fine. */
void monitor_free(struct monitor *m);
/* Its last call has ended and the Engine is about to remove it: one more look, so that nothing it used is lost. Where one is under way, which may
 * have read before, the last one follows it; where its groups are still looked up it is to be asked for again. */
void monitor_last_look(struct container *ct);
/* A call of it ended for want of memory, as its agent or its group says, and no look has seen that kill: it is counted now, for the group goes with
 * the container, maybe before the next look. A look that sees it later does not count it again. */
void monitor_told_oom(struct container *ct);
/* Its memory goes: frees what is known of it. */
void monitor_forget(struct container *ct);

/* Processes of it killed for want of memory up to the last look; 0: none, or no look yet. */
int64_t monitor_oom_kills(const struct container *ct);
/* What the account's functions used is forgotten; it has no containers. False: a look is under way that may still tell of one. */
bool monitor_forget_account(struct monitor *m, const char *account);
/* The members of a container's object in the status: `,"cpu_us":...`; nothing before the first look. */
void monitor_container_json(const struct container *ct, struct nr_buf *out);
/* ,"host":{...},"functions":[...]: what the host uses, and what each function has used in all its containers. With an account (lent) its
 * functions only, and nothing of the host, whose use is that of others. */
void monitor_json(const struct monitor *m, const char *account, struct nr_buf *out);
/* Energy that the host used since the last time, in joules. */
double monitor_take_joules(struct monitor *m);
/* Highest memory in use of a function's containers; -1: it was not looked at. NULL is fine. */
int64_t monitor_function_peak_bytes(const struct monitor *m, const char *path);
/* By state, by kind, the host, and the price of looking. No account and no function is named. */
void monitor_metrics(const struct monitor *m, struct nr_buf *out);

#endif
