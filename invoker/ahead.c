/* A container that was started for a wish loads its function's code as its first call would: the same INIT frame, checks and time limit. The story
 * is that of invoker_tick(), told for an activation that is nobody's; it begins at I_INIT and passes I_SEND over.
 *
 *   look     fresh containers, oldest first, as many at a time as pool_rules.c lets (ahead_fits): calls are not to be slowed, nor is one account to
 *            stand in another's way
 *   begin    slot 0 leaves the pool. Calls that come wait for it as for any slot that is coming. The container has no call: it can be evicted,
 *            expire or be forgotten, and what it loads ends with it
 *   loaded   INIT -> IDLE, its slots are offered; its first call is a warm one
 *   failed   the container goes. There is no record to read: an event tells the function's owner, and the status of the invoker until the version
 *            has been loaded. The next container of the version stays fresh until the back-off is over; a call loads its code itself at
 *            any time, and is told what it is told as ever
 *
 * What is the caller's is not in it. Functions that are given their caller's key may want it as they are loaded: they wait for their first call.
 * Trials of PreEnv measure that call, and stems have no code.
 */
#include "invoker/ahead.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "invoker/events.h"
#include "invoker/frame_budget.h"
#include "invoker/pool_rules.h"

enum { ERROR_PARSE_BYTES = 4096 };

bool ahead_is(const struct activation *a)
{
    return a->slot && a->slot->ct->ahead == a;
}

/* ---- begin -------------------------------------------------------------------------------------------------- */

static bool may_run(const struct function *f)
{
    return !f->trial && !f->provide_api_key && f->state != FN_BLOCKED && f->state != FN_RETIRED;
}

static bool waits_for_code(const struct container *ct)
{
    return ct->state == CT_FRESH && ct->begun_for == FOR_PREWARM && !ct->retired && !ct->ahead &&
           nr_list_linked(&ct->slots[0].free) && !ct->pool->stale && ct->pool->waiting_count == 0 &&
           may_run(ct->fn);
}

static bool has_room(struct invoker *v, const struct container *ct)
{
    const struct pool *p = ct->pool;
    struct ahead_view now = {.cores = v->node->cores > 0 ? (unsigned)v->node->cores : 1,
                             .loaded_before = p->loaded,
                             .not_before_ms = p->failure ? p->failure->not_before_ms : 0,
                             .now_ms = v->loop->now_ms};

    for (struct nr_link *l = v->ahead.next; l != &v->ahead; l = l->next) {
        const struct container *other = nr_container_of(l, struct container, in_ahead);

        now.loading++;
        now.of_account += strcmp(other->fn->account, ct->fn->account) == 0;
        now.of_version += other->pool == p;
    }
    return ahead_fits(&now);
}

/* Nobody waits for an answer, and the end is ahead_end()'s. */
static void on_step(struct activation *a)
{
    (void)a;
}

static void begin(struct container *ct)
{
    struct activation *a = activation_make();
    struct slot *s = &ct->slots[0];

    if (a == NULL)
        return;
    a->invoker = ct->v;
    a->fn = function_ref(ct->fn);
    nr_new_id(nr_wall_ms(), 0, a->id);
    a->transaction = nr_str_of(a->id);
    a->on_step = on_step;
    a->borrowed_us = nr_mono_us();
    a->i = I_INIT;
    nr_list_del(&s->free);
    slot_lend(s, a);
    ct->ahead = a;
    nr_list_add(&ct->v->ahead, &ct->in_ahead);
    invoker_tick(a);
}

/* One that ends at once retires its container, which stays in the list until the Engine has removed it. */
void ahead_look(struct invoker *v)
{
    for (struct nr_link *l = v->containers.next; l != &v->containers && !v->stopping; l = l->next) {
        struct container *ct = nr_container_of(l, struct container, in_all);

        if (waits_for_code(ct) && has_room(v, ct))
            begin(ct);
    }
}

/* ---- end ---------------------------------------------------------------------------------------------------- */

/* The first bytes of text that fit, not cut inside a character. */
static void copy_head(char *out, size_t size, struct nr_str text)
{
    size_t n = text.n < size ? text.n : size - 1;

    while (n < text.n && n > 0 && ((unsigned char)text.p[n] & 0xC0) == 0x80)
        n--;
    if (n > 0)
        memcpy(out, text.p, n);
    out[n] = '\0';
}

/* The last lines of text that fit. */
static void copy_tail(char *out, size_t size, struct nr_str text)
{
    if (text.n >= size) {
        text.p += text.n - (size - 1);
        text.n = size - 1;
        const char *end = memchr(text.p, '\n', text.n);
        size_t cut = end ? (size_t)(end + 1 - text.p) : 0;

        text.p += cut;
        text.n -= cut;
    }
    copy_head(out, size, text);
}

/* What the first call would have answered. */
static void copy_error(char out[AHEAD_ERROR_BYTES], struct nr_str result)
{
    nr_auto_json json_t *j = result.n <= ERROR_PARSE_BYTES ? nr_json_parse(result, NULL) : NULL;
    const char *error = j ? nr_json_string(j, "error") : NULL;

    copy_head(out, AHEAD_ERROR_BYTES, error ? nr_str_of(error) : result);
}

