/* Which verb the words are: of one word or two, ours or those of wsk; and which may have been meant when they are none. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/verbs.h"

/* Words that stand for a verb of two words when the second is not there, or is none of its verbs. */
static const struct {
    const char *noun, *verb;
} presets[] = {
    {"preenv", "preenv run"},    {"bucket", "bucket usage"},    {"image", "image list"},
    {"account", "account list"}, {"registry", "registry list"}, {"scale", "scale list"},
    {"package", "package list"}, {"trigger", "trigger list"},   {"rule", "rule list"},
    {"api", "api list"},
};

static const struct cli_verb *find(const char *name, bool wsk)
{
    for (size_t i = 0; i < cli_verb_count(); i++) {
        const char *have = wsk ? cli_verbs[i].wsk : cli_verbs[i].name;

        if (have && strcmp(have, name) == 0)
            return &cli_verbs[i];
    }
    return NULL;
}

bool cli_is_noun(const char *word)
{
    size_t n = strlen(word);

    for (size_t i = 0; i < cli_verb_count(); i++)
        if (strncmp(cli_verbs[i].name, word, n) == 0 && cli_verbs[i].name[n] == ' ')
            return true;
    return false;
}

/* "preenv hello" is "preenv run hello"; "bucket" alone is "bucket usage", "bucket sage" a mistake. */
static const struct cli_verb *preset(int argc, char **argv)
{
    for (size_t i = 0; i < nr_countof(presets); i++)
        if (strcmp(presets[i].noun, argv[0]) == 0) {
            const struct cli_verb *verb = find(presets[i].verb, false);

            return argc == 1 || verb->words_max > 0 ? verb : NULL;
        }
    return NULL;
}

const struct cli_verb *cli_verb_find(int argc, char **argv, int *ret_took, bool *ret_wsk)
{
    const struct cli_verb *verb = NULL;
    char two[64] = "";

    *ret_wsk = false;
    *ret_took = 2;
    if (argc > 1) { /* what is cut here is no verb either */
        (void)snprintf(two, sizeof(two), "%.30s %.30s", argv[0], argv[1]);
        if ((verb = find(two, false)) != NULL)
            return verb;
        *ret_wsk = true;
        if ((verb = find(strcmp(two, "action update") == 0 ? "action create" : two, true)) != NULL)
            return verb;
    }
    *ret_wsk = false;
    *ret_took = 1;
    if (argc == 0)
        return NULL;
    return (verb = find(argv[0], false)) ? verb : preset(argc, argv);
}

int cli_no_verb(struct cli *c, int words, char **word)
{
    bool noun = cli_is_noun(word[0]);
    char two[128];
    struct cli_nearest n = {.word = word[0]};

    (void)snprintf(two, sizeof(two), "%s %s", word[0], noun && words > 1 ? word[1] : "");
    if (noun && words == 1) {
        struct terminal t = c->term;

        if (cli_json(c))
            return cli_fail(c, "%s wants a verb behind it\n  narae help %s lists them", word[0],
                            word[0]);
        t.colour = false;
        cli_help_noun(stderr, &t, word[0]);
        return CLI_NOT_DONE;
    }
    if (noun)
        n.word = two;
    for (size_t i = 0; i < cli_verb_count(); i++) {
        char first[32];

        cli_nearest_try(&n, cli_verbs[i].name);
        (void)snprintf(first, sizeof(first), "%.*s", (int)strcspn(cli_verbs[i].name, " "),
                       cli_verbs[i].name);
        if (!noun && first[0] && n.best == NULL && cli_is_noun(first)) {
            cli_nearest_try(&n, first);
            n.best = n.best ? cli_verbs[i].name : NULL;
        }
    }
    return n.best ? cli_fail(c, "%s is no verb; did you mean `narae %s`? (narae --help lists them)",
                             noun ? two : word[0], n.best)
                  : cli_fail(c, "%s is no verb; narae --help lists them", noun ? two : word[0]);
}
