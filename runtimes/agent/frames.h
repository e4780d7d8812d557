/* Frames in and out of one connection, without ever blocking.
 *
 * An inbox collects bytes until a whole frame is there; an outbox is a list of chunks of whole frames that goes out as
 * fast as the peer takes it. The layout of a frame is ports/frames.h.
 */
#ifndef NARAE_AGENT_FRAMES_H
#define NARAE_AGENT_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ports/frames.h"

struct inbox {
    char *bytes; /* NULL until the first read */
    size_t filled;
    size_t capacity;
    int passed_fd; /* descriptor that came with the bytes, -1: none */
};

/* A piece of memory with one or more whole frames in it. */
struct chunk {
    struct chunk *next;
    size_t size; /* bytes that are to be sent */
    size_t sent;
    char bytes[];
};

struct outbox {
    struct chunk *first;
    struct chunk *last;
};

void inbox_init(struct inbox *in);
/* Frees the memory and closes a descriptor nobody took. */
void inbox_fini(struct inbox *in);
/* Reads what is there. 0: something came; -EAGAIN: nothing now; -EPIPE: the peer is gone; -EPROTO: a frame above its
 * ceiling or of a type the host may not send. */
int inbox_fill(struct inbox *in, int fd);
/* The oldest whole frame; *ret_payload is lent until the next call on this inbox. false: none yet. */
bool inbox_peek(const struct inbox *in, struct nr_frame *ret_head, char **ret_payload);
/* Forgets the frame that inbox_peek() showed. */
void inbox_drop(struct inbox *in);
/* The descriptor that came along, or -1; given to the caller. */
int inbox_take_fd(struct inbox *in);
/* The largest payload that the host may send in such a frame; 0 for types it may not send. */
size_t frame_ceiling(uint8_t type);

/* Room for `size` bytes, or NULL without memory. made */
struct chunk *chunk_make(size_t size);
/* One frame with this payload; NULL without memory. made; the payload is lent. */
struct chunk *chunk_frame(uint8_t type, uint8_t flags, uint64_t call, const void *payload,
                          size_t length);

/* Puts a list of chunks at the end; given. */
void outbox_add(struct outbox *out, struct chunk *list);
/* Sends what the peer takes. 0: all is out; -EAGAIN: some is left; -EPIPE: the peer is gone. */
int outbox_flush(struct outbox *out, int fd);
void outbox_fini(struct outbox *out);

#endif
