/* The results of compilers that the versions of an account name, if they are there. Blocking; any thread.
 */
#ifndef NR_FNMANAGER_COMPILE_NAMES_H
#define NR_FNMANAGER_COMPILE_NAMES_H

#include "fnmanager/compile/compiled.h"

struct fnmanager;

struct compile_name {
    char key[COMPILED_KEY_BYTES];
    char *package, *name; /* of the version; made */
    int64_t number;       /* 0: LATEST */
    uint64_t revision;
};

/* By key: versions that share a result stand together. */
struct compile_names {
    struct compile_name *list; /* made */
    size_t n, cap;
};

/* Begun here, to be ended by compile_names_fini(), also when it fails. */
int compile_names_load(struct fnmanager *m, struct nr_str account, struct compile_names *ret);
/* `arg`: struct compile_names. */
bool compile_names_has(const void *arg, const char *key);
void compile_names_fini(struct compile_names *l);

#endif
