/* One run of a compiler, in a container. Blocking; a thread that may wait.
 */
#ifndef NR_FNMANAGER_COMPILE_RUN_H
#define NR_FNMANAGER_COMPILE_RUN_H

#include "fnmanager/compile/compiled.h"

struct account;
struct fnmanager;

/* Of what a compiler says about a source that it does not take: so much, in whole lines, is for the developer. */
enum { COMPILE_SAID_MAX_BYTES = 4096 };

/* Has `image` (the compiler of kind s->kind) compile s in the name of `who` (shared). *ret_bytes (made) is what it made: bytes of a stranger. NR_EINVAL with
 * what the compiler said, as far as it has room, and all of it in *said (unless NULL; begun here, to be ended by the caller); others with a sentence. */
int compile_run(struct fnmanager *m, struct account *who, const char *image,
                const struct compile_source *s, char **ret_bytes, size_t *ret_n,
                struct nr_buf *said, struct nr_err *err);

#endif
