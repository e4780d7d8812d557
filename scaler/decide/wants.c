/* What policies ask for of somebody's producer, or of the broker. There is a series for each name and the labels that a policy wants it to have, made of
 * all samples that fit: whoever floods the topic with names and labels costs nothing here but the look-up of the name.
 *
 * What a function told carries its account as a label, which only the platform gives. Such a value is for policies of that account, and for those that
 * name it: nobody moves another's containers with a metric that is called like his. What carries no account is for all.
 */
#include "common/base/mem.h"
#include "scaler/decide/windows_parts.h"

enum { KEY_BYTES = 4096 };
#define ACCOUNT "account"

struct key {
    char text[KEY_BYTES];
    size_t n;
    bool over;
};

static void key_add(struct key *k, struct nr_str text)
{
    if (text.n + 1 > sizeof k->text - k->n) {
        k->over = true;
        return;
    }
    if (text.n)
        memcpy(k->text + k->n, text.p, text.n);
    k->text[k->n + text.n] = '\0';
    k->n += text.n + 1;
}

static void key_label(struct key *k, const char *name, const char *value)
{
    if (value == NULL)
        return;
    key_add(k, nr_str_of(name));
    key_add(k, nr_str_of(value));
}

static bool names_account(const struct sample_label *label, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (nr_str_eqz(label[i].name, ACCOUNT))
            return true;
    return false;
}

/* own: the policy's account, NULL: it has none. It stands as a label without a name, so that policies of several accounts have several wants. */
static void key_make(struct key *k, const struct metric_ref *m, const char *own)
{
    k->n = 0;
    k->over = false;
    key_add(k, nr_str_of(m->name));
    if (m->id == METRICS && !names_account(m->label, m->label_count))
        key_label(k, "", own);
    key_label(k, ACCOUNT, m->account);
    key_label(k, "function", m->function);
    key_label(k, "topic", m->topic);
    key_label(k, "group", m->group);
    for (unsigned i = 0; i < m->label_count; i++) {
        key_add(k, m->label[i].name);
        key_add(k, m->label[i].value);
    }
}

static void labels_of(struct want *n)
{
    const char *at = n->key + strlen(n->key) + 1;

    while (at < n->key + n->key_bytes && n->label_count < nr_countof(n->label)) {
        struct sample_label *l = &n->label[n->label_count++];

        l->name = nr_str_of(at);
        l->value = nr_str_of(at + l->name.n + 1);
        at = l->value.p + l->value.n + 1;
        if (l->name.n == 0) {
            n->own = l->value;
            n->label_count--;
        }
    }
    n->names_account = names_account(n->label, n->label_count);
}

static struct named *named_get(struct windows *w, struct nr_str name, bool make)
{
    struct nr_map_node *node = nr_map_get(&w->names, name);
    struct named *n = NULL;

    if (node || !make)
        return node ? nr_container_of(node, struct named, node) : NULL;
    if ((n = budget_alloc(&w->budget, sizeof *n)) == NULL)
        return NULL;
    n->node.key = name;
    (void)nr_map_put(&w->names, &n->node);
    return n;
}

static void want_free(struct windows *w, struct want *n)
{
    struct named *list = named_get(w, nr_str_of(n->key), false);
    struct want **at = list ? &list->wants : NULL;

    while (at && *at && *at != n)
        at = &(*at)->next;
    if (at && *at)
        *at = n->next;
    (void)nr_map_del(&w->wants, n->node.key);
    nr_list_del(&n->link);
    if (list && list->wants == NULL) {
        (void)nr_map_del(&w->names, list->node.key);
        budget_free(&w->budget, list, sizeof *list);
    } else if (list)
        list->node.key = nr_str_of(list->wants->key); /* the same text, which lives on */
    series_free(&n->series, &w->budget);
    budget_free(&w->budget, n->key, n->key_bytes);
    budget_free(&w->budget, n, sizeof *n);
    w->want_count--;
}

static struct want *want_make(struct windows *w, const struct key *k)
{
    struct want *n = budget_alloc(&w->budget, sizeof *n), **at;
    char *key = budget_alloc(&w->budget, k->n);
    struct named *list;

