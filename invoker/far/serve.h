/* What the files of the invoker's side of a link share. Loop's thread, except what serve_auth.c says.
 *
 *   serve.c            dialing, HELLO, WELCOME, frames to those that they are for, the end of a link
 *   serve_calls.c      one call: RUN, CLAIM, ANSWER, LOGS, END, DONE           serve_results.c   what is to be sent, and kept until DONE
 *   serve_functions.c  snapshots and their code, by revision                   serve_report.c    REPORT and EVENT
 *   serve_accounts.c   wishes, accounts that leave                             serve_auth.c      credentials of registries
 *   serve_leave.c      cordon, drain, the end of the process                    serve_watch.c     a call that is watched
 *   serve_images.c     images: found, asked for, pulled, listed, removed
 */
#ifndef NR_INVOKER_FAR_SERVE_H
#define NR_INVOKER_FAR_SERVE_H

#include <pthread.h>

#include "invoker/far/code.h"
#include "invoker/far/wire.h"
#include "ports/link.h"

enum {
    SERVE_WATER_BYTES =
        4
        << 20, /* above that nothing of results, reports and events is added to what waits to be sent */
    SERVE_INPUT_MAX_BYTES = 512 << 20, /* inputs of calls that have not ended */
    SERVE_LIMBO_MS =
        60000, /* a call whose claim was asked for holds its slot so long without a link */
    SERVE_INLINE_MAX_BYTES = 64 << 10, /* a snapshot above that is read by a work thread */
    SERVE_WISHED_MAX = 65536,
};

/* ---- functions ---------------------------------------------------------------------------------------------- */

/*
 *   READING --its text is one--> FETCHING --its code is here--> READY
 *      READING, FETCHING --it is not--> BAD
 */
enum known_state { KNOWN_READING, KNOWN_FETCHING, KNOWN_READY, KNOWN_BAD };

/* A revision that the controller has told. */
struct known {
    struct nr_map_node node; /* revision, 8 bytes */
    uint64_t revision;
    struct link *link;
    int refs; /* the map's, one per call, one for the work */
    enum known_state state;
    uint64_t told;           /* by which link, as link.links counts them */
    bool wanted;             /* invoker_know() as soon as it is ready */
    struct function *fn;     /* shared; from FETCHING on */
    struct account *account; /* shared: who calls it */
    struct code *code;       /* NULL: it has none, or is not held */
    struct nr_link by_code;
    struct nr_link waiting; /* calls */
    struct nr_err err;      /* with BAD */
    uint64_t bad_ms;        /* since when */
    bool refused;           /* BAD: the controller itself has no code */
    struct nr_work work;
    char *text; /* made; of the frame while it is read */
    size_t meta_bytes, text_bytes;
};

/* NULL: it was not told, or was released. */
struct known *known_find(struct link *l, uint64_t revision);
struct known *known_ref(struct known *k);
/* One that is BAD may be no longer so: its code is looked for once more, but not all the time. */
void known_try_again(struct known *k);
/* The last one frees it. NULL is fine. */
void known_unref(struct known *k);
/* The link is up: the controller is another one; all revisions of the one before are forgotten. */
void known_forget_all(struct link *l);
/* The link is down: what is not ready is dropped; it will be told anew. */
void known_lost(struct link *l);
/* The invoker is closed: frees them. */
void known_fini(struct link *l);
/* The account's functions are dropped, and its code. */
void known_forget_account(struct link *l, const char *account);
/* Hooks of the store. */
bool known_want_code(void *arg, struct code *c, uint64_t at, size_t bytes);
void known_code_settled(void *arg, struct code *c);

/* ---- calls -------------------------------------------------------------------------------------------------- */

/* How much of a call's end was sent on this link. */
enum sent { SENT_NOTHING, SENT_ANSWER, SENT_LOGS, SENT_END };

/*
 * RUN -> waits (known, api) -> runs -> claim asked -> granted -> answered -> ended -> DONE
 *                                                  -> refused -> ended
 */
struct served {
    struct nr_map_node node; /* number, 8 bytes */
    uint64_t number;
    struct link *link;
    struct nr_link in_all;  /* link.all */
    struct nr_link waiting; /* of its function, or of link.held */
    struct nr_link outbox;  /* link.outbox: something is to be sent, and may be */
    struct nr_link kept;    /* link.kept: ended, until DONE */
    struct nr_link unasked; /* link.unasked: until its claim is asked for */
    struct known *known;    /* shared */
    struct activation *a;   /* shared; NULL when it has ended */
    size_t input_bytes;
    bool begun;   /* the invoker has it */
    bool follows; /* it needs a container that an earlier call has left */
    bool over;    /* the invoker is done with it */
    bool claim_asked, granted;
    bool unwanted; /* nothing of it is told any more */
    bool named;    /* by WELCOME, while that is read */
    bool answered, ended;
    bool dropped; /* its result was too much to be kept */
    enum sent sent;
    size_t logs_sent;     /* bytes of logs */
    struct nr_str answer; /* made: JSON of ANSWER */
    char *result;         /* made */
    size_t result_bytes;
    struct nr_buf logs;
    /* of one that is watched */
    struct call_usage *usage; /* made: what was seen; told with its end */
    struct call_watch *watch; /* until its last look is asked for */
    bool watching;            /* until that has come */
};

