/* Following logs: who hears of the activations that end, and the questions about those that ended before.
 *
 * Live      a follower hangs in the controller's list; C_RECORD tells each whose function it was, with the log still in memory.
 *           Without followers a call pays one comparison of two pointers.
 * Stored    a reader's thread finds the ids first (small, in the order of ends), and reads their logs later a few at a time, as fast
 *           as they are taken: no log is held for somebody who does not read.
 * Bounds    so many followers of an account and in all; each holds a connection and a list of ids.
 */
#include "controller/internal.h"

#define FOLLOWERS_MAX 128
#define FOLLOWERS_OF_ACCOUNT_MAX 16
#define OVERLAP_MS 5000 /* logs may come that much later than the end that the record tells */
/* Records are found by their start, which is at most so long before their end: the longest time limit of a function. */
#define RUN_MAX_MS (3600ll * 1000)
#define ID_BYTES 32

/* account NULL: of all. */
static unsigned count_followers(struct controller *c, const char *account)
{
    unsigned n = 0;

    NR_LIST_EACH(&c->followers, l) {
        const struct log_follower *f = nr_container_of(l, struct log_follower, link);

        n += account == NULL || strcmp(f->account->name, account) == 0;
    }
    return n;
}

int controller_follow(struct controller *c, struct log_follower *f, struct nr_err *err)
{
    unsigned own = count_followers(c, f->account->name), all = count_followers(c, NULL);

    if (own >= FOLLOWERS_OF_ACCOUNT_MAX)
        return nr_err_set(
            err, NR_EQUOTA,
            "Too many readers follow the logs of this account (count: %u, allowed: %d).", own,
            FOLLOWERS_OF_ACCOUNT_MAX);
    if (all >= FOLLOWERS_MAX)
        return nr_err_set(err, NR_EQUOTA,
                          "Too many readers follow logs of this platform (count: %u, allowed: %d).",
                          all, FOLLOWERS_MAX);
    nr_list_add(&c->followers, &f->link);
    return 0;
}

void controller_unfollow(struct controller *c, struct log_follower *f)
{
    nr_list_del(&f->link);
}

static bool is_followed(const struct log_follower *f, const struct activation *a)
{
    return nr_str_eq(f->name, a->name) && nr_str_eq(f->package, a->package) && a->space.n == 0 &&
           strcmp(f->account->name, a->account->name) == 0;
}

void follow_publish(struct controller *c, const struct activation *a)
{
    struct activation_log log = {.id = {a->id, ID_BYTES},
                                 .logs = nr_buf_str(&a->logs),
                                 .start = nr_str_of(start_kind_text(a->start)),
                                 .status = a->outcome.status,
                                 .end_ms = a->end_wall_ms,
                                 .duration_ms = record_duration_ms(a)};

    NR_LIST_EACH(&c->followers, l) {
        struct log_follower *f = nr_container_of(l, struct log_follower, link);

        if (is_followed(f, a))
            f->on_end(f, &log);
    }
}

void follow_metrics(struct controller *c, struct nr_buf *out)
{
    nr_metric_one(out, "narae_log_followers", "gauge", "Connections that follow logs.",
                  count_followers(c, NULL));
}

/* ---- stored logs: which ------------------------------------------------------------------------------------------- */

static struct log_query *query_of(struct nr_db_job *job)
{
    return nr_container_of(nr_container_of(job, struct activation_query, job), struct log_query, q);
}

struct ended {
    int64_t end_ms, seq;
    char id[ID_BYTES];
};

