/* The secret under which keys are hashed, and the key files of a first start. Blocking; at open.
 */
#ifndef NR_FNMANAGER_KEY_FILES_H
#define NR_FNMANAGER_KEY_FILES_H

#include "fnmanager/accounts/accounts.h"

/* Reads <data>/secret.key, or makes it when there are no keys yet; makes the accounts guest and administrator, each with a key and its file
 * <data>/guest.key, <data>/admin.key (0600, "uuid:secret") when it has none; puts guest's profile in force. */
int key_files_prepare(struct nr_db *db, const struct accounts_config *c, unsigned char secret[32],
                      struct nr_err *err);

/* A new random uuid and secret. */
void key_pair_make(struct key_pair *p);

/* When <data_dir>/<account>.key holds the key of this uuid: writes its new secret, or removes the file. A file that cannot be written keeps
 * what is no key any more; who needs it is refused and asks. */
void key_file_renew(const char *data_dir, struct nr_str account, const struct key_pair *p);
void key_file_forget(const char *data_dir, struct nr_str account, struct nr_str uuid);

/* The keyed hash of "uuid:secret". */
void key_mac(const unsigned char key[32], struct nr_str uuid, struct nr_str secret,
             unsigned char out[NR_SHA256_BYTES]);

#endif
