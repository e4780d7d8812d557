/* The invoker's two maps: pools by revision, and what is remembered of a function's name over all its revisions. A pool lives while it
 * has containers, waiting calls or a wish; a name's past stays, up to a bound.
 */
#include "invoker/ahead.h"
#include "invoker/internal.h"

static struct nr_str key_of(const uint64_t *revision)
{
    return (struct nr_str){(const char *)revision, sizeof(*revision)};
}

enum { PASTS_MAX = 10000 };

static void past_free(struct invoker *v, struct past *past)
{
    (void)nr_map_del(&v->pasts, past->node.key);
    nr_list_del(&past->used);
    nr_list_del(&past->pressing);
    free(past->name);
    free(past);
}

bool past_is_of(const struct past *past, const char *account)
{
    size_t n = strlen(account);

    return strncmp(past->name, account, n) == 0 && past->name[n] == '/';
}

struct leaver {
    struct invoker *v;
    const char *account; /* NULL: all */
};

static bool leaves(struct nr_map_node *n, void *arg)
{
    const struct leaver *l = arg;

    return l->account == NULL || past_is_of(nr_container_of(n, struct past, node), l->account);
}

static void past_gone(struct nr_map_node *n, void *arg)
{
    const struct leaver *l = arg;

    past_free(l->v, nr_container_of(n, struct past, node));
}

void pool_forget_pasts(struct invoker *v, const char *account)
{
    struct leaver l = {v, account};

    (void)nr_map_drain(&v->pasts, leaves, past_gone, &l);
}

/* Names that nothing is known of but that they once ran. */
static void trim_pasts(struct invoker *v)
{
    struct nr_map_node *n = NULL;
    size_t at = 0;

    if (v->pasts.count < PASTS_MAX)
        return;
    while ((n = nr_map_next(&v->pasts, &at, n)) != NULL) {
        struct past *past = nr_container_of(n, struct past, node);

        if (past->pools == 0 && past->desired < 0 && past->maximum < 0 && past->keep_alive_ms < 0 &&
            !past->ahead_only) {
            past_free(v, past);
            return;
        }
    }
}

struct past *pool_past_of(struct invoker *v, const char *account, const char *package,
                          const char *name)
{
    struct nr_buf key;

    nr_buf_init(&key, 4096);
    nr_buf_printf(&key, "%s/%s/%s", account, package, name);
    struct nr_map_node *n = key.failed ? NULL : nr_map_get(&v->pasts, nr_buf_str(&key));

    if (n == NULL) {
        struct past *past = nr_alloc(sizeof(*past));

        trim_pasts(v);
        *past =
            (struct past){.desired = -1, .maximum = -1, .keep_alive_ms = -1, .last_end = ENDED_NOT};
        past->name = nr_strndup(key.p ? key.p : "", key.n);
        past->node.key = nr_str_of(past->name);
        (void)nr_map_put(&v->pasts, &past->node);
        n = &past->node;
    }
    nr_buf_fini(&key);
    return nr_container_of(n, struct past, node);
}

struct pool *pool_find(struct invoker *v, uint64_t revision)
{
    struct nr_map_node *n = nr_map_get(&v->pools, key_of(&revision));

    return n ? nr_container_of(n, struct pool, node) : NULL;
}

static bool was_forgotten(const struct invoker *v, uint64_t revision)
{
    for (size_t i = 0; i < FORGOTTEN_MAX; i++)
        if (revision != 0 && v->forgotten[i] == revision)
            return true;
    return false;
}

struct pool *pool_of(struct invoker *v, struct function *f)
{
    struct pool *p = pool_find(v, f->revision);

    if (p)
        return p;
    p = nr_alloc(sizeof(*p));

    *p = (struct pool){.revision = f->revision, .v = v, .fn = function_ref(f)};
    p->past = pool_past_of(v, f->account, f->package, f->name);
    p->past->pools++;
    p->stale = was_forgotten(v, f->revision) || (!f->trial && was_forgotten(v, f->stored));
    pool_queue_init(&p->waiting);
    nr_list_init(&p->free);
    nr_list_init(&p->containers);
    p->node.key = key_of(&p->revision);
    (void)nr_map_put(&v->pools, &p->node);
    return p;
}

static void pool_free(struct pool *p)
{
    (void)nr_map_del(&p->v->pools, p->node.key);
    nr_list_del(&p->hungry);
    p->past->pools--;
    free(p->failure);
    function_unref(p->fn);
    free(p);
}

void pool_drop_if_empty(struct pool *p)
{
    if (p->container_count == 0 && p->waiting_count == 0 && !p->feeding &&
        (p->stale || p->past->desired <= 0))
        pool_free(p);
}

static void pool_gone(struct nr_map_node *n, void *arg)
{
    (void)arg;
    pool_free(nr_container_of(n, struct pool, node));
}

void pool_fini(struct invoker *v)
{
    (void)nr_map_drain(&v->pools, NULL, pool_gone, NULL);
    pool_forget_pasts(v, NULL);
    nr_map_fini(&v->pools);
    nr_map_fini(&v->pasts);
}
