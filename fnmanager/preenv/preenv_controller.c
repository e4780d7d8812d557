/* Env Controller. A test environment is the function's own snapshot with another size; the Tester's pool tells it from real ones by its
 * revision, and the invoker's memory of the function's name by a name that no function can have. The path, and so what the code sees of
 * itself, stays.
 * Applying a choice is a normal update: it goes through the states, the audit log and the checks that every update goes through, and
 * is refused when the function is no longer the one that was measured.
 */
#include "fnmanager/preenv/preenv_controller.h"

#include <stdio.h>

#include "fnmanager/functions/action.h"
#include "fnmanager/functions/lifecycle.h"
#include "fnmanager/functions/resolve.h"

static struct fn_key key_of(const struct preenv_run *r)
{
    return (struct fn_key){nr_str_of(r->account), nr_str_of(r->package), nr_str_of(r->name)};
}

static int check_same(const struct preenv_run *r, const struct function *f, struct nr_err *err)
{
    char sha[2 * NR_SHA256_BYTES + 1];

    nr_hex(f->sha256, NR_SHA256_BYTES, sha);
    if (strcmp(sha, r->sha256) != 0)
        return nr_err_set(err, NR_ECONFLICT,
                          "The code was changed while it was measured: run it again.");
    return lifecycle_may_run(f->state, err);
}

/* A container's weight among those that want the processors follows its memory. On a busy host a small one would be slower by that alone,
 * so all of them get what the declared size has. */
static int64_t share_of(int64_t memory_mb)
{
    enum { SHARES_PER_MB = 4, SHARES_MAX = 262144 };

    return SHARES_PER_MB * memory_mb < SHARES_MAX ? SHARES_PER_MB * memory_mb : SHARES_MAX;
}

int preenv_environment(struct fnmanager *m, const struct preenv_run *r,
                       const struct preenv_config *c, struct function **ret, struct nr_err *err)
{
    struct function *f = NULL;
    int e = function_resolve(m, key_of(r), r->request.version, &f, err);

    if (e < 0)
        return e;
    if ((e = check_same(r, f, err)) < 0) {
        function_unref(f);
        return e;
    }
    size_t n = strlen(f->name) + sizeof("#preenv");
    char *name = nr_alloc(n);

    (void)snprintf(name, n, "%s#preenv", f->name);
    free(f->name);
    f->name = name;
    f->trial = true;
    f->memory_mb = c->memory_mb;
    f->cpus_milli = c->cpus_milli;
    if (f->cpu_share == 0)
        f->cpu_share = share_of(r->declared_mb);
    f->revision = fnmanager_next_revision(m);
    *ret = f;
    return 0;
}

static void write_update(const struct preenv_run *r, struct nr_buf *out)
{
    if (r->request.cpu)
        nr_buf_printf(out, "{\"annotations\":[{\"key\":\"narae.cpus\",\"value\":%.3g}]}",
                      (double)r->chosen / 1000);
    else
        nr_buf_printf(out, "{\"limits\":{\"memory\":%lld}}", (long long)r->chosen);
}

static int check_unchanged(struct fnmanager *m, const struct preenv_run *r, struct nr_err *err)
{
    struct fn_row row = {0};
    char sha[2 * NR_SHA256_BYTES + 1];
    int e = metadata_load(m->db, key_of(r), &row);

    if (e < 0)
        return nr_err_set(err, e, "%s", e == NR_ENOENT ? TEXT_NOT_FOUND : TEXT_INTERNAL);
    nr_hex(row.sha256, NR_SHA256_BYTES, sha);
    fn_row_fini(&row);
    if (strcmp(sha, r->sha256) != 0)
        return nr_err_set(
            err, NR_ECONFLICT,
            "This run measured other code (version %s) than LATEST has now: run it again.",
            r->function_version);
    return 0;
}

int preenv_apply(struct fnmanager *m, const struct preenv_run *r, struct nr_err *err)
{
    struct account who = {.name = r->account,
                          .uuid = r->key_uuid,
                          .scopes = SCOPE_WRITE,
                          .concurrent_invocations = INT32_MAX};
    struct fn_call call = {.op = FN_ACTION_PUT,
                           .account = &who,
                           .package = nr_str_of(r->package),
                           .name = nr_str_of(r->name),
                           .overwrite = true};
    struct nr_buf body;
    uint64_t old = 0;
    int e = accounts_may_go_on(&m->accounts, r->account, r->key_uuid, SCOPE_WRITE, err);

    if (e < 0 || (e = check_unchanged(m, r, err)) < 0)
        return e;
    nr_buf_init(&body, 256);
    write_update(r, &body);
    call.body = nr_buf_str(&body);
    e = action_put(m, &call, &old);
    nr_buf_fini(&body);
    nr_buf_fini(&call.reply);
    if (e < 0)
        return nr_err_set(err, e, "%s", call.err.text[0] ? call.err.text : TEXT_INTERNAL);
    if (old != 0)
        handler_changed(m, r->account, r->package, r->name, old, FN_REPLACED);
    return 0;
}
