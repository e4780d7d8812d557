/* Placement over plain structs: homes, warm slots, load, tags, and how wishes are shared out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "controller/placement.h"

enum { HOSTS = 3 };

/* Three hosts of two cores that are idle and have room. */
static void make_hosts(struct place_host hosts[HOSTS])
{
    static const char *const names[HOSTS] = {"one", "two", "three"};

    for (size_t i = 0; i < HOSTS; i++)
        hosts[i] = (struct place_host){.id = placement_hash(nr_str_of(names[i])),
                                       .fits = true,
                                       .warm = true,
                                       .starts = true,
                                       .cores = 2,
                                       .room_mb = 4096};
}

static struct place_call call_of(unsigned i)
{
    char name[32];

    (void)snprintf(name, sizeof(name), "guest//function%u", i);
    return (struct place_call){.key = placement_hash(nr_str_of(name)), .memory_mb = 256};
}

static void test_homes_are_spread(void **state)
{
    struct place_host hosts[HOSTS];
    unsigned homes[HOSTS] = {0};

    (void)state;
    make_hosts(hosts);
    for (unsigned i = 0; i < 1000; i++) {
        const struct place_call c = call_of(i);
        int at = placement_choose(hosts, HOSTS, &c);

        assert_in_range(at, 0, HOSTS - 1);
        homes[at]++;
        assert_int_equal(placement_choose(hosts, HOSTS, &c), at);
    }
    for (size_t i = 0; i < HOSTS; i++)
        assert_in_range(homes[i], 200, 450);
}

static void test_only_functions_of_a_lost_host_move(void **state)
{
    struct place_host hosts[HOSTS];

    (void)state;
    make_hosts(hosts);
    for (unsigned i = 0; i < 1000; i++) {
        const struct place_call c = call_of(i);
        int before = placement_choose(hosts, HOSTS, &c), after;

        hosts[1].starts = hosts[1].warm = false;
        after = placement_choose(hosts, HOSTS, &c);
        hosts[1].starts = hosts[1].warm = true;
        assert_int_not_equal(after, 1);
        if (before != 1)
            assert_int_equal(after, before);
    }
}

static void test_warm_before_home(void **state)
{
    struct place_host hosts[HOSTS];
    const struct place_call c = call_of(1);

    (void)state;
    make_hosts(hosts);
    size_t home = (size_t)placement_choose(hosts, HOSTS, &c), other = (home + 1) % HOSTS;

    hosts[other].load.ready = 1;
    assert_int_equal(placement_choose(hosts, HOSTS, &c), other);
    hosts[home].load.ready = 1; /* both are warm and idle: the home */
    assert_int_equal(placement_choose(hosts, HOSTS, &c), home);
    hosts[home].calls = 1; /* of warm ones the one with less to do */
    assert_int_equal(placement_choose(hosts, HOSTS, &c), other);
}

static void test_a_start_without_a_call_is_taken(void **state)
{
    struct place_host hosts[HOSTS];
    const struct place_call c = call_of(2);

    (void)state;
    make_hosts(hosts);
    size_t home = (size_t)placement_choose(hosts, HOSTS, &c), other = (home + 2) % HOSTS;

    hosts[other].load.starting = 2;
    hosts[other].load.waiting = 1;
    assert_int_equal(placement_choose(hosts, HOSTS, &c), other);
    hosts[other].load.waiting = 2; /* each has its call */
    assert_int_equal(placement_choose(hosts, HOSTS, &c), home);
}

/* Thirty calls of one function at once, whose containers all have to be started. */
static void test_one_function_under_load_is_shared(void **state)
{
    struct place_host hosts[HOSTS];
    const struct place_call c = call_of(3);

    (void)state;
    make_hosts(hosts);
    for (unsigned i = 0; i < 30; i++) {
        struct place_host *h = &hosts[placement_choose(hosts, HOSTS, &c)];

        h->calls++;
        h->load.starting++;
        h->load.waiting++;
    }
    for (size_t i = 0; i < HOSTS; i++)
        assert_in_range(hosts[i].calls, 9, 12);
}

static void test_larger_hosts_get_more(void **state)
{
    struct place_host hosts[HOSTS];
    const struct place_call c = call_of(4);

    (void)state;
    make_hosts(hosts);
    hosts[0].cores = 8;
    for (unsigned i = 0; i < 120; i++)
        hosts[placement_choose(hosts, HOSTS, &c)].calls++;
    assert_in_range(hosts[0].calls, 72, 90);
    assert_in_range(hosts[1].calls, 15, 24);
    assert_in_range(hosts[2].calls, 15, 24);
}

static void test_room_decides_where_a_container_starts(void **state)
{
    struct place_host hosts[HOSTS];
    const struct place_call c = call_of(5);

    (void)state;
    make_hosts(hosts);
    size_t home = (size_t)placement_choose(hosts, HOSTS, &c);

    hosts[home].room_mb = 255;
    assert_int_not_equal(placement_choose(hosts, HOSTS, &c), home);
    for (size_t i = 0; i < HOSTS; i++)
        hosts[i].room_mb = 0; /* none has room: it waits at home */
    assert_int_equal(placement_choose(hosts, HOSTS, &c), home);
}

