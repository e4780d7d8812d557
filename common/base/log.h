/* Log: one structured line per event, text or JSON, to a sink. Library code returns errors and does not log; the end of a
 * flow writes one line per invocation. The level is tested before anything is formatted. Any thread.
 * Fields are one printf text, `key=value key="two words"`, which the JSON form carries as "msg".
 */
#ifndef NR_COMMON_BASE_LOG_H
#define NR_COMMON_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum nr_log_level { NR_LOG_ERROR, NR_LOG_WARN, NR_LOG_INFO, NR_LOG_DEBUG };

/* Shared by all threads; level may be changed at any time (relaxed atomic). */
struct nr_log {
    FILE *out; /* kept; writes are one fwrite under its lock each */
    bool json;
    _Atomic int level;
};

/* "error", "warn", "info", "debug" -> level; -1 else. */
int nr_log_level_of(const char *name);

static inline bool nr_log_on(const struct nr_log *l, enum nr_log_level level)
{
    return l && (int)level <= l->level;
}
void nr_log_write(struct nr_log *l, enum nr_log_level level, const char *component, const char *fmt,
                  ...) __attribute__((format(printf, 4, 5)));
#define nr_log(l, level, component, ...)                                                           \
    do {                                                                                           \
        if (nr_log_on(l, level))                                                                   \
            nr_log_write(l, level, component, __VA_ARGS__);                                        \
    } while (0)

#endif
