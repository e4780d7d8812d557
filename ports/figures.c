/* Figures of one function from several places, put together. */
#include "ports/figures.h"

void container_figures_add(struct container_figures *to, const struct container_figures *c)
{
    to->ready += c->ready;
    to->busy += c->busy;
    to->starting += c->starting;
    to->waiting += c->waiting;
    to->oldest_us = c->oldest_us > to->oldest_us ? c->oldest_us : to->oldest_us;
    to->instance_mb = c->instance_mb > to->instance_mb ? c->instance_mb : to->instance_mb;
    to->instances_max = c->instances_max > to->instances_max ? c->instances_max : to->instances_max;
    to->looked = to->looked || c->looked;
    to->cpu_percent += c->cpu_percent;
    to->memory_mb += c->memory_mb;
    if (c->memory_percent > to->memory_percent)
        to->memory_percent = c->memory_percent;
    to->joules += c->joules;
    to->cpu_seconds += c->cpu_seconds;
}
