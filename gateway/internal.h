/* What the files of the gateway share: the request, the table of routes, and who answers what.
 * Loop's thread.
 */
#ifndef NR_GATEWAY_INTERNAL_H
#define NR_GATEWAY_INTERNAL_H

#include "common/base/map.h"
#include "common/base/metric.h"
#include "common/net/http_server.h"
#include "common/net/logins.h"
#include "ports/gateway.h"

/* Above this a text is not scanned on the loop. */
#define LOOP_WORK_MAX_BYTES 65536
/* A refused request with a body up to this is read to its end, so that the connection can go on. */
#define SWALLOW_MAX_BYTES 65536
#define LIST_LIMIT_MAX 200
#define LIST_LIMIT_DEFAULT 30
#define BLOCKING_WAIT_MAX_MS 60000
#define TRANSACTION_MAX_BYTES 128
#define PATH_SEGMENTS_MAX 10
#define ROUTES_MAX 192
#define UNAVAILABLE_TEXT                                                                           \
    "The server is currently unavailable (because it is overloaded or down for maintenance)."
#define MISSING_TEXT "The requested resource does not exist."

/* A path, split at its slashes and decoded. */
struct path {
    struct nr_str segment[PATH_SEGMENTS_MAX];
    unsigned count; /* of the first PATH_SEGMENTS_MAX */
    bool slash;     /* it ends with one */
    bool more;      /* it has more segments */
};

/* What a pattern takes out of a path. */
enum route_part {
    PART_NAMESPACE,
    PART_PACKAGE,
    PART_NAME,
    PART_ID,
    PART_ACCOUNT,
    PART_FUNCTION, /* "name", or "package%2Fname": becomes PART_PACKAGE and PART_NAME */
    PART_NUMBER,   /* of a published version, 1 and up; or "latest" */
    PART_HOST,     /* a registry, with its port: becomes PART_ITEM; who takes it checks it */
    PART_ITEM,     /* an alias, a key's uuid, a run, ...: obeys the rule of names */
    PART_COUNT
};

/* What may come as a body; see bodies[] in routes.c. */
/* BODY_ENTITY: parameters and annotations of 1 MB each, however they are escaped. */
enum body_rule {
    BODY_IGNORED,
    BODY_SETTINGS,
    BODY_ACTION,
    BODY_PAYLOAD,
    BODY_ARCHIVE,
    BODY_WEB,
    BODY_ENTITY,
    BODY_TEXT /* a settings document in whatever form */
};

struct body_limit {
    const char *field;      /* of the 413 text */
    size_t max_bytes;       /* refused above */
    int64_t told_max_bytes; /* what the text says is allowed */
    bool json;              /* 415 unless application/json */
};

enum route_flag {
    ROUTE_ALWAYS = 1,   /* answered before ready and while stopping */
    ROUTE_ANY_TAIL = 2, /* the pattern is only the beginning */
    ROUTE_UNLISTED = 4, /* no part of a 405 */
    ROUTE_WEB = 8, /* of functions, not of the platform: with the CORS headers of web actions */
    ROUTE_KEY_OPTIONAL =
        32, /* without a key it is answered too, and then names nobody; one that is shown must be good and have the scope */
    ROUTE_SHARED = 16, /* another account's namespace goes through: whoever is called judges it */
};

struct gateway_request;
struct api_tables;      /* api_tables.h */
struct custom_series;   /* custom_series.h */
struct function_series; /* function_series.h */
struct log_stream;      /* logs.c */
struct progress;        /* progress.c */
struct event_ear;       /* events.c */
struct event_stream;    /* events.c */
struct file_reply;      /* file_reply.c */
struct web_call;        /* web.c */

struct route {
    enum nr_http_method method;
    const char *pattern; /* ":namespace" takes a part; "/?" at the end: with or without a slash */
    unsigned scope;      /* enum account_scope; 0: no key needed */
    enum body_rule body;
    unsigned flags;
    /* Answers by request_tick(), now or later; the request may be gone when it returns. */
    void (*call)(struct gateway_request *q);
    int op; /* of the call: enum fn_op, enum query_op, enum scale_op */
};

/* In the order of the story that request_tick() tells. */
enum request_state {
    G_MATCH,
    G_AUTHENTICATE,
    G_CHECK,
    G_BODY,
    G_PAYLOAD,
    G_CALL,
    G_REPLY,
    G_PARTS,
    G_STREAM,
    G_END
};

/* A payload that is scanned on a work thread. */
struct payload_scan {
    struct nr_work work;
    struct nr_str text; /* lent */
    bool object;
    struct nr_err err; /* why not */
};

