/* How an option is named and described to people: shared by the loader, --help and the table of the documentation. Any thread.
 */
#ifndef NR_COMMON_BASE_OPTION_TEXT_H
#define NR_COMMON_BASE_OPTION_TEXT_H

#include "common/base/option.h"
#include "common/base/str.h"

/* "NARAE_DRAIN_S" and a NUL into out (lent). */
void nr_option_environment(const struct nr_option *o, char *out, size_t out_bytes);
/* What a value may be, as the end of "must be ...", into out (lent). */
void nr_option_allowed(const struct nr_option *o, char *out, size_t out_bytes);
/* The word that stands for a value in help: "FILE"-like, "N", "" for a switch. Lent by the program. */
const char *nr_option_word(const struct nr_option *o);
/* The known name nearest to a mistyped one into out (lent); false when none is near. */
bool nr_option_nearest(const struct nr_option_set *sets, struct nr_str name, char *out,
                       size_t out_bytes);

#endif
