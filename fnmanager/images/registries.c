/* Credentials of registries: each belongs to one account and one host, is sealed (secrets.h), opened for the moment of one call to the Engine,
 * and is never shown nor logged. The Engine wants them as base64 (of the web's alphabet) of a JSON object in a header.
 */
#include "common/base/json.h"
#include "fnmanager/images/image_name.h"
#include "fnmanager/images/images.h"
#include "fnmanager/images/images_api.h"
#include "fnmanager/manager.h"
#include "fnmanager/registry/metadata_images.h"

enum {
    USERNAME_MAX_BYTES = 256,
    PASSWORD_MAX_BYTES = 4096,
    ABOUT_BYTES = 512,
    REPLY_MAX_BYTES = 1 << 20
};

/* What a secret belongs to: nobody else's account opens it. */
static void write_about(char out[static ABOUT_BYTES], struct nr_str account, const char *host)
{
    (void)snprintf(out, ABOUT_BYTES, "registry/%.*s/%s", (int)account.n, account.p, host);
}

void registry_forget_auth(char *auth)
{
    if (auth)
        explicit_bzero(auth, strlen(auth));
    free(auth);
}

/* The Engine's form of user and password (made). */
static char *engine_form(const char *username, const char *password, const char *host)
{
    nr_auto_json json_t *o = json_pack("{s:s, s:s, s:s}", "username", username, "password",
                                       password, "serveraddress", host);
    size_t n = 0;
    char *text = o ? nr_json_text(o, &n) : NULL, *out = NULL;

    if (text == NULL)
        return NULL;
    out = nr_alloc(4 * (n / 3 + 1) + 1);
    size_t k = nr_base64_encode(text, n, out);

    out[k] = '\0';
    for (char *p = out; *p; p++)
        *p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
    secrets_forget(text, n);
    return out;
}

int registry_auth(struct fnmanager *m, struct nr_str account, const char *host, char **ret,
                  struct nr_err *err)
{
    nr_auto_free char *username = NULL;
    nr_auto_free char *sealed = NULL;
    char about[ABOUT_BYTES], *password = NULL;
    size_t sealed_bytes = 0, bytes = 0;
    int r = metadata_registry(m->db, account, nr_str_of(host), &username, &sealed, &sealed_bytes);

    *ret = NULL;
    if (r == NR_ENOENT)
        return 0;
    write_about(about, account, host);
    if (r == 0)
        r = secrets_open(&m->secrets, (struct nr_str){sealed, sealed_bytes}, nr_str_of(about),
                         &password, &bytes, err);
    if (r < 0)
        return nr_err_set(err, r, "%s", TEXT_INTERNAL);
    *ret = engine_form(username, password, host);
    secrets_forget(password, bytes);
    return *ret ? 0 : nr_err_set(err, NR_ENOMEM, "%s", TEXT_INTERNAL);
}

void fnmanager_registry_auth(struct fnmanager *m, const char *account, const char *image,
                             char **ret_auth)
{
    struct image_name name;

    if (image_name_parse(image, &name, NULL) == 0)
        (void)registry_auth(m, nr_str_of(account), name.host, ret_auth, NULL);
}

int registry_is_allowed(const struct fnmanager *m, const char *host, struct nr_err *err)
{
    struct nr_str rest = nr_str_of(m->registries), one;
    bool allowed =
        nr_str_eqz(rest, "any") || (nr_str_eqz(rest, "public") && !image_host_is_local(host));

    while (!allowed && nr_str_split(&rest, ',', &one))
        allowed = nr_str_ieqz(one, host);
    return allowed
               ? 0
               : nr_err_set(
                     err, NR_EFORBIDDEN,
                     "Images may not come from the registry '%.128s' (option --registries is %.128s).",
                     host, m->registries);
}

/* ---- the API ------------------------------------------------------------------------------------------------ */

static int host_of(struct fn_call *call, char out[static IMAGE_HOST_BYTES])
{
    nr_auto_free char *text = nr_strndup(call->item.p, call->item.n);

    return image_host_parse(text, out, &call->err);
}

