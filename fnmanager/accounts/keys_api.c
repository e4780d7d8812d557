/* {"uuid","scopes","expires_ms","created_ms","note"}, and "key": "uuid:secret" when it was just made. expires_ms null: never.
 */
#include "fnmanager/accounts/keys_api.h"

#include <time.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "fnmanager/accounts/account_api.h"
#include "fnmanager/fields.h"

#define REPLY_MAX_BYTES 4096
#define LIST_REPLY_MAX_BYTES (16 << 20)
#define NOTE_MAX_BYTES 256
#define EXPIRES_MAX_S (100ll * 366 * 86400)
#define EXPIRES_TEXT                                                                               \
    "The field 'expires' must be a time to come such as \"2030-01-31T12:00:00Z\", or seconds from now, 1 to %lld."

static const struct {
    const char *name;
    unsigned scope;
} scopes[] = {
    {"invoke", SCOPE_INVOKE},
    {"read", SCOPE_READ},
    {"write", SCOPE_WRITE},
    {"admin", SCOPE_ADMIN},
};

/* ---- what is shown ------------------------------------------------------------------------------------------------- */

/* Without the closing brace. */
static void write_key(const struct key_row *k, struct nr_buf *out)
{
    const char *before = "";

    nr_buf_adds(out, "{\"uuid\":");
    nr_buf_json(out, k->uuid);
    nr_buf_adds(out, ",\"scopes\":[");
    for (size_t i = 0; i < nr_countof(scopes); i++) {
        if ((k->scopes & scopes[i].scope) == 0)
            continue;
        nr_buf_printf(out, "%s\"%s\"", before, scopes[i].name);
        before = ",";
    }
    nr_buf_adds(out, "],\"expires_ms\":");
    if (k->expires_ms == 0)
        nr_buf_adds(out, "null");
    else
        nr_buf_addi(out, k->expires_ms);
    nr_buf_printf(out, ",\"created_ms\":%lld,\"note\":", (long long)k->created_ms);
    nr_buf_json(out, k->note.n != 0 ? k->note : NR_STR(""));
}

static void list_one(void *arg, const struct key_row *key, const struct account_row *account)
{
    struct nr_buf *out = arg;

    (void)account;
    if (out->p[out->n - 1] != '[')
        nr_buf_addc(out, ',');
    write_key(key, out);
    nr_buf_addc(out, '}');
}

int key_list(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct account_row row = {0};
    int r = account_may_see(call);

    *ret_old = 0;
    if (r < 0)
        return r;
    r = metadata_account(m->db, call->name, &row);
    account_row_fini(&row);
    nr_buf_init(&call->reply, LIST_REPLY_MAX_BYTES);
    nr_buf_adds(&call->reply, "{\"keys\":[");
    if (r == 0)
        r = metadata_keys(m->db, call->name, list_one, &call->reply);
    nr_buf_adds(&call->reply, "]}");
    return r < 0 ? account_refuse(call, r) : 0;
}

static void write_made(struct fn_call *call, const struct key_row *key, const struct key_pair *pair)
{
    nr_buf_init(&call->reply, REPLY_MAX_BYTES);
    write_key(key, &call->reply);
    nr_buf_printf(&call->reply, ",\"key\":\"%s:%s\"}", pair->uuid, pair->secret);
}

/* ---- what is asked for --------------------------------------------------------------------------------------------- */

static int parse_scopes(const json_t *list, unsigned *ret, struct nr_err *err)
{
    unsigned all = 0;
    size_t at;
    const json_t *one;

    if (list == NULL)
        return 0;
    json_array_foreach(list, at, one) {
        const char *name = json_string_value(one);
        unsigned scope = 0;
        for (size_t i = 0; name != NULL && i < nr_countof(scopes); i++)
            scope |= strcmp(name, scopes[i].name) == 0 ? scopes[i].scope : 0;
        if (scope == 0)
            return nr_err_set(err, NR_EINVAL,
                              "There is no scope '%.32s'; there are invoke, read, write and admin.",
                              name != NULL ? name : "");
        all |= scope;
    }
    if (all == 0)
        return nr_err_set(
            err, NR_EINVAL,
            "The field 'scopes' must be a list of one or more of invoke, read, write and admin.");
    *ret = all;
    return 0;
}

/* `n` digits at *at, moved behind them; false when there are others. */
static bool digits(struct nr_str *at, size_t n, int *ret)
{
    int64_t value;

    if (at->n < n || !nr_str_to_i64((struct nr_str){at->p, n}, 0, 9999, &value))
        return false;
    *ret = (int)value;
    at->p += n;
    at->n -= n;
    return true;
}

static bool sign(struct nr_str *at, const char *one_of)
{
    if (at->n == 0 || at->p[0] == '\0' || strchr(one_of, at->p[0]) == NULL)
        return false;
    at->p++;
    at->n--;
    return true;
}

/* "Z" or "+02:00" to its end, as seconds east of it. */
static bool zone(struct nr_str at, int *ret_s)
{
    bool west = at.n > 0 && at.p[0] == '-';
    int hours = 0, minutes = 0;

    *ret_s = 0;
    if (sign(&at, "Zz"))
        return at.n == 0;
    if (!sign(&at, "+-") || !digits(&at, 2, &hours) || !sign(&at, ":") ||
        !digits(&at, 2, &minutes) || at.n != 0 || hours > 23 || minutes > 59)
        return false;
    *ret_s = (hours * 60 + minutes) * (west ? -60 : 60);
    return true;
}

