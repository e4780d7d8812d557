/* A call is queued by its weight, taken by the thread of that weight, run by its row in the table of operations, and posted back to the loop it came
 * from. When it changed a function, `on_change` runs on the platform's loop first, and `done` only after it: who reads the 2xx finds
 * the new function everywhere.
 */
#include "fnmanager/handler.h"

#include <malloc.h>

#include "common/base/clock.h"
#include "fnmanager/accounts/account_api.h"
#include "fnmanager/accounts/account_delete.h"
#include "fnmanager/functions/action.h"
#include "fnmanager/functions/aliases.h"
#include "fnmanager/entities/apis_api.h"
#include "fnmanager/functions/functions_api.h"
#include "fnmanager/accounts/buckets.h"
#include "fnmanager/archive/export.h"
#include "fnmanager/compile/compile_room.h"
#include "fnmanager/accounts/grants_api.h"
#include "fnmanager/accounts/keys_api.h"
#include "fnmanager/accounts/quota.h"
#include "fnmanager/accounts/retention.h"
#include "fnmanager/functions/lifecycle_controller.h"
#include "fnmanager/entities/packages_api.h"
#include "fnmanager/images/images_api.h"
#include "fnmanager/preenv/preenv_api.h"
#include "fnmanager/functions/resolve.h"
#include "fnmanager/entities/rules_api.h"
#include "fnmanager/storage/sweeper.h"
#include "fnmanager/entities/triggers_api.h"
#include "fnmanager/functions/version_controller.h"
#include "fnmanager/write_only.h"

/* What comes with a body above this is an upload. */
#define HEAVY_BODY_BYTES 65536
#define SWEEP_EVERY_MS 60000
#define LOOK_EVERY_MAX_MS 3600000 /* what a thread has to do beside its calls */
#define AUDIT_LINES_MAX 100000
/* Rows of one list: what limit 0 means. */
#define LIST_MAX 200

static int op_resolve(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    *ret_old = 0;
    return function_resolve_names(m, place_names_of(call), call->number,
                                  call->patient ? call->account : NULL, &call->fn, &call->err);
}

static int op_resolve_alias(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    *ret_old = 0;
    return alias_resolve(m, place_names_of(call), call->item, &call->split, &call->err);
}

