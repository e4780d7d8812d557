/* The journal: what was added comes back in order and to the byte, over blocks; bounds, gaps, damage. */
#include "scaler/journal.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/mem.h"

enum { BIG_BYTES = 60000 };

struct rig {
    char folder[32];
    struct store *store;
    struct journal *journal;
    /* what a reading has met */
    int (*record)(void *arg, const struct journal_record *r);
    int64_t from_ms, upto_ms, last_ms;
    unsigned records, gaps;
    struct nr_db_job job;
    _Atomic bool done;
};

static int setup(void **state)
{
    struct rig *r = nr_alloc(sizeof(*r));
    struct nr_err err = {0};

    (void)snprintf(r->folder, sizeof(r->folder), "/tmp/nr-journal-XXXXXX");
    assert_non_null(mkdtemp(r->folder));
    assert_int_equal(store_open(r->folder, &r->store, &err), 0);
    r->journal = journal_make(r->store);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;

    journal_free(r->journal);
    store_close(r->store);
    assert_int_equal(nr_dir_remove(r->folder, NULL), 0);
    free(r);
    return 0;
}

static int count(void *arg, const struct journal_record *rec)
{
    struct rig *r = arg;
    char text[32];

    assert_true(rec->t_ms >= r->last_ms);
    r->last_ms = rec->t_ms;
    r->gaps += rec->kind == JOURNAL_GAP;
    if (rec->kind != JOURNAL_TICK)
        return 0;
    (void)snprintf(text, sizeof(text), "tick %lld", (long long)rec->t_ms);
    assert_true(nr_str_eqz(rec->text, text));
    r->records++;
    return 0;
}

static int read_all(sqlite3 *db, struct nr_db_job *job)
{
    struct rig *r = nr_container_of(job, struct rig, job);

    return journal_each(db, r->from_ms, r->upto_ms, count, r);
}

static void on_done(struct nr_db_job *job)
{
    nr_container_of(job, struct rig, job)->done = true;
}

/* Reads from..upto; the status. */
static int read_back(struct rig *r, int64_t from_ms, int64_t upto_ms)
{
    r->from_ms = from_ms;
    r->upto_ms = upto_ms;
    r->records = r->gaps = 0;
    r->last_ms = INT64_MIN;
    r->job = (struct nr_db_job){.run = read_all, .done = on_done};
    r->done = false;
    store_settle(r->store);
    store_later(r->store, &r->job);
    while (!r->done)
        sched_yield();
    return r->job.status;
}

static void add_ticks(struct rig *r, int64_t from_ms, unsigned n, int64_t step_ms)
{
    char text[32];

    for (unsigned i = 0; i < n; i++) {
        int64_t t_ms = from_ms + i * step_ms;

        (void)snprintf(text, sizeof(text), "tick %lld", (long long)t_ms);
        journal_add(r->journal, JOURNAL_TICK, t_ms, nr_str_of(text));
        journal_flush(r->journal, t_ms, false);
    }
}

static void test_what_was_added_comes_back(void **state)
{
    struct rig *r = *state;

    add_ticks(r, 1000, 500, 100); /* 50 s: ten blocks */
    journal_flush(r->journal, 51000, true);
    assert_in_range(journal_stats(r->journal).blocks, 9, 12);
    assert_int_equal(read_back(r, 0, INT64_MAX), 0);
    assert_int_equal(r->records, 500);
    assert_int_equal(read_back(r, 11000, 20900), 0);
    assert_int_equal(r->records, 100);
    assert_int_equal(read_back(r, 60000, INT64_MAX), 0);
    assert_int_equal(r->records, 0);
}

static void test_more_than_a_second_may_have_is_a_gap(void **state)
{
    struct rig *r = *state;
    char *big = nr_alloc(BIG_BYTES);

    memset(big, 'x', BIG_BYTES);
    for (unsigned i = 0; i < 100; i++)
        journal_add(r->journal, JOURNAL_SAMPLE, 5000, (struct nr_str){big, BIG_BYTES});
    free(big);
    assert_int_equal(journal_stats(r->journal).gaps, 1);
    add_ticks(r, 6000, 1, 1);
    journal_flush(r->journal, 7000, true);
    assert_int_equal(read_back(r, 0, INT64_MAX), 0);
    assert_int_equal(r->gaps, 1);
    assert_int_equal(r->records, 1);
}

static void test_the_oldest_go(void **state)
{
    struct rig *r = *state;

    add_ticks(r, 1000, 500, 100);
    journal_flush(r->journal, 51000, true);
    journal_trim(r->journal, 51000, 20, 0); /* older than 20 s */
    assert_int_equal(read_back(r, 0, INT64_MAX), 0);
    assert_in_range(r->records, 150, 260);
    journal_trim(r->journal, 51000, 0, 1); /* of bytes hardly any */
    assert_int_equal(read_back(r, 0, INT64_MAX), 0);
    assert_int_equal(r->records, 0);
}

static void test_damage_is_told(void **state)
{
    static const char *const damages[][2] = {
        {"UPDATE journal SET block = x'00112233445566778899'", NULL},
        {"UPDATE journal SET block = substr(block, 1, 30)", NULL}};
    struct rig *r = *state;

    for (size_t i = 0; i < nr_countof(damages); i++) {
        add_ticks(r, 1000, 50, 100);
        journal_flush(r->journal, 6000, true);
        store_settle(r->store);
        assert_int_equal(store_write(r->store, damages[i], ""), 0);
        assert_int_equal(read_back(r, 0, INT64_MAX), NR_ECORRUPT);
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_what_was_added_comes_back),
        CASE(test_more_than_a_second_may_have_is_a_gap),
        CASE(test_the_oldest_go),
        CASE(test_damage_is_told),
    };

    return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
