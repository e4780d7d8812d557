/* Execution settings beyond memory, time, logs and concurrency: annotations of a function, so that they are versioned and merged as these
 * are.
 *
 *   narae.cpus       cap in cores, 0.05 up to the node's
 *   narae.cpu_share  weight against others, 2 to 262144; without it in proportion to memory (256 MB is 1024)
 *   narae.place      {"arch":"arm64","gpu":true} tags that a host must have to run it: texts, truths or whole numbers
 *   narae.gpu        {"count"} whole GPUs; with "memory_mb" (steps of 256) or "percentage" (1 to 100) that share of each
 *
 * Pure; any thread.
 */
#ifndef NR_FNMANAGER_SETTINGS_H
#define NR_FNMANAGER_SETTINGS_H

#include <jansson.h>

#include "common/base/err.h"
#include "ports/function.h"
#include "ports/node.h"

struct settings {
    int64_t cpus_milli, cpu_share; /* as in struct function */
    struct function_gpu gpu;
    const json_t *place; /* lent by the annotations; NULL: none */
};

/* What the annotations (JSON array of {key, value}, lent) say. NR_EINVAL with a sentence that has the limit and the value. */
int settings_read(const json_t *annotations, struct settings *ret, struct nr_err *err);
/* The tags of `place` as "key=value" (made, ends with NULL, tags_free()); NULL: there are none. */
char **settings_place(const struct settings *s);
/* Can the node (lent; NULL: it is not known and has no GPU) give this? NR_EINVAL likewise. Where other hosts may join they are asked when it is called. */
int settings_fit(const struct settings *s, const struct node *node, struct nr_err *err);
/* Both, for annotations as they are stored (JSON text, lent). */
int settings_check(const char *annotations, const struct node *node, struct nr_err *err);

/* /narae/v1 takes memory in steps of 64 MB only (the container of anything else would get the next one). -1, not given, is fine. NR_EINVAL names
 * the two nearest. */
int settings_memory_step(int64_t memory_mb, struct nr_err *err);

#endif
