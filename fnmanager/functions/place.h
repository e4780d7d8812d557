/* Where the names of a call lead: through a package or a binding to the function as it is stored, and whether the caller may go there.
 *
 *   own namespace      everything; a binding leads to what it binds, which must be the caller's own or shared
 *   another's          functions in a package with publish:true of an ACTIVE account; anything else is refused with one sentence, whether it exists or not
 *
 * Blocking; any thread.
 */
#ifndef NR_FNMANAGER_PLACE_H
#define NR_FNMANAGER_PLACE_H

#include "common/base/json.h"
#include "fnmanager/manager.h"
#include "fnmanager/registry/metadata_packages.h"

#define PLACE_TEXT_CHAIN "Cannot bind to another package binding."

/* "The supplied authentication is not authorized to access '<ns>/<package>/<name>'.", of the names that are there. */
int place_forbidden(struct nr_str space, struct nr_str package, struct nr_str name,
                    struct nr_err *err);

/* What is asked for; lent. */
struct place_names {
    struct nr_str caller; /* an account */
    struct nr_str space;  /* n == 0: the caller's own */
    struct nr_str package, name;
};
/* Those of a call. */
struct place_names place_names_of(const struct fn_call *call);
/* Those of the caller's own function. */
struct place_names place_names_own(struct fn_key key);

struct place {
    struct place_names asked;  /* with the space that it means */
    struct fn_key key;         /* of the function; texts lent by the names or by `row` */
    struct package_row row;    /* of the package or binding that was named; zeroed: none was */
    struct package_row target; /* of the package that it binds; zeroed: it is no binding */
    uint64_t caller_id,
        owner_id; /* which account of the name asks, and which has key.account (metadata_accounts.h); 0: it is gone */
};
/* Fills *ret; place_fini() in any case. NR_ENOENT, NR_EFORBIDDEN, NR_EEXIST (the package's name is no
 * package's), NR_EINVAL, NR_ELOOP (bindings that bind bindings) with the API's sentence. */
int place_find(struct fnmanager *m, struct place_names names, struct place *ret,
               struct nr_err *err);
void place_fini(struct place *p);

/* May the caller change functions in his package call->package? 0, or NR_ENOENT, NR_EEXIST (no package), NR_EINVAL (a binding) with the API's
 * sentence in call->err. */
int place_check_own(struct fnmanager *m, struct fn_call *call);

/* The package that holds the function; NULL: it is in none. */
const struct package_row *place_package(const struct place *p);
/* Is it another account's code? */
bool place_is_foreign(const struct place *p);
/* Is a binding between? */
bool place_is_bound(const struct place *p);
/* What the packages bind, what wins last, as JSON array text (made), or NULL without memory. */
char *place_bound(const struct place *p);
/* What a function has that has `own` parameters (JSON array text, lent), as JSON array text (made), or NULL without memory. */
char *place_parameters(const struct place *p, const char *own);
/* The same with secrets opened (made; wiped by sealed_forget()), into *ret also when it fails. NR_ENOMEM, NR_ECORRUPT and others with a sentence. */
int place_opened(struct fnmanager *m, const struct place *p, const char *own, json_t **ret,
                 struct nr_err *err);
/* The revision of a stored one as it is called here, where `bound` (lent) is what place_bound() gave: the same, or one that belongs to the caller, the
 * binding and what is bound, the same for the same in every life of the process. The caller is an account, not its name: nobody gets the
 * containers of who had the name before. */
uint64_t place_revision(const struct fnmanager *m, const struct place *p, const char *bound,
                        uint64_t stored);

#endif
