/* Deadlines against a plain list, mailboxes from many threads, the watchdog, and a loop that ends clean. */
#include "common/net/loop.h"

#include "common/net/wheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/clock.h"

/* ---- the wheel alone: random times against what a list would do ---- */

#define MANY 3000

static struct {
    struct nr_deadline d[MANY];
    uint64_t due_ms[MANY]; /* 0: not armed */
    uint64_t now_ms, last_ms;
    int fired;
} model;

static void model_fire(struct nr_deadline *d)
{
    size_t i = (size_t)(d - model.d);

    assert_int_not_equal(model.due_ms[i], 0);
    assert_true(model.due_ms[i] <= model.now_ms);
    assert_true(model.due_ms[i] >= model.last_ms); /* in order of time */
    assert_false(nr_deadline_armed(d));
    model.last_ms = model.due_ms[i];
    model.due_ms[i] = 0;
    model.fired++;
}

static uint64_t model_first_ms(void)
{
    uint64_t first = UINT64_MAX;

    for (size_t i = 0; i < MANY; i++) {
        if (model.due_ms[i] && model.due_ms[i] < first)
            first = model.due_ms[i];
    }
    return first;
}

static void test_wheel_is_a_sorted_list(void **state)
{
    static const unsigned spans_ms[] = {1, 3, 64, 70, 1000, 4096, 70000, 300000, 40000000};
    struct nr_wheel *w = nr_alloc(sizeof(*w));
    unsigned seed = 7;
    int armed = 0, cancelled = 0;

    memset(&model, 0, sizeof(model));
    model.now_ms = 123456789;
    nr_wheel_init(w, model.now_ms);
    for (int round = 0; round < 20000; round++) {
        size_t i = (size_t)rand_r(&seed) % MANY;
        unsigned span = spans_ms[(size_t)rand_r(&seed) % nr_countof(spans_ms)];

        if (model.due_ms[i] && rand_r(&seed) % 2) {
            nr_deadline_cancel(&model.d[i]);
            model.due_ms[i] = 0;
            cancelled++;
        } else if (!model.due_ms[i]) {
            model.due_ms[i] = model.now_ms + 1 + (unsigned)rand_r(&seed) % span;
            model.d[i] = (struct nr_deadline){.fire = model_fire, .at_ms = model.due_ms[i]};
            nr_wheel_add(w, &model.d[i]);
            armed++;
        }
        if (round % 16 == 0) {
            assert_true(nr_wheel_next_ms(w) <= model_first_ms());
            model.now_ms += (unsigned)rand_r(&seed) % (round % 1024 ? 50 : 100000);
            model.last_ms = 0;
            nr_wheel_turn(w, model.now_ms);
            assert_true(model_first_ms() > model.now_ms);
        }
    }
    model.now_ms += 50000000;
    nr_wheel_turn(w, model.now_ms);
    assert_int_equal(model.fired, armed - cancelled);
    assert_true(nr_wheel_next_ms(w) == UINT64_MAX);
    free(w);
}

static void test_wheel_far_and_past(void **state)
{
    struct nr_wheel *w = nr_alloc(sizeof(*w));

    memset(&model, 0, sizeof(model));
    nr_wheel_init(w, 1000);
    for (size_t i = 0; i < 2; i++)
        model.d[i] = (struct nr_deadline){.fire = model_fire, .at_ms = i == 0 ? 10 : UINT64_MAX};
    model.due_ms[0] = 1001; /* passed: the next millisecond */
    nr_wheel_add(w, &model.d[0]);
    nr_wheel_add(w, &model.d[1]);
    model.now_ms = 1000;
    nr_wheel_turn(w, 1000);
    assert_int_equal(model.fired, 0);
    model.now_ms = 1001;
    nr_wheel_turn(w, 1001);
    assert_int_equal(model.fired, 1);
    assert_true(nr_deadline_armed(&model.d[1]));
    nr_wheel_clear(w);
    assert_false(nr_deadline_armed(&model.d[1]));
    free(w);
}

