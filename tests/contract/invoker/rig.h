/* What the invoker's contract tests share: a loop with a real invoker over the real Engine, functions made by hand, calls that run to
 * their end.
 */
#ifndef NR_TESTS_CONTRACT_INVOKER_RIG_H
#define NR_TESTS_CONTRACT_INVOKER_RIG_H

#include "ports/invoker.h"
#include "tests/contract/invoker/proxy.h"

struct rig {
    struct nr_loop loop;
    struct node node;
    struct invoker *invoker;
    struct nr_log log;
    char run_dir[64], installation[17], native[64], python[64];
    struct proxy engine; /* between the invoker and the Engine */
    char account[16];    /* of the functions made from now on; "": guest */
    uint64_t revisions;
    bool stopped;
    int running; /* calls of rig_start() that have not ended */
};

/* What a test chooses; zero is what the invoker does by itself, but for stems, of which a rig without options has none. */
struct rig_options {
    const char *stems, *freezer, *memory_raise, *network; /* as in struct invoker_config */
    uint32_t freeze_after_ms;
    unsigned containers_max;
    int engine_workers;
    /* as in struct invoker_config; its argument is the rig */
    struct function *(*function_of)(void *rig, const struct function_names *names);
};

/* One call and what became of it. */
struct rig_call {
    struct rig *rig;
    struct activation *a;
    int answers, ends; /* how often on_step came */
    uint64_t begun_us, answer_us, end_us;
};

/* Opens everything; memory_mb: the node's budget. false: there is no Engine or no image (the test is skipped). */
bool rig_open(struct rig *r, int64_t memory_mb);
bool rig_open_with(struct rig *r, int64_t memory_mb, const struct rig_options *o);
/* As rig_open_with, with the installation and the folder of `before`, which crashed: its containers are an earlier run's. */
bool rig_open_after(struct rig *r, const struct rig *before, const struct rig_options *o);
/* Drains for at most so long. What could not be removed meanwhile; rig_close() is to follow. */
unsigned rig_drain(struct rig *r, uint64_t max_ms);
/* Drains, closes, and asserts that the loop is empty and that no container is left. */
void rig_close(struct rig *r);

/* A function snapshot (one reference) with `code` as its file. kind: "python:3", or "blackbox" with exec once|loop|direct. */
struct function *rig_function(struct rig *r, const char *name, const char *kind, const char *exec,
                              const char *code);

/* Starts a call; rig_wait() runs the loop until all have ended. input is JSON text and must live until then. */
void rig_start(struct rig *r, struct rig_call *c, struct function *f, const char *input);
void rig_start_claimed(struct rig *r, struct rig_call *c, struct function *f, const char *input,
                       int (*claim)(struct activation *a));
void rig_wait(struct rig *r);
/* Runs the loop for a while. */
void rig_pass(struct rig *r, uint64_t ms);
/* Start, wait, and check that each step came once. */
void rig_run(struct rig *r, struct rig_call *c, struct function *f, const char *input);
void rig_free(struct rig_call *c);

/* Number inside the invoker's JSON status, like rig_status(r, "containers_by_state", "idle"). */
int64_t rig_status(struct rig *r, const char *a, const char *b);
/* Has the Engine a bridge network? */
bool rig_has_bridge(void);
/* Ids of the containers of this rig that the Engine knows, one a line (made). */
char *rig_containers(struct rig *r);
/* Makes a container of this rig behind the invoker's back, named as its are (8 hex), with a folder of the host (NULL: none); its id (made). */
char *rig_create(const struct rig *r, const char *name, const char *folder);
/* Kills a container behind the invoker's back. */
void rig_kill(const char *id);

#endif
