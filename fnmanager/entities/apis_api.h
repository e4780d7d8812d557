/* Operations on APIs, as OpenWhisk's clients manage them, and what the gateway serves of them. Blocking; threads of the handler.
 */
#ifndef NR_FNMANAGER_APIS_API_H
#define NR_FNMANAGER_APIS_API_H

#include "fnmanager/manager.h"

/* Body {"apidoc":{…}}: one operation is put into an API, which is made when there is none of its base path; or a whole Swagger document, which
 * replaces it. The reply is the API. */
int api_create(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
/* {"apis":[{"id","key","value"}…]}: all, or those of a base path or name, or of them what has one path, and one method. */
int api_get(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
/* {}: an API goes, or one path of it, or one operation; an API without operations goes. */
int api_delete(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
/* call->apis. */
int api_resolve(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);

#endif
