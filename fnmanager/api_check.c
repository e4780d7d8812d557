/* A function is looked up once for all routes that stand one behind the other, and its code is not touched: only its names are asked for. Who is not
 * judged here is refused by each request. An API may be made before its functions are: that is a warning, and only the first is told.
 */
#include "fnmanager/api_check.h"

#include "fnmanager/functions/place.h"
#include "fnmanager/functions/snapshot.h"
#include "ports/final.h"

#define LOOKED_UP_MAX 32

struct check {
    struct fnmanager *m;
    struct nr_str caller;
    const struct function_target *of; /* lent: whose function it is; NULL: none was looked up */
    struct function *fn;              /* shared; NULL: it is not there, or not judged */
    unsigned looked_up;
    struct nr_err *warning; /* lent; may be NULL */
};

static bool same_target(const struct function_target *a, const struct function_target *b)
{
    return a->number == b->number && strcmp(a->name, b->name) == 0 &&
           strcmp(a->package, b->package) == 0 && strcmp(a->account, b->account) == 0;
}

static void look_up(struct check *c, const struct function_target *t)
{
    const struct place_names names = {
        nr_str_of(t->account), {NULL, 0}, nr_str_of(t->package), nr_str_of(t->name)};
    struct fn_row row = {0};
    struct place place;

    c->of = t;
    c->looked_up++;
    function_unref(c->fn);
    c->fn = NULL;
    if (place_find(c->m, names, &place, NULL) == 0 &&
        metadata_load_version(c->m->db, place.key, t->number, &row) == 0)
        (void)snapshot_make(c->m, &place, &row, &c->fn, NULL);
    fn_row_fini(&row);
    place_fini(&place);
    if (c->fn && c->fn->web.access == WEB_CLOSED && !nr_str_eqz(c->caller, t->account)) {
        function_unref(c->fn);
        c->fn = NULL;
    }
}

static int judge(const struct api_route *r, const struct function *fn, struct nr_err *err)
{
    const struct final_names final = final_names_of(fn->final_names);
    struct nr_str rest = nr_str_of(r->path), word;

    while (nr_str_split(&rest, '/', &word)) {
        struct nr_str name = {word.p + 1, word.n - 2};

        if (word.n > 2 && word.p[0] == '{' && final_names_have(&final, name))
            return nr_err_set(err, NR_EINVAL,
                              "The parameter '%.*s' defined in path '%.256s' is not allowed: the "
                              "action '%.256s' keeps the value that it has bound (annotation "
                              "'final').",
                              (int)name.n, name.p, r->path, r->action.name);
    }
    return 0;
}

/* Another's function that is not for the world is as one that is not there. */
static void warn(struct check *c, const struct api_route *r)
{
    const struct function_target *t = &r->action;

    if (c->warning == NULL || c->warning->code != 0 ||
        (c->fn != NULL && c->fn->web.access != WEB_CLOSED))
        return;
    (void)nr_err_set(
        c->warning, NR_ENOENT,
        "The action '/%.128s/%.128s%s%.128s' %s: requests for it are answered by 404 until it is.",
        t->account, t->package, t->package[0] ? "/" : "", t->name,
        c->fn != NULL ? "is no web action (web-export: true)"
                      : "is not there, or is no web action of its owner");
}

static int check_route(struct check *c, const struct api_route *r, struct nr_err *err)
{
    if (r->action.alias[0] != '\0')
        return 0;
    if (c->of == NULL || !same_target(c->of, &r->action)) {
        if (c->looked_up == LOOKED_UP_MAX)
            return 0;
        look_up(c, &r->action);
        warn(c, r);
    }
    return c->fn != NULL ? judge(r, c->fn, err) : 0;
}

int api_check(struct fnmanager *m, struct nr_str caller, const struct api_order *o,
              struct nr_err *warning, struct nr_err *err)
{
    struct check c = {.m = m, .caller = caller, .warning = warning};
    int r = o->swagger == NULL ? check_route(&c, &o->route, err) : 0;

    for (size_t i = 0; r == 0 && o->swagger != NULL && i < o->routes.n; i++)
        r = check_route(&c, &o->routes.list[i], err);
    function_unref(c.fn);
    return r;
}
