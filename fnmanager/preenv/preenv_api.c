/* POST starts a run (202 with its id), GET lists runs or shows one, cancel ends one, apply makes its choice the function's own size. */
#include "fnmanager/preenv/preenv_api.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "fnmanager/functions/lifecycle.h"
#include "fnmanager/preenv/preenv_advice.h"
#include "fnmanager/preenv/preenv_controller.h"
#include "fnmanager/preenv/preenv_optimizer.h"
#include "fnmanager/preenv/preenv_request.h"
#include "fnmanager/preenv/preenv_storage.h"
#include "fnmanager/preenv/preenv_text.h"
#include "fnmanager/functions/resolve.h"

#define LIST_MAX 200
#define REPLY_MAX_BYTES (2 * PREENV_TEXT_MAX_BYTES)

/* ---- start --------------------------------------------------------------------------------------------------- */

/* What is measured: a version that may run now. */
static int fill_run(struct fnmanager *m, struct fn_call *call, struct preenv_run *r)
{
    struct function *f = NULL;
    struct fn_row row = {0};
    char sha[2 * NR_SHA256_BYTES + 1];
    int e = function_resolve(m, handler_key(call), r->request.version, &f, &call->err);

    if (e == 0)
        e = lifecycle_may_run(f->state, &call->err);
    if (e == 0 && f->step_count > 0)
        e = nr_err_set(&call->err, NR_EINVAL,
                       "A sequence has no size of its own. Measure the functions that it runs.");
    if (e == 0 && (e = metadata_load(m->db, handler_key(call), &row)) < 0)
        (void)handler_refuse(call, e);
    if (e == 0) {
        nr_hex(f->sha256, NR_SHA256_BYTES, sha);
        r->function_id = row.function_id;
        r->account = nr_strdup(f->account);
        r->package = nr_strdup(f->package);
        r->name = nr_strdup(f->name);
        r->key_uuid = nr_strdup(call->account->uuid);
        r->function_version = nr_strdup(f->version);
        r->sha256 = nr_strdup(sha);
        r->revision = f->revision;
        r->declared_mb = f->memory_mb;
        r->declared_cpus_milli = f->cpus_milli;
        r->timeout_ms = f->timeout_ms;
        r->started_ms = nr_wall_ms();
        nr_new_id(r->started_ms, 0, r->id);
        (void)snprintf(r->phase, sizeof(r->phase), "waits for its turn");
    }
    fn_row_fini(&row);
    function_unref(f);
    return e;
}

/* The version and the declared size stand in the body's ranges, so the body is read twice: for the version, then as a whole. */
static int read_request(struct fnmanager *m, struct fn_call *call, const struct preenv_tester *t,
                        struct preenv_run *r)
{
    struct preenv_ranges ranges = {t->memory_max_mb, t->cores, 0, 0, PREENV_DEADLINE_MAX_S};
    int e = preenv_request_parse(call->body, &ranges, &r->request, &call->err);

    if (e < 0 || (e = fill_run(m, call, r)) < 0)
        return e;
    ranges.declared_mb = r->declared_mb;
    ranges.declared_cpus_milli = r->declared_cpus_milli;
    preenv_request_fini(&r->request);
    return preenv_request_parse(call->body, &ranges, &r->request, &call->err);
}

static int start(struct fnmanager *m, struct fn_call *call, struct preenv_run *r)
{
    int e = preenv_add(m->db, r);

    if (e < 0)
        return handler_refuse(call, e);
    e = preenv_queue(m->preenv, r, &call->err);
    if (e < 0) { /* no trace of what was refused */
        (void)preenv_forget(m->db, r);
        return e;
    }
    (void)preenv_audit(m->db, r, handler_actor(call), "preenv");
    call->status = 202;
    nr_buf_init(&call->reply, REPLY_MAX_BYTES);
    nr_buf_printf(&call->reply, "{\"id\":\"%s\"}", r->id);
    return 0;
}

