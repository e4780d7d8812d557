/* One who publishes and reads, in one thread with one loop; the cases that hold for every implementation of the bus. */
#ifndef NR_TEST_BUS_RIG_H
#define NR_TEST_BUS_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/bus/bus.h"

enum { SEEN_MAX = 40000, SEEN_KEYS = 64 };

/* A reader that remembers. */
struct seen {
    struct bus_reader reader;
    unsigned count, owned_calls, gone;
    int64_t last_of_key[SEEN_KEYS]; /* values are "NUMBER", keys "kNUMBER" */
    bool out_of_order;
    char last_key[64], last_value[64];
    bool last_empty;
    enum bus_topic last_topic;
    int64_t last_at_ms;
    void (*hook)(struct seen *s, const struct bus_message *m);
};

/* The loop of the test, and how its implementation opens a bus. */
struct rig {
    struct nr_loop loop;
    struct nr_log log;
    struct bus_config config;
    bool real_topics; /* of a broker: compacted */
    bool no_times; /* a broker that cannot say what came since a moment: "from now on" reads all */
};

void rig_init(struct rig *g);
void rig_fini(struct rig *g);
struct bus *rig_open(struct rig *g);
/* Turns the loop until done(arg); fails the test after a minute. */
void rig_wait(struct rig *g, bool (*done)(void *arg), void *arg, const char *what);
void rig_wait_count(struct rig *g, struct seen *s, unsigned count);
void rig_wait_settled(struct rig *g, struct bus *b);
void rig_read(struct rig *g, struct bus *b, struct seen *s, unsigned topics, enum bus_from from);
void rig_unread(struct rig *g, struct bus *b, struct seen *s);
bool rig_publish(struct bus *b, enum bus_topic topic, unsigned key, int64_t number);
uint64_t rig_sum(const uint64_t counts[BUS_TOPICS]);

/* ---- bus_cases.c: the contract; each takes the rig of an implementation as its state ---- */

void case_everybody_gets_everything(void **state);
void case_order_of_a_key(void **state);
void case_from_several_threads(void **state);
void case_latest_is_from_now(void **state);
void case_kept_policies(void **state);
void case_too_large(void **state);
void case_leave_inside_callback(void **state);
void case_group_has_one_owner(void **state);
void case_nul_and_empty(void **state);

#endif
