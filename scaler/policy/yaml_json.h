/* YAML as JSON values: what people's tools write, and no more: texts, numbers, true, false, null, lists, maps with texts as keys. Any thread; blocking on
 * nothing.
 */
#ifndef NR_SCALER_POLICY_YAML_JSON_H
#define NR_SCALER_POLICY_YAML_JSON_H

#include <jansson.h>

#include "common/base/err.h"
#include "common/base/str.h"

enum {
    YAML_DEPTH_MAX = 32,
    YAML_NODES_MAX = 10000,
    YAML_ANCHORS_MAX = 32,
    YAML_DOCUMENTS_MAX = 32
};

/* The documents of a text, in a list (made). NR_EINVAL with a sentence that holds the line: it is no YAML, or goes beyond a ceiling; what an alias
 * stands for counts as often as it is used. */
int yaml_read(struct nr_str text, json_t **ret, struct nr_err *err);

#endif
