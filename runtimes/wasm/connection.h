/* Frames in and out of a slot's connection. Blocking; the launcher has one thread. */
#ifndef NARAE_WASM_CONNECTION_H
#define NARAE_WASM_CONNECTION_H

#include <stddef.h>
#include <sys/uio.h>

#include "wire.h"

/* Memory for frames, kept from call to call. Zeroed: none yet. */
struct connection {
    char *bytes;
    size_t capacity;
};

/* Reads one frame. 1: *ret_payload is lent until the next one; 0: the connection has ended, or what came is nothing that
 * the host sends. Ends the process where there is no memory for it. */
int connection_read(struct connection *c, int fd, struct wire_frame *ret_head,
                    const char **ret_payload);
/* Sends everything, or as much as the host still takes: that it is gone shows at the next read. parts are lent, and
 * changed. */
void connection_write(int fd, struct iovec *parts, size_t count);

#endif
