/* What a person should know about a PreEnv run besides its choice. Pure; any thread.
 */
#ifndef NR_FNMANAGER_PREENV_ADVICE_H
#define NR_FNMANAGER_PREENV_ADVICE_H

#include "fnmanager/preenv/preenv.h"

/* Adds one line; beyond PREENV_ADVICE_MAX nothing. */
void preenv_add_advice(struct preenv_run *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Fills advice, noisy and recycle_calls of r, whose choice is made; reference: index of the configuration the others were compared with,
 * -1: none. */
void preenv_advise(struct preenv_run *r, int reference);

/* Have real calls left what was measured? A sentence that says so and suggests another run into text (lent), or false. */
bool preenv_drifted(const struct preenv_run *r, const struct preenv_production *p, char text[240]);

#endif
