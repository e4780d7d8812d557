/* Kinds that are compiled, over a compiler that answers as it is told: when it is asked, what is kept of what it made, what its refusals become, and
 * that a refused upload changes nothing.
 */
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/json.h"
#include "fnmanager/compile/compile_places.h"
#include "fnmanager/compile/compiled.h"
#include "ports/errand.h"
#include "ports/image.h"
#include "tests/unit/fnmanager/rig.h"

#define ELF "\177ELF executable"
#define GO(code) "{\"exec\":{\"kind\":\"go:default\",\"code\":\"" code "\"}}"

static const struct runtime_kind kinds[] = {
    {.kind = "python:3",
     .family = "python",
     .image = "narae/python:1",
     .extension = ".py",
     .is_default = true},
    {.kind = "go:1.19",
     .family = "go",
     .image = "narae/native:1",
     .extension = ".go",
     .is_default = true,
     .compiler = "narae/go:1"},
    {.kind = NULL},
};

/* The host with its compiler. */
struct host {
    struct rig rig; /* first: it is the argument of the ports */
    const char *missing;
    const char *made;    /* what it makes; in pieces of `piece` bytes */
    const char *refused; /* or says */
    int code;            /* or fails with */
    int64_t claims;      /* bytes that it claims; 0: the truth */
    size_t piece;
    int compiles, ends;
    int evictions; /* its container goes so many times before a piece */
    bool restarts; /* and the errand starts another, which knows nothing of it */
    char main[64], source[128];
    struct account *who;
    int64_t memory_mb; /* of its container */
    const char *says;  /* JSON text of what the function says with `code` */
};

static void on_image(void *arg, struct image_call *c)
{
    struct host *h = arg;

    if (h->missing && strcmp(h->missing, c->reference) == 0)
        (void)nr_err_set(&c->err, NR_ENOENT, "not here");
    else
        c->found = json_object();
    c->done(c);
}

static void give_piece(struct host *h, int64_t number, struct nr_buf *out)
{
    size_t n = strlen(h->made), at = (size_t)number * h->piece;
    size_t some = at >= n ? 0 : n - at < h->piece ? n - at : h->piece;
    char text[256];

    text[nr_base64_encode(h->made + at, some, text)] = '\0';
    nr_buf_printf(out, "{\"data\":\"%s\"}", text);
}

static void compile(struct host *h, struct errand_call *c, const json_t *in)
{
    nr_auto_free char *text = NULL;
    size_t n = 0;

    h->compiles++;
    assert_int_equal(nr_file_read(c->fn->code_path, 4096, &text, &n, NULL), 0);
    (void)snprintf(h->source, sizeof(h->source), "%s", text);
    (void)snprintf(h->main, sizeof(h->main), "%s", nr_json_string(in, "main"));
    assert_string_equal(c->fn->image, "narae/go:1");
    assert_true(c->fn->trial && c->fn->network == FN_NET_NONE);
    h->memory_mb = c->fn->memory_mb;
    assert_ptr_equal(c->account, h->who);
    if (h->refused)
        nr_buf_printf(&c->result, "{\"refused\":\"%s\"}", h->refused);
    else
        nr_buf_printf(&c->result, "{\"bytes\":%lld}",
                      (long long)(h->claims ? h->claims : (int64_t)strlen(h->made)));
}

static void on_errand(void *arg, struct errand_call *c)
{
    struct host *h = arg;
    nr_auto_json json_t *in = nr_json_parse(c->input, NULL);
    const json_t *piece = json_object_get(in, "piece");

    nr_buf_init(&c->result, 64 << 10);
    if (h->code && h->says) {
        c->err.code = h->code;
        nr_buf_adds(&c->result, h->says);
    } else if (h->code)
        (void)nr_err_set(&c->err, h->code, "as told");
    else if (piece && h->evictions > 0 && h->evictions-- > 0)
        h->restarts ? nr_buf_adds(&c->result, "{\"refused\":\"There is no result.\"}")
                    : (void)nr_err_set(&c->err, NR_ENOENT, "gone");
    else if (piece)
        give_piece(h, json_integer_value(piece), &c->result);
    else
        compile(h, c, in);
    c->done(c);
}

static void on_errand_end(void *arg, uint64_t revision)
{
    assert_true(revision > 0);
    ((struct host *)arg)->ends++;
}

