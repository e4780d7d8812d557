/* What an API wants, held against the functions that are there. Blocking; manage plane.
 */
#ifndef NR_FNMANAGER_API_CHECK_H
#define NR_FNMANAGER_API_CHECK_H

#include "fnmanager/entities/api_order.h"
#include "fnmanager/manager.h"

/* *warning (lent, may be NULL): the first function that no request of the world would reach, if any; none of those that are named by an alias.
 * 0, or NR_EINVAL with a sentence: a word in braces is a parameter that the function, as it is now, keeps (annotation `final`), so that no request could
 * ever be answered. Functions that are not there, or neither the caller's nor the world's, are not judged, and not more than the first few. */
int api_check(struct fnmanager *m, struct nr_str caller, const struct api_order *o,
              struct nr_err *warning, struct nr_err *err);

#endif
