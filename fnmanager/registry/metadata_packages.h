/* Metadata Handler: packages and bindings. All functions block (manage plane) but for those that say "inside a job"; any thread.
 */
#ifndef NR_FNMANAGER_METADATA_PACKAGES_H
#define NR_FNMANAGER_METADATA_PACKAGES_H

#include "fnmanager/registry/metadata.h"
#include "fnmanager/registry/metadata_moves.h"

/* Packages of an account. */
#define PACKAGES_MAX 10000

/* A package as it is stored. Texts are made; package_row_fini() frees them. */
struct package_row {
    uint64_t revision;
    char *version;
    bool publish;
    char *parameters, *annotations;       /* JSON array texts */
    char *binding_account, *binding_name; /* what it binds; "" in both: it is no binding */
    int64_t updated_ms;
};
void package_row_fini(struct package_row *r);
static inline bool package_is_binding(const struct package_row *r)
{
    return r->binding_name[0] != '\0';
}

/* The package into *ret (made); NR_ENOENT without a sentence. */
int metadata_package_load(struct nr_db *db, struct nr_str account, struct nr_str name,
                          struct package_row *ret);

/* What a change stores; lent. */
struct package_change {
    struct nr_str account, name;
    const struct package_row *row;
    uint64_t expected; /* revision that was read; 0: there was none */
    const char *move;  /* of the audit log */
    struct fn_actor actor;
};
/* Stores c->row. Without a sentence NR_EEXIST (it is there already), NR_ECONFLICT (changed or gone meanwhile); with one NR_EEXIST (another
 * collection has the name), NR_EQUOTA, NR_EFORBIDDEN (the account takes no changes). */
int metadata_package_commit(struct nr_db *db, const struct package_change *c, struct nr_err *err);
/* Functions that go with their package in one transaction. */
#define PACKAGE_CLEARED_MAX 500

/* What a package took with it. Made; package_cleared_fini() frees it. */
struct package_cleared {
    struct package_row row; /* that was there */
    struct {
        char *name; /* of a function */
        struct moved_list versions;
    } * item;
    size_t n;
    bool more; /* functions are left in it, and so it is still there */
};
void package_cleared_fini(struct package_cleared *l);
/* Removes the package, whatever its revision, in one transaction. It must be empty (a binding always is), else NR_ECONFLICT with the API's
 * sentence; `whole`: with all that is in it. Nothing comes into it meanwhile then, and what may not go (NR_ECONFLICT with a sentence) keeps all
 * of it. Of more than PACKAGE_CLEARED_MAX functions so many go, and `more` is set: again. Without a sentence NR_ENOENT. *ret is to be freed in
 * any case. Of c->row only the time matters, and c->expected does not. */
int metadata_package_delete(struct nr_db *db, const struct package_change *c, bool whole,
                            struct package_cleared *ret, struct nr_err *err);
/* The move of one of them (lent by c and name): what lifecycle_tell() wants. */
struct move_order package_cleared_order(const struct package_change *c, const char *name);

/* Adds ,"actions":[…],"feeds":[…] of a package to out (lent). */
int metadata_package_contents(struct nr_db *db, struct nr_str account, struct nr_str package,
                              struct nr_buf *out);

/* Adds {"namespace","name"} to out (lent). */
void package_write_reference(struct nr_str account, struct nr_str name, struct nr_buf *out);
/* A page of the packages of q->key.account, or their number, as JSON; `shared_only`: what others may see of it. */
int metadata_package_list(struct nr_db *db, const struct fn_list *q, bool shared_only);

/* Calls each(arg, name) for every package of the account; the name is lent. */
int metadata_package_names(struct nr_db *db, struct nr_str account,
                           void (*each)(void *arg, const char *name), void *arg);

/* 0 when functions may be put into it: it is there and no binding; else NR_ENOENT or an error. Inside a job. */
int sql_package_open(sqlite3 *db, struct nr_str account, struct nr_str package);

#endif
