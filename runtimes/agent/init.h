/* INIT: from the frame to a function that can be called. */
#ifndef NARAE_AGENT_INIT_H
#define NARAE_AGENT_INIT_H

#include "runtimes/agent/agent.h"

/* An INIT frame came on slot s; payload lent. A second one is refused. */
void init_begin(struct slot *s, const struct nr_frame *head, const char *payload);
/* The process that puts the code in place has ended. */
void init_placed(struct agent *a, int status);
/* The mode's answer: loaded (error NULL), or not: a JSON object {"error":...}, lent. */
void init_done(struct agent *a, const char *error);
/* The same with the sentence alone. */
void init_failed(struct agent *a, const char *sentence);
/* The worker ended before it had loaded the code. */
void init_lost(struct agent *a, struct worker *w, enum nr_frame_verdict verdict, int status);

#endif
