/* What a key that may write and not read is told of what it has written. Blocking; the function manager's threads.
 */
#ifndef NR_FNMANAGER_WRITE_ONLY_H
#define NR_FNMANAGER_WRITE_ONLY_H

struct fn_call;

/* Takes out of call->reply (lent), after the operation was done, what the key could not get by reading: code, parameters, secrets of web actions
 * and of APIs. Of a key that may read, and of operations that tell none of it, nothing. */
void write_only_narrow(struct fn_call *call);

#endif
