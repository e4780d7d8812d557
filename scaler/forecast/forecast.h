/* What a function will need: for each minute (or other tick) the chance that it is called, learned online from its own past blended with that of all.
 * Pure; the same code runs in the scaler and in `policy-bench`.
 *
 * Several opinions (how long after a call, which hour, which day, which period, who was called before) are mixed by weights that the minutes of all
 * functions teach: hazard.c. Calls in flight come from what was of late and at this time of the hours, days and weeks before: look.c. A class (regular,
 * dense, bursty, correlated, rare) is a word for people. At most 2 KB a function.
 */
#ifndef NR_SCALER_FORECAST_FORECAST_H
#define NR_SCALER_FORECAST_FORECAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

enum arrival_class {
    ARRIVAL_UNKNOWN,
    ARRIVAL_REGULAR,
    ARRIVAL_DENSE,
    ARRIVAL_BURSTY,
    ARRIVAL_CORRELATED,
    ARRIVAL_RARE
};
const char *arrival_class_text(enum arrival_class c);

struct forecast;            /* of one function */
struct forecast_population; /* of all functions: what a new one begins with */

struct forecast_population *forecast_population_make(void);
void forecast_population_free(struct forecast_population *p);
/* Across restarts: JSON (made) and back (made); NULL: it is none. About 90 KB. */
json_t *forecast_population_save(const struct forecast_population *p);
struct forecast_population *forecast_population_load(const json_t *j);
/* p is kept. A population and its forecasts are used by one thread at a time: each minute that is told teaches all. */
struct forecast *forecast_make(struct forecast_population *p);
/* The account it belongs to (lent): functions of one account that are called one after the other are found. Without it, it stands alone. */
void forecast_account(struct forecast *f, const char *account);
void forecast_free(struct forecast *f);
size_t forecast_bytes(const struct forecast *f); /* <= 2048 */
/* Across restarts: JSON (made) and back; NULL: it is none. */
json_t *forecast_save(const struct forecast *f);
struct forecast *forecast_load(struct forecast_population *p, const json_t *j);

/* A minute (number of minutes since 1970) is over: so many calls came, and at most `inflight` were in flight at a time. Minutes without a call need not
 * be told one by one: a later minute fills them. `was_warm`: a container was kept or started ahead for it in this minute by our wish; it was wasted
 * when no call came. */
void forecast_minute(struct forecast *f, int64_t minute, uint64_t calls, uint32_t inflight,
                     bool was_warm);

/* The clock was set back: what is told next is of `minute` or later, whatever was told before. */
void forecast_back(struct forecast *f, int64_t minute);

/* Should a container be kept ready in `minute`, at a price of memory? The price is the same for all functions: the chance of a call that a warm minute
 * must be worth, 0 < price < 1; instance_mb weighs it (-1: all alike). */
bool forecast_warm(const struct forecast *f, int64_t minute, double price, int64_t instance_mb);
/* The chance of a call in `minute`, if none came since the last minute that was told; 0 before the first call and for what is over. */
double forecast_chance(const struct forecast *f, int64_t minute);
/* Is a minute with this chance worth its memory? What forecast_warm() asks. */
bool forecast_worth(double chance, double price, int64_t instance_mb);
/* From `minute` on, without a further call: for how many minutes it stays warm (0: it is not), and the next minute after those that is warm again
 * (INT64_MAX: none). Looks FORECAST_PLAN_MINUTES ahead, for it is asked anew each minute for every function; _day looks a day ahead, for people
 * (about a thousand times the work). */
enum { FORECAST_PLAN_MINUTES = 2 };
void forecast_plan(const struct forecast *f, int64_t minute, double price, int64_t instance_mb,
                   int64_t *ret_keep_minutes, int64_t *ret_next_warm);
void forecast_plan_day(const struct forecast *f, int64_t minute, double price, int64_t instance_mb,
                       int64_t *ret_keep_minutes, int64_t *ret_next_warm);

/* What a policy's evaluation sees. */
struct forecast_view {
    bool known;
    double p50,
        p90; /* most calls in flight at a time within the horizon, whole numbers: the middle, and the quantile that was asked for */
    double confidence; /* 0..1, from its own hits and wasted pre-warms */
    enum arrival_class class;
};
/* quantile: of the policy's `predict`, in place of 0.9. */
void forecast_look(const struct forecast *f, int64_t now_ms, int64_t horizon_ms, double quantile,
                   struct forecast_view *ret);
/* 0..1: below the policy's min_confidence, or FORECAST_TRUSTED where there is none, it only shadows. */
double forecast_confidence(const struct forecast *f);
#define FORECAST_TRUSTED 0.6
enum arrival_class forecast_class(const struct forecast *f);

#endif
