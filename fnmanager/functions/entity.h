/* Entities as the API shows them: names, and the JSON of an action. Pure; any thread.
 */
#ifndef NR_FNMANAGER_ENTITY_H
#define NR_FNMANAGER_ENTITY_H

#include "fnmanager/registry/metadata.h"

/* What a list shows of an action; lent texts. */
struct entity_item {
    struct nr_str account, package, name, version;
    bool publish, binary;
    struct nr_str annotations; /* JSON array text */
    struct fn_limits limits;
    int64_t updated_ms;
    enum function_state state;
    int64_t newest; /* the newest version that was published; 0: none */
};

/* Annotations that are shown and never stored: a client that writes back what it has read changes nothing by them. */
#define ENTITY_STATE "narae.state"
#define ENTITY_PUBLISHED "narae.published"

/* One element of a list of actions. */
void entity_write_item(const struct entity_item *item, struct nr_buf *out);
/* {"timeout":..,"memory":..,"logs":..,"concurrency":..[,"instances":..]} */
void entity_write_limits(const struct fn_limits *l, struct nr_buf *out);

/* The whole action: entity_write_head(), then the code's JSON string when it is shown, then entity_write_tail(). */
void entity_write_head(struct fn_key key, const struct fn_row *row, bool with_code,
                       struct nr_buf *out);
void entity_write_tail(struct nr_buf *out);

#endif
