/* The two boards of the sensor example as a counter-based generator: any reading can be computed
 * alone, in any order, and is the same on every machine. Not for real sensors and not for checking
 * readings (that is examples/validate). No state, no allocation, any thread. */
#ifndef EXAMPLES_SENSOR_SIM_SIM_H
#define EXAMPLES_SENSOR_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_SEED UINT64_C(20171130)
#define SIM_PERIOD_S 5
#define SIM_NETWORK_MS 40 /* from the board's clock to the receiver's */
#define SIM_DUP_MS 200    /* a duplicate follows its original by this */
#define SIM_LATE_TICKS 18 /* a late reading arrives this many periods (90 s) after it was taken */
#define SIM_SPIKE_C 20    /* the third form of a spike: this much too warm */
#define SIM_PAYLOAD_BYTES 128

enum sim_board {
    SIM_ORANGEPI0,
    SIM_RASPBERRYPI4,
    SIM_BOARDS,
};

enum sim_fault {
    SIM_NULL,
    SIM_SPIKE,
    SIM_DUP,
    SIM_LATE,
    SIM_MISSING,
    SIM_FAHRENHEIT,
    SIM_NAN,
    SIM_GOOD, /* no fault: also the number of faults */
};

/* Why a reading has to be quarantined, as the checking function names it. */
enum sim_reason {
    SIM_SYNTAX,
    SIM_TYPE,
    SIM_MISSING_FIELD,
    SIM_RANGE,
    SIM_JUMP,
    SIM_REASONS,
    SIM_KEPT = SIM_REASONS, /* not quarantined */
};

struct sim_climate {
    double temp_c;
    double humidity_pct;
};

/* Which readings: `steps` periods from `first_k` on, for the boards whose bit is set. */
struct sim_range {
    uint64_t first_k; /* Unix seconds / SIM_PERIOD_S */
    uint64_t steps;
    unsigned boards; /* bit per enum sim_board */
    bool faults;
};

/* One message as the receiver gets it. */
struct sim_event {
    enum sim_board board;
    uint64_t seq; /* 0 at the start of the range: the board was switched on then */
    int64_t received_ms;
    char payload[SIM_PAYLOAD_BYTES]; /* exactly the board's bytes; not always JSON */
};

struct sim_counts {
    uint64_t readings; /* taken by the board */
    uint64_t sent;     /* with the duplicates */
    uint64_t rows;
    uint64_t late; /* of the rows */
    uint64_t dropped;
    uint64_t quarantined[SIM_REASONS];
    uint64_t unsure; /* jumps before the first good reading: no level to jump from */
};

/* Called per event; the event is lent. Returns 0 to go on, anything else ends the run. */
typedef int (*sim_event_fn)(void *context, const struct sim_event *event);

/* One step of splitmix64 from state `x`. */
uint64_t sim_mix(uint64_t x);

/* FNV-1a, 64 bits, of the stream's name (lent). */
uint64_t sim_hash(const char *name);

/* The `k`-th uniform number in [0, 1) of the stream with hash `stream`. */
double sim_u(uint64_t stream, uint64_t k);

/* The `k`-th number of the stream with mean 0 and deviation 1 (sum of four uniforms). */
double sim_n(uint64_t stream, uint64_t k);

/* Static names. */
const char *sim_board_name(enum sim_board board);
const char *sim_sensor_name(enum sim_board board);
const char *sim_reason_name(enum sim_reason reason);

/* What the board measures at tick `k`, rounded as its sensor rounds, before any fault. */
struct sim_climate sim_measure(enum sim_board board, uint64_t k);

/* The fault that befalls the board's reading `k`. */
enum sim_fault sim_fault_at(enum sim_board board, uint64_t k);

/* Why the board's reading `k` is to be quarantined under `fault`, or SIM_KEPT. */
enum sim_reason sim_reason_of(enum sim_board board, uint64_t k, enum sim_fault fault);

/* Writes the board's message for reading `k` under `fault`; returns its length in bytes. */
size_t sim_payload(enum sim_board board, uint64_t k, uint64_t seq, enum sim_fault fault,
                   char payload[SIM_PAYLOAD_BYTES]);

/* Gives every message of the range (lent) to `fn` in the order of arrival. Messages that are late
 * at the end of the range still come. Returns 0, or what `fn` returned. */
int sim_run(const struct sim_range *range, sim_event_fn fn, void *context);

/* What a correct check of one board's readings must count; the other boards' bits are ignored. */
struct sim_counts sim_count(const struct sim_range *range, enum sim_board board);

#endif
