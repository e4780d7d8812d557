/* After a start the tree of the buckets is walked and every upload's folder is looked up in the registry: what a crash left behind (a
 * file whose row was never committed, a temporary name) has none. A folder that a row names is never touched but for foreign files.
 * Any trouble with the registry leaves the file alone: only a clear "no row" removes.
 *
 * The walk has a thread of its own, for a registry of 100,000 functions has hundreds of thousands of folders: the start waits for it
 * for a moment, which is enough for a small one, and then goes on without it. So the walk may meet uploads of this run whose row is
 * not there yet: the Storage Handler knows them. What a change of this run put among the garbage is left alone too, for calls may
 * still need it.
 */
#include "fnmanager/storage/sweeper.h"

#include <dirent.h>
#include <errno.h>
#include <sys/resource.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "fnmanager/storage/code.h"

#define START_WAITS_S 1
#define SWEEP_NICE 10

static bool goes_on(const struct sweeper *w)
{
    return !atomic_load_explicit(&w->stopping, memory_order_relaxed);
}

/* Calls `each` with "<folder>/<name>" for all that lies in <root>/<folder>. What is a file there, where only folders are, goes. */
static void for_each(struct sweeper *w, const char *folder,
                     void (*each)(struct sweeper *w, const char *path))
{
    nr_auto_free char *path = storage_path(w->s, folder, "");
    DIR *dir = opendir(path);
    const struct dirent *e;

    if (dir == NULL) {
        w->removed += errno == ENOTDIR && unlink(path) == 0;
        return;
    }
    while (goes_on(w) && (e = readdir(dir)) != NULL) {
        char below[STORAGE_FOLDER_BYTES + 257];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (snprintf(below, sizeof(below), "%s%s%s", folder, *folder != '\0' ? "/" : "",
                     e->d_name) < (int)sizeof(below))
            each(w, below);
    }
    (void)closedir(dir);
}

static void remove_foreign(struct sweeper *w, const char *folder, const char *keep)
{
    nr_auto_free char *path = storage_path(w->s, folder, "");
    DIR *dir = opendir(path);
    const struct dirent *e;

    if (dir == NULL)
        return;
    while ((e = readdir(dir)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            strcmp(e->d_name, keep) == 0 || strcmp(e->d_name, CODE_SENT_FILE) == 0)
            continue;
        nr_auto_free char *stray = storage_path(w->s, folder, e->d_name);
        w->removed += nr_dir_remove(stray, NULL) == 0 || unlink(stray) == 0;
    }
    (void)closedir(dir);
}

/* Another thread may be about to make a folder in it. */
static void remove_empty(struct sweeper *w, const char *folder)
{
    nr_auto_free char *path = storage_path(w->s, folder, "");

    pthread_mutex_lock(&w->s->folders);
    (void)rmdir(path);
    pthread_mutex_unlock(&w->s->folders);
}

static void sweep_upload(struct sweeper *w, const char *folder)
{
    nr_auto_free char *file = NULL;
    int r = metadata_folder(w->db, folder, &file);

    if (r == 0)
        remove_foreign(w, folder, file);
    else if (r == NR_ENOENT && metadata_is_garbage(w->db, folder) == NR_ENOENT)
        w->removed += storage_remove_old(w->s, folder);
}

static void sweep_function(struct sweeper *w, const char *folder)
{
    for_each(w, folder, sweep_upload);
    remove_empty(w, folder);
}

static void sweep_account(struct sweeper *w, const char *folder)
{
    for_each(w, folder, sweep_function);
    remove_empty(w, folder);
}

/* Of the garbage what lies there since before_ms or longer. */
static int64_t sweep_garbage_of(struct storage *s, struct nr_db *db, int64_t before_ms,
                                const struct sweeper *w)
{
    int64_t removed = 0;

    while (w == NULL || goes_on(w)) {
        nr_auto_free char *folder = NULL;
        nr_auto_free char *file = NULL;
        if (metadata_garbage_first(db, before_ms, &folder) < 0)
            break;
        if (metadata_folder(db, folder, &file) == NR_ENOENT) {
            storage_remove(s, folder);
            removed++;
        }
        if (metadata_garbage_done(db, folder) < 0)
            break;
    }
    return removed;
}

int64_t sweep_garbage(struct storage *s, struct nr_db *db, int64_t after_ms)
{
    return sweep_garbage_of(s, db, nr_wall_ms() - after_ms, NULL);
}

/* ---- the thread ---- */

static void *work(void *arg)
{
    struct sweeper *w = arg;

    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), SWEEP_NICE);
    for_each(w, "", sweep_account);
    if (goes_on(w))
        storage_old_gone(w->s);
    w->removed += sweep_garbage_of(w->s, w->db, w->began_ms, w);
    nr_count(w->swept, (uint64_t)w->removed);
    if (w->removed > 0)
        nr_log(w->log, NR_LOG_INFO, "fnmanager",
               "swept=%lld files or folders that an earlier run left", (long long)w->removed);
    pthread_mutex_lock(&w->lock);
    w->over = true;
    pthread_cond_signal(&w->done);
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

int sweeper_start(struct sweeper *w, struct nr_err *err)
{
    w->began_ms = nr_wall_ms();
    pthread_mutex_init(&w->lock, NULL);
    nr_mono_cond_init(&w->done);
    int r = pthread_create(&w->thread, NULL, work, w);
    if (r != 0) {
        pthread_cond_destroy(&w->done);
        pthread_mutex_destroy(&w->lock);
        return nr_err_set(err, nr_err_from_errno(r), "the sweeper's thread cannot be started: %s",
                          strerror(r));
    }
    w->started = true;
    (void)pthread_setname_np(w->thread, "fn-sweep");
    const struct timespec until = nr_mono_after(START_WAITS_S * 1000);

    pthread_mutex_lock(&w->lock);
    while (!w->over && pthread_cond_timedwait(&w->done, &w->lock, &until) != ETIMEDOUT)
        continue;
    pthread_mutex_unlock(&w->lock);
    return 0;
}

void sweeper_stop(struct sweeper *w)
{
    if (!w->started)
        return;
    atomic_store_explicit(&w->stopping, true, memory_order_relaxed);
    (void)pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->done);
    pthread_mutex_destroy(&w->lock);
    w->started = false;
}
