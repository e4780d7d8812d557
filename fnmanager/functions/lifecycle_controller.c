/* A move: body -> order -> one transaction (metadata_moves.c, judged by lifecycle.c) -> on_change for each version that moved -> what
 * stands now. `done` comes after the last on_change, so who reads the 200 of a block finds it blocked everywhere.
 *
 * An update window is a state, not a lock: it is in the registry, so it outlives a kill, and it ends by its deadline when nobody ends
 * it. The quick thread looks at the clock before each call it takes and sleeps until the next deadline at the longest; a deadline that
 * passed while the platform was down ends at its start.
 */
#include "fnmanager/functions/lifecycle_controller.h"

#include "common/base/clock.h"
#include "fnmanager/api_body.h"
#include "fnmanager/functions/functions_api.h"
#include "fnmanager/preenv/preenv_optimizer.h"

#define REASON_MAX_BYTES 500
#define HOLD_PRESET_S 10
#define HOLD_MAX_S 300
#define DEADLINE_PRESET_S 600
#define DEADLINE_MAX_S 86400
#define WINDOWS_LOOK_MS 60000

static uint64_t next_revision(void *arg)
{
    return fnmanager_next_revision(arg);
}

static enum fn_change change_of(enum lifecycle_move move, bool cancel)
{
    if (move == MOVE_BEGIN || move == MOVE_ABORT || move == MOVE_DEADLINE)
        return FN_KEPT;
    return cancel ? FN_CANCEL : FN_REPLACED;
}

void lifecycle_tell(struct fnmanager *m, const struct move_order *o, bool cancel,
                    const struct moved_list *moved)
{
    nr_auto_free char *account = nr_strndup(o->key.account.p, o->key.account.n);
    nr_auto_free char *package =
        nr_strndup(o->key.package.n ? o->key.package.p : "", o->key.package.n);
    nr_auto_free char *name = nr_strndup(o->key.name.p, o->key.name.n);

    for (size_t i = 0; i < moved->n; i++)
        handler_changed(m, account, package, name, moved->item[i].old_revision,
                        change_of(o->move, cancel));
    if (o->number == FN_EVERY_VERSION && moved->n > 0 && moved->item[0].to == LIFECYCLE_GONE)
        preenv_gone(m->preenv, o->key);
}

int lifecycle_carry(struct fnmanager *m, struct move_order *o, bool cancel, struct moved_list *ret,
                    struct nr_err *err)
{
    int r;

    o->next_revision = next_revision;
    o->arg = m;
    if ((r = metadata_move(m->db, o, ret, err)) == 0)
        lifecycle_tell(m, o, cancel, ret);
    return r;
}

static int write_states(struct fn_call *call, const struct moved_list *moved)
{
    nr_buf_init(&call->reply, FUNCTIONS_REPLY_MAX_BYTES);
    nr_buf_adds(&call->reply, "{\"name\":");
    functions_write_name(handler_key(call), &call->reply);
    nr_buf_adds(&call->reply, ",\"states\":[");
    for (size_t i = 0; i < moved->n; i++) {
        int to = moved->item[i].to;
        nr_buf_printf(&call->reply, "%s{\"version\":%lld,\"state\":%s%s%s}", i > 0 ? "," : "",
                      (long long)moved->item[i].number, to == LIFECYCLE_GONE ? "" : "\"",
                      to == LIFECYCLE_GONE ? "null" : lifecycle_name((enum function_state)to),
                      to == LIFECYCLE_GONE ? "" : "\"");
    }
    nr_buf_adds(&call->reply, "]}");
    return 0;
}

/* Carries out what a call asks for, and answers with the states. */
static int carry(struct fnmanager *m, struct fn_call *call, struct move_order *o, bool cancel,
                 uint64_t *ret_old)
{
    struct moved_list moved = {0};
    int r;

    o->key = handler_key(call);
    o->actor = handler_actor(call);
    if ((r = lifecycle_carry(m, o, cancel, &moved, &call->err)) < 0)
        return handler_refuse(call, r);
    *ret_old = HANDLER_MANY;
    r = write_states(call, &moved);
    free(moved.item);
    return r;
}

static const struct {
    enum lifecycle_move move;
    const char *const *fields;
} moves[FN_OPS] = {
    [FN_MOVE_BLOCK] = {MOVE_BLOCK, (const char *const[]){"reason", NULL}},
    [FN_MOVE_UNBLOCK] = {MOVE_UNBLOCK, (const char *const[]){"reason", NULL}},
    [FN_MOVE_RETIRE] = {MOVE_RETIRE, (const char *const[]){"running", "reason", NULL}},
    [FN_MOVE_PURGE] = {MOVE_PURGE, (const char *const[]){"reason", NULL}},
    [FN_VERSION_DELETE] = {MOVE_DELETE, (const char *const[]){NULL}},
};

static int read_running(const json_t *body, bool *ret_cancel, struct nr_err *err)
{
    struct nr_str running;
    int r = api_body_text(body, "running", REASON_MAX_BYTES, &running, err);

    *ret_cancel = nr_str_eqz(running, "cancel");
    if (r == 0 && running.n > 0 && !*ret_cancel && !nr_str_eqz(running, "finish"))
        r = nr_err_set(err, NR_EINVAL, "The field 'running' must be finish or cancel, not '%.64s'.",
                       running.p);
    return r;
}

