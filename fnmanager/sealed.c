/* A value is sealed as its JSON text, so numbers, objects and texts come back as what they were. What it belongs to is the account alone: a
 * version, an alias, another function of the account have the same use for it; another account has none, whatever it has read. It is named
 * by its id, for the next account of the same name is another one.
 */
#include "fnmanager/sealed.h"

#include "common/base/mem.h"
#include "fnmanager/manager.h"

enum { ABOUT_BYTES = 64 };

#define TEXT_NOT_OPEN                                                                              \
    "The value of the parameter '%.128s' was sealed for another account or under another key: "    \
    "give it anew with \"secret\":true."

static void write_about(char out[static ABOUT_BYTES], uint64_t account)
{
    (void)snprintf(out, ABOUT_BYTES, "parameter/%016llx", (unsigned long long)account);
}

static const char *key_of(const json_t *element)
{
    return json_string_value(json_object_get(element, "key"));
}

/* As deep as the parser lets them be. */
void sealed_forget_value(json_t *value)
{
    const char *key;
    json_t *e;
    size_t i;

    if (json_is_string(value))
        explicit_bzero((char *)(uintptr_t)json_string_value(value), json_string_length(value));
    json_array_foreach(value, i, e)
        sealed_forget_value(e);
    json_object_foreach(value, key, e)
        sealed_forget_value(e);
}

static int seal_value(struct secrets *s, uint64_t account, json_t *element, struct nr_err *err)
{
    char about[ABOUT_BYTES];
    nr_auto_free char *sealed = NULL, *text = NULL;
    size_t n = 0, bytes = 0;
    char *plain;
    int r;

    if (account == 0)
        return nr_err_set(err, NR_ENOENT, "The account whose secret it is has left.");
    plain = s != NULL ? nr_json_text(json_object_get(element, "value"), &n) : NULL;
    write_about(about, account);
    if (plain == NULL)
        return nr_err_set(err, NR_ENOMEM, "There is no memory to seal a secret.");
    r = secrets_seal(s, (struct nr_str){plain, n}, nr_str_of(about), &sealed, &bytes, err);
    secrets_forget(plain, n);
    if (r < 0)
        return r;
    if ((text = nr_try_alloc(4 * (bytes / 3 + 1) + 1)) == NULL)
        return nr_err_set(err, NR_ENOMEM, "There is no memory to seal a secret.");
    n = nr_base64_encode(sealed, bytes, text);
    sealed_forget_value(json_object_get(element, "value"));
    (void)json_object_set_new(element, "value", json_stringn(text, n));
    (void)json_object_set_new(element, "encryption", json_string(ENTITY_ENCRYPTION));
    return 0;
}

/* The text of the value (by secrets_forget()) of an element that is sealed. NR_ECORRUPT without a sentence: it does not open. */
static int open_text(struct secrets *s, uint64_t account, const json_t *element, char **ret,
                     size_t *ret_bytes, struct nr_err *err)
{
    const json_t *value = json_object_get(element, "value");
    struct nr_str text = {json_string_value(value), json_string_length(value)};
    char about[ABOUT_BYTES];
    nr_auto_free unsigned char *sealed = nr_try_alloc(3 * text.n / 4 + 4);
    struct nr_err why = {0};
    ssize_t n;
    int r;

    if (sealed == NULL)
        return nr_err_set(err, NR_ENOMEM, "There is no memory to open a secret.");
    if (s == NULL || account == 0 || text.p == NULL || (n = nr_base64_decode(text, sealed)) < 0)
        return NR_ECORRUPT;
    write_about(about, account);
    r = secrets_open(s, (struct nr_str){(const char *)sealed, (size_t)n}, nr_str_of(about), ret,
                     ret_bytes, &why);
    return r < 0 && r != NR_ECORRUPT ? nr_err_set(err, r, "%s", why.text) : r;
}

static int opens(struct secrets *s, uint64_t account, const json_t *element, struct nr_err *err)
{
    size_t bytes = 0;
    char *text = NULL;
    int r = open_text(s, account, element, &text, &bytes, err);

    if (r == 0)
        secrets_forget(text, bytes);
    return r;
}

static void add_lost(struct sealed_lost *lost, const char *key)
{
    size_t at = strlen(lost->names), room = sizeof(lost->names) - at;
    char word[sizeof(lost->names)];
    int n = snprintf(word, sizeof(word), "'%s'", key);
    bool fits = n > 0 && (size_t)n + 4 < room;

    if (fits && strstr(lost->names, word) != NULL)
        return; /* of another version */
    if (fits)
        (void)snprintf(lost->names + at, room, "%s%s", at > 0 ? ", " : "", word);
    lost->n++;
}

