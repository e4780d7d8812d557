/* How many slots are coming, why a start is cold, and the node's memory. */
#include "invoker/pool_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void coming(void **state)
{
    static const struct {
        enum container_state state;
        bool retired;
        unsigned slots, connected;
        uint64_t loaded_us, now_us;
        unsigned want;
    } table[] = {
        {CT_STARTING, false, 1, 0, 0, 5, 1},    {CT_STARTING, false, 8, 0, 0, 5, 8},
        {CT_STARTING, true, 8, 0, 0, 5, 0},     {CT_FRESH, false, 8, 1, 0, 5, 7},
        {CT_INIT, false, 1, 1, 0, 5, 0},        {CT_BUSY, false, 8, 3, 10, 20, 5},
        {CT_FROZEN, false, 8, 8, 10, 20, 0},    {CT_STEM, false, 1, 1, 0, 5, 0},
        {CT_IDLE, false, 8, 3, 10, 2000000, 0}, {CT_DYING, false, 8, 0, 10, 20, 0},
    };

    for (size_t i = 0; i < nr_countof(table); i++) {
        const struct container ct = {.state = table[i].state,
                                     .retired = table[i].retired,
                                     .slot_count = table[i].slots,
                                     .connected = table[i].connected,
                                     .loaded_us = table[i].loaded_us};

        assert_int_equal(slots_coming(&ct, table[i].now_us), table[i].want);
    }
}

/* The slot in which the code is loaded before any call is coming too; for a call it is that call's. */
static void coming_of_one_that_loads_ahead(void **state)
{
    struct activation nobody = {.refs = 1};
    struct container ct = {.state = CT_INIT, .slot_count = 4, .connected = 1, .ahead = &nobody};

    (void)state;
    assert_int_equal(slots_coming(&ct, 5), 4);
    ct.state = CT_FRESH; /* its code is being read */
    assert_int_equal(slots_coming(&ct, 5), 4);
    ct.ahead = NULL;
    assert_int_equal(slots_coming(&ct, 5), 3);
}

static void loads_ahead(void **state)
{
    static const struct {
        const char *what;
        struct ahead_view v;
        bool want;
    } table[] = {
        /* cores, loading, of_account, of_version, loaded_before, pausing */
        {"the first", {2, 0, 0, 0, false, false}, true},
        {"another account's is loading", {2, 1, 0, 0, false, false}, true},
        {"the account has its half", {2, 1, 1, 0, true, false}, false},
        {"as many as there are cores", {2, 2, 0, 0, true, false}, false},
        {"two on one core", {1, 1, 0, 0, false, false}, true},
        {"more cores, another version", {8, 3, 3, 0, false, false}, true},
        {"more cores, half of them", {8, 4, 4, 0, false, false}, false},
        {"all of them, by three accounts", {8, 8, 2, 0, false, false}, false},
        {"nobody knows yet whether it can be loaded", {8, 1, 1, 1, false, false}, false},
        {"it can", {8, 1, 1, 1, true, false}, true},
        {"it could not a moment ago", {2, 0, 0, 0, false, true}, false},
    };

    (void)state;
    for (size_t i = 0; i < nr_countof(table); i++)
        if (ahead_fits(&table[i].v) != table[i].want)
            fail_msg("%s", table[i].what);
}

static void pauses_after_failed_loads(void **state)
{
    static const struct {
        unsigned failures;
        uint64_t want_ms;
    } table[] = {{1, 5000},   {2, 10000},   {3, 20000},       {7, 320000},
                 {8, 600000}, {40, 600000}, {1000000, 600000}};

    (void)state;
    for (size_t i = 0; i < nr_countof(table); i++)
        assert_int_equal(ahead_again_ms(table[i].failures), table[i].want_ms);
}

/* A container is proof that the trouble is over when it became idle after that, and was for a minute. */
static void trouble_that_is_over(void **state)
{
    static const struct {
        uint64_t idle_since_ms, failed_ms, now_ms;
        bool want;
    } table[] = {{2000, 1000, 61999, false},
                 {2000, 1000, 62000, true},
                 {1000, 1000, 90000, false},
                 {1000, 5000, 900000, false}};

    (void)state;
    for (size_t i = 0; i < nr_countof(table); i++)
        assert_int_equal(ahead_stays(table[i].idle_since_ms, table[i].failed_ms, table[i].now_ms),
                         table[i].want);
}