struct gateway_request {
    struct nr_http_req http; /* first: the server makes both as one */
    struct gateway *g;
    enum request_state state;
    const struct route *route;      /* NULL: none, see the next two */
    int no_route;                   /* 404 or 405 */
    struct nr_str methods;          /* that the path has, for the 405 */
    struct nr_str part[PART_COUNT]; /* decoded, in the request's arena */
    char transaction[TRANSACTION_MAX_BYTES + 1];
    struct account *account;  /* shared */
    struct nr_str api_key;    /* "uuid:key", in the request's arena */
    int64_t spooled_bytes;    /* of its body; 0: not in a file */
    struct nr_link spooling;  /* in g->spooling while it is */
    bool body_here, streamed; /* streamed: it lasted as long as its client wanted */

    /* the reply; status 0: none yet */
    int status;
    struct nr_str head;     /* further header lines, lent until the reply is written */
    struct nr_str body;     /* lent until the reply is written */
    struct nr_buf text;     /* where bodies are written that nobody else holds */
    const char *media_type; /* NULL: application/json */
    const char *
        log_reason; /* of a refusal, for the log only (lent by the program); NULL: what the client is told */
    unsigned own_cors; /* enum cors_line: those the function gave, or did not want */

    /* what it waits for */
    struct activation *activation; /* until its on_reply */
    struct log_stream *logs;
    struct progress *progress;
    struct event_stream *events;
    struct file_reply *file;
    struct web_call *web; /* until the end of the request */
    bool asks;            /* call, query and scale are in use */
    struct nr_str whole;  /* the sentence of `err` where it is longer; lent by `call` */

    /* From here on nothing is cleared for each request (gateway.c): these are large, and a call of a function needs none. */
    struct nr_err err; /* code != 0: the body is made of its text and the transaction */
    struct payload_scan scan;
    struct fn_call call;
    struct activation_query query;
    struct scale_call scale;
};

struct gateway_counts {
    nr_counter by_route[ROUTES_MAX + 1][6]; /* [route or last: none][status / 100] */
    nr_counter asked;                       /* calls and fires given to the controller */
    nr_counter failed_logins, blocked_logins, refused_by_server, logs_dropped;
    struct nr_hist seconds;
};

enum { EVENT_TOPICS = 3 };

struct gateway {
    struct gateway_config config;
    struct nr_http_server *http;
    int port;
    int64_t opened_ms; /* wall clock */
    bool ready, stopping;
    struct nr_logins logins;
    struct gateway_counts counts;
    unsigned live;         /* requests between on_head and on_end */
    int64_t spooled_bytes; /* announced by bodies that go to files */
    struct activation_pool *activations;
    struct api_tables *apis;
    struct function_series *functions; /* NULL: functions have no series of their own */
    struct custom_series *customs;
    struct nr_link log_streams, progress_streams, event_streams, spooling;
    struct event_ear *ears[EVENT_TOPICS]; /* NULL: nobody asked yet */
    uint64_t log_window;
    unsigned logged, not_logged; /* refusals of this second */
    bool closed;
    void (*on_closed)(void *arg);
    void *closed_arg;
};

/* serve.c */
void request_tick(struct gateway_request *q);
extern const struct nr_http_hooks gateway_hooks;
/* True for the folder itself and what is below it. */
bool path_is_below(struct nr_str path, const char *folder);

/* gateway.c: the server is closed and the last request has ended. */
void gateway_finish(struct gateway *g);

/* routes.c: the table; the row of a method and path, or NULL with *ret_status 404 or 405 and the methods it has. */
extern const struct route routes[];
size_t route_count(void);
const char *route_method(enum nr_http_method m);
/* "invoke", "read", "write", "admin". */
const char *route_scope(unsigned scope);
/* Splits and decodes into room (lent, path.n bytes). NR_EINVAL: a bad escape. */
int route_split(struct nr_str path, char *room, struct path *ret);
const struct route *route_find(enum nr_http_method method, const struct path *path,
                               struct nr_str ret_part[PART_COUNT], int *ret_status,
                               struct nr_buf *ret_methods);
/* Names, id and namespace of a matched request; refuses it when one is not as it must be, or not the caller's. */
void route_check_parts(struct gateway_request *q);
/* The namespace of a matched request (lent) when it is another account's; n == 0: the caller's own, or none. */
struct nr_str request_space(const struct gateway_request *q);
const struct body_limit *route_body(const struct route *r);

