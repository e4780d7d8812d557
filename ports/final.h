/* Names of a function's parameters: those that are bound, and those that a caller must not give (annotation `final`). They are found by halves, for
 * they and the payload's may be many. Pure; any thread.
 */
#ifndef NR_PORTS_FINAL_H
#define NR_PORTS_FINAL_H

#include <stdbool.h>

#include "common/base/str.h"

struct final_names {
    char *const *name; /* lent, sorted by their bytes */
    size_t count;
};

/* The final_names or bound_names of a function (lent; NULL: none), counted once. */
struct final_names final_names_of(char *const *names);
/* Where `name` is in the list; f->count: nowhere. */
size_t final_names_find(const struct final_names *f, struct nr_str name);
/* Is `name` one of them? */
bool final_names_have(const struct final_names *f, struct nr_str name);

#endif
