/* narae complete WORDS...: what may stand where the last word is. The scripts of the shells ask this at every TAB, so they know nothing
 * themselves, and a new verb is completed by all of them at once.
 *
 * Names of functions, aliases and accounts are asked of the platform; without an answer in a moment there are none.
 */
#include <stdio.h>

#include "cli/cli.h"

struct completing {
    struct cli *c;
    const char *last; /* what is there of the word */
    size_t n;
};

static void offer(const struct completing *p, const char *word, const char *what)
{
    if (strncmp(word, p->last, p->n) == 0)
        printf("%s\t%s\n", word, what);
}

static void offer_choices(const struct completing *p, const char *choices, const char *what)
{
    struct nr_str rest = nr_str_of(choices), one;
    char word[64];

    while (nr_str_split(&rest, '|', &one)) {
        (void)snprintf(word, sizeof(word), "%.*s", (int)one.n, one.p);
        offer(p, word, what);
    }
}

/* ---- what the platform has ---------------------------------------------------------------------------------------------- */

/* The rows' `name`s, each with a word of `field`; key NULL: the answer is the list. */
static void offer_names(const struct completing *p, const char *path, const char *key,
                        const char *name_field, const char *field)
{
    nr_auto_json json_t *answer = NULL;
    struct nr_err err = {0};
    json_t *one;
    size_t i;

    p->c->quiet = true;
    if ((p->c->fetch == NULL && cli_configure(p->c, &err) != 0) ||
        cli_call(p->c, "GET", path, NULL, 0, &answer, NULL) != 0)
        return;
    json_array_foreach(key ? json_object_get(answer, key) : answer, i, one) {
        const char *name = nr_json_string(one, name_field), *what = nr_json_string(one, field);

        if (name)
            offer(p, name, what ? what : "");
    }
}

static void offer_collection(const struct completing *p, const char *collection)
{
    nr_auto_free char *path = cli_path("/api/v1/namespaces/_/%s?limit=200", collection);

    offer_names(p, path, NULL, "name", "version");
}

static void offer_aliases(const struct completing *p, const char *function)
{
    nr_auto_free char *path = cli_path("/narae/v1/functions/%s/aliases", function);

    offer_names(p, path, "aliases", "name", "");
}

static void offer_verbs(const struct completing *p, const char *noun)
{
    size_t n = noun ? strlen(noun) : 0;
    const char *before = "";

    for (size_t i = 0; i < cli_verb_count(); i++) {
        const struct cli_verb *verb = &cli_verbs[i];
        size_t first = strcspn(verb->name, " ");
        char word[32];

        if (noun) {
            if (strncmp(verb->name, noun, n) == 0 && verb->name[n] == ' ')
                offer(p, verb->name + n + 1, verb->help);
            continue;
        }
        nr_check(first < sizeof(word));
        memcpy(word, verb->name, first);
        word[first] = '\0';
        if (strncmp(before, verb->name, first) != 0 || before[first] != ' ')
            offer(p, word, verb->name[first] ? cli_groups[verb->group] : verb->help);
        before = verb->name;
    }
}

/* ---- where the word stands ------------------------------------------------------------------------------------------------ */

static void offer_options(const struct completing *p, const struct cli_verb *verb)
{
    char word[64];

    for (int i = 1; i < OPT_COUNT; i++)
        if (verb == NULL ? i == OPT_HELP : cli_verb_takes(verb, (enum cli_option)i)) {
            (void)snprintf(word, sizeof(word), "--%s", cli_options[i].name);
            offer(p, word, cli_options[i].help);
        }
}

static void offer_value(const struct completing *p, enum cli_option option)
{
    const struct cli_option_row *row = &cli_options[option];

    if (row->value == VALUE_CHOICE)
        offer_choices(p, row->meta, row->help);
    else if (row->value == VALUE_FILE || option == OPT_PAYLOAD)
        (void)puts(":files");
}

