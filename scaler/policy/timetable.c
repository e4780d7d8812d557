/* Five fields of cron as sets of bits, and the search for the next or the last time that is in all of them.
 *
 * The search goes day by day, on the calendar of the zone; a month that is not meant is left in one step. On a day of 24 hours the minute is looked up;
 * on a day on which the clocks change each minute that is meant is turned into its moment.
 */
#include "scaler/policy/timetable.h"

#include <ctype.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "scaler/policy/civil.h"
#include "scaler/policy/zone.h"

enum {
    FIELD_MINUTE,
    FIELD_HOUR,
    FIELD_DAY,
    FIELD_MONTH,
    FIELD_WEEKDAY,
    FIELDS,
    CRON_MAX_BYTES = 256,
    DAY_MINUTES = 1440,
    SEARCH_DAYS = 5 * 366
};

struct timetable {
    uint64_t set[FIELDS];
    bool any_day, any_weekday; /* the field began with '*' */
    struct zone *zone;
};

static const struct cron_field {
    const char *name;
    unsigned min, max;
    const char *names; /* three letters each, of min and what follows */
} cron_fields[FIELDS] = {
    {"minute", 0, 59, ""},
    {"hour", 0, 23, ""},
    {"day of the month", 1, 31, ""},
    {"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
    {"day of the week", 0, 7, "sunmontuewedthufrisat"},
};

static const struct {
    const char *name, *cron;
} nicknames[] = {{"@hourly", "0 * * * *"},   {"@daily", "0 0 * * *"},
                 {"@midnight", "0 0 * * *"}, {"@weekly", "0 0 * * 0"},
                 {"@monthly", "0 0 1 * *"},  {"@yearly", "0 0 1 1 *"},
                 {"@annually", "0 0 1 1 *"}, {NULL, NULL}};

static int bad_part(const struct cron_field *f, struct nr_str part, const char *why,
                    struct nr_err *err)
{
    return nr_err_set(err, NR_EINVAL, "%s \"%.*s\": %s", f->name, part.n > 40 ? 40 : (int)part.n,
                      part.p, why);
}

static int out_of_range(const struct cron_field *f, struct nr_str part, struct nr_err *err)
{
    return nr_err_set(err, NR_EINVAL, "%s \"%.*s\": it must be %u to %u%s", f->name,
                      part.n > 40 ? 40 : (int)part.n, part.p, f->min, f->max,
                      f->names[0] == 'j'   ? ", or jan to dec"
                      : f->names[0] == 's' ? ", or sun to sat"
                                           : "");
}

/* "30", "mon". */
static bool take_value(const struct cron_field *f, struct nr_str text, unsigned *ret)
{
    int64_t v;

    if (nr_str_to_i64(text, f->min, f->max, &v)) {
        *ret = (unsigned)v;
        return true;
    }
    for (unsigned i = 0; text.n == 3 && f->names[i * 3] != '\0'; i++) {
        const char *name = f->names + i * (size_t)3;

        if (tolower((unsigned char)text.p[0]) == name[0] &&
            tolower((unsigned char)text.p[1]) == name[1] &&
            tolower((unsigned char)text.p[2]) == name[2]) {
            *ret = f->min + i;
            return true;
        }
    }
    return false;
}

/* One item of a list: "*", "5", "1-5", each with a step behind it. */
static int take_part(const struct cron_field *f, struct nr_str part, uint64_t *set,
                     struct nr_err *err)
{
    struct nr_str step = part, range, to, from;
    unsigned low = f->min, high = f->max;
    int64_t by = 1;

    (void)nr_str_split(&step, '/', &range);
    if (step.p && !nr_str_to_i64(step, 1, f->max, &by))
        return bad_part(f, part, "the step behind \"/\" must be 1 or more", err);
    if (!nr_str_eqz(range, "*")) {
        to = range;
        (void)nr_str_split(&to, '-', &from);
        if (!take_value(f, from, &low) || (to.p && !take_value(f, to, &high)))
            return out_of_range(f, part, err);
        if (to.p == NULL && step.p)
            return bad_part(f, part, "a step needs a range or \"*\" before it", err);
        if (to.p == NULL)
            high = low;
        if (f == &cron_fields[FIELD_WEEKDAY] && to.p && high == 0 && low > 0)
            high = 7;
        if (low > high)
            return bad_part(f, part, "the range ends before it begins; write two of them", err);
    }
    for (unsigned v = low; v <= high; v += (unsigned)by)
        *set |= UINT64_C(1) << v;
    return 0;
}

static int take_field(const struct cron_field *f, struct nr_str text, uint64_t *set,
                      struct nr_err *err)
{
    struct nr_str part;
    int r = 0;

    while (r == 0 && nr_str_split(&text, ',', &part))
        r = take_part(f, part, set, err);
    return r;
}

static struct nr_str next_word(struct nr_str *rest)
{
    struct nr_str word;

    while (rest->n > 0 && (*rest->p == ' ' || *rest->p == '\t')) {
        rest->p++;
        rest->n--;
    }
    word = (struct nr_str){rest->p, 0};
    while (word.n < rest->n && rest->p[word.n] != ' ' && rest->p[word.n] != '\t')
        word.n++;
    rest->p += word.n;
    rest->n -= word.n;
    return word;
}

static int take_cron(struct timetable *t, struct nr_str text, struct nr_err *err)
{
    struct nr_str rest = text, word[FIELDS + 1];
    int count = 0, r = 0;

    if (text.n > CRON_MAX_BYTES)
        return nr_err_set(err, NR_EINVAL, "a cron of %zu bytes; at most %d are allowed", text.n,
                          CRON_MAX_BYTES);
    while (count <= FIELDS && (word[count] = next_word(&rest)).n > 0)
        count++;
    if (count != FIELDS)
        return nr_err_set(err, NR_EINVAL,
                          "a cron has five fields (minute, hour, day of the month, month, day of "
                          "the week), here are %s%d",
                          count > FIELDS ? "more than " : "", count > FIELDS ? FIELDS : count);
    for (int i = 0; i < FIELDS && r == 0; i++)
        r = take_field(&cron_fields[i], word[i], &t->set[i], err);
    if (r < 0)
        return r;
    t->any_day = word[FIELD_DAY].p[0] == '*';
    t->any_weekday = word[FIELD_WEEKDAY].p[0] == '*';
    t->set[FIELD_WEEKDAY] |= t->set[FIELD_WEEKDAY] >> 7 & 1;
    return 0;
}

static bool in(const struct timetable *t, int field, int value)
{
    return t->set[field] >> value & 1;
}

/* No February has a day 30. */
static bool ever(const struct timetable *t)
{
    if (!t->any_weekday)
        return true;
    for (int month = 1; month <= 12; month++)
        for (int day = 1; in(t, FIELD_MONTH, month) && day <= civil_month_days(2000, month); day++)
            if (in(t, FIELD_DAY, day))
                return true;
    return false;
}

int timetable_make(const char *cron, const char *zone, struct timetable **ret, struct nr_err *err)
{
    struct timetable *t = nr_alloc(sizeof(*t));
    int r;

    for (int i = 0; nicknames[i].name; i++)
        if (strcmp(cron, nicknames[i].name) == 0)
            cron = nicknames[i].cron;
    r = take_cron(t, nr_str_of(cron), err);
    if (r == 0 && !ever(t))
        r = nr_err_set(err, NR_EINVAL, "no month that is meant has such a day");
    if (r == 0)
        r = zone_open(zone, &t->zone, err);
    if (r < 0) {
        timetable_free(t);
        return r;
    }
    *ret = t;
    return 0;
}

void timetable_free(struct timetable *t)
{
    if (t == NULL)
        return;
    zone_free(t->zone);
    free(t);
}

static bool day_meant(const struct timetable *t, int64_t day, const struct civil *c)
{
    bool by_day = in(t, FIELD_DAY, c->day), by_week = in(t, FIELD_WEEKDAY, civil_weekday(day));

    if (t->any_day || t->any_weekday)
        return by_day && by_week;
    return by_day || by_week;
}

static bool minute_meant(const struct timetable *t, int64_t minute)
{
    return in(t, FIELD_HOUR, (int)(minute / 60)) && in(t, FIELD_MINUTE, (int)(minute % 60));
}

/* From `minute` of the day on, in steps of `by` (1 or -1); -1: none. */
static int64_t find_minute(const struct timetable *t, int64_t minute, int by)
{
    while (minute >= 0 && minute < DAY_MINUTES) {
        if (in(t, FIELD_HOUR, (int)(minute / 60)) && in(t, FIELD_MINUTE, (int)(minute % 60)))
            return minute;
        if (!in(t, FIELD_HOUR, (int)(minute / 60)))
            minute = by > 0 ? (minute / 60 + 1) * 60 : minute / 60 * 60 - 1;
        else
            minute += by;
    }
    return -1;
}

/* Where a day's minutes lie. */
struct day {
    int64_t begin_s, end_s;
    bool plain; /* 24 hours */
};
static struct day day_of(const struct timetable *t, int64_t day)
{
    struct day d = {zone_to_utc_s(t->zone, day * DAY_S), zone_to_utc_s(t->zone, (day + 1) * DAY_S),
                    false};

    d.plain = d.end_s - d.begin_s == DAY_S;
    return d;
}

/* The first moment of the day's after now_s; INT64_MAX: none. */
static int64_t first_after(const struct timetable *t, int64_t day, int64_t now_s)
{
    struct day d = day_of(t, day);
    int64_t minute, at;

    if (d.plain) {
        if (d.begin_s + DAY_S <= now_s)
            return INT64_MAX;
        minute = find_minute(t, now_s < d.begin_s ? 0 : (now_s - d.begin_s) / 60 + 1, 1);
        return minute < 0 ? INT64_MAX : d.begin_s + minute * 60;
    }
    for (minute = 0; minute < DAY_MINUTES; minute++)
        if (minute_meant(t, minute) &&
            (at = zone_to_utc_s(t->zone, day * DAY_S + minute * 60)) > now_s)
            return at;
    return INT64_MAX;
}

/* The last moment of the day's that is not after now_s; INT64_MIN: none. */
static int64_t last_until(const struct timetable *t, int64_t day, int64_t now_s)
{
    struct day d = day_of(t, day);
    int64_t minute, at;

    if (d.begin_s > now_s)
        return INT64_MIN;
    if (d.plain) {
        minute = (now_s - d.begin_s) / 60;
        minute = find_minute(t, minute < DAY_MINUTES ? minute : DAY_MINUTES - 1, -1);
        return minute < 0 ? INT64_MIN : d.begin_s + minute * 60;
    }
    for (minute = DAY_MINUTES - 1; minute >= 0; minute--)
        if (minute_meant(t, minute) &&
            (at = zone_to_utc_s(t->zone, day * DAY_S + minute * 60)) <= now_s)
            return at;
    return INT64_MIN;
}

/* Times of which the calendar speaks: 1970 to 9999. */
static int64_t clamped_s(int64_t ms)
{
    int64_t s = floor_div(ms, 1000), most = INT64_C(253402300799);

    return s < 0 ? 0 : s > most ? most : s;
}

static int64_t local_day(const struct timetable *t, int64_t now_s)
{
    return floor_div(now_s + zone_offset_s(t->zone, now_s), DAY_S);
}

int64_t timetable_next(const struct timetable *t, int64_t now_ms)
{
    int64_t now_s = clamped_s(now_ms), day = local_day(t, now_s) - 1, end = day + SEARCH_DAYS, at;

    while (day <= end) {
        struct civil c = civil_from_days(day);

        if (!in(t, FIELD_MONTH, c.month)) {
            day += civil_month_days(c.year, c.month) - c.day + 1;
            continue;
        }
        if (day_meant(t, day, &c) && (at = first_after(t, day, now_s)) != INT64_MAX)
            return at * 1000;
        day++;
    }
    return INT64_MAX;
}

/* The clocks may show a later day twice, so it begins a day ahead. */
int64_t timetable_last(const struct timetable *t, int64_t now_ms)
{
    int64_t now_s = clamped_s(now_ms), day = local_day(t, now_s) + 1, end = day - SEARCH_DAYS, at;

    while (day >= end) {
        struct civil c = civil_from_days(day);

        if (!in(t, FIELD_MONTH, c.month)) {
            day -= c.day;
            continue;
        }
        if (day_meant(t, day, &c) && (at = last_until(t, day, now_s)) != INT64_MIN)
            return at * 1000;
        day--;
    }
    return INT64_MIN;
}
