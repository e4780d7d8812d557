/* What the function manager hands out: accounts and functions as immutable, shared snapshots.
 *
 * A snapshot never changes after it was made; a change makes a new one, which replaces the old one in every cache before the
 * change's 2xx leaves. Calls that run keep theirs. Counted atomically: any thread may hold and release.
 */
#ifndef NR_PORTS_FUNCTION_H
#define NR_PORTS_FUNCTION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum account_scope { SCOPE_INVOKE = 1, SCOPE_READ = 2, SCOPE_WRITE = 4, SCOPE_ADMIN = 8 };

/* Who calls, as one key says it. */
struct account {
    _Atomic int refs;
    char *name;      /* = namespace = subject */
    char *uuid;      /* of the key that was used */
    unsigned scopes; /* enum account_scope, of the key */
    uint64_t
        key; /* which key: another one with every new secret, and never again; 0: none was used */
    char *refused; /* why none of its calls is taken now: it is suspended; NULL: they are taken */
    int64_t invocations_per_minute; /* -1: no limit; 0 blocks the account */
    int64_t fires_per_minute;
    int64_t concurrent_invocations;
};

enum function_state { FN_LATEST, FN_PUBLISHED, FN_BLOCKED, FN_UPDATING, FN_RETIRED };
enum function_network { FN_NET_EGRESS, FN_NET_NONE };

struct grants;

/* GPUs that a container of a function gets. Without memory_mb and percentage: whole ones. */
struct function_gpu {
    unsigned count;    /* of devices; 0: none */
    int64_t memory_mb; /* of each; 0: not asked for */
    int percentage;    /* of each one's use; 0: not asked for */
};

/* What an annotation, a rule, a route or a sequence names: a function, and which version of it. As a text: "/ns/name", "/ns/pkg/name", behind it
 * "?version=3" or "?alias=prod" (a `?` is in no name). */
struct function_target {
    char *account; /* namespace */
    char *package; /* "" when in none */
    char *name;
    int64_t number; /* of a published version; 0: LATEST, or by alias */
    char *alias;    /* "" when none is named */
};

/* Which version of which function, as one account calls it: enough to find it again after a restart. Lent. */
struct function_names {
    const char *account; /* who calls */
    const char *space;   /* whose name it is called by: the account's own, or another's */
    const char *package; /* "" when in none */
    const char *name;
    int64_t number; /* of a published version; 0: LATEST */
};

/* Who may call a web action over /api/v1/web. */
enum web_access {
    WEB_CLOSED, /* it is none */
    WEB_OPEN,
    WEB_KEY,    /* with any valid key */
    WEB_SECRET, /* with the text of `secret` in X-Require-Whisk-Auth */
};

/* What the web annotations say. */
struct function_web {
    enum web_access access;
    bool raw; /* raw-http */
    bool
        custom_options; /* web-custom-options: OPTIONS calls it, and it makes its own CORS headers */
    char *secret;       /* "" but with WEB_SECRET */
};

/* Which activations get a record: annotation narae.store. */
enum store_policy { STORE_ALL, STORE_ERRORS, STORE_NONE };

/* One version of one function, with its settings, as one account calls it. All texts are part of the snapshot. */
struct function {
    _Atomic int refs;
    /* Unique in this installation; a new one with every change. Called through a binding or by another account, or out of a package with
     * parameters, it has one of its own, so that its containers are shared with nobody else's. */
    uint64_t revision;
    uint64_t
        stored; /* revision of what is stored, from which it was made; the same but for these reasons */
    char *account; /* in whose name it runs: the owner's, or of who calls a shared one */
    char *package; /* as it is called; "" when it is in none */
    char *name;
    char *
        path; /* whose code runs, "ns/name" or "ns/pkg/name": annotation path, __OW_ACTION_NAME without the slash */
    char *binding;     /* "ns/name" of the binding through which it is called; "" when none */
    char *version;     /* "0.0.1" */
    int64_t published; /* 1, 2, 3…; 0: LATEST */
    enum function_state state;
    uint32_t
        hold_ms; /* FN_UPDATING: new calls wait up to this long for the end of the update; 0: the old code serves */
    char *reason;    /* why it is FN_BLOCKED or FN_RETIRED; "" when none was given */
    char *kind;      /* resolved: "python:3", "nodejs:18", "blackbox" */
    char *image;     /* reference for the Engine: "narae/python:0123456789ab", or an own image */
    bool relay;      /* own image that serves port 8080; no agent protocol inside */
    char *exec;      /* native only: "once", "loop", "direct"; else "" */
    char *main;      /* "" when none */
    bool binary;     /* the upload was base64 */
    char *file;      /* stored file's name ("code.py", "code.zip"); "" when there is no code */
    char *code_path; /* absolute path in the bucket; "" when there is no code */
    int64_t code_bytes;
    unsigned char sha256[32];
    char *parameters; /* JSON object text: bound parameters that go to every run; "{}" when none */
    char *init_parameters; /* JSON object text: those with "init": true; "{}" when none */
    char *
        limits; /* JSON object text as in records: {"timeout":60000,"memory":256,"logs":10,"concurrency":1} */
    int64_t timeout_ms, memory_mb, log_max_bytes;
    int concurrency;
    int64_t instances;  /* containers at the same time, at most; 0: no limit of its own */
    int64_t cpus_milli; /* cap in thousandths of a core; 0: none */
    int64_t cpu_share;  /* weight, 2..262144; 0: in proportion to memory */
    struct function_gpu gpu;
    enum function_network network;
    bool provide_api_key;
    bool conductor; /* its result says what runs next */
    struct function_web web;
    /* Annotation final: names of parameters that a call must not give, sorted by their bytes; ends with NULL; NULL: none. */
    char **final_names;
    char **bound_names; /* all names in `parameters`, likewise */
    /* Annotation narae.place: tags that its host must have, "key=value"; ends with NULL; NULL: none. */
    char **place;
    struct function_target
        *steps;        /* of a sequence: what runs one after the other; kind is "sequence" then */
    size_t step_count; /* 0: it is none */
    enum store_policy store;
    bool labelled; /* it carries the annotation of fnmanager_config.label */
    bool trial;    /* of PreEnv: its calls are no traffic of the function */
    struct grants *
        grants; /* shared: what the administrator allows the account, and this function asks for; NULL: nothing */
};

/* Where an alias points: one version, or several by weight; the weights of all parts sum to 100. */
#define ALIAS_PARTS_MAX 16
struct alias_split {
    size_t n;
    struct {
        int64_t version; /* 1, 2, 3… */
        int weight;      /* 1…100 */
    } part[ALIAS_PARTS_MAX];
};

/* Another holder. Returns f. */
struct function *function_ref(struct function *f);
/* One holder less; the last one frees. NULL is fine. */
void function_unref(struct function *f);
struct account *account_ref(struct account *a);
void account_unref(struct account *a);

#endif
