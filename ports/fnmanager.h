/* The function manager's port: who may call, what they call, and every change to functions and accounts.
 *
 * Call objects: the caller owns a struct fn_call, fills "in", posts it, and gets `done` once on its loop. Behind it stand blocking
 * threads; the JSON of bodies is parsed and written there, never on the loop.
 */
#ifndef NR_PORTS_FNMANAGER_H
#define NR_PORTS_FNMANAGER_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/net/loop.h"
#include "ports/function.h"
#include "ports/node.h"
#include "ports/target.h"
#include "ports/trigger.h"

struct fnmanager;
struct grant_device;
struct errand_call;
struct image_call;

/* A runtime that the platform offers. */
struct runtime_kind {
    const char *kind;      /* "python:3" */
    const char *family;    /* "python": <family>:default */
    const char *image;     /* "narae/python:<hash>" */
    const char *extension; /* of a single source file: ".py" */
    bool is_default;       /* of its family */
    const char
        *alias_of; /* NULL, or the kind that this one resolves to ("python:3.11" -> "python:3") */
    bool
        deprecated; /* its functions may be read and deleted, but neither changed nor called any more */
    const char *
        compiler; /* NULL: source runs as it is; else the image that compiles it, "narae/go:<hash>" */
};

/* What a change means for what runs. */
enum fn_change {
    FN_REPLACED, /* the revision runs no more calls: its containers end when their calls have ended */
    FN_KEPT, /* asked for anew, but the revision's containers stay: an update window, an alias; the revision may be 0 */
    FN_CANCEL,          /* as replaced, and its running calls are ended now */
    FN_PACKAGE_CHANGED, /* of `package`, the name is "": what it binds, its parameters or who may use it; the revision means nothing */
    FN_TRIGGER_CHANGED, /* of the trigger `name`, or of its rules */
    FN_APIS_CHANGED,    /* of the account's APIs; no names */
    FN_ACCOUNT_CHANGED, /* of `account`: whether it is ACTIVE, or its limits; no names */
};

struct fnmanager_config {
    const char *data_dir;             /* meta.db, buckets/, guest.key, admin.key, secret.key */
    const struct runtime_kind *kinds; /* kept; ends with a NULL kind */
    const char *native_image;         /* image of blackbox + openwhisk/dockerskeleton */
    const char *image_hint; /* kept; command that makes images, for texts; NULL: "scripts/images" */
    const char *guest_profile; /* "local", "default", "iot" */
    const char *
        secret_key_file; /* key of the secrets that must be readable again; NULL: "<data_dir>.secret.key" */
    bool dev_keys;         /* the public pair; loopback only (the daemon checks) */
    bool catalog;          /* the packages of whisk.system are made, and brought up to date */
    int64_t memory_max_mb; /* of the node */
    /* Of accounts that have no numbers of their own. */
    int64_t keep_versions; /* published versions of a function; older ones go; 0: all */
    int64_t keep_versions_days, keep_retired_days; /* 0: for ever */
    const struct node *node; /* kept: cores and GPUs; NULL: neither is known */
    const char *
        registries; /* that own images may come from: "public" (none that leads to this host or into a private network), "any", "none", hosts with commas; NULL: public */
    const char *
        label; /* kept; "KEY=VALUE": functions with this annotation are `labelled`; NULL: none is */
    /* Begins a call of ports/image.h; any thread. NULL: own images are taken as they are named, and looked for by the first call. */
    void (*image)(void *arg, struct image_call *c);
    /* Begins a call of ports/errand.h, and ends a revision's containers; any thread. NULL: nothing can be compiled. */
    void (*errand)(void *arg, struct errand_call *c);
    void (*errand_end)(void *arg, uint64_t revision);
    /* Cuts the errands of an owner; any thread. */
    void (*errand_cut)(void *arg, const void *owner);
    const struct grant_device
        *devices; /* kept; those that may be granted, ends with a NULL name; NULL: none */
    uint64_t
        revision_least; /* revisions begin above it: what fnmanager_freeze() of the process before returned; 0: there was none */
    struct nr_loop *loop; /* of on_change */
    /* On `loop`, before the `done` of the change: a version of this function, or an alias, is another one now, or gone. */
    void (*on_change)(void *arg, const char *account, const char *package, const char *name,
                      uint64_t old_revision, enum fn_change what);
    /* On `loop`: `account` (lent) is being deleted. What is kept of its calls must be gone, and none of them run, when `done` is called
     * with done_arg, once, on `loop`. NULL: nobody keeps anything. */
    void (*forget_account)(void *arg, const char *account, void (*done)(void *done_arg),
                           void *done_arg);
    void *arg;
    struct nr_log *log;
};

