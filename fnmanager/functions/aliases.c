/* PUT: body -> where it shall point -> one transaction (metadata_aliases.c) -> on_change, so that the next call goes there -> the alias as
 * it stands. No version changes by it, so no container ends.
 */
#include "fnmanager/functions/aliases.h"

#include "fnmanager/api_body.h"
#include "fnmanager/functions/functions_api.h"
#include "fnmanager/functions/lifecycle_controller.h"

static void write_history(const struct alias_row *a, struct nr_buf *out)
{
    nr_auto_json json_t *all = nr_json_parse(nr_str_of(a->history), NULL);
    const char *between = "";

    nr_buf_adds(out, ",\"history\":[");
    for (size_t i = json_array_size(all); i-- > 0;) {
        const json_t *e = json_array_get(all, i);
        nr_auto_free char *weights = nr_json_text(json_object_get(e, "weights"), NULL);
        struct alias_split split = {0};

        if (weights == NULL || !alias_split_read(nr_str_of(weights), &split))
            continue;
        nr_buf_printf(out, "%s{\"at_ms\":%lld,\"by\":", between,
                      (long long)json_integer_value(json_object_get(e, "at_ms")));
        nr_buf_json(out, nr_str_of(nr_json_string(e, "by")));
        nr_buf_addc(out, ',');
        alias_split_write(&split, out);
        nr_buf_addc(out, '}');
        between = ",";
    }
    nr_buf_addc(out, ']');
}

static void write_alias(const struct alias_row *a, struct nr_buf *out)
{
    nr_buf_adds(out, "{\"name\":");
    nr_buf_json(out, nr_str_of(a->name));
    nr_buf_addc(out, ',');
    alias_split_write(&a->split, out);
    nr_buf_printf(out, ",\"protected\":%s", a->is_protected ? "true" : "false");
    write_history(a, out);
    nr_buf_addc(out, '}');
}

static int answer(struct fnmanager *m, struct fn_call *call)
{
    struct alias_list all = {0};
    int r = metadata_alias_list(m->db, handler_key(call), &all);
    bool found = false;

    nr_buf_init(&call->reply, FUNCTIONS_REPLY_MAX_BYTES);
    for (size_t i = 0; i < all.n && !found; i++) {
        found = nr_str_eqz(call->item, all.item[i].name);
        if (found)
            write_alias(&all.item[i], &call->reply);
    }
    alias_list_fini(&all);
    if (r == 0 && !found)
        r = NR_ENOENT;
    return r < 0 ? handler_refuse(call, r) : 0;
}

int alias_list(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct alias_list all = {0};
    int r = metadata_alias_list(m->db, handler_key(call), &all);

    *ret_old = 0;
    if (r < 0)
        return handler_refuse(call, r);
    nr_buf_init(&call->reply, FUNCTIONS_REPLY_MAX_BYTES);
    nr_buf_adds(&call->reply, "{\"aliases\":[");
    for (size_t i = 0; i < all.n; i++) {
        nr_buf_adds(&call->reply, i > 0 ? "," : "");
        write_alias(&all.item[i], &call->reply);
    }
    nr_buf_adds(&call->reply, "]}");
    alias_list_fini(&all);
    return 0;
}

int alias_get(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    *ret_old = 0;
    return answer(m, call);
}

static int read_weight(const char *version, const json_t *weight, struct alias_split *split,
                       int64_t *sum, struct nr_err *err)
{
    int64_t n = json_integer_value(weight);

    if (split->n == ALIAS_PARTS_MAX)
        return nr_err_set(err, NR_EINVAL, "An alias is split between at most %d versions.",
                          ALIAS_PARTS_MAX);
    if (!nr_str_to_i64(nr_str_of(version), 1, INT32_MAX, &split->part[split->n].version))
        return nr_err_set(err, NR_EINVAL,
                          "The key '%.64s' of 'weights' is not the number of a version.", version);
    if (!json_is_integer(weight) || n < 1 || n > 100)
        return nr_err_set(err, NR_EINVAL,
                          "The weight of version %s must be a whole number from 1 to 100.",
                          version);
    split->part[split->n++].weight = (int)n;
    *sum += n;
    return 0;
}

