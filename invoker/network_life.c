/* The network as a whole, from its making to its removal.
 *
 * Every five seconds the bridge's ports are looked at: the container of a slot whose interface has gone is told of, and its slot counts as
 * lost. So are the rules while there are slots (every minute while there are none), line by line, and they are put back if somebody has
 * changed them: for that long the host is open to a function at most.
 *
 * Draining: slots that are being given back are waited for; then interfaces, bridge and rules go. With slots of containers that are left
 * for the next start all of it stays.
 */
#include <dirent.h>
#include <errno.h>
#include <net/if.h>

#include "common/base/clock.h"
#include "invoker/network_slot.h"

enum { LOOK_MS = 5000, CHECK_MS = 60000, TELL_MS = 60000 };

/* ---- looking --------------------------------------------------------------------------------------------------- */

/* No folder and yet a bridge: /sys tells about another network namespace than ours, and nothing is known. */
static void read_ports(struct network *n)
{
    char path[64], prefix[LINK_NAME_BYTES];
    const struct dirent *e;
    unsigned index;

    (void)snprintf(path, sizeof(path), "/sys/class/net/%s/brif", n->firewall.bridge);
    (void)snprintf(prefix, sizeof(prefix), "n%s-", n->firewall.tag);
    memset(n->present, 0, sizeof(n->present));
    DIR *d = opendir(path);

    n->no_verdict = d == NULL && if_nametoindex(n->firewall.bridge) != 0;
    while (d && (e = readdir(d)) != NULL)
        if (strncmp(e->d_name, prefix, strlen(prefix)) == 0 &&
            (index = (unsigned)strtoul(e->d_name + strlen(prefix), NULL, 10)) <= NET_INDEX_MAX)
            n->present[index] = true;
    if (d)
        (void)closedir(d);
}

static void look_work(struct engine_worker *w, struct engine_job *j)
{
    struct network *n = nr_container_of(j, struct network, look);

    (void)w;
    n->look_err = (struct nr_err){0};
    n->put_back = false;
    read_ports(n);
    if (!n->with_rules)
        return;
    (void)pthread_mutex_lock(&n->firewall_lock);
    n->put_back = firewall_install(&n->firewall, false, &n->look_err) == 1;
    (void)pthread_mutex_unlock(&n->firewall_lock);
    if (if_nametoindex(n->firewall.bridge) == 0 && n->look_err.code == 0)
        (void)network_link_bridge(n->firewall.bridge, n->firewall.subnet, &n->look_err);
}

static void on_looked(struct engine_job *j)
{
    struct network *n = nr_container_of(j, struct network, look);

    n->looking = false;
    if (n->look_err.code != 0)
        nr_log(n->v->log, NR_LOG_WARN, "invoker", "the rules of %s could not be looked at: %s",
               n->firewall.bridge, n->look_err.text);
    if (n->put_back && n->v->loop->now_ms >= n->tell_ms) {
        nr_log(n->v->log, NR_LOG_WARN, "invoker",
               "somebody changed the firewall rules of %s; they have been put back",
               n->firewall.bridge);
        n->tell_ms = n->v->loop->now_ms + TELL_MS;
    }
    NR_LIST_EACH(&n->slots, l) {
        struct net_slot *s = net_slot_of(l);
        struct net_user *u = s->user;

        if (n->stopping || n->no_verdict || !s->looked_for || n->present[s->index] || u == NULL)
            continue;
        nr_log(n->v->log, NR_LOG_WARN, "invoker", "network slot %s has lost its interface",
               s->name);
        s->user = NULL;
        u->lost(u);
    }
    network_end_if_empty(n);
}

void network_look(struct network *n, bool with_rules)
{
    NR_LIST_EACH(&n->slots, l)
        net_slot_of(l)->looked_for = net_slot_of(l)->plugged;
    n->looking = true;
    n->with_rules = with_rules;
    n->look = (struct engine_job){.rank = RANK_RULES, .work = look_work, .done = on_looked};
    engine_submit(n->v->engine, &n->look);
}

