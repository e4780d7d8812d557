/* Netlink by hand: a request is built in a buffer, sent, and the kernel's verdict is read.
 *
 * The bridge's ports are isolated (the kernel forwards nothing between two isolated ports, not even ARP), and neither the bridge nor
 * its ports nor the containers' ends have IPv6. What comes in from a port can only go to the bridge's own address or be routed, and
 * both are the firewall's business.
 */
#include "invoker/network_link.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/mem.h"

enum { REQUEST_BYTES = 512, REPLY_BYTES = 4096, PATH_BYTES = 96 };

/* ---- requests ----------------------------------------------------------------------------------------------- */

struct request {
    union {
        struct nlmsghdr head;
        char bytes[REQUEST_BYTES];
    };
};

static void *begin(struct request *q, int type, int flags, size_t body_bytes)
{
    memset(q, 0, sizeof(*q));
    q->head.nlmsg_len = (uint32_t)NLMSG_LENGTH(body_bytes);
    q->head.nlmsg_type = (uint16_t)type;
    q->head.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    q->head.nlmsg_seq = 1;
    return NLMSG_DATA(&q->head);
}

/* Room at the end of the request. All requests are of our own making and known to fit. */
static void *room(struct request *q, size_t bytes)
{
    uint32_t at = (uint32_t)NLMSG_ALIGN(q->head.nlmsg_len);

    nr_check(at + RTA_ALIGN(bytes) <= sizeof(q->bytes));
    q->head.nlmsg_len = at + (uint32_t)RTA_ALIGN(bytes);
    return q->bytes + at;
}

static struct rtattr *put(struct request *q, int type, const void *value, size_t n)
{
    struct rtattr *a = room(q, RTA_LENGTH(n));

    a->rta_type = (uint16_t)type;
    a->rta_len = (uint16_t)RTA_LENGTH(n);
    if (n > 0)
        memcpy(RTA_DATA(a), value, n);
    return a;
}

static void put_text(struct request *q, int type, const char *text)
{
    (void)put(q, type, text, strlen(text) + 1);
}

static void put_u32(struct request *q, int type, uint32_t value)
{
    (void)put(q, type, &value, sizeof(value));
}

/* Closes what `nest` opened: all that was put since is inside. */
static void nested(struct request *q, struct rtattr *nest)
{
    nest->rta_len = (uint16_t)(q->bytes + q->head.nlmsg_len - (char *)nest);
}

/* Sends it in the network namespace of the calling thread. 0 or -errno. */
static int send_request(const struct request *q)
{
    union {
        struct nlmsghdr head;
        char bytes[REPLY_BYTES];
    } reply;
    nr_auto_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    if (fd < 0 || send(fd, q->bytes, q->head.nlmsg_len, 0) < 0)
        return -errno;
    ssize_t n = recv(fd, reply.bytes, sizeof(reply.bytes), 0);

    if (n < (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)) || reply.head.nlmsg_type != NLMSG_ERROR)
        return n < 0 ? -errno : -EPROTO;
    return ((const struct nlmsgerr *)NLMSG_DATA(&reply.head))->error;
}

/* The index of an interface in the calling thread's namespace; 0: there is none. */
static int index_of(const char *name)
{
    struct ifreq r = {0};
    nr_auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
    return fd >= 0 && ioctl(fd, SIOCGIFINDEX, &r) == 0 ? r.ifr_ifindex : 0;
}

/* ---- steps -------------------------------------------------------------------------------------------------- */

static int set_up(const char *name)
{
    struct request q;
    struct ifinfomsg *m = begin(&q, RTM_NEWLINK, 0, sizeof(*m));

    m->ifi_index = index_of(name);
    m->ifi_flags = m->ifi_change = IFF_UP;
    return m->ifi_index ? send_request(&q) : -ENODEV;
}

static int add_address(const char *name, uint32_t address, uint8_t prefix)
{
    struct request q;
    struct ifaddrmsg *m = begin(&q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(*m));
    uint32_t wire = htobe32(address);

    m->ifa_family = AF_INET;
    m->ifa_prefixlen = prefix;
    m->ifa_index = (uint32_t)index_of(name);
    (void)put(&q, IFA_LOCAL, &wire, sizeof(wire));
    (void)put(&q, IFA_ADDRESS, &wire, sizeof(wire));
    return send_request(&q);
}

