/* Programs of the host (iptables, mkfs.ext4, a driver's tool): run once, with a fixed environment, waited for up to a deadline. Blocking, so
 * never the loop's thread.
 */
#ifndef NR_COMMON_BASE_PROGRAM_H
#define NR_COMMON_BASE_PROGRAM_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/str.h"

/* A run. Texts are lent during the call. */
struct nr_program {
    const char *const *
        argv; /* argv[0]: its name, looked for in the folders of the system, then in those of our PATH; ends with NULL */
    struct nr_str input; /* what it reads on stdin */
    struct nr_buf
        *out; /* its stdout goes behind this, whole, or the run fails; NULL: nobody reads it */
    uint32_t max_ms; /* it is killed after this */
};

/* 0 when it ended with status 0; else NR_EUNAVAIL with a sentence: there is no such program, it took too long, or the first words of what it
 * said on stderr; NR_ETOOBIG when `out` has no room for all of its output. */
int nr_program_run(const struct nr_program *p, struct nr_err *err);

#endif
