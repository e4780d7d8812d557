/* The pool's decisions that need no list: how many slots are coming, why a start is cold, the node's memory. No I/O.
 */
#ifndef NR_INVOKER_POOL_RULES_H
#define NR_INVOKER_POOL_RULES_H

#include "invoker/internal.h"

/* Slots of ct that nobody has seen yet and that will be there soon. */
unsigned slots_coming(const struct container *ct, uint64_t now_us);
/* What stands on both sides when a call waits: a slot that comes back, or a start. */
struct queue_view {
    unsigned waiting;      /* calls */
    unsigned coming;       /* slots that will be there soon */
    unsigned slots;        /* that exist, busy all of them */
    unsigned starting;     /* containers on their way */
    unsigned starting_max; /* more than this the Engine does not do at once */
    uint64_t oldest_us;    /* the first call waits this long */
    uint64_t call_us;      /* what a call takes, decayed; 0: none has come back yet */
    uint64_t start_us;     /* what a start takes, decayed */
    unsigned returning;    /* of `slots`: their call has just been answered, its logs follow */
};
/* Would one more container help those that wait? At most one start per waiting call; none while the slots that there are serve the
 * last of them sooner than a start would, unless the first one has waited that long already. */
bool start_pays(const struct queue_view *q);
/* What one more container that loads its code before any call stands beside. */
struct ahead_view {
    unsigned cores;
    unsigned loading, of_account,
        of_version;     /* that do so now; of these, the account's and the version's */
    bool loaded_before; /* the version's code has been loaded once */
    bool pausing;       /* the version is left alone after trouble */
};
/* Does a load that takes so long already still count in `loading`? Up to 10 s: who waits longer than that holds no place of others. */
bool ahead_slows(uint64_t took_us);
/* Where the last n bytes of text begin that are shown of it: with a line, or within one that is longer, with a character. */
size_t ahead_tail(struct nr_str text, size_t n);
/* May it? As many as there are cores and 2 at least, half of them of one account; the first of a version is alone, so that code that cannot be loaded
 * costs one container. */
bool ahead_fits(const struct ahead_view *a);
/* How long the version is left alone after so many failures in a row: 5 s, doubled each time, up to 10 min. */
uint64_t ahead_again_ms(unsigned failures);
/* Is a loaded container of the version that has no call and is idle since then proof that its trouble is over? It became idle later, and was for a
 * minute. */
bool ahead_stays(uint64_t idle_since_ms, uint64_t failed_ms, uint64_t now_ms);
/* Moves *average (0: none yet) towards `value` by an eighth. */
void decay_towards(uint64_t *average, uint64_t value);
/* A container of p is started, or adopted: the next one's cause follows from it. */
void past_ran(struct past *past, const struct pool *p);
/* Why the next container of p is needed. */
enum cold_cause cold_cause_of(const struct pool *p);

/* What an idle container is worth, greedy-dual: `clock` is the worth of who was evicted last. */
double eviction_priority(double clock, uint64_t uses, uint64_t cost_us, int64_t memory_mb);
/* What is missing; <= 0: nothing. */
struct shortage {
    int64_t mb;
    int containers;
};

/* How many stems a shelf should hold, ready and starting. */
struct stem_view {
    unsigned minimum;    /* configured, or wished */
    unsigned per_1000_s; /* hand-overs that were asked for, decayed */
    unsigned bunch;      /* most of them within a second, of late: a burst may come again */
    uint64_t start_us;   /* what a start takes */
    unsigned cores;
    int64_t memory_mb;      /* of one stem */
    int64_t memory_free_mb; /* that stems may take in all, those of this shelf included */
    int64_t
        memory_spare_mb; /* likewise, those beyond `minimum`: other kinds keep room for theirs */
};
unsigned stem_target(const struct stem_view *s);

/* The node's budget, shared by all shards: any thread. */
bool memory_reserve(struct node *n, int64_t mb);
void memory_release(struct node *n, int64_t mb);
/* How much would have to go so that `mb` fits; <= 0: it fits. */
int64_t memory_missing_mb(struct node *n, int64_t mb);

#endif
