/* The wire between a controller and an invoker on another host: the wire form of ports/invoker.h.
 *
 * The invoker dials, the controller listens: TCP with TLS (the invoker pins the public key of the controller's certificate), or a unix
 * stream socket of one host. A connection is a link. Everything on it is a frame: this 24-byte header, little endian, then `length`
 * bytes of payload, of which the first `meta` are one JSON object (0: none) and the rest is raw.
 *
 *   dial       invoker HELLO                              controller WELCOME, or REFUSED and the link ends
 *   both ways  PING each WIRE_PING_MS, answered by PONG; a link on which nothing was heard for WIRE_SILENCE_MS is dead for both
 *
 *   one call   controller FUNCTION (once per link and revision), RUN
 *              invoker    [WANT_CODE, controller CODE ...]  the code, once per invoker: it keeps it by its hash
 *              invoker    CLAIM       there is a slot; nothing was sent to it     controller CLAIMED: send it, or give the slot back
 *              invoker    ANSWER      outcome and result                          (also without CLAIM: a call that could not be given a slot)
 *              invoker    LOGS ..., END                                           controller DONE: the invoker forgets the call
 *              invoker    BOUNCE      instead of all these: not taken, it was not claimed, place it elsewhere
 *              controller CUT         at any time; the call ends as always, with ANSWER and END
 *
 *   an image   controller IMAGE       find, ask for, pull, list, remove: one call of ports/image.h. Only to who says in HELLO that he takes them
 *              invoker    [IMAGE_DONE with WIRE_MORE ...]   how far a pull is
 *              invoker    IMAGE_DONE  what came of it. When the link ends before, that is told to nobody
 *
 * What was not claimed has not started. A call that waits for a slot is named in the reports; one that the invoker has read and that two reports in turn do not
 * name is taken back as well: CUT, and it is placed again. When a link ends the controller takes back all calls of it that it did not grant, and places them
 * again; a CLAIM of a call that was taken back is refused. What was granted belongs to the invoker's session (32 hex, random, one per
 * process): the same session may come back on another link and go on. WELCOME tells it the calls that are still wanted, which are granted, whether
 * or not CLAIMED had reached it; it cuts all others, forgets their results, and sends ANSWER, LOGS and END of the wanted ones from their
 * beginning when it had not seen DONE of them. Results are kept until DONE, up to WIRE_KEPT_MAX_BYTES, the oldest go first.
 * WELCOME of another controller process (`controller`) wants none; containers of the earlier one's revisions are forgotten then.
 *
 * Call numbers (`call`) are the controller's; none is used twice, by the next process neither. Clocks of two hosts differ: durations travel, never times.
 * JSON: unknown members are to be passed over, absent ones are 0, false, or empty. A frame of an unknown type is passed over too: that is what lets
 * protocol N talk to N-1. Both sides tell `protocol` and `oldest`; the highest number that both speak is used.
 * Everything from the other side is hostile: a frame above its ceiling, a JSON text that is none, or a frame in the wrong direction ends the link.
 */
#ifndef NR_PORTS_WIRE_H
#define NR_PORTS_WIRE_H

#include <stdint.h>

#define WIRE_PROTOCOL 1
#define WIRE_PROTOCOL_OLDEST 1

/* Ceilings that both sides keep. */
#define WIRE_HELLO_MAX_BYTES (64 << 10)  /* HELLO */
#define WIRE_META_MAX_BYTES (1 << 20)    /* JSON of a frame */
#define WIRE_PAYLOAD_MAX_BYTES (8 << 20) /* of a frame */
#define WIRE_REPORT_MAX_BYTES                                                                      \
    (48 << 10) /* JSON of one frame of a REPORT; more pools go into further ones */
#define WIRE_PART_MAX_BYTES                                                                        \
    (256 << 10) /* raw bytes of CODE and LOGS: no link waits long behind one of them */
#define WIRE_CODE_CREDIT_BYTES (1 << 20)  /* the most that one WANT_CODE asks for */
#define WIRE_CODE_MAX_BYTES (256ll << 20) /* of one function's code */
#define WIRE_LOGS_MAX_BYTES (11 << 20)    /* LOGS of one call together */
#define WIRE_RUN_MAX_BYTES (4 << 20)      /* input of a RUN */
#define WIRE_UNSENT_MAX_BYTES (64 << 20)  /* of a link: above it takes no further RUN */
#define WIRE_KEPT_MAX_BYTES (64 << 20)    /* results that an invoker keeps until DONE */

