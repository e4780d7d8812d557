/* What the files of the fleet share: the hosts, the calls that wait for one, wishes, and what is owed to hosts that are away. Loop's thread.
 */
#ifndef NR_CONTROLLER_FLEET_H
#define NR_CONTROLLER_FLEET_H

#include "common/base/map.h"
#include "common/base/metric.h"
#include "common/data/db.h"
#include "common/data/digest.h"
#include "controller/placement.h"
#include "ports/far.h"
#include "ports/invokers.h"

/* Another host, by name: known from fleet.db, or since it joined. */
struct fleet_host {
    struct invokers *fleet;
    char name[INVOKER_NAME_BYTES];
    uint64_t id; /* of its name, for its place in the orders of functions */
    bool has_token, cordoned;
    bool draining;      /* until its containers are gone, over links and restarts */
    bool drain_asked;   /* its far side knows */
    bool fresh;         /* it has joined and is told all wishes */
    unsigned char slot; /* in what is kept of each host; below INVOKERS_MAX */
    unsigned char token[NR_SHA256_BYTES]; /* the hash of it */
    int64_t added_ms, joined_ms;          /* wall clock; 0: never since the start */
    /* JSON object texts, NULL: none. What the administrator gave holds where both have a tag. */
    char *given, *told;
    char **tags;     /* of both, and its name (tags.h) */
    struct far *far; /* NULL: it has not joined since the start */
    struct nr_link debts;
    nr_counter placed, bounced;
};

struct invokers {
    struct nr_loop *loop;
    struct invoker *local; /* kept; NULL: none */
    struct nr_log *log;
    struct invokers_config config; /* listen NULL: no other host may join */
    struct far_listener *listener; /* from invokers_listen() on */
    struct nr_db *db;              /* NULL where no other host may join */
    struct fleet_host *hosts[INVOKERS_MAX];
    size_t host_count;
    char **local_tags;
    char *data_dir;
    char pin[72]; /* of the listener's certificate; "": it has none */

    struct nr_link unplaced; /* activations, by `queue` */
    size_t unplaced_count;
    bool placing;             /* the queue is being gone through */
    struct nr_deadline again; /* it is gone through anew, as long as anybody waits */
    unsigned local_calls;
    uint64_t local_counted_ms;
    nr_counter unfit, gave_up, local_placed;

    struct nr_link removed; /* struct fleet_removed, the oldest first */
    size_t removed_count;

    struct nr_map wishes;     /* struct fleet_wish, by name; fleet_wish.c */
    struct nr_link due;       /* of these, the ones that are to be shared out anew */
    struct nr_deadline share; /* at which that goes on */
    struct nr_link leaving;   /* struct fleet_leaving; fleet_leaving.c */
    bool handed;              /* another process serves on */
    bool beside;              /* the process that was here before still has hosts */
    struct nr_deadline leave; /* handed: hosts that are idle go */
    bool closing;
    void (*closed)(void *arg);
    void *closed_arg;
};

/* fleet.c: frees it with what is in it; links have ended. */
void fleet_free(struct invokers *f);

/* ---- fleet_calls.c: which host has a call ----------------------------------------------------------------------- */

/* The hosts as they are for one function; the local one, where there is one, is the first. */
struct fleet_view {
    struct place_host hosts[PLACE_HOSTS_MAX];
    struct fleet_host *of[PLACE_HOSTS_MAX]; /* NULL: the local one */
    size_t n;
    struct place_call call;
};
void fleet_look(struct invokers *f, const struct function *fn, struct fleet_view *ret);
/* Places a, or lets it wait, or refuses it. */
void fleet_place(struct invokers *f, struct activation *a);
/* Ends a call that waits for a host. */
void fleet_cut_unplaced(struct activation *a, int err);
/* Something has changed for the better: calls that wait for a host are tried again. */
void fleet_retry(struct invokers *f);

/* ---- fleet_hosts.c: who may join, who has ----------------------------------------------------------------------- */

