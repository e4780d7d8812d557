/* Both lists are sorted by their keys and walked side by side: a function that only one of them knows has zeros for what the other would tell. */
#include "daemon/sample_rows.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

enum { TEXT_MAX_BYTES = 64 << 20, ROOM = 64 };

void sample_rows_init(struct sample_rows *r)
{
    *r = (struct sample_rows){0};
    nr_buf_init(&r->text, TEXT_MAX_BYTES);
}

void sample_rows_fini(struct sample_rows *r)
{
    nr_buf_fini(&r->text);
    free(r->calls);
    free(r->containers);
}

/* Room for one more row of `bytes`. */
static bool grow(void **rows, size_t *room, size_t count, size_t bytes)
{
    size_t more = *room ? 2 * *room : ROOM;

    if (count < *room)
        return true;
    void *p = nr_try_realloc(*rows, more * bytes);

    if (p == NULL)
        return false;
    *rows = p;
    *room = more;
    return true;
}

static bool add_key(struct sample_rows *r, struct nr_str key, size_t *ret_at)
{
    char *to = nr_buf_room(&r->text, key.n);

    if (to == NULL) {
        r->text.failed = false; /* what it holds is whole */
        return false;
    }
    *ret_at = r->text.n;
    memcpy(to, key.p, key.n);
    nr_buf_took(&r->text, key.n);
    return true;
}

bool sample_rows_add_calls(struct sample_rows *r, const struct call_figures *f)
{
    void *rows = r->calls;
    size_t at = 0;
    bool ok = grow(&rows, &r->call_room, r->call_count, sizeof(*r->calls));

    r->calls = rows;
    if (!ok || !add_key(r, f->key, &at)) {
        r->lost++;
        return false;
    }
    r->calls[r->call_count++] = (struct call_row){.figures = *f, .key_at = at};
    return true;
}

bool sample_rows_add_containers(struct sample_rows *r, const struct container_figures *f)
{
    void *rows = r->containers;
    size_t at = 0;
    bool ok = grow(&rows, &r->container_room, r->container_count, sizeof(*r->containers));

    r->containers = rows;
    if (!ok || !add_key(r, f->key, &at)) {
        r->lost++;
        return false;
    }
    r->containers[r->container_count++] = (struct container_row){.figures = *f, .key_at = at};
    return true;
}

static int compare(struct nr_str a, struct nr_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;

    return c ? c : (a.n > b.n) - (a.n < b.n);
}

static int by_call_key(const void *a, const void *b)
{
    return compare(((const struct call_row *)a)->figures.key,
                   ((const struct call_row *)b)->figures.key);
}

static int by_container_key(const void *a, const void *b)
{
    return compare(((const struct container_row *)a)->figures.key,
                   ((const struct container_row *)b)->figures.key);
}

static void sort(struct sample_rows *r)
{
    for (size_t i = 0; i < r->call_count; i++)
        r->calls[i].figures.key.p = r->text.p + r->calls[i].key_at;
    for (size_t i = 0; i < r->container_count; i++)
        r->containers[i].figures.key.p = r->text.p + r->containers[i].key_at;
    if (r->call_count)
        qsort(r->calls, r->call_count, sizeof(*r->calls), by_call_key);
    if (r->container_count)
        qsort(r->containers, r->container_count, sizeof(*r->containers), by_container_key);
}

static void tell(struct sample *s, enum metric_id id, double value)
{
    s->value[id] = value;
    s->has |= 1ull << id;
}

/* To so many parts of one: the further digits say nothing. */
static double rounded(double value, double parts)
{
    return (double)(int64_t)(value * parts + 0.5) / parts;
}

static void tell_calls(struct sample *s, const struct call_figures *f)
{
    static const struct call_span none;
    const struct call_span *span = f && f->span ? f->span : &none;

    tell(s, METRIC_INVOCATIONS, (double)span->invocations);
    tell(s, METRIC_ARRIVALS, (double)span->arrivals);
    tell(s, METRIC_ERRORS, (double)span->errors);
    tell(s, METRIC_THROTTLES, (double)span->throttles);
    tell(s, METRIC_COLD_STARTS, (double)span->cold_starts);
    tell(s, METRIC_INFLIGHT, f ? f->inflight : 0);
    tell(s, METRIC_INFLIGHT_MAX,
         f && f->inflight > span->inflight_max ? f->inflight : span->inflight_max);
    if (f)
        tell(s, METRIC_CONCURRENT_MAX, (double)f->concurrent_max);
    for (int i = 0; f && f->span && i < SAMPLE_SKETCHES; i++)
        s->sketch[i] = f->span->sketch[i].count ? &f->span->sketch[i] : NULL;
}

