/* How fast it goes, up and down: no faster down than up, as far as that can be told of counts and percentages.
 */
#include "scaler/policy/reader.h"

#include <math.h>
#include <stdio.h>

enum { L_COUNT, L_PERCENT, LIMIT_PER_MAX_MS = 3600000 };
static const struct field step_fields[] = {
    [L_COUNT] = {"max_count", FIELD_COUNT, offsetof(struct step_limit, max_count), 1,
                 POLICY_COUNT_MAX},
    [L_PERCENT] = {"max_percent", FIELD_NUMBER, offsetof(struct step_limit, max_percent), 1, 10000},
    {"per", FIELD_DURATION, offsetof(struct step_limit, per_ms), 1000, LIMIT_PER_MAX_MS},
    {"stabilize", FIELD_DURATION, offsetof(struct step_limit, stabilize_ms), 0, 3600000},
    {NULL}};

static void up_read(struct reader *r, json_t *value, void *at)
{
    (void)object_read(r, value, step_fields, at);
}

/* Who names a bound of his own wants no other. */
static void down_read(struct reader *r, json_t *value, void *at)
{
    struct step_limit *l = at;

    if (json_object_get(value, "max_count") || json_object_get(value, "max_percent"))
        l->max_percent = -1;
    (void)object_read(r, value, step_fields, l);
}

static json_t *step_write(const struct policy *p, const void *at)
{
    return object_write(p, step_fields, at, UINT32_MAX);
}

static const struct field limits_fields[] = {
    {"up", FIELD_PART, offsetof(struct policy, up), .read = up_read, .write = step_write},
    {"down", FIELD_PART, offsetof(struct policy, down), .read = down_read, .write = step_write},
    {NULL}};

void limits_default(struct policy *p)
{
    p->up = (struct step_limit){-1, 10000, 0, -1};
    p->down = (struct step_limit){-1, 60000, 300000, 50};
}

static void judge_rate(struct reader *r, const json_t *down, const char *member, double fall,
                       double rise, const struct policy *p)
{
    double near = rise * (double)p->down.per_ms / (double)p->up.per_ms;
    char text[32], per[24];

    if (fall < 0 || rise < 0 || fall <= near)
        return;
    duration_write(p->up.per_ms, per);
    (void)snprintf(text, sizeof(text), "%.15g", floor(near));
    problem_at(r, member, json_object_get(down, member), near >= 1 ? text : NULL,
               "down goes faster than up, where it is %.15g per %s", rise, per);
}

/* A count and a percentage can be compared where one is faster however many containers there are: of a percentage at least one goes, and at most its
 * share of max comes. So much time must be between two steps down; 0: that cannot be told, or either is unbounded. */
static double least_per_ms(const struct policy *p)
{
    double share = p->max >= 0 ? ceil((double)p->max * p->up.max_percent / 100) : -1;

    if (p->up.max_count >= 0 && p->up.max_percent < 0 && p->down.max_percent >= 0)
        return (double)p->up.per_ms / (double)p->up.max_count;
    if (p->up.max_count < 0 && p->up.max_percent >= 0 && p->down.max_count >= 0 && share > 0)
        return (double)p->up.per_ms * (double)p->down.max_count / share;
    return 0;
}

static void judge_mixed(struct reader *r, const json_t *down, const struct policy *p)
{
    double least = least_per_ms(p);
    char near[24] = "", per[24];

    if ((double)p->down.per_ms >= floor(least))
        return;
    if (least <= LIMIT_PER_MAX_MS)
        duration_write((int64_t)ceil(least / 1000) * 1000, near);
    duration_write(p->up.per_ms, per);
    problem_at(r, "per", json_object_get(down, "per"), near,
               "down goes faster than up, where it is %.15g%s per %s, however many there are",
               p->up.max_count >= 0 ? (double)p->up.max_count : p->up.max_percent,
               p->up.max_count >= 0 ? "" : " %", per);
}

static void judge_limits(struct reader *r, const json_t *value, const struct policy *p)
{
    const json_t *down = json_object_get(value, "down");
    size_t was = path_member(r, "down");
    char near[24];

    judge_rate(r, down, "max_count", (double)p->down.max_count, (double)p->up.max_count, p);
    judge_rate(r, down, "max_percent", p->down.max_percent, p->up.max_percent, p);
    judge_mixed(r, down, p);
    if (p->down.stabilize_ms < p->up.stabilize_ms) {
        duration_write(p->up.stabilize_ms, near);
        problem_at(r, "stabilize", json_object_get(down, "stabilize"), near,
                   "down goes faster than up, which waits for %s", near);
    }
    path_back(r, was);
}

/* Where nobody said how fast it goes down, it goes down no faster than up. */
static void slow_down(struct policy *p, const json_t *down)
{
    double rise = p->up.max_percent * (double)p->down.per_ms / (double)p->up.per_ms;
    bool given = json_object_get(down, "max_count") || json_object_get(down, "max_percent");

    if (!given && p->up.max_percent >= 0 && rise < p->down.max_percent)
        p->down.max_percent = rise;
    double least = given || json_object_get(down, "per") ? 0 : least_per_ms(p);

    if (least > (double)p->down.per_ms)
        p->down.per_ms = least < LIMIT_PER_MAX_MS ? (int64_t)ceil(least) : LIMIT_PER_MAX_MS;
    if (!json_object_get(down, "stabilize") && p->down.stabilize_ms < p->up.stabilize_ms)
        p->down.stabilize_ms = p->up.stabilize_ms;
}

void limits_read(struct reader *r, json_t *value, void *at)
{
    size_t before = r->count;

    (void)object_read(r, value, limits_fields, at);
    if (r->count > before)
        return;
    slow_down(at, json_object_get(value, "down"));
    judge_limits(r, value, at);
}

json_t *limits_write(const struct policy *p, const void *at)
{
    return object_write(p, limits_fields, p, UINT32_MAX);
}
