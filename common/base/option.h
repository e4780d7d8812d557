/* Options: per component one table; file, environment, flags, --help and docs/configuration.md all come from it.
 * Order of strength: default < file (`name = value` lines, '#' comments) < environment (NARAE_NAME) < flag (--name=value).
 * At start only, one thread.
 */
#ifndef NR_COMMON_BASE_OPTION_H
#define NR_COMMON_BASE_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/err.h"

enum nr_option_type {
    NR_OPT_STRING, /* char * field; made by the loader, freed by nr_options_fini */
    NR_OPT_INT,    /* int64_t field, min..max */
    NR_OPT_BOOL,   /* bool field: true/false/yes/no/1/0; a flag without value is true */
    NR_OPT_CHOICE, /* char * field; value must be one of the words in `choices` (separated by '|') */
};

struct nr_option {
    const char *
        name; /* "data", "drain-s": flag --data, file word data, environment NARAE_DATA, NARAE_DRAIN_S */
    enum nr_option_type type;
    size_t offset;      /* of the field in the component's config struct */
    const char *preset; /* as text; NULL: none (string stays NULL) */
    int64_t min, max;   /* INT */
    const char *unit;   /* "ms", "s", "MB"; for people */
    const char *choices;
    bool reloadable;
    const char *help;
    const char *flag_only; /* a word of the command line only; why, as the end of a sentence */
};

/* A table with the struct it fills. A NULL table ends a set. */
struct nr_option_set {
    const char *title;
    const struct nr_option *options; /* ends with a NULL name */
    void *config;                    /* kept */
};

/* Fills all structs of `sets` (ends with NULL options): presets, then --config=FILE of argv, environment, argv. Prints nothing.
 * NR_EINVAL with a sentence that names the option, the value and what is allowed (nearest known word for a typo).
 * The structs must be zeroed before; after a failure their strings are freed and NULL. `config` is no option of a table unless
 * the program wants the path itself. *ret_help is set when --help or -h was given: then only presets are filled. */
int nr_options_load(const struct nr_option_set *sets, int argc, char **argv, bool *ret_help,
                    struct nr_err *err);
void nr_options_fini(const struct nr_option_set *sets);
void nr_options_help(const struct nr_option_set *sets, const char *usage, FILE *out);
/* The table of docs/configuration.md. */
void nr_options_markdown(const struct nr_option_set *sets, FILE *out);

#endif
