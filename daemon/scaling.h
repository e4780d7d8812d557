/* The daemon's side of the scaler; see scaling.c. Loop's thread, but for the start.
 */
#ifndef NR_DAEMON_SCALING_H
#define NR_DAEMON_SCALING_H

#include "daemon/daemon.h"

/* Is this process a scaler and nothing else? */
bool scaling_is_all(const struct daemon *d);
/* 0, or NR_EINVAL with a sentence: options of scaling that do not go together. Before anything is made. */
int scaling_judge(struct daemon *d, struct nr_err *err);
/* A function (name "": all of the package; package NULL: all of the account, whose limits or state are others) is another one now: the invoker is to
 * know what is wished for as it is. */
void scaling_changed(struct daemon *d, const char *account, const char *package, const char *name);
/* The loop has stopped, and the scaler with it: ends its thread. */
void scaling_close(struct daemon *d);
/* After the last mail of the loop. */
void scaling_free(struct daemon *d);

#endif
