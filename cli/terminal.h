/* What the output is: a terminal with a width and colours, or a pipe; and texts measured as a terminal shows them. One thread.
 */
#ifndef NR_CLI_TERMINAL_H
#define NR_CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "common/base/buf.h"

struct terminal {
    bool in, out, err; /* is a terminal */
    bool colour;       /* of the output: a terminal, not TERM=dumb, no NO_COLOR */
    bool utf8;
    unsigned columns; /* of the output; 0: no limit, it is no terminal */
};

enum term_colour { PLAIN, BOLD, DIM, RED, GREEN, YELLOW, BLUE, MAGENTA, CYAN, COLOURS };

/* Looks at the three channels and the environment. */
void terminal_find(struct terminal *t);
/* A line of the standard input (made; to be wiped), without its end; one that is typed is asked for by `what` (lent) and not shown. NULL: there is none, it is
 * empty or longer than a megabyte, or the person wants out. */
char *terminal_secret(const struct terminal *t, const char *what);
/* Width and height now, for what is drawn again and again; 0 when it is no terminal. */
unsigned terminal_rows(struct terminal *t);
/* The sequence that begins a colour ("" without colours), and the one that ends all. */
const char *term_begin(const struct terminal *t, enum term_colour c);
const char *term_end(const struct terminal *t);

/* Columns that a text takes: wide characters two, combining ones none. */
unsigned text_columns(struct nr_str s);
/* Adds the text, cut to `columns` with a mark at the end when it is longer. Returns the columns it takes. */
unsigned text_add_cut(const struct terminal *t, struct nr_str s, unsigned columns,
                      struct nr_buf *out);
/* Adds the text with white space and control characters made harmless; what is no UTF-8 becomes '?'. */
void text_add_clean(struct nr_str s, struct nr_buf *out);
/* Adds a bar of `width` columns of which part / whole is filled, in eighths where the terminal has UTF-8. */
void text_add_bar(const struct terminal *t, double part, double whole, unsigned width,
                  struct nr_buf *out);
/* Prints the text with lines broken at blanks, `indent` columns in front of each line but the first. */
void text_print_wrapped(FILE *out, const struct terminal *t, unsigned indent, unsigned at,
                        const char *text);
/* Prints "head    text" from column `at`, with the text wrapped below itself from column `indent`, or below the head where that is too
 * narrow. */
void text_print_row(FILE *out, const struct terminal *t, unsigned at, unsigned indent,
                    const char *head, const char *text);

#endif
