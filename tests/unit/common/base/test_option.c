/* The four sources in their order, each refusal with its sentence, help and the table of the documentation. */
#include "check.h"

#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/option.h"

struct config {
    char *data, *level;
    int64_t drain_s;
    bool keep, once;
};

static const struct nr_option options[] = {
    {"data", NR_OPT_STRING, offsetof(struct config, data), NULL, .help = "folder of all state"},
    {"drain-s", NR_OPT_INT, offsetof(struct config, drain_s), "65", 0, 600, "s", .reloadable = true,
     .help = "time to finish"},
    {"keep-containers", NR_OPT_BOOL, offsetof(struct config, keep), "false", .help = "leave them"},
    {"log-level", NR_OPT_CHOICE, offsetof(struct config, level), "info",
     .choices = "error|warn|info|debug", .help = "how much"},
    {"once", NR_OPT_BOOL, offsetof(struct config, once), "false", .help = "this time",
     .flag_only = "each start would be that time"},
    {NULL},
};

static struct config config;
static const struct nr_option_set sets[] = {{"Test", options, &config}, {NULL}};
static char path[] = "/tmp/narae-option-test.conf.XXXXXX";

static int make_file(void **state)
{
    int fd = mkstemp(path);

    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    return unlink(path);
}

static void write_file(const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* Loads with up to three arguments. */
static int load(bool *help, struct nr_err *err, const char *a, const char *b, const char *c)
{
    const char *given[] = {"naraed", a, b, c};
    char *argv[5] = {NULL};
    int argc = 0, r;

    while (argc < 4 && given[argc]) {
        argv[argc] = nr_strdup(given[argc]);
        argc++;
    }
    config = (struct config){0};
    r = nr_options_load(sets, argc, argv, help, err);
    for (int i = 0; i < argc; i++)
        free(argv[i]);
    return r;
}

static void test_presets(void **state)
{
    bool help = true;

    assert_int_equal(load(&help, NULL, NULL, NULL, NULL), 0);
    assert_false(help);
    assert_null(config.data);
    assert_int_equal(config.drain_s, 65);
    assert_false(config.keep);
    assert_string_equal(config.level, "info");
    nr_options_fini(sets);
    assert_null(config.level);
}

static void test_order_of_strength(void **state)
{
    char flag[128];
    bool help;

    (void)snprintf(flag, sizeof(flag), "--config=%s", path);
    write_file(
        "# a comment\n\n data =  /from file \n drain-s=1\r\nkeep-containers = yes\nlog-level=warn");
    assert_int_equal(setenv("NARAE_DRAIN_S", "2", 1), 0);
    assert_int_equal(setenv("NARAE_LOG_LEVEL", "error", 1), 0);
    assert_int_equal(load(&help, NULL, "--log-level=debug", flag, NULL), 0);
    assert_string_equal(config.data, "/from file");
    assert_true(config.keep);
    assert_int_equal(config.drain_s, 2);
    assert_string_equal(config.level, "debug");
    nr_options_fini(sets);
    assert_int_equal(unsetenv("NARAE_DRAIN_S") | unsetenv("NARAE_LOG_LEVEL"), 0);
}

static void test_flags(void **state)
{
    bool help;

    assert_int_equal(load(&help, NULL, "--keep-containers", "--data=a=b", "--data=second"), 0);
    assert_true(config.keep);
    assert_string_equal(config.data, "second");
    nr_options_fini(sets);
    assert_int_equal(load(&help, NULL, "--keep-containers=0", "--data=", "--drain-s=600"), 0);
    assert_false(config.keep);
    assert_string_equal(config.data, "");
    assert_int_equal(config.drain_s, 600);
    nr_options_fini(sets);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *flag, *says;
    } cases[] = {
        {"--drain-s=601", "--drain-s=601: must be a whole number from 0 to 600 s"},
        {"--drain-s=-1", "--drain-s=-1: must be"},
        {"--drain-s=", "--drain-s=: must be"},
        {"--drain-s=1m", "from 0 to 600 s"},
        {"--drain-s", "--drain-s: needs a value: --drain-s=N"},
        {"--data", "--data: needs a value: --data=TEXT"},
        {"--keep-containers=maybe", "must be true or false"},
        {"--log-level=loud", "--log-level=loud: must be one of error|warn|info|debug"},
        {"--drian-s=1", "--drian-s: no such option; did you mean drain-s?"},
        {"--loglevel=info", "did you mean log-level?"},
        {"--keep-container", "did you mean keep-containers?"},
        {"--something-else", "--something-else: no such option; --help lists them"},
        {"start", "start: unexpected; an option is written --name=value"},
        {"-d", "unexpected"},
        {"--", "unexpected"},
        {"--config=/nowhere/at/all", "--config: /nowhere/at/all"},
        {"--config", "--config: needs a value"},
    };

    for (size_t i = 0; i < nr_countof(cases); i++) {
        struct nr_err err = {0};
        bool help = true;
        int r = load(&help, &err, "--data=x", cases[i].flag, NULL);

        if (r == 0)
            fail_msg("%s was taken", cases[i].flag);
        assert_true(r == NR_EINVAL || strstr(cases[i].flag, "nowhere"));
        assert_says(&err, cases[i].says);
        assert_true(help);
        assert_null(config.data);
    }
}

