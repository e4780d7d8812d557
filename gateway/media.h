/* Media types, as far as a body's coding depends on them. Any thread; allocates nothing.
 */
#ifndef NR_GATEWAY_MEDIA_H
#define NR_GATEWAY_MEDIA_H

#include "common/base/str.h"

enum media_kind {
    MEDIA_NONE, /* no type was given */
    MEDIA_BAD,  /* that is no media type */
    MEDIA_TEXT,
    MEDIA_FORM,      /* application/x-www-form-urlencoded */
    MEDIA_JSON,      /* application/json */
    MEDIA_JSON_LIKE, /* whatever ends with +json */
    MEDIA_DRAWING,   /* image/svg+xml: an image that is a text */
    MEDIA_BINARY,
};

/* Of the value of a Content-Type header ({NULL, 0}: there is none). */
enum media_kind media_kind_of(struct nr_str type);
/* It is text/... and names no charset. */
bool media_wants_charset(struct nr_str type);

#endif
