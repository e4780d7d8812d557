/* The part of the engine's C interface that the launcher calls. The engine is a shared library from a package that ships no
 * header, so what we use of it is declared here, in the library's own names; the linker tells of one that is missing, and
 * the image's build runs the launcher's check (`main.c`, --check), which calls them all.
 *
 * An error or a trap that is returned is made for the caller; NULL: none. One thread.
 */
#ifndef NARAE_WASM_ENGINE_H
#define NARAE_WASM_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wasm_config_t wasm_config_t;
typedef struct wasm_engine_t wasm_engine_t;
typedef struct wasm_trap_t wasm_trap_t;
typedef struct wasi_config_t wasi_config_t;
typedef struct wasmtime_error wasmtime_error_t;
typedef struct wasmtime_module wasmtime_module_t;
typedef struct wasmtime_linker wasmtime_linker_t;
typedef struct wasmtime_store wasmtime_store_t;
typedef struct wasmtime_context wasmtime_context_t;
typedef struct wasmtime_instance_pre wasmtime_instance_pre_t;
typedef struct wasmtime_val wasmtime_val_t;

typedef struct {
    size_t size;
    char *data;
} wasm_byte_vec_t;

/* Names of things in a store: small numbers inside, nothing to give back. The sizes are ceilings of the library's. */
typedef struct {
    uint64_t words[2];
} wasmtime_func_t;

typedef struct {
    uint64_t words[3];
} wasmtime_memory_t;

typedef struct {
    uint64_t words[2];
} wasmtime_instance_t;

#define WASMTIME_EXTERN_FUNC 0
#define WASMTIME_EXTERN_MEMORY 3

typedef struct {
    uint8_t kind;
    union {
        wasmtime_func_t func;
        wasmtime_memory_t memory;
        uint64_t words[8];
    } of;
} wasmtime_extern_t;

/* Bytes that the library made, or that are given to it. */
void wasm_byte_vec_new(wasm_byte_vec_t *out, size_t size, const char *bytes);
void wasm_byte_vec_delete(wasm_byte_vec_t *v);

/* What went wrong. `out` is made. exit_status: was it the module's own exit, and with which status? */
void wasmtime_error_message(const wasmtime_error_t *e, wasm_byte_vec_t *out);
bool wasmtime_error_exit_status(const wasmtime_error_t *e, int *ret_status);
void wasmtime_error_delete(wasmtime_error_t *e);
void wasm_trap_message(const wasm_trap_t *t, wasm_byte_vec_t *out);
void wasm_trap_delete(wasm_trap_t *t);

/* The compiler and its settings; the configuration is given to the engine. */
wasm_config_t *wasm_config_new(void);
void wasmtime_config_max_wasm_stack_set(wasm_config_t *c, size_t bytes);
wasm_engine_t *wasm_engine_new_with_config(wasm_config_t *c);

/* Code. Bytes are lent. */
wasmtime_error_t *wasmtime_module_new(wasm_engine_t *e, const uint8_t *bytes, size_t size,
                                      wasmtime_module_t **ret);
void wasmtime_module_delete(wasmtime_module_t *m);

/* What a module's imports are looked up in. */
wasmtime_linker_t *wasmtime_linker_new(wasm_engine_t *e);
wasmtime_error_t *wasmtime_linker_define_wasi(wasmtime_linker_t *l);
wasmtime_error_t *wasmtime_linker_instantiate_pre(const wasmtime_linker_t *l,
                                                  const wasmtime_module_t *m,
                                                  wasmtime_instance_pre_t **ret);
void wasmtime_instance_pre_delete(wasmtime_instance_pre_t *p);

/* One run: a store holds all of it. A limit below 0 is none. */
wasmtime_store_t *wasmtime_store_new(wasm_engine_t *e, void *data, void (*finalizer)(void *));
wasmtime_context_t *wasmtime_store_context(wasmtime_store_t *s);
void wasmtime_store_limiter(wasmtime_store_t *s, int64_t memory_bytes, int64_t table_elements,
                            int64_t instances, int64_t tables, int64_t memories);
void wasmtime_store_delete(wasmtime_store_t *s);
wasmtime_error_t *wasmtime_context_set_wasi(wasmtime_context_t *c, wasi_config_t *given);
wasmtime_error_t *wasmtime_instance_pre_instantiate(const wasmtime_instance_pre_t *p,
                                                    wasmtime_context_t *c, wasmtime_instance_t *ret,
                                                    wasm_trap_t **ret_trap);
bool wasmtime_instance_export_get(wasmtime_context_t *c, const wasmtime_instance_t *i,
                                  const char *name, size_t length, wasmtime_extern_t *ret);
wasmtime_error_t *wasmtime_func_call(wasmtime_context_t *c, const wasmtime_func_t *f,
                                     const wasmtime_val_t *values, size_t count,
                                     wasmtime_val_t *results, size_t result_count,
                                     wasm_trap_t **ret_trap);
size_t wasmtime_memory_data_size(const wasmtime_context_t *c, const wasmtime_memory_t *m);

/* What a module sees of the world: nothing that is not set here. Texts are lent; the bytes of stdin are given. A writer
 * returns how many bytes it took. */
wasi_config_t *wasi_config_new(void);
bool wasi_config_set_argv(wasi_config_t *c, size_t count, const char *argv[]);
bool wasi_config_set_env(wasi_config_t *c, size_t count, const char *names[], const char *values[]);
void wasi_config_set_stdin_bytes(wasi_config_t *c, wasm_byte_vec_t *given);
void wasi_config_set_stdout_custom(wasi_config_t *c,
                                   ptrdiff_t (*write)(void *, const unsigned char *, size_t),
                                   void *data, void (*finalizer)(void *));
void wasi_config_set_stderr_custom(wasi_config_t *c,
                                   ptrdiff_t (*write)(void *, const unsigned char *, size_t),
                                   void *data, void (*finalizer)(void *));

#endif
