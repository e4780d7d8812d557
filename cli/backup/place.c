/* The folder that a backup is restored into. It is locked as naraed locks it; the archive is unpacked into a folder inside it, on the same file
 * system; and only when all of that is judged and on disk do the names change places (swap.c). What was there before is never deleted: it goes
 * into a folder "before-restore-<time>".
 *
 * What stays: who this installation is (its containers carry that name, and a copy beside the original must not take them for its own),
 * the volumes of grants, lost+found and whatever else a person put there.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/backup/backup.h"
#include "common/base/clock.h"
#include "common/base/file.h"

static int fail(const char *data, const char *what, struct nr_err *err)
{
    return nr_err_set(err, nr_err_from_errno(errno), "%s: %s: %s", data, what, strerror(errno));
}

static int lock(struct backup_place *p, struct nr_err *err)
{
    p->lock_fd = openat(p->dir_fd, "lock", O_CREAT | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (p->lock_fd < 0)
        return fail(p->data, "it cannot be written", err);
    if (p->uid != (uid_t)-1 && fchown(p->lock_fd, p->uid, p->gid) != 0)
        return fail(p->data, "its lock cannot be given to its owner", err);
    if (flock(p->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return nr_err_set(err, NR_EBUSY,
                          "%s is in use by a naraed: stop it first (systemctl stop narae)",
                          p->data);
    return 0;
}

/* What an interrupted restore left. */
static void sweep(const struct backup_place *p)
{
    char path[BACKUP_PATH_BYTES];
    DIR *dir = opendir(p->data);
    const struct dirent *e;

    while (dir && (e = readdir(dir)) != NULL)
        if (strncmp(e->d_name, BACKUP_STAGED, sizeof(BACKUP_STAGED) - 1) == 0 &&
            backup_path(path, p->data, e->d_name, NULL) == 0)
            (void)nr_dir_remove(path, NULL);
    if (dir)
        (void)closedir(dir);
}

/* The first thing in it that a restore would replace, or NULL. */
static const char *held(const struct backup_place *p)
{
    for (size_t i = 0; i < backup_file_count; i++)
        if (backup_is_there(p->dir_fd, backup_files[i].name))
            return backup_files[i].name;
    return backup_is_there(p->dir_fd, BACKUP_BUCKETS) ? BACKUP_BUCKETS : NULL;
}

static int stage(struct backup_place *p, struct nr_err *err)
{
    unsigned char random[6];
    char hex[2 * sizeof(random) + 1];

    nr_random(random, sizeof(random));
    nr_hex(random, sizeof(random), hex);
    (void)snprintf(p->staged, sizeof(p->staged), BACKUP_STAGED "%s", hex);
    if (mkdirat(p->dir_fd, p->staged, 0700) != 0)
        return fail(p->data, "no folder can be made in it", err);
    p->staged_fd = openat(p->dir_fd, p->staged, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return p->staged_fd < 0 ? fail(p->data, "the folder in it cannot be opened", err) : 0;
}

int backup_place_open(struct backup_place *p, const char *data, bool force, struct nr_err *err)
{
    const char *there;
    struct stat st;

    *p = (struct backup_place){.data = data, .dir_fd = -1, .lock_fd = -1, .staged_fd = -1};
    p->uid = (uid_t)-1;
    p->gid = (gid_t)-1;
    int r = nr_dir_make(data, 0700, err);

    if (r < 0)
        return r;
    p->dir_fd = open(data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p->dir_fd < 0 || fstat(p->dir_fd, &st) != 0)
        return fail(data, "it cannot be opened", err);
    if (geteuid() == 0 && st.st_uid != 0) {
        p->uid = st.st_uid;
        p->gid = st.st_gid;
    }
    if ((r = lock(p, err)) < 0)
        return r;
    if ((r = backup_swap_recover(p, err)) < 0)
        return r;
    sweep(p);
    if (!force && (there = held(p)) != NULL)
        return nr_err_set(err, NR_EEXIST,
                          "%s holds data (%s): name an empty folder with --data=DIR, or --force "
                          "puts the backup in its place and keeps the old in " BACKUP_ASIDE "...",
                          data, there);
    return stage(p, err);
}

void backup_place_close(struct backup_place *p)
{
    char path[BACKUP_PATH_BYTES];

    if (p->staged[0] && backup_path(path, p->data, p->staged, NULL) == 0)
        (void)nr_dir_remove(path, NULL);
    if (p->staged_fd >= 0)
        (void)close(p->staged_fd);
    if (p->lock_fd >= 0)
        (void)close(p->lock_fd);
    if (p->dir_fd >= 0)
        (void)close(p->dir_fd);
}
