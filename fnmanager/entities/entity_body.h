/* What the bodies of all entities (actions, packages, triggers, rules) have in common, as they are read, stored and shown: parameters,
 * annotations, version, publish. Knows nothing of what is stored. Pure but for memory; any thread.
 *
 * Refusals are the API's own sentences. A body is never built before it is known how much memory its values need.
 */
#ifndef NR_FNMANAGER_ENTITY_BODY_H
#define NR_FNMANAGER_ENTITY_BODY_H

#include "common/base/buf.h"
#include "common/base/json.h"
#include "fnmanager/registry/metadata.h"

/* Ceiling of parameters, and of annotations: the sum of their keys and of the JSON texts of their values. */
#define BODY_FIELD_MAX_BYTES (1ll << 20)
/* Of a body (of an action: without the text of its code): two full fields, each character of them with an escape, and some white space. */
#define BODY_REST_MAX_BYTES (8ll << 20)
/* Of the memory that its values need: two full fields of pairs of numbers have room. */
#define BODY_BUILT_MAX_BYTES (96ll << 20)

/* Members are lent by `doc`. */
struct entity_body {
    json_t *doc;                      /* made */
    json_t *parameters, *annotations; /* arrays of {"key","value"}; NULL: not given */
    const char *version;              /* NULL: not given */
    int publish;                      /* -1: not given */
};

/* Reads a body that must be an object, and its common members; others are ignored, the caller reads those that he knows out of ret->doc.
 * `text` is lent for the call. NR_EINVAL or NR_ETOOBIG with the exact text of the API. entity_body_fini() in any case. */
int entity_body_parse(struct nr_str text, struct entity_body *ret, struct nr_err *err);
void entity_body_fini(struct entity_body *b);
/* The common members of `doc` (lent, kept by *ret's members) into *ret, whose own doc stays NULL. */
int entity_body_common(const json_t *doc, struct entity_body *ret, struct nr_err *err);

/* "The request content was malformed:\n" and `detail`; NR_EINVAL. */
int entity_malformed(struct nr_err *err, const char *detail);
/* 0, or NR_ETOOBIG "<field> larger than allowed: <is> > <allowed> bytes." */
int entity_fit(const char *field, int64_t is_bytes, int64_t allowed_bytes, struct nr_err *err);
/* Any JSON value (made) of any size, for a text whose values are few. */
int entity_parse(struct nr_str text, json_t **ret, struct nr_err *err);
/* Any JSON value (made) within the ceilings; `what` names the text in the sentence of a refusal ("Request"). */
int entity_json(struct nr_str text, const char *what, json_t **ret, struct nr_err *err);

/* A member that is there and not null, lent; *ret NULL else. NR_EINVAL "'<key>' must be <expected>" when it is of another type. */
int entity_member(const json_t *object, const char *key, json_type type, const char *expected,
                  json_t **ret, struct nr_err *err);
/* The same for a text without a NUL; *ret is left alone when there is none. */
int entity_string(const json_t *object, const char *key, const char **ret, struct nr_err *err);
/* The same for an array of {"key": text, "value": anything} within BODY_FIELD_MAX_BYTES. */
int entity_key_values(const json_t *doc, const char *field, json_t **ret, struct nr_err *err);
/* How a parameter says that its value is sealed (sealed.h). */
#define ENTITY_ENCRYPTION "aes-256"
/* Is it an element of parameters with such a value? */
bool entity_is_sealed(const json_t *element);
/* Size of an array of {key, value} as the ceiling counts it: sealed values as they are when they are open, for who reads them may send them again. */
int64_t entity_field_bytes(const json_t *array);
/* The value of a key in an array of {key, value}, lent; the last one wins; NULL: there is none. */
json_t *entity_value(const json_t *array, const char *key);

/* A cleaned copy (made) of an array of {key, value} in which each key stands once, with its last value; `with_init`: a true "init" is kept
 * beside them. What tells of a seal is kept too. NULL without memory. */
json_t *entity_unique(const json_t *array, bool with_init);
/* The text (made) that a replaced field is stored as: the cleaned copy of `given`, or `old` (lent; NULL: "[]") when none is given. */
int entity_field_text(const json_t *given, bool with_init, const char *old, char **ret,
                      struct nr_err *err);
/* The version (made) after a change: as given, else `old` (NULL: create) with its last number one higher. */
char *entity_version(const struct entity_body *b, const char *old);
/* The publish after a change: as given, else the old one. */
bool entity_publish(const struct entity_body *b, bool old);

/* What every entity shows; texts lent. */
struct entity_common {
    struct nr_str account, package, name, version; /* package n == 0: none */
    bool publish;
    struct nr_str annotations; /* JSON array text */
    int64_t updated_ms;
};
/* The JSON string "ns", or "ns/pkg" of what is in a package. */
void entity_write_namespace(struct nr_str account, struct nr_str package, struct nr_buf *out);
/* Adds {"namespace":..,"name":..,"version":..,"publish":..,"updated":..,"annotations":.. to out (lent); the object stays open. */
void entity_write_common(const struct entity_common *c, struct nr_buf *out);

#endif
