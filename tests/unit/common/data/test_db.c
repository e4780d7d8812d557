/* Jobs that wait and jobs with a loop, savepoints, group commit, readers, migration, damage, full disks, failed commits, closing. */
#include "../base/check.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/data/db.h"

static char root[64], path[128];

static int make_root(void **state)
{
    (void)snprintf(root, sizeof(root), "/tmp/narae-db-XXXXXX");
    if (mkdtemp(root) == NULL)
        return -1;
    (void)snprintf(path, sizeof(path), "%s/t.db", root);
    return 0;
}

static int remove_root(void **state)
{
    return nr_dir_remove(root, NULL);
}

static const char *const steps[] = {
    "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE, bytes BLOB)", NULL};

static struct nr_db *open_steps(const char *const *list)
{
    struct nr_db_config c = {
        .path = path, .steps = list, .page_bytes = 4096, .readers = 2, .busy_timeout_ms = 2000};
    struct nr_err err = {0};
    struct nr_db *d = NULL;

    assert_ok(nr_db_open(&c, &d, &err), &err);
    return d;
}

/* A job that inserts a row and one that counts them. */
struct job {
    struct nr_db_job job;
    int64_t number;
    int fail; /* returned after the insert */
    struct nr_str name;
    sem_t *inside, *go_on;
    int done;
};

static struct job *job_of(struct nr_db_job *j)
{
    return nr_container_of(j, struct job, job);
}

static int run_insert(sqlite3 *db, struct nr_db_job *job)
{
    struct job *j = job_of(job);
    sqlite3_stmt *s = nr_db_prepare(db, "INSERT INTO t (id, name, bytes) VALUES (?1, ?2, ?3)");

    if (s == NULL)
        return NR_EINTERNAL;
    if (j->inside) {
        (void)sem_post(j->inside);
        while (sem_wait(j->go_on) != 0)
            continue;
    }
    (void)sqlite3_bind_int64(s, 1, j->number);
    nr_db_bind_text(s, 2, j->name);
    nr_db_bind_blob(s, 3, NR_STR("a\0b"));
    int r = nr_db_err(sqlite3_step(s));

    return r < 0 ? r : j->fail;
}

static int run_count(sqlite3 *db, struct nr_db_job *job)
{
    sqlite3_stmt *s = nr_db_prepare(db, "SELECT count(*) FROM t");

    if (s == NULL || sqlite3_step(s) != SQLITE_ROW)
        return NR_EINTERNAL;
    job_of(job)->number = sqlite3_column_int64(s, 0);
    return 0;
}

static int insert(struct nr_db *d, int64_t id)
{
    struct job j = {.job.run = run_insert, .number = id};

    return nr_db_write_wait(d, &j.job);
}

static int64_t count(struct nr_db *d)
{
    struct job j = {.job.run = run_count};

    assert_int_equal(nr_db_read_wait(d, &j.job), 0);
    return j.number;
}

