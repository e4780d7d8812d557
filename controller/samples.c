/* What happens to a function's calls between two samples.
 *
 * A function is known by its names as it is called ("account/package/name"), all its versions together; the table of revisions in front of the map
 * spares a call the hash of its names. A span is taken with the first call after a sample, and goes away with the next one: who takes samples
 * gives it back when he has read it. Calls that are counted hold their function by `live`, so that it is not dropped under them.
 */
#include "controller/samples.h"

#include <stdio.h>

#include "controller/internal.h"
#include "ports/event.h"

struct counted {
    struct nr_map_node node;
    struct nr_link lru, active;
    struct call_span *span;
    uint64_t told_us; /* when it was told last that a call was refused; 0: never */
    unsigned live;    /* calls that are counted here and have not been answered */
    uint32_t inflight;
    bool labelled; /* the function of the latest call is */
    int64_t concurrent_max;
    char key[];
};

enum { KEY_MAX_BYTES = 1024, THROTTLED_AGAIN_US = 60000000 };

static void drop(struct call_counts *c, struct counted *f)
{
    for (size_t i = 0; i < COUNTED_RECENT; i++)
        if (c->recent[i].of == f)
            c->recent[i].of = NULL;
    (void)nr_map_del(&c->functions, f->node.key);
    nr_list_del(&f->lru);
    nr_list_del(&f->active);
    free(f->span);
    free(f);
}

/* Room for one more, at the cost of who has had no call for longest. */
static bool make_room(struct call_counts *c)
{
    struct counted *last = nr_container_of(c->lru.prev, struct counted, lru);

    if (c->functions.count < COUNTED_MAX)
        return true;
    if (last->live > 0 || last->span)
        return false;
    drop(c, last);
    return true;
}

static struct counted *find(struct call_counts *c, const struct function *fn)
{
    char key[KEY_MAX_BYTES];
    int n = snprintf(key, sizeof(key), "%s/%s/%s", fn->account, fn->package, fn->name);

    if (n < 0 || (size_t)n >= sizeof(key))
        return NULL;
    struct nr_map_node *node = nr_map_get(&c->functions, (struct nr_str){key, (size_t)n});

    if (node)
        return nr_container_of(node, struct counted, node);
    struct counted *f = make_room(c) ? nr_try_alloc(sizeof(*f) + (size_t)n + 1) : NULL;

    if (f == NULL)
        return NULL;
    memcpy(f->key, key, (size_t)n + 1);
    f->node.key = (struct nr_str){f->key, (size_t)n};
    (void)nr_map_put(&c->functions, &f->node);
    nr_list_push(&c->lru, &f->lru);
    return f;
}

static struct counted *counted_of(struct call_counts *c, const struct function *fn)
{
    size_t at = fn->revision % COUNTED_RECENT;

    if (c->recent[at].of == NULL || c->recent[at].revision != fn->revision) {
        c->recent[at].of = find(c, fn);
        c->recent[at].revision = fn->revision;
    }
    return c->recent[at].of;
}

static struct call_span *span_take(struct call_counts *c)
{
    struct call_span *s = c->spare;

    if (s == NULL)
        return nr_try_alloc(sizeof(*s));
    c->spare = s->next;
    memset(s, 0, sizeof(*s));
    return s;
}

/* NULL: there is no memory. */
static struct call_span *span_of(struct call_counts *c, struct counted *f)
{
    if (f->span)
        return f->span;
    f->span = span_take(c);
    nr_list_del(&f->lru);
    nr_list_push(&c->lru, &f->lru);
    if (!nr_list_linked(&f->active))
        nr_list_add(&c->active, &f->active);
    if (f->span)
        f->span->inflight_max = f->inflight;
    return f->span;
}

void counts_arrived(struct call_counts *c, struct activation *a)
{
    if (a->counted || a->fn == NULL || a->fn->trial)
        return;
    struct counted *f = counted_of(c, a->fn);
    struct call_span *s = f ? span_of(c, f) : NULL;

    if (s == NULL) {
        c->passed_over++;
        return;
    }
    s->arrivals++;
    f->live++;
    f->concurrent_max =
        a->account->concurrent_invocations > 0 ? a->account->concurrent_invocations : 0;
    f->labelled = a->fn->labelled;
    a->counted = f;
}

