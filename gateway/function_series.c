/* Which functions have series of their own, and what each of them counts.
 *
 *   taken    a sample adds to its function's row; without a series of its own also to `others`, and the row remembers how much that was
 *   chosen   every two seconds anew, by calls whose weight halves in five minutes; who is in has an advantage of a quarter, so that two functions
 *            with like traffic do not take turns. As long as there is room whoever comes is in at once
 *   dropped  the row that was told longest ago, when there are too many
 */
#include "gateway/function_series_state.h"

#include <math.h>
#include <stdlib.h>

#include "common/base/metric.h"

#define HALF_LIFE_MS 300000.0
#define ADVANTAGE 1.25
#define CHOOSE_EVERY_MS 2000
enum { ENTITY_BYTES = 1024 }; /* of "account\0function" */

const double series_ends_s[SERIES_BUCKETS] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                              1,     2.5,  5,     10,   30,  60};

/* ---- the choice ---------------------------------------------------------------------------------------------------- */

static int refuse_choice(struct nr_err *err, struct nr_str part)
{
    return nr_err_set(err, NR_EINVAL,
                      "--metrics-functions: '%.*s' is neither off nor top:N (N is 1 to %d) nor "
                      "label:KEY=VALUE (of an annotation, %d bytes each at most)",
                      (int)part.n, part.p, SERIES_TOP_MAX, SERIES_WORD_BYTES - 1);
}

static bool copy_word(struct nr_str word, char to[SERIES_WORD_BYTES])
{
    if (word.n == 0 || word.n >= SERIES_WORD_BYTES)
        return false;
    memcpy(to, word.p, word.n);
    to[word.n] = '\0';
    return true;
}

static bool read_part(struct nr_str part, struct series_choice *ret)
{
    struct nr_str rest = part, key;
    int64_t top;

    if (nr_str_starts(part, "top:") && ret->top == 0 &&
        nr_str_to_i64((struct nr_str){part.p + 4, part.n - 4}, 1, SERIES_TOP_MAX, &top)) {
        ret->top = (unsigned)top;
        return true;
    }
    if (!nr_str_starts(part, "label:") || ret->key[0])
        return false;
    rest = (struct nr_str){part.p + 6, part.n - 6};
    return memchr(rest.p, '=', rest.n) && nr_str_split(&rest, '=', &key) &&
           copy_word(key, ret->key) && copy_word(rest, ret->value);
}

int series_choice_read(const char *text, struct series_choice *ret, struct nr_err *err)
{
    struct nr_str rest = nr_str_of(text), part;
    struct series_choice c = {0};

    if (strcmp(text, "off") != 0)
        while (nr_str_split(&rest, ',', &part))
            if (!read_part(part, &c))
                return refuse_choice(err, part);
    *ret = c;
    return 0;
}

/* ---- rows ---------------------------------------------------------------------------------------------------------- */

static unsigned bucket_of(double seconds)
{
    unsigned i = 0;

    while (i < SERIES_BUCKETS && seconds > series_ends_s[i])
        i++;
    return i;
}

struct function_series *function_series_make(const struct series_choice *choice)
{
    struct function_series *t = nr_alloc(sizeof(*t));

    t->choice = *choice;
    (void)pthread_mutex_init(&t->lock, NULL);
    nr_map_init(&t->rows);
    nr_list_init(&t->lru);
    for (int i = 0; i < SKETCH_BUCKETS; i++) {
        t->middle_s[i] = pow(SKETCH_GROWTH, i > 0 ? i - 0.5 : 0) / 1e6;
        t->bucket[i] = (unsigned char)bucket_of(t->middle_s[i]);
    }
    return t;
}

static void drop(struct function_series *t, struct series_row *row)
{
    (void)nr_map_del(&t->rows, row->node.key);
    nr_list_del(&row->lru);
    t->shown -= row->shown;
    t->top_shown -= row->shown && !row->by_label;
    free(row->labels);
    free(row->account);
    free(row);
}

void function_series_free(struct function_series *t)
{
    if (t == NULL)
        return;
    while (!nr_list_empty(&t->lru))
        drop(t, nr_container_of(t->lru.next, struct series_row, lru));
    nr_map_fini(&t->rows);
    (void)pthread_mutex_destroy(&t->lock);
    free(t);
}

