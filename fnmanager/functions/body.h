/* The body of a PUT of an action, parsed and judged by itself: types, sizes, kinds, names. Knows nothing of what is stored.
 * Pure but for memory; any thread.
 */
#ifndef NR_FNMANAGER_BODY_H
#define NR_FNMANAGER_BODY_H

#include "fnmanager/entities/entity_body.h"
#include "ports/fnmanager.h"

/* Members are lent by `doc`, `code_doc` or the text that was parsed. */
struct action_body {
    json_t *doc, *code_doc;
    bool has_exec, has_code;
    const char *kind;         /* resolved; with has_exec */
    const char *extension;    /* of a single source file; NULL: the kind runs executables */
    const char *image, *main; /* "" when none */
    char *components;         /* made: of a sequence, as the row has them; else NULL */
    struct nr_str code;
    json_t *parameters, *annotations, *del_annotations; /* NULL: not given */
    struct fn_limits limits;                            /* -1: not given */
    const char *version;                                /* NULL: not given */
    int publish;                                        /* -1: not given */
};

/* What depends on the machine and the account. */
struct body_ranges {
    int64_t memory_max_mb;
    int64_t instances_max; /* the account's concurrency */
    struct nr_str account; /* lent: whose functions "_" and plain names in references are */
};

/* `text` is lent and must outlive *ret. NR_EINVAL or NR_ETOOBIG with the exact text of the API. action_body_fini() in any case. */
int action_body_parse(struct nr_str text, const struct runtime_kind *kinds,
                      const struct body_ranges *ranges, struct action_body *ret,
                      struct nr_err *err);
void action_body_fini(struct action_body *b);

extern const struct fn_limits body_limits_preset;

#endif
