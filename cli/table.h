/* Tables and lists of fields out of JSON: columns name what they show by its path and form. A table fits its terminal: columns are cut
 * with a mark, then left out from the right; it never wraps. In a pipe it has its full width. One thread.
 */
#ifndef NR_CLI_TABLE_H
#define NR_CLI_TABLE_H

#include <jansson.h>

#include "cli/terminal.h"

enum cell_form {
    CELL_TEXT,
    CELL_STATE,  /* a word with a colour */
    CELL_NUMBER, /* right-aligned, as are those that follow */
    CELL_MB,
    CELL_MS,
    CELL_LIMIT, /* "none" when it is null or below 0 */
    CELL_BYTES,
    CELL_TIME,  /* of milliseconds since 1970; left-aligned, as are those that follow */
    CELL_AGE,   /* "3m": milliseconds that have passed */
    CELL_LIST,  /* of texts or numbers: "1,2" */
    CELL_YES,   /* "yes" or "-" */
    CELL_OBJECT /* keys and values: "1=90 2=10" */
};

struct column {
    const char *title, *path; /* path: "limits.memory" in the row */
    enum cell_form form;
    unsigned min; /* columns it may be cut down to; 0: never cut */
    bool wide;    /* only with -o wide */
    bool whole;   /* columns behind the third are rather left out than this one cut */
    /* Writes a cell that no form can; NULL: by path and form. */
    void (*write)(const json_t *row, struct nr_buf *out);
};

/* The value at a dotted path (lent), or NULL. */
const json_t *json_at(const json_t *j, const char *path);
/* The text of a value in a form; "-" for what is not there. */
void cell_add(const json_t *value, enum cell_form form, struct nr_buf *out);
/* What a column needs: as wide as its cells, whether it is dear, the least (0: as wide as its cells). */
struct table_room {
    unsigned width, min;
    bool whole;
};
/* Cuts widths down, the widest first, each to its min at least, until they and two columns between them fit; returns how many of them
 * are shown, 1 at least. limit 0: all. */
size_t table_fit(struct table_room *room, size_t count, unsigned limit);
/* Prints a row of titles, and a line for each of the rows (an array, lent). */
void table_print(FILE *out, const struct terminal *t, bool wide, const struct column *columns,
                 size_t count, const json_t *rows);
/* Prints "title  value" for each column that the object has. */
void fields_print(FILE *out, const struct terminal *t, bool wide, const struct column *columns,
                  size_t count, const json_t *object);

#endif
