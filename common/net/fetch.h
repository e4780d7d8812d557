/* Blocking HTTP by libcurl, for the manage plane and the command line: Engine socket, webhooks, our own API. Never on a loop thread.
 * A handle keeps its connection; one thread at a time.
 */
#ifndef NR_COMMON_NET_FETCH_H
#define NR_COMMON_NET_FETCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"

struct nr_fetch; /* one easy handle */

struct nr_fetch_req {
    /* in */
    const char *method, *url;   /* lent; with a unix socket "http://engine/v1.41/..." */
    const char *user_password;  /* Basic auth "uuid:key"; may be NULL */
    const char *const *headers; /* "Name: value", ends with NULL; may be NULL */
    struct nr_str body;
    const char *content_type;                /* NULL: none */
    uint32_t connect_timeout_ms, timeout_ms; /* total; 0: 5 s, 60 s */
    unsigned
        silence_max_s; /* a stream: NR_ETIMEOUT when for so long next to nothing comes, and no limit in all; 0: off */
    size_t reply_max_bytes; /* NR_ETOOBIG above; 0: 16 MiB */
    bool insecure;          /* no certificate check */
    const _Atomic bool *
        stop; /* kept: looked at about once a second; true ends the call with NR_ECANCELED. May be NULL */
    /* A stream of bytes instead of `reply`, `status` is there; return false to stop. May be NULL. */
    bool (*on_bytes)(void *arg, struct nr_str bytes);
    void *arg;
    /* out */
    int status;
    struct nr_buf reply;    /* made by init of the call; nr_buf_fini by the caller */
    char activation_id[40]; /* x-openwhisk-activation-id, or "" */
    char warning[512];      /* x-narae-warning, or "" */
    double seconds;
};

/* socket_path (lent): a unix socket for all calls, or NULL. */
struct nr_fetch *nr_fetch_make(const char *socket_path);
void nr_fetch_free(struct nr_fetch *f);
/* 0 when an HTTP answer came, whatever its status; NR_EUNAVAIL cannot connect, NR_ETIMEOUT, NR_ECLOSED, NR_ETOOBIG, with a sentence. */
int nr_fetch_call(struct nr_fetch *f, struct nr_fetch_req *r, struct nr_err *err);

#endif
