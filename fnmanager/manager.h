/* The function manager's own struct: what its modules share. Only files of this folder include it.
 */
#ifndef NR_FNMANAGER_MANAGER_H
#define NR_FNMANAGER_MANAGER_H

#include "fnmanager/accounts/accounts.h"
#include "fnmanager/compile/compile.h"
#include "fnmanager/handler.h"
#include "fnmanager/images/images.h"
#include "fnmanager/accounts/secrets.h"
#include "fnmanager/storage/storage.h"
#include "fnmanager/storage/sweeper.h"
#include "ports/fnmanager.h"

/* Sentences of the API that several modules use. */
#define TEXT_NOT_FOUND "The requested resource does not exist."
#define TEXT_EXISTS "resource already exists"
#define TEXT_CONFLICT "Concurrent modification to resource detected."
#define TEXT_OTHER_COLLECTION "Resource by this name exists but is not in this collection."
#define TEXT_FORBIDDEN "The supplied authentication is not authorized to access this resource."
#define TEXT_INTERNAL "There was an internal server error."
#define TEXT_NO_SPACE "There is no space left to store this."

struct fnmanager {
    struct fnmanager_config config; /* its texts are lent during open only; copies below */
    char *data_dir, *native_image, *registries;
    struct nr_db *db;
    struct storage storage;
    struct sweeper sweeper;
    struct accounts accounts;
    struct secrets secrets;
    struct nr_link departures; /* accounts that leave: account_delete.c; under accounts.changing */
    struct nr_link imports;    /* archives that are read: import.c; under accounts.changing */
    struct handler handler;
    struct preenv *preenv;
    struct images images;
    struct compiling compiling;
    _Atomic uint64_t revision; /* the last one given out */
    pthread_mutex_t retrying;  /* who changes a function that others change at the same time */
    pthread_mutex_t
        composing; /* who gives a sequence its components: two at once could close a circle */
    _Atomic int64_t
        window_ms; /* wall clock: when to look for update windows that end; 0: none is open */
    nr_counter swept;
};

/* A number that no change of this installation had before; also names the folder of an upload. Any thread. */
uint64_t fnmanager_next_revision(struct fnmanager *m);

#endif
