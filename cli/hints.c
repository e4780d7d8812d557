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
        cli_note(c,
                 "the annotation %s is %s, which is neither true nor false and does "
                 "nothing\n  write -a %s true%s",
                 switches[i], text ? text : "?", switches[i], i == 0 ? ", or --web true" : "");
    }
}

void cli_hint_sequence_logs(const struct cli *c, const json_t *lines)
{
    json_t *line;
    size_t i;

    json_array_foreach(lines, i, line) {
        const char *text = json_string_value(line);

        if (text == NULL || strlen(text) != 32 || strspn(text, "0123456789abcdef") != 32)
            return;
    }
    if (json_array_size(lines))
        cli_note(c, "a sequence writes nothing itself: these are the activations of its parts, and "
                    "`narae logs ID` prints what one wrote");
}

/* Without what stands behind a question mark. */
static struct nr_str name_of_component(struct nr_str one)
{
    const char *mark = memchr(one.p, '?', one.n);

    return (struct nr_str){one.p, mark ? (size_t)(mark - one.p) : one.n};
}

void cli_hint_components(struct cli *c)
{
    struct nr_str rest = nr_str_of(c->text[OPT_SEQUENCE]), one;
    bool quiet = c->quiet;
    int status = c->status;

    c->quiet = true;
    while (nr_str_split(&rest, ',', &one)) {
        nr_auto_free char *path = cli_action_path(name_of_component(one), "?code=false");
        int found = 0;

        if (path == NULL)
            cli_fail_next(c, "%.*s is no name of a function", (int)one.n, one.p);
        else if (cli_call(c, "GET", path, NULL, 0, NULL, &found) != 0 && found == 404)
            cli_fail_next(c, "there is no function %.*s", (int)one.n, one.p);
        else if (found == 403)
            cli_fail_next(c, "%.*s is not shared with this account", (int)one.n, one.p);
    }
    c->quiet = quiet;
    c->status = status;
}
