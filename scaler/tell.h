/* Alerts and node wishes, to channels. Does nothing but in the platform, where channels are known.
 */
#ifndef NR_SCALER_TELL_H
#define NR_SCALER_TELL_H

#include "scaler/internal.h"

/* e->record is what was decided; alerts: bit i for rule i, changed: the wish is another now. */
void tell_decided(struct scaler *s, const struct entry *e, uint64_t alerts, bool changed,
                  int64_t from, int64_t to);
/* Another process has decided it: record (lent) is as it came, and news; e->record is the same without what was said on its way. */
void tell_heard(struct scaler *s, const struct entry *e, const json_t *record);

#endif
