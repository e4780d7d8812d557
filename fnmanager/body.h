/* The body of a PUT of an action, parsed and judged by itself: types, sizes, kinds, names. Knows nothing of what is stored.
 * Pure but for memory; any thread.
 */
#ifndef NR_FNMANAGER_BODY_H
#define NR_FNMANAGER_BODY_H

#include "common/base/json.h"
#include "fnmanager/metadata.h"
#include "ports/fnmanager.h"

/* Ceiling of parameters, and of annotations: the sum of their keys and of the JSON texts of their values. */
#define BODY_FIELD_MAX_BYTES (1ll << 20)

/* Of the document without the text of the code: two full fields, each character of them with an escape, and some white space. */
#define BODY_REST_MAX_BYTES (8ll << 20)
/* Of the memory that its values need: two full fields of pairs of numbers have room. */
#define BODY_BUILT_MAX_BYTES (96ll << 20)

/* Members are lent by `doc`, `code_doc` or the text that was parsed. */
struct action_body {
    json_t *doc, *code_doc;
    bool has_exec, has_code;
    const char *kind;         /* resolved; with has_exec */
    const char *extension;    /* of a single source file; NULL: the kind runs executables */
    const char *image, *main; /* "" when none */
    struct nr_str code;
    json_t *parameters, *annotations, *del_annotations; /* NULL: not given */
    struct fn_limits limits;                            /* -1: not given */
    const char *version;                                /* NULL: not given */
    int publish;                                        /* -1: not given */
};

/* Ranges that depend on the machine and the account. */
struct body_ranges {
    int64_t memory_max_mb;
    int64_t instances_max; /* the account's concurrency */
};

/* `text` is lent and must outlive *ret. NR_EINVAL or NR_ETOOBIG with the exact text of the API. action_body_fini() in any case. */
int action_body_parse(struct nr_str text, const struct runtime_kind *kinds,
                      const struct body_ranges *ranges, struct action_body *ret,
                      struct nr_err *err);
void action_body_fini(struct action_body *b);

/* Size of an array of {key, value} as the ceiling counts it. */
int64_t body_field_bytes(const json_t *array);

extern const struct fn_limits body_limits_preset;

#endif