static void test_refusals_of_a_file_and_the_environment(void **state)
{
    static const struct {
        const char *file, *says;
    } cases[] = {
        {"data = x\ndrain-s = no\n", ":2: drain-s=no: must be a whole number"},
        {"drain = 5\n", ":1: drain: no such option; did you mean drain-s?"},
        {"just a line\n", ":1: just a line: a line must be `name = value`"},
        {"once = true\n",
         ":1: once: it is given on the command line only (--once): each start would be that time"},
        {"once = false\n", ":1: once: it is given on the command line only"},
    };
    char flag[128];

    (void)snprintf(flag, sizeof(flag), "--config=%s", path);
    for (size_t i = 0; i < nr_countof(cases); i++) {
        struct nr_err err = {0};
        bool help;

        write_file(cases[i].file);
        assert_int_equal(load(&help, &err, flag, NULL, NULL), NR_EINVAL);
        assert_says(&err, path);
        assert_says(&err, cases[i].says);
    }
    struct nr_err err = {0};
    bool help;

    assert_int_equal(setenv("NARAE_KEEP_CONTAINERS", "perhaps", 1), 0);
    assert_int_equal(load(&help, &err, NULL, NULL, NULL), NR_EINVAL);
    assert_says(&err, "NARAE_KEEP_CONTAINERS=perhaps: must be true or false");
    assert_int_equal(unsetenv("NARAE_KEEP_CONTAINERS"), 0);
    assert_int_equal(setenv("NARAE_ONCE", "1", 1), 0);
    err = (struct nr_err){0};
    assert_int_equal(load(&help, &err, NULL, NULL, NULL), NR_EINVAL);
    assert_says(&err, "NARAE_ONCE: it is given on the command line only");
    assert_int_equal(unsetenv("NARAE_ONCE"), 0);
    assert_int_equal(load(&help, NULL, "--once", NULL, NULL), 0);
    assert_true(config.once);
    nr_options_fini(sets);
}

static void test_help_wins(void **state)
{
    bool help = false;

    assert_int_equal(load(&help, NULL, "--nonsense", "-h", NULL), 0);
    assert_true(help);
    assert_int_equal(config.drain_s, 65);
    nr_options_fini(sets);
}

static char *printed(void (*print)(FILE *out))
{
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);

    assert_non_null(f);
    print(f);
    assert_int_equal(fclose(f), 0);
    return text;
}

static void print_help(FILE *out)
{
    nr_options_help(sets, "usage: naraed [--name=value ...]", out);
}

static void print_markdown(FILE *out)
{
    nr_options_markdown(sets, out);
}

static void test_help_text(void **state)
{
    nr_auto_free char *help = printed(print_help);
    nr_auto_free char *markdown = printed(print_markdown);

    assert_string_equal(
        help, "usage: naraed [--name=value ...]\n\nTest\n"
              "  --data=TEXT                    folder of all state\n"
              "  --drain-s=N                    time to finish (0 to 600 s) [65 s]\n"
              "  --keep-containers              leave them [false]\n"
              "  --log-level=WORD               how much (error|warn|info|debug) [info]\n"
              "  --once                         this time [false]\n\n"
              "  --config=FILE                  lines `name = value`, under environment and flags\n"
              "  -h, --help                     this text\n");
    assert_non_null(strstr(
        markdown,
        "| `--drain-s` | `NARAE_DRAIN_S` | `65` | a whole number from 0 to 600 s | yes | time to finish |\n"));
    assert_non_null(strstr(markdown, "one of error\\|warn\\|info\\|debug"));
    assert_non_null(strstr(markdown, "| `--data` | `NARAE_DATA` | none |"));
    assert_non_null(strstr(markdown, "| `--once` | none | `false` |"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_order_of_strength),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_refusals_of_a_file_and_the_environment),
        cmocka_unit_test(test_help_wins),
        cmocka_unit_test(test_help_text),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}
