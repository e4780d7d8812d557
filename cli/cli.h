/* narae, the command line for people: what its files share. It speaks HTTP to a platform and nothing else (but for backup/). One thread.
 *
 * Exit status: 0 done; 1 the command could not be done (no answer, a mistake in the command, refused, not confirmed); 2 the function
 * itself failed.
 */
#ifndef NR_CLI_CLI_H
#define NR_CLI_CLI_H

#include "cli/fail.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/net/fetch.h"

/* The rows of the table of options; OPT_NONE ends a list. */
enum cli_option {
    OPT_NONE,
    OPT_APIHOST,
    OPT_AUTH,
    OPT_INSECURE,
    OPT_OUTPUT,
    OPT_YES,
    OPT_HELP,
    OPT_PARAM,
    OPT_SECRET,
    OPT_ANNOTATION,
    OPT_WEB,
    OPT_PARAM_FILE,
    OPT_ANNOTATION_FILE,
    OPT_DATA,
    OPT_NAME,
    OPT_KIND,
    OPT_IMAGE,
    OPT_SEQUENCE,
    OPT_MAIN,
    OPT_EXEC,
    OPT_NETWORK,
    OPT_MEMORY,
    OPT_TIMEOUT,
    OPT_LOGSIZE,
    OPT_CONCURRENCY,
    OPT_CPUS,
    OPT_CPU_SHARE,
    OPT_GPU,
    OPT_GPU_MEMORY,
    OPT_GPU_PERCENTAGE,
    OPT_NO_OVERWRITE,
    OPT_WATCH,
    OPT_PUBLISH,
    OPT_NOTE,
    OPT_VERSION,
    OPT_ALIAS,
    OPT_LOGS,
    OPT_ASYNC,
    OPT_RECORD,
    OPT_BLOCKING,
    OPT_RESULT,
    OPT_LIMIT,
    OPT_SKIP,
    OPT_FOLLOW,
    OPT_SINCE,
    OPT_REASON,
    OPT_RUNNING,
    OPT_PROTECTED,
    OPT_WHILE_UPDATING,
    OPT_HOLD,
    OPT_DEADLINE,
    OPT_PAYLOAD,
    OPT_TOLERANCE,
    OPT_REPEATS,
    OPT_AXIS,
    OPT_APPLY,
    OPT_ONCE,
    OPT_EVERY,
    OPT_PROFILE,
    OPT_SCOPES,
    OPT_EXPIRES,
    OPT_USERNAME,
    OPT_PASSWORD,
    OPT_MODE,
    OPT_FULL,
    OPT_ALL,
    OPT_UPTO,
    OPT_ACCOUNT,
    OPT_SHARED,
    OPT_FEED,
    OPT_RESPONSE_TYPE,
    OPT_WEB_SECURE,
    OPT_COPY,
    OPT_DOCKER,
    OPT_NATIVE,
    OPT_DEL_ANNOTATION,
    OPT_URL,
    OPT_SAVE,
    OPT_SAVE_AS,
    OPT_EXIT,
    OPT_FORCE,
    OPT_COUNT
};

enum cli_value { VALUE_NONE, VALUE_TEXT, VALUE_NUMBER, VALUE_REAL, VALUE_FILE, VALUE_CHOICE };

struct cli_option_row {
    const char *name;
    char letter; /* 0: none */
    enum cli_value value;
    const char *meta; /* "MB", or the choices "egress|none" */
    const char *help;
};
extern const struct cli_option_row cli_options[OPT_COUNT];
/* Those that every verb takes; ends with OPT_NONE. */
extern const unsigned char cli_common_options[];

/* What a word of a verb is, for completion. */
enum cli_word {
    WORD_ANY,
    WORD_FILE,
    WORD_FUNCTION,
    WORD_ALIAS, /* of the function that stands before it */
    WORD_ACCOUNT,
    WORD_VERB,
    WORD_SHELL,
    WORD_PACKAGE,
    WORD_TRIGGER,
    WORD_RULE,
    WORD_POLICY,
    WORD_PLATFORM /* whose settings are imported */
};

enum cli_group {
    GROUP_FUNCTIONS,
    GROUP_CALLS,
    GROUP_VERSIONS,
    GROUP_LIFE,
    GROUP_ENTITIES,
    GROUP_PREENV,
    GROUP_SCALING,
    GROUP_ACCOUNTS,
    GROUP_IMAGES,
    GROUP_PLATFORM,
    GROUP_SELF,
    GROUP_COUNT
};

