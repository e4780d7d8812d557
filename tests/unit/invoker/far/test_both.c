/* Both sides of a link, each as it is, over one socket: what the controller's side asks is what the invoker's side does. The invoker behind it is the rig's, with no
 * container; the controller before it is this test. */
#include "tests/unit/invoker/far/serve_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "invoker/far/far_state.h"

enum { CALLS = 8 };

static struct {
    struct far_listener *listener;
    struct far *f;
    unsigned joined, lost, reported, bounced;
    struct activation *back[CALLS];
    struct activation *a[CALLS];
    unsigned answers[CALLS], ends[CALLS], claims[CALLS];
    bool closed, forgotten, drained;
    struct call_usage *usage; /* of further calls */
    bool follows;
    bool late_claims; /* claim() says 1: far_claimed() is for the test to call */
} us;

/* ---- the controller ------------------------------------------------------------------------------------------------ */

static int admit(void *arg, const struct far_hello *h, const char *address, struct nr_err *err)
{
    return strcmp(h->token, "sesame") == 0 ? 0 : nr_err_set(err, NR_EFORBIDDEN, "no such token");
}

static void on_joined(void *arg, struct far *f)
{
    us.f = f;
    us.joined++;
}

static void on_lost(void *arg, struct far *f)
{
    us.lost++;
}

static void on_bounced(void *arg, struct far *f, struct activation *a)
{
    us.back[us.bounced++ % CALLS] = a;
}

static void on_reported(void *arg, struct far *f)
{
    us.reported++;
}

static void on_far_event(void *arg, struct far *f, const struct event *e) {}

static void auth(void *arg, const char *account, const char *image, char **ret_auth)
{
    *ret_auth = strcmp(account, "acme") == 0 ? nr_strdup("secret") : NULL;
}

static size_t at_of(const struct activation *a)
{
    for (size_t i = 0; i < CALLS; i++)
        if (us.a[i] == a)
            return i;
    fail_msg("of no call of ours");
    return 0;
}

static void on_step(struct activation *a)
{
    size_t n = at_of(a);

    us.answers[n] += a->i != I_END;
    us.ends[n] += a->i == I_END;
}

static int on_claim(struct activation *a)
{
    us.claims[at_of(a)]++;
    return us.late_claims;
}

static bool is_up(void)
{
    return us.f && far_is_up(us.f) && link_is_up(rig->link) && us.reported > 0;
}

static void listen_and_join(void)
{
    struct nr_err err = {0};

    (void)snprintf(rig->address, sizeof(rig->address), "unix:%s/far", rig->folder);
    const struct far_listener_config c = {.loop = &rig->loop,
                                          .listen = rig->address,
                                          .data_dir = rig->folder,
                                          .invoker_uid = -1,
                                          .api_host = "http://10.0.0.1:1",
                                          .log = &rig->log,
                                          .admit = admit,
                                          .joined = on_joined,
                                          .lost = on_lost,
                                          .bounced = on_bounced,
                                          .reported = on_reported,
                                          .event = on_far_event,
                                          .registry_auth = auth};

    memset(&us, 0, sizeof(us));
    if (far_listen(&c, &us.listener, &err) < 0)
        fail_msg("%s", err.text);
    rig->token = "sesame";
    rig->pools[0] = 7;
    rig->pool_count = 1;
    rig_dial();
    rig_until(is_up, "both sides are up");
}

static void on_closed(void *arg)
{
    us.closed = true;
}

static bool is_closed(void)
{
    return us.closed;
}

static int teardown(void **state)
{
    if (us.f)
        far_end(us.f);
    far_listener_close(us.listener, on_closed, NULL);
    rig_until(is_closed, "the listener is closed");
    for (size_t i = 0; i < CALLS; i++)
        if (us.a[i])
            activation_unref(us.a[i]);
    return rig_teardown(state);
}

/* ---- calls ---------------------------------------------------------------------------------------------------------- */

static struct function *function(uint64_t revision, const char *code_path)
{
    struct function *f = nr_alloc(sizeof(*f));

