/* The stages of a start, and `Server-Timing` (W3C). It is written for every call, so it is put together by hand: a warm line costs some
 * hundred instructions.
 */
#include "ports/timing.h"

#include <stddef.h>
#include <string.h>

#include "common/base/clock.h"

static const struct {
    const char *name, *head; /* head: as it stands in the line */
    size_t at;
} stages[STAGES] = {
#define STAGE(name, field)                                                                         \
    {                                                                                              \
        name, name ";dur=", offsetof(struct activation, field)                                     \
    }
    [STAGE_QUEUE] = STAGE("queue", queue_us),
    [STAGE_NETWORK] = STAGE("network", network_us),
    [STAGE_CREATE] = STAGE("create", create_us),
    [STAGE_START] = STAGE("start", boot_us),
    [STAGE_HANDOVER] = STAGE("handover", handover_us),
    [STAGE_THAW] = STAGE("thaw", thaw_us),
    [STAGE_INIT] = STAGE("init", init_us),
#undef STAGE
};

const char *start_stage_name(enum start_stage s)
{
    return stages[s].name;
}

uint64_t start_stage_us(const struct activation *a, enum start_stage s)
{
    uint64_t us;

    memcpy(&us, (const char *)a + stages[s].at, sizeof(us));
    return us;
}

static char *put(char *to, const char *z)
{
    size_t n = strlen(z);

    memcpy(to, z, n);
    return to + n;
}

/* Microseconds as milliseconds with three decimals. */
static char *put_ms(char *to, uint64_t us)
{
    char digits[24];
    size_t n = sizeof(digits);

    for (int i = 0; i < 3; i++, us /= 10)
        digits[--n] = (char)('0' + us % 10);
    digits[--n] = '.';
    do {
        digits[--n] = (char)('0' + us % 10);
        us /= 10;
    } while (us);
    memcpy(to, digits + n, sizeof(digits) - n);
    return to + sizeof(digits) - n;
}

static char *put_stages(char *to, const struct activation *a)
{
    for (int s = 0; s < STAGES; s++) {
        uint64_t us = start_stage_us(a, (enum start_stage)s);

        if (us) {
            to = put(to, stages[s].head);
            to = put_ms(to, us);
            to = put(to, ", ");
        }
    }
    return to;
}

/* `;desc="cold: first call, stem empty"` */
static char *put_start(char *to, const struct activation *a)
{
    to = put(to, ";desc=\"");
    to = put(to, start_kind_text(a->start));
    if (a->start >= START_STEM && a->cold) {
        to = put(to, ": ");
        to = put(to, cold_cause_text(a->cold));
    }
    if (a->start == START_COLD && a->stem_empty)
        to = put(to, ", stem empty");
    *to = '"';
    return to + 1;
}

size_t timing_write(const struct activation *a, uint64_t now_us, char out[TIMING_MAX_BYTES])
{
    uint64_t end = a->answered_us ? a->answered_us : now_us ? now_us : nr_mono_us();
    char *to = put_stages(out, a);

    if (a->started_us && a->answered_us >= a->started_us) {
        uint64_t run_us = a->answered_us - a->started_us;

        to = put(to, "run;dur=");
        to =
            put_ms(to, run_us > a->thaw_us ? run_us - a->thaw_us : 0); /* it is sent, then thawed */
        to = put(to, ", ");
    }
    to = put(to, "total;dur=");
    to = put_ms(to, end > a->accepted_us ? end - a->accepted_us : 0);
    if (a->start != START_NONE)
        to = put_start(to, a);
    return (size_t)(to - out);
}
