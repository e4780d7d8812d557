/* The counts of the registry are what a quota is judged by; they are corrected by what lies in the folder whenever that is looked at: before a
 * compilation, and by the sweeper. A result counts from before it is there until the sweep that finds no version of its name.
 */
#include "fnmanager/compile/compile_room.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "fnmanager/compile/compile_names.h"
#include "fnmanager/manager.h"
#include "fnmanager/registry/metadata_sources.h"

/* With a list of names that is not whole nothing may go. */
static int sweep_folder(struct fnmanager *m, struct nr_str account, const char *folder,
                        struct compiled_sizes *ret)
{
    struct compile_names l;

    pthread_mutex_lock(&m->compiling.keeping);
    int r = compile_names_load(m, account, &l);

    if (r == 0)
        compiled_sweep(folder, SWEEP_AFTER_MS, compile_names_has, &l, ret);
    if (r == 0)
        r = metadata_sources_measured(m->db, account, ret->kept);
    pthread_mutex_unlock(&m->compiling.keeping);
    compile_names_fini(&l);
    return r;
}

int compile_room(struct fnmanager *m, struct nr_str account, const char *folder, struct nr_err *err)
{
    struct compiled_sizes sizes = {0, 0};
    int r = sweep_folder(m, account, folder, &sizes);

    if (r < 0)
        return nr_err_set(err, r, TEXT_INTERNAL);
    if ((r = metadata_sources_room(m->db, account, err)) < 0)
        return nr_err_set(err, r, TEXT_INTERNAL);
    if (sizes.kept + sizes.garbage + COMPILED_FILE_MAX_BYTES <= COMPILED_OF_ACCOUNT_MAX_BYTES)
        return 0;
    return nr_err_set(
        err, NR_EFORBIDDEN,
        "What was compiled for the account's versions takes %lld bytes, %lld of them of versions that are gone, which go within %d minutes; at most %lld are allowed before another compilation. Delete functions or versions.",
        (long long)(sizes.kept + sizes.garbage), (long long)sizes.garbage,
        SWEEP_AFTER_MS / 60000 + 1,
        (long long)(COMPILED_OF_ACCOUNT_MAX_BYTES - COMPILED_FILE_MAX_BYTES));
}

int compile_room_keep(struct fnmanager *m, struct nr_str account, const char *folder,
                      const char *key, struct nr_str bytes, struct compiled *ret,
                      struct nr_err *err)
{
    pthread_mutex_lock(&m->compiling.keeping);
    int r = metadata_sources_made(m->db, account, (int64_t)bytes.n, err);

    if (r < 0)
        (void)nr_err_set(err, r, TEXT_INTERNAL);
    else
        r = compiled_keep(folder, key, bytes, ret, err);
    pthread_mutex_unlock(&m->compiling.keeping);
    return r == NR_EFORBIDDEN ? nr_err_wrap(err, r, "What the compiler made has %zu bytes", bytes.n)
                              : r;
}

/* ---- all accounts --------------------------------------------------------------------------------------------- */

struct owners {
    const char *data_dir;
    struct nr_buf names, folders; /* of those that have something; '\n' behind each */
};

static void note_owner(void *arg, const struct account_row *account,
                       const struct account_amount *used)
{
    struct owners *o = arg;
    nr_auto_free char *folder = compiled_folder(o->data_dir, nr_str_of(account->name));
    bool there = access(folder, F_OK) == 0;

    if (there || used->compiled_bytes > 0)
        nr_buf_printf(&o->names, "%s\n", account->name);
    if (there)
        nr_buf_printf(&o->folders, "%s\n", strrchr(folder, '/') + 1);
}

static bool is_owned(const struct owners *o, const char *folder)
{
    struct nr_str rest = nr_buf_str(&o->folders), name;

    while (rest.n > 0 && nr_str_split(&rest, '\n', &name))
        if (nr_str_eqz(name, folder))
            return true;
    return false;
}

/* A younger one may be of an account that was made since they were asked for. */
static bool is_old(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 &&
           (int64_t)st.st_mtim.tv_sec * 1000 < nr_wall_ms() - SWEEP_AFTER_MS;
}

/* Of accounts that left while something was compiled for them. */
static void sweep_strays(const struct owners *o, const char *root)
{
    DIR *d = opendir(root);
    const struct dirent *e;

    while (d != NULL && (e = readdir(d)) != NULL) {
        char path[4096];

        if (e->d_name[0] != '.' && !is_owned(o, e->d_name) &&
            snprintf(path, sizeof(path), "%s/%s", root, e->d_name) < (int)sizeof(path) &&
            is_old(path))
            (void)nr_dir_remove(path, NULL);
    }
    if (d != NULL)
        (void)closedir(d);
}

void compile_sweep(struct fnmanager *m)
{
    nr_auto_free char *root = compiled_folder(m->data_dir, NR_STR("any"));
    struct owners o = {.data_dir = m->data_dir};
    struct nr_str rest, name;
    struct compiled_sizes sizes;

    *strrchr(root, '/') = '\0';
    nr_buf_init(&o.names, 16 << 20);
    nr_buf_init(&o.folders, 64 << 20);
    int r = metadata_accounts(m->db, note_owner, &o);

    if (r == 0 && !o.folders.failed)
        sweep_strays(&o, root);
    rest = nr_buf_str(&o.names);
    while (r == 0 && rest.n > 0 && nr_str_split(&rest, '\n', &name)) {
        nr_auto_free char *folder = compiled_folder(m->data_dir, name);

        (void)sweep_folder(m, name, folder, &sizes);
    }
    nr_buf_fini(&o.names);
    nr_buf_fini(&o.folders);
}