int op_preenv_start(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    const struct preenv_tester *t = preenv_tester_of(m->preenv);
    struct preenv_run *r;
    int e;

    *ret_old = 0;
    if (t == NULL)
        return nr_err_set(&call->err, NR_EUNAVAIL, "PreEnv is not available here.");
    r = preenv_run_make();
    if ((e = read_request(m, call, t, r)) == 0)
        e = start(m, call, r);
    preenv_run_free(r);
    return e;
}

/* ---- looking ------------------------------------------------------------------------------------------------- */

static int load_text(struct fnmanager *m, struct fn_call *call, char **ret)
{
    int r = preenv_load_text(m->db, handler_key(call), call->item, ret);

    return r < 0 ? handler_refuse(call, r) : 0;
}

int op_preenv_get(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    nr_auto_free char *text = NULL;
    int r = load_text(m, call, &text);

    *ret_old = 0;
    nr_buf_init(&call->reply, REPLY_MAX_BYTES);
    if (r == 0)
        nr_buf_adds(&call->reply, text);
    return r;
}

int op_preenv_events(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    nr_auto_free char *text = NULL;
    int r = load_text(m, call, &text);

    *ret_old = 0;
    nr_buf_init(&call->reply, REPLY_MAX_BYTES);
    if (r == 0)
        call->skip =
            (int)preenv_write_events(nr_str_of(text), call->skip, &call->reply, &call->last);
    return r;
}

struct listing {
    struct nr_buf *out;
    char *latest; /* of those that are done, by memory, of LATEST; made */
};

static void add_run(void *arg, struct nr_str text)
{
    struct listing *l = arg;
    struct nr_str state = {NULL, 0}, axis = {NULL, 0}, number = {NULL, 0};

    (void)nr_json_scan_key(text, "state", &state);
    (void)nr_json_scan_key(text, "axis", &axis);
    (void)nr_json_scan_key(text, "number", &number);
    if (l->latest == NULL && nr_str_eqz(state, "\"done\"") && nr_str_eqz(axis, "\"memory\"") &&
        nr_str_eqz(number, "0"))
        l->latest = nr_strndup(text.p, text.n);
    if (l->out->p[l->out->n - 1] != '[')
        nr_buf_addc(l->out, ',');
    preenv_write_brief(text, l->out);
}

/* "production" and "drift": what real calls are like since the latest run, and whether it still tells of them. */
static void write_drift(struct fnmanager *m, const struct fn_call *call, const char *latest,
                        struct nr_buf *out)
{
    struct preenv_tester *t = preenv_tester_of(m->preenv);
    struct preenv_run *r = preenv_run_make();
    struct preenv_production p = {.calls = 0};
    struct function *f = NULL;
    char text[240];

    if (t && t->production && preenv_read(nr_str_of(latest), r) == 0 &&
        function_resolve(m, handler_key(call), 0, &f, NULL) == 0)
        t->production(t, f, r->ended_ms, &p);
    nr_buf_printf(out, ",\"production\":{\"calls\":%lld", (long long)p.calls);
    if (p.calls > 0)
        nr_buf_printf(out, ",\"p95_ms\":%.1f,\"peak_mb\":%lld", p.p95_ms, (long long)p.peak_mb);
    nr_buf_adds(out, "},\"drift\":");
    if (preenv_drifted(r, &p, text))
        nr_buf_json(out, nr_str_of(text));
    else
        nr_buf_adds(out, "null");
    function_unref(f);
    preenv_run_free(r);
}

