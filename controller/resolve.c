/* Resolve: from (account, package, name) to an immutable snapshot. A hit is a look-up; a miss asks the function manager once, and
 * every call that came meanwhile waits for that one answer.
 *
 * A change arrives as resolve_forget() before its 2xx leaves, so the next call asks again. A change while a question is under way
 * makes its answer stale: it is asked again. The cache keeps at most ENTRIES_MAX functions, the least recently used one goes.
 */
#include "controller/internal.h"

#include <stdio.h>

#define ENTRIES_MAX 8192

static const struct {
    int code;
    const char *text;
} state_refusals[] = {
    [FN_BLOCKED] = {NR_EBLOCKED, "The action is blocked."},
    [FN_RETIRED] = {NR_EGONE, "The action is retired."},
};

static void entry_free(struct controller *c, struct resolve_entry *e)
{
    (void)nr_map_del(&c->functions, e->node.key);
    nr_list_del(&e->lru);
    function_unref(e->fn);
    account_unref(e->account);
    nr_buf_fini(&e->call.reply);
    free(e->key);
    free(e);
}

static void take(struct activation *a, struct function *fn)
{
    size_t state = fn->state;

    a->fn = function_ref(fn);
    if (state < nr_countof(state_refusals) && state_refusals[state].text)
        activation_fail(a, state_refusals[state].code, "%s", state_refusals[state].text);
}

/* The function manager answered: everybody who waits goes on, in the order in which they came. */
static void on_resolved(struct fn_call *call)
{
    struct resolve_entry *e = call->owner;
    struct controller *c = e->ctl;
    struct nr_link waiting, *l;

    if (e->stale && !c->stopping) {
        e->stale = false;
        function_unref(call->fn);
        call->fn = NULL;
        call->err.code = 0;
        call->err.text[0] = '\0';
        fnmanager_post(c->fnmanager, call);
        return;
    }
    e->fn = call->fn;
    nr_list_init(&waiting);
    while ((l = nr_list_pop(&e->waiting)))
        nr_list_add(&waiting, l);
    struct nr_err err = call->err;
    struct function *fn = e->fn ? function_ref(e->fn) : NULL;
    if (fn == NULL)
        entry_free(c, e);
    while ((l = nr_list_pop(&waiting))) {
        struct activation *a = nr_container_of(l, struct activation, queue);

        if (fn)
            take(a, fn);
        else
            activation_fail(a, err.code ? err.code : NR_EINTERNAL, "%s", err.text);
        a->c = C_ADMIT;
        controller_tick(a);
    }
    function_unref(fn);
}

static struct resolve_entry *ask(struct controller *c, struct activation *a, struct nr_str key)
{
    struct resolve_entry *e = nr_try_alloc(sizeof(*e));

    if (e == NULL)
        return NULL;
    e->key = nr_strndup(key.p, key.n);
    e->node.key = (struct nr_str){e->key, key.n};
    e->ctl = c;
    e->account = account_ref(a->account);
    nr_list_init(&e->waiting);
    (void)nr_map_put(&c->functions, &e->node);
    nr_list_push(&c->lru, &e->lru);
    size_t account_n = strlen(a->account->name) + 1;
    e->call = (struct fn_call){.op = FN_RESOLVE,
                               .account = e->account,
                               .package = {e->key + account_n, a->package.n},
                               .name = {e->key + account_n + a->package.n + 1, a->name.n},
                               .loop = c->loop,
                               .done = on_resolved,
                               .owner = e};
    fnmanager_post(c->fnmanager, &e->call);
    return e;
}

static void make_room(struct controller *c)
{
    NR_LIST_EACH(&c->lru, l) {
        struct resolve_entry *e = nr_container_of(c->lru.prev, struct resolve_entry, lru);

        (void)l;
        if (c->functions.count < ENTRIES_MAX || e->fn == NULL)
            return;
        entry_free(c, e);
    }
}

/* "account/package/name" in `key`, cut at its end; the length it should have. */
static size_t key_of(const struct activation *a, char *key, size_t key_bytes)
{
    const struct nr_str parts[] = {nr_str_of(a->account->name), NR_STR("/"), a->package,
                                   NR_STR("/"), a->name};
    size_t n = 0;

    for (size_t i = 0; i < nr_countof(parts); n += parts[i++].n)
        if (parts[i].n > 0 && n + parts[i].n <= key_bytes)
            memcpy(key + n, parts[i].p, parts[i].n);
    return n;
}

int resolve_function(struct controller *c, struct activation *a)
{
    char key[1024];
    size_t n = key_of(a, key, sizeof(key));

    if (n >= sizeof(key)) {
        activation_fail(a, NR_EINVAL, "The name of the action is too long: %zu bytes, at most %zu.",
                        n, sizeof(key) - 1);
        return 0;
    }
    struct nr_str k = {key, n};
    struct nr_map_node *node = nr_map_get(&c->functions, k);
    struct resolve_entry *e = node ? nr_container_of(node, struct resolve_entry, node) : NULL;

    if (e && e->fn) {
        nr_list_del(&e->lru);
        nr_list_push(&c->lru, &e->lru);
        take(a, e->fn);
        return 0;
    }
    if (e == NULL) {
        make_room(c);
        e = ask(c, a, k);
    }
    if (e == NULL) {
        activation_fail(a, NR_ENOMEM, "No memory to look the action up; try again.");
        return 0;
    }
    nr_list_add(&e->waiting, &a->queue);
    return 1;
}

void resolve_forget(struct controller *c, const char *account, const char *package,
                    const char *name)
{
    char key[1024];
    int n = snprintf(key, sizeof(key), "%s/%s/%s", account, package, name);
    struct nr_map_node *node = n > 0 && (size_t)n < sizeof(key)
                                   ? nr_map_get(&c->functions, (struct nr_str){key, (size_t)n})
                                   : NULL;

    if (node == NULL)
        return;
    struct resolve_entry *e = nr_container_of(node, struct resolve_entry, node);
    if (e->fn == NULL)
        e->stale = true;
    else
        entry_free(c, e);
}

void resolve_fini(struct controller *c)
{
    while (!nr_list_empty(&c->lru))
        entry_free(c, nr_container_of(c->lru.next, struct resolve_entry, lru));
    nr_map_fini(&c->functions);
}