static void test_write_then_read(void **state)
{
    struct nr_db *d = open_steps(steps);

    for (int i = 1; i <= 50; i++) {
        assert_int_equal(insert(d, i), 0);
        assert_int_equal(count(d), i);
    }
    struct nr_db_stats s = nr_db_stats(d);

    assert_int_equal(s.jobs, 100);
    assert_int_equal(s.commits, 50);
    assert_int_equal(s.failed_commits, 0);
    assert_int_equal(s.queued, 0);
    nr_db_close(d);
    d = open_steps(steps);
    assert_int_equal(count(d), 50);
    nr_db_close(d);
    nr_db_close(NULL);
    struct stat st;
    char wal[160];

    (void)snprintf(wal, sizeof(wal), "%s-wal", path);
    assert_int_not_equal(stat(wal, &st), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static int run_values(sqlite3 *db, struct nr_db_job *job)
{
    sqlite3_stmt *s =
        nr_db_prepare(db, "SELECT name, bytes, NULL, '', zeroblob(0), 42 FROM t WHERE id = ?1");

    (void)sqlite3_bind_int64(s, 1, job_of(job)->number);
    if (sqlite3_step(s) != SQLITE_ROW)
        return NR_ENOENT;
    assert_str_is(nr_db_column(s, 0), "caf\xC3\xA9");
    assert_int_equal(nr_db_column(s, 1).n, 3);
    assert_memory_equal(nr_db_column(s, 1).p, "a\0b", 3);
    assert_null(nr_db_column(s, 2).p);
    assert_str_is(nr_db_column(s, 3), "");
    assert_str_is(nr_db_column(s, 4), "");
    assert_str_is(nr_db_column(s, 5), "42");
    /* The same literal again is the same statement, reset and without its values. */
    sqlite3_stmt *again =
        nr_db_prepare(db, "SELECT name, bytes, NULL, '', zeroblob(0), 42 FROM t WHERE id = ?1");

    assert_int_equal(sqlite3_step(again), SQLITE_DONE);
    assert_null(nr_db_prepare(db, "no such words"));
    return 0;
}

static void test_values(void **state)
{
    struct nr_db *d = open_steps(steps);
    struct job in = {.job.run = run_insert, .number = 1, .name = NR_STR("caf\xC3\xA9")},
               out = {.job.run = run_values, .number = 1};
    struct job none = {.job.run = run_values, .number = 2};

    assert_int_equal(nr_db_write_wait(d, &in.job), 0);
    assert_int_equal(nr_db_read_wait(d, &out.job), 0);
    assert_int_equal(nr_db_read_wait(d, &none.job), NR_ENOENT);
    nr_db_close(d);
}

static void test_reader_cannot_write(void **state)
{
    struct nr_db *d = open_steps(steps);
    struct job j = {.job.run = run_insert, .number = 1};

    assert_int_equal(nr_db_read_wait(d, &j.job), NR_EIO);
    assert_int_equal(count(d), 0);
    nr_db_close(d);
}

/* Holds the writer inside a job, so that what is posted meanwhile forms one batch. */
struct hold {
    struct job j;
    sem_t inside, go_on;
};

static void hold_writer(struct nr_db *d, struct hold *h, int64_t id)
{
    *h = (struct hold){.j = {.job.run = run_insert, .number = id}};
    assert_int_equal(sem_init(&h->inside, 0, 0) | sem_init(&h->go_on, 0, 0), 0);
    h->j.inside = &h->inside;
    h->j.go_on = &h->go_on;
    nr_db_write(d, &h->j.job);
    while (sem_wait(&h->inside) != 0)
        continue;
}

static void release_writer(struct hold *h)
{
    (void)sem_post(&h->go_on);
}

static void test_group_commit_and_savepoints(void **state)
{
    enum { COUNT = 100 };
    struct nr_db *d = open_steps(steps);
    struct hold h;
    struct job jobs[COUNT] = {0}, last = {.job.run = run_insert, .number = 5000};

    hold_writer(d, &h, 1000);
    for (int i = 0; i < COUNT; i++) {
        jobs[i] =
            (struct job){.job.run = run_insert, .number = i, .fail = i % 10 == 3 ? NR_EQUOTA : 0};
        if (i % 10 == 7)
            jobs[i].number = 1000; /* there already */
        nr_db_write(d, &jobs[i].job);
    }
    assert_int_equal(nr_db_stats(d).queued, COUNT);
    release_writer(&h);
    assert_int_equal(nr_db_write_wait(d, &last.job), 0);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(jobs[i].job.status, i % 10 == 3 ? NR_EQUOTA : i % 10 == 7 ? NR_EEXIST : 0);
    assert_int_equal(count(d), 80 + 2);
    assert_in_range(nr_db_stats(d).commits, 1, 2);
    nr_db_close(d);
}

static void test_batches_end_at_256(void **state)
{
    enum { COUNT = 600 };
    struct nr_db *d = open_steps(steps);
    struct job *jobs = nr_alloc(COUNT * sizeof(*jobs));
    struct hold h;

    hold_writer(d, &h, 1000);
    for (int i = 0; i < COUNT; i++) {
        jobs[i] = (struct job){.job.run = run_insert, .number = i};
        nr_db_write(d, &jobs[i].job);
    }
    release_writer(&h);
    nr_db_close(d);
    d = open_steps(steps);
    assert_int_equal(count(d), COUNT + 1);
    nr_db_close(d);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(jobs[i].job.status, 0);
    free(jobs);
}

struct looped {
    struct job j;
    struct nr_loop *loop;
    int *left;
    pthread_t thread;
};

static void on_done(struct nr_db_job *job)
{
    struct job *j = job_of(job);
    struct looped *l = nr_container_of(j, struct looped, j);

    j->done++;
    assert_true(pthread_equal(pthread_self(), l->thread));
    --*l->left;
}

/* The loop's thread posts, and is called back, while it runs. Lazy jobs come through too. */
static void test_loop(void **state)
{
    enum { COUNT = 40 };
    struct nr_db *d = open_steps(steps);
    struct nr_loop loop;
    struct nr_err err = {0};
    struct looped jobs[COUNT];
    int left = COUNT;

    assert_ok(nr_loop_init(&loop, &err), &err);
    for (int i = 0; i < COUNT; i++) {
        jobs[i] = (struct looped){
            .j = {.job = {.run = run_insert, .done = on_done, .loop = &loop, .lazy = i % 4 != 0},
                  .number = i},
            .left = &left,
            .thread = pthread_self()};
        nr_db_write(d, &jobs[i].j.job);
    }
    while (left)
        (void)uv_run(&loop.uv, UV_RUN_ONCE);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(jobs[i].j.done, 1);
        assert_int_equal(jobs[i].j.job.status, 0);
    }
    assert_int_equal(count(d), COUNT);
    left = COUNT;
    for (int i = 0; i < COUNT; i++) {
        jobs[i].j = (struct job){.job = {.run = run_count, .done = on_done, .loop = &loop}};
        nr_db_read(d, &jobs[i].j.job);
    }
    while (left)
        (void)uv_run(&loop.uv, UV_RUN_ONCE);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(jobs[i].j.number, COUNT);
    nr_db_close(d);
    assert_int_equal(nr_loop_fini(&loop), 0);
}

static void test_only_lazy_jobs_finish_too(void **state)
{
    struct nr_db *d = open_steps(steps);

    for (int i = 0; i < 3; i++) {
        struct job j = {.job = {.run = run_insert, .lazy = true}, .number = i};

        assert_int_equal(nr_db_write_wait(d, &j.job), 0);
    }
    assert_int_equal(count(d), 3);
    nr_db_close(d);
}

static void on_done_chain(struct nr_db_job *job)
{
    struct job *j = job_of(job);

    j->done++;
    if (j->go_on)
        (void)sem_post(j->go_on);
}

static void test_done_without_loop(void **state)
{
    struct nr_db *d = open_steps(steps);
    sem_t done;
    struct job w = {.job = {.run = run_insert, .done = on_done_chain}, .number = 1, .go_on = &done};
    struct job r = {.job = {.run = run_count, .done = on_done_chain}, .go_on = &done};

    assert_int_equal(sem_init(&done, 0, 0), 0);
    nr_db_write(d, &w.job);
    assert_int_equal(sem_wait(&done), 0);
    nr_db_read(d, &r.job);
    assert_int_equal(sem_wait(&done), 0);
    assert_int_equal(r.number, 1);
    nr_db_close(d);
}

struct poster {
    struct nr_db *d;
    int first;
    pthread_t thread;
};

static void *post_many(void *poster)
{
    struct poster *p = poster;

    for (int i = 0; i < 100; i++) {
        assert_int_equal(insert(p->d, p->first + i), 0);
        assert_true(count(p->d) > i);
    }
    return NULL;
}

static void test_many_threads(void **state)
{
    struct nr_db *d = open_steps(steps);
    struct poster posters[8];

    for (int i = 0; i < 8; i++) {
        posters[i] = (struct poster){.d = d, .first = i * 100};
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_many, &posters[i]), 0);
    }
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_join(posters[i].thread, NULL), 0);
    assert_int_equal(count(d), 800);
    assert_true(nr_db_stats(d).commits <= 800);
    nr_db_close(d);
}

