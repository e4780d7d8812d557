/* A lock, the names of those who are in, and a condition that is signalled whenever one leaves. */
#include "fnmanager/compile/compile_places.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "fnmanager/compile/compile_known.h"

void compile_init(struct compiling *c)
{
    (void)pthread_mutex_init(&c->lock, NULL);
    (void)pthread_mutex_init(&c->keeping, NULL);
    nr_mono_cond_init(&c->left);
    nr_map_init(&c->whole);
}

void compile_fini(struct compiling *c)
{
    compile_known_fini(c);
    (void)pthread_cond_destroy(&c->left);
    (void)pthread_mutex_destroy(&c->keeping);
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

static int refuse(bool called, int own, struct nr_err *err)
{
    if (!called && own >= COMPILES_OF_ACCOUNT_MAX)
        return nr_err_set(
            err, NR_EQUOTA,
            "The account has %d compilations under way; at most %d are allowed. Try again when they have ended.",
            own, COMPILES_OF_ACCOUNT_MAX);
    return nr_err_set(
        err, NR_EBUSY,
        "%s, and other compilations are under way: at most %d at once, %d of one account. Try again when they have ended.",
        called ? "The function has to be compiled before it can run"
               : "The code has to be compiled",
        COMPILES_MAX, COMPILES_OF_ACCOUNT_MAX);
}

int compile_enter(struct compiling *c, struct nr_str account, bool called, struct nr_err *err)
{
    int own, at;

    pthread_mutex_lock(&c->lock);
    at = find(c, account, &own);
    bool waits = at < 0 && (called || own < COMPILES_OF_ACCOUNT_MAX);

    if (waits && c->waiting < COMPILE_WAITERS_MAX) {
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
    return at >= 0 ? at : refuse(called, own, err);
}

void compile_leave(struct compiling *c, int place)
{
    pthread_mutex_lock(&c->lock);
    free(c->account[place]);
    c->account[place] = NULL;
    pthread_cond_broadcast(&c->left);
    pthread_mutex_unlock(&c->lock);
}
