/* Backups of a data folder: what a backup holds, and the parts that `narae backup` and `narae restore` are made of. A backup is a tar, compressed
 * with zstd:
 *
 *   backup.json                 form, release, time, and the version of each schema
 *   scaling.db calls.db         snapshots, as files of sqlite
 *   buckets/A/F/N/FILE          the code of each upload that a row of the registry names
 *   meta.db                     the registry; later than all that refers to it
 *   secret.key admin.key ...    the small files of the folder
 *   SHA256SUMS                  a line for each of them, in this order, as sha256sum(1) has it; nothing comes after it
 *
 * Not in it: the key that credentials are sealed under (it lies outside the data folder), the volumes of grants, and who this installation
 * is. Blocking; one thread.
 */
#ifndef NR_CLI_BACKUP_H
#define NR_CLI_BACKUP_H

#include <archive.h>
#include <openssl/evp.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/types.h>

#include "cli/fail.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/str.h"
#include "common/data/digest.h"

#define BACKUP_FORM 1
#define BACKUP_HEAD "backup.json"
#define BACKUP_SUMS "SHA256SUMS"
#define BACKUP_BUCKETS "buckets"
#define BACKUP_STAGED ".restore-"      /* head of the folder that an archive is unpacked into */
#define BACKUP_ASIDE "before-restore-" /* head of the folder that keeps what was there */
#define BACKUP_DATA "/var/lib/narae"   /* naraed's own default */

enum { BACKUP_PATH_BYTES = 4096, BACKUP_HEX_BYTES = 2 * NR_SHA256_BYTES + 1 };
/* Ceilings of one code file, of a small file, of the list of sums. */
#define BACKUP_CODE_MAX_BYTES (256ll << 20)
#define BACKUP_SMALL_MAX_BYTES (64ll << 10)
#define BACKUP_SUMS_MAX_BYTES (1ll << 30)

/* ---- files.c: what lies in a data folder ------------------------------------------------------------------------------------ */

enum backup_kind { BACKUP_IS_DATABASE, BACKUP_IS_SMALL };

/* A file at the top of the folder. */
struct backup_file {
    const char *name;
    enum backup_kind kind;
    bool needed; /* every installation has it */
    int schema;  /* of a database: the steps that this release knows */
    mode_t mode; /* after a restore */
};
extern const struct backup_file backup_files[];
extern const size_t backup_file_count;

/* The row of a name, or NULL. */
const struct backup_file *backup_file_find(const char *name);
/* Is it the name of a code file, "buckets/A/F/N/FILE", with nothing in it that leads elsewhere? */
bool backup_is_code(const char *name);
/* dir/name; NR_EINVAL with a sentence when that is too long. */
int backup_path(char out[BACKUP_PATH_BYTES], const char *dir, const char *name, struct nr_err *err);
/* Why a command failed, of an NR_E*. */
enum cli_why backup_why(int code);
/* The data folder that is meant: said (lent, may be NULL), else NARAE_DATA, else the default. */
const char *backup_data(const char *said);

/* ---- progress.c: what a terminal shows meanwhile; signals that end it in order -------------------------------------------------- */

struct backup_progress {
    bool shown;
    int signals; /* a descriptor; -1: not watched */
    uint64_t began_ms, told_ms;
};
/* SIGINT, SIGTERM and SIGHUP wait from now on until somebody asks. shown: on the error channel. */
void backup_progress_open(struct backup_progress *p, bool shown);
void backup_progress_close(struct backup_progress *p);
/* "what 12 of 40 MB", a few times a second; total_bytes 0: not known. NR_ECANCELED when a signal has come. */
int backup_progress_tell(struct backup_progress *p, const char *what, int64_t bytes,
                         int64_t total_bytes, struct nr_err *err);
/* Seconds since it was opened. */
double backup_progress_s(const struct backup_progress *p);

/* ---- snapshot.c: a database as it is at one moment --------------------------------------------------------------------------- */

struct backup_snapshot {
    int fd; /* of the copy, which has no name; -1: there is none */
    int64_t bytes;
    int schema;
    sqlite3 *db; /* the copy, to be asked */
};
/* Copies the database `path` while others write to it; the copy lies in the folder tmp_dir (lent) and has no name. NR_ENOENT: there is no such
 * database. */
int backup_snapshot_take(struct backup_snapshot *s, const char *path, const char *tmp_dir,
                         struct backup_progress *p, struct nr_err *err);
/* Zeroed is not fine: fd must be -1. */
void backup_snapshot_drop(struct backup_snapshot *s);
/* The number that a statement of the database gives, or -1. */
int64_t backup_number(sqlite3 *db, const char *sql);
/* Opens a file that nobody else has into *ret (made, also when it fails), to be read, without a trace beside it; what is in it is looked at when it
 * is asked. how: "nolock" when it is still being written, "immutable" when it is not. */
int backup_open_still(const char *path, const char *how, sqlite3 **ret, struct nr_err *err);
/* How many functions people have: those of the catalog come with the program. */
#define BACKUP_FUNCTIONS_SQL "SELECT count(*) FROM functions WHERE account <> 'whisk.system'"

/* ---- writer.c: the archive --------------------------------------------------------------------------------------------------- */

enum backup_to { BACKUP_TO_FILE, BACKUP_TO_PIPE, BACKUP_TO_SOCKET };

