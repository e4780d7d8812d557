/* Calls that run others: sequences (one function after the other) and compositions (a conductor says what runs next). Loop's thread.
 *
 * Such a call goes through controller_tick() as every call does: looked up, admitted, accepted, durable. At C_RUN it is not given to the
 * invoker but makes calls of its own, one at a time: its steps. A step is an activation with a record of its own, but it is not admitted, its
 * answer comes here however long it takes, and it is never turned into a 202. A step may be such a call itself.
 */
#ifndef NR_CONTROLLER_COMPOSE_H
#define NR_CONTROLLER_COMPOSE_H

#include "controller/internal.h"

#define COMPOSE_MAX 50         /* functions of a sequence, components of a composition */
#define COMPOSE_DEPTH_MAX 50   /* calls in calls */
#define COMPOSE_CALLS_MAX 5000 /* of one call of a client, in all */

/* Whom a step calls; texts lent until compose_step() returns. */
struct call_names {
    struct nr_str space, package, name; /* space n == 0: the caller's own */
    int64_t number;
    struct nr_str alias;
};

/* What a sequence does otherwise than a composition. */
struct compose_kind {
    /* Starts the first step. */
    void (*begin)(struct composition *m);
    /* The step m->last ended, or was refused (it has an error and no id): starts the next one, or ends m. */
    void (*went_on)(struct composition *m);
    /* The next step could not start before the slot of m->last was back: it is now. */
    void (*resume)(struct composition *m);
    /* The step was looked up: it may be refused with an error in it. NULL: none is. */
    void (*admit)(struct composition *m, struct activation *step);
    const char *too_many, *failed; /* sentences */
};
extern const struct compose_kind compose_sequence, compose_conductor;

/* What was used up; shared with calls of the same kind inside. */
struct compose_use {
    unsigned functions; /* sequence: run so far; composition: components */
    unsigned turns;     /* runs of the conductor */
};

/* In the arena of its activation, from C_RUN on; gone for everybody when that ends (compose_release). */
struct composition {
    const struct compose_kind *kind;
    struct activation *a;
    struct activation *step; /* shared: it is under way; NULL: none */
    struct activation *
        last; /* shared: it ended last; its result is the input of the next one, or the result of all */
    struct composition *top; /* of the call that a client made; maybe itself */
    struct compose_use own, *use;
    unsigned depth;
    unsigned calls;    /* of the top one: all that were made below it */
    unsigned at;       /* sequence: the component that is next */
    int64_t memory_mb; /* most memory of a function that it ran; 0: it ran none */
    bool counted;      /* m->step was admitted (it may look its function up again) */
    bool unclaimed;    /* of the top one: its row could not say "running" */
    bool waits;        /* the next step starts when the slot of m->last is back */
    struct nr_deadline cut;

    /* conductor.c */
    bool turning;            /* m->step is, or m->last was, a run of the conductor */
    struct activation *turn; /* shared: the run whose result holds the texts below */
    struct conductor_says {
        struct nr_str action, params, state; /* JSON texts; p NULL: not there */
    } says;
    struct nr_work reading;
};

/* The names of t (lent), as `account` calls it. */
struct call_names call_names_of(const struct function_target *t, const char *account);
/* Is what m runs another account's than who calls? Nothing below it has the caller's key. */
bool compose_is_foreign(const struct composition *m);
/* m's next step: a call of these names with that input (lent until its answer); not begun. NULL: there is no memory or too many were made,
 * and m has ended. */
struct activation *compose_step(struct composition *m, const struct call_names *names,
                                struct nr_str input);
/* Begins what compose_step() gave. m may have ended when this returns. */
void compose_begin_step(struct composition *m, struct activation *step);
/* What compose_step() gave is not begun. NULL is fine. */
void compose_drop_step(struct activation *step);
/* {"error": text} in that arena, or a text that says that there is no memory. */
struct nr_str compose_error(struct nr_arena *arena, const char *text);
/* m is cut with that NR_E* in the next turn of the loop. */
void compose_cut(struct composition *m, int err);
/* m ends with the outcome that it has, as a call that was cut, or, if its function was retired with its calls, with what that is told. The answer, the record and the rest follow; m may be gone when this, or one of the
 * next three, returns. */
void compose_finish(struct composition *m);
/* m ends with the outcome of m->last. */
void compose_end_as_last(struct composition *m);
/* m ends with that result (JSON object text; lent as long as m is). */
void compose_end(struct composition *m, enum outcome_status status, struct nr_str result);
/* m ends with {"error": text}. */
void compose_end_error(struct composition *m, enum outcome_status status, const char *text);

#endif