void function_series_forget(struct function_series *t, const char *account)
{
    (void)pthread_mutex_lock(&t->lock);
    NR_LIST_EACH(&t->lru, l) {
        struct series_row *row = nr_container_of(l, struct series_row, lru);

        if (strcmp(row->account, account) == 0)
            drop(t, row);
    }
    (void)pthread_mutex_unlock(&t->lock);
}

static char *labels_of(const struct sample *s)
{
    struct nr_buf b;

    nr_buf_init(&b, SAMPLE_MAX_BYTES);
    nr_metric_label(&b, "account", s->account);
    nr_buf_addc(&b, ',');
    nr_metric_label(&b, "function", s->function);
    return nr_buf_detach(&b, NULL);
}

/* The key is "account\0function", so the account's name is its beginning. */
static struct series_row *row_make(struct function_series *t, struct nr_str key,
                                   const struct sample *s)
{
    struct series_row *row = nr_alloc(sizeof(*row));

    if (t->rows.count >= SERIES_ROWS_MAX)
        drop(t, nr_container_of(t->lru.prev, struct series_row, lru));
    row->account = nr_alloc(key.n + 1);
    memcpy(row->account, key.p, key.n);
    row->node.key = (struct nr_str){row->account, key.n};
    row->labels = labels_of(s);
    row->shown = t->top_shown < t->choice.top;
    t->top_shown += row->shown;
    t->shown += row->shown;
    (void)nr_map_put(&t->rows, &row->node);
    nr_list_push(&t->lru, &row->lru);
    return row;
}

/* *ret_fresh: it was not known. */
static struct series_row *row_of(struct function_series *t, const struct sample *s, bool *ret_fresh)
{
    char key[ENTITY_BYTES];
    size_t n = s->account.n + 1 + s->function.n;

    if (n > sizeof(key))
        return NULL;
    memcpy(key, s->account.p, s->account.n);
    key[s->account.n] = '\0';
    memcpy(key + s->account.n + 1, s->function.p, s->function.n);
    struct nr_map_node *node = nr_map_get(&t->rows, (struct nr_str){key, n});

    *ret_fresh = node == NULL;
    if (node == NULL)
        return row_make(t, (struct nr_str){key, n}, s);
    struct series_row *row = nr_container_of(node, struct series_row, node);

    nr_list_del(&row->lru);
    nr_list_push(&t->lru, &row->lru);
    return row;
}

/* ---- what a sample adds -------------------------------------------------------------------------------------------- */

static double value_of(const struct sample *s, enum metric_id id)
{
    return s->has & 1ull << id ? s->value[id] : 0;
}

static void add_times(const struct function_series *t, const struct sketch *k,
                      struct series_times *ret)
{
    if (k == NULL)
        return;
    for (int i = 0; i < SKETCH_BUCKETS; i++) {
        ret->bucket[t->bucket[i]] += k->bucket[i];
        ret->sum_s += k->bucket[i] * t->middle_s[i];
    }
}

static void counts_of(const struct function_series *t, const struct sample *s,
                      struct series_counts *ret)
{
    *ret = (struct series_counts){.figure = {[FIGURE_INVOCATIONS] = value_of(s, METRIC_INVOCATIONS),
                                             [FIGURE_ARRIVALS] = value_of(s, METRIC_ARRIVALS),
                                             [FIGURE_ERRORS] = value_of(s, METRIC_ERRORS),
                                             [FIGURE_THROTTLED] = value_of(s, METRIC_THROTTLES),
                                             [FIGURE_COLD_STARTS] = value_of(s, METRIC_COLD_STARTS),
                                             [FIGURE_CPU] = value_of(s, METRIC_CPU_SECONDS),
                                             [FIGURE_IDLE] = value_of(s, METRIC_IDLE_SECONDS),
                                             [FIGURE_JOULES] = value_of(s, METRIC_ENERGY_JOULES)}};
    add_times(t, s->sketch[SAMPLE_DURATION], &ret->times[SERIES_DURATION]);
    add_times(t, s->sketch[SAMPLE_QUEUE_WAIT], &ret->times[SERIES_WAIT]);
}

