/* A quota is judged in the transaction that makes the change, by the counts that the schema's triggers keep: what two uploads at the
 * same time would exceed together, the second one is refused. Who is above a quota that was lowered may still change and remove.
 */
#include "fnmanager/accounts/quota.h"

#include "fnmanager/accounts/account_api.h"
#include "fnmanager/fields.h"
#include "fnmanager/storage/sweeper.h"

#define REPLY_MAX_BYTES 1024
/* Of replaced code, whatever the quota. */
#define GARBAGE_MIN_BYTES (256ll << 20)

static const struct {
    const char *key;
    size_t offset;
    int64_t max;
    const char *unit; /* of the sentence */
} quota_fields[] = {
    {"bytes", offsetof(struct account_row, quota.bytes), 1ll << 50, "bytes of code"},
    {"functions", offsetof(struct account_row, quota.functions), 10000000, "functions"},
    {"versions", offsetof(struct account_row, quota.versions), 100000000, "published versions"},
};

static int64_t *number_at(struct account_row *row, size_t offset)
{
    return (int64_t *)(void *)((char *)row + offset);
}

static void write_numbers(const struct account_amount *a, struct nr_buf *out)
{
    const int64_t values[] = {a->bytes, a->functions, a->versions};

    for (size_t i = 0; i < nr_countof(values); i++) {
        nr_buf_printf(out, "%s\"%s\":", i == 0 ? "{" : ",", quota_fields[i].key);
        if (values[i] < 0)
            nr_buf_adds(out, "null");
        else
            nr_buf_addi(out, values[i]);
    }
}

void account_write_amount(const struct account_amount *a, struct nr_buf *out)
{
    write_numbers(a, out);
    nr_buf_addc(out, '}');
}

void account_write_used(const struct account_amount *a, struct nr_buf *out)
{
    write_numbers(a, out);
    nr_buf_printf(out, ",\"compiled_bytes\":%lld}", (long long)a->compiled_bytes);
}

int quota_begin(sqlite3 *db, struct nr_str account, struct quota_mark *m, struct nr_err *err)
{
    sqlite3_stmt *s = nr_db_prepare(
        db,
        "SELECT coalesce(u.bytes + u.compiled_bytes, 0), coalesce(u.functions, 0), coalesce(u.versions, 0),"
        " a.quota_bytes, a.quota_functions, a.quota_versions, a.state, coalesce(u.garbage_bytes, 0) FROM accounts a"
        " LEFT JOIN usage u ON u.account = a.name WHERE a.name = ?1");
    bool active = false;
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, account);
    if ((r = sqlite3_step(s)) == SQLITE_ROW) {
        m->used = (struct account_amount){sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 1),
                                          sqlite3_column_int64(s, 2)};
        m->quota = (struct account_amount){sqlite3_column_int64(s, 3), sqlite3_column_int64(s, 4),
                                           sqlite3_column_int64(s, 5)};
        m->garbage_bytes = sqlite3_column_int64(s, 7);
        active = nr_str_eqz(nr_db_column(s, 6), account_state_name(ACCOUNT_ACTIVE));
    }
    (void)sqlite3_reset(s);
    if (r != SQLITE_ROW && r != SQLITE_DONE)
        return nr_db_err(r);
    return active ? 0
                  : nr_err_set(err, NR_EFORBIDDEN, "The account '%.*s' takes no changes now.",
                               (int)account.n, account.p);
}

/* Who replaces code again and again fills the disk with what waits for running calls: that may be as much again as the quota. */
static int garbage_end(struct nr_str account, const struct quota_mark *before,
                       const struct quota_mark *now, struct nr_err *err)
{
    int64_t quota = now->quota.bytes, most = quota > GARBAGE_MIN_BYTES ? quota : GARBAGE_MIN_BYTES;

    if (quota < 0 || now->garbage_bytes <= most || now->garbage_bytes <= before->garbage_bytes)
        return 0;
    return nr_err_set(
        err, NR_EFORBIDDEN,
        "The account '%.*s' has %lld bytes of replaced code that calls may still use, "
        "and may have %lld; they go within %d minutes.",
        (int)account.n, account.p, (long long)before->garbage_bytes, (long long)most,
        SWEEP_AFTER_MS / 60000 + 1);
}

int quota_end(sqlite3 *db, struct nr_str account, const struct quota_mark *m, struct nr_err *err)
{
    struct quota_mark now;
    int r = quota_begin(db, account, &now, err);

    if (r < 0)
        return r;
    const int64_t before[] = {m->used.bytes, m->used.functions, m->used.versions},
                  after[] = {now.used.bytes, now.used.functions, now.used.versions},
                  limit[] = {now.quota.bytes, now.quota.functions, now.quota.versions};

    for (size_t i = 0; i < nr_countof(limit); i++) {
        if (limit[i] >= 0 && after[i] > limit[i] && after[i] > before[i])
            return nr_err_set(err, NR_EFORBIDDEN,
                              "The account '%.*s' would have %lld %s, more than its quota of %lld.",
                              (int)account.n, account.p, (long long)after[i], quota_fields[i].unit,
                              (long long)limit[i]);
    }
    return garbage_end(account, m, &now, err);
}

static void write_quota(struct fn_call *call, const struct account_row *row)
{
    nr_buf_init(&call->reply, REPLY_MAX_BYTES);
    account_write_amount(&row->quota, &call->reply);
}

int quota_get(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct account_row row = {0};
    int r = account_may_see(call);

    *ret_old = 0;
    if (r == 0 && (r = metadata_account(m->db, call->name, &row)) < 0)
        r = account_refuse(call, r);
    if (r == 0)
        write_quota(call, &row);
    account_row_fini(&row);
    return r;
}

static int edit_quota(struct account_row *row, void *arg, struct nr_err *err)
{
    static const char *const known[] = {"bytes", "functions", "versions", NULL};
    const struct fn_call *call = arg;
    nr_auto_json json_t *o = fields_parse(call->body, known, err);
    int r = o == NULL ? NR_EINVAL : 0;

    for (size_t i = 0; r == 0 && i < nr_countof(quota_fields); i++)
        r = fields_integer(o, quota_fields[i].key, 0, quota_fields[i].max, -1,
                           number_at(row, quota_fields[i].offset), err);
    return r;
}

int quota_put(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct account_row row = {0};
    int r = account_change(m, call, "account-quota", edit_quota, &row);

    *ret_old = 0;
    if (r < 0)
        return r;
    write_quota(call, &row);
    account_row_fini(&row);
    return 0;
}
