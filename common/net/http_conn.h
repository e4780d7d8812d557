/* What the files of the HTTP server share: the connection, and who calls whom between them. Private to common/net.
 *
 *   http_server.c  listeners, accepting, draining, closing, pools of buffers and requests
 *   http_handover.c  sockets that go to another process
 *   http_conn.c    one connection: reading, phases, timeouts, end of a request, end of the connection
 *   http_head.c    the head by lines; what of it is ours to check
 *   http_parse.c   bytes -> request: head, llhttp, bodies
 *   http_spool.c   a body that goes to a file
 *   http_write.c   reply -> bytes
 *   tls.c          the layer between, when there is one
 */
#ifndef NR_COMMON_NET_HTTP_CONN_H
#define NR_COMMON_NET_HTTP_CONN_H

#include <llhttp/llhttp.h>

#include "common/base/buf.h"
#include "common/net/http_server.h"
#include "common/net/http_spool.h"
#include "common/net/tls_conn.h"

/* Where a connection stands. Every phase but WORK has a time limit; WORK has one only while a reply waits to be written. */
enum nr_http_phase {
    NR_HTTP_P_IDLE,   /* between requests: not one byte of the next */
    NR_HTTP_P_HEAD,   /* the head has begun */
    NR_HTTP_P_BODY,   /* on_head was called */
    NR_HTTP_P_WORK,   /* the owner has it, or the reply is on its way */
    NR_HTTP_P_LINGER, /* replied without having read all: what still comes is dropped, so that the reply is not lost to a reset */
    NR_HTTP_P_CLOSING, /* uv_close() was called */
};

/* Where a request stands (nr_http_req.stage). */
enum nr_http_stage {
    NR_HTTP_R_UNSEEN, /* the owner does not know of it */
    NR_HTTP_R_SEEN,   /* on_head was called */
    NR_HTTP_R_WORK,   /* on_request was called */
    NR_HTTP_R_PARTS,  /* a reply in parts has begun */
    NR_HTTP_R_DONE,   /* the reply is whole; it may still wait to be written */
};

struct nr_http_conn {
    uv_tcp_t tcp;
    uv_write_t write;
    struct nr_http_server *server;
    struct nr_link link;
    struct nr_link ended; /* in server->ended: the request is over and its end not yet told */
    struct nr_deadline deadline;
    uint64_t
        due_ms; /* 0: no limit now. The deadline is armed at or before it and looks here when it fires */
    enum nr_http_phase phase;
    struct nr_http_req *r;
    struct nr_tls_conn *tls;

    /* Input: one buffer from the server's pool holds a head, a body that fits behind it and what the client sends ahead. */
    char *in;           /* NULL between requests */
    size_t in_at, in_n; /* taken up to; filled up to */
    size_t head_at, line_at,
        lines_end; /* start of the head; of the line that is looked for; end of the request line (0: not yet) */
    size_t body_at;              /* start of a body in `in` */
    char *body;                  /* a body that does not fit into `in` */
    struct nr_http_spool *spool; /* a body that goes to a file */
    size_t body_n, body_bytes;   /* there; announced (SIZE_MAX: chunked) */
    struct nr_buf chunks;        /* a chunked body */
    size_t framing_bytes;        /* of the chunked form: sizes, extensions, trailers */
    const char *framing;         /* up to here they are checked, while llhttp runs */
    char framing_last;           /* the byte before */
    size_t reserved_bytes;       /* of server->stats.inflight_bytes */
    uint64_t body_start_ms;
    llhttp_t parser;
    int refuse; /* status, set inside a callback of the parser */

    /* Output: `out` is what libuv writes now, `later` waits for it. */
    struct nr_buf out, later;
    size_t stalled_bytes; /* of the write under way when the write limit was set */

    bool keep; /* another request may follow this one */
    bool seen; /* the owner knows of the request: on_head was called */
    bool http10, chunked_reply, expect, message_done, reading, writing, running;
    bool
        crowded; /* the owner was told that more than 64 KiB wait, and wants to hear when they do not */
    bool eof, closed, gone_told;
    bool touched, served; /* a byte of it was read; a request of it was answered */
    char peer[46];
};

struct nr_http_listener {
    uv_tcp_t tcp;
    struct nr_http_server *server;
    struct nr_link link;
    bool holds; /* a connection waits in it */
};

