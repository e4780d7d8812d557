/* The engine, booted before any code is known, and the module it has compiled. One thread; a process that is forked afterwards
 * uses both as they are. */
#ifndef NARAE_WASM_MODULE_H
#define NARAE_WASM_MODULE_H

#include "engine.h"

#define WHY_BYTES 512

struct module {
    wasm_engine_t *engine;
    wasmtime_linker_t *linker;
    wasmtime_module_t *code;      /* NULL: none is loaded */
    wasmtime_instance_pre_t *pre; /* its imports found: what each call makes an instance of */
};

/* The compiler, and WASI for its modules to find. false: why says it. */
bool module_boot(struct module *m, char why[WHY_BYTES]);
/* Compiles (bytes lent) and looks its imports up. false: why is a sentence for the developer; nothing is loaded. */
bool module_load(struct module *m, const void *bytes, size_t size, char why[WHY_BYTES]);
/* Forgets the loaded module. */
void module_unload(struct module *m);
/* What an error (given) says and what it says was its cause, as one line. */
void module_why(wasmtime_error_t *e, char why[WHY_BYTES]);

#endif
