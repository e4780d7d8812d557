/* Processes that have handed over and end their calls: what is theirs until then, and when that is over.
 *
 * Each writes one small file of its own, <run>/ending-<pid>, and holds a lock on it as long as it lives; the kernel lets go of the lock whatever the
 * process dies of. So the file of one that lives cannot be locked by anybody else, and one that can be is of nobody.
 * Who serves looks twice a second, on a work thread, as long as there is one. The memory of their containers counts as used on this host meanwhile: the file
 * begins with how much that is, and its process writes it anew as its containers go.
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
#include "ports/node.h"

enum {
    LOOK_MS = 500,
    TELL_MS = 500,
    FILE_MAX_BYTES = 1 << 20,
    NAME_BYTES = 8,
    PATH_BYTES = 4096 + 64
};

/* What a file begins with; the figure has always this width, so that it can be written anew in its place. */
#define FIGURE_BEGINS "{\"memory_mb\":"
#define FIGURE "%10lld"
enum { FIGURE_BYTES = 10, FIGURE_AT = sizeof(FIGURE_BEGINS) - 1 };

static const char file_begins[] = "ending-", fresh_begins[] = ".new-ending-";

/* One of them. */
struct ending {
    struct nr_link link;
    char *path;
    char prefix[NAME_BYTES + 1];
    char (*names)[NAME_BYTES + 1];
    size_t count;
    int64_t run;        /* of its calls; 0: it is of a release that has none */
    int64_t counted_mb; /* in node->memory_used_mb */
    bool over;          /* a work thread's, during a look; so is the next */
    int64_t seen_mb;
};

struct endings {
    struct nr_loop *loop;
    struct nr_log *log;
    struct node *node; /* kept */
    char *run;
    struct nr_link all;
    struct nr_deadline next;
    struct nr_work look;
    void (*room)(void *arg);
    void (*alone)(void *arg);
    void *arg;
};