struct nr_http_server {
    struct nr_loop *loop;
    struct nr_http_config config;
    struct nr_http_hooks hooks;
    void *user;
    struct nr_http_stats stats;
    struct nr_link conns, listeners, ended;
    struct nr_deadline retry; /* of an accept for which there was no memory */
    uv_prepare_t prepare;
    int handles;                        /* open: listeners and prepare */
    size_t in_bytes;                    /* size of an input buffer */
    struct nr_link free_ins, free_reqs; /* pools; the links lie inside the free memory */
    unsigned free_in_count, free_req_count;
    struct nr_buf scratch; /* heads of replies are made here */
    char *tls_in;          /* ciphertext of one read, made at the first TLS connection */
    char date[40];
    uint64_t date_ms;
    bool draining, closing;
    bool leaving; /* draining, and idle connections are still given away */
    bool parting; /* what cannot be given away ends with its next reply */
    void (*idle)(void *arg);
    void *idle_arg;
    void (*done)(void *arg);
    void *done_arg;
};

/* ---- http_server.c ---- */
/* A buffer of in_bytes, not zeroed, or NULL. */
char *nr_http_in_take(struct nr_http_server *s);
void nr_http_in_give(struct nr_http_server *s, char *in);
/* A request with an empty arena, the owner's part zeroed, or NULL. */
struct nr_http_req *nr_http_req_take(struct nr_http_server *s);
void nr_http_req_give(struct nr_http_server *s, struct nr_http_req *r);
/* The connection is closed and holds nothing any more: frees it, goes on accepting, tells who waits for the last one. */
void nr_http_conn_free(struct nr_http_conn *c);
/* Closes the listeners. */
void nr_http_stop_listening(struct nr_http_server *s);

/* ---- http_conn.c ---- */
/* Takes the next connection of a listener. False: no memory; libuv holds it. */
bool nr_http_conn_open(struct nr_http_server *s, uv_stream_t *listener);
/* Takes a connection that another process has accepted (fd given, closed on failure). */
void nr_http_conn_take(struct nr_http_server *s, int fd);
void nr_http_conn_close(struct nr_http_conn *c);
/* Ends it so that its client loses nothing: he is told, and what he still sends is taken for a while, and dropped. */
void nr_http_conn_part(struct nr_http_conn *c);
/* Time limit from now on; 0 milliseconds: none. */
void nr_http_conn_limit(struct nr_http_conn *c, uint64_t after_ms);
/* The next look at a body that is on its way. */
void nr_http_conn_limit_body(struct nr_http_conn *c);
/* Ends the request whose reply is out, and goes on with what the client sent ahead. Not from inside a hook. */
void nr_http_conn_ended(struct nr_http_conn *c);
/* A piece of a body is in its file. */
void nr_http_conn_go_on(struct nr_http_conn *c);
/* The server's own answer to what it does not take. */
void nr_http_conn_refuse(struct nr_http_conn *c, int status);

/* ---- http_head.c ---- */
enum { NR_HTTP_HEAD_WHOLE = 0, NR_HTTP_HEAD_NOT_YET = 1 };
/* Goes on where it stopped: whole (it ends at c->in_at), not yet, or the status to refuse with. */
int nr_http_find_head(struct nr_http_conn *c);
/* All three: 0, or the status to refuse with. The line is looked at before llhttp, ... */
int nr_http_check_request_line(const struct nr_http_conn *c);
/* ... the rest after it: r->path holds the whole target and becomes path and query. */
int nr_http_split_target(struct nr_http_req *r);
int nr_http_check_headers(struct nr_http_conn *c);

/* ---- http_parse.c ---- */
/* Takes what it can of the input: moves c->phase on and calls the hooks. False: more bytes are needed, or somebody else's turn. */
bool nr_http_parse(struct nr_http_conn *c);
/* Room for the next bytes of the client, *ret_n = 0 when there is none now. */
char *nr_http_parse_room(struct nr_http_conn *c, size_t *ret_n);
/* n bytes were put into the room. */
void nr_http_parse_took(struct nr_http_conn *c, size_t n);
/* Forgets the request; bytes sent ahead stay. */
void nr_http_parse_reset(struct nr_http_conn *c);

/* ---- http_write.c ---- */
/* Sends bytes; what cannot be written at once is copied. */
void nr_http_send(struct nr_http_conn *c, struct nr_str head, struct nr_str body);
/* Sends what the TLS layer has made. */
void nr_http_send_tls(struct nr_http_conn *c);
/* Bytes of the write under way that the client has not taken. */
size_t nr_http_writing(const struct nr_http_conn *c);
/* Bytes that wait to be written, those included. */
size_t nr_http_unsent(const struct nr_http_conn *c);
const char *nr_http_status_text(int status);

#endif
