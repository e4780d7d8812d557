/* Held calls: while the LATEST of a function is UPDATING in a window that wants it so, its new calls wait here, in the order in which
 * they came, and look the function up again when it changes: the new code, or the old one after an abort. A call has resolved to one of
 * them when it runs, never to both.
 *
 *   a held call       is admitted: it counts as one in flight, so that the end of a window starts no more calls at once than its
 *                     account may have. It has no id and no record yet
 *   over its time     503 with Retry-After: after the window's hold_s, or its caller's own patience when that is shorter
 *   too many          429 with Retry-After: of all the calls of who has the function, of all those of others, and of each one of them, so
 *                     that nobody takes the places of the rest
 *   accepted work     (a row of an earlier run) is held as long as the window lasts, and never refused
 */
#include "controller/internal.h"

#include <stdio.h>

#include "common/base/clock.h"

#define HELD_MAX 1000      /* of its owner's calls, and as many of all others' */
#define HELD_OTHER_MAX 100 /* of one other account */

/* The calls of one function. Made with the first, freed with the last. */
struct hold_queue {
    struct nr_map_node node;
    struct nr_link calls;   /* by `queue` */
    unsigned count, others; /* calls; those of them that are not its owner's */
    char path[];
};

static struct hold_queue *queue_find(const struct controller *c, const char *path)
{
    struct nr_map_node *node = nr_map_get(&c->holds, nr_str_of(path));

    return node ? nr_container_of(node, struct hold_queue, node) : NULL;
}

static struct hold_queue *queue_of(struct controller *c, const char *path)
{
    struct hold_queue *q = queue_find(c, path);
    size_t n = strlen(path);

    if (q)
        return q;
    q = nr_alloc(sizeof(*q) + n + 1);
    memcpy(q->path, path, n);
    q->node.key = (struct nr_str){q->path, n};
    nr_list_init(&q->calls);
    (void)nr_map_put(&c->holds, &q->node);
    return q;
}

static void queue_drop(struct controller *c, struct hold_queue *q)
{
    (void)nr_map_del(&c->holds, q->node.key);
    free(q);
}

/* Does he who calls have the function? */
static bool is_owner(const struct hold_queue *q, const struct activation *a)
{
    size_t n = strlen(a->account->name);

    return strncmp(q->path, a->account->name, n) == 0 && q->path[n] == '/';
}

static unsigned count_of(struct hold_queue *q, const char *account)
{
    unsigned n = 0;

    NR_LIST_EACH(&q->calls, l)
        n += strcmp(nr_container_of(l, struct activation, queue)->account->name, account) == 0;
    return n;
}

/* How many wait of those whom a place for a is taken from; *ret_max: as many may. The whole before the part. */
static unsigned waiting(struct hold_queue *q, const struct activation *a, unsigned *ret_max)
{
    *ret_max = HELD_MAX;
    if (is_owner(q, a))
        return q->count - q->others;
    if (q->others >= HELD_MAX)
        return q->others;
    *ret_max = HELD_OTHER_MAX;
    return count_of(q, a->account->name);
}

static void put_in(struct controller *c, struct hold_queue *q, struct activation *a)
{
    nr_list_add(&q->calls, &a->queue);
    q->others += !is_owner(q, a);
    q->count++;
    c->held++;
}

static void take_out(struct controller *c, struct hold_queue *q, struct activation *a)
{
    nr_deadline_cancel(&a->wait);
    nr_list_del(&a->queue);
    q->others -= !is_owner(q, a);
    q->count--;
    c->held--;
}

static void refuse(struct controller *c, struct activation *a, int code, const char *text)
{
    nr_count(&c->m.refused[REFUSED_HOLD], 1);
    nr_buf_printf(&a->reply_head, "Retry-After: %u\r\n",
                  a->fn->hold_ms < 1000 ? 1 : a->fn->hold_ms / 1000);
    activation_fail(a, code, "%s", text);
}

