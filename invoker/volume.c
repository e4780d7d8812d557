/* Volumes: made with mkfs.ext4 under a temporary name and renamed when whole; attached to a loop device that the kernel frees by itself
 * with the last unmount; mounted without devices, setuid and programs. What is mounted stays so until naraed ends, and a next start
 * finds it.
 */
#include "invoker/volume.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/clock.h"
#include "common/base/program.h"
#include "invoker/internal.h"
#include "invoker/start.h"
#include "ports/grants.h"

enum { PATH_BYTES = VOLUME_PATH_BYTES + 32, LOOP_TRIES = 8, MKFS_MS = 120000 };

static int failed(struct nr_err *err, const char *what, const char *path, int errnum)
{
    return nr_err_set(err, errnum == ENOSPC ? NR_ENOSPC : NR_EUNAVAIL, "volume: %s %s: %s", what,
                      path, strerror(errnum));
}

/* ---- the file -------------------------------------------------------------------------------------------------- */

static int make_file_system(const char *path, struct nr_err *err)
{
    const char *const argv[] = {"mkfs.ext4", "-q", "-F", "-m", "0", "-E", "root_owner=65534:65534",
                                path,        NULL};
    int r = nr_program_run(&(struct nr_program){.argv = argv, .max_ms = MKFS_MS}, err);

    return r < 0 ? nr_err_wrap(err, r, "volume") : 0;
}

/* Whole or not at all. */
static int make_image(const char *folder, const char *image, int64_t quota_mb, struct nr_err *err)
{
    char fresh[PATH_BYTES + 16];

    (void)snprintf(fresh, sizeof(fresh), "%s/.tmp-image", folder);
    nr_auto_close int fd = open(fresh, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0)
        return failed(err, "cannot make", fresh, errno);
    int r = posix_fallocate(fd, 0, quota_mb << 20);

    r = r != 0 ? failed(err, "there is no room for", fresh, r) : make_file_system(fresh, err);
    if (r == 0 && (fsync(fd) < 0 || rename(fresh, image) < 0))
        r = failed(err, "cannot keep", image, errno);
    if (r < 0)
        (void)unlink(fresh);
    return r == 0 ? nr_dir_sync(folder, err) : r;
}

/* ---- the mount -------------------------------------------------------------------------------------------------- */

static bool is_mounted(const char *folder, const char *mnt)
{
    struct stat outer, inner;

    return stat(folder, &outer) == 0 && stat(mnt, &inner) == 0 && outer.st_dev != inner.st_dev;
}

/* A loop device with the image in it; somebody else may be quicker with a free one. */
static int attach(int image_fd, char device[32])
{
    nr_auto_close int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    struct loop_config c = {.fd = (uint32_t)image_fd,
                            .info = {.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO}};

    for (int i = 0; control >= 0 && i < LOOP_TRIES; i++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);

        (void)snprintf(device, 32, "/dev/loop%d", number);
        int fd = number >= 0 ? open(device, O_RDWR | O_CLOEXEC) : -1;

        if (fd >= 0 && ioctl(fd, LOOP_CONFIGURE, &c) == 0)
            return fd;
        if (fd >= 0)
            (void)close(fd);
        if (errno != EBUSY)
            break;
    }
    return -1;
}

static int mount_image(const char *image, const char *mnt, struct nr_err *err)
{
    char device[32];
    nr_auto_close int image_fd = open(image, O_RDWR | O_CLOEXEC);
    nr_auto_close int fd = image_fd < 0 ? -1 : attach(image_fd, device);

    if (fd < 0)
        return failed(err, "no loop device for", image, errno);
    if (mount(device, mnt, "ext4", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME, "") < 0)
        return failed(err, "cannot mount", image, errno);
    return 0;
}

/* The folder of the account's volumes. */
static int folder_of(const char *volumes_dir, const char *account, char out[PATH_BYTES],
                     struct nr_err *err)
{
    char owner[3 * 256 + 1];

    if (strlen(account) > 256)
        return nr_err_set(err, NR_EINVAL, "volume: the account's name is too long");
    size_t n = nr_pct_encode(nr_str_of(account), owner);
    int bytes = snprintf(out, PATH_BYTES, "%s/%.*s", volumes_dir, (int)n, owner);

    if (bytes < 0 || bytes >= PATH_BYTES || n == 0 || owner[0] == '.')
        return nr_err_set(err, NR_EINVAL, "volume: the path below %s is too long", volumes_dir);
    return 0;
}

int volume_path(const char *volumes_dir, const char *account, const char *name,
                char out[VOLUME_PATH_BYTES], struct nr_err *err)
{
    char owner[PATH_BYTES];
    int r = folder_of(volumes_dir, account, owner, err);

    if (r < 0)
        return r;
    int bytes = snprintf(out, VOLUME_PATH_BYTES, "%.*s/%s/mnt", PATH_BYTES, owner, name);

    return bytes < 0 || bytes >= VOLUME_PATH_BYTES
               ? nr_err_set(err, NR_EINVAL, "volume: the path below %s is too long", volumes_dir)
               : 0;
}

/* The folder that has the volume's file and the folder `mnt`. */
static void folder_above(const char *mnt, char out[VOLUME_PATH_BYTES])
{
    (void)snprintf(out, VOLUME_PATH_BYTES, "%.*s", (int)(strrchr(mnt, '/') - mnt), mnt);
}

