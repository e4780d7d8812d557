/* Admission: once, for every way in. Per account and minute, and per account at the same time; exact, released at the answer.
 *
 * The minute is a fixed window of the monotonic clock, so that a step of the wall clock neither refuses nor frees anybody. Refused
 * calls count into the window too, as OpenWhisk counts them (openwhisk-api 6).
 */
#include "controller/internal.h"

#define WINDOW_MS 60000

struct account_use *admission_use(struct controller *c, const char *name)
{
    struct nr_map_node *n = nr_map_get(&c->uses, nr_str_of(name));
    struct account_use *u;

    if (n)
        return nr_container_of(n, struct account_use, node);
    u = nr_alloc(sizeof(*u));
    u->name = nr_strdup(name);
    u->node.key = nr_str_of(u->name);
    (void)nr_map_put(&c->uses, &u->node);
    return u;
}

static void refuse(struct controller *c, struct activation *a, enum refused_reason why,
                   uint64_t retry_s)
{
    nr_count(&c->m.refused[why], 1);
    nr_buf_printf(&a->reply_head, "Retry-After: %llu\r\n", (unsigned long long)retry_s);
}

void admission_take(struct controller *c, struct activation *a, uint64_t now_ms)
{
    struct account_use *u = admission_use(c, a->account->name);
    const struct account *limits = a->account;
    int64_t window = (int64_t)(now_ms / WINDOW_MS);

    if (a->durable)
        goto in; /* a row of an earlier run was admitted when it was accepted */
    if (u->window != window) {
        u->window = window;
        u->in_window = 0;
    }
    u->in_window++;
    if (limits->invocations_per_minute >= 0 && u->in_window > limits->invocations_per_minute) {
        refuse(c, a, REFUSED_MINUTE, (WINDOW_MS - now_ms % WINDOW_MS) / 1000 + 1);
        activation_fail(a, NR_EQUOTA,
                        "Too many requests in the last minute (count: %lld, allowed: %lld).",
                        (long long)u->in_window, (long long)limits->invocations_per_minute);
        return;
    }
    if (limits->concurrent_invocations >= 0 && u->in_flight >= limits->concurrent_invocations) {
        refuse(c, a, REFUSED_CONCURRENT, 1);
        activation_fail(a, NR_EQUOTA,
                        "Too many concurrent requests in flight (count: %lld, allowed: %lld).",
                        (long long)u->in_flight + 1, (long long)limits->concurrent_invocations);
        return;
    }
in:
    u->in_flight++;
    a->admitted = true;
}

void admission_fire(struct controller *c, struct activation *a, uint64_t now_ms)
{
    struct account_use *u = admission_use(c, a->account->name);
    int64_t window = (int64_t)(now_ms / WINDOW_MS), most = a->account->fires_per_minute;

    if (u->fire_window != window) {
        u->fire_window = window;
        u->fires_in_window = 0;
    }
    u->fires_in_window++;
    if (most < 0 || u->fires_in_window <= most)
        return;
    refuse(c, a, REFUSED_FIRES, (WINDOW_MS - now_ms % WINDOW_MS) / 1000 + 1);
    activation_fail(a, NR_EQUOTA,
                    "Too many requests in the last minute (count: %lld, allowed: %lld).",
                    (long long)u->fires_in_window, (long long)most);
}

void admission_give(struct controller *c, struct activation *a)
{
    if (!a->admitted)
        return;
    a->admitted = false;
    admission_use(c, a->account->name)->in_flight--;
}

static void use_gone(struct nr_map_node *n, void *arg)
{
    struct account_use *u = nr_container_of(n, struct account_use, node);

    (void)arg;
    free(u->name);
    free(u);
}

void admission_fini(struct controller *c)
{
    (void)nr_map_drain(&c->uses, NULL, use_gone, NULL);
    nr_map_fini(&c->uses);
}
