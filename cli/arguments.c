/* argv: options wherever they stand among the words, each value as its row in the table of options (options.c) says. What an option does beyond
 * keeping its text (files that are read, objects that grow) is a row of `takers`.
 */
#include <getopt.h>

#include "cli/cli.h"
#include "common/base/file.h"

/* ---- values ---------------------------------------------------------------------------------------------------------------- */

static void add_pair(json_t **object, const char *key, const char *value)
{
    json_t *j = nr_json_parse(nr_str_of(value), NULL);

    if (*object == NULL)
        *object = json_object();
    json_object_set_new(*object, key, j ? j : json_string(value));
}

/* The object in a text (lent) is added to *object. */
static int add_object(const struct cli *c, json_t **object, enum cli_why why, const char *what,
                      struct nr_str text)
{
    struct nr_err err = {0};
    nr_auto_json json_t *j = nr_json_parse(text, &err);

    if (!json_is_object(j))
        return cli_fail_why(c, why, "%s is not one JSON object%s%s", what, j ? "" : ": ",
                            j ? "" : err.text);
    if (*object == NULL)
        *object = json_object();
    return json_object_update(*object, j) == 0 ? 0 : cli_fail_why(c, WHY_MEMORY, "no memory");
}

static int add_file(const struct cli *c, json_t **object, const char *path)
{
    struct nr_err err = {0};
    nr_auto_free char *text = NULL;
    size_t n;

    if (nr_file_read(path, 1 << 20, &text, &n, &err) != 0)
        return cli_fail_why(c, WHY_FILE, "%s", err.text);
    return add_object(c, object, WHY_FILE, path, (struct nr_str){text, n});
}

static int add_parameter_file(struct cli *c, const char *path)
{
    return add_file(c, &c->parameters, path);
}

static int add_annotation_file(struct cli *c, const char *path)
{
    return add_file(c, &c->annotations, path);
}

/* A folder is no JSON object: which of them is meant is known once the verb is (cli_check_data). */
static bool can_be_object(const char *value)
{
    return value[strspn(value, " \t\r\n")] == '{' || value[0] == '@' || strcmp(value, "-") == 0;
}

int cli_check_data(const struct cli *c)
{
    json_t *none = NULL;

    if (c->text[OPT_DATA] == NULL || can_be_object(c->text[OPT_DATA]) || c->verb->offline)
        return 0;
    int e = add_object(c, &none, WHY_USAGE, "--data", nr_str_of(c->text[OPT_DATA]));

    json_decref(none);
    return e;
}

static int add_data(struct cli *c, const char *value)
{
    if (!can_be_object(value))
        return 0;
    if (value[0] == '@')
        return add_parameter_file(c, value + 1);
    return strcmp(value, "-") == 0
               ? add_parameter_file(c, "/dev/stdin")
               : add_object(c, &c->parameters, WHY_USAGE, "--data", nr_str_of(value));
}

static int take_docker(struct cli *c, const char *value)
{
    c->text[OPT_IMAGE] = value;
    return 0;
}

static int take_native(struct cli *c, const char *value)
{
    c->text[OPT_KIND] = "native";
    return 0;
}

static int add_gone(struct cli *c, const char *value)
{
    if (c->gone == NULL)
        c->gone = json_array();
    return json_array_append_new(c->gone, json_string(value)) == 0
               ? 0
               : cli_fail(c, "--del-annotation: the key is no UTF-8");
}

/* FILE or FILE:WEIGHT. */
static int add_payload(struct cli *c, const char *value)
{
    const char *colon = strrchr(value, ':');
    struct nr_err err = {0};
    nr_auto_free char *path = NULL, *text = NULL;
    int64_t weight = 1;
    size_t n;

    if (colon && !nr_str_to_i64(nr_str_of(colon + 1), 1, 1000000, &weight))
        colon = NULL;
    path = nr_strndup(value, colon ? (size_t)(colon - value) : strlen(value));
    if (nr_file_read(path, 1 << 20, &text, &n, &err) != 0)
        return cli_fail_why(c, WHY_FILE, "%s", err.text);
    json_t *j = nr_json_parse((struct nr_str){text, n}, &err);
    if (!json_is_object(j)) {
        json_decref(j);
        return cli_fail_why(c, WHY_FILE, "--payload %s is not one JSON object%s%s", value,
                            j ? "" : ": ", j ? "" : err.text);
    }
    if (c->payloads == NULL)
        c->payloads = json_array();
    return json_array_append_new(c->payloads,
                                 json_pack("{s:I,s:o}", "weight", (json_int_t)weight, "value", j));
}

static bool is_choice(const char *choices, const char *value)
{
    struct nr_str rest = nr_str_of(choices), one;

    while (nr_str_split(&rest, '|', &one))
        if (nr_str_eqz(one, value))
            return true;
    return false;
}

static int take_value(struct cli *c, enum cli_option option, const char *value)
{
    const struct cli_option_row *row = &cli_options[option];
    char *end;

    c->text[option] = value ? value : "";
    switch (row->value) {
    case VALUE_NUMBER:
        if (!nr_str_to_i64(nr_str_of(value), 0, INT64_MAX, &c->number[option]))
            return cli_fail(c, "--%s %s: a whole number is needed (%s)", row->name, value,
                            row->meta);
        return 0;
    case VALUE_REAL:
        c->real[option] = strtod(value, &end);
        if (end == value || *end || !(c->real[option] >= 0))
            return cli_fail(c, "--%s %s: a number is needed (%s)", row->name, value, row->meta);
        return 0;
    case VALUE_CHOICE:
        if (option == OPT_OUTPUT && strcmp(value, "text") == 0)
            return 0;
        return is_choice(row->meta, value)
                   ? 0
                   : cli_fail(c, "--%s %s: it can be %s", row->name, value, row->meta);
    default: return 0;
    }
}

