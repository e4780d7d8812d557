/* Days of the Gregorian calendar as numbers since 1970-01-01, for years 1600 and later. Pure.
 */
#ifndef NR_SCALER_POLICY_CIVIL_H
#define NR_SCALER_POLICY_CIVIL_H

#include <stdbool.h>
#include <stdint.h>

enum { DAY_S = 86400, CIVIL_EPOCH_WEEKDAY = 4 /* 1970-01-01 was a Thursday */ };

struct civil {
    int year, month, day; /* month 1..12, day 1..31 */
};

/* Division that rounds down, for numbers before 1970. */
static inline int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static inline bool civil_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days of a month. */
static inline int civil_month_days(int year, int month)
{
    return month == 2 ? 28 + civil_leap(year) : 30 + ((month + (month > 7)) & 1);
}

/* The year is taken to begin in March, so that the day that comes and goes is its last one; 400 years have 146,097 days. */
static inline int64_t civil_to_days(int year, int month, int day)
{
    int y = month <= 2 ? year - 1 : year, m = month <= 2 ? month + 9 : month - 3;
    int64_t era = y / 400, in_era = y % 400;

    return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + (153 * m + 2) / 5 + day - 1 -
           719468;
}

static inline struct civil civil_from_days(int64_t days)
{
    int64_t at = days + 719468, era = floor_div(at, 146097), in_era = at - era * 146097;
    int64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t in_year = in_era - (year * 365 + year / 4 - year / 100), m = (5 * in_year + 2) / 153;
    struct civil c;

    c.day = (int)(in_year - (153 * m + 2) / 5 + 1);
    c.month = (int)(m < 10 ? m + 3 : m - 9);
    c.year = (int)(year + era * 400 + (c.month <= 2));
    return c;
}

/* 0 = Sunday. */
static inline int civil_weekday(int64_t days)
{
    int64_t w = (days + CIVIL_EPOCH_WEEKDAY) % 7;

    return (int)(w < 0 ? w + 7 : w);
}

#endif
