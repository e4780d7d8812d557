/* {"name","state","profile","invocationsPerMinute","concurrentInvocations","firesPerMinute","quota","usage",...}; a limit of -1 is none, 0
 * blocks. Limits that are set one by one make the profile "custom".
 */
#include "fnmanager/accounts/account_api.h"

#include "common/base/json.h"
#include "fnmanager/fields.h"
#include "fnmanager/accounts/quota.h"

#define REPLY_MAX_BYTES 8192
#define LIST_REPLY_MAX_BYTES (32 << 20)
#define REASON_MAX_BYTES 256
#define NAME_MAX_BYTES 64
#define NO_ADMIN_LEFT "No key with scope admin would be left that is in force."

static const struct {
    const char *key;
    size_t offset;
    int64_t min, max;
} limit_fields[] = {
    {"invocationsPerMinute", offsetof(struct account_row, invocations_per_minute), -1, 100000000},
    {"concurrentInvocations", offsetof(struct account_row, concurrent_invocations), 0, 1000000},
    {"firesPerMinute", offsetof(struct account_row, fires_per_minute), -1, 100000000},
};

static int64_t *number_at(struct account_row *row, size_t offset)
{
    return (int64_t *)(void *)((char *)row + offset);
}

int account_admin_only(struct fn_call *call)
{
    if ((call->account->scopes & SCOPE_ADMIN) != 0)
        return 0;
    return nr_err_set(&call->err, NR_EFORBIDDEN, TEXT_FORBIDDEN);
}

int account_may_see(struct fn_call *call)
{
    if ((call->account->scopes & SCOPE_ADMIN) != 0 || nr_str_eqz(call->name, call->account->name))
        return 0;
    return nr_err_set(&call->err, NR_ENOENT, TEXT_NOT_FOUND);
}

int account_refuse(struct fn_call *call, int r)
{
    if (r == NR_ECONFLICT)
        return nr_err_set(&call->err, r, NO_ADMIN_LEFT);
    return handler_refuse(call, r);
}

/* Without the closing brace. */
static void write_limits(struct account_row *row, struct nr_buf *out)
{
    nr_buf_adds(out, "{\"name\":");
    nr_buf_json(out, nr_str_of(row->name));
    nr_buf_adds(out, ",\"profile\":");
    nr_buf_json(out, nr_str_of(row->profile));
    for (size_t i = 0; i < nr_countof(limit_fields); i++)
        nr_buf_printf(out, ",\"%s\":%lld", limit_fields[i].key,
                      (long long)*number_at(row, limit_fields[i].offset));
}

/* Without the closing brace; used may be NULL: nothing. */
static void write_account(struct account_row *row, const struct account_amount *used,
                          struct nr_buf *out)
{
    static const struct account_amount nothing;

    write_limits(row, out);
    nr_buf_printf(out, ",\"state\":\"%s\",\"reason\":", account_state_name(row->state));
    nr_buf_json(out, nr_str_of(row->reason));
    nr_buf_adds(out, ",\"quota\":");
    account_write_amount(&row->quota, out);
    nr_buf_adds(out, ",\"usage\":");
    account_write_used(used != NULL ? used : &nothing, out);
    nr_buf_printf(out, ",\"created_ms\":%lld", (long long)row->created_ms);
}

/* Looks one account up, or writes all into a list. */
struct listing {
    struct nr_str name; /* n == 0: all */
    struct nr_buf *out;
    int count;
};

static void list_one(void *arg, const struct account_row *account,
                     const struct account_amount *used)
{
    struct listing *l = arg;
    struct account_row row = *account; /* lent */

    if (l->name.n != 0 && !nr_str_eqz(l->name, account->name))
        return;
    if (l->count++ > 0)
        nr_buf_addc(l->out, ',');
    write_account(&row, used, l->out);
    nr_buf_addc(l->out, '}');
}

int account_show(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct listing l = {.name = call->name, .out = &call->reply};
    int r = account_may_see(call);

    *ret_old = 0;
    if (r < 0)
        return r;
    nr_buf_init(&call->reply, REPLY_MAX_BYTES);
    r = metadata_accounts(m->db, list_one, &l);
    return r < 0 || l.count == 0 ? account_refuse(call, r < 0 ? r : NR_ENOENT) : 0;
}

int account_list(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct listing l = {.out = &call->reply};
    int r = account_admin_only(call);

    *ret_old = 0;
    if (r < 0)
        return r;
    nr_buf_init(&call->reply, LIST_REPLY_MAX_BYTES);
    nr_buf_adds(&call->reply, "{\"accounts\":[");
    r = metadata_accounts(m->db, list_one, &l);
    nr_buf_adds(&call->reply, "]}");
    return r < 0 ? account_refuse(call, r) : 0;
}

