/* The check of uploaded WebAssembly on any bytes.
 *
 * What must hold: a refusal has a sentence of printable characters (it may quote names out of the module); what is accepted begins as a
 * module does and has the name of its entry somewhere.
 */
#include "common/base/mem.h"
#include "fnmanager/storage/wasm_module.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct nr_err err = {0};
    int r = wasm_module_check((struct nr_str){(const char *)bytes, n}, &err);

    nr_check((r == 0) == (err.text[0] == '\0') && r == err.code);
    for (const char *p = err.text; *p != '\0'; p++)
        nr_check(*p >= ' ' && *p < 0x7f);
    if (r == 0)
        nr_check(n > 8 && memcmp(bytes, "\0asm", 4) == 0 && memmem(bytes, n, "_start", 6) != NULL);
    return 0;
}
