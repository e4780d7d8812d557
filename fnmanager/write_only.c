/* The answer to a change is the whole entity, as OpenWhisk's clients expect it; there every key may read. Here a key may have the scope `write` alone, and
 * what it changes may be others' work: an update of one annotation must not be a way to read the code and the parameters that were there. So for
 * such a key these members are taken out of the answer; all else, as far as clients need it, stays.
 */
#include "fnmanager/write_only.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "ports/fnmanager.h"
#include "ports/function.h"

/* Members of the answer, or of an object in it. */
static const struct hidden {
    const char *in, *name; /* in: NULL: the answer itself */
    bool list;             /* an empty list takes its place: clients want one */
} of_entity[] = {{NULL, "parameters", true}, {"exec", "code", false}, {NULL, NULL, false}},
  of_api[] = {{"apidoc", "x-ibm-configuration", false}, {NULL, NULL, false}};

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
    for (; h->name; h++) {
        json_t *in = h->in ? json_object_get(answer, h->in) : answer;

        if (h->list && json_object_get(in, h->name))
            (void)json_object_set_new(in, h->name, json_array());
        else
            (void)json_object_del(in, h->name);
    }
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
