/* What is said when something could not be done, in one form for every verb: a sentence and what to do next, or, with -o json, one object
 * on one line of the error channel, {"code","error","next", ...}. Also what is said beside a success. One thread.
 */
#ifndef NR_CLI_FAIL_H
#define NR_CLI_FAIL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct cli;

#define CLI_DONE 0
#define CLI_NOT_DONE 1
#define CLI_FUNCTION_FAILED 2

/* Why; the rows of cli_whys. */
enum cli_why {
    WHY_USAGE,
    WHY_FILE,
    WHY_MEMORY,
    WHY_NOT_CONFIRMED,
    WHY_NO_ANSWER,
    WHY_BAD_REQUEST,
    WHY_UNAUTHORIZED,
    WHY_FORBIDDEN,
    WHY_NOT_FOUND,
    WHY_CONFLICT,
    WHY_GONE,
    WHY_TOO_LARGE,
    WHY_BLOCKED,
    WHY_LIMIT,
    WHY_UNAVAILABLE,
    WHY_FULL,
    WHY_PLATFORM,
    WHY_PARTLY,
    WHY_FUNCTION,
    WHY_COUNT
};

struct cli_why_row {
    const char *code;
    int http;        /* the status that means it; 0: none */
    int exit_status; /* CLI_... */
    const char *meaning;
};
extern const struct cli_why_row cli_whys[WHY_COUNT];
/* The row of a status of HTTP; WHY_PLATFORM for one that has none. */
enum cli_why cli_why_of(int http_status);

/* With -o json: the failure that may still get more members; main owns it. */
struct cli_failure {
    json_t *told; /* made; NULL: none waits */
};

/* All take `c` only to know the form, and to keep there what -o json says at the end. A text may go on in lines that begin with two
 * spaces: what to do next. */

/* A mistake in the command: "narae: ..."; returns CLI_NOT_DONE. */
int cli_fail(const struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Any other failure; returns its exit status. */
int cli_fail_why(const struct cli *c, enum cli_why why, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* A failure that an answer of HTTP tells: `text` and `next` (lent; next may be NULL), the status, and the id of the request (lent; may be
 * NULL). Returns its exit status. */
int cli_fail_http(const struct cli *c, int http_status, const char *text, const char *next,
                  const char *request_id);
/* A line that belongs to the failure told last: more of what to do next. */
void cli_fail_next(const struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A member of the object of the failure told last; `value` is given. Without -o json nothing. */
void cli_fail_set(const struct cli *c, const char *key, json_t *value);
/* Writes the failure that waits. */
void cli_fail_end(const struct cli *c);
/* Beside what was done: "narae: ...", with -o json {"note": ...}. */
void cli_note(const struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same without "narae: " in front: what belongs to the output and is not for a pipe. */
void cli_remark(const struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
