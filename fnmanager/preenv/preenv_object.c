/* A run as an object: made, freed, its sizes and states as words. */
#include <stdio.h>

#include "common/base/mem.h"
#include "fnmanager/preenv/preenv_analyzer.h"

const char *preenv_state_text(enum preenv_state s)
{
    static const char *const states[] = {"running", "done", "failed", "cancelled"};

    _Static_assert(nr_countof(states) == PREENV_STATES, "one name per state");
    return states[s];
}

struct preenv_run *preenv_run_make(void)
{
    struct preenv_run *r = nr_alloc(sizeof(*r));

    r->configs = nr_alloc((PREENV_GRID_MAX + 1) * sizeof(*r->configs));
    r->events = nr_alloc(PREENV_EVENTS_MAX * sizeof(*r->events));
    return r;
}

void preenv_run_free(struct preenv_run *r)
{
    if (r == NULL)
        return;
    char *const texts[] = {r->account, r->package,          r->name,   r->key_uuid,
                           r->place,   r->function_version, r->sha256, (char *)r->events};

    for (unsigned i = 0; i < r->config_count; i++)
        preenv_series_fini(&r->configs[i].series);
    for (size_t i = 0; i < nr_countof(texts); i++)
        free(texts[i]);
    preenv_request_fini(&r->request);
    free(r->configs);
    free(r);
}

int64_t preenv_size(const struct preenv_run *r, const struct preenv_config *c)
{
    return r->request.cpu ? c->cpus_milli : c->memory_mb;
}

const char *preenv_size_text(bool cpu, int64_t size, char text[32])
{
    if (cpu)
        (void)snprintf(text, 32, "%.3g cores", (double)size / 1000);
    else
        (void)snprintf(text, 32, "%lld MB", (long long)size);
    return text;
}
