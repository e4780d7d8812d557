/* What the invoker keeps of an account goes with it: its containers first; when the Engine has removed the last of them and nobody looks at one
 * any more, what its functions used, what was wished for them, and its volumes. Who gets the name later finds nothing.
 *
 * The folder of its volumes is renamed before anything in it is taken down, so that even what cannot be removed at once, or what a crash
 * leaves, has a name that no account has.
 */
#include "invoker/internal.h"
#include "invoker/monitor.h"
#include "invoker/volume.h"

enum { LOOK_AGAIN_MS = 50, TRY_AGAIN_MS = 1000 };

struct forgetting {
    struct nr_link link; /* in v->forgettings */
    struct invoker *v;
    char *account;
    void (*done)(void *arg);
    void *arg;
    struct nr_deadline again;
    struct engine_job job; /* takes its volumes down */
    struct nr_err err;     /* of the job */
};

static void forgetting_free(struct forgetting *f)
{
    nr_deadline_cancel(&f->again);
    nr_list_del(&f->link);
    free(f->account);
    free(f);
}

/* True: it has containers. A container leaves the list when the Engine has removed it, which is never at once. */
static bool retire_containers(struct invoker *v, const char *account)
{
    bool any = false;

    for (struct nr_link *l = v->containers.next; l != &v->containers; l = l->next) {
        struct container *ct = nr_container_of(l, struct container, in_all);

        if (ct->fn == NULL || strcmp(ct->fn->account, account) != 0)
            continue;
        container_retire(ct, ENDED_UPDATED);
        any = true;
    }
    return any;
}

static void remove_volumes(struct engine_worker *w, struct engine_job *job)
{
    struct forgetting *f = nr_container_of(job, struct forgetting, job);

    (void)w;
    (void)volume_forget(f->v->volumes_dir, f->account, &f->err);
}

static void on_volumes_removed(struct engine_job *job)
{
    struct forgetting *f = nr_container_of(job, struct forgetting, job);
    struct invoker *v = f->v;
    void (*done)(void *) = v->closed == NULL && f->err.code == 0 ? f->done : NULL;
    void *arg = f->arg;

    if (f->err.code != 0)
        nr_log(v->log, NR_LOG_WARN, "invoker", "account=%s cannot be forgotten yet: %s", f->account,
               f->err.text);
    if (f->err.code != 0 && v->closed == NULL)
        nr_deadline_set(v->loop, &f->again, TRY_AGAIN_MS);
    else
        forgetting_free(f);
    if (done)
        done(arg);
    v->alive--;
    invoker_container_freed(v); /* the invoker may be gone now */
}

static void look(struct forgetting *f)
{
    struct invoker *v = f->v;

    if (retire_containers(v, f->account) || !pool_forget_account(v, f->account) ||
        !monitor_forget_account(v->monitor, f->account)) {
        nr_deadline_set(v->loop, &f->again, LOOK_AGAIN_MS);
        return;
    }
    f->err = (struct nr_err){0};
    f->job = (struct engine_job){
        .rank = RANK_REMOVE, .work = remove_volumes, .done = on_volumes_removed};
    v->alive++;
    engine_submit(v->engine, &f->job);
}

bool invoker_serves(const struct invoker *v, uint64_t revision)
{
    NR_LIST_EACH(&v->containers, l) {
        const struct container *ct = nr_container_of(l, struct container, in_all);

        if (ct->fn && ct->fn->revision == revision && !ct->retired)
            return true;
    }
    return false;
}

static void on_again(struct nr_deadline *d)
{
    look(nr_container_of(d, struct forgetting, again));
}

void invoker_forget_account(struct invoker *v, const char *account, void (*done)(void *arg),
                            void *arg)
{
    struct forgetting *f = nr_alloc(sizeof(*f));

    *f = (struct forgetting){.v = v,
                             .account = nr_strdup(account),
                             .done = done,
                             .arg = arg,
                             .again = {.fire = on_again}};
    nr_list_add(&v->forgettings, &f->link);
    nr_deadline_set(v->loop, &f->again, 0);
}

void forget_stop(struct invoker *v)
{
    NR_LIST_EACH(&v->forgettings, l) {
        struct forgetting *f = nr_container_of(l, struct forgetting, link);

        if (nr_deadline_armed(&f->again))
            forgetting_free(f);
    }
}
