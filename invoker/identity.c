/* Identity files and the sweep at start. An earlier run's containers are found by the label of this installation, never by a name;
 * they are removed by the workers while the platform starts.
 */
#include "invoker/identity.h"

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "invoker/internal.h"
#include "invoker/start.h"

enum { NAME_BYTES = 8, PATH_MAX_BYTES = 1024 };

int identity_write(const char *folder, const char *name, const char *id, const struct function *f,
                   struct nr_err *err)
{
    char file[32];
    nr_auto_json json_t *o = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:I}", "container", id, "account", f->account,
        "package", f->package, "name", f->name, "version", f->version, "revision",
        (json_int_t)f->revision, "kind", f->kind, "started_ms", (json_int_t)nr_wall_ms());
    size_t n = 0;
    nr_auto_free char *text = o ? nr_json_text(o, &n) : NULL;

    if (text == NULL)
        return nr_err_set(err, NR_ENOMEM, "no memory for the identity of container %s", name);
    (void)snprintf(file, sizeof(file), "%s.json", name);
    return nr_file_write(folder, file, (struct nr_str){text, n}, 0600, err);
}

int identity_remove(const char *folder, const char *name, struct nr_err *err)
{
    char path[PATH_MAX_BYTES];

    (void)snprintf(path, sizeof(path), "%s/%s.json", folder, name);
    if (unlink(path) < 0 && errno != ENOENT)
        return nr_err_set(err, nr_err_from_errno(errno), "%s: %s", path, strerror(errno));
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return nr_dir_remove(path, err);
}

/* Our name in "narae-<8>-<8 hex>", or "". */
static const char *name_in(const json_t *container)
{
    const char *full = json_string_value(json_array_get(json_object_get(container, "Names"), 0));
    const char *dash = full ? strrchr(full, '-') : NULL;

    return dash && strlen(dash + 1) == NAME_BYTES ? dash + 1 : "";
}

static int sweep_containers(struct invoker *v, struct nr_err *err)
{
    char filter[128], encoded[3 * sizeof(filter) + 1], path[sizeof(encoded) + 64];
    struct engine_reply reply = {0};

    (void)snprintf(filter, sizeof(filter), "{\"label\":[\"narae.installation=%s\"]}",
                   v->installation);
    (void)nr_pct_encode(nr_str_of(filter), encoded);
    (void)snprintf(path, sizeof(path), "/containers/json?all=1&filters=%s", encoded);
    int r = engine_want(engine_own_worker(v->engine), "GET", path, (struct nr_str){NULL, 0},
                        ENGINE_ASK_MS, &reply, err);
    nr_auto_json json_t *list = r == 0 ? nr_json_parse(nr_buf_str(&reply.body), err) : NULL;
    size_t i;
    json_t *each;

    nr_buf_fini(&reply.body);
    json_array_foreach(list, i, each) {
        const char *id = nr_json_string(each, "Id");

        if (id)
            remove_orphan(v, id, name_in(each));
    }
    if (json_array_size(list) > 0)
        nr_log(v->log, NR_LOG_INFO, "invoker", "removing %zu containers of an earlier run",
               json_array_size(list));
    return r;
}

/* Folders and files of an earlier run: nobody of ours lives yet. */
static void sweep_folder(struct invoker *v)
{
    DIR *d = opendir(v->folder);
    char name[NAME_BYTES + 1];

    for (const struct dirent *e; d && (e = readdir(d)) != NULL;) {
        if (strlen(e->d_name) < NAME_BYTES || strspn(e->d_name, "0123456789abcdef") != NAME_BYTES)
            continue;
        memcpy(name, e->d_name, NAME_BYTES);
        name[NAME_BYTES] = '\0';
        (void)identity_remove(v->folder, name, NULL);
    }
    if (d)
        (void)closedir(d);
}

int identity_sweep(struct invoker *v, struct nr_err *err)
{
    int r = sweep_containers(v, err);

    if (r == 0)
        sweep_folder(v);
    return r;
}