/* Of an element: *ret_secret, *ret_sealed. */
static int read_marks(const json_t *element, bool *ret_secret, bool *ret_sealed, struct nr_err *err)
{
    const json_t *secret = json_object_get(element, "secret"),
                 *encryption = json_object_get(element, "encryption");
    char detail[256];

    *ret_sealed = entity_is_sealed(element);
    *ret_secret = json_is_true(secret) && !*ret_sealed;
    if (secret != NULL && !json_is_boolean(secret) && !json_is_null(secret))
        (void)snprintf(detail, sizeof(detail),
                       "'secret' of the parameter '%.128s' must be true or false", key_of(element));
    else if (encryption != NULL && !json_is_null(encryption) && !*ret_sealed)
        (void)snprintf(detail, sizeof(detail),
                       "'encryption' of the parameter '%.128s' must be '" ENTITY_ENCRYPTION "'",
                       key_of(element));
    else
        return 0;
    return entity_malformed(err, detail);
}

static int too_many(size_t n, struct nr_err *err)
{
    return nr_err_set(err, NR_ETOOBIG, "There are %zu secret parameters; at most %d are allowed.",
                      n, SEALED_MAX);
}

static int count(const json_t *parameters, struct nr_err *err)
{
    bool secret, sealed;
    size_t i, n = 0;
    json_t *e;
    int r;

    json_array_foreach(parameters, i, e) {
        if ((r = read_marks(e, &secret, &sealed, err)) < 0)
            return r;
        n += secret || sealed;
    }
    return n <= SEALED_MAX ? 0 : too_many(n, err);
}

int sealed_take(struct secrets *s, uint64_t account, json_t *parameters, struct sealed_lost *lost,
                struct nr_err *err)
{
    int r = count(parameters, err);

    for (size_t i = json_array_size(parameters); r == 0 && i-- > 0;) {
        json_t *e = json_array_get(parameters, i);
        bool sealed = entity_is_sealed(e);

        if (json_is_true(json_object_get(e, "secret")) && !sealed)
            r = seal_value(s, account, e, err);
        else if (sealed && (r = opens(s, account, e, err)) == NR_ECORRUPT && lost == NULL)
            r = nr_err_set(err, NR_EINVAL, TEXT_NOT_OPEN, key_of(e));
        (void)json_object_del(e, "secret");
        if (r == NR_ECORRUPT) {
            add_lost(lost, key_of(e));
            (void)json_array_remove(parameters, i);
            r = 0;
        }
    }
    return r;
}

int sealed_take_call(struct fnmanager *m, struct fn_call *call, json_t *parameters)
{
    struct nr_err why = {0};
    uint64_t account;
    int r;

    (void)account_names_look(&m->accounts.names, nr_str_of(call->account->name), &account);
    r = sealed_take(&m->secrets, account, parameters, NULL, &why);
    if (r == NR_EINVAL || r == NR_ETOOBIG || r == NR_ENOMEM)
        return nr_err_set(&call->err, r, "%s", why.text);
    if (r < 0)
        nr_log(m->config.log, NR_LOG_ERROR, "fnmanager", "a secret parameter cannot be sealed: %s",
               why.text);
    return r < 0 ? handler_refuse(call, r) : 0;
}

int sealed_open(struct secrets *s, uint64_t account, json_t *parameters, struct nr_err *err)
{
    size_t i;
    json_t *e;

    json_array_foreach(parameters, i, e) {
        size_t bytes = 0;
        char *text = NULL;
        int r;

        if (!entity_is_sealed(e))
            continue;
        if ((r = open_text(s, account, e, &text, &bytes, err)) < 0)
            return nr_err_set(err, r,
                              "The secret parameter '%.128s' cannot be opened: it was "
                              "changed, or sealed under another key; set it anew.",
                              key_of(e));
        json_t *value = nr_json_parse((struct nr_str){text, bytes}, NULL);

        secrets_forget(text, bytes);
        if (value == NULL || json_object_set_new(e, "value", value) < 0)
            return nr_err_set(err, NR_ENOMEM, "There is no memory to open a secret.");
        (void)json_object_del(e, "encryption");
    }
    return 0;
}

void sealed_forget(json_t *parameters)
{
    json_t *e;
    size_t i;

    json_array_foreach(parameters, i, e)
        sealed_forget_value(json_object_get(e, "value"));
}

void sealed_tell_lost(const struct sealed_lost *lost, struct nr_err *err)
{
    if (lost->n > 0)
        (void)nr_err_set(err, NR_EINVAL,
                         "%zu secret parameters were left out, for they were sealed for another "
                         "account or under another key: %s.",
                         lost->n, lost->names[0] ? lost->names : "their names are too long");
}
