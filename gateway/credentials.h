/* Keys of accounts as they stand in a header: "uuid:secret" in base64 behind the word Basic, and what else tired people make of it. Pure; any
 * thread.
 */
#ifndef NR_GATEWAY_CREDENTIALS_H
#define NR_GATEWAY_CREDENTIALS_H

#include <stdbool.h>

#include "common/base/str.h"

#define CREDENTIALS_MAX_BYTES 512

/* "user:password" of a Basic header, in room (lent, CREDENTIALS_MAX_BYTES + 4 bytes); absent when it is not of that form. */
struct nr_str credentials_read(struct nr_str header, char *room);
/* May it be a key of an account, good or not: something with the form of a uuid before the colon, or with that of a key's secret behind it? */
bool credentials_are_key(struct nr_str credentials);
/* Does a header's value hold such a key anywhere: behind any scheme or none, coded or as it is, or after a comma? Of a scheme that is not Basic both
 * halves must have their form, for its words are other people's. */
bool credentials_show_key(struct nr_str header);

#endif
