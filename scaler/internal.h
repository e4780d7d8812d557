/* What the files of the scaler share. Everything here is the scaler's thread's own, but where it says otherwise.
 */
#ifndef NR_SCALER_INTERNAL_H
#define NR_SCALER_INTERNAL_H

#include <stdatomic.h>

#include "common/base/map.h"
#include "common/bus/bus.h"
#include "ports/scaler.h"
#include "scaler/channels.h"
#include "scaler/decide/decide.h"
#include "scaler/journal.h"
#include "scaler/store.h"

#define SCALER_GROUP "narae-scaler"

enum {
    POLICIES_MAX = 5000,
    PLANNED_MAX = 10000, /* functions that are forecast */
    HELD_MAX = 20000,    /* wishes that hold */
    LAGS_MAX = 64,
    RECORD_MAX_BYTES = 256 << 10,
    WINDOWS_MAX_BYTES = 256 << 20,
    HISTORY_MS = 3600000, /* the longest window: so much is heard again after a start */
    AHEAD_MS = 60000, /* another host's clock may be ahead by so much; what is later is not heard */
    PLAN_DESIRED_MAX = 32,
    PLAN_KEEP_MS = 60000, /* of what is beyond desired */
    AGAIN_MS = 60000,     /* what holds is told again, in case that it was dropped on its way */
    KEY_MS = 300000,      /* the journal has all states again */
    SURPLUS_KEEP_MS =
        10000, /* under a policy, an idle container beyond desired lives as long; not at all where calls start none */
};

/* A policy, and how it stands. */
struct entry {
    char *name;
    struct policy *policy; /* shared */
    char *by;              /* who set this version */
    int64_t updated_ms;
    char *key; /* of its target, on the bus too: "acme/parse", ":stems/python:3", ":nodes/NAME" */
    struct decide_state *state;
    int64_t due_ms;
    int64_t evaluated_ms, at_once_ms; /* last at its time, and between two; 0: never */
    bool mine;                        /* it was ours to decide when we last looked */
    bool fresh; /* it has just begun, and with it the windows of all that it looks at */
    /* What was decided last, here or elsewhere. */
    bool decided;
    int64_t decided_ms, desired, min_warm, maximum;
    int64_t sequence; /* of the newest decision: what orders them, whatever clocks say */
    bool on_demand;
    char *record; /* as it was published; NULL: nothing yet */
    int64_t told_ms;
};

/* A function and its forecast. */
struct planned {
    struct nr_map_node node; /* "account/function" */
    char *key, *account;
    const char *function; /* in key */
    struct forecast *forecast;
    int64_t minute;       /* that is being counted */
    int64_t heard_minute; /* of its newest sample */
    uint64_t calls;
    uint32_t inflight;
    int64_t instance_mb;
    bool was_warm; /* in this minute, by our plan */
    bool dirty;    /* not saved yet */
    bool told;     /* a plan of ours holds */
    int desired;
    int64_t keep_alive_ms;
    int64_t told_ms;
};

/* The last wish for something. */
struct held {
    struct nr_map_node node;
    char *key;
    int64_t t_ms;
    int64_t ends_ms; /* monotonic: it holds until then; 0: until another comes */
    int desired, maximum;
    int64_t keep_alive_ms;
    bool ahead_only, dirty, stems;
};

struct lag {
    char *topic, *group;
    bool wanted;
};

struct scaler_counts {
    _Atomic uint64_t samples, bad_samples, evaluations, at_once, changes, heard, wishes, late_ticks,
        plans, policies, functions, evaluate_us, clock_steps, refused;
};

struct scaler {
    struct scaler_config c; /* texts are its own */
    char id[33];            /* of this process, in its records */
    struct nr_loop loop;
    pthread_t thread;
    struct store *store;
    struct journal *journal;
    struct channels *channels;
    struct windows *windows;
    struct sample_room room;
    struct bus_reader hear, learn;
    unsigned readers; /* that are reading */
    bool hearing, marked;
    bool recalled;      /* what policies remembered before a restart */
    int64_t learned_ms; /* the last policy, or mark, came */
    int64_t began_ms;   /* samples are known since then; 0: none yet */
    int64_t opened_ms, now_ms;

