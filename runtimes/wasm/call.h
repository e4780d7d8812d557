/* One call: a fresh instance of the module, run to its end, and gone. One thread. */
#ifndef NARAE_WASM_CALL_H
#define NARAE_WASM_CALL_H

#include "module.h"
#include "output.h"
#include "setup.h"

enum call_end {
    CALL_ENDED,   /* it ran to its end, or exited, with whatever status; output has what it said */
    CALL_TRAPPED, /* it was stopped; its log says why */
    CALL_REFUSED, /* it never began; why is a sentence */
};

/* Runs the loaded module with `value` (lent JSON text) as its stdin, and as its argument 1 when it fits one. Its variables
 * are setup's `call`. */
enum call_end call_run(const struct module *m, const struct setup *s, struct output *o,
                       const char *value, size_t length, char why[WHY_BYTES]);

#endif
