/* Times that come again: five fields of cron in a time zone, with daylight saving as people mean it. Pure but for the zone's file, which is read
 * once when the timetable is made.
 *
 * minute hour day-of-month month day-of-week; lists, ranges, steps, names of months and days; both days given: either fits, as cron does. A time that
 * the clock jumps over is taken at the moment of the jump; one that it shows twice is taken the first time.
 */
#ifndef NR_SCALER_POLICY_TIMETABLE_H
#define NR_SCALER_POLICY_TIMETABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"

struct timetable;

/* zone (lent): "Europe/Berlin", "UTC", "+09:00"; NULL: UTC. NR_EINVAL with a sentence that names the field, or the zone and the nearest one. */
int timetable_make(const char *cron, const char *zone, struct timetable **ret, struct nr_err *err);
void timetable_free(struct timetable *t);
/* The last time at or before now_ms (wall clock, ms), and the next one after it; INT64_MIN, INT64_MAX: none within five years. */
int64_t timetable_last(const struct timetable *t, int64_t now_ms);
int64_t timetable_next(const struct timetable *t, int64_t now_ms);

#endif
