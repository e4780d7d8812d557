/* Whose container is whose, on the host: <run>/c/<8 hex>.json, renamed into place before the code is handed over. No label of the
 * container tells of the tenant. Blocking. Any thread.
 */
#ifndef NR_INVOKER_IDENTITY_H
#define NR_INVOKER_IDENTITY_H

#include "common/base/err.h"
#include "invoker/create.h"

enum { IDENTITY_SETTINGS_BYTES = 65, IDENTITY_CODE_BYTES = 65, IDENTITY_SPACE_BYTES = 257 };

/* What is written of one container. Texts are lent; of one that was read they live until identity_fini(). */
struct identity {
    const char *container; /* the Engine's id */
    const char *kind;
    const char *account, *package, *name, *version; /* of the function; "" for a stem */
    char space
        [IDENTITY_SPACE_BYTES]; /* whose name it is called by, the account's own or another's; "" for a stem */
    int64_t published; /* its number as a version; 0: LATEST */
    uint64_t revision; /* 0: a stem, it is nobody's */
    int64_t memory_mb; /* its limit */
    unsigned slots;
    const char *network_slot; /* its address; "": it lives in none */
    const char *settings;     /* identity_settings() of what it was made from */
    char code
        [IDENTITY_CODE_BYTES]; /* digest of the code that it holds and of what that was loaded with; "" for a stem */
    void *mem; /* private */
};

/* What is to be written of a container of f; the rest (container, network_slot, settings) is the caller's. */
struct identity identity_of(const struct function *f);
/* A digest of everything in a create body that must be the same for a container to be used again after a restart: image, profile,
 * runtime, mounts, network, grants. Not its own name and folder, and not the memory, which may be raised. Pure; "" without memory. */
void identity_settings(const struct create_spec *s, char out[static IDENTITY_SETTINGS_BYTES]);

/* folder: <run>/c; name: 8 hex. */
int identity_write(const char *folder, const char *name, const struct identity *who,
                   struct nr_err *err);
/* NR_ENOENT when there is none, NR_ECORRUPT when it is not one. *ret is made: identity_fini(). */
int identity_read(const char *folder, const char *name, struct identity *ret, struct nr_err *err);
/* Removes <name>.json alone: whatever becomes of the container, no later start adopts it. */
void identity_forget(const char *folder, const char *name);
void identity_fini(struct identity *who);
/* Removes <name>.json and the socket folder <name>/; absent is fine. */
int identity_remove(const char *folder, const char *name, struct nr_err *err);

#endif
