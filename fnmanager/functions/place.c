/* A binding binds a package, never a binding: a PUT refuses that, and when the package was replaced by a binding since nobody follows it.
 *
 * The revision of a shared, bound or parametrised function is a keyed hash of all that makes it another one than the stored: so it needs no table,
 * it stays the same over a restart (containers are taken up again by it), and nobody can choose names whose hash is another account's.
 */
#include "fnmanager/functions/place.h"

#include "fnmanager/entities/entity_body.h"
#include "fnmanager/registry/metadata_names.h"
#include "fnmanager/sealed.h"

int place_forbidden(struct nr_str space, struct nr_str package, struct nr_str name,
                    struct nr_err *err)
{
    return nr_err_set(err, NR_EFORBIDDEN,
                      "The supplied authentication is not authorized to access '%.*s%s%.*s%s%.*s'.",
                      (int)space.n, space.p, package.n ? "/" : "", (int)package.n,
                      package.n ? package.p : "", name.n ? "/" : "", (int)name.n,
                      name.n ? name.p : "");
}

struct place_names place_names_of(const struct fn_call *call)
{
    return (struct place_names){nr_str_of(call->account->name), call->space, call->package,
                                call->name};
}

struct place_names place_names_own(struct fn_key key)
{
    return (struct place_names){.caller = key.account, .package = key.package, .name = key.name};
}

static bool is_own(const struct place *p)
{
    return nr_str_eq(p->asked.space, p->asked.caller);
}

/* Only what belongs to an ACTIVE account is there for others. */
static bool owner_serves(struct fnmanager *m, struct nr_str account, struct place *p)
{
    return account_names_look(&m->accounts.names, account, &p->owner_id);
}

static int forbidden(const struct place *p, struct nr_err *err)
{
    return place_forbidden(p->asked.space, p->asked.package, p->asked.name, err);
}

/* What is bound is a binding by now. */
static int refuse_chain(const struct place *p, struct nr_err *err)
{
    bool round = nr_str_eqz(p->asked.caller, p->target.binding_account) &&
                 (nr_str_eqz(p->asked.package, p->target.binding_name) ||
                  strcmp(p->row.binding_name, p->target.binding_name) == 0);

    if (!round)
        return nr_err_set(err, NR_EINVAL, PLACE_TEXT_CHAIN);
    return nr_err_set(err, NR_ELOOP, "Package binding '%.*s/%.*s' contains a circular reference.",
                      (int)p->asked.space.n, p->asked.space.p, (int)p->asked.package.n,
                      p->asked.package.p);
}

/* What the binding p->row binds: it must be there, shared or the caller's own, and no binding itself. */
static int follow(struct fnmanager *m, struct place *p, struct nr_err *err)
{
    struct nr_str account = nr_str_of(p->row.binding_account),
                  name = nr_str_of(p->row.binding_name);
    bool own = nr_str_eq(account, p->asked.caller);
    bool serves = owner_serves(m, account, p);
    int r = metadata_package_load(m->db, account, name, &p->target);

    if (r < 0 && r != NR_ENOENT)
        return nr_err_set(err, r, TEXT_INTERNAL);
    if (!own && (!serves || r == NR_ENOENT || !p->target.publish || package_is_binding(&p->target)))
        return forbidden(p, err);
    if (r == NR_ENOENT)
        return nr_err_set(err, r, TEXT_NOT_FOUND);
    if (package_is_binding(&p->target))
        return refuse_chain(p, err);
    p->key.account = account;
    p->key.package = name;
    return 0;
}

int place_find(struct fnmanager *m, struct place_names names, struct place *ret, struct nr_err *err)
{
    struct place *p = ret;
    bool serves;
    int r;

    *p = (struct place){.asked = names};
    if (names.space.n == 0)
        p->asked.space = names.caller;
    p->key = (struct fn_key){p->asked.space, names.package, names.name};
    (void)account_names_look(&m->accounts.names, names.caller, &p->caller_id);
    serves = owner_serves(m, p->asked.space, p);
    if (names.package.n == 0)
        return is_own(p) ? 0 : forbidden(p, err);
    r = metadata_package_load(m->db, p->asked.space, names.package, &p->row);
    if (r < 0 && r != NR_ENOENT)
        return nr_err_set(err, r, TEXT_INTERNAL);
    if (!is_own(p))
        return serves && r == 0 && p->row.publish && !package_is_binding(&p->row)
                   ? 0
                   : forbidden(p, err);
    if (r == NR_ENOENT)
        return name_missing_key(m->db,
                                (struct fn_key){.account = names.caller, .name = names.package},
                                NAME_OF_PACKAGE, err);
    return package_is_binding(&p->row) ? follow(m, p, err) : 0;
}

