/* Stems: containers of our runtime images that were started ahead of any function, their interpreter booted; of nobody until one is
 * handed over to a function (handover.h), which is once. Here is how many of which there are. Loop's thread, except where said.
 */
#ifndef NR_INVOKER_STEM_H
#define NR_INVOKER_STEM_H

#include "invoker/internal.h"
#include "invoker/pool_rules.h"

/* Reads the configuration. NR_EINVAL names what is wrong in c->stems. */
int stems_open(struct invoker *v, const struct invoker_config *c, struct nr_err *err);
/* Lays out what is kept from the start, of the images that the probe has found; the first stems are asked for soon. */
void stems_begin(struct invoker *v);
/* Frees; no stem lives. */
void stems_free(struct invoker *v);

/* A ready stem that one more container of f may be made from, or NULL; it stays on its shelf. Counts as demand. *ret_empty: some are kept
 * for such functions, and none is ready. */
struct container *stem_for(struct invoker *v, const struct function *f, bool *ret_empty);
/* Takes a stem off its shelf: it is handed over. */
void stem_take(struct container *ct);
/* The first call of what was a stem has its answer: the shelves are filled now. */
void stem_answered(struct invoker *v);
/* Its hello has come and its control groups are known: it may be handed over. */
void stem_ready(struct container *ct);
/* It did not come up; retires it. Its shelf is left alone for a while. */
void stem_failed(struct container *ct);
/* It is dying. */
void stem_gone(struct container *ct);
/* A hand-over from the shelf of such functions failed: the next start of one takes no stem for a while. */
void stem_distrust(struct invoker *v, const struct function *f);

/* Starts what is missing; ends what nobody used for long. Once a second, and when something changed. */
void stems_fill(struct invoker *v);
void stems_tidy(struct invoker *v);
/* Counts in *sum what would be free if all stems but `keep` went; the next of them to go, or NULL. */
void stems_evictable(const struct invoker *v, const struct container *keep, struct shortage *sum);
struct container *stem_to_evict(struct invoker *v, const struct container *keep);
/* The scaler's: so many of this kind; < 0: as demand asks. */
void stems_wish(struct invoker *v, const char *kind, int count);

/* What the create body of a stem says; texts lent by v. */
void stem_spec_of(const struct container *ct, struct create_spec *s);
/* A worker's thread: the file that says that the container is nobody's. */
void stem_write_identity(const struct container *ct);

/* One shelf, for people: [{"kind","network","memory_mb","ready","starting","wanted"},...]. */
void stems_status(const struct invoker *v, struct nr_buf *out);

#endif