int lifecycle_move(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct move_order o = {.number = call->number, .move = moves[call->op].move};
    struct nr_str body = call->op == FN_VERSION_DELETE ? (struct nr_str){NULL, 0} : call->body;
    nr_auto_json json_t *fields = api_body_read(body, moves[call->op].fields, &call->err);
    bool cancel;
    int r;

    *ret_old = 0;
    if (fields == NULL)
        return call->err.code;
    if ((r = api_body_text(fields, "reason", REASON_MAX_BYTES, &o.reason, &call->err)) < 0 ||
        (r = read_running(fields, &cancel, &call->err)) < 0)
        return r;
    return carry(m, call, &o, cancel, ret_old);
}

static int read_window(const json_t *body, struct move_order *o, struct nr_err *err)
{
    int64_t hold_s = HOLD_PRESET_S, deadline_s = DEADLINE_PRESET_S;
    struct nr_str serving;
    int r;

    if ((r = api_body_text(body, "while_updating", REASON_MAX_BYTES, &serving, err)) < 0 ||
        (r = api_body_text(body, "reason", REASON_MAX_BYTES, &o->reason, err)) < 0 ||
        (r = api_body_int(body, "hold_s", 1, HOLD_MAX_S, &hold_s, err)) < 0 ||
        (r = api_body_int(body, "deadline_s", 1, DEADLINE_MAX_S, &deadline_s, err)) < 0)
        return r;
    bool old = nr_str_eqz(serving, "old");
    if (!old && serving.n > 0 && !nr_str_eqz(serving, "hold"))
        return nr_err_set(err, NR_EINVAL,
                          "The field 'while_updating' must be hold or old, not '%.64s'.",
                          serving.p);
    if (old && json_object_get(body, "hold_s") != NULL)
        return nr_err_set(err, NR_EINVAL,
                          "The field 'hold_s' has no meaning while the old code serves.");
    o->hold_ms = old ? 0 : hold_s * 1000;
    o->deadline_ms = nr_wall_ms() + deadline_s * 1000;
    return 0;
}

static void note_window(struct fnmanager *m, int64_t deadline_ms)
{
    int64_t next = atomic_load(&m->window_ms);

    while ((next == 0 || deadline_ms < next) &&
           !atomic_compare_exchange_weak(&m->window_ms, &next, deadline_ms))
        ;
    handler_wake(&m->handler);
}

int lifecycle_begin(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    static const char *const fields[] = {"while_updating", "hold_s", "deadline_s", "reason", NULL};
    nr_auto_json json_t *body = api_body_read(call->body, fields, &call->err);
    struct move_order o = {.move = MOVE_BEGIN};
    int r;

    *ret_old = 0;
    if (body == NULL)
        return call->err.code;
    if ((r = read_window(body, &o, &call->err)) < 0)
        return r;
    if ((r = carry(m, call, &o, false, ret_old)) < 0)
        return r;
    note_window(m, o.deadline_ms);
    return functions_answer(m, call, 0);
}

int lifecycle_abort(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    static const char *const fields[] = {"reason", NULL};
    nr_auto_json json_t *body = api_body_read(call->body, fields, &call->err);
    struct move_order o = {.move = MOVE_ABORT};
    int r;

    *ret_old = 0;
    if (body == NULL)
        return call->err.code;
    if ((r = api_body_text(body, "reason", REASON_MAX_BYTES, &o.reason, &call->err)) < 0 ||
        (r = carry(m, call, &o, false, ret_old)) < 0)
        return r;
    return functions_answer(m, call, 0);
}

static void end_windows(struct fnmanager *m, int64_t now_ms)
{
    struct fn_names ended = {0};
    int64_t next = 0;

    /* Noted first: a window that begins meanwhile puts its own time there. */
    atomic_store(&m->window_ms, now_ms + WINDOWS_LOOK_MS);
    if (metadata_windows_end(m->db, now_ms, &ended) < 0)
        return;
    for (size_t i = 0; i < ended.n; i++) {
        const struct fn_name *f = &ended.item[i];

        handler_changed(m, f->account, f->package, f->name, f->revision, FN_KEPT);
        nr_log(
            m->config.log, NR_LOG_WARN, "fnmanager",
            "the update of account=%s package=%s name=%s was neither committed nor aborted by its deadline: the old code is LATEST",
            f->account, f->package, f->name);
    }
    fn_names_free(&ended);
    if (metadata_windows_next(m->db, &next) == 0 && next != 0)
        note_window(m, next);
}

int64_t lifecycle_windows(struct fnmanager *m)
{
    int64_t next = atomic_load(&m->window_ms), now_ms = nr_wall_ms();

    if (next != 0 && next <= now_ms) {
        end_windows(m, now_ms);
        next = atomic_load(&m->window_ms);
    }
    int64_t left = next == 0 ? WINDOWS_LOOK_MS : next - now_ms;
    return left < 1 ? 1 : left > WINDOWS_LOOK_MS ? WINDOWS_LOOK_MS : left;
}

int lifecycle_open(struct fnmanager *m, struct nr_err *err)
{
    int64_t next = 0;
    int r = metadata_windows_next(m->db, &next);

    if (r < 0)
        return nr_err_set(err, r, "the open updates cannot be read: %s", nr_err_text(r));
    atomic_store(&m->window_ms, next);
    return 0;
}