int place_check_own(struct fnmanager *m, struct fn_call *call)
{
    const struct fn_key key = {.account = nr_str_of(call->account->name), .name = call->package};
    struct package_row row = {0};
    int r = metadata_package_load(m->db, key.account, key.name, &row);

    if (r == NR_ENOENT)
        r = name_missing_key(m->db, key, NAME_OF_PACKAGE, &call->err);
    else if (r < 0)
        r = nr_err_set(&call->err, r, TEXT_INTERNAL);
    else if (package_is_binding(&row))
        r = nr_err_set(&call->err, NR_EINVAL, "Operation not permitted on package binding.");
    package_row_fini(&row);
    return r;
}

void place_fini(struct place *p)
{
    package_row_fini(&p->row);
    package_row_fini(&p->target);
}

bool place_is_foreign(const struct place *p)
{
    return !nr_str_eq(p->key.account, p->asked.caller);
}

bool place_is_bound(const struct place *p)
{
    return p->row.version != NULL && package_is_binding(&p->row);
}

const struct package_row *place_package(const struct place *p)
{
    return place_is_bound(p) ? &p->target : p->row.version != NULL ? &p->row : NULL;
}

/* Several arrays of parameters as one, in which the last one with a key wins. */
static char *merged(const char *const *text, size_t n)
{
    nr_auto_json json_t *all = json_array();
    nr_auto_json json_t *one = NULL;

    for (size_t i = 0; all != NULL && i < n; i++) {
        nr_auto_json json_t *part = nr_json_parse(nr_str_of(text[i]), NULL);

        if (part == NULL || json_array_extend(all, part) < 0)
            return NULL;
    }
    one = all != NULL ? entity_unique(all, true) : NULL;
    return one != NULL ? nr_json_text(one, NULL) : NULL;
}

char *place_parameters(const struct place *p, const char *own)
{
    const char *text[3];
    size_t n = 0;

    if (place_is_bound(p))
        text[n++] = p->target.parameters;
    if (p->row.version != NULL)
        text[n++] = p->row.parameters;
    text[n++] = own;
    return n == 1 ? nr_strdup(own) : merged(text, n);
}

/* Adds what the package, or who binds it, or the function has; each sealed its own. */
static int add_opened(struct fnmanager *m, uint64_t account, const char *text, json_t *all,
                      struct nr_err *err)
{
    nr_auto_json json_t *part = text != NULL ? nr_json_parse(nr_str_of(text), NULL) : json_array();
    int r = sealed_open(&m->secrets, account, part, err);

    if (r == 0 && (part == NULL || json_array_extend(all, part) < 0))
        return nr_err_set(err, NR_ENOMEM, "There is no memory to read parameters.");
    if (r < 0)
        sealed_forget(part);
    return r;
}

int place_opened(struct fnmanager *m, const struct place *p, const char *own, json_t **ret,
                 struct nr_err *err)
{
    int r;

    *ret = json_array();
    if ((r = add_opened(m, p->owner_id, p->target.parameters, *ret, err)) == 0 &&
        (r = add_opened(m, is_own(p) ? p->caller_id : p->owner_id, p->row.parameters, *ret, err)) ==
            0)
        r = add_opened(m, p->owner_id, own, *ret, err);
    return r;
}

char *place_bound(const struct place *p)
{
    return place_parameters(p, "[]");
}

uint64_t place_revision(const struct fnmanager *m, const struct place *p, const char *bound,
                        uint64_t stored)
{
    unsigned char hash[NR_SHA256_BYTES];
    char parameters[2 * NR_SHA256_BYTES + 1];
    struct nr_buf text;
    uint64_t out = 0;

    if (is_own(p) && !place_is_bound(p) && strcmp(bound, "[]") == 0)
        return stored;
    nr_sha256(nr_str_of(bound), hash);
    nr_hex(hash, sizeof(hash), parameters);
    nr_buf_init(&text, 8 * ENTITY_NAME_MAX_BYTES);
    nr_buf_printf(&text, "derived revision %llu %s %llx", (unsigned long long)stored, parameters,
                  (unsigned long long)p->caller_id);
    nr_buf_json(&text, p->asked.caller);
    nr_buf_json(&text, p->asked.space);
    nr_buf_json(&text, p->asked.package);
    nr_check(!text.failed);
    nr_hmac(m->accounts.secret, nr_buf_str(&text), hash);
    nr_buf_fini(&text);
    memcpy(&out, hash, sizeof(out));
    return (out >> 2) | (1ull << 62); /* counted ones never come so far */
}
