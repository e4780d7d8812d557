/* A publication freezes LATEST's code and settings under the next number; the files are shared with LATEST until that gets others. A
 * version is never changed, only moved through its life and removed.
 *
 * Retention: after each publication the oldest versions beyond `keep_versions` go, and every minute those that are older than
 * `keep_versions_days` or were retired `keep_retired_days` ago: the account's numbers, or the platform's (accounts/retention.c). Never what an alias names, and never a BLOCKED one: somebody keeps
 * it there to look at it.
 */
#include "fnmanager/functions/version_controller.h"

#include "common/base/clock.h"
#include "fnmanager/api_body.h"
#include "fnmanager/functions/diff.h"
#include "fnmanager/functions/functions_api.h"
#include "fnmanager/functions/lifecycle_controller.h"
#include "fnmanager/registry/metadata_versions.h"

#define NOTE_MAX_BYTES 1000

static int write_versions(struct fnmanager *m, struct fn_call *call, int64_t number)
{
    struct fn_key key = handler_key(call);
    struct alias_list aliases = {0};
    int r = metadata_alias_list(m->db, key, &aliases);

    nr_buf_init(&call->reply, FUNCTIONS_REPLY_MAX_BYTES);
    if (r == 0)
        r = metadata_version_list(m->db, key, number, &aliases, &call->reply);
    alias_list_fini(&aliases);
    return r < 0 ? handler_refuse(call, r) : 0;
}

int version_list(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    *ret_old = 0;
    return write_versions(m, call, FN_EVERY_VERSION);
}

/* Removes each of them as retention does; one that may not go any more stays. */
static int64_t remove_all(struct fnmanager *m, const struct fn_names *names, const char *why)
{
    int64_t removed = 0;

    for (size_t i = 0; i < names->n; i++) {
        const struct fn_name *f = &names->item[i];
        struct moved_list moved = {0};
        struct move_order o = {
            .key = {nr_str_of(f->account), nr_str_of(f->package), nr_str_of(f->name)},
            .number = f->number > 0 ? f->number : FN_EVERY_VERSION,
            .move = f->number > 0 ? MOVE_DELETE : MOVE_PURGE,
            .expected = f->number > 0 ? 0 : f->revision,
            .reason = nr_str_of(why),
            .actor = {NR_STR("narae"), NR_STR("")},
        };

        if (lifecycle_carry(m, &o, false, &moved, NULL) == 0)
            removed += (int64_t)moved.n;
        free(moved.item);
    }
    return removed;
}

static void keep_newest(struct fnmanager *m, struct fn_key key)
{
    struct fn_names surplus = {0};

    if (metadata_surplus(m->db, key, m->config.keep_versions, &surplus) < 0)
        return;
    (void)remove_all(m, &surplus, "more versions than are kept");
    fn_names_free(&surplus);
}

int64_t version_retention(struct fnmanager *m)
{
    const struct {
        int64_t days;
        enum function_state state;
        const char *why;
    } rules[] = {{m->config.keep_retired_days, FN_RETIRED, "retired for longer than is kept"},
                 {m->config.keep_versions_days, FN_PUBLISHED, "older than is kept"}};
    int64_t removed = 0, n;

    for (size_t i = 0; i < nr_countof(rules); i++) {
        do {
            struct fn_names outdated = {0};
            if (metadata_outdated(m->db, rules[i].state, nr_wall_ms(), rules[i].days, &outdated) <
                0)
                return removed;
            n = remove_all(m, &outdated, rules[i].why);
            removed += n;
            fn_names_free(&outdated);
        } while (n > 0);
    }
    return removed;
}

int version_publish(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    static const char *const fields[] = {"note", NULL};
    nr_auto_json json_t *body = api_body_read(call->body, fields, &call->err);
    struct publish_order o = {.key = handler_key(call),
                              .actor = handler_actor(call),
                              .revision = fnmanager_next_revision(m)};
    int64_t number = 0;
    int r;

    *ret_old = 0;
    if (body == NULL)
        return call->err.code;
    if ((r = api_body_text(body, "note", NOTE_MAX_BYTES, &o.note, &call->err)) < 0)
        return r;
    if ((r = metadata_publish(m->db, &o, &number, &call->err)) < 0)
        return handler_refuse(call, r);
    keep_newest(m, o.key);
    *ret_old = HANDLER_MANY;
    call->status = 201;
    return write_versions(m, call, number);
}

static int read_number(struct fn_call *call, int64_t *ret)
{
    *ret = 0;
    if (nr_str_eqz(call->item, "latest") || nr_str_to_i64(call->item, 1, INT32_MAX, ret))
        return 0;
    return nr_err_set(&call->err, NR_EINVAL,
                      "A version is a number from 1, or 'latest', not '%.*s'.",
                      call->item.n < 64 ? (int)call->item.n : 64, call->item.p);
}

static void write_number(const char *name, int64_t number, struct nr_buf *out)
{
    if (number == 0)
        nr_buf_printf(out, "\"%s\":\"latest\",", name);
    else
        nr_buf_printf(out, "\"%s\":%lld,", name, (long long)number);
}

int version_diff(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct fn_key key = handler_key(call);
    struct fn_row from = {0}, to = {0};
    uint64_t account;
    int64_t other;
    int r;

    *ret_old = 0;
    if ((r = read_number(call, &other)) < 0)
        return r;
    if ((r = metadata_load_version(m->db, key, call->number, &from)) == 0)
        r = metadata_load_version(m->db, key, other, &to);
    (void)account_names_look(&m->accounts.names, key.account, &account);
    nr_buf_init(&call->reply, FUNCTIONS_REPLY_MAX_BYTES);
    nr_buf_addc(&call->reply, '{');
    write_number("from", call->number, &call->reply);
    write_number("to", other, &call->reply);
    if (r == 0)
        r = diff_write(&(struct diff_order){&m->storage, &m->secrets, account, &from, &to},
                       &call->reply, &call->err);
    nr_buf_addc(&call->reply, '}');
    fn_row_fini(&from);
    fn_row_fini(&to);
    return r < 0 ? handler_refuse(call, r) : 0;
}
