/* A time as people give it: how long ago, or when. */
#include <time.h>

#include "cli/cli.h"
#include "common/base/clock.h"

void cli_time_text(int64_t ms, char out[CLI_TIME_BYTES])
{
    time_t s = (time_t)(ms / 1000);
    struct tm tm;

    out[0] = '\0';
    if (localtime_r(&s, &tm))
        (void)strftime(out, CLI_TIME_BYTES, "%Y-%m-%d %H:%M:%S", &tm);
}

/* With a Z as it is written in records, without one as the verbs print it: in the time of this place. */
static bool point_in_time(const char *text, int64_t *ret_ms)
{
    struct tm tm = {.tm_isdst = -1};
    const char *rest = strptime(text, "%Y-%m-%d", &tm);

    rest = rest && (*rest == 'T' || *rest == ' ') ? strptime(rest + 1, "%H:%M:%S", &tm) : NULL;
    if (rest && *rest == '.')
        rest += 1 + strspn(rest + 1, "0123456789");
    if (rest == NULL || (*rest != '\0' && strcmp(rest, "Z") != 0))
        return false;
    *ret_ms = (int64_t)(*rest ? timegm(&tm) : mktime(&tm)) * 1000;
    return true;
}

bool cli_when(const char *text, int64_t *ret_ms)
{
    static const struct {
        char unit;
        int64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    size_t n = strlen(text);
    int64_t number;

    if (nr_str_to_i64(nr_str_of(text), 0, INT64_MAX, ret_ms))
        return true;
    for (size_t i = 0; n > 1 && i < nr_countof(units); i++)
        if (text[n - 1] == units[i].unit &&
            nr_str_to_i64((struct nr_str){text, n - 1}, 0, 36500, &number)) {
            *ret_ms = nr_wall_ms() - number * units[i].ms;
            return true;
        }
    return point_in_time(text, ret_ms);
}

int cli_option_when(const struct cli *c, enum cli_option option, int64_t *ret_ms)
{
    const char *text = c->text[option];

    if (text == NULL || cli_when(text, ret_ms))
        return 0;
    return cli_fail(c,
                    "--%s %s: give 90s, 10m, 2h or 1d, a time like 2026-01-31T12:00:00 "
                    "(with a Z: UTC), or milliseconds since 1970",
                    cli_options[option].name, text);
}
