/* How much energy the host used in a stretch of time, and whose it was. Pure, but for the counters of the host (rapl_...), which block as long as the
 * kernel takes: not on the loop.
 *
 * Measured: the host's RAPL counters of its processor packages and their memory, where they can be read. Else by a model: `idle` watts for a host that
 * does nothing, and `core` watts more for each processor that works.
 * Of what was used, `idle` watts (all of it at most) are the host's own. The rest belongs to who used processor time, in proportion to it: functions
 * by the control groups of their containers, and everything else on the host together. So functions + others + idle is what the node used.
 */
#ifndef NR_INVOKER_ENERGY_H
#define NR_INVOKER_ENERGY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"

struct energy_model {
    double idle_watts, core_watts;
};

/* What is known of a stretch of time. */
struct energy_step {
    double seconds;
    double busy_seconds;     /* of all processors of the host */
    double function_seconds; /* of functions, by their control groups; part of the above */
    double measured_joules;  /* < 0: by the model */
};

enum energy_part { ENERGY_FUNCTIONS, ENERGY_OTHERS, ENERGY_IDLE, ENERGY_PARTS };
/* What a second of processor time costs is in *ret_per_second: a function's share is that times its own. */
void energy_share(const struct energy_model *m, const struct energy_step *s,
                  double ret_joules[ENERGY_PARTS], double *ret_per_second);
/* "functions", "others", "idle". */
const char *energy_part_name(enum energy_part p);

/* RAPL: /sys/class/powercap, zones package-N and their dram. */
enum { RAPL_ZONES_MAX = 32, RAPL_PATH_BYTES = 160 };
struct rapl {
    unsigned count;
    struct {
        char path[RAPL_PATH_BYTES];
        uint64_t before_uj, range_uj;
    } zone[RAPL_ZONES_MAX];
};
/* Finds what can be read below root (lent; "/sys/class/powercap"), and reads it. False: nothing. */
bool rapl_open(const char *root, struct rapl *ret);
/* Joules since the last time; a counter that wrapped is followed. < 0: they cannot be read any more. */
double rapl_read(struct rapl *r);

#endif