static void test_what_must_be_found(void **state)
{
    struct place_host hosts[HOSTS];
    const struct place_call c = call_of(6);

    (void)state;
    make_hosts(hosts);
    hosts[0].fits = hosts[1].fits = false;
    hosts[0].load.ready = 1;
    assert_int_equal(placement_choose(hosts, HOSTS, &c), 2);
    hosts[2].starts = hosts[2].warm = false;
    assert_int_equal(placement_choose(hosts, HOSTS, &c), PLACE_NONE);
    hosts[2].fits = false;
    assert_int_equal(placement_choose(hosts, HOSTS, &c), PLACE_UNFIT);
    assert_int_equal(placement_choose(hosts, 0, &c), PLACE_UNFIT);
}

static void test_an_engine_that_is_away_serves_what_is_warm(void **state)
{
    struct place_host hosts[HOSTS];
    const struct place_call c = call_of(7);

    (void)state;
    make_hosts(hosts);
    for (size_t i = 0; i < HOSTS; i++)
        hosts[i].starts = false;
    hosts[1].load.ready = 1;
    assert_int_equal(placement_choose(hosts, HOSTS, &c), 1);
    hosts[1].load.ready = 0;
    assert_int_equal(placement_choose(hosts, HOSTS, &c), PLACE_NONE);
}

static void test_a_limit_of_hosts_holds(void **state)
{
    struct place_host hosts[HOSTS];
    struct place_call c = call_of(8);

    (void)state;
    make_hosts(hosts);
    c.hosts_max = 1;
    int home = placement_choose(hosts, HOSTS, &c);

    hosts[home].calls = 1000;
    hosts[home].room_mb = 0;
    assert_int_equal(placement_choose(hosts, HOSTS, &c), home);
    c.hosts_max = 2;
    assert_int_not_equal(placement_choose(hosts, HOSTS, &c), home);
}

static int share_of(const struct place_host *hosts, size_t n, const struct place_call *c, size_t at,
                    int count)
{
    uint16_t order[PLACE_HOSTS_MAX];
    size_t sharers = placement_order(hosts, n, c, order);

    for (size_t rank = 0; rank < sharers; rank++)
        if (order[rank] == at)
            return placement_share(rank, sharers, count);
    return 0;
}

/* All that start, the heaviest first; of many only so many as are asked for. */
static void test_the_order_of_hosts(void **state)
{
    struct place_host hosts[PLACE_HOSTS_MAX];
    uint16_t all[PLACE_HOSTS_MAX], some[PLACE_HOSTS_MAX];
    struct place_call c = call_of(9);

    (void)state;
    for (size_t i = 0; i < PLACE_HOSTS_MAX; i++)
        hosts[i] = (struct place_host){
            .id = i * 7919, .fits = i % 5 != 0, .starts = i % 7 != 0, .cores = 1};
    size_t n = placement_order(hosts, PLACE_HOSTS_MAX, &c, all), wanted = 0;

    for (size_t i = 0; i < PLACE_HOSTS_MAX; i++)
        wanted += hosts[i].fits && hosts[i].starts;
    assert_int_equal(n, wanted);
    for (size_t i = 0; i < n; i++) {
        assert_true(hosts[all[i]].fits && hosts[all[i]].starts);
        if (i > 0)
            assert_true(placement_weight(c.key, hosts[all[i - 1]].id) >
                        placement_weight(c.key, hosts[all[i]].id));
    }
    c.hosts_max = 3;
    assert_int_equal(placement_order(hosts, PLACE_HOSTS_MAX, &c, some), 3);
    assert_memory_equal(some, all, 3 * sizeof(*all));
    assert_int_equal(placement_order(hosts, 0, &c, some), 0);
}

static void test_wishes_are_shared_out(void **state)
{
    struct place_host hosts[HOSTS];
    struct place_call c = call_of(9);

    (void)state;
    make_hosts(hosts);
    int home = placement_choose(hosts, HOSTS, &c);

    for (int count = 0; count <= 10; count++) {
        int all = 0, most = 0;

        for (size_t i = 0; i < HOSTS; i++) {
            int share = share_of(hosts, HOSTS, &c, i, count);

            assert_in_range(share, count / HOSTS, count / HOSTS + 1);
            all += share;
            most = share > most ? share : most;
        }
        assert_int_equal(all, count);
        assert_int_equal(share_of(hosts, HOSTS, &c, (size_t)home, count), most);
    }
    c.hosts_max = 1;
    for (int i = 0; i < HOSTS; i++)
        assert_int_equal(share_of(hosts, HOSTS, &c, (size_t)i, 5), i == home ? 5 : 0);
    c.hosts_max = 0;
    hosts[home].starts = false;
    assert_int_equal(share_of(hosts, HOSTS, &c, (size_t)home, 5), 0);
    assert_int_equal(share_of(hosts, HOSTS, &c, (size_t)(home + 1) % HOSTS, 4), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_homes_are_spread),
        cmocka_unit_test(test_only_functions_of_a_lost_host_move),
        cmocka_unit_test(test_warm_before_home),
        cmocka_unit_test(test_a_start_without_a_call_is_taken),
        cmocka_unit_test(test_one_function_under_load_is_shared),
        cmocka_unit_test(test_larger_hosts_get_more),
        cmocka_unit_test(test_room_decides_where_a_container_starts),
        cmocka_unit_test(test_what_must_be_found),
        cmocka_unit_test(test_an_engine_that_is_away_serves_what_is_warm),
        cmocka_unit_test(test_a_limit_of_hosts_holds),
        cmocka_unit_test(test_the_order_of_hosts),
        cmocka_unit_test(test_wishes_are_shared_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