int op_preenv_list(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct listing listing = {.out = &call->reply};
    struct preenv_list q = {.key = handler_key(call),
                            .limit = call->limit > 0 ? call->limit : LIST_MAX,
                            .skip = call->skip,
                            .each = add_run,
                            .arg = &listing};
    struct fn_row row = {0};
    int r = metadata_load(m->db, q.key, &row);

    *ret_old = 0;
    fn_row_fini(&row);
    nr_buf_init(&call->reply, REPLY_MAX_BYTES);
    nr_buf_adds(&call->reply, "{\"runs\":[");
    if (r == 0)
        r = preenv_list(m->db, &q);
    nr_buf_addc(&call->reply, ']');
    if (r == 0 && listing.latest)
        write_drift(m, call, listing.latest, &call->reply);
    nr_buf_addc(&call->reply, '}');
    free(listing.latest);
    return r < 0 ? handler_refuse(call, r) : 0;
}

/* ---- changing -------------------------------------------------------------------------------------------------- */

/* The run that the path names, of this function. */
static int load(struct fnmanager *m, struct fn_call *call, struct preenv_run **ret)
{
    nr_auto_free char *text = NULL;
    char id[33];
    int r = load_text(m, call, &text);

    if (r < 0)
        return r;
    (void)snprintf(id, sizeof(id), "%.*s", (int)call->item.n, call->item.p);
    r = preenv_load(m->db, id, ret);
    return r < 0 ? handler_refuse(call, r) : 0;
}

static void write_run(struct fn_call *call, const struct preenv_run *r)
{
    nr_buf_init(&call->reply, REPLY_MAX_BYTES);
    preenv_write(r, &call->reply);
}

static int cancel(struct fnmanager *m, struct fn_call *call, struct preenv_run *r)
{
    bool waited = false;

    if (r->state != PREENV_RUNNING)
        return nr_err_set(&call->err, NR_ECONFLICT, "The run has ended already: it is %s.",
                          preenv_state_text(r->state));
    if (preenv_cancel(m->preenv, r->id, &waited) < 0)
        waited = true; /* a row that nobody works on */
    (void)preenv_audit(m->db, r, handler_actor(call), "preenv-cancel");
    if (!waited) {
        call->status = 202;
        (void)snprintf(r->phase, sizeof(r->phase), "is being cancelled");
        return 0;
    }
    r->state = PREENV_CANCELLED;
    r->ended_ms = nr_wall_ms();
    r->phase[0] = '\0';
    (void)snprintf(r->reason, sizeof(r->reason), "It was cancelled before its turn came.");
    int e = preenv_store(m->db, r);

    return e < 0 ? handler_refuse(call, e) : 0;
}

int op_preenv_cancel(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct preenv_run *r = NULL;
    int e = load(m, call, &r);

    *ret_old = 0;
    if (e == 0 && (e = cancel(m, call, r)) == 0)
        write_run(call, r);
    preenv_run_free(r);
    return e;
}

static int apply(struct fnmanager *m, struct fn_call *call, struct preenv_run *r)
{
    int e;

    if (r->state != PREENV_DONE)
        return nr_err_set(&call->err, NR_ECONFLICT, "The run is %s: there is no choice to apply.",
                          preenv_state_text(r->state));
    if (r->chosen == 0)
        return nr_err_set(&call->err, NR_ECONFLICT, "The run recommends no size: %.300s",
                          r->reason);
    if (r->request.version > 0)
        return nr_err_set(
            &call->err, NR_ECONFLICT,
            "A published version does not change: apply it to LATEST and publish that.");
    free(r->key_uuid);
    r->key_uuid = nr_strdup(call->account->uuid);
    if ((e = preenv_apply(m, r, &call->err)) < 0)
        return e;
    r->applied = true;
    e = preenv_store(m->db, r);
    return e < 0 ? handler_refuse(call, e) : 0;
}

int op_preenv_apply(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct preenv_run *r = NULL;
    int e = load(m, call, &r);

    *ret_old = 0;
    if (e == 0 && (e = apply(m, call, r)) == 0) {
        (void)preenv_audit(m->db, r, handler_actor(call), "preenv-apply");
        write_run(call, r);
    }
    preenv_run_free(r);
    return e;
}
