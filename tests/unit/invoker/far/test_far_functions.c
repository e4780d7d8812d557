/* What an invoker is told of functions and asks of them, and what it reports: code, credentials, forgetting, releasing, loads, figures, events, texts.
 */
#include "far_rig.h"

#include "common/base/file.h"
#include "common/data/digest.h"

/* ---- functions, code, credentials ---- */

static void write_code(struct function *f, size_t n)
{
    char path[128];
    char *bytes = nr_alloc(n);

    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)(i * 31 >> 3);
    assert_int_equal(nr_file_write(dir, "code.zip", (struct nr_str){bytes, n}, 0600, NULL), 0);
    nr_sha256((struct nr_str){bytes, n}, f->sha256);
    (void)snprintf(path, sizeof(path), "%s/code.zip", dir);
    free(f->code_path);
    free(f->file);
    f->code_path = nr_strdup(path);
    f->file = nr_strdup("code.zip");
    f->code_bytes = (int64_t)n;
    free(bytes);
}

static void ask_code(const struct function *f, uint64_t at, uint64_t bytes)
{
    char sha256[65], meta[256];

    nr_hex(f->sha256, 32, sha256);
    (void)snprintf(
        meta, sizeof(meta), "{\"sha256\":\"%s\",\"revision\":%llu,\"at\":%llu,\"bytes\":%llu}",
        sha256, (unsigned long long)f->revision, (unsigned long long)at, (unsigned long long)bytes);
    say(WIRE_WANT_CODE, 0, 0, meta, NULL);
}

static void test_code(void **state)
{
    enum { CODE_BYTES = 1500000 };
    struct function *f = make_function(7), *unknown = make_function(8);

    write_code(f, CODE_BYTES);
    (void)join(SESSION);
    far_know(owner.f, f);
    assert_non_null(strstr(hear(WIRE_FUNCTION)->meta, "\"code_bytes\":1500000"));
    assert_int_equal(hear(WIRE_KNOW)->head.call, 7);
    ask_code(f, 0, WIRE_CODE_CREDIT_BYTES);
    for (int i = 0; i < 4; i++) {
        const struct seen *s = hear(WIRE_CODE);
        char at[32];

        (void)snprintf(at, sizeof(at), "\"at\":%d,", i * WIRE_PART_MAX_BYTES);
        assert_non_null(strstr(s->meta, at));
        assert_non_null(strstr(s->meta, "\"bytes\":1500000"));
    }
    hear_nothing(); /* no more than was asked for */
    ask_code(f, WIRE_CODE_CREDIT_BYTES, WIRE_CODE_CREDIT_BYTES);
    (void)hear(WIRE_CODE);
    (void)hear(WIRE_CODE);
    assert_int_equal(peer->code_bytes, CODE_BYTES);
    /* of a function that is forgotten, or was never told */
    ask_code(unknown, 0, 10);
    assert_int_equal(hear(WIRE_CODE)->head.flags, WIRE_FAILED);
    assert_int_equal(unlink(f->code_path), 0);
    ask_code(f, 0, 10);
    assert_int_equal(hear(WIRE_CODE)->head.flags, WIRE_FAILED);
    /* of other code than the function's */
    say(WIRE_WANT_CODE, 0, 0, "{\"revision\":7,\"sha256\":\"00\",\"bytes\":10}", NULL);
    until(&peer->ended, 1);
    function_unref(f);
    function_unref(unknown);
}

static void test_credentials(void **state)
{
    struct function *f = make_function(7);

    (void)join(SESSION);
    far_know(owner.f, f);
    (void)hear(WIRE_FUNCTION);
    (void)hear(WIRE_KNOW);
    say(WIRE_WANT_AUTH, 0, 5, "{\"account\":\"acme\",\"image\":\"own/image\"}", NULL);
    const struct seen *s = hear(WIRE_AUTH);

    assert_int_equal(s->head.call, 5);
    assert_memory_equal(s->raw, "credentials of acme", 19);
    say(WIRE_WANT_AUTH, 0, 6, "{\"account\":\"other\",\"image\":\"own/image\"}", NULL);
    s = hear(WIRE_AUTH);
    assert_int_equal(s->head.call, 6);
    assert_int_equal(s->raw_n, 0);
    function_unref(f);
}

