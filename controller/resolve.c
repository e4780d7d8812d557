/* Resolve: from (account, package, name) and what was asked for (LATEST, a published version, an alias) to an immutable snapshot. A
 * hit is a look-up; a miss asks the function manager once, and every call that came meanwhile waits for that one answer.
 *
 * One entry per function holds what was asked for so far: LATEST in the entry itself, versions and aliases as cells in a list, the
 * last used one first. An alias is a cell of weights: the version of a call is chosen by its id, so the same id gives the same
 * version, and then looked up as if it had been named. Who waited is ticked and looks again from the beginning.
 *
 * A change arrives as resolve_forget() before its 2xx leaves: the whole entry goes, so versions and aliases are never of different
 * times. A change while a question is under way makes its answer stale: nobody gets it, and all who wait ask again.
 *
 * A version that may not run (BLOCKED, RETIRED) is a snapshot like any other, so its refusals cost no question either. The cache
 * keeps at most CELLS_MAX snapshots and aliases, FUNCTION_CELLS_MAX of one function beside LATEST; the least recently used ones go.
 */
#include "controller/internal.h"

#include <stdio.h>

#include "common/base/clock.h"

#define CELLS_MAX 8192
#define FUNCTION_CELLS_MAX 64

struct resolve_entry;

/* A question under way; made with it, freed at its answer. */
struct question {
    struct fn_call call;
    struct resolve_cell *cell;
    struct account *account;
    struct nr_link waiting; /* activations, by their `queue` link */
    bool stale;             /* changed since it was asked */
};

/* What is known of one version, or of one alias. Neither fn nor split: nothing yet. */
struct resolve_cell {
    struct nr_link link; /* in `others`; LATEST's is in no list */
    struct resolve_entry *entry;
    struct nr_str alias; /* n == 0: a version */
    int64_t number;
    struct function *fn; /* shared */
    struct alias_split *split;
    struct question *question;
};

struct resolve_entry {
    struct nr_map_node node;
    struct nr_link lru;
    struct controller *ctl;
    struct resolve_cell latest;
    struct nr_link others;
    unsigned other_count;
    char key[]; /* "account/package/name" */
};

static const struct {
    int code;
    const char *text;
} state_refusals[] = {
    [FN_BLOCKED] = {NR_EBLOCKED, "The function is blocked"},
    [FN_RETIRED] = {NR_EGONE, "The function is retired"},
};

/* ---- the cache ---- */

static void question_free(struct question *q)
{
    if (q == NULL)
        return;
    account_unref(q->account);
    function_unref(q->call.fn);
    nr_buf_fini(&q->call.reply);
    free(q);
}

static void cell_clear(struct resolve_cell *cell)
{
    function_unref(cell->fn);
    cell->fn = NULL;
    free(cell->split);
    cell->split = NULL;
}

static void cell_free(struct resolve_cell *cell)
{
    struct resolve_entry *e = cell->entry;

    cell_clear(cell);
    question_free(cell->question);
    nr_list_del(&cell->link);
    e->other_count--;
    e->ctl->cells--;
    free(cell);
}

static void entry_free(struct resolve_entry *e)
{
    struct controller *c = e->ctl;

    NR_LIST_EACH(&e->others, l)
        cell_free(nr_container_of(l, struct resolve_cell, link));
    cell_clear(&e->latest);
    question_free(e->latest.question);
    (void)nr_map_del(&c->functions, e->node.key);
    nr_list_del(&e->lru);
    c->cells--;
    free(e);
}

/* Nobody waits for any of its cells. */
static bool entry_is_quiet(const struct resolve_entry *e)
{
    if (e->latest.question)
        return false;
    for (struct nr_link *l = e->others.next; l != &e->others; l = l->next)
        if (nr_container_of(l, struct resolve_cell, link)->question)
            return false;
    return true;
}

