/* What the stored document of a function is made into: the body of a copy, a file with its code, the address it is called by.
 *
 * A name here is as people write it, "f", "p/f" or "/ns/p/f".
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"

static const struct {
    const char *kind, *ending; /* how the kind begins; of its source as text */
} endings[] = {{"python", ".py"}, {"nodejs", ".js"},   {"go", ".go"},     {"java", ".java"},
               {"wasm", ".wasm"}, {"blackbox", ".sh"}, {"native", ".sh"}, {"", ".txt"}};

char *cli_action_path(struct nr_str name, const char *query)
{
    nr_auto_free char *word = nr_strndup(name.p, name.n);
    const char *slash = word[0] == '/' ? strchr(word + 1, '/') : NULL;
    char encoded[3072];

    if ((word[0] == '/' && slash == NULL) ||
        !cli_path_name(slash ? slash + 1 : word, encoded, sizeof(encoded)))
        return NULL;
    nr_auto_free char *space =
        slash ? nr_strndup(word + 1, (size_t)(slash - word - 1)) : nr_strdup("_");
    nr_auto_free char *base = cli_path("/api/v1/namespaces/%s/actions/", space);
    size_t n = strlen(base) + strlen(encoded) + strlen(query) + 1;
    char *path = nr_alloc(n);

    (void)snprintf(path, n, "%s%s%s", base, encoded, query);
    return path;
}

/* ---- a copy ------------------------------------------------------------------------------------------------------------ */

/* What a key of `from` has goes into the list, unless the list has the key. Secrets go as they are sealed. */
static void add_missing(json_t *list, const json_t *from)
{
    json_t *one, *have;
    size_t i, k;

    json_array_foreach(from, i, one) {
        const char *key = nr_json_string(one, "key");
        bool known = key == NULL;

        json_array_foreach(list, k, have) {
            const char *other = nr_json_string(have, "key");

            known = known || (other && strcmp(other, key) == 0);
        }
        if (!known)
            json_array_append(list, one);
    }
}

int cli_copy_function(struct cli *c, const char *from, json_t *body)
{
    static const char *const lists[] = {"parameters", "annotations"};
    nr_auto_free char *path = cli_action_path(nr_str_of(from), "");
    nr_auto_json json_t *old = NULL;
    json_t *value;
    const char *key;
    int e;

    if (path == NULL)
        return cli_fail(c, "%s: a function is named NAME, PACKAGE/NAME or /NAMESPACE/PACKAGE/NAME",
                        from);
    if ((e = cli_call(c, "GET", path, NULL, 0, &old, NULL)) != 0)
        return e;
    json_object_set(body, "exec", json_object_get(old, "exec"));
    nr_auto_json json_t *limits = json_deep_copy(json_object_get(old, "limits"));
    json_object_foreach(json_object_get(body, "limits"), key, value)
        json_object_set(limits, key, value);
    json_object_set(body, "limits", limits);
    for (size_t i = 0; i < nr_countof(lists); i++) {
        nr_auto_json json_t *list = json_incref(json_object_get(body, lists[i]));

        if (list == NULL)
            list = json_array();
        add_missing(list, json_object_get(old, lists[i]));
        json_object_set(body, lists[i], list);
    }
    return 0;
}

/* ---- an address --------------------------------------------------------------------------------------------------------- */

int cli_print_url(const struct cli *c, const json_t *function)
{
    const char *space = nr_json_string(function, "namespace"), *name = c->argv[0];
    nr_auto_free char *own = nr_strndup(space ? space : "_", strcspn(space ? space : "_", "/"));
    char encoded[3072];

    if (!cli_path_name(name, encoded, sizeof(encoded)))
        return cli_fail(c, "the name %s is too long", name);
    nr_auto_free char *base = cli_path("/%s/", own);
    bool web = json_is_true(cli_annotation(function, "web-export"));

    if (web)
        printf("%s/api/v1/web%s%s%s\n", c->api_host, base, strchr(name, '/') ? "" : "default/",
               encoded);
    else
        printf("%s/api/v1/namespaces%sactions/%s\n", c->api_host, base, encoded);
    return 0;
}

/* ---- a file --------------------------------------------------------------------------------------------------------------- */

/* The name without its package, and what its kind's files end with. */
static char *file_name(const struct cli *c, const char *kind, bool binary)
{
    const char *slash = strrchr(c->argv[0], '/'), *name = slash ? slash + 1 : c->argv[0];
    size_t k = 0, n = strlen(name) + 8;
    char *file = nr_alloc(n);

    while (strncmp(kind, endings[k].kind, strlen(endings[k].kind)) != 0)
        k++;
    (void)snprintf(file, n, "%s%s", name,
                   binary && strcmp(endings[k].kind, "wasm") != 0 ? ".zip" : endings[k].ending);
    return file;
}

/* Nothing that is there is written over. */
static int write_new(const struct cli *c, const char *path, const void *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    const char *p = bytes;

    if (fd < 0)
        return cli_fail_why(c, WHY_FILE, "%s: %s", path, strerror(errno));
    while (n > 0) {
        ssize_t wrote = write(fd, p, n);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            break;
        p += wrote;
        n -= (size_t)wrote;
    }
    if (close(fd) != 0 || n > 0)
        return cli_fail_why(c, WHY_FILE, "%s: it could not be written whole", path);
    return 0;
}

int cli_save_code(const struct cli *c, const json_t *function)
{
    const json_t *exec = json_object_get(function, "exec");
    const char *kind = nr_json_string(exec, "kind"), *code = nr_json_string(exec, "code");
    bool binary = json_is_true(json_object_get(exec, "binary"));

    if (code == NULL || kind == NULL)
        return cli_fail_why(c, WHY_CONFLICT, "%s has no code that could be saved (%s)", c->argv[0],
                            kind ? kind : "?");
    size_t n = strlen(code);
    nr_auto_free unsigned char *bytes = nr_alloc(n + 4);
    ssize_t got = binary ? nr_base64_decode((struct nr_str){code, n}, bytes) : (ssize_t)n;

    if (got < 0)
        return cli_fail_why(c, WHY_PLATFORM, "what came as the code of %s is no base64",
                            c->argv[0]);
    nr_auto_free char *file =
        c->text[OPT_SAVE_AS] ? nr_strdup(c->text[OPT_SAVE_AS]) : file_name(c, kind, binary);
    int e = write_new(c, file, binary ? (const void *)bytes : (const void *)code, (size_t)got);

    if (e == 0)
        printf("wrote the code of %s to %s\n", c->argv[0], file);
    return e;
}