static void tell_containers(struct sample *s, const struct container_figures *f)
{
    static const struct container_figures none;
    bool known = f != NULL;

    f = known ? f : &none;
    tell(s, METRIC_INSTANCES, f->ready);
    tell(s, METRIC_INSTANCES_BUSY, f->busy);
    tell(s, METRIC_STARTING, f->starting);
    tell(s, METRIC_QUEUE_DEPTH, f->waiting);
    tell(s, METRIC_TRIGGER_AGE_MS, (double)(f->oldest_us / 1000));
    tell(s, METRIC_ENERGY_JOULES, rounded(f->joules, 1e6));
    tell(s, METRIC_CPU_SECONDS, rounded(f->cpu_seconds, 1e6));
    tell(s, METRIC_IDLE_SECONDS, (double)(f->ready - f->busy) * (double)s->span_ms / 1000);
    if (known) {
        tell(s, METRIC_INSTANCE_MB, (double)f->instance_mb);
        tell(s, METRIC_INSTANCES_MAX, (double)f->instances_max);
    }
    if (known && !f->looked)
        return;
    tell(s, METRIC_CPU_PERCENT, rounded(f->cpu_percent, 100));
    tell(s, METRIC_MEMORY_MB, rounded(f->memory_mb, 100));
    tell(s, METRIC_MEMORY_PERCENT, rounded(f->memory_percent, 100));
}

/* "account/package/name" or "account//name". */
static void name(struct sample *s, struct nr_str key)
{
    struct nr_str rest = key;

    if (!nr_str_split(&rest, '/', &s->account) || rest.p == NULL)
        return;
    if (rest.n > 0 && rest.p[0] == '/') {
        rest.p++;
        rest.n--;
    }
    s->function = rest;
}

void sample_rows_each(struct sample_rows *r, int64_t span_ms,
                      void (*each)(void *arg, struct sample *s, enum series_label label), void *arg)
{
    size_t i = 0, j = 0;

    sort(r);
    while (i < r->call_count || j < r->container_count) {
        const struct call_figures *calls = i < r->call_count ? &r->calls[i].figures : NULL;
        const struct container_figures *containers =
            j < r->container_count ? &r->containers[j].figures : NULL;
        int c = !calls ? 1 : !containers ? -1 : compare(calls->key, containers->key);
        struct sample s = {.span_ms = span_ms};

        calls = c <= 0 ? calls : NULL;
        containers = c >= 0 ? containers : NULL;
        name(&s, calls ? calls->key : containers->key);
        tell_calls(&s, calls);
        tell_containers(&s, containers);
        each(arg, &s, !calls ? SERIES_AS_BEFORE : calls->labelled ? SERIES_WITH : SERIES_WITHOUT);
        i += calls != NULL;
        j += containers != NULL;
    }
}

void sample_rows_node(const struct node_figures *f, int64_t span_ms, struct sample *ret)
{
    double most = f->memory_max_mb > 0 ? (double)f->memory_max_mb : 1;
    int64_t free_mb = f->memory_max_mb - f->memory_used_mb;

    *ret = (struct sample){.span_ms = span_ms};
    tell(ret, METRIC_NODE_MEMORY_PERCENT, rounded(100 * (double)f->memory_used_mb / most, 100));
    tell(ret, METRIC_NODE_MEMORY_FREE_MB, free_mb > 0 ? (double)free_mb : 0);
    tell(ret, METRIC_NODE_CONTAINERS, f->containers);
    tell(ret, METRIC_NODE_WAITING, f->waiting);
    tell(ret, METRIC_NODE_ENERGY_JOULES, rounded(f->joules, 1e6));
    if (f->cpu_percent >= 0)
        tell(ret, METRIC_NODE_CPU_PERCENT, rounded(f->cpu_percent, 100));
}

void sample_rows_clear(struct sample_rows *r)
{
    nr_buf_reset(&r->text, r->text.max_bytes);
    r->call_count = r->container_count = 0;
}