    *f = (struct function){.revision = revision,
                           .stored = revision,
                           .account = nr_strdup("acme"),
                           .package = nr_strdup(""),
                           .name = nr_strdup("hello"),
                           .path = nr_strdup("acme/hello"),
                           .version = nr_strdup("0.0.1"),
                           .kind = nr_strdup("python:3"),
                           .image = nr_strdup("narae/python:1"),
                           .exec = nr_strdup(""),
                           .main = nr_strdup(""),
                           .file = nr_strdup(code_path ? "code.py" : ""),
                           .code_path = nr_strdup(code_path ? code_path : ""),
                           .parameters = nr_strdup("{\"bound\":1}"),
                           .init_parameters = nr_strdup("{}"),
                           .limits = nr_strdup("{}"),
                           .timeout_ms = 60000,
                           .memory_mb = 256,
                           .log_max_bytes = 1 << 20,
                           .concurrency = 1};
    atomic_init(&f->refs, 1);
    return f;
}

static size_t given;

static bool is_given(void)
{
    return rig->count >= given;
}

/* The n-th call; f is given. */
static void call(size_t n, struct function *f)
{
    struct activation *a = activation_make();
    struct account *account = nr_alloc(sizeof(*account));

    *account = (struct account){.name = nr_strdup("acme"), .uuid = nr_strdup("")};
    atomic_init(&account->refs, 1);
    a->account = account;
    a->fn = f;
    a->input = NR_STR("{\"n\":1}");
    a->transaction = NR_STR("tid");
    a->accepted_us = nr_mono_us();
    a->on_step = on_step;
    a->claim = on_claim;
    a->usage = us.usage;
    a->follows = us.follows;
    nr_new_id(0, 0, a->id);
    us.a[n] = a;
    far_run(us.f, a);
    given = n + 1;
}

static size_t asked;

static bool is_claimed(void)
{
    return us.claims[asked] > 0;
}

static size_t runs_at;

static bool runs(void)
{
    return rig->calls[runs_at] && rig->calls[runs_at]->i == I_AWAIT;
}

static void claim(size_t n)
{
    rig_until(is_given, "the invoker has it");
    assert_int_equal(rig_claim(n), 1);
    asked = n;
    rig_until(is_claimed, "the claim is asked");
}

static void claim_and_run(size_t n)
{
    claim(n);
    runs_at = n;
    rig_until(runs, "it is granted");
}

static size_t ended;

static bool is_ended(void)
{
    return us.ends[ended] > 0;
}

static void wait_end(size_t n)
{
    ended = n;
    rig_until(is_ended, "it has ended");
    assert_int_equal(us.answers[n], 1);
    assert_int_equal(us.ends[n], 1);
}

static bool nothing_is_kept(void)
{
    return rig->link->calls.count == 0;
}

static void a_call_and_its_result(void **state)
{
    listen_and_join();
    call(0, function(7, NULL));
    claim_and_run(0);
    assert_string_equal(rig->calls[0]->fn->parameters, "{\"bound\":1}");
    assert_string_equal(rig->ids[0], us.a[0]->id);
    rig_answer(0, "{\"ok\":true}");
    rig_end(0, "2026-01-01T00:00:00.000000000Z stdout: a line\n");
    wait_end(0);
    assert_true(nr_str_eqz(us.a[0]->outcome.result, "{\"ok\":true}"));
    assert_int_equal(us.a[0]->start, START_WARM);
    assert_true(us.a[0]->logs.n > 20);
    rig_until(nothing_is_kept, "DONE has come");
    call(1, function(7, NULL)); /* it was told before */
    claim_and_run(1);
    rig_answer(1, "[1,2]");
    rig_end(1, "");
    wait_end(1);
    assert_true(nr_str_eqz(us.a[1]->outcome.result, "[1,2]"));
}

static void a_claim_that_is_answered_later_or_refused(void **state)
{
    listen_and_join();
    us.late_claims = true;
    call(0, function(7, NULL));
    claim(0);
    far_claimed(us.f, us.a[0], 0);
    runs_at = 0;
    rig_until(runs, "it is granted");
    rig_answer(0, "{}");
    rig_end(0, "");
    wait_end(0);
    call(1, function(7, NULL));
    claim(1);
    far_claimed(us.f, us.a[1], NR_ENOSPC);
    wait_end(1);
    assert_int_equal(us.a[1]->err, NR_ENOSPC);
    rig_until(nothing_is_kept, "the slot is back");
    assert_null(rig->calls[1]);
}

static bool is_named(void)
{
    return us.f->naming >= 4;
}

