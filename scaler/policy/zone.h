/* A time zone: which time the clocks of a place show, from the zone files of this host. Read once, then never changed; no global state, so several
 * zones are used at a time, on any thread.
 */
#ifndef NR_SCALER_POLICY_ZONE_H
#define NR_SCALER_POLICY_ZONE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

struct zone;

/* name (lent): "Europe/Berlin", "UTC", "+09:00"; NULL: UTC. Blocking: a file of at most 64 KiB. *ret: made. NR_EINVAL with a sentence that names the
 * zone, and the nearest one when there is one. */
int zone_open(const char *name, struct zone **ret, struct nr_err *err);
/* NULL is fine. */
void zone_free(struct zone *z);
/* The zone that somebody may have meant, into out (lent); "" when none is near. Looks through the host's zone files. */
void zone_nearest(const char *name, char *out, size_t out_bytes);

/* What the clocks there are ahead of UTC at a moment, in seconds. */
int64_t zone_offset_s(const struct zone *z, int64_t utc_s);
/* The moment at which the clocks there show a time (seconds since 1970 as if it were UTC): the first of two, and where they jump over it the moment of
 * the jump. Never falls when local_s rises. */
int64_t zone_to_utc_s(const struct zone *z, int64_t local_s);

/* For zone.c: the changes of a rule at the end of a zone file, such as "CET-1CEST,M3.5.0,M10.5.0/3". */
struct zone_change {
    int64_t at_s;     /* the moment */
    int64_t offset_s; /* from then on */
};
/* The two changes of a year in the order in which they come. False: the text is no rule, or one without daylight saving. */
bool zone_rule_year(const char *rule, int year, struct zone_change ret[2]);

#endif
