/* Whom a message of the bus is about, and whether a stream of events is told of it. Pure; any thread.
 */
#ifndef NR_GATEWAY_EVENT_ABOUT_H
#define NR_GATEWAY_EVENT_ABOUT_H

#include <stdbool.h>

#include "common/base/str.h"

/* Texts as they were written, escapes and all; {NULL, 0}: it names none. */
struct event_about {
    struct nr_str account, function;
};

/* Reads it, once for all streams: the cost of a message must not grow with who listens. A decision says in "target" whom it is about, a sample and an
 * event say it themselves. ret's texts are lent by the message. False: it is no JSON object. */
bool event_about_read(struct nr_str message, bool decision, struct event_about *ret);
/* Is a stream told? account (lent): whose it is, NULL: it hears of all; function (lent): of this one only, n 0: of any. */
bool event_about_fits(const struct event_about *a, const char *account, struct nr_str function);

#endif
