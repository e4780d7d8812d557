/* A list of grants; what a device has left is added up from it whenever it is asked, for there are a few of each and nothing can drift
 * apart that way. A container's entry is made before the Engine is asked for it, stands in its label, and goes when the Engine has removed it:
 * what a kill leaves behind is entered again from the labels before anybody else is given anything.
 */
#include "invoker/gpu.h"

#include <stdio.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/base/str.h"

enum { HOLDER_BYTES = 9, GRANTS_MAX = 4096 };

struct entry {
    char holder[HOLDER_BYTES];
    struct gpu_grant grant;
};

struct gpu_ledger {
    const struct node_gpu *list;
    unsigned count;
    struct entry *entries;
    unsigned used, room;
};

/* What is held of one device. */
struct load {
    int64_t memory_mb;
    int percentage;
    unsigned holders;
    bool whole;
};

struct gpu_ledger *gpu_open(const struct node_gpu *list, unsigned count)
{
    struct gpu_ledger *l = nr_alloc(sizeof(*l));

    l->list = list;
    l->count = count;
    return l;
}

void gpu_free(struct gpu_ledger *l)
{
    if (l == NULL)
        return;
    free(l->entries);
    free(l);
}

struct gpu_ledger *gpu_copy(const struct gpu_ledger *l)
{
    struct gpu_ledger *c = gpu_open(l->list, l->count);

    c->room = c->used = l->used;
    c->entries = nr_alloc((l->used + 1) * sizeof(*c->entries));
    if (l->used > 0)
        memcpy(c->entries, l->entries, l->used * sizeof(*c->entries));
    return c;
}

static bool is_whole(const struct function_gpu *w)
{
    return w->memory_mb == 0 && w->percentage == 0;
}

static struct load load_of(const struct gpu_ledger *l, unsigned device)
{
    struct load sum = {0};

    for (unsigned i = 0; i < l->used; i++) {
        const struct gpu_grant *g = &l->entries[i].grant;

        if ((g->devices & (UINT64_C(1) << device)) == 0)
            continue;
        sum.holders++;
        sum.whole = sum.whole || is_whole(&g->want);
        sum.memory_mb += g->want.memory_mb;
        sum.percentage += g->want.percentage;
    }
    return sum;
}

static bool has_room(const struct node_gpu *gpu, const struct load *load,
                     const struct function_gpu *w)
{
    if (is_whole(w))
        return load->holders == 0;
    return !load->whole && load->memory_mb + w->memory_mb <= gpu->memory_mb &&
           load->percentage + w->percentage <= 100;
}

/* How full a device is, in thousandths, by what is scarcer. */
static int64_t fullness(const struct node_gpu *gpu, const struct load *load)
{
    int64_t memory = load->memory_mb * 1000 / gpu->memory_mb, share = load->percentage * 10;

    return memory > share ? memory : share;
}

/* The fullest device that has room and is not chosen yet, the first of equals; -1: none. */
static int next_device(const struct gpu_ledger *l, const struct function_gpu *w, uint64_t chosen)
{
    int64_t best_full = -1;
    int best = -1;

    for (unsigned i = 0; i < l->count; i++) {
        const struct load load = load_of(l, i);

        if ((chosen & (UINT64_C(1) << i)) || !has_room(&l->list[i], &load, w) ||
            fullness(&l->list[i], &load) <= best_full)
            continue;
        best_full = fullness(&l->list[i], &load);
        best = (int)i;
    }
    return best;
}

static bool choose(const struct gpu_ledger *l, const struct function_gpu *w, uint64_t *ret)
{
    uint64_t chosen = 0;

    for (unsigned i = 0; i < w->count; i++) {
        int device = next_device(l, w, chosen);

        if (device < 0)
            return false;
        chosen |= UINT64_C(1) << device;
    }
    *ret = chosen;
    return true;
}

bool gpu_possible(const struct gpu_ledger *l, const struct function_gpu *want)
{
    const struct gpu_ledger empty = {.list = l->list, .count = l->count};

    return gpu_fits(&empty, want);
}

bool gpu_fits(const struct gpu_ledger *l, const struct function_gpu *want)
{
    uint64_t devices;

    return want->count == 0 || choose(l, want, &devices);
}

