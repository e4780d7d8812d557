/* A time as people give it: how long ago, or when. */
#include <time.h>

#include "cli/cli.h"
#include "common/base/clock.h"

bool cli_when(const char *text, int64_t *ret_ms)
{
    static const struct {
        char unit;
        int64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    size_t n = strlen(text);
    struct tm tm = {0};
    int64_t number;

    if (nr_str_to_i64(nr_str_of(text), 0, INT64_MAX, ret_ms))
        return true;
    for (size_t i = 0; n > 1 && i < nr_countof(units); i++)
        if (text[n - 1] == units[i].unit &&
            nr_str_to_i64((struct nr_str){text, n - 1}, 0, 36500, &number)) {
            *ret_ms = nr_wall_ms() - number * units[i].ms;
            return true;
        }
    if (strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) == NULL)
        return false;
    *ret_ms = (int64_t)timegm(&tm) * 1000;
    return true;
}

int cli_option_when(const struct cli *c, enum cli_option option, int64_t *ret_ms)
{
    const char *text = c->text[option];

    if (text == NULL || cli_when(text, ret_ms))
        return 0;
    return cli_fail("--%s %s: give 90s, 10m, 2h or 1d, a time like 2026-01-31T12:00:00Z, or "
                    "milliseconds since 1970",
                    cli_options[option].name, text);
}