static void long_loads(void **state)
{
    (void)state;
    assert_true(ahead_slows(0));
    assert_true(ahead_slows(9999999));
    assert_false(ahead_slows(10000000));
}

/* What is shown of a log: whole lines, or what fits of the last one. */
static void tails(void **state)
{
    static const struct {
        const char *before; /* the line */
        size_t line;        /* its bytes, the newline with them */
        size_t want;        /* bytes that are shown */
    } table[] = {{"", 2047, 2047},        {"", 2048, 2047},    {"", 5000, 2047},
                 {"a\n", 2046, 2046},     {"a\n", 2047, 2047}, {"a\n", 9000, 2047},
                 {"ab\ncd\n", 2040, 2046}};
    char text[10000];

    (void)state;
    for (size_t i = 0; i < nr_countof(table); i++) {
        size_t before = strlen(table[i].before), n = before + table[i].line;

        memcpy(text, table[i].before, before);
        memset(text + before, 'x', table[i].line);
        text[n - 1] = '\n';
        assert_int_equal(n - ahead_tail((struct nr_str){text, n}, 2047), table[i].want);
    }
    for (size_t i = 0; i + 1 < sizeof(text); i += 2)
        memcpy(text + i, "\xC3\xA4", 2);
    assert_int_equal(ahead_tail((struct nr_str){text, 4000}, 2047), 4000 - 2046);
    memset(text, 0x80, sizeof(text));
    assert_int_equal(ahead_tail((struct nr_str){text, 4000}, 2047), 4000);
}

static void starts(void **state)
{
    static const struct {
        struct queue_view q;
        bool want;
    } table[] = {
        /* waiting, coming, slots, starting, starting_max, oldest_us, call_us, start_us */
        {{1, 0, 0, 0, 4, 0, 0, 250000}, true},       /* nothing there */
        {{1, 1, 0, 1, 4, 0, 0, 250000}, false},      /* one is coming for it */
        {{2, 1, 0, 1, 4, 0, 0, 250000}, true},       /* at most one start per call */
        {{100, 4, 0, 4, 4, 0, 0, 250000}, false},    /* the Engine has its hands full */
        {{100, 0, 4, 0, 4, 0, 1000, 250000}, false}, /* 25 ms of work for what there is */
        {{100, 0, 4, 0, 4, 0, 20000, 250000}, true}, /* 500 ms */
        {{1, 0, 4, 0, 4, 300000, 1000, 250000},
         true}, /* short calls, but these slots do not come back */
        {{1, 0, 1, 0, 4, 1000, 1000000, 250000}, true}, /* a long call before it */
        {{1, 0, 1, 0, 4, 0, 0, 250000, 1}, false},      /* whose answer has left already */
        {{2, 0, 1, 0, 4, 0, 0, 250000, 1}, true},
    };

    (void)state;
    for (size_t i = 0; i < nr_countof(table); i++)
        assert_int_equal(start_pays(&table[i].q), table[i].want);
}

static void averages(void **state)
{
    uint64_t average = 0;

    (void)state;
    decay_towards(&average, 800);
    assert_int_equal(average, 801);
    for (int i = 0; i < 100; i++)
        decay_towards(&average, 100);
    assert_in_range(average, 100, 110);
}

static void causes(void **state)
{
    static const struct {
        unsigned containers;
        uint64_t past, now;
        enum end_reason last;
        enum cold_cause want;
        int64_t published;
        uint64_t newest;
    } table[] = {
        {0, 0, 1, ENDED_NOT, COLD_FIRST_CALL},
        {1, 1, 1, ENDED_EVICTED, COLD_SCALE_OUT},
        {0, 1, 2, ENDED_EVICTED, COLD_UPDATED},
        {0, 2, 2, ENDED_EXPIRED, COLD_EVICTED},
        {0, 2, 2, ENDED_UPDATED, COLD_UPDATED},
        {0, 2, 2, ENDED_TIMED_OUT, COLD_CRASHED},
        {0, 2, 2, ENDED_LOG_TROUBLE, COLD_CRASHED},
        /* published versions: another of the name ran before, or this one did */
        {0, 4, 5, ENDED_EXPIRED, COLD_FIRST_CALL, 2, 4},
        {0, 5, 4, ENDED_NOT, COLD_FIRST_CALL, 1, 5},
        {0, 5, 4, ENDED_EXPIRED, COLD_EVICTED, 1, 5},
        {0, 5, 5, ENDED_CRASHED, COLD_CRASHED, 2, 5},
        {2, 4, 5, ENDED_NOT, COLD_SCALE_OUT, 2, 4},
    };

    for (size_t i = 0; i < nr_countof(table); i++) {
        struct past past = {
            .revision = table[i].past, .newest = table[i].newest, .last_end = table[i].last};
        struct function fn = {.published = table[i].published, .stored = table[i].now};
        const struct pool p = {.past = &past,
                               .fn = &fn,
                               .revision = table[i].now,
                               .container_count = table[i].containers};

        assert_int_equal(cold_cause_of(&p), table[i].want);
        past_ran(&past, &p);
        assert_int_equal(past.revision, table[i].now);
        assert_true(past.newest >= table[i].newest && past.newest >= table[i].now);
    }
}