/* ---- deadlines in a loop ---- */

struct timed {
    struct nr_deadline d;
    struct nr_loop *l;
    uint64_t armed_us, after_ms;
    int *left;
};

static void timed_fire(struct nr_deadline *d)
{
    struct timed *t = nr_container_of(d, struct timed, d);

    assert_true(nr_mono_us() - t->armed_us >= t->after_ms * 1000); /* never early */
    assert_true(nr_mono_us() - t->armed_us < t->after_ms * 1000 + 500000);
    if (--*t->left == 0)
        uv_stop(&t->l->uv);
}

static void never(struct nr_deadline *d)
{
    fail_msg("a cancelled deadline fired");
}

static void test_deadlines_fire_once_and_not_early(void **state)
{
    struct nr_loop l;
    struct timed t[40];
    struct nr_deadline cancelled = {.fire = never}, left_behind = {.fire = never};
    int left = (int)nr_countof(t);

    assert_int_equal(nr_loop_init(&l, NULL), 0);
    for (size_t i = 0; i < nr_countof(t); i++) {
        t[i] = (struct timed){
            .d.fire = timed_fire, .l = &l, .after_ms = (i * 37) % 150, .left = &left};
        t[i].armed_us = nr_mono_us();
        nr_deadline_set(&l, &t[i].d, t[i].after_ms);
    }
    nr_deadline_set(&l, &cancelled, 20);
    nr_deadline_cancel(&cancelled);
    nr_deadline_cancel(&cancelled);
    nr_deadline_set(&l, &left_behind, UINT64_MAX);
    t[0].armed_us = nr_mono_us(); /* armed again: the second time counts */
    t[0].after_ms = 120;
    nr_deadline_set(&l, &t[0].d, t[0].after_ms);
    uv_run(&l.uv, UV_RUN_DEFAULT);
    assert_int_equal(left, 0);
    assert_true(nr_deadline_armed(&left_behind));
    assert_int_equal(nr_loop_fini(&l), 0);
    assert_false(nr_deadline_armed(&left_behind));
}

/* ---- mailboxes ---- */

#define POSTERS 4
#define MAILS 5000

struct numbered {
    struct nr_mail mail;
    struct mail_test *test;
    int poster, number;
};

struct mail_test {
    struct nr_loop l;
    struct numbered items[POSTERS][MAILS];
    int seen[POSTERS], all;
};

static void on_numbered(struct nr_mail *m)
{
    struct numbered *n = nr_container_of(m, struct numbered, mail);

    assert_int_equal(n->number, n->test->seen[n->poster]); /* in order of posting */
    n->test->seen[n->poster]++;
    if (++n->test->all == POSTERS * MAILS)
        uv_stop(&n->test->l.uv);
}

static void *poster(void *arg)
{
    struct numbered *row = arg;

    for (int i = 0; i < MAILS; i++)
        nr_mailbox_post(&row[i].test->l, &row[i].mail);
    return NULL;
}

static void test_mail_from_many_threads(void **state)
{
    struct mail_test *t = nr_alloc(sizeof(*t));
    pthread_t threads[POSTERS];

    assert_int_equal(nr_loop_init(&t->l, NULL), 0);
    for (int p = 0; p < POSTERS; p++) {
        for (int i = 0; i < MAILS; i++)
            t->items[p][i] =
                (struct numbered){.mail.run = on_numbered, .test = t, .poster = p, .number = i};
        assert_int_equal(pthread_create(&threads[p], NULL, poster, t->items[p]), 0);
    }
    uv_run(&t->l.uv, UV_RUN_DEFAULT);
    for (int p = 0; p < POSTERS; p++)
        pthread_join(threads[p], NULL);
    assert_int_equal(t->all, POSTERS * MAILS);
    assert_int_equal(nr_loop_fini(&t->l), 0);
    free(t);
}

