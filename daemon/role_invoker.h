/* The process of --roles=invoker; see role_invoker.c. */
#ifndef NR_DAEMON_ROLE_INVOKER_H
#define NR_DAEMON_ROLE_INVOKER_H

#include "daemon/daemon.h"

/* Is this process the invoker of another host's controller, and nothing else? */
bool role_is_invoker(const struct daemon *d);
/* 0, or NR_EINVAL with a sentence: options of such an invoker without the role, or the role without them. Before anything is made. */
int role_judge(struct daemon *d, struct nr_err *err);
/* Runs it until a signal ends it; d's options are read and its loop is open. Returns the exit status. */
int role_invoker(struct daemon *d);

#endif