static const struct {
    const char *name; /* label of the metric */
    int (*run)(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
    enum call_weight weight; /* with a small body */
} operations[] = {
    [FN_RESOLVE] = {"resolve", op_resolve},
    [FN_ACTION_PUT] = {"action_put", action_put},
    [FN_ACTION_GET] = {"action_get", action_get},
    [FN_ACTION_DELETE] = {"action_delete", action_delete},
    [FN_ACTION_LIST] = {"action_list", action_list},
    [FN_ACCOUNT_GET] = {"account_get", account_get},
    [FN_ACCOUNT_LIMITS] = {"account_limits", account_limits},
    [FN_GRANTS_GET] = {"grants_get", grants_get},
    [FN_GRANTS_PUT] = {"grants_put", grants_put},
    [FN_ACCOUNT_LIST] = {"account_list", account_list},
    [FN_ACCOUNT_CREATE] = {"account_create", account_create},
    [FN_ACCOUNT_SHOW] = {"account_show", account_show},
    [FN_ACCOUNT_SUSPEND] = {"account_suspend", account_suspend},
    [FN_ACCOUNT_RESUME] = {"account_resume", account_resume},
    [FN_ACCOUNT_DELETE] = {"account_delete", account_delete},
    [FN_ACCOUNT_PURGE] = {"account_purge", account_purge, CALL_BULK},
    [FN_ACCOUNT_REMOVE] = {"account_remove", account_remove, CALL_BULK},
    [FN_QUOTA_GET] = {"quota_get", quota_get},
    [FN_QUOTA_PUT] = {"quota_put", quota_put},
    [FN_RETENTION_GET] = {"retention_get", retention_get},
    [FN_RETENTION_PUT] = {"retention_put", retention_put},
    [FN_KEY_LIST] = {"key_list", key_list},
    [FN_KEY_CREATE] = {"key_create", key_create},
    [FN_KEY_ROTATE] = {"key_rotate", key_rotate},
    [FN_KEY_REVOKE] = {"key_revoke", key_revoke},
    [FN_BUCKET_LIST] = {"bucket_list", bucket_list, CALL_BULK},
    [FN_BUCKET_VERIFY] = {"bucket_verify", bucket_verify, CALL_BULK},
    [FN_ACCOUNT_EXPORT] = {"account_export", account_export, CALL_BULK},
    [FN_ACCOUNT_IMPORT] = {"account_import", account_import, CALL_BULK},
    [FN_RESOLVE_ALIAS] = {"resolve_alias", op_resolve_alias},
    [FN_PREENV_START] = {"preenv_start", op_preenv_start},
    [FN_PREENV_LIST] = {"preenv_list", op_preenv_list},
    [FN_PREENV_GET] = {"preenv_get", op_preenv_get},
    [FN_PREENV_EVENTS] = {"preenv_events", op_preenv_events},
    [FN_PREENV_CANCEL] = {"preenv_cancel", op_preenv_cancel},
    [FN_PREENV_APPLY] = {"preenv_apply", op_preenv_apply},
    [FN_IMAGE_LIST] = {"image_list", image_list, CALL_BULK},
    [FN_IMAGE_PULL] = {"image_pull", image_pull},
    [FN_IMAGE_PULL_WORK] = {"image_pull_work", image_pull_work, CALL_IMAGE},
    [FN_IMAGE_PRUNE] = {"image_prune", image_prune, CALL_BULK},
    [FN_REGISTRY_LIST] = {"registry_list", registry_list},
    [FN_REGISTRY_PUT] = {"registry_put", registry_put},
    [FN_REGISTRY_DELETE] = {"registry_delete", registry_delete},
    [FN_FUNCTION_LIST] = {"function_list", function_list},
    [FN_FUNCTION_GET] = {"function_get", function_get},
    [FN_FUNCTION_HISTORY] = {"function_history", function_history},
    [FN_VERSION_LIST] = {"version_list", version_list},
    [FN_VERSION_PUBLISH] = {"version_publish", version_publish},
    [FN_VERSION_DELETE] = {"version_delete", lifecycle_move},
    [FN_VERSION_DIFF] = {"version_diff", version_diff, CALL_BULK},
    [FN_MOVE_BLOCK] = {"block", lifecycle_move},
    [FN_MOVE_UNBLOCK] = {"unblock", lifecycle_move},
    [FN_MOVE_RETIRE] = {"retire", lifecycle_move},
    [FN_MOVE_PURGE] = {"purge", lifecycle_move},
    [FN_UPDATE_BEGIN] = {"update_begin", lifecycle_begin},
    [FN_UPDATE_COMMIT] = {"update_commit", action_commit},
    [FN_UPDATE_ABORT] = {"update_abort", lifecycle_abort},
    [FN_ALIAS_LIST] = {"alias_list", alias_list},
    [FN_ALIAS_GET] = {"alias_get", alias_get},
    [FN_ALIAS_PUT] = {"alias_put", alias_put},
    [FN_ALIAS_DELETE] = {"alias_delete", alias_delete},
    [FN_ALIAS_ROLLBACK] = {"alias_rollback", alias_rollback},
    [FN_PACKAGE_LIST] = {"package_list", package_list},
    [FN_PACKAGE_PUT] = {"package_put", package_put},
    [FN_PACKAGE_GET] = {"package_get", package_get},
    [FN_PACKAGE_DELETE] = {"package_delete", package_delete},
    [FN_TRIGGER_LIST] = {"trigger_list", trigger_list},
    [FN_TRIGGER_PUT] = {"trigger_put", trigger_put},
    [FN_TRIGGER_GET] = {"trigger_get", trigger_get},
    [FN_TRIGGER_DELETE] = {"trigger_delete", trigger_delete},
    [FN_TRIGGER_RESOLVE] = {"trigger_resolve", trigger_resolve},
    [FN_RULE_LIST] = {"rule_list", rule_list},
    [FN_RULE_PUT] = {"rule_put", rule_put},
    [FN_RULE_GET] = {"rule_get", rule_get},
    [FN_RULE_DELETE] = {"rule_delete", rule_delete},
    [FN_RULE_STATE] = {"rule_state", rule_state},
    [FN_API_CREATE] = {"api_create", api_create, CALL_UPLOAD},
    [FN_API_GET] = {"api_get", api_get, CALL_UPLOAD},
    [FN_API_DELETE] = {"api_delete", api_delete, CALL_UPLOAD},
    [FN_API_RESOLVE] = {"api_resolve", api_resolve},
};

/* A change on its way to the loops; freed when both have seen it. Of many changes by one call each has one without a call, and the last
 * one has the call and no names. */
struct change {
    struct nr_mail mail;
    struct fn_call *call;
    struct nr_loop *loop;
    void (*on_change)(void *arg, const char *account, const char *package, const char *name,
                      uint64_t old_revision, enum fn_change what);
    void *arg;
    char *account, *package, *name;
    uint64_t old_revision;
    enum fn_change what;
};

static void run_done(struct nr_mail *mail)
{
    struct fn_call *call = nr_container_of(mail, struct fn_call, mail);

    call->done(call);
}

static void run_change(struct nr_mail *mail)
{
    struct change *c = nr_container_of(mail, struct change, mail);
    struct fn_call *call = c->call;
    bool here = call && call->loop == c->loop;

    if (c->name)
        c->on_change(c->arg, c->account, c->package, c->name, c->old_revision, c->what);
    free(c->account);
    free(c->package);
    free(c->name);
    free(c);
    if (call == NULL)
        return;
    call->mail.run = run_done;
    if (here)
        call->done(call);
    else
        nr_mailbox_post(call->loop, &call->mail);
}

void handler_changed(struct fnmanager *m, const char *account, const char *package,
                     const char *name, uint64_t old_revision, enum fn_change what)
{
    struct change *c;

    if (m->config.on_change == NULL)
        return;
    c = nr_alloc(sizeof(*c));
    *c = (struct change){.mail = {.run = run_change},
                         .loop = m->config.loop,
                         .on_change = m->config.on_change,
                         .arg = m->config.arg,
                         .account = nr_strdup(account),
                         .package = nr_strdup(package),
                         .name = nr_strdup(name),
                         .old_revision = old_revision,
                         .what = what};
    nr_mailbox_post(c->loop, &c->mail);
}

static void post_back(struct fnmanager *m, struct fn_call *call, uint64_t old_revision)
{
    struct change *c;

    if (old_revision == 0 || m->config.on_change == NULL) {
        call->mail.run = run_done;
        nr_mailbox_post(call->loop, &call->mail);
        return;
    }
    c = nr_alloc(sizeof(*c));
    *c = (struct change){.mail = {.run = run_change},
                         .call = call,
                         .loop = m->config.loop,
                         .on_change = m->config.on_change,
                         .arg = m->config.arg,
                         .old_revision = old_revision,
                         .what = call->change};
    if (old_revision != HANDLER_MANY) {
        c->account = nr_strdup(call->account->name);
        c->package =
            call->package.n != 0 ? nr_strndup(call->package.p, call->package.n) : nr_strdup("");
        c->name = nr_strndup(call->name.p, call->name.n);
    }
    nr_mailbox_post(c->loop, &c->mail);
}

struct fn_key handler_key(const struct fn_call *call)
{
    return (struct fn_key){nr_str_of(call->account->name), call->package, call->name};
}

struct fn_actor handler_actor(const struct fn_call *call)
{
    return (struct fn_actor){nr_str_of(call->account->name), nr_str_of(call->account->uuid)};
}

int handler_refuse(struct fn_call *call, int r)
{
    static const struct {
        int code;
        const char *text;
    } texts[] = {
        {NR_ENOENT, TEXT_NOT_FOUND},
        {NR_EEXIST, TEXT_EXISTS},
        {NR_ECONFLICT, TEXT_CONFLICT},
        {NR_ENOSPC, TEXT_NO_SPACE},
    };

    if (call->reply.failed)
        return nr_err_set(&call->err, NR_ETOOBIG,
                          "The answer is larger than one may be: more than %zu bytes; ask for less "
                          "at once (of a list: with 'limit').",
                          call->reply.max_bytes);
    for (size_t i = 0; i < nr_countof(texts); i++) {
        if (texts[i].code == r)
            return nr_err_set(&call->err, r, "%s", texts[i].text);
    }
    return nr_err_set(&call->err, r, "%s", TEXT_INTERNAL);
}

struct fn_list handler_list(struct fn_call *call, size_t reply_max_bytes)
{
    nr_buf_init(&call->reply, reply_max_bytes);
    return (struct fn_list){.key = handler_key(call),
                            .limit = call->limit > 0 ? call->limit : LIST_MAX,
                            .skip = call->skip,
                            .count = call->count,
                            .out = &call->reply};
}

int handler_key_is_good(struct fnmanager *m, struct fn_call *call)
{
    /* What was found or begun with a key is finished by the platform. */
    bool ours = call->op == FN_RESOLVE || call->op == FN_RESOLVE_ALIAS ||
                call->op == FN_TRIGGER_RESOLVE || call->op == FN_IMAGE_PULL_WORK ||
                call->account->key == 0;

    if (ours || accounts_still_good(&m->accounts, call->account))
        return 0;
    return nr_err_set(&call->err, NR_EAUTH, "The supplied authentication is invalid");
}

static bool runs_for(const struct handler *h, const struct fn_call *call)
{
    for (int i = 0; i < HANDLER_THREADS; i++) {
        const struct fn_call *c = h->running[i];

        if (c != NULL && c != call &&
            (nr_str_eqz(call->name, c->account->name) ||
             (c->op == FN_ACCOUNT_IMPORT && nr_str_eq(call->name, c->name))))
            return true;
    }
    return false;
}

bool handler_runs_for(struct handler *h, const struct fn_call *call)
{
    bool runs;

    pthread_mutex_lock(&h->lock);
    runs = runs_for(h, call);
    pthread_mutex_unlock(&h->lock);
    return runs;
}

void handler_wait_for(struct handler *h, const struct fn_call *call)
{
    pthread_mutex_lock(&h->lock);
    while (runs_for(h, call))
        pthread_cond_wait(&h->ended, &h->lock);
    pthread_mutex_unlock(&h->lock);
}

/* Runs the call and makes its status. A reply that grew past its ceiling is no reply. False: it is to be run anew where it may wait. */
static bool run_call(struct handler *h, struct fn_call *call, uint64_t *ret_old)
{
    uint64_t from_us = nr_mono_us(), old_revision = 0;
    int r = handler_key_is_good(h->manager, call);

    if (r == 0)
        r = operations[call->op].run(h->manager, call, &old_revision);
    if (r == HANDLER_LATER)
        return false;
    if (r == 0 && call->reply.failed)
        r = handler_refuse(call, NR_ETOOBIG);
    if (r == 0)
        write_only_narrow(call);
    if (r < 0) {
        nr_err_set(&call->err, r, "%s", TEXT_INTERNAL);
        if (!call->whole)
            nr_buf_fini(&call->reply);
        nr_count(nr_err_status(r) >= 500 ? &h->failed : &h->refused, 1);
    }
    if (call->op != FN_RESOLVE && call->op != FN_RESOLVE_ALIAS)
        call->status = r < 0 ? nr_err_status(call->err.code) : call->status ? call->status : 200;
    nr_count(&h->calls[call->op], 1);
    nr_hist_add_us(&h->times, nr_mono_us() - from_us);
    *ret_old = old_revision;
    return true;
}

static struct fn_call *take(struct call_queue *q)
{
    struct fn_call *call = q->first;

    if (call == NULL)
        return NULL;
    q->first = call->next;
    if (q->first == NULL)
        q->last = NULL;
    call->next = NULL;
    return call;
}

static struct fn_call *take_for(struct handler *h, enum call_weight t)
{
    struct fn_call *call = take(&h->queue[t]);

    return call != NULL || t == CALL_QUICK ? call : take(&h->queue[CALL_QUICK]);
}

static void sweep(struct fnmanager *m)
{
    int64_t n = sweep_garbage(&m->storage, m->db, SWEEP_AFTER_MS);

    nr_count(&m->swept, (uint64_t)n);
    (void)version_retention(m);
    compile_sweep(m);
    (void)metadata_audit_trim(m->db, AUDIT_LINES_MAX);
}

/* What a thread has to do beside its calls: the quick one ends update windows, that of uploads sweeps when it has had none for a minute.
 * The milliseconds until it wants to look again. */
static int64_t tend(struct handler *h, enum call_weight t, bool waited)
{
    if (t == CALL_QUICK)
        return lifecycle_windows(h->manager);
    if (t == CALL_UPLOAD && waited)
        sweep(h->manager);
    return SWEEP_EVERY_MS;
}

static struct timespec next_look(struct handler *h, enum call_weight t, bool waited)
{
    int64_t ms = tend(h, t, waited);

    return nr_mono_after((unsigned)(ms < LOOK_EVERY_MAX_MS ? ms : LOOK_EVERY_MAX_MS));
}

struct worker {
    struct handler *h;
    enum call_weight weight;
    int number; /* of the thread */
};

/* Waits for a call, or for the end (NULL). */
static struct fn_call *next_call(const struct worker *w)
{
    struct handler *h = w->h;
    enum call_weight t = w->weight;
    struct timespec at = next_look(h, t, false);
    struct fn_call *call;

    pthread_mutex_lock(&h->lock);
    while ((call = take_for(h, t)) == NULL && !h->stopping) {
        bool look = t == CALL_QUICK && h->look;

        if (!look && pthread_cond_timedwait(&h->wake, &h->lock, &at) == 0)
            continue;
        if (look)
            h->look = false;
        pthread_mutex_unlock(&h->lock);
        at = next_look(h, t, true);
        pthread_mutex_lock(&h->lock);
    }
    h->running[w->number] = call;
    pthread_mutex_unlock(&h->lock);
    return call;
}

static void end_call(const struct worker *w)
{
    pthread_mutex_lock(&w->h->lock);
    w->h->running[w->number] = NULL;
    pthread_cond_broadcast(&w->h->ended);
    pthread_mutex_unlock(&w->h->lock);
}

void handler_wake(struct handler *h)
{
    pthread_mutex_lock(&h->lock);
    h->look = true;
    pthread_cond_broadcast(&h->wake);
    pthread_mutex_unlock(&h->lock);
}

static enum call_weight weight_of(const struct fn_call *call)
{
    bool upload = operations[call->op].weight == CALL_QUICK && call->body.n > HEAVY_BODY_BYTES;

    return call->patient ? CALL_IMAGE : upload ? CALL_UPLOAD : operations[call->op].weight;
}

static void enqueue(struct handler *h, struct fn_call *c)
{
    struct call_queue *q = &h->queue[weight_of(c)];

    c->next = NULL;
    if (q->last != NULL)
        q->last->next = c;
    else
        q->first = c;
    q->last = c;
    pthread_cond_broadcast(&h->wake);
}

/* To the threads that may wait; not while they end, for then nobody would take it: it is run here. */
static bool hand_on(const struct worker *w, struct fn_call *call)
{
    struct handler *h = w->h;
    bool may;

    call->patient = true;
    pthread_mutex_lock(&h->lock);
    may = !h->stopping;
    if (may) {
        h->running[w->number] = NULL;
        pthread_cond_broadcast(&h->ended);
        enqueue(h, call);
    }
    pthread_mutex_unlock(&h->lock);
    return may;
}

static void *work(void *arg)
{
    struct worker w = *(struct worker *)arg;
    struct fn_call *call;

    free(arg);
    while ((call = next_call(&w)) != NULL) {
        bool heavy = weight_of(call) != CALL_QUICK;
        uint64_t old_revision = 0;
        bool done = run_call(w.h, call, &old_revision);

        if (!done && hand_on(&w, call))
            continue;
        if (!done)
            (void)run_call(w.h, call, &old_revision);
        end_call(&w);
        post_back(w.h->manager, call, old_revision);
        if (heavy)
            (void)malloc_trim(0);
    }
    return NULL;
}

int handler_init(struct handler *h, struct fnmanager *m, struct nr_err *err)
{
    static const char *const names[] = {[CALL_QUICK] = "fn-quick",
                                        [CALL_UPLOAD] = "fn-upload",
                                        [CALL_BULK] = "fn-bulk",
                                        [CALL_IMAGE] = "fn-image"};
    int r;

    h->manager = m;
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->ended, NULL);
    nr_mono_cond_init(&h->wake);
    for (; h->started < HANDLER_THREADS; h->started++) {
        struct worker *w = nr_alloc(sizeof(*w));
        *w = (struct worker){h, h->started < CALL_IMAGE ? (enum call_weight)h->started : CALL_IMAGE,
                             h->started};
        r = pthread_create(&h->thread[h->started], NULL, work, w);
        if (r != 0)
            free(w);
        if (r != 0)
            return nr_err_set(err, nr_err_from_errno(r),
                              "a thread of the function manager cannot be started: %s",
                              strerror(r));
        (void)pthread_setname_np(h->thread[h->started],
                                 names[h->started < CALL_IMAGE ? h->started : CALL_IMAGE]);
    }
    return 0;
}

