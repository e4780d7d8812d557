/* A PUT is parsed and judged first; then one transaction does the rest. Whoever keeps a trigger to fire it is told before the client is. */
#include "fnmanager/entities/triggers_api.h"

#include "common/base/clock.h"
#include "fnmanager/entities/entity_body.h"
#include "fnmanager/registry/metadata_names.h"
#include "fnmanager/registry/metadata_triggers.h"
#include "fnmanager/sealed.h"

#define REPLY_MAX_BYTES (64 << 20)

/* What handler_changed() says of a trigger. */
static void changed(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    nr_auto_free char *name = nr_strndup(call->name.p, call->name.n);

    handler_changed(m, call->account->name, "", name, 0, FN_TRIGGER_CHANGED);
    *ret_old = HANDLER_MANY;
}

/* What the transaction said: a missing trigger may be another collection's name. */
static int refuse(struct fnmanager *m, struct fn_call *call, int r)
{
    return r == NR_ENOENT ? name_missing(m, call, NAME_OF_TRIGGER) : handler_refuse(call, r);
}

/* "/_/pkg/feed", "/ns/feed", "pkg/feed": words that are names, with or without a slash before them. It is stored as it was sent. */
static int check_feed(const json_t *annotations, struct nr_err *err)
{
    const json_t *feed = entity_value(annotations, "feed");
    struct nr_str rest = {json_string_value(feed), json_string_length(feed)}, word;
    int words = 0;
    bool good = json_is_string(feed);

    if (feed == NULL)
        return 0;
    if (good && rest.n > 0 && rest.p[0] == '/') {
        rest.p++;
        rest.n--;
    }
    while (good && nr_str_split(&rest, '/', &word)) {
        good = entity_name_check(word, NULL) == 0;
        words++;
    }
    return good && words <= 3 ? 0 : nr_err_set(err, NR_EINVAL, "Feed name is not valid");
}

static int put_parsed(struct fnmanager *m, struct fn_call *call, const struct entity_body *b)
{
    nr_auto_free char *parameters = NULL, *annotations = NULL;
    struct trigger_put put = {.key = handler_key(call),
                              .version = b->version,
                              .publish = b->publish,
                              .overwrite = call->overwrite,
                              .revision = fnmanager_next_revision(m),
                              .now_ms = nr_wall_ms(),
                              .actor = handler_actor(call)};
    json_t *limits;
    int r = entity_member(b->doc, "limits", JSON_OBJECT, "an object", &limits, &call->err);

    if (r == 0)
        r = check_feed(b->annotations, &call->err);
    if (r == 0)
        r = sealed_take_call(m, call, b->parameters);
    if (r == 0 && b->parameters != NULL)
        r = entity_field_text(b->parameters, false, NULL, &parameters, &call->err);
    if (r == 0 && b->annotations != NULL)
        r = entity_field_text(b->annotations, false, NULL, &annotations, &call->err);
    if (r < 0)
        return r;
    put.parameters = parameters;
    put.annotations = annotations;
    r = metadata_trigger_put(m->db, &put, &call->reply, &call->err);
    return r < 0 ? handler_refuse(call, r) : 0;
}

int trigger_put(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct entity_body body = {0};
    int r = entity_body_parse(call->body, &body, &call->err);

    nr_buf_init(&call->reply, REPLY_MAX_BYTES);
    if (r == 0)
        r = put_parsed(m, call, &body);
    entity_body_fini(&body);
    if (r == 0)
        changed(m, call, ret_old);
    return r;
}

int trigger_get(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    int r;

    *ret_old = 0;
    nr_buf_init(&call->reply, REPLY_MAX_BYTES);
    r = metadata_trigger_get(m->db, handler_key(call), &call->reply);
    return r < 0 ? refuse(m, call, r) : 0;
}

int trigger_delete(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    int r;

    nr_buf_init(&call->reply, REPLY_MAX_BYTES);
    r = metadata_trigger_delete(m->db, handler_key(call), handler_actor(call), &call->reply);
    if (r < 0)
        return refuse(m, call, r);
    changed(m, call, ret_old);
    return 0;
}

int trigger_list(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    const struct fn_list q = handler_list(call, REPLY_MAX_BYTES);
    int r = metadata_trigger_list(m->db, &q);

    *ret_old = 0;
    return r < 0 ? handler_refuse(call, r) : 0;
}

/* From the array that is stored to the object that functions get, with its secrets opened. */
static int parameters_object(struct fnmanager *m, struct trigger *t, struct nr_err *err)
{
    nr_auto_json json_t *array = nr_json_parse(nr_str_of(t->parameters), NULL);
    nr_auto_json json_t *object = json_object();
    uint64_t account;
    size_t i;
    json_t *e;
    int r;

    json_array_foreach(array, i, e)
        t->secret |= entity_is_sealed(e);
    (void)account_names_look(&m->accounts.names, nr_str_of(t->account), &account);
    r = sealed_open(&m->secrets, account, array, err);
    json_array_foreach(array, i, e) {
        (void)json_object_set(object, json_string_value(json_object_get(e, "key")),
                              json_object_get(e, "value"));
    }
    free(t->parameters);
    t->parameters = array != NULL ? nr_json_text(object, NULL) : NULL;
    sealed_forget(array);
    if (r == 0 && t->parameters == NULL)
        r = nr_err_set(err, NR_ENOMEM, "There is no memory to load the trigger.");
    return r;
}

int trigger_resolve(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct trigger *t = NULL;
    int r = metadata_trigger_load(m->db, handler_key(call), &t);

    *ret_old = 0;
    if (r < 0)
        return refuse(m, call, r);
    if ((r = parameters_object(m, t, &call->err)) < 0) {
        trigger_unref(t);
        return r;
    }
    call->trigger = t;
    return 0;
}

/* Whose triggers are walked. */
struct leaving {
    struct fnmanager *manager;
    const char *account;
};

static void tell_gone(void *arg, const char *name)
{
    const struct leaving *l = arg;

    handler_changed(l->manager, l->account, "", name, 0, FN_TRIGGER_CHANGED);
}

int triggers_gone(struct fnmanager *m, struct nr_str account)
{
    nr_auto_free char *name = nr_strndup(account.p, account.n);
    struct leaving l = {m, name};

    return metadata_trigger_names(m->db, account, tell_gone, &l);
}
