/* The invoker's port for images of the Docker Engine: call objects, as everywhere. The caller owns a struct image_call, fills "in", gives it to
 * invoker_image() or to the fleet, and gets `done` once on some other thread; progress comes before it, never at the same time. Who waits for `done` may
 * be any thread but the loop's.
 */
#ifndef NR_PORTS_IMAGE_H
#define NR_PORTS_IMAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"

enum image_op {
    IMAGE_FIND, /* is it on this host? */
    IMAGE_ASK, /* the registry: may we have it, what is its digest, is it made for this host? Nothing is pulled */
    IMAGE_PULL,   /* by digest */
    IMAGE_LIST,   /* what is on this host */
    IMAGE_REMOVE, /* one that no container uses */
    IMAGE_OPS
};

/* Of the layers of one image together, as its registry sends them. */
enum { IMAGE_MAX_MB = 10240 };
enum { IMAGE_DIGEST_BYTES = 80, IMAGE_PLATFORM_BYTES = 48 };

/* How far a pull is. Bytes as the registry sends them, of the layers that it has told of. */
struct image_progress {
    unsigned layers, layers_done;
    int64_t bytes, bytes_total;
};

struct image_call {
    /* in: lent until done */
    enum image_op op;
    const char *
        reference; /* "host/path:tag" or "host/path@sha256:..." as the Engine writes it; FIND, REMOVE also "sha256:..." */
    const char *auth;  /* the Engine's X-Registry-Auth; NULL: nobody's. Never logged */
    int64_t max_bytes; /* IMAGE_PULL: given up above */
    void (*progress)(struct image_call *c, const struct image_progress *p); /* may be NULL */
    void (*done)(struct image_call *c);
    void *owner;
    /* out */
    struct nr_err
        err; /* NR_ENOENT, NR_EFORBIDDEN, NR_EUNAVAIL, NR_ENOSPC, NR_ETOOBIG, NR_EBUSY (in use), ...; the sentence is for clients */
    char id[IMAGE_DIGEST_BYTES];         /* FIND: "sha256:..." */
    char digest[IMAGE_DIGEST_BYTES];     /* ASK */
    char platform[IMAGE_PLATFORM_BYTES]; /* FIND: "linux/amd64" */
    int64_t bytes;                       /* FIND: on this host */
    bool has_command;                    /* FIND: it names something to run */
    bool has_volumes; /* FIND: it declares volumes: writable disk of this host without a bound */
    bool fits;        /* FIND: it is of this host's platform */
    json_t *found;    /* FIND: {"RepoTags","RepoDigests",...}; LIST: an array of these. Made */
};

struct invoker;

/* Begins c. Any thread, until the invoker is closed. */
void invoker_image(struct invoker *v, struct image_call *c);

#endif