static void test_mail_that_waits_runs_at_fini(void **state)
{
    struct mail_test *t = nr_alloc(sizeof(*t));

    assert_int_equal(nr_loop_init(&t->l, NULL), 0);
    t->items[0][0] = (struct numbered){.mail.run = on_numbered, .test = t};
    nr_mailbox_post(&t->l, &t->items[0][0].mail);
    assert_int_equal(nr_loop_fini(&t->l), 0);
    assert_int_equal(t->all, 1);
    free(t);
}

/* ---- watchdog, work, closing ---- */

static void burn_us(uint64_t us)
{
    uint64_t start = nr_thread_cpu_us();

    while (nr_thread_cpu_us() - start < us)
        ;
}

struct burner {
    struct nr_deadline d;
    struct nr_loop *l;
    uint64_t us;
};

static void on_burn(struct nr_deadline *d)
{
    struct burner *b = nr_container_of(d, struct burner, d);

    burn_us(b->us);
    uv_stop(&b->l->uv);
}

static void test_watchdog_counts_cpu_time_only(void **state)
{
    struct nr_loop l;
    struct burner b = {.d.fire = on_burn, .l = &l, .us = 2000};

    assert_int_equal(nr_loop_init(&l, NULL), 0);
    nr_deadline_set(&l, &b.d, 50); /* waiting is not work */
    uv_run(&l.uv, UV_RUN_DEFAULT);
    uv_run(&l.uv, UV_RUN_NOWAIT);
    assert_int_equal(nr_loop_stats(&l).callbacks_over_20_ms, 0);
    b.us = 30000;
    nr_deadline_set(&l, &b.d, 1);
    uv_run(&l.uv, UV_RUN_DEFAULT);
    uv_run(&l.uv, UV_RUN_NOWAIT);
    assert_int_equal(nr_loop_stats(&l).callbacks_over_20_ms, 1);
    assert_true(nr_loop_stats(&l).longest_cpu_us >= 30000);
    assert_true(nr_loop_stats(&l).cpu_us >= 32000);
    assert_int_equal(nr_loop_fini(&l), 0);
}

struct job {
    struct nr_work w;
    pthread_t by;
    bool worked, done;
};

static void job_work(struct nr_work *w)
{
    struct job *j = nr_container_of(w, struct job, w);

    j->by = pthread_self();
    j->worked = true;
}

static void job_done(struct nr_work *w)
{
    struct job *j = nr_container_of(w, struct job, w);

    assert_true(j->worked);
    j->done = true;
}

static void test_work_ends_before_fini_returns(void **state)
{
    struct nr_loop l;
    struct job j = {.w = {.work = job_work, .done = job_done}};

    assert_int_equal(nr_loop_init(&l, NULL), 0);
    nr_work_post(&l, &j.w);
    assert_int_equal(nr_loop_fini(&l), 0);
    assert_true(j.done);
    assert_false(pthread_equal(j.by, pthread_self()));
}

static void test_a_handle_left_open_is_told(void **state)
{
    struct nr_loop l;
    uv_timer_t left;

    assert_int_equal(nr_loop_init(&l, NULL), 0);
    uv_timer_init(&l.uv, &left);
    assert_int_equal(nr_loop_fini(&l), UV_EBUSY);
    uv_close((uv_handle_t *)&left, NULL);
    assert_int_equal(nr_loop_fini(&l), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wheel_is_a_sorted_list),
        cmocka_unit_test(test_wheel_far_and_past),
        cmocka_unit_test(test_deadlines_fire_once_and_not_early),
        cmocka_unit_test(test_mail_from_many_threads),
        cmocka_unit_test(test_mail_that_waits_runs_at_fini),
        cmocka_unit_test(test_watchdog_counts_cpu_time_only),
        cmocka_unit_test(test_work_ends_before_fini_returns),
        cmocka_unit_test(test_a_handle_left_open_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
