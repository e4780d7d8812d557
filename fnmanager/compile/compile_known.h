/* Which results of compilers were hashed in this run of the process, and were whole. Any thread.
 */
#ifndef NR_FNMANAGER_COMPILE_KNOWN_H
#define NR_FNMANAGER_COMPILE_KNOWN_H

#include "fnmanager/compile/compile_places.h"

/* Was it found whole? `key`: of the result (compiled.h), lent. */
bool compile_is_known(struct compiling *c, const char *key);
/* It was. Of more than some ten thousand some are forgotten, and hashed once more then. */
void compile_know(struct compiling *c, const char *key);
/* It is not any more. */
void compile_unknow(struct compiling *c, const char *key);
void compile_known_fini(struct compiling *c);

#endif
