/* What is kept of an account's calls goes with it: when its last call has ended and its row is on disk, its records are removed, few in a
 * transaction. So nobody who gets the name later finds anything of those before him.
 */
#include "controller/internal.h"

#define LOOK_AGAIN_MS 50
#define TRY_AGAIN_MS 1000
#define ROWS_AT_ONCE 500

struct forgetting {
    struct nr_link link; /* in c->forgettings */
    struct controller *ctl;
    char *account;
    void (*done)(void *arg);
    void *arg;
    struct nr_deadline again;
    struct nr_db_job job;
    int left, removed; /* of the job: rows of calls that have not ended; records that it removed */
};

static bool runs_any(const struct controller *c, const char *account)
{
    NR_LIST_EACH(&c->all, l)
        if (strcmp(nr_container_of(l, struct activation, in_account)->account->name, account) == 0)
            return true;
    return false;
}

/* Accepted calls of an earlier run that are not loaded yet have rows only. */
static int open_rows(sqlite3 *db, const char *account, int *ret)
{
    sqlite3_stmt *s =
        nr_db_prepare(db, "SELECT count(*) FROM calls WHERE state < 2 AND account = ?");
    int r;

    if (s == NULL)
        return NR_EIO;
    nr_db_bind_text(s, 1, nr_str_of(account));
    if ((r = journal_step(s)) == 0)
        *ret = sqlite3_column_int(s, 0);
    (void)sqlite3_reset(s);
    return r;
}

static int forget_run(sqlite3 *db, struct nr_db_job *job)
{
    struct forgetting *f = nr_container_of(job, struct forgetting, job);
    sqlite3_stmt *s = nr_db_prepare(db, "DELETE FROM calls WHERE seq IN (SELECT seq FROM calls"
                                        " WHERE account = ? AND state = 2 LIMIT ?)");
    int r = open_rows(db, f->account, &f->left);

    if (r < 0 || f->left > 0)
        return r;
    if (s == NULL)
        return NR_EIO;
    nr_db_bind_text(s, 1, nr_str_of(f->account));
    sqlite3_bind_int(s, 2, ROWS_AT_ONCE);
    r = journal_step(s);
    f->removed = r == 0 ? sqlite3_changes(db) : 0;
    return r;
}

static void end(struct forgetting *f)
{
    void (*done)(void *) = f->done;
    void *arg = f->arg;

    nr_deadline_cancel(&f->again);
    nr_list_del(&f->link);
    free(f->account);
    free(f);
    done(arg);
}

static void look(struct forgetting *f);

static void on_again(struct nr_deadline *d)
{
    look(nr_container_of(d, struct forgetting, again));
}

static void on_forgot(struct nr_db_job *job)
{
    struct forgetting *f = nr_container_of(job, struct forgetting, job);

    if (f->ctl->closed || (job->status == 0 && f->left == 0 && f->removed < ROWS_AT_ONCE))
        end(f);
    else if (job->status == 0 && f->left == 0)
        look(f);
    else
        nr_deadline_set(f->ctl->loop, &f->again, TRY_AGAIN_MS);
}

static void look(struct forgetting *f)
{
    struct controller *c = f->ctl;

    if (runs_any(c, f->account)) {
        nr_deadline_set(c->loop, &f->again, LOOK_AGAIN_MS);
        return;
    }
    resolve_forget_account(c, f->account); /* its last calls have asked what they asked */
    counts_forget(&c->counts, f->account);
    f->left = f->removed = 0;
    f->job = (struct nr_db_job){.run = forget_run, .done = on_forgot, .loop = c->loop};
    nr_db_write(c->db, &f->job);
}

void controller_forget_account(struct controller *c, const char *account, void (*done)(void *arg),
                               void *arg)
{
    struct forgetting *f = nr_alloc(sizeof(*f));

    f->ctl = c;
    f->account = nr_strdup(account);
    f->done = done;
    f->arg = arg;
    f->again.fire = on_again;
    nr_list_push(&c->forgettings, &f->link);
    triggers_forget(c, account, NULL);
    look(f);
}

void forget_fini(struct controller *c)
{
    while (!nr_list_empty(&c->forgettings))
        end(nr_container_of(c->forgettings.next, struct forgetting, link));
}