/* ---- opening ---- */

static int run_version(sqlite3 *db, struct nr_db_job *job)
{
    sqlite3_stmt *s = nr_db_prepare(db, "PRAGMA user_version");

    if (s == NULL || sqlite3_step(s) != SQLITE_ROW)
        return NR_EINTERNAL;
    job_of(job)->number = sqlite3_column_int64(s, 0);
    return 0;
}

static int64_t version(struct nr_db *d)
{
    struct job j = {.job.run = run_version};

    assert_int_equal(nr_db_read_wait(d, &j.job), 0);
    return j.number;
}

static int try_open(const char *const *list, struct nr_err *err)
{
    struct nr_db_config c = {.path = path, .steps = list, .page_bytes = 4096, .readers = 1};
    struct nr_db *d = NULL;
    int r = nr_db_open(&c, &d, err);

    assert_true((r == 0) == (d != NULL));
    nr_db_close(d);
    return r;
}

static void test_migration(void **state)
{
    static const char *const two[] = {"CREATE TABLE t (id INTEGER PRIMARY KEY)",
                                      "ALTER TABLE t ADD COLUMN name TEXT DEFAULT 'x'", NULL};
    static const char *const one[] = {"CREATE TABLE t (id INTEGER PRIMARY KEY)", NULL};
    static const char *const none[] = {NULL};
    static const char *const broken[] = {
        "CREATE TABLE t (id INTEGER PRIMARY KEY)", "ALTER TABLE t ADD COLUMN name TEXT DEFAULT 'x'",
        "CREATE TABLE u (id INTEGER); ALTER TABLE nothing ADD COLUMN x", NULL};
    struct nr_err err = {0}, err2 = {0};
    struct nr_db *d = open_steps(one);

    assert_int_equal(version(d), 1);
    nr_db_close(d);
    d = open_steps(two);
    assert_int_equal(version(d), 2);
    nr_db_close(d);
    d = open_steps(one); /* one step newer than we know is fine */
    assert_int_equal(version(d), 2);
    nr_db_close(d);
    assert_int_equal(try_open(none, &err), NR_EINVAL);
    assert_says(&err, path);
    assert_says(&err, "version 2");
    assert_int_not_equal(try_open(broken, &err2), 0);
    assert_says(&err2, "step 3");
    assert_says(&err2, "nothing");
    d = open_steps(two); /* and nothing of the broken step is there */
    assert_int_equal(version(d), 2);
    nr_db_close(d);
}

