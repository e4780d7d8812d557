/* Addresses as people write them -> what the kernel takes. No names: nothing here asks a resolver. Private to common/net.
 */
#ifndef NR_COMMON_NET_ADDRESS_H
#define NR_COMMON_NET_ADDRESS_H

#include <sys/socket.h>

/* "host:port" or "[host]:port"; NR_EINVAL when it is neither. */
int nr_net_address(const char *address, struct sockaddr_storage *ret);

#endif