/* What waits for a slot is named, so it waits; what the invoker lost is placed again. */
static void a_call_that_waits_is_named(void **state)
{
    const struct far_call *c;

    listen_and_join();
    call(0, function(7, NULL));
    rig_until(is_given, "the invoker has it");
    for (int i = 1; i <= 8; i++) {
        nr_clock_fake((int64_t)i * 1200000, 0); /* reports come each second */
        us.reported = 0;
        rig_until(is_up, "a report");
    }
    rig_until(is_named, "reports name calls");
    c = far_call_of(us.f, us.a[0]);
    assert_true(c->read);
    assert_in_range(us.f->naming - c->named, 0, 1);
    assert_int_equal(us.bounced, 0);
    claim_and_run(0);
    rig_answer(0, "{}");
    rig_end(0, "");
    wait_end(0);
    nr_clock_fake(0, 0);
}

static void cuts_before_and_after_the_start(void **state)
{
    listen_and_join();
    call(0, function(7, NULL));
    rig_until(is_given, "the invoker has it");
    far_cut(us.f, us.a[0], NR_ECANCELED);
    wait_end(0);
    rig_until(nothing_is_kept, "the invoker let go of it");
    call(1, function(7, NULL));
    claim_and_run(1);
    far_cut(us.f, us.a[1], NR_ETIMEOUT);
    wait_end(1);
    assert_int_equal(rig->errs[1], NR_ETIMEOUT);
    rig_until(nothing_is_kept, "DONE has come");
    call(2, function(7, NULL));
    rig_until(is_given, "the invoker has it");
    assert_true(far_take_back(us.f, us.a[2]));
    rig_until(nothing_is_kept, "the invoker let go of it");
}

static void code_comes_from_the_controllers_disk(void **state)
{
    const size_t bytes = (1 << 20) + 4321;
    char path[128], *text = nr_alloc(bytes);
    struct function *f;
    unsigned char sum[NR_SHA256_BYTES];
    nr_auto_free char *got = NULL;
    size_t got_bytes = 0;

    for (size_t i = 0; i < bytes; i++)
        text[i] = (char)(i * 7 + (i >> 11));
    listen_and_join();
    assert_int_equal(
        nr_file_write(rig->folder, "source.py", (struct nr_str){text, bytes}, 0600, NULL), 0);
    (void)snprintf(path, sizeof(path), "%s/source.py", rig->folder);
    f = function(8, path);
    f->code_bytes = (int64_t)bytes;
    nr_sha256((struct nr_str){text, bytes}, sum);
    memcpy(f->sha256, sum, sizeof(sum));
    call(0, f);
    rig_until(is_given, "the invoker has it");
    assert_int_equal(nr_file_read(rig->calls[0]->fn->code_path, bytes, &got, &got_bytes, NULL), 0);
    assert_int_equal(got_bytes, bytes);
    assert_memory_equal(got, text, bytes);
    claim_and_run(0);
    rig_answer(0, "{}");
    rig_end(0, "");
    wait_end(0);
    f = function(9, "/nowhere/at/all");
    f->code_bytes = 1;
    call(1, f);
    wait_end(1);
    assert_int_equal(us.a[1]->outcome.status, OUTCOME_INTERNAL_ERROR);
    free(text);
}

static bool is_back(void)
{
    return us.joined >= 2 && is_up();
}

static void a_link_that_breaks(void **state)
{
    listen_and_join();
    call(0, function(7, NULL));
    claim_and_run(0);
    call(1, function(7, NULL));
    claim_and_run(1);
    call(2, function(7, NULL));
    rig_until(is_given, "the invoker has it");
    rig_answer(1, "{\"n\":1}");
    nr_stream_fail(rig->link->stream, NR_ECLOSED, "the test breaks it");
    rig_until(is_back, "it is back");
    assert_int_equal(us.lost, 1);
    assert_int_equal(us.bounced, 1);
    assert_ptr_equal(us.back[0], us.a[2]);
    assert_null(rig->calls[2]);
    rig_end(1, "");
    wait_end(1);
    assert_true(nr_str_eqz(us.a[1]->outcome.result, "{\"n\":1}"));
    rig_answer(0, "{\"n\":0}");
    rig_end(0, "");
    wait_end(0);
    assert_true(nr_str_eqz(us.a[0]->outcome.result, "{\"n\":0}"));
    rig_until(nothing_is_kept, "all is taken");
}

/* ---- the rest --------------------------------------------------------------------------------------------------------- */

