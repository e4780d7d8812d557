/* Which host has a call: calls are shared, what bounces, calls that wait for a host, patience, tags, functions that are on one host.
 */
#include "fleet_rig.h"

#include <string.h>

/* ---- calls -------------------------------------------------------------------------------------------------------- */

static void test_calls_are_shared(void **state)
{
    struct activation *all[32];
    struct rig r;

    (void)state;
    setup(&r);
    open_fleet(&r, true, "127.0.0.1:0");
    for (size_t i = 0; i < HOSTS; i++)
        join(&r, i);
    for (size_t i = 0; i < 32; i++)
        all[i] = call(&r);
    assert_in_range(r.here_count, 6, 10);
    for (size_t i = 0; i < HOSTS; i++)
        assert_in_range(r.far[i].call_count, 6, 10);
    assert_ptr_equal(r.far[0].calls[0]->far, &r.far[0]);
    invokers_claimed(r.far[0].calls[0], 0);
    assert_int_equal(r.far[0].calls[0]->i, I_AWAIT);
    invokers_claimed(r.here[0], 0);
    assert_int_equal(r.here[0]->i, I_INIT);
    invokers_forget(r.f, 7);
    assert_int_equal(r.far[0].forgets + r.far[1].forgets + r.far[2].forgets, 3);
    free_calls(&r, all, 32);
    assert_int_equal(r.ends, 32);
    teardown(&r);
}

static void test_what_bounces_is_placed_elsewhere(void **state)
{
    struct activation *all[12];
    struct rig r;

    (void)state;
    setup(&r);
    open_fleet(&r, false, "127.0.0.1:0");
    for (size_t i = 0; i < HOSTS; i++)
        join(&r, i);
    for (size_t i = 0; i < 12; i++)
        all[i] = call(&r);
    assert_int_equal(given(&r), 12);
    assert_true(r.far[1].call_count > 0);
    lose(&r, 1);
    assert_int_equal(r.far[1].call_count, 0);
    assert_int_equal(given(&r), 12);
    assert_int_equal(r.ends, 0);
    free_calls(&r, all, 12);
    teardown(&r);
}

static void test_what_bounces_for_ever_is_refused(void **state)
{
    struct rig r;

    (void)state;
    setup(&r);
    open_fleet(&r, false, "127.0.0.1:0");
    join(&r, 0);
    struct activation *a = call(&r);

    for (int i = 0; i < 100 && r.far[0].call_count > 0; i++) {
        r.far[0].call_count--;
        a->i = I_IDLE;
        r.listener.bounced(r.listener.arg, &r.far[0], a);
    }
    assert_int_equal(r.ends, 1);
    assert_int_equal(r.last_code, NR_EUNAVAIL);
    assert_non_null(strstr(r.last_text, "gave it back"));
    activation_unref(a);
    teardown(&r);
}

static void test_a_call_waits_for_a_host(void **state)
{
    struct activation *all[3];
    struct rig r;

    (void)state;
    setup(&r);
    open_fleet(&r, false, "127.0.0.1:0");
    join(&r, 0);
    r.far[0].takes = false;
    for (size_t i = 0; i < 3; i++)
        all[i] = call(&r);
    assert_int_equal(given(&r), 0);
    assert_int_equal(r.f->unplaced_count, 3);
    invokers_cut(all[1], NR_ECANCELED); /* who waits can be cut */
    assert_int_equal(r.ends, 1);
    assert_int_equal(r.last_code, NR_ECANCELED);
    r.far[0].takes = true;
    r.listener.reported(r.listener.arg, &r.far[0]);
    assert_int_equal(r.far[0].call_count, 2);
    assert_int_equal(r.f->unplaced_count, 0);
    assert_ptr_equal(r.far[0].calls[0], all[0]); /* in order */
    free_calls(&r, all, 3);
    teardown(&r);
}

static void test_patience_ends(void **state)
{
    struct rig r;
    char why[INVOKER_WHY_BYTES];

    (void)state;
    setup(&r);
    open_fleet(&r, false, "127.0.0.1:0");
    join(&r, 0);
    r.far[0].takes = false;
    assert_false(invokers_ready(r.f, why));
    struct activation *a = call(&r);

    a->deadline.fire(&a->deadline); /* as the loop does when the time is over */
    assert_int_equal(r.ends, 1);
    assert_int_equal(r.last_code, NR_EUNAVAIL);
    assert_non_null(strstr(r.last_text, "No invoker has taken the call"));
    activation_unref(a);
    a = call(&r);
    a->durable = true; /* it was accepted meanwhile: it waits on */
    a->deadline.fire(&a->deadline);
    assert_int_equal(r.ends, 1);
    free_calls(&r, &a, 1);
    teardown(&r);
}

static void test_tags(void **state)
{
    char *arm[] = {text("arch=arm64"), NULL}, *none[] = {text("arch=arm64"), text("board=x"), NULL};
    struct activation *all[2];
    struct rig r;
    int code;

    (void)state;
    setup(&r);
    open_fleet(&r, true, "127.0.0.1:0");
    for (size_t i = 0; i < HOSTS; i++)
        join(&r, i);
    r.fn.place = arm;
    all[0] = call(&r);
    assert_int_equal(r.far[2].call_count, 1);
    r.fn.place = none;
    struct activation *a = call(&r);

    assert_int_equal(r.ends, 1);
    assert_int_equal(r.last_code, NR_EUNAVAIL);
    assert_non_null(strstr(r.last_text, "No invoker has the tag board=x"));
    activation_unref(a);
    free(change(&r, INVOKERS_ADD, "three", "{\"tags\":{\"board\":\"x\"}}", &code));
    assert_int_equal(code, 0); /* a new token: its link has ended, and what it had waits for it */
    assert_false(r.far[2].up);
    assert_int_equal(r.f->unplaced_count, 1);
    all[1] = call(&r); /* it is away, but known: the call waits */
    assert_int_equal(r.ends, 1);
    assert_int_equal(r.f->unplaced_count, 2);
    free_calls(&r, all, 2);
    r.fn.place = NULL;
    teardown(&r);
}

