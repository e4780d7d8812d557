/* Metadata Handler: APIs, their documents and the routes that are served. Blocking; any thread.
 */
#ifndef NR_FNMANAGER_METADATA_APIS_H
#define NR_FNMANAGER_METADATA_APIS_H

#include "fnmanager/registry/metadata.h"
#include "fnmanager/entities/swagger.h"

/* Of one account: APIs, bytes of their documents. */
#define APIS_MAX 200
#define API_DOCUMENTS_MAX_BYTES (16 << 20)

/* One API as it is stored. Texts and routes are made; api_row_fini() frees them. */
struct api_row {
    char *base_path, *name;
    char *document;     /* JSON text, as swagger.h tells */
    int64_t updated_ms; /* grows with every change: which state of the row it is */
    struct api_routes routes;
};
void api_row_fini(struct api_row *r);

struct api_rows {
    struct api_row *list;
    size_t n;
};
void api_rows_fini(struct api_rows *r);

/* A page of the account's APIs (made), by base path: all, or those that `which` means (a base path when it begins with a slash, else a name;
 * n == 0: all). */
int metadata_apis(struct nr_db *db, struct nr_str account, struct nr_str which, int64_t limit,
                  int64_t skip, struct api_rows *ret);

/* A change of one API; lent during the call. */
struct api_change {
    struct nr_str account;
    struct fn_actor actor;
    const struct api_row *
        row; /* updated_ms: of the state that was read; 0: there was none. Without routes: the API goes */
};
/* Stores the row, its routes and the audit line in one transaction. NR_ECONFLICT when the API is in another state than row->updated_ms;
 * NR_EFORBIDDEN with a sentence: a limit, or the account takes no changes. */
int metadata_api_change(struct nr_db *db, const struct api_change *c, struct nr_err *err);

/* The routes of all APIs of an account (made), in the order in which they are to be compared. */
int metadata_api_routes(struct nr_db *db, struct nr_str account, struct api_routes *ret);

#endif
