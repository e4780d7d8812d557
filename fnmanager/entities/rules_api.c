/* A PUT reads its references, asks whether the function is there for who calls, and leaves the rest to one transaction. Whoever keeps the
 * triggers to fire them is told of each that a change concerns before the client is.
 */
#include "fnmanager/entities/rules_api.h"

#include "common/base/clock.h"
#include "fnmanager/entities/entity_body.h"
#include "fnmanager/functions/lifecycle.h"
#include "fnmanager/registry/metadata_aliases.h"
#include "fnmanager/registry/metadata_names.h"
#include "fnmanager/registry/metadata_rules.h"
#include "fnmanager/functions/place.h"

#define REPLY_MAX_BYTES (64 << 20)
#define REFERENCE_MAX_BYTES 2048

/* What the body of a PUT says; texts made. */
struct references {
    struct function_target trigger, action;
    bool has_trigger, has_action;
};

static void references_fini(struct references *f)
{
    function_target_fini(&f->trigger);
    function_target_fini(&f->action);
}

static int refuse(struct fnmanager *m, struct fn_call *call, int r)
{
    return r == NR_ENOENT && call->err.code == 0 ? name_missing(m, call, NAME_OF_RULE)
                                                 : handler_refuse(call, r);
}

static void changed(struct fnmanager *m, struct fn_call *call, struct rule_triggers *t,
                    uint64_t *ret_old)
{
    const char *const names[] = {t->now, t->before};

    *ret_old = 0;
    for (size_t i = 0; i < nr_countof(names); i++) {
        if (names[i] == NULL)
            continue;
        handler_changed(m, call->account->name, "", names[i], 0, FN_TRIGGER_CHANGED);
        *ret_old = HANDLER_MANY;
    }
    rule_triggers_fini(t);
}

/* {"path":"ns/pkg","name":"a"} as "/ns/pkg/a" in out (lent). */
static int join(const json_t *object, const char *key, struct nr_buf *out, struct nr_err *err)
{
    const char *path = NULL, *name = NULL;
    char detail[96];
    int r = entity_string(object, "path", &path, err);

    if (r == 0)
        r = entity_string(object, "name", &name, err);
    if (r == 0 && (path == NULL || name == NULL)) {
        (void)snprintf(detail, sizeof(detail), "'%s' needs a 'path' and a 'name'", key);
        r = entity_malformed(err, detail);
    }
    if (r == 0)
        nr_buf_printf(out, "%s%s/%s", path[0] == '/' ? "" : "/", path, name);
    return r;
}

/* A trigger is in no package: two words are its namespace and its name, also without the slash before them. */
static void write_reference(const char *key, struct nr_str text, struct nr_buf *out)
{
    bool words = memchr(text.p, '/', text.n) != NULL;

    if (strcmp(key, "trigger") == 0 && words && text.p[0] != '/')
        nr_buf_addc(out, '/');
    nr_buf_add(out, text.p, text.n);
}

/* A member as text, or as an object of path and name; absent and null are none. */
static int reference(const struct fn_call *call, const json_t *doc, const char *key,
                     struct function_target *ret, bool *ret_given, struct nr_err *err)
{
    json_t *j = json_object_get(doc, key);
    struct nr_err why = {0};
    struct nr_buf text;
    int r = 0;

    *ret_given = j != NULL && !json_is_null(j);
    if (!*ret_given)
        return 0;
    nr_buf_init(&text, REFERENCE_MAX_BYTES);
    if (json_is_string(j))
        write_reference(key, (struct nr_str){json_string_value(j), json_string_length(j)}, &text);
    else if (json_is_object(j))
        r = join(j, key, &text, err);
    else
        r = nr_err_set(&why, NR_EINVAL, "'%s' must be a name or an object", key);
    if (r == 0 && text.failed)
        r = nr_err_set(&why, NR_EINVAL, "'%s' is longer than %d bytes", key, REFERENCE_MAX_BYTES);
    if (r == 0)
        r = function_target_read(nr_buf_str(&text), call->account->name, ret, &why);
    nr_buf_fini(&text);
    return why.code != 0 ? entity_malformed(err, why.text) : r;
}

