/* The places of compilers that run: at most COMPILES_MAX together, and COMPILES_OF_ACCOUNT_MAX of one account, so that one cannot hold them all. When
 * there is none, COMPILE_WAITERS_MAX wait on their threads for one, further ones are told to ask again; a deploy above its account's own share is
 * refused at once. All of them together are at most half of the threads that may wait (handler.h): the others are for registries. What is under way is
 * counted here too. Blocking; threads that may wait.
 */
#ifndef NR_FNMANAGER_COMPILE_PLACES_H
#define NR_FNMANAGER_COMPILE_PLACES_H

#include <pthread.h>
#include <stdbool.h>

#include "common/base/err.h"
#include "common/base/map.h"
#include "common/base/metric.h"
#include "common/base/str.h"

enum {
    COMPILES_MAX = 3,
    COMPILES_OF_ACCOUNT_MAX = 2,
    COMPILE_WAITERS_MAX = 1,
    COMPILE_WAIT_MS = 60000
};

/* Whose compilers run now. */
struct compiling {
    pthread_mutex_t lock;
    pthread_cond_t left;
    char *account[COMPILES_MAX]; /* made; NULL: free */
    int waiting;                 /* threads */
    pthread_mutex_t keeping;     /* what an account has is measured, or grows */
    struct nr_map
        whole; /* results whose hash was right in this run: compile_known.c; under `lock` */
    nr_counter runs, lost, damaged;
};

void compile_init(struct compiling *c);
void compile_fini(struct compiling *c);

/* Takes a place for `account` (lent); its number, to be given to compile_leave(). Waits until there is one, at most COMPILE_WAIT_MS: NR_EBUSY then, and
 * when others wait already. A deploy (not `called`) of an account that has its share is NR_EQUOTA at once. */
int compile_enter(struct compiling *c, struct nr_str account, bool called, struct nr_err *err);
void compile_leave(struct compiling *c, int place);

#endif
