/* Slots: taken, plugged in, given back. How the network as a whole lives is told in network_life.c.
 *
 * Plugging in trusts nobody's word for whose namespace it is: the process is held by a descriptor of its own, the kernel must place it in
 * the container's control group, and it must still be the same process when its namespace has been opened. From then on that
 * namespace, not the process, is what is worked on.
 */
#include "invoker/network.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "invoker/network_slot.h"
#include "ports/grants.h"

enum { PATH_BYTES = 64 };

/* ---- taking ---------------------------------------------------------------------------------------------------- */

static void link_name(const struct network *n, unsigned index, char out[LINK_NAME_BYTES])
{
    (void)snprintf(out, LINK_NAME_BYTES, "n%s-%u", n->firewall.tag, index % 10000);
}

struct net_slot *network_add_slot(struct network *n, unsigned index, struct net_user *u)
{
    struct net_slot *s = nr_alloc(sizeof(*s));

    nr_check(index >= 1 && index <= NET_INDEX_MAX && !n->taken[index]);
    s->n = n;
    s->index = index;
    s->user = u;
    s->address = n->firewall.subnet.address + 1 + index;
    (void)subnet_text((struct subnet){s->address, 32}, s->name);
    link_name(n, index, s->link);
    n->taken[index] = true;
    n->count[NET_USED]++;
    n->total++;
    nr_list_add(&n->slots, &s->link_all);
    return s;
}

/* Has another process of this installation a container there? */
static bool is_foreign(const struct network *n, unsigned index)
{
    char name[LINK_NAME_BYTES];

    if (!n->v->beside)
        return false;
    link_name(n, index, name);
    return if_nametoindex(name) != 0;
}

/* Addresses go round, so that what is still on its way to the last user of one finds nobody for long. */
struct net_slot *net_slot_take(struct network *n, struct net_user *u, struct nr_err *err)
{
    if (n->stopping || n->total >= NET_SLOTS_MAX) {
        (void)nr_err_set(err, n->stopping ? NR_ESTOPPING : NR_EBUSY,
                         n->stopping ? "the invoker is stopping"
                                     : "all network slots of this host are in use");
        return NULL;
    }
    do
        n->next_index = n->next_index % NET_INDEX_MAX + 1;
    while (n->taken[n->next_index] || is_foreign(n, n->next_index));
    return network_add_slot(n, n->next_index, u);
}

struct net_slot *net_slot_adopt(struct network *n, const char *name, struct net_user *u)
{
    const struct subnet *own = &n->firewall.subnet;
    struct subnet s;

    if (!subnet_read(nr_str_of(name), &s) || s.prefix != 32 || !subnet_has(*own, s.address))
        return NULL;
    uint32_t index = s.address - own->address - 1;

    if (s.address < own->address + 2 || index > NET_INDEX_MAX || n->taken[index])
        return NULL;
    return network_add_slot(n, index, u);
}

/* ---- plugging in ----------------------------------------------------------------------------------------------- */

static bool has_ended(int pidfd)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};

    return poll(&p, 1, 0) != 0;
}

static bool is_our_own(int namespace_fd)
{
    struct stat theirs, ours;

    return fstat(namespace_fd, &theirs) < 0 || stat("/proc/self/ns/net", &ours) < 0 ||
           (theirs.st_ino == ours.st_ino && theirs.st_dev == ours.st_dev);
}

