/* What narae --help says: of everything in groups, of one verb, of the verbs of a noun. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/verbs.h"

static void print_title(FILE *out, const struct terminal *t, const char *title)
{
    (void)fprintf(out, "\n%s%s%s\n", term_begin(t, BOLD), title, term_end(t));
}

static void print_row(FILE *out, const struct terminal *t, unsigned indent, const char *head,
                      const char *text)
{
    (void)fputs("  ", out);
    text_print_row(out, t, 2, indent, head, text);
}

static void print_verb(FILE *out, const struct terminal *t, const struct cli_verb *verb)
{
    char head[96], text[256];

    (void)snprintf(head, sizeof(head), "%s%s%s", verb->name, verb->words[0] ? " " : "",
                   verb->words);
    (void)snprintf(text, sizeof(text), "%s%s%s%s", verb->help, verb->wsk ? " [" : "",
                   verb->wsk ? verb->wsk : "", verb->wsk ? "]" : "");
    print_row(out, t, 36, head, text);
}

static void print_option(FILE *out, const struct terminal *t, enum cli_option option)
{
    const struct cli_option_row *row = &cli_options[option];
    char head[96];

    (void)snprintf(head, sizeof(head), "%s%c%s--%s%s%s", row->letter ? "-" : "  ",
                   row->letter ? row->letter : ' ', row->letter ? ", " : " ", row->name,
                   row->meta ? " " : "", row->meta ? row->meta : "");
    print_row(out, t, 36, head, row->help);
}

static void print_options(FILE *out, const struct terminal *t, const unsigned char *options)
{
    for (; *options; options++)
        print_option(out, t, (enum cli_option) * options);
}

static void print_end(FILE *out, const struct terminal *t)
{
    print_title(out, t, "Exit status");
    print_row(out, t, 5, "0", "done");
    print_row(out, t, 5, "1",
              "not done: no answer, a mistake in the command, refused, not confirmed");
    print_row(out, t, 5, "2", "the function itself failed");
}

void cli_help_all(FILE *out, const struct terminal *t)
{
    (void)fputs("narae VERB [WORDS] [--OPTION VALUE ...]\n", out);
    text_print_wrapped(out, t, 0, 0,
                       "narae VERB --help tells more of a verb; in brackets what wsk calls it.");
    for (int group = 0; group < GROUP_COUNT; group++) {
        print_title(out, t, cli_groups[group]);
        for (size_t i = 0; i < cli_verb_count(); i++)
            if ((int)cli_verbs[i].group == group)
                print_verb(out, t, &cli_verbs[i]);
    }
    print_title(out, t, "Options of every verb");
    print_options(out, t, cli_common_options);
    print_end(out, t);
}

void cli_help_verb(FILE *out, const struct terminal *t, const struct cli_verb *verb)
{
    (void)fprintf(out, "narae %s%s%s [--OPTION VALUE ...]\n", verb->name, verb->words[0] ? " " : "",
                  verb->words);
    text_print_wrapped(out, t, 2, 0, verb->help);
    if (verb->wsk) {
        (void)fputs("as in wsk: ", out);
        text_print_wrapped(out, t, 2, 11, verb->wsk);
    }
    if (verb->options[0]) {
        print_title(out, t, "Options");
        print_options(out, t, verb->options);
    }
    print_title(out, t, "Options of every verb");
    print_options(out, t, cli_common_options);
    print_title(out, t, "Example");
    (void)fprintf(out, "  %s\n", verb->example);
    print_end(out, t);
}

void cli_help_noun(FILE *out, const struct terminal *t, const char *noun)
{
    size_t n = strlen(noun);

    (void)fprintf(out, "narae %s VERB [WORDS] [--OPTION VALUE ...]\n\n", noun);
    for (size_t i = 0; i < cli_verb_count(); i++)
        if (strncmp(cli_verbs[i].name, noun, n) == 0 && cli_verbs[i].name[n] == ' ')
            print_verb(out, t, &cli_verbs[i]);
    print_title(out, t, "Examples");
    for (size_t i = 0; i < cli_verb_count(); i++)
        if (strncmp(cli_verbs[i].name, noun, n) == 0 && cli_verbs[i].name[n] == ' ')
            (void)fprintf(out, "  %s\n", cli_verbs[i].example);
}

int verb_help(struct cli *c)
{
    bool wsk;
    int took;
    const struct cli_verb *verb = cli_verb_find(c->argc, c->argv, &took, &wsk);

    if (c->argc == 0)
        cli_help_all(stdout, &c->term);
    else if (c->argc == 1 && cli_is_noun(c->argv[0]))
        cli_help_noun(stdout, &c->term, c->argv[0]);
    else if (verb && took == c->argc)
        cli_help_verb(stdout, &c->term, verb);
    else
        return cli_fail(c, "%s is no verb; narae --help lists them", c->argv[0]);
    return CLI_DONE;
}
