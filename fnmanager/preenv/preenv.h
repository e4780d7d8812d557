/* What the parts of the PreEnv Optimizer share: samples, configurations, a run.
 *
 *   preenv_controller.c   Env Controller: the next environment, and the snapshot of the function that runs in it
 *   (ports/preenv.h)      Tester: runs it
 *   preenv_analyzer.c     Exec Analyzer: from samples to figures, and whether one configuration is slower than another; pure
 *   preenv_selector.c     Best Env Selector: goes on, or stops with a choice and its reason; pure
 *   preenv_storage.c      Storage: rows of meta.db
 *   preenv.c              the optimizer's thread: one run after another
 *   preenv_run.c          one run, from station to station
 *   preenv_api.c, preenv_request.c, preenv_text.c   the calls, their bodies, their JSON
 */
#ifndef NR_FNMANAGER_PREENV_H
#define NR_FNMANAGER_PREENV_H

#include "ports/preenv.h"

enum {
    PREENV_STEP_MB = 64,
    PREENV_PAYLOADS_MAX = 16,
    PREENV_GRID_MAX = 256, /* configurations that a caller may name */
    PREENV_TESTED_MAX = 8, /* configurations of a search */
    PREENV_ROUNDS = 3,     /* blocks of calls of each configuration that are compared */
    PREENV_ROUNDS_MAX = 6, /* when three do not decide */
    PREENV_EVENTS_MAX = 1024,
    PREENV_ADVICE_MAX = 12,
};

/* Memory in use may be this part of the limit. */
#define PREENV_HEADROOM 0.85

/* One test call. Times in ms, memory in MB; < 0: not told. */
struct preenv_sample {
    int payload;
    unsigned round;
    bool cold;
    double start_ms, init_ms, run_ms;
    double cpu_ms, user_ms, system_ms, throttled_ms;
    double init_peak_mb, run_peak_mb, rest_mb, high_water_mb;
    double others; /* processors that the rest of the host used meanwhile */
};

struct preenv_series {
    struct preenv_sample *samples; /* made */
    unsigned count, cap;
};

enum preenv_verdict { PREENV_UNJUDGED, PREENV_AS_FAST, PREENV_SLOWER, PREENV_UNDECIDED };

/* One tested configuration. */
struct preenv_config {
    int64_t memory_mb, cpus_milli; /* cpus_milli 0: no cap */
    enum preenv_outcome outcome;
    char error[256]; /* of an outcome that is not ok */
    struct preenv_series series;
    unsigned runs, cold_runs;

    /* figures; < 0: none */
    double cold_ms, p50_ms, p95_ms, user_ms, system_ms, throttled_ms;
    double peak_mb, init_peak_mb, run_peak_mb, high_water_mb;
    double payload_peak_mb[PREENV_PAYLOADS_MAX];
    double noise;  /* how far the median of the run time may be off, as a part of it */
    double others; /* part of the host's processors that others used */
    enum preenv_verdict verdict; /* against the reference */
    double slow_by;              /* 0.02: 2 % slower than it, by what was judged */
    bool by_cpu;                 /* that was the processor time of a call, not how long it took */
    bool noisy;
};

struct preenv_payload {
    double weight;
    char *value; /* JSON object text; made */
};

struct preenv_event {
    int64_t at_ms;
    const char *station; /* "environment", "test", "analysis", "selection", "storage" */
    char text[160];
};

enum preenv_state { PREENV_RUNNING, PREENV_DONE, PREENV_FAILED, PREENV_CANCELLED, PREENV_STATES };

/* What was asked for. */
struct preenv_request {
    bool cpu; /* the axis; else memory */
    bool apply;
    int64_t version;  /* published; 0: LATEST */
    double tolerance; /* 0.05 */
    unsigned
        repeats; /* warm calls of each payload and configuration; 0: by the time a call takes */
    int64_t deadline_s;
    double target_ms; /* of the axis cpu: p95 that is good enough; 0: none */
    struct preenv_payload payloads[PREENV_PAYLOADS_MAX];
    unsigned payload_count;        /* 0: {} */
    int64_t grid[PREENV_GRID_MAX]; /* memory in MB, or thousandths of a core; descending */
    unsigned grid_count;           /* 0: search */
};

struct preenv_run {
    char id[33];
    char *account, *package, *name; /* made */
    char *key_uuid;                 /* of who asked; made */
    int64_t function_id;
    char *function_version, *sha256; /* "0.0.3", 64 hex: what is measured; made */
    uint64_t revision;               /* of that version when the run began */
    struct preenv_request request;
    int64_t declared_mb, declared_cpus_milli, timeout_ms;

    enum preenv_state state;
    char reason[480], phase[80];
    struct preenv_config *configs; /* made; PREENV_GRID_MAX + 1 of them at most */
    unsigned config_count;
    double growth_mb; /* per call; 0: it does not grow */
    int64_t recycle_calls;
    int64_t chosen; /* MB, or thousandths of a core; 0: none */
    bool noisy, applied;
    char *place; /* JSON object text; made */
    char advice[PREENV_ADVICE_MAX][240];
    unsigned advice_count;
    struct preenv_event *events; /* made */
    unsigned event_count;
    int64_t started_ms, ended_ms, spent_ms; /* spent_ms: in earlier lives of the process */
};

/* Made, empty; with room for configurations and events. */
struct preenv_run *preenv_run_make(void);
/* NULL is fine. */
void preenv_run_free(struct preenv_run *r);
/* Frees what a request holds. */
void preenv_request_fini(struct preenv_request *q);

/* Size on the run's axis: MB, or thousandths of a core. */
int64_t preenv_size(const struct preenv_run *r, const struct preenv_config *c);
/* "1024 MB", "0.5 cores" into text (lent, 32 bytes); returns it. */
const char *preenv_size_text(bool cpu, int64_t size, char text[32]);
const char *preenv_state_text(enum preenv_state s);

#endif
