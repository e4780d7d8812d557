/* A reading is a function of (board, k), k being the Unix time in periods of 5 s. Three streams of
 * numbers belong to a board: its temperature noise, its humidity noise and its faults.
 *
 * Happy path: sim_run() walks the ticks; at each tick a board sends the reading it has just taken.
 * Faults: at most one per reading, chosen by one uniform number against a cumulative table:
 *   null        "temp":null                                    -> type
 *   spike       by k mod 3: temp 3302.0, humidity 150 (range), temp 20 degrees too warm (jump)
 *   dup         the same bytes again 200 ms later              -> dropped
 *   late        held back by the network for 90 s              -> stored, flagged
 *   missing     no humidity                                    -> missing
 *   Fahrenheit  temp in Fahrenheit, not declared               -> jump, or range where it exceeds
 *   NaN         "temp":NaN, which is not JSON                  -> syntax
 */
#include "sim.h"

#include <math.h>
#include <stdio.h>

struct board_spec {
    const char *name;
    const char *sensor;
    struct sim_climate mean, noise;
    double steps_per_unit; /* 10: tenths, 1: whole numbers */
    double max_c;          /* the sensor's range ends here */
    const char *temp_stream, *humidity_stream, *fault_stream;
};

static const struct board_spec boards[SIM_BOARDS] = {
    [SIM_ORANGEPI0] = {"orangepi0",
                       "DHT22",
                       {24.8, 60.6},
                       {0.15, 0.5},
                       10,
                       80,
                       "/data/orangepi0/t",
                       "/data/orangepi0/h",
                       "/data/orangepi0/fault"},
    [SIM_RASPBERRYPI4] = {"raspberrypi4",
                          "DHT11",
                          {24.0, 66.0},
                          {0.4, 0.8},
                          1,
                          50,
                          "/data/raspberrypi4/t",
                          "/data/raspberrypi4/h",
                          "/data/raspberrypi4/fault"},
};

static const double fault_share[SIM_GOOD] = {
    [SIM_NULL] = .004,    [SIM_SPIKE] = .002,      [SIM_DUP] = .005, [SIM_LATE] = .010,
    [SIM_MISSING] = .002, [SIM_FAHRENHEIT] = .001, [SIM_NAN] = .002,
};

static const char *const reason_names[SIM_REASONS] = {
    [SIM_SYNTAX] = "syntax", [SIM_TYPE] = "type", [SIM_MISSING_FIELD] = "missing",
    [SIM_RANGE] = "range",   [SIM_JUMP] = "jump",
};

