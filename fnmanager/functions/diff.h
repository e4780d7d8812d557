/* What is different between two versions: settings by path, files by name, size and hash. Blocking; any thread.
 */
#ifndef NR_FNMANAGER_DIFF_H
#define NR_FNMANAGER_DIFF_H

#include "fnmanager/registry/metadata.h"
#include "fnmanager/accounts/secrets.h"
#include "fnmanager/storage/storage.h"

/* Of what, and by what it is read; all lent. */
struct diff_order {
    struct storage *storage;
    struct secrets *secrets;
    uint64_t account; /* id of whose function it is */
    const struct fn_row *from, *to;
};

/* "settings":[…],"files":[…], two members of an object of the API, added to `out` (lent). NR_ECORRUPT and others with a sentence when a
 * stored file cannot be read. Of a secret parameter it is told that it is another one, never a value. */
int diff_write(const struct diff_order *d, struct nr_buf *out, struct nr_err *err);

#endif
