/* Fake ports for the controller's unit tests: a function manager and an invoker with scripted answers. */
#ifndef NR_TESTS_UNIT_CONTROLLER_FAKES_H
#define NR_TESTS_UNIT_CONTROLLER_FAKES_H

#include "ports/controller.h"

enum fake_run {
    FAKE_ANSWER, /* answer at once, logs and end later in the same turn */
    FAKE_HOLD,   /* nothing until fake_finish() */
    FAKE_QUEUED, /* waits for a slot (I_BORROW) until fake_finish() */
    FAKE_ENTER,  /* has a slot, and claims in fakes_claim() */
};

struct fakes {
    struct nr_loop loop;
    struct controller *controller;
    char dir[64];
    struct account *account;
    enum fake_run run;
    const char *result; /* of FAKE_ANSWER and fake_finish() */
    enum outcome_status status;
    int asked, forgotten, runs, cuts, unclaimed; /* calls of the ports; claims that failed */
    bool unknown; /* FN_RESOLVE answers NR_ENOENT, as it does for names that begin with "missing" */
    struct trigger *trigger; /* made: FN_TRIGGER_RESOLVE gives it for every name */
    int triggers_asked;
    enum store_policy store; /* of the functions given out */
    const char *code;        /* "owner/package" whose code runs; NULL: as it is called */
    uint64_t derived;        /* revision of the functions given out; 0: 7, as it is stored */
    char asked_space[64];    /* of the last FN_RESOLVE */
    /* NULL: as it is. A function before it is given out (false: there is none); a call before it answers: sets f->result and f->status. */
    bool (*shape)(struct function *fn, struct nr_err *err);
    void (*answer)(struct fakes *f, struct activation *a);
    enum function_state state;
    uint32_t hold_ms; /* of the functions given out, when they are FN_UPDATING */
    const char *reason;
    struct alias_split split; /* of every alias; n == 0: there is none */
    int alias_asked;          /* calls of FN_RESOLVE_ALIAS */
    struct activation *held[64];
    int held_count;
    bool serves;      /* there is a container of what is asked for */
    int64_t stall_us; /* what passes on the clocks between the drain and the close */
    /* what on_reply saw last */
    int replies, last_status, last_error;
    char last_id[33], last_body[4096], last_error_text[256], last_head[256];
    int64_t last_version; /* published number of what ran; -1: nothing */
};

/* From now on every write of sqlite says that the disk is full, or no longer. */
void fakes_disk_full(bool full);
/* From now on writes of sqlite wait, or no longer. */
void fakes_disk_stands(bool stands);
/* Opens a controller with its own data folder and loop. keep: reopen the folder of an earlier run. */
void fakes_open(struct fakes *f, bool keep);
/* Closes all and asserts that the loop is clean; removes the folder unless `keep`. */
void fakes_close(struct fakes *f, bool keep);
/* Runs the loop until `*counter` reaches `value`, 5 s at most (then the test fails). */
void fakes_until(struct fakes *f, const int *counter, int value);
void fakes_turns(struct fakes *f, int turns);
struct activation *fakes_call(struct fakes *f, const char *name, bool blocking, uint32_t wait_ms);
/* The same for a version or an alias (NULL: none), by an id that is set (NULL: a new one). */
struct activation *fakes_call_target(struct fakes *f, const char *name, int64_t number,
                                     const char *alias, const char *id);
/* A blocking call of "package/name" in another namespace (NULL: the own one). */
struct activation *fakes_call_package(struct fakes *f, const char *space, const char *package,
                                      const char *name);
/* Fires a trigger; headers "": none. */
void fakes_fire(struct fakes *f, const char *name, const char *payload, const char *headers);
/* A blocking call with that input, lent until its answer. */
struct activation *fakes_call_input(struct fakes *f, const char *name, struct nr_str input,
                                    uint32_t wait_ms);
/* For controller_drain(): sets the int that arg points to. */
void fakes_on_idle(void *arg);
/* A call of FAKE_ENTER goes on at its claim. */
void fakes_claim(struct fakes *f, struct activation *a);
/* A held call answers; its slot comes back with fakes_end(). */
void fakes_answer(struct fakes *f, struct activation *a);
void fakes_end(struct activation *a);
/* Ends a held call: both. */
void fakes_finish(struct fakes *f, struct activation *a);
/* Asks and waits; the reply's text (made), or NULL with *ret_err. */
char *fakes_ask(struct fakes *f, enum query_op op, const char *id, bool count, int *ret_err);

#endif
