/* Inside windows: who tells of what. A thing is a function, or the nodes all together; its sources are the nodes that tell of it. A want is what policies
 * ask for of somebody's producer, or of the broker: one series for each name with its labels, however many producers there are.
 */
#ifndef NR_SCALER_DECIDE_WINDOWS_PARTS_H
#define NR_SCALER_DECIDE_WINDOWS_PARTS_H

#include "common/base/list.h"
#include "common/base/map.h"
#include "scaler/decide/cells.h"
#include "scaler/decide/windows.h"

enum {
    NODES_MAX = 1024,
    SOURCES_MAX = 256,           /* nodes that tell of one function */
    WANTS_MAX = 4096,            /* names with labels */
    LIVE_MS = 10000,             /* a node that told nothing for so long does not live */
    PRESENT_MS = 3500,           /* so far behind its node, a function is no more on it */
    AHEAD_MAX_MS = 60000,        /* a sample of a later time than that from now is not taken */
    KEEP_MS = 600000,            /* that nobody tells of */
    KEEP_ASKED_MS = 2 * 3600000, /* likewise, that somebody asked for */
    IDLE_SHARE = 2               /* things that nobody asks for have one of so many parts */
};

/* The newest of what windows_now() needs. */
enum now_slot {
    NOW_INSTANCES,
    NOW_BUSY,
    NOW_STARTING,
    NOW_INSTANCE_MB,
    NOW_INSTANCES_MAX,
    NOW_CONCURRENT_MAX,
    NOW_INFLIGHT,
    NOW_QUEUE,
    NOW_SLOTS
};

struct source {
    struct source *next;
    struct source *node; /* of a function: the node that tells of it; of a node: itself */
    unsigned refs;       /* of a node: functions' sources on it */
    uint64_t seq;
    int64_t t_ms, second;  /* of its newest sample; 0, INT64_MIN: none */
    double now[NOW_SLOTS]; /* of a node: the first is free memory */
    struct series *series; /* METRICS of them, made when somebody asks; NULL before */
    struct sketch_series sketch[SAMPLE_SKETCHES];
    char *name; /* of a node */
};

struct thing {
    struct nr_map_node node; /* key: "account\0function" */
    struct nr_link link;     /* in windows.idle or .asked, the newest first */
    char *key;
    size_t account_bytes;
    struct source *sources; /* in the order in which they came */
    unsigned source_count;
    int64_t t_ms, asked_ms; /* its newest sample, and when somebody asked; 0: never */
    uint64_t wants;         /* 1 << metric */
    uint16_t fine[METRICS], coarse[METRICS]; /* seconds */
};

struct want {
    struct want *next; /* of the same name */
    struct nr_map_node node;
    struct nr_link link; /* in windows.want_list, in the order in which they came */
    char *key;           /* name, then labels, each ended by \0 */
    size_t key_bytes;
    struct sample_label label[SAMPLE_LABELS_MAX + 2]; /* lent by key */
    unsigned label_count;
    struct nr_str
        own; /* account whose values count, beside those of nobody; n 0: the labels say it, or none */
    bool names_account; /* among the labels */
    struct series series;
    int64_t t_ms, asked_ms;
};

/* Wants of one name. */
struct named {
    struct nr_map_node node;
    struct want *wants;
};

struct windows {
    struct budget budget;
    int64_t clock_ms; /* as windows_clock() told it, INT64_MIN: it did not */
    int64_t heard_ms; /* as windows_heard() told it */
    struct nr_map functions, wants, names;
    struct nr_link idle, asked, want_list;
    struct thing nodes;
    struct series alive; /* seconds in which a node told something */
    unsigned want_count;
    uint64_t dropped;
    struct thing *last; /* that was asked for; its name is looked at first */
};

/* The function's thing (lent), made when there is none; NULL: no room. */
struct thing *thing_get(struct windows *w, struct nr_str account, struct nr_str function,
                        bool asked);
struct thing *thing_find(struct windows *w, struct nr_str account, struct nr_str function);
/* Whatever is told of the metric from now on stays for a window of so long. False: no room. */
bool thing_want(struct windows *w, struct thing *t, enum metric_id id, int64_t window_ms);
/* Its rings go. */
void thing_unwant(struct windows *w, struct thing *t);
/* The rings that its thing wants and that it has not. */
bool source_room(struct windows *w, struct thing *t, struct source *s);
/* Time went on: what nobody tells of or asks for goes. */
void things_expire(struct windows *w, int64_t now_ms);
void thing_free(struct windows *w, struct thing *t);

/* The want of a metric that is not a function's (lent), made when there is none; NULL: no room. own (lent): the account of the policy that asks; NULL: it
 * has none. */
struct want *want_get(struct windows *w, const struct metric_ref *m, const char *own,
                      int64_t window_ms, int64_t now_ms);
/* Is there one? */
bool want_there(const struct windows *w, const struct metric_ref *m, const char *own);
/* A value for all wants of this name that its labels fit. */
void wants_add(struct windows *w, struct nr_str name, const struct sample_label *label,
               unsigned count, double value, int64_t t_ms);
void wants_forget(struct windows *w, const char *account);
void wants_drop(struct windows *w);
void wants_free(struct windows *w);

/* A function's is present: its node told of it when it last told anything, and lives. */
bool source_present(const struct windows *w, const struct source *s, int64_t now_ms);
/* Rounded up to what a ring is made for. */
void window_seconds(int64_t window_ms, uint16_t *ret_fine, uint16_t *ret_coarse);

#endif