static void reports_tell_of_slots_and_figures(void **state)
{
    struct invoker_load load;

    listen_and_join();
    call(0, function(7, NULL));
    claim_and_run(0);
    us.reported = 0;
    rig_until(is_up, "a report that came since");
    far_load(us.f, 7, &load); /* three slots as reported, of which its own call has one */
    assert_int_equal(load.busy, 1);
    assert_int_equal(load.ready, 2);
    assert_int_equal(load.starting, 3);
    assert_int_equal(load.waiting, 0);
    assert_true(far_takes(us.f, false));
    assert_string_equal(far_hello(us.f)->name, "far-1");
}

static bool wished(void)
{
    return rig->wish_count > 0;
}

static bool knows(void)
{
    return rig->known_count > 0;
}

static void wishes_and_what_is_known(void **state)
{
    const struct scaler_wish w = {.account = "acme",
                                  .package = "",
                                  .name = "hello",
                                  .desired = 2,
                                  .maximum = -1,
                                  .keep_alive_ms = -1};
    struct function *f = function(7, NULL);

    listen_and_join();
    far_wish(us.f, &w);
    rig_until(wished, "it is wished for");
    assert_string_equal(rig->wished, "acme//hello");
    assert_int_equal(rig->wish.desired, 2);
    assert_int_equal(rig->wish.maximum, -1);
    far_know(us.f, f);
    rig_until(knows, "it is known");
    function_unref(f);
}

static bool is_asked(void)
{
    return rig->account_done != NULL;
}

static void on_forgotten(void *arg)
{
    us.forgotten = true;
}

static bool is_forgotten(void)
{
    return us.forgotten;
}

static void an_account_that_leaves(void **state)
{
    listen_and_join();
    far_forget_account(us.f, "acme", on_forgotten, NULL);
    rig_until(is_asked, "the invoker is asked");
    assert_string_equal(rig->account, "acme");
    assert_false(us.forgotten);
    rig->account_done(rig->account_arg);
    rig_until(is_forgotten, "the controller knows");
}

static void on_drained(void *arg)
{
    us.drained = true;
}

static bool is_drained(void)
{
    return us.drained;
}

static void a_drain(void **state)
{
    listen_and_join();
    call(0, function(7, NULL));
    claim_and_run(0);
    call(1, function(7, NULL));
    rig_until(is_given, "the invoker has it");
    far_drain(us.f, on_drained, NULL);
    rig_answer(0, "{}");
    rig_end(0, "");
    wait_end(0);
    rig_until(is_drained, "it is drained");
    assert_true(rig->resting);
    assert_int_equal(us.bounced, 1);
    assert_false(far_takes(us.f, true));
    far_cordon(us.f, false);
    us.reported = 0;
    rig_until(is_up, "another report");
    assert_false(rig->resting);
    assert_true(far_takes(us.f, true));
}

static void on_left(void *arg)
{
    us.drained = true;
}

static void the_process_leaves(void **state)
{
    listen_and_join();
    call(0, function(7, NULL));
    claim_and_run(0);
    call(1, function(7, NULL));
    rig_until(is_given, "the invoker has it");
    link_drain(rig->link, 60000, on_left, NULL);
    rig_answer(0, "{}");
    rig_end(0, "");
    wait_end(0);
    rig_until(is_drained, "it may leave");
    assert_int_equal(us.bounced, 1);
    assert_ptr_equal(us.back[0], us.a[1]);
    assert_false(far_takes(us.f, true));
}

static bool is_watched(void)
{
    return rig->watches > 0;
}

static bool is_answered(void)
{
    return us.answers[0] > 0;
}

/* As errands are: the last look comes when the slot is back, and its figures with the end. */
static void what_is_watched_tells_what_it_used(void **state)
{
    struct call_usage seen = {.known = false};
    const struct call_usage used = {.known = true,
                                    .cpu_us = 12,
                                    .run_peak_bytes = 34,
                                    .init_peak_bytes = -1,
                                    .throttled_us = -1,
                                    .others_us = INT64_MAX};

    listen_and_join();
    us.usage = &seen;
    call(0, function(7, NULL));
    claim(0);
    rig_until(is_watched, "it is watched");
    assert_ptr_equal(rig->watched, rig->calls[0]);
    invoker_claimed(rig->watched, 0);
    rig->calls[0]->outcome.out_of_memory = true;
    rig_answer(0, "{\"ok\":true}");
    assert_int_equal(rig->last_looks, 1);
    rig_until(is_answered, "it is answered");
    rig_end(0, "");
    assert_false(seen.known);
    rig->watch_done(rig->watch_arg, &used);
    wait_end(0);
    assert_true(us.a[0]->outcome.out_of_memory);
    assert_memory_equal(&seen, &used, sizeof(seen));
    rig_until(nothing_is_kept, "DONE has come");
}

