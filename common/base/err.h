/* Errors: one table of codes, and a sentence for people in a buffer that never allocates.
 *
 * Functions return 0 or a negative NR_E*. Where a person needs a sentence the last parameter is a `struct nr_err *err`
 * (may be NULL); `return nr_err_set(err, NR_EBUSY, "...")` fills it and returns the code. Outputs stay untouched on failure.
 * Any thread.
 */
#ifndef NR_COMMON_BASE_ERR_H
#define NR_COMMON_BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>

/* code, number, HTTP status, may the caller try again unchanged, text */
#define NR_ERR_TABLE(X)                                                                            \
    X(EINVAL, 1, 400, false, "invalid argument")                                                   \
    X(EAUTH, 2, 401, false, "not authenticated")                                                   \
    X(EFORBIDDEN, 3, 403, false, "not allowed")                                                    \
    X(ENOENT, 4, 404, false, "does not exist")                                                     \
    X(EMETHOD, 5, 405, false, "method not allowed")                                                \
    X(EEXIST, 6, 409, false, "exists already")                                                     \
    X(ECONFLICT, 7, 409, true, "conflicting change")                                               \
    X(EGONE, 8, 410, false, "retired")                                                             \
    X(ETOOBIG, 9, 413, false, "larger than allowed")                                               \
    X(EMEDIA, 10, 415, false, "content type not supported")                                        \
    X(EBLOCKED, 11, 423, false, "blocked")                                                         \
    X(EQUOTA, 12, 429, true, "over a limit")                                                       \
    X(EINTERNAL, 13, 500, false, "internal error")                                                 \
    X(EFUNCTION, 14, 502, false, "the function failed")                                            \
    X(EBUSY, 15, 503, true, "overloaded")                                                          \
    X(EUNAVAIL, 16, 503, true, "not available")                                                    \
    X(ESTOPPING, 17, 503, true, "shutting down")                                                   \
    X(ETIMEOUT, 18, 504, true, "timed out")                                                        \
    X(ENOSPC, 19, 507, true, "no space left")                                                      \
    X(ENOMEM, 20, 503, true, "out of memory")                                                      \
    X(EIO, 21, 500, false, "input or output failed")                                               \
    X(EPROTO, 22, 502, false, "the peer broke the protocol")                                       \
    X(ECLOSED, 23, 503, true, "the connection was closed")                                         \
    X(ECANCELED, 24, 503, true, "canceled")                                                        \
    X(ECORRUPT, 25, 500, false, "stored data are damaged")                                         \
    X(ELOOP, 26, 422, false, "things that refer to one another in a circle")

enum nr_errno {
#define X(name, number, status, retry, text) NR_##name = -(number),
    NR_ERR_TABLE(X)
#undef X
};

/* A sentence for a person, with the code it belongs to. Zeroed = no error. */
struct nr_err {
    int code;
    char text[480];
};

/* Fills *err (lent, may be NULL) and returns `code`. A text that is already there is kept: the first error wins. */
int nr_err_set(struct nr_err *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " in front of the sentence in *err (lent, may be NULL) and returns err's code. */
int nr_err_wrap(struct nr_err *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Name ("EBUSY"), text, HTTP status and retryability of a code; an unknown code reads as EINTERNAL. */
const char *nr_err_name(int code);
const char *nr_err_text(int code);
int nr_err_status(int code);
bool nr_err_retryable(int code);

/* The NR_E* for an errno value (positive) or a libuv error (negative); what has no match is NR_EIO. */
int nr_err_from_errno(int errnum);

/* Always on, also in release builds: prints file, line and the condition, then aborts. For bugs only, never for input. */
#define nr_check(cond) ((cond) ? (void)0 : nr_check_failed(__FILE__, __LINE__, #cond))
_Noreturn void nr_check_failed(const char *file, int line, const char *cond);

#endif