static void offer_word(const struct completing *p, const struct cli_verb *verb, int at, char **word)
{
    int last = nr_countof(verb->word) - 1, k = at < last ? at : last;

    while (k > 0 && verb->word[k] == WORD_ANY)
        k--;
    if (at >= verb->words_max)
        return;
    switch ((enum cli_word)verb->word[at < 3 ? at : k]) {
    case WORD_FUNCTION:
        offer_names(p, "/narae/v1/functions?limit=0", "functions", "name", "state");
        break;
    case WORD_ACCOUNT: offer_names(p, "/narae/v1/accounts", "accounts", "name", "state"); break;
    case WORD_ALIAS: offer_aliases(p, word[0]); break;
    case WORD_FILE: (void)puts(":files"); break;
    case WORD_VERB: offer_verbs(p, at ? word[0] : NULL); break;
    case WORD_PACKAGE: offer_collection(p, "packages"); break;
    case WORD_TRIGGER: offer_collection(p, "triggers"); break;
    case WORD_RULE: offer_collection(p, "rules"); break;
    case WORD_POLICY:
        offer_names(p, "/narae/v1/scaling/policies?limit=0", "policies", "policy", "mode");
        break;
    case WORD_PLATFORM: offer_choices(p, "knative|keda|hpa|openfaas|fission", "platform"); break;
    case WORD_SHELL: offer_choices(p, verb->words, "shell"); break;
    default: break;
    }
}

/* The option that a word is, when its value is the word behind it. */
static enum cli_option awaits(const char *word)
{
    enum cli_option option = OPT_NONE;

    if (word[0] == '-' && word[1] == '-')
        option = cli_option_find(word + 2);
    else if (word[0] == '-' && word[1] && word[2] == '\0')
        option = cli_option_find(word + 1);
    return option && cli_options[option].value != VALUE_NONE ? option : OPT_NONE;
}

int cli_complete(struct cli *c, int argc, char **argv)
{
    nr_auto_free char **words = nr_alloc((size_t)(argc + 1) * sizeof(*words));
    enum cli_option option = OPT_NONE;
    int n = 0, took;
    bool wsk;

    if (argc == 0)
        return CLI_DONE;
    struct completing p = {.c = c, .last = argv[argc - 1], .n = strlen(argv[argc - 1])};
    for (int i = 0; i + 1 < argc; i++) {
        option = awaits(argv[i]);
        if (option == OPT_APIHOST || option == OPT_AUTH)
            c->text[option] = argv[i + 1];
        if (option && i + 2 < argc) { /* its value is no word */
            i += (option == OPT_PARAM || option == OPT_SECRET) && i + 3 < argc ? 2 : 1;
            option = OPT_NONE;
        } else if (argv[i][0] != '-') {
            words[n++] = argv[i];
        }
    }
    const struct cli_verb *verb = cli_verb_find(n, words, &took, &wsk);
    if (option)
        offer_value(&p, option);
    else if (p.last[0] == '-')
        offer_options(&p, verb);
    else if (n == 0)
        offer_verbs(&p, NULL);
    else if (n == 1 && cli_is_noun(words[0]))
        offer_verbs(&p, words[0]);
    else if (verb)
        offer_word(&p, verb, n - took, words + took);
    return CLI_DONE;
}

void cli_suggest_function(struct cli *c)
{
    nr_auto_json json_t *answer = NULL;
    struct cli_nearest n = {.word = c->argv[0]};
    json_t *one;
    size_t i;

    c->quiet = true;
    if (cli_call(c, "GET", "/narae/v1/functions?limit=0", NULL, 0, &answer, NULL) != 0)
        return;
    json_array_foreach(json_object_get(answer, "functions"), i, one) {
        const char *name = nr_json_string(one, "name");

        if (name && strcmp(name, c->argv[0]) == 0)
            return; /* it is there: something of it is not */
        if (name)
            cli_nearest_try(&n, name);
    }
    if (n.best)
        cli_fail_next(c, "did you mean %s?", n.best);
}