static int does_not_exist(struct fn_call *call, const char *what, const struct function_target *t)
{
    struct nr_buf text;

    nr_buf_init(&text, REFERENCE_MAX_BYTES);
    function_target_write(t, &text);
    (void)nr_err_set(&call->err, NR_EINVAL, "%s %.*s does not exist", what, (int)text.n, text.p);
    nr_buf_fini(&text);
    return NR_EINVAL;
}

/* A trigger is the caller's own, in no package, and has no versions. */
static int check_trigger(struct fn_call *call, const struct function_target *t)
{
    if (strcmp(t->account, call->account->name) != 0)
        return place_forbidden(nr_str_of(t->account), nr_str_of(t->package), nr_str_of(t->name),
                               &call->err);
    if (t->package[0] != '\0' || t->number != 0 || t->alias[0] != '\0')
        return does_not_exist(call, "trigger", t);
    return 0;
}

/* Its state, of the version that is named; an alias is only looked for, for what it names may be another one tomorrow. */
static int find_action(struct fnmanager *m, struct fn_key key, const struct function_target *t,
                       enum function_state *ret)
{
    struct alias_split split;
    struct fn_row row = {0};
    int r = t->alias[0] != '\0' ? metadata_alias(m->db, key, nr_str_of(t->alias), &split) : 0;

    if (r == 0)
        r = metadata_load_version(m->db, key, t->number, &row);
    if (r == 0)
        *ret = t->alias[0] != '\0' ? FN_LATEST : row.state;
    fn_row_fini(&row);
    return r;
}

/* Is it there for the caller, and may it ever run? What is retired never will. */
static int check_action(struct fnmanager *m, struct fn_call *call, const struct function_target *t)
{
    const struct place_names names = {.caller = nr_str_of(call->account->name),
                                      .space = nr_str_of(t->account),
                                      .package = nr_str_of(t->package),
                                      .name = nr_str_of(t->name)};
    enum function_state state = FN_LATEST;
    struct nr_err why = {0};
    struct place place;
    int r = place_find(m, names, &place, &why);

    if (r == 0)
        r = find_action(m, place.key, t, &state);
    place_fini(&place);
    if (r == NR_ENOENT || r == NR_EEXIST) /* the package is none */
        return does_not_exist(call, "action", t);
    if (why.code != 0)
        return nr_err_set(&call->err, r, "%s", why.text);
    if (r == 0 && state == FN_RETIRED)
        r = lifecycle_may_run(state, &call->err);
    return r < 0 ? handler_refuse(call, r) : 0;
}

/* Does the name allow the PUT? What the rule calls now goes into *ret_old (made; zeroed: there is no such rule). */
static int look_up(struct fnmanager *m, struct fn_call *call, struct function_target *ret_old)
{
    struct nr_err why = {0};
    int r = metadata_rule_action(m->db, handler_key(call), ret_old);

    if (r == 0)
        return call->overwrite ? 0 : handler_refuse(call, NR_EEXIST);
    if (r == NR_ENOENT)
        r = name_missing_key(m->db, handler_key(call), NAME_OF_RULE, &why);
    return r == NR_ENOENT ? 0 : nr_err_set(&call->err, r, "%s", why.text);
}

/* The trigger must be the caller's, and the function that the rule will call there: the body's, else the one it has. */
static int check_references(struct fnmanager *m, struct fn_call *call, const struct references *f)
{
    struct function_target old = {0};
    const struct function_target *action = f->has_action ? &f->action : &old;
    int r = look_up(m, call, &old);

    if (r == 0 && f->has_trigger)
        r = check_trigger(call, &f->trigger);
    if (r == 0 && action->name != NULL)
        r = check_action(m, call, action);
    function_target_fini(&old);
    return r;
}