static void enter(struct gpu_ledger *l, const char *holder, const struct gpu_grant *g)
{
    if (l->used == l->room) {
        struct entry *grown = nr_alloc((2 * l->room + 8) * sizeof(*grown));

        if (l->used > 0)
            memcpy(grown, l->entries, l->used * sizeof(*grown));
        free(l->entries);
        l->entries = grown;
        l->room = 2 * l->room + 8;
    }
    struct entry *e = &l->entries[l->used++];

    *e = (struct entry){.grant = *g};
    (void)snprintf(e->holder, sizeof(e->holder), "%s", holder);
}

bool gpu_take(struct gpu_ledger *l, const char *holder, const struct function_gpu *want)
{
    struct gpu_grant g = {.want = *want};

    if (want->count == 0 || l->used == GRANTS_MAX || !choose(l, want, &g.devices))
        return want->count == 0;
    nr_check(gpu_of(l, holder) == NULL);
    enter(l, holder, &g);
    return true;
}

static int find(const struct gpu_ledger *l, const char *holder)
{
    for (unsigned i = 0; i < l->used; i++)
        if (strcmp(l->entries[i].holder, holder) == 0)
            return (int)i;
    return -1;
}

void gpu_give(struct gpu_ledger *l, const char *holder)
{
    int at = find(l, holder);

    if (at >= 0)
        l->entries[at] = l->entries[--l->used];
}

const struct gpu_grant *gpu_of(const struct gpu_ledger *l, const char *holder)
{
    int at = find(l, holder);

    return at >= 0 ? &l->entries[at].grant : NULL;
}

/* ---- labels ------------------------------------------------------------------------------------------------- */

void gpu_write_label(const struct node_gpu *list, const struct gpu_grant *g,
                     char out[static GPU_LABEL_BYTES])
{
    size_t n = 0;

    out[0] = '\0';
    for (unsigned i = 0; i < NODE_GPUS_MAX; i++)
        if (g->devices & (UINT64_C(1) << i))
            n += (size_t)snprintf(out + n, GPU_LABEL_BYTES - n, "%s%s", n ? "," : "", list[i].name);
    (void)snprintf(out + n, GPU_LABEL_BYTES - n, ";%lld;%d", (long long)g->want.memory_mb,
                   g->want.percentage);
}

/* The devices of "a0,a1", each free for the share that is held of it. */
static bool read_devices(const struct gpu_ledger *l, struct nr_str names, struct gpu_grant *g)
{
    struct nr_str name;

    while (nr_str_split(&names, ',', &name)) {
        unsigned i = 0;

        while (i < l->count && !nr_str_eqz(name, l->list[i].name))
            i++;
        if (i == l->count || (g->devices & (UINT64_C(1) << i)))
            return false;
        const struct load load = load_of(l, i);

        if (!has_room(&l->list[i], &load, &g->want))
            return false;
        g->devices |= UINT64_C(1) << i;
        g->want.count++;
    }
    return g->want.count > 0;
}

bool gpu_adopt(struct gpu_ledger *l, const char *holder, const char *label)
{
    struct nr_str rest = nr_str_of(label ? label : ""), names, memory = {NULL, 0};
    struct gpu_grant g = {.devices = 0};
    int64_t percentage;

    if (holder[0] == '\0' || !nr_str_split(&rest, ';', &names) ||
        !nr_str_split(&rest, ';', &memory) ||
        !nr_str_to_i64(memory, 0, INT64_MAX / 2, &g.want.memory_mb) ||
        !nr_str_to_i64(rest, 0, 100, &percentage) || l->used == GRANTS_MAX ||
        gpu_of(l, holder) != NULL)
        return false;
    g.want.percentage = (int)percentage;
    if (!read_devices(l, names, &g))
        return false;
    enter(l, holder, &g);
    return true;
}

/* ---- for people --------------------------------------------------------------------------------------------- */

void gpu_status(const struct gpu_ledger *l, struct nr_buf *out)
{
    nr_buf_addc(out, '[');
    for (unsigned i = 0; i < l->count; i++) {
        const struct load load = load_of(l, i);

        nr_buf_printf(out,
                      "%s{\"name\":\"%s\",\"memory_mb\":%lld,\"driver\":%s,\"whole\":%s,"
                      "\"memory_used_mb\":%lld,\"percentage_used\":%d,\"holders\":%u}",
                      i ? "," : "", l->list[i].name, (long long)l->list[i].memory_mb,
                      l->list[i].ask_engine ? "\"nvidia\"" : "null", load.whole ? "true" : "false",
                      (long long)(load.whole ? l->list[i].memory_mb : load.memory_mb),
                      load.whole ? 100 : load.percentage, load.holders);
    }
    nr_buf_addc(out, ']');
}
