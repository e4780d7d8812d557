/* A scaler over a bus in this process, with the platform's loop run by the test: calls are asked one at a time, samples told as a node would, wishes
 * kept.
 */
#ifndef NR_TESTS_UNIT_SCALER_RIG_H
#define NR_TESTS_UNIT_SCALER_RIG_H

#include <jansson.h>

#include "common/bus/bus.h"
#include "ports/function.h"
#include "ports/sample.h"
#include "ports/scaler.h"

enum { RIG_WISHES_MAX = 256 };

/* A wish as it came; texts are its own. */
struct rig_wish {
    char what[128]; /* "guest//f", or the kind of a stem */
    int desired, maximum;
    int64_t keep_alive_ms;
    bool ahead_only;
};

struct rig {
    struct nr_loop loop;
    struct nr_log log;
    struct bus *bus;
    struct scaler *scaler;
    struct scaler_config config;
    struct account admin, guest, other;
    char folder[64];
    struct rig_wish wish[RIG_WISHES_MAX];
    unsigned wishes;
    uint64_t seq;
};

struct rig_reply {
    int code;
    bool created;
    struct nr_err err;
    json_t *json; /* made; NULL: the reply is empty */
};

/* Setup and teardown of a test: *state is a rig with a scaler that decides. */
int rig_setup(void **state);
int rig_teardown(void **state);
/* Another one over the same bus; dir: below the rig's folder. */
struct scaler *rig_open(struct rig *r, const char *dir, bool platform, bool decides);
void rig_close(struct rig *r, struct scaler *s);
/* call: op, name, body ...; as who asks. */
struct rig_reply rig_call(struct rig *r, struct account *who, struct scale_call call);
void rig_reply_fini(struct rig_reply *reply);
/* A second of guest/f: so many calls in flight, so many containers. */
void rig_sample(struct rig *r, const char *function, double inflight, double instances);
/* The loop runs until question() is true; fails after 20 s. */
void rig_until(struct rig *r, bool (*question)(struct rig *r, const void *arg), const void *arg);
/* The loop runs for so long. */
void rig_pass(struct rig *r, uint64_t ms);
/* The last wish for it, NULL: there was none. */
const struct rig_wish *rig_wish_for(const struct rig *r, const char *what);

#endif
