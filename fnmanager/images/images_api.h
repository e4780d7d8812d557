/* Images and registries over the API; as in action.h. Each account sees and changes its own; the administrator sees all images and sweeps.
 */
#ifndef NR_FNMANAGER_IMAGES_API_H
#define NR_FNMANAGER_IMAGES_API_H

#include "ports/fnmanager.h"

/* {"images":[{"reference","digest","bytes","used_by","state":"present|missing|pulling|failed|unknown","pulled_ms"}]} */
int image_list(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
/* {"reference"}: 202, and the list tells how it goes on. */
int image_pull(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
/* What image_pull() sets going; a call of its own, whose `done` frees it. */
int image_pull_work(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
/* The administrator's: images that we pulled and no version names. */
int image_prune(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);

/* registries.c */
int registry_list(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int registry_put(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int registry_delete(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);

#endif