    struct entry **entries; /* by name */
    size_t count, room_for;
    struct lag lags[LAGS_MAX];
    struct nr_map held; /* struct held */
    struct nr_map planned;
    size_t save_at; /* in planned: those from here on are saved next */
    struct forecast_population *population;
    int64_t planned_minute, saved_ms, trimmed_ms, keyed_ms, second;
    struct nr_deadline tick, apply;

    bool stopping;     /* nothing is decided or wished any more */
    _Atomic bool ends; /* any thread: what takes long gives up */
    unsigned later;    /* calls that a reading thread has */
    bool replaying;    /* one of them is a replay: there is one at a time */
    bool connected;
    /* alive.c: monotonic; when we last said that we decide, when somebody last showed it. */
    int64_t said_ms;
    _Atomic int64_t heard_ms;
    bool heard_any;
    void (*stopped)(void *arg);
    void *stopped_arg;
    struct nr_mail stop, over, quit;
    struct scaler_counts n;
};

/* ---- entries.c: policies in memory, in order of their names. ------------------------------------------------- */

/* By its name, or NULL. */
struct entry *entry_find(struct scaler *s, struct nr_str name);
/* p (shared, given) is the policy from now on; another version's memory is dropped where it does not fit, and a wish of what it was is taken
 * back where it is enforced no more. */
struct entry *entry_put(struct scaler *s, struct policy *p, const char *by, int64_t updated_ms);
/* As entry_put(), but that nothing of it is remembered yet: entry_begin() does that when all that there was is known. */
struct entry *entry_set(struct scaler *s, struct policy *p, const char *by, int64_t updated_ms);
void entry_begin(struct scaler *s, struct entry *e);
/* Takes its wish back and frees e. */
void entry_remove(struct scaler *s, struct entry *e);
/* Do they scale the same? */
bool entry_same_target(const struct policy *a, const struct policy *b);
/* Another one that is not off and scales the same; NULL: none. */
struct entry *entry_rival(struct scaler *s, const struct policy *p);
/* Is something enforced for this key? */
bool entry_enforced(struct scaler *s, struct nr_str key);
void entries_load(struct scaler *s);
/* All policies are known: what they remembered before a restart is recalled, and remembered from now on. */
void entries_recall(struct scaler *s);
/* What a policy remembered goes, later. */
void entry_forget(struct scaler *s, struct nr_str name);
void entries_free(struct scaler *s);
/* What all others are told of a policy; NULL document: that it is gone. */
void entry_publish(struct scaler *s, const struct entry *e);
void entries_publish(struct scaler *s);
/* A message of the topic policies. */
void entry_learn(struct scaler *s, const struct bus_message *m);
/* Where p's wishes go (made). */
char *entry_key_of(const struct policy *p);
const char *policy_target_words(enum policy_target t);
/* {"account","function"}, {"stems"} or {"nodes":true}. */
json_t *policy_target_json(const struct policy *p);

/* ---- tick.c: evaluations. -------------------------------------------------------------------------------------- */

void tick_start(struct scaler *s);
void tick_stop(struct scaler *s);
/* Wall clock, which does not go back here but in a step of some seconds, which tick.c sees to. */
int64_t tick_now(struct scaler *s);
/* What a policy sees now. */
void tick_input(struct scaler *s, const struct policy *p, int64_t now_ms, struct decide_input *ret);
/* Calls of a function wait (of is a sample that says so): its policies are evaluated now. */
void tick_at_once(struct scaler *s, const struct sample *of);
/* lags.c: the lags that policies ask for, into the windows and the journal. */
void lags_take(struct scaler *s, int64_t now_ms);
/* Whose lag m means: the consumer group that it names, or the one that is called like the function. */
const char *tick_group_of(const struct policy *p, const struct metric_ref *m);
/* What it remembers is written into the journal and the store, once all is recalled. begins: it goes on from something else than it decided
 * itself. */
