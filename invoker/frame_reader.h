/* Cuts the bytes of a slot's connection into frames (ports/frames.h) and checks their ceilings. Knows no connection and no
 * call: bytes in, frames out, so that it can be fuzzed. Whoever knows them is asked about each frame when its header is there,
 * before memory is taken for the rest. One thread at a time.
 *
 * Zero-copy in the common case: a frame that lies whole in what was read is handed on where it lies. Only a frame that
 * was cut by the read is collected in `part`, which is as large as that frame and goes away with it.
 */
#ifndef NR_INVOKER_FRAME_READER_H
#define NR_INVOKER_FRAME_READER_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "ports/frames.h"

/* Embedded; private. */
struct frame_reader {
    struct nr_buf part;
};

/* Where frames go; once each for a frame, in this order. false stops the feeding (the connection is being closed). */
struct frame_to {
    /* Its header has come and is within its type's ceiling. May it go on? */
    bool (*begin)(void *arg, const struct nr_frame *head);
    /* One whole frame; payload lent until return. */
    bool (*frame)(void *arg, const struct nr_frame *head, struct nr_str payload);
};

void frame_reader_init(struct frame_reader *r);
void frame_reader_fini(struct frame_reader *r);
/* Where the next read should go when a frame has begun: exactly its missing bytes. false: nothing has begun, read anywhere. */
bool frame_reader_room(struct frame_reader *r, char **ret_at, size_t *ret_n);
/* Takes n bytes (lent; maybe those at frame_reader_room()). 0, NR_EPROTO: a type an agent may not send, or a length above its
 * ceiling; NR_ENOMEM. After a failure, or a stop, the reader is of no further use. */
int frame_reader_feed(struct frame_reader *r, const char *bytes, size_t n,
                      const struct frame_to *to, void *arg);

/* The largest payload an agent may send in such a frame; -1 for types it may not send. */
int64_t frame_ceiling(uint8_t type);

#endif
