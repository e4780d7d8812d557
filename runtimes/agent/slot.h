/* A slot: dialling the host, reading its frames, answering, and what happens when the host hangs up. */
#ifndef NARAE_AGENT_SLOT_H
#define NARAE_AGENT_SLOT_H

#include "runtimes/agent/agent.h"

/* Prepares slot `index`; nothing is dialled yet. */
void slot_init(struct slot *s, struct agent *a, unsigned index);
/* Connects, says HELLO, and goes on trying for ever. */
void slot_dial(struct slot *s);
/* Puts frames on the way; given. */
void slot_send(struct slot *s, struct chunk *frames);
/* ANSWER of the running call: `length` bytes, of which at most the result limit are at `bytes` (lent). failed: what an
 * HTTP runtime would answer with a status other than 200. */
void slot_answer(struct slot *s, const char *bytes, size_t length, bool failed);
/* The same for a failure of ours with a sentence for the developer. */
void slot_fail(struct slot *s, const char *sentence);
/* LOG of the worker's log (w may be NULL) and END; the slot is free again, unless the worker ended: then its
 * connection is closed once all is out, and the last slot takes the container with it. */
void slot_end(struct slot *s, uint64_t call, struct worker *w, enum nr_frame_verdict verdict,
              int exit_status);
/* Ends a slot whose worker is gone and that has nothing to say (any more). */
void slot_close(struct slot *s);
/* direct: the worker has let go of a connection that the host closed. */
void slot_let_go(struct slot *s);

#endif
