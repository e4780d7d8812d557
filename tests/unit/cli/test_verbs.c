/* The tables of verbs and options hold together; words, options and mistakes are read as they are meant. */
#include <getopt.h>
#include <stdio.h>

#include "cli/cli.h"
#include "tests/unit/common/base/check.h"

static void every_verb_is_told_of(void **state)
{
    (void)state;
    for (size_t i = 0; i < cli_verb_count(); i++) {
        const struct cli_verb *v = &cli_verbs[i];

        assert_true(v->help && v->help[0] && v->run && v->words_min <= v->words_max);
        assert_true(v->group < GROUP_COUNT && cli_groups[v->group]);
        assert_non_null(strstr(v->example, v->name)); /* the example is of this verb */
        assert_true((v->words_max > 0) == (v->words[0] != '\0'));
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(v->name, cli_verbs[k].name);
    }
}

static void every_option_has_a_verb_and_a_name_of_its_own(void **state)
{
    (void)state;
    for (int i = 1; i < OPT_COUNT; i++) {
        const struct cli_option_row *o = &cli_options[i];
        bool taken = false;

        assert_true(o->name && o->help);
        assert_int_equal(cli_option_find(o->name), i);
        assert_true((o->value != VALUE_NONE) == (o->meta != NULL));
        for (int k = 1; k < i; k++)
            assert_true(o->letter == 0 || o->letter != cli_options[k].letter);
        for (size_t k = 0; k < cli_verb_count(); k++)
            taken |= cli_verb_takes(&cli_verbs[k], (enum cli_option)i);
        assert_true(taken);
    }
}

/* Options of an example are options of its verb. */
static void examples_use_what_the_verb_takes(void **state)
{
    (void)state;
    for (size_t i = 0; i < cli_verb_count(); i++) {
        const char *at = cli_verbs[i].example;

        while ((at = strstr(at, " --")) != NULL) {
            char name[64];

            at += 3;
            (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(at, " ="), at);
            enum cli_option option = cli_option_find(name);
            assert_int_not_equal(option, OPT_NONE);
            assert_true(cli_verb_takes(&cli_verbs[i], option));
        }
    }
}

static void words_name_verbs(void **state)
{
    static const struct {
        const char *words[3];
        const char *verb; /* NULL: none */
        int took;
        bool wsk;
    } rows[] = {
        {{"deploy", "x.py"}, "deploy", 1, false},
        {{"alias", "set", "f"}, "alias set", 2, false},
        {{"alias"}, NULL, 1, false},
        {{"alias", "sett", "f"}, NULL, 1, false},
        {{"action", "create", "f"}, "deploy", 2, true},
        {{"action", "update", "f"}, "deploy", 2, true},
        {{"activation", "list"}, "activations", 2, true},
        {{"activation"}, "activation", 1, false},
        {{"preenv", "hello"}, "preenv run", 1, false},
        {{"preenv", "list", "hello"}, "preenv list", 2, false},
        {{"preenv", "run", "list"}, "preenv run", 2, false},
        {{"bucket"}, "bucket usage", 1, false},
        {{"bucket", "sage"}, NULL, 1, false},
        {{"deplyo"}, NULL, 1, false},
        {{""}, NULL, 1, false},
    };

    (void)state;
    for (size_t i = 0; i < nr_countof(rows); i++) {
        char *words[3];
        int n = 0, took = 0;
        bool wsk = false;

        for (; n < 3 && rows[i].words[n]; n++)
            words[n] = (char *)(uintptr_t)rows[i].words[n];
        const struct cli_verb *verb = cli_verb_find(n, words, &took, &wsk);
        assert_string_equal(verb ? verb->name : "(none)", rows[i].verb ? rows[i].verb : "(none)");
        if (verb) {
            assert_int_equal(took, rows[i].took);
            assert_int_equal(wsk, rows[i].wsk);
        }
    }
}

static void what_was_meant(void **state)
{
    static const struct {
        const char *word, *candidates[3], *best;
    } rows[] = {
        {"deplyo", {"deploy", "delete", "doctor"}, "deploy"},
        {"fucntions", {"functions", "invokers"}, "functions"},
        {"pub", {"purge", "publish"}, "publish"},
        {"xyzzy", {"deploy", "functions"}, NULL},
        {"to", {"top", "man"}, "top"},
        {"a-word-that-is-much-longer-than-any-verb-there-is", {"deploy"}, NULL},
    };

    (void)state;
    for (size_t i = 0; i < nr_countof(rows); i++) {
        struct cli_nearest n = {.word = rows[i].word};

        for (size_t k = 0; k < 3 && rows[i].candidates[k]; k++)
            cli_nearest_try(&n, rows[i].candidates[k]);
        assert_string_equal(n.best ? n.best : "(none)", rows[i].best ? rows[i].best : "(none)");
    }
}

