/* Functions that nodes tell of. Each is in one of two lists, the newest first: those that somebody asks for, which have rings for what was asked, and all
 * others, of which only the newest sample is known. What is quiet for too long goes from the end of its list; the others go first when memory is short.
 */
#include "common/base/mem.h"
#include "scaler/decide/windows_parts.h"

static struct nr_str key_make(struct windows *w, struct nr_str account, struct nr_str function)
{
    size_t bytes = account.n + 1 + function.n;
    char *key = budget_alloc(&w->budget, bytes + 1);

    if (key == NULL)
        return (struct nr_str){NULL, 0};
    memcpy(key, account.p, account.n);
    memcpy(key + account.n + 1, function.p, function.n);
    return (struct nr_str){key, bytes};
}

static bool key_is(const struct thing *t, struct nr_str account, struct nr_str function)
{
    return t->account_bytes == account.n && t->node.key.n == account.n + 1 + function.n &&
           memcmp(t->key, account.p, account.n) == 0 &&
           memcmp(t->key + account.n + 1, function.p, function.n) == 0;
}

static __attribute__((noinline)) struct thing *look_up(struct windows *w, struct nr_str account,
                                                       struct nr_str function)
{
    char key[1024] __attribute__((uninitialized));
    size_t bytes = account.n + 1 + function.n;

    if (account.p == NULL || function.p == NULL || bytes > sizeof key)
        return NULL;
    memcpy(key, account.p, account.n);
    key[account.n] = '\0';
    memcpy(key + account.n + 1, function.p, function.n);

    struct nr_map_node *node = nr_map_get(&w->functions, (struct nr_str){key, bytes});

    return node ? (w->last = nr_container_of(node, struct thing, node)) : NULL;
}

/* One and the same is asked for again and again. */
struct thing *thing_find(struct windows *w, struct nr_str account, struct nr_str function)
{
    return w->last && key_is(w->last, account, function) ? w->last : look_up(w, account, function);
}

static void source_rings_free(struct windows *w, struct source *s)
{
    for (unsigned i = 0; s->series && i < METRICS; i++)
        series_free(&s->series[i], &w->budget);
    budget_free(&w->budget, s->series, METRICS * sizeof *s->series);
    s->series = NULL;
    for (unsigned i = 0; i < SAMPLE_SKETCHES; i++)
        sketches_free(&s->sketch[i], &w->budget);
}

static void source_free(struct windows *w, struct source *s)
{
    source_rings_free(w, s);
    if (s->node && s->node != s)
        s->node->refs--;
    if (s->name)
        budget_free(&w->budget, s->name, strlen(s->name) + 1);
    budget_free(&w->budget, s, sizeof *s);
}

void thing_free(struct windows *w, struct thing *t)
{
    for (struct source *s = t->sources, *next; s; s = next) {
        next = s->next;
        source_free(w, s);
    }
    t->sources = NULL;
    if (t == &w->nodes)
        return;
    nr_list_del(&t->link);
    (void)nr_map_del(&w->functions, t->node.key);
    w->last = w->last == t ? NULL : w->last;
    budget_free(&w->budget, t->key, t->node.key.n + 1);
    budget_free(&w->budget, t, sizeof *t);
}

/* Of those that nobody asks for, the one that is quiet for longest goes. */
static bool make_room(struct windows *w)
{
    if (nr_list_empty(&w->idle))
        return false;
    thing_free(w, nr_container_of(w->idle.prev, struct thing, link));
    return true;
}

static struct thing *thing_make(struct windows *w, struct nr_str account, struct nr_str function)
{
    struct thing *t = budget_alloc(&w->budget, sizeof *t);
    struct nr_str key = key_make(w, account, function);

    if (t == NULL || key.p == NULL) {
        budget_free(&w->budget, t, sizeof *t);
        if (key.p)
            budget_free(&w->budget, (char *)(uintptr_t)key.p, key.n + 1);
        return NULL;
    }
    t->node.key = key;
    t->key = (char *)(uintptr_t)key.p;
    t->account_bytes = account.n;
    (void)nr_map_put(&w->functions, &t->node);
    return t;
}

static void to_front(struct nr_link *list, struct thing *t)
{
    if (list->next == &t->link)
        return;
    nr_list_del(&t->link);
    nr_list_push(list, &t->link);
}

