/* What an account keeps of its functions' past: how many published versions of each, and for how long those and what was retired. A number that the
 * account does not have is the platform's (--keep-versions and so on), which may change with a restart; so each answer tells both.
 */
#include "fnmanager/accounts/retention.h"

#include "fnmanager/accounts/account_api.h"
#include "fnmanager/fields.h"

#define REPLY_MAX_BYTES 1024

static const struct {
    const char *key;
    size_t own, ours; /* in the account's row; in the configuration */
    int64_t max;
} retention_fields[] = {
    {"keepVersions", offsetof(struct account_row, keep.versions),
     offsetof(struct fnmanager_config, keep_versions), 1000},
    {"keepVersionsDays", offsetof(struct account_row, keep.versions_days),
     offsetof(struct fnmanager_config, keep_versions_days), 3650},
    {"keepRetiredDays", offsetof(struct account_row, keep.retired_days),
     offsetof(struct fnmanager_config, keep_retired_days), 3650},
};

static int64_t *own(struct account_row *row, size_t i)
{
    return (int64_t *)(void *)((char *)row + retention_fields[i].own);
}

static int64_t ours(const struct fnmanager *m, size_t i)
{
    return *(const int64_t *)(const void *)((const char *)&m->config + retention_fields[i].ours);
}

/* {"keepVersions":20,...,"inForce":{...}}: null where the account has none of its own. */
static void write_retention(const struct fnmanager *m, struct fn_call *call,
                            struct account_row *row)
{
    struct nr_buf *out = &call->reply;

    nr_buf_init(out, REPLY_MAX_BYTES);
    for (size_t i = 0; i < nr_countof(retention_fields); i++) {
        nr_buf_printf(out, "%s\"%s\":", i == 0 ? "{" : ",", retention_fields[i].key);
        if (*own(row, i) < 0)
            nr_buf_adds(out, "null");
        else
            nr_buf_addi(out, *own(row, i));
    }
    nr_buf_adds(out, ",\"inForce\":");
    for (size_t i = 0; i < nr_countof(retention_fields); i++)
        nr_buf_printf(out, "%s\"%s\":%lld", i == 0 ? "{" : ",", retention_fields[i].key,
                      (long long)(*own(row, i) < 0 ? ours(m, i) : *own(row, i)));
    nr_buf_adds(out, "}}");
}

int retention_get(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct account_row row = {0};
    int r = account_may_see(call);

    *ret_old = 0;
    if (r == 0 && (r = metadata_account(m->db, call->name, &row)) < 0)
        r = account_refuse(call, r);
    if (r == 0)
        write_retention(m, call, &row);
    account_row_fini(&row);
    return r;
}

static int edit_retention(struct account_row *row, void *arg, struct nr_err *err)
{
    static const char *const known[] = {"keepVersions", "keepVersionsDays", "keepRetiredDays",
                                        NULL};
    const struct fn_call *call = arg;
    nr_auto_json json_t *o = fields_parse(call->body, known, err);
    int r = o == NULL ? NR_EINVAL : 0;

    for (size_t i = 0; r == 0 && i < nr_countof(retention_fields); i++)
        r = fields_integer(o, retention_fields[i].key, 0, retention_fields[i].max, -1, own(row, i),
                           err);
    return r;
}

int retention_put(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct account_row row = {0};
    int r = account_change(m, call, "account-retention", edit_retention, &row);

    *ret_old = 0;
    if (r < 0)
        return r;
    write_retention(m, call, &row);
    account_row_fini(&row);
    return 0;
}
