/* A PreEnv run as JSON, and back as far as it can go on. Pure but for memory; any thread.
 */
#ifndef NR_FNMANAGER_PREENV_TEXT_H
#define NR_FNMANAGER_PREENV_TEXT_H

#include "common/base/json.h"
#include "fnmanager/preenv/preenv.h"

#define PREENV_TEXT_MAX_BYTES (2u << 20)

/* The whole run, as GET gives it and as it is stored. */
void preenv_write(const struct preenv_run *r, struct nr_buf *out);
/* Reads configurations, events and what was found so far out of such a text into r; NR_ECORRUPT when it is none. Series are not stored. */
int preenv_read(struct nr_str text, struct preenv_run *r);
/* What a list shows of a stored run: the text without configurations, events and place. Adds nothing when it is no run. */
void preenv_write_brief(struct nr_str text, struct nr_buf *out);
/* Events beyond `seen` of a stored run as server-sent events, and the run itself as `end` once it has ended. Returns how many events there
 * are now; *ret_last: the end was written. */
int64_t preenv_write_events(struct nr_str text, int64_t seen, struct nr_buf *out, bool *ret_last);

#endif
