/* The module is a WASI command: `_start` is called once. What it can reach is its stdin, stdout and stderr, its variables and
 * arguments, clocks and random numbers; no folder is opened for it and no address allowed, so the calls for them find nothing.
 *
 * Its memory, tables and all else live in the store and go with it: no call finds anything of another. The engine lets its memory
 * grow to the size of the container; the kernel, which counts us too, ends us before that where all of it is touched.
 */
#include "call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARGUMENT_MAX_BYTES 131071u
#define TABLE_ELEMENTS_MAX 1000000

static ptrdiff_t take_stdout(void *arg, const unsigned char *bytes, size_t length)
{
    return output_take(arg, (const char *)bytes, length) ? (ptrdiff_t)length : -1;
}

static ptrdiff_t take_stderr(void *arg, const unsigned char *bytes, size_t length)
{
    (void)arg;
    output_write(2, (const char *)bytes, length);
    return (ptrdiff_t)length;
}

static void set_arguments(wasi_config_t *w, const char *value, size_t length)
{
    char *text = length <= ARGUMENT_MAX_BYTES ? strndup(value, length) : NULL;
    const char *argv[] = {"module", text};
    wasi_config_set_argv(w, text ? 2 : 1, argv);
    free(text);
}

static wasi_config_t *world(const struct setup *s, struct output *o, const char *value,
                            size_t length)
{
    wasi_config_t *w = wasi_config_new();
    wasm_byte_vec_t in;
    wasm_byte_vec_new(&in, length, value);
    wasi_config_set_stdin_bytes(w, &in);
    set_arguments(w, value, length);
    if (s->call.count > 0)
        wasi_config_set_env(w, s->call.count, s->call.names, s->call.values);
    wasi_config_set_stdout_custom(w, take_stdout, o, NULL);
    wasi_config_set_stderr_custom(w, take_stderr, NULL, NULL);
    return w;
}

static void log_memory(wasmtime_context_t *c, const wasmtime_instance_t *i, const struct setup *s)
{
    wasmtime_extern_t e;
    if (!wasmtime_instance_export_get(c, i, "memory", 6, &e) || e.kind != WASMTIME_EXTERN_MEMORY)
        return;
    dprintf(2, "memory of the module: %zu KB", wasmtime_memory_data_size(c, &e.of.memory) >> 10);
    if (s->memory_bytes > 0)
        dprintf(2, " of %lld KB", (long long)(s->memory_bytes >> 10));
    dprintf(2, "\n");
}

static void log_text(wasm_byte_vec_t *text)
{
    size_t n = text->size;
    while (n > 0 && (!text->data[n - 1] || text->data[n - 1] == '\n'))
        n--;
    output_write(2, text->data, n);
    output_write(2, "\n", 1);
    wasm_byte_vec_delete(text);
}

/* error and trap are given; one of them may be there. */
static enum call_end conclude(wasmtime_error_t *error, wasm_trap_t *trap)
{
    wasm_byte_vec_t text;
    int status;
    if (!error && !trap)
        return CALL_ENDED;
    if (error && wasmtime_error_exit_status(error, &status)) {
        wasmtime_error_delete(error);
        return CALL_ENDED;
    }
    if (error) {
        wasmtime_error_message(error, &text);
        wasmtime_error_delete(error);
    } else {
        wasm_trap_message(trap, &text);
        wasm_trap_delete(trap);
    }
    log_text(&text);
    return CALL_TRAPPED;
}

static enum call_end start(const struct module *m, wasmtime_context_t *c, const struct setup *s,
                           char why[WHY_BYTES])
{
    wasmtime_instance_t instance;
    wasmtime_extern_t entry;
    wasm_trap_t *trap = NULL;
    wasmtime_error_t *error = wasmtime_instance_pre_instantiate(m->pre, c, &instance, &trap);
    if (error && !trap) {
        module_why(error, why);
        return CALL_REFUSED;
    }
    if (error || trap)
        return conclude(error, trap);
    if (!wasmtime_instance_export_get(c, &instance, "_start", 6, &entry) ||
        entry.kind != WASMTIME_EXTERN_FUNC) {
        snprintf(why, WHY_BYTES, "the module exports no function _start: it is no WASI command");
        return CALL_REFUSED;
    }
    error = wasmtime_func_call(c, &entry.of.func, NULL, 0, NULL, 0, &trap);
    enum call_end end = conclude(error, trap);
    if (end == CALL_TRAPPED)
        log_memory(c, &instance, s);
    return end;
}

enum call_end call_run(const struct module *m, const struct setup *s, struct output *o,
                       const char *value, size_t length, char why[WHY_BYTES])
{
    wasmtime_store_t *store = wasmtime_store_new(m->engine, NULL, NULL);
    wasmtime_context_t *c = wasmtime_store_context(store);
    enum call_end end = CALL_REFUSED;
    wasmtime_store_limiter(store, s->memory_bytes, TABLE_ELEMENTS_MAX, 1, -1, -1);
    wasmtime_error_t *error = wasmtime_context_set_wasi(c, world(s, o, value, length));
    if (error)
        module_why(error, why);
    else
        end = start(m, c, s, why);
    wasmtime_store_delete(store);
    return end;
}