static int begin(void **state)
{
    struct host *h = nr_alloc(sizeof(*h));

    rig_begin(&h->rig);
    rig_close(&h->rig);
    h->rig.config.kinds = kinds;
    h->rig.config.image = on_image;
    h->rig.config.errand = on_errand;
    h->rig.config.errand_end = on_errand_end;
    h->made = ELF;
    h->piece = 5;
    rig_open(&h->rig);
    h->who = h->rig.guest;
    *state = h;
    return 0;
}

static int end(void **state)
{
    struct host *h = *state;
    char key[128];

    (void)snprintf(key, sizeof(key), "%s.secret.key", h->rig.dir);
    rig_end(&h->rig);
    (void)unlink(key);
    free(h);
    return 0;
}

static struct function *resolve(struct host *h, const char *name)
{
    struct rig_reply r = rig_call(&h->rig, h->rig.guest, FN_RESOLVE, NULL, name, NULL, false);
    struct function *f = r.fn;

    if (f == NULL)
        fail_msg("%s: %s", name, r.body);
    free(r.body);
    return f;
}

static void put(struct host *h, const char *name, const char *body, int status)
{
    free(rig_put(&h->rig, name, body, true, status));
}

static void check_refusal(struct host *h, const char *body, int status, const char *words)
{
    nr_auto_free char *text = rig_put(&h->rig, "f", body, true, status);

    if (strstr(text, words) == NULL)
        fail_msg("'%s' is not in: %s", words, text);
}

/* ---- cases ---------------------------------------------------------------------------------------------------- */

static void test_source_is_compiled_once(void **state)
{
    struct host *h = *state;
    nr_auto_free char *text = NULL;
    size_t n = 0;

    put(h, "f", "{\"exec\":{\"kind\":\"go:1.19\",\"code\":\"package main\",\"main\":\"Greet\"}}",
        200);
    assert_int_equal(h->compiles, 1);
    assert_int_equal(h->ends, 1);
    assert_string_equal(h->source, "package main");
    assert_string_equal(h->main, "Greet");
    struct function *f = resolve(h, "f");

    assert_string_equal(f->kind, "go:1.19");
    assert_string_equal(f->image, "narae/native:1");
    assert_string_equal(f->exec, "loop");
    assert_string_equal(f->file, "exec");
    assert_int_equal(f->code_bytes, strlen(ELF));
    assert_int_equal(nr_file_read(f->code_path, 4096, &text, &n, NULL), 0);
    assert_string_equal(text, ELF);
    function_unref(f);
    put(h, "g", "{\"exec\":{\"kind\":\"go:1.19\",\"code\":\"package main\",\"main\":\"Greet\"}}",
        200);
    assert_int_equal(h->compiles, 1);
    put(h, "g", GO("package main"), 200); /* another main */
    put(h, "g", GO("package  main"), 200);
    assert_int_equal(h->compiles, 3);
}

static void test_what_is_read_is_the_source(void **state)
{
    struct host *h = *state;

    put(h, "f", GO("package main"), 200);
    struct rig_reply r = rig_call(&h->rig, h->rig.guest, FN_ACTION_GET, NULL, "f", NULL, false);

    assert_non_null(strstr(r.body, "\"code\":\"package main\""));
    rig_reply_fini(&r);
}

static void test_another_account_has_its_own(void **state)
{
    struct host *h = *state;
    struct rig_reply r;

    put(h, "f", GO("package main"), 200);
    h->who = h->rig.admin;
    r = rig_call(&h->rig, h->rig.admin, FN_ACTION_PUT, NULL, "f", GO("package main"), false);
    assert_int_equal(r.status, 200);
    assert_int_equal(h->compiles, 2);
    rig_reply_fini(&r);
}

static void test_a_refusal_changes_nothing(void **state)
{
    struct host *h = *state;
    int files;

    put(h, "f", GO("good"), 200);
    files = rig_bucket_files(&h->rig);
    h->refused = "code.go:1: bad";
    check_refusal(h, GO("bad"), 400, "The code does not compile:\ncode.go:1: bad");
    assert_int_equal(rig_bucket_files(&h->rig), files);
    struct function *f = resolve(h, "f");

    assert_string_equal(f->version, "0.0.1");
    assert_int_equal(f->code_bytes, strlen(ELF));
    function_unref(f);
    put(h, "fresh", GO("bad"), 400);
    put(h, "f", GO("good"), 200); /* known to be good */
}

