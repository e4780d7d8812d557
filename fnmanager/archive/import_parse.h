/* What an archive of an account says about one function, judged as a PUT would judge it. Pure but for memory; any thread.
 */
#ifndef NR_FNMANAGER_IMPORT_PARSE_H
#define NR_FNMANAGER_IMPORT_PARSE_H

#include "fnmanager/functions/body.h"
#include "fnmanager/storage/code.h"
#include "fnmanager/registry/metadata_export.h"
#include "fnmanager/sealed.h"

#define IMPORT_VERSIONS_MAX 1001
/* Of the memory that the values of one function.json need. */
#define IMPORT_BUILT_MAX_BYTES (128ll << 20)

struct import_limits {
    struct body_ranges ranges; /* account: into which it comes */
    struct secrets *secrets;   /* lent; NULL: none of the archive opens */
    uint64_t account;          /* id of that account: whose secrets stay */
};

/* One upload that the function's versions name; upload.number stays 0 until its bytes are stored. */
struct imported_folder {
    int64_t number; /* in the archive */
    struct code_upload upload;
};

struct imported {
    struct whole_function f; /* its rows have no code fields until imported_is_whole() */
    struct imported_folder *folder;
    size_t folders;
    size_t *of;              /* of each version: which folder, counted from 1; 0: no file */
    struct sealed_lost lost; /* secret parameters of its versions, left out */
};
void imported_fini(struct imported *i);

/* Reads function.json (lent) into *ret, which is zeroed; imported_fini() in any case. With an error and a name the function is refused; without
 * a name nobody knows which it is. NR_EINVAL and others with a sentence. */
int imported_parse(struct nr_str text, const struct runtime_kind *kinds,
                   const struct import_limits *limits, struct imported *ret, struct nr_err *err);
/* The folder of this number whose file has this name, or NULL. */
struct imported_folder *imported_folder(struct imported *i, int64_t number, const char *file);
/* Puts the stored code into the rows; NR_EINVAL with a sentence when the archive lacks some. */
int imported_is_whole(struct imported *i, struct nr_err *err);

#endif