struct backup_writer {
    int fd;
    enum backup_to to;
    struct backup_progress *progress;
    struct archive *a;
    EVP_MD_CTX *md;
    struct nr_buf sums;
    char *block;
    int64_t members, bytes;
};
/* fd, p: lent until closed. A signal that p watches ends every write with NR_ECANCELED, also one that waits for a reader. w stays where it is. */
int backup_writer_open(struct backup_writer *w, int fd, struct backup_progress *p,
                       struct nr_err *err);
/* Bytes (lent) as a member. */
int backup_writer_bytes(struct backup_writer *w, const char *name, struct nr_str bytes, mode_t mode,
                        struct nr_err *err);
/* `bytes` of a descriptor (lent) from its start on. */
int backup_writer_file(struct backup_writer *w, const char *name, int fd, int64_t bytes,
                       struct backup_progress *p, struct nr_err *err);
/* Adds the list of sums and ends the archive. */
int backup_writer_end(struct backup_writer *w, struct nr_err *err);
/* Zeroed is fine. */
void backup_writer_close(struct backup_writer *w);

/* ---- copy.c: the content of a folder, written in the right order ----------------------------------------------------------------- */

struct backup_copy {
    /* in: lent */
    const char *data;    /* the folder */
    const char *tmp_dir; /* where snapshots lie meanwhile */
    struct backup_progress *progress;
    struct backup_writer *writer;
    /* out */
    int64_t functions, records, files;
    int64_t
        damaged; /* code files that are not what was uploaded, or gone: left out, each said on the error channel */
    bool sealed; /* there are credentials under a key that is not in the backup */
};
int backup_copy_run(struct backup_copy *c, struct nr_err *err);

/* ---- reader.c: the archive, unpacked and judged ---------------------------------------------------------------------------------- */

struct backup_reader {
    /* in */
    int fd;     /* of the archive, lent */
    int dir_fd; /* of the folder that it is unpacked into, lent */
    uid_t uid;  /* who gets the files; -1: they stay ours */
    gid_t gid;
    struct backup_progress *progress;
    /* out */
    int schema[3]; /* by the rows of databases, in the order of backup_files */
    char made[32], release[32];
    int64_t members, bytes;
    /* private */
    struct archive *a;
    EVP_MD_CTX *md;
    struct nr_buf sums;
    char *block, *input, last_dir[BACKUP_PATH_BYTES];
    bool has_head, has_sums;
    unsigned seen; /* bits of the rows of backup_files */
};
/* Unpacks all of it and compares every sum. Anything that is not a whole backup that fits this release is refused with a sentence; what was
 * unpacked until then stays in the folder. */
int backup_reader_run(struct backup_reader *r, struct nr_err *err);

/* head.c: of backup.json */
/* schema: by the rows of databases; text into out. */
void backup_head_write(struct nr_buf *out, const int schema[3]);
/* Judges it: NR_EINVAL with a sentence when this release cannot use such a backup. */
int backup_head_read(struct backup_reader *r, struct nr_str text, struct nr_err *err);

/* ---- judge.c: a database out of an archive, which may be anybody's program -------------------------------------------------------- */

struct backup_database {
    sqlite3 *db;
    const char *name;                 /* lent */
    struct backup_progress *progress; /* lent */
    int64_t steps_left;               /* of sqlite's machine */
    struct nr_err ended;              /* a signal has come */
};
/* Opens folder/name (both lent until closed), so that nothing in it runs and every question has an end. */
int backup_database_open(struct backup_database *d, const char *folder, const char *name,
                         struct backup_progress *p, struct nr_err *err);
/* Is it whole, of this schema version, and has it nothing but what this release makes? NR_ECORRUPT with a sentence; NR_ECANCELED. */
int backup_database_judge(const struct backup_database *d, int schema, struct nr_err *err);
/* Why the last question had no answer, as NR_E* with a sentence. */
int backup_database_failed(const struct backup_database *d, struct nr_err *err);
/* Zeroed is fine. */
void backup_database_close(struct backup_database *d);

/* ---- place.c: the folder that a backup is restored into -------------------------------------------------------------------------- */

struct backup_place {
    const char *data; /* lent */
    int dir_fd, lock_fd, staged_fd;
    uid_t uid; /* the folder's owner when we are root and he is not; else -1 */
    gid_t gid;
    char staged[32],
        aside
            [48]; /* names in it: where the archive is unpacked; where what was there went, "" none */
};
/* Makes the folder, locks it against naraed, refuses one that holds data unless `force`, and makes an empty folder in it to unpack into.
 * What an interrupted restore moved is put back, what it left goes. */
int backup_place_open(struct backup_place *p, const char *data, bool force, struct nr_err *err);
/* Takes the unpacked rest away and unlocks. */
void backup_place_close(struct backup_place *p);

/* ---- swap.c: names change places, so that a kill at any moment can be undone ------------------------------------------------------- */

/* Puts what was unpacked in the place of what was there, which is kept in a folder of its own; when that fails what was there is back. */
int backup_place_swap(struct backup_place *p, struct nr_err *err);
/* Puts back what an interrupted swap moved, and says so; 0 also when there was none. p: locked, with no folder to unpack into yet. */
int backup_swap_recover(struct backup_place *p, struct nr_err *err);
/* Is there anything of this name in an open folder? A link is not followed. */
bool backup_is_there(int dir_fd, const char *name);

#endif
