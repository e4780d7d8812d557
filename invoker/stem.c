/* Shelves of stems: one per runtime image, network and class of memory.
 *
 *   class    python and native are born with the least memory, for it is only ever raised. V8 fixes its heap at process start: nodejs
 *            stems are made per class, the default one first; a class without a stem of its own takes a smaller one of the default class,
 *            whose launcher arranges itself
 *   kept     "auto": one of each image that is there, on the default network, from the start; and one of whatever network or class was
 *            used in the last ten minutes; of wasm none before it is used. A list gives other numbers. More while hand-overs are asked
 *            for faster than a start takes, and for ten minutes as many as were asked for within one second
 *   bounds   8 x cores a shelf; all stems together an eighth of the node's memory (half of it when the numbers were given), of which
 *            what is more than is kept takes half, and a quarter of the ceiling on containers; never memory that a call waits for, and they are the first to go
 *   calm     a stem that was taken is replaced once its call has been answered: a start takes a core or two for a tenth of a second,
 *            which that call would wait for. At most as long as a start takes
 *   failure  a shelf whose stem did not come up is left alone for a second, then twice as long, up to a minute; an image that is
 *            missing, a minute at once
 *
 * Own images have no stems: nobody knows what their entry point does before it has its code. Nor do functions with a volume or a device,
 * which are mounted at creation, nor functions with a GPU, which is given at creation.
 */
#include "invoker/stem.h"

#include "common/base/clock.h"
#include "invoker/evict.h"
#include "invoker/identity.h"
#include "ports/grants.h"

enum {
    KINDS_MAX = 8,
    UNUSED_MS = 600000,
    FAILED_MS = 1000,
    FAILED_MAX_MS = 60000,
    DISTRUST_MS = 1000,
    CALM_MS = 100,
    ANSWERED_MS = 10, /* the answer is on its way */
    CODE_TMPFS_MB = 256,
    COUNT_MAX = 1000,
    AUTO = -1,
    AUTO_COUNT = 1
};

/* Least memory by runtime; the others have no stems. Java's JVM starts at the hand-over, when the memory is known. */
static const struct floor {
    const char *family;
    int64_t memory_mb;
    bool by_class;  /* a function's own memory, where that is not the default */
    bool when_used; /* none is kept before the first call, unless a number was given */
} floors[] = {{"python", 64, false, false},
              {"native", 64, false, false},
              {"nodejs", 256, true, false},
              {"java", 64, false, true},
              {"wasm", 64, false, true}};

struct stem_kind {
    char *image, *kind; /* "narae/python:0123456789ab", "python:3" */
    struct nr_str family;
    const struct floor *floor;
    int configured; /* a number of the list; AUTO */
    int wished;     /* -1: no wish */
};

struct shelf {
    struct nr_link link;
    const struct stem_kind *kind;
    enum function_network network;
    int64_t memory_mb;
    bool base; /* kept although nobody asks */
    struct nr_link ready;
    unsigned ready_count, starting;
    uint64_t used_ms;                    /* when a stem was asked for last; 0: never */
    uint64_t not_before_ms, distrust_ms; /* no start, no hand-over before */
    uint64_t wait_ms;                    /* after the next failure */
    unsigned asked;                      /* since the last second */
    unsigned per_1000_s;                 /* asked for, decayed */
    unsigned bunch;                      /* most that were asked for in one second */
    uint64_t bunch_ms;                   /* when that was */
};

struct stems {
    struct stem_kind kinds[KINDS_MAX];
    unsigned kind_count;
    bool off, by_list;
    struct nr_link shelves;
    int64_t memory_mb; /* of all stems, ready and starting */
    unsigned count;
    uint64_t calm_until_ms; /* no start before */
};

/* ---- configuration ------------------------------------------------------------------------------------------ */

/* "python" of "narae/python:0123" and of "python:3". */
static struct nr_str family_of(const char *text)
{
    const char *slash = strrchr(text, '/');
    const char *begin = slash ? slash + 1 : text;

    return (struct nr_str){begin, strcspn(begin, ":")};
}

