/* What was unpacked and what was there change places, name by name. A file NR_MARK_RESTORING says meanwhile how far it has come, durably and before
 * the step: "away" while what was there goes aside (a name in the folder is an old one), "in" while what was unpacked comes in (a name in
 * the folder is a new one). So a kill or a power cut at any moment can be undone, also one in the middle of that, and naraed does not take the
 * half for a whole.
 *
 * Undone, not finished: the archive that was meant may not be the one that the person has at hand now.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/backup/backup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/data/folder_marks.h"

#define STEP_AWAY "away"
#define STEP_IN "in"

enum { NAME_BYTES = 64, MARK_MAX_BYTES = 256 };

/* A database of sqlite may have companions; one of another database would ruin it. */
static const char *const companions[] = {"", "-wal", "-shm", "-journal"};

static int fail(const struct backup_place *p, const char *what, struct nr_err *err)
{
    return nr_err_set(err, nr_err_from_errno(errno), "%s: %s: %s", p->data, what, strerror(errno));
}

/* ---- marks ------------------------------------------------------------------------------------------------------------ */

static int write_mark(const struct backup_place *p, const char *name, const char *text,
                      struct nr_err *err)
{
    int r = nr_file_write(p->data, name, nr_str_of(text), 0600, err);

    if (r == 0 && p->uid != (uid_t)-1 &&
        fchownat(p->dir_fd, name, p->uid, p->gid, AT_SYMLINK_NOFOLLOW) != 0)
        return fail(p, "a mark in it cannot be given to its owner", err);
    return r;
}

static int write_step(const struct backup_place *p, const char *step, struct nr_err *err)
{
    char text[MARK_MAX_BYTES];

    (void)snprintf(text, sizeof(text), "%s %s %s\n", step, p->aside, p->staged);
    return write_mark(p, NR_MARK_RESTORING, text, err);
}

static int drop_step(const struct backup_place *p, struct nr_err *err)
{
    int r = nr_dir_sync(p->data, err); /* the names first */

    if (r == 0 && unlinkat(p->dir_fd, NR_MARK_RESTORING, 0) != 0)
        return fail(p, "the mark " NR_MARK_RESTORING " cannot be removed", err);
    return r == 0 ? nr_dir_sync(p->data, err) : r;
}

/* "", or what a folder of ours is called: a head of ours, and nothing that leads elsewhere. */
static bool is_name_of(const char *name, const char *head)
{
    return strncmp(name, head, strlen(head)) == 0 && strchr(name, '/') == NULL;
}

/* *ret_in: new names have come in. NR_ENOENT: no restore was interrupted. */
static int read_step(struct backup_place *p, bool *ret_in, struct nr_err *err)
{
    nr_auto_free char *text = NULL;
    char path[BACKUP_PATH_BYTES], step[8];
    size_t n;
    int r = backup_path(path, p->data, NR_MARK_RESTORING, err);

    if (r == 0 && (r = nr_file_read(path, MARK_MAX_BYTES, &text, &n, NULL)) < 0)
        return r == NR_ENOENT ? r : nr_err_set(err, r, "%s: it cannot be read", path);
    if (r < 0)
        return r;
    if (sscanf(text, "%7s %47s %31s", step, p->aside, p->staged) != 3 ||
        !is_name_of(p->aside, BACKUP_ASIDE) || !is_name_of(p->staged, BACKUP_STAGED) ||
        (strcmp(step, STEP_AWAY) != 0 && strcmp(step, STEP_IN) != 0))
        return nr_err_set(err, NR_ECORRUPT,
                          "%s is not what a restore wrote: what was there is in " BACKUP_ASIDE
                          "..., move it back by hand and remove that file",
                          path);
    *ret_in = strcmp(step, STEP_IN) == 0;
    return 0;
}

/* ---- names ------------------------------------------------------------------------------------------------------------ */