/* What is used often, starts slowly and is small is worth more; what was used long ago, less than what is new now. */
static void evictions(void **state)
{
    double base = eviction_priority(0, 10, 100000, 128);

    (void)state;
    assert_true(eviction_priority(0, 20, 100000, 128) > base);
    assert_true(eviction_priority(0, 10, 200000, 128) > base);
    assert_true(eviction_priority(0, 10, 100000, 256) < base);
    assert_true(eviction_priority(base, 1, 100000, 128) > base);
    assert_true(eviction_priority(0, 1, 100000, 0) > 0);
}

static void stems(void **state)
{
    static const struct {
        struct stem_view v;
        unsigned want;
    } table[] = {
        /* minimum, per_1000_s, bunch, start_us, cores, memory_mb, memory_free_mb, memory_spare_mb */
        {{1, 0, 0, 250000, 2, 64, 2048, 2048}, 1},        /* nobody asks */
        {{0, 0, 0, 250000, 2, 64, 2048, 2048}, 0},        /* nor are any kept */
        {{1, 125, 1, 250000, 2, 64, 2048, 2048}, 1},      /* one call in eight seconds */
        {{1, 4000, 4, 250000, 2, 64, 2048, 2048}, 4},     /* four a second */
        {{1, 4000, 0, 250000, 2, 64, 2048, 2048}, 3},     /* on average */
        {{1, 0, 9, 250000, 2, 64, 2048, 2048}, 9},        /* nine in a second of late */
        {{1, 0, 50, 250000, 2, 64, 2048, 2048}, 16},      /* never more than 8 x cores */
        {{1, 1000000, 0, 250000, 2, 64, 2048, 2048}, 16}, /* nor then */
        {{27, 0, 0, 250000, 2, 64, 2048, 2048}, 27}, /* but as many as were asked for by number */
        {{27, 1000000, 50, 250000, 2, 64, 2048, 2048}, 27},
        {{4, 0, 0, 250000, 2, 256, 512, 512}, 2}, /* memory */
        {{1, 0, 9, 250000, 2, 64, 256, 256}, 4},
        {{1, 0, 0, 250000, 2, 64, 0, 0}, 0},
        {{1, 0, 0, 250000, 2, 64, -64, -64}, 0},
        {{1, 0, 9, 250000, 2, 64, 2048, 256}, 4}, /* others need the rest */
        {{6, 0, 9, 250000, 2, 64, 2048, 256}, 6},
        {{1, 0, 9, 250000, 2, 64, 1024, -64}, 1},
    };

    (void)state;
    for (size_t i = 0; i < nr_countof(table); i++)
        assert_int_equal(stem_target(&table[i].v), table[i].want);
}

static void memory(void **state)
{
    struct node n = {.memory_max_mb = 256};

    assert_true(memory_reserve(&n, 128));
    assert_int_equal(memory_missing_mb(&n, 128), 0);
    assert_true(memory_reserve(&n, 128));
    assert_false(memory_reserve(&n, 64));
    assert_int_equal(memory_missing_mb(&n, 64), 64);
    memory_release(&n, 128);
    assert_true(memory_reserve(&n, 64));
    assert_int_equal(atomic_load(&n.memory_used_mb), 192);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(coming),
        cmocka_unit_test(coming_of_one_that_loads_ahead),
        cmocka_unit_test(loads_ahead),
        cmocka_unit_test(pauses_after_failed_loads),
        cmocka_unit_test(trouble_that_is_over),
        cmocka_unit_test(long_loads),
        cmocka_unit_test(tails),
        cmocka_unit_test(starts),
        cmocka_unit_test(averages),
        cmocka_unit_test(causes),
        cmocka_unit_test(memory),
        cmocka_unit_test(evictions),
        cmocka_unit_test(stems),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
