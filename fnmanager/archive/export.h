/* An account as one archive: all its functions with their versions, aliases, settings and code; packages, triggers, rules, APIs. Blocking; as in
 * account_api.h.
 *
 * A tar: `narae-account.json` {"format":1,"account","exported_ms"}, and of each function `functions/N/function.json` followed by
 * `functions/N/code/K/FILE` for each upload that its versions name; before them `packages/N.json` and `bindings/N.json`, behind them
 * `triggers/N.json`, `rules/N.json` and `apis/N.json` (archive_entities.h); `narae-end.json`
 * {"functions"} is the last. Keys, credentials and records are not in it.
 */
#ifndef NR_FNMANAGER_EXPORT_H
#define NR_FNMANAGER_EXPORT_H

#include "fnmanager/manager.h"

#define EXPORT_FORMAT 1
#define EXPORT_HEAD "narae-account.json"
#define EXPORT_END "narae-end.json"

/* call->file becomes the archive, an open file without a name. */
int account_export(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
/* call->body: the archive. A function that is there already, or is not as it must be, is left out as a whole and told. */
int account_import(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);

#endif
