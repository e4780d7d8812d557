/* The texts of options: help for a terminal of 80 columns or more, a Markdown table, the nearest name of a typo. */
#include "common/base/option_text.h"

#include <ctype.h>
#include <inttypes.h>

#include "common/base/edits.h"
#include "common/base/mem.h"

enum { FLAG_COLUMN = 30, NAME_BYTES = 64 };

void nr_option_environment(const struct nr_option *o, char *out, size_t out_bytes)
{
    int n = snprintf(out, out_bytes, "NARAE_%s", o->name);

    for (char *p = out; n > 0 && *p; p++)
        *p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
}

const char *nr_option_word(const struct nr_option *o)
{
    static const char *const words[] = {
        [NR_OPT_STRING] = "TEXT",
        [NR_OPT_INT] = "N",
        [NR_OPT_BOOL] = "",
        [NR_OPT_CHOICE] = "WORD",
    };

    return words[o->type];
}

static void unit_text(const struct nr_option *o, char *out, size_t out_bytes)
{
    (void)snprintf(out, out_bytes, "%s%s", o->unit ? " " : "", o->unit ? o->unit : "");
}

void nr_option_allowed(const struct nr_option *o, char *out, size_t out_bytes)
{
    char unit[24];

    unit_text(o, unit, sizeof(unit));
    switch (o->type) {
    case NR_OPT_STRING: (void)snprintf(out, out_bytes, "a text"); break;
    case NR_OPT_INT:
        (void)snprintf(out, out_bytes, "a whole number from %" PRId64 " to %" PRId64 "%s", o->min,
                       o->max, unit);
        break;
    case NR_OPT_BOOL: (void)snprintf(out, out_bytes, "true or false"); break;
    case NR_OPT_CHOICE: (void)snprintf(out, out_bytes, "one of %s", o->choices); break;
    }
}

bool nr_option_nearest(const struct nr_option_set *sets, struct nr_str name, char *out,
                       size_t out_bytes)
{
    unsigned limit = name.n < 6 ? 2 : (unsigned)(name.n / 3), best = limit + 1;
    const char *nearest = NULL;

    for (; sets->options; sets++)
        for (const struct nr_option *o = sets->options; o->name; o++) {
            unsigned d = nr_edits(name, nr_str_of(o->name));

            if (d < best) {
                best = d;
                nearest = o->name;
            }
        }
    if (nearest)
        (void)snprintf(out, out_bytes, "%s", nearest);
    return nearest != NULL;
}

static void help_option(const struct nr_option *o, FILE *out)
{
    char flag[NAME_BYTES + 16], unit[24];
    const char *word = nr_option_word(o);

    (void)snprintf(flag, sizeof(flag), "--%.64s%s%s", o->name, *word ? "=" : "", word);
    unit_text(o, unit, sizeof(unit));
    (void)fprintf(out, "  %-*s %s", FLAG_COLUMN, flag, o->help);
    if (o->type == NR_OPT_CHOICE)
        (void)fprintf(out, " (%s)", o->choices);
    if (o->type == NR_OPT_INT)
        (void)fprintf(out, " (%" PRId64 " to %" PRId64 "%s)", o->min, o->max, unit);
    if (o->preset)
        (void)fprintf(out, " [%s%s]", o->preset, unit);
    (void)fputc('\n', out);
}

void nr_options_help(const struct nr_option_set *sets, const char *usage, FILE *out)
{
    (void)fprintf(out, "%s\n", usage);
    for (; sets->options; sets++) {
        (void)fprintf(out, "\n%s\n", sets->title);
        for (const struct nr_option *o = sets->options; o->name; o++)
            help_option(o, out);
    }
    (void)fprintf(out, "\n  %-*s %s\n  %-*s %s\n", FLAG_COLUMN, "--config=FILE",
                  "lines `name = value`, under environment and flags", FLAG_COLUMN, "-h, --help",
                  "this text");
}

static void markdown_cell(const char *text, FILE *out)
{
    for (; *text; text++) {
        if (*text == '|')
            (void)fputc('\\', out);
        (void)fputc(*text, out);
    }
}

static void markdown_option(const struct nr_option *o, FILE *out)
{
    char environment[NAME_BYTES], allowed[256];

    nr_option_environment(o, environment, sizeof(environment));
    nr_option_allowed(o, allowed, sizeof(allowed));
    (void)fprintf(out, "| `--%s` | %s%s%s | %s%s%s | ", o->name, o->flag_only ? "" : "`",
                  o->flag_only ? "none" : environment, o->flag_only ? "" : "`",
                  o->preset ? "`" : "", o->preset ? o->preset : "none", o->preset ? "`" : "");
    markdown_cell(allowed, out);
    (void)fprintf(out, " | %s | ", o->reloadable ? "yes" : "no");
    markdown_cell(o->help, out);
    (void)fprintf(out, " |\n");
}

void nr_options_markdown(const struct nr_option_set *sets, FILE *out)
{
    for (; sets->options; sets++) {
        (void)fprintf(
            out,
            "## %s\n\n| option | environment | default | value | reload | meaning |\n|---|---|---|---|---|---|\n",
            sets->title);
        for (const struct nr_option *o = sets->options; o->name; o++)
            markdown_option(o, out);
        (void)fputc('\n', out);
    }
}
