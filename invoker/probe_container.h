/* One real container, tried at start: does the agent dial in, and what do its control groups and the Engine let us do with it? Blocking.
 */
#ifndef NR_INVOKER_PROBE_CONTAINER_H
#define NR_INVOKER_PROBE_CONTAINER_H

#include <stdbool.h>
#include <stdint.h>

struct invoker;
struct network;

/* A question and its answer. */
struct finding {
    bool yes;
    char text[160]; /* what was found, or why not */
};

struct trial {
    /* in */
    char runtime[32];       /* "": the Engine's default */
    const char *seccomp;    /* profile, lent; NULL: the Engine's default */
    char cgroup_parent[64]; /* "": the Engine's */
    bool
        ask_engine_freezer; /* ask the Engine to pause and to update, also where the control group does it */
    bool ask_engine_raise;
    struct network *network; /* to plug it into, lent; NULL: none */
    /* out */
    char name[9], id[65]; /* of the container; "": none was made */
    struct finding dial_in, memory_limit, freezer, engine_freezer, raise, engine_raise, exit_status,
        oom_count, pool_cap, plug;
};

/* Creates, starts, questions and kills one container of this image, which is to be removed afterwards. */
void trial_run(struct invoker *v, const char *image, struct trial *t);
/* Removes it: by the workers, or (`now`) before it returns. */
void trial_remove(struct invoker *v, const struct trial *t, bool now);

#endif
