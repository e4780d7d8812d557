/* What the invoker was told of functions: each revision once per link, before its first call. The oldest that has no call is released when there are more
 * than both ends want to keep; its containers stay, and it is told again when it is called again.
 *
 * An entry lives as long as it was told, has calls, or is in the invoker's last report: a report of a revision without an entry is of nothing that was ever
 * told, and is passed over.
 */
#include "invoker/far/far_state.h"
#include "invoker/far/snapshot.h"

/* ---- names ---- */

enum { NAME_BYTES = 1024 };

/* "account/package/name", in `key`. */
static struct nr_str name_key(char key[static NAME_BYTES], const char *account, const char *package,
                              const char *name)
{
    int n = snprintf(key, NAME_BYTES, "%s/%s/%s", account, package, name);

    return (struct nr_str){key, n < NAME_BYTES ? (size_t)n : NAME_BYTES - 1};
}

struct far_name *far_name_find(const struct far *f, const char *account, const char *package,
                               const char *name)
{
    char key[NAME_BYTES];
    struct nr_map_node *n =
        nr_map_get(&f->names, name_key(key, account, package ? package : "", name ? name : ""));

    return n ? nr_container_of(n, struct far_name, node) : NULL;
}

bool far_name_known(const struct far *f, const char *account, const char *package, const char *name)
{
    return far_name_find(f, account, package, name) != NULL;
}

static struct far_name *name_of(struct far *f, const struct function *fn)
{
    char key[NAME_BYTES];
    struct nr_str text = name_key(key, fn->account, fn->package, fn->name);
    struct nr_map_node *found = nr_map_get(&f->names, text);
    struct far_name *name;

    if (found) {
        name = nr_container_of(found, struct far_name, node);
    } else {
        name = nr_alloc(sizeof(*name));
        name->node.key = (struct nr_str){nr_strndup(text.p, text.n), text.n};
        (void)nr_map_put(&f->names, &name->node);
    }
    name->revisions++;
    return name;
}

static void name_let_go(struct far *f, struct far_name *name)
{
    union {
        const char *key;
        char *made;
    } text = {name->node.key.p};

    if (--name->revisions > 0)
        return;
    (void)nr_map_del(&f->names, name->node.key);
    free(text.made);
    free(name);
}

/* ---- entries ---- */

struct far_function *far_function_of(const struct far *f, uint64_t revision)
{
    struct nr_map_node *n =
        nr_map_get(&f->functions, (struct nr_str){(const char *)&revision, sizeof(revision)});

    return n ? nr_container_of(n, struct far_function, node) : NULL;
}

bool far_knows(const struct far *f, uint64_t revision)
{
    const struct far_function *e = f->link ? far_function_of(f, revision) : NULL;

    return e && nr_list_linked(&e->lru);
}

static struct far_function *make(struct far *f, struct function *fn)
{
    struct far_function *e = nr_alloc(sizeof(*e));

    e->revision = fn->revision;
    e->fn = function_ref(fn);
    e->name = name_of(f, fn);
    e->node.key = (struct nr_str){(const char *)&e->revision, sizeof(e->revision)};
    (void)nr_map_put(&f->functions, &e->node);
    return e;
}

static bool is_held(const struct far *f, const struct far_function *e)
{
    return e->calls > 0 || nr_list_linked(&e->lru) || e->forgotten ||
           (e->report != 0 && e->report + f->reporting >= f->report); /* the last whole one */
}

/* It is out of the map. */
static void free_entry(struct far *f, struct far_function *e)
{
    name_let_go(f, e->name);
    function_unref(e->fn);
    free(e);
}

void far_function_look(struct far *f, struct far_function *e)
{
    if (is_held(f, e))
        return;
    (void)nr_map_del(&f->functions, e->node.key);
    free_entry(f, e);
}

static bool is_dead(struct nr_map_node *n, void *arg)
{
    return !is_held(arg, nr_container_of(n, struct far_function, node));
}

static void entry_gone(struct nr_map_node *n, void *arg)
{
    free_entry(arg, nr_container_of(n, struct far_function, node));
}

