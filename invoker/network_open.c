/* Making the network at start, trying it, and removing it where nobody wants it. Blocking.
 *
 * In this order: what the host must have, a subnet, the resolvers' file, the rules, the bridge; and once there is a container, that of the
 * probe, it is plugged in and calls the host. What fails leaves nothing behind.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "invoker/network_slot.h"

enum { ROUTES_MAX = 1024, FILE_MAX_BYTES = 1 << 20, TAG_BYTES = 8, TRY_MS = 2000 };

/* ---- what the host has ----------------------------------------------------------------------------------------- */

static int need_forwarding(struct nr_err *err)
{
    nr_auto_free char *text = NULL;
    size_t n = 0;
    int r = nr_file_read("/proc/sys/net/ipv4/ip_forward", 16, &text, &n, err);

    return r < 0 || text[0] == '1'
               ? r
               : nr_err_set(err, NR_EUNAVAIL,
                            "this host forwards no packets (sysctl net.ipv4.ip_forward=1)");
}

/* The host's resolvers; those of systemd-resolved's own file when the first one names only a forwarder on this host. */
static void find_resolvers(struct firewall *f)
{
    static const char *const files[] = {"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"};

    for (size_t i = 0; i < nr_countof(files) && f->resolver_count == 0; i++) {
        nr_auto_free char *text = NULL;
        size_t n = 0;

        if (nr_file_read(files[i], FILE_MAX_BYTES, &text, &n, NULL) == 0)
            f->resolver_count = firewall_resolvers((struct nr_str){text, n}, f->resolvers);
    }
}

/* No search domain of the host's, and nothing else of its file. */
static int write_resolvers(struct network *n, struct nr_err *err)
{
    char text[256] = "", address[SUBNET_TEXT_BYTES];
    size_t at = 0;

    for (unsigned i = 0; i < n->firewall.resolver_count; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "nameserver %s\n",
                               subnet_text((struct subnet){n->firewall.resolvers[i], 32}, address));
    (void)snprintf(text + at, sizeof(text) - at, "options timeout:2 attempts:2\n");
    return nr_file_write(n->v->run_dir, "resolv.conf", nr_str_of(text), 0644, err);
}

/* The bridge's own one when it is still there. */
static int find_subnet(struct firewall *f, struct nr_err *err)
{
    struct subnet taken[ROUTES_MAX + RESOLVERS_MAX], own;
    nr_auto_free char *text = NULL;
    size_t n = 0;
    int r = nr_file_read("/proc/net/route", FILE_MAX_BYTES, &text, &n, err);

    if (r < 0)
        return r;
    n = subnet_routes((struct nr_str){text, n}, f->bridge, taken, ROUTES_MAX, &own);
    for (unsigned i = 0; i < f->resolver_count; i++)
        taken[n++] = (struct subnet){f->resolvers[i], 32};
    if (own.prefix == SUBNET_PREFIX) {
        f->subnet = own;
        return 0;
    }
    return subnet_choose((uint32_t)strtoul(f->tag, NULL, 16), taken, n, &f->subnet)
               ? 0
               : nr_err_set(err, NR_EUNAVAIL, "no free subnet in 10.192.0.0/10");
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

static struct network *network_make(struct invoker *v)
{
    struct network *n = nr_alloc(sizeof(*n));
    size_t bytes = strlen(v->run_dir) + sizeof("/resolv.conf");
    unsigned char random[2];

    n->v = v;
    nr_random(random, sizeof(random));
    n->next_index = (random[0] << 8 | random[1]) % NET_INDEX_MAX;
    n->resolv_path = nr_alloc(bytes);
    (void)snprintf(n->resolv_path, bytes, "%s/resolv.conf", v->run_dir);
    (void)snprintf(n->firewall.tag, sizeof(n->firewall.tag), "%.*s", TAG_BYTES, v->installation);
    (void)snprintf(n->firewall.bridge, sizeof(n->firewall.bridge), "nr-%s", n->firewall.tag);
    nr_list_init(&n->slots);
    nr_check(pthread_mutex_init(&n->firewall_lock, NULL) == 0);
    return n;
}

static int build(struct network *n, struct nr_err *err)
{
    struct firewall *f = &n->firewall;
    int r = need_forwarding(err);

    if (r < 0)
        return r;
    find_resolvers(f);
    r = find_subnet(f, err);
    if (r == 0)
        r = write_resolvers(n, err);
    if (r == 0)
        r = firewall_install(f, !n->v->beside, err);
    r = r > 0 ? 0 : r;
    if (r == 0 && !n->v->beside)
        r = firewall_forget_grants(f, err);
    return r == 0 ? network_link_bridge(f->bridge, f->subnet, err) : r;
}

int network_open(struct invoker *v, struct network **ret, struct nr_err *err)
{
    struct network *n = network_make(v);
    int r = build(n, err);

    if (r < 0) {
        network_undo(n);
        return r;
    }
    network_begin(n);
    *ret = n;
    return 0;
}

void network_undo(struct network *n)
{
    struct nr_err err = {0};

    if (n == NULL)
        return;
    if (!n->v->beside && (if_nametoindex(n->firewall.bridge) != 0 || firewall_there(&n->firewall)))
        (void)network_remove_all(&n->firewall, &err);
    if (err.code != 0)
        nr_log(n->v->log, NR_LOG_WARN, "invoker",
               "the network of this installation is not all gone: %s", err.text);
    network_free(n);
}

void network_sweep(struct invoker *v)
{
    network_undo(network_make(v));
}

/* ---- trying ---------------------------------------------------------------------------------------------------- */

/* A port of the host that listens where containers see the host. */
static int listen_at_gateway(const struct firewall *f, uint16_t *ret_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(f->subnet.address + 1)};
    socklen_t bytes = sizeof(at);
    nr_auto_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 1) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &bytes) < 0)
        return -1;
    *ret_port = ntohs(at.sin_port);
    return nr_steal_fd(&fd);
}

/* Refused although somebody listens: there is a way to the host, and the firewall stands in it. */
static int call_the_host(const struct network *n, pid_t pid, struct nr_err *err)
{
    const struct firewall *f = &n->firewall;
    char path[64];
    uint16_t port = 0;
    nr_auto_close int listener = listen_at_gateway(f, &port);

    (void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
    nr_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (listener < 0 || fd < 0)
        return nr_err_set(err, NR_EUNAVAIL, "the bridge could not be tried: %s", strerror(errno));
    int r = network_link_dial(fd, f->subnet.address + 1, port, TRY_MS);

    if (r == -ECONNREFUSED)
        return 0;
    return r == 0 ? nr_err_set(
                        err, NR_EUNAVAIL,
                        "the host's firewall lets containers reach the host in spite of our rules")
                  : nr_err_set(err, NR_EUNAVAIL,
                               "a container's packets do not come as far as the host: %s",
                               strerror(-r));
}

int network_try(struct network *n, pid_t pid, const char *container_id, struct nr_err *err)
{
    struct net_slot *s = net_slot_take(n, NULL, err);
    int r = s ? net_slot_plug(s, pid, container_id, NULL, err) : NR_EUNAVAIL;

    if (r == 0)
        r = call_the_host(n, pid, err);
    if (s) {
        (void)network_link_remove(s->link, NULL);
        net_slot_return(s);
    }
    return r;
}
