/* The wire between the invoker and the agent inside a function's container.
 *
 * The host listens on a unix stream socket, the container dials (DESIGN: the path a tenant can write is never opened by us).
 * One connection is one slot: at most one call runs on it at a time. Everything is a frame: this 16-byte header, little
 * endian, then `length` bytes of payload.
 *
 *   dial        agent -> HELLO                                  {"protocol","id","slot","kind","ready"}
 *   first use   host  -> INIT (+ code as a file descriptor)     agent -> INIT_DONE, [LOG], END
 *   each call   host  -> RUN                                    agent -> ANSWER (one or more parts), [LOG], END
 *   worker dies                                                 agent -> [LOG], END with its verdict, no ANSWER before it
 *   host closes the connection while a call runs: the agent kills the worker of that slot (time limit, cancel, drain).
 *     If it closes only its sending side, the agent still sends [LOG], END before it closes its own.
 *   agent loses the connection: it redials for ever with back-off, 10 ms to 1 s.
 *
 * This header needs nothing but <stdint.h>: the agent (static, no library of ours) includes it too. No thread of its own.
 */
#ifndef NR_PORTS_FRAMES_H
#define NR_PORTS_FRAMES_H

#include <stdint.h>

#define NR_FRAME_PROTOCOL 1

/* Ceilings that both sides keep. A frame above its ceiling ends the connection, and with it the container. */
#define NR_FRAME_HELLO_MAX_BYTES 4096
#define NR_FRAME_META_MAX_BYTES 8192      /* RUN: everything before the value */
#define NR_FRAME_INIT_MAX_BYTES (2 << 20) /* INIT without the code, which travels as a descriptor */
#define NR_FRAME_VALUE_MAX_BYTES (4 << 20) /* RUN: the value after the merge of bound parameters */
#define NR_FRAME_ANSWER_MAX_BYTES                                                                  \
    (2 << 20) /* ANSWER: the result limit plus the eight bytes of a cut answer */
#define NR_FRAME_LOG_MAX_BYTES (11 << 20) /* LOG: all frames of one call together */
#define NR_FRAME_LOG_RAW_MAX_BYTES                                                                 \
    (512 << 10) /* LOG: what passes a launcher by that collects its calls' logs itself */
#define NR_FRAME_LOG_SPARE_BYTES                                                                   \
    1024 /* LOG: beyond the function's own log_max_bytes, for the line that tells of it */

enum nr_frame_type {
    /* from the agent */
    NR_FRAME_HELLO =
        1, /* JSON: {"protocol":1,"id":"<8 hex>","slot":0,"kind":"python:3","ready":false} */
    NR_FRAME_INIT_DONE = 2, /* empty when all is well; NR_FRAME_FAILED: JSON {"error":"..."} */
    NR_FRAME_ANSWER =
        3, /* bytes of the result, one JSON text over all parts; NR_FRAME_MORE: parts follow */
    NR_FRAME_LOG =
        4, /* lines "2026-01-02T03:04:05.123456789Z stdout: text\n"; parts may follow each other */
    NR_FRAME_END =
        5, /* struct nr_frame_end; after it the slot is free, or the container is done for */
    /* from the host */
    NR_FRAME_INIT =
        16, /* JSON, see below; the code rides as one descriptor (SCM_RIGHTS) on the frame's first byte */
    NR_FRAME_RUN =
        17, /* JSON {"activation_id":"..",...,"value":V}; value_at is the offset of V, which is always last */
};

/* INIT payload:
 *  {"value":{"name":"hello","main":"main","binary":false,"env":{"__OW_ACTION_NAME":"/guest/hello",...}},
 *   "file":"code.zip",      name of the stored file; its ending tells source, zip, tar.gz, or executable ("exec")
 *   "exec":"once|loop|direct",   native only
 *   "slots":1,              connections that the agent shall keep, limits.concurrency
 *   "log_max_bytes":10485760, "result_max_bytes":1048576, "timeout_ms":60000,
 *   "memory_mb":256}      the container's limit, which a stem cell learns only now
 * RUN payload: the /run body of the OpenWhisk runtime contract: every sibling of value is a JSON string
 *  (activation_id, transaction_id, namespace, action_name, action_version, deadline, api_host?, api_key?). */

enum nr_frame_flag {
    NR_FRAME_MORE = 1, /* ANSWER: not the last part */
    NR_FRAME_FAILED =
        2, /* INIT_DONE, ANSWER: what an HTTP runtime would answer with a status other than 200 */
    NR_FRAME_TRUNCATED =
        4, /* ANSWER: payload is the true length (u64) and the first result_max_bytes; LOG: lines were cut */
};

enum nr_frame_verdict {
    NR_VERDICT_OK = 0,     /* the worker lives; the slot may be used again */
    NR_VERDICT_EXITED = 1, /* the worker ended, by itself or by a signal */
    NR_VERDICT_OOM = 2, /* the worker was killed for memory (the cgroup's own oom counter moved) */
    NR_VERDICT_TAINTED =
        3 /* the answer stands, but the container must not be used again (log trouble, thrown error) */
};

/* Header of every frame. Sent as these 16 bytes; both ends are little endian (checked at compile time by each). */
struct nr_frame {
    uint32_t length;   /* payload bytes */
    uint8_t type;      /* enum nr_frame_type */
    uint8_t flags;     /* enum nr_frame_flag */
    uint16_t value_at; /* RUN: offset of the value in the payload; else 0 */
    uint64_t call; /* RUN, INIT: chosen by the host; all frames that belong to it carry it back */
};

/* Payload of NR_FRAME_END. */
struct nr_frame_end {
    uint8_t verdict; /* enum nr_frame_verdict */
    uint8_t unused[3];
    int32_t exit_status; /* of waitpid(2) when the worker ended, else 0 */
};

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "frames are sent as they stand in memory: a little-endian machine is needed"
#endif
_Static_assert(sizeof(struct nr_frame) == 16, "a frame header is 16 bytes");
_Static_assert(sizeof(struct nr_frame_end) == 8, "an end payload is 8 bytes");

#endif
