/* Processes of the function: starting them, reading their output, killing and burying them. */
#ifndef NARAE_AGENT_WORKER_H
#define NARAE_AGENT_WORKER_H

#include "runtimes/agent/agent.h"

#define SPAWN_FDS 6

/* What a process is started with. */
struct spawn {
    char *const *argv;  /* lent */
    char *const *env;   /* lent */
    const char *folder; /* working directory, NULL: as ours */
    int fds
        [SPAWN_FDS]; /* the child's descriptor i is our fds[i]; -1: none; lent. 1 and 2 are made here when -1 */
};

/* A worker without a process; its logs and pipes are wired but closed. slot: the one it serves alone, or NULL. made;
 * NULL without memory. */
struct worker *worker_make(struct agent *a, struct slot *slot);
/* Starts the process in a session of its own, ready to be the first victim when memory runs out. 0 or a negative
 * errno; that the program cannot be executed shows as exit status 127 and a line on its stderr. */
int worker_spawn(struct worker *w, struct spawn *sp);
/* Reads one of the output pipes of w from now on; fd given. */
void worker_watch_output(struct worker *w, enum log_stream stream, int fd);
/* Takes what lies in the output pipes at this moment. */
void worker_drain(struct worker *w);
/* SIGKILL to it and to all of its session. */
void worker_kill(struct worker *w);
/* Does its process wait for something (and is neither starting nor computing nor gone)? */
bool worker_waits(const struct worker *w);
/* Closes what is left of an ended worker. */
void worker_free(struct worker *w);
/* The process is gone: drains, tells the mode. status as of waitpid(2). */
void worker_gone(struct worker *w, int status);
/* direct: has this worker begun a call on the slot of which neither it nor the agent wrote END? */
bool worker_call_open(const struct worker *w, unsigned slot);
/* Buries every child that has ended. */
void workers_reap(struct agent *a);

/* Environment for a process: ours, then INIT's, then what env_set() adds. made; free with env_free(). */
struct env {
    char **entries; /* ends with NULL */
    size_t length;
};
int env_make(struct env *e, json_t *init_env);
/* Sets or replaces; name and value lent. */
int env_set(struct env *e, const char *name, const char *value);
void env_free(struct env *e);

/* The siblings of value in a RUN payload as __OW_<NAME>. */
void env_add_call(struct env *e, const struct nr_frame *head, const char *payload);

/* How many processes of our control group the kernel has killed for memory, so far; 0 when it does not tell. */
uint64_t oom_kills(void);
/* The memory limit of our control group; 0: none. */
uint64_t memory_limit_bytes(void);

#endif
