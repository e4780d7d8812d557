/* The Engine, looked at all the time: is it there, and what does it and the kernel have of ours that we do not know of? What an earlier run
 * left is found at start (adopt.h); this finds what comes to be lost while we run.
 * Loop's thread.
 */
#ifndef NR_INVOKER_SWEEP_H
#define NR_INVOKER_SWEEP_H

struct invoker;
struct sweep;

/* Looks from now on. */
struct sweep *sweep_open(struct invoker *v);
/* The next look is a full one. */
void sweep_hurry(struct sweep *s);
/* No further look; what is under way keeps the invoker alive. NULL is fine. */
void sweep_stop(struct sweep *s);
void sweep_free(struct sweep *s);

#endif
