/* PUT: body -> may the caller have what it binds -> read what is there -> merge -> one commit, again from the reading on when somebody else
 * was quicker. What is bound is looked at before anything else is said, so that an answer tells nothing about another account.
 *
 * DELETE: one transaction for the package and what is in it.
 *
 * A change of a package changes each function in it, and through its bindings; whoever keeps snapshots is told the package's name before the
 * 2xx leaves.
 */
#include "fnmanager/entities/packages_api.h"

#include "common/base/clock.h"
#include "fnmanager/entities/entity_body.h"
#include "fnmanager/functions/lifecycle_controller.h"
#include "fnmanager/registry/metadata_names.h"
#include "fnmanager/functions/place.h"
#include "fnmanager/sealed.h"

#define RESERVED "default"
#define REPLY_MAX_BYTES (64 << 20)
/* Several threads may change one package at the same time; each conflict is somebody else's success. */
#define TRIES 100
#define ANNOTATION "binding"

#define TEXT_BINDING_GONE "Binding references a package that does not exist."
#define TEXT_NO_PACKAGE "Cannot bind to a resource that is not a package."
#define TEXT_CONVERT "Resource is a package and cannot be converted into a binding."

/* What a body binds; lent by the body or the call. */
struct binding {
    struct nr_str account, name; /* name.n == 0: nothing */
};

/* One PUT on its way. */
struct put {
    struct entity_body body;
    struct binding binding;
    struct package_row old, row;
    bool exists;
};

/* ---- the body ------------------------------------------------------------------------------------------------------ */

/* {} and null bind nothing. */
static int read_binding(const json_t *doc, struct nr_str caller, struct binding *ret,
                        struct nr_err *err)
{
    const char *account = NULL, *name = NULL;
    json_t *o;
    int r = entity_member(doc, "binding", JSON_OBJECT, "an object with 'namespace' and 'name'", &o,
                          err);

    if (r < 0 || o == NULL || json_object_size(o) == 0)
        return r;
    if ((r = entity_string(o, "namespace", &account, err)) < 0 ||
        (r = entity_string(o, "name", &name, err)) < 0)
        return r;
    if (account == NULL || name == NULL)
        return entity_malformed(err, "'binding' must be an object with 'namespace' and 'name'");
    if (entity_name_check(nr_str_of(account), NULL) != 0)
        return nr_err_set(err, NR_EINVAL, "The namespace contains illegal characters.");
    if ((r = entity_name_check(nr_str_of(name), err)) < 0)
        return r;
    ret->account = strcmp(account, "_") == 0 ? caller : nr_str_of(account);
    ret->name = nr_str_of(name);
    return 0;
}

static int missing_target(struct fnmanager *m, const struct binding *b, struct nr_err *err)
{
    const struct fn_key key = {.account = b->account, .name = b->name};
    struct nr_err why = {0};

    if (name_missing_key(m->db, key, NAME_OF_PACKAGE, &why) == NR_EEXIST)
        return nr_err_set(err, NR_ECONFLICT, TEXT_NO_PACKAGE);
    return nr_err_set(err, NR_EINVAL, TEXT_BINDING_GONE);
}

/* May the caller bind it? */
static int check_target(struct fnmanager *m, struct nr_str caller, const struct binding *b,
                        struct nr_err *err)
{
    struct package_row target = {0};
    bool own = nr_str_eq(caller, b->account), bound, serves;
    uint64_t id;
    int r;

    if (b->name.n == 0)
        return 0;
    r = metadata_package_load(m->db, b->account, b->name, &target);
    bound = r == 0 && package_is_binding(&target);
    serves = own || account_names_look(&m->accounts.names, b->account, &id);
    if (r < 0 && r != NR_ENOENT)
        (void)nr_err_set(err, r, TEXT_INTERNAL);
    else if (!own && (r < 0 || !serves || !target.publish || bound))
        r = place_forbidden(b->account, b->name, NR_STR(""), err);
    else if (r < 0)
        r = missing_target(m, b, err);
    else if (bound)
        r = nr_err_set(err, NR_EINVAL, PLACE_TEXT_CHAIN);
    package_row_fini(&target);
    return r;
}

/* ---- merge --------------------------------------------------------------------------------------------------------- */

/* As given, or as they were; the annotation that tells what is bound is the platform's. */
static int merge_annotations(const struct put *p, const struct package_row *row, char **ret)
{
    nr_auto_json json_t *given = p->body.annotations != NULL
                                     ? entity_unique(p->body.annotations, false)
                                     : nr_json_parse(nr_str_of(p->old.annotations), NULL);
    nr_auto_json json_t *all = json_array();
    size_t i;
    json_t *e;

    if (given == NULL)
        return NR_ENOMEM;
    json_array_foreach(given, i, e) {
        if (strcmp(json_string_value(json_object_get(e, "key")), ANNOTATION) != 0)
            (void)json_array_append(all, e);
    }
    if (package_is_binding(row))
        (void)json_array_append_new(all, json_pack("{s:s, s:{s:s, s:s}}", "key", ANNOTATION,
                                                   "value", "namespace", row->binding_account,
                                                   "name", row->binding_name));
    *ret = nr_json_text(all, NULL);
    return *ret != NULL ? 0 : NR_ENOMEM;
}

