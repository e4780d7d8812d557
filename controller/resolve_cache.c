/* Entries and cells: finding, making, room, forgetting.
 *
 * A change is forgotten before its 2xx leaves, as a whole: versions and aliases with LATEST. A change while a question is under way makes
 * its answer stale: nobody gets it, and all who wait ask again. What is forgotten:
 *
 *   a function in no package    its one entry: nobody else can call it
 *   a function in a package     every entry with its names, whoever calls, and every one whose code it is (called through a binding)
 *   a package or a binding      every entry with its names, and every one whose code is in it
 *   an account, as it is        every entry of its calls, and every one whose code is its own; when it leaves, after the last of its calls
 *
 * An entry of the same kind of which no code is known yet is forgotten too. Containers of revisions that were derived from the changed one
 * (function.h) end with it.
 *
 * At most CELLS_MAX snapshots and aliases are kept, FUNCTION_CELLS_MAX of one entry beside LATEST; the least recently used ones go.
 */
#include "controller/resolve_cache.h"

#define CELLS_MAX 8192
#define FUNCTION_CELLS_MAX 64

/* ---- keys ---- */

struct resolve_names resolve_names_of(const struct activation *a)
{
    const struct nr_str caller = nr_str_of(a->account->name);

    return (struct resolve_names){caller, a->space.n ? a->space : caller, a->package, a->name};
}

struct nr_str resolve_key(const struct resolve_names *names, char bytes[static RESOLVE_KEY_BYTES])
{
    const struct nr_str parts[] = {names->caller, names->space, names->package, names->name};
    size_t n = 0;

    for (size_t i = 0; i < nr_countof(parts); i++) {
        if (n + parts[i].n + 1 >= RESOLVE_KEY_BYTES)
            return (struct nr_str){NULL, 0};
        if (i > 0)
            bytes[n++] = '/';
        if (parts[i].n > 0)
            memcpy(bytes + n, parts[i].p, parts[i].n);
        n += parts[i].n;
    }
    return (struct nr_str){bytes, n};
}

/* The same names, as parts of the entry's own key. */
static struct resolve_names own_names(const struct resolve_entry *e, const struct resolve_names *n)
{
    const char *at = e->key;
    struct resolve_names own;

    own.caller = (struct nr_str){at, n->caller.n};
    at += n->caller.n + 1;
    own.space = (struct nr_str){at, n->space.n};
    at += n->space.n + 1;
    own.package = (struct nr_str){at, n->package.n};
    own.name = (struct nr_str){at + n->package.n + 1, n->name.n};
    return own;
}

/* ---- entries and cells ---- */

void resolve_question_free(struct resolve_question *q)
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

void resolve_cell_drop(struct resolve_cell *cell)
{
    struct resolve_entry *e = cell->entry;

    cell_clear(cell);
    resolve_question_free(cell->question);
    cell->question = NULL;
    if (cell == &e->latest)
        return;
    nr_list_del(&cell->link);
    e->other_count--;
    e->ctl->cells--;
    free(cell);
}

