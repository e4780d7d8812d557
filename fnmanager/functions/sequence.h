/* Sequences: what runs one after the other. A component is a reference to a function, perhaps to a version or an alias of it; as a text
 * it names its namespace, so that it means the same whoever reads it.
 */
#ifndef NR_FNMANAGER_SEQUENCE_H
#define NR_FNMANAGER_SEQUENCE_H

#include <jansson.h>

#include "common/base/err.h"
#include "common/base/str.h"
#include "ports/function.h"

/* Functions that a sequence runs, at most; those of sequences in it count as its own. */
#define SEQUENCE_MAX 50

struct sequence {
    struct function_target *step; /* made */
    size_t count;
};

/* The components of a body (an array of texts, lent), each made whole with `account` (lent) where it names no namespace, into *ret (made). NR_EINVAL
 * with the exact text of the API. sequence_fini() in any case. */
int sequence_read(const json_t *components, const char *account, struct sequence *ret,
                  struct nr_err *err);
/* The same of a text that was stored; "" is no sequence. NR_ECORRUPT. */
int sequence_load(const char *text, struct sequence *ret, struct nr_err *err);
void sequence_fini(struct sequence *s);
/* The text that is stored (made): a JSON array of whole references. */
char *sequence_text(const struct sequence *s);
/* A stored text as an array (made) in which the functions of `account` are those of "_": it means the same in another account that has them. */
json_t *sequence_movable(const char *text, struct nr_str account);

#endif
