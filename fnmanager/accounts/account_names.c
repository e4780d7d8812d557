/* One entry an account, its snapshot replaced whole: a reader takes a reference under the lock and is done. */
#include "fnmanager/accounts/account_names.h"

struct name_entry {
    struct nr_map_node node; /* its key is the name inside the snapshot */
    struct account *account; /* shared */
    uint64_t id;
};

static void free_entry(struct nr_map_node *node)
{
    struct name_entry *e;

    if (node == NULL)
        return;
    e = nr_container_of(node, struct name_entry, node);
    account_unref(e->account);
    free(e);
}

static void entry_gone(struct nr_map_node *node, void *arg)
{
    (void)arg;
    free_entry(node);
}

void account_names_init(struct account_names *n)
{
    nr_check(pthread_rwlock_init(&n->lock, NULL) == 0);
    nr_map_init(&n->by_name);
}

void account_names_fini(struct account_names *n)
{
    (void)nr_map_drain(&n->by_name, NULL, entry_gone, NULL);
    nr_map_fini(&n->by_name);
    pthread_rwlock_destroy(&n->lock);
}

void account_names_put(struct account_names *n, struct account *account, uint64_t id)
{
    struct name_entry *e = nr_alloc(sizeof(*e));
    struct nr_map_node *old;

    e->account = account;
    e->id = id;
    e->node.key = nr_str_of(account->name);
    pthread_rwlock_wrlock(&n->lock);
    old = nr_map_put(&n->by_name, &e->node);
    pthread_rwlock_unlock(&n->lock);
    free_entry(old);
}

void account_names_forget(struct account_names *n, struct nr_str name)
{
    struct nr_map_node *old;

    pthread_rwlock_wrlock(&n->lock);
    old = nr_map_del(&n->by_name, name);
    pthread_rwlock_unlock(&n->lock);
    free_entry(old);
}

bool account_names_look(struct account_names *n, struct nr_str name, uint64_t *ret_id)
{
    struct nr_map_node *node;
    bool active = false;

    *ret_id = 0;
    pthread_rwlock_rdlock(&n->lock);
    if ((node = nr_map_get(&n->by_name, name)) != NULL) {
        const struct name_entry *e = nr_container_of(node, struct name_entry, node);

        *ret_id = e->id;
        active = e->account->refused == NULL;
    }
    pthread_rwlock_unlock(&n->lock);
    return active;
}

int account_names_find(struct account_names *n, struct nr_str name, struct account **ret,
                       struct nr_err *err)
{
    struct account *account = NULL;
    struct nr_map_node *node;

    pthread_rwlock_rdlock(&n->lock);
    if ((node = nr_map_get(&n->by_name, name)) != NULL)
        account = account_ref(nr_container_of(node, struct name_entry, node)->account);
    pthread_rwlock_unlock(&n->lock);
    if (account == NULL)
        return nr_err_set(err, NR_ENOENT, "The requested resource does not exist.");
    if (account->refused != NULL) {
        (void)nr_err_set(err, NR_EAUTH, "%s", account->refused);
        account_unref(account);
        return NR_EAUTH;
    }
    *ret = account;
    return 0;
}
