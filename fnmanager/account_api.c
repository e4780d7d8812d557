/* {"name","profile","invocationsPerMinute","concurrentInvocations","firesPerMinute"}; a limit of -1 is none, 0 blocks. Limits that are set
 * one by one make the profile "custom". Fields that nobody knows are refused by name.
 */
#include "fnmanager/account_api.h"

#include "common/base/json.h"

#define REPLY_MAX_BYTES 4096

static const struct {
    const char *key;
    size_t offset;
    int64_t min, max;
} fields[] = {
    {"invocationsPerMinute", offsetof(struct account_row, invocations_per_minute), -1, 100000000},
    {"concurrentInvocations", offsetof(struct account_row, concurrent_invocations), 0, 1000000},
    {"firesPerMinute", offsetof(struct account_row, fires_per_minute), -1, 100000000},
};

static int64_t *limit_at(struct account_row *row, size_t i)
{
    return (int64_t *)(void *)((char *)row + fields[i].offset);
}

static void write_account(struct account_row *row, struct nr_buf *out)
{
    nr_buf_init(out, REPLY_MAX_BYTES);
    nr_buf_adds(out, "{\"name\":");
    nr_buf_json(out, nr_str_of(row->name));
    nr_buf_adds(out, ",\"profile\":");
    nr_buf_json(out, nr_str_of(row->profile));
    for (size_t i = 0; i < nr_countof(fields); i++)
        nr_buf_printf(out, ",\"%s\":%lld", fields[i].key, (long long)*limit_at(row, i));
    nr_buf_addc(out, '}');
}

static int load(struct fnmanager *m, struct fn_call *call, struct account_row *ret)
{
    int r = metadata_account(m->db, call->name, ret);

    return r < 0 ? nr_err_set(&call->err, r, "%s", r == NR_ENOENT ? TEXT_NOT_FOUND : TEXT_INTERNAL)
                 : 0;
}

int account_get(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    bool own = nr_str_eqz(call->name, call->account->name);
    struct account_row row = {0};
    int r;

    *ret_old = 0;
    if (!own && (call->account->scopes & SCOPE_ADMIN) == 0)
        return nr_err_set(&call->err, NR_EFORBIDDEN, TEXT_FORBIDDEN);
    if ((r = load(m, call, &row)) == 0)
        write_account(&row, &call->reply);
    account_row_fini(&row);
    return r;
}

static int set_field(struct account_row *row, const char *key, const json_t *value,
                     struct nr_err *err)
{
    for (size_t i = 0; i < nr_countof(fields); i++) {
        int64_t n = json_integer_value(value);
        if (strcmp(fields[i].key, key) != 0)
            continue;
        if (!json_is_integer(value) || n < fields[i].min || n > fields[i].max)
            return nr_err_set(err, NR_EINVAL,
                              "The field '%s' must be an integer from %lld to %lld.", key,
                              (long long)fields[i].min, (long long)fields[i].max);
        *limit_at(row, i) = n;
        return 0;
    }
    return nr_err_set(
        err, NR_EINVAL,
        "The field '%.64s' is not known; there are invocationsPerMinute, concurrentInvocations and firesPerMinute.",
        key);
}

static int apply(struct nr_str body, struct account_row *row, struct nr_err *err)
{
    struct nr_err why = {0};
    nr_auto_json json_t *j = nr_json_parse(body, &why);
    const char *key;
    json_t *value;
    int r;

    if (j == NULL)
        return nr_err_set(err, NR_EINVAL, "The request content was malformed:\n%s", why.text);
    if (!json_is_object(j))
        return nr_err_set(err, NR_EINVAL, "The request content was malformed:\nObject expected");
    json_object_foreach(j, key, value) {
        if ((r = set_field(row, key, value, err)) < 0)
            return r;
    }
    return 0;
}

int account_limits(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct account_row row = {0};
    int r;

    *ret_old = 0;
    if ((call->account->scopes & SCOPE_ADMIN) == 0)
        return nr_err_set(&call->err, NR_EFORBIDDEN, TEXT_FORBIDDEN);
    if ((r = load(m, call, &row)) == 0 && (r = apply(call->body, &row, &call->err)) == 0) {
        free(row.profile);
        row.profile = nr_strdup(PROFILE_CUSTOM);
        r = accounts_set_limits(&m->accounts, m->db, &row);
        if (r < 0)
            nr_err_set(&call->err, r, "%s", r == NR_ENOSPC ? TEXT_NO_SPACE : TEXT_INTERNAL);
        else
            write_account(&row, &call->reply);
    }
    account_row_fini(&row);
    return r;
}
