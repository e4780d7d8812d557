/* Room on the GPUs for one more container: is there some, and who goes for it. Loop's thread.
 */
#ifndef NR_INVOKER_GPU_ROOM_H
#define NR_INVOKER_GPU_ROOM_H

#include "invoker/internal.h"

/* Can a container of f be given its GPUs now? With `evict` idle containers that hold what it needs are told to go when it cannot. */
bool gpu_room(struct invoker *v, const struct function *f, bool evict);
/* This host's GPUs could never serve f. */
bool gpu_never(const struct invoker *v, const struct function *f);

#endif
