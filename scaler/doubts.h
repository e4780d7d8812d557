/* Warnings of SCALE_PUT and SCALE_CHECK: what a document says that can be meant, but most likely is not. Here are those that need no window and no record. The
 * scaler's thread, but for doubt().
 */
#ifndef NR_SCALER_DOUBTS_H
#define NR_SCALER_DOUBTS_H

#include "scaler/internal.h"

/* Adds {"path","why"} to `list` (lent); why as printf does. Any thread that has the list. */
void doubt(json_t *list, const char *path, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Adds {"path","why"} of each doubt to `list` (lent). It may ask the platform whether p's function is there, which blocks for one read. */
void doubts_add(struct scaler *s, const struct policy *p, json_t *list);
/* Stem cells of a kind that there is none of: NR_EINVAL with c's error and its reply, the problem and the nearest kind; else 0. */
int doubts_stems(const struct scaler *s, struct scale_call *c, const struct policy *p);
/* Refuses to replay what was recorded of one target with a document for another: NR_EINVAL, and the sentence that names both. */
int doubts_other(struct scale_call *c, const struct policy *p, const struct policy *recorded);

#endif
