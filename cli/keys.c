/* narae key list, create, rotate, revoke; narae bucket usage, verify. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/verbs.h"

static const struct column keys[] = {
    {"UUID", "uuid", CELL_TEXT, 12, .whole = true},
    {"SCOPES", "scopes", CELL_LIST, 8},
    {"EXPIRES", "expires_ms", CELL_TIME, 0},
    {"CREATED", "created_ms", CELL_TIME, 0},
    {"NOTE", "note", CELL_TEXT, 8},
};

static void write_bytes_quota(const json_t *row, struct nr_buf *out)
{
    const json_t *bytes = json_at(row, "quota.bytes");

    cell_add(bytes, json_is_integer(bytes) ? CELL_BYTES : CELL_LIMIT, out);
}

static const struct column buckets[] = {
    {"ACCOUNT", "account", CELL_TEXT, 8},
    {"BYTES", "bytes", CELL_BYTES, 0},
    {"OF", NULL, CELL_BYTES, 0, .write = write_bytes_quota},
    {"FUNCTIONS", "functions", CELL_NUMBER, 0},
    {"OF", "quota.functions", CELL_LIMIT, 0},
    {"VERSIONS", "versions", CELL_NUMBER, 0},
    {"OF", "quota.versions", CELL_LIMIT, 0},
    {"COMPILED", "compiled_bytes", CELL_BYTES, 0, .wide = true},
    {"GARBAGE", "garbage_bytes", CELL_BYTES, 0, .wide = true},
};

/* The word at `at`, else the account of the key in use (made); NULL after saying why there is none. */
static char *account_at(struct cli *c, int at)
{
    nr_auto_json json_t *answer = NULL;

    if (c->argc > at)
        return nr_strdup(c->argv[at]);
    if (cli_call(c, "GET", "/api/v1/namespaces", NULL, 0, &answer, NULL) != 0)
        return NULL;
    return nr_strdup(json_string_value(json_array_get(answer, 0)));
}

/* "[ACCOUNT] UUID". */
static char *account_before_uuid(struct cli *c)
{
    return c->argc > 1 ? nr_strdup(c->argv[0]) : account_at(c, 1);
}

int verb_key_list(struct cli *c)
{
    nr_auto_free char *account = account_at(c, 0), *path = NULL;

    if (account == NULL)
        return CLI_NOT_DONE;
    path = cli_path("/narae/v1/accounts/%s/keys", account);
    return cli_get_list(c, path, "keys", keys, nr_countof(keys), "no keys");
}

/* "invoke,read" as a list (made). */
static json_t *scopes_of(const char *text)
{
    struct nr_str rest = nr_str_of(text), one;
    json_t *list = json_array();

    while (nr_str_split(&rest, ',', &one))
        json_array_append_new(list, json_stringn(one.p, one.n));
    return list;
}

/* "30d", "12h": seconds from now; anything else is the platform's to read. */
static json_t *expiry_of(const char *text)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    size_t n = strlen(text);
    int64_t number;

    for (size_t i = 0; n > 1 && i < nr_countof(units); i++)
        if (text[n - 1] == units[i].unit &&
            nr_str_to_i64((struct nr_str){text, n - 1}, 1, 36500, &number))
            return json_integer(number * units[i].seconds);
    return nr_str_to_i64(nr_str_of(text), 1, INT64_MAX, &number) ? json_integer(number)
                                                                 : json_string(text);
}

static int print_key(struct cli *c, const char *method, const char *path, const json_t *body,
                     const char *said)
{
    nr_auto_json json_t *answer = NULL;
    int e = cli_call(c, method, path, body, 0, &answer, NULL);

    if (e == 0 && cli_json(c))
        cli_print_json(answer);
    else if (e == 0)
        printf("%s; shown only now:\n%s\n", said, nr_json_string(answer, "key"));
    return e;
}