static int merge(struct put *p, struct nr_err *err)
{
    const struct package_row *old = p->exists ? &p->old : NULL;
    struct binding b = p->binding;

    if (old == NULL)
        p->old.annotations = nr_strdup("[]");
    if (old != NULL && b.name.n != 0 && !package_is_binding(old))
        return nr_err_set(err, NR_ECONFLICT, TEXT_CONVERT);
    if (old != NULL && b.name.n == 0)
        b = (struct binding){nr_str_of(old->binding_account), nr_str_of(old->binding_name)};
    p->row.version = entity_version(&p->body, old ? old->version : NULL);
    p->row.publish = entity_publish(&p->body, old && old->publish);
    p->row.binding_account = b.name.n != 0 ? nr_strndup(b.account.p, b.account.n) : nr_strdup("");
    p->row.binding_name = b.name.n != 0 ? nr_strndup(b.name.p, b.name.n) : nr_strdup("");
    p->row.updated_ms = nr_wall_ms();
    if (merge_annotations(p, &p->row, &p->row.annotations) < 0)
        return nr_err_set(err, NR_ENOMEM, "There is no memory to store the package.");
    return entity_field_text(p->body.parameters, true, old ? old->parameters : NULL,
                             &p->row.parameters, err);
}

/* ---- answers ------------------------------------------------------------------------------------------------------- */

/* Open at its end. */
static void write_head(struct nr_str account, struct nr_str name, const struct package_row *row,
                       const char *parameters, struct nr_buf *out)
{
    const struct entity_common common = {.account = account,
                                         .name = name,
                                         .version = nr_str_of(row->version),
                                         .publish = row->publish,
                                         .annotations = nr_str_of(row->annotations),
                                         .updated_ms = row->updated_ms};

    nr_buf_init(out, REPLY_MAX_BYTES);
    entity_write_common(&common, out);
    nr_buf_adds(out, ",\"parameters\":");
    nr_buf_adds(out, parameters);
    nr_buf_adds(out, ",\"binding\":");
    if (package_is_binding(row))
        package_write_reference(nr_str_of(row->binding_account), nr_str_of(row->binding_name), out);
    else
        nr_buf_adds(out, "{}");
}

static void write_package(struct fn_call *call, const struct package_row *row)
{
    write_head(nr_str_of(call->account->name), call->package, row, row->parameters, &call->reply);
    nr_buf_addc(&call->reply, '}');
}

/* ---- PUT ----------------------------------------------------------------------------------------------------------- */

/* From the second try on only one is at it: else one of many could lose every time. */
static void begin_try(struct fnmanager *m, int i)
{
    if (i == 1)
        pthread_mutex_lock(&m->retrying);
}

static void end_tries(struct fnmanager *m, int i)
{
    if (i >= 1)
        pthread_mutex_unlock(&m->retrying);
}

static struct package_change change_of(const struct fn_call *call, const struct package_row *row,
                                       uint64_t expected, const char *move)
{
    return (struct package_change){.account = nr_str_of(call->account->name),
                                   .name = call->package,
                                   .row = row,
                                   .expected = expected,
                                   .move = move,
                                   .actor = handler_actor(call)};
}

static int put_once(struct fnmanager *m, struct fn_call *call, struct put *p)
{
    struct package_change c;
    int r;

    package_row_fini(&p->old);
    package_row_fini(&p->row);
    r = metadata_package_load(m->db, nr_str_of(call->account->name), call->package, &p->old);
    p->exists = r == 0;
    if (r < 0 && r != NR_ENOENT)
        return nr_err_set(&call->err, r, TEXT_INTERNAL);
    if (p->exists && !call->overwrite)
        return nr_err_set(&call->err, NR_EEXIST, TEXT_EXISTS);
    if ((r = merge(p, &call->err)) < 0)
        return r;
    p->row.revision = fnmanager_next_revision(m);
    c = change_of(call, &p->row, p->exists ? p->old.revision : 0,
                  p->exists ? "package-update" : "package-create");
    r = metadata_package_commit(m->db, &c, &call->err);
    if (r == NR_EEXIST && call->err.code == 0) /* another was made meanwhile */
        r = call->overwrite ? NR_ECONFLICT : handler_refuse(call, r);
    return r;
}

