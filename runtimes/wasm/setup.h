/* What INIT and a call say to the module: environment and limits. One thread; knows nothing of the engine. */
#ifndef NARAE_WASM_SETUP_H
#define NARAE_WASM_SETUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Variables: two lists of the same length, as the engine wants them. Zeroed: none. */
struct variables {
    const char **names, **values; /* texts: made, or another list's behind the first `own` */
    size_t count, own, capacity;
};

struct setup {
    struct variables env;  /* of INIT */
    struct variables call; /* all that the module of the running call sees */
    int64_t memory_bytes;  /* of the container; -1: no limit is known */
    size_t result_max_bytes;
};

/* Reads the JSON of INIT from its file. false: it cannot be understood. */
bool setup_read(struct setup *s, int init_fd);
/* Fills `call`: what the call says of itself (meta: the JSON text up to its value; lent) as __OW_<NAME>, and INIT's. */
void setup_begin_call(struct setup *s, const char *meta, size_t length);
/* Empties `call`. */
void setup_end_call(struct setup *s);

#endif
