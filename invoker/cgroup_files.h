/* The parts of cgroup.c that its tests run on folders and texts of their own. Not for anybody else. Any thread.
 */
#ifndef NR_INVOKER_CGROUP_FILES_H
#define NR_INVOKER_CGROUP_FILES_H

#include "invoker/cgroup.h"

/* As cgroup_open(), from the text of a /proc/<pid>/cgroup (lent) and with the groups mounted below `root` ("/sys/fs/cgroup"). */
int cgroup_open_text(const char *root, const char *text, const char *container_id,
                     struct cgroup *ret, struct nr_err *err);
/* Is the last part of this path a container's own folder: the id, or a systemd scope of it (docker-<id>.scope)? `container_id` NULL: of
 * any id. */
bool cgroup_path_is_own(const char *path, const char *container_id);

#endif