static int put_parsed(struct fnmanager *m, struct fn_call *call, const struct entity_body *b,
                      struct references *f, struct rule_triggers *triggers)
{
    nr_auto_free char *annotations = NULL;
    struct rule_put put = {.key = handler_key(call),
                           .version = b->version,
                           .publish = b->publish,
                           .overwrite = call->overwrite,
                           .actor = handler_actor(call)};
    int r = reference(call, b->doc, "trigger", &f->trigger, &f->has_trigger, &call->err);

    if (r == 0)
        r = reference(call, b->doc, "action", &f->action, &f->has_action, &call->err);
    if (r == 0)
        r = check_references(m, call, f);
    if (r == 0 && b->annotations != NULL)
        r = entity_field_text(b->annotations, false, NULL, &annotations, &call->err);
    if (r < 0)
        return r;
    put.trigger = f->has_trigger ? f->trigger.name : NULL;
    put.action = f->has_action ? &f->action : NULL;
    put.annotations = annotations;
    put.revision = fnmanager_next_revision(m);
    put.now_ms = nr_wall_ms();
    r = metadata_rule_put(m->db, &put, &call->reply, triggers, &call->err);
    return r < 0 ? handler_refuse(call, r) : 0;
}

int rule_put(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct entity_body body = {0};
    struct references f = {0};
    struct rule_triggers triggers = {0};
    int r = entity_body_parse(call->body, &body, &call->err);

    nr_buf_init(&call->reply, REPLY_MAX_BYTES);
    if (r == 0)
        r = put_parsed(m, call, &body, &f, &triggers);
    references_fini(&f);
    entity_body_fini(&body);
    if (r == 0)
        changed(m, call, &triggers, ret_old);
    return r;
}

int rule_get(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    int r;

    *ret_old = 0;
    nr_buf_init(&call->reply, REPLY_MAX_BYTES);
    r = metadata_rule_get(m->db, handler_key(call), &call->reply);
    return r < 0 ? refuse(m, call, r) : 0;
}

int rule_delete(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct rule_triggers triggers = {0};
    int r;

    nr_buf_init(&call->reply, REPLY_MAX_BYTES);
    r = metadata_rule_delete(m->db, handler_key(call), handler_actor(call), &call->reply,
                             &triggers);
    if (r < 0)
        return refuse(m, call, r);
    changed(m, call, &triggers, ret_old);
    return 0;
}

int rule_list(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    const struct fn_list q = handler_list(call, REPLY_MAX_BYTES);
    int r = metadata_rule_list(m->db, &q);

    *ret_old = 0;
    return r < 0 ? handler_refuse(call, r) : 0;
}

/* Clients send more than the status; it alone counts. */
static int read_status(struct fn_call *call, bool *ret_active)
{
    struct entity_body body = {0};
    const char *status = NULL;
    char detail[160];
    int r = entity_body_parse(call->body, &body, &call->err);

    if (r == 0)
        r = entity_string(body.doc, "status", &status, &call->err);
    if (r == 0 && status == NULL)
        r = entity_malformed(&call->err, "Object is missing required member 'status'");
    if (r == 0 && strcmp(status, "active") != 0 && strcmp(status, "inactive") != 0) {
        (void)snprintf(detail, sizeof(detail),
                       "'%.64s' is not a recognized rule status: "
                       "it is 'active' or 'inactive'",
                       status);
        r = entity_malformed(&call->err, detail);
    }
    if (r == 0)
        *ret_active = strcmp(status, "active") == 0;
    entity_body_fini(&body);
    return r;
}

int rule_state(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct rule_triggers triggers = {0};
    bool active = false;
    int r = read_status(call, &active);

    if (r < 0)
        return r;
    r = metadata_rule_state(m->db, handler_key(call), active, handler_actor(call), &triggers,
                            &call->err);
    if (r < 0)
        return refuse(m, call, r);
    changed(m, call, &triggers, ret_old);
    return 0;
}
