/* What is said on a slot and on the control channel, as this image needs it: ports/frames.h and runtimes/agent/control.h have the whole
 * story, and a unit test compares. An image is built from its own folder alone, so it cannot include them. */
#ifndef NARAE_WIRE_H
#define NARAE_WIRE_H

#include <stdint.h>

enum {
    FRAME_INIT_DONE = 2,
    FRAME_ANSWER = 3,
    FRAME_END = 5,
    FRAME_RUN = 17,
    FLAG_FAILED = 2,
    FLAG_TRUNCATED = 4,
    VERDICT_OK = 0,
    VERDICT_TAINTED = 3,
    CONTROL_SAY_DONE = 'd',
    FRAME_MAX_BYTES = 8192 + (4 << 20)
};

struct wire_frame {
    uint32_t length;
    uint8_t type;
    uint8_t flags;
    uint16_t value_at;
    uint64_t call;
};

struct wire_end {
    uint8_t verdict;
    uint8_t unused[3];
    int32_t exit_status;
};

struct wire_control {
    uint32_t type;
    uint32_t slot;
    uint64_t call;
    int32_t value;
    uint32_t length;
};

struct wire_line { /* one slot's line of the page shared with the agent */
    uint32_t activity;
    uint32_t answering;
    uint64_t call;
    uint32_t begun;
    uint32_t ended;
    uint8_t unused[40];
};

#endif