static void test_failures_have_their_words(void **state)
{
    struct host *h = *state;

    h->code = NR_ETIMEOUT;
    check_refusal(h, GO("a"), 400, "exceeded its time limit of 120000 milliseconds");
    h->code = NR_ENOMEM;
    check_refusal(h, GO("a"), 400, "exceeded its memory limit of 1024 MB");
    h->code = NR_EUNAVAIL;
    check_refusal(h, GO("a"), 503, "cannot run now");
    h->code = NR_EPROTO;
    h->says = "{\"error\":\"It \\\"ended\\\" unexpectedly.\"}"; /* a sentence, not its JSON */
    check_refusal(h, GO("a"), 400, "the compiler of 'go:1.19' failed: It \"ended\" unexpectedly.");
    h->code = 0;
    h->claims = COMPILED_FILE_MAX_BYTES + 1;
    check_refusal(h, GO("a"), 413, "the limit is 67108864");
    h->claims = 1 << 20;
    check_refusal(h, GO("a"), 400, "did not come whole");
    h->claims = -1;
    check_refusal(h, GO("a"), 400, "The compiler made nothing");
    h->claims = 0;
    h->made = "#!/bin/sh";
    check_refusal(h, GO("a"), 400, "is not what it should make");
    assert_int_equal(h->ends, h->compiles + 4);
}

/* The compiler's container may be evicted between its calls: once more, and never the tenant's mistake. */
static void test_a_result_that_is_lost_is_made_again(void **state)
{
    struct host *h = *state;

    for (int restarts = 0; restarts < 2; restarts++) {
        h->restarts = restarts;
        h->compiles = h->ends = 0;
        h->evictions = 1;
        put(h, "f", restarts ? GO("a") : GO("b"), 200);
        assert_int_equal(h->compiles, 2);
        h->evictions = 9;
        check_refusal(h, restarts ? GO("c") : GO("d"), 503, "was lost");
        assert_int_equal(h->compiles, 4);
        assert_int_equal(h->ends, 4);
    }
}

static void test_missing_images_say_what_to_do(void **state)
{
    struct host *h = *state;

    h->missing = "narae/go:1";
    check_refusal(h, GO("a"), 503,
                  "its image narae/go:1 is missing. `scripts/images go` makes it.");
    h->missing = "narae/native:1";
    check_refusal(h, GO("a"), 503, "`scripts/images native` makes it.");
    rig_close(&h->rig);
    h->rig.config.image_hint = "narae-images"; /* an installed host */
    rig_open(&h->rig);
    h->who = h->rig.guest;
    check_refusal(h, GO("a"), 503, "`narae-images native` makes it.");
    assert_int_equal(h->compiles, 0);
}

static void test_an_executable_needs_no_compiler(void **state)
{
    struct host *h = *state;

    h->missing = "narae/go:1";
    put(h, "f", GO("f0VMRgECAwQ="), 200);
    struct function *f = resolve(h, "f");

    assert_string_equal(f->file, "exec");
    assert_string_equal(f->exec, "loop");
    assert_null(strstr(f->code_path, "compiled"));
    function_unref(f);
    assert_int_equal(h->compiles, 0);
}

/* An account that was imported, a data folder without its cache. */
static void test_what_is_gone_is_made_at_the_first_call(void **state)
{
    struct host *h = *state;
    char path[128];
    struct nr_err err = {0};

    put(h, "f", GO("a"), 200);
    (void)snprintf(path, sizeof(path), "%s/compiled", h->rig.dir);
    assert_int_equal(nr_dir_remove(path, &err), 0);
    struct function *f = resolve(h, "f");

    assert_int_equal(h->compiles, 2);
    assert_int_equal(f->code_bytes, strlen(ELF));
    function_unref(f);
    assert_int_equal(nr_dir_remove(path, &err), 0);
    h->refused = "no more";
    struct rig_reply r = rig_call(&h->rig, h->rig.guest, FN_RESOLVE, NULL, "f", NULL, false);

    assert_int_equal(r.code, NR_EINVAL);
    assert_null(r.fn);
    rig_reply_fini(&r);
}

static bool is_kept(const void *arg, const char *key)
{
    return strcmp(arg, key) == 0;
}

static const char *const results[] = {
    "1111111111111111111111111111111111111111111111111111111111111111",
    "2222222222222222222222222222222222222222222222222222222222222222"};

