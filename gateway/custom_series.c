/* One table of series by name and labels, and one of the accounts that have them. A series is dropped for a new one of its account, or of anybody, only when
 * nothing was told of it for long.
 */
#include "gateway/custom_series.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/list.h"
#include "common/base/map.h"
#include "common/base/metric.h"

struct account_series {
    struct nr_map_node node;
    char *name;
    struct nr_link own; /* of its series; front was told last */
    unsigned count;
    uint64_t tokens, filled_ms; /* a thousand of them pay for one value */
};

struct series {
    struct nr_map_node node; /* name{labels}, as it is written */
    struct nr_link own, all;
    struct account_series *of;
    char *text;
    size_t name_bytes;
    double value;
    uint64_t told_ms;
    bool counter;
};

struct custom_series {
    pthread_mutex_t lock; /* of all that follows it; held for one value or one page */
    struct nr_map series, accounts;
    struct nr_link all; /* front was told last */
    uint64_t results[CUSTOM_RESULTS];
};

struct custom_series *custom_series_make(void)
{
    struct custom_series *t = nr_alloc(sizeof(*t));

    (void)pthread_mutex_init(&t->lock, NULL);
    nr_map_init(&t->series);
    nr_map_init(&t->accounts);
    nr_list_init(&t->all);
    return t;
}

static void drop(struct custom_series *t, struct series *s)
{
    (void)nr_map_del(&t->series, s->node.key);
    nr_list_del(&s->own);
    nr_list_del(&s->all);
    s->of->count--;
    free(s->text);
    free(s);
}

static void drop_account(struct custom_series *t, struct account_series *a)
{
    while (!nr_list_empty(&a->own))
        drop(t, nr_container_of(a->own.next, struct series, own));
    (void)nr_map_del(&t->accounts, a->node.key);
    free(a->name);
    free(a);
}

static void account_gone(struct nr_map_node *n, void *arg)
{
    drop_account(arg, nr_container_of(n, struct account_series, node));
}

void custom_series_free(struct custom_series *t)
{
    if (t == NULL)
        return;
    (void)nr_map_drain(&t->accounts, NULL, account_gone, t);
    nr_map_fini(&t->series);
    nr_map_fini(&t->accounts);
    (void)pthread_mutex_destroy(&t->lock);
    free(t);
}

void custom_series_forget(struct custom_series *t, const char *account)
{
    (void)pthread_mutex_lock(&t->lock);
    struct nr_map_node *n = nr_map_get(&t->accounts, nr_str_of(account));

    if (n)
        drop_account(t, nr_container_of(n, struct account_series, node));
    (void)pthread_mutex_unlock(&t->lock);
}

static struct account_series *account_of(struct custom_series *t, const char *name, uint64_t now_ms)
{
    struct nr_map_node *n = nr_map_get(&t->accounts, nr_str_of(name));
    struct account_series *a;

    if (n)
        return nr_container_of(n, struct account_series, node);
    a = nr_alloc(sizeof(*a));
    a->name = nr_strdup(name);
    a->node.key = nr_str_of(a->name);
    a->tokens = CUSTOM_PER_SECOND * 1000;
    a->filled_ms = now_ms;
    nr_list_init(&a->own);
    (void)nr_map_put(&t->accounts, &a->node);
    return a;
}

static bool may_tell(struct account_series *a, uint64_t now_ms)
{
    const uint64_t full = CUSTOM_PER_SECOND * 1000;
    uint64_t gained = (now_ms - a->filled_ms) * CUSTOM_PER_SECOND;

    a->tokens = gained > full - a->tokens ? full : a->tokens + gained;
    a->filled_ms = now_ms;
    if (a->tokens < 1000)
        return false;
    a->tokens -= 1000;
    return true;
}

/* ---- names --------------------------------------------------------------------------------------------------------- */

/* Prometheus knows no `.`, `-` and `:` in names of metrics and labels; the first character is good already. */
static size_t name_add(struct nr_str name, char *to)
{
    for (size_t i = 0; i < name.n; i++)
        to[i] = name.p[i] == '.' || name.p[i] == '-' || name.p[i] == ':' ? '_' : name.p[i];
    to[name.n] = '\0';
    return name.n;
}

static bool is_reserved(const char *name)
{
    static const char *const beginnings[] = {"narae_",  "kepler_", "process_", "scrape_",
                                             "ALERTS_", "__",      NULL};

    for (int i = 0; beginnings[i]; i++)
        if (strncmp(name, beginnings[i], strlen(beginnings[i])) == 0)
            return true;
    return strcmp(name, "up") == 0 || strcmp(name, "ALERTS") == 0;
}

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);

    return n > m && strcmp(name + n - m, end) == 0;
}

