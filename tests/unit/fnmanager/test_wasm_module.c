/* The check of uploaded WebAssembly: modules are put together here, byte by byte, and spoilt one way each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "fnmanager/storage/wasm_module.h"

#define HEAD "\0asm\1\0\0\0"
#define TYPES "\1\4\1\x60\0\0"
#define IMPORT_WASI "\2\x24\1\x16wasi_snapshot_preview1\x09proc_exit\0\0"
#define IMPORT_ENV "\2\x0c\1\3env\4gr\nw\0\0"
#define IMPORT_MEMORY "\2\x21\1\x16wasi_snapshot_preview1\6memory\2\0"
#define START "\7\x0a\1\6_start\0\0"
#define START_IS_MEMORY "\7\x0a\1\6_start\2\0"
#define OTHER "\7\x08\1\4main\0\0"
#define CUSTOM "\0\5\4name"

#define BYTES(s)                                                                                   \
    {                                                                                              \
        s, sizeof(s) - 1                                                                           \
    }

static const struct {
    struct nr_str bytes;
    const char *error; /* how it begins; NULL: accepted */
} cases[] = {
    {BYTES(HEAD START), NULL},
    {BYTES(HEAD CUSTOM TYPES IMPORT_WASI START), NULL},
    {BYTES(HEAD TYPES IMPORT_WASI OTHER START CUSTOM), NULL},
    {BYTES(""),
     "The code is no WebAssembly module: the kind 'wasm:1' takes one .wasm file, as base64."},
    {BYTES("\0asm"), "The WebAssembly module is damaged: its version is not 1."},
    {BYTES("\0asm\2\0\0\0"), "The WebAssembly module is damaged: its version is not 1."},
    {BYTES("\0asm\r\0\1\0"), "The code is a WebAssembly component;"},
    {BYTES("(module)"),
     "The code is no WebAssembly module: the kind 'wasm:1' takes one .wasm file, as base64. This is its text form"},
    {BYTES("PK\3\4...."),
     "The code is no WebAssembly module: the kind 'wasm:1' takes one .wasm file, as base64. This is an archive"},
    {BYTES("\177ELF...."),
     "The code is no WebAssembly module: the kind 'wasm:1' takes one .wasm file, as base64. This is a program"},
    {BYTES(HEAD), "The WebAssembly module exports no function '_start'"},
    {BYTES(HEAD OTHER), "The WebAssembly module exports no function '_start'"},
    {BYTES(HEAD START_IS_MEMORY), "The WebAssembly module exports no function '_start'"},
    {BYTES(HEAD TYPES IMPORT_ENV START), "The WebAssembly module imports 'gr?w' from 'env': only"},
    {BYTES(HEAD TYPES IMPORT_MEMORY START),
     "The WebAssembly module imports 'memory' from 'wasi_snapshot_preview1': only"},
    {BYTES(HEAD "\7\x0b\1\6_start\0\0"),
     "The WebAssembly module is damaged: a section reaches beyond its end."},
    {BYTES(HEAD "\7"), "The WebAssembly module is damaged: a section reaches beyond its end."},
    {BYTES(HEAD "\7\xff\xff\xff\xff\x0f"),
     "The WebAssembly module is damaged: a section reaches beyond its end."},
    {BYTES(HEAD "\7\xff\xff\xff\xff\x1f"),
     "The WebAssembly module is damaged: a section reaches beyond its end."},
    {BYTES(HEAD "\7\2\xff\x7f" START),
     "The WebAssembly module is damaged: its list of exports ends too early."},
    {BYTES(HEAD "\2\3\1\x7f\0" START),
     "The WebAssembly module is damaged: its list of imports ends too early."},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < nr_countof(cases); i++) {
        struct nr_err err = {0};
        int r = wasm_module_check(cases[i].bytes, &err);

        if (cases[i].error == NULL) {
            assert_string_equal(err.text, "");
            assert_int_equal(r, 0);
        } else {
            assert_int_equal(r, NR_EINVAL);
            assert_memory_equal(err.text, cases[i].error, strlen(cases[i].error));
        }
    }
}

/* Whatever is missing at the end, it is told and nothing is read behind it: each piece lies in memory of just its size. */
static void test_every_piece_of_a_module(void **state)
{
    static const char whole[] = HEAD TYPES IMPORT_WASI START;
    unsigned accepted = 0;

    (void)state;
    for (size_t n = 0; n < sizeof(whole); n++) {
        struct nr_err err = {0};
        nr_auto_free char *piece = nr_alloc(n > 0 ? n : 1);

        memcpy(piece, whole, n);
        accepted += wasm_module_check((struct nr_str){piece, n}, &err) == 0;
    }
    assert_int_equal(accepted, 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_every_piece_of_a_module),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
