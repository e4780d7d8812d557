/* Granted volumes: named folders with a quota that outlive containers. A volume is a file system of its own in a file of exactly the granted
 * size, whose blocks are taken from the host's disk when it is made: what it holds can neither grow past the quota nor find the host's
 * disk full, and a function that fills it gets ENOSPC while nobody else notices.
 *
 *   <data>/volumes/<account>/<name>/image    the file            <data>/volumes/<account>/<name>/mnt    where it is mounted
 *
 * One writer: a volume is in one live container at a time. The quota is the one that held when the volume was first used.
 */
#ifndef NR_INVOKER_VOLUME_H
#define NR_INVOKER_VOLUME_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"

enum { VOLUME_PATH_BYTES = 512 };

struct function;
struct invoker;

/* Writes where a volume is mounted to `out`; NR_EINVAL when that is too long. Pure. */
int volume_path(const char *volumes_dir, const char *account, const char *name,
                char out[VOLUME_PATH_BYTES], struct nr_err *err);
/* Makes the volume when it is not there, mounts it when it is not mounted, and writes where to `out`. Blocking; any thread, one call at a
 * time. NR_ENOSPC when the host has no room for it; NR_EUNAVAIL when this host cannot mount. */
int volume_mount(const char *volumes_dir, const char *account, const char *name, int64_t quota_mb,
                 char out[VOLUME_PATH_BYTES], struct nr_err *err);
/* The account's volumes go with all they hold, and what earlier removals could not: renamed first, so that nobody who gets the name finds them
 * even when this fails. Nobody has them in use. Blocking; any thread. */
int volume_forget(const char *volumes_dir, const char *account, struct nr_err *err);
/* Unmounts all that nobody uses any more. Blocking. */
void volume_unmount_all(const char *volumes_dir);

/* Does a live container, or one of an earlier run that is still to be removed, hold a volume that f asks for? An idle one of another function is told to go. Loop's thread. */
bool volume_is_held(struct invoker *v, const struct function *f);
/* Are all volumes that f asks for mounted on this host? A container of an earlier run has them by mounts of its own: were the host's gone, the next
 * container would get a second mount of the same file while the first may still be ending. Blocking; at start. */
bool volumes_are_mounted(const struct invoker *v, const struct function *f);

#endif