/* Who was told of a result may still start a container from it: it goes only when it was garbage for so long. */
static void test_results_nobody_names_go(void **state)
{
    struct host *h = *state;
    char folder[128];
    struct compiled c = {.as_is = false, .file = "exec"}, found;
    struct compiled_sizes sizes;

    (void)snprintf(folder, sizeof(folder), "%s/some", h->rig.dir);
    for (int i = 0; i < 2; i++)
        assert_int_equal(compiled_keep(folder, results[i], NR_STR(ELF), &c, NULL), 0);
    for (int i = 0; i < 2; i++) { /* both times it is only seen to be garbage */
        compiled_sweep(folder, -1000, is_kept, results[1], &sizes);
        assert_int_equal(sizes.kept, strlen(ELF));
        assert_int_equal(sizes.garbage, strlen(ELF));
        assert_int_equal(compiled_find(folder, results[0], &found), 0);
        assert_true(found.garbage);
        compiled_name_again(folder, results[0]);
    }
    compiled_sweep(folder, 3600000, is_kept, results[1], &sizes);
    compiled_sweep(folder, 3600000, is_kept, results[1], &sizes); /* not for long enough */
    assert_int_equal(sizes.garbage, strlen(ELF));
    compiled_sweep(folder, -1000, is_kept, results[1], &sizes);
    assert_int_equal(sizes.garbage, 0);
    assert_int_equal(compiled_find(folder, results[0], &found), NR_ENOENT);
    assert_int_equal(compiled_find(folder, results[1], &found), 0);
    assert_false(found.garbage);
    assert_int_equal(found.bytes, strlen(ELF));
    assert_memory_equal(found.sha256, c.sha256, sizeof(c.sha256));
    nr_auto_free char *path = compiled_path(folder, results[1]);

    assert_int_equal(truncate(path, 3), 0); /* half of it is no result */
    assert_int_equal(compiled_find(folder, results[1], &found), NR_ENOENT);
    compiled_sweep(folder, -1000, is_kept, "none", &sizes);
    compiled_sweep(folder, -1000, is_kept, "none", &sizes);
    assert_int_equal(access(folder, F_OK), -1);
}

/* The path of the only result of the guest (made). */
static char *only_result(struct host *h)
{
    struct function *f = resolve(h, "f");
    char *path = nr_strdup(f->code_path);

    assert_non_null(strstr(path, "/compiled/guest/"));
    function_unref(f);
    return path;
}

/* The same size, another byte. */
static void damage(const char *path)
{
    assert_int_equal(chmod(path, 0755), 0);
    nr_auto_close int fd = open(path, O_WRONLY | O_CLOEXEC);

    assert_int_equal(pwrite(fd, "X", 1, 7), 1);
}

static void test_what_is_damaged_is_made_again(void **state)
{
    struct host *h = *state;

    put(h, "f", GO("a"), 200);
    nr_auto_free char *path = only_result(h);

    rig_close(&h->rig);
    damage(path);
    rig_open(&h->rig); /* another run: its first use looks */
    h->who = h->rig.guest;
    nr_auto_free char *again = only_result(h), *text = NULL;
    size_t n = 0;

    assert_string_equal(path, again);
    assert_int_equal(h->compiles, 2);
    assert_int_equal(nr_file_read(path, 4096, &text, &n, NULL), 0);
    assert_string_equal(text, ELF);
}

static void test_verifying_the_bucket_finds_it(void **state)
{
    struct host *h = *state;

    put(h, "f", GO("a"), 200);
    put(h, "g", GO("a"), 200);
    nr_auto_free char *path = only_result(h);
    int changes = h->rig.changes;
    struct rig_reply r =
        rig_call(&h->rig, h->rig.guest, FN_BUCKET_VERIFY, NULL, "guest", NULL, false);

    assert_non_null(strstr(r.body, "\"compiled\":{\"files\":1,\"bytes\":15,\"damaged_count\":0"));
    assert_int_equal(h->rig.changes, changes);
    rig_reply_fini(&r);
    damage(path);
    r = rig_call(&h->rig, h->rig.guest, FN_BUCKET_VERIFY, NULL, "guest", NULL, false);
    assert_non_null(strstr(r.body, "\"damaged_count\":1,\"damaged\":[{\"function\":"));
    assert_non_null(strstr(r.body, "\"damaged_count\":0,")); /* nothing that was uploaded */
    assert_int_equal(h->rig.changes, changes + 2);           /* both are asked for anew */
    assert_int_equal(h->rig.change, FN_KEPT);
    rig_reply_fini(&r);
    function_unref(resolve(h, "f"));
    assert_int_equal(h->compiles, 2);
    r = rig_call(&h->rig, h->rig.guest, FN_BUCKET_VERIFY, NULL, "guest", NULL, false);
    assert_non_null(strstr(r.body, "\"compiled\":{\"files\":1,\"bytes\":15,\"damaged_count\":0"));
    rig_reply_fini(&r);
}

