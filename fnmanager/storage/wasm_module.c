/* A module is eight bytes and then sections: a number, a length, the content. Two of them are read: what it imports must be of WASI
 * preview 1, for nothing else is there, and it must export the function _start, for that is what a call runs.
 *
 * Every length comes from the client: a reader never goes beyond its piece, and fails for good at the first that would.
 */
#include "fnmanager/storage/wasm_module.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define WASI "wasi_snapshot_preview1"
#define NAME_SHOWN 64

enum { SECTION_IMPORT = 2, SECTION_EXPORT = 7, KIND_FUNCTION = 0 };

struct reader {
    const unsigned char *p, *end;
    bool failed;
};

static unsigned read_byte(struct reader *r)
{
    if (r->p == r->end) {
        r->failed = true;
        return 0;
    }
    return *r->p++;
}

/* An unsigned number of up to 32 bits, seven in a byte. */
static uint32_t read_number(struct reader *r)
{
    uint32_t n = 0;

    for (unsigned shift = 0; shift < 35; shift += 7) {
        unsigned b = read_byte(r);
        if (shift == 28 && b > 0x0f)
            break;
        n |= (uint32_t)(b & 0x7f) << shift;
        if ((b & 0x80) == 0)
            return n;
    }
    r->failed = true;
    return 0;
}

/* The next n bytes, as a reader of their own. */
static struct reader read_piece(struct reader *r, uint32_t n)
{
    struct reader piece = {r->p, r->p, true};

    if (r->failed || n > (size_t)(r->end - r->p)) {
        r->failed = true;
        return piece;
    }
    r->p += n;
    piece.end = r->p;
    piece.failed = false;
    return piece;
}

static struct reader read_name(struct reader *r)
{
    return read_piece(r, read_number(r));
}

static bool is_text(const struct reader *name, const char *text)
{
    size_t n = strlen(text);
    return !name->failed && (size_t)(name->end - name->p) == n && memcmp(name->p, text, n) == 0;
}

/* A name for a sentence: what is no plain character of it becomes '?'. */
static const char *shown(const struct reader *name, char out[NAME_SHOWN + 1])
{
    size_t n = 0;

    for (const unsigned char *p = name->p; p < name->end && n < NAME_SHOWN; p++)
        out[n++] = *p > ' ' && *p < 0x7f && *p != '\'' ? (char)*p : '?';
    out[n] = '\0';
    return out;
}

static int damaged(const char *what, struct nr_err *err)
{
    return nr_err_set(err, NR_EINVAL, "The WebAssembly module is damaged: %s.", what);
}

static int check_imports(struct reader *r, struct nr_err *err)
{
    char from[NAME_SHOWN + 1], what[NAME_SHOWN + 1];
    uint32_t count = read_number(r);

    for (uint32_t i = 0; i < count && !r->failed; i++) {
        struct reader module = read_name(r), name = read_name(r);
        unsigned kind = read_byte(r);
        if (r->failed)
            break;
        if (!is_text(&module, WASI) || kind != KIND_FUNCTION)
            return nr_err_set(
                err, NR_EINVAL,
                "The WebAssembly module imports '%s' from '%s': only the functions of "
                "'" WASI "' are there to be imported.",
                shown(&name, what), shown(&module, from));
        (void)read_number(r); /* its type */
    }
    return r->failed ? damaged("its list of imports ends too early", err) : 0;
}

static int find_start(struct reader *r, bool *ret_found, struct nr_err *err)
{
    uint32_t count = read_number(r);

    for (uint32_t i = 0; i < count && !r->failed; i++) {
        struct reader name = read_name(r);
        unsigned kind = read_byte(r);
        (void)read_number(r); /* which one */
        if (is_text(&name, "_start") && kind == KIND_FUNCTION)
            *ret_found = true;
    }
    return r->failed ? damaged("its list of exports ends too early", err) : 0;
}

static int check_head(struct nr_str bytes, struct nr_err *err)
{
    static const char module[] = "\0asm\1\0\0", component[] = "\0asm\r\0\1";
    const char *but = "";

    if (bytes.n >= 8 && memcmp(bytes.p, module, 8) == 0)
        return 0;
    if (bytes.n >= 8 && memcmp(bytes.p, component, 8) == 0)
        return nr_err_set(
            err, NR_EINVAL,
            "The code is a WebAssembly component; the kind 'wasm:1' runs core modules "
            "that use WASI preview 1.");
    if (bytes.n >= 4 && memcmp(bytes.p, module, 4) == 0)
        return damaged("its version is not 1", err);
    if (bytes.n >= 7 && memcmp(bytes.p, "(module", 7) == 0)
        but = " This is its text form: wat2wasm makes the module of it.";
    else if (bytes.n >= 4 && memcmp(bytes.p, "PK\3\4", 4) == 0)
        but = " This is an archive: only the .wasm file in it is wanted.";
    else if (bytes.n >= 4 && memcmp(bytes.p, "\177ELF", 4) == 0)
        but =
            " This is a program for a processor: build it for wasm32-wasi, or deploy it as a native "
            "function.";
    return nr_err_set(
        err, NR_EINVAL,
        "The code is no WebAssembly module: the kind 'wasm:1' takes one .wasm file, as "
        "base64.%s",
        but);
}

int wasm_module_check(struct nr_str bytes, struct nr_err *err)
{
    struct reader r = {(const unsigned char *)bytes.p, NULL, false};
    bool start = false;
    int e = check_head(bytes, err);

    if (e < 0)
        return e;
    r.end = r.p + bytes.n;
    r.p += 8;
    while (e == 0 && r.p < r.end) {
        unsigned id = read_byte(&r);
        struct reader section = read_piece(&r, read_number(&r));
        if (r.failed)
            return damaged("a section reaches beyond its end", err);
        if (id == SECTION_IMPORT)
            e = check_imports(&section, err);
        else if (id == SECTION_EXPORT)
            e = find_start(&section, &start, err);
    }
    if (e == 0 && !start)
        e = nr_err_set(err, NR_EINVAL,
                       "The WebAssembly module exports no function '_start': a call has nothing to "
                       "run. Build a command, that is a program with main(), not a library.");
    return e;
}
