/* The answer to a change is the whole entity, as OpenWhisk's clients expect it; there every key may read. Here a key may have the scope `write` alone, and
 * what it changes may be others' work: an update of one annotation must not be a way to read the code and the parameters that were there. So for
 * such a key these members, and the secret of a web action, are taken out of the answer; all else, as far as clients need it, stays.
 */
#include "fnmanager/write_only.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "ports/fnmanager.h"
#include "ports/function.h"

static void leave_out(json_t *in, const char *name)
{
    (void)json_object_del(in, name);
}

static void empty_list(json_t *in, const char *name)
{
    if (json_object_get(in, name))
        (void)json_object_set_new(in, name, json_array());
}

/* Of annotations: what opens a web action. That a key or nothing is wanted, a caller sees; a number or a text is the secret itself. With null in
 * its place an answer that is sent back is refused, not a door that opens to others. */
static void null_web_secret(json_t *in, const char *name)
{
    size_t i;
    json_t *e;

    json_array_foreach(json_object_get(in, name), i, e) {
        const char *key = nr_json_string(e, "key");

        if (key && strcmp(key, "require-whisk-auth") == 0 &&
            !json_is_boolean(json_object_get(e, "value")))
            (void)json_object_set_new(e, "value", json_null());
    }
}

/* Members of the answer, or of an object in it. */
static const struct hidden {
    const char *in, *name; /* in: NULL: the answer itself */
    void (*how)(json_t *in, const char *name);
} of_entity[] = {{NULL, "parameters", empty_list},
                 {NULL, "annotations", null_web_secret},
                 {"exec", "code", leave_out},
                 {NULL, NULL, NULL}},
  of_api[] = {{"apidoc", "x-ibm-configuration", leave_out}, {NULL, NULL, NULL}};

static const struct {
    enum fn_op op;
    const struct hidden *hidden; /* ends with a name that is NULL */
} rows[] = {
    {FN_ACTION_PUT, of_entity},     {FN_ACTION_DELETE, of_entity}, {FN_PACKAGE_PUT, of_entity},
    {FN_PACKAGE_DELETE, of_entity}, {FN_TRIGGER_PUT, of_entity},   {FN_TRIGGER_DELETE, of_entity},
    {FN_API_CREATE, of_api},
};

static const struct hidden *hidden_of(enum fn_op op)
{
    for (size_t i = 0; i < nr_countof(rows); i++)
        if (rows[i].op == op)
            return rows[i].hidden;
    return NULL;
}

static void hide(json_t *answer, const struct hidden *h)
{
    for (; h->name; h++)
        h->how(h->in ? json_object_get(answer, h->in) : answer, h->name);
}

void write_only_narrow(struct fn_call *call)
{
    const struct hidden *hidden = hidden_of(call->op);
    nr_auto_free char *text = NULL;
    size_t n = 0, max = call->reply.max_bytes;

    if (hidden == NULL || call->account == NULL || (call->account->scopes & SCOPE_READ) ||
        call->reply.n == 0)
        return;
    nr_auto_json json_t *answer = nr_json_parse(nr_buf_str(&call->reply), NULL);

    hide(answer, hidden);
    text = nr_json_text(answer, &n);
    nr_buf_fini(&call->reply);
    nr_buf_init(&call->reply, max);
    nr_buf_add(&call->reply, text ? text : "{}",
               text ? n : 2); /* without memory for it nothing is told */
}