/* Could the secrets of this data folder be opened with the key of this file (NULL: the preset one)? 0, or NR_E* with the sentence of fnmanager_open(). Blocking;
 * nothing is changed. */
int fnmanager_judge(const char *data_dir, const char *secret_key_file, struct nr_log *log,
                    struct nr_err *err);
/* Opens the stores, migrates, sweeps leftovers, makes guest and administrator on an empty folder. Blocking; at start. */
int fnmanager_open(const struct fnmanager_config *c, struct fnmanager **ret, struct nr_err *err);
struct preenv_tester;
/* PreEnv has a Tester from now on (kept): runs that an earlier process left are gone on with. Once, before the loop runs. */
int fnmanager_preenv(struct fnmanager *m, struct preenv_tester *t, struct nr_err *err);
/* Another process serves on with the same data: nothing is written any more (changes end with NR_ESTOPPING), and functions are still looked up. Returns
 * the number above which that process may count revisions. Blocking, shortly. */
uint64_t fnmanager_freeze(struct fnmanager *m);
/* Finishes what was posted; joins its threads. Blocking; the loop must still run for outstanding `done`s, or be past them. */
void fnmanager_close(struct fnmanager *m);

/* Checks "uuid:key" (lent). 0 and a shared account, or NR_EAUTH; the same time for an unknown uuid and a wrong key. Any thread,
 * from memory, a few microseconds. */
int fnmanager_authenticate(struct fnmanager *m, struct nr_str uuid, struct nr_str secret,
                           struct account **ret);
/* Would the key that `account` (as fnmanager_authenticate() gave it) stands for be taken now as it was then? No when it has expired, was revoked
 * or rotated, lost a scope, or when its account is suspended or leaves, whoever has its name since. Any thread, from memory. */
bool fnmanager_still_good(struct fnmanager *m, const struct account *account);

/* The account `name` as the platform itself acts for it (shared, given; uuid "", no key, no scope), whoever called: for web actions and API routes,
 * which run in their owner's name. NR_ENOENT; an account that is suspended or leaves is NR_EAUTH with the sentence. Any thread, from memory. */
int fnmanager_account(struct fnmanager *m, struct nr_str name, struct account **ret,
                      struct nr_err *err);

/* 0 when there is such a function now (package "": in none), whatever state it is in; NR_ENOENT when not; another error when that cannot be told.
 * Blocking, one read; any thread. */
int fnmanager_has_function(struct fnmanager *m, struct nr_str account, struct nr_str package,
                           struct nr_str name);

/* The first byte of a sealed text; no JSON begins with it. */
#define FNMANAGER_SEAL_BEGINS '\1'
/* Seals a text (lent) that no copy of the data may give away, of at most 1 MB. `about` (lent) says what it belongs to; it opens for nothing else.
 * *ret (made, by free()). Blocking when it is the installation's first secret; any thread. */
int fnmanager_seal(struct fnmanager *m, struct nr_str text, struct nr_str about, char **ret,
                   size_t *ret_bytes, struct nr_err *err);
/* Opens it again (*ret made, NUL behind it; the caller wipes it). NR_ECORRUPT when it was changed, or sealed for something else or under
 * another key. */
int fnmanager_unseal(struct fnmanager *m, struct nr_str sealed, struct nr_str about, char **ret,
                     size_t *ret_bytes, struct nr_err *err);

