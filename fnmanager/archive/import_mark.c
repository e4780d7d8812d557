/* Two imports into one account would each find the other's functions half there. */
#include "fnmanager/archive/import_mark.h"

int import_begin(struct fnmanager *m, struct import_mark *mark, struct nr_err *err)
{
    bool busy = false;

    pthread_mutex_lock(&m->accounts.changing);
    for (struct nr_link *l = m->imports.next; l != &m->imports; l = l->next)
        busy |= nr_str_eq(nr_container_of(l, struct import_mark, link)->account, mark->account);
    if (!busy)
        nr_list_add(&m->imports, &mark->link);
    pthread_mutex_unlock(&m->accounts.changing);
    return busy
               ? nr_err_set(
                     err, NR_EQUOTA,
                     "An archive is being read into this account (allowed: 1 per account); try again after it.")
               : 0;
}

void import_end(struct fnmanager *m, struct import_mark *mark)
{
    pthread_mutex_lock(&m->accounts.changing);
    nr_list_del(&mark->link);
    pthread_mutex_unlock(&m->accounts.changing);
}
