/* What is different between two versions: settings by path, files by name, size and hash. Blocking; any thread.
 */
#ifndef NR_FNMANAGER_DIFF_H
#define NR_FNMANAGER_DIFF_H

#include "fnmanager/metadata.h"
#include "fnmanager/storage.h"

/* "settings":[…],"files":[…], two members of an object of the API, added to `out` (lent). NR_ECORRUPT and others with a sentence when a
 * stored file cannot be read. */
int diff_write(struct storage *s, const struct fn_row *from, const struct fn_row *to,
               struct nr_buf *out, struct nr_err *err);

#endif
