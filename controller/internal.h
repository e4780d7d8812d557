/* What the files of the controller share. Loop's thread, except what journal.c says.
 */
#ifndef NR_CONTROLLER_INTERNAL_H
#define NR_CONTROLLER_INTERNAL_H

#include "common/base/map.h"
#include "common/base/metric.h"
#include "controller/samples.h"
#include "ports/controller.h"
#include "ports/timing.h"

/* Counters of one account, alive as long as the controller: they survive every snapshot of the account. */
struct account_use {
    struct nr_map_node node;
    char *name;
    int64_t in_flight;
    int64_t window; /* minute of the monotonic clock that `in_window` counts */
    int64_t in_window;
    int64_t fire_window, fires_in_window; /* of triggers, likewise */
    int64_t accepted_bytes;               /* of requests of its accepted calls: backlog.c */
};

/* How calls started. The labels are bounded by two enums: 7 stages x 6 causes. */
struct start_metrics {
    nr_counter kinds[START_COLD + 1], causes[COLD_CRASHED + 1], stem_empty;
    struct nr_hist stages[STAGES][COLD_CRASHED + 1];
};

enum refused_reason {
    REFUSED_MINUTE,
    REFUSED_CONCURRENT,
    REFUSED_QUEUE,
    REFUSED_HOLD,
    REFUSED_FIRES,
    REFUSED_REASONS
};

struct controller_metrics {
    nr_counter outcomes[4], refused[REFUSED_REASONS], downgraded, accepted_async, records_dropped,
        late_results, fires, fires_idle, rules_refused;
    struct nr_hist wait, duration;
    struct start_metrics starts;
};
/* Rows of accepted work by state; accepted - (queued + running + terminal) must be 0. */
struct journal_count {
    int64_t accepted, queued, running, terminal;
};

/* What accepted work takes that is not in the rows above: rows on their way to the disk, and bytes of requests. */
struct backlog {
    int64_t rows, bytes;
};

struct controller {
    struct nr_loop *loop;
    struct fnmanager *fnmanager;
    struct invokers *invokers;
    struct nr_log *log;
    struct nr_db *db;
    char *data_dir;
    uint8_t number;
    int64_t retention_s, retention_max_bytes, queue_max, queue_max_bytes;

    struct nr_map uses;      /* account name -> struct account_use */
    struct nr_map functions; /* resolve.c: key -> what is cached of a function */
    struct nr_link lru;      /* of the above; front is the most recent */
    struct nr_link packaged; /* resolve_cache.c: those of the above that are in a package */
    size_t cells;            /* cached snapshots and aliases of them all */
    struct nr_map triggers;  /* triggers.c: "account/name" -> what is cached of a trigger */
    struct nr_link triggers_lru;
    struct nr_map holds;       /* hold.c: path -> calls that wait for the end of an update */
    size_t held;               /* all of them */
    struct call_counts counts; /* by function, for samples */
    struct nr_map live;        /* id -> struct activation, until its row is stored */
    struct nr_link all;        /* every activation that has not ended, by in_account */
    int64_t running;           /* activations that have not ended */
    struct asked_counts asked;
    struct activation_pool *pool; /* of those that the controller makes itself */

    struct nr_link
        answered;          /* answered, row not on disk yet; by `queue`, in order of `answer_seq` */
    struct nr_link asking; /* questions that wait for the rows answered before them */
    struct nr_link followers;   /* of logs */
    struct nr_link forgettings; /* of accounts: forget.c */

    struct journal_count rows;
    struct backlog backlog;
    int64_t unstored_bytes,
        unstored_peak_bytes;  /* of calls that have ended and whose rows are not on disk */
    int64_t reload_after_seq; /* rows of an earlier run beyond this one are still to be loaded */
    bool reload_more, reloading;
    bool reload_anew;                      /* from the first row, when the read under way is done */
    int64_t reloaded_live, reload_waiting; /* of them: look their functions up again later */

    bool stopping, cut, closed, disk_full, sweeping;
    bool beside;             /* another process ends its calls in the same journal */
    struct alone_job *alone; /* what it left is being looked for, or will be again */
    int64_t run;             /* of this process, in rows that it runs */
    struct nr_deadline drain_deadline, tidy;
    void (*idle)(void *arg);
    void *idle_arg;
    void (*on_metric)(void *arg, const struct activation *a, const struct sample *s);
    void *on_metric_arg;
    struct controller_metrics m;
};