/* auth.c: finds q->account, or refuses. */
void auth_check(struct gateway_request *q);
/* The account of the key that came with the request (shared, given), in whatever state; NULL: none, or no good one. Refuses nothing. */
struct account *auth_caller(struct gateway_request *q);
/* Something secret was shown and was wrong: 401 as for no key at all, or 429 when the address has used up its share. */
void auth_refuse_secret(struct gateway_request *q);
/* The same of a secret that an API shows by itself; it counts against the account (lent) whose API it is. */
void auth_refuse_route(struct gateway_request *q, struct nr_str account);
/* After auth_caller() found nobody: what has the form of a key counts as a failed login. False: 429, the address has used up its share. */
bool auth_may_guess(struct gateway_request *q);
/* 401: nothing was shown. */
void auth_refuse_nothing(struct gateway_request *q);

/* query.c: query parameters; false: the request is refused with the text that says why. Absent: *ret stays as it is. */
bool query_bool(struct gateway_request *q, const char *name, bool *ret);
bool query_text(struct gateway_request *q, const char *name, struct nr_str *ret);
bool query_page(struct gateway_request *q, const char *collection, int *ret_limit, int *ret_skip,
                bool *ret_count);
bool query_limit(struct gateway_request *q, const char *collection, int *ret_limit);
bool query_epoch(struct gateway_request *q, const char *name, int64_t *ret_ms);
bool query_timeout(struct gateway_request *q, uint32_t *ret_ms);
/* ?version=, ?alias=, X-Narae-Version, X-Narae-Alias: one of them at most. 0, NULL: none was given, or "latest". */
bool query_version(struct gateway_request *q, int64_t *ret_number, struct nr_str *ret_alias);
/* `name` of an activation list: "simple" or "package/simple". */
bool query_entity(struct gateway_request *q, struct nr_str *ret_package, struct nr_str *ret_name);