/* What was forgotten while the link was down is told to the session when it is back; to another one there is nothing to say. */
static void test_forgotten_meanwhile(void **state)
{
    struct function *f = make_function(7);

    (void)join(SESSION);
    far_know(owner.f, f);
    (void)hear(WIRE_FUNCTION);
    (void)hear(WIRE_KNOW);
    far_forget_account(owner.f, "gone", on_forgotten, NULL);
    assert_non_null(strstr(hear(WIRE_FORGET_ACCOUNT)->meta, "\"gone\""));
    peer_hang_up();
    far_forget(owner.f, 7);
    far_forget(owner.f, 99);
    (void)join(SESSION);
    assert_int_equal(hear(WIRE_FORGET)->head.call, 7);
    uint64_t number = hear(WIRE_FORGET_ACCOUNT)->head.call;

    assert_int_equal(owner.forgotten, 0);
    say(WIRE_FORGOTTEN, 0, number, NULL, NULL);
    until(&owner.forgotten, 1);
    say(WIRE_FORGOTTEN, 0, number, NULL, NULL); /* twice, for it was asked twice */
    far_know(owner.f, f);
    (void)hear(WIRE_FUNCTION);
    (void)hear(WIRE_KNOW);
    far_forget(owner.f, 7);
    assert_int_equal(hear(WIRE_FORGET)->head.call, 7);
    hear_nothing();
    assert_int_equal(owner.forgotten, 1);
    function_unref(f);
}

/* Both ends keep so many snapshots and no more; one that has a call stays. */
static void test_released(void **state)
{
    struct function *called = make_function(1);
    struct activation *a = make_call(called);
    uint64_t call;

    (void)join(SESSION);
    call = first_run(a);
    for (uint64_t i = 2; i <= WIRE_FUNCTIONS_MAX + 1; i++) {
        struct function *f = make_function(i);

        far_know(owner.f, f);
        function_unref(f);
        (void)hear(i <= WIRE_FUNCTIONS_MAX ? WIRE_FUNCTION : WIRE_RELEASE);
        if (i > WIRE_FUNCTIONS_MAX) {
            assert_int_equal(peer->seen[(peer->read - 1) % SEEN_MAX].head.call, 2);
            (void)hear(WIRE_FUNCTION);
        }
        (void)hear(WIRE_KNOW);
    }
    say(WIRE_CLAIM, 0, call, NULL, NULL);
    (void)hear(WIRE_CLAIMED);
    end_call(call);
    activation_unref(a);
    function_unref(called);
}

/* ---- reports ---- */

static struct {
    int count;
    struct container_figures last;
    char key[64];
} told;

static void each_figures(void *arg, const struct container_figures *f)
{
    told.count++;
    told.last = *f;
    (void)snprintf(told.key, sizeof(told.key), "%.*s", (int)f->key.n, f->key.p);
}

static void test_reports(void **state)
{
    struct function *f = make_function(7);
    struct activation *a = make_call(f), *b = make_call(f), *c = make_call(f);
    struct invoker_load load;
    struct node_figures node;

    (void)join(SESSION);
    uint64_t call = first_run(a);

    far_load(owner.f, 7, &load);
    assert_int_equal(load.waiting, 1);
    report("{\"revision\":7,\"key\":\"acme//f\",\"ready\":1,\"busy\":1,\"starting\":2,"
           "\"containers_ready\":2,\"joules\":0.25,\"cpu_percent\":3,\"looked\":true},"
           "{\"revision\":66,\"key\":\"other//g\",\"ready\":9}");
    far_load(owner.f, 7, &load);
    assert_int_equal(load.ready, 1);
    assert_int_equal(load.busy, 1);
    assert_int_equal(load.starting, 2);
    assert_int_equal(load.waiting, 0);
    /* calls that the report cannot know of */
    (void)run(b);
    (void)run(c);
    far_load(owner.f, 7, &load);
    assert_int_equal(load.ready, 0);
    assert_int_equal(load.busy, 2);
    assert_int_equal(load.waiting, 1);
    assert_int_equal(far_busy(owner.f), 3);
    far_load(owner.f, 66, &load); /* never told */
    assert_int_equal(load.ready, 0);
    report("{\"revision\":7,\"key\":\"lies\",\"ready\":0,\"busy\":2,\"joules\":0.25}");
    far_figures(owner.f, each_figures, NULL, &node);
    assert_int_equal(told.count, 1);
    assert_string_equal(told.key, "acme//f");
    assert_true(told.last.joules == 0.5);
    assert_true(node.joules == 1.0);
    assert_int_equal(node.memory_max_mb, 1024);
    assert_int_equal(node.containers, 3);
    far_figures(owner.f, each_figures, NULL, &node);
    assert_true(told.last.joules == 0 && node.joules == 0);
    assert_true(far_take_back(owner.f, b) && far_take_back(owner.f, c));
    (void)hear(WIRE_CUT);
    (void)hear(WIRE_CUT);
    far_load(owner.f, 7, &load);
    assert_int_equal(load.ready, 1);
    report(""); /* its containers are gone */
    far_load(owner.f, 7, &load);
    assert_int_equal(load.ready + load.busy, 0);
    say(WIRE_CLAIM, 0, call, NULL, NULL);
    (void)hear(WIRE_CLAIMED);
    end_call(call);
    activation_unref(a);
    activation_unref(b);
    activation_unref(c);
    function_unref(f);
}

