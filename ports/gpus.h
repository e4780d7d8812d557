/* Which GPUs this host has: declared by an option, or told by the driver's own tool where that is installed. Not for who holds them: that
 * is the invoker's ledger.
 */
#ifndef NR_PORTS_GPUS_H
#define NR_PORTS_GPUS_H

#include "common/base/err.h"
#include "ports/node.h"

/* "auto" asks the driver (none without one), "none" is none, else "NAME:MEMORY_MB[:nvidia|:none],..." in the order in which they are given
 * out; `none` behind a device: it is counted and the Engine is not asked for it. *ret (made, free()) has *ret_count entries; NULL when there is
 * none. NR_EINVAL quotes what is wrong. Blocking (auto runs a program). */
int gpus_read(const char *text, struct node_gpu **ret, unsigned *ret_count, struct nr_err *err);
/* The lines "UUID, MEMORY" that the driver's tool writes; a line that is none ends the list. As gpus_read(). Pure. */
int gpus_read_driver(const char *lines, struct node_gpu **ret, unsigned *ret_count,
                     struct nr_err *err);

#endif