static int by_end(const void *a, const void *b)
{
    const struct ended *x = a, *y = b;

    if (x->end_ms != y->end_ms)
        return x->end_ms < y->end_ms ? -1 : 1;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

/* When the last activation that the reader has ended, less the overlap; 0: it is not known any more. */
static int64_t end_of_last(sqlite3 *db, const struct log_query *l)
{
    sqlite3_stmt *s =
        nr_db_prepare(db, "SELECT end_ms FROM calls WHERE id=? AND account=? AND state=2");

    if (s == NULL || l->after_id.n == 0)
        return 0;
    nr_db_bind_text(s, 1, l->after_id);
    nr_db_bind_text(s, 2, nr_str_of(l->q.account->name));
    int64_t end_ms = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;

    (void)sqlite3_reset(s);
    return end_ms > OVERLAP_MS ? end_ms - OVERLAP_MS : 0;
}

#define ENDED_FILTER                                                                               \
    " FROM calls WHERE account=?1 AND state=2 AND start_ms>=?2 AND end_ms>=?3 AND name=?4"         \
    " AND package=?5 AND id<>?6 AND kind=0 AND space=''"

static void bind_ended(sqlite3_stmt *s, const struct log_query *l, int64_t ended_since_ms)
{
    nr_db_bind_text(s, 1, nr_str_of(l->q.account->name));
    sqlite3_bind_int64(s, 2, ended_since_ms - RUN_MAX_MS);
    sqlite3_bind_int64(s, 3, ended_since_ms);
    nr_db_bind_text(s, 4, l->q.name);
    nr_db_bind_text(s, 5, l->q.package.n ? l->q.package : NR_STR(""));
    nr_db_bind_text(s, 6, l->after_id.n ? l->after_id : NR_STR(""));
}

static int count_ended(sqlite3 *db, const struct log_query *l, int64_t ended_since_ms, int64_t *ret)
{
    sqlite3_stmt *s = nr_db_prepare(db, "SELECT count(*)" ENDED_FILTER);

    if (s == NULL)
        return NR_EIO;
    bind_ended(s, l, ended_since_ms);
    int r = sqlite3_step(s);

    if (r != SQLITE_ROW)
        return nr_db_err(r);
    *ret = sqlite3_column_int64(s, 0);
    (void)sqlite3_reset(s);
    return 0;
}

/* The newest by their start, put in the order of their ends. */
static int collect(sqlite3 *db, struct log_query *l, int64_t ended_since_ms, struct ended *rows,
                   int *ret_count)
{
    sqlite3_stmt *s = nr_db_prepare(db, "SELECT id,end_ms,seq" ENDED_FILTER
                                        " ORDER BY start_ms DESC, seq DESC LIMIT ?7");
    int r, n = 0;

    if (s == NULL)
        return NR_EIO;
    bind_ended(s, l, ended_since_ms);
    sqlite3_bind_int(s, 7, l->q.limit);
    while ((r = sqlite3_step(s)) == SQLITE_ROW) {
        struct nr_str id = nr_db_column(s, 0);

        if (id.n != ID_BYTES)
            continue;
        memcpy(rows[n].id, id.p, ID_BYTES);
        rows[n].end_ms = sqlite3_column_int64(s, 1);
        rows[n++].seq = sqlite3_column_int64(s, 2);
    }
    qsort(rows, (size_t)n, sizeof(*rows), by_end);
    *ret_count = n;
    return r == SQLITE_DONE ? 0 : nr_db_err(r);
}

int follow_ids_run(sqlite3 *db, struct nr_db_job *job)
{
    struct log_query *l = query_of(job);
    int64_t last_ms = end_of_last(db, l), since_ms = l->ended_since_ms, all = 0;
    int n = 0, r = 0;

    if (l->q.limit == 0)
        return 0;
    since_ms = last_ms > since_ms ? last_ms : since_ms;
    nr_auto_free struct ended *rows = nr_try_alloc((size_t)l->q.limit * sizeof(*rows));
    if (rows == NULL)
        return NR_ENOMEM;
    if ((r = collect(db, l, since_ms, rows, &n)) != 0)
        return r;
    if (last_ms > 0 && n == l->q.limit && (r = count_ended(db, l, since_ms, &all)) == 0)
        l->left_out = all - n;
    for (int i = 0; i < n; i++)
        nr_buf_add(&l->q.reply, rows[i].id, ID_BYTES);
    return r != 0 ? r : l->q.reply.failed ? NR_ENOMEM : 0;
}

/* ---- stored logs: what they say ------------------------------------------------------------------------------------ */

/* The value of an annotation whose value is a text without escapes; {NULL, 0} when it is not there. Names and texts of tenants are
 * escaped in `annotations`, so none of them can look like a key. */
static struct nr_str annotation(struct nr_str annotations, const char *key)
{
    char begin[64];
    int n = snprintf(begin, sizeof(begin), "\"key\":\"%s\",\"value\":\"", key);
    const char *at = annotations.n ? memmem(annotations.p, annotations.n, begin, (size_t)n) : NULL;
    const char *end = annotations.p + annotations.n, *close;

    if (at == NULL)
        return (struct nr_str){NULL, 0};
    at += n;
    close = memchr(at, '"', (size_t)(end - at));
    return close ? (struct nr_str){at, (size_t)(close - at)} : (struct nr_str){NULL, 0};
}

/* Rows of earlier releases tell only which starts were cold. */
static struct nr_str start_of(struct nr_str annotations)
{
    struct nr_str start = annotation(annotations, "narae.start");

    if (start.n > 0)
        return start;
    return annotation(annotations, "narae.cold").n > 0 ? NR_STR("cold") : NR_STR("warm");
}

static int read_one(sqlite3 *db, struct log_query *l, struct nr_str id)
{
    sqlite3_stmt *s =
        nr_db_prepare(db, "SELECT logs,annotations,status,end_ms,duration_ms FROM calls"
                          " WHERE id=? AND account=? AND state=2");

    if (s == NULL)
        return NR_EIO;
    nr_db_bind_text(s, 1, id);
    nr_db_bind_text(s, 2, nr_str_of(l->q.account->name));
    int r = sqlite3_step(s);

    if (r != SQLITE_ROW) {
        l->missing += r == SQLITE_DONE;
        return r == SQLITE_DONE ? 0 : nr_db_err(r);
    }
    struct activation_log log = {.id = id,
                                 .logs = nr_db_column(s, 0),
                                 .start = start_of(nr_db_column(s, 1)),
                                 .status = (enum outcome_status)sqlite3_column_int(s, 2),
                                 .end_ms = sqlite3_column_int64(s, 3),
                                 .duration_ms = sqlite3_column_int64(s, 4)};

    l->write(&l->q.reply, &log);
    (void)sqlite3_reset(s);
    return l->q.reply.failed ? NR_ENOMEM : 0;
}

int follow_read_run(sqlite3 *db, struct nr_db_job *job)
{
    struct log_query *l = query_of(job);
    int r = 0;

    while (r == 0 && (size_t)l->read * ID_BYTES < l->ids.n && l->q.reply.n < l->max_bytes) {
        r = read_one(db, l, (struct nr_str){l->ids.p + (size_t)l->read * ID_BYTES, ID_BYTES});
        l->read++;
    }
    return r;
}
