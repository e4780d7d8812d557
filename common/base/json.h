/* JSON over jansson with ceilings (depth 64, numbers that fit, sizes by the caller), and a scanner that checks a text without
 * building it: the warm path passes an input on as bytes. Any thread; a json_t belongs to one thread at a time.
 */
#ifndef NR_COMMON_BASE_JSON_H
#define NR_COMMON_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/str.h"

#define NR_JSON_DEPTH_MAX 64

/* Parses any JSON value; duplicates: last wins. Real numbers stay reals, integers integers (beyond 64 bits, or a real beyond
 * double: NR_EINVAL). \u0000 is allowed in strings (json_string_length), not in keys; half a surrogate pair is NR_EINVAL.
 * Returns a value (made) or NULL with a sentence that holds line and column. */
json_t *nr_json_parse(struct nr_str text, struct nr_err *err);
static inline void nr_json_cleanup(json_t **j)
{
    json_decref(*j);
}
#define nr_auto_json __attribute__((cleanup(nr_json_cleanup)))

/* What a whole text is, by its first byte after white space; NR_JSON_BAD when the text is not valid JSON (RFC 8259, UTF-8,
 * depth <= 64, nothing behind it). Allocates nothing; about 1 ns a byte. */
enum nr_json_kind {
    NR_JSON_BAD,
    NR_JSON_OBJECT,
    NR_JSON_ARRAY,
    NR_JSON_STRING,
    NR_JSON_NUMBER,
    NR_JSON_TRUE,
    NR_JSON_FALSE,
    NR_JSON_NULL
};
enum nr_json_kind nr_json_scan(struct nr_str text);
/* As nr_json_scan; for an object also finds the raw text of the value of a top-level key (last one wins; absent: {NULL, 0}).
 * An escaped key is compared after decoding when it holds a backslash. */
enum nr_json_kind nr_json_scan_key(struct nr_str text, const char *key, struct nr_str *ret_value);

/* As nr_json_scan; for a bad text also the offset of the first byte that cannot be, and a phrase (lent by the program). */
enum nr_json_kind nr_json_scan_why(struct nr_str text, size_t *ret_at, const char **ret_why);

/* What the values of a text need of memory, at most, while nr_json_parse() builds them: many small ones need a hundred times their text.
 * 0 when the text is bad. As quick as nr_json_scan, and allocates nothing. */
size_t nr_json_built_bytes(struct nr_str text);

/* Compact text (made, NUL-terminated) of a value; NULL without memory. Reals with 15 to 17 digits, the
 * fewest that read back the same. */
char *nr_json_text(const json_t *j, size_t *ret_n);

/* The text between the braces of an object that was scanned, without white space around it, so that objects can be joined; {p, 0} when it is
 * empty. */
struct nr_str nr_json_members(struct nr_str object);

/* Object member by name and type, or NULL (absent or another type). */
json_t *nr_json_object(const json_t *j, const char *key);
const char *nr_json_string(const json_t *j, const char *key);

#endif
