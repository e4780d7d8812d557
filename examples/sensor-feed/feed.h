/* Sends readings to a deployed checking function over HTTP and counts what it answers. Carries each
 * device's state from answer to next call, for the function has no memory. Not a load program: one
 * call at a time, because a device's next call needs the answer of its last. One thread. */
#ifndef EXAMPLES_SENSOR_FEED_FEED_H
#define EXAMPLES_SENSOR_FEED_FEED_H

#include <stdbool.h>
#include <stdint.h>

struct json_t;

struct feed_settings {
    const char *url;    /* kept: scheme, host and port of the platform */
    const char *action; /* kept: NAME or PACKAGE/NAME */
    const char *key;    /* kept: uuid:secret */
    long timeout_ms;    /* of one call */
    bool insecure;      /* accept a certificate nobody signed */
};

/* What the answers said so far. */
struct feed_counts {
    uint64_t calls;
    uint64_t failed;
    uint64_t sent; /* messages in the calls that were answered */
    uint64_t rows;
    uint64_t late; /* of the rows */
    uint64_t dropped;
    struct json_t *quarantined; /* lent, changes with each call: {reason: number} */
    int64_t spent_us;           /* in calls */
    int64_t slowest_us;
};

struct feed;

/* Returns a feed (made, end with feed_close()), or NULL after a line on stderr. */
struct feed *feed_open(const struct feed_settings *settings);

/* Adds one line (lent) to the next batch: an object with "device", as sensor-sim prints it.
 * Returns 0, or -1 after a line on stderr when it is no such object. */
int feed_add(struct feed *feed, const char *line);

/* Messages added and not sent yet. */
long feed_pending(const struct feed *feed);

/* Sends what was added in one call and counts the answer. Returns 0, or -1 after a line on stderr;
 * the messages are gone either way. */
int feed_send(struct feed *feed);

/* The counts (lent until feed_close()). */
const struct feed_counts *feed_counts(const struct feed *feed);

/* Frees the feed; takes NULL. */
void feed_close(struct feed *feed);

#endif
