/* Version Controller: publication, lists and differences of versions, and which of them are kept. Blocking; on the handler's threads.
 * Operations return 0 with call->reply filled, or a NR_E* with call->err set.
 */
#ifndef NR_FNMANAGER_VERSION_CONTROLLER_H
#define NR_FNMANAGER_VERSION_CONTROLLER_H

#include "fnmanager/manager.h"

/* {"note"}: 201 with the new version. */
int version_publish(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int version_list(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
/* Between call->number and call->item, a number or "latest". */
int version_diff(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);

/* Removes what is over the age that is kept; gives how many versions went. */
int64_t version_retention(struct fnmanager *m);

#endif