static void test_an_event(void **state)
{
    struct function *f = make_function(7);
    struct activation *a = make_call(f);
    const char *meta = "{\"event\":\"oom_killed\",\"account\":\"acme\",\"name\":\"f\","
                       "\"members\":{\"container\":\"ab12\"}}";

    (void)join(SESSION);
    say(WIRE_EVENT, 0, 0, meta, NULL); /* of a function that it was not told */
    hear_nothing();
    assert_int_equal(owner.events, 0);
    (void)first_run(a);
    say(WIRE_EVENT, 0, 0, meta, NULL);
    until(&owner.events, 1);
    assert_string_equal(owner.container, "ab12");
    say(WIRE_EVENT, 0, 0, "{\"event\":\"of a later version\"}", NULL);
    say(200, 0, 0, "{\"of\":\"a later version\"}", "raw");
    hear_nothing();
    assert_int_equal(owner.events, 1);
    assert_true(far_take_back(owner.f, a));
    activation_unref(a);
    function_unref(f);
}

static void test_texts(void **state)
{
    struct function *f = make_function(7);
    struct activation *a = make_call(f);
    struct nr_buf out;

    nr_buf_init(&out, 1 << 20);
    (void)join(SESSION);
    (void)first_run(a);
    report("");
    far_status(owner.f, NULL, &out);
    assert_int_equal(nr_json_scan(nr_buf_str(&out)), NR_JSON_OBJECT);
    nr_buf_addc(&out, '\0');
    assert_non_null(strstr(out.p, "\"name\":\"box-1\",\"up\":true"));
    assert_non_null(strstr(out.p, "\"tags\":{\"board\":\"r2\"}"));
    assert_non_null(strstr(out.p, "\"session\":\"" SESSION "\""));
    assert_non_null(strstr(out.p, "\"function\":\"acme/f\""));
    nr_buf_reset(&out, SIZE_MAX);
    far_status(owner.f, "other", &out); /* no other account's functions, and nothing of the host */
    assert_int_equal(nr_json_scan(nr_buf_str(&out)), NR_JSON_OBJECT);
    nr_buf_addc(&out, '\0');
    assert_null(strstr(out.p, "acme"));
    assert_null(strstr(out.p, "session"));
    assert_null(strstr(out.p, "address"));
    assert_true(metric("narae_invoker_up{invoker=\"box-1\"}") == 1);
    assert_true(metric("narae_invoker_far_calls{invoker=\"box-1\"}") == 1);
    /* what its processes let go of is a sum over them */
    say(WIRE_REPORT, 0, 0, "{\"node\":{\"ready\":true,\"results_dropped\":3}}", NULL);
    until(&owner.reported, 2);
    assert_true(metric("narae_invoker_results_dropped_total{invoker=\"box-1\"}") == 3);
    peer_hang_up();
    (void)join(OTHER_SESSION);
    say(WIRE_REPORT, 0, 0, "{\"node\":{\"ready\":true,\"results_dropped\":2}}", NULL);
    until(&owner.reported, 3);
    assert_true(metric("narae_invoker_results_dropped_total{invoker=\"box-1\"}") == 5);
    nr_buf_fini(&out);
    activation_unref(a);
    function_unref(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_code),     T(test_credentials), T(test_forgotten_meanwhile),
        T(test_released), T(test_reports),     T(test_an_event),
        T(test_texts),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