static void scribble(off_t at, size_t n, int c)
{
    nr_auto_close int fd = open(path, O_WRONLY | O_CLOEXEC);
    nr_auto_free char *bytes = nr_alloc(n);

    assert_true(fd >= 0);
    memset(bytes, c, n);
    assert_int_equal(pwrite(fd, bytes, n, at), n);
}

static void assert_damaged(void)
{
    struct nr_err err = {0};

    assert_int_equal(try_open(steps, &err), NR_ECORRUPT);
    assert_says(&err, path);
    assert_says(&err, "damaged");
    assert_says(&err, "move it away");
    assert_null(strchr(err.text, '\n'));
}

static void test_damage(void **state)
{
    struct nr_db *d = open_steps(steps);

    for (int i = 0; i < 300; i++)
        assert_int_equal(insert(d, i), 0);
    nr_db_close(d);
    scribble(2 * 4096, 4096, 0xA5); /* a page of the table */
    assert_damaged();
    scribble(0, 100, 'x'); /* the header */
    assert_damaged();
    assert_int_equal(truncate(path, 50), 0);
    assert_damaged();
}

static void test_unopenable(void **state)
{
    struct nr_err err = {0}, err2 = {0};
    struct nr_db_config c = {.path = root, .steps = steps, .readers = 1},
                        absent = {.path = "/nowhere/t.db", .steps = steps};
    struct nr_db *d = NULL;

    assert_int_not_equal(nr_db_open(&c, &d, &err), 0);
    assert_says(&err, root);
    assert_int_equal(nr_db_open(&absent, &d, &err2), NR_ENOENT);
    assert_says(&err2, "/nowhere/t.db");
    assert_null(d);
}