struct thing *thing_get(struct windows *w, struct nr_str account, struct nr_str function,
                        bool asked)
{
    struct thing *t = thing_find(w, account, function);
    bool fits = account.n + 1 + function.n <= 1024;

    while (!asked && t == NULL && w->budget.used > w->budget.max / IDLE_SHARE && make_room(w))
        continue;
    while (t == NULL && fits && (t = thing_make(w, account, function)) == NULL)
        if (!asked || !make_room(w))
            break;
    if (t == NULL) {
        w->dropped++;
        return NULL;
    }
    to_front(asked || t->wants ? &w->asked : &w->idle, t);
    return t;
}

void window_seconds(int64_t window_ms, uint16_t *ret_fine, uint16_t *ret_coarse)
{
    int64_t seconds = (window_ms + 999) / 1000;

    seconds = seconds < 1                             ? 1
              : seconds > POLICY_WINDOW_MAX_MS / 1000 ? POLICY_WINDOW_MAX_MS / 1000
                                                      : seconds;
    *ret_fine = (uint16_t)(seconds <= FINE_MAX_SECONDS ? seconds : 0);
    *ret_coarse = (uint16_t)(seconds <= FINE_MAX_SECONDS ? 0 : seconds);
}

static int sketch_of(unsigned metric)
{
    for (int i = 0; i < SAMPLE_SKETCHES; i++)
        if (sample_sketches[i] == metric)
            return i;
    return -1;
}

bool source_room(struct windows *w, struct thing *t, struct source *s)
{
    bool all = true;

    if (t->wants == 0)
        return true;
    if (s->series == NULL)
        s->series = budget_alloc(&w->budget, METRICS * sizeof *s->series);
    if (s->series == NULL)
        return false;
    for (uint64_t left = t->wants; left; left &= left - 1) {
        unsigned m = (unsigned)__builtin_ctzll(left);
        int sketch = sketch_of(m);
        bool made = sketch < 0
                        ? series_room(&s->series[m], &w->budget, false, t->fine[m], t->coarse[m])
                        : sketches_room(&s->sketch[sketch], &w->budget, t->fine[m], t->coarse[m]);

        all = made && all;
    }
    return all;
}

bool thing_want(struct windows *w, struct thing *t, enum metric_id id, int64_t window_ms)
{
    uint16_t fine, coarse;
    bool all = true;

    window_seconds(window_ms, &fine, &coarse);
    if (t->wants & 1ull << id && t->fine[id] >= fine && t->coarse[id] >= coarse)
        return true;
    t->wants |= 1ull << id;
    t->fine[id] = t->fine[id] > fine ? t->fine[id] : fine;
    t->coarse[id] = t->coarse[id] > coarse ? t->coarse[id] : coarse;
    for (struct source *s = t->sources; s; s = s->next)
        while (!source_room(w, t, s))
            if (!make_room(w)) {
                w->dropped++;
                all = false;
                break;
            }
    return all;
}

void thing_unwant(struct windows *w, struct thing *t)
{
    for (struct source *s = t->sources; s; s = s->next)
        source_rings_free(w, s);
    t->wants = 0;
    memset(t->fine, 0, sizeof t->fine);
    memset(t->coarse, 0, sizeof t->coarse);
}

static void expire(struct windows *w, struct nr_link *list, int64_t keep_ms, int64_t now_ms)
{
    while (!nr_list_empty(list)) {
        struct thing *t = nr_container_of(list->prev, struct thing, link);
        int64_t newest = t->t_ms > t->asked_ms ? t->t_ms : t->asked_ms;

        if (newest > now_ms - keep_ms)
            return;
        thing_free(w, t);
    }
}

/* Sources of a thing that are quiet for too long. */
static void expire_sources(struct windows *w, struct thing *t, int64_t now_ms)
{
    for (struct source **at = &t->sources; *at;) {
        struct source *s = *at;

        if (s->refs || s->t_ms > now_ms - KEEP_ASKED_MS) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        t->source_count--;
        source_free(w, s);
    }
}

void things_expire(struct windows *w, int64_t now_ms)
{
    expire(w, &w->idle, KEEP_MS, now_ms);
    expire(w, &w->asked, KEEP_ASKED_MS, now_ms);
    if (w->nodes.source_count)
        expire_sources(w, &w->nodes, now_ms);
}