/* All that nothing holds goes. */
static void sweep(struct far *f)
{
    (void)nr_map_drain(&f->functions, is_dead, entry_gone, f);
}

static void untell(struct far *f, struct far_function *e)
{
    if (!nr_list_linked(&e->lru))
        return;
    nr_list_del(&e->lru);
    f->told_count--;
}

/* ---- telling ---- */

static int send_function(struct far *f, const struct function *fn)
{
    struct nr_str bound = nr_str_of(fn->parameters), init = nr_str_of(fn->init_parameters);
    struct nr_buf meta;
    int r = NR_ETOOBIG;

    nr_buf_init(&meta, WIRE_META_MAX_BYTES);
    far_function_write(fn, &meta);
    if (!meta.failed && bound.n + init.n <= WIRE_PAYLOAD_MAX_BYTES - WIRE_META_MAX_BYTES) {
        wire_send_two(f->link->s, &(struct wire_head){.type = WIRE_FUNCTION, .call = fn->revision},
                      nr_buf_str(&meta), bound, init);
        r = 0;
    }
    nr_buf_fini(&meta);
    return r;
}

static void release_oldest(struct far *f)
{
    NR_LIST_EACH(&f->lru, it) {
        struct far_function *e = nr_container_of(it, struct far_function, lru);

        if (e->calls > 0)
            continue;
        far_send(f, WIRE_RELEASE, 0, e->revision);
        untell(f, e);
        far_function_look(f, e);
        return;
    }
}

int far_tell_function(struct far *f, struct function *fn, struct far_function **ret)
{
    struct far_function *e = far_function_of(f, fn->revision);

    if (e == NULL)
        e = make(f, fn);
    if (nr_list_linked(&e->lru)) {
        nr_list_del(&e->lru);
    } else {
        if (f->told_count >= WIRE_FUNCTIONS_MAX)
            release_oldest(f);
        int r = send_function(f, fn);

        if (r < 0) {
            far_function_look(f, e);
            return r;
        }
        f->told_count++;
    }
    nr_list_add(&f->lru, &e->lru);
    *ret = e;
    return 0;
}

void far_know(struct far *f, struct function *fn)
{
    struct far_function *e;

    if (f->link && far_is_roomy(f) && far_tell_function(f, fn, &e) == 0)
        far_send(f, WIRE_KNOW, 0, fn->revision);
}

void far_forget(struct far *f, uint64_t revision)
{
    struct far_function *e = far_function_of(f, revision);

    far_send(f, WIRE_FORGET, 0,
             revision); /* also of what we know nothing of: it may be left of an earlier link */
    if (e == NULL)
        return;
    e->forgotten = f->link == NULL;
    untell(f, e);
    far_function_look(f, e);
}

/* ---- links ---- */

void far_functions_joined(struct far *f, bool same_session)
{
    struct nr_map_node *n = NULL;
    size_t at = 0;

    f->report++; /* what was reported on an earlier link is of the past, but who was not started anew has it still: until his first whole report */
    while ((n = nr_map_next(&f->functions, &at, n)) != NULL) {
        struct far_function *e = nr_container_of(n, struct far_function, node);

        untell(f, e);
        e->load = (struct invoker_load){0};
        if (same_session && !e->forgotten)
            e->report = f->report;
        if (e->forgotten && same_session)
            far_send(f, WIRE_FORGET, 0, e->revision);
        e->forgotten = false;
    }
    sweep(f);
}

void far_functions_reported(struct far *f)
{
    struct nr_map_node *n = NULL;
    size_t at = 0;

    while ((n = nr_map_next(&f->functions, &at, n)) != NULL) {
        struct far_function *e = nr_container_of(n, struct far_function, node);

        if (e->report != f->report)
            e->load = (struct invoker_load){0};
    }
    sweep(f);
}

void far_functions_free(struct far *f)
{
    struct nr_map_node *n = NULL;
    size_t at = 0;

    f->report++;
    while ((n = nr_map_next(&f->functions, &at, n)) != NULL) {
        struct far_function *e = nr_container_of(n, struct far_function, node);

        untell(f, e);
        e->forgotten = false;
    }
    sweep(f);
}
