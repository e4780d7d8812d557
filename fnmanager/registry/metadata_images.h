/* Metadata Handler: credentials of registries, and the images that accounts have been given. As metadata.h.
 */
#ifndef NR_FNMANAGER_METADATA_IMAGES_H
#define NR_FNMANAGER_METADATA_IMAGES_H

#include <jansson.h>

#include "fnmanager/registry/metadata.h"

/* Credentials of one account for one registry; lent. */
struct registry_row {
    struct nr_str account, host, username;
    struct nr_str secret; /* sealed */
};

/* Inserts or replaces, with a line of the audit log. */
int metadata_registry_put(struct nr_db *db, const struct registry_row *row, struct fn_actor actor);
/* NR_ENOENT when there are none. */
int metadata_registry_delete(struct nr_db *db, struct nr_str account, struct nr_str host,
                             struct fn_actor actor);
/* *ret_username, *ret_secret (made; ret_bytes of binary data). NR_ENOENT. */
int metadata_registry(struct nr_db *db, struct nr_str account, struct nr_str host,
                      char **ret_username, char **ret_secret, size_t *ret_bytes);
/* {"registries":[{"host","username","updated_ms"}]} of the account is added to out. */
int metadata_registries(struct nr_db *db, struct nr_str account, struct nr_buf *out);

/* An image as one account got it; texts lent. */
struct image_row {
    struct nr_str account, pin, reference;
    int64_t bytes, pulled_ms;
    bool ours; /* it was not on this host before we pulled it */
};

/* Inserts or renews; what was ours stays ours. */
int metadata_image_put(struct nr_db *db, const struct image_row *row);
/* Nobody has this one any more. */
int metadata_image_forget(struct nr_db *db, const char *pin);
/* {pin: {"reference","bytes","pulled_ms","ours","used_by":[...]}} (made) of the account, or with an absent one of all. used_by: "account/pkg/name" with
 * "@3" behind published ones; of the account only, likewise. */
int metadata_images(struct nr_db *db, struct nr_str account, json_t **ret);

#endif
