/* Questions about past calls. An activation that was answered is found at once: a question first waits until the rows of all calls
 * answered before it are on disk (they are batched for 5 ms), then a reader's thread looks them up. Running calls have no record yet.
 */
#include "controller/internal.h"

#include "common/base/clock.h"

#define LIST_MAX 200
#define REPLY_MAX_BYTES (64u << 20)

static struct activation_query *query_of(struct nr_db_job *job)
{
    return nr_container_of(job, struct activation_query, job);
}

#define COLUMNS                                                                                    \
    "account,name,version,id,cause,result,logs,annotations,start_ms,end_ms,duration_ms,status,kind"

static struct record row_record(sqlite3_stmt *s)
{
    return (struct record){.account = nr_db_column(s, 0),
                           .name = nr_db_column(s, 1),
                           .version = nr_db_column(s, 2),
                           .id = nr_db_column(s, 3),
                           .cause = nr_db_column(s, 4),
                           .result = nr_db_column(s, 5),
                           .logs = nr_db_column(s, 6),
                           .annotations = nr_db_column(s, 7),
                           .start_ms = sqlite3_column_int64(s, 8),
                           .end_ms = sqlite3_column_int64(s, 9),
                           .duration_ms = sqlite3_column_int64(s, 10),
                           .status = sqlite3_column_int(s, 11),
                           .kind = (enum activation_kind)sqlite3_column_int(s, 12)};
}

static int one_run(sqlite3 *db, struct nr_db_job *job)
{
    struct activation_query *q = query_of(job);
    sqlite3_stmt *s =
        nr_db_prepare(db, "SELECT " COLUMNS " FROM calls WHERE id=? AND account=? AND state=2");

    if (s == NULL)
        return NR_EIO;
    nr_db_bind_text(s, 1, q->id);
    nr_db_bind_text(s, 2, nr_str_of(q->account->name));
    int r = sqlite3_step(s);
    if (r != SQLITE_ROW)
        return r == SQLITE_DONE ? NR_ENOENT : nr_db_err(r);
    struct record rec = row_record(s);

    switch (q->op) {
    case QUERY_LOGS: record_write_logs(&q->reply, &rec); break;
    case QUERY_RESULT: record_write_result(&q->reply, &rec); break;
    default: record_write(&q->reply, &rec, true); break;
    }
    return q->reply.failed ? NR_ENOMEM : 0;
}

#define FILTER                                                                                     \
    " FROM calls WHERE account=?1 AND state=2 AND start_ms BETWEEN ?2 AND ?3"                      \
    " AND (?4='' OR (name=?4 AND package=?5))"

static void bind_filter(sqlite3_stmt *s, const struct activation_query *q)
{
    nr_db_bind_text(s, 1, nr_str_of(q->account->name));
    sqlite3_bind_int64(s, 2, q->since_ms);
    sqlite3_bind_int64(s, 3, q->upto_ms);
    nr_db_bind_text(s, 4, q->name.n ? q->name : NR_STR(""));
    nr_db_bind_text(s, 5, q->package.n ? q->package : NR_STR(""));
}

static int count_run(sqlite3 *db, struct nr_db_job *job)
{
    struct activation_query *q = query_of(job);
    sqlite3_stmt *s = nr_db_prepare(db, "SELECT count(*)" FILTER);

    if (s == NULL)
        return NR_EIO;
    bind_filter(s, q);
    if (sqlite3_step(s) != SQLITE_ROW)
        return NR_EIO;
    int64_t n = sqlite3_column_int64(s, 0) - q->skip;

    nr_buf_adds(&q->reply, "{\"activations\":");
    nr_buf_addi(&q->reply, n > 0 ? n : 0);
    nr_buf_addc(&q->reply, '}');
    return 0;
}

static int list_run(sqlite3 *db, struct nr_db_job *job)
{
    struct activation_query *q = query_of(job);
    sqlite3_stmt *s = nr_db_prepare(db, "SELECT " COLUMNS FILTER
                                        " ORDER BY start_ms DESC, seq DESC LIMIT ?6 OFFSET ?7");
    int r;

    if (s == NULL)
        return NR_EIO;
    bind_filter(s, q);
    sqlite3_bind_int(s, 6, q->limit ? q->limit : LIST_MAX);
    sqlite3_bind_int(s, 7, q->skip);
    nr_buf_addc(&q->reply, '[');
    while ((r = sqlite3_step(s)) == SQLITE_ROW && !q->reply.failed) {
        struct record rec = row_record(s);

        if (q->reply.n > 1)
            nr_buf_addc(&q->reply, ',');
        if (q->docs)
            record_write(&q->reply, &rec, true);
        else
            record_write_brief(&q->reply, &rec);
    }
    nr_buf_addc(&q->reply, ']');
    return q->reply.failed ? NR_ETOOBIG : r != SQLITE_DONE ? nr_db_err(r) : 0;
}

static void on_looked_up(struct nr_db_job *job)
{
    struct activation_query *q = query_of(job);

    if (job->status == NR_ENOENT)
        nr_err_set(&q->err, NR_ENOENT, "The requested resource does not exist.");
    else if (job->status == NR_ETOOBIG)
        nr_err_set(
            &q->err, NR_ETOOBIG,
            "The records are larger than one answer may be: more than %u bytes; ask for fewer "
            "of them with 'limit'.",
            REPLY_MAX_BYTES);
    else if (job->status != 0)
        nr_err_set(&q->err, job->status, "The records cannot be read: %s.",
                   nr_err_text(job->status));
    q->done(q);
}

static void look_up(struct activation_query *q)
{
    static int (*const runs[])(sqlite3 *, struct nr_db_job *) = {
        [QUERY_LIST] = list_run,          [QUERY_GET] = one_run,
        [QUERY_LOGS] = one_run,           [QUERY_RESULT] = one_run,
        [QUERY_LOG_IDS] = follow_ids_run, [QUERY_LOG_READ] = follow_read_run};

    q->job = (struct nr_db_job){
        .run = q->count ? count_run : runs[q->op], .done = on_looked_up, .loop = q->ctl->loop};
    nr_db_read(q->ctl->db, &q->job);
}

/* The oldest answered call whose row is not on disk yet was answered after the question: everything asked for is there. */
static bool may_ask(const struct activation_query *q)
{
    const struct controller *c = q->ctl;

    return nr_list_empty(&c->answered) ||
           nr_container_of(c->answered.next, struct activation, queue)->answered_us > q->asked_us;
}

void query_wake(struct controller *c)
{
    NR_LIST_EACH(&c->asking, l) {
        struct activation_query *q = nr_container_of(l, struct activation_query, link);

        if (!may_ask(q))
            return;
        nr_list_del(l);
        look_up(q);
    }
}

void controller_ask(struct controller *c, struct activation_query *q)
{
    q->ctl = c;
    q->asked_us = nr_mono_us();
    nr_buf_init(&q->reply, REPLY_MAX_BYTES);
    if (may_ask(q))
        look_up(q);
    else
        nr_list_add(&c->asking, &q->link);
}