struct fleet_host *fleet_host_find(struct invokers *f, struct nr_str name);
/* A new one; NULL: there are INVOKERS_MAX. */
struct fleet_host *fleet_host_make(struct invokers *f, struct nr_str name);
/* Its link ends, and what it had not started is placed elsewhere. */
void fleet_host_end(struct fleet_host *h);
/* So, and it is forgotten. */
void fleet_host_remove(struct fleet_host *h);
bool fleet_name_is_good(struct nr_str name);
/* It is empty, as it was asked for. */
void fleet_host_drained(void *host);
/* A name that was removed does not come back by itself: it is refused until it is added. The oldest of many is forgotten. */
void fleet_removed_note(struct invokers *f, struct nr_str name);
void fleet_removed_drop(struct invokers *f, struct nr_str name);
void fleet_removed_drop_oldest(struct invokers *f);
bool fleet_is_removed(const struct invokers *f, struct nr_str name);
/* Its tags anew, after it has joined or was given others. */
void fleet_host_tag(struct fleet_host *h);
/* struct far_listener_config's. */
int fleet_admit(void *arg, const struct far_hello *hello, const char *address, struct nr_err *err);
void fleet_joined(void *arg, struct far *far);
void fleet_lost(void *arg, struct far *far);
void fleet_reported(void *arg, struct far *far);
void fleet_bounced(void *arg, struct far *far, struct activation *a);

/* ---- fleet_store.c: fleet.db ------------------------------------------------------------------------------------ */

/* Each writes what it is about and nothing else: of two changes on their way to the disk none brings back what the other one took away. */
enum fleet_row {
    FLEET_PUT,
    FLEET_DELETE,
    FLEET_TOLD,
    FLEET_CAME,
    FLEET_CORDON,
    FLEET_DRAINED,
    FLEET_OWE,
    FLEET_PAID
};
/* So many names that were removed are remembered. */
enum { FLEET_REMOVED_MAX = 1024 };
/* Of the column `cordoned`. */
enum fleet_cordon { FLEET_TAKES, FLEET_CORDONED, FLEET_DRAINING };
/* One change of fleet.db; made by fleet_write(), which frees it. */
struct fleet_write {
    struct nr_db_job job;
    struct invokers *fleet;
    enum fleet_row row;
    char name[INVOKER_NAME_BYTES];
    char *account;            /* FLEET_OWE, FLEET_PAID: made, given */
    enum fleet_cordon cordon; /* FLEET_CORDON */
    bool has_token;           /* this and the next of FLEET_PUT */
    unsigned char token[NR_SHA256_BYTES];
    int64_t added_ms;   /* FLEET_DELETE: now */
    char *given, *told; /* made, given; or NULL */
    /* On the loop, when it is on disk or was refused (status < 0); w is freed afterwards. May be NULL. */
    void (*done)(struct fleet_write *w, int status);
    void *arg;
};
/* Opens <data_dir>/fleet.db and makes its hosts and what is owed to them. Blocking; at start. */
int fleet_store_open(struct invokers *f, const char *data_dir, struct nr_err *err);
/* A copy of `w` is written. */
void fleet_write(struct invokers *f, const struct fleet_write *w);
/* What h has told of itself, into its row; one that came without a token has a row from then on. */
void fleet_write_told(struct fleet_host *h);

/* ---- fleet_leaving.c: accounts that leave ----------------------------------------------------------------------- */

/* A host is to forget an account. */
struct fleet_debt {
    struct nr_link link;
    struct fleet_host *host;
    char *account;
    bool told, stored;
    struct fleet_leaving *waits; /* NULL: nobody waits for it */
};
/* h owes it from now on; found when it does already. */
struct fleet_debt *fleet_owe(struct fleet_host *h, const char *account);
bool fleet_owes(const struct fleet_host *h, const char *account);
/* It has joined: it is told what it owes. */
void fleet_tell_debts(struct fleet_host *h);
/* It is away: nobody waits for it any more. */
void fleet_release_debts(struct fleet_host *h);
/* Its debts are forgotten with it. */
void fleet_drop_debts(struct fleet_host *h);
void fleet_leaving_fini(struct invokers *f);

/* ---- fleet_wish.c ----------------------------------------------------------------------------------------------- */

/* What is wished for the function "account/package/name" limits the hosts that may have it: so many; 0: all. */
size_t fleet_wish_hosts_max(const struct invokers *f, struct nr_str name);
/* Hosts have come or gone: all wishes are shared out anew. */
void fleet_wish_again(struct invokers *f);
void fleet_wish_forget_account(struct invokers *f, const char *account);
void fleet_wish_fini(struct invokers *f);

#endif
