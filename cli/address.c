/* Where the platform is and who calls, and which of the places that may say so did.
 *
 * Order of strength: flags, environment, ~/.wskprops (or WSK_CONFIG_FILE), the preset address. `wsk` reads the same file. A key that is
 * refused is told with the place it came from, since one place hides another.
 */
#include "cli/cli.h"

#include <stdio.h>

#include "common/base/file.h"

#define PRESET_HOST "http://127.0.0.1:3233"

/* The strongest first. */
static const char *const host_variables[] = {"NARAE_APIHOST", "WHISK_APIHOST", "__OW_API_HOST",
                                             NULL},
                         *const key_variables[] = {"NARAE_AUTH", "WHISK_AUTH", "__OW_API_KEY",
                                                   NULL};

static bool is_set(const char *variable)
{
    const char *value = getenv(variable);

    return value && value[0];
}

/* The flag, else the first variable that says something: what it says, and its name (both made). */
static void take(const struct cli *c, enum cli_option flag, const char *const *variables,
                 char **ret, char **ret_from)
{
    char name[32];

    if (c->text[flag]) {
        (void)snprintf(name, sizeof(name), "--%s", cli_options[flag].name);
        *ret = nr_strdup(c->text[flag]);
        *ret_from = nr_strdup(name);
        return;
    }
    while (*variables && !is_set(*variables))
        variables++;
    *ret = nr_strdup(*variables ? getenv(*variables) : NULL);
    *ret_from = nr_strdup(*variables);
}

/* A line "KEY=VALUE" says what nothing stronger has said. */
static void take_line(struct nr_str line, const char *path, const char *key, char **ret,
                      char **ret_from)
{
    const char *equals = memchr(line.p, '=', line.n);
    size_t key_n = equals ? (size_t)(equals - line.p) : 0, n = equals ? line.n - key_n - 1 : 0;

    while (n && (equals[n] == '\r' || equals[n] == ' '))
        n--;
    if (*ret || n == 0 || !nr_str_eqz((struct nr_str){line.p, key_n}, key))
        return;
    *ret = nr_strndup(equals + 1, n);
    *ret_from = nr_strdup(path);
}

static void read_properties(struct cli *c)
{
    char path[4096];
    nr_auto_free char *text = NULL;
    const char *file = getenv("WSK_CONFIG_FILE"), *home = getenv("HOME");
    size_t n;

    (void)snprintf(path, sizeof(path), "%s%s",
                   file && file[0] ? file
                   : home          ? home
                                   : "",
                   file && file[0] ? "" : "/.wskprops");
    if (nr_file_read(path, 1 << 20, &text, &n, NULL) != 0)
        return;
    struct nr_str rest = {text, n}, line;

    while (nr_str_split(&rest, '\n', &line)) {
        take_line(line, path, "APIHOST", &c->api_host, &c->host_from);
        take_line(line, path, "AUTH", &c->auth, &c->auth_from);
    }
}

/* "http://host/" and "http://host/api/v1" are the same place as "http://host". */
static void tidy_host(char *host)
{
    char *path = strchr(strstr(host, "://") + 3, '/');

    if (path && (strspn(path, "/") == strlen(path) || strcmp(path, "/api/v1") == 0))
        *path = '\0';
}

/* As wsk: https unless it says otherwise. */
static void add_scheme(struct cli *c)
{
    size_t n = strlen(c->api_host) + sizeof("https://");
    char *with = nr_alloc(n);

    (void)snprintf(with, n, "https://%s", c->api_host);
    free(c->api_host);
    c->api_host = with;
}

/* What no platform could be asked by is told as what it is. */
static int check(const struct cli *c, struct nr_err *err)
{
    const char *host = strstr(c->api_host, "://") + 3;
    bool http = strncmp(c->api_host, "http://", 7) == 0 || strncmp(c->api_host, "https://", 8) == 0;

    if (!http || host[strspn(host, "/")] == '\0' || strpbrk(c->api_host, " \t\n"))
        return nr_err_set(err, NR_EINVAL,
                          "%.200s is no address\n  %s says so; one looks like " PRESET_HOST,
                          c->api_host, c->host_from ? c->host_from : "the preset");
    if (c->auth && strchr(c->auth, ':') == NULL)
        return nr_err_set(
            err, NR_EINVAL,
            "the key of %s has no colon: a key is UUID:KEY, as the file guest.key has it",
            c->auth_from);
    return 0;
}

int cli_configure(struct cli *c, struct nr_err *err)
{
    take(c, OPT_APIHOST, host_variables, &c->api_host, &c->host_from);
    take(c, OPT_AUTH, key_variables, &c->auth, &c->auth_from);
    read_properties(c);
    if (c->api_host == NULL)
        c->api_host = nr_strdup(PRESET_HOST);
    if (strstr(c->api_host, "://") == NULL)
        add_scheme(c);
    if (check(c, err) != 0)
        return err->code;
    tidy_host(c->api_host);
    c->fetch = nr_fetch_make(NULL);
    return c->fetch ? 0 : nr_err_set(err, NR_ENOMEM, "no memory");
}

void cli_say_key(const struct cli *c, char *out, size_t n)
{
    const char *hidden = NULL;

    for (const char *const *v = key_variables; c->auth_from && *v; v++)
        if (hidden == NULL && is_set(*v) && strcmp(*v, c->auth_from) != 0)
            hidden = *v;
    if (c->auth_from == NULL)
        (void)snprintf(out, n, "%s", "");
    else if (hidden)
        (void)snprintf(out, n, "the key comes from %s; %s is set too, and counts only without that",
                       c->auth_from, hidden);
    else
        (void)snprintf(out, n, "the key comes from %s", c->auth_from);
}
