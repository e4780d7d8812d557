/* GET and PUT of an account's grants. What is put is read into the struct and stored as that struct writes it, so that nothing that was
 * not understood is kept. A change makes every function of the account new: the old snapshots, and the containers with the old grants,
 * are told to go before the 2xx leaves.
 */
#include "fnmanager/accounts/grants_api.h"

#include "common/base/json.h"
#include "ports/grants.h"

int grants_of_account(struct fnmanager *m, struct nr_str account, struct grants **ret,
                      struct nr_err *err)
{
    nr_auto_free char *text = NULL;
    int r = metadata_grants(m->db, account, &text);

    *ret = NULL;
    if (r == NR_ENOENT)
        return 0;
    nr_auto_json json_t *o = r == 0 ? nr_json_parse(nr_str_of(text), NULL) : NULL;

    if (o == NULL)
        return nr_err_set(err, r < 0 ? r : NR_ECORRUPT, "%s", TEXT_INTERNAL);
    return grants_stored(o, m->config.devices, ret, err);
}

int grants_check(struct fnmanager *m, struct nr_str account, const char *annotations,
                 struct nr_err *err)
{
    struct grants *has = NULL, *share = NULL;
    nr_auto_json json_t *asked = nr_json_parse(nr_str_of(annotations), NULL);
    int r = grants_of_account(m, account, &has, err);

    if (r == 0)
        r = grants_for_function(has, asked, false, &share, err);
    grants_unref(has);
    grants_unref(share);
    return r;
}

static int write_grants(const struct grants *g, struct fn_call *call)
{
    nr_auto_json json_t *o = grants_json(g);
    nr_auto_free char *text = o ? nr_json_text(o, NULL) : NULL;

    nr_buf_init(&call->reply, GRANTS_BODY_MAX_BYTES);
    if (text == NULL)
        return nr_err_set(&call->err, NR_ENOMEM, "%s", TEXT_INTERNAL);
    nr_buf_adds(&call->reply, text);
    return 0;
}

static int find_account(struct fnmanager *m, struct fn_call *call)
{
    struct account_row row = {0};
    int r = metadata_account(m->db, call->name, &row);

    account_row_fini(&row);
    return r < 0 ? nr_err_set(&call->err, r, "%s", r == NR_ENOENT ? TEXT_NOT_FOUND : TEXT_INTERNAL)
                 : 0;
}

int grants_get(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    bool own = nr_str_eqz(call->name, call->account->name);
    struct grants *g = NULL;
    int r;

    *ret_old = 0;
    if (!own && (call->account->scopes & SCOPE_ADMIN) == 0)
        return nr_err_set(&call->err, NR_EFORBIDDEN, TEXT_FORBIDDEN);
    if ((r = find_account(m, call)) == 0 &&
        (r = grants_of_account(m, call->name, &g, &call->err)) == 0)
        r = write_grants(g, call);
    grants_unref(g);
    return r;
}

static uint64_t next_revision(void *arg)
{
    return fnmanager_next_revision(arg);
}

static int store(struct fnmanager *m, struct fn_call *call, const struct grants *g,
                 uint64_t *ret_old)
{
    nr_auto_free char *account = nr_strndup(call->name.p, call->name.n);
    nr_auto_json json_t *o = grants_json(g);
    nr_auto_free char *text = o ? nr_json_text(o, NULL) : NULL;
    const struct grants_put put = {
        .account = call->name,
        .text = nr_str_of(text),
        .actor = {nr_str_of(call->account->name), nr_str_of(call->account->uuid)},
        .next_revision = next_revision,
        .arg = m};
    struct grants_changed *list = NULL;
    size_t n = 0;
    int r = text ? metadata_grants_put(m->db, &put, &list, &n) : NR_ENOMEM;

    if (r < 0)
        return nr_err_set(&call->err, r, "%s", r == NR_ENOSPC ? TEXT_NO_SPACE : TEXT_INTERNAL);
    for (size_t i = 0; i < n; i++)
        handler_changed(m, account, list[i].package, list[i].name, list[i].old_revision,
                        FN_REPLACED);
    *ret_old = n > 0 ? HANDLER_MANY : 0;
    grants_changed_free(list, n);
    nr_log(m->config.log, NR_LOG_INFO, "fnmanager",
           "grants of account=%s are now %s, by account=%s", account, text, call->account->name);
    return 0;
}

int grants_put(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct nr_err why = {0};
    struct grants *g = NULL;
    int r;

    *ret_old = 0;
    if ((call->account->scopes & SCOPE_ADMIN) == 0)
        return nr_err_set(&call->err, NR_EFORBIDDEN, TEXT_FORBIDDEN);
    if ((r = find_account(m, call)) < 0)
        return r;
    nr_auto_json json_t *o = nr_json_parse(call->body, &why);

    if (o == NULL)
        return nr_err_set(&call->err, NR_EINVAL, "The request content was malformed:\n%s",
                          why.text);
    if ((r = grants_read(o, m->config.devices, &g, &call->err)) == 0 &&
        (r = store(m, call, g, ret_old)) == 0)
        r = write_grants(g, call);
    grants_unref(g);
    return r;
}
