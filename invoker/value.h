/* The value of a RUN: what is bound and what the call gives, each name once.
 *
 * What the call gives wins, but for names that the annotation `final` keeps: those are what the function's owner bound, whoever calls. Only
 * when a name stands on both sides is anything copied.
 */
#ifndef NR_INVOKER_VALUE_H
#define NR_INVOKER_VALUE_H

#include "common/base/buf.h"
#include "ports/function.h"

#define VALUE_KEEP_BYTES 4096

/* Memory of one value after the other. */
struct value_room {
    struct nr_buf text;  /* members that are kept, when others are not */
    struct nr_buf name;  /* of a member, decoded */
    struct nr_buf marks; /* one byte for each bound name: it is given, too */
};

void value_room_init(struct value_room *r);
void value_room_fini(struct value_room *r);
/* The members of both sides (lent by f, by the input, or by r until its next use), to be joined in this order. `input` is the good text of an object.
 * NR_ENOMEM, NR_ETOOBIG. */
int value_members(const struct function *f, struct nr_str input, struct value_room *r,
                  struct nr_str *ret_bound, struct nr_str *ret_given);

#endif
