/* The rule at the end of a zone file: for all the years that the file does not list ("CET-1CEST,M3.5.0,M10.5.0/3": an hour before UTC... in the
 * old sense of the sign, daylight saving from the last Sunday of March, 2:00, to the last of October, 3:00).
 *
 * Read from left to right: name, offset, name, offset (an hour more when left out), and two days with the time of day of the change, which may lie
 * before the day or days after it.
 */
#include "scaler/policy/zone.h"

#include "scaler/policy/civil.h"

#define HOUR_S 3600

enum day_form { DAY_OF_WEEK, DAY_WITHOUT_LEAP, DAY_WITH_LEAP };
struct change_day {
    enum day_form form;
    int month, week,
        day; /* DAY_OF_WEEK: the week-th day of the month, 5: the last; others: day of the year */
    int64_t time_s;
};

/* "CET", "<+0330>". */
static bool take_name(const char **at)
{
    const char *p = *at;
    size_t n;

    if (*p == '<') {
        n = strcspn(p, ">");
        if (p[n] != '>' || n > 16)
            return false;
        *at = p + n + 1;
        return true;
    }
    n = strspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
    *at = p + n;
    return n >= 3 && n <= 16;
}

static bool take_number(const char **at, int max, int *ret)
{
    int v = 0, digits = 0;

    for (; **at >= '0' && **at <= '9' && digits < 4; (*at)++, digits++)
        v = v * 10 + (**at - '0');
    *ret = v;
    return digits > 0 && v <= max;
}

/* "-1", "5:30", "+10:30:15"; up to a week, as changes of the time of day may be. */
static bool take_time(const char **at, int64_t *ret_s)
{
    int part[3] = {0}, sign = 1;

    if (**at == '-' || **at == '+')
        sign = *(*at)++ == '-' ? -1 : 1;
    if (!take_number(at, 167, &part[0]))
        return false;
    for (int i = 1; i < 3 && **at == ':'; i++) {
        (*at)++;
        if (!take_number(at, 59, &part[i]))
            return false;
    }
    *ret_s = sign * (part[0] * (int64_t)HOUR_S + part[1] * 60 + part[2]);
    return true;
}

static bool take_dot(const char **at)
{
    return **at == '.' && (*at)++;
}

/* ",M3.5.0/2", ",J60", ",59". */
static bool take_day(const char **at, struct change_day *d)
{
    if (*(*at) != ',')
        return false;
    (*at)++;
    d->time_s = 2 * HOUR_S;
    if (**at == 'M') {
        (*at)++;
        d->form = DAY_OF_WEEK;
        if (!take_number(at, 12, &d->month) || d->month < 1 || !take_dot(at) ||
            !take_number(at, 5, &d->week) || d->week < 1 || !take_dot(at) ||
            !take_number(at, 6, &d->day))
            return false;
    } else {
        d->form = **at == 'J' ? DAY_WITHOUT_LEAP : DAY_WITH_LEAP;
        *at += **at == 'J';
        if (!take_number(at, 365, &d->day))
            return false;
    }
    if (**at != '/')
        return true;
    (*at)++;
    return take_time(at, &d->time_s);
}

/* The day's midnight, as the clocks show it. */
static int64_t day_local_s(const struct change_day *d, int year)
{
    int64_t first, days = civil_to_days(year, 1, 1);
    int later;

    if (d->form == DAY_WITH_LEAP)
        return (days + d->day) * DAY_S;
    if (d->form == DAY_WITHOUT_LEAP)
        return (days + d->day - 1 + (civil_leap(year) && d->day >= 60)) * DAY_S;
    first = civil_to_days(year, d->month, 1);
    later = (d->day - civil_weekday(first) + 7) % 7 + (d->week - 1) * 7;
    while (later >= civil_month_days(year, d->month))
        later -= 7;
    return (first + later) * DAY_S;
}

bool zone_rule_year(const char *rule, int year, struct zone_change ret[2])
{
    struct change_day begins, ends;
    int64_t standard_s, saving_s;
    bool given;

    if (!take_name(&rule) || !take_time(&rule, &standard_s) || !take_name(&rule))
        return false;
    given = *rule != ',';
    saving_s = standard_s - HOUR_S;
    if ((given && !take_time(&rule, &saving_s)) || !take_day(&rule, &begins) ||
        !take_day(&rule, &ends) || *rule != '\0')
        return false;
    /* what the rule says is west of Greenwich */
    struct zone_change on = {day_local_s(&begins, year) + begins.time_s + standard_s, -saving_s};
    struct zone_change off = {day_local_s(&ends, year) + ends.time_s + saving_s, -standard_s};

    ret[0] = on.at_s <= off.at_s ? on : off;
    ret[1] = on.at_s <= off.at_s ? off : on;
    return true;
}
