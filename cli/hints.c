/* What is said beside the platform's own sentences: settings that mean nothing, the component that is not there. */
#include <stdio.h>

#include "cli/cli.h"

/* Annotations that are true or false; of anything else the platform makes nothing, without a word. */
static const char *const switches[] = {"web-export", "raw-http", "final", "web-custom-options",
                                       "provide-api-key"};

void cli_hint_annotations(const struct cli *c)
{
    for (size_t i = 0; i < nr_countof(switches); i++) {
        const json_t *value = json_object_get(c->annotations, switches[i]);
        nr_auto_free char *text = NULL;

        if (value == NULL || json_is_boolean(value) || json_is_number(value))
            continue;
        text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        (void)fprintf(stderr,
                      "narae: the annotation %s is %s, which is neither true nor false and does "
                      "nothing\n  write -a %s true%s\n",
                      switches[i], text ? text : "?", switches[i], i == 0 ? ", or --web true" : "");
    }
}

/* "f", "p/f", "/ns/p/f", each maybe with "?version=1", as a path of the API (made); NULL: it is no such name. */
static char *component_path(struct nr_str one)
{
    const char *mark = memchr(one.p, '?', one.n);
    nr_auto_free char *name = nr_strndup(one.p, mark ? (size_t)(mark - one.p) : one.n);
    const char *slash = name[0] == '/' ? strchr(name + 1, '/') : NULL;
    char encoded[3072];

    if ((name[0] == '/' && slash == NULL) ||
        !cli_path_name(slash ? slash + 1 : name, encoded, sizeof(encoded)))
        return NULL;
    nr_auto_free char *space =
        slash ? nr_strndup(name + 1, (size_t)(slash - name - 1)) : nr_strdup("_");
    nr_auto_free char *base = cli_path("/api/v1/namespaces/%s/actions/", space);
    size_t n = strlen(base) + strlen(encoded) + 16;
    char *path = nr_alloc(n);

    (void)snprintf(path, n, "%s%s?code=false", base, encoded);
    return path;
}

void cli_hint_components(struct cli *c)
{
    struct nr_str rest = nr_str_of(c->text[OPT_SEQUENCE]), one;
    bool quiet = c->quiet;
    int status = c->status;

    c->quiet = true;
    while (nr_str_split(&rest, ',', &one)) {
        nr_auto_free char *path = component_path(one);
        int found = 0;

        if (path == NULL)
            (void)fprintf(stderr, "  %.*s is no name of a function\n", (int)one.n, one.p);
        else if (cli_call(c, "GET", path, NULL, 0, NULL, &found) != 0 && found == 404)
            (void)fprintf(stderr, "  there is no function %.*s\n", (int)one.n, one.p);
        else if (found == 403)
            (void)fprintf(stderr, "  %.*s is not shared with this account\n", (int)one.n, one.p);
    }
    c->quiet = quiet;
    c->status = status;
}
