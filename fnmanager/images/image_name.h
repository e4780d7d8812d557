/* References of own images: [host[:port]/]path[:tag][@sha256:...], as people write them and as the Engine does. Pure; any thread.
 */
#ifndef NR_FNMANAGER_IMAGE_NAME_H
#define NR_FNMANAGER_IMAGE_NAME_H

#include "common/base/err.h"

enum { IMAGE_HOST_BYTES = 128, IMAGE_REPOSITORY_BYTES = 384, IMAGE_REFERENCE_BYTES = 640 };

struct image_name {
    char host[IMAGE_HOST_BYTES]; /* "docker.io" when none is written */
    char repository
        [IMAGE_REPOSITORY_BYTES]; /* as the Engine's lists have it: docker.io and its library/ left out */
    char reference
        [IMAGE_REFERENCE_BYTES]; /* repository:tag, "latest" when none is written; repository@sha256:... where that is */
};

/* NR_EINVAL with a sentence. */
int image_name_parse(const char *text, struct image_name *ret, struct nr_err *err);
/* A registry's name by itself: HOST[:PORT]; as `host` above into `out`. */
int image_host_parse(const char *text, char out[static IMAGE_HOST_BYTES], struct nr_err *err);
/* Does the name by itself (HOST[:PORT]) lead to this host or into a network of its own: an address that is not public, a name without a dot
 * or in a zone that no public name is in? Whom a public name leads to is not asked. */
bool image_host_is_local(const char *host);

#endif
