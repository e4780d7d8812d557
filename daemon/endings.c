/* Processes that have handed over and end their calls: what is theirs until then, and when that is over.
 *
 * Each writes one small file of its own, <run>/ending-<pid>, and holds a lock on it as long as it lives; the kernel lets go of the lock whatever the
 * process dies of. So the file of one that lives cannot be locked by anybody else, and one that can be is of nobody.
 * Who serves looks twice a second, on a work thread, as long as there is one.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/list.h"
#include "common/base/mem.h"
#include "daemon/takeover.h"

enum { LOOK_MS = 500, FILE_MAX_BYTES = 1 << 20, NAME_BYTES = 8, PATH_BYTES = 4096 + 64 };

static const char file_begins[] = "ending-";

/* One of them. */
struct ending {
    struct nr_link link;
    char *path;
    char prefix[NAME_BYTES + 1];
    char (*names)[NAME_BYTES + 1];
    size_t count;
    bool over; /* a work thread's, during a look */
};

struct endings {
    struct nr_loop *loop;
    struct nr_log *log;
    char *run;
    struct nr_link all;
    struct nr_deadline next;
    struct nr_work look;
    void (*alone)(void *arg);
    void *arg;
};

/* ---- files ------------------------------------------------------------------------------------------------------ */

/* Does its process live? What cannot be found out (no descriptor is left) is taken for a yes: a later look tells. */
static bool is_held(const char *path)
{
    nr_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    return fd < 0 ? errno != ENOENT : flock(fd, LOCK_SH | LOCK_NB) < 0;
}

static void ending_free(struct ending *x)
{
    nr_list_del(&x->link);
    free(x->path);
    free(x->names);
    free(x);
}

static int read_one(struct endings *e, const char *path, struct nr_err *err)
{
    nr_auto_free char *text = NULL;
    size_t n = 0;
    int r = nr_file_read(path, FILE_MAX_BYTES, &text, &n, err);
    nr_auto_json json_t *o = r == 0 ? nr_json_parse((struct nr_str){text, n}, NULL) : NULL;
    const json_t *names = json_object_get(o, "containers"), *each;
    const char *prefix = nr_json_string(o, "prefix");
    size_t i;

    if (r == NR_ENOENT) /* it ended just now */
        return 0;
    if (r < 0 || prefix == NULL || prefix[0] == '\0' || !json_is_array(names))
        return nr_err_set(err, r < 0 ? r : NR_ECORRUPT,
                          "%s: what a process that still ends its calls has cannot be read", path);
    struct ending *x = nr_alloc(sizeof(*x));

    x->path = nr_strdup(path);
    x->names = nr_alloc((json_array_size(names) + 1) * sizeof(*x->names));
    (void)snprintf(x->prefix, sizeof(x->prefix), "%.*s", NAME_BYTES, prefix);
    json_array_foreach(names, i, each) {
        const char *name = json_string_value(each);

        if (name)
            (void)snprintf(x->names[x->count++], sizeof(x->names[0]), "%.*s", NAME_BYTES, name);
    }
    nr_list_add(&e->all, &x->link);
    return 0;
}

int endings_read(struct endings *e, struct nr_err *err)
{
    DIR *d = opendir(e->run);
    char path[PATH_BYTES];
    int r = 0;

    NR_LIST_EACH(&e->all, l)
        ending_free(nr_container_of(l, struct ending, link));
    for (const struct dirent *f; r == 0 && d && (f = readdir(d)) != NULL;) {
        if (strncmp(f->d_name, file_begins, strlen(file_begins)) != 0)
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s", e->run, f->d_name);
        if (is_held(path))
            r = read_one(e, path, err);
        else
            (void)unlink(path);
    }
    if (d)
        (void)closedir(d);
    return r;
}

int endings_open(struct nr_loop *loop, const char *run, struct nr_log *log, struct endings **ret,
                 struct nr_err *err)
{
    struct endings *e = nr_alloc(sizeof(*e));

    e->loop = loop;
    e->log = log;
    e->run = nr_strdup(run);
    nr_list_init(&e->all);
    *ret = e;
    return endings_read(e, err);
}

/* ---- questions -------------------------------------------------------------------------------------------------- */

bool endings_any(const struct endings *e)
{
    return e && e->all.next != &e->all;
}

bool endings_foreign(void *arg, const char *name)
{
    struct endings *e = arg;

    for (struct nr_link *l = e->all.next; l != &e->all; l = l->next) {
        const struct ending *x = nr_container_of(l, struct ending, link);

        if (strncmp(name, x->prefix, strlen(x->prefix)) == 0)
            return true;
        for (size_t i = 0; i < x->count; i++)
            if (strcmp(x->names[i], name) == 0)
                return true;
    }
    return false;
}

/* ---- watching --------------------------------------------------------------------------------------------------- */

/* The list stands still during a look. */
static void look_work(struct nr_work *w)
{
    struct endings *e = nr_container_of(w, struct endings, look);

    for (struct nr_link *l = e->all.next; l != &e->all; l = l->next) {
        struct ending *x = nr_container_of(l, struct ending, link);

        x->over = !is_held(x->path);
        if (x->over)
            (void)unlink(x->path);
    }
}

static void on_looked(struct nr_work *w)
{
    struct endings *e = nr_container_of(w, struct endings, look);

    NR_LIST_EACH(&e->all, l) {
        struct ending *x = nr_container_of(l, struct ending, link);

        if (!x->over)
            continue;
        nr_log(e->log, NR_LOG_INFO, "daemon", "the process of %s has ended its last call",
               strrchr(x->path, '/') + 1);
        ending_free(x);
    }
    if (endings_any(e))
        nr_deadline_set(e->loop, &e->next, LOOK_MS);
    else
        e->alone(e->arg);
}

static void on_next(struct nr_deadline *d)
{
    struct endings *e = nr_container_of(d, struct endings, next);

    e->look = (struct nr_work){.work = look_work, .done = on_looked};
    nr_work_post(e->loop, &e->look);
}

void endings_watch(struct endings *e, void (*alone)(void *arg), void *arg)
{
    e->alone = alone;
    e->arg = arg;
    e->next.fire = on_next;
    if (endings_any(e))
        nr_deadline_set(e->loop, &e->next, LOOK_MS);
}

void endings_close(struct endings *e)
{
    if (e == NULL)
        return;
    NR_LIST_EACH(&e->all, l)
        ending_free(nr_container_of(l, struct ending, link));
    free(e->run);
    free(e);
}

/* ---- our own ---------------------------------------------------------------------------------------------------- */

static void own_path(const char *run, const char *begins, char path[PATH_BYTES])
{
    (void)snprintf(path, PATH_BYTES, "%s/%s%d", run, begins, (int)getpid());
}

/* It has its lock before it has its name. */
int endings_write(const char *run, struct nr_str text, int *ret_fd, struct nr_err *err)
{
    char path[PATH_BYTES], fresh[PATH_BYTES];

    own_path(run, file_begins, path);
    own_path(run, ".new-ending-", fresh);
    nr_auto_close int fd = open(fresh, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 ||
        write(fd, text.p, text.n) != (ssize_t)text.n || rename(fresh, path) < 0)
        return nr_err_set(err, nr_err_from_errno(errno), "%s: %s", path, strerror(errno));
    *ret_fd = nr_steal_fd(&fd);
    return 0;
}

void endings_remove(const char *run, int fd)
{
    char path[PATH_BYTES];

    if (fd < 0)
        return;
    own_path(run, file_begins, path);
    (void)unlink(path);
    (void)close(fd);
}
