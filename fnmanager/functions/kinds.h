/* Kinds: which runtimes there are, what a client's word for one means, and what the files of each are called.
 * Pure; any thread.
 */
#ifndef NR_FNMANAGER_KINDS_H
#define NR_FNMANAGER_KINDS_H

#include "common/base/err.h"
#include "ports/fnmanager.h"

#define KIND_BLACKBOX "blackbox"
#define KIND_SEQUENCE "sequence"

/* The entry that a client's word means: case does not matter, `<family>:default` is the family's default, an alias is what it
 * stands for. NULL when there is none; then *err (lent) has the text with all valid kinds. */
const struct runtime_kind *kinds_resolve(const struct runtime_kind *kinds, const char *word,
                                         struct nr_err *err);

/* 0 when functions of this resolved kind may be changed and called: "blackbox", "sequence", and what is in the table and not deprecated; else
 * NR_EINVAL with the text that says what may still be done. */
int kinds_judge(const struct runtime_kind *kinds, const char *kind, struct nr_err *err);

/* Is this image our native runtime ("openwhisk/dockerskeleton" with any tag)? */
bool kinds_image_is_native(const char *image);
/* Could the Engine understand this reference: [registry[:port]/][path/]name[:tag][@digest]? */
bool kinds_image_valid(const char *image);

/* {"python":[{"kind":...}]} as the root document shows it. */
void kinds_write(const struct runtime_kind *kinds, struct nr_buf *out);

#endif
