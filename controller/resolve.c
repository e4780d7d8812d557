/* Resolve: from who calls, names and what was asked for (LATEST, a published version, an alias) to an immutable snapshot. A hit is a
 * look-up; a miss asks the function manager once, and every call that came meanwhile waits for that one answer.
 *
 * The version of a call by an alias is chosen by its id, so the same id gives the same version, and then looked up as if it had been
 * named. Who waited is ticked and looks again from the beginning. The same names are another entry for each caller (resolve_cache.h): a
 * shared function runs in the name of who calls it.
 *
 * A version that may not run (BLOCKED, RETIRED) is a snapshot like any other, so its refusals cost no question either.
 */
#include "controller/resolve_cache.h"

#include "common/base/clock.h"

static const struct {
    int code;
    const char *text;
} state_refusals[] = {
    [FN_BLOCKED] = {NR_EBLOCKED, "The function is blocked"},
    [FN_RETIRED] = {NR_EGONE, "The function is retired"},
};

/* ---- asking ---- */

static void cell_know(struct resolve_cell *cell, struct fn_call *call)
{
    if (cell->alias.n) {
        cell->split = nr_alloc(sizeof(*cell->split));
        *cell->split = call->split;
    }
    cell->fn = call->fn;
    call->fn = NULL;
}

/* The function manager answered: it is known now, and everybody who waits looks again, in the order in which they came. */
static void on_resolved(struct fn_call *call)
{
    struct resolve_question *q = call->owner;
    struct resolve_cell *cell = q->cell;
    struct resolve_entry *e = cell->entry;
    bool stale = q->stale && !e->ctl->stopping;
    struct nr_link *l;

    cell->question = NULL;
    if (call->err.code == 0 && !stale)
        cell_know(cell, call);
    else
        resolve_cell_drop(cell);
    resolve_entry_drop_empty(e);
    while ((l = nr_list_pop(&q->waiting))) {
        struct activation *a = nr_container_of(l, struct activation, queue);

        if (call->err.code != 0 && !stale)
            activation_fail(a, call->err.code, "%s", call->err.text);
        a->on_step(a);
    }
    resolve_question_free(q);
}

/* Asks with the names of the entry. */
static int ask(struct resolve_cell *cell, const struct activation *a)
{
    const struct resolve_entry *e = cell->entry;
    struct resolve_question *q = nr_try_alloc(sizeof(*q));
    bool own = nr_str_eq(e->names.caller, e->names.space);

    if (q == NULL)
        return NR_ENOMEM;
    q->cell = cell;
    q->account = account_ref(a->account);
    nr_list_init(&q->waiting);
    q->call = (struct fn_call){.op = cell->alias.n ? FN_RESOLVE_ALIAS : FN_RESOLVE,
                               .account = q->account,
                               .space = own ? (struct nr_str){NULL, 0} : e->names.space,
                               .package = e->names.package,
                               .name = e->names.name,
                               .number = cell->number,
                               .item = cell->alias,
                               .loop = e->ctl->loop,
                               .done = on_resolved,
                               .owner = q};
    cell->question = q;
    fnmanager_post(e->ctl->fnmanager, &q->call);
    return 0;
}

/* a waits for what is asked; it comes back here from the beginning. */
static int wait_for(struct controller *c, struct activation *a, struct resolve_entry *e,
                    struct nr_str alias, int64_t number)
{
    const struct resolve_names names = resolve_names_of(a);
    struct resolve_cell *cell = NULL;

    if (e == NULL)
        e = resolve_entry_make(c, &names);
    if (e)
        cell = resolve_cell_find(e, alias, number);
    if (e && cell == NULL)
        cell = resolve_cell_make(e, alias, number);
    if (cell && (cell->question || ask(cell, a) == 0)) {
        nr_list_add(&cell->question->waiting, &a->queue);
        return 1;
    }
    if (e)
        resolve_entry_drop_empty(e);
    nr_buf_adds(&a->reply_head, "Retry-After: 1\r\n");
    activation_fail(a, NR_ENOMEM, "The function cannot be looked up just now; try again.");
    return 0;
}

/* ---- from what is known ---- */

