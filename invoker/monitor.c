/* One pass after another: the loop lists who is due, a work thread reads their files, the loop takes the figures in.
 *
 * A pass holds a reference to each of its containers, and a last look at one that is about to be removed is a pass of its own. Sums by function and by kind
 * outlive the containers; beyond FUNCTIONS_MAX the function used longest ago goes, and what it used is kept as that of `others`.
 * Closing: what is under way keeps the invoker alive, as a container does.
 */
#include "invoker/monitor.h"

#include <stdio.h>
#include <time.h>

#include "common/base/clock.h"
#include "invoker/events.h"
#include "invoker/figures.h"
#include "invoker/monitor_state.h"

enum {
    LOOK_MS = 1000,
    LAZY_MAX_MS = 32000,
    LAZY_LOOKS = 16, /* at containers that do nothing, in one pass */
    FUNCTIONS_MAX = 1000,
};

struct look {
    struct container *ct; /* held */
    struct watched *w;
    int status;
    uint64_t at_ms; /* when it was read */
    struct cgroup_usage now;
};

struct pass {
    struct nr_work work;
    struct monitor *m;
    bool regular; /* the one of this second; false: a last look */
    uint64_t host_us, cost_us;
    struct host_usage host;
    double joules; /* that were measured; < 0: none were */
    unsigned count;
    struct look looks[];
};

/* ---- sums --------------------------------------------------------------------------------------------------- */

static void function_drop(struct monitor *m, struct function_use *f)
{
    usage_sum_add(&m->others, &f->sum);
    m->others_count++;
    (void)nr_map_del(&m->functions, f->node.key);
    nr_list_del(&f->lru);
    free(f->path);
    free(f->account);
    free(f);
}

static struct usage_sum *function_sum(struct monitor *m, const struct function *fn)
{
    struct nr_map_node *n = nr_map_get(&m->functions, nr_str_of(fn->path));
    struct function_use *f = n ? nr_container_of(n, struct function_use, node) : NULL;

    if (f == NULL) {
        if (m->functions.count >= FUNCTIONS_MAX)
            function_drop(m, nr_container_of(m->lru.prev, struct function_use, lru));
        f = nr_alloc(sizeof(*f));
        f->path = nr_strdup(fn->path);
        f->account = nr_strdup(fn->account);
        f->node.key = nr_str_of(f->path);
        (void)nr_map_put(&m->functions, &f->node);
    }
    nr_list_del(&f->lru);
    nr_list_push(&m->lru, &f->lru);
    return &f->sum;
}

static struct usage_sum *kind_sum(struct monitor *m, const char *kind)
{
    unsigned i = 0;

    while (i < m->kind_count && strcmp(m->kinds[i].name, kind) != 0)
        i++;
    if (i == m->kind_count) {
        if (i == KINDS_MAX)
            return &m->kinds[KINDS_MAX - 1].sum;
        m->kind_count++;
        (void)snprintf(m->kinds[i].name, KIND_BYTES, "%s", i + 1 < KINDS_MAX ? kind : "others");
    }
    return &m->kinds[i].sum;
}

static void sum_up(struct monitor *m, const struct container *ct, const struct usage_sum *more)
{
    if (ct->fn && !ct->fn->trial) {
        usage_sum_add(function_sum(m, ct->fn), more);
        figures_used(m->v, ct->fn, more->cpu_us);
    }
    usage_sum_add(kind_sum(m, ct->fn ? ct->fn->kind : ct->kind), more);
}

/* ---- one pass ----------------------------------------------------------------------------------------------- */

static uint64_t thread_cpu_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void work(struct nr_work *w)
{
    struct pass *p = nr_container_of(w, struct pass, work);
    uint64_t begun_us = thread_cpu_us();

    if (p->regular) {
        host_read("/proc", &p->host);
        p->host_us = nr_mono_us();
        p->joules = p->m->measured ? rapl_read(&p->m->rapl) : -1;
    }
    for (unsigned i = 0; i < p->count; i++) {
        p->looks[i].at_ms = nr_mono_ms();
        p->looks[i].status = cgroup_read(&p->looks[i].ct->cgroup, &p->looks[i].now);
    }
    p->cost_us = thread_cpu_us() - begun_us;
}

static bool worked_since_look(const struct container *ct, const struct watched *w)
{
    return ct->calls > 0 || ct->ahead || ct->idle_since_ms >= w->looked_ms;
}

