/* The places of compilers that run: at most COMPILES_MAX together, COMPILES_OF_ACCOUNT_MAX of one account. Who deploys is refused when there is none;
 * who resolves a call waits for one, a few of them on their threads, so that an account cannot take all threads that may wait; further ones
 * are told to ask again. Blocking; threads that may wait.
 */
#ifndef NR_FNMANAGER_COMPILE_PLACES_H
#define NR_FNMANAGER_COMPILE_PLACES_H

#include <pthread.h>
#include <stdbool.h>

#include "common/base/err.h"
#include "common/base/str.h"

enum {
    COMPILES_MAX = 8,
    COMPILES_OF_ACCOUNT_MAX = 2,
    COMPILE_WAITERS_MAX = 2,
    COMPILE_WAIT_MS = 60000
};

/* Whose compilers run now. */
struct compiling {
    pthread_mutex_t lock;
    pthread_cond_t left;
    char *account[COMPILES_MAX]; /* made; NULL: free */
    int waiting;                 /* threads */
};

void compile_init(struct compiling *c);
void compile_fini(struct compiling *c);

/* Takes a place for `account` (lent); its number, to be given to compile_leave(). `waits`: until there is one, at most COMPILE_WAIT_MS, or
 * NR_EBUSY then and when others wait already; else NR_EQUOTA at once. */
int compile_enter(struct compiling *c, struct nr_str account, bool waits, struct nr_err *err);
void compile_leave(struct compiling *c, int place);

#endif