static void test_one_with_a_limit_is_on_one_host(void **state)
{
    struct activation *all[8];
    struct rig r;

    (void)state;
    setup(&r);
    open_fleet(&r, true, "127.0.0.1:0");
    for (size_t i = 0; i < HOSTS; i++)
        join(&r, i);
    r.fn.instances = 3;
    for (size_t i = 0; i < 8; i++)
        all[i] = call(&r);
    size_t used = r.here_count > 0;

    for (size_t i = 0; i < HOSTS; i++)
        used += r.far[i].call_count > 0;
    assert_int_equal(used, 1);
    free_calls(&r, all, 8);
    teardown(&r);
}

static void on_image(struct image_call *c)
{
    ((struct rig *)c->owner)->images_done++;
}

static void image_asked(struct rig *r, struct image_call *ret)
{
    int done = r->images_done;

    *ret = (struct image_call){.op = IMAGE_LIST, .done = on_image, .owner = r};
    invokers_image(r->f, ret);
    turn(r);
    assert_int_equal(r->images_done, done + 1);
}

/* Here where there is an invoker; else on one host, and on another only when that is not well. */
static void test_images_are_asked_of_one_host(void **state)
{
    struct image_call c;
    struct rig r;

    (void)state;
    setup(&r);
    open_fleet(&r, true, "127.0.0.1:0");
    join(&r, 0);
    image_asked(&r, &c);
    assert_int_equal(r.images_here, 1);
    close_fleet(&r);
    open_fleet(&r, false, "127.0.0.1:0");
    image_asked(&r, &c);
    assert_int_equal(c.err.code, NR_EUNAVAIL);
    assert_non_null(strstr(c.err.text, "No invoker can be asked for images: no invoker takes"));
    for (size_t i = 0; i < HOSTS; i++)
        join(&r, i);
    r.far[0].hello.takes_images = false; /* an older one */
    image_asked(&r, &c);
    image_asked(&r, &c);
    assert_int_equal(c.err.code, 0);
    assert_int_equal(r.far[2].images, 2); /* "three" is before "two" */
    r.far[2].takes = false;
    image_asked(&r, &c);
    assert_int_equal(r.far[1].images, 1);
    assert_int_equal(r.far[0].images, 0);
    teardown(&r);
}

/* A trial's calls have one host: this one while it is well, else one of the others, and then that. */
static void test_a_trial_stays_where_it_is(void **state)
{
    struct activation *all[10];
    size_t n = 0, home = HOSTS;
    struct rig r;

    (void)state;
    setup(&r);
    open_fleet(&r, true, "127.0.0.1:0");
    for (size_t i = 0; i < HOSTS; i++)
        join(&r, i);
    r.fn.trial = true;
    while (n < 4)
        all[n++] = call(&r);
    assert_int_equal(r.here_count, 4);
    r.here_is_ill = true;
    while (n < 6)
        all[n++] = call(&r);
    for (size_t i = 0; i < HOSTS; i++)
        home = r.far[i].call_count > 0 ? i : home;
    assert_int_equal(r.far[home].call_count, 2);
    r.far[home].known = r.fn.revision;
    r.here_is_ill = false;
    r.far[home].load.busy = 100;
    assert_true(invokers_serve(r.f, r.fn.revision));
    assert_false(invokers_serve(r.f, r.fn.revision + 1));
    all[n++] = call(&r);
    assert_int_equal(r.far[home].call_count, 3);
    r.far[home].takes = false; /* what was there is lost */
    all[n++] = call(&r);
    assert_int_equal(r.here_count, 5);
    r.served_here = r.fn.revision;
    r.far[home].takes = true;
    all[n++] = call(&r);
    assert_int_equal(r.here_count, 6);
    assert_int_equal(invokers_function_peak_bytes(r.f, &r.fn),
                     (int64_t)r.fn.revision * (HOSTS - 1));
    free_calls(&r, all, n);
    teardown(&r);
}

static void test_alone_it_is_our_own(void **state)
{
    struct rig r;

    (void)state;
    setup(&r);
    open_fleet(&r, true, NULL);
    struct activation *a = call(&r);

    assert_int_equal(r.here_count, 1);
    free_calls(&r, &a, 1);
    int code;

    assert_null(change(&r, INVOKERS_ADD, "one", NULL, &code));
    assert_int_equal(code, NR_EINVAL);
    teardown(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_are_shared),
        cmocka_unit_test(test_what_bounces_is_placed_elsewhere),
        cmocka_unit_test(test_what_bounces_for_ever_is_refused),
        cmocka_unit_test(test_a_call_waits_for_a_host),
        cmocka_unit_test(test_patience_ends),
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_one_with_a_limit_is_on_one_host),
        cmocka_unit_test(test_a_trial_stays_where_it_is),
        cmocka_unit_test(test_images_are_asked_of_one_host),
        cmocka_unit_test(test_alone_it_is_our_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
