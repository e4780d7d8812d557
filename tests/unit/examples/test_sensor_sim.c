/* The generator's golden values: a reading must be the same on every machine, in any order. */
#include "sim.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define MONDAY_K (UINT64_C(1767571200) / SIM_PERIOD_S) /* 2026-01-05T00:00:00Z */
#define DAY_STEPS (86400 / SIM_PERIOD_S)

static const struct sim_range day = {
    .first_k = MONDAY_K, .steps = DAY_STEPS, .boards = 3, .faults = true};

static void test_numbers(void **state)
{
    uint64_t stream = sim_hash("/data/orangepi0/t");

    assert_true(sim_mix(0) == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(stream == UINT64_C(0xb78cf0a7d46e93a9));
    assert_true(sim_u(stream, 0) == 0.8789003835586979);
}

static void test_noise_has_mean_0_and_deviation_1(void **state)
{
    uint64_t stream = sim_hash("/data/orangepi0/h");
    double sum = 0, squares = 0;
    for (uint64_t k = 0; k < 100000; k++) {
        double x = sim_n(stream, k);
        sum += x;
        squares += x * x;
    }
    assert_true(fabs(sum / 100000) < 0.01);
    assert_true(fabs(squares / 100000 - 1) < 0.01);
}

static void test_golden_readings(void **state)
{
    static const struct {
        unsigned second;
        struct sim_climate orangepi0, raspberrypi4;
    } golden[] = {
        {3 * 3600, {23.0, 64.7}, {23, 69}},
        {9 * 3600, {25.1, 60.5}, {24, 67}},
        {15 * 3600, {26.4, 57.3}, {26, 62}},
        {15 * 3600 + 5, {26.4, 56.0}, {25, 62}},
    };
    for (size_t i = 0; i < sizeof(golden) / sizeof(golden[0]); i++) {
        uint64_t k = MONDAY_K + golden[i].second / SIM_PERIOD_S;
        struct sim_climate o = sim_measure(SIM_ORANGEPI0, k);
        struct sim_climate r = sim_measure(SIM_RASPBERRYPI4, k);
        print_message("%u s: %.1f/%.1f, %.0f/%.0f\n", golden[i].second, o.temp_c, o.humidity_pct,
                      r.temp_c, r.humidity_pct);
        assert_true(o.temp_c == golden[i].orangepi0.temp_c);
        assert_true(o.humidity_pct == golden[i].orangepi0.humidity_pct);
        assert_true(r.temp_c == golden[i].raspberrypi4.temp_c);
        assert_true(r.humidity_pct == golden[i].raspberrypi4.humidity_pct);
    }
}

static void test_golden_day(void **state)
{
    double min = 1000, max = -1000, sum = 0;
    for (uint64_t i = 0; i < DAY_STEPS; i++) {
        double temp_c = sim_measure(SIM_ORANGEPI0, MONDAY_K + i).temp_c;
        min = fmin(min, temp_c);
        max = fmax(max, temp_c);
        sum += temp_c;
    }
    print_message("min %.1f, mean %.3f, max %.1f\n", min, sum / DAY_STEPS, max);
    assert_true(min == 22.7);
    assert_true(max == 26.9);
    assert_true(fabs(sum / DAY_STEPS - 24.799) < 0.0005);
}

static void test_golden_faults(void **state)
{
    static const unsigned golden[SIM_BOARDS][SIM_GOOD] = {
        [SIM_ORANGEPI0] = {63, 32, 87, 154, 31, 17, 30},
        [SIM_RASPBERRYPI4] = {70, 35, 97, 139, 35, 17, 41},
    };
    for (int b = 0; b < SIM_BOARDS; b++) {
        unsigned counted[SIM_GOOD + 1] = {0};
        for (uint64_t i = 0; i < DAY_STEPS; i++)
            counted[sim_fault_at((enum sim_board)b, MONDAY_K + i)]++;
        for (int fault = 0; fault < SIM_GOOD; fault++)
            assert_int_equal(counted[fault], golden[b][fault]);
    }
}

static void test_counts_of_the_day(void **state)
{
    struct sim_counts o = sim_count(&day, SIM_ORANGEPI0), r = sim_count(&day, SIM_RASPBERRYPI4);
    uint64_t bad = 0;
    for (int reason = 0; reason < SIM_REASONS; reason++)
        bad += o.quarantined[reason] + r.quarantined[reason];

    assert_int_equal(o.rows, 17107);
    assert_int_equal(r.rows, 17082);
    assert_int_equal(o.late + r.late, 293);
    assert_int_equal(o.dropped + r.dropped, 184);
    assert_int_equal(bad, 371);
    assert_int_equal(o.readings + r.readings, 34560);
    assert_int_equal(o.unsure + r.unsure, 0);
}

static void test_payloads(void **state)
{
    static const struct {
        enum sim_board board;
        enum sim_fault fault;
        unsigned after; /* ticks after 09:00; spikes depend on k mod 3 */
        const char *text;
        enum sim_reason reason;
    } cases[] = {
        {SIM_ORANGEPI0, SIM_GOOD, 0, "{\"temp\":25.1,\"humidity\":60.5,", SIM_KEPT},
        {SIM_RASPBERRYPI4, SIM_GOOD, 0, "{\"temp\":24,\"humidity\":67,", SIM_KEPT},
        {SIM_ORANGEPI0, SIM_NULL, 0, "{\"temp\":null,\"humidity\":60.5,", SIM_TYPE},
        {SIM_ORANGEPI0, SIM_NAN, 0, "{\"temp\":NaN,\"humidity\":60.5,", SIM_SYNTAX},
        {SIM_ORANGEPI0, SIM_MISSING, 0, "{\"temp\":25.1,\"seq\":7,", SIM_MISSING_FIELD},
        {SIM_ORANGEPI0, SIM_FAHRENHEIT, 0, "{\"temp\":77.2,\"humidity\":60.5,", SIM_JUMP},
        {SIM_RASPBERRYPI4, SIM_FAHRENHEIT, 0, "{\"temp\":75,\"humidity\":67,", SIM_RANGE},
        {SIM_ORANGEPI0, SIM_SPIKE, 0, "{\"temp\":3302.0,\"humidity\":60.5,", SIM_RANGE},
        {SIM_RASPBERRYPI4, SIM_SPIKE, 1, ",\"humidity\":150,", SIM_RANGE},
        {SIM_RASPBERRYPI4, SIM_SPIKE, 2, "{\"temp\":43,", SIM_JUMP},
    };
    uint64_t nine = MONDAY_K + 9 * 3600 / SIM_PERIOD_S;

    assert_int_equal(nine % 3, 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char payload[SIM_PAYLOAD_BYTES];
        uint64_t k = nine + cases[i].after;
        size_t length = sim_payload(cases[i].board, k, 7, cases[i].fault, payload);
        assert_int_equal(length, strlen(payload));
        if (!strstr(payload, cases[i].text))
            fail_msg("case %zu: %s is not in %s", i, cases[i].text, payload);
        assert_int_equal(sim_reason_of(cases[i].board, k, cases[i].fault), cases[i].reason);
    }
}

struct arrival {
    uint64_t events, late, dups;
    int64_t last_ms;
    char last[SIM_BOARDS][SIM_PAYLOAD_BYTES];
};

static int check_arrival(void *context, const struct sim_event *event)
{
    struct arrival *arrival = context;
    uint64_t k = MONDAY_K + event->seq;
    int64_t age_ms = event->received_ms - (int64_t)k * SIM_PERIOD_S * 1000;
    bool same = strcmp(arrival->last[event->board], event->payload) == 0;

    assert_true(event->received_ms >= arrival->last_ms);
    assert_true((age_ms > 60000) == (sim_fault_at(event->board, k) == SIM_LATE));
    arrival->late += age_ms > 60000;
    arrival->dups += same;
    arrival->events++;
    arrival->last_ms = event->received_ms;
    memcpy(arrival->last[event->board], event->payload, SIM_PAYLOAD_BYTES);
    return 0;
}

static void test_events_come_in_order_of_arrival(void **state)
{
    struct arrival arrival = {0};
    assert_int_equal(sim_run(&day, check_arrival, &arrival), 0);
    assert_int_equal(arrival.events, 34560 + 184);
    assert_int_equal(arrival.late, 293);
    assert_int_equal(arrival.dups, 184);
}

static int stop_at_third(void *context, const struct sim_event *event)
{
    unsigned *seen = context;
    return ++*seen == 3 ? 77 : 0;
}

static void test_a_run_can_be_ended(void **state)
{
    unsigned seen = 0;
    assert_int_equal(sim_run(&day, stop_at_third, &seen), 77);
    assert_int_equal(seen, 3);
}

static void test_without_faults(void **state)
{
    struct sim_range range = day;
    range.faults = false;
    struct sim_counts counts = sim_count(&range, SIM_ORANGEPI0);
    assert_int_equal(counts.rows, DAY_STEPS);
    assert_int_equal(counts.late + counts.dropped, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_noise_has_mean_0_and_deviation_1),
        cmocka_unit_test(test_golden_readings),
        cmocka_unit_test(test_golden_day),
        cmocka_unit_test(test_golden_faults),
        cmocka_unit_test(test_counts_of_the_day),
        cmocka_unit_test(test_payloads),
        cmocka_unit_test(test_events_come_in_order_of_arrival),
        cmocka_unit_test(test_a_run_can_be_ended),
        cmocka_unit_test(test_without_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
