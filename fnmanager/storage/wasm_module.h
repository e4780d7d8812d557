/* Is uploaded code a WebAssembly module that the kind wasm:1 can run? Not a validator: the engine checks the module as a whole in
 * the function's own container; here it is told what a person gets wrong, when he can still mend it. Pure. Any thread.
 */
#ifndef NR_FNMANAGER_WASM_MODULE_H
#define NR_FNMANAGER_WASM_MODULE_H

#include "common/base/err.h"
#include "common/base/str.h"

/* The ending of what is checked. */
#define WASM_EXTENSION ".wasm"
/* bytes: lent, of any origin. 0, or NR_EINVAL with a sentence for the developer. */
int wasm_module_check(struct nr_str bytes, struct nr_err *err);

#endif