struct label {
    char name[SAMPLE_NAME_MAX_BYTES + 1];
    struct nr_str value;
};

static int by_name(const void *a, const void *b)
{
    const struct label *x = a, *y = b;

    return strcmp(x->name, y->name);
}

/* Sorted, so that the order in which they were told does not make another series. */
static bool labels_of(const struct sample *s, struct label ret[SAMPLE_LABELS_MAX])
{
    static const char *const ours[] = {"account", "function", "le", "quantile"};

    if (s->label_count > CUSTOM_LABELS_MAX)
        return false;
    for (unsigned i = 0; i < s->label_count; i++) {
        (void)name_add(s->label[i].name, ret[i].name);
        ret[i].value = s->label[i].value;
        for (size_t k = 0; k < nr_countof(ours); k++)
            if (strcmp(ret[i].name, ours[k]) == 0)
                return false;
        if (strncmp(ret[i].name, "__", 2) == 0)
            return false;
    }
    qsort(ret, s->label_count, sizeof(*ret), by_name);
    for (unsigned i = 1; i < s->label_count; i++)
        if (strcmp(ret[i].name, ret[i - 1].name) == 0)
            return false;
    return true;
}

static char *text_of(const char *name, const char *account, struct nr_str function,
                     const struct label *labels, unsigned count)
{
    struct nr_buf b;

    nr_buf_init(&b, SAMPLE_MAX_BYTES);
    nr_buf_printf(&b, "%s{", name);
    nr_metric_label(&b, "account", nr_str_of(account));
    nr_buf_addc(&b, ',');
    nr_metric_label(&b, "function", function);
    for (unsigned i = 0; i < count; i++) {
        nr_buf_addc(&b, ',');
        nr_metric_label(&b, labels[i].name, labels[i].value);
    }
    nr_buf_addc(&b, '}');
    char *text = nr_buf_detach(&b, NULL);

    nr_buf_fini(&b);
    return text;
}

/* ---- values -------------------------------------------------------------------------------------------------------- */

static bool is_old(const struct series *s, uint64_t now_ms)
{
    return now_ms > s->told_ms && now_ms - s->told_ms > CUSTOM_KEEP_MS;
}

/* Room for one more of this account, at the cost of what is old. */
static bool make_room(struct custom_series *t, struct account_series *a, uint64_t now_ms)
{
    if (a->count >= CUSTOM_OF_ACCOUNT_MAX) {
        struct series *last = nr_container_of(a->own.prev, struct series, own);

        if (!is_old(last, now_ms))
            return false;
        drop(t, last);
    }
    if (t->series.count >= CUSTOM_SERIES_MAX) {
        struct series *last = nr_container_of(t->all.prev, struct series, all);

        if (!is_old(last, now_ms))
            return false;
        drop(t, last);
    }
    return true;
}

/* The text is given. */
static struct series *series_of(struct custom_series *t, struct account_series *a, char *text,
                                size_t name_bytes, uint64_t now_ms)
{
    struct nr_map_node *n = nr_map_get(&t->series, nr_str_of(text));
    struct series *s;

    if (n || !make_room(t, a, now_ms)) {
        free(text);
        return n ? nr_container_of(n, struct series, node) : NULL;
    }
    s = nr_alloc(sizeof(*s));
    s->text = text;
    s->name_bytes = name_bytes;
    s->node.key = nr_str_of(text);
    s->of = a;
    a->count++;
    (void)nr_map_put(&t->series, &s->node);
    nr_list_push(&a->own, &s->own);
    nr_list_push(&t->all, &s->all);
    return s;
}

static enum custom_result take(struct custom_series *t, const char *account, struct nr_str function,
                               const struct sample *s, uint64_t now_ms)
{
    char name[SAMPLE_NAME_MAX_BYTES + 1];
    struct label labels[SAMPLE_LABELS_MAX];
    struct account_series *a = account_of(t, account, now_ms);
    bool counter;

    if (!may_tell(a, now_ms))
        return CUSTOM_RATE;
    if (s->metric.n > SAMPLE_NAME_MAX_BYTES)
        return CUSTOM_NAME;
    size_t name_bytes = name_add(s->metric, name);

    if (is_reserved(name))
        return CUSTOM_NAME;
    if (!labels_of(s, labels))
        return CUSTOM_LABEL;
    counter = ends_with(name, "_total");
    if (counter && s->metric_value < 0)
        return CUSTOM_VALUE;
    char *text = text_of(name, account, function, labels, s->label_count);
    struct series *of = text ? series_of(t, a, text, name_bytes, now_ms) : NULL;

    if (of == NULL)
        return CUSTOM_ROOM;
    of->counter = counter;
    of->value = counter ? of->value + s->metric_value : s->metric_value;
    of->told_ms = now_ms;
    nr_list_del(&of->own);
    nr_list_push(&a->own, &of->own);
    nr_list_del(&of->all);
    nr_list_push(&t->all, &of->all);
    return CUSTOM_TAKEN;
}

