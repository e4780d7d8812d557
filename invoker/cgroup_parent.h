/* The parent of all our containers' control groups: the pool as a whole has a bound, so that functions together cannot starve the Engine,
 * us, or whatever else runs here. Blocking (cgroupfs): any thread but the loop's.
 */
#ifndef NR_INVOKER_CGROUP_PARENT_H
#define NR_INVOKER_CGROUP_PARENT_H

#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"

/* Makes the group `name` ("/narae-<16 hex>") in the hierarchies for memory and cpu, or finds it, and bounds it: memory in bytes, and as much
 * weight of the CPU as one ordinary process on each core has beside it: less, and starts would starve the calls that run. NR_EUNAVAIL when the files are not visible or not to be written. */
int cgroup_parent_make(const char *name, int64_t memory_bytes, int cores, struct nr_err *err);
/* Removes it from every hierarchy where it is empty; "": nothing. */
void cgroup_parent_remove(const char *name);
/* The ids (64 hex) of containers that have a group in it, one a line, behind `out`; "": nothing. */
void cgroup_parent_list(const char *name, struct nr_buf *out);
/* Ends whatever runs in the group of this container and removes its folders from every hierarchy: thawed first, for what is frozen dies only
 * then; each process is held by a descriptor and looked at again before it is killed. What is still ending is for the next time. */
void cgroup_parent_end(const char *name, const char *id);

#endif