void handler_fini(struct handler *h)
{
    if (h->manager == NULL)
        return;
    pthread_mutex_lock(&h->lock);
    h->stopping = true;
    pthread_cond_broadcast(&h->wake);
    pthread_mutex_unlock(&h->lock);
    for (int i = 0; i < h->started; i++)
        (void)pthread_join(h->thread[i], NULL);
    pthread_cond_destroy(&h->wake);
    pthread_cond_destroy(&h->ended);
    pthread_mutex_destroy(&h->lock);
    h->manager = NULL;
}

void fnmanager_post(struct fnmanager *m, struct fn_call *c)
{
    struct handler *h = &m->handler;

    c->patient = false;
    pthread_mutex_lock(&h->lock);
    enqueue(h, c);
    pthread_mutex_unlock(&h->lock);
}

void handler_metrics(struct handler *h, struct nr_buf *out)
{
    char label[64];

    _Static_assert(nr_countof(operations) == nr_countof(h->calls), "one counter per operation");
    nr_metric_head(out, "narae_fnmanager_calls_total", "counter",
                   "Calls to the function manager that were answered.");
    for (size_t i = 0; i < nr_countof(operations); i++) {
        (void)snprintf(label, sizeof(label), "op=\"%s\"", operations[i].name);
        nr_metric_sample(out, "narae_fnmanager_calls_total", label, (double)h->calls[i]);
    }
    nr_metric_one(out, "narae_fnmanager_refused_total", "counter",
                  "Calls refused for what the client sent.", (double)h->refused);
    nr_metric_one(out, "narae_fnmanager_failed_total", "counter",
                  "Calls that failed for reasons of the platform.", (double)h->failed);
    nr_metric_head(out, "narae_fnmanager_call_seconds", "histogram",
                   "Time a call took on its thread.");
    nr_metric_hist(out, "narae_fnmanager_call_seconds", "", &h->times);
}
