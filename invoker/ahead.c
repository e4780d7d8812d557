/* A container that was started for a wish loads its function's code as its first call would: the same INIT frame, checks and time limit. The story
 * is that of invoker_tick(), told for an activation that is nobody's; it begins at I_INIT and passes I_SEND over.
 *
 *   look     fresh containers, oldest first, as many at a time as pool_rules.c lets (ahead_fits): calls are not to be slowed, nor is one account to
 *            stand in another's way
 *   begin    slot 0 leaves the pool. Calls that come wait for it as for any slot that is coming. The container has no call: it can be evicted,
 *            expire or be forgotten, and what it loads ends with it
 *   loaded   INIT -> IDLE, its slots are offered; its first call is a warm one
 *   died     a container that was started for a wish, never had a call and went by itself: its code could not be loaded, its process ended
 *            while it was idle, it did not even come up. There is no record to read: an event tells the function's owner, and the status of the
 *            invoker. Until the back-off is over nothing of the version is started or loaded for a wish; what ends meanwhile was begun before,
 *            and is the same trouble. It is over when a call has been answered, or a container that was begun later has been idle for a minute. A
 *            call starts and loads what it needs at any time, and is told what it is told as ever
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
    uint64_t now_us = nr_mono_us();
    struct ahead_view now = {.cores = v->node->cores > 0 ? (unsigned)v->node->cores : 1,
                             .loaded_before = p->loaded,
                             .pausing = ahead_pauses(p)};

    for (struct nr_link *l = v->ahead.next; l != &v->ahead; l = l->next) {
        const struct container *other = nr_container_of(l, struct container, in_ahead);

        now.loading += ahead_slows(span_us(other->ahead->borrowed_us, now_us));
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

static void forget_failure(struct pool *p)
{
    free(p->failure);
    p->failure = NULL;
}

/* It came after the trouble, and is well without a call. */
static bool has_stayed(const struct container *ct)
{
    return ct->pool && ct->pool->failure && ct->calls == 0 && container_loaded(ct) &&
           ahead_stays(ct->idle_since_ms, ct->pool->failure->at_ms, ct->v->loop->now_ms);
}

/* One that ends at once retires its container, which stays in the list until the Engine has removed it. */
void ahead_look(struct invoker *v)
{
    for (struct nr_link *l = v->containers.next; l != &v->containers && !v->stopping; l = l->next) {
        struct container *ct = nr_container_of(l, struct container, in_all);

        if (has_stayed(ct))
            forget_failure(ct->pool);
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

/* The last lines of text that fit; of a line that does not fit, its end. */
static void copy_tail(char *out, size_t size, struct nr_str text)
{
    size_t cut = ahead_tail(text, size - 1);

    copy_head(out, size, (struct nr_str){text.p + cut, text.n - cut});
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

/* These are ours: the container would have stayed. */
static bool was_taken(const struct container *ct)
{
    static const bool by_us[END_REASONS] = {[ENDED_EXPIRED] = true,
                                            [ENDED_EVICTED] = true,
                                            [ENDED_UPDATED] = true,
                                            [ENDED_DRAINED] = true,
                                            [ENDED_START_FAILED] = true};

    return ct->v->stopping || (by_us[ct->ended] && !ct->never_spoke);
}

/* What its first call would have been told; else how far it came. */
static void say_why(const struct container *ct, struct ahead_failure *f)
{
    const struct activation *a = ct->ahead;
    const char *how_far =
        ct->never_spoke ? "The container did not come up."
        : ct->loaded_us
            ? "The container ended by itself, after its code was loaded and before any call."
            : "The container ended by itself, before its code was loaded.";

    copy_error(f->error, a && a->outcome.result.n ? a->outcome.result : nr_str_of(how_far));
    copy_tail(f->log, sizeof(f->log), a ? nr_buf_str(&a->logs) : NR_STR(""));
}

static uint64_t load_us(const struct container *ct)
{
    return ct->ahead ? ct->ahead->init_us : span_us(ct->slots[0].init_us, ct->loaded_us);
}

void ahead_died(const struct container *ct)
{
    struct pool *p = ct->pool;
    struct invoker *v = ct->v;

    if (p == NULL || ct->begun_for != FOR_PREWARM || ct->called || was_taken(ct))
        return;
    if (p->failure == NULL)
        p->failure = nr_alloc(sizeof(*p->failure));
    struct ahead_failure *f = p->failure;

    if (!ahead_pauses(p))
        f->not_before_ms = v->loop->now_ms + ahead_again_ms(++f->count);
    f->why = ct->ended;
    f->at_ms = v->loop->now_ms;
    say_why(ct, f);
    nr_count(&v->m.init_ahead_failures, 1);
    nr_log(
        v->log, NR_LOG_WARN, "invoker",
        "container=%s account=%s function=%s version=%s was started ahead and ended before any call: %s; "
        "failures=%u again_ms=%llu",
        ct->name, ct->fn->account, ct->fn->path, ct->fn->version, end_reason_text(f->why), f->count,
        (unsigned long long)(f->not_before_ms - f->at_ms));
    event_init_ahead_failed(ct, load_us(ct), f);
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

    if (why == ENDED_NOT && !container_loaded(ct)) /* it was sent nothing: too much, or too late */
        why = s->init_too_big ? ENDED_INIT_FAILED : ENDED_CRASHED;
    (void)container_ref(ct);
    if (why == ENDED_NOT) {
        note_loaded(a);
        let_go(ct);
        container_offer_slots(ct);
    } else {
        container_retire(ct, why); /* it has no call: ahead_died() is told, ahead_drop() lets go */
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

void ahead_served(struct pool *p)
{
    if (p->failure)
        forget_failure(p);
}

bool ahead_pauses(const struct pool *p)
{
    return p->failure && p->v->loop->now_ms < p->failure->not_before_ms;
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
