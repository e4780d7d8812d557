/* The secret under which keys are hashed, and the key files of a first start. Blocking; at open.
 */
#ifndef NR_FNMANAGER_KEY_FILES_H
#define NR_FNMANAGER_KEY_FILES_H

#include "fnmanager/accounts.h"

/* Reads <data>/secret.key, or makes it when there are no keys yet; makes the accounts guest and administrator, each with a key and its file
 * <data>/guest.key, <data>/admin.key (0600, "uuid:secret") when it has none; puts guest's profile in force. */
int key_files_prepare(struct nr_db *db, const struct accounts_config *c, unsigned char secret[32],
                      struct nr_err *err);

/* The keyed hash of "uuid:secret". */
void key_mac(const unsigned char key[32], struct nr_str uuid, struct nr_str secret,
             unsigned char out[NR_SHA256_BYTES]);

#endif
