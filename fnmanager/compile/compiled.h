/* What compilers made, `<data>/compiled/<account>/<key>` (its line: what it is) and `<key>.code` (its bytes). The key is a hash of the compiler's image and of
 * all that it was given. A cache: it may be removed when nothing runs, and is no part of a backup or of an account's archive. A result that no version
 * names any more is garbage: calls that were accepted before may still start a container from it, so it goes after a while. Blocking; any thread.
 */
#ifndef NR_FNMANAGER_COMPILED_H
#define NR_FNMANAGER_COMPILED_H

#include "common/data/digest.h"
#include "fnmanager/registry/metadata.h"

/* Of one account together, what no version needs any more not counted. */
#define COMPILED_OF_ACCOUNT_MAX_BYTES (1ll << 30)
#define COMPILED_FILE_MAX_BYTES (64ll << 20)

/* What a compiler is given; all lent. */
struct compile_source {
    struct nr_str account;
    const char *kind, *main, *file; /* resolved; "" when none; "code.go" */
    const char *path;               /* of the stored file */
    int64_t bytes;
    const unsigned char *sha256;
};

enum { COMPILED_KEY_BYTES = 2 * NR_SHA256_BYTES + 1 };

/* A result. */
struct compiled {
    bool as_is;    /* what was uploaded runs as it is */
    bool garbage;  /* no version named it when that was looked at last */
    char file[16]; /* as the agent is told: "exec" */
    int64_t bytes;
    unsigned char sha256[NR_SHA256_BYTES];
};

/* The key of what `compiler` (its image) makes of a source. */
void compiled_key(const char *compiler, const struct compile_source *s,
                  char ret[COMPILED_KEY_BYTES]);
/* "<data>/compiled/<account>" (made). */
char *compiled_folder(const char *data_dir, struct nr_str account);
/* Reads the line that is kept under `key`. NR_ENOENT: nothing is, or nonsense. */
int compiled_line(const char *folder, const char *key, struct compiled *ret);
/* The same, and its bytes are there with their size. */
int compiled_find(const char *folder, const char *key, struct compiled *ret);
/* Are its bytes those that were kept? Reads them all. */
bool compiled_is_whole(const char *folder, const char *key, const struct compiled *c);
/* It is no result any more. */
void compiled_remove(const char *folder, const char *key);
/* It is no garbage any more. */
void compiled_name_again(const char *folder, const char *key);
/* "<folder>/<key>.code" (made). */
char *compiled_path(const char *folder, const char *key);
/* Keeps a result durably; bytes may be nothing with as_is. Fills ret->bytes and ret->sha256. */
int compiled_keep(const char *folder, const char *key, struct nr_str bytes, struct compiled *ret,
                  struct nr_err *err);
/* How many bytes the results of a folder take, those apart that are garbage. */
struct compiled_sizes {
    int64_t kept, garbage;
};
/* Removes what has been garbage for old_ms; what needed() says no to is garbage from now on. What is left, of which sizes? An empty folder goes. */
void compiled_sweep(const char *folder, int64_t old_ms,
                    bool (*needed)(const void *arg, const char *key), const void *arg,
                    struct compiled_sizes *ret);

#endif
