/* Addresses as people write them -> what the kernel takes. */
#include "common/net/address.h"

#include <netinet/in.h>
#include <uv.h>

#include "common/base/err.h"
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