static int add_default_route(uint32_t gateway)
{
    struct request q;
    struct rtmsg *m = begin(&q, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof(*m));
    uint32_t wire = htobe32(gateway);

    m->rtm_family = AF_INET;
    m->rtm_table = RT_TABLE_MAIN;
    m->rtm_protocol = RTPROT_BOOT;
    m->rtm_type = RTN_UNICAST;
    (void)put(&q, RTA_GATEWAY, &wire, sizeof(wire));
    return send_request(&q);
}

/* An address of its own, from its name: left to itself a bridge takes the lowest of its ports', and whoever had asked for it sends into the
 * void whenever a port comes or goes. */
static void put_own_address(struct request *q, const char *name)
{
    uint32_t hash = 2166136261U;
    uint8_t address[6] = {0x02, 0x4e}; /* locally administered, one station */

    for (const char *p = name; *p; p++)
        hash = (hash ^ (uint8_t)*p) * 16777619U;
    memcpy(address + 2, &hash, sizeof(hash));
    (void)put(q, IFLA_ADDRESS, address, sizeof(address));
}

static int add_bridge(const char *name)
{
    struct request q;

    (void)begin(&q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
    put_text(&q, IFLA_IFNAME, name);
    put_own_address(&q, name);
    struct rtattr *info = put(&q, IFLA_LINKINFO, NULL, 0);

    put_text(&q, IFLA_INFO_KIND, "bridge");
    nested(&q, info);
    return send_request(&q);
}

/* A pair: `link` here, eth0 in the namespace. */
static int add_pair(const char *link, int namespace_fd)
{
    struct request q;

    (void)begin(&q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
    put_text(&q, IFLA_IFNAME, link);
    struct rtattr *info = put(&q, IFLA_LINKINFO, NULL, 0);

    put_text(&q, IFLA_INFO_KIND, "veth");
    struct rtattr *data = put(&q, IFLA_INFO_DATA, NULL, 0);
    struct rtattr *peer = put(&q, VETH_INFO_PEER, NULL, 0);

    memset(room(&q, sizeof(struct ifinfomsg)), 0, sizeof(struct ifinfomsg));
    put_text(&q, IFLA_IFNAME, "eth0");
    put_u32(&q, IFLA_NET_NS_FD, (uint32_t)namespace_fd);
    nested(&q, peer);
    nested(&q, data);
    nested(&q, info);
    return send_request(&q);
}

static int join_bridge(const char *link, const char *bridge)
{
    struct request q;
    struct ifinfomsg *m = begin(&q, RTM_NEWLINK, 0, sizeof(*m));

    m->ifi_index = index_of(link);
    put_u32(&q, IFLA_MASTER, (uint32_t)index_of(bridge));
    return send_request(&q);
}

static int isolate_port(const char *link)
{
    static const uint8_t on = 1;
    struct request q;
    struct ifinfomsg *m = begin(&q, RTM_NEWLINK, 0, sizeof(*m));

    m->ifi_index = index_of(link);
    struct rtattr *info = put(&q, IFLA_LINKINFO, NULL, 0);

    put_text(&q, IFLA_INFO_SLAVE_KIND, "bridge");
    struct rtattr *data = put(&q, IFLA_INFO_SLAVE_DATA, NULL, 0);

    (void)put(&q, IFLA_BRPORT_ISOLATED, &on, sizeof(on));
    nested(&q, data);
    nested(&q, info);
    return send_request(&q);
}

/* In the calling thread's namespace; a kernel without IPv6 has nothing to switch off. */
static int without_ipv6(const char *name)
{
    char path[PATH_BYTES];

    (void)snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
    nr_auto_close int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    return write(fd, "1", 1) == 1 ? 0 : -errno;
}

/* ---- the bridge --------------------------------------------------------------------------------------------- */

static int failed(struct nr_err *err, const char *what, const char *name, int r)
{
    return nr_err_set(err, NR_EUNAVAIL, "%s %s: %s", what, name, strerror(-r));
}

int network_link_bridge(const char *name, struct subnet subnet, struct nr_err *err)
{
    int r = add_bridge(name);

    if (r < 0 && r != -EEXIST)
        return failed(err, "cannot make the bridge", name, r);
    r = without_ipv6(name);
    if (r < 0)
        return failed(err, "cannot switch IPv6 off on the bridge", name, r);
    r = add_address(name, subnet.address + 1, subnet.prefix);
    if (r < 0 && r != -EEXIST)
        return failed(err, "cannot give an address to the bridge", name, r);
    r = set_up(name);
    return r < 0 ? failed(err, "cannot set up the bridge", name, r) : 0;
}

int network_link_remove(const char *name, struct nr_err *err)
{
    struct request q;
    struct ifinfomsg *m = begin(&q, RTM_DELLINK, 0, sizeof(*m));

    m->ifi_index = index_of(name);
    int r = m->ifi_index ? send_request(&q) : 0;

    return r < 0 && r != -ENODEV ? failed(err, "cannot remove the interface", name, r) : 0;
}

int network_link_remove_all(const char *prefix, struct nr_err *err)
{
    struct if_nameindex *all = if_nameindex();
    int r = all ? 0 : failed(err, "cannot list the interfaces", prefix, -errno);

    for (const struct if_nameindex *i = all; i && i->if_index != 0 && r == 0; i++)
        if (strncmp(i->if_name, prefix, strlen(prefix)) == 0)
            r = network_link_remove(i->if_name, err);
    if (all)
        if_freenameindex(all);
    return r;
}

/* ---- a container's end -------------------------------------------------------------------------------------- */

/* What is done inside; the thread is in the container's namespace. */
static int configure_inside(uint32_t address, struct subnet subnet)
{
    int r = without_ipv6("eth0");

    if (r == 0)
        r = add_address("eth0", address, subnet.prefix);
    if (r == 0)
        r = set_up("eth0");
    return r < 0 ? r : add_default_route(subnet.address + 1);
}

static int inside(int namespace_fd, uint32_t address, struct subnet subnet)
{
    nr_auto_close int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

    if (home < 0 || setns(namespace_fd, CLONE_NEWNET) < 0)
        return -errno;
    int r = configure_inside(address, subnet);

    nr_check(setns(home, CLONE_NEWNET) == 0); /* a thread in a foreign namespace must not go on */
    return r;
}

int network_link_plug(const char *bridge, const char *link, int namespace_fd, uint32_t address,
                      struct subnet subnet, struct nr_err *err)
{
    int r = network_link_remove(link, err);

    if (r < 0)
        return r;
    r = add_pair(link, namespace_fd);
    if (r < 0)
        return failed(err, "cannot make the interface", link, r);
    r = without_ipv6(link);
    if (r == 0)
        r = join_bridge(link, bridge);
    if (r == 0)
        r = isolate_port(link); /* before it is up: never a moment without */
    if (r == 0)
        r = inside(namespace_fd, address, subnet);
    if (r == 0)
        r = set_up(link);
    if (r < 0)
        (void)network_link_remove(link, NULL);
    return r < 0 ? failed(err, "cannot connect the interface", link, r) : 0;
}

/* A socket that belongs to that namespace, wherever it is used from; or -errno. */
static int socket_inside(int namespace_fd)
{
    nr_auto_close int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

    if (home < 0 || setns(namespace_fd, CLONE_NEWNET) < 0)
        return -errno;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int r = fd < 0 ? -errno : fd;

    nr_check(setns(home, CLONE_NEWNET) == 0);
    return r;
}

int network_link_dial(int namespace_fd, uint32_t address, uint16_t port, int timeout_ms)
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htobe16(port), .sin_addr.s_addr = htobe32(address)};
    int error = 0;
    socklen_t n = sizeof(error);
    nr_auto_close int fd = socket_inside(namespace_fd);
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    if (fd < 0)
        return fd;
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return -errno;
    if (poll(&p, 1, timeout_ms) != 1)
        return -ETIMEDOUT;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0 ? -errno : -error;
}