enum fn_op {
    FN_RESOLVE,    /* account (in whose name), space, package, name, number -> fn */
    FN_ACTION_PUT, /* body, overwrite */
    FN_ACTION_GET, /* code */
    FN_ACTION_DELETE,
    FN_ACTION_LIST,  /* package may be "" (all); limit, skip, count */
    FN_ACCOUNT_GET,  /* name: the account */
    FN_ACCOUNT_LIST, /* accounts: name, body as the API's document says */
    FN_ACCOUNT_CREATE,
    FN_ACCOUNT_SHOW,
    FN_ACCOUNT_SUSPEND,
    FN_ACCOUNT_RESUME,
    FN_ACCOUNT_DELETE,
    FN_ACCOUNT_PURGE, /* these two are posted by the function manager itself */
    FN_ACCOUNT_REMOVE,
    FN_QUOTA_GET, /* name: the account */
    FN_QUOTA_PUT,
    FN_RETENTION_GET, /* name: the account */
    FN_RETENTION_PUT,
    FN_KEY_LIST, /* name: the account */
    FN_KEY_CREATE,
    FN_KEY_ROTATE, /* item: the key's uuid */
    FN_KEY_REVOKE,
    FN_BUCKET_LIST,
    FN_BUCKET_VERIFY,  /* name: the account */
    FN_ACCOUNT_EXPORT, /* name: the account -> file */
    FN_ACCOUNT_IMPORT, /* name: the account, body: what an export gave */
    FN_ACCOUNT_LIMITS, /* name, body {"invocationsPerMinute","concurrentInvocations","firesPerMinute"} */
    FN_GRANTS_GET, /* name: the account */
    FN_GRANTS_PUT, /* name, body as grants_read() takes it; each function of the account becomes new */
    FN_RESOLVE_ALIAS, /* account (in whose name), space, package, name, item: the alias -> split */
    FN_IMAGE_LIST,
    FN_IMAGE_PULL,      /* body {"reference"} */
    FN_IMAGE_PULL_WORK, /* the function manager's own */
    FN_IMAGE_PRUNE,
    FN_REGISTRY_LIST,
    FN_REGISTRY_PUT,    /* item: host or host:port; body {"username","password"} */
    FN_REGISTRY_DELETE, /* item */
    FN_PREENV_START,    /* package, name, body as docs/api.md tells -> 202 {"id"} */
    FN_PREENV_LIST,     /* limit, skip */
    FN_PREENV_GET,      /* item: the run */
    FN_PREENV_EVENTS, /* item, skip: events that are known -> further ones as server-sent events, skip, last */
    FN_PREENV_CANCEL,    /* item */
    FN_PREENV_APPLY,     /* item */
    FN_FUNCTION_LIST,    /* limit, skip */
    FN_FUNCTION_GET,     /* package, name; number: of that version */
    FN_FUNCTION_HISTORY, /* package, name, limit, skip */
    FN_VERSION_LIST,
    FN_VERSION_PUBLISH, /* body {"note"} -> 201 */
    FN_VERSION_DELETE,  /* number */
    FN_VERSION_DIFF,    /* number, item: another number, or "latest" */
    FN_MOVE_BLOCK,      /* number; body {"reason"} */
    FN_MOVE_UNBLOCK,
    FN_MOVE_RETIRE, /* body {"running":"finish"|"cancel","reason"} */
    FN_MOVE_PURGE,
    FN_UPDATE_BEGIN,  /* body {"while_updating":"hold"|"old","hold_s","deadline_s","reason"} */
    FN_UPDATE_COMMIT, /* body as FN_ACTION_PUT takes it */
    FN_UPDATE_ABORT,
    FN_ALIAS_LIST,
    FN_ALIAS_GET, /* item: the alias */
    FN_ALIAS_PUT, /* item; body {"version"} or {"weights"}, {"protected"} -> 201 when it is new */
    FN_ALIAS_DELETE,   /* item */
    FN_ALIAS_ROLLBACK, /* item */
    FN_PACKAGE_LIST,   /* space; limit, skip, count */
    FN_PACKAGE_PUT,    /* package; body, overwrite */
    FN_PACKAGE_GET,    /* space, package */
    FN_PACKAGE_DELETE, /* package, force */
    FN_TRIGGER_LIST,   /* limit, skip, count */
    FN_TRIGGER_PUT,    /* name; body, overwrite */
    FN_TRIGGER_GET,
    FN_TRIGGER_DELETE,
    FN_TRIGGER_RESOLVE, /* account (owner), name -> trigger */
    FN_RULE_LIST,       /* limit, skip, count */
    FN_RULE_PUT,        /* name; body, overwrite */
    FN_RULE_GET,
    FN_RULE_DELETE,
    FN_RULE_STATE, /* name, body {"status"}: POST; the reply is empty */
    FN_API_CREATE, /* api, body {"apidoc":{...}}; item: scheme and host that the client used, "http://host:port" */
    FN_API_GET,     /* api; item as above */
    FN_API_DELETE,  /* api */
    FN_API_RESOLVE, /* name: the account -> apis */
    FN_OPS
};