static void make_room(struct controller *c)
{
    NR_LIST_EACH(&c->lru, l) {
        struct resolve_entry *e = nr_container_of(c->lru.prev, struct resolve_entry, lru);

        (void)l;
        if (c->cells < CELLS_MAX || !entry_is_quiet(e))
            return;
        entry_free(e);
    }
}

static struct resolve_entry *entry_make(struct controller *c, struct nr_str key)
{
    make_room(c);
    struct resolve_entry *e = nr_try_alloc(sizeof(*e) + key.n + 1);

    if (e == NULL)
        return NULL;
    memcpy(e->key, key.p, key.n);
    e->node.key = (struct nr_str){e->key, key.n};
    e->ctl = c;
    e->latest.entry = e;
    nr_list_init(&e->others);
    (void)nr_map_put(&c->functions, &e->node);
    nr_list_push(&c->lru, &e->lru);
    c->cells++;
    return e;
}

static struct resolve_entry *entry_find(const struct controller *c, struct nr_str key)
{
    struct nr_map_node *node = nr_map_get(&c->functions, key);

    return node ? nr_container_of(node, struct resolve_entry, node) : NULL;
}

/* The cell of one version or alias, the last used one first; NULL: nobody asked for it yet. */
static struct resolve_cell *cell_find(struct resolve_entry *e, struct nr_str alias, int64_t number)
{
    if (alias.n == 0 && number == 0)
        return &e->latest;
    NR_LIST_EACH(&e->others, l) {
        struct resolve_cell *cell = nr_container_of(l, struct resolve_cell, link);

        if (cell->alias.n != alias.n ||
            (alias.n ? !nr_str_eq(cell->alias, alias) : cell->number != number))
            continue;
        nr_list_del(l);
        nr_list_push(&e->others, l);
        return cell;
    }
    return NULL;
}

/* NULL: no memory, or so many are being looked up that none can go. */
static struct resolve_cell *cell_make(struct resolve_entry *e, struct nr_str alias, int64_t number)
{
    struct resolve_cell *last = nr_container_of(e->others.prev, struct resolve_cell, link);

    if (e->other_count >= FUNCTION_CELLS_MAX && last->question)
        return NULL;
    struct resolve_cell *cell = nr_try_alloc(sizeof(*cell) + alias.n);

    if (cell == NULL)
        return NULL;
    if (e->other_count >= FUNCTION_CELLS_MAX)
        cell_free(last);
    *cell = (struct resolve_cell){
        .entry = e, .alias = {alias.n ? (char *)(cell + 1) : NULL, alias.n}, .number = number};
    if (alias.n)
        memcpy(cell + 1, alias.p, alias.n);
    nr_list_push(&e->others, &cell->link);
    e->other_count++;
    e->ctl->cells++;
    return cell;
}

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
    struct question *q = call->owner;
    struct resolve_cell *cell = q->cell;
    struct resolve_entry *e = cell->entry;
    bool stale = q->stale && !e->ctl->stopping;
    struct nr_link *l;

    cell->question = NULL;
    if (call->err.code == 0 && !stale) {
        cell_know(cell, call);
    } else if (cell != &e->latest) {
        cell_free(cell);
    }
    if (e->latest.fn == NULL && nr_list_empty(&e->others) && entry_is_quiet(e))
        entry_free(e);
    while ((l = nr_list_pop(&q->waiting))) {
        struct activation *a = nr_container_of(l, struct activation, queue);

        if (call->err.code != 0 && !stale)
            activation_fail(a, call->err.code, "%s", call->err.text);
        controller_tick(a);
    }
    question_free(q);
}

