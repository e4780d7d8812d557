/* The JSON scanner, the key finder, the parser and the writer on any bytes.
 *
 * What must hold: the scanner and jansson agree on what a text is, but for what is written at judge(); a value that was found lies
 * inside the text and is a value itself; a text that was written reads back as the same value.
 */
#include "common/base/err.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "fuzz.h"

/* jansson reads over a NUL behind a number, knows no keys with NUL, has another depth, and refuses numbers that fit no type. */
static void judge(struct nr_str text, enum nr_json_kind kind)
{
    json_error_t e;
    nr_auto_json json_t *j = json_loadb(text.p, text.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
    size_t at;
    const char *why = "";

    if (kind != NR_JSON_BAD && j == NULL)
        nr_check(json_error_code(&e) == json_error_numeric_overflow ||
                 json_error_code(&e) == json_error_null_byte_in_key);
    if (kind == NR_JSON_BAD && j != NULL) {
        nr_check(nr_json_scan_why(text, &at, &why) == NR_JSON_BAD);
        nr_check(strstr(why, "deeper") || memchr(text.p, '\0', text.n));
    }
}

static void find_key(struct nr_str text, enum nr_json_kind kind)
{
    struct nr_str value = {NULL, 0};

    nr_check(nr_json_scan_key(text, "a", &value) == kind);
    if (value.p == NULL)
        return;
    nr_check(value.p >= text.p && value.p + value.n <= text.p + text.n);
    nr_check(nr_json_scan(value) != NR_JSON_BAD);
}

static void round_trip(struct nr_str text, enum nr_json_kind kind)
{
    struct nr_err err = {0};
    nr_auto_json json_t *j = nr_json_parse(text, &err);
    size_t n = 0;

    nr_check((j == NULL) == (err.code != 0));
    nr_check(kind != NR_JSON_BAD || j == NULL);
    if (j == NULL)
        return;
    nr_auto_free char *written = nr_json_text(j, &n);
    nr_auto_json json_t *again = nr_json_parse((struct nr_str){written, n}, NULL);

    nr_check(again != NULL && json_equal(j, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct nr_str text = {(const char *)bytes, n};
    enum nr_json_kind kind = nr_json_scan(text);

    judge(text, kind);
    find_key(text, kind);
    round_trip(text, kind);
    return 0;
}