/* Every call that is not `named` by this link's WELCOME is dropped, the claims of those that are were granted; results of these are to be sent anew. */
void calls_resume(struct link *l, struct nr_str wanted);
/* The link is down: calls that have not asked for their claim are dropped. */
void calls_lost(struct link *l);
/* Nobody says any more whether those that have asked for their claim may run: they do not. */
void calls_refuse(struct link *l);
/* A call whose function, or the API's place, was waited for may go on, or cannot. */
void calls_go_on(struct served *c);
/* Gives back what has not asked for its claim. */
void calls_bounce(struct link *l);
/* Cuts what runs. */
void calls_cut(struct link *l, int err);
/* Calls that have not ended. */
size_t calls_open(const struct link *l);
/* All are ended by the invoker, which is closed: frees them. */
void calls_free(struct link *l);
/* Out of all lists; its memory goes. It has ended, or never began. */
void call_free(struct served *c);

/* The invoker, and who watches, are done with it: its result is complete. */
void call_over(struct served *c);

/* serve_watch.c: it is granted: it goes on when its first look is done. */
void watch_begin(struct served *c);
/* It was answered, or is over: its last look, if there is one still to come. */
void watch_end(struct served *c);

/* serve_results.c: it is answered, by a (lent), or by a text of ours (a NULL). */
void result_answered(struct served *c, const struct activation *a, const char *why);
/* It is refused with an error of the call (NR_E*) and its sentence. */
void result_refused(struct served *c, int err, const char *why);
/* It has ended; its logs are taken out of a (lent; NULL: there are none). */
void result_ended(struct served *c, struct activation *a);
/* Is to be sent from its beginning. */
void result_again(struct served *c);
/* What is kept of it. */
size_t result_kept_bytes(const struct served *c);
/* Sends what may be sent. */
void results_send(struct link *l);

/* ---- the rest ----------------------------------------------------------------------------------------------- */

void report_start(struct link *l);
/* One soon: something became ready. */
void report_soon(struct link *l);
void report_stop(struct link *l);

/* Wishes of an earlier link are taken back; the controller tells its own anew. */
void wishes_clear(struct link *l);
void wishes_fini(struct link *l);
/* Those that had not ended: the next start is asked again. */
void forgettings_fini(struct link *l);

/* The loop has ended: what was never answered is freed. */
void asked_images_fini(struct link *l);

void auth_init(struct link *l);
/* Whoever waits gets nothing. */
void auth_lost(struct link *l);
void auth_fini(struct link *l);

/* Is it to be refused, because it takes nothing new? */
bool leave_takes(const struct link *l);
/* Looks whether a drain is over. */
void leave_look(struct link *l);
/* The link is up (again): the controller is told what it missed. */
void leave_tell(struct link *l);

/* Frames. Each is 0, or NR_EPROTO with a sentence, which ends the link. */
typedef int serve_frame(struct link *l, const struct wire_frame *f, struct nr_err *err);
serve_frame frame_function, frame_forget, frame_release, frame_know, frame_code;
serve_frame frame_run, frame_claimed, frame_cut, frame_done;
serve_frame frame_forget_account, frame_wish, frame_auth, frame_cordon, frame_drain, frame_image;

struct link {
    struct link_config c; /* its texts are not to be read after link_open() */
    struct nr_loop *loop;
    struct invoker *invoker;
    struct nr_log *log;
    char *address, *code_dir;
    struct nr_tls *tls; /* NULL: a unix socket */
    struct far_hello hello;
    struct nr_stream *stream; /* NULL: none */
    bool up;                  /* WELCOME has come on it */
    bool closed;              /* for ever */
    uint64_t links;           /* counted */
    char controller[65];      /* which process welcomed us last */
    bool api_told, api_known;
    uint64_t redial_ms;
    struct nr_deadline redial, ping, report, limbo, soon;
    struct nr_arena arena; /* what is read out of one frame */
    struct nr_buf meta;    /* of the frame that is written */

    struct code_store *codes;
    struct nr_map functions, calls, wished;
    struct nr_link all;    /* calls */
    struct nr_link held;   /* of these, the ones that wait for link_api_known() */
    struct nr_link outbox; /* of these, the ones of which something is to be sent */
    struct nr_link kept;   /* of these, the ones that have ended, oldest first */
    struct nr_link
        unasked; /* of these, the ones that have not asked for their claim; reports name them */
    size_t open, input_bytes, kept_bytes;
    uint64_t results_dropped, results_late; /* as reports tell */
    struct nr_link forgettings;             /* accounts that are leaving */
    struct nr_link images;                  /* that the invoker has been asked for */
    size_t image_count;

    pthread_mutex_t auth_lock;
    pthread_cond_t auth_done;
    struct nr_link auths; /* asked for; by the loop only */
    uint64_t auth_number;
    bool auth_closed; /* under auth_lock */

    bool cordoned, draining; /* by the controller */
    bool leaving, late;      /* by link_drain(); its time is over */
    struct nr_deadline leave_deadline;
    void (*drained)(void *arg);
    void *drained_arg;
    unsigned flushes;
    void (*on_closed)(void *arg);
    void *on_closed_arg;
};

/* Empties and lends l->meta. */
struct nr_buf *serve_meta(struct link *l);
/* Sends a frame whose JSON is in l->meta; nothing while it is not up. */
void serve_send(struct link *l, uint8_t type, uint8_t flags, uint64_t call, struct nr_str raw);
/* The same without JSON. */
void serve_send_bare(struct link *l, uint8_t type, uint8_t flags, uint64_t call);
/* May what can wait be sent now? */
bool serve_flows(const struct link *l);

#endif
