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

/* How many of the hosts that start come before this one in the order of the function. */
static size_t rank_of(const struct place_host *hosts, size_t n, const struct place_call *c,
                      size_t at)
{
    uint64_t own = placement_weight(c->key, hosts[at].id);
    size_t rank = 0;

    for (size_t i = 0; i < n; i++)
        rank += i != at && hosts[i].fits && hosts[i].starts &&
                placement_weight(c->key, hosts[i].id) > own;
    return rank;
}

static enum place_class class_of(const struct place_host *hosts, size_t n,
                                 const struct place_call *c, size_t at)
{
    const struct place_host *h = &hosts[at];

    if (!h->fits)
        return CLASS_NONE;
    if (h->warm && h->load.ready > 0)
        return CLASS_WARM;
    if (!h->starts || (c->hosts_max > 0 && rank_of(hosts, n, c, at) >= c->hosts_max))
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
    int best = -1;
    bool fits = false;

    nr_check(n <= PLACE_HOSTS_MAX);
    for (size_t i = 0; i < n; i++) {
        fits = fits || hosts[i].fits;
        classes[i] = (unsigned char)class_of(hosts, n, call, i);
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

int placement_share(const struct place_host *hosts, size_t n, const struct place_call *call,
                    size_t at, int count)
{
    size_t sharers = 0, rank = rank_of(hosts, n, call, at);

    for (size_t i = 0; i < n; i++)
        sharers += hosts[i].fits && hosts[i].starts;
    if (call->hosts_max > 0 && sharers > call->hosts_max)
        sharers = call->hosts_max;
    if (count <= 0 || !hosts[at].fits || !hosts[at].starts || rank >= sharers)
        return 0;
    return count / (int)sharers + ((int)rank < count % (int)sharers);
}
