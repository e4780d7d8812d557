/* One PreEnv run from station to station. Blocking; the optimizer's thread.
 */
#ifndef NR_FNMANAGER_PREENV_RUN_H
#define NR_FNMANAGER_PREENV_RUN_H

#include <pthread.h>

#include "fnmanager/manager.h"
#include "fnmanager/preenv/preenv.h"

/* What a run asks of its surroundings. */
struct preenv_session {
    struct fnmanager *m;
    struct preenv_tester *tester;
    struct preenv_run *run;
    _Atomic bool *cancel, *stop; /* kept: set by others, at any time */
    /* private */
    struct account *who;
    double weights[PREENV_PAYLOADS_MAX];
    const char *inputs[PREENV_PAYLOADS_MAX];
    unsigned payloads, warm, round;
    uint64_t begun_ms;
    int64_t spent_before_ms;
    bool noisy_place;
};

/* Goes on until the run has ended, or the platform stops: then its state stays PREENV_RUNNING, and the next start goes on with it. What was
 * found is stored at every step. */
void preenv_run_go(struct preenv_session *x);

/* Where it is measured, as a JSON object (made): processor, memory, disk of the data folder, kernel, and what the tester knows. */
char *preenv_place(const char *data_dir, struct preenv_tester *t);

#endif