static int by_version(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

int alias_weights_read(const json_t *weights, struct alias_split *ret, struct nr_err *err)
{
    struct alias_split split = {0};
    const char *version;
    const json_t *weight;
    int64_t sum = 0;
    int r;

    if (!json_is_object(weights))
        return nr_err_set(err, NR_EINVAL,
                          "The field 'weights' must be an object of versions and their weights.");
    json_object_foreach((json_t *)(uintptr_t)weights, version, weight) {
        if ((r = read_weight(version, weight, &split, &sum, err)) < 0)
            return r;
    }
    if (sum != 100)
        return nr_err_set(err, NR_EINVAL, "The weights must sum to 100, not %lld.", (long long)sum);
    qsort(split.part, split.n, sizeof(split.part[0]), by_version);
    for (size_t i = 1; i < split.n; i++) {
        if (split.part[i].version == split.part[i - 1].version)
            return nr_err_set(err, NR_EINVAL, "The weights name version %lld twice.",
                              (long long)split.part[i].version);
    }
    *ret = split;
    return 0;
}

static int read_put(const json_t *body, struct alias_order *o, struct nr_err *err)
{
    const json_t *weights = json_object_get(body, "weights");
    bool is_protected = false;
    int64_t version = 0;
    int r;

    if ((r = api_body_int(body, "version", 1, INT32_MAX, &version, err)) < 0 ||
        (r = api_body_bool(body, "protected", &is_protected, err)) < 0)
        return r;
    o->is_protected = json_object_get(body, "protected") != NULL ? is_protected : -1;
    if (version != 0 && weights != NULL)
        return nr_err_set(err, NR_EINVAL, "An alias has 'version' or 'weights', not both.");
    if (version == 0 && weights == NULL && o->is_protected < 0)
        return nr_err_set(err, NR_EINVAL, "An alias needs 'version', 'weights' or 'protected'.");
    if (version != 0) {
        o->split.n = 1;
        o->split.part[0].version = version;
        o->split.part[0].weight = 100;
    }
    return weights != NULL ? alias_weights_read(weights, &o->split, err) : 0;
}

static int change(struct fnmanager *m, struct fn_call *call, struct alias_order *o,
                  uint64_t *ret_old)
{
    bool is_new;
    int r;

    o->key = handler_key(call);
    o->actor = handler_actor(call);
    o->alias = call->item;
    if ((r = metadata_alias_change(m->db, o, &is_new, &call->err)) < 0)
        return handler_refuse(call, r);
    nr_auto_free char *package =
        nr_strndup(call->package.n ? call->package.p : "", call->package.n);
    nr_auto_free char *name = nr_strndup(call->name.p, call->name.n);
    handler_changed(m, call->account->name, package, name, 0, FN_KEPT);
    *ret_old = HANDLER_MANY;
    call->status = is_new ? 201 : 200;
    return 0;
}

int alias_put(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    static const char *const fields[] = {"version", "weights", "protected", NULL};
    nr_auto_json json_t *body = api_body_read(call->body, fields, &call->err);
    struct alias_order o = {.change = ALIAS_PUT};
    int r;

    *ret_old = 0;
    if (body == NULL)
        return call->err.code;
    if ((r = read_put(body, &o, &call->err)) < 0 || (r = change(m, call, &o, ret_old)) < 0)
        return r;
    return answer(m, call);
}

int alias_delete(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct alias_order o = {.change = ALIAS_DELETE};
    int r;

    *ret_old = 0;
    if ((r = answer(m, call)) < 0)
        return r;
    return change(m, call, &o, ret_old);
}

int alias_rollback(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct alias_order o = {.change = ALIAS_ROLLBACK};
    int r;

    *ret_old = 0;
    if ((r = change(m, call, &o, ret_old)) < 0)
        return r;
    return answer(m, call);
}
