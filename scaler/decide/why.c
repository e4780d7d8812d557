/* The short texts of votes and clamps, of which each evaluation has a few: as vsnprintf() writes them, for the directives that they have, at a fraction of
 * what it takes.
 */
#include "scaler/decide/state.h"

struct line {
    char *at, *end; /* end: of the last byte's */
};

static void add(struct line *l, const char *text, size_t n)
{
    size_t room = (size_t)(l->end - l->at);

    n = n < room ? n : room;
    memcpy(l->at, text, n);
    l->at += n;
}

static void add_number(struct line *l, long long number)
{
    char text[24];
    size_t at = sizeof text;
    unsigned long long left =
        number < 0 ? 0 - (unsigned long long)number : (unsigned long long)number;

    do
        text[--at] = (char)('0' + left % 10);
    while ((left /= 10) != 0);
    if (number < 0)
        text[--at] = '-';
    add(l, text + at, sizeof text - at);
}

/* The directive behind a percent sign; where it ends. */
static const char *add_value(struct line *l, const char *fmt, va_list *ap)
{
    size_t most = SIZE_MAX;

    if (*fmt == '%') {
        add(l, fmt, 1);
        return fmt + 1;
    }
    if (*fmt == 'l') { /* lld */
        add_number(l, va_arg(*ap, long long));
        return fmt + 3;
    }
    if (*fmt == '.')
        for (most = 0, fmt++; *fmt >= '0' && *fmt <= '9'; fmt++)
            most = 10 * most + (size_t)(*fmt - '0');

    const char *text = va_arg(*ap, const char *);

    add(l, text, strnlen(text, most));
    return fmt + 1;
}

void why_write(char why[DECISION_WHY_BYTES], const char *fmt, va_list ap)
{
    struct line l = {why, why + DECISION_WHY_BYTES - 1};
    va_list values;

    va_copy(values, ap);
    while (*fmt) {
        size_t n = (size_t)(strchrnul(fmt, '%') - fmt);

        add(&l, fmt, n);
        fmt += n;
        if (*fmt)
            fmt = add_value(&l, fmt + 1, &values);
    }
    va_end(values);
    *l.at = '\0';
}

void why_say(char why[DECISION_WHY_BYTES], const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    why_write(why, fmt, ap);
    va_end(ap);
}
