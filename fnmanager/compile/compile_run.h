/* One run of a compiler, in a container. Blocking; a thread that may wait.
 */
#ifndef NR_FNMANAGER_COMPILE_RUN_H
#define NR_FNMANAGER_COMPILE_RUN_H

#include "fnmanager/compile/compiled.h"

struct account;
struct fnmanager;

/* Has `image` (the compiler of kind s->kind) compile s in the name of `who` (shared). *ret_bytes (made) is what it made: bytes of a stranger. NR_EINVAL with
 * what the compiler said; others with a sentence. */
int compile_run(struct fnmanager *m, struct account *who, const char *image,
                const struct compile_source *s, char **ret_bytes, size_t *ret_n,
                struct nr_err *err);

#endif
