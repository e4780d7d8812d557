/* narae man: the manual, made of the tables of verbs and options. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/verbs.h"

#ifndef NARAE_VERSION
#define NARAE_VERSION "?"
#endif

/* A text in roff: no line begins with a dot or quote, hyphens and backslashes are what they look like. */
static void put(FILE *out, const char *text)
{
    if (text[0] == '.' || text[0] == '\'')
        (void)fputs("\\&", out);
    for (; *text; text++)
        switch (*text) {
        case '-': (void)fputs("\\-", out); break;
        case '\\': (void)fputs("\\e", out); break;
        case '\'': (void)fputs("\\(aq", out); break;
        case '`': (void)fputs("\\(ga", out); break;
        case '~': (void)fputs("\\(ti", out); break;
        default: (void)fputc(*text, out);
        }
}

static void put_option(FILE *out, enum cli_option option)
{
    const struct cli_option_row *row = &cli_options[option];

    (void)fputs(".TP\n", out);
    if (row->letter)
        (void)fprintf(out, "\\fB\\-%c\\fR, ", row->letter);
    (void)fputs("\\fB\\-\\-", out);
    put(out, row->name);
    (void)fputs("\\fR", out);
    if (row->meta) {
        (void)fputs(" \\fI", out);
        put(out, row->meta);
        (void)fputs("\\fR", out);
    }
    (void)fputc('\n', out);
    put(out, row->help);
    (void)fputc('\n', out);
}

static void put_verb(FILE *out, const struct cli_verb *verb)
{
    (void)fputs(".TP\n\\fBnarae ", out);
    put(out, verb->name);
    (void)fputs("\\fR \\fI", out);
    put(out, verb->words);
    (void)fputs("\\fR\n", out);
    put(out, verb->help);
    (void)fputs(".\n", out);
    if (verb->wsk) {
        (void)fputs("In wsk: ", out);
        put(out, verb->wsk);
        (void)fputs(".\n", out);
    }
    if (verb->options[0]) {
        (void)fputs(".br\nOptions:", out);
        for (const unsigned char *o = verb->options; *o; o++) {
            (void)fputs(o == verb->options ? " \\-\\-" : ", \\-\\-", out);
            put(out, cli_options[*o].name);
        }
        (void)fputs(".\n", out);
    }
    (void)fputs(".br\nExample: ", out);
    put(out, verb->example);
    (void)fputc('\n', out);
}

static const char status[] =
    ".SH EXIT STATUS\n"
    ".TP\n0\nDone.\n"
    ".TP\n1\nNot done: no answer, a mistake in the command, refused, not confirmed.\n"
    ".TP\n2\nThe function itself failed.\n"
    ".SH ERRORS\n"
    "An error is a sentence on the error channel and, in lines below it, what to do next. With \\-o json it is one object on one line, the "
    "last of that channel: \\fIcode\\fR is one of these, \\fIerror\\fR the sentence, \\fInext\\fR what to do; \\fIverb\\fR, and of an "
    "answer of the platform \\fIhttp_status\\fR and \\fIrequest_id\\fR. Lines before it are {\"note\": ...}.\n";

static const char tail[] =
    ".SH ENVIRONMENT\n"
    ".TP\n\\fBNARAE_APIHOST\\fR, \\fBWHISK_APIHOST\\fR, \\fB__OW_API_HOST\\fR\n"
    "Where the platform is, when \\-\\-apihost does not say.\n"
    ".TP\n\\fBNARAE_AUTH\\fR, \\fBWHISK_AUTH\\fR, \\fB__OW_API_KEY\\fR\n"
    "Who calls, when \\-\\-auth does not say.\n"
    ".TP\n\\fBNO_COLOR\\fR\nNo colours, whatever it is set to.\n"
    ".TP\n\\fBCOLUMNS\\fR\nWidth of a terminal that does not tell its own.\n"
    ".SH FILES\n"
    ".TP\n\\fI\\(ti/.wskprops\\fR\n"
    "Lines APIHOST=URL and AUTH=UUID:KEY, weaker than the environment; WSK_CONFIG_FILE names "
    "another.\n";

static void put_section(FILE *out, const char *title)
{
    (void)fputs(".SH ", out);
    for (; *title; title++)
        (void)fputc(*title >= 'a' && *title <= 'z' ? *title - 'a' + 'A' : *title, out);
    (void)fputc('\n', out);
}

static void put_manual(FILE *out)
{
    (void)fputs(
        ".TH NARAE 1 \"\" \"narae " NARAE_VERSION "\" \"User Commands\"\n"
        ".SH NAME\nnarae \\- command line of the Narae function platform\n"
        ".SH SYNOPSIS\n\\fBnarae\\fR \\fIVERB\\fR [\\fIWORDS\\fR] [\\fB\\-\\-OPTION\\fR "
        "\\fIVALUE\\fR ...]\n"
        ".SH DESCRIPTION\n"
        "Deploys functions, calls them, watches them and changes what becomes of them. "
        "Options may stand anywhere among the words. Tables fit the terminal and have their "
        "full width in a pipe; \\-o json prints what the platform answered.\n",
        out);
    for (int group = 0; group < GROUP_COUNT; group++) {
        put_section(out, cli_groups[group]);
        for (size_t i = 0; i < cli_verb_count(); i++)
            if ((int)cli_verbs[i].group == group)
                put_verb(out, &cli_verbs[i]);
    }
    (void)fputs(".SH OPTIONS\n", out);
    for (int i = 1; i < OPT_COUNT; i++)
        put_option(out, (enum cli_option)i);
    (void)fputs(status, out);
    for (int i = 0; i < WHY_COUNT; i++) {
        (void)fputs(".TP\n\\fB", out);
        put(out, cli_whys[i].code);
        (void)fprintf(out, "\\fR (%d)\n", cli_whys[i].exit_status);
        put(out, cli_whys[i].meaning);
        (void)fputs(".\n", out);
    }
    (void)fputs(tail, out);
}

int verb_man(struct cli *c)
{
    FILE *shown = c->term.out ? popen("man -l -", "w") : NULL;

    put_manual(shown ? shown : stdout);
    if (shown && pclose(shown) != 0)
        return cli_fail_why(
            c, WHY_FILE,
            "man cannot show it; narae --help has the same, narae man > narae.1 the "
            "page");
    return CLI_DONE;
}
