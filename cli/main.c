/* narae VERB [WORDS] [--OPTION VALUE]: finds the verb in one table, reads the options, runs it. */
#include <locale.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/verbs.h"
#include "common/base/clock.h"

#ifndef NARAE_VERSION
#define NARAE_VERSION "?"
#endif

static int check_options(const struct cli *c)
{
    for (int i = 1; i < OPT_COUNT; i++)
        if (c->text[i] && !cli_verb_takes(c->verb, (enum cli_option)i) && !c->as_wsk)
            return cli_fail(c, "narae %s takes no --%s%s\n  narae %s --help tells what it takes",
                            c->verb->name, cli_options[i].name,
                            i == OPT_LIMIT && cli_verb_takes(c->verb, OPT_NAME)
                                ? " (-n); a name is given with --name"
                                : "",
                            c->verb->name);
    return 0;
}

static int help(struct cli *c, int words, char **word)
{
    if (words == 0)
        cli_help_all(stdout, &c->term);
    else if (c->verb)
        cli_help_verb(stdout, &c->term, c->verb);
    else if (cli_is_noun(word[0]))
        cli_help_noun(stdout, &c->term, word[0]);
    else
        return cli_no_verb(c, words, word);
    return CLI_DONE;
}

static int no_words(struct cli *c)
{
    if (cli_json(c))
        return cli_fail(c, "a verb is needed\n  narae --help lists them");
    cli_help_all(stderr, &c->term);
    return CLI_NOT_DONE;
}

static int run(struct cli *c, int words, char **word)
{
    struct nr_err err = {0};
    int at = 0;

    c->verb = cli_verb_find(words, word, &at, &c->as_wsk);
    if (c->text[OPT_HELP])
        return help(c, words == 1 && cli_is_noun(word[0]) ? (c->verb = NULL, 1) : words, word);
    if (c->verb == NULL)
        return words ? cli_no_verb(c, words, word) : no_words(c);
    c->argc = words - at;
    c->argv = word + at;
    if (c->as_wsk && c->verb->run == verb_deploy && strcmp(word[1], "create") == 0)
        c->text[OPT_NO_OVERWRITE] = ""; /* as wsk's does not overwrite */
    c->update = c->as_wsk && strcmp(word[1], "update") == 0;
    if (c->argc < c->verb->words_min || c->argc > c->verb->words_max)
        return cli_fail(c, "%s: narae %s %s\n  for example: %s",
                        c->argc < c->verb->words_min ? "words are missing"
                                                     : "there are too many words",
                        c->verb->name, c->verb->words, c->verb->example);
    for (int i = 0; i < c->argc; i++)
        if (c->argv[i][0] == '\0')
            return cli_fail(c, "a word is empty\n  for example: %s", c->verb->example);
    if (check_options(c) != 0 || cli_check_data(c) != 0)
        return CLI_NOT_DONE;
    if (!c->verb->offline && cli_configure(c, &err) != 0)
        return cli_fail_why(c, err.code == NR_ENOMEM ? WHY_MEMORY : WHY_USAGE, "%s", err.text);
    int status = c->verb->offline ? 0 : cli_take_names(c);

    if (status != 0)
        return status;
    status = c->verb->run(c);
    if (status == CLI_NOT_DONE && c->status == 404 && c->verb->word[0] == WORD_FUNCTION && c->argc)
        cli_suggest_function(c);
    return status;
}

int main(int argc, char **argv)
{
    struct cli_failure failure = {0};
    struct cli c = {.failure = &failure};
    nr_auto_free char **words = nr_alloc((size_t)(argc + 1) * sizeof(*words));
    int n = 0, status;

    (void)setlocale(LC_CTYPE, "");
    terminal_find(&c.term);
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        (void)puts("narae " NARAE_VERSION);
        return CLI_DONE;
    }
    if (argc > 1 && strcmp(argv[1], "complete") == 0) {
        status = cli_complete(&c, argc - 2, argv + 2);
    } else {
        status = cli_read_options(&c, argc, argv, words, &n);
        if (status == 0)
            status = run(&c, n, words);
    }
    nr_fetch_free(c.fetch);
    json_decref(c.parameters);
    json_decref(c.secrets);
    json_decref(c.annotations);
    json_decref(c.gone);
    json_decref(c.payloads);
    free(c.api_host);
    free(c.auth);
    free(c.host_from);
    free(c.auth_from);
    free(c.space);
    if (fflush(stdout) != 0 && status == CLI_DONE)
        status = cli_fail_why(&c, WHY_FILE, "the output cannot be written");
    cli_fail_end(&c);
    return status;
}
