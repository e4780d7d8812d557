/* Grants of accounts: stored, shown, changed, and checked against what a function asks for. Blocking; on the handler's threads; as in
 * action.h.
 */
#ifndef NR_FNMANAGER_GRANTS_API_H
#define NR_FNMANAGER_GRANTS_API_H

#include "fnmanager/manager.h"

struct grants;

/* For the account itself and the administrator. */
int grants_get(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
/* For the administrator only; audited. */
int grants_put(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);

/* What the account has (made, one reference), or NULL when it has nothing. */
int grants_of_account(struct fnmanager *m, struct nr_str account, struct grants **ret,
                      struct nr_err *err);
/* May a function of the account have what these annotations (JSON array text) ask for? NR_EFORBIDDEN, NR_EINVAL with a sentence. */
int grants_check(struct fnmanager *m, struct nr_str account, const char *annotations,
                 struct nr_err *err);

#endif