static bool same(struct nr_str a, struct nr_str b)
{
    return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

static struct stem_kind *kind_named(struct stems *s, struct nr_str family)
{
    for (unsigned i = 0; i < s->kind_count; i++)
        if (same(s->kinds[i].family, family))
            return &s->kinds[i];
    return NULL;
}

static void add_kind(struct stems *s, const char *image, const char *kind)
{
    struct nr_str family = family_of(image);
    const struct floor *floor = NULL;

    for (size_t i = 0; i < nr_countof(floors); i++)
        if (nr_str_eqz(family, floors[i].family))
            floor = &floors[i];
    if (floor == NULL || s->kind_count == KINDS_MAX)
        return;
    struct stem_kind *k = &s->kinds[s->kind_count++];

    *k = (struct stem_kind){.floor = floor, .configured = AUTO, .wished = -1};
    k->image = nr_strdup(image);
    k->kind = kind ? nr_strdup(kind) : nr_strndup(family.p, family.n);
    k->family = family_of(k->image);
}

/* "python:3=2" */
static int read_one(struct stems *s, struct nr_str item, struct nr_err *err)
{
    struct nr_str name, rest = item;
    int64_t n;
    char family[32];

    if (!nr_str_split(&rest, '=', &name) || name.n == 0 || name.n >= sizeof(family) ||
        !nr_str_to_i64(rest, 0, COUNT_MAX, &n))
        return nr_err_set(
            err, NR_EINVAL,
            "stems: '%.*s' is not understood; auto, off, or a list like python:3=2,native=1",
            (int)item.n, item.p);
    memcpy(family, name.p, name.n);
    family[name.n] = '\0';
    struct stem_kind *k = kind_named(s, family_of(family));

    if (k == NULL)
        return nr_err_set(err, NR_EINVAL, "stems: there is no runtime '%s'", family);
    k->configured = (int)n;
    return 0;
}

static int read_config(struct stems *s, const char *text, struct nr_err *err)
{
    struct nr_str rest = nr_str_of(text ? text : "auto"), item;

    s->off = nr_str_eqz(rest, "off");
    if (s->off || nr_str_eqz(rest, "auto"))
        return 0;
    s->by_list = true;
    for (unsigned i = 0; i < s->kind_count; i++)
        s->kinds[i].configured = 0;
    while (nr_str_split(&rest, ',', &item)) {
        int r = read_one(s, item, err);

        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- shelves ------------------------------------------------------------------------------------------------ */

static struct shelf *shelf_of(struct stems *s, const struct stem_kind *k,
                              enum function_network network, int64_t memory_mb)
{
    NR_LIST_EACH(&s->shelves, l) {
        struct shelf *h = nr_container_of(l, struct shelf, link);

        if (h->kind == k && h->network == network && h->memory_mb == memory_mb)
            return h;
    }
    struct shelf *h = nr_alloc(sizeof(*h));

    *h = (struct shelf){.kind = k, .network = network, .memory_mb = memory_mb};
    h->wait_ms = FAILED_MS;
    nr_list_init(&h->ready);
    nr_list_add(&s->shelves, &h->link);
    return h;
}

static int count_of(const struct stem_kind *k)
{
    if (k->wished >= 0)
        return k->wished;
    return k->configured == AUTO ? AUTO_COUNT : k->configured;
}

static bool image_is_there(const struct invoker *v, const char *image)
{
    const struct probe *p = &v->probe;

    for (unsigned i = 0; i < p->count; i++)
        if (strcmp(p->table[i].name, "image") == 0 && strcmp(p->table[i].value, image) == 0)
            return p->table[i].yes;
    return false;
}

int stems_open(struct invoker *v, const struct invoker_config *c, struct nr_err *err)
{
    struct stems *s = nr_alloc(sizeof(*s));

    v->stems = s;
    nr_list_init(&s->shelves);
    for (size_t i = 0; c->images && c->images[i]; i++)
        add_kind(s, c->images[i], c->kinds ? c->kinds[i] : NULL);
    return read_config(s, c->stems, err);
}

void stems_begin(struct invoker *v)
{
    struct stems *s = v->stems;

    for (unsigned i = 0; !s->off && i < s->kind_count; i++)
        if (image_is_there(v, s->kinds[i].image))
            shelf_of(s, &s->kinds[i], FN_NET_EGRESS, s->kinds[i].floor->memory_mb)->base = true;
    pool_stir(v);
}

void stems_free(struct invoker *v)
{
    struct stems *s = v->stems;

    if (s == NULL)
        return;
    NR_LIST_EACH(&s->shelves, l)
        free(nr_container_of(l, struct shelf, link));
    for (unsigned i = 0; i < s->kind_count; i++) {
        free(s->kinds[i].image);
        free(s->kinds[i].kind);
    }
    free(s);
    v->stems = NULL;
}

/* ---- taking ------------------------------------------------------------------------------------------------- */

/* The kind that f's containers are of, when they may be made from stems. */
static const struct stem_kind *kind_for(struct stems *s, const struct function *f)
{
    if (f->relay || f->gpu.count > 0 ||
        (f->grants && (f->grants->volume_count || f->grants->device_count)))
        return NULL;
    for (unsigned i = 0; i < s->kind_count; i++)
        if (strcmp(s->kinds[i].image, f->image) == 0)
            return &s->kinds[i];
    return NULL;
}

/* cpu: a weight or a cap is to be set. */
static struct container *first_ready(const struct invoker *v, const struct shelf *h,
                                     int64_t memory_mb, bool cpu)
{
    bool raised = cpu || h->memory_mb != memory_mb;

    if (nr_list_empty(&h->ready) || v->loop->now_ms < h->distrust_ms || h->memory_mb > memory_mb ||
        (raised && v->probe.memory_raise == RAISE_OFF))
        return NULL;
    return nr_container_of(h->ready.next, struct container, in_shelf);
}

static struct shelf *shelf_for(struct stems *s, const struct stem_kind *k, const struct function *f)
{
    return shelf_of(s, k, f->network,
                    k->floor->by_class ? container_memory_mb(f->memory_mb) : k->floor->memory_mb);
}

struct container *stem_for(struct invoker *v, const struct function *f, bool *ret_empty)
{
    struct stems *s = v->stems;
    const struct stem_kind *k = s == NULL || s->off ? NULL : kind_for(s, f);

    *ret_empty = false;
    if (k == NULL)
        return NULL;
    struct shelf *h = shelf_for(s, k, f);
    int64_t memory_mb = container_memory_mb(f->memory_mb);
    bool cpu = function_has_cpu(f);
    struct container *ct = first_ready(v, h, memory_mb, cpu);

    h->asked++;
    h->used_ms = v->loop->now_ms;
    if (ct == NULL && h->memory_mb != k->floor->memory_mb)
        ct = first_ready(v, shelf_of(s, k, f->network, k->floor->memory_mb), memory_mb, cpu);
    *ret_empty = ct == NULL && count_of(k) > 0;
    return ct;
}

void stem_distrust(struct invoker *v, const struct function *f)
{
    const struct stem_kind *k = v->stems ? kind_for(v->stems, f) : NULL;

    if (k)
        shelf_for(v->stems, k, f)->distrust_ms = v->loop->now_ms + DISTRUST_MS;
}

static void off_the_shelf(struct container *ct)
{
    struct shelf *h = ct->shelf;

    if (nr_list_linked(&ct->in_shelf))
        h->ready_count--;
    else
        h->starting--;
    nr_list_del(&ct->in_shelf);
    ct->v->stems->memory_mb -= ct->memory_mb;
    ct->v->stems->count--;
    ct->shelf = NULL;
}

void stem_take(struct container *ct)
{
    struct stems *s = ct->v->stems;

    ct->shelf->wait_ms = FAILED_MS; /* they are good */
    if (ct->v->loop->now_ms >= s->calm_until_ms)
        s->calm_until_ms = ct->v->loop->now_ms + CALM_MS;
    off_the_shelf(ct);
}

void stem_answered(struct invoker *v)
{
    if (v->loop->now_ms + ANSWERED_MS >= v->stems->calm_until_ms)
        return;
    v->stems->calm_until_ms = v->loop->now_ms + ANSWERED_MS;
    if (nr_list_empty(&v->hungry))
        nr_deadline_set(v->loop, &v->stir, ANSWERED_MS);
}

static void leave_alone(const struct invoker *v, struct shelf *h)
{
    h->not_before_ms = v->loop->now_ms + h->wait_ms;
    h->wait_ms = 2 * h->wait_ms < FAILED_MAX_MS ? 2 * h->wait_ms : FAILED_MAX_MS;
}

void stem_gone(struct container *ct)
{
    if (ct->ended == ENDED_CRASHED)
        leave_alone(ct->v, ct->shelf);
    off_the_shelf(ct);
}

void stem_ready(struct container *ct)
{
    struct shelf *h = ct->shelf;

    h->starting--;
    h->ready_count++;
    nr_list_add(&h->ready, &ct->in_shelf); /* the oldest goes first: its interpreter has booted */
    ct->idle_since_ms = ct->v->loop->now_ms;
    if (!nr_list_empty(&ct->v->hungry))
        pool_stir(ct->v);
}

void stem_failed(struct container *ct)
{
    struct shelf *h = ct->shelf;

    if (ct->failure.code == NR_ENOENT)
        h->wait_ms = FAILED_MAX_MS;
    leave_alone(ct->v, h);
    container_retire(ct, ENDED_START_FAILED);
}

/* ---- how many ----------------------------------------------------------------------------------------------- */

/* Are stems of it kept although nobody asked? */
static bool is_kept(const struct shelf *h)
{
    return h->base &&
           (!h->kind->floor->when_used || h->kind->configured != AUTO || h->kind->wished >= 0);
}

static unsigned target_of(const struct invoker *v, const struct shelf *h)
{
    const struct stems *s = v->stems;
    bool used = h->used_ms && v->loop->now_ms - h->used_ms < UNUSED_MS;
    bool by_demand = count_of(h->kind) > 0 && h->kind->wished < 0;
    int64_t own_mb = (int64_t)(h->ready_count + h->starting) * h->memory_mb;
    int64_t all_mb = v->node->memory_max_mb / (s->by_list || h->kind->wished >= 0 ? 2 : 8);
    const struct stem_view view = {
        .minimum = is_kept(h) || used ? (unsigned)count_of(h->kind) : 0,
        .per_1000_s = by_demand ? h->per_1000_s : 0,
        .bunch = by_demand && h->kind->configured == AUTO ? h->bunch : 0,
        .start_us = v->start_us,
        .cores = (unsigned)v->node->cores,
        .memory_mb = h->memory_mb,
        .memory_free_mb = all_mb - s->memory_mb + own_mb,
        .memory_spare_mb = all_mb / 2 - s->memory_mb + own_mb,
    };

    return stem_target(&view);
}

static bool start_one(struct invoker *v, struct shelf *h)
{
    const struct container_seed seed = {
        .shelf = h,
        .network = h->network,
        .memory_mb = h->memory_mb,
        .why = FOR_STEM,
        .rank = RANK_PREWARM,
    };

    if ((v->containers_max > 0 && 4 * (v->stems->count + 1) > v->containers_max) ||
        !room_take(v, h->memory_mb, true, false, NULL))
        return false;
    h->starting++;
    v->stems->count++;
    v->stems->memory_mb += h->memory_mb;
    container_start(v, &seed);
    return true;
}

void stems_fill(struct invoker *v)
{
    struct stems *s = v->stems;

    if (s == NULL || s->off || v->stopping || v->resting)
        return;
    if (v->loop->now_ms < s->calm_until_ms) {
        if (!nr_deadline_armed(&v->stir))
            nr_deadline_set(v->loop, &v->stir, s->calm_until_ms - v->loop->now_ms);
        return;
    }
    NR_LIST_EACH(&s->shelves, l) {
        struct shelf *h = nr_container_of(l, struct shelf, link);

        while (nr_list_empty(&v->hungry) && v->loop->now_ms >= h->not_before_ms &&
               h->ready_count + h->starting < target_of(v, h) && start_one(v, h))
            continue;
    }
}

/* The one that is ready for longest, when there are more than are wanted and it was not used for long. */
static struct container *surplus(struct invoker *v, struct shelf *h)
{
    uint64_t unused_ms = h->kind->wished >= 0 ? 0 : UNUSED_MS;

    if (nr_list_empty(&h->ready) || h->ready_count + h->starting <= target_of(v, h))
        return NULL;
    struct container *ct = nr_container_of(h->ready.next, struct container, in_shelf);

    return v->loop->now_ms - ct->idle_since_ms >= unused_ms ? ct : NULL;
}

/* A second is over. */
static void count_asked(const struct invoker *v, struct shelf *h)
{
    if (h->asked >= h->bunch || v->loop->now_ms - h->bunch_ms >= UNUSED_MS) {
        h->bunch = h->asked;
        h->bunch_ms = v->loop->now_ms;
    }
    h->per_1000_s = (h->per_1000_s * 7 + h->asked * 1000) / 8;
    h->asked = 0;
}

void stems_tidy(struct invoker *v)
{
    struct container *ct;

    if (v->stems == NULL)
        return;
    NR_LIST_EACH(&v->stems->shelves, l) {
        struct shelf *h = nr_container_of(l, struct shelf, link);

        count_asked(v, h);
        while ((ct = surplus(v, h)) != NULL)
            container_retire(ct, ENDED_STEM_SURPLUS);
    }
    stems_fill(v);
}

/* A ready stem first, else one that is still being started. */
struct container *stem_to_evict(struct invoker *v, const struct container *keep)
{
    struct container *starting = NULL;

    if (v->stems == NULL || v->stems->memory_mb == 0)
        return NULL;
    for (struct nr_link *l = v->containers.next; l != &v->containers; l = l->next) {
        struct container *ct = nr_container_of(l, struct container, in_all);

        if (ct->shelf == NULL || ct == keep)
            continue;
        if (nr_list_linked(&ct->in_shelf))
            return ct;
        starting = ct;
    }
    return starting;
}

void stems_evictable(const struct invoker *v, const struct container *keep, struct shortage *sum)
{
    if (v->stems == NULL)
        return;
    sum->mb += v->stems->memory_mb - (keep ? keep->memory_mb : 0);
    sum->containers += (int)v->stems->count - (keep != NULL);
}

void stems_wish(struct invoker *v, const char *kind, int count)
{
    struct stem_kind *k = v->stems && !v->stems->off ? kind_named(v->stems, family_of(kind)) : NULL;

    if (k == NULL)
        return;
    k->wished = count < 0 ? -1 : count;
    pool_stir(v);
}

/* ---- what a stem is ----------------------------------------------------------------------------------------- */

void stem_spec_of(const struct container *ct, struct create_spec *s)
{
    s->image = ct->shelf->kind->image;
    s->kind = ct->shelf->kind->kind;
    s->memory_mb = ct->memory_mb;
    s->many_files = true;
    s->stem = true;
    s->code_tmpfs_mb = CODE_TMPFS_MB;
}

void stem_write_identity(const struct container *ct)
{
    const struct identity who = {
        .container = ct->id,
        .kind = ct->kind,
        .account = "",
        .package = "",
        .name = "",
        .version = "",
        .memory_mb = ct->memory_mb,
        .slots = 1,
        .network_slot = ct->net_slot ? net_slot_name(ct->net_slot) : "",
        .settings = ct->settings,
    };

    (void)identity_write(ct->v->folder, ct->name, &who, NULL);
}

void stems_status(const struct invoker *v, struct nr_buf *out)
{
    const char *comma = "";

    nr_buf_adds(out, "[");
    for (struct nr_link *l = v->stems ? v->stems->shelves.next : NULL; l && l != &v->stems->shelves;
         l = l->next) {
        const struct shelf *h = nr_container_of(l, struct shelf, link);

        nr_buf_printf(out, "%s{\"kind\":", comma);
        nr_buf_json(out, nr_str_of(h->kind->kind));
        nr_buf_printf(
            out,
            ",\"network\":\"%s\",\"memory_mb\":%lld,\"ready\":%u,\"starting\":%u,\"wanted\":%u}",
            h->network == FN_NET_EGRESS ? "egress" : "none", (long long)h->memory_mb,
            h->ready_count, h->starting, v->stems->off ? 0 : target_of(v, h));
        comma = ",";
    }
    nr_buf_adds(out, "]");
}
