/* What happened and is worth a line: the message of the topic `events`. One JSON object a message:
 *
 *   {"v":1,"t":1767603600000,"node":"box-1","event":"container_started","account":"acme","function":"p/parse","version":"0.0.3",
 *    "container":"ab12cd34","start":"cold","for":"call","cause":"first call","took_ms":120,"network_ms":10,"create_ms":40,"boot_ms":70}
 *
 * Its key is "account/" + function of a function, "node/" + the node's name else. event_table[] says which members an event has. Unknown events and members are
 * to be passed over.
 */
#ifndef NR_PORTS_EVENT_H
#define NR_PORTS_EVENT_H

#include <stdint.h>

#include "common/base/buf.h"

enum event_id {
    EVENT_FUNCTION_CHANGED,
    EVENT_CONTAINER_STARTED,
    EVENT_CONTAINER_START_FAILED,
    EVENT_INIT_AHEAD,
    EVENT_INIT_AHEAD_FAILED,
    EVENT_CONTAINER_ENDED,
    EVENT_OOM_KILLED,
    EVENT_THROTTLED,
    EVENT_NODE_FULL,
    EVENTS
};

enum { EVENT_MEMBERS_MAX = 9 };

/* A text or, without one, a number. */
struct event_value {
    const char *text; /* lent */
    int64_t number;
};

/* All lent. */
struct event {
    enum event_id id;
    const char *account, *package, *name,
        *version; /* NULL account: of the node; NULL version: not told */
    struct event_value member
        [EVENT_MEMBERS_MAX]; /* in the order of the table's row; "" and numbers below 0 are left out */
};

struct event_row {
    const char *name;
    const char *members[EVENT_MEMBERS_MAX];
    const char *help;
};
/* EVENTS rows. */
extern const struct event_row event_table[];

void event_write(const struct event *e, const char *node, int64_t t_ms, struct nr_buf *out);
void event_key(const struct event *e, const char *node, struct nr_buf *out);

#endif
