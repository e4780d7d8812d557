/* The rows of one second: what controller and invoker told of functions, joined by their keys. Pure; one thread at a time.
 */
#ifndef NR_DAEMON_SAMPLE_ROWS_H
#define NR_DAEMON_SAMPLE_ROWS_H

#include "ports/figures.h"
#include "ports/gateway.h"

struct call_row {
    struct call_figures figures;
    size_t key_at; /* in `text`, for that may move while rows are added */
};

struct container_row {
    struct container_figures figures;
    size_t key_at;
};

/* Zeroed but for sample_rows_init(); used again and again. */
struct sample_rows {
    struct nr_buf text; /* keys */
    struct call_row *calls;
    struct container_row *containers;
    size_t call_count, call_room, container_count, container_room;
    uint64_t lost; /* rows that there was no memory for, of all seconds */
};

void sample_rows_init(struct sample_rows *r);
void sample_rows_fini(struct sample_rows *r);
/* False: there was no memory; a span stays with who has it. */
bool sample_rows_add_calls(struct sample_rows *r, const struct call_figures *f);
bool sample_rows_add_containers(struct sample_rows *r, const struct container_figures *f);
/* Tells of each function, in the order of keys, with what it knows of it (t_ms, node, seq are left to the caller). The sample's texts and sketches are
 * lent for the call. label: SERIES_AS_BEFORE for who had no call. */
void sample_rows_each(struct sample_rows *r, int64_t span_ms,
                      void (*each)(void *arg, struct sample *s, enum series_label label),
                      void *arg);
/* The sample of the node. */
void sample_rows_node(const struct node_figures *f, int64_t span_ms, struct sample *ret);
/* Empty again; spans must have been taken out. */
void sample_rows_clear(struct sample_rows *r);

#endif
