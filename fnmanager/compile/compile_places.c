/* A lock, the names of those who are in, and a condition that is signalled whenever one leaves. */
#include "fnmanager/compile/compile_places.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"

void compile_init(struct compiling *c)
{
    (void)pthread_mutex_init(&c->lock, NULL);
    nr_mono_cond_init(&c->left);
}

void compile_fini(struct compiling *c)
{
    (void)pthread_cond_destroy(&c->left);
    (void)pthread_mutex_destroy(&c->lock);
}

/* A place that is free for the account; negative: none. *ret_own: how many it has. */
static int find(const struct compiling *c, struct nr_str account, int *ret_own)
{
    int at = -1;

    *ret_own = 0;
    for (int i = 0; i < COMPILES_MAX; i++) {
        if (c->account[i] == NULL)
            at = i;
        else
            *ret_own += nr_str_eqz(account, c->account[i]);
    }
    return *ret_own < COMPILES_OF_ACCOUNT_MAX ? at : -1;
}

static int refuse(bool waits, int own, struct nr_err *err)
{
    if (waits)
        return nr_err_set(
            err, NR_EBUSY,
            "The function has to be compiled before it can run, and other compilations are under way. Try again when they have ended.");
    return nr_err_set(
        err, NR_EQUOTA,
        "The account has %d compilations under way; at most %d are allowed. Try again when they have ended.",
        own, COMPILES_OF_ACCOUNT_MAX);
}

int compile_enter(struct compiling *c, struct nr_str account, bool waits, struct nr_err *err)
{
    int own, at;

    pthread_mutex_lock(&c->lock);
    if ((at = find(c, account, &own)) < 0 && waits && c->waiting < COMPILE_WAITERS_MAX) {
        const struct timespec until = nr_mono_after(COMPILE_WAIT_MS);
        int r = 0;

        c->waiting++;
        while ((at = find(c, account, &own)) < 0 && r == 0)
            r = pthread_cond_timedwait(&c->left, &c->lock, &until);
        c->waiting--;
    }
    if (at >= 0)
        c->account[at] = nr_strndup(account.p, account.n);
    pthread_mutex_unlock(&c->lock);
    return at >= 0 ? at : refuse(waits, own, err);
}

void compile_leave(struct compiling *c, int place)
{
    pthread_mutex_lock(&c->lock);
    free(c->account[place]);
    c->account[place] = NULL;
    pthread_cond_broadcast(&c->left);
    pthread_mutex_unlock(&c->lock);
}