static char *account_document(struct host *h)
{
    struct rig_reply r =
        rig_call(&h->rig, h->rig.admin, FN_ACCOUNT_SHOW, NULL, "guest", NULL, false);

    assert_int_equal(r.status, 200);
    return r.body;
}

static void set_quota(struct host *h, int64_t bytes)
{
    char body[64];

    (void)snprintf(body, sizeof(body), "{\"bytes\":%lld}", (long long)bytes);
    struct rig_reply r = rig_call(&h->rig, h->rig.admin, FN_QUOTA_PUT, NULL, "guest", body, false);

    assert_int_equal(r.status, 200);
    rig_reply_fini(&r);
}

static void test_what_was_compiled_counts(void **state)
{
    struct host *h = *state;

    put(h, "f", GO("a"), 200); /* 1 byte, and 15 that were made of it */
    nr_auto_free char *one = account_document(h);

    assert_non_null(strstr(one, "\"usage\":{\"bytes\":16,"));
    assert_non_null(strstr(one, "\"compiled_bytes\":15}"));
    set_quota(h, 30);
    check_refusal(h, "{\"exec\":{\"kind\":\"go:1.19\",\"code\":\"bc\"}}", 403,
                  "What the compiler made has 15 bytes: The account 'guest' would have 31 bytes");
    assert_int_equal(h->compiles, 2);
    set_quota(h, 16);
    check_refusal(h, "{\"exec\":{\"kind\":\"go:1.19\",\"code\":\"d\"}}", 403,
                  "has 16 bytes of code, compiled code among them, and its quota is 16");
    assert_int_equal(h->compiles, 2); /* the quota is asked first */
    set_quota(h, 33);
    put(h, "f", GO("bc"), 200);
    nr_auto_free char *two =
        account_document(h); /* what no version names counts until it was seen */

    assert_non_null(strstr(two, "\"usage\":{\"bytes\":32,"));
    put(h, "f", GO("bcd"), 200);
    nr_auto_free char *three = account_document(h);

    assert_non_null(strstr(three, "\"usage\":{\"bytes\":33,"));
}

/* Whole lines, of which the body of the refusal has more than a sentence. */
static void test_the_compilers_words_have_room(void **state)
{
    struct host *h = *state;
    struct nr_buf words;

    nr_buf_init(&words, 16384);
    for (int i = 0; i < 100; i++)
        nr_buf_printf(&words,
                      "code.go:%d: this line is wrong in a way that takes 60 bytes or so\\n", i);
    nr_buf_addc(&words, '\0');
    h->refused = nr_buf_str(&words).p;
    struct fn_call call = {
        .op = FN_ACTION_PUT, .account = h->rig.guest, .name = NR_STR("f"), .body = NR_STR(GO("a"))};
    struct rig_reply r = rig_run(&h->rig, &call);

    assert_int_equal(r.status, 400);
    assert_true(call.whole);
    assert_non_null(strstr(r.body, "code.go:0: this"));
    assert_non_null(strstr(r.body, "code.go:50: this"));
    assert_null(strstr(r.body, "code.go:99: this"));
    assert_non_null(strstr(r.body, "or so\n..."));
    assert_true(strlen(r.body) > 3900 && strlen(r.body) < 4200);
    assert_true(strlen(call.err.text) > 400); /* whole lines of it too */
    assert_string_equal(strrchr(call.err.text, ' '), " so");
    rig_reply_fini(&r);
    nr_buf_fini(&words);
}

static void test_memory_has_whole_steps(void **state)
{
    struct host *h = *state;

    rig_close(&h->rig);
    h->rig.config.memory_max_mb = 1000;
    rig_open(&h->rig);
    h->who = h->rig.guest;
    put(h, "f", GO("a"), 200);
    assert_int_equal(h->memory_mb, 960);
}

