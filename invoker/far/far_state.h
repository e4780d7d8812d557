/* What the files of the controller's side of the links share. Loop's thread, except where said. Not for users of ports/far.h.
 *
 *   far_listen.c     the listener, its certificate, who may dial, closing
 *   far_link.c       one connection: HELLO, frames to those that they are for, pings, its end
 *   far.c            an invoker: joined, lost, cordoned, drained, ended; accounts that leave
 *   far_calls.c      a call: RUN, claim, cut, bounce                                far_ends.c   its answer, logs, end, loss
 *   far_functions.c  what the invoker was told of functions                         far_code.c   their code, and credentials of registries
 *   far_image.c      images that it is asked for
 *   far_silence.c    a call that its invoker says nothing of
 *   far_report.c     reports, events, loads, figures                                far_text.c   status and metrics
 */
#ifndef NR_INVOKER_FAR_FAR_STATE_H
#define NR_INVOKER_FAR_FAR_STATE_H

#include "common/base/metric.h"
#include "common/net/logins.h"
#include "invoker/far/wire.h"

enum {
    FAR_WATER_BYTES = 4 << 20, /* above it no part of code is added to what waits */
    FAR_LOSS_SLACK_MS =
        5000,            /* a granted call without an answer ends so long after its own limits */
    FAR_LOGS_MS = 10000, /* from the answer to the end */
    FAR_ANSWER_SPARE_MS =
        10000, /* the invoker cuts a call itself; a link that stands waits a little longer than one that is lost */
    FAR_LOOK_MS = 2500,  /* so often a call that waits for its claim is looked at */
    FAR_REPORTS_MAX = 2, /* so many reports in turn that do not name it: its invoker has it not */
    FAR_UNNAMED_MS = 30000, /* so long no report names calls at all: the same */
    FAR_UNREAD_MS = 60000,  /* so long it is on its way */
    FAR_MUTE_MS = 30000,    /* so long an invoker that said nothing of a call gets no other */
    FAR_FREE_CALLS_MAX = 1024,
    FAR_PENDING_MAX = 1024, /* questions of an invoker that wait for an answer of ours */
};

/* Of all links of a listener. */
struct far_counts {
    nr_counter links, ends, violations, refused, calls, bounced, silent, lost_calls, late, dropped,
        code_bytes, events;
    struct nr_hist rtt;
};

struct far_listener {
    struct far_listener_config config;
    char *api_host, *cert_path, *key_path;
    struct nr_tls *tls; /* NULL: a unix socket */
    char pin[NR_TLS_PIN_BYTES];
    char process[33]; /* the controller's process, as WELCOME tells it */
    struct nr_stream_listener *stream;
    struct nr_link fars, links;
    size_t link_count;
    uint64_t next_call;
    struct nr_logins failed;   /* tokens */
    size_t unjoined_count;     /* of the links: no HELLO was admitted on them yet */
    struct nr_link free_calls; /* memory of calls, by `link` */
    size_t free_call_count;
    struct nr_arena arena; /* of the frame that is being read */
    struct far_counts m;
    unsigned works; /* questions that a work thread has, invokers that are not quite gone */
    bool closing, deaf;
    void (*closed)(void *arg);
    void *closed_arg;
    bool stream_closed;
};

/* One connection. */
struct far_link {
    struct far_listener *l;
    struct nr_link in_all;
    struct nr_stream *s;
    struct far *f; /* NULL until HELLO was admitted */
    struct nr_deadline ping;
    uint64_t rtt_us;
    uint64_t
        heard_us; /* when the last PING that was answered had been sent: all before it was read */
    bool joined;  /* a HELLO was admitted on it */
    bool ending;  /* what it broke is logged */
};

struct far {
    struct far_listener *l;
    struct nr_link in_all;
    struct far_hello *hello;
    char *address;         /* from which it dialed last */
    struct far_link *link; /* NULL: down */
    void *owner;
    uint64_t epoch;                /* links that it has had */
    bool cordoned, leaving, empty; /* empty: it told so since the last drain */
    void (*drained)(void *arg);
    void *drained_arg;
    bool draining;           /* until it is empty, over links */
    struct nr_deadline turn; /* what is due when the caller is gone */
    uint64_t mute_ms;        /* since when it is; 0: it is not */
    bool ended;              /* by far_end(), while a claim is still being asked for */
    bool take_back;          /* at that turn all calls that are not granted */

