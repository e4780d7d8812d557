/* Keys of an account as the platform's own API shows and changes them; as in account_api.h. A secret is shown once, when it is made.
 */
#ifndef NR_FNMANAGER_KEYS_API_H
#define NR_FNMANAGER_KEYS_API_H

#include "fnmanager/manager.h"

/* Of the account call->name; for the account itself and the administrator. */
int key_list(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
/* For the administrator; call->item: the uuid. */
int key_create(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int key_rotate(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int key_revoke(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);

/* An RFC 3339 time as milliseconds since 1970; false when it is none. */
bool key_time_read(struct nr_str text, int64_t *ret_ms);

#endif