struct cli;

/* One verb: what `narae VERB --help`, completion and the manual say, and what runs. */
struct cli_verb {
    const char *name, *wsk; /* wsk: "action create" for hands used to it; NULL: none */
    const char *words;      /* "FUNCTION", "FILE|FOLDER" */
    enum cli_group group;
    const char *help, *example;
    int words_min, words_max;
    int (*run)(struct cli *c);
    unsigned char options[36]; /* beside the common ones; ends with OPT_NONE */
    unsigned char word[3];     /* enum cli_word of each; the last holds for what follows */
    bool offline;              /* needs no platform */
};

enum cli_form { FORM_TABLE, FORM_JSON, FORM_WIDE };

struct cli {
    char *api_host; /* "http://127.0.0.1:3233" */
    char *auth;     /* "uuid:key", or NULL */
    char *host_from,
        *auth_from; /* made: "NARAE_AUTH", "/root/.wskprops": what said it; NULL: the preset, none */
    struct nr_fetch *fetch;
    struct terminal term;
    enum cli_form form;
    const struct cli_verb *verb;
    bool as_wsk;                 /* the words of wsk were used */
    bool update;                 /* they were `action update`: without a file its settings change */
    bool quiet;                  /* refusals are not printed: completion */
    int status;                  /* HTTP, of the latest answer; 0: none */
    struct cli_failure *failure; /* kept by main; NULL: -o json collects nothing */
    /* Of the command: the text of an option (lent), NULL when it was not given; of a number also its value. */
    const char *text[OPT_COUNT];
    int64_t number[OPT_COUNT];
    double real[OPT_COUNT];
    char *
        space; /* namespace of the function that is called or looked at, encoded, made; NULL: the key's own */
    json_t *parameters, *annotations; /* objects, made; NULL: none */
    json_t *secrets;                  /* object of texts, made; NULL: none */
    json_t *gone;                     /* keys of annotations that go, made; NULL: none */
    json_t *payloads;                 /* made: [{"weight","value"}]; NULL: none */
    int argc;                         /* words behind the verb */
    char **argv;
};

static inline bool cli_json(const struct cli *c)
{
    return c->form == FORM_JSON;
}

/* ---- names.c ------------------------------------------------------------------------------------------------------------- */

/* Takes the namespaces off the names of functions in the words and in --name; another one's goes to c->space for the verbs that may use it, else
 * it is said why not. Asks the platform only when a namespace is named. 0, or the exit status. */
int cli_take_names(struct cli *c);
/* "_", or the namespace of c->space. */
const char *cli_space(const struct cli *c);

/* ---- address.c ----------------------------------------------------------------------------------------------------------- */

/* Address and key, from flags, environment (NARAE_APIHOST, WHISK_APIHOST, __OW_API_HOST ...) and ~/.wskprops. */
int cli_configure(struct cli *c, struct nr_err *err);
/* "the key comes from NARAE_AUTH; __OW_API_KEY is set too, and counts only without that", of the key in use, into out (lent); "" without a key. */
void cli_say_key(const struct cli *c, char *out, size_t n);

/* ---- refusal.c ----------------------------------------------------------------------------------------------------------- */

/* After an answer (lent; may be NULL) of this status of HTTP: what went wrong and what to do next. The exit status. */
int cli_refused(const struct cli *c, int status, const json_t *answer);
/* After none. */
int cli_no_answer(const struct cli *c, const struct nr_err *err);

/* ---- client.c: one call and its answer ----------------------------------------------------------------------------------- */

/* Sends a call and parses the answer. *ret (made; may be NULL). Returns 0 for a 2xx; else prints what went wrong and what to do next, and
 * returns the exit status. *ret_status (may be NULL) is the HTTP status whatever it was. With `quiet_status` that status prints nothing. */
int cli_call(struct cli *c, const char *method, const char *path, const json_t *body,
             int quiet_status, json_t **ret, int *ret_status);
/* As cli_call with bytes of a media type as the body. */
int cli_send(struct cli *c, const char *method, const char *path, struct nr_str body,
             const char *media_type, json_t **ret);