void tick_remember(struct scaler *s, struct entry *e, bool begins);

/* ---- records.c: what was decided goes out, and comes in. ---------------------------------------------------- */

/* Published, stored, told to channels. */
void record_decision(struct scaler *s, struct entry *e, const struct decision *d);
/* e's policy wishes nothing any more. */
void record_release(struct scaler *s, struct entry *e, const char *why);
/* Told again: what holds for e. */
void record_again(struct scaler *s, struct entry *e);
void record_plan(struct scaler *s, const struct planned *p, bool obey);
/* What was decided for e before a restart. */
void record_recall(struct scaler *s, struct entry *e, const struct bus_message *m);
/* A message of the topic decisions. */
void record_heard(struct scaler *s, const struct bus_message *m);

/* ---- wishes.c: the last wish of each key, to the platform. -------------------------------------------------- */

/* Not when it is older than the one that holds, unless it is known to come behind it, whatever its time. for_ms: it holds for so long unless it is
 * told again; 0: until another comes. */
void wish_hold(struct scaler *s, struct nr_str key, int64_t t_ms, bool behind, int64_t for_ms,
               const struct scaler_wish *w);
/* What was not told again in time goes. */
void wishes_expire(struct scaler *s);
/* The clock was set back: none is of a time to come. */
void wishes_back(struct scaler *s, int64_t now_ms);
/* `apply` has come. */
void wishes_apply(struct nr_deadline *d);
void wishes_forget(struct scaler *s, const char *account);
void wishes_free(struct scaler *s);

/* ---- plans.c: forecasts of all functions. --------------------------------------------------------------------- */

void plan_sample(struct scaler *s, const struct sample *m);
/* The clock was set back: none is of a time to come. */
void plans_back(struct scaler *s, int64_t now_ms);
/* Once a minute. */
void plan_minute(struct scaler *s, int64_t now_ms);
struct planned *plan_find(struct scaler *s, struct nr_str key);
void plans_load(struct scaler *s);
void plans_save(struct scaler *s, bool all);
void plans_forget(struct scaler *s, const char *account);
void plans_free(struct scaler *s);

/* ---- calls.c: the port's calls. -------------------------------------------------------------------------------- */

void call_run(struct nr_mail *m);
/* Its `done` is posted to the platform's loop. Any thread. */
void call_done(struct scaler *s, struct scale_call *c);
/* May the caller see what belongs to `account` (NULL: to nobody)? */
bool call_may_see(const struct scale_call *c, const char *account);
int call_refuse_unknown(struct scale_call *c);
/* The reply is j (given). */
int call_reply(struct scale_call *c, json_t *j);
/* A document read for c, NULL with c's error and reply. */
struct policy *call_read(struct scale_call *c, struct nr_str text, const char *name);
/* One row of SCALE_LIST. */
json_t *call_row(const struct entry *e);
int call_put(struct scaler *s, struct scale_call *c);
int call_list(struct scaler *s, struct scale_call *c);
int call_show(struct scaler *s, struct scale_call *c);
int call_versions(struct scaler *s, struct scale_call *c);
int call_delete(struct scaler *s, struct scale_call *c);
int call_check(struct scaler *s, struct scale_call *c);
int call_import(struct scaler *s, struct scale_call *c);
int call_evaluate(struct scaler *s, struct scale_call *c);
int call_explain(struct scaler *s, struct scale_call *c);
int call_replay(struct scaler *s, struct scale_call *c);
int call_forecasts(struct scaler *s, struct scale_call *c);
int call_channels(struct scaler *s, struct scale_call *c);
int call_channel_put(struct scaler *s, struct scale_call *c);
int call_channel_delete(struct scaler *s, struct scale_call *c);
int call_status(struct scaler *s, struct scale_call *c);
/* scaler.c: once a second; metrics and decisions are read as soon as all policies are known. */
void scaler_hear_when_learned(struct scaler *s, int64_t now_ms);
/* scaler.c: a call that a reading thread had is done; the scaler's thread. */
void scaler_later_done(struct scaler *s);

#endif
