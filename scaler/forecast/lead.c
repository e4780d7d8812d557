/* Which function of the same account is called shortly before this one: its leaders.
 *
 * The population remembers when whom a call roused from quiet. A function that is roused looks who was just before it; those become its leaders and are
 * judged from then on, each time they are roused while it is quiet. Only functions of one account are looked at: nobody learns of others' calls.
 */
#include "scaler/forecast/parts.h"

#include <string.h>

enum {
    QUIET_MINUTES = 3, /* without a call: the next one rouses */
    LEAD_MINUTES = 2,  /* so long before at most */
};
#define LEAD_FADE 0.9f

void forecast_account(struct forecast *f, const char *account)
{
    uint32_t hash = 2166136261U;
    for (; *account != '\0'; account++)
        hash = (hash ^ (unsigned char)*account) * 16777619U;
    f->group = hash == 0 ? 1 : hash;
}

/* Was `who` roused shortly before `minute`? */
static bool led(const struct forecast_population *p, uint32_t who, int64_t minute)
{
    const struct roused *r = &p->roused[who % ROUSED];
    int64_t last = r->minute < minute ? r->minute : r->before;
    return r->who == who && last >= 0 && last < minute && minute - last <= LEAD_MINUTES;
}

static bool is_quiet(const struct forecast *f, int64_t minute)
{
    return f->called < 0 || minute - f->called > QUIET_MINUTES;
}

unsigned lead_cell(const struct forecast *f, int64_t minute)
{
    unsigned best = 0;
    if (f->group == 0 || !is_quiet(f, minute))
        return 0;
    for (size_t i = 0; i < LEADS; i++) {
        const struct lead *l = &f->lead[i];
        if (l->who == 0 || !led(f->population, l->who, minute))
            continue;
        unsigned sure = 1 + (unsigned)(6.99 * (double)l->came / ((double)l->due + 0.5));
        best = sure > best ? sure : best;
    }
    return best;
}

static void judge(struct forecast *f, int64_t minute, bool called, bool *ret_led)
{
    for (size_t i = 0; i < LEADS; i++) {
        struct lead *l = &f->lead[i];
        if (l->who == 0 || !led(f->population, l->who, minute))
            continue;
        l->due = l->due * LEAD_FADE + 1;
        l->came = l->came * LEAD_FADE + (called ? 1 : 0);
        *ret_led = true;
    }
}

static bool has(const struct forecast *f, uint32_t who)
{
    for (size_t i = 0; i < LEADS; i++)
        if (f->lead[i].who == who)
            return true;
    return false;
}

/* In place of the least telling one. */
static void take(struct forecast *f, uint32_t who)
{
    struct lead *least = &f->lead[0];
    for (size_t i = 1; i < LEADS; i++)
        if (f->lead[i].came < least->came)
            least = &f->lead[i];
    if (least->came < 2)
        *least = (struct lead){who, 1, 1};
}

static void find_leaders(struct forecast *f, int64_t minute)
{
    const struct forecast_population *p = f->population;
    for (size_t i = 0; i < ROUSED_LATELY; i++) {
        uint32_t who = p->lately[i];
        const struct roused *r = &p->roused[who % ROUSED];
        if (who != 0 && who != f->id && r->who == who && r->group == f->group &&
            led(p, who, minute) && !has(f, who))
            take(f, who);
    }
}

static void rouse(struct forecast *f, int64_t minute)
{
    struct forecast_population *p = f->population;
    struct roused *r = &p->roused[f->id % ROUSED];
    *r = (struct roused){f->id, f->group, minute, r->who == f->id ? r->minute : -1};
    p->lately[p->lately_next++ % ROUSED_LATELY] = f->id;
}

void lead_learn(struct forecast *f, int64_t minute, bool called)
{
    bool by_leader = false;
    if (f->group == 0 || !is_quiet(f, minute))
        return;
    judge(f, minute, called, &by_leader);
    if (!called)
        return;
    f->roused.promised = f->roused.promised * LEAD_FADE + 1;
    f->roused.came = f->roused.came * LEAD_FADE + (by_leader ? 1 : 0);
    find_leaders(f, minute);
    rouse(f, minute);
}
