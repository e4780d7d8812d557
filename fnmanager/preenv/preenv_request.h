/* The body that starts a PreEnv run. Pure but for memory; any thread.
 */
#ifndef NR_FNMANAGER_PREENV_REQUEST_H
#define NR_FNMANAGER_PREENV_REQUEST_H

#include "common/base/err.h"
#include "fnmanager/preenv/preenv.h"

/* A run keeps all others waiting. */
#define PREENV_DEADLINE_MAX_S 3600

/* The node that the run is for. */
struct preenv_ranges {
    int64_t memory_max_mb;
    int cores;
    int64_t declared_mb, declared_cpus_milli;
    int64_t deadline_max_s;
};

/* Reads the body (lent; "" is all presets) into *ret (preenv_request_fini in any case). NR_EINVAL with a sentence that names the field, the
 * value and the range. */
int preenv_request_parse(struct nr_str text, const struct preenv_ranges *ranges,
                         struct preenv_request *ret, struct nr_err *err);
/* The same request as a body. */
void preenv_request_write(const struct preenv_request *q, struct nr_buf *out);

#endif
