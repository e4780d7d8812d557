/* Reading a JSON text in place, once nr_json_scan() has found it good: its members and items one by one, its strings decoded, its
 * layout changed. Nothing is built and, but for what is written, nothing is allocated. Any thread.
 */
#ifndef NR_COMMON_BASE_JSON_WALK_H
#define NR_COMMON_BASE_JSON_WALK_H

#include "common/base/buf.h"
#include "common/base/json.h"

/* Where a walk is; fields are private. */
struct nr_json_walk {
    const char *p, *end;
    bool object;
};

/* Both lent by the text. */
struct nr_json_member {
    struct nr_str key; /* between its quotes, as it was written; {NULL, 0} in an array */
    struct nr_str value;
};

/* Begins at the first member of an object, or the first item of an array; any other value has none. */
void nr_json_walk_begin(struct nr_json_walk *w, struct nr_str text);
/* False at the end. */
bool nr_json_walk_next(struct nr_json_walk *w, struct nr_json_member *ret);

/* What a value is, by its first byte. */
enum nr_json_kind nr_json_kind_of(struct nr_str value);
/* A string without its quotes, still escaped. */
struct nr_str nr_json_unquoted(struct nr_str value);
/* Decodes the escapes of an unquoted string into out (lent, at least raw.n bytes); returns the length. */
size_t nr_json_decode(struct nr_str raw, char *out);

/* Adds the text without white space between its words; with `pretty` an object's members stand on lines of their own, two spaces deeper. */
void nr_json_layout(struct nr_buf *out, struct nr_str text, bool pretty);

/* Of p (behind a backslash) up to end: the character that the escape means, and what follows it; NULL: no such escape, or half a
 * surrogate pair. */
const char *nr_json_unescape(const char *p, const char *end, uint32_t *ret_char);

#endif
