/* At start the tree of the buckets is walked and every upload's folder is looked up in the registry: what a crash left behind (a
 * file whose row was never committed, a temporary name) has none. A folder that a row names is never touched but for foreign files.
 * Any trouble with the registry leaves the file alone: only a clear "no row" removes.
 */
#include "fnmanager/sweeper.h"

#include <dirent.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "fnmanager/code.h"

struct sweep {
    struct storage *s;
    struct nr_db *db;
    int64_t removed;
};

/* Calls `each` with "<folder>/<name>" for all that lies in <root>/<folder>. */
static void for_each(struct sweep *w, const char *folder,
                     void (*each)(struct sweep *w, const char *path))
{
    nr_auto_free char *path = storage_path(w->s, folder, "");
    DIR *dir = opendir(path);
    const struct dirent *e;

    if (dir == NULL)
        return;
    while ((e = readdir(dir)) != NULL) {
        char below[STORAGE_FOLDER_BYTES + 257];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (snprintf(below, sizeof(below), "%s%s%s", folder, *folder != '\0' ? "/" : "",
                     e->d_name) < (int)sizeof(below))
            each(w, below);
    }
    (void)closedir(dir);
}

static void remove_foreign(struct sweep *w, const char *folder, const char *keep)
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

static void sweep_upload(struct sweep *w, const char *folder)
{
    nr_auto_free char *file = NULL;
    int r = metadata_folder(w->db, folder, &file);

    if (r == 0) {
        remove_foreign(w, folder, file);
    } else if (r == NR_ENOENT) {
        storage_remove(w->s, folder);
        (void)metadata_garbage_done(w->db, folder);
        w->removed++;
    }
}

static void sweep_function(struct sweep *w, const char *folder)
{
    nr_auto_free char *path = storage_path(w->s, folder, "");

    for_each(w, folder, sweep_upload);
    (void)rmdir(path);
}

static void sweep_account(struct sweep *w, const char *folder)
{
    nr_auto_free char *path = storage_path(w->s, folder, "");

    for_each(w, folder, sweep_function);
    (void)rmdir(path);
}

int64_t sweep_start(struct storage *s, struct nr_db *db)
{
    struct sweep w = {.s = s, .db = db};

    for_each(&w, "", sweep_account);
    (void)sweep_garbage(s, db, 0);
    return w.removed;
}

int64_t sweep_garbage(struct storage *s, struct nr_db *db, int64_t after_ms)
{
    int64_t removed = 0;

    for (;;) {
        nr_auto_free char *folder = NULL;
        nr_auto_free char *file = NULL;
        if (metadata_garbage_first(db, nr_wall_ms() - after_ms, &folder) < 0)
            return removed;
        if (metadata_folder(db, folder, &file) == NR_ENOENT) {
            storage_remove(s, folder);
            removed++;
        }
        if (metadata_garbage_done(db, folder) < 0)
            return removed;
    }
}