bool key_time_read(struct nr_str text, int64_t *ret_ms)
{
    struct tm t = {0}, back;
    int year, month, milli = 0, east_s, digit;
    time_t seconds;

    if (!digits(&text, 4, &year) || !sign(&text, "-") || !digits(&text, 2, &month) ||
        !sign(&text, "-") || !digits(&text, 2, &t.tm_mday) || !sign(&text, "Tt ") ||
        !digits(&text, 2, &t.tm_hour) || !sign(&text, ":") || !digits(&text, 2, &t.tm_min) ||
        !sign(&text, ":") || !digits(&text, 2, &t.tm_sec) || t.tm_hour > 23 || t.tm_min > 59 ||
        t.tm_sec > 59)
        return false;
    if (sign(&text, ".")) {
        int unit = 100;
        if (!digits(&text, 1, &digit))
            return false;
        do {
            milli += digit * unit;
            unit /= 10;
        } while (digits(&text, 1, &digit));
    }
    if (!zone(text, &east_s))
        return false;
    t.tm_year = year - 1900;
    t.tm_mon = month - 1;
    back = t;
    seconds = timegm(&back);
    if (back.tm_mday != t.tm_mday || back.tm_mon != t.tm_mon) /* the 31st of February */
        return false;
    *ret_ms = ((int64_t)seconds - east_s) * 1000 + milli;
    return true;
}

static int parse_expires(const json_t *value, int64_t now_ms, int64_t *ret_ms, struct nr_err *err)
{
    struct nr_str text = {json_string_value(value), json_string_length(value)};
    int64_t at_ms = 0, s = json_integer_value(value);

    if (value == NULL || json_is_null(value))
        return 0;
    if (json_is_integer(value) && s >= 1 && s <= EXPIRES_MAX_S)
        at_ms = now_ms + s * 1000;
    else if (!json_is_string(value) || !key_time_read(text, &at_ms))
        at_ms = 0;
    if (at_ms <= now_ms || at_ms > now_ms + EXPIRES_MAX_S * 1000)
        return nr_err_set(err, NR_EINVAL, EXPIRES_TEXT, (long long)EXPIRES_MAX_S);
    *ret_ms = at_ms;
    return 0;
}

static int parse_create(const json_t *o, struct key_row *key, struct nr_err *err)
{
    const json_t *list = json_object_get(o, "scopes");
    const char *note = "";
    int r;

    if (list != NULL && !json_is_array(list))
        return nr_err_set(
            err, NR_EINVAL,
            "The field 'scopes' must be a list of one or more of invoke, read, write and admin.");
    if ((r = parse_scopes(list, &key->scopes, err)) < 0 ||
        (r = parse_expires(json_object_get(o, "expires"), nr_wall_ms(), &key->expires_ms, err)) < 0)
        return r;
    r = fields_text(o, "note", NOTE_MAX_BYTES, true, &note, err);
    key->note = nr_str_of(note);
    return r;
}

/* ---- operations ----------------------------------------------------------------------------------------------------- */

int key_create(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    static const char *const known[] = {"scopes", "expires", "note", NULL};
    struct key_row key = {.account = call->name, .scopes = SCOPES_USER};
    struct key_pair pair;
    int r = account_admin_only(call);

    *ret_old = 0;
    if (r < 0)
        return r;
    nr_auto_json json_t *o = fields_parse(call->body, known, &call->err);

    if (o == NULL)
        return NR_EINVAL;
    if ((r = parse_create(o, &key, &call->err)) < 0)
        return r;
    if ((r = accounts_key_add(&m->accounts, m->db, &key, handler_actor(call), &pair)) == 0) {
        call->status = 201;
        write_made(call, &key, &pair);
    }
    explicit_bzero(&pair, sizeof(pair));
    return r < 0 ? account_refuse(call, r) : 0;
}

int key_rotate(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    nr_auto_free char *note = NULL;
    struct key_row key;
    struct key_pair pair;
    int r = account_admin_only(call);

    *ret_old = 0;
    if (r < 0)
        return r;
    r = accounts_key_rotate(&m->accounts, m->db, call->name, call->item, handler_actor(call), &key,
                            &pair, &note);
    if (r == 0)
        write_made(call, &key, &pair);
    explicit_bzero(&pair, sizeof(pair));
    return r < 0 ? account_refuse(call, r) : 0;
}

int key_revoke(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    int r = account_admin_only(call);

    *ret_old = 0;
    if (r < 0)
        return r;
    r = accounts_key_revoke(&m->accounts, m->db, call->name, call->item, handler_actor(call));
    if (r == NR_ECONFLICT)
        return nr_err_set(
            &call->err, r,
            "This is the last key with scope admin that is in force; it cannot be revoked.");
    if (r < 0)
        return account_refuse(call, r);
    nr_buf_init(&call->reply, REPLY_MAX_BYTES);
    nr_buf_adds(&call->reply, "{\"uuid\":");
    nr_buf_json(&call->reply, call->item);
    nr_buf_addc(&call->reply, '}');
    return 0;
}
