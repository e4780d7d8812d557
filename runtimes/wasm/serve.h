/* A slot's calls, one after the other, on the slot's own connection. One thread. */
#ifndef NARAE_WASM_SERVE_H
#define NARAE_WASM_SERVE_H

#include "call.h"
#include "wire.h"

/* What a process serves. */
struct service {
    struct module module;
    struct setup setup;
    struct wire_line *page; /* shared with the agent, one line per slot */
};

/* Serves slot `index` for ever: its connection fd (given), its control channel, its output on descriptors 1 and 2. */
_Noreturn void serve_slot(struct service *s, unsigned index, int fd, int control);

#endif