enum {
    WIRE_LINKS_MAX = 256,
    WIRE_CALLS_MAX = 65536,    /* of one invoker at the same time */
    WIRE_FUNCTIONS_MAX = 8192, /* snapshots that a link knows; the controller RELEASEs older ones */
    WIRE_NAME_MAX_BYTES = 63,  /* of an invoker: [a-z0-9-] */
    WIRE_SESSION_BYTES = 32,   /* lower-case hex */
    WIRE_TOKEN_MAX_BYTES = 128,
    WIRE_TAGS_MAX = 32,
    WIRE_TAG_MAX_BYTES = 63, /* of a key, of a value */
    WIRE_KINDS_MAX = 64,
    WIRE_IMAGES_MAX = 256,
    WIRE_IMAGE_CALLS_MAX = 64, /* of one link at the same time */
    WIRE_REFERENCE_MAX_BYTES = 1024,
    WIRE_AUTH_MAX_BYTES = 64 << 10,
    WIRE_HELLO_MS = 5000, /* from the dial to the end of HELLO */
    WIRE_PING_MS = 2000,
    WIRE_SILENCE_MS = 8000,
    WIRE_REPORT_MS = 1000,
    WIRE_REDIAL_MIN_MS = 100,
    WIRE_REDIAL_MAX_MS = 5000,
};

/* The first column of numbers never changes. `call` is the header's member. */
enum wire_type {
    /* from both */
    WIRE_PING = 1, /* call: whatever the sender likes */
    WIRE_PONG = 2, /* call: of the PING */

    /* from the invoker */
    WIRE_HELLO = 16,     /* struct wire_hello */
    WIRE_WANT_CODE = 17, /* struct wire_range. Of a function that this link was told */
    WIRE_CLAIM = 18,     /* call; WIRE_COLD: the code is to be loaded first */
    WIRE_ANSWER = 19,    /* call; struct wire_answer; raw: the result, a JSON text */
    WIRE_LOGS = 20,      /* call; raw: a part of its lines, in order, after ANSWER */
    WIRE_END =
        21, /* call; the slot is back, logs are whole. Of a call that was watched: struct call_usage */
    WIRE_BOUNCE = 22, /* call; not taken. Not after CLAIMED */
    WIRE_REPORT =
        23, /* {"node":struct wire_node,"pools":[struct wire_pool]}; node in the first frame; WIRE_MORE: more follow. Raw: u64 each, the
               calls that are here and have not asked for their claim; WIRE_ON, in the last frame: all of them were named in this report */
    WIRE_EVENT = 24,     /* struct event */
    WIRE_FORGOTTEN = 25, /* call: of FORGET_ACCOUNT */
    WIRE_WANT_AUTH =
        26, /* call: a number of the invoker's; struct wire_auth. Of a function that this link was told */
    WIRE_IMAGE_DONE =
        28, /* call: of IMAGE; WIRE_MORE: struct image_progress; else struct wire_image_done, raw: what was found, a JSON text */
    WIRE_LEAVING = 27, /* WIRE_MORE: it takes nothing new, calls run still; else: it is empty */

    /* from the controller */
    WIRE_WELCOME = 64,  /* struct wire_welcome; raw: u64 each, the calls that are still wanted */
    WIRE_REFUSED = 65,  /* {"why":"..."}: a sentence; dial again not before WIRE_REDIAL_MAX_MS */
    WIRE_FUNCTION = 66, /* snapshot.h; raw: its parameters, then its init parameters */
    WIRE_RUN = 67,      /* call; struct wire_run; raw: the input, a JSON text */
    WIRE_CLAIMED = 68,  /* call; WIRE_FAILED: refused, give the slot back */
    WIRE_CUT = 69,      /* call; {"err":-24,"why":"..."} */
    WIRE_DONE = 70,     /* call */
    WIRE_CODE =
        71, /* struct wire_range, `bytes` is the size of all; raw: the bytes from `at` on; WIRE_FAILED: {"revision","sha256","why"} */
    WIRE_FORGET = 72, /* call: a revision. As invoker_forget(); the snapshot is released too */
    WIRE_RELEASE =
        73, /* call: a revision. The snapshot will be told anew before it is used again; containers stay */
    WIRE_FORGET_ACCOUNT = 74, /* call: a number to answer with; {"account":"..."} */
    WIRE_WISH = 75,           /* struct scaler_wish */
    WIRE_KNOW = 76,           /* call: the revision of a FUNCTION before. As invoker_know() */
    WIRE_AUTH = 77,           /* call: of WANT_AUTH; raw: the credentials; none: there are none */
    WIRE_CORDON =
        78, /* WIRE_ON: take no new call; else: do again. What waits is taken back by the controller */
    WIRE_DRAIN =
        79, /* cordoned, and containers go when the calls have ended; then LEAVING. The process stays */
    WIRE_IMAGE =
        80, /* call: a number to answer with; struct wire_image; raw: credentials; none: nobody's */
};

enum wire_flag {
    WIRE_FAILED = 1,
    WIRE_MORE = 2,
    WIRE_COLD = 4,
    WIRE_ON = 8,
};

/* Header of every frame. Sent as these 24 bytes; both ends are little endian. */
struct wire_head {
    uint32_t length; /* payload bytes, JSON and raw */
    uint32_t meta;   /* of them JSON */
    uint64_t call;
    uint8_t type;  /* enum wire_type */
    uint8_t flags; /* enum wire_flag */
    uint8_t unused[6];
};

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "frames are sent as they stand in memory: a little-endian machine is needed"
#endif
_Static_assert(sizeof(struct wire_head) == 24, "a frame header is 24 bytes");

#endif
