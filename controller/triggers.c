/* Triggers and their rules: from (account, name) to an immutable, shared snapshot, as resolve.c does for functions. A hit is a look-up; a miss
 * asks the function manager once, and every fire that came meanwhile waits for that one answer.
 *
 * A change arrives as triggers_forget() before its 2xx leaves. A change while a question is under way makes its answer stale: nobody gets it,
 * and all who wait ask again. The cache keeps at most TRIGGERS_MAX; the least recently fired ones go.
 */
#include "controller/internal.h"

#include <stdio.h>

#define TRIGGERS_MAX 4096

/* A question under way; made with it, freed at its answer. */
struct trigger_question {
    struct fn_call call;
    struct account *account;
    struct trigger_entry *entry;
    struct nr_link waiting; /* activations, by their `queue` link */
    bool stale;
};

/* What is known of one trigger. what NULL: nothing yet. */
struct trigger_entry {
    struct nr_map_node node;
    struct nr_link lru;
    struct controller *ctl;
    struct trigger *what; /* shared */
    struct trigger_question *question;
    size_t account_n;
    char key[]; /* "account/name" */
};

static void question_free(struct trigger_question *q)
{
    if (q == NULL)
        return;
    account_unref(q->account);
    trigger_unref(q->call.trigger);
    nr_buf_fini(&q->call.reply);
    free(q);
}

static void entry_free(struct trigger_entry *e)
{
    question_free(e->question);
    trigger_unref(e->what);
    (void)nr_map_del(&e->ctl->triggers, e->node.key);
    nr_list_del(&e->lru);
    free(e);
}

/* What was known is not true any more. */
static void forget(struct trigger_entry *e)
{
    if (e->question == NULL) {
        entry_free(e);
        return;
    }
    e->question->stale = true;
    trigger_unref(e->what);
    e->what = NULL;
}

static void make_room(struct controller *c)
{
    struct nr_link *l = c->triggers_lru.prev;

    while (c->triggers.count >= TRIGGERS_MAX && l != &c->triggers_lru) {
        struct trigger_entry *e = nr_container_of(l, struct trigger_entry, lru);

        l = l->prev;
        if (e->question == NULL)
            entry_free(e);
    }
}

/* "account/name" in room; the account's part of it. n == 0: it is longer than the room. */
static struct nr_str key_of(const char *account, struct nr_str name, char room[1024])
{
    int n = snprintf(room, 1024, "%s/%.*s", account, (int)name.n, name.p);

    return n > 0 && n < 1024 ? (struct nr_str){room, (size_t)n} : (struct nr_str){room, 0};
}

static struct trigger_entry *entry_find(const struct controller *c, struct nr_str key)
{
    struct nr_map_node *node = nr_map_get(&c->triggers, key);

    return node ? nr_container_of(node, struct trigger_entry, node) : NULL;
}

/* NULL: no memory. */
static struct trigger_entry *entry_make(struct controller *c, struct nr_str key, size_t account_n)
{
    make_room(c);
    struct trigger_entry *e = nr_try_alloc(sizeof(*e) + key.n + 1);

    if (e == NULL)
        return NULL;
    memcpy(e->key, key.p, key.n);
    e->node.key = (struct nr_str){e->key, key.n};
    e->account_n = account_n;
    e->ctl = c;
    (void)nr_map_put(&c->triggers, &e->node);
    nr_list_push(&c->triggers_lru, &e->lru);
    return e;
}

/* The function manager answered: everybody who waits looks again, in the order in which they came. */
static void on_resolved(struct fn_call *call)
{
    struct trigger_question *q = call->owner;
    struct trigger_entry *e = q->entry;
    bool stale = q->stale && !e->ctl->stopping;
    struct nr_link *l;

    e->question = NULL;
    if (call->err.code == 0 && !stale) {
        e->what = call->trigger;
        call->trigger = NULL;
    } else {
        entry_free(e);
    }
    while ((l = nr_list_pop(&q->waiting))) {
        struct activation *a = nr_container_of(l, struct activation, queue);

        if (call->err.code != 0 && !stale)
            activation_fail(a, call->err.code, "%s", call->err.text);
        fire_tick(a);
    }
    question_free(q);
}

static int ask(struct trigger_entry *e, const struct activation *a)
{
    struct trigger_question *q = nr_try_alloc(sizeof(*q));

    if (q == NULL)
        return NR_ENOMEM;
    q->entry = e;
    q->account = account_ref(a->account);
    nr_list_init(&q->waiting);
    q->call =
        (struct fn_call){.op = FN_TRIGGER_RESOLVE,
                         .account = q->account,
                         .name = {e->key + e->account_n + 1, e->node.key.n - e->account_n - 1},
                         .loop = e->ctl->loop,
                         .done = on_resolved,
                         .owner = q};
    e->question = q;
    fnmanager_post(e->ctl->fnmanager, &q->call);
    return 0;
}

int triggers_find(struct controller *c, struct activation *a, struct trigger **ret)
{
    char room[1024];
    struct nr_str key = key_of(a->account->name, a->name, room);
    struct trigger_entry *e = key.n ? entry_find(c, key) : NULL;

    if (e && e->what) {
        nr_list_del(&e->lru);
        nr_list_push(&c->triggers_lru, &e->lru);
        *ret = e->what;
        return 0;
    }
    if (e == NULL && key.n)
        e = entry_make(c, key, strlen(a->account->name));
    if (e && (e->question || ask(e, a) == 0)) {
        nr_list_add(&e->question->waiting, &a->queue);
        return 1;
    }
    if (e)
        entry_free(e);
    nr_buf_adds(&a->reply_head, "Retry-After: 1\r\n");
    activation_fail(a, NR_ENOMEM, "The trigger cannot be looked up just now; try again.");
    return 0;
}

void triggers_forget(struct controller *c, const char *account, const char *name)
{
    char room[1024];
    struct nr_str key = key_of(account, nr_str_of(name ? name : ""), room);
    struct trigger_entry *one = name && key.n ? entry_find(c, key) : NULL;

    if (one)
        forget(one);
    if (name || key.n == 0)
        return;
    NR_LIST_EACH(&c->triggers_lru, l) {
        struct trigger_entry *e = nr_container_of(l, struct trigger_entry, lru);

        if (nr_str_starts(e->node.key, room))
            forget(e);
    }
}

void triggers_fini(struct controller *c)
{
    while (!nr_list_empty(&c->triggers_lru))
        entry_free(nr_container_of(c->triggers_lru.next, struct trigger_entry, lru));
    nr_map_fini(&c->triggers);
}
