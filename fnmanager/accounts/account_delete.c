/* An account leaves in four steps, of which each may be done again:
 *
 *   mark    its state is DELETING: keys are refused, no change of it is taken, the name is not free yet (answered here: 202)
 *   purge   its functions go, few in a transaction, and containers end with their last call; nobody keeps one of its triggers
 *   forget  whoever keeps something of its calls waits until the last has ended, and removes their records: who gets the name later
 *           finds nothing
 *   remove  its files, keys, grants and the account itself, when the last change that its keys began has ended; the name is free
 *
 * A departure is the object that goes through them, between the bulk thread and the loop; after a crash the next start makes it anew. No
 * two of one name are under way: the second could come to its steps when somebody else has the name already. For the same reason
 * each step that removes asks first whether the account is still DELETING; only its departure ends that state.
 */
#include "fnmanager/accounts/account_delete.h"

#include "common/base/mem.h"
#include "fnmanager/accounts/account_api.h"
#include "fnmanager/preenv/preenv_optimizer.h"
#include "fnmanager/entities/triggers_api.h"

#define PURGE_AT_ONCE 100

struct departure {
    struct nr_link link;       /* in m->departures */
    struct fnmanager *manager; /* NULL: it is closed */
    struct fn_call call;
    struct account nobody; /* who calls: the platform; its texts are `nothing` */
    char nothing[1];
    char *name;
    bool again; /* deleted once more meanwhile, maybe by then another account of the name */
};

static void depart(struct fnmanager *m, struct nr_str name);

static void end(struct departure *d)
{
    struct fnmanager *m = d->manager;
    bool again = false;

    if (m != NULL) {
        pthread_mutex_lock(&m->accounts.changing);
        nr_list_del(&d->link);
        again = d->again;
        pthread_mutex_unlock(&m->accounts.changing);
    }
    if (again)
        depart(m, nr_str_of(d->name));
    nr_buf_fini(&d->call.reply);
    free(d->name);
    free(d);
}

static void post(struct departure *d, enum fn_op op, void (*done)(struct fn_call *call))
{
    d->call = (struct fn_call){.op = op,
                               .account = &d->nobody,
                               .name = nr_str_of(d->name),
                               .loop = d->manager->config.loop,
                               .done = done,
                               .owner = d};
    fnmanager_post(d->manager, &d->call);
}

/* It stays DELETING: a second DELETE, or the next start, goes on. */
static bool ended(struct departure *d)
{
    if (d->manager != NULL && d->call.err.code == 0)
        return false;
    if (d->manager != NULL)
        nr_log(d->manager->config.log, NR_LOG_ERROR, "fnmanager",
               "account=%s cannot be deleted to its end yet: %s", d->name, d->call.err.text);
    end(d);
    return true;
}

static void on_removed(struct fn_call *call)
{
    struct departure *d = call->owner;

    if (!ended(d))
        end(d);
}

static void on_forgotten(void *arg)
{
    struct departure *d = arg;

    if (!ended(d))
        post(d, FN_ACCOUNT_REMOVE, on_removed);
}

static void on_purged(struct fn_call *call)
{
    struct departure *d = call->owner;
    const struct fnmanager_config *c;

    if (d->manager != NULL && call->err.code == NR_ENOENT) {
        end(d); /* it has left already; the name may be somebody else's */
        return;
    }
    if (ended(d))
        return;
    c = &d->manager->config;
    if (c->forget_account != NULL)
        c->forget_account(c->arg, d->name, on_forgotten, d);
    else
        on_forgotten(d);
}

/* Is it on its way already? Then that departure looks once more when it has ended. The lock is held. */
static bool departs(struct fnmanager *m, struct nr_str name)
{
    for (struct nr_link *l = m->departures.next; l != &m->departures; l = l->next) {
        struct departure *d = nr_container_of(l, struct departure, link);

        if (!nr_str_eqz(name, d->name))
            continue;
        d->again = true;
        return true;
    }
    return false;
}

static void depart(struct fnmanager *m, struct nr_str name)
{
    struct departure *d = NULL;

    pthread_mutex_lock(&m->accounts.changing);
    if (!departs(m, name)) {
        d = nr_alloc(sizeof(*d));
        d->manager = m;
        d->name = nr_strndup(name.p, name.n);
        d->nobody.name = d->nobody.uuid = d->nothing;
        nr_list_push(&m->departures, &d->link);
    }
    pthread_mutex_unlock(&m->accounts.changing);
    if (d != NULL)
        post(d, FN_ACCOUNT_PURGE, on_purged);
}