static void write_registry(struct fn_call *call, const char *host, const char *username)
{
    nr_buf_init(&call->reply, REPLY_MAX_BYTES);
    nr_buf_adds(&call->reply, "{\"host\":");
    nr_buf_json(&call->reply, nr_str_of(host));
    if (username) {
        nr_buf_adds(&call->reply, ",\"username\":");
        nr_buf_json(&call->reply, nr_str_of(username));
    }
    nr_buf_addc(&call->reply, '}');
}

/* Both are texts, and nothing else is there. */
static int read_credentials(const json_t *body, const char **ret_username,
                            const char **ret_password, struct nr_err *err)
{
    const char *key;
    json_t *value;

    if (!json_is_object(body))
        return nr_err_set(err, NR_EINVAL, "The body must be an object with username and password.");
    json_object_foreach((json_t *)(uintptr_t)body, key, value) {
        bool password = strcmp(key, "password") == 0;
        size_t max_bytes = password ? PASSWORD_MAX_BYTES : USERNAME_MAX_BYTES;

        if (!password && strcmp(key, "username") != 0)
            return nr_err_set(err, NR_EINVAL,
                              "There is no field '%.64s'; known are username, password.", key);
        if (!json_is_string(value) || json_string_length(value) == 0 ||
            json_string_length(value) > max_bytes ||
            strlen(json_string_value(value)) != json_string_length(value))
            return nr_err_set(err, NR_EINVAL, "'%s' must be a text of 1 to %zu bytes.", key,
                              max_bytes);
        *(password ? ret_password : ret_username) = json_string_value(value);
    }
    if (*ret_username == NULL || *ret_password == NULL)
        return nr_err_set(err, NR_EINVAL, "The body must have username and password.");
    return 0;
}

static int store(struct fnmanager *m, struct fn_call *call, const char *host, const char *username,
                 const char *password)
{
    struct nr_str account = nr_str_of(call->account->name);
    nr_auto_free char *sealed = NULL;
    char about[ABOUT_BYTES];
    struct nr_err why = {0};
    size_t n = 0;

    write_about(about, account, host);
    int r = secrets_seal(&m->secrets, nr_str_of(password), nr_str_of(about), &sealed, &n, &why);
    const struct registry_row row = {.account = account,
                                     .host = nr_str_of(host),
                                     .username = nr_str_of(username),
                                     .secret = {sealed, n}};

    if (r < 0)
        nr_log(m->config.log, NR_LOG_ERROR, "fnmanager",
               "credentials of a registry cannot be sealed: %s", why.text);
    if (r == 0)
        r = metadata_registry_put(m->db, &row, handler_actor(call));
    return r < 0 ? nr_err_set(&call->err, r, "%s", r == NR_ENOSPC ? TEXT_NO_SPACE : TEXT_INTERNAL)
                 : 0;
}

int registry_put(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    nr_auto_json json_t *body = nr_json_parse(call->body, NULL);
    const char *username = NULL, *password = NULL;
    char host[IMAGE_HOST_BYTES];
    int r;

    *ret_old = 0;
    if (body == NULL)
        return nr_err_set(&call->err, NR_EINVAL, "The request content was malformed.");
    if ((r = host_of(call, host)) < 0 ||
        (r = read_credentials(body, &username, &password, &call->err)) < 0 ||
        (r = registry_is_allowed(m, host, &call->err)) < 0 ||
        (r = store(m, call, host, username, password)) < 0)
        return r;
    write_registry(call, host, username);
    return 0;
}

int registry_delete(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    char host[IMAGE_HOST_BYTES];
    int r = host_of(call, host);

    *ret_old = 0;
    if (r < 0)
        return r;
    r = metadata_registry_delete(m->db, nr_str_of(call->account->name), nr_str_of(host),
                                 handler_actor(call));
    if (r < 0)
        return nr_err_set(&call->err, r, "%s", r == NR_ENOENT ? TEXT_NOT_FOUND : TEXT_INTERNAL);
    write_registry(call, host, NULL);
    return 0;
}

int registry_list(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    *ret_old = 0;
    nr_buf_init(&call->reply, REPLY_MAX_BYTES);
    int r = metadata_registries(m->db, nr_str_of(call->account->name), &call->reply);

    return r < 0 ? nr_err_set(&call->err, r, "%s", TEXT_INTERNAL) : 0;
}
