/* Frames in and out of a slot's connection, with the interpreter's lock released while they are waited for. Main thread of the launcher. */
#ifndef NARAE_PYTHON_CONNECTION_H
#define NARAE_PYTHON_CONNECTION_H

#include <stddef.h>
#include <sys/uio.h>

#include "wire.h"

#define READ_BYTES (64 << 10)

/* Memory for frames, kept from call to call; a larger frame has its own until connection_drop(). */
struct connection {
    char *large; /* NULL: none */
    char buffer[READ_BYTES];
};

/* Reads one frame. 1: *ret_payload is lent until connection_drop(); 0: the connection has ended, or what came is nothing that the host
 * sends; -1: a signal's handler raised, or there is no memory (the exception is set). */
int connection_read(struct connection *c, int fd, struct wire_frame *ret_head, char **ret_payload);
/* Forgets the frame that was read. */
void connection_drop(struct connection *c);
/* Sends everything, or as much as the host still takes: that it is gone shows at the next read. parts are lent, and changed. */
void connection_write(int fd, struct iovec *parts, size_t count);

#endif
