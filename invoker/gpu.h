/* The ledger of this host's GPUs: who holds which, whole or in shares. Pure; not for containers, whom it knows by their names of 8 hex only,
 * and not for asking the Engine (create.c). Loop's thread; before the loop runs, the opening thread's.
 *
 *   whole    a function that asks for a count alone gets as many devices for itself
 *   share    one that names memory or a percentage gets that of each of its devices; the fullest device that has room is taken, so that whole
 *            ones stay free. What it does not name is not counted
 */
#ifndef NR_INVOKER_GPU_H
#define NR_INVOKER_GPU_H

#include <stddef.h>

#include "common/base/buf.h"
#include "ports/function.h"
#include "ports/node.h"

struct gpu_ledger;

/* What one container holds; count 0: nothing. */
struct gpu_grant {
    struct function_gpu want;
    uint64_t devices; /* bit i: the inventory's i-th */
};

/* The longest label: every device by its name, and the figures. */
enum { GPU_LABEL_BYTES = NODE_GPUS_MAX * (NODE_GPU_NAME_BYTES + 1) + 48 };

/* list: kept. Nobody holds anything. */
struct gpu_ledger *gpu_open(const struct node_gpu *list, unsigned count);
/* NULL is fine. */
void gpu_free(struct gpu_ledger *l);
/* A ledger like it, for trying out what would be (made, gpu_free()). */
struct gpu_ledger *gpu_copy(const struct gpu_ledger *l);

/* Could it be given if nobody held anything? True for nothing. */
bool gpu_possible(const struct gpu_ledger *l, const struct function_gpu *want);
/* Can it be given now? True for nothing. */
bool gpu_fits(const struct gpu_ledger *l, const struct function_gpu *want);
/* Gives it to `holder` (8 hex; copied), who holds nothing yet. False: it does not fit, nothing changed. */
bool gpu_take(struct gpu_ledger *l, const char *holder, const struct function_gpu *want);
/* Holder lives no more; one who holds nothing is fine. */
void gpu_give(struct gpu_ledger *l, const char *holder);
/* What it holds; lent until the next change; NULL: nothing. */
const struct gpu_grant *gpu_of(const struct gpu_ledger *l, const char *holder);

/* "a0,a1;4096;60": names; memory of each in MB; percentage of each; 0;0: whole. The label of a container. */
void gpu_write_label(const struct node_gpu *list, const struct gpu_grant *g,
                     char out[static GPU_LABEL_BYTES]);
/* What a container of an earlier run holds, by its label (lent; NULL: none). False when it names devices that are not in the inventory or what
 * others hold already: nothing is entered then. */
bool gpu_adopt(struct gpu_ledger *l, const char *holder, const char *label);

/* [{"name","memory_mb","whole","memory_used_mb","percentage_used","holders"},...] */
void gpu_status(const struct gpu_ledger *l, struct nr_buf *out);

#endif
