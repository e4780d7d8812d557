/* Addresses as people write them -> what the kernel takes. */
#include "common/net/address.h"

#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>
#include <uv.h>

#include "common/base/mem.h"
#include "common/base/str.h"

int nr_net_address(const char *address, struct sockaddr_storage *ret)
{
    const char *colon = strrchr(address, ':');
    size_t n = colon ? (size_t)(colon - address) : 0;
    char host[64];
    int64_t port;

    if (n >= 2 && address[0] == '[' && address[n - 1] == ']') {
        address++;
        n -= 2;
    }
    if (n == 0 || n >= sizeof(host) || !nr_str_to_i64(nr_str_of(colon + 1), 0, 65535, &port))
        return NR_EINVAL;
    memcpy(host, address, n);
    host[n] = '\0';
    if (uv_ip4_addr(host, (int)port, (struct sockaddr_in *)(void *)ret) == 0)
        return 0;
    return uv_ip6_addr(host, (int)port, (struct sockaddr_in6 *)(void *)ret) == 0 ? 0 : NR_EINVAL;
}

int nr_net_try_listen(const char *address, struct nr_err *err)
{
    struct sockaddr_storage a = {0};
    const int on = 1;

    if (nr_net_address(address, &a) < 0)
        return nr_err_set(
            err, NR_EINVAL,
            "cannot listen on '%s': it is not an address and a port, as 127.0.0.1:3233 or [::]:3233 is",
            address);
    socklen_t bytes =
        a.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    nr_auto_close int fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(fd, (const struct sockaddr *)&a, bytes) < 0 || listen(fd, 1) < 0)
        return nr_err_set(err, nr_err_from_errno(errno), "cannot listen on %s: %s", address,
                          uv_strerror(-errno));
    return 0;
}