/* A number from 0 to 99, the same for the same id (FNV-1a, its bits mixed). */
static int hundredth(const char *id)
{
    uint64_t h = 14695981039346656037u;

    while (*id)
        h = (h ^ (unsigned char)*id++) * 1099511628211u;
    h ^= h >> 32;
    h *= 0x9e3779b97f4a7c15u;
    return (int)((h >> 32) % 100);
}

int64_t resolve_choose(const struct alias_split *split, const char *id)
{
    int at = hundredth(id);

    for (size_t i = 0; i < split->n; i++)
        if ((at -= split->part[i].weight) < 0)
            return split->part[i].version;
    return split->part[split->n - 1].version;
}

/* 0: *ret (lent) is it, or a failed; 1: later. `alias_version` chooses the version of an alias. */
static int look_up(struct controller *c, struct activation *a,
                   int64_t (*alias_version)(struct activation *a, const struct alias_split *s),
                   struct function **ret)
{
    const struct resolve_names names = resolve_names_of(a);
    char bytes[RESOLVE_KEY_BYTES];
    struct nr_str key = resolve_key(&names, bytes), none = {NULL, 0};
    int64_t number = a->number;

    if (key.p == NULL) {
        activation_fail(a, NR_EINVAL,
                        "The names of the account, the package and the action are too long.");
        return 0;
    }
    struct resolve_entry *e = resolve_entry_find(c, key);

    if (a->alias.n && number == 0) { /* a reloaded row tells the version that was chosen */
        const struct resolve_cell *alias = e ? resolve_cell_find(e, a->alias, 0) : NULL;

        if (alias == NULL || alias->split == NULL)
            return wait_for(c, a, e, a->alias, 0);
        number = alias_version(a, alias->split);
    }
    const struct resolve_cell *cell = e ? resolve_cell_find(e, none, number) : NULL;

    if (cell == NULL || cell->fn == NULL)
        return wait_for(c, a, e, none, number);
    resolve_entry_used(e);
    *ret = cell->fn;
    return 0;
}

static int64_t version_by_id(struct activation *a, const struct alias_split *split)
{
    if (a->id[0] == '\0')
        nr_new_id(nr_wall_ms(), a->ctl->number, a->id);
    return resolve_choose(split, a->id);
}

int resolve_function(struct controller *c, struct activation *a)
{
    struct function *fn = NULL;

    if (look_up(c, a, version_by_id, &fn) == 1)
        return 1;
    if (fn == NULL)
        return 0;
    size_t state = fn->state;

    a->fn = function_ref(fn);
    if (state < nr_countof(state_refusals) && state_refusals[state].text)
        activation_fail(a, state_refusals[state].code, "%s%s%s", state_refusals[state].text,
                        fn->reason[0] ? ": " : ".", fn->reason);
    return 0;
}

/* ---- questions for a function that is not called ---- */

static int64_t first_version(struct activation *a, const struct alias_split *split)
{
    (void)a;
    return split->part[0].version;
}

static void on_find(struct activation *a)
{
    struct controller *c = a->ctl;
    struct function_query *q = a->owner;
    struct function *fn = NULL;

    if (a->err == 0 && look_up(c, a, first_version, &fn) == 1)
        return;
    q->fn = fn ? function_ref(fn) : NULL;
    q->err = a->error;
    q->a = NULL;
    nr_list_del(&a->in_account);
    activation_unref(a);
    c->running--;
    q->done(q);
    controller_left(c);
}

void controller_find(struct controller *c, struct function_query *q)
{
    struct activation *a = activation_pool_take(c->pool);

    q->fn = NULL;
    q->err = (struct nr_err){0};
    if (a == NULL) {
        nr_err_set(&q->err, NR_ENOMEM, "The function cannot be looked up just now; try again.");
        q->done(q);
        return;
    }
    q->a = a;
    a->ctl = c;
    a->account = account_ref(q->account);
    a->space = q->space;
    a->package = q->package;
    a->name = q->name;
    a->number = q->number;
    a->alias = q->alias;
    a->owner = q;
    a->on_step = on_find;
    nr_list_add(&c->all, &a->in_account); /* an account leaves when this is answered */
    c->running++;
    on_find(a);
}
