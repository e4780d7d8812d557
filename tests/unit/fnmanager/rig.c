#include "tests/unit/fnmanager/rig.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/mem.h"

const struct runtime_kind rig_kinds[] = {
    {"nodejs:18", "nodejs", "narae/nodejs:0123456789ab", ".js", true, NULL},
    {"python:3", "python", "narae/python:ba9876543210", ".py", true, NULL},
    {"python:3.11", "python", "narae/python:ba9876543210", ".py", false, "python:3"},
    {0},
};

static void note_change(void *arg, const char *account, const char *package, const char *name,
                        uint64_t old_revision, enum fn_change what)
{
    struct rig *r = arg;

    (void)snprintf(r->changed, sizeof(r->changed), "%s/%s/%s", account, package, name);
    r->changed_revision = old_revision;
    r->change = what;
    r->changes++;
}

void rig_open(struct rig *r)
{
    struct nr_err err = {0};
    nr_auto_free char *guest = NULL;
    nr_auto_free char *admin = NULL;

    if (fnmanager_open(&r->config, &r->m, &err) != 0)
        fail_msg("open: %s", err.text);
    guest = rig_file(r, "guest.key");
    admin = rig_file(r, "admin.key");
    assert_int_equal(rig_login(r, guest, &r->guest), 0);
    assert_int_equal(rig_login(r, admin, &r->admin), 0);
}

void rig_begin(struct rig *r)
{
    struct nr_err err = {0};

    memset(r, 0, sizeof(*r));
    (void)snprintf(r->dir, sizeof(r->dir), "/tmp/narae-fn-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    assert_int_equal(nr_loop_init(&r->loop, &err), 0);
    r->config = (struct fnmanager_config){
        .data_dir = r->dir,
        .kinds = rig_kinds,
        .native_image = "narae/native:000000000000",
        .guest_profile = "local",
        .memory_max_mb = 4096,
        .loop = &r->loop,
        .on_change = note_change,
        .arg = r,
    };
    rig_open(r);
}

void rig_close(struct rig *r)
{
    account_unref(r->guest);
    account_unref(r->admin);
    r->guest = r->admin = NULL;
    fnmanager_close(r->m);
    r->m = NULL;
}

void rig_end(struct rig *r)
{
    rig_close(r);
    assert_int_equal(nr_loop_fini(&r->loop), 0);
    assert_int_equal(nr_dir_remove(r->dir, NULL), 0);
}

static void note_done(struct fn_call *call)
{
    *(bool *)call->owner = true;
}

struct rig_reply rig_run(struct rig *r, struct fn_call *call)
{
    struct rig_reply reply = {0};
    bool done = false;

    call->loop = &r->loop;
    call->done = note_done;
    call->owner = &done;
    fnmanager_post(r->m, call);
    while (!done)
        (void)uv_run(&r->loop.uv, UV_RUN_ONCE);
    reply.status = call->status;
    reply.code = call->err.code;
    reply.fn = call->fn;
    if (call->err.code != 0 && !call->whole)
        reply.body = nr_strdup(call->err.text);
    else
        reply.body = nr_strndup(call->reply.n != 0 ? call->reply.p : "", call->reply.n);
    reply.changes_at_done = r->changes;
    nr_buf_fini(&call->reply);
    return reply;
}

struct rig_reply rig_call(struct rig *r, struct account *who, enum fn_op op, const char *package,
                          const char *name, const char *body, bool overwrite)
{
    struct fn_call call = {
        .op = op,
        .account = who,
        .package = nr_str_of(package),
        .name = nr_str_of(name),
        .body = nr_str_of(body),
        .overwrite = overwrite,
        .with_code = true,
    };

    return rig_run(r, &call);
}

void rig_reply_fini(struct rig_reply *reply)
{
    free(reply->body);
    function_unref(reply->fn);
    *reply = (struct rig_reply){0};
}

char *rig_put(struct rig *r, const char *name, const char *body, bool overwrite, int status)
{
    struct rig_reply reply = rig_call(r, r->guest, FN_ACTION_PUT, NULL, name, body, overwrite);

    if (reply.status != status)
        fail_msg("PUT %s: %d instead of %d: %.400s", name, reply.status, status, reply.body);
    return reply.body;
}

char *rig_file(struct rig *r, const char *name)
{
    char path[512], *text = NULL;
    size_t n = 0;

    (void)snprintf(path, sizeof(path), "%s/%s", r->dir, name);
    if (nr_file_read(path, 1 << 20, &text, &n, NULL) < 0)
        return NULL;
    if (n > 0 && text[n - 1] == '\n')
        text[n - 1] = '\0';
    return text;
}

/* nftw() knows no argument. */
static int files_seen;

static int see(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)path;
    (void)st;
    (void)at;
    files_seen += type == FTW_F;
    return 0;
}

int rig_bucket_files(struct rig *r)
{
    char path[512];

    (void)snprintf(path, sizeof(path), "%s/buckets", r->dir);
    files_seen = 0;
    assert_int_equal(nftw(path, see, 16, FTW_PHYS), 0);
    return files_seen;
}

int rig_login(struct rig *r, const char *pair, struct account **ret)
{
    const char *colon = strchr(pair, ':');

    assert_non_null(colon);
    return fnmanager_authenticate(r->m, (struct nr_str){pair, (size_t)(colon - pair)},
                                  nr_str_of(colon + 1), ret);
}