    struct nr_map calls;     /* struct far_call by number */
    struct nr_map by_call;   /* and by activation */
    struct nr_link given;    /* of them, not granted and not asked for, in order */
    struct nr_link live;     /* the others */
    struct nr_link unsent;   /* given while it could not be sent */
    struct nr_map functions; /* struct far_function by revision */
    struct nr_map names;     /* struct far_name by key */
    struct nr_link lru;      /* of those that it was told, the oldest first */
    size_t told_count;
    struct nr_link leaving_accounts; /* struct far_leaving */
    struct nr_link wants;            /* struct far_want: code and credentials that wait */
    struct nr_link wanted;           /* and those that a work thread has */
    unsigned wants_count, wants_busy;
    struct nr_link images; /* struct far_image: asked for on this link */
    unsigned image_count;

    /* of the last report */
    struct node_figures node;
    double joules; /* since far_figures() */
    unsigned containers_max;
    bool ready, reporting;
    uint64_t naming;                          /* reports that named all calls that wait there */
    uint64_t results_dropped, dropped_before; /* by this process, and by those before */
    uint64_t results_late;                    /* by this process */
    char why[160];
    uint64_t report,
        reported_ms; /* number of the report that is being read; when the last one was whole */
};

/* Figures of a function, over all its revisions. */
struct far_name {
    struct nr_map_node node; /* "account/package/name", made */
    unsigned revisions;      /* entries that hold it */
    uint64_t report;         /* the last one that has figures of it */
    struct container_figures figures;
    int64_t peak_bytes;         /* the highest that was told; 0: none was */
    double joules, cpu_seconds; /* since far_figures() */
};

/* A revision that the invoker was told, or has containers of. */
struct far_function {
    struct nr_map_node node; /* revision */
    uint64_t revision;
    struct function *fn; /* shared */
    struct far_name *name;
    struct nr_link lru; /* linked: it was told on this link and not released */
    bool forgotten;     /* the invoker is to forget it, when it is back */
    unsigned calls;     /* that have not ended */
    uint64_t report;    /* the last one that it is in */
    struct invoker_load load;
};

/*
 * GIVEN --CLAIM--> ASKED --0--> GRANTED --ANSWER--> ANSWERED --END--> gone
 *   bounced when its link ends   lost at its limit      ends without the rest of its logs
 */
enum far_call_state { FAR_GIVEN, FAR_ASKED, FAR_GRANTED, FAR_ANSWERED };

struct far_call {
    struct nr_map_node node, by_call;
    struct nr_link link;
    uint64_t number;
    struct far *f;
    struct activation *a;
    const void *a_key; /* bytes of the pointer, for by_call */
    struct far_function *function;
    enum far_call_state state;
    bool cold;
    bool spared;    /* its limit is over, and its link stands: it was given a little more time */
    bool cut;       /* answered by us; what comes of its answer is not taken */
    uint64_t epoch; /* of the link on which it was claimed, or answered */
    int refused;    /* NR_E*: it cannot be sent at all, and ends at the next turn */
    uint64_t given_us;
    bool read;      /* the invoker has read its RUN */
    uint64_t named; /* by this report of its link, the last one that did (or could not yet) */
    uint64_t named_ms;
    struct nr_deadline deadline;
};

/* ---- far_listen.c ---- */
/* After anything that may have been the last: is the listener closed? */
void far_listener_look_if_closed(struct far_listener *l);