/* A process that is killed with rows in the log: they are there afterwards. */
static void test_killed_process_loses_nothing(void **state)
{
    pid_t child = fork();

    if (child == 0) {
        struct nr_db *d = open_steps(steps);

        for (int i = 0; i < 20; i++)
            if (insert(d, i) != 0)
                _exit(1);
        (void)kill(getpid(), SIGKILL);
        _exit(2);
    }
    int status = 0;

    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    struct nr_db *d = open_steps(steps);

    assert_int_equal(count(d), 20);
    nr_db_close(d);
}

/* ---- failures of the disk ---- */

static int run_big(sqlite3 *db, struct nr_db_job *job)
{
    sqlite3_stmt *s = nr_db_prepare(db, "INSERT INTO t (id, bytes) VALUES (?1, randomblob(20000))");

    (void)sqlite3_bind_int64(s, 1, job_of(job)->number);
    return nr_db_err(sqlite3_step(s));
}

static int insert_big(struct nr_db *d, int64_t id)
{
    struct job j = {.job.run = run_big, .number = id};

    return nr_db_write_wait(d, &j.job);
}

static void set_file_limit(rlim_t bytes)
{
    struct rlimit l;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &l), 0);
    l.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
}

/* Writes beyond a size fail with EFBIG, which sqlite reports as an I/O error at the commit. */
static void test_failed_commit_gives_all_jobs_the_error(void **state)
{
    enum { COUNT = 20 };
    struct nr_db *d = open_steps(steps);
    struct job jobs[COUNT];
    struct hold h;
    sem_t done;

    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(insert(d, 5000), 0);
    hold_writer(d, &h, 1000);
    for (int i = 0; i < COUNT; i++) {
        jobs[i] =
            (struct job){.job.run = i == 4 ? run_insert : run_big, .number = i == 4 ? 5000 : i};
        nr_db_write(d, &jobs[i].job);
    }
    jobs[COUNT - 1].job.done = on_done_chain;
    jobs[COUNT - 1].go_on = &done;
    assert_int_equal(sem_init(&done, 0, 0), 0);
    set_file_limit(40000);
    release_writer(&h);
    assert_int_equal(sem_wait(&done), 0);
    set_file_limit(RLIM_INFINITY);
    assert_int_equal(h.j.job.status, NR_EIO);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(jobs[i].job.status, i == 4 ? NR_EEXIST : NR_EIO);
    assert_int_equal(nr_db_stats(d).failed_commits, 1);
    /* The next job finds a new connection. */
    assert_int_equal(insert(d, 7000), 0);
    assert_int_equal(count(d), 2);
    nr_db_close(d);
    d = open_steps(steps);
    assert_int_equal(count(d), 2);
    nr_db_close(d);
}

/* In a mount namespace of its own: a file system of 1 MiB. 77: not permitted here. */
static int full_disk_child(void)
{
    int r = 0, rows = 0;

    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("narae-test", root, "tmpfs", 0, "size=1m") != 0)
        return 77;
    struct nr_db *d = open_steps(steps);

    while (r == 0 && rows < 1000) {
        r = insert_big(d, rows);
        rows += r == 0;
    }
    if (r != NR_ENOSPC)
        return 1;
    if (insert_big(d, 1000) != NR_ENOSPC || count(d) != rows)
        return 2;
    if (mount("narae-test", root, "tmpfs", MS_REMOUNT, "size=8m") != 0)
        return 3;
    if (insert_big(d, 1001) != 0 || count(d) != rows + 1)
        return 4;
    nr_db_close(d);
    d = open_steps(steps);
    if (count(d) != rows + 1)
        return 5;
    nr_db_close(d);
    return 0;
}

