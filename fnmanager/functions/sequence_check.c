/* A walk through what a sequence runs, depth first: each component is looked up, a sequence among them is gone into, and the versions on the way
 * from the top are remembered. One that stands there already is a circle; what is no sequence is counted.
 *
 * The caller needs a right on what his sequence names. What the sequences in it name is their owners' matter: it is counted where it can be
 * seen, and what is gone is found out by the call. Aliases may be moved and packages bound anew afterwards, so a call counts again.
 */
#include "fnmanager/functions/sequence_check.h"

#include "common/base/mem.h"
#include "fnmanager/registry/metadata_versions.h"
#include "fnmanager/functions/place.h"
#include "fnmanager/functions/sequence.h"

/* Sequences in sequences, at most; and rows that one check reads: an alias leads to several versions, each of which may name aliases. */
#define DEPTH_MAX SEQUENCE_MAX
#define READS_MAX (8 * SEQUENCE_MAX)

/* A version on the way from the top; texts lent by the caller's frames. */
struct step_at {
    struct fn_key key;
    int64_t number;
    const struct step_at *above;
    int depth;
};

struct walk {
    struct fnmanager *m;
    int functions, reads;
    struct nr_err *err;
};

static int too_many(struct walk *w)
{
    return nr_err_set(w->err, NR_EINVAL, "Too many actions in the sequence.");
}

static bool same(const struct step_at *a, const struct step_at *b)
{
    return a->number == b->number && nr_str_eq(a->key.account, b->key.account) &&
           nr_str_eq(a->key.package, b->key.package) && nr_str_eq(a->key.name, b->key.name);
}

static int go_into(struct walk *w, const char *components, struct nr_str caller,
                   const struct step_at *at);

static int one_more(struct walk *w)
{
    return ++w->functions > SEQUENCE_MAX ? too_many(w) : 0;
}

static int gone(struct walk *w)
{
    return nr_err_set(w->err, NR_EINVAL, "Sequence component does not exist.");
}

/* One version of a component. */
static int visit(struct walk *w, const struct step_at *at)
{
    nr_auto_free char *components = NULL;
    int r;

    for (const struct step_at *p = at->above; p != NULL; p = p->above) {
        if (same(p, at))
            return nr_err_set(w->err, NR_EINVAL, "Sequence may not refer to itself.");
    }
    if (++w->reads > READS_MAX || at->depth > DEPTH_MAX)
        return too_many(w);
    r = metadata_components(w->m->db, at->key, at->number, &components);
    if (r == NR_ENOENT && at->depth == 1)
        return gone(w);
    if (r < 0 && r != NR_ENOENT)
        return nr_err_set(w->err, r, TEXT_INTERNAL);
    if (r == 0 && components[0] != '\0')
        return go_into(w, components, at->key.account, at);
    return one_more(w);
}

/* Whichever version an alias chooses, the sequence must be good with it: the longest counts. */
static int visit_alias(struct walk *w, struct step_at *at, const char *alias)
{
    const int before = w->functions;
    struct alias_split split;
    int r = metadata_alias(w->m->db, at->key, nr_str_of(alias), &split), longest = 0;

    if (r == NR_ENOENT) {
        at->number = INT64_MAX; /* no function has it */
        return visit(w, at);
    }
    if (r < 0)
        return nr_err_set(w->err, r, TEXT_INTERNAL);
    for (size_t i = 0; r == 0 && i < split.n; i++) {
        w->functions = before;
        at->number = split.part[i].version;
        r = visit(w, at);
        if (w->functions > longest)
            longest = w->functions;
    }
    w->functions = longest;
    return r;
}

static int visit_component(struct walk *w, const struct function_target *t, struct nr_str caller,
                           const struct step_at *above)
{
    const struct place_names names = {caller, nr_str_of(t->account), nr_str_of(t->package),
                                      nr_str_of(t->name)};
    struct nr_err why = {0};
    struct place place;
    int r = place_find(w->m, names, &place, &why);

    if (r == 0) {
        struct step_at at = {place.key, t->number, above, above->depth + 1};
        r = t->alias[0] != '\0' ? visit_alias(w, &at, t->alias) : visit(w, &at);
    } else if (above->depth > 0) {
        r = one_more(w); /* its owner's matter */
    } else if (r == NR_ENOENT || r == NR_EEXIST) {
        r = gone(w);
    } else {
        (void)nr_err_set(w->err, r, "%s", why.text);
    }
    place_fini(&place);
    return r;
}

static int go_into(struct walk *w, const char *components, struct nr_str caller,
                   const struct step_at *at)
{
    struct sequence s;
    int r = sequence_load(components, &s, w->err);

    for (size_t i = 0; r == 0 && i < s.count; i++)
        r = visit_component(w, &s.step[i], caller, at);
    sequence_fini(&s);
    return r;
}

int sequence_check(struct fnmanager *m, struct fn_key key, const char *components,
                   struct nr_err *err)
{
    struct walk w = {.m = m, .err = err};
    const struct step_at top = {.key = key};

    return go_into(&w, components, key.account, &top);
}
