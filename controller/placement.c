/* Candidates are judged by class first, then by load, then by their order for the function. */
#include "controller/placement.h"

#include "common/base/err.h"

/* In half calls for each core: so much more than the least loaded one may a home have. */
enum { HOME_SLACK = 1 };

enum place_class { CLASS_WARM, CLASS_COMING, CLASS_START, CLASS_FULL, CLASS_NONE };

uint64_t placement_hash(struct nr_str text)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < text.n; i++)
        h = (h ^ (unsigned char)text.p[i]) * 0x100000001b3u;
    return h;
}

uint64_t placement_weight(uint64_t key, uint64_t host)
{
    uint64_t x = key ^ (host * 0x9e3779b97f4a7c15u);

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

struct weighed {
    uint64_t weight;
    uint16_t at;
};

static bool is_heavier(struct weighed a, struct weighed b)
{
    return a.weight != b.weight ? a.weight > b.weight : a.at < b.at;
}

/* A heap, the heaviest first, but for the one at `at`, which may belong further down. */
static void sift(struct weighed *heap, size_t n, size_t at)
{
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && is_heavier(heap[child + 1], heap[child]))
            child++;
        if (!is_heavier(heap[child], heap[at]))
            return;
        const struct weighed held = heap[at];

        heap[at] = heap[child];
        heap[child] = held;
    }
}

size_t placement_order(const struct place_host *hosts, size_t n, const struct place_call *call,
                       uint16_t *ret)
{
    struct weighed heap[PLACE_HOSTS_MAX];
    size_t left = 0, count;

    nr_check(n <= PLACE_HOSTS_MAX);
    for (size_t i = 0; i < n; i++)
        if (hosts[i].fits && hosts[i].starts)
            heap[left++] = (struct weighed){placement_weight(call->key, hosts[i].id), (uint16_t)i};
    count = call->hosts_max > 0 && left > call->hosts_max ? call->hosts_max : left;
    for (size_t i = left / 2; i-- > 0;)
        sift(heap, left, i);
    for (size_t i = 0; i < count; i++) {
        ret[i] = heap[0].at;
        heap[0] = heap[--left];
        sift(heap, left, 0);
    }
    return count;
}

int placement_share(size_t rank, size_t sharers, int count)
{
    if (count <= 0 || rank >= sharers)
        return 0;
    return count / (int)sharers + ((int)rank < count % (int)sharers);
}

/* The hosts that may start one for the call: where it is limited to some, those only. */
static void find_starters(const struct place_host *hosts, size_t n, const struct place_call *c,
                          bool *ret)
{
    uint16_t order[PLACE_HOSTS_MAX];

    for (size_t i = 0; i < n; i++)
        ret[i] = c->hosts_max == 0 && hosts[i].starts;
    size_t count = c->hosts_max ? placement_order(hosts, n, c, order) : 0;

    for (size_t i = 0; i < count; i++)
        ret[order[i]] = true;
}

static enum place_class class_of(const struct place_host *h, const struct place_call *c,
                                 bool starts)
{
    if (!h->fits)
        return CLASS_NONE;
    if (h->warm && h->load.ready > 0)
        return CLASS_WARM;
    if (!starts)
        return CLASS_NONE;
    if (h->load.starting > h->load.waiting)
        return CLASS_COMING;
    return h->room_mb >= c->memory_mb ? CLASS_START : CLASS_FULL;
}

/* Does x have less to do than y, by more than `slack` half calls for each core? */
static bool is_idler(const struct place_host *x, const struct place_host *y, unsigned slack)
{
    uint64_t mine = (uint64_t)2 * x->calls + (uint64_t)slack * x->cores;

    return mine * y->cores < (uint64_t)2 * y->calls * x->cores;
}

static bool is_better(const struct place_host *x, const struct place_host *y,
                      const struct place_call *c)
{
    if (is_idler(x, y, 0) || is_idler(y, x, 0))
        return is_idler(x, y, 0);
    return placement_weight(c->key, x->id) > placement_weight(c->key, y->id);
}

/* The home of those in the class, when a new container may be started there. */
static int prefer_home(const struct place_host *hosts, const unsigned char *classes, size_t n,
                       const struct place_call *c, int best)
{
    int home = best;

    for (size_t i = 0; i < n; i++)
        if (classes[i] == classes[best] &&
            placement_weight(c->key, hosts[i].id) > placement_weight(c->key, hosts[home].id))
            home = (int)i;
    return is_idler(&hosts[best], &hosts[home], HOME_SLACK) ? best : home;
}

int placement_choose(const struct place_host *hosts, size_t n, const struct place_call *call)
{
    unsigned char classes[PLACE_HOSTS_MAX];
    bool starters[PLACE_HOSTS_MAX], fits = false;
    int best = -1;

    nr_check(n <= PLACE_HOSTS_MAX);
    find_starters(hosts, n, call, starters);
    for (size_t i = 0; i < n; i++) {
        fits = fits || hosts[i].fits;
        classes[i] = (unsigned char)class_of(&hosts[i], call, starters[i]);
        if (classes[i] == CLASS_NONE)
            continue;
        if (best < 0 || classes[i] < classes[best] ||
            (classes[i] == classes[best] && is_better(&hosts[i], &hosts[best], call)))
            best = (int)i;
    }
    if (best < 0)
        return fits ? PLACE_NONE : PLACE_UNFIT;
    return classes[best] >= CLASS_START ? prefer_home(hosts, classes, n, call, best) : best;
}
