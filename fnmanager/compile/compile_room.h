/* The room that compiled code takes: within an account's quota of bytes, and within a ceiling of its folder; what no version names any more goes. Blocking;
 * threads that may wait.
 */
#ifndef NR_FNMANAGER_COMPILE_ROOM_H
#define NR_FNMANAGER_COMPILE_ROOM_H

#include "fnmanager/compile/compiled.h"

struct fnmanager;

/* Before anything is compiled for the account: its folder is swept and measured. NR_EFORBIDDEN with a sentence when there is no room. */
int compile_room(struct fnmanager *m, struct nr_str account, const char *folder,
                 struct nr_err *err);
/* Keeps a result as compiled_keep() does, and it counts. NR_EFORBIDDEN with a sentence: it is above the quota. */
int compile_room_keep(struct fnmanager *m, struct nr_str account, const char *folder,
                      const char *key, struct nr_str bytes, struct compiled *ret,
                      struct nr_err *err);
/* All accounts: what no version names any more goes after a while, folders without an account go, and the rest is measured. */
void compile_sweep(struct fnmanager *m);

#endif