/* The link ends while it is watched: the session tells the same on the next one. */
static void what_is_watched_outlives_its_link(void **state)
{
    struct call_usage seen = {.known = false};
    const struct call_usage used = {.known = true, .cpu_us = 12};

    listen_and_join();
    us.usage = &seen;
    call(0, function(7, NULL));
    claim(0);
    rig_until(is_watched, "it is watched");
    invoker_claimed(rig->watched, 0);
    nr_stream_fail(rig->link->stream, NR_EIO, "the cable");
    rig_answer(0, "{\"ok\":true}");
    rig_end(0, "");
    rig->watch_done(rig->watch_arg, &used);
    wait_end(0);
    assert_int_equal(seen.cpu_us, 12);
    assert_true(nr_str_eqz(us.a[0]->outcome.result, "{\"ok\":true}"));
}

static void what_follows_needs_a_container(void **state)
{
    listen_and_join();
    assert_false(far_knows(us.f, 7));
    us.follows = rig->serves = true;
    call(0, function(7, NULL));
    assert_true(far_knows(us.f, 7));
    claim_and_run(0);
    rig_answer(0, "{}");
    rig_end(0, "");
    wait_end(0);
    assert_int_equal(us.a[0]->err, 0);
    rig->serves = false;
    call(1, function(7, NULL));
    wait_end(1);
    assert_int_equal(us.a[1]->err, NR_ENOENT);
    assert_string_equal(us.a[1]->error.text, "its container is gone");
    assert_int_equal(rig->count, 1); /* and none was started */
    far_forget(us.f, 7);
    assert_false(far_knows(us.f, 7));
}

/* ---- images --------------------------------------------------------------------------------------------------------- */

struct asked {
    struct image_call call;
    struct image_progress progress;
    atomic_uint done;
};

static void on_image(struct image_call *c)
{
    atomic_fetch_add(&nr_container_of(c, struct asked, call)->done, 1);
}

static void on_image_progress(struct image_call *c, const struct image_progress *p)
{
    nr_container_of(c, struct asked, call)->progress = *p;
}

static size_t images_asked;
static struct asked *image_waited;

static bool image_is_there(void)
{
    return rig->image_count >= images_asked;
}

static bool image_is_done(void)
{
    return atomic_load(&image_waited->done) > 0;
}

static bool image_progressed(void)
{
    return image_waited->progress.bytes_total > 0;
}

static void ask_image(struct asked *x, enum image_op op, const char *reference, const char *auth)
{
    *x = (struct asked){.call = {.op = op,
                                 .reference = reference,
                                 .auth = auth,
                                 .max_bytes = 4711,
                                 .progress = on_image_progress,
                                 .done = on_image}};
    far_image(us.f, &x->call);
}

/* As an Engine worker ends it. */
static void image_ends(size_t n, json_t *found)
{
    struct image_call *c = rig->images[n];

    c->found = found;
    c->done(c);
}

static void wait_image(struct asked *x)
{
    image_waited = x;
    rig_until(image_is_done, "the image is answered");
    assert_int_equal(x->done, 1);
}

static void wait_images(size_t n)
{
    images_asked = n;
    rig_until(image_is_there, "the invoker is asked");
}

static void images_are_found_and_pulled(void **state)
{
    const struct image_progress half = {
        .layers = 2, .layers_done = 1, .bytes = 5, .bytes_total = 10};
    struct asked find, pull;

    listen_and_join();
    assert_true(far_hello(us.f)->takes_images);
    ask_image(&find, IMAGE_FIND, "acme/tool:1", NULL);
    ask_image(&pull, IMAGE_PULL, "host/path@sha256:00", "secret");
    wait_images(2);
    assert_int_equal(rig->images[0]->op, IMAGE_FIND);
    assert_string_equal(rig->images[0]->reference, "acme/tool:1");
    assert_null(rig->images[0]->auth);
    assert_string_equal(rig->images[1]->auth, "secret");
    assert_int_equal(rig->images[1]->max_bytes, 4711);
    (void)snprintf(rig->images[0]->id, IMAGE_DIGEST_BYTES, "sha256:12");
    (void)snprintf(rig->images[0]->platform, IMAGE_PLATFORM_BYTES, "linux/amd64");
    rig->images[0]->bytes = 99;
    rig->images[0]->fits = rig->images[0]->has_command = true;
    image_ends(0, json_pack("{s:[s]}", "RepoTags", "acme/tool:1"));
    wait_image(&find);
    assert_int_equal(find.call.err.code, 0);
    assert_string_equal(find.call.id, "sha256:12");
    assert_string_equal(find.call.platform, "linux/amd64");
    assert_int_equal(find.call.bytes, 99);
    assert_true(find.call.fits && find.call.has_command && !find.call.has_volumes);
    assert_int_equal(json_array_size(json_object_get(find.call.found, "RepoTags")), 1);
    json_decref(find.call.found);
    rig->images[1]->progress(rig->images[1], &half);
    image_waited = &pull;
    rig_until(image_progressed, "it is told how far it is");
    assert_memory_equal(&pull.progress, &half, sizeof(half));
    (void)nr_err_set(&rig->images[1]->err, NR_ENOSPC, "The disk is full.");
    image_ends(1, NULL);
    wait_image(&pull);
    assert_int_equal(pull.call.err.code, NR_ENOSPC);
    assert_string_equal(pull.call.err.text, "The disk is full.");
    assert_null(pull.call.found);
}