#define ARGS_MAX 12

/* Reads a line; returns the status, words joined by blanks in `words`. */
static int read_line(struct cli *c, const char *const *line, char *words, size_t n)
{
    char *argv[ARGS_MAX + 1] = {0}, *word[ARGS_MAX + 1];
    int argc = 0, count = 0;

    argv[argc++] = (char *)(uintptr_t) "narae";
    for (; *line; line++)
        argv[argc++] = (char *)(uintptr_t)*line;
    optind = 0; /* getopt begins anew */
    int status = cli_read_options(c, argc, argv, word, &count);
    words[0] = '\0';
    for (int i = 0; status == 0 && i < count; i++)
        (void)snprintf(words + strlen(words), n - strlen(words), "%s%s", i ? " " : "", word[i]);
    return status;
}

static void options_stand_anywhere(void **state)
{
    static const char *const line[] = {"-o",   "json", "deploy", "--memory=128", "-p",
                                       "name", "-3",   "x.py",   "--yes",        NULL};
    struct cli c = {0};
    char words[256];

    (void)state;
    assert_int_equal(read_line(&c, line, words, sizeof(words)), 0);
    assert_string_equal(words, "deploy x.py");
    assert_int_equal(c.form, FORM_JSON);
    assert_int_equal(c.number[OPT_MEMORY], 128);
    assert_int_equal(c.number[OPT_TIMEOUT], -1);
    assert_non_null(c.text[OPT_YES]);
    assert_int_equal(json_integer_value(json_object_get(c.parameters, "name")), -3);
    json_decref(c.parameters);
}

static void mistakes_in_options_are_told(void **state)
{
    static const char *const lines[][4] = {
        {"--memory", "much"}, {"--memory"},         {"-o", "xml"},    {"--memroy", "1"},
        {"--tolerance", "a"}, {"--running", "now"}, {"-p", "lonely"}, {"-P", "/no/such/file"},
        {"--data", "{"},      {"--payload", "/no"}, {"-Q"},           {"--tolerance", "-1"},
        {"--memory", "-1"},
    };

    (void)state;
    for (size_t i = 0; i < nr_countof(lines); i++) {
        struct cli c = {0};
        char words[256];

        assert_int_equal(read_line(&c, lines[i], words, sizeof(words)), CLI_NOT_DONE);
        json_decref(c.parameters);
        json_decref(c.payloads);
    }
}

static void names_become_parts_of_paths(void **state)
{
    nr_auto_free char *path = cli_path("/a/%s/%d?b=%s", "pkg/f n", (int64_t)7, "\303\251&c");
    char name[] = "/_/pkg/f";
    char *argv[] = {name}, verb[] = "block", *words[] = {verb};
    int at = 0;
    bool as_wsk = false;
    struct cli c = {.argc = 1, .argv = argv, .text = {[OPT_VERSION] = "3/.."}};

    (void)state;
    c.verb = cli_verb_find(1, words, &at, &as_wsk);
    assert_int_equal(cli_take_names(&c), 0);
    assert_string_equal(c.argv[0], "pkg/f");
    assert_string_equal(cli_space(&c), "_");
    nr_auto_free char *function = cli_function_path(&c, "/block");

    assert_string_equal(path, "/a/pkg%2Ff%20n/7?b=%C3%A9%26c");
    assert_string_equal(function, "/narae/v1/functions/pkg%2Ff/versions/3%2F../block");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_verb_is_told_of),
        cmocka_unit_test(every_option_has_a_verb_and_a_name_of_its_own),
        cmocka_unit_test(examples_use_what_the_verb_takes),
        cmocka_unit_test(words_name_verbs),
        cmocka_unit_test(what_was_meant),
        cmocka_unit_test(options_stand_anywhere),
        cmocka_unit_test(mistakes_in_options_are_told),
        cmocka_unit_test(names_become_parts_of_paths),
    };

    return cmocka_run_group_tests_name("cli/verbs", tests, NULL, NULL);
}