static void on_tidy(struct nr_deadline *d)
{
    struct network *n = nr_container_of(d, struct network, tidy);
    uint64_t now = n->v->loop->now_ms;
    /* the grants of another process's slots are not ours to judge */
    bool with_rules = !n->v->beside && (n->total > 0 || now - n->checked_ms >= CHECK_MS);

    nr_deadline_set(n->v->loop, &n->tidy, LOOK_MS);
    if (n->looking)
        return;
    if (with_rules)
        n->checked_ms = now;
    network_look(n, with_rules);
}

void network_begin(struct network *n)
{
    n->tidy.fire = on_tidy;
    n->checked_ms = n->v->loop->now_ms;
    nr_deadline_set(n->v->loop, &n->tidy, LOOK_MS);
}

/* ---- the end --------------------------------------------------------------------------------------------------- */

int network_remove_all(const struct firewall *f, struct nr_err *err)
{
    char prefix[LINK_NAME_BYTES];

    (void)snprintf(prefix, sizeof(prefix), "n%s-", f->tag);
    int r = network_link_remove_all(prefix, err);

    if (r == 0)
        r = network_link_remove(f->bridge, err);
    return r == 0 ? firewall_remove(f, err) : r;
}

static void end_work(struct engine_worker *w, struct engine_job *j)
{
    struct network *n = nr_container_of(j, struct network, look);

    (void)w;
    n->look_err = (struct nr_err){0};
    (void)network_remove_all(&n->firewall, &n->look_err);
}

static void on_ended(struct engine_job *j)
{
    struct network *n = nr_container_of(j, struct network, look);

    if (n->look_err.code != 0)
        nr_log(n->v->log, NR_LOG_WARN, "invoker", "%s is not all gone: %s", n->firewall.bridge,
               n->look_err.text);
    n->closed(n->closed_arg);
}

void network_end_if_empty(struct network *n)
{
    if (!n->stopping || n->done || n->looking || n->count[NET_RETURNING] > 0)
        return;
    n->done = true;
    if (n->total > 0 || n->v->beside) {
        n->closed(n->closed_arg);
        return;
    }
    n->look = (struct engine_job){.rank = RANK_RULES, .work = end_work, .done = on_ended};
    engine_submit(n->v->engine, &n->look);
}

/* A slot whose rules could not be cleared is not waited for: they go with all the others. */
void network_drain(struct network *n, void (*closed)(void *arg), void *arg)
{
    n->closed = closed;
    n->closed_arg = arg;
    n->stopping = true;
    nr_deadline_cancel(&n->tidy);
    NR_LIST_EACH(&n->slots, l) {
        struct net_slot *s = net_slot_of(l);

        if (nr_deadline_armed(&s->again)) {
            nr_deadline_cancel(&s->again);
            engine_submit(n->v->engine, &s->clear);
        }
    }
    network_end_if_empty(n);
}

void network_free(struct network *n)
{
    if (n == NULL)
        return;
    nr_deadline_cancel(&n->tidy);
    NR_LIST_EACH(&n->slots, l) {
        nr_list_del(l);
        free(net_slot_of(l));
    }
    (void)pthread_mutex_destroy(&n->firewall_lock);
    firewall_fini(&n->firewall);
    free(n->resolv_path);
    free(n);
}

void network_status(const struct network *n, struct nr_buf *out)
{
    char text[SUBNET_TEXT_BYTES];

    nr_buf_printf(out,
                  "{\"bridge\":\"%s\",\"subnet\":\"%s\",\"slots\":{\"used\":%u,\"returning\":%u}",
                  n->firewall.bridge, subnet_text(n->firewall.subnet, text), n->count[NET_USED],
                  n->count[NET_RETURNING]);
    nr_buf_adds(out, ",\"resolvers\":[");
    for (unsigned i = 0; i < n->firewall.resolver_count; i++)
        nr_buf_printf(out, "%s\"%s\"", i ? "," : "",
                      subnet_text((struct subnet){n->firewall.resolvers[i], 32}, text));
    nr_buf_adds(out, "]}");
}
