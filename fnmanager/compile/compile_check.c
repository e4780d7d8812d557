/* What was hashed in this run is remembered; of it only the size is looked at. Who has a snapshot of a function whose result went starts no more containers
 * from it: such functions are asked for anew.
 */
#include "fnmanager/compile/compile_check.h"

#include "fnmanager/compile/compile_known.h"
#include "fnmanager/manager.h"

static void drop(struct fnmanager *m, struct nr_str account, const char *folder, const char *key)
{
    compile_unknow(&m->compiling, key);
    compiled_remove(folder, key);
    nr_count(&m->compiling.damaged, 1);
    nr_log(m->config.log, NR_LOG_WARN, "fnmanager",
           "account=%.*s compiled=%s is not what the compiler made: it is compiled again",
           (int)account.n, account.p, key);
}

static bool is_whole(struct fnmanager *m, const char *folder, const char *key,
                     const struct compiled *c)
{
    struct compiled found;

    if (compile_is_known(&m->compiling, key))
        return compiled_find(folder, key, &found) == 0;
    if (!compiled_is_whole(folder, key, c))
        return false;
    compile_know(&m->compiling, key);
    return true;
}

int compile_find(struct fnmanager *m, struct nr_str account, const char *folder, const char *key,
                 struct compiled *ret)
{
    struct compiled c;

    if (compiled_line(folder, key, &c) < 0)
        return NR_ENOENT;
    if (!c.as_is && !is_whole(m, folder, key, &c)) {
        drop(m, account, folder, key);
        return NR_ENOENT;
    }
    *ret = c;
    return 0;
}

/* ---- all of an account ---------------------------------------------------------------------------------------- */

struct check {
    struct fnmanager *m;
    struct nr_str account;
    const char *folder;
    void (*each)(void *arg, const struct compile_name *n, const char *file);
    void *arg;
    struct compile_checked *sum;
};

static void tell(const struct check *c, const struct compile_name *n)
{
    nr_auto_free char *account = nr_strndup(c->account.p, c->account.n);
    char file[2 * STORAGE_NAME_BYTES];

    (void)snprintf(file, sizeof(file), "compiled/%s/%s.code", strrchr(c->folder, '/') + 1, n->key);
    c->each(c->arg, n, file);
    handler_changed(c->m, account, n->package, n->name, n->revision, FN_KEPT);
}

/* The result that the first `count` names share. */
static void check_result(const struct check *c, const struct compile_name *names, size_t count)
{
    struct compiled found;

    if (compiled_line(c->folder, names->key, &found) < 0 || found.as_is)
        return;
    c->sum->files++;
    c->sum->bytes += found.bytes;
    if (compiled_is_whole(c->folder, names->key, &found)) {
        compile_know(&c->m->compiling, names->key);
        return;
    }
    c->sum->damaged++;
    drop(c->m, c->account, c->folder, names->key);
    for (size_t i = 0; i < count; i++)
        tell(c, &names[i]);
}

int compile_verify(struct fnmanager *m, struct nr_str account,
                   void (*each)(void *arg, const struct compile_name *n, const char *file),
                   void *arg, struct compile_checked *ret)
{
    nr_auto_free char *folder = compiled_folder(m->data_dir, account);
    const struct check c = {m, account, folder, each, arg, ret};
    struct compile_names l;
    int r = compile_names_load(m, account, &l);

    *ret = (struct compile_checked){0, 0, 0};
    for (size_t i = 0, n; r == 0 && i < l.n; i += n) {
        for (n = 1; i + n < l.n && strcmp(l.list[i].key, l.list[i + n].key) == 0;)
            n++;
        check_result(&c, &l.list[i], n);
    }
    compile_names_fini(&l);
    return r;
}