enum custom_result custom_series_take(struct custom_series *t, const char *account,
                                      struct nr_str function, const struct sample *s,
                                      uint64_t now_ms)
{
    (void)pthread_mutex_lock(&t->lock);
    enum custom_result r = take(t, account, function, s, now_ms);

    t->results[r]++;
    (void)pthread_mutex_unlock(&t->lock);
    return r;
}

void custom_series_refused(struct custom_series *t, enum custom_result why)
{
    (void)pthread_mutex_lock(&t->lock);
    t->results[why]++;
    (void)pthread_mutex_unlock(&t->lock);
}

/* ---- the page ------------------------------------------------------------------------------------------------------ */

static int by_text(const void *a, const void *b)
{
    const struct series *const *x = a, *const *y = b;
    size_t n = (*x)->name_bytes < (*y)->name_bytes ? (*x)->name_bytes : (*y)->name_bytes;
    int names = strncmp((*x)->text, (*y)->text, n);

    if (names == 0 && (*x)->name_bytes != (*y)->name_bytes)
        names = (*x)->name_bytes < (*y)->name_bytes ? -1 : 1;
    return names ? names : strcmp((*x)->text, (*y)->text);
}

static bool is_first(const struct series *s, const struct series *before)
{
    return before == NULL || before->name_bytes != s->name_bytes ||
           strncmp(before->text, s->text, s->name_bytes) != 0;
}

static void write_page(const struct custom_series *t, const char *account, uint64_t now_ms,
                       struct nr_buf *out)
{
    nr_auto_free const struct series **all = nr_alloc(t->series.count * sizeof(*all) + 1);
    char name[SAMPLE_NAME_MAX_BYTES + 1];
    size_t n = 0;

    NR_LIST_EACH(&t->all, l) {
        const struct series *s = nr_container_of(l, struct series, all);

        if ((account == NULL || strcmp(s->of->name, account) == 0) &&
            (s->counter || !is_old(s, now_ms)))
            all[n++] = s;
    }
    qsort(all, n, sizeof(*all), by_text);
    for (size_t i = 0; i < n; i++) {
        if (is_first(all[i], i ? all[i - 1] : NULL)) {
            (void)snprintf(name, sizeof(name), "%.*s", (int)all[i]->name_bytes, all[i]->text);
            nr_metric_head(out, name, all[i]->counter ? "counter" : "gauge",
                           "Told by functions in their logs.");
        }
        nr_metric_sample(out, all[i]->text, "", all[i]->value);
    }
}

void custom_series_write(struct custom_series *t, const char *account, uint64_t now_ms,
                         struct nr_buf *out)
{
    (void)pthread_mutex_lock(&t->lock);
    write_page(t, account, now_ms, out);
    (void)pthread_mutex_unlock(&t->lock);
}

void custom_series_count(struct custom_series *t, struct nr_buf *out)
{
    static const char *const names[CUSTOM_RESULTS] = {
        [CUSTOM_TAKEN] = "taken", [CUSTOM_FORM] = "form",   [CUSTOM_NAME] = "name",
        [CUSTOM_LABEL] = "label", [CUSTOM_VALUE] = "value", [CUSTOM_ROOM] = "room",
        [CUSTOM_RATE] = "rate"};
    char label[64];

    (void)pthread_mutex_lock(&t->lock);
    nr_metric_one(out, "narae_custom_series", "gauge",
                  "Series of metrics that functions tell in their logs.", (double)t->series.count);
    nr_metric_head(out, "narae_custom_values_total", "counter",
                   "Values that functions told in their logs: taken, or why not.");
    for (int i = 0; i < CUSTOM_RESULTS; i++) {
        (void)snprintf(label, sizeof(label), "result=\"%s\"", names[i]);
        nr_metric_sample(out, "narae_custom_values_total", label, (double)t->results[i]);
    }
    (void)pthread_mutex_unlock(&t->lock);
}