static int edit_delete(struct account_row *row, void *arg, struct nr_err *err)
{
    (void)arg;
    if (strcmp(row->name, ACCOUNT_GUEST) == 0 || strcmp(row->name, ACCOUNT_ADMIN) == 0)
        return nr_err_set(err, NR_ECONFLICT, "The account '%s' is protected and cannot be deleted.",
                          row->name);
    row->state = ACCOUNT_DELETING;
    free(row->reason);
    row->reason = nr_strdup("");
    return 0;
}

int account_delete(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct account_row row = {0};
    int r = account_change(m, call, "account-delete", edit_delete, &row);

    *ret_old = 0;
    if (r < 0)
        return r;
    depart(m, call->name);
    call->status = 202;
    nr_buf_init(&call->reply, 4096);
    nr_buf_adds(&call->reply, "{\"name\":");
    nr_buf_json(&call->reply, nr_str_of(row.name));
    nr_buf_printf(&call->reply, ",\"state\":\"%s\"}", account_state_name(row.state));
    account_row_fini(&row);
    return 0;
}

int account_purge(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    nr_auto_free char *account = nr_strndup(call->name.p, call->name.n);
    struct account_version *list = NULL;
    size_t n = 0;
    int r;

    *ret_old = HANDLER_MANY;
    do {
        r = metadata_purge_functions(m->db, call->name, PURGE_AT_ONCE, handler_actor(call), &list,
                                     &n);
        for (size_t i = 0; r == 0 && i < n; i++)
            handler_changed(m, account, list[i].package, list[i].name, list[i].revision,
                            FN_REPLACED);
        if (r == 0)
            account_versions_free(list, n);
    } while (r == 0 && n > 0);
    if (r == NR_ENOENT)
        return nr_err_set(&call->err, r, "it is not being deleted");
    preenv_gone(m->preenv, (struct fn_key){.account = call->name});
    if (r == 0)
        r = triggers_gone(m, call->name);
    return r < 0 ? nr_err_set(&call->err, r, "its functions and triggers: %s", nr_err_text(r)) : 0;
}

static bool is_leaving(struct fnmanager *m, struct nr_str name)
{
    struct account_row row = {0};
    bool leaving = metadata_account(m->db, name, &row) == 0 && row.state == ACCOUNT_DELETING;

    account_row_fini(&row);
    return leaving;
}

int account_remove(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    char bucket[STORAGE_FOLDER_BYTES];
    int r;

    *ret_old = 0;
    if (!is_leaving(m, call->name))
        return 0;
    if (!call->patient && handler_runs_for(&m->handler, call))
        return HANDLER_LATER;
    handler_wait_for(&m->handler, call);
    images_forget(&m->images, call->name);
    storage_bucket(call->name, bucket);
    storage_remove(&m->storage, bucket);
    compile_forget(m, call->name);
    r = metadata_garbage_bucket(m->db, bucket);
    if (r == 0)
        r = accounts_remove(&m->accounts, m->db, call->name, handler_actor(call));
    if (r == NR_ECONFLICT || r == NR_ENOENT)
        r = 0; /* somebody else's departure was quicker, or it was made anew since */
    return r < 0 ? nr_err_set(&call->err, r, "what is left of it: %s", nr_err_text(r)) : 0;
}

/* Those that are leaving: '\n' after each name. */
static void note_leaving(void *arg, const struct account_row *account,
                         const struct account_amount *used)
{
    (void)used;
    if (account->state == ACCOUNT_DELETING)
        nr_buf_printf(arg, "%s\n", account->name);
}

int account_delete_resume(struct fnmanager *m, struct nr_err *err)
{
    struct nr_buf names;
    struct nr_str rest, name;
    int r;

    nr_buf_init(&names, 16 << 20);
    r = metadata_accounts(m->db, note_leaving, &names);
    rest = nr_buf_str(&names);
    while (r == 0 && rest.n > 0 && nr_str_split(&rest, '\n', &name))
        depart(m, name);
    nr_buf_fini(&names);
    return r < 0
               ? nr_err_set(err, r, "the accounts cannot be read from meta.db: %s", nr_err_text(r))
               : 0;
}

void account_delete_fini(struct fnmanager *m)
{
    while (m->departures.next != NULL && !nr_list_empty(&m->departures)) {
        struct departure *d = nr_container_of(m->departures.next, struct departure, link);

        nr_list_del(&d->link);
        d->manager = NULL;
    }
}