/* Since when it may have worked: one that did nothing is not looked at for long, and its call began after that. */
static uint64_t works_since_ms(const struct container *ct, const struct watched *w, uint64_t at_ms)
{
    uint64_t since_ms = at_ms;

    if (at_ms - w->looked_ms < 2 * LOOK_MS)
        return w->looked_ms;
    for (unsigned i = 0; i < ct->slot_count; i++) {
        const struct activation *a = ct->slots[i].a;

        if (a && a->started_us && a->started_us / 1000 < since_ms)
            since_ms = a->started_us / 1000;
    }
    return since_ms > w->looked_ms && since_ms < at_ms ? since_ms : w->looked_ms;
}

/* Adds up what a look or an agent has told. */
static void count(struct monitor *m, const struct container *ct, const struct usage_sum *more)
{
    sum_up(m, ct, more);
    if (more->oom_kills > 0)
        event_oom(ct, more->oom_kills);
}

/* What its agent told before is not counted again. */
static void take_told(struct watched *w, struct usage_sum *more)
{
    int64_t known = w->told < more->oom_kills ? w->told : more->oom_kills;

    more->oom_kills -= known;
    w->told -= known;
}

static void take_in(struct monitor *m, struct look *l)
{
    struct watched *w = l->w;
    struct usage_sum more;
    uint64_t at_ms = l->at_ms;

    w->busy = false;
    nr_count(l->status == 0 ? &m->looks : &m->failed, 1);
    if (l->status == 0) {
        uint64_t since_ms = works_since_ms(l->ct, w, at_ms);
        bool first = w->usage.count == 0;

        usage_add(&w->usage, &l->now, at_ms, &more);
        take_told(w, &more);
        count(m, l->ct, &more);
        w->cpu_percent =
            first || since_ms >= at_ms ? 0 : (double)more.cpu_us / 10 / (double)(at_ms - since_ms);
    }
    if (worked_since_look(l->ct, w) || (l->status == 0 && usage_active(&w->usage)))
        w->every_ms = LOOK_MS;
    else if (w->every_ms < LAZY_MAX_MS)
        w->every_ms *= 2;
    w->looked_ms = at_ms;
}

/* Seconds of a processor between two readings of the host; 0: not told. */
static double grown(const struct host_usage *from, const struct host_usage *to, enum host_figure f)
{
    double d = to->figure[f] - from->figure[f];

    return from->figure[f] >= 0 && d > 0 ? d : 0;
}

/* What the host used since the last pass, and who pays for it. */
static void settle(struct monitor *m, const struct pass *p)
{
    double busy = grown(&m->host, &p->host, HOST_CPU_USER) +
                  grown(&m->host, &p->host, HOST_CPU_SYSTEM),
           all = busy + grown(&m->host, &p->host, HOST_CPU_IDLE) +
                 grown(&m->host, &p->host, HOST_CPU_IOWAIT) +
                 grown(&m->host, &p->host, HOST_CPU_STEAL);
    const struct energy_step step = {.seconds = (double)(p->host_us - m->host_us) / 1e6,
                                     .busy_seconds = busy,
                                     .function_seconds = figures_unpaid_seconds(m->v),
                                     .measured_joules = p->joules};
    double joules[ENERGY_PARTS], per_second;

    m->cpu_percent = all > 0 ? 100 * busy / all : -1;
    energy_share(&m->energy, &step, joules, &per_second);
    figures_pay(m->v, per_second);
    for (int i = 0; i < ENERGY_PARTS; i++)
        m->joules[i] += joules[i];
}

double monitor_take_joules(struct monitor *m)
{
    double sum = 0, told = m->joules_told;

    for (int i = 0; i < ENERGY_PARTS; i++)
        sum += m->joules[i];
    m->joules_told = sum;
    return sum - told;
}

/* The invoker may be gone at its end. */
static void done(struct nr_work *work_)
{
    struct pass *p = nr_container_of(work_, struct pass, work);
    struct monitor *m = p->m;
    struct invoker *v = m->v;

    nr_hist_add_us(&m->seconds, p->cost_us);
    for (unsigned i = 0; i < p->count; i++) {
        take_in(m, &p->looks[i]);
        if (p->looks[i].w->last)
            monitor_last_look(p->looks[i].ct);
        container_unref(p->looks[i].ct);
    }
    if (p->regular) {
        if (m->host_known)
            settle(m, p);
        m->under_way = false;
        m->host = p->host;
        m->host_us = p->host_us;
        m->host_known = true;
    }
    free(p);
    m->passes--;
    v->alive--;
    invoker_container_freed(v);
}

static struct watched *watched_of(struct container *ct)
{
    if (ct->watched == NULL) {
        ct->watched = nr_alloc(sizeof(*ct->watched));
        ct->watched->every_ms = LOOK_MS;
    }
    return ct->watched;
}