bool backup_is_there(int dir_fd, const char *name)
{
    return faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Moves `name` between the folder and `below` in it; what is not there is not moved. */
static int move_one(const struct backup_place *p, const char *name, const char *below, bool out,
                    struct nr_err *err)
{
    char inside[NAME_BYTES * 2];

    (void)snprintf(inside, sizeof(inside), "%s/%s", below, name);
    const char *from = out ? name : inside, *to = out ? inside : name;

    if (!backup_is_there(p->dir_fd, from))
        return 0;
    if (out && mkdirat(p->dir_fd, below, 0700) != 0 && errno != EEXIST)
        return fail(p, "no folder can be made in it", err);
    if (out && p->uid != (uid_t)-1 &&
        fchownat(p->dir_fd, below, p->uid, p->gid, AT_SYMLINK_NOFOLLOW) != 0)
        return fail(p, "a folder in it cannot be given to its owner", err);
    return renameat(p->dir_fd, from, p->dir_fd, to) == 0
               ? 0
               : fail(p, "the files cannot change places", err);
}

static int move_all(const struct backup_place *p, const char *below, bool out, struct nr_err *err)
{
    char name[NAME_BYTES];
    int r = move_one(p, BACKUP_BUCKETS, below, out, err);

    for (size_t i = 0; r == 0 && i < backup_file_count; i++)
        for (size_t tail = 0; r == 0 && tail < nr_countof(companions); tail++) {
            (void)snprintf(name, sizeof(name), "%s%s", backup_files[i].name, companions[tail]);
            r = move_one(p, name, below, out, err);
        }
    return r;
}

/* ---- there and back ---------------------------------------------------------------------------------------------------- */

/* Idempotent: each step leaves a mark from which the rest can be done. */
static int put_back(const struct backup_place *p, bool in, struct nr_err *err)
{
    int r = in ? move_all(p, p->staged, true, err) : 0;

    if (r == 0 && in)
        r = nr_dir_sync(p->data, err);
    if (r == 0 && in)
        r = write_step(p, STEP_AWAY, err); /* from here on a name in the folder is an old one */
    if (r == 0)
        r = move_all(p, p->aside, false, err);
    if (r == 0)
        r = drop_step(p, err);
    if (r == 0)
        (void)unlinkat(p->dir_fd, p->aside, AT_REMOVEDIR);
    return r;
}

int backup_swap_recover(struct backup_place *p, struct nr_err *err)
{
    bool in = false;
    int r = read_step(p, &in, err);

    if (r == 0)
        r = put_back(p, in, err);
    if (r == 0)
        (void)fprintf(stderr,
                      "narae: a restore into %s was interrupted: what was there before is back\n",
                      p->data);
    p->aside[0] = p->staged[0] = '\0';
    return r == NR_ENOENT ? 0 : r;
}

static int swap(const struct backup_place *p, bool *ret_in, struct nr_err *err)
{
    int r = move_all(p, p->aside, true, err);

    if (r == 0)
        r = nr_dir_sync(p->data, err);
    if (r == 0)
        r = write_step(p, STEP_IN, err);
    *ret_in = r == 0;
    if (r == 0)
        r = move_all(p, p->staged, false, err);
    return r == 0 ? drop_step(p, err) : r;
}

int backup_place_swap(struct backup_place *p, struct nr_err *err)
{
    bool in = false;
    char now[25];

    if (syncfs(p->staged_fd) != 0)
        return fail(p, "what was unpacked cannot be brought to the disk", err);
    nr_wall_text(nr_wall_ms(), now);
    (void)snprintf(p->aside, sizeof(p->aside), BACKUP_ASIDE "%.4s%.2s%.2s-%.2s%.2s%.2s-%.3s", now,
                   now + 5, now + 8, now + 11, now + 14, now + 17, now + 20);
    int r = write_mark(p, NR_MARK_RESTORED, "", err);

    if (r == 0)
        r = write_step(p, STEP_AWAY, err);
    if (r == 0 && (r = swap(p, &in, err)) < 0 && put_back(p, in, NULL) < 0)
        p->staged[0] = '\0'; /* the next restore puts it back, and needs it */
    if (r < 0 || !backup_is_there(p->dir_fd, p->aside))
        p->aside[0] = '\0';
    return r;
}
