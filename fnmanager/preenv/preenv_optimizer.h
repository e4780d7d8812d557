/* PreEnv Optimizer: the thread that works on runs, one after another, platform-wide.
 */
#ifndef NR_FNMANAGER_PREENV_OPTIMIZER_H
#define NR_FNMANAGER_PREENV_OPTIMIZER_H

#include "fnmanager/manager.h"
#include "fnmanager/preenv/preenv.h"

/* Runs that may wait: of all accounts, of one. */
#define PREENV_QUEUE_MAX 100
#define PREENV_QUEUE_ACCOUNT_MAX 8

struct preenv;

/* Queues a run that is stored. NR_ECONFLICT when this function has one already (its id in the sentence), NR_EQUOTA when too many wait,
 * NR_EUNAVAIL when there is no Tester. Any thread. */
int preenv_queue(struct preenv *p, const struct preenv_run *r, struct nr_err *err);
/* The run under way is told to end; one that waits is taken out, *ret_waited is true, and its row is the caller's. NR_ENOENT when it is
 * neither. Any thread. */
int preenv_cancel(struct preenv *p, const char *id, bool *ret_waited);
/* A function was deleted (name "": all of the account's), and the rows of its runs with it: they end. Any thread. */
void preenv_gone(struct preenv *p, struct fn_key key);
/* The Tester; NULL when there is none. */
struct preenv_tester *preenv_tester_of(struct preenv *p);
/* Made at the manager's opening, and freed at its closing: the run under way is interrupted. NULL is fine. */
struct preenv *preenv_open(struct fnmanager *m);
void preenv_close(struct preenv *p);
void preenv_metrics(struct preenv *p, struct nr_buf *out);

#endif