/* True: there is more room than before. */
static bool count(struct endings *e, struct ending *x, int64_t mb)
{
    int64_t more = mb - x->counted_mb;

    (void)atomic_fetch_add(&e->node->memory_used_mb, more);
    x->counted_mb = mb;
    return more < 0;
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

/* Does its process live? What cannot be found out (no descriptor is left) is taken for a yes: a later look tells. */
static bool is_held(const char *path)
{
    nr_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    return fd < 0 ? errno != ENOENT : flock(fd, LOCK_SH | LOCK_NB) < 0;
}

static void ending_free(struct endings *e, struct ending *x)
{
    (void)count(e, x, 0);
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
    const json_t *has = json_object_get(o, "has"), *names = json_object_get(has, "containers"),
                 *each;
    const char *prefix = nr_json_string(has, "prefix");
    size_t i;

    if (r == NR_ENOENT) /* it ended just now */
        return 0;
    if (r < 0 || o == NULL ||
        (has && (prefix == NULL || prefix[0] == '\0' || !json_is_array(names))))
        return nr_err_set(err, r < 0 ? r : NR_ECORRUPT,
                          "%s: what a process that still ends its calls has cannot be read", path);
    struct ending *x = nr_alloc(sizeof(*x));

    x->path = nr_strdup(path);
    x->names = nr_alloc((json_array_size(names) + 1) * sizeof(*x->names));
    x->run = json_integer_value(json_object_get(o, "run"));
    (void)count(e, x, json_integer_value(json_object_get(o, "memory_mb")));
    (void)snprintf(x->prefix, sizeof(x->prefix), "%.*s", NAME_BYTES, prefix ? prefix : "");
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
        ending_free(e, nr_container_of(l, struct ending, link));
    for (const struct dirent *f; r == 0 && d && (f = readdir(d)) != NULL;) {
        bool fresh = strncmp(f->d_name, fresh_begins, strlen(fresh_begins)) == 0;

        if (!fresh && strncmp(f->d_name, file_begins, strlen(file_begins)) != 0)
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s", e->run, f->d_name);
        if (!is_held(path))
            (void)unlink(path);
        else if (!fresh)
            r = read_one(e, path, err);
    }
    if (d)
        (void)closedir(d);
    return r;
}

int endings_open(struct nr_loop *loop, const char *run, struct node *node, struct nr_log *log,
                 struct endings **ret, struct nr_err *err)
{
    struct endings *e = nr_alloc(sizeof(*e));

    e->node = node;

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

int64_t endings_memory_mb(const struct endings *e)
{
    int64_t mb = 0;

    for (struct nr_link *l = e->all.next; l != &e->all; l = l->next)
        mb += nr_container_of(l, struct ending, link)->counted_mb;
    return mb;
}

char *endings_runs(const struct endings *e)
{
    struct nr_buf out;

    if (!endings_any(e))
        return NULL;
    nr_buf_init(&out, FILE_MAX_BYTES);
    for (struct nr_link *l = e->all.next; l != &e->all; l = l->next)
        nr_buf_printf(&out, "%c%lld", out.n ? ',' : '[',
                      (long long)nr_container_of(l, struct ending, link)->run);
    nr_buf_adds(&out, "]");
    char *text = nr_strndup(out.p, out.n);

    nr_buf_fini(&out);
    return text;
}

bool endings_foreign(void *arg, const char *name)
{
    struct endings *e = arg;

    for (struct nr_link *l = e->all.next; l != &e->all; l = l->next) {
        const struct ending *x = nr_container_of(l, struct ending, link);

        if (x->prefix[0] && strncmp(name, x->prefix, strlen(x->prefix)) == 0)
            return true;
        for (size_t i = 0; i < x->count; i++)
            if (strcmp(x->names[i], name) == 0)
                return true;
    }
    return false;
}

/* ---- watching --------------------------------------------------------------------------------------------------- */

/* -1: it could not be read just now. */
static int64_t figure_of(const char *path)
{
    char text[FIGURE_BYTES + 1] = "";
    int64_t mb = -1;
    nr_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct nr_str figure = {text, FIGURE_BYTES};

    if (fd < 0 || pread(fd, text, FIGURE_BYTES, FIGURE_AT) != FIGURE_BYTES)
        return -1;
    while (figure.n && *figure.p == ' ') {
        figure.p++;
        figure.n--;
    }
    return nr_str_to_i64(figure, 0, INT32_MAX, &mb) ? mb : -1;
}

/* The list stands still during a look. */
static void look_work(struct nr_work *w)
{
    struct endings *e = nr_container_of(w, struct endings, look);

    for (struct nr_link *l = e->all.next; l != &e->all; l = l->next) {
        struct ending *x = nr_container_of(l, struct ending, link);

        x->over = !is_held(x->path);
        x->seen_mb = x->over ? 0 : figure_of(x->path);
        if (x->over)
            (void)unlink(x->path);
    }
}

static void on_looked(struct nr_work *w)
{
    struct endings *e = nr_container_of(w, struct endings, look);
    bool room = false;

    NR_LIST_EACH(&e->all, l) {
        struct ending *x = nr_container_of(l, struct ending, link);

        if (x->seen_mb >= 0)
            room |= count(e, x, x->seen_mb);
        if (!x->over)
            continue;
        nr_log(e->log, NR_LOG_INFO, "daemon", "the process of %s has ended its last call",
               strrchr(x->path, '/') + 1);
        ending_free(e, x);
    }
    if (room)
        e->room(e->arg);
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

void endings_watch(struct endings *e, void (*room)(void *arg), void (*alone)(void *arg), void *arg)
{
    e->room = room;
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
        ending_free(e, nr_container_of(l, struct ending, link));
    free(e->run);
    free(e);
}

/* ---- our own ---------------------------------------------------------------------------------------------------- */

static void own_path(const char *run, const char *begins, char path[PATH_BYTES])
{
    (void)snprintf(path, PATH_BYTES, "%s/%s%d", run, begins, (int)getpid());
}

static void tell_work(struct nr_work *w)
{
    const struct own_ending *own = nr_container_of(w, struct own_ending, work);
    char text[FIGURE_BYTES + 1];

    (void)snprintf(text, sizeof(text), FIGURE, (long long)own->told_mb);
    (void)!pwrite(own->fd, text, FIGURE_BYTES,
                  FIGURE_AT); /* else it is as it was, and told again */
}

static void on_told(struct nr_work *w)
{
    struct own_ending *own = nr_container_of(w, struct own_ending, work);

    if (own->loop)
        nr_deadline_set(own->loop, &own->next, TELL_MS);
}

static void on_tell(struct nr_deadline *deadline)
{
    struct own_ending *own = nr_container_of(deadline, struct own_ending, next);

    own->told_mb = own->memory_mb(own->arg);
    own->work = (struct nr_work){.work = tell_work, .done = on_told};
    nr_work_post(own->loop, &own->work);
}

void own_ending_tell(struct own_ending *own, struct nr_loop *loop, int64_t (*memory_mb)(void *arg),
                     void *arg)
{
    if (own->fd < 0)
        return;
    own->loop = loop;
    own->memory_mb = memory_mb;
    own->arg = arg;
    own->next.fire = on_tell;
    nr_deadline_set(loop, &own->next, TELL_MS);
}

void own_ending_stop(struct own_ending *own)
{
    nr_deadline_cancel(&own->next);
    own->loop = NULL;
}

static bool write_file(int fd, int64_t memory_mb, int64_t run_number, struct nr_str has)
{
    struct nr_buf out;

    nr_buf_init(&out, FILE_MAX_BYTES);
    nr_buf_printf(&out, FIGURE_BEGINS FIGURE ",\"run\":%lld", (long long)memory_mb,
                  (long long)run_number);
    if (has.n > 0)
        nr_buf_printf(&out, ",\"has\":%.*s", (int)has.n, has.p);
    nr_buf_adds(&out, "}");
    bool whole = !out.failed && write(fd, out.p, out.n) == (ssize_t)out.n;

    nr_buf_fini(&out);
    return whole;
}

/* It has its lock before it has its name. */
int own_ending_write(struct own_ending *own, const char *run, int64_t memory_mb, int64_t run_number,
                     struct nr_str has, struct nr_err *err)
{
    char path[PATH_BYTES], fresh[PATH_BYTES];

    own_path(run, file_begins, path);
    own_path(run, fresh_begins, fresh);
    nr_auto_close int fd = open(fresh, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || !write_file(fd, memory_mb, run_number, has) ||
        rename(fresh, path) < 0) {
        int why = errno;

        (void)unlink(fresh);
        return nr_err_set(err, nr_err_from_errno(why), "%s: %s", path, strerror(why));
    }
    own->fd = nr_steal_fd(&fd);
    return 0;
}

void own_ending_remove(struct own_ending *own, const char *run)
{
    char path[PATH_BYTES];

    if (own->fd < 0)
        return;
    own_path(run, file_begins, path);
    (void)unlink(path);
    (void)close(own->fd);
    own->fd = -1;
}
