/* The arithmetic of energy.h. */
#include "invoker/energy.h"

const char *energy_part_name(enum energy_part p)
{
    static const char *const names[ENERGY_PARTS] = {
        [ENERGY_FUNCTIONS] = "functions", [ENERGY_OTHERS] = "others", [ENERGY_IDLE] = "idle"};

    return names[p];
}

void energy_share(const struct energy_model *m, const struct energy_step *s,
                  double ret_joules[ENERGY_PARTS], double *ret_per_second)
{
    /* Both are counted by the kernel, but not at the same moment. */
    double busy = s->busy_seconds > s->function_seconds ? s->busy_seconds : s->function_seconds;
    double idle = m->idle_watts * s->seconds, all = idle + m->core_watts * busy;

    if (s->measured_joules >= 0)
        all = s->measured_joules;
    if (idle > all)
        idle = all;
    *ret_per_second = busy > 0 ? (all - idle) / busy : 0;
    if (busy <= 0)
        idle = all;
    ret_joules[ENERGY_FUNCTIONS] = *ret_per_second * s->function_seconds;
    ret_joules[ENERGY_IDLE] = idle;
    ret_joules[ENERGY_OTHERS] = all - idle - ret_joules[ENERGY_FUNCTIONS];
    if (ret_joules[ENERGY_OTHERS] < 0) /* rounding */
        ret_joules[ENERGY_OTHERS] = 0;
}