static void on_hold_over(struct nr_deadline *d)
{
    struct activation *a = nr_container_of(d, struct activation, wait);
    struct controller *c = a->ctl;
    struct hold_queue *q = queue_find(c, a->fn->path);

    take_out(c, q, a);
    if (q->count == 0)
        queue_drop(c, q);
    refuse(c, a, NR_EBUSY, "The function is being updated; try again when that is done.");
    controller_tick(a);
}

static uint32_t waited_ms(const struct activation *a)
{
    return (uint32_t)((nr_mono_us() - a->accepted_us) / 1000);
}

/* How long it may be held from now on; what it waited before counts. */
static uint32_t patience_ms(const struct activation *a)
{
    uint32_t max_ms = a->fn->hold_ms, waited = waited_ms(a);

    if (a->blocking && a->wait_ms < max_ms)
        max_ms = a->wait_ms;
    return waited < max_ms ? max_ms - waited : 0;
}

/* Or it is refused. */
static bool has_place(struct controller *c, struct hold_queue *q, struct activation *a)
{
    unsigned max, count = waiting(q, a, &max);
    char text[160];

    if (count < max)
        return true;
    (void)snprintf(
        text, sizeof(text),
        "The function is being updated, and too many of its calls wait for that (count: %u, allowed: %u).",
        count + 1, max);
    refuse(c, a, NR_EQUOTA, text);
    return false;
}

bool hold_call(struct controller *c, struct activation *a)
{
    if (a->fn->state != FN_UPDATING || a->fn->hold_ms == 0)
        return false;
    if (c->stopping) {
        activation_fail(a, NR_ESTOPPING, "%s", nr_err_text(NR_ESTOPPING));
        return false;
    }
    struct hold_queue *q = queue_of(c, a->fn->path);

    if (!a->durable && !has_place(c, q, a))
        return false;
    put_in(c, q, a);
    a->wait.fire = on_hold_over;
    if (!a->durable)
        nr_deadline_set(c->loop, &a->wait, patience_ms(a));
    return true;
}

/* All of one function: they go on from the beginning, or to their end when err is not 0. */
static void let_go(struct controller *c, struct hold_queue *q, int err)
{
    struct nr_link calls, *l;

    nr_list_init(&calls);
    while (!nr_list_empty(&q->calls)) {
        struct activation *a = nr_container_of(q->calls.next, struct activation, queue);

        take_out(c, q, a);
        nr_list_add(&calls, &a->queue);
    }
    queue_drop(c, q);
    while ((l = nr_list_pop(&calls))) {
        struct activation *a = nr_container_of(l, struct activation, queue);

        a->held_ms = waited_ms(a);
        function_unref(a->fn);
        a->fn = NULL;
        a->c = C_RESOLVE;
        if (err)
            activation_fail(a, err, "%s", nr_err_text(err));
        controller_tick(a);
    }
}

void hold_release(struct controller *c, const char *account, const char *package, const char *name)
{
    char path[1024];
    int n = snprintf(path, sizeof(path), "%s/%s%s%s", account, package, *package ? "/" : "", name);
    struct hold_queue *q = n > 0 && (size_t)n < sizeof(path) ? queue_find(c, path) : NULL;

    if (q)
        let_go(c, q, 0);
}

void hold_stop(struct controller *c)
{
    size_t at = 0;
    struct nr_map_node *node;

    while ((node = nr_map_next(&c->holds, &at, NULL))) {
        let_go(c, nr_container_of(node, struct hold_queue, node), NR_ESTOPPING);
        at = 0;
    }
}

static void queue_gone(struct nr_map_node *node, void *arg)
{
    queue_drop(arg, nr_container_of(node, struct hold_queue, node));
}

void hold_fini(struct controller *c)
{
    (void)nr_map_drain(&c->holds, NULL, queue_gone, c);
    nr_map_fini(&c->holds);
}