/* Which APIs a call means; absent texts have no bytes. */
struct api_query {
    struct nr_str base_path; /* or the API's name */
    struct nr_str path, method;
    struct nr_str response_type; /* FN_API_CREATE: extension of the web action; absent: "json" */
    struct nr_str
        functions; /* FN_API_CREATE: "reachable": NR_ECONFLICT, and nothing made, where there would be a warning; else: "any" */
    int limit, skip;
    struct nr_err *
        warning; /* FN_API_CREATE: lent, code 0; filled when it is done and yet something will not work. May be NULL */
};

/* fn_call.number when no version was named: for a move LATEST and every published one. */
#define FN_EVERY_VERSION (-1)

struct fn_call {
    /* in: lent until done */
    enum fn_op op;
    struct account *account; /* shared: the caller */
    struct nr_str
        space; /* the namespace that the path names, decoded; n == 0: the caller's own. Of another's only what is shared is seen */
    struct nr_str package, name; /* decoded and checked by the caller with entity_name_check() */
    int64_t number;              /* of a published version; 0: LATEST; FN_EVERY_VERSION */
    struct nr_str item; /* what else the path names: an alias, a key's uuid, a PreEnv run, ... */
    struct nr_str body;
    int body_file; /* FN_ACCOUNT_IMPORT: an open file (lent) that is the body; 0: `body` is */
    struct nr_str transaction;
    struct nr_str
        sha256; /* FN_ACTION_PUT: of the code's file, as the client says it in hex; p NULL: not said */
    const struct api_query *api; /* FN_API_CREATE, FN_API_GET, FN_API_DELETE */
    bool overwrite, with_code, count, force;
    int limit, skip; /* limit 0 is the maximum, 200 */
    struct nr_loop *loop;
    void (*done)(struct fn_call *c);
    void *owner;
    /* out */
    bool last;  /* of an operation that gives events: there will be no further ones */
    int status; /* HTTP status; an operation sets another 2xx than 200; 0 with FN_RESOLVE, FN_RESOLVE_ALIAS: see err */
    struct nr_err err;   /* a refusal: code and the exact OpenWhisk text */
    struct nr_buf reply; /* body of a 2xx; nr_buf_fini by the caller */
    bool
        whole; /* of a refusal: `reply` is its sentence as a whole, of which err.text has the beginning */
    int file; /* FN_ACCOUNT_EXPORT: an open file that is the body instead, given to the caller */
    int64_t file_bytes;
    struct function *
        fn; /* FN_RESOLVE: shared, given to the caller; also one that may not run (FN_BLOCKED, FN_RETIRED) */
    struct trigger *trigger;  /* FN_TRIGGER_RESOLVE: shared, given to the caller */
    struct api_table *apis;   /* FN_API_RESOLVE: shared, given to the caller */
    struct alias_split split; /* FN_RESOLVE_ALIAS: where it points, n is at least 1 */
    /* private */
    enum fn_change change; /* of the revision that the operation replaced */
    bool patient;          /* a thread that may wait for others runs it */
    struct nr_mail mail;
    struct fn_call *next;
};

/* Queues c; done comes once on c->loop. Any thread. */
void fnmanager_post(struct fnmanager *m, struct fn_call *c);

/* A function, as FN_RESOLVE gives it (shared, given); NULL when there is none that may run, or not for who calls. Blocking; for a start, before
 * the loop runs. */
struct function *fnmanager_function(struct fnmanager *m, const struct function_names *names);

/* What the Engine is to show a registry so that `account` gets `image` (*ret_auth made, to be wiped); NULL when the account has no credentials
 * there. Blocking; any thread but the loop's. */
void fnmanager_registry_auth(struct fnmanager *m, const char *account, const char *image,
                             char **ret_auth);

/* JSON member for GET /: {"python":[{"kind":..,"image":..,"default":..}],...}. */
void fnmanager_runtimes(struct fnmanager *m, struct nr_buf *out);
void fnmanager_metrics(struct fnmanager *m, struct nr_buf *out);

#endif
