/* The code of functions on the disk of a host that is not the controller's: <dir>/<16 hex of the account>/<64 hex of the digest>. A file gets its name only when its
 * bytes have that digest, and is checked once again by each process before its first use. It stays for later, the least recently used goes first when all together are
 * too many bytes; what a function that is known here needs stays in any case. Files of an account go with it. Not for who may have which code. Loop's thread; the
 * disk's work is done by work threads.
 */
#ifndef NR_INVOKER_FAR_CODE_H
#define NR_INVOKER_FAR_CODE_H

#include "common/base/err.h"
#include "common/base/list.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "common/data/digest.h"
#include "common/net/loop.h"

struct code_store;

/*
 *   ABSENT --needed--> FETCHING --all bytes, the digest fits--> HERE
 *   FOUND --needed--> CHECKING --the digest fits--> HERE,  --it does not--> ABSENT
 */
enum code_state { CODE_ABSENT, CODE_FOUND, CODE_CHECKING, CODE_FETCHING, CODE_HERE, CODE_STATES };

enum { CODE_FOLDER_BYTES = 17, CODE_KEY_BYTES = 16 + 1 + 2 * NR_SHA256_BYTES + 1 };

/* One file. Only the fields named public may be read. */
struct code {
    unsigned char sha256[NR_SHA256_BYTES]; /* public */
    enum code_state state;                 /* public */
    struct nr_link holders;                /* public: of code_hold() */
    struct nr_err err;                     /* public: why it is absent after `settled` */
    bool refused;                          /* public: err is the controller's */
    /* private */
    struct nr_map_node node;
    char key[CODE_KEY_BYTES];
    struct code_store *store;
    struct nr_link lru;
    struct nr_work work;
    bool working, doomed, good, told;
    uint64_t bytes; /* of the file, once it is told */
    uint64_t at;    /* so many are written */
    size_t asked;   /* from there on; 0: nothing is */
    char *part;
    size_t part_bytes;
};

struct code_store_config {
    struct nr_loop *loop;
    const char *dir;
    int64_t max_bytes;
    struct nr_log *log;
    void *arg;
    /* Bytes [at, at + bytes) of c are to be asked for. False: nobody can be asked now; code_need() will come again. */
    bool (*want)(void *arg, struct code *c, uint64_t at, size_t bytes);
    /* c is HERE, or ABSENT with an error; its holders may let go of it from inside. */
    void (*settled)(void *arg, struct code *c);
};

/* What an account's folder is called. */
void code_folder_of(struct nr_str account, char out[static CODE_FOLDER_BYTES]);

/* Makes the folder, looks what is in it, removes what an earlier run left half. Blocking; at start. */
int code_store_open(const struct code_store_config *c, struct code_store **ret, struct nr_err *err);
/* All holders have let go, no work is under way. NULL is fine. */
void code_store_free(struct code_store *s);
/* Kept files and those that are coming. */
int64_t code_store_bytes(const struct code_store *s);

/* The file of this digest of the account; `holder` (kept) holds it until code_release(). */
struct code *code_hold(struct code_store *s, struct nr_str account,
                       const unsigned char sha256[static NR_SHA256_BYTES], struct nr_link *holder);
void code_release(struct code *c, struct nr_link *holder);
/* Begins what is to be done until it is HERE, or goes on with it. 0: it is; 1: `settled` comes. */
int code_need(struct code *c);
/* Came of the controller: bytes at `at` of a file of `bytes`. NR_EPROTO with a sentence: nobody had asked for that. */
int code_part(struct code *c, uint64_t at, uint64_t bytes, struct nr_str part, struct nr_err *err);
/* The controller has no such code, and says why. */
void code_refused(struct code *c, const char *why);
/* What was asked for will not come any more: the link is down. */
void code_lost(struct code *c);
/* By its digest among all that are fetched, or NULL. */
struct code *code_fetched(struct code_store *s, const unsigned char sha256[static NR_SHA256_BYTES]);
/* The account goes: its files go, now or when they are let go of. */
void code_forget(struct code_store *s, struct nr_str account);

#endif
