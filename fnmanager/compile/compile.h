/* Compiling: kinds whose source cannot run as it is (go, java) have a compiler, which is asked once for every new source. Blocking; threads that
 * may wait.
 *
 *   when     before anything of a PUT is committed, so code that does not compile replaces nothing; and at the first call of code that came another way
 *            (an import, a restored folder, another compiler since)
 *   where    in a container of the compiler's image, in the account's name: no network, bounds on memory and time
 *   kept     per account under a hash of compiler and source: what is deployed again, published or rolled back is not compiled again. It counts against
 *            the account's quota, is hashed before it is used, and goes when no version names it
 */
#ifndef NR_FNMANAGER_COMPILE_H
#define NR_FNMANAGER_COMPILE_H

#include "fnmanager/compile/compile_places.h"
#include "fnmanager/compile/compiled.h"

struct fnmanager;
struct account;

/* Has this kind a compiler? */
bool compile_is_needed(const struct fnmanager *m, const char *kind);
/* Makes what `source` (lent) needs to run, unless it is there. `who` (shared): in whose name the container is. 0, also when there is nothing to
 * be done; NR_EINVAL with what the compiler said as far as it has room, and with all that is for the developer in *said (begun then, to be ended by the
 * caller); NR_EQUOTA, NR_EBUSY, NR_EFORBIDDEN (there is no room for the result), NR_EUNAVAIL (its image is not here; the sentence says what to do), ... */
int compile_source(struct fnmanager *m, struct account *who, const struct compile_source *source,
                   struct nr_buf *said, struct nr_err *err);
/* The same for a stored row of `account`, for a call of it: waits for its turn while others compile; NR_EBUSY: many wait, ask again. */
int compile_row(struct fnmanager *m, struct account *who, struct nr_str account,
                const struct fn_row *row, struct nr_err *err);
/* Puts what `row` of `account` is run from into f, which nobody has seen yet. NR_ENOENT: it has to be compiled before. */
int compile_apply(struct fnmanager *m, struct nr_str account, const struct fn_row *row,
                  struct function *f);
/* The account leaves: what was compiled for it goes. */
void compile_forget(struct fnmanager *m, struct nr_str account);

#endif
