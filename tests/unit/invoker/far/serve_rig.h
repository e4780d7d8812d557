/* The invoker's side of a link between two others that a test plays itself: a controller on a unix socket of the same loop, and an invoker that has the port's calls and no
 * container. Frames that came are looked at in their order; the loop runs until what is waited for is there.
 */
#ifndef NR_TESTS_UNIT_INVOKER_FAR_SERVE_RIG_H
#define NR_TESTS_UNIT_INVOKER_FAR_SERVE_RIG_H

#include "invoker/far/serve.h"
#include "invoker/internal.h"
#include "ports/errand.h"

enum { RIG_CALLS_MAX = 256, RIG_FORGOTTEN_MAX = 16 };

struct rig_frame {
    struct nr_link link;
    struct wire_head head;
    char *meta, *raw; /* made, NUL behind each */
    size_t raw_bytes;
};

struct rig {
    struct nr_loop loop;
    struct nr_log log;
    struct link *link;
    char folder[64], address[128];
    const char *tags, *token; /* for rig_open(); may be set before */
    const char *name;

    /* the controller */
    struct nr_stream_listener *listener;
    struct nr_stream *peer; /* NULL: no link */
    struct nr_link frames;
    unsigned links;
    bool listener_closed, link_closed;

    /* the invoker */
    struct invoker invoker;
    struct container container;
    struct slot slots[RIG_CALLS_MAX];
    struct activation
        *calls[RIG_CALLS_MAX]; /* that it was given, in order; NULL when it has ended */
    char ids[RIG_CALLS_MAX][33];
    int errs[RIG_CALLS_MAX]; /* by which it was cut */
    size_t count;
    uint64_t forgotten[RIG_FORGOTTEN_MAX];
    size_t forgotten_count, known_count, wish_count, api_count;
    struct scaler_wish wish; /* the last one; its texts are gone */
    char wished[128];
    char account[64]; /* that is forgotten */
    void (*account_done)(void *arg);
    void *account_arg;
    bool resting;
    uint64_t pools[4]; /* revisions that have containers */
    size_t pool_count;
    bool serves; /* there is a container of what is asked for */
    struct activation *watched;
    void (*watch_done)(void *arg, const struct call_usage *u);
    void *watch_arg;
    unsigned watches, last_looks;
    struct image_call *images[2 * WIRE_IMAGE_CALLS_MAX];
    size_t image_count;
    bool api_late; /* link_api_known() is for the test to call */
};

extern struct rig *rig; /* of the running test */

int rig_setup(void **state);
int rig_teardown(void **state);
/* Opens the link, which dials `address`. */
void rig_dial(void);
/* The same; the controller of the rig is there and has got HELLO. */
void rig_open(void);
/* Answers HELLO; `wanted` of them. */
void rig_welcome(const char *controller, const uint64_t *wanted, size_t count);
/* Both; it is up. */
void rig_up(void);
/* The next frame of this type; others before it are dropped, but for reports and pings no other may come (fails the test). Freed by rig_drop(). */
struct rig_frame *rig_next(uint8_t type);
void rig_drop(struct rig_frame *f);
/* As rig_next(), of a call's number; dropped at once. */
void rig_expect(uint8_t type, uint64_t call);
/* No frame but reports and pings has come, when what was sent before this is dealt with. */
void rig_expect_nothing(void);
void rig_send(uint8_t type, uint8_t flags, uint64_t call, const char *meta, struct nr_str raw);
/* Runs the loop until it is so; fails with `what` when it is not within 20 s. */
void rig_until(bool (*so)(void), const char *what);
/* The link ends; the next dial's HELLO has come. */
void rig_cut_and_redial(void);

/* A function without code, or with code of this digest (64 hex). */
void rig_function(uint64_t revision, const char *sha256);
/* {"...":1} is its input. */
void rig_run(uint64_t number, uint64_t revision);
/* The n-th call that the invoker was given gets a slot and asks; what claim() said. */
int rig_claim(size_t n);
void rig_answer(size_t n, const char *result);
void rig_end(size_t n, const char *logs);

#endif
