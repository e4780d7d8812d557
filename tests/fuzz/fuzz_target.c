/* References to functions, as components of sequences, actions of rules and routes name them, on any bytes.
 *
 * What must hold: a refusal has a sentence; what is accepted has names that obey the rule of names, needs no escape in JSON, and reads
 * back as itself from what is written of it.
 */
#include "fuzz.h"

#include <string.h>

#include "common/base/json.h"
#include "common/base/mem.h"
#include "ports/target.h"

static void check_names(const struct function_target *t)
{
    nr_check(entity_name_check(nr_str_of(t->account), NULL) == 0);
    nr_check(entity_name_check(nr_str_of(t->name), NULL) == 0);
    nr_check(t->package[0] == '\0' || entity_name_check(nr_str_of(t->package), NULL) == 0);
    nr_check(t->alias[0] == '\0' || entity_name_check(nr_str_of(t->alias), NULL) == 0);
    nr_check(t->number >= 0 && (t->number == 0 || t->alias[0] == '\0'));
    nr_check(strcmp(t->package, "default") != 0);
}

/* Between quotes it is a JSON string. */
static void check_quoted(struct nr_str written)
{
    struct nr_buf json;

    nr_buf_init(&json, 8192);
    nr_buf_addc(&json, '"');
    nr_buf_add(&json, written.p, written.n);
    nr_buf_addc(&json, '"');
    nr_check(!json.failed && nr_json_scan(nr_buf_str(&json)) == NR_JSON_STRING);
    nr_check(memchr(written.p, '\\', written.n) == NULL);
    nr_buf_fini(&json);
}

static void check_again(const struct function_target *t, struct nr_str written)
{
    struct function_target again;

    nr_check(function_target_read(written, "other", &again, NULL) == 0);
    nr_check(strcmp(again.account, t->account) == 0 && strcmp(again.package, t->package) == 0);
    nr_check(strcmp(again.name, t->name) == 0 && strcmp(again.alias, t->alias) == 0);
    nr_check(again.number == t->number);
    function_target_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct nr_str text = {(const char *)bytes, n};
    struct function_target t;
    struct nr_err err = {0};
    struct nr_buf written;
    int r = function_target_read(text, "me", &t, &err);

    nr_check((r == 0) == (err.code == 0) && (r == 0) == (err.text[0] == '\0'));
    if (r < 0)
        return 0;
    nr_buf_init(&written, 4096);
    function_target_write(&t, &written);
    nr_check(!written.failed);
    check_names(&t);
    check_quoted(nr_buf_str(&written));
    check_again(&t, nr_buf_str(&written));
    nr_buf_fini(&written);
    function_target_fini(&t);
    return 0;
}
