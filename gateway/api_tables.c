/* A table that is known is given at once. Else the function manager is asked, once for all who come meanwhile. When the APIs change before its
 * answer is here that answer may be of before the change: it is dropped, and asked for again. The least recently used tables go when
 * there are too many.
 */
#include "gateway/api_tables.h"

#include "common/base/list.h"
#include "common/base/map.h"

#define TABLES_MAX 1024

struct api_entry {
    struct nr_map_node node;
    struct nr_link lru;
    struct api_tables *tables;
    struct api_table *table; /* shared; NULL: not known */
    struct api_mark *marks;  /* made */
    struct nr_link waiting;
    bool asks, stale;        /* stale: changed since it was asked */
    struct account *account; /* shared, while it asks */
    struct fn_call call;
    char name[]; /* the account's */
};

struct api_tables {
    struct nr_map by_account;
    struct nr_link lru; /* front is the most recent */
    struct fnmanager *manager;
    struct nr_loop *loop;
};

struct api_tables *api_tables_make(struct fnmanager *m, struct nr_loop *loop)
{
    struct api_tables *t = nr_alloc(sizeof(*t));

    nr_map_init(&t->by_account);
    nr_list_init(&t->lru);
    t->manager = m;
    t->loop = loop;
    return t;
}

static void entry_free(struct api_entry *e)
{
    (void)nr_map_del(&e->tables->by_account, e->node.key);
    nr_list_del(&e->lru);
    api_table_unref(e->table);
    free(e->marks);
    free(e);
}

void api_tables_free(struct api_tables *t)
{
    if (t == NULL)
        return;
    while (!nr_list_empty(&t->lru))
        entry_free(nr_container_of(t->lru.next, struct api_entry, lru));
    nr_map_fini(&t->by_account);
    free(t);
}

static void ask(struct api_entry *e);

uint64_t api_word_mark(struct nr_str word, unsigned at)
{
    uint64_t h = (nr_hash(word) + at) * 0x9e3779b97f4a7c15u;

    return h ^ h >> 29;
}

static void add_marks(struct api_mark *m, const char *path)
{
    struct nr_str rest = nr_str_of(path), word;

    while (nr_str_split(&rest, '/', &word)) {
        if (word.n == 0)
            continue;
        if (m->words < API_WORDS_MAX && word.p[0] == '{')
            m->braces |= 1ull << m->words;
        else
            m->exact += api_word_mark(word, m->words);
        m->words++;
    }
}

static struct api_mark *make_marks(const struct api_table *t)
{
    struct api_mark *all = nr_try_alloc((t->count + 1) * sizeof(*all));

    for (size_t i = 0; all != NULL && i < t->count; i++) {
        add_marks(&all[i], t->routes[i].base_path);
        add_marks(&all[i], t->routes[i].path);
    }
    return all;
}

/* Nothing that `done` does frees the entry at once. */
static void give(const struct api_entry *e, struct api_waiter *w, const struct nr_err *err)
{
    if (e->table != NULL)
        w->table = api_table_ref(e->table);
    else
        w->err = *err;
    w->marks = e->marks;
    w->done(w);
}

static void on_answer(struct fn_call *call)
{
    struct api_entry *e = call->owner;
    struct nr_link waiting;
    struct nr_err err = call->err;
    struct api_table *table = call->apis;

    nr_buf_fini(&call->reply);
    if (e->stale && err.code == 0) {
        api_table_unref(table);
        ask(e);
        return;
    }
    e->asks = false;
    account_unref(e->account);
    e->account = NULL;
    e->marks = table != NULL ? make_marks(table) : NULL;
    if (table != NULL && e->marks == NULL) {
        api_table_unref(table);
        table = NULL;
        (void)nr_err_set(&err, NR_ENOMEM, "out of memory");
    }
    e->table = table;
    nr_list_init(&waiting);
    while (!nr_list_empty(&e->waiting))
        nr_list_push(&waiting, nr_list_pop(&e->waiting));
    while (!nr_list_empty(&waiting))
        give(e, nr_container_of(nr_list_pop(&waiting), struct api_waiter, link), &err);
}

static void ask(struct api_entry *e)
{
    e->asks = true;
    e->stale = false;
    e->call = (struct fn_call){.op = FN_API_RESOLVE,
                               .account = e->account,
                               .name = nr_str_of(e->name),
                               .loop = e->tables->loop,
                               .done = on_answer,
                               .owner = e};
    fnmanager_post(e->tables->manager, &e->call);
}

/* One that nobody waits for. */
static void make_room(struct api_tables *t)
{
    for (struct nr_link *l = t->lru.prev; l != &t->lru; l = l->prev) {
        struct api_entry *e = nr_container_of(l, struct api_entry, lru);

        if (!e->asks) {
            entry_free(e);
            return;
        }
    }
}

static struct api_entry *entry_of(struct api_tables *t, const struct account *account)
{
    struct nr_str name = nr_str_of(account->name);
    struct nr_map_node *node = nr_map_get(&t->by_account, name);
    struct api_entry *e;

    if (node != NULL) {
        e = nr_container_of(node, struct api_entry, node);
        nr_list_del(&e->lru);
    } else {
        if (t->by_account.count >= TABLES_MAX)
            make_room(t);
        e = nr_alloc(sizeof(*e) + name.n + 1);
        memcpy(e->name, name.p, name.n + 1);
        e->tables = t;
        e->node.key = nr_str_of(e->name);
        nr_list_init(&e->waiting);
        (void)nr_map_put(&t->by_account, &e->node);
    }
    nr_list_add(&t->lru, &e->lru);
    return e;
}

void api_tables_get(struct api_tables *t, struct account *account, struct api_waiter *w)
{
    struct api_entry *e = entry_of(t, account);

    if (e->table != NULL) {
        give(e, w, NULL);
        return;
    }
    nr_list_push(&e->waiting, &w->link);
    if (e->asks)
        return;
    e->account = account_ref(account);
    ask(e);
}

void api_tables_forget(struct api_tables *t, const char *account)
{
    struct nr_map_node *node = nr_map_get(&t->by_account, nr_str_of(account));
    struct api_entry *e = node != NULL ? nr_container_of(node, struct api_entry, node) : NULL;

    if (e == NULL)
        return;
    e->stale = true;
    if (!e->asks)
        entry_free(e);
}