static const struct {
    enum cli_option option;
    int (*take)(struct cli *c, const char *value);
} takers[] = {{OPT_PARAM_FILE, add_parameter_file},
              {OPT_ANNOTATION_FILE, add_annotation_file},
              {OPT_DATA, add_data},
              {OPT_PAYLOAD, add_payload},
              {OPT_DOCKER, take_docker},
              {OPT_NATIVE, take_native},
              {OPT_DEL_ANNOTATION, add_gone}};

static int add_secret(struct cli *c, const char *key, const char *value)
{
    bool read = strcmp(value, "-") == 0;
    char *line = NULL;

    if (read && (line = terminal_secret(&c->term, key)) == NULL)
        return cli_fail(c, "-s %s -: there is no line with a text on the standard input", key);
    if (c->secrets == NULL)
        c->secrets = json_object();
    int e = json_object_set_new(c->secrets, key, json_string(read ? line : value));

    nr_str_wipe(nr_str_of(line));
    free(line);
    return e == 0 ? 0 : cli_fail(c, "-s %s: the value is no UTF-8", key);
}

/* KEY VALUE: the value is the word behind. */
static int take_pair(struct cli *c, enum cli_option option, const char *key, const char *value)
{
    if (option == OPT_SECRET)
        return add_secret(c, key, value);
    add_pair(option == OPT_PARAM ? &c->parameters : &c->annotations, key, value);
    return 0;
}

static bool is_pair(enum cli_option option)
{
    return option == OPT_PARAM || option == OPT_ANNOTATION || option == OPT_SECRET;
}

static int take_option(struct cli *c, enum cli_option option, int argc, char **argv)
{
    int e = take_value(c, option, optarg);

    if (e == 0 && is_pair(option)) {
        if (optind >= argc)
            return cli_fail(c, "-%c %s: a value is needed: -%c KEY VALUE",
                            cli_options[option].letter, optarg, cli_options[option].letter);
        e = take_pair(c, option, optarg, argv[optind++]);
    }
    for (size_t i = 0; e == 0 && i < nr_countof(takers); i++)
        if (takers[i].option == option)
            e = takers[i].take(c, optarg);
    return e;
}

/* ---- argv ----------------------------------------------------------------------------------------------------------------------- */

static int explain_unknown(const struct cli *c, const char *word)
{
    struct cli_nearest n = {.word = word + strspn(word, "-")};
    char name[64];

    (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(n.word, "="), n.word);
    n.word = name;
    for (int i = 1; i < OPT_COUNT; i++)
        cli_nearest_try(&n, cli_options[i].name);
    return n.best ? cli_fail(c, "%s is no option; did you mean --%s? (narae --help lists them)",
                             word, n.best)
                  : cli_fail(c, "%s is no option; narae --help lists them", word);
}

static void make_tables(struct option *longs, char *shorts)
{
    char *s = shorts;

    *s++ = '-'; /* words come as option 1, wherever they stand */
    *s++ = ':';
    for (int i = 1; i < OPT_COUNT; i++) {
        bool value = cli_options[i].value != VALUE_NONE;

        longs[i - 1] = (struct option){cli_options[i].name, value ? required_argument : no_argument,
                                       NULL, 256 + i};
        if (cli_options[i].letter) {
            *s++ = cli_options[i].letter;
            if (value)
                *s++ = ':';
        }
    }
    *s = '\0';
}

static enum cli_option option_of(int code)
{
    char letter[2] = {(char)code, '\0'};

    return code > 256 ? (enum cli_option)(code - 256) : cli_option_find(letter);
}

enum cli_form cli_form_of(int argc, char **argv)
{
    struct option longs[OPT_COUNT + 1] = {0};
    char shorts[2 * OPT_COUNT + 3];
    const char *form = "";
    int code;

    make_tables(longs, shorts);
    opterr = 0;
    optind = 0; /* from the beginning, here and in whoever reads them next */
    while ((code = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        if (code == '?' || code == ':' || code == 1)
            continue;
        if (option_of(code) == OPT_OUTPUT)
            form = optarg;
        else if (is_pair(option_of(code)) && optind < argc)
            optind++;
    }
    optind = 0;
    return strcmp(form, "json") == 0   ? FORM_JSON
           : strcmp(form, "wide") == 0 ? FORM_WIDE
                                       : FORM_TABLE;
}

int cli_read_options(struct cli *c, int argc, char **argv, char **words, int *ret_words)
{
    struct option longs[OPT_COUNT + 1] = {0};
    char shorts[2 * OPT_COUNT + 3];
    int code, n = 0;

    make_tables(longs, shorts);
    for (int i = 0; i < OPT_COUNT; i++)
        c->number[i] = -1;
    c->form = cli_form_of(argc, argv);
    while ((code = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        if (code == 1)
            words[n++] = optarg;
        else if (code == ':')
            return cli_fail(c, "%s needs a value: %s", argv[optind - 1],
                            cli_options[option_of(optopt)].meta);
        else if (code == '?')
            return explain_unknown(c, argv[optind - 1]);
        else if (take_option(c, option_of(code), argc, argv) != 0)
            return CLI_NOT_DONE;
    }
    while (optind < argc)
        words[n++] = argv[optind++];
    *ret_words = n;
    return 0;
}
