/* Whether a result is what the compiler made: its bytes are hashed before its first use in a run of the process, and whenever the bucket is verified. One
 * that is damaged goes, so that it is compiled again. Blocking; any thread but the loop's.
 */
#ifndef NR_FNMANAGER_COMPILE_CHECK_H
#define NR_FNMANAGER_COMPILE_CHECK_H

#include "fnmanager/compile/compile_names.h"

/* What is kept under `key`, and it is whole. NR_ENOENT: it is to be made. */
int compile_find(struct fnmanager *m, struct nr_str account, const char *folder, const char *key,
                 struct compiled *ret);

/* What was read. */
struct compile_checked {
    int64_t files, bytes, damaged;
};
/* Hashes all that versions of the account name. Of what is damaged each() is told every version (n lent; `file` below the data folder, lent), whose next
 * call has it compiled. */
int compile_verify(struct fnmanager *m, struct nr_str account,
                   void (*each)(void *arg, const struct compile_name *n, const char *file),
                   void *arg, struct compile_checked *ret);

#endif
