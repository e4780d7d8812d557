/* How the fields of a form are told, for the files of the codec. Not for users of wire.h.
 */
#ifndef NR_INVOKER_FAR_WIRE_FORM_H
#define NR_INVOKER_FAR_WIRE_FORM_H

#include <stddef.h>

#include "invoker/far/wire.h"

enum wire_kind {
    WIRE_TEXT,   /* struct nr_str; at most `max` bytes; absent ones are not written */
    WIRE_Z,      /* const char *, ends with a NUL, in the arena; NULL: not written */
    WIRE_BOOL,   /* bool */
    WIRE_INT,    /* int, min to max */
    WIRE_UINT,   /* unsigned */
    WIRE_I64,    /* int64_t */
    WIRE_U64,    /* uint64_t, up to INT64_MAX */
    WIRE_DOUBLE, /* double, min to max, finite */
};

struct wire_field {
    const char *name;
    enum wire_kind kind;
    size_t at; /* offset in the struct */
    int64_t min, max;
};

/* The form of a table of fields. */
#define WIRE_FORM(name, table) const struct wire_form name = {table, nr_countof(table)}

/* Reads one value as the field wants it; what wire_read() does for each member. */
int wire_read_value(const struct wire_field *f, struct nr_str value, struct nr_arena *arena,
                    void *to, struct nr_err *err);
/* A string's text: lent by `value`, or decoded into the arena. NR_EPROTO when it is no string or longer than max bytes. */
int wire_read_text(struct nr_str value, size_t max, struct nr_arena *arena, struct nr_str *ret);

#endif