int account_get(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct account_row row = {0};
    int r = account_may_see(call);

    *ret_old = 0;
    if (r == 0 && (r = metadata_account(m->db, call->name, &row)) < 0)
        r = account_refuse(call, r);
    if (r == 0) {
        nr_buf_init(&call->reply, REPLY_MAX_BYTES);
        write_limits(&row, &call->reply);
        nr_buf_addc(&call->reply, '}');
    }
    account_row_fini(&row);
    return r;
}

/* ---- create ------------------------------------------------------------------------------------------------------ */

/* It is a namespace, a folder, and a word of many commands. */
static int check_name(const char *name, struct nr_err *err)
{
    static const char signs[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.@-";
    size_t n = strlen(name);

    if (n <= NAME_MAX_BYTES && strspn(name, signs) == n && strchr("_.@-", name[0]) == NULL)
        return 0;
    return nr_err_set(
        err, NR_EINVAL,
        "The name of an account is 1 to %d letters, digits and '_', '.', '@', '-', and begins with a letter or a digit, not '%.80s'.",
        NAME_MAX_BYTES, name);
}

static int parse_create(struct nr_str body, struct account_row *row, struct nr_err *err)
{
    static const char *const known[] = {"name", "profile", NULL};
    nr_auto_json json_t *o = fields_parse(body, known, err);
    const char *name = NULL, *profile = "default";
    int r;

    if (o == NULL)
        return NR_EINVAL;
    if ((r = fields_text(o, "name", 4096, false, &name, err)) < 0 ||
        (r = fields_text(o, "profile", 64, false, &profile, err)) < 0)
        return r;
    if (name == NULL)
        return nr_err_set(err, NR_EINVAL, "The field 'name' is missing.");
    if ((r = check_name(name, err)) < 0)
        return r;
    if (!accounts_profile(profile, row))
        return nr_err_set(err, NR_EINVAL,
                          "There is no profile '%.64s'; there are default, iot and local.",
                          profile);
    accounts_new_row(name, row);
    row->profile = nr_strdup(profile);
    return 0;
}

int account_create(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct account_row row = {0};
    struct key_pair pair;
    int r = account_admin_only(call);

    *ret_old = 0;
    if (r < 0 || (r = parse_create(call->body, &row, &call->err)) < 0)
        return r;
    r = accounts_create(&m->accounts, m->db, &row, handler_actor(call), &pair);
    if (r == NR_EEXIST)
        r = nr_err_set(&call->err, r, "There is an account '%s' already.", row.name);
    else if (r < 0)
        r = account_refuse(call, r);
    if (r == 0) {
        call->status = 201;
        nr_buf_init(&call->reply, REPLY_MAX_BYTES);
        write_account(&row, NULL, &call->reply);
        nr_buf_printf(&call->reply, ",\"key\":\"%s:%s\"}", pair.uuid, pair.secret);
    }
    explicit_bzero(&pair, sizeof(pair));
    account_row_fini(&row);
    return r;
}

/* ---- changes ------------------------------------------------------------------------------------------------------ */

int account_change(struct fnmanager *m, struct fn_call *call, const char *move,
                   int (*edit)(struct account_row *row, void *arg, struct nr_err *err),
                   struct account_row *ret)
{
    const struct accounts_edit e = {
        .name = call->name, .actor = handler_actor(call), .move = move, .edit = edit, .arg = call};
    int r = account_admin_only(call);

    if (r < 0)
        return r;
    if ((r = accounts_edit(&m->accounts, m->db, &e, ret, &call->err)) < 0)
        return call->err.code != 0 ? r : account_refuse(call, r);
    return 0;
}

/* Reads what the body says into the row, stores, and writes the account, whole or its limits. */
static int change(struct fnmanager *m, struct fn_call *call, const char *move,
                  int (*edit)(struct account_row *row, void *arg, struct nr_err *err), bool whole)
{
    struct account_row row = {0};
    int r = account_change(m, call, move, edit, &row);

    if (r < 0)
        return r;
    nr_buf_init(&call->reply, REPLY_MAX_BYTES);
    write_limits(&row, &call->reply);
    if (whole) {
        nr_buf_printf(&call->reply, ",\"state\":\"%s\",\"reason\":", account_state_name(row.state));
        nr_buf_json(&call->reply, nr_str_of(row.reason));
    }
    nr_buf_addc(&call->reply, '}');
    account_row_fini(&row);
    return 0;
}

static int edit_limits(struct account_row *row, void *arg, struct nr_err *err)
{
    static const char *const known[] = {"invocationsPerMinute", "concurrentInvocations",
                                        "firesPerMinute", NULL};
    const struct fn_call *call = arg;
    nr_auto_json json_t *o = fields_parse(call->body, known, err);
    int r = o == NULL ? NR_EINVAL : 0;

    for (size_t i = 0; r == 0 && i < nr_countof(limit_fields); i++)
        r = fields_integer(o, limit_fields[i].key, limit_fields[i].min, limit_fields[i].max,
                           FIELDS_NO_NULL, number_at(row, limit_fields[i].offset), err);
    free(row->profile);
    row->profile = nr_strdup(PROFILE_CUSTOM);
    return r;
}

/* What others know of its shared code goes: they ask anew, and are told what it is now. What is wished for it is looked at again. */
static void tell(struct fnmanager *m, struct fn_call *call)
{
    nr_auto_free char *account = nr_strndup(call->name.p, call->name.n);

    handler_changed(m, account, "", "", 0, FN_ACCOUNT_CHANGED);
}

int account_limits(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    int r = change(m, call, "account-limits", edit_limits, false);

    *ret_old = r == 0 ? HANDLER_MANY : 0;
    if (r == 0)
        tell(m, call);
    return r;
}

/* The state of the row becomes `to` when it is `from`. */
static int edit_state(struct account_row *row, struct fn_call *call, enum account_state from,
                      enum account_state to, const char *reason, struct nr_err *err)
{
    if (strcmp(row->name, ACCOUNT_ADMIN) == 0)
        return nr_err_set(err, NR_ECONFLICT, "The account 'admin' is protected and stays ACTIVE.");
    if (row->state != from)
        return nr_err_set(err, NR_ECONFLICT, "The account '%s' is %s, not %s.", row->name,
                          account_state_name(row->state), account_state_name(from));
    row->state = to;
    free(row->reason);
    row->reason = nr_strdup(reason);
    return 0;
}

static int edit_suspend(struct account_row *row, void *arg, struct nr_err *err)
{
    static const char *const known[] = {"reason", NULL};
    struct fn_call *call = arg;
    nr_auto_json json_t *o = fields_parse(call->body, known, err);
    const char *reason = "";
    int r = o == NULL ? NR_EINVAL : fields_text(o, "reason", REASON_MAX_BYTES, true, &reason, err);

    return r < 0 ? r : edit_state(row, call, ACCOUNT_ACTIVE, ACCOUNT_SUSPENDED, reason, err);
}

static int edit_resume(struct account_row *row, void *arg, struct nr_err *err)
{
    static const char *const known[] = {NULL};
    struct fn_call *call = arg;
    nr_auto_json json_t *o = fields_parse(call->body, known, err);

    return o == NULL ? NR_EINVAL
                     : edit_state(row, call, ACCOUNT_SUSPENDED, ACCOUNT_ACTIVE, "", err);
}

static uint64_t next_revision(void *arg)
{
    return fnmanager_next_revision(arg);
}

/* Tells the loops that no version of the account runs any more. All become new, for a revision that was told to be over is never warm again. */
static void drain(struct fnmanager *m, struct fn_call *call)
{
    nr_auto_free char *account = nr_strndup(call->name.p, call->name.n);
    const struct grants_put renew = {
        .account = call->name, .next_revision = next_revision, .arg = m};
    struct grants_changed *list = NULL;
    size_t n = 0;
    int r = metadata_grants_put(m->db, &renew, &list, &n);

    if (r < 0)
        nr_log(m->config.log, NR_LOG_ERROR, "fnmanager",
               "containers of account=%s stay until they are idle: %s", account, nr_err_text(r));
    for (size_t i = 0; i < n; i++)
        handler_changed(m, account, list[i].package, list[i].name, list[i].old_revision,
                        FN_REPLACED);
    grants_changed_free(list, n);
}

int account_suspend(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    int r = change(m, call, "account-suspend", edit_suspend, true);

    *ret_old = r == 0 ? HANDLER_MANY : 0;
    if (r == 0) {
        tell(m, call);
        drain(m, call);
    }
    return r;
}

int account_resume(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    int r = change(m, call, "account-resume", edit_resume, true);

    *ret_old = r == 0 ? HANDLER_MANY : 0;
    if (r == 0)
        tell(m, call);
    return r;
}
