/* narae, the command line for people: what its files share. It speaks HTTP to a platform and nothing else. One thread.
 *
 * Exit status: 0 done; 1 the command could not be done (no answer, a mistake in the command, refused); 2 the function itself failed.
 */
#ifndef NR_CLI_CLI_H
#define NR_CLI_CLI_H

#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/net/fetch.h"

struct cli {
    char *api_host; /* "http://127.0.0.1:3233" */
    char *auth;     /* "uuid:key", or NULL */
    bool insecure, json;
    struct nr_fetch *fetch;
    /* of the command */
    const char *name, *kind, *main, *network, *exec, *image;
    int64_t memory_mb, timeout_ms, logs_mb, concurrency, limit, skip; /* -1: not given */
    const char *since;
    bool follow, non_blocking, record, result,
        no_overwrite;   /* result wins over record, as -br of wsk */
    json_t *parameters; /* made */
    int argc;           /* words behind the verb */
    char **argv;
};

/* One verb: what `narae VERB --help` says and what runs. */
struct cli_verb {
    const char *name, *alias; /* alias: "action create" for hands used to wsk; NULL: none */
    const char *words;        /* "FUNCTION", "FILE|FOLDER" */
    const char *help, *example;
    int words_min, words_max;
    int (*run)(struct cli *c);
};

/* client.c: address and key from flags, environment (NARAE_APIHOST, WHISK_APIHOST, __OW_API_HOST …) and ~/.wskprops. */
int cli_configure(struct cli *c, struct nr_err *err);
/* Sends a call and parses the answer. *ret (made; may be NULL). Returns 0 for a 2xx; else prints what went wrong and what to do next, and
 * returns the exit status. *ret_status (may be NULL) is the HTTP status whatever it was. With `quiet_status` that status prints nothing. */
int cli_call(struct cli *c, const char *method, const char *path, const json_t *body,
             int quiet_status, json_t **ret, int *ret_status);
/* Opens a stream and gives its bytes to on_bytes as they come, for as long as they do. 0: it ended; 1: refused, and said why; < 0:
 * NR_E*, it broke, or the platform is not there just now: said, unless `again`. A first try that finds nobody is 1. */
int cli_stream(struct cli *c, const char *path, const char *const *headers, bool again,
               bool (*on_bytes)(void *arg, struct nr_str bytes), void *arg);
/* The record, or with tail "/logs" a part of it, of the activation that the words name (made). verbs.c */
int cli_activation(struct cli *c, const char *tail, json_t **ret);
/* Percent-encodes "pkg/name" for a path into out (lent, 3 * 512 bytes); false when it is too long. */
bool cli_path_name(const char *name, char *out, size_t n);
int cli_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void cli_print_json(const json_t *j);

/* source.c: a file or a folder as the body of a deployment: {"exec":{…}} (made), with the kind guessed. */
json_t *cli_source_exec(const struct cli *c, const char *path, struct nr_err *err);
/* The function's name that a path suggests: its last part without the ending. */
void cli_source_name(const char *path, char *out, size_t n);

/* verbs */
int verb_deploy(struct cli *c);
int verb_invoke(struct cli *c);
int verb_functions(struct cli *c);
int verb_get(struct cli *c);
int verb_delete(struct cli *c);
int verb_activations(struct cli *c);
int verb_activation(struct cli *c);
int verb_logs(struct cli *c);
int verb_result(struct cli *c);
int verb_doctor(struct cli *c);
/* invokers.c */
int verb_invokers(struct cli *c);

#endif
