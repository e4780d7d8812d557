/* Addresses as people write them -> what the kernel takes. No names: nothing here asks a resolver. Private to common/net but for
 * nr_net_try_listen().
 */
#ifndef NR_COMMON_NET_ADDRESS_H
#define NR_COMMON_NET_ADDRESS_H

#include <sys/socket.h>

#include "common/base/err.h"

/* "host:port" or "[host]:port"; NR_EINVAL when it is neither. */
int nr_net_address(const char *address, struct sockaddr_storage *ret);

/* Could somebody listen there now? 0, or the error with the sentence of nr_http_listen(). For a start that wants to know before it does
 * anything else; port 0 is always free. */
int nr_net_try_listen(const char *address, struct nr_err *err);

#endif
