/* The channel to the agent: one message is a struct wire_control, a text, and up to four descriptors. runtimes/agent/control.h
 * has the whole story. That the agent is gone ends the process. */
#ifndef NARAE_WASM_CONTROL_H
#define NARAE_WASM_CONTROL_H

#include "wire.h"

enum {
    CONTROL_FD = 3,
    CONTROL_INIT_FD = 4,
    CONTROL_PAGE_FD = 5,
    CONTROL_FDS = 4,
    CONTROL_HEAR_REHEARSE = 'P',
    CONTROL_HEAR_INIT = 'I',
    CONTROL_HEAR_SERVE = 'S',
    CONTROL_HEAR_REDIALLED = 'R',
    CONTROL_SAY_BOOTED = 'b',
    CONTROL_SAY_LOADED = 'i',
    CONTROL_SAY_FORKED = 'f',
    CONTROL_SAY_LOST = 'l'
};

/* Waits for a message; fds are made, -1 where none came. */
struct wire_control control_hear(int fd, int fds[CONTROL_FDS]);
/* Says this; length and text (lent, may be NULL) are of what stands behind it. */
void control_say(int fd, struct wire_control message, const char *text);

#endif
