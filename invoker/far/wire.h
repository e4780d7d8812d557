/* The codec of ports/wire.h, for both ends: frames to structs and back, by tables, and every ceiling.
 *
 * A form says which members an object has, where they stand in its struct, and what they may be. wire_write() writes all of them, wire_read() reads
 * those that are there, passes over what it does not know, and refuses what is out of its range: so both ends cannot drift apart. One thread at a time.
 */
#ifndef NR_INVOKER_FAR_WIRE_H
#define NR_INVOKER_FAR_WIRE_H

#include "common/net/stream.h"
#include "ports/far.h"
#include "ports/image.h"
#include "ports/wire.h"

struct event;
struct call_usage;

/* ---- frames ---- */

/* A frame that came, lent by its stream. */
struct wire_frame {
    struct wire_head head;
    struct nr_str meta, raw;
};
/* Payload bytes that follow this header of a frame from the invoker, or from the controller. NR_EPROTO: it is above its ceiling (`open`: WELCOME has
 * passed; until then only the frames of the dial are taken), or goes in the wrong direction. */
int64_t wire_length(const char *head, bool from_invoker, bool open);
/* NR_EPROTO: its JSON is no object. */
int wire_take(const char *head, struct nr_str payload, struct wire_frame *ret);
/* Is it of a type that this protocol knows? Others are passed over. */
bool wire_known(const struct wire_frame *f);
/* "RUN" ..., "?" for an unknown one. */
const char *wire_type_text(uint8_t type);
/* Sends one (all lent); meta.n == 0: none. */
void wire_send(struct nr_stream *s, const struct wire_head *head, struct nr_str meta,
               struct nr_str raw);
/* Its raw part in two pieces. */
void wire_send_two(struct nr_stream *s, const struct wire_head *head, struct nr_str meta,
                   struct nr_str raw, struct nr_str more);
/* Without payload. */
void wire_send_bare(struct nr_stream *s, uint8_t type, uint8_t flags, uint64_t call);

/* ---- forms ---- */

struct wire_field;
struct wire_form {
    const struct wire_field *fields;
    size_t count;
};
/* Adds the object. */
void wire_write(const struct wire_form *form, const void *from, struct nr_buf *out);
/* Texts are lent by `json`, or lie in the arena; what the form has and the text has not is left as it is. NR_EPROTO with a sentence that names
 * the member; NR_ENOMEM. */
int wire_read(const struct wire_form *form, struct nr_str json, struct nr_arena *arena, void *to,
              struct nr_err *err);

/* Below: what a frame carries. Texts are lent, p == NULL: absent. */

struct wire_welcome {
    int64_t protocol;
    uint64_t epoch;           /* of this invoker's links, 1, 2, 3 ... */
    struct nr_str controller; /* of the controller's process: 32 hex */
    struct nr_str api_host;   /* what functions are told; absent: nothing */
};
extern const struct wire_form wire_welcome_form;

/* REFUSED, CUT, and CODE with WIRE_FAILED. */
struct wire_why {
    int64_t err; /* NR_E*; 0: not told */
    struct nr_str why;
};
extern const struct wire_form wire_why_form;

struct wire_run {
    struct nr_str activation; /* its id: 32 hex */
    struct nr_str account;    /* in whose name it runs */
    struct nr_str transaction;
    struct nr_str api_key; /* only for a function that is provided with it */
    uint64_t revision;
    bool follows, watched; /* as in struct errand_call */
};
extern const struct wire_form wire_run_form;

/* From struct activation when it is answered, and into it. */
struct wire_answer {
    unsigned status, start, cold; /* enum outcome_status, start_kind, cold_cause */
    bool timed_out, out_of_memory, is_array, stem_empty;
    bool ran;     /* its run had begun: run_us counts */
    bool dropped; /* its result was let go of: this one says so in its place */
    uint64_t run_us, init_us, queue_us, network_us, create_us, boot_us, handover_us, thaw_us;
    int64_t err; /* a->err, NR_E* or 0, and its sentence */
    struct nr_str why;
};
extern const struct wire_form wire_answer_form;
void wire_answer_of(const struct activation *a, struct wire_answer *ret);
/* Durations and kinds; the result is not in it. now_us: the own monotonic clock. */
void wire_answer_into(const struct wire_answer *w, uint64_t now_us, struct activation *a);