static void note_loaded(const struct activation *a)
{
    const struct container *ct = a->slot->ct;
    char log[AHEAD_LOG_BYTES];

    copy_tail(log, sizeof(log), nr_buf_str(&a->logs));
    nr_count(&ct->v->m.inits_ahead, 1);
    nr_log(ct->v->log, NR_LOG_INFO, "invoker",
           "container=%s account=%s function=%s version=%s loaded its code ahead init_us=%llu",
           ct->name, ct->fn->account, ct->fn->path, ct->fn->version,
           (unsigned long long)a->init_us);
    event_init_ahead(ct, a->init_us, log);
}

static void note_failed(const struct activation *a, enum end_reason why)
{
    const struct container *ct = a->slot->ct;
    struct pool *p = ct->pool;
    struct invoker *v = ct->v;

    if (p->failure == NULL)
        p->failure = nr_alloc(sizeof(*p->failure));
    struct ahead_failure *f = p->failure;

    f->count++;
    f->why = why;
    f->at_ms = v->loop->now_ms;
    f->not_before_ms = v->loop->now_ms + ahead_again_ms(f->count);
    copy_error(f->error, a->outcome.result);
    copy_tail(f->log, sizeof(f->log), nr_buf_str(&a->logs));
    nr_count(&v->m.init_ahead_failures, 1);
    nr_log(v->log, NR_LOG_WARN, "invoker",
           "container=%s account=%s function=%s version=%s did not load its code ahead: %s; "
           "failures=%u again_ms=%llu",
           ct->name, ct->fn->account, ct->fn->path, ct->fn->version, end_reason_text(why), f->count,
           (unsigned long long)ahead_again_ms(f->count));
    event_init_ahead_failed(ct, a->init_us, f);
}

/* There is room for the next one. */
static void look_soon(struct invoker *v)
{
    if (!v->stopping)
        pool_stir(v);
}

static void let_go(struct container *ct)
{
    struct activation *a = ct->ahead;
    struct slot *s = a->slot;

    nr_deadline_cancel(&a->deadline);
    frame_budget_give(s);
    nr_buf_reset(&s->parts, 0);
    s->a = NULL;
    s->call = 0;
    a->slot = NULL;
    a->i = I_END;
    ct->ahead = NULL;
    nr_list_del(&ct->in_ahead);
    activation_unref(a);
}

void ahead_end(struct activation *a, enum end_reason why)
{
    struct slot *s = a->slot;
    struct container *ct = s->ct;

    if (why == ENDED_NOT && !container_loaded(ct))
        why = ENDED_CRASHED; /* it was gone before it had the code: not the function's doing */
    if (why == ENDED_NOT)
        note_loaded(a);
    else if (why == ENDED_INIT_FAILED || why == ENDED_TIMED_OUT)
        note_failed(a, why);
    (void)container_ref(ct);
    let_go(ct);
    if (why == ENDED_NOT) {
        container_offer_slots(ct);
    } else {
        slot_close(s);
        container_retire(ct, why);
    }
    look_soon(ct->v);
    container_unref(ct);
}

void ahead_drop(struct container *ct)
{
    if (ct->ahead == NULL)
        return;
    let_go(ct);
    look_soon(ct->v);
}

void ahead_loaded(struct pool *p)
{
    p->loaded = true;
    free(p->failure);
    p->failure = NULL;
}

/* ---- status ------------------------------------------------------------------------------------------------- */

static void one_failure(const struct pool *p, bool whole, struct nr_buf *out)
{
    const struct ahead_failure *f = p->failure;
    uint64_t now_ms = p->v->loop->now_ms;

    nr_buf_adds(out, "{\"function\":");
    nr_buf_json(out, nr_str_of(p->fn->path));
    nr_buf_adds(out, ",\"version\":");
    nr_buf_json(out, nr_str_of(p->fn->version));
    nr_buf_printf(out, ",\"why\":\"%s\",\"failures\":%u,\"age_ms\":%llu,\"again_ms\":%llu",
                  end_reason_text(f->why), f->count, (unsigned long long)(now_ms - f->at_ms),
                  (unsigned long long)(f->not_before_ms > now_ms ? f->not_before_ms - now_ms : 0));
    if (whole) {
        nr_buf_adds(out, ",\"error\":");
        nr_buf_json(out, nr_str_of(f->error));
        nr_buf_adds(out, ",\"log\":");
        nr_buf_json(out, nr_str_of(f->log));
    }
    nr_buf_addc(out, '}');
}

void ahead_status(const struct invoker *v, const char *account, struct nr_buf *out)
{
    struct nr_map_node *n = NULL;
    const char *comma = "";
    size_t at = 0;

    nr_buf_addc(out, '[');
    while ((n = nr_map_next(&v->pools, &at, n)) != NULL) {
        const struct pool *p = nr_container_of(n, struct pool, node);

        if (p->failure == NULL || p->stale || (account && strcmp(p->fn->account, account) != 0))
            continue;
        nr_buf_adds(out, comma);
        one_failure(p, account != NULL, out);
        comma = ",";
    }
    nr_buf_addc(out, ']');
}