/* What was asked ends with the link; what comes later is told to nobody. */
static void images_end_with_their_link(void **state)
{
    struct asked lost, again;

    listen_and_join();
    ask_image(&lost, IMAGE_LIST, NULL, NULL);
    wait_images(1);
    nr_stream_fail(rig->link->stream, NR_EIO, "the cable");
    wait_image(&lost);
    assert_int_equal(lost.call.err.code, NR_EUNAVAIL);
    ask_image(&again, IMAGE_LIST, NULL, NULL);
    if (again.done == 0)
        wait_image(&again); /* its link was not yet known to be gone */
    assert_int_equal(again.call.err.code, NR_EUNAVAIL);
    us.reported = 0;
    rig_until(is_up, "both sides are up again");
    image_ends(0, json_array());
    ask_image(&again, IMAGE_LIST, NULL, NULL);
    wait_images(2);
    image_ends(1, json_pack("[s]", "one"));
    wait_image(&again);
    assert_int_equal(json_array_size(again.call.found), 1);
    json_decref(again.call.found);
    assert_int_equal(lost.done, 1);
}

static void images_have_ceilings(void **state)
{
    static struct asked all[WIRE_IMAGE_CALLS_MAX + 1];
    char reference[WIRE_REFERENCE_MAX_BYTES + 2];
    struct asked longer;

    listen_and_join();
    memset(reference, 'a', sizeof(reference));
    reference[sizeof(reference) - 1] = '\0';
    ask_image(&longer, IMAGE_FIND, reference, NULL);
    assert_int_equal(longer.call.err.code, NR_EINVAL);
    reference[WIRE_REFERENCE_MAX_BYTES] = '\0';
    for (size_t i = 0; i <= WIRE_IMAGE_CALLS_MAX; i++)
        ask_image(&all[i], IMAGE_FIND, reference, NULL);
    assert_int_equal(all[WIRE_IMAGE_CALLS_MAX].call.err.code, NR_EUNAVAIL);
    assert_non_null(strstr(all[WIRE_IMAGE_CALLS_MAX].call.err.text, "many images"));
    wait_images(WIRE_IMAGE_CALLS_MAX);
    for (size_t i = 0; i < WIRE_IMAGE_CALLS_MAX; i++) {
        (void)nr_err_set(&rig->images[i]->err, NR_ENOENT, "There is none.");
        image_ends(i, NULL);
    }
    for (size_t i = 0; i < WIRE_IMAGE_CALLS_MAX; i++) {
        wait_image(&all[i]);
        assert_int_equal(all[i].call.err.code, NR_ENOENT);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_and_its_result),
        TEST(a_claim_that_is_answered_later_or_refused),
        TEST(a_call_that_waits_is_named),
        TEST(cuts_before_and_after_the_start),
        TEST(code_comes_from_the_controllers_disk),
        TEST(a_link_that_breaks),
        TEST(reports_tell_of_slots_and_figures),
        TEST(wishes_and_what_is_known),
        TEST(an_account_that_leaves),
        TEST(a_drain),
        TEST(the_process_leaves),
        TEST(what_is_watched_tells_what_it_used),
        TEST(what_is_watched_outlives_its_link),
        TEST(what_follows_needs_a_container),
        TEST(images_are_found_and_pulled),
        TEST(images_end_with_their_link),
        TEST(images_have_ceilings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