/* error.c: the first refusal wins. */
void request_refuse(struct gateway_request *q, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Adds header lines (lent, each with its line end) to the reply. */
void request_line(struct gateway_request *q, struct nr_str lines);
/* The same by a format. */
void request_head(struct gateway_request *q, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The body of an error: {"error","code"}. */
void error_body(struct nr_buf *out, struct nr_str text, const char *transaction);
/* The same over several lines, as web actions give it. */
void error_body_pretty(struct nr_buf *out, struct nr_str text, const char *transaction);
/* The server refuses by itself: bad syntax, too large, too slow. */
void error_of_server(void *gateway, int status, const char *text, struct nr_buf *head,
                     struct nr_buf *out);
/* X-Request-ID of a request: the client's if it may be used, else a new one. */
void transaction_take(struct nr_str given, char ret[TRANSACTION_MAX_BYTES + 1]);
/* True when the reply goes out in parts: it is too large to be copied in one turn, and is kept until the end of the request. */
bool reply_is_large(const struct gateway_request *q);
/* Writes the reply, of a large one (q->state is G_PARTS) or a stream (G_STREAM) only the beginning; the request may be gone when it returns. */
void reply_write(struct gateway_request *q);
/* Begins a 200 that lasts until its parts end (nr_http_reply_part()); media_type is lent by the program. */
void reply_stream(struct gateway_request *q, const char *media_type);
/* Writes on until the client has enough to take, or all is written. */
void reply_parts(struct gateway_request *q);

/* The calls of the table. */
void actions_call(struct gateway_request *q); /* actions.c; op: enum fn_op */
void invoke_call(struct gateway_request *q);  /* invoke.c */
/* invoke.c: status, body and header lines of the controller's answer, whose reply is lent for the time of on_reply. */
void invoke_take(struct gateway_request *q, struct activation *a);
/* a is about to be given to the controller, for q: it is one of those that gateway and controller must agree about. */
void request_asks(struct gateway_request *q, struct activation *a);
/* Header lines of a call that was taken: its id, how it started and where its time went. */
void invoke_tell(struct gateway_request *q, const struct activation *a);
void fire_call(struct gateway_request *q);        /* fire.c */
void activations_call(struct gateway_request *q); /* activations.c; op: enum query_op */
void export_call(struct gateway_request *q);      /* actions.c */
void accounts_call(struct gateway_request *q);
void functions_call(struct gateway_request *q);      /* actions.c; op: enum fn_op */
void scaling_call(struct gateway_request *q);        /* scaling.c; op: enum scale_op */
void invokers_route_call(struct gateway_request *q); /* invokers.c; op: enum invokers_op */
void logs_call(struct gateway_request *q);           /* logs.c */
void progress_call(struct gateway_request *q); /* progress.c; op: enum fn_op that gives the state */
void info_root(struct gateway_request *q);     /* info.c, this and the next ones */
void info_api(struct gateway_request *q);
void info_namespaces(struct gateway_request *q);
void info_limits(struct gateway_request *q);
void info_options(struct gateway_request *q);
void info_invokers(struct gateway_request *q);
void info_health(struct gateway_request *q);
void info_ready(struct gateway_request *q);
void info_metrics(struct gateway_request *q);

/* logs.c: the stream of a request in G_STREAM: its client took what waited, or went away. */
void logs_wake(struct gateway_request *q);
/* Every stream that follows ends now: the platform stops. */
void logs_stop_all(struct gateway *g);

/* progress.c: likewise. */
void progress_wake(struct gateway_request *q);
/* archive_body.c: how large the body of a route with BODY_ARCHIVE may be; once that is judged, where it goes: to memory or a file, or it is refused;
 * the request ends. */
int64_t archive_max_bytes(const struct gateway_request *q);
void archive_body_begin(struct gateway_request *q);
void archive_body_end(struct gateway_request *q);
/* For a refusal that ends when another archive is here. */
void archive_retry_later(struct gateway_request *q);
/* events.c: /narae/v1/events, and likewise. */
void events_call(struct gateway_request *q);
void events_wake(struct gateway_request *q);
void events_stop_all(struct gateway *g);
/* file_reply.c: the body of the 200 is an open file (given) of so many bytes. */
void file_reply_begin(struct gateway_request *q, int fd, int64_t bytes, const char *media_type);
void file_reply_wake(struct gateway_request *q);
void progress_stop_all(struct gateway *g);

/* How a web call gives back the function's result: what its path ends with. */
enum web_extension { WEB_HTTP, WEB_JSON, WEB_HTML, WEB_SVG, WEB_TEXT, WEB_EXTENSIONS };

/* A parameter that the path of an API route holds; texts decoded. */
struct web_parameter {
    struct nr_str name, value;
};

/* A call of a web action, by its own path or by an API route. Texts lent until the request ends. */
struct web_target {
    struct nr_str account, package, name; /* whose it is; package.n == 0: in none */
    int64_t number;                       /* of a published version; 0: LATEST, or by alias */
    struct nr_str alias;                  /* n == 0: none */
    enum web_extension extension;
    struct nr_str path; /* __ow_path: "", or begins with '/'; as it was sent */
    struct nr_str
        secret; /* what the route shows a function with a secret; n == 0: the caller shows it himself */
    struct nr_str route_account;            /* whose route it is; n == 0: of nobody */
    const struct web_parameter *parameters; /* win over the query and the body */
    size_t parameter_count;
};

/* web.c: calls the web action in its owner's name and ticks the request when its answer is there, which may be at once: 404 when there is
 * none, 401 when it wants a key or a secret that was not shown, OPTIONS answered as it wishes, input, projection, headers. For the `call`
 * of a route with ROUTE_WEB and BODY_WEB, whose body is here. */
void web_begin(struct gateway_request *q, const struct web_target *t);
/* "json" -> WEB_JSON; false when it is no extension. */
bool web_extension_of(struct nr_str word, enum web_extension *ret);
/* /api/v1/web/... */
void web_route_call(struct gateway_request *q);
/* Gives back what the web call of a request that ended holds. */
void web_end(struct gateway_request *q);

/* What the platform's own replies carry. */
#define CORS_ORIGIN_LINE "Access-Control-Allow-Origin: *\r\n"
#define CORS_HEADER_LIST "Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent"
#define CORS_PLATFORM                                                                              \
    CORS_ORIGIN_LINE "Access-Control-Allow-Headers: " CORS_HEADER_LIST                             \
                     "\r\nAccess-Control-Allow-Methods: GET, DELETE, POST, PUT, HEAD\r\n"
/* apis.c: createApi, getApi, deleteApi; op: enum fn_op */
void apis_call(struct gateway_request *q);
/* /apis/... */
void apis_serve(struct gateway_request *q);

/* cors.c: the CORS lines of a reply (lent, maybe by the request's arena); n == 0: none. */
struct nr_str cors_lines(struct gateway_request *q);
/* Of those lines the reply's own head already has one like this. */
enum cors_line { CORS_ORIGIN = 1, CORS_HEADERS = 2, CORS_METHODS = 4, CORS_ALL = 7 };

/* metrics.c: counts a request that ended. */
void metrics_request(struct gateway_request *q);
/* metrics_process.c: those of the process and of its loop. */
void metrics_process(const struct gateway *g, struct nr_buf *out);
/* metrics_calls.c: do gateway and controller agree? */
void metrics_calls(const struct gateway *g, struct nr_buf *out);
/* The gateway's, the other parts' and the process's. They name nobody. */
void metrics_all(struct gateway *g, struct nr_buf *out);
/* What single functions did and told: those of who asks (lent), or with the administrator's scope of all. Any thread. */
void metrics_named(struct gateway *g, const struct account *who, struct nr_buf *out);

/* True when a body of bytes is an object; the sentence says why not. Any thread. */
bool payload_is_object(struct nr_str text, struct nr_err *err);

#endif
