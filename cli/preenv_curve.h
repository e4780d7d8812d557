/* The curve of a PreEnv run in a terminal: a bar for each tested configuration. One thread.
 */
#ifndef NR_CLI_PREENV_CURVE_H
#define NR_CLI_PREENV_CURVE_H

#include <jansson.h>

struct cli;

/* Configurations that a search usually tests: the whole of the progress bar. */
#define PREENV_TESTED_USUAL 6

/* Prints choice, reason, curve and advice of a run (lent). */
void preenv_curve_print(const struct cli *c, const json_t *run);

#endif