/* The names of an entry's key, as they were asked for. */
static int ask(struct resolve_cell *cell, const struct activation *a)
{
    struct resolve_entry *e = cell->entry;
    struct question *q = nr_try_alloc(sizeof(*q));
    size_t account_n = strlen(a->account->name) + 1;

    if (q == NULL)
        return NR_ENOMEM;
    q->cell = cell;
    q->account = account_ref(a->account);
    nr_list_init(&q->waiting);
    q->call = (struct fn_call){.op = cell->alias.n ? FN_RESOLVE_ALIAS : FN_RESOLVE,
                               .account = q->account,
                               .package = {e->key + account_n, a->package.n},
                               .name = {e->key + account_n + a->package.n + 1, a->name.n},
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
static int wait_for(struct controller *c, struct activation *a, struct nr_str key,
                    struct nr_str alias, int64_t number)
{
    struct resolve_entry *e = entry_find(c, key);
    struct resolve_cell *cell = NULL;

    if (e == NULL)
        e = entry_make(c, key);
    if (e)
        cell = cell_find(e, alias, number);
    if (e && cell == NULL)
        cell = cell_make(e, alias, number);
    if (cell && (cell->question || ask(cell, a) == 0)) {
        nr_list_add(&cell->question->waiting, &a->queue);
        return 1;
    }
    nr_buf_adds(&a->reply_head, "Retry-After: 1\r\n");
    activation_fail(a, NR_ENOMEM, "The function cannot be looked up just now; try again.");
    return 0;
}

/* ---- from what is known ---- */

static void take(struct activation *a, struct function *fn)
{
    size_t state = fn->state;

    a->fn = function_ref(fn);
    if (state < nr_countof(state_refusals) && state_refusals[state].text)
        activation_fail(a, state_refusals[state].code, "%s%s%s", state_refusals[state].text,
                        fn->reason[0] ? ": " : ".", fn->reason);
}

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
    char bytes[1024];
    struct nr_str key = {bytes, key_of(a, bytes, sizeof(bytes))}, none = {NULL, 0};
    int64_t number = a->number;

    if (key.n >= sizeof(bytes)) {
        activation_fail(a, NR_EINVAL, "The name of the action is too long: %zu bytes, at most %zu.",
                        key.n, sizeof(bytes) - 1);
        return 0;
    }
    struct resolve_entry *e = entry_find(c, key);

    if (a->alias.n && number == 0) { /* a reloaded row tells the version that was chosen */
        const struct resolve_cell *alias = e ? cell_find(e, a->alias, 0) : NULL;

        if (alias == NULL || alias->split == NULL)
            return wait_for(c, a, key, a->alias, 0);
        if (a->id[0] == '\0')
            nr_new_id(nr_wall_ms(), c->number, a->id);
        number = resolve_choose(alias->split, a->id);
    }
    const struct resolve_cell *cell = e ? cell_find(e, none, number) : NULL;

    if (cell == NULL || cell->fn == NULL)
        return wait_for(c, a, key, none, number);
    nr_list_del(&e->lru);
    nr_list_push(&c->lru, &e->lru);
    take(a, cell->fn);
    return 0;
}

/* ---- forgetting ---- */

void resolve_forget(struct controller *c, const char *account, const char *package,
                    const char *name)
{
    char key[1024];
    int n = snprintf(key, sizeof(key), "%s/%s/%s", account, package, name);
    struct resolve_entry *e =
        n > 0 && (size_t)n < sizeof(key) ? entry_find(c, (struct nr_str){key, (size_t)n}) : NULL;

    if (e == NULL)
        return;
    NR_LIST_EACH(&e->others, l) {
        struct resolve_cell *cell = nr_container_of(l, struct resolve_cell, link);

        if (cell->question)
            cell->question->stale = true;
        else
            cell_free(cell);
    }
    cell_clear(&e->latest);
    if (e->latest.question)
        e->latest.question->stale = true;
    else if (nr_list_empty(&e->others))
        entry_free(e);
}

void resolve_fini(struct controller *c)
{
    while (!nr_list_empty(&c->lru))
        entry_free(nr_container_of(c->lru.next, struct resolve_entry, lru));
    nr_map_fini(&c->functions);
}