/* *ret_fd: made. */
static int open_namespace(const struct net_slot *s, pid_t pid, const char *container_id,
                          int *ret_fd, struct nr_err *err)
{
    char path[PATH_BYTES];
    nr_auto_close int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

    (void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
    nr_auto_close int fd = pidfd < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return nr_err_set(err, NR_EUNAVAIL, "the network namespace of process %d: %s", (int)pid,
                          strerror(errno));
    if (!s->n->v->peer.inside(pid, container_id) || has_ended(pidfd) || is_our_own(fd))
        return nr_err_set(err, NR_EUNAVAIL, "process %d is not seen inside container %.12s",
                          (int)pid, container_id);
    *ret_fd = nr_steal_fd(&fd);
    return 0;
}

uint32_t network_open_api(struct network *n, uint32_t address, uint16_t port)
{
    uint32_t to = address ? address : n->firewall.subnet.address + 1;

    n->firewall.api = (struct firewall_target){{to, 32}, port, false};
    return to;
}

static bool calls_api(const struct net_slot *s, const struct function *fn)
{
    return fn && fn->provide_api_key && s->n->firewall.api.port != 0;
}

bool net_slot_needs_rules(const struct net_slot *s, const struct function *fn)
{
    return calls_api(s, fn) || (fn && fn->grants && fn->grants->egress_count > 0);
}

int net_slot_grant(struct net_slot *s, const struct function *fn, struct nr_err *err)
{
    if (!s->granted && !net_slot_needs_rules(s, fn))
        return 0;
    struct firewall_target targets[FIREWALL_ADDRESSES_MAX];
    size_t count = firewall_targets(&s->n->firewall, fn ? fn->grants : NULL,
                                    targets); /* may take long: not under the lock */

    if (calls_api(s, fn)) /* in place of the last of very many */
        targets[count < nr_countof(targets) ? count++ : count - 1] = s->n->firewall.api;
    s->granted = true;
    (void)pthread_mutex_lock(&s->n->firewall_lock);
    int r = firewall_grant(&s->n->firewall, s->index, s->address, targets, count, err);

    (void)pthread_mutex_unlock(&s->n->firewall_lock);
    return r;
}

int net_slot_plug(struct net_slot *s, pid_t pid, const char *container_id,
                  const struct function *fn, struct nr_err *err)
{
    const struct firewall *f = &s->n->firewall;
    nr_auto_close int fd = -1;
    int r = open_namespace(s, pid, container_id, &fd, err);

    if (r == 0)
        r = net_slot_grant(s, fn, err);
    if (r == 0)
        r = network_link_plug(f->bridge, s->link, fd, s->address, f->subnet, err);
    s->plugged = r == 0;
    return r;
}

/* ---- giving back ----------------------------------------------------------------------------------------------- */

static void free_slot(struct net_slot *s)
{
    struct network *n = s->n;

    n->taken[s->index] = false;
    n->count[s->state]--;
    n->total--;
    nr_list_del(&s->link_all);
    nr_deadline_cancel(&s->again);
    free(s);
}

static void clear_work(struct engine_worker *w, struct engine_job *j)
{
    struct net_slot *s = nr_container_of(j, struct net_slot, clear);

    (void)w;
    s->err = (struct nr_err){0};
    (void)net_slot_grant(s, NULL, &s->err);
}

static void on_again(struct nr_deadline *d)
{
    struct net_slot *s = nr_container_of(d, struct net_slot, again);

    engine_submit(s->n->v->engine, &s->clear);
}

/* While its rules are there nobody else gets its address; a network that is ending takes all rules. */
static void on_cleared(struct engine_job *j)
{
    struct net_slot *s = nr_container_of(j, struct net_slot, clear);
    struct network *n = s->n;

    if (s->err.code != 0 && !n->stopping) {
        nr_log(n->v->log, NR_LOG_WARN, "invoker", "rules of network slot %s are still there: %s",
               s->name, s->err.text);
        s->again.fire = on_again;
        nr_deadline_set(n->v->loop, &s->again, RETRY_MS);
        return;
    }
    free_slot(s);
    network_end_if_empty(n);
}

static void move(struct net_slot *s, enum net_state to)
{
    nr_check(s->state == NET_USED);
    s->n->count[s->state]--;
    s->n->count[to]++;
    s->state = to;
    s->user = NULL;
}

void net_slot_return(struct net_slot *s)
{
    struct network *n = s->n;

    nr_check(s->state == NET_USED);
    s->user = NULL;
    if (n->done)
        return;
    if (!s->granted) {
        free_slot(s);
        network_end_if_empty(n);
        return;
    }
    move(s, NET_RETURNING);
    s->clear = (struct engine_job){.rank = RANK_RULES, .work = clear_work, .done = on_cleared};
    engine_submit(n->v->engine, &s->clear);
}

void net_slot_leave(struct net_slot *s)
{
    move(s, NET_LEFT);
}

const char *net_slot_name(const struct net_slot *s)
{
    return s->name;
}

const char *network_resolv_path(const struct network *n)
{
    return n->resolv_path;
}
