/* Which version of which function is meant by a name, and may it run: the file's hash is checked before anybody may. */
#include "fnmanager/resolve.h"

#include "fnmanager/lifecycle.h"
#include "fnmanager/metadata_aliases.h"
#include "fnmanager/snapshot.h"

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

int function_resolve(struct fnmanager *m, struct fn_key key, int64_t number, struct function **ret,
                     struct nr_err *err)
{
    struct fn_row row = {0};
    char text[24];
    int r = metadata_load_version(m->db, key, number, &row);

    if (r == NR_ENOENT && number != 0) {
        (void)snprintf(text, sizeof(text), "%lld", (long long)number);
        return refuse_unknown(m, key, err, "version", nr_str_of(text));
    }
    if (r < 0)
        return nr_err_set(err, r, "%s", r == NR_ENOENT ? TEXT_NOT_FOUND : TEXT_INTERNAL);
    if (lifecycle_may_run(row.state, NULL) == 0)
        r = storage_verify(&m->storage, &row, err);
    if (r == 0)
        r = snapshot_make(m, key, &row, ret, err);
    fn_row_fini(&row);
    return r;
}

int alias_resolve(struct fnmanager *m, struct fn_key key, struct nr_str alias,
                  struct alias_split *ret, struct nr_err *err)
{
    int r = metadata_alias(m->db, key, alias, ret);

    if (r == NR_ENOENT)
        return refuse_unknown(m, key, err, "alias", alias);
    return r < 0 ? nr_err_set(err, r, TEXT_INTERNAL) : 0;
}

struct function *fnmanager_function(struct fnmanager *m, const char *account, const char *package,
                                    const char *name)
{
    const struct fn_key key = {nr_str_of(account), nr_str_of(package), nr_str_of(name)};
    struct function *f = NULL;

    if (function_resolve(m, key, 0, &f, NULL) == 0 && lifecycle_may_run(f->state, NULL) == 0)
        return f;
    function_unref(f);
    return NULL;
}