extern const struct wire_form wire_usage_form; /* struct call_usage */

/* Part of a function's code. Hex of its SHA-256. WANT_CODE: `bytes` from `at` on, at most WIRE_CODE_CREDIT_BYTES; CODE: the raw bytes stand at
 * `at` of `bytes` in all. */
struct wire_range {
    struct nr_str sha256;
    uint64_t revision, at, bytes;
};
extern const struct wire_form wire_range_form;

struct wire_auth {
    struct nr_str account, image;
};
extern const struct wire_form wire_auth_form; /* WANT_AUTH; FORGET_ACCOUNT without an image */

/* IMAGE: what is asked of struct image_call. */
struct wire_image {
    unsigned op; /* enum image_op */
    struct nr_str reference;
    int64_t max_bytes;
};
extern const struct wire_form wire_image_form;
extern const struct wire_form wire_progress_form; /* struct image_progress */

/* IMAGE_DONE: what came of it, but for what was found. */
struct wire_image_done {
    int64_t err; /* NR_E* or 0, and its sentence */
    struct nr_str why, id, digest, platform;
    int64_t bytes;
    bool has_command, has_volumes, fits;
};
extern const struct wire_form wire_image_done_form;

/* Of the invoker's host, in a REPORT. */
struct wire_node {
    struct node_figures figures;
    unsigned containers_max; /* 0: as many as memory allows */
    /* Since its process started: results that it let go of, too many waited to be told; and those that nobody wanted when its link was back. */
    uint64_t results_dropped, results_late;
    bool ready; /* its Engine answers; else `why` */
    struct nr_str why;
};
extern const struct wire_form wire_node_form;

/* Of one pool, in a REPORT: what the revision has there, in slots, for far_load(); and the figures of its function's name, in containers, for
 * far_figures(): of several revisions of a name the first one has them, those of the others are 0. What is "since the last time" counts since the
 * report before. */
struct wire_pool {
    uint64_t revision;
    int64_t peak_bytes; /* invoker_function_peak_bytes() */
    struct invoker_load load;
    struct container_figures figures;
};
extern const struct wire_form wire_pool_form;

extern const struct wire_form wire_wish_form; /* struct scaler_wish; texts are in the arena */

/* ---- what is more than a form; FUNCTION: see snapshot.h ---- */

/* Adds HELLO's object, with the token. */
void wire_hello_write(const struct far_hello *h, int oldest, struct nr_buf *out);
/* *ret is made (wire_hello_free()); its protocol is the highest that both speak. NR_EPROTO with a sentence for the other side. */
int wire_hello_read(struct nr_str json, struct far_hello **ret, struct nr_err *err);
/* What is in it; the token is wiped. */
void wire_hello_fini(struct far_hello *h);
/* With itself; NULL is fine. */
void wire_hello_free(struct far_hello *h);

/* EVENT. */
void wire_event_write(const struct event *e, struct nr_buf *out);
/* Texts lie in the arena. NR_ENOENT: an event that is not known here, to be passed over. */
int wire_event_read(struct nr_str json, struct nr_arena *arena, struct event *ret,
                    struct nr_err *err);

/* A REPORT in as many frames as it needs: begin, one call per pool, end. */
struct wire_report {
    struct nr_stream *to;
    struct nr_buf meta;
    bool listing; /* its list of pools has begun */
    bool naming;  /* `names` are told */
    struct nr_str names;
};
void wire_report_begin(struct wire_report *r, struct nr_stream *to, const struct wire_node *node);
void wire_report_pool(struct wire_report *r, const struct wire_pool *p);
/* Once: the numbers (u64 each, lent until the end) of all calls that have not asked for their claim. */
void wire_report_name(struct wire_report *r, struct nr_str numbers);
void wire_report_end(struct wire_report *r);
/* What one frame of a REPORT tells; keys lie in the arena or in the frame. */
struct wire_report_hooks {
    void (*node)(void *arg, const struct wire_node *n); /* first, and in the first frame only */
    void (*pool)(void *arg, const struct wire_pool *p); /* of each revision */
};
/* NR_EPROTO with a sentence. */
int wire_report_read(const struct wire_frame *f, struct nr_arena *arena,
                     const struct wire_report_hooks *hooks, void *arg, struct nr_err *err);

#endif
