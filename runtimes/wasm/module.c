/* Compiling is what costs; an instance of what is compiled costs some microseconds. So a module is compiled once per container,
 * and every call has an instance of its own.
 *
 * The parent never runs a module's WASI calls when it is to fork: what the engine sets up for them at the first one (descriptors
 * to wait with) must be each process's own.
 */
#include "module.h"

#include <stdio.h>
#include <string.h>

#define STACK_BYTES (1u << 20)

/* Not in the middle of a character. */
static size_t cut(const char *text, size_t n)
{
    while (n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80)
        n--;
    return n;
}

/* The next line of an error, without what it is indented and numbered with; *ret_length 0: a blank one, or "Caused by:". */
static const char *line_of(const char **at, const char *end, size_t *ret_length)
{
    const char *begin = *at, *stop = memchr(begin, '\n', (size_t)(end - begin));
    if (!stop)
        stop = end;
    *at = stop < end ? stop + 1 : end;
    while (begin < stop && *begin == ' ')
        begin++;
    if (stop - begin > 3 && begin[0] >= '0' && begin[0] <= '9' && begin[1] == ':')
        begin += 3;
    *ret_length =
        strncmp(begin, "Caused by:", (size_t)(stop - begin)) == 0 ? 0 : (size_t)(stop - begin);
    return begin;
}

void module_why(wasmtime_error_t *e, char why[WHY_BYTES])
{
    wasm_byte_vec_t text = {0};
    size_t filled = 0, n;
    wasmtime_error_message(e, &text);
    const char *at = text.data, *end = text.data + text.size;
    while (at < end && filled + 3 < WHY_BYTES) {
        const char *line = line_of(&at, end, &n);
        if (n == 0)
            continue;
        if (filled > 0)
            filled += (size_t)snprintf(why + filled, WHY_BYTES - filled, ": ");
        if (n >= WHY_BYTES - filled)
            n = cut(line, WHY_BYTES - 1 - filled);
        memcpy(why + filled, line, n);
        filled += n;
    }
    why[filled] = 0;
    wasm_byte_vec_delete(&text);
    wasmtime_error_delete(e);
}

bool module_boot(struct module *m, char why[WHY_BYTES])
{
    wasm_config_t *c = wasm_config_new();
    wasmtime_config_max_wasm_stack_set(c, STACK_BYTES);
    *m = (struct module){.engine = wasm_engine_new_with_config(c)};
    if (!m->engine) {
        snprintf(why, WHY_BYTES, "the engine does not start");
        return false;
    }
    m->linker = wasmtime_linker_new(m->engine);
    wasmtime_error_t *e = wasmtime_linker_define_wasi(m->linker);
    if (e)
        module_why(e, why);
    return !e;
}

bool module_load(struct module *m, const void *bytes, size_t size, char why[WHY_BYTES])
{
    wasmtime_error_t *e = wasmtime_module_new(m->engine, bytes, size, &m->code);
    if (!e)
        e = wasmtime_linker_instantiate_pre(m->linker, m->code, &m->pre);
    if (!e)
        return true;
    module_why(e, why);
    module_unload(m);
    return false;
}

void module_unload(struct module *m)
{
    if (m->pre)
        wasmtime_instance_pre_delete(m->pre);
    if (m->code)
        wasmtime_module_delete(m->code);
    m->pre = NULL;
    m->code = NULL;
}
