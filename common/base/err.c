/* The error table read in both directions: from a code to its name, status and text, and from errno to a code. */
#include "common/base/err.h"

#include <errno.h>
#include <stddef.h>

#include "common/base/mem.h"

static const struct row {
    int code;
    const char *name;
    int status;
    bool retryable;
    const char *text;
} rows[] = {
#define X(name, number, status, retry, text) [number] = {NR_##name, #name, status, retry, text},
    NR_ERR_TABLE(X)
#undef X
};

static const struct row *row_of(int code)
{
    if (code < 0 && code > -(int)nr_countof(rows) && rows[-code].name)
        return &rows[-code];
    return &rows[-NR_EINTERNAL];
}

const char *nr_err_name(int code)
{
    return row_of(code)->name;
}

const char *nr_err_text(int code)
{
    return row_of(code)->text;
}

int nr_err_status(int code)
{
    return row_of(code)->status;
}

bool nr_err_retryable(int code)
{
    return row_of(code)->retryable;
}

int nr_err_set(struct nr_err *err, int code, const char *fmt, ...)
{
    va_list ap;

    if (err == NULL || err->code != 0)
        return code;
    err->code = code;
    va_start(ap, fmt);
    (void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    return code;
}

int nr_err_wrap(struct nr_err *err, int code, const char *fmt, ...)
{
    char prefix[sizeof(err->text)], old[sizeof(err->text)];
    va_list ap;

    if (err == NULL)
        return code;
    if (err->code == 0) {
        err->code = code;
        (void)snprintf(err->text, sizeof(err->text), "%s", nr_err_text(code));
    }
    va_start(ap, fmt);
    (void)vsnprintf(prefix, sizeof(prefix), fmt, ap);
    va_end(ap);
    memcpy(old, err->text, sizeof(old));
    /* A sentence that no longer fits is cut at its end: the prefix says where, which is the part to keep. */
    int n = snprintf(err->text, sizeof(err->text), "%s: ", prefix);

    if (n > 0 && (size_t)n < sizeof(err->text) - 1)
        (void)snprintf(err->text + n, sizeof(err->text) - (size_t)n, "%.*s",
                       (int)(sizeof(err->text) - (size_t)n - 1), old);
    return err->code;
}

/* libuv's own numbers, which have no errno behind them, are listed by value: this folder does not know libuv. */
enum { UV_EOF_NUMBER = 4095, UV_EAI_FIRST = 3000, UV_EAI_CANCELED = 3003, UV_EAI_LAST = 3014 };

static const struct {
    int errnum, code;
} errnos[] = {
    {EINVAL, NR_EINVAL},          {ENAMETOOLONG, NR_EINVAL},
    {ENOTDIR, NR_EINVAL},         {EISDIR, NR_EINVAL},
    {EPERM, NR_EFORBIDDEN},       {EACCES, NR_EFORBIDDEN},
    {EROFS, NR_EFORBIDDEN},       {ENOENT, NR_ENOENT},
    {ESRCH, NR_ENOENT},           {ENXIO, NR_ENOENT},
    {EEXIST, NR_EEXIST},          {EADDRINUSE, NR_EEXIST},
    {ENOTEMPTY, NR_ECONFLICT},    {EFBIG, NR_ETOOBIG},
    {EMSGSIZE, NR_ETOOBIG},       {E2BIG, NR_ETOOBIG},
    {EDQUOT, NR_ENOSPC},          {ENOSPC, NR_ENOSPC},
    {EAGAIN, NR_EBUSY},           {EBUSY, NR_EBUSY},
    {EMFILE, NR_EBUSY},           {ENFILE, NR_EBUSY},
    {ENOBUFS, NR_EBUSY},          {ETXTBSY, NR_EBUSY},
    {ECONNREFUSED, NR_EUNAVAIL},  {EHOSTUNREACH, NR_EUNAVAIL},
    {ENETUNREACH, NR_EUNAVAIL},   {ENETDOWN, NR_EUNAVAIL},
    {EADDRNOTAVAIL, NR_EUNAVAIL}, {ETIMEDOUT, NR_ETIMEOUT},
    {ENOMEM, NR_ENOMEM},          {EPROTO, NR_EPROTO},
    {ECONNRESET, NR_ECLOSED},     {EPIPE, NR_ECLOSED},
    {ENOTCONN, NR_ECLOSED},       {ESHUTDOWN, NR_ECLOSED},
    {ECONNABORTED, NR_ECLOSED},   {UV_EOF_NUMBER, NR_ECLOSED},
    {ECANCELED, NR_ECANCELED},    {UV_EAI_CANCELED, NR_ECANCELED},
    {EUCLEAN, NR_ECORRUPT},       {EIO, NR_EIO},
};

int nr_err_from_errno(int errnum)
{
    int positive = errnum < 0 ? -errnum : errnum;

    for (size_t i = 0; i < nr_countof(errnos); i++)
        if (errnos[i].errnum == positive)
            return errnos[i].code;
    return positive >= UV_EAI_FIRST && positive <= UV_EAI_LAST ? NR_EUNAVAIL : NR_EIO;
}

void nr_check_failed(const char *file, int line, const char *cond)
{
    (void)fprintf(stderr, "%s:%d: this must hold and does not: %s\n", file, line, cond);
    abort();
}