/* As cli_call; the answer is a text (made, NUL-terminated). */
int cli_text(struct cli *c, const char *path, char **ret);

/* A call whose answer comes in pieces. */
struct cli_stream {
    const char *method, *path;
    const json_t *body;         /* lent; NULL: none */
    const char *const *headers; /* as nr_fetch_req has them; may be NULL */
    bool again;                 /* a platform that is away says nothing */
    bool (*on_bytes)(void *arg, struct nr_str bytes);
    void *arg;
};
/* Gives the bytes to on_bytes as they come, for as long as they do. 0: it ended; 1: refused, and said why; < 0: NR_E*, it broke, or the
 * platform is not there just now: said, unless `again`. A first try that finds nobody is 1. */
int cli_stream(struct cli *c, const struct cli_stream *s);

/* ---- path.c ------------------------------------------------------------------------------------------------------------- */

/* Percent-encodes "pkg/name" for a path into out (lent, 3 * 512 bytes); false when it is too long. */
bool cli_path_name(const char *name, char *out, size_t n);
/* A path (made) from a format whose only conversions are %s, a text whose bytes are percent-encoded, and %d, an int64_t. */
char *cli_path(const char *fmt, ...);
/* Of the function that the first word names: "/narae/v1/functions/NAME", with "/versions/N" when --version was given, and the tail
 * (made). */
char *cli_function_path(const struct cli *c, const char *tail);

/* ---- when.c ------------------------------------------------------------------------------------------------------------- */

enum { CLI_TIME_BYTES = 32 };
/* "2026-01-31 12:00:00", in the time of this place, as every verb prints it. */
void cli_time_text(int64_t ms, char out[CLI_TIME_BYTES]);
/* "90s", "10m", "2h", "1d" ago; milliseconds since 1970; a time as logs have it (with a Z: UTC) or as verbs print it. False: it is none. */
bool cli_when(const char *text, int64_t *ret_ms);
/* The same of an option that may be given; absent: *ret_ms stays as it is. 0, or said what is wrong. */
int cli_option_when(const struct cli *c, enum cli_option option, int64_t *ret_ms);

/* ---- say.c: what a person reads ------------------------------------------------------------------------------------------ */