/* custom.c: tells of each custom metric in the log of a call that ended. */
void custom_read(struct controller *c, const struct activation *a);
/* invoke.c */
void controller_tick(struct activation *a);
/* a has ended: it is no longer among the living, and given back. */
void controller_end(struct controller *c, struct activation *a);

/* fire.c: a call of a rule looked its function up. True: it waits for the row of its trigger, and is ticked then; false: it was refused. */
bool fire_accept(struct controller *c, struct activation *a);
/* The trigger went on: it is known now, or its calls are. */
void fire_tick(struct activation *a);

/* triggers.c: 0: *ret is the trigger of a (lent until the next turn; NULL: a failed); 1: later, then fire_tick(). */
int triggers_find(struct controller *c, struct activation *a, struct trigger **ret);
/* One trigger, or all of an account (name NULL). */
void triggers_forget(struct controller *c, const char *account, const char *name);
void triggers_fini(struct controller *c);
/* One less is running: who waits for the last one is told. */
void controller_left(struct controller *c);

/* compose.c: a is run: in a container, or by calls of its own when it is a sequence or a composition. Ticked with the outcome, maybe before
 * this returns. */
void run_start(struct activation *a);
/* What was asked for by a->claim. */
void run_claimed(struct activation *a, int status);
/* As invokers_cut(). */
void run_cut(struct activation *a, int err);
/* Does a run others? It was looked up. */
bool compose_wanted(const struct activation *a);
/* A step was looked up, in place of its admission: it may be refused. */
void compose_admit(struct activation *step);
/* The slot of a is back. */
void compose_slot_back(struct activation *a);
/* Most memory of a function that the sequence a ran; 0: it is none, or ran none. */
int64_t compose_memory_mb(const struct activation *a);
/* a has ended: it lets go of its steps and of whose step it is. */
void compose_release(struct activation *a);

/* resolve.c: 0 a->fn is set (or a failed), 1 later (then a->on_step, to ask again). An alias with several versions needs an id: a gets one
 * that is not in use before it is admitted. */
int resolve_function(struct controller *c, struct activation *a);
/* The version that a call with this id goes to; split->n is at least 1. */
int64_t resolve_choose(const struct alias_split *split, const char *id);
/* resolve_cache.c: what controller_on_change() says of a function, a package or a binding. */
void resolve_forget(struct controller *c, const char *account, const char *package,
                    const char *name, uint64_t old_revision, enum fn_change what);
/* What is known of what the account called, and of its code, whoever called it: it is suspended, comes back, or leaves. */
void resolve_forget_account(struct controller *c, const char *account);
void resolve_fini(struct controller *c);

/* final.c: fails a when its payload gives a parameter that the function's annotation `final` keeps. */
void final_check(struct activation *a);

/* hold.c: true: a waits for the end of an update, and is ticked at C_RESOLVE then; false: it goes on, or failed. */
bool hold_call(struct controller *c, struct activation *a);
/* The function changed: its held calls go on. */
void hold_release(struct controller *c, const char *account, const char *package, const char *name);
/* The platform stops: all held calls end. */
void hold_stop(struct controller *c);
void hold_fini(struct controller *c);

/* forget.c: those that were cut short by the end; their done comes. */
void forget_fini(struct controller *c);

/* admission.c: counts a in, or fails it with the exact text and Retry-After. Reloaded rows are always counted in. */
void admission_take(struct controller *c, struct activation *a, uint64_t now_ms);
void admission_give(struct controller *c, struct activation *a);
/* Counts the fire of a trigger into its account's minute, or fails a likewise. */
void admission_fire(struct controller *c, struct activation *a, uint64_t now_ms);
/* The counters of an account, made with its first call; lent. */
struct account_use *admission_use(struct controller *c, const char *account);
void admission_fini(struct controller *c);

/* backlog.c: room for the row of a and for its input, until backlog_give(): 0 or NR_EQUOTA. */
int backlog_take(struct controller *c, struct activation *a);
/* The same for a row of an earlier run, which is there already. */
void backlog_load(struct controller *c, struct activation *a);
/* The row of a is on the disk: c->rows counts it now. */
void backlog_on_disk(struct controller *c, struct activation *a);
/* What a has taken; nothing is fine. */
void backlog_give(struct controller *c, struct activation *a);
/* True: there is no room for so many rows, with so many bytes of requests in all; a failed with the figures and Retry-After. */
bool backlog_refuse(struct controller *c, struct activation *a, size_t rows, size_t bytes);