static void entry_free(struct resolve_entry *e)
{
    struct controller *c = e->ctl;

    NR_LIST_EACH(&e->others, l)
        resolve_cell_drop(nr_container_of(l, struct resolve_cell, link));
    resolve_cell_drop(&e->latest);
    (void)nr_map_del(&c->functions, e->node.key);
    nr_list_del(&e->lru);
    nr_list_del(&e->packaged);
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

void resolve_entry_drop_empty(struct resolve_entry *e)
{
    if (e->latest.fn == NULL && nr_list_empty(&e->others) && entry_is_quiet(e))
        entry_free(e);
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

struct resolve_entry *resolve_entry_make(struct controller *c, const struct resolve_names *names)
{
    char bytes[RESOLVE_KEY_BYTES];
    const struct nr_str key = resolve_key(names, bytes);

    make_room(c);
    struct resolve_entry *e = key.p ? nr_try_alloc(sizeof(*e) + key.n + 1) : NULL;

    if (e == NULL)
        return NULL;
    memcpy(e->key, key.p, key.n);
    e->node.key = (struct nr_str){e->key, key.n};
    e->names = own_names(e, names);
    e->ctl = c;
    e->latest.entry = e;
    nr_list_init(&e->others);
    (void)nr_map_put(&c->functions, &e->node);
    nr_list_push(&c->lru, &e->lru);
    if (names->package.n)
        nr_list_push(&c->packaged, &e->packaged);
    c->cells++;
    return e;
}

struct resolve_entry *resolve_entry_find(const struct controller *c, struct nr_str key)
{
    struct nr_map_node *node = nr_map_get(&c->functions, key);

    return node ? nr_container_of(node, struct resolve_entry, node) : NULL;
}

void resolve_entry_used(struct resolve_entry *e)
{
    nr_list_del(&e->lru);
    nr_list_push(&e->ctl->lru, &e->lru);
}

struct resolve_cell *resolve_cell_find(struct resolve_entry *e, struct nr_str alias, int64_t number)
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

struct resolve_cell *resolve_cell_make(struct resolve_entry *e, struct nr_str alias, int64_t number)
{
    struct resolve_cell *last = nr_container_of(e->others.prev, struct resolve_cell, link);

    if (e->other_count >= FUNCTION_CELLS_MAX && last->question)
        return NULL;
    struct resolve_cell *cell = nr_try_alloc(sizeof(*cell) + alias.n);

    if (cell == NULL)
        return NULL;
    if (e->other_count >= FUNCTION_CELLS_MAX)
        resolve_cell_drop(last);
    *cell = (struct resolve_cell){
        .entry = e, .alias = {alias.n ? (char *)(cell + 1) : NULL, alias.n}, .number = number};
    if (alias.n)
        memcpy(cell + 1, alias.p, alias.n);
    nr_list_push(&e->others, &cell->link);
    e->other_count++;
    e->ctl->cells++;
    return cell;
}

/* ---- forgetting ---- */

/* What is derived of `stored` (0: of whatever is stored) is not run any more. */
static void forget_derived(const struct resolve_cell *cell, uint64_t stored)
{
    const struct function *f = cell->fn;

    if (f && f->revision != f->stored && (stored == 0 || f->stored == stored))
        invokers_forget(cell->entry->ctl->invokers, f->revision);
}

static void forget_cell(struct resolve_cell *cell)
{
    if (cell->question == NULL) {
        resolve_cell_drop(cell);
        return;
    }
    cell->question->stale = true;
    cell_clear(cell);
}

static void forget_entry(struct resolve_entry *e)
{
    NR_LIST_EACH(&e->others, l)
        forget_cell(nr_container_of(l, struct resolve_cell, link));
    forget_cell(&e->latest);
    resolve_entry_drop_empty(e);
}

static void forget_entry_derived(struct resolve_entry *e, uint64_t stored)
{
    NR_LIST_EACH(&e->others, l)
        forget_derived(nr_container_of(l, struct resolve_cell, link), stored);
    forget_derived(&e->latest, stored);
}

/* Whose code it is, "ns/package/name"; NULL: not known. All of an entry are of the same function. */
static const char *code_of(const struct resolve_entry *e)
{
    if (e->latest.fn)
        return e->latest.fn->path;
    for (struct nr_link *l = e->others.next; l != &e->others; l = l->next) {
        const struct resolve_cell *cell = nr_container_of(l, struct resolve_cell, link);

        if (cell->fn)
            return cell->fn->path;
    }
    return NULL;
}

/* Is it of the function, or, without a name, of the package? `path` is "account/package/name" or "account/package/". */
static bool is_of(const struct resolve_entry *e, const struct resolve_names *n, struct nr_str path)
{
    const char *code = code_of(e);

    if (n->name.n && !nr_str_eq(e->names.name, n->name))
        return false;
    if (nr_str_eq(e->names.space, n->space) && nr_str_eq(e->names.package, n->package))
        return true;
    return code == NULL ||
           (n->name.n ? nr_str_eq(nr_str_of(code), path) : strncmp(code, path.p, path.n) == 0);
}

static void forget_packaged(struct controller *c, const struct resolve_names *names,
                            uint64_t stored, bool containers)
{
    char bytes[RESOLVE_KEY_BYTES];
    const struct nr_str key = resolve_key(names, bytes);
    const size_t caller_n = names->caller.n + 1;

    if (key.p == NULL)
        return;
    const struct nr_str path = {key.p + caller_n, key.n - caller_n};

    NR_LIST_EACH(&c->packaged, l) {
        struct resolve_entry *e = nr_container_of(l, struct resolve_entry, packaged);

        if (!is_of(e, names, path))
            continue;
        if (containers)
            forget_entry_derived(e, stored);
        forget_entry(e);
    }
}

void resolve_forget(struct controller *c, const char *account, const char *package,
                    const char *name, uint64_t old_revision, enum fn_change what)
{
    const struct nr_str owner = nr_str_of(account);
    const struct resolve_names names = {owner, owner, nr_str_of(package), nr_str_of(name)};
    char bytes[RESOLVE_KEY_BYTES];
    struct resolve_entry *e;

    if (names.package.n)
        forget_packaged(c, &names, what == FN_PACKAGE_CHANGED ? 0 : old_revision,
                        what == FN_PACKAGE_CHANGED || (old_revision && what != FN_KEPT));
    else if ((e = resolve_entry_find(c, resolve_key(&names, bytes))))
        forget_entry(e);
}

/* Through whichever binding it is called; also when its code is not known yet. */
static bool is_code_of(const struct resolve_entry *e, const char *account)
{
    const char *code = code_of(e);
    size_t n = strlen(account);

    return code == NULL || (strncmp(code, account, n) == 0 && code[n] == '/');
}

void resolve_forget_account(struct controller *c, const char *account)
{
    NR_LIST_EACH(&c->lru, l) {
        struct resolve_entry *e = nr_container_of(l, struct resolve_entry, lru);

        if (nr_str_eqz(e->names.caller, account) || nr_str_eqz(e->names.space, account) ||
            is_code_of(e, account))
            forget_entry(e);
    }
}

void resolve_fini(struct controller *c)
{
    while (!nr_list_empty(&c->lru))
        entry_free(nr_container_of(c->lru.next, struct resolve_entry, lru));
    nr_map_fini(&c->functions);
}