/* JSON (text) as it is, but for its numbers: each with the fewest digits that read back the same. */
void cli_short_numbers(const char *json, struct nr_buf *out);
void cli_print_json(const json_t *j);
/* A line that a function made: as it is, but on a terminal nothing in it is obeyed (white space and control characters become harmless). */
void cli_print_line(FILE *out, const char *line);
/* Asks on a terminal; in a pipe it refuses, unless --yes was given. 0: go on. */
int cli_confirm(struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Prints a list of the platform's: its JSON, or a table. `none` goes to the error channel when it is empty. */
void cli_show_list(struct cli *c, const json_t *answer, const char *key,
                   const struct column *columns, size_t count, const char *none);
/* Prints an object: its JSON, or a line for each column that it has. */
void cli_show_fields(struct cli *c, const json_t *answer, const struct column *columns,
                     size_t count);
/* GET path, then cli_show_list or, without a key, cli_show_fields. */
int cli_get_list(struct cli *c, const char *path, const char *key, const struct column *columns,
                 size_t count, const char *none);
/* Sends a call whose answer is told by one line: the JSON of the answer with -o json, else the line. */
int cli_do(struct cli *c, const char *method, const char *path, const json_t *body, const char *fmt,
           ...) __attribute__((format(printf, 5, 6)));
/* "?limit=30&skip=0" of --limit and --skip (made). */
char *cli_page(const struct cli *c, const char *path);

/* ---- options.c, arguments.c, verbs.c, find.c, nearest.c, help.c, man.c, complete.c ------------------------------------------------------------- */

/* The form that -o asks for, wherever it stands in argv: known before anything else is read, so that whatever is wrong there is said in it. */
enum cli_form cli_form_of(int argc, char **argv);
/* Reads argv: options into c, words into `words` (lent, argc of them). Options may stand before, between and behind words. */
int cli_read_options(struct cli *c, int argc, char **argv, char **words, int *ret_words);
/* Refuses a --data that is no JSON object, unless it is the folder of a verb that has one. 0, or the exit status. */
int cli_check_data(const struct cli *c);
/* The row of an option by its name or letter; OPT_NONE. */
enum cli_option cli_option_find(const char *name);
bool cli_verb_takes(const struct cli_verb *verb, enum cli_option option);

extern const struct cli_verb cli_verbs[];
extern const char *const cli_groups[GROUP_COUNT];
size_t cli_verb_count(void);
/* The verb that the words begin with, and how many of them it took; *ret_wsk: in wsk's words. NULL: none. */
const struct cli_verb *cli_verb_find(int argc, char **argv, int *ret_took, bool *ret_wsk);
/* True for the first word of verbs of two words: "alias". */
bool cli_is_noun(const char *word);
/* Says that the words, of which there is one at least, are no verb, and which may have been meant. The exit status. */
int cli_no_verb(struct cli *c, int words, char **word);

/* The candidate nearest to a mistyped word, or NULL when none is near. */
struct cli_nearest {
    const char *word;
    const char *best; /* out */
    unsigned distance;
};
void cli_nearest_try(struct cli_nearest *n, const char *candidate);

void cli_help_all(FILE *out, const struct terminal *t);
void cli_help_verb(FILE *out, const struct terminal *t, const struct cli_verb *verb);
void cli_help_noun(FILE *out, const struct terminal *t, const char *noun);
/* narae complete WORDS...: candidates for the last word, one a line, "word<TAB>what it is"; a line ":files" asks the shell for files. */
int cli_complete(struct cli *c, int argc, char **argv);
/* After a 404: the function whose name is nearest to the first word, if one is near. */
void cli_suggest_function(struct cli *c);

/* ---- source.c -------------------------------------------------------------------------------------------------------------- */

/* A file or a folder as the body of a deployment: {"exec":{…}} (made), with the kind guessed. */
json_t *cli_source_exec(const struct cli *c, const char *path, struct nr_err *err);
/* The function's name that a path suggests: its last part without the ending. */
void cli_source_name(const char *path, char *out, size_t n);

/* ---- code.c: names as people write them, "f", "p/f" or "/ns/p/f" ------------------------------------------------------------ */

/* The path (made) of a function and a query; NULL: it is no such name. */
char *cli_action_path(struct nr_str name, const char *query);
/* Puts into the body of a deployment what it does not say and the function `from` has. 0, or the exit status. */
int cli_copy_function(struct cli *c, const char *from, json_t *body);
/* Of the function (lent) that the first word names: prints where it is called; writes its code to a new file. The exit status. */
int cli_print_url(const struct cli *c, const json_t *function);
int cli_save_code(const struct cli *c, const json_t *function);

/* ---- hints.c: on the error channel, beside the platform's sentences --------------------------------------------------------- */

/* Of annotations in the command that are switches and are neither true nor false. */
void cli_hint_annotations(const struct cli *c);
/* The lines of a log that are nothing but the ids of activations are those of a sequence. */
void cli_hint_sequence_logs(const struct cli *c, const json_t *lines);
/* After a refusal: which of the components in --sequence are not there. */
void cli_hint_components(struct cli *c);

/* ---- shared by verbs ------------------------------------------------------------------------------------------------------- */

/* deploy.c: the body of a deployment (made) by the options and the file or folder; NULL: none, settings and --image only. */
json_t *cli_deployment(struct cli *c, const char *path, struct nr_err *err);
/* watch.c: calls `deploy` now and after each change below the path, until it is ended. */
int cli_watch(struct cli *c, const char *path, int (*deploy)(struct cli *c));
/* The record, or with tail "/logs" a part of it, of the activation that the words name (made). activations.c */
int cli_activation(struct cli *c, const char *tail, json_t **ret);
/* Value of an annotation or parameter of an entity (lent), or NULL. */
json_t *cli_annotation(const json_t *entity, const char *key);
/* sse.c: server-sent events out of a stream of bytes. */
struct cli_events {
    struct nr_buf line, data;
    char name[32];
    void (*take)(void *arg, const char *name, const json_t *data);
    void *arg;
};
void cli_events_init(struct cli_events *e, void (*take)(void *, const char *, const json_t *),
                     void *arg);
void cli_events_fini(struct cli_events *e);
/* Forgets a half event: the connection is a new one. */
void cli_events_reset(struct cli_events *e);
/* For cli_stream.on_bytes; false when an event is too large. */
bool cli_events_bytes(void *events, struct nr_str bytes);

#endif