/* journal.c: rows of calls.db. The accept, claim and end functions set a->row_pending and tick when the row is on disk. */
void journal_accept(struct controller *c, struct activation *a);
/* The parts of journal_accept(), for who writes several rows at once: what the row needs lives with a from now on (0, or why it cannot be
 * stored), its row (the writer's thread; 0 or NR_E*), it is on disk, it was refused. */
int journal_keep(struct controller *c, struct activation *a);
int journal_insert(sqlite3 *db, const struct activation *a);
/* input.c: what is stored of the input of a (*ret_stored, lent by a or by *ret, which is made; NULL: nothing was). The writer's thread. */
int input_seal(const struct activation *a, char **ret, struct nr_str *ret_stored);
/* The input of a as it was stored becomes the one that was given, or a fails. Any thread; nobody else has a. */
void input_open(struct fnmanager *m, struct activation *a);
void journal_accepted(struct controller *c, struct activation *a);
void journal_refuse(struct controller *c, struct activation *a, int why);
void journal_end(struct controller *c, struct activation *a);
int journal_claim(struct activation *a);
/* Steps a statement that gives at most one row: 0 or NR_E*. NULL is NR_EIO. The writer's thread. */
int journal_step(sqlite3_stmt *s);
/* Makes the row of a call that ran when its process died, `id` in its epoch (id NULL: all that run), a failed one; *ret_failed counts them. With the runs of
 * processes that live (`living`, JSON; NULL: none) those are passed over, and what says no run. The writer's thread. */
int journal_fail(sqlite3 *db, const char *id, int epoch, const char *living, int64_t *ret_failed);

/* beside.c: the store says nothing more; what waits to look again ends. */
void beside_fini(struct controller *c);
/* recovery.c: opens calls.db (living: as in struct controller_config), and loads the queued rows of an earlier run bit by bit; call it again when some have ended. */
int journal_open(struct controller *c, const char *living, struct nr_err *err);
void journal_reload(struct controller *c);
/* The same when few of those that were loaded are left. */
void journal_reload_more(struct controller *c);

/* retention.c: records go by age and bytes; the ballast is made, and freed when the disk is full. */
void journal_tidy_start(struct controller *c);
void ballast_make(struct controller *c);
void disk_is_full(struct controller *c);

/* record.c: the answer of a call, in a->reply and a->reply_status. */
void record_reply(struct activation *a);
void record_accepted(struct activation *a);
/* The annotations of a record as a JSON array. */
void record_annotations(const struct activation *a, struct nr_buf *out);
int64_t record_duration_ms(const struct activation *a);

/* told.c: how calls started, counted at the end of each; and in the text form. */
void told_count(struct start_metrics *m, const struct activation *a);
void told_metrics(const struct start_metrics *m, struct nr_buf *out);

/* One record, from wherever it comes; texts lent. */
struct record {
    struct nr_str account, name, version, id, cause, result, logs, annotations;
    int64_t start_ms, end_ms, duration_ms;
    int status;
    enum activation_kind kind;
};
void record_write(struct nr_buf *out, const struct record *r, bool with_logs);
void record_write_brief(struct nr_buf *out, const struct record *r);
/* {"logs":[...]} and {"status","success","result","size"}. */
void record_write_logs(struct nr_buf *out, const struct record *r);
void record_write_result(struct nr_buf *out, const struct record *r);

/* follow.c: tells those who follow that a has ended; call it only when there is one. */
void follow_publish(struct controller *c, const struct activation *a);
/* The two questions of a struct log_query; a reader's thread. */
int follow_ids_run(sqlite3 *db, struct nr_db_job *job);
int follow_read_run(sqlite3 *db, struct nr_db_job *job);
void follow_metrics(struct controller *c, struct nr_buf *out);

struct preenv_production;
/* preenv_production.c: fills *ret but peak_mb; untouched when there are no such calls. Blocking, any thread but the loop's. */
void query_production(struct controller *c, const struct function *f, int64_t since_ms,
                      struct preenv_production *ret);

/* query.c: rows are on disk, look whether questions can be asked now. */
void query_wake(struct controller *c);

#endif