static void counts_add(struct series_counts *to, const struct series_counts *more)
{
    for (int i = 0; i < FIGURES; i++)
        to->figure[i] += more->figure[i];
    for (int k = 0; k < SERIES_TIMES; k++) {
        for (int i = 0; i <= SERIES_BUCKETS; i++)
            to->times[k].bucket[i] += more->times[k].bucket[i];
        to->times[k].sum_s += more->times[k].sum_s;
    }
}

static void take_gauges(struct series_row *row, const struct sample *s)
{
    static const enum metric_id from[GAUGES] = {
        [GAUGE_INFLIGHT] = METRIC_INFLIGHT, [GAUGE_QUEUE] = METRIC_QUEUE_DEPTH,
        [GAUGE_MEMORY] = METRIC_MEMORY_MB,  [GAUGE_BUSY] = METRIC_INSTANCES_BUSY,
        [GAUGE_READY] = METRIC_INSTANCES,   [GAUGE_STARTING] = METRIC_STARTING,
    };

    for (int i = 0; i < GAUGES; i++)
        row->gauge[i] = value_of(s, from[i]);
    row->gauge[GAUGE_MEMORY] *= 1 << 20;
}

/* ---- who is chosen ------------------------------------------------------------------------------------------------- */

static double score_at(const struct series_row *row, int64_t now_ms)
{
    double age_ms = now_ms > row->told_ms ? (double)(now_ms - row->told_ms) : 0;

    return row->score * exp2(-age_ms / HALF_LIFE_MS);
}

struct candidate {
    struct series_row *row;
    double score;
};

static int by_score(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    return (x->score < y->score) - (x->score > y->score);
}

/* Those with the label, the most called first, as far as there is room for them and their account. */
static void choose_labelled(struct candidate *all, size_t n)
{
    const struct series_row *in[SERIES_LABELLED_MAX];
    unsigned count = 0;

    for (size_t i = 0; i < n && count < SERIES_LABELLED_MAX; i++) {
        struct series_row *row = all[i].row;
        unsigned of_account = 0;

        if (!row->labelled)
            continue;
        for (unsigned k = 0; k < count; k++)
            of_account += strcmp(in[k]->account, row->account) == 0;
        row->by_label = of_account < SERIES_LABELLED_OF_ACCOUNT_MAX;
        if (row->by_label)
            in[count++] = row;
    }
}

static void choose(struct function_series *t, int64_t now_ms)
{
    size_t n = t->rows.count, i = 0;
    nr_auto_free struct candidate *all = nr_alloc(n * sizeof(*all) + 1);

    NR_LIST_EACH(&t->lru, l) {
        struct series_row *row = nr_container_of(l, struct series_row, lru);

        all[i++] = (struct candidate){row, score_at(row, now_ms) * (row->shown ? ADVANTAGE : 1)};
        row->by_label = false;
    }
    qsort(all, n, sizeof(*all), by_score);
    choose_labelled(all, n);
    t->shown = t->top_shown = 0;
    for (i = 0; i < n; i++) {
        struct series_row *row = all[i].row;
        bool top = !row->by_label && t->top_shown < t->choice.top;

        row->shown = row->by_label || top;
        t->top_shown += top;
        t->shown += row->shown;
    }
    t->chosen_ms = now_ms;
}

static void take(struct function_series *t, const struct sample *s, enum series_label label,
                 int64_t now_ms)
{
    bool fresh = false;
    struct series_row *row = s->account.n && s->function.n ? row_of(t, s, &fresh) : NULL;
    struct series_counts more;

    if (row == NULL)
        return;
    if (label != SERIES_AS_BEFORE)
        row->labelled = label == SERIES_WITH && t->choice.key[0];
    counts_of(t, s, &more);
    counts_add(&row->all, &more);
    if (!row->shown) {
        counts_add(&row->hidden, &more);
        counts_add(&t->others, &more);
    }
    take_gauges(row, s);
    row->score = (fresh ? 0 : score_at(row, now_ms)) + more.figure[FIGURE_INVOCATIONS];
    row->told_ms = now_ms;
    if (now_ms - t->chosen_ms >= CHOOSE_EVERY_MS || now_ms < t->chosen_ms)
        choose(t, now_ms);
}

void function_series_take(struct function_series *t, const struct sample *s,
                          enum series_label label, int64_t now_ms)
{
    (void)pthread_mutex_lock(&t->lock);
    take(t, s, label, now_ms);
    (void)pthread_mutex_unlock(&t->lock);
}