int verb_key_create(struct cli *c)
{
    nr_auto_free char *account = account_at(c, 0), *path = NULL;
    nr_auto_json json_t *body = json_object();

    if (account == NULL)
        return CLI_NOT_DONE;
    path = cli_path("/narae/v1/accounts/%s/keys", account);
    if (c->text[OPT_SCOPES])
        json_object_set_new(body, "scopes", scopes_of(c->text[OPT_SCOPES]));
    if (c->text[OPT_EXPIRES])
        json_object_set_new(body, "expires", expiry_of(c->text[OPT_EXPIRES]));
    if (c->text[OPT_NOTE])
        json_object_set_new(body, "note", json_string(c->text[OPT_NOTE]));
    return print_key(c, "POST", path, body, "the new key");
}

int verb_key_rotate(struct cli *c)
{
    const char *uuid = c->argv[c->argc - 1];
    nr_auto_free char *account = account_before_uuid(c), *path = NULL;

    if (account == NULL ||
        cli_confirm(c, "rotate key %s of %s: its secret ends at once", uuid, account) != 0)
        return CLI_NOT_DONE;
    path = cli_path("/narae/v1/accounts/%s/keys/%s/rotate", account, uuid);
    return print_key(c, "POST", path, NULL, "the key with its new secret");
}

int verb_key_revoke(struct cli *c)
{
    const char *uuid = c->argv[c->argc - 1];
    nr_auto_free char *account = account_before_uuid(c), *path = NULL;

    if (account == NULL || cli_confirm(c, "revoke key %s of %s", uuid, account) != 0)
        return CLI_NOT_DONE;
    path = cli_path("/narae/v1/accounts/%s/keys/%s", account, uuid);
    return cli_do(c, "DELETE", path, NULL, "revoked %s", uuid);
}

/* ---- buckets ------------------------------------------------------------------------------------------------------------- */

int verb_bucket_usage(struct cli *c)
{
    return cli_get_list(c, "/narae/v1/buckets", "buckets", buckets, nr_countof(buckets),
                        "no buckets");
}

static void print_all(const json_t *list, const char *what)
{
    json_t *one;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)list, i, one) {
        nr_auto_free char *text = json_is_string(one) ? nr_strdup(json_string_value(one))
                                                      : json_dumps(one, JSON_SORT_KEYS);

        printf("%s %s\n", what, text ? text : "?");
    }
}

/* What was compiled is no loss: it is made anew. */
static void print_compiled(const json_t *compiled)
{
    const json_t *damaged = json_object_get(compiled, "damaged");

    if (json_integer_value(json_object_get(compiled, "files")) > 0)
        printf("%lld compiled files with %lld bytes were read; %zu were damaged%s\n",
               (long long)json_integer_value(json_object_get(compiled, "files")),
               (long long)json_integer_value(json_object_get(compiled, "bytes")),
               json_array_size(damaged),
               json_array_size(damaged) ? ", and are compiled again at the next call" : "");
    print_all(damaged, "compiled again");
}

/* What is damaged is a failure of the bucket: status 1. */
int verb_bucket_verify(struct cli *c)
{
    nr_auto_free char *account = account_at(c, 0), *path = NULL;
    nr_auto_json json_t *answer = NULL;

    if (account == NULL)
        return CLI_NOT_DONE;
    path = cli_path("/narae/v1/buckets/%s/verify", account);
    int e = cli_call(c, "POST", path, NULL, 0, &answer, NULL);
    if (e != 0)
        return e;
    const json_t *damaged = json_object_get(answer, "damaged"),
                 *orphans = json_object_get(answer, "orphans");
    if (cli_json(c)) {
        cli_print_json(answer);
    } else {
        printf("%lld files with %lld bytes were read; %zu damaged, %zu belong to nothing\n",
               (long long)json_integer_value(json_object_get(answer, "files")),
               (long long)json_integer_value(json_object_get(answer, "bytes")),
               json_array_size(damaged), json_array_size(orphans));
        print_all(damaged, "damaged");
        print_all(orphans, "belongs to nothing");
        print_compiled(json_object_get(answer, "compiled"));
    }
    if (json_array_size(damaged))
        return cli_fail_why(
            c, WHY_PARTLY,
            "%zu files are damaged\n  deploy what is damaged again, or import the account's last export",
            json_array_size(damaged));
    return CLI_DONE;
}
