/* A forecast across restarts: {"v":1,...}. What does not fit is no forecast; the function then begins anew.
 */
#include "scaler/forecast/parts.h"

#include <math.h>

static json_t *numbers(const float *v, size_t n)
{
    json_t *a = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(a, json_real((double)v[i]));
    return a;
}

static bool read_numbers(const json_t *a, float *v, size_t n)
{
    if (!json_is_array(a) || json_array_size(a) != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        double x = json_number_value(json_array_get(a, i));
        if (!isfinite(x) || x < 0 || x > 1e9)
            return false;
        v[i] = (float)x;
    }
    return true;
}

json_t *forecast_save(const struct forecast *f)
{
    float day[SLOTS_OF_DAY * 3];
    for (size_t i = 0; i < SLOTS_OF_DAY; i++) {
        day[i * 3] = f->day[i].calls;
        day[i * 3 + 1] = f->day[i].inflight;
        day[i * 3 + 2] = f->day[i].days;
    }
    return json_pack("{s:i,s:I,s:I,s:I,s:I,s:I,s:f,s:f,s:f,s:o,s:o,s:o}", "v", 1, "heard",
                     (json_int_t)f->heard, "called", (json_int_t)f->called, "began",
                     (json_int_t)f->began, "minutes", (json_int_t)f->minutes, "active",
                     (json_int_t)f->active, "inflight", (double)f->recent_inflight, "hits",
                     (double)f->hits, "wasted", (double)f->wasted, "asked",
                     numbers(f->hazard.asked, AGES), "came", numbers(f->hazard.came, AGES), "day",
                     numbers(day, SLOTS_OF_DAY * 3));
}

struct forecast *forecast_load(struct forecast_population *p, const json_t *j)
{
    struct forecast *f = forecast_make(p);
    float day[SLOTS_OF_DAY * 3], state[3];
    json_int_t heard, called, began, minutes, active;
    double inflight, hits, wasted;
    int v;
    json_t *asked, *came, *days;
    if (json_unpack((json_t *)(uintptr_t)j, "{s:i,s:I,s:I,s:I,s:I,s:I,s:F,s:F,s:F,s:o,s:o,s:o}",
                    "v", &v, "heard", &heard, "called", &called, "began", &began, "minutes",
                    &minutes, "active", &active, "inflight", &inflight, "hits", &hits, "wasted",
                    &wasted, "asked", &asked, "came", &came, "day", &days) != 0 ||
        v != 1 || called > heard || began > heard || heard < -1 || called < -1 || minutes < 0 ||
        active < 0 || active > minutes || !read_numbers(asked, f->hazard.asked, AGES) ||
        !read_numbers(came, f->hazard.came, AGES) || !read_numbers(days, day, SLOTS_OF_DAY * 3)) {
        forecast_free(f);
        return NULL;
    }
    for (size_t i = 0; i < SLOTS_OF_DAY; i++)
        f->day[i] = (struct slot){day[i * 3], day[i * 3 + 1], day[i * 3 + 2]};
    state[0] = (float)inflight, state[1] = (float)hits, state[2] = (float)wasted;
    f->heard = heard, f->called = called, f->began = began;
    f->minutes = (uint64_t)minutes, f->active = (uint64_t)active;
    f->recent_inflight = state[0], f->hits = state[1], f->wasted = state[2];
    return f;
}