uint64_t sim_mix(uint64_t x)
{
    uint64_t z = x + UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t sim_hash(const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    return hash;
}

double sim_u(uint64_t stream, uint64_t k)
{
    return (double)(sim_mix(sim_mix(SIM_SEED ^ stream) + k) >> 11) * 0x1p-53;
}

double sim_n(uint64_t stream, uint64_t k)
{
    double sum = sim_u(stream, 4 * k) + sim_u(stream, 4 * k + 1) + sim_u(stream, 4 * k + 2) +
                 sim_u(stream, 4 * k + 3);
    return (sum - 2) * sqrt(3);
}

const char *sim_board_name(enum sim_board board)
{
    return boards[board].name;
}

const char *sim_sensor_name(enum sim_board board)
{
    return boards[board].sensor;
}

const char *sim_reason_name(enum sim_reason reason)
{
    return reason_names[reason];
}

static double rounded(enum sim_board board, double x)
{
    double steps = boards[board].steps_per_unit;
    return floor(x * steps + 0.5) / steps;
}

struct sim_climate sim_measure(enum sim_board board, uint64_t k)
{
    const struct board_spec *spec = &boards[board];
    double hour = (double)(k * SIM_PERIOD_S % 86400) / 3600;
    double day = sin(2 * M_PI * (hour - 9) / 24); /* highest at 15:00, lowest at 03:00 */
    double temp_noise = spec->noise.temp_c * sim_n(sim_hash(spec->temp_stream), k);
    double humidity_noise = spec->noise.humidity_pct * sim_n(sim_hash(spec->humidity_stream), k);

    return (struct sim_climate){
        .temp_c = rounded(board, spec->mean.temp_c + 1.6 * day + temp_noise),
        .humidity_pct = rounded(board, spec->mean.humidity_pct - 4 * day + humidity_noise),
    };
}

enum sim_fault sim_fault_at(enum sim_board board, uint64_t k)
{
    double x = sim_u(sim_hash(boards[board].fault_stream), k);
    double up_to = 0;
    for (int fault = 0; fault < SIM_GOOD; fault++) {
        up_to += fault_share[fault];
        if (x < up_to)
            return (enum sim_fault)fault;
    }
    return SIM_GOOD;
}

static double in_fahrenheit(enum sim_board board, double temp_c)
{
    return rounded(board, temp_c * 1.8 + 32);
}

enum sim_reason sim_reason_of(enum sim_board board, uint64_t k, enum sim_fault fault)
{
    switch (fault) {
    case SIM_NULL: return SIM_TYPE;
    case SIM_MISSING: return SIM_MISSING_FIELD;
    case SIM_NAN: return SIM_SYNTAX;
    case SIM_SPIKE: return k % 3 == 2 ? SIM_JUMP : SIM_RANGE;
    case SIM_FAHRENHEIT: {
        double value = in_fahrenheit(board, sim_measure(board, k).temp_c);
        return value > boards[board].max_c ? SIM_RANGE : SIM_JUMP;
    }
    case SIM_DUP:
    case SIM_LATE:
    case SIM_GOOD: break;
    }
    return SIM_KEPT;
}

static void spike(struct sim_climate *climate, uint64_t k)
{
    switch (k % 3) {
    case 0: climate->temp_c = 3302; break;
    case 1: climate->humidity_pct = 150; break;
    default: climate->temp_c += SIM_SPIKE_C; break;
    }
}

size_t sim_payload(enum sim_board board, uint64_t k, uint64_t seq, enum sim_fault fault,
                   char payload[SIM_PAYLOAD_BYTES])
{
    struct sim_climate climate = sim_measure(board, k);
    int digits = boards[board].steps_per_unit > 1 ? 1 : 0;
    char temp[32], humidity[48] = "";

    if (fault == SIM_SPIKE)
        spike(&climate, k);
    if (fault == SIM_FAHRENHEIT)
        climate.temp_c = in_fahrenheit(board, climate.temp_c);

    if (fault == SIM_NULL || fault == SIM_NAN)
        snprintf(temp, sizeof(temp), "%s", fault == SIM_NULL ? "null" : "NaN");
    else
        snprintf(temp, sizeof(temp), "%.*f", digits, climate.temp_c);
    if (fault != SIM_MISSING)
        snprintf(humidity, sizeof(humidity), "\"humidity\":%.*f,", digits, climate.humidity_pct);

    int length =
        snprintf(payload, SIM_PAYLOAD_BYTES, "{\"temp\":%s,%s\"seq\":%llu,\"ts\":%llu}", temp,
                 humidity, (unsigned long long)seq, (unsigned long long)k * SIM_PERIOD_S * 1000);
    return (size_t)length;
}

static enum sim_fault fault_in(const struct sim_range *range, enum sim_board board, uint64_t seq)
{
    return range->faults ? sim_fault_at(board, range->first_k + seq) : SIM_GOOD;
}

/* Sends reading `seq`, which leaves the network `delay_ms` after it was taken. */
static int emit(const struct sim_range *range, enum sim_board board, uint64_t seq, int64_t delay_ms,
                sim_event_fn fn, void *context)
{
    uint64_t k = range->first_k + seq;
    struct sim_event event = {.board = board, .seq = seq};

    event.received_ms = (int64_t)k * SIM_PERIOD_S * 1000 + SIM_NETWORK_MS + delay_ms;
    sim_payload(board, k, seq, fault_in(range, board, seq), event.payload);
    return fn(context, &event);
}

/* A board at one tick: the late reading that is due now, then the one just taken. */
static int emit_tick(const struct sim_range *range, enum sim_board board, uint64_t tick,
                     sim_event_fn fn, void *context)
{
    int status = 0;
    uint64_t due = tick - SIM_LATE_TICKS;

    if (tick >= SIM_LATE_TICKS && fault_in(range, board, due) == SIM_LATE)
        status = emit(range, board, due, SIM_LATE_TICKS * SIM_PERIOD_S * 1000, fn, context);
    if (status == 0 && tick < range->steps && fault_in(range, board, tick) != SIM_LATE)
        status = emit(range, board, tick, 0, fn, context);
    return status;
}

int sim_run(const struct sim_range *range, sim_event_fn fn, void *context)
{
    int status = 0;
    for (uint64_t tick = 0; status == 0 && tick < range->steps + SIM_LATE_TICKS; tick++) {
        for (int b = 0; status == 0 && b < SIM_BOARDS; b++)
            if (range->boards & (1u << b))
                status = emit_tick(range, (enum sim_board)b, tick, fn, context);
        for (int b = 0; status == 0 && tick < range->steps && b < SIM_BOARDS; b++)
            if (range->boards & (1u << b) && fault_in(range, (enum sim_board)b, tick) == SIM_DUP)
                status = emit(range, (enum sim_board)b, tick, SIM_DUP_MS, fn, context);
    }
    return status;
}

struct sim_counts sim_count(const struct sim_range *range, enum sim_board board)
{
    struct sim_counts counts = {.readings = range->steps};
    bool level_known = false;

    for (uint64_t seq = 0; seq < range->steps; seq++) {
        enum sim_fault fault = fault_in(range, board, seq);
        enum sim_reason reason = sim_reason_of(board, range->first_k + seq, fault);

        counts.dropped += fault == SIM_DUP;
        counts.late += fault == SIM_LATE;
        if (reason == SIM_KEPT)
            counts.rows++;
        else
            counts.quarantined[reason]++;
        counts.unsure += reason == SIM_JUMP && !level_known;
        level_known = level_known || fault == SIM_GOOD || fault == SIM_DUP;
    }
    counts.sent = counts.readings + counts.dropped;
    return counts;
}
