/* The last wish of each key, and the way of it to the platform's loop. What comes from before the start comes in a hurry, and only the last of it is
 * obeyed; a wish that is older than the one that holds is not. What is told for a time only, a plan, goes when it is not told again.
 */
#include "common/base/clock.h"
#include "scaler/internal.h"

enum { HISTORY_WAIT_MS = 1500 };

/* A wish on its way. */
struct letter {
    struct nr_mail mail;
    struct scaler *s;
    struct scaler_wish w;
    char texts[];
};

/* On the platform's loop. */
static void on_wish(struct nr_mail *m)
{
    struct letter *l = nr_container_of(m, struct letter, mail);

    l->s->c.wish(l->s->c.arg, &l->w);
    free(l);
}

/* ":stems/python:3", "acme/name" or "acme/package/name". */
static void send_wish(struct scaler *s, const struct held *h)
{
    size_t n = strlen(h->key) + 1;
    struct letter *l = nr_alloc(sizeof(*l) + n + 1);
    char *first = memcpy(l->texts, h->key, n), *rest = strchr(first, '/');

    *l = (struct letter){.mail.run = on_wish,
                         .s = s,
                         .w = {.desired = h->desired,
                               .maximum = h->maximum,
                               .keep_alive_ms = pace_real(&s->c.pace, h->keep_alive_ms),
                               .ahead_only = h->ahead_only}};
    *rest++ = '\0';
    if (h->stems) {
        l->w.stem_kind = rest;
    } else {
        char *slash = strchr(rest, '/');

        l->w.account = first;
        l->w.package = slash ? rest : l->texts + n; /* "" */
        l->w.name = slash ? slash + 1 : rest;
        if (slash)
            *slash = '\0';
    }
    (void)atomic_fetch_add(&s->n.wishes, 1);
    nr_mailbox_post(s->c.loop, &l->mail);
}

static void held_free(struct held *h)
{
    free(h->key);
    free(h);
}

void wishes_apply(struct nr_deadline *d)
{
    struct scaler *s = nr_container_of(d, struct scaler, apply);
    struct nr_map_node *n = NULL;
    struct held *over = NULL;
    size_t at = 0;

    while ((n = nr_map_next(&s->held, &at, n)) != NULL) {
        struct held *h = nr_container_of(n, struct held, node);

        if (h->dirty && s->c.wish)
            send_wish(s, h);
        h->dirty = false;
        if (h->desired < 0 && h->maximum < 0 && h->keep_alive_ms < 0 && !h->ahead_only)
            over = h;
    }
    if (over &&
        s->held.count > HELD_MAX / 2) { /* what holds nothing may go; one at a time is enough */
        (void)nr_map_del(&s->held, over->node.key);
        held_free(over);
    }
}

static struct held *held_for(struct scaler *s, struct nr_str key)
{
    struct nr_map_node *n = nr_map_get(&s->held, key);

    if (n)
        return nr_container_of(n, struct held, node);
    if (s->held.count >= HELD_MAX || memchr(key.p, '/', key.n) == NULL)
        return NULL;
    struct held *h = nr_alloc(sizeof(*h));

    *h = (struct held){.key = nr_strndup(key.p, key.n),
                       .desired = -1,
                       .maximum = -1,
                       .keep_alive_ms = -1,
                       .t_ms = INT64_MIN};
    h->node.key = nr_str_of(h->key);
    (void)nr_map_put(&s->held, &h->node);
    return h;
}

void wish_hold(struct scaler *s, struct nr_str key, int64_t t_ms, bool behind, int64_t for_ms,
               const struct scaler_wish *w)
{
    struct held *h = key.n > 0 ? held_for(s, key) : NULL;

    if (h == NULL || (t_ms < h->t_ms && !behind))
        return;
    h->t_ms = t_ms > h->t_ms ? t_ms : h->t_ms;
    h->ends_ms = for_ms > 0 ? (int64_t)nr_mono_ms() + pace_real(&s->c.pace, for_ms) : 0;
    h->stems = w->stem_kind != NULL;
    h->desired = w->desired;
    h->maximum = w->maximum;
    h->keep_alive_ms = w->keep_alive_ms;
    h->ahead_only = w->ahead_only;
    h->dirty = true;
    if (t_ms < s->opened_ms && !nr_deadline_armed(&s->apply))
        nr_deadline_set(&s->loop, &s->apply, HISTORY_WAIT_MS);
    else if (t_ms >= s->opened_ms)
        nr_deadline_set(&s->loop, &s->apply, 0);
}

void wishes_expire(struct scaler *s)
{
    struct nr_map_node *n = NULL;
    int64_t now_ms = (int64_t)nr_mono_ms();
    size_t at = 0;

    while ((n = nr_map_next(&s->held, &at, n)) != NULL) {
        struct held *h = nr_container_of(n, struct held, node);

        if (h->ends_ms == 0 || h->ends_ms > now_ms)
            continue;
        h->ends_ms = 0;
        h->desired = h->maximum = -1;
        h->keep_alive_ms = -1;
        h->ahead_only = false;
        h->dirty = true;
        nr_deadline_set(&s->loop, &s->apply, 0);
    }
}

void wishes_back(struct scaler *s, int64_t now_ms)
{
    struct nr_map_node *n = NULL;
    size_t at = 0;

    while ((n = nr_map_next(&s->held, &at, n)) != NULL) {
        struct held *h = nr_container_of(n, struct held, node);

        h->t_ms = h->t_ms > now_ms ? now_ms : h->t_ms;
    }
}

static bool is_of(struct nr_map_node *n, void *arg)
{
    const struct held *h = nr_container_of(n, struct held, node);
    const char *account = arg;
    size_t bytes = strlen(account);

    return strncmp(h->key, account, bytes) == 0 && h->key[bytes] == '/' && !h->stems;
}

static void held_gone(struct nr_map_node *n, void *arg)
{
    (void)arg;
    held_free(nr_container_of(n, struct held, node));
}

void wishes_forget(struct scaler *s, const char *account)
{
    (void)nr_map_drain(&s->held, is_of, held_gone, (char *)(uintptr_t)account);
}

void wishes_free(struct scaler *s)
{
    (void)nr_map_drain(&s->held, NULL, held_gone, NULL);
    nr_map_fini(&s->held);
}
