/* A module's stdout: the last line that is not blank is the result, the lines before it are log. One thread; knows nothing
 * of the engine. */
#ifndef NARAE_WASM_OUTPUT_H
#define NARAE_WASM_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#define OUTPUT_LEAD_BYTES 256

enum output_state {
    OUTPUT_BEGIN, /* of a line: only blanks of it have come */
    OUTPUT_LOG,   /* in a line that cannot be the result: it goes to the log as it comes */
    OUTPUT_HELD,  /* in a line that may be the result */
    OUTPUT_ENDED, /* such a line is whole; what follows it is blank so far */
};

struct output {
    /* in */
    int fd;       /* of the log */
    size_t limit; /* bytes of a result that are kept; what is longer is counted */
    /* out, of the line that is held */
    char *line;
    size_t stored;
    size_t total; /* bytes it has; 0: none is held */
    /* private */
    enum output_state state;
    size_t capacity;
    unsigned blanks;              /* lines without a word since */
    char lead[OUTPUT_LEAD_BYTES]; /* the blanks that the line has begun with so far */
    size_t lead_length;
};

/* Takes what the module wrote. false: there was no memory to hold a line. */
bool output_take(struct output *o, const char *bytes, size_t length);
/* The held line goes to the log: it is no result. */
void output_let_go(struct output *o);
/* Ready for the next call; keeps a small buffer. */
void output_reset(struct output *o);
/* Writes all of it to a descriptor, whatever it takes; that nobody reads there is not our business. */
void output_write(int fd, const char *bytes, size_t length);

#endif