static void test_who_may_run_nothing_compiles_nothing(void **state)
{
    struct host *h = *state;

    h->rig.guest->concurrent_invocations = 0;
    check_refusal(h, GO("a"), 429, "concurrentInvocations");
    assert_int_equal(h->compiles, 0);
}

struct turn {
    struct compiling *c;
    int place;
};

static void *wait_for_turn(void *arg)
{
    struct turn *t = arg;

    t->place = compile_enter(t->c, NR_STR("guest"), true, NULL);
    return NULL;
}

static int waiting(struct compiling *c)
{
    pthread_mutex_lock(&c->lock);
    int n = c->waiting;

    pthread_mutex_unlock(&c->lock);
    return n;
}

static void test_calls_wait_for_their_turn(void **state)
{
    struct compiling c = {.waiting = 0};
    struct turn turn[COMPILE_WAITERS_MAX];
    pthread_t thread[COMPILE_WAITERS_MAX];
    int own[COMPILES_OF_ACCOUNT_MAX];
    struct nr_err err = {0}, full = {0};

    (void)state;
    compile_init(&c);
    for (int i = 0; i < COMPILES_OF_ACCOUNT_MAX; i++)
        assert_true((own[i] = compile_enter(&c, NR_STR("guest"), true, NULL)) >= 0);
    assert_int_equal(compile_enter(&c, NR_STR("guest"), false, &err), NR_EQUOTA); /* a PUT */
    assert_non_null(strstr(err.text, "2 compilations under way; at most 2"));
    for (int i = 0; i < COMPILE_WAITERS_MAX; i++) {
        turn[i] = (struct turn){&c, -1};
        assert_int_equal(pthread_create(&thread[i], NULL, wait_for_turn, &turn[i]), 0);
    }
    while (waiting(&c) < COMPILE_WAITERS_MAX)
        (void)sched_yield();
    assert_int_equal(compile_enter(&c, NR_STR("guest"), true, NULL), NR_EBUSY);
    int other = compile_enter(&c, NR_STR("other"), false, NULL); /* they cannot hold all */

    assert_true(other >= 0);
    assert_int_equal(compile_enter(&c, NR_STR("third"), false, &full), NR_EBUSY);
    assert_non_null(strstr(full.text, "at most 3 at once, 2 of one account"));
    compile_leave(&c, other); /* none of theirs */
    for (int i = 0; i < COMPILES_OF_ACCOUNT_MAX; i++)
        compile_leave(&c, own[i]);
    for (int i = 0; i < COMPILE_WAITERS_MAX; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_true(turn[i].place >= 0);
        compile_leave(&c, turn[i].place);
    }
    compile_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_source_is_compiled_once, begin, end),
        cmocka_unit_test_setup_teardown(test_what_is_read_is_the_source, begin, end),
        cmocka_unit_test_setup_teardown(test_another_account_has_its_own, begin, end),
        cmocka_unit_test_setup_teardown(test_a_refusal_changes_nothing, begin, end),
        cmocka_unit_test_setup_teardown(test_failures_have_their_words, begin, end),
        cmocka_unit_test_setup_teardown(test_a_result_that_is_lost_is_made_again, begin, end),
        cmocka_unit_test_setup_teardown(test_missing_images_say_what_to_do, begin, end),
        cmocka_unit_test_setup_teardown(test_an_executable_needs_no_compiler, begin, end),
        cmocka_unit_test_setup_teardown(test_what_is_gone_is_made_at_the_first_call, begin, end),
        cmocka_unit_test(test_calls_wait_for_their_turn),
        cmocka_unit_test_setup_teardown(test_results_nobody_names_go, begin, end),
        cmocka_unit_test_setup_teardown(test_what_is_damaged_is_made_again, begin, end),
        cmocka_unit_test_setup_teardown(test_verifying_the_bucket_finds_it, begin, end),
        cmocka_unit_test_setup_teardown(test_what_was_compiled_counts, begin, end),
        cmocka_unit_test_setup_teardown(test_the_compilers_words_have_room, begin, end),
        cmocka_unit_test_setup_teardown(test_memory_has_whole_steps, begin, end),
        cmocka_unit_test_setup_teardown(test_who_may_run_nothing_compiles_nothing, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
