/* One replay under way; what its files share. On a reading thread of the database.
 */
#ifndef NR_SCALER_REPLAY_STATE_H
#define NR_SCALER_REPLAY_STATE_H

#include "scaler/internal.h"
#include "scaler/model.h"
#include "scaler/replay.h"

enum { RECORDED_MAX = 200000, LINES_MAX = 200, DIFFERENCES_MAX = 50 };

/* A recorded decision. */
struct outcome {
    int64_t t_ms, to, maximum;
    bool on_demand, decision; /* false: the policy's wish was taken back */
    uint64_t hash;            /* of its text, without who took it and how long */
};

struct replay {
    struct nr_db_job job;
    struct scaler *s;
    struct scale_call *c; /* lent until done */
    struct policy *p;     /* shared */
    char *name;           /* whose evaluations are repeated; NULL: nobody's */
    enum replay_kind kind;
    bool edited, heard, generates;
    int64_t since_ms, upto_ms, key_ms, last_ms, due_ms;
    int64_t evaluated_ms;                      /* last, where evaluations are generated */
    char *function[POLICY_CONDITIONS_MAX + 1]; /* in quotes, as a sample's text has them */
    unsigned function_count;
    bool custom; /* metrics of other producers count */

    struct windows *windows;
    struct sample_room room;
    struct decide_state *state;
    bool state_known, counting, found, gap;
    struct outcome *recorded;
    size_t recorded_count, recorded_room;
    size_t recorded_at, compared_at, recorded_end; /* in one stretch, that ends there */
    struct model was, is;
    struct decision *decision;

    uint64_t samples, evaluations, unlike, skipped;
    char *line[LINES_MAX]; /* the newest decisions, a ring */
    unsigned line_count, line_at;
    json_t *differences;
    uint64_t more;
    json_t *warnings;              /* of a check */
    uint64_t fired;                /* bit i: rule i had a vote */
    uint64_t enough_ms;            /* a check looks so long, no longer; monotonic */
    int64_t differ_was, differ_is; /* of the last difference that was told */
};

/* ---- replay.c ---- */

/* An error, with its sentence in the call, when the rest is worth nothing: nobody waits any more, or the scaler ends. */
int replay_given_up(struct replay *r);
bool replay_counts(const struct replay *r, int64_t t_ms);
void replay_move_models(struct replay *r, int64_t t_ms);

/* ---- replay_recorded.c ---- */

/* Reads r->recorded. An error of the database, of memory, or replay_given_up()'s. */
int replay_recorded(struct replay *r, sqlite3 *db);
/* Where the stretch ends in which the clock was not set back, from the decision at this place on. */
size_t replay_stretch_end(const struct replay *r, size_t at);
/* The clock was set back to t_ms: what was decided from there on is the next stretch. */
void replay_next_stretch(struct replay *r, int64_t t_ms);

/* ---- replay_tick.c ---- */

/* Of a record without `by` and `took_us`. */
uint64_t replay_hash(const json_t *record);
/* An evaluation was recorded here. */
void replay_tick(struct replay *r, const struct journal_record *rec);
/* Evaluations at multiples of evaluate_every up to t_ms, where none were recorded. */
void replay_generate(struct replay *r, int64_t t_ms);
/* Calls waited: the evaluation between two of these. */
void replay_generate_at_once(struct replay *r, int64_t t_ms);
void replay_reply(struct replay *r);

#endif