/* ---- far_link.c ---- */
/* Somebody has dialed. */
void far_link_open(void *listener, struct nr_stream *s);
/* Ends it at once, without a word to anybody; link is gone. */
void far_link_close(struct far_link *link);
/* The other side broke the protocol: one log line, a counter, the end. Returns NR_EPROTO. */
int far_link_broken(struct far_link *link, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void far_send(struct far *f, uint8_t type, uint8_t flags, uint64_t call);
void far_send_meta(struct far *f, uint8_t type, uint8_t flags, uint64_t call,
                   const struct wire_form *form, const void *from);

/* ---- far.c ---- */
/* A HELLO that was admitted (h given): the invoker of that name, made when it is new, is up on this link. */
void far_join(struct far_link *link, struct far_hello *h);
/* Its link is gone. */
void far_down(struct far *f);
/* Is there room for more on its link, which stands? */
bool far_is_roomy(const struct far *f);
/* What is due when the caller is gone is done soon. */
void far_turn_soon(struct far *f);
int far_on_leaving(struct far_link *link, const struct wire_frame *w);
int far_on_forgotten(struct far_link *link, const struct wire_frame *w);
/* After far_end(): was this its last call? f may be gone then. */
void far_look_if_gone(struct far *f);
/* The last call has ended, perhaps: is it drained? */
void far_look_if_drained(struct far *f);

/* ---- far_calls.c ---- */
struct far_call *far_call_of(const struct far *f, const struct activation *a);
struct far_call *far_call_numbered(const struct far *f, uint64_t number);
/* Out of all maps; its memory goes. */
void far_call_free(struct far_call *c);
void far_call_move(struct far_call *c, enum far_call_state state);
/* It has not started: the owner gets it back. c is gone. tell: the invoker hears of it. */
void far_call_bounce(struct far_call *c, bool tell);
/* All that are not granted go back to the owner; those whose claim is being asked for follow when it is known. tell: the invoker hears of it. */
void far_bounce_all(struct far *f, bool tell);
/* What far_run() could not send. */
void far_unsent_turn(struct far *f);
/* Raw u64 numbers of the calls that are still wanted from the session. */
void far_wanted(const struct far *f, struct nr_buf *out);
int far_on_claim(struct far_link *link, const struct wire_frame *w);
int far_on_bounce(struct far_link *link, const struct wire_frame *w);

/* ---- far_ends.c ---- */
/* Answer and end of a call by ourselves, with a->err or an outcome set. c is gone. */
void far_call_finish(struct far_call *c);
/* As far_cut() of one that was granted. */
void far_call_cut(struct far_call *c);
/* Granted, and nobody will answer: it ends with this sentence. c is gone. */
void far_call_lost(struct far_call *c, const char *why);
/* The time until its answer has to be there runs. */
void far_call_granted(struct far_call *c);
/* The session is gone: all that was granted to it is lost. */
void far_lose_all(struct far *f, const char *why);
int far_on_answer(struct far_link *link, const struct wire_frame *w);
int far_on_logs(struct far_link *link, const struct wire_frame *w);
int far_on_end(struct far_link *link, const struct wire_frame *w);

/* ---- far_silence.c ---- */
/* RUN was sent: what its invoker says of it is looked after until it asks for its claim. */
void far_call_given(struct far_call *c);
/* A report names these calls (u64 each). */
void far_named(struct far *f, struct nr_str numbers);
/* Does it get no call, for it said nothing of one? */
bool far_is_mute(const struct far *f);

/* ---- far_functions.c ---- */
/* Known to the invoker when this returns: told when it was not. NR_ETOOBIG: it cannot be told. *ret_function: its entry. */
int far_tell_function(struct far *f, struct function *fn, struct far_function **ret);
/* NULL: the invoker knows no revision of the function of this name. */
struct far_name *far_name_find(const struct far *f, const char *account, const char *package,
                               const char *name);
/* Does the invoker know a revision of the function of this name? */
bool far_name_known(const struct far *f, const char *account, const char *package,
                    const char *name);
struct far_function *far_function_of(const struct far *f, uint64_t revision);
/* A report is whole: what it has not is not there. */
void far_functions_reported(struct far *f);
/* The entry goes when nothing holds it. */
void far_function_look(struct far *f, struct far_function *e);
/* A new link: nothing was told on it; what was forgotten meanwhile is told of (same_session) or dropped. */
void far_functions_joined(struct far *f, bool same_session);
void far_functions_free(struct far *f);

/* ---- far_code.c ---- */
int far_on_want_code(struct far_link *link, const struct wire_frame *w);
int far_on_want_auth(struct far_link *link, const struct wire_frame *w);
/* There is room on the link again. */
void far_wants_go_on(struct far *f);
/* The link is gone: nobody waits for them. */
void far_wants_drop(struct far *f);

/* ---- far_image.c ---- */
int far_on_image_done(struct far_link *link, const struct wire_frame *w);
/* The link is gone: nobody answers any more. */
void far_images_drop(struct far *f);

/* ---- far_report.c ---- */
int far_on_report(struct far_link *link, const struct wire_frame *w);
int far_on_event(struct far_link *link, const struct wire_frame *w);

#endif
