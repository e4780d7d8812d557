/* An account leaves: every host forgets what it has of it. Hosts that are up are waited for; one that is away owes it, on disk, and is told when it joins, before any
 * new call: until it has done so it gets no call of an account of that name.
 */
#include "controller/fleet.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

struct fleet_leaving {
    struct nr_link link; /* in f->leaving */
    struct invokers *fleet;
    void (*done)(void *arg);
    void *arg;
    unsigned pending;
};

static void one_done(void *arg)
{
    struct fleet_leaving *l = arg;

    if (--l->pending > 0 || l->fleet->closing)
        return;
    void (*done)(void *) = l->done;
    void *done_arg = l->arg;

    nr_list_del(&l->link);
    free(l);
    done(done_arg);
}

/* ---- debts -------------------------------------------------------------------------------------------------------- */

static struct fleet_debt *find(const struct fleet_host *h, const char *account)
{
    for (struct nr_link *l = h->debts.next; l != &h->debts; l = l->next) {
        struct fleet_debt *d = nr_container_of(l, struct fleet_debt, link);

        if (strcmp(d->account, account) == 0)
            return d;
    }
    return NULL;
}

bool fleet_owes(const struct fleet_host *h, const char *account)
{
    return !nr_list_empty(&h->debts) && find(h, account) != NULL;
}

struct fleet_debt *fleet_owe(struct fleet_host *h, const char *account)
{
    struct fleet_debt *d = find(h, account);

    if (d)
        return d;
    d = nr_alloc(sizeof(*d));
    d->host = h;
    d->account = nr_strdup(account);
    nr_list_add(&h->debts, &d->link);
    return d;
}

static void free_debt(struct fleet_debt *d)
{
    struct fleet_leaving *waits = d->waits;

    nr_list_del(&d->link);
    free(d->account);
    free(d);
    if (waits)
        one_done(waits);
}

static void write_debt(struct fleet_debt *d, enum fleet_row row,
                       void (*done)(struct fleet_write *w, int status), void *arg)
{
    struct fleet_write w = {.row = row, .account = nr_strdup(d->account), .done = done, .arg = arg};

    memcpy(w.name, d->host->name, sizeof(w.name));
    fleet_write(d->host->fleet, &w);
}

static void on_owed(struct fleet_write *w, int status)
{
    (void)status; /* refused by the disk: it holds until the next start at least */
    if (w->arg)
        one_done(w->arg);
}

/* It holds over a restart from when it is written on; who waits, waits for that. */
static void store(struct fleet_debt *d)
{
    struct fleet_leaving *waits = d->waits;

    d->waits = NULL;
    if (d->stored) {
        if (waits)
            one_done(waits);
        return;
    }
    d->stored = true;
    write_debt(d, FLEET_OWE, on_owed, waits);
}

static void on_paid(void *arg)
{
    struct fleet_debt *d = arg;
    struct invokers *f = d->host->fleet;

    if (d->host->far ==
        NULL) { /* its far side was ended: nothing is paid, it is told when the host comes back */
        d->told = false;
        if (!f->closing)
            store(d);
        return;
    }
    if (d->stored && !f->closing)
        write_debt(d, FLEET_PAID, NULL, NULL);
    free_debt(d);
    fleet_retry(f);
}

static void tell(struct fleet_debt *d)
{
    if (d->told)
        return;
    d->told = true; /* its far side tells it again after each break of the link */
    far_forget_account(d->host->far, d->account, on_paid, d);
}

void fleet_tell_debts(struct fleet_host *h)
{
    NR_LIST_EACH(&h->debts, l)
        tell(nr_container_of(l, struct fleet_debt, link));
}

void fleet_release_debts(struct fleet_host *h)
{
    if (h->fleet->closing)
        return;
    NR_LIST_EACH(&h->debts, l)
        store(nr_container_of(l, struct fleet_debt, link));
}

void fleet_drop_debts(struct fleet_host *h)
{
    struct nr_link *l;

    while ((l = nr_list_pop(&h->debts)) != NULL)
        free_debt(nr_container_of(l, struct fleet_debt, link));
}

/* ---- an account --------------------------------------------------------------------------------------------------- */

static void leave_host(struct fleet_leaving *l, struct fleet_host *h, const char *account)
{
    struct fleet_debt *d = fleet_owe(h, account);

    l->pending++;
    if (d->waits) /* it left before, came again and leaves again: one answer is for both */
        one_done(d->waits);
    d->waits = l;
    if (h->far == NULL || !far_is_up(h->far))
        store(d);
    if (h->far)
        tell(d);
}

void invokers_forget_account(struct invokers *f, const char *account, void (*done)(void *arg),
                             void *arg)
{
    struct fleet_leaving *l;

    if (f->config.listen == NULL) {
        invoker_forget_account(f->local, account, done, arg);
        return;
    }
    l = nr_alloc(sizeof(*l));
    *l = (struct fleet_leaving){.fleet = f, .done = done, .arg = arg, .pending = 1};
    nr_list_add(&f->leaving, &l->link);
    fleet_wish_forget_account(f, account);
    if (f->local) {
        l->pending++;
        invoker_forget_account(f->local, account, one_done, l);
    }
    for (size_t i = 0; i < f->host_count; i++)
        leave_host(l, f->hosts[i], account);
    one_done(l);
}

void fleet_leaving_fini(struct invokers *f)
{
    struct nr_link *l;

    while ((l = nr_list_pop(&f->leaving)) != NULL)
        free(nr_container_of(l, struct fleet_leaving, link));
}
