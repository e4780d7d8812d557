/* What this node runs, by the words of images and of the Engine: its architecture, which images are made for it, which entry of a manifest
 * list is. Not for which image an account may have. Pure; any thread.
 */
#ifndef NR_INVOKER_PLATFORM_H
#define NR_INVOKER_PLATFORM_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/err.h"

/* One architecture that naraed is built for. */
struct platform {
    const char *architecture; /* as images have it: "amd64" */
    unsigned newest_variant;  /* "v1" up to this one run; an image without a variant does too */
    const char *seccomp;      /* as the Engine's profiles have it */
    bool narrow;              /* words of 32 bits, and the system calls of such kernels */
};

/* The one that this program is built for; NULL when the table has no row for it. */
const struct platform *platform_here(void);
/* The row of an architecture by its name in images, or NULL. */
const struct platform *platform_named(const char *architecture);

/* What an image is made for; NULL and "" are "not told". */
struct image_platform {
    const char *os, *architecture, *variant;
};

/* As the Engine tells it of an image on this host ("Os", "Architecture", "Variant"); its texts are lent by `image`. */
struct image_platform image_platform_of(const json_t *image);
/* Into `out` (of `bytes`): "linux/arm/v7"; what is not told is "?", and so is what no architecture is called like. */
void image_platform_write(const struct image_platform *p, char *out, size_t bytes);
/* Does `here` run it? A NULL `here` is taken to run every image for Linux. */
bool image_platform_fits(const struct platform *here, const struct image_platform *p);
/* Has a registry, by what it tells of an image ([{"os","architecture","variant"}], lent; NULL or empty: it tells nothing, which is fine), one
 * for `here`? NR_EINVAL with a sentence that names those that are there. */
int image_platforms_check(const struct platform *here, const json_t *platforms,
                          const char *reference, struct nr_err *err);

#endif