/* False: it cannot be looked at now. */
static bool add_look(struct pass *p, struct container *ct)
{
    struct watched *w = watched_of(ct);

    if (w->busy || ct->cgroup_state != CGROUP_OPEN)
        return false;
    w->busy = true;
    p->looks[p->count++] = (struct look){.ct = container_ref(ct), .w = w};
    return true;
}

static struct pass *pass_make(struct monitor *m, unsigned room)
{
    struct pass *p = nr_try_alloc(sizeof(*p) + room * sizeof(p->looks[0]));

    if (p) {
        p->m = m;
        p->work = (struct nr_work){.work = work, .done = done};
    }
    return p;
}

static void post(struct pass *p)
{
    p->m->passes++;
    p->m->v->alive++;
    nr_work_post(p->m->v->loop, &p->work);
}

static void look_at_all(struct monitor *m)
{
    struct invoker *v = m->v;
    struct pass *p = pass_make(m, v->container_count);
    uint64_t lazy_ms = (uint64_t)v->container_count * LOOK_MS / LAZY_LOOKS,
             now_ms = v->loop->now_ms;
    unsigned lazy = 0;

    if (p == NULL)
        return;
    for (struct nr_link *l = v->containers.next; l != &v->containers; l = l->next) {
        struct container *ct = nr_container_of(l, struct container, in_all);
        const struct watched *w = watched_of(ct);
        uint64_t every_ms = w->every_ms > LOOK_MS && w->every_ms < lazy_ms ? lazy_ms : w->every_ms;
        bool works = w->every_ms == LOOK_MS || worked_since_look(ct, w);

        if (p->count == v->container_count || ct->state >= CT_DYING)
            continue;
        if (works || (lazy < LAZY_LOOKS && w->looked_ms + every_ms <= now_ms))
            lazy += add_look(p, ct) && !works;
    }
    p->regular = m->under_way = true;
    post(p);
}

static void on_next(struct nr_deadline *d)
{
    struct monitor *m = nr_container_of(d, struct monitor, next);

    nr_deadline_set(m->v->loop, d, figures_wait_ms(nr_wall_ms(), FIGURES_LOOK_MS));
    if (!m->under_way)
        look_at_all(m);
}

void monitor_last_look(struct container *ct)
{
    struct monitor *m = ct->v->monitor;
    struct watched *w = ct->watched;
    bool follows = w && w->last;

    if (w)
        w->last = w->busy;
    if (m == NULL || m->stopped || (w && w->busy) ||
        (w && !follows && w->every_ms > LOOK_MS && !worked_since_look(ct, w)))
        return;
    struct pass *p = pass_make(m, 1);

    if (p && add_look(p, ct))
        post(p);
    else
        free(p);
}

void monitor_told_oom(struct container *ct)
{
    static const struct usage_sum one = {.oom_kills = 1};
    struct monitor *m = ct->v->monitor;

    if (m == NULL || m->stopped || watched_of(ct)->told > 0)
        return;
    ct->watched->told = 1;
    count(m, ct, &one);
}

bool monitor_forget_account(struct monitor *m, const char *account)
{
    if (m->passes > 0)
        return false;
    NR_LIST_EACH(&m->lru, l) {
        struct function_use *f = nr_container_of(l, struct function_use, lru);

        if (strcmp(f->account, account) == 0)
            function_drop(m, f);
    }
    return true;
}

int64_t monitor_oom_kills(const struct container *ct)
{
    const struct watched *w = ct->watched;

    return w && w->usage.count > 0 && w->usage.now.oom_kills > 0 ? w->usage.now.oom_kills : 0;
}

/* ---- opening and closing ------------------------------------------------------------------------------------ */

struct monitor *monitor_open(struct invoker *v, const struct invoker_config *c)
{
    struct monitor *m = nr_alloc(sizeof(*m));

    m->v = v;
    m->cpu_percent = -1;
    m->energy = (struct energy_model){.idle_watts = (double)c->energy_idle_mw / 1000,
                                      .core_watts = (double)c->energy_core_mw / 1000};
    m->measured = !c->energy_by_model && rapl_open("/sys/class/powercap", &m->rapl);
    nr_map_init(&m->functions);
    nr_list_init(&m->lru);
    m->next.fire = on_next;
    nr_deadline_set(v->loop, &m->next, LOOK_MS);
    return m;
}

void monitor_stop(struct monitor *m)
{
    if (m == NULL)
        return;
    m->stopped = true;
    nr_deadline_cancel(&m->next);
}

void monitor_free(struct monitor *m)
{
    if (m == NULL)
        return;
    NR_LIST_EACH(&m->lru, l)
        function_drop(m, nr_container_of(l, struct function_use, lru));
    nr_map_fini(&m->functions);
    free(m);
}

void monitor_forget(struct container *ct)
{
    free(ct->watched);
    ct->watched = NULL;
}
