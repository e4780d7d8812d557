/* The folder of sockets: whose it is, and which one a start takes.
 *
 * A file in it says of which data folder it is, by device and inode. The name that naraed gives it itself is made of half of an inode, so two data folders on
 * two file systems can come to the same one: the second then has its device in its name. One that the operator names is his word, unless the process of
 * another data folder lives in it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "common/base/file.h"
#include "daemon/daemon.h"

#define OWNER_FILE "data-folder"
#define OWN_RUNS "/run/narae"

enum { MARK_BYTES = DAEMON_PATH_BYTES + 64 };

enum whose { NOBODYS, OURS, ANOTHERS };

/* The data folder, as the mark tells it: "DEVICE INODE PATH". */
struct owner {
    unsigned long long device, inode;
    char path[DAEMON_PATH_BYTES];
};

static int owner_of_data(const struct daemon *d, struct owner *ret, struct nr_err *err)
{
    struct stat st;

    if (stat(d->options.data, &st) < 0)
        return nr_err_set(err, nr_err_from_errno(errno), "the data folder %s: %s", d->options.data,
                          strerror(errno));
    *ret = (struct owner){.device = st.st_dev, .inode = st.st_ino};
    if (realpath(d->options.data, ret->path) == NULL)
        (void)snprintf(ret->path, sizeof(ret->path), "%s", d->options.data);
    return 0;
}

static enum whose whose_is(const char *dir, const struct owner *we, struct owner *ret)
{
    char path[DAEMON_PATH_BYTES + 16];
    nr_auto_free char *text = NULL;
    size_t n = 0;
    int at = 0;

    *ret = (struct owner){0};
    (void)snprintf(path, sizeof(path), "%s/" OWNER_FILE, dir);
    if (nr_file_read(path, MARK_BYTES, &text, &n, NULL) < 0 ||
        sscanf(text, "%llu %llu %n", &ret->device, &ret->inode, &at) != 2)
        return NOBODYS;
    (void)snprintf(ret->path, sizeof(ret->path), "%.*s", (int)strcspn(text + at, "\n"), text + at);
    return ret->device == we->device && ret->inode == we->inode ? OURS : ANOTHERS;
}

/* Of two that come at once the second sees whose it is. */
static int mark(const char *dir, const struct owner *we, bool anew, struct nr_err *err)
{
    char path[DAEMON_PATH_BYTES + 16], text[MARK_BYTES];

    (void)snprintf(path, sizeof(path), "%s/" OWNER_FILE, dir);
    (void)snprintf(text, sizeof(text), "%llu %llu %s\n", we->device, we->inode, we->path);
    if (anew)
        return nr_file_write(dir, OWNER_FILE, nr_str_of(text), 0644, err);
    nr_auto_close int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);

    if (fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text))
        return 0;
    return errno == EEXIST
               ? 0
               : nr_err_set(err, nr_err_from_errno(errno), "%s: %s", path, strerror(errno));
}

/* Makes and marks it where it is nobody's. */
static enum whose claim(const char *dir, const struct owner *we, struct owner *ret, int *ret_e,
                        struct nr_err *err)
{
    enum whose whose;

    *ret_e = nr_dir_make(dir, 0711, err);
    whose = *ret_e == 0 ? whose_is(dir, we, ret) : NOBODYS;
    if (*ret_e == 0 && whose == NOBODYS && (*ret_e = mark(dir, we, false, err)) == 0)
        whose = whose_is(dir, we, ret);
    return whose;
}

static int refuse(const char *dir, const struct owner *other, struct nr_err *err)
{
    return nr_err_set(err, NR_EBUSY,
                      "the folder of sockets %s is the one of another data folder, %s: give one of "
                      "its own with --run=DIR",
                      dir, other->path);
}

static bool is_served(const char *dir)
{
    char path[DAEMON_PATH_BYTES + 16];

    (void)snprintf(path, sizeof(path), "%s/takeover", dir);
    return pass_answers(path);
}

/* What the operator has named. */
static int take_named(struct daemon *d, const struct owner *we, struct nr_err *err)
{
    struct owner other;
    int r = 0;

    (void)snprintf(d->run, sizeof(d->run), "%s", d->options.run);
    if (claim(d->run, we, &other, &r, err) != ANOTHERS || r < 0)
        return r;
    return is_served(d->run) ? refuse(d->run, &other, err) : mark(d->run, we, true, err);
}

/* The one with the device is looked at first: whose it is finds it again also when the other one has become free. */
static int take_own(struct daemon *d, const struct owner *we, struct nr_err *err)
{
    char longer[64];
    struct owner other;
    int r = 0;

    (void)snprintf(d->run, sizeof(d->run), OWN_RUNS "/%08llx", we->inode & 0xffffffffULL);
    (void)snprintf(longer, sizeof(longer), "%.40s-%08llx", d->run, we->device & 0xffffffffULL);
    if (whose_is(longer, we, &other) != OURS && claim(d->run, we, &other, &r, err) != ANOTHERS)
        return r;
    (void)snprintf(d->run, sizeof(d->run), "%s", longer);
    return claim(d->run, we, &other, &r, err) == ANOTHERS ? refuse(d->run, &other, err) : r;
}

int place_find_run(struct daemon *d, struct nr_err *err)
{
    struct owner we;
    int r = owner_of_data(d, &we, err);

    if (r == 0)
        r = d->options.run ? take_named(d, &we, err) : take_own(d, &we, err);
    return r < 0 ? nr_err_wrap(err, r, "the folder of sockets (another one: --run=DIR)") : 0;
}

void place_leave_run(const struct daemon *d)
{
    if (d->handed || !d->locked || endings_any(d->endings) || (d->failed && d->takeover))
        return; /* another process lives there, or takes this one's place */
    if (d->options.run == NULL && !d->options.keep_containers)
        (void)nr_dir_remove(d->run, NULL);
}

/* Is nothing in it but whose it is? */
static bool is_empty(const char *dir)
{
    DIR *all = opendir(dir);
    unsigned n = 0;

    for (const struct dirent *f; all && (f = readdir(all)) != NULL;)
        n += strcmp(f->d_name, ".") != 0 && strcmp(f->d_name, "..") != 0 &&
             strcmp(f->d_name, OWNER_FILE) != 0;
    if (all)
        (void)closedir(all);
    return n == 0;
}

void place_drop_run(const struct daemon *d)
{
    if (d->options.run == NULL && d->run[0] && d->locked && is_empty(d->run))
        (void)nr_dir_remove(d->run, NULL);
}