int volume_mount(const char *volumes_dir, const char *account, const char *name, int64_t quota_mb,
                 char out[VOLUME_PATH_BYTES], struct nr_err *err)
{
    char folder[VOLUME_PATH_BYTES], image[VOLUME_PATH_BYTES + 8];
    int r = volume_path(volumes_dir, account, name, out, err);

    if (r < 0)
        return r;
    folder_above(out, folder);
    (void)snprintf(image, sizeof(image), "%s/image", folder);
    if (is_mounted(folder, out))
        return 0;
    r = nr_dir_make(folder, 0700, err);
    if (r == 0)
        r = nr_dir_make(out, 0755, err);
    if (r == 0 && access(image, F_OK) != 0)
        r = make_image(folder, image, quota_mb, err);
    return r == 0 ? mount_image(image, out, err) : r;
}

/* ---- the end ------------------------------------------------------------------------------------------------------ */

/* What has left its account and is not removed yet is called so. */
static const char gone[] = ".gone-";

/* Calls `each` for every folder in `path`; `hidden`: for those that are gone. */
static void each_folder(const char *path, bool hidden, void (*each)(const char *path, void *arg),
                        void *arg)
{
    DIR *d = opendir(path);

    for (const struct dirent *e; d && (e = readdir(d)) != NULL;) {
        char below[PATH_BYTES];
        bool fits = hidden ? strncmp(e->d_name, gone, sizeof(gone) - 1) == 0 : e->d_name[0] != '.';
        int n = fits ? snprintf(below, sizeof(below), "%s/%s", path, e->d_name) : -1;

        if (n > 0 && (size_t)n < sizeof(below))
            each(below, arg);
    }
    if (d)
        (void)closedir(d);
}

static void unmount(const char *folder, void *arg)
{
    char mnt[PATH_BYTES + 4];

    (void)arg;
    (void)snprintf(mnt, sizeof(mnt), "%s/mnt", folder);
    if (is_mounted(folder, mnt))
        (void)umount2(mnt, UMOUNT_NOFOLLOW);
}

static void unmount_of_account(const char *path, void *arg)
{
    each_folder(path, false, unmount, arg);
}

void volume_unmount_all(const char *volumes_dir)
{
    each_folder(volumes_dir, false, unmount_of_account, NULL);
}

/* What cannot be unmounted cannot be removed: *err (struct nr_err) tells of it. */
static void remove_gone(const char *path, void *err)
{
    unmount_of_account(path, NULL);
    (void)nr_dir_remove(path, err);
}

int volume_forget(const char *volumes_dir, const char *account, struct nr_err *err)
{
    char folder[PATH_BYTES], fresh[PATH_BYTES + 16], suffix[17];
    unsigned char random[8];
    int r = folder_of(volumes_dir, account, folder, err);

    if (r < 0)
        return r;
    nr_random(random, sizeof(random));
    nr_hex(random, sizeof(random), suffix);
    (void)snprintf(fresh, sizeof(fresh), "%s/%s%s", volumes_dir, gone, suffix);
    if (rename(folder, fresh) < 0 && errno != ENOENT)
        return failed(err, "cannot rename", folder, errno);
    each_folder(volumes_dir, true, remove_gone, err);
    return err->code;
}

/* ---- one writer ---------------------------------------------------------------------------------------------------- */

static bool share_one(const struct function *a, const struct function *b)
{
    if (a->grants == NULL || b->grants == NULL || strcmp(a->account, b->account) != 0)
        return false;
    for (unsigned i = 0; i < a->grants->volume_count; i++)
        for (unsigned k = 0; k < b->grants->volume_count; k++)
            if (strcmp(a->grants->volumes[i].name, b->grants->volumes[k].name) == 0)
                return true;
    return false;
}

/* Has a container of an earlier run, which is still to be removed, a volume of f? */
static bool orphans_hold(const struct invoker *v, const struct function *f)
{
    char line[2 * PATH_BYTES], owner[PATH_BYTES];
    struct nr_err err;

    if (nr_list_empty(&v->orphans) || folder_of(v->volumes_dir, f->account, owner, &err) < 0)
        return false;
    for (struct nr_link *l = v->orphans.next; l != &v->orphans; l = l->next) {
        const char *mounts = nr_container_of(l, struct remove_job, orphan)->mounts;

        for (unsigned i = 0; mounts && i < f->grants->volume_count; i++) {
            (void)snprintf(line, sizeof(line), "\n%s/%s/mnt\n", owner, f->grants->volumes[i].name);
            if (strstr(mounts, line))
                return true;
        }
    }
    return false;
}

bool volume_is_held(struct invoker *v, const struct function *f)
{
    if (f->grants == NULL || f->grants->volume_count == 0)
        return false;

    bool held = orphans_hold(v, f);

    for (struct nr_link *l = v->containers.next; l != &v->containers; l = l->next) {
        struct container *ct = nr_container_of(l, struct container, in_all);

        if (ct->fn == NULL || ct->state == CT_GONE || !share_one(ct->fn, f))
            continue;
        held = true;
        if (ct->fn->revision != f->revision && ct->calls == 0 && ct->state > CT_ADOPTING)
            container_retire(ct, ENDED_EVICTED);
    }
    return held;
}

bool volumes_are_mounted(const struct invoker *v, const struct function *f)
{
    char mnt[VOLUME_PATH_BYTES], folder[VOLUME_PATH_BYTES];

    for (unsigned i = 0; f->grants && i < f->grants->volume_count; i++) {
        if (volume_path(v->volumes_dir, f->account, f->grants->volumes[i].name, mnt, NULL) < 0)
            return false;
        folder_above(mnt, folder);
        if (!is_mounted(folder, mnt))
            return false;
    }
    return true;
}
