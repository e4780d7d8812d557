/* What this node runs, by the words of images and of the Engine: its architecture, which images are made for it, which entry of a manifest
 * list is. Not for which image an account may have. Pure; any thread.
 */
#ifndef NR_INVOKER_PLATFORM_H
#define NR_INVOKER_PLATFORM_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/err.h"

/* One architecture that naraed is built for; of amd64 one for each level of its processors. */
struct platform {
    const char *architecture; /* as images have it: "amd64" */
    unsigned newest_variant;  /* "v1" up to this one run; an image without a variant does too */
    const char *name;         /* for people: "linux/amd64/v3" */
    const char *seccomp;      /* as the Engine's profiles have it */
    bool narrow;              /* words of 32 bits, and the system calls of such kernels */
};

/* The one that this program is built for, on the processor that runs it; NULL when the table has no row for it. */
const struct platform *platform_here(void);
/* The first row of an architecture by its name in images, which every processor of it is, or NULL. */
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

/* Which variant of `here`'s architecture is to be asked for by name, because the list (as above) has none that every processor of it runs: the highest that
 * `here` runs. 0: none, the Engine finds by itself what there is. */
unsigned image_platforms_variant(const struct platform *here, const json_t *platforms);

#endif