static int put(struct fnmanager *m, struct fn_call *call, struct put *p)
{
    struct nr_str caller = nr_str_of(call->account->name);
    int i = 0, r;

    if (nr_str_eqz(call->package, RESERVED))
        return nr_err_set(&call->err, NR_EINVAL, "Package name '" RESERVED "' is reserved.");
    if ((r = entity_body_parse(call->body, &p->body, &call->err)) < 0 ||
        (r = read_binding(p->body.doc, caller, &p->binding, &call->err)) < 0 ||
        (r = check_target(m, caller, &p->binding, &call->err)) < 0 ||
        (r = sealed_take_call(m, call, p->body.parameters)) < 0)
        return r;
    for (r = NR_ECONFLICT; i < TRIES && r == NR_ECONFLICT && call->err.code == 0; i++) {
        begin_try(m, i);
        r = put_once(m, call, p);
    }
    end_tries(m, i - 1);
    return r < 0 ? handler_refuse(call, r) : 0;
}

static void tell(struct fnmanager *m, const struct fn_call *call, uint64_t revision)
{
    nr_auto_free char *package = nr_strndup(call->package.p, call->package.n);

    handler_changed(m, call->account->name, package, "", revision, FN_PACKAGE_CHANGED);
}

int package_put(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct put p = {.body = {.publish = -1}};
    int r = put(m, call, &p);

    *ret_old = 0;
    if (r == 0) {
        tell(m, call, p.old.revision);
        *ret_old = HANDLER_MANY;
        write_package(call, &p.row);
    }
    entity_body_fini(&p.body);
    package_row_fini(&p.old);
    package_row_fini(&p.row);
    return r;
}

/* ---- DELETE -------------------------------------------------------------------------------------------------------- */

/* As much as goes at once, and whoever runs it is told; *ret_more: again. */
static int delete_once(struct fnmanager *m, struct fn_call *call, struct package_row *row,
                       bool *ret_more)
{
    const struct package_row at = {.updated_ms = nr_wall_ms()};
    const struct package_change c = change_of(call, &at, 0, "package-delete");
    struct package_cleared all;
    int r = metadata_package_delete(m->db, &c, call->force, &all, &call->err);

    for (size_t i = 0; r == 0 && i < all.n; i++) {
        const struct move_order o = package_cleared_order(&c, all.item[i].name);

        lifecycle_tell(m, &o, false, &all.item[i].versions);
    }
    *ret_more = r == 0 && all.more;
    if (r == 0) {
        package_row_fini(row);
        *row = all.row;
        all.row = (struct package_row){0};
    }
    package_cleared_fini(&all);
    return r;
}

/* A package of very many functions goes some at a time, and others change what they want in between. */
int package_delete(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    const struct fn_key key = {.account = nr_str_of(call->account->name), .name = call->package};
    struct package_row row = {0};
    bool more = true;
    int r = 0;

    *ret_old = HANDLER_MANY;
    for (int i = 0; i < TRIES && r == 0 && more; i++)
        r = delete_once(m, call, &row, &more);
    if (r == 0 && more)
        r = NR_ECONFLICT; /* it is filled as fast as it is emptied */
    if (r == NR_ENOENT && call->err.code == 0)
        r = name_missing_key(m->db, key, NAME_OF_PACKAGE, &call->err);
    if (r == 0) {
        tell(m, call, row.revision);
        write_package(call, &row);
    }
    package_row_fini(&row);
    return r < 0 ? handler_refuse(call, r) : 0;
}

/* ---- GET ----------------------------------------------------------------------------------------------------------- */

int package_get(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct place place;
    int r = place_find(m, place_names_of(call), &place, &call->err);
    nr_auto_free char *parameters = r == 0 ? place_bound(&place) : NULL;

    *ret_old = 0;
    if (r == 0 && parameters == NULL)
        r = nr_err_set(&call->err, NR_ENOMEM, "There is no memory to show the package.");
    if (r == 0) {
        write_head(place.asked.space, call->package, &place.row, parameters, &call->reply);
        r = metadata_package_contents(m->db, place.key.account, place.key.package, &call->reply);
        nr_buf_addc(&call->reply, '}');
    }
    place_fini(&place);
    return r < 0 ? handler_refuse(call, r) : 0;
}

int package_list(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct nr_str caller = nr_str_of(call->account->name);
    bool others = call->space.n != 0 && !nr_str_eq(call->space, caller);
    uint64_t id;
    bool serves = !others || account_names_look(&m->accounts.names, call->space, &id);
    struct fn_list q = handler_list(call, REPLY_MAX_BYTES);
    int r;

    *ret_old = 0;
    q.key = (struct fn_key){.account = !serves ? NR_STR("") : others ? call->space : caller};
    r = metadata_package_list(m->db, &q, others);
    return r < 0 ? handler_refuse(call, r) : 0;
}
