/* Counts of calls by function, for samples. A call costs a look into a small table of revisions and some additions; memory is taken with the first
 * call of a function in a second only, and used again. Loop's thread.
 */
#ifndef NR_CONTROLLER_SAMPLES_H
#define NR_CONTROLLER_SAMPLES_H

#include "common/base/map.h"
#include "ports/activation.h"
#include "ports/figures.h"

/* Functions that are counted at a time; those that had no call for longest go first. A call of a further one is counted for nobody. */
enum { COUNTED_MAX = 10000, COUNTED_RECENT = 4096 };

struct counted;
struct event;

struct call_counts {
    struct nr_map functions;
    struct nr_link lru;    /* front: began a span last */
    struct nr_link active; /* had a call since the last sample, or have one in flight */
    struct call_span *spare;
    struct {
        uint64_t revision;
        struct counted *of;
    } recent[COUNTED_RECENT];
    uint64_t passed_over;                            /* calls that were counted for nobody */
    void (*event)(void *arg, const struct event *e); /* NULL: nobody listens */
    void *event_arg;
};

void counts_init(struct call_counts *c);
/* No call is counted any more. */
void counts_fini(struct call_counts *c);
/* a was looked up: it came. Once for each call, however often it is asked. */
void counts_arrived(struct call_counts *c, struct activation *a);
/* It was admitted. */
void counts_entered(struct call_counts *c, struct activation *a);
/* It was answered, refused, or cut. Fine when it was counted nowhere, or was here before. */
void counts_answered(struct call_counts *c, struct activation *a);
/* All of an account's functions; it has no calls. */
void counts_forget(struct call_counts *c, const char *account);

#endif
