/* A function as it travels to another host in a FUNCTION frame (ports/wire.h), and the snapshot that is made of it there. It holds what an invoker reads of
 * struct function and nothing else: what the function's web access, state or record policy is stays with the controller. Its two objects of bound
 * parameters, which are secrets, follow the JSON as raw bytes: whoever holds them wipes them. Any thread.
 */
#ifndef NR_INVOKER_FAR_SNAPSHOT_H
#define NR_INVOKER_FAR_SNAPSHOT_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "ports/function.h"

struct grant_device;

/* What the receiving host puts in. All kept for the call. */
struct snapshot_place {
    const char *code_dir;               /* of code.h: where the code of functions is */
    const struct grant_device *devices; /* that this host offers; NULL: none */
};

/* Adds the JSON of f (lent) to meta, which fails when it is larger than it may be. The raw part is f->parameters and behind it f->init_parameters. */
void far_function_write(const struct function *f, struct nr_buf *meta);
/* *ret (made, one reference) from such a frame. NR_EINVAL with a sentence that names the member: absent, of another type, too long, out of its bounds; or a
 * grant that this host cannot give. Members that are not known are passed over. */
int far_function_read(struct nr_str meta, struct nr_str raw, const struct snapshot_place *place,
                      struct function **ret, struct nr_err *err);
/* The account whose code it is; lent by f. */
struct nr_str far_function_owner(const struct function *f);

#endif