static void test_full_disk(void **state)
{
    pid_t child = fork();
    int status = 0;

    if (child == 0)
        _exit(full_disk_child());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- the log and closing ---- */

static off_t log_bytes(void)
{
    char wal[160];
    struct stat st;

    (void)snprintf(wal, sizeof(wal), "%s-wal", path);
    return stat(wal, &st) == 0 ? st.st_size : 0;
}

static void test_log_is_bounded(void **state)
{
    struct nr_db *d = open_steps(steps);

    for (int i = 0; i < 1000; i++)
        assert_int_equal(insert_big(d, i), 0);
    assert_in_range(log_bytes(), 1, 6 << 20);
    nr_db_close(d);
    assert_int_equal(log_bytes(), 0);
}

static void test_close_finishes_what_is_queued(void **state)
{
    enum { COUNT = 50 };
    struct nr_db *d = open_steps(steps);
    struct job jobs[COUNT];
    struct hold h;

    hold_writer(d, &h, 1000);
    for (int i = 0; i < COUNT; i++) {
        jobs[i] = (struct job){.job = {.run = run_insert, .done = on_done_chain, .lazy = i % 2},
                               .number = i};
        nr_db_write(d, &jobs[i].job);
    }
    release_writer(&h);
    nr_db_close(d);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(jobs[i].done, 1);
        assert_int_equal(jobs[i].job.status, 0);
    }
}

static void test_a_stopped_one_refuses(void **state)
{
    struct nr_db *d = open_steps(steps);
    struct job before = {.job = {.run = run_insert, .done = on_done_chain}, .number = 1};
    struct job after = before;

    nr_db_write(d, &before.job);
    nr_db_stop(d);
    nr_db_write(d, &after.job);
    nr_db_stop(d);
    assert_int_equal(before.job.status, 0);
    assert_int_equal(after.done, 1);
    assert_int_equal(after.job.status, NR_ESTOPPING);
    nr_db_close(d);
    nr_db_stop(NULL);
}

static int fresh(void **state)
{
    char other[160];

    (void)unlink(path);
    (void)snprintf(other, sizeof(other), "%s-wal", path);
    (void)unlink(other);
    (void)snprintf(other, sizeof(other), "%s-shm", path);
    (void)unlink(other);
    return 0;
}

static void test_errors(void **state)
{
    assert_int_equal(nr_db_err(SQLITE_OK), 0);
    assert_int_equal(nr_db_err(SQLITE_DONE), 0);
    assert_int_equal(nr_db_err(SQLITE_CONSTRAINT_UNIQUE), NR_EEXIST);
    assert_int_equal(nr_db_err(SQLITE_BUSY_SNAPSHOT), NR_EBUSY);
    assert_int_equal(nr_db_err(SQLITE_FULL), NR_ENOSPC);
    assert_int_equal(nr_db_err(SQLITE_NOTADB), NR_ECORRUPT);
    assert_int_equal(nr_db_err(SQLITE_IOERR_FSYNC), NR_EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_killed_process_loses_nothing, fresh),
        cmocka_unit_test_setup(test_full_disk, fresh),
        cmocka_unit_test_setup(test_write_then_read, fresh),
        cmocka_unit_test_setup(test_values, fresh),
        cmocka_unit_test_setup(test_reader_cannot_write, fresh),
        cmocka_unit_test_setup(test_group_commit_and_savepoints, fresh),
        cmocka_unit_test_setup(test_batches_end_at_256, fresh),
        cmocka_unit_test_setup(test_loop, fresh),
        cmocka_unit_test_setup(test_only_lazy_jobs_finish_too, fresh),
        cmocka_unit_test_setup(test_done_without_loop, fresh),
        cmocka_unit_test_setup(test_many_threads, fresh),
        cmocka_unit_test_setup(test_migration, fresh),
        cmocka_unit_test_setup(test_damage, fresh),
        cmocka_unit_test_setup(test_unopenable, fresh),
        cmocka_unit_test_setup(test_failed_commit_gives_all_jobs_the_error, fresh),
        cmocka_unit_test_setup(test_log_is_bounded, fresh),
        cmocka_unit_test_setup(test_close_finishes_what_is_queued, fresh),
        cmocka_unit_test_setup(test_a_stopped_one_refuses, fresh),
        cmocka_unit_test(test_errors),
    };

    return cmocka_run_group_tests(tests, make_root, remove_root);
}
