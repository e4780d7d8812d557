/* Room of accepted work: how many calls may wait, and how large the requests of accepted calls may be together, of all accounts and of one.
 *
 *   rows     that are queued, and those on their way to the disk: calls that come at once are held against each other too
 *   bytes    of requests, from the acceptance of a call to its end. Each call counts as if it had its own: those of one fire share
 *            one in memory, but not on the disk. One account may have a quarter, so that it leaves room to the others
 *
 * Work of an earlier run takes its room when it is loaded, and is never refused.
 */
#include "controller/internal.h"

enum { SHARES = 4, RETRY_S = 5 };

static int lack(struct nr_err *err, const char *what, const char *unit, int64_t count,
                int64_t allowed)
{
    return nr_err_set(err, NR_EQUOTA, "%s (%s: %lld, allowed: %lld).", what, unit, (long long)count,
                      (long long)allowed);
}

/* 0, or NR_EQUOTA with the figures. */
static int check(struct controller *c, const char *account, int64_t rows, int64_t bytes,
                 struct nr_err *err)
{
    int64_t waiting = c->rows.queued + c->backlog.rows, all = c->backlog.bytes + bytes,
            of_account = admission_use(c, account)->accepted_bytes + bytes,
            share = c->queue_max_bytes / SHARES;

    if (waiting + rows > c->queue_max)
        return lack(err, "Too many calls of this platform are waiting", "count", waiting + rows,
                    c->queue_max);
    if (of_account > share)
        return lack(err, "The requests of this account's calls that wait are too large together",
                    "bytes", of_account, share);
    if (all > c->queue_max_bytes)
        return lack(err, "The requests of this platform's calls that wait are too large together",
                    "bytes", all, c->queue_max_bytes);
    return 0;
}

static void count_bytes(struct controller *c, struct activation *a, int64_t bytes)
{
    c->backlog.bytes += bytes;
    admission_use(c, a->account->name)->accepted_bytes += bytes;
    a->backlog_bytes += bytes;
}

int backlog_take(struct controller *c, struct activation *a)
{
    struct nr_err why = {0};
    int r = check(c, a->account->name, 1, (int64_t)a->input.n, &why);

    if (r < 0)
        return r;
    a->backlog_row = !a->row_running;
    c->backlog.rows += a->backlog_row;
    count_bytes(c, a, (int64_t)a->input.n);
    return 0;
}

void backlog_load(struct controller *c, struct activation *a)
{
    count_bytes(c, a, (int64_t)a->input.n);
}

void backlog_on_disk(struct controller *c, struct activation *a)
{
    c->backlog.rows -= a->backlog_row;
    a->backlog_row = false;
}

void backlog_give(struct controller *c, struct activation *a)
{
    backlog_on_disk(c, a);
    if (a->backlog_bytes)
        count_bytes(c, a, -a->backlog_bytes);
}

bool backlog_refuse(struct controller *c, struct activation *a, size_t rows, size_t bytes)
{
    struct nr_err why = {0};

    if (check(c, a->account->name, (int64_t)rows, (int64_t)bytes, &why) == 0)
        return false;
    nr_count(&c->m.refused[REFUSED_QUEUE], 1);
    nr_buf_printf(&a->reply_head, "Retry-After: %d\r\n", RETRY_S);
    activation_fail(a, why.code, "%s", why.text);
    return true;
}