    if (n == NULL || key == NULL) {
        budget_free(&w->budget, n, sizeof *n);
        budget_free(&w->budget, key, k->n);
        return NULL;
    }
    memcpy(key, k->text, k->n);
    n->key = key;
    n->key_bytes = k->n;
    n->node.key = (struct nr_str){key, k->n};
    labels_of(n);
    (void)nr_map_put(&w->wants, &n->node);
    nr_list_add(&w->want_list, &n->link);
    w->want_count++;
    if ((list = named_get(w, nr_str_of(key), true)) == NULL) {
        want_free(w, n);
        return NULL;
    }
    for (at = &list->wants; *at; at = &(*at)->next)
        continue;
    *at = n;
    return n;
}

/* The oldest that nobody asks for any more goes. */
static void wants_expire(struct windows *w, int64_t now_ms)
{
    struct want *oldest = NULL;

    NR_LIST_EACH(&w->want_list, it) {
        struct want *n = nr_container_of(it, struct want, link);

        if (n->asked_ms < now_ms - KEEP_MS && (oldest == NULL || n->asked_ms < oldest->asked_ms))
            oldest = n;
    }
    if (oldest)
        want_free(w, oldest);
}

bool want_there(const struct windows *w, const struct metric_ref *m, const char *own)
{
    struct key k;

    key_make(&k, m, own);
    return !k.over && nr_map_get(&w->wants, (struct nr_str){k.text, k.n}) != NULL;
}

struct want *want_get(struct windows *w, const struct metric_ref *m, const char *own,
                      int64_t window_ms, int64_t now_ms)
{
    struct key k __attribute__((uninitialized));
    struct nr_map_node *node;
    struct want *n;
    uint16_t fine, coarse;

    key_make(&k, m, own);
    node = k.over ? NULL : nr_map_get(&w->wants, (struct nr_str){k.text, k.n});
    n = node ? nr_container_of(node, struct want, node) : NULL;
    if (n == NULL && !k.over) {
        if (w->want_count >= WANTS_MAX)
            wants_expire(w, now_ms);
        n = w->want_count < WANTS_MAX ? want_make(w, &k) : NULL;
    }
    window_seconds(window_ms, &fine, &coarse);
    if (n == NULL || !series_room(&n->series, &w->budget, true, fine, coarse)) {
        w->dropped++;
        return NULL;
    }
    n->asked_ms = now_ms;
    return n;
}

static bool fits(const struct want *n, const struct sample_label *label, unsigned count)
{
    for (unsigned i = 0; i < count && !n->names_account; i++)
        if (nr_str_eqz(label[i].name, ACCOUNT) && !nr_str_eq(label[i].value, n->own))
            return false;
    for (unsigned i = 0, j; i < n->label_count; i++) {
        for (j = 0; j < count; j++)
            if (nr_str_eq(label[j].name, n->label[i].name) &&
                nr_str_eq(label[j].value, n->label[i].value))
                break;
        if (j == count)
            return false;
    }
    return true;
}

void wants_add(struct windows *w, struct nr_str name, const struct sample_label *label,
               unsigned count, double value, int64_t t_ms)
{
    struct named *list = named_get(w, name, false);

    for (struct want *n = list ? list->wants : NULL; n; n = n->next) {
        if (!fits(n, label, count))
            continue;
        series_value(&n->series, t_ms / 1000, value);
        n->t_ms = n->t_ms > t_ms ? n->t_ms : t_ms;
    }
}

void wants_forget(struct windows *w, const char *account)
{
    NR_LIST_EACH(&w->want_list, it) {
        struct want *n = nr_container_of(it, struct want, link);
        unsigned i = 0;

        while (i < n->label_count &&
               !(nr_str_eqz(n->label[i].name, ACCOUNT) && nr_str_eqz(n->label[i].value, account)))
            i++;
        if (i < n->label_count || nr_str_eqz(n->own, account))
            want_free(w, n);
    }
}

void wants_drop(struct windows *w)
{
    NR_LIST_EACH(&w->want_list, it)
        want_free(w, nr_container_of(it, struct want, link));
}

void wants_free(struct windows *w)
{
    wants_drop(w);
    nr_map_fini(&w->wants);
    nr_map_fini(&w->names);
}
