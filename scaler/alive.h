/* Does anybody decide, and how long ago did that last show?
 */
#ifndef NR_SCALER_ALIVE_H
#define NR_SCALER_ALIVE_H

#include "scaler/internal.h"

/* Once a second: a scaler that decides says once a minute that it is there. */
void alive_say(struct scaler *s);
/* Something came that a deciding scaler said then, wall clock in ms. */
void alive_heard(struct scaler *s, int64_t t_ms);
/* Since then, or since the start when nothing came. Any thread. */
double alive_age_s(struct scaler *s);

#endif
