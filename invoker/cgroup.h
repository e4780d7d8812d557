/* The control groups of one container, reached through the host's files: freezing, raising memory, reading what it uses. Cgroup v1 and v2.
 *
 * The folders are read from /proc/<pid>/cgroup of a process inside, never composed, and are only taken when their last part ends in the
 * container's own id: writing to a parent would stop or starve every container of the host. Where the files are not visible
 * (another mount namespace, no rights) cgroup_open() says so and the Engine is asked instead.
 * Files are opened for each use; nothing is kept open. No call here blocks for longer than the kernel takes to answer.
 */
#ifndef NR_INVOKER_CGROUP_H
#define NR_INVOKER_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/err.h"

/* Where the groups of one container are; texts made, freed by cgroup_fini(). A controller that is not visible is NULL. With v2 all of them
 * name the one folder. */
struct cgroup {
    bool v2;
    char *freezer, *memory, *cpu, *cpuacct, *pids, *blkio;
};

/* Finds the folders of the process `pid`, which must be inside the container with this id (64 hex). Blocking (procfs). 0; NR_EUNAVAIL when
 * none of them is visible; NR_EFORBIDDEN when they are not the container's own. Any thread. */
int cgroup_open(pid_t pid, const char *container_id, struct cgroup *ret, struct nr_err *err);
void cgroup_fini(struct cgroup *g);

/* Asks the kernel to freeze (it is done when cgroup_frozen() says so, some 0.2 ms later) or to thaw; one write. Any thread, one at a time. */
int cgroup_freeze(const struct cgroup *g, struct nr_err *err);
int cgroup_thaw(const struct cgroup *g, struct nr_err *err);
/* Is every process of it stopped? */
bool cgroup_frozen(const struct cgroup *g);

/* Sets the memory limit, memory and swap together, and the cpu weight (Docker's shares, 2..262144). Only ever called to raise memory; the
 * order of the writes (memsw first on v1) is for that. 0, or the first failure: then the Engine is to be asked. Any thread. */
int cgroup_raise(const struct cgroup *g, int64_t memory_bytes, int64_t cpu_shares,
                 struct nr_err *err);

/* Processes of it that the kernel has killed for want of memory; -1: not told (any more). One small file. */
int64_t cgroup_oom_kills(const struct cgroup *g);

/* What it has used since it was created, and now. A figure that this host does not tell is -1. */
struct cgroup_usage {
    int64_t cpu_us; /* user and system together */
    int64_t cpu_user_us, cpu_system_us;
    int64_t throttled_us, throttled_periods;
    int64_t memory_bytes;        /* now: anonymous memory and page cache */
    int64_t memory_anon_bytes;   /* now: anonymous and tmpfs memory, which cannot be dropped */
    int64_t memory_kernel_bytes; /* now: what the kernel holds for it */
    int64_t memory_peak_bytes;   /* the kernel's high-water mark */
    int64_t memory_limit_bytes;
    int64_t oom_kills;
    int64_t pids;
    int64_t io_read_bytes, io_write_bytes;
};
/* Reads all of it: eleven small files on v1, eight on v2. 0; NR_EUNAVAIL when none could be read. Blocking (cgroupfs): not on the loop. */
int cgroup_read(const struct cgroup *g, struct cgroup_usage *ret);

#endif
