/* What a createApi request wants: one operation, or a whole document. Pure but for memory; any thread.
 */
#ifndef NR_FNMANAGER_API_ORDER_H
#define NR_FNMANAGER_API_ORDER_H

#include "fnmanager/entities/swagger.h"

/* Members are lent by `doc`, but for those that are made. */
struct api_order {
    json_t *doc;              /* made: the body */
    json_t *apidoc, *swagger; /* made; swagger NULL: one operation */
    char *base_path;          /* made; without a slash at its end */
    const char *name;         /* of the API; NULL: not given */
    struct api_route route;   /* made: the one operation */
    json_t *parameters;       /* of its path; NULL: not given */
    struct api_routes routes; /* made: those of the document */
};

/* Reads a body (lent for the call). `account`: of the caller, what "_" means; `response_type`: the extension that was asked for, n == 0: none.
 * NR_EINVAL or NR_ETOOBIG with the sentence of the API. api_order_fini() in any case. */
int api_order_read(struct nr_str body, const char *account, struct nr_str response_type,
                   struct api_order *ret, struct nr_err *err);
void api_order_fini(struct api_order *o);

#endif
