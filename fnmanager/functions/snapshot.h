/* From a stored version to the snapshot that calls run from. Blocking; any thread.
 */
#ifndef NR_FNMANAGER_SNAPSHOT_H
#define NR_FNMANAGER_SNAPSHOT_H

#include "fnmanager/functions/place.h"

/* Makes *ret (shared, given) of a row of the function that p (lent) leads to, as it is called there. NR_EFORBIDDEN, NR_EINVAL, NR_ENOMEM with a sentence: what the function asks for is not
 * granted or not there any more. */
int snapshot_make(struct fnmanager *m, const struct place *p, const struct fn_row *row,
                  struct function **ret, struct nr_err *err);

/* Fills the fields of f that annotations (JSON array text) tell; `native`: it runs executables. The steps of a sequence are there already. */
void snapshot_annotations(const char *annotations, bool native, struct function *f);
/* Is there an annotation KEY whose value is the text VALUE, for a label "KEY=VALUE"? */
bool snapshot_has_label(const char *annotations, const char *label);
/* Fills bound_names, and final_names when the annotations say `final`: the names of those parameters of f, as it has them by then, that have a value. */
int snapshot_final(const char *annotations, struct function *f);

#endif
