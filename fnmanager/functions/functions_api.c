/* The document of a function: its LATEST, which versions and aliases there are, and the update that is open. Settings are the
 * annotations whose names begin with "narae.", by the rest of their names.
 */
#include "fnmanager/functions/functions_api.h"

#include "common/base/json.h"
#include "fnmanager/functions/entity.h"
#include "fnmanager/functions/lifecycle.h"
#include "fnmanager/functions/lifecycle_controller.h"
#include "fnmanager/registry/metadata_audit.h"
#include "fnmanager/registry/metadata_versions.h"

#define LIST_MAX 200
#define SETTING "narae."

void functions_write_name(struct fn_key key, struct nr_buf *out)
{
    char both[520];
    int n = snprintf(both, sizeof(both), "%.*s%s%.*s", (int)key.package.n,
                     key.package.n != 0 ? key.package.p : "", key.package.n != 0 ? "/" : "",
                     (int)key.name.n, key.name.p);

    nr_buf_json(out, (struct nr_str){both, (size_t)n});
}

void functions_write_settings(const char *annotations, struct nr_buf *out)
{
    nr_auto_json json_t *all = nr_json_parse(nr_str_of(annotations), NULL);
    nr_auto_json json_t *settings = json_object();
    size_t i;
    json_t *e;

    (void)json_object_set_new(settings, "network", json_string("egress"));
    json_array_foreach(all, i, e) {
        const char *key = json_string_value(json_object_get(e, "key"));
        if (key != NULL && strncmp(key, SETTING, strlen(SETTING)) == 0)
            (void)json_object_set(settings, key + strlen(SETTING), json_object_get(e, "value"));
    }
    nr_auto_free char *text = nr_json_text(settings, NULL);
    nr_buf_adds(out, text != NULL ? text : "{}");
}

static void write_member(const char *head, const char *text, struct nr_buf *out)
{
    nr_buf_adds(out, head);
    nr_buf_json(out, nr_str_of(text));
}

static void write_update(const struct fn_row *row, struct nr_buf *out)
{
    if (row->state != FN_UPDATING) {
        nr_buf_adds(out, ",\"update\":null");
        return;
    }
    nr_buf_printf(out,
                  ",\"update\":{\"while_updating\":\"%s\",\"hold_s\":%lld,\"deadline_ms\":%lld}",
                  row->hold_ms > 0 ? "hold" : "old", (long long)row->hold_ms / 1000,
                  (long long)row->deadline_ms);
}

static void write_row(struct fn_key key, const struct fn_row *row, struct nr_buf *out)
{
    char sha[2 * NR_SHA256_BYTES + 1] = "";

    if (row->file[0] != '\0')
        nr_hex(row->sha256, sizeof(row->sha256), sha);
    nr_buf_adds(out, "{\"name\":");
    functions_write_name(key, out);
    nr_buf_adds(out, ",\"account\":");
    nr_buf_json(out, key.account);
    write_member(",\"state\":", lifecycle_name(row->state), out);
    write_member(",\"reason\":", row->reason, out);
    if (row->number != 0) {
        nr_buf_printf(out, ",\"version\":%lld", (long long)row->number);
        write_member(",\"note\":", row->note, out);
    } else {
        write_member(",\"version\":", row->version, out);
    }
    write_member(",\"kind\":", row->kind, out);
    write_member(",\"image\":", row->image, out);
    write_member(",\"main\":", row->main, out);
    if (row->components[0] != '\0') {
        nr_buf_adds(out, ",\"components\":");
        nr_buf_adds(out, row->components);
    }
    nr_buf_adds(out, ",\"limits\":");
    entity_write_limits(&row->limits, out);
    nr_buf_adds(out, ",\"settings\":");
    functions_write_settings(row->annotations, out);
    write_member(",\"sha256\":", sha, out);
    nr_buf_printf(out, ",\"code_bytes\":%lld,\"updated_ms\":%lld", (long long)row->code_bytes,
                  (long long)row->updated_ms);
}

/* Of a function all of them, of a version the names of those that use it. */
static void write_aliases(const struct fn_row *row, const struct alias_list *aliases,
                          struct nr_buf *out)
{
    const char *between = "";

    nr_buf_adds(out, row->number == 0 ? ",\"aliases\":{" : ",\"aliases\":[");
    for (size_t i = 0; i < aliases->n; i++) {
        if (row->number != 0 && !alias_split_names(&aliases->item[i].split, row->number))
            continue;
        nr_buf_adds(out, between);
        between = ",";
        nr_buf_json(out, nr_str_of(aliases->item[i].name));
        if (row->number != 0)
            continue;
        nr_buf_adds(out, ":{");
        alias_split_write(&aliases->item[i].split, out);
        nr_buf_addc(out, '}');
    }
    nr_buf_addc(out, row->number == 0 ? '}' : ']');
}

int functions_answer(struct fnmanager *m, struct fn_call *call, int64_t number)
{
    struct fn_key key = handler_key(call);
    struct alias_list aliases = {0};
    struct fn_row row = {0};
    int r = metadata_load_version(m->db, key, number, &row);

    if (r == 0)
        r = metadata_alias_list(m->db, key, &aliases);
    nr_buf_fini(&call->reply);
    nr_buf_init(&call->reply, FUNCTIONS_REPLY_MAX_BYTES);
    if (r == 0) {
        write_row(key, &row, &call->reply);
        if (number == 0) {
            write_update(&row, &call->reply);
            nr_buf_adds(&call->reply, ",\"versions\":");
            r = metadata_version_numbers(m->db, row.function_id, &call->reply);
        }
        write_aliases(&row, &aliases, &call->reply);
        nr_buf_addc(&call->reply, '}');
    }
    alias_list_fini(&aliases);
    fn_row_fini(&row);
    return r < 0 ? handler_refuse(call, r) : 0;
}

int function_get(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    *ret_old = 0;
    return functions_answer(m, call, call->number > 0 ? call->number : 0);
}

static int64_t page(const struct fn_call *call)
{
    return call->limit > 0 ? call->limit : LIST_MAX;
}

int function_list(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    int r;

    *ret_old = 0;
    nr_buf_init(&call->reply, FUNCTIONS_REPLY_MAX_BYTES);
    r = metadata_function_list(m->db, handler_key(call).account, page(call), call->skip,
                               &call->reply);
    return r < 0 ? handler_refuse(call, r) : 0;
}

int function_history(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    int r;

    *ret_old = 0;
    nr_buf_init(&call->reply, FUNCTIONS_REPLY_MAX_BYTES);
    r = metadata_history(m->db, handler_key(call), page(call), call->skip, &call->reply);
    return r < 0 ? handler_refuse(call, r) : 0;
}
