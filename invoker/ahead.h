/* Code that is loaded before any call, into containers that were started for a wish. Loop's thread.
 *
 * Who loads ahead is `ct->ahead`, an activation that is nobody's: no account, no claim, no record. It holds slot 0 as a call would, and is not
 * counted in ct->calls.
 */
#ifndef NR_INVOKER_AHEAD_H
#define NR_INVOKER_AHEAD_H

#include "invoker/internal.h"

enum { AHEAD_ERROR_BYTES = 512, AHEAD_LOG_BYTES = 2048 };

/* How the latest container of a version that was started for a wish ended by itself, before any call; kept with its pool until a call was answered, or
 * one that was begun later has stayed. */
struct ahead_failure {
    unsigned count;         /* in a row; those that end while the version is left alone are one */
    enum end_reason why;    /* of its container's end */
    uint64_t at_ms;         /* monotonic */
    uint64_t not_before_ms; /* the next one */
    char error[AHEAD_ERROR_BYTES];
    char log[AHEAD_LOG_BYTES]; /* the last lines that were written */
};

/* Begins what may begin now; to be asked when a container has come up, a load has ended, and every second. */
void ahead_look(struct invoker *v);
/* Is it nobody's: the load of its container's code? */
bool ahead_is(const struct activation *a);
/* a (given) has ended: its container takes calls (`why` ENDED_NOT), or goes. */
void ahead_end(struct activation *a, enum end_reason why);
/* ct dies, whatever it dies of: so does its load, untold. Fine when it has none. */
void ahead_drop(struct container *ct);
/* ct (lent) begins to die, `ended` and its pool are still there: was it started for a wish, and went by itself before any call? */
void ahead_died(const struct container *ct);
/* A call of p's version was answered: what went wrong before does not matter any more. */
void ahead_served(struct pool *p);
/* Is p's version left alone now? Calls start and load what they need all the same. */
bool ahead_pauses(const struct pool *p);
/* JSON array of the versions whose latest load ahead failed; of one account (lent), with what they said, or NULL: of all, without that. */
void ahead_status(const struct invoker *v, const char *account, struct nr_buf *out);

#endif
