/* The controller's side of a link against a peer that the test plays, frame by frame: one listener on a unix socket, its owner, who counts what he is told, and calls that
 * count their steps. For the files test_far*.c; one thread.
 */
#ifndef NR_TESTS_UNIT_INVOKER_FAR_FAR_RIG_H
#define NR_TESTS_UNIT_INVOKER_FAR_FAR_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/json.h"
#include "invoker/far/wire.h"

#define SESSION "0123456789abcdef0123456789abcdef"
#define OTHER_SESSION "fedcba9876543210fedcba9876543210"

extern struct nr_loop loop;
extern struct nr_log quiet;
extern char dir[sizeof("/tmp/nr-test-far-XXXXXX")];
extern char address[80];
extern struct far_listener *listener;

/* What the owner of the invokers was told. */
struct owner {
    int joined, lost, bounced, reported, events, admitted, closed, forgotten, drained;
    struct far *f;
    struct activation *back; /* the last that was bounced */
    char container[32];      /* of the last event */
};
extern struct owner owner;

enum { SEEN_MAX = 64 };

struct seen {
    struct wire_head head;
    char meta[2048];
    char raw[256];
    size_t raw_n;
};

struct peer {
    struct nr_stream *s;
    int opened, ended, count;
    struct seen seen[SEEN_MAX]; /* a ring */
    int read;                   /* how many of them the test has looked at */
    size_t code_bytes;
};
extern struct peer *peer;       /* that dialed last */
extern struct nr_tls *peer_tls; /* NULL: by the unix socket */

/* What calls have told. */
struct steps {
    int steps, claims;
    int answered, ended;
    int claim; /* what `claim` returns */
};
extern struct steps steps;
extern const char an_answer[]; /* of a call that ran */

/* The owner's: struct far_listener_config's. */
int admit(void *arg, const struct far_hello *h, const char *from, struct nr_err *err);
void on_joined(void *arg, struct far *f);
void on_lost(void *arg, struct far *f);
void on_bounced(void *arg, struct far *f, struct activation *a);
void on_reported(void *arg, struct far *f);
void on_closed(void *arg);
void on_forgotten(void *arg);
void on_drained(void *arg);
/* One turn of the loop, 20 ms at most. */
void turn(void);
/* Runs the loop until it is so many; fails after 30 s. */
void until(const int *value, int wanted);
/* A new peer, whose connection stands. */
void peer_dial(void);
/* The peer sends a frame. */
void say(uint8_t type, uint8_t flags, uint64_t call, const char *meta, const char *raw);
/* The next frame that the peer got, which must be of this type (lent: SEEN_MAX frames long). */
const struct seen *hear(uint8_t type);
/* All that was sent to the peer so far has come; nothing more may have. */
void hear_nothing(void);
void say_hello(const char *name, const char *session, const char *token);
/* Its links end by themselves; what is left of it goes. */
void peer_hang_up(void);
/* A new link under a name; WELCOME (lent) has come. */
const struct seen *join(const char *session);
/* A report with these pools was taken. */
void report(const char *pools);
/* Made: one reference. */
struct function *make_function(uint64_t revision);
/* A call's: what steps.claim says. */
int on_claim(struct activation *a);
/* Made: one reference; a call of f. */
struct activation *make_call(struct function *f);
/* Given, and its RUN has come: its number. */
uint64_t run(struct activation *a);
/* The function of a call is told, and its RUN has come. */
uint64_t first_run(struct activation *a);
/* The peer answers and ends a call that was granted. */
void end_call(uint64_t call);
/* A sample of the metrics text; -1: there is none. */
double metric(const char *name);
/* Does this WELCOME name the call? */
bool wants(const struct seen *s, uint64_t call);

/* Four calls: given, being claimed, granted, answered. */
struct four {
    struct function *f;
    struct activation *a[4];
    uint64_t call[4];
};
void four_calls(struct four *x);
void four_free(struct four *x);
/* A listener, and nobody has dialed; and the end of that. */
int setup(void **state);
int teardown(void **state);
/* Once before and after all tests. */
int make_dir(void **state);
int remove_dir(void **state);

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
