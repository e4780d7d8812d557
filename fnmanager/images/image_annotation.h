/* The annotation in which the pin of a function's own image stands, so that it is versioned, merged and shown with the other settings. Only the
 * platform writes it: what a client sends under this name counts for nothing. Pure; any thread.
 */
#ifndef NR_FNMANAGER_IMAGE_ANNOTATION_H
#define NR_FNMANAGER_IMAGE_ANNOTATION_H

#include "common/base/err.h"
#include "common/base/str.h"

#define IMAGE_ANNOTATION "narae.image"

/* The pin among annotations (JSON array text, lent), made; "" when there is none. */
char *image_pin_of(struct nr_str annotations);
/* Takes the annotation out of *annotations (made, JSON array text) and puts it in again with `pin` (lent; "" leaves it out). */
int image_pin_set(char **annotations, const char *pin, struct nr_err *err);

#endif