void counts_entered(struct call_counts *c, struct activation *a)
{
    struct counted *f = a->counted;

    if (f == NULL || a->counted_in)
        return;
    a->counted_in = true;
    f->inflight++;
    struct call_span *s = span_of(c, f);

    if (s && s->inflight_max < f->inflight)
        s->inflight_max = f->inflight;
}

static void add_times(struct call_span *s, const struct activation *a)
{
    uint64_t wait_us = a->queue_us + a->network_us + a->create_us + a->boot_us + a->handover_us;

    if (a->start != START_NONE)
        sketch_add_us(&s->sketch[SAMPLE_QUEUE_WAIT], wait_us);
    if (a->started_us && a->answered_us >= a->started_us)
        sketch_add_us(&s->sketch[SAMPLE_DURATION], a->answered_us - a->started_us);
    if (a->start != START_STEM && a->start != START_COLD)
        return;
    s->cold_starts++;
    sketch_add_us(&s->sketch[SAMPLE_COLD_START], wait_us + a->init_us);
}

/* The first of its function in a minute. */
static void tell_throttled(struct call_counts *c, struct counted *f, const struct activation *a)
{
    const struct event e = {.id = EVENT_THROTTLED,
                            .account = a->fn->account,
                            .package = a->fn->package,
                            .name = a->fn->name,
                            .version = a->fn->version,
                            .member[0].text = a->error.text};

    if (c->event == NULL || (f->told_us && a->answered_us < f->told_us + THROTTLED_AGAIN_US))
        return;
    f->told_us = a->answered_us;
    c->event(c->event_arg, &e);
}

void counts_answered(struct call_counts *c, struct activation *a)
{
    struct counted *f = a->counted;

    if (f == NULL)
        return;
    struct call_span *s = span_of(c, f);

    a->counted = NULL;
    f->live--;
    f->inflight -= a->counted_in;
    if (s == NULL)
        return;
    if (a->err == NR_EQUOTA) {
        s->throttles++;
        tell_throttled(c, f, a);
    }
    if (!a->counted_in)
        return;
    s->invocations++;
    s->errors += a->outcome.status != OUTCOME_SUCCESS;
    add_times(s, a);
}

void controller_figures(struct controller *ctl,
                        void (*each)(void *arg, const struct call_figures *f), void *arg)
{
    NR_LIST_EACH(&ctl->counts.active, l) {
        struct counted *f = nr_container_of(l, struct counted, active);
        const struct call_figures figures = {.key = f->node.key,
                                             .inflight = f->inflight,
                                             .labelled = f->labelled,
                                             .concurrent_max = f->concurrent_max,
                                             .span = f->span};

        f->span = NULL;
        if (f->inflight == 0)
            nr_list_del(&f->active);
        each(arg, &figures);
    }
}

bool controller_inflight(struct controller *ctl, struct nr_str key, struct call_figures *ret)
{
    struct nr_map_node *n = nr_map_get(&ctl->counts.functions, key);
    const struct counted *f = n ? nr_container_of(n, struct counted, node) : NULL;

    if (f)
        *ret = (struct call_figures){.key = f->node.key,
                                     .inflight = f->inflight,
                                     .labelled = f->labelled,
                                     .concurrent_max = f->concurrent_max};
    return f != NULL;
}

void controller_span_back(struct controller *ctl, struct call_span *span)
{
    if (span == NULL)
        return;
    span->next = ctl->counts.spare;
    ctl->counts.spare = span;
}

void counts_forget(struct call_counts *c, const char *account)
{
    const size_t n = strlen(account);

    NR_LIST_EACH(&c->lru, l) {
        struct counted *f = nr_container_of(l, struct counted, lru);

        if (f->live == 0 && strncmp(f->key, account, n) == 0 && f->key[n] == '/')
            drop(c, f);
    }
}

void counts_init(struct call_counts *c)
{
    nr_map_init(&c->functions);
    nr_list_init(&c->lru);
    nr_list_init(&c->active);
}

void counts_fini(struct call_counts *c)
{
    struct call_span *s;

    NR_LIST_EACH(&c->lru, l)
        drop(c, nr_container_of(l, struct counted, lru));
    while ((s = c->spare)) {
        c->spare = s->next;
        free(s);
    }
    nr_map_fini(&c->functions);
}
