/* A connection, as slot.c (frames in) and send.c (frames out) share it. Loop's thread.
 */
#ifndef NR_INVOKER_CONN_H
#define NR_INVOKER_CONN_H

#include "invoker/internal.h"

/* Freed when its handle has closed; holds its container until then. */
struct conn {
    uv_pipe_t pipe;
    struct container *ct;
    struct slot *slot; /* NULL until its hello */
    pid_t pid;         /* who has dialled, as the kernel tells it */
    struct frame_reader reader;
    struct nr_link in_ct;
    bool closing;
};

#endif
