/* Which version of which function is meant by a name, and may it run: the file's hash is checked before anybody may. */
#include "fnmanager/functions/resolve.h"

#include "fnmanager/compile/compile.h"
#include "fnmanager/functions/lifecycle.h"
#include "fnmanager/registry/metadata_aliases.h"
#include "fnmanager/registry/metadata_names.h"
#include "fnmanager/functions/snapshot.h"

/* No such version of a function: which of the two is missing? */
static int refuse_unknown(struct fnmanager *m, struct fn_key key, struct nr_err *err,
                          const char *what, struct nr_str which)
{
    struct fn_row row = {0};
    int r = metadata_load(m->db, key, &row);

    fn_row_fini(&row);
    if (r == NR_ENOENT)
        return nr_err_set(err, r, TEXT_NOT_FOUND);
    if (r < 0)
        return nr_err_set(err, r, TEXT_INTERNAL);
    return nr_err_set(err, NR_ENOENT, "The function has no %s %.*s.", what, (int)which.n, which.p);
}

static int load(struct fnmanager *m, struct fn_key key, int64_t number, struct fn_row *row,
                struct nr_err *err)
{
    int r = metadata_load_version(m->db, key, number, row);
    char text[24];

    if (r == NR_ENOENT && number != 0) {
        (void)snprintf(text, sizeof(text), "%lld", (long long)number);
        return refuse_unknown(m, key, err, "version", nr_str_of(text));
    }
    if (r == NR_ENOENT)
        return name_missing_key(m->db, key, NAME_OF_FUNCTION, err);
    return r < 0 ? nr_err_set(err, r, TEXT_INTERNAL) : 0;
}

/* What runs is what the compiler has made, where there is one. `who` NULL: it is not made here. */
static int make_runnable(struct fnmanager *m, struct account *who, struct nr_str account,
                         const struct fn_row *row, struct function *f, struct nr_err *err)
{
    int r;

    if (lifecycle_may_run(row->state, NULL) != 0 || compile_apply(m, account, row, f) == 0)
        return 0;
    if (who == NULL)
        return HANDLER_LATER;
    r = compile_row(m, who, account, row, err);
    return r == 0 ? compile_apply(m, account, row, f) : r;
}

int function_resolve_names(struct fnmanager *m, struct place_names names, int64_t number,
                           struct account *who, struct function **ret, struct nr_err *err)
{
    struct function *f = NULL;
    struct fn_row row = {0};
    struct place place;
    int r = place_find(m, names, &place, err);

    if (r == 0)
        r = load(m, place.key, number, &row, err);
    if (r == 0 && lifecycle_may_run(row.state, NULL) == 0)
        r = storage_verify(&m->storage, &row, err);
    if (r == 0)
        r = snapshot_make(m, &place, &row, &f, err);
    if (r == 0)
        r = make_runnable(m, who, place.key.account, &row, f, err);
    if (r == 0)
        *ret = f;
    else
        function_unref(f);
    fn_row_fini(&row);
    place_fini(&place);
    return r;
}

int function_resolve(struct fnmanager *m, struct fn_key key, int64_t number, struct function **ret,
                     struct nr_err *err)
{
    int r = function_resolve_names(m, place_names_own(key), number, NULL, ret, err);

    return r != HANDLER_LATER
               ? r
               : nr_err_set(err, NR_EUNAVAIL, "The function is not compiled yet: call it once.");
}

int alias_resolve(struct fnmanager *m, struct place_names names, struct nr_str alias,
                  struct alias_split *ret, struct nr_err *err)
{
    struct place place;
    int r = place_find(m, names, &place, err);

    if (r == 0 && (r = metadata_alias(m->db, place.key, alias, ret)) == NR_ENOENT)
        r = refuse_unknown(m, place.key, err, "alias", alias);
    else if (r < 0)
        r = nr_err_set(err, r, TEXT_INTERNAL);
    place_fini(&place);
    return r;
}

struct function *fnmanager_function(struct fnmanager *m, const struct function_names *names)
{
    const struct place_names asked = {nr_str_of(names->account), nr_str_of(names->space),
                                      nr_str_of(names->package), nr_str_of(names->name)};
    struct function *f = NULL;

    if (function_resolve_names(m, asked, names->number, NULL, &f, NULL) == 0 &&
        lifecycle_may_run(f->state, NULL) == 0)
        return f;
    function_unref(f);
    return NULL;
}
