/* The invoker's side of a link, against a controller that does what each test says: joining, calls from RUN to DONE, code, links that end and come back, what is hostile,
 * leaving. */
#include "tests/unit/invoker/far/serve_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "common/base/json.h"

static const struct nr_str nothing = {NULL, 0};

static void claimed(uint64_t call, bool refused)
{
    rig_send(WIRE_CLAIMED, refused ? WIRE_FAILED : 0, call, NULL, nothing);
}

static void is_answered(uint64_t call, const char *result, const char *logs)
{
    struct rig_frame *f = rig_next(WIRE_ANSWER);

    assert_int_equal(f->head.call, call);
    assert_string_equal(f->raw, result);
    rig_drop(f);
    if (logs) {
        f = rig_next(WIRE_LOGS);
        assert_int_equal(f->head.call, call);
        assert_string_equal(f->raw, logs);
        rig_drop(f);
    }
    rig_expect(WIRE_END, call);
}

static size_t given;

static bool is_given(void)
{
    return rig->count >= given;
}

/* The invoker has so many calls. */
static void wait_given(size_t n)
{
    given = n;
    rig_until(is_given, "the invoker has its calls");
}

/* A call that has been granted and runs: the n-th. */
static void start(uint64_t number, size_t n)
{
    rig_run(number, 7);
    wait_given(n + 1);
    assert_int_equal(rig_claim(n), 1);
    rig_expect(WIRE_CLAIM, number);
    claimed(number, false);
    rig_expect_nothing();
    assert_int_equal(rig->calls[n]->i, I_AWAIT);
}

/* ---- joining ---------------------------------------------------------------------------------------------------- */

static void it_says_who_it_is(void **state)
{
    struct far_hello *h = NULL;

    rig->tags = "board=pi,zone=a";
    rig->token = "sesame";
    rig_open();
    struct rig_frame *f = rig_next(WIRE_HELLO);

    assert_int_equal(wire_hello_read(nr_str_of(f->meta), &h, NULL), 0);
    assert_string_equal(h->name, "far-1");
    assert_string_equal(h->token, "sesame");
    assert_string_equal(h->installation, "0123456789abcdef");
    assert_string_equal(h->version, "1.2.3");
    assert_int_equal(strlen(h->session), WIRE_SESSION_BYTES);
    assert_string_equal(h->arch, "amd64");
    assert_int_equal(h->cores, 2);
    assert_int_equal(h->memory_max_mb, 1024);
    assert_int_equal(h->tag_count, 2);
    assert_string_equal(h->tags[1].key, "zone");
    assert_string_equal(h->kinds[1], "wasm:1");
    wire_hello_free(h);
    rig_drop(f);
    assert_false(link_is_up(rig->link));
}

static bool is_gone(void)
{
    return rig->link->stream == NULL;
}

static unsigned nodes, pools;
static struct wire_pool first_pool, second_pool;

static void on_node(void *arg, const struct wire_node *n)
{
    nodes++;
    assert_true(n->ready);
    assert_int_equal(n->containers_max, 7);
    assert_int_equal(n->figures.memory_max_mb, 1024);
}

static void on_pool(void *arg, const struct wire_pool *p)
{
    *(pools++ == 0 ? &first_pool : &second_pool) = *p;
}

static void it_reports_slots_by_revision_and_figures_once_by_name(void **state)
{
    const struct wire_report_hooks hooks = {.node = on_node, .pool = on_pool};
    struct wire_frame w = {0};
    struct nr_arena arena;

    rig->pools[0] = 41;
    rig->pools[1] = 42;
    rig->pool_count = 2;
    nodes = pools = 0;
    rig_up();
    struct rig_frame *f = rig_next(WIRE_REPORT);

    nr_arena_init(&arena, 1 << 20);
    w.meta = nr_str_of(f->meta);
    assert_int_equal(wire_report_read(&w, &arena, &hooks, NULL, NULL), 0);
    assert_int_equal(nodes, 1);
    assert_int_equal(pools, 2);
    assert_int_equal(first_pool.load.ready, 1);
    assert_int_equal(second_pool.load.waiting, 4);
    assert_int_equal(first_pool.figures.ready + second_pool.figures.ready, 5);
    assert_true(nr_str_eqz(second_pool.figures.key, "acme//hello"));
    nr_arena_fini(&arena);
    rig_drop(f);
}

static void who_is_refused_dials_again_later(void **state)
{
    rig_open();
    rig_drop(rig_next(WIRE_HELLO));
    rig_send(WIRE_REFUSED, 0, 0, "{\"why\":\"no such token\"}", nothing);
    rig_until(is_gone, "the link ends");
    assert_false(link_is_up(rig->link));
    assert_true(nr_deadline_armed(&rig->link->redial));
    assert_true(rig->link->redial.at_ms - rig->loop.now_ms > WIRE_REDIAL_MAX_MS / 2);
}

static void texts_are_judged_at_the_start(void **state)
{
    static const struct {
        const char *controller, *pin, *name, *tags, *why;
    } cases[] = {
        {"tls://127.0.0.1:9", NULL, "a", NULL, "--controller-pin"},
        {"tls://127.0.0.1:9", "sha256:12", "a", NULL, "--controller"},
        {"unix:/nowhere", "sha256:12", "a", NULL, "no use"},
        {"http://x", NULL, "a", NULL, "--controller"},
        {"unix:/nowhere", NULL, "", NULL, "--invoker-name"},
        {"unix:/nowhere", NULL, "A b", NULL, "--invoker-name"},
        {"unix:/nowhere", NULL, "a", "board", "--tags"},
        {"unix:/nowhere", NULL, "a", "=x", "--tags"},
        {"unix:/nowhere", NULL, "a", "b=c,", "--tags"},
    };
    static struct node node;

    for (size_t i = 0; i < nr_countof(cases); i++) {
        const struct link_config c = {.loop = &rig->loop,
                                      .invoker = &rig->invoker,
                                      .node = &node,
                                      .controller = cases[i].controller,
                                      .pin = cases[i].pin,
                                      .token = "t",
                                      .name = cases[i].name,
                                      .tags = cases[i].tags,
                                      .code_dir = rig->folder,
                                      .installation = "",
                                      .version = "",
                                      .log = &rig->log};
        struct nr_err err = {0};
        struct link *l = NULL;

        assert_int_equal(link_judge(&c, NULL), NR_EINVAL);
        assert_int_equal(link_open(&c, &l, &err), NR_EINVAL);
        print_message("%s\n", err.text);
        assert_non_null(strstr(err.text, cases[i].why));
        assert_null(l);
    }
}

/* ---- calls ------------------------------------------------------------------------------------------------------ */

static void a_call_from_run_to_done(void **state)
{
    rig_up();
    rig_function(7, NULL);
    start(100, 0);
    assert_int_equal(rig->calls[0]->fn->revision, 7);
    assert_true(nr_str_eqz(rig->calls[0]->input, "{\"a\":1}"));
    assert_string_equal(rig->calls[0]->account->name, "acme");
    rig_answer(0, "{\"ok\":true}");
    struct rig_frame *f = rig_next(WIRE_ANSWER);
    struct wire_answer w = {.status = 9};
    struct nr_arena arena;

    nr_arena_init(&arena, 1 << 20);
    assert_int_equal(wire_read(&wire_answer_form, nr_str_of(f->meta), &arena, &w, NULL), 0);
    assert_int_equal(w.status, OUTCOME_SUCCESS);
    assert_int_equal(w.start, START_WARM);
    assert_true(w.ran);
    assert_string_equal(f->raw, "{\"ok\":true}");
    nr_arena_fini(&arena);
    rig_drop(f);
    rig_expect_nothing(); /* logs and end come with the slot */
    assert_int_equal(link_running(rig->link), 1);
    rig_end(0, "a line\n");
    f = rig_next(WIRE_LOGS);
    assert_string_equal(f->raw, "a line\n");
    rig_drop(f);
    rig_expect(WIRE_END, 100);
    assert_int_equal(link_running(rig->link), 0);
    assert_int_equal(rig->link->calls.count, 1); /* kept */
    rig_send(WIRE_DONE, 0, 100, NULL, nothing);
    rig_expect_nothing();
    assert_int_equal(rig->link->calls.count, 0);
    assert_int_equal(rig->link->kept_bytes, 0);
}

static void a_refused_claim_gives_the_slot_back_and_tells_nothing(void **state)
{
    rig_up();
    rig_function(7, NULL);
    rig_run(1, 7);
    wait_given(1);
    assert_int_equal(rig_claim(0), 1);
    rig_expect(WIRE_CLAIM, 1);
    claimed(1, true);
    rig_expect_nothing();
    assert_null(rig->calls[0]);
    assert_int_equal(rig->link->calls.count, 0);
}

static void a_container_that_is_new_says_cold(void **state)
{
    rig_up();
    rig_function(7, NULL);
    rig_run(1, 7);
    wait_given(1);
    rig->container.state = CT_FRESH;
    assert_int_equal(rig_claim(0), 1);
    struct rig_frame *f = rig_next(WIRE_CLAIM);

    assert_int_equal(f->head.flags, WIRE_COLD);
    rig_drop(f);
}

static void a_call_that_gets_no_slot_is_answered_without_a_claim(void **state)
{
    rig_up();
    rig_function(7, NULL);
    rig_run(1, 7);
    wait_given(1);
    rig_answer(0, "{\"error\":\"no room\"}");
    rig_end(0, "");
    is_answered(1, "{\"error\":\"no room\"}", NULL);
}

static void cuts(void **state)
{
    rig_up();
    rig_function(7, NULL);
    start(1, 0);
    rig_run(2, 7);
    wait_given(2);
    rig_send(WIRE_CUT, 0, 2, "{\"err\":-24}",
             nothing); /* it waits: the controller knows how it ends */
    rig_expect_nothing();
    assert_null(rig->calls[1]);
    rig_send(WIRE_CUT, 0, 1, "{\"err\":-18,\"why\":\"too late\"}", nothing);
    struct rig_frame *f = rig_next(WIRE_ANSWER);

    assert_non_null(strstr(f->meta, "\"err\":-18"));
    rig_drop(f);
    rig_expect(WIRE_END, 1);
    assert_int_equal(rig->errs[0], NR_ETIMEOUT);
}

static void calls_wait_until_the_api_is_known(void **state)
{
    rig->api_late = true;
    rig_up();
    assert_int_equal(rig->api_count, 1);
    rig_function(7, NULL);
    rig_run(1, 7);
    rig_expect_nothing();
    assert_int_equal(rig->count, 0);
    link_api_known(rig->link);
    assert_int_equal(rig->count, 1);
}

static void long_logs_go_in_parts_of_whole_lines(void **state)
{
    const size_t lines = 20000;
    struct nr_buf all;
    size_t got = 0;

    nr_buf_init(&all, 8 << 20);
    for (size_t i = 0; i < lines; i++)
        nr_buf_printf(&all, "%08zu this is one of very many lines\n", i);
    char *text = nr_buf_detach(&all, NULL);

    rig_up();
    rig_function(7, NULL);
    start(1, 0);
    rig_answer(0, "{}");
    rig_end(0, text);
    rig_drop(rig_next(WIRE_ANSWER));
    while (got < strlen(text)) {
        struct rig_frame *f = rig_next(WIRE_LOGS);

        assert_true(f->raw_bytes <= WIRE_PART_MAX_BYTES && f->raw[f->raw_bytes - 1] == '\n');
        assert_memory_equal(f->raw, text + got, f->raw_bytes);
        got += f->raw_bytes;
        rig_drop(f);
    }
    rig_expect(WIRE_END, 1);
    free(text);
}

static void kept_results_have_a_ceiling(void **state)
{
    const size_t bytes = 1 << 20, most = WIRE_KEPT_MAX_BYTES / bytes;
    char *result = nr_alloc(bytes + 1);

    memset(result, ' ', bytes);
    memcpy(result, "{}", 2);
    rig_up();
    rig_function(7, NULL);
    for (size_t i = 0; i < most + 3; i++) {
        start(i + 1, i);
        rig_answer(i, result);
        rig_end(i, "");
        rig_drop(rig_next(WIRE_ANSWER));
        rig_expect(WIRE_END, i + 1);
    }
    assert_true(rig->link->results_dropped >= 3);
    assert_true(rig->link->kept_bytes <= WIRE_KEPT_MAX_BYTES);
    rig_cut_and_redial();
    const uint64_t wanted[] = {1};

    rig_welcome("c1", wanted, 1);
    struct rig_frame *f = rig_next(WIRE_ANSWER);

    assert_non_null(strstr(f->raw, "was lost"));
    rig_drop(f);
    rig_expect(WIRE_END, 1);
    assert_int_equal(rig->link->calls.count, 1);
    free(result);
}

/* ---- code --------------------------------------------------------------------------------------------------------- */

static char *code;
static const size_t code_bytes = (2 << 20) + 12345;
static char digest[65];

static void make_code(void)
{
    unsigned char sum[NR_SHA256_BYTES];

    code = nr_alloc(code_bytes);
    for (size_t i = 0; i < code_bytes; i++)
        code[i] = (char)(i * 31 + (i >> 9));
    nr_sha256((struct nr_str){code, code_bytes}, sum);
    nr_hex(sum, sizeof(sum), digest);
}

static void send_part(uint64_t at, size_t n)
{
    char meta[256];

    (void)snprintf(meta, sizeof(meta), "{\"sha256\":\"%s\",\"at\":%llu,\"bytes\":%zu}", digest,
                   (unsigned long long)at, code_bytes);
    rig_send(WIRE_CODE, 0, 0, meta, (struct nr_str){code + at, n});
}

/* Answers one WANT_CODE; returns where the next one would begin. */
static uint64_t serve_code(void)
{
    struct rig_frame *f = rig_next(WIRE_WANT_CODE);
    struct wire_range w = {0};
    struct nr_arena arena;

    nr_arena_init(&arena, 1 << 20);
    assert_int_equal(wire_read(&wire_range_form, nr_str_of(f->meta), &arena, &w, NULL), 0);
    assert_true(nr_str_eqz(w.sha256, digest));
    assert_true(w.bytes <= WIRE_CODE_CREDIT_BYTES);
    uint64_t end = w.at + w.bytes < code_bytes ? w.at + w.bytes : code_bytes;

    for (uint64_t at = w.at; at < end; at += WIRE_PART_MAX_BYTES)
        send_part(at, end - at < WIRE_PART_MAX_BYTES ? end - at : WIRE_PART_MAX_BYTES);
    nr_arena_fini(&arena);
    rig_drop(f);
    return end;
}

static void code_comes_in_parts_once_and_is_kept(void **state)
{
    struct stat st;

    make_code();
    rig_up();
    rig_function(7, digest);
    rig_run(1, 7);
    while (serve_code() < code_bytes)
        assert_int_equal(rig->count, 0);
    wait_given(1);
    assert_int_equal(stat(rig->calls[0]->fn->code_path, &st), 0);
    assert_int_equal(st.st_size, code_bytes);
    rig_function(8, digest);
    rig_run(2, 8);
    wait_given(2);
    rig_send(WIRE_RELEASE, 0, 7, NULL, nothing);
    rig_send(WIRE_RELEASE, 0, 8, NULL, nothing);
    rig_function(8, digest);
    rig_run(3, 8);
    wait_given(3);
    free(code);
}

static void a_kept_file_that_is_damaged_is_fetched_again(void **state)
{
    char path[256], folder[CODE_FOLDER_BYTES];

    make_code();
    code_folder_of(NR_STR("acme"), folder);
    (void)snprintf(path, sizeof(path), "%s/code", rig->folder);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/code/%s", rig->folder, folder);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/code/%s/%s", rig->folder, folder, digest);
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    (void)fputs("something else", file);
    (void)fclose(file);
    rig_up();
    rig_function(7, digest);
    rig_run(1, 7);
    while (serve_code() < code_bytes)
        continue;
    wait_given(1);
    free(code);
}

static void code_of_another_digest_is_not_run(void **state)
{
    make_code();
    code[0]++;
    rig_up();
    rig_function(7, digest);
    rig_run(1, 7);
    while (serve_code() < code_bytes)
        continue;
    rig_expect(WIRE_BOUNCE, 1);
    assert_int_equal(rig->count, 0);
    free(code);
}

static void code_that_the_controller_does_not_have_is_an_answer(void **state)
{
    char meta[256];

    make_code();
    rig_up();
    rig_function(7, digest);
    rig_run(1, 7);
    rig_drop(rig_next(WIRE_WANT_CODE));
    (void)snprintf(meta, sizeof(meta), "{\"sha256\":\"%s\",\"why\":\"it is gone\"}", digest);
    rig_send(WIRE_CODE, WIRE_FAILED, 0, meta, nothing);
    is_answered(1, "{\"error\":\"Action could not be fetched.\"}", NULL);
    free(code);
}

static void a_fetch_goes_on_over_links(void **state)
{
    make_code();
    rig_up();
    rig_function(7, digest);
    rig_run(1, 7);
    (void)serve_code();
    rig_drop(rig_next(WIRE_WANT_CODE));
    rig_cut_and_redial();
    rig_welcome("c1", NULL, 0);
    rig_function(7, digest);
    rig_run(2, 7);
    while (serve_code() < code_bytes)
        continue;
    wait_given(1);
    assert_int_equal(rig->ids[0][31], '2');
    free(code);
}

/* ---- links that end ----------------------------------------------------------------------------------------------- */

static void what_was_granted_goes_on_and_is_told_on_the_next_link(void **state)
{
    const uint64_t wanted[] = {1, 2};

    rig_up();
    rig_function(7, NULL);
    start(1, 0);
    start(2, 1);
    start(3, 2);
    rig_run(4, 7);
    wait_given(4);
    rig_answer(0, "{\"n\":1}");
    rig_drop(rig_next(WIRE_ANSWER));
    rig_cut_and_redial();
    assert_null(rig->calls[3]); /* it had not started: it is placed elsewhere */
    rig_end(0, "of one\n");
    rig_welcome("c1", wanted, 2);
    is_answered(1, "{\"n\":1}", "of one\n"); /* from its beginning */
    rig_expect_nothing();
    assert_null(rig->calls[2]); /* nobody wants it any more */
    assert_int_equal(rig->errs[2], NR_ECANCELED);
    rig_answer(1, "{\"n\":2}");
    rig_end(1, "");
    is_answered(2, "{\"n\":2}", NULL);
}

static void a_claim_that_was_granted_unheard_runs(void **state)
{
    const uint64_t wanted[] = {1};

    rig_up();
    rig_function(7, NULL);
    rig_run(1, 7);
    rig_run(2, 7);
    wait_given(2);
    assert_int_equal(rig_claim(0), 1);
    assert_int_equal(rig_claim(1), 1);
    rig_cut_and_redial();
    assert_int_equal(rig->calls[0]->i, I_CLAIM);
    assert_int_equal(rig->calls[1]->i, I_CLAIM);
    rig_welcome("c1", wanted, 1);
    rig_expect_nothing();
    assert_int_equal(rig->calls[0]->i, I_AWAIT);
    assert_null(rig->calls[1]); /* refused */
    rig_answer(0, "{}");
    rig_end(0, "");
    is_answered(1, "{}", NULL);
}

static void a_wanted_call_that_is_not_here_is_answered(void **state)
{
    const uint64_t wanted[] = {77};

    rig_open();
    rig_drop(rig_next(WIRE_HELLO));
    rig_welcome("c1", wanted, 1);
    is_answered(77, "{\"error\":\"Failed to provision resources to run the action.\"}", NULL);
    rig_send(WIRE_DONE, 0, 77, NULL, nothing);
    rig_expect_nothing();
    assert_int_equal(rig->link->calls.count, 0);
}

static void another_controller_finds_nothing_of_the_one_before(void **state)
{
    rig_up();
    rig_function(7, NULL);
    rig_send(WIRE_WISH, 0, 0,
             "{\"account\":\"acme\",\"package\":\"\",\"name\":\"hello\",\"desired\":3}", nothing);
    start(1, 0);
    assert_string_equal(rig->wished, "acme//hello");
    assert_int_equal(rig->wish.desired, 3);
    rig->pools[0] = 7;
    rig->pool_count = 1;
    rig_cut_and_redial();
    rig_welcome("c2", NULL, 0);
    rig_expect_nothing();
    assert_int_equal(rig->errs[0], NR_ECANCELED);
    assert_int_equal(rig->forgotten_count, 1);
    assert_int_equal(rig->forgotten[0], 7);
    assert_int_equal(rig->wish_count, 2);
    assert_int_equal(rig->wish.desired, -1);
    assert_string_equal(rig->wished, "acme//hello");
    assert_int_equal(rig->link->functions.count, 0);
    assert_int_equal(rig->link->calls.count, 0);
}

/* ---- what is hostile ---------------------------------------------------------------------------------------------- */

static unsigned links;

static bool has_redialed(void)
{
    return rig->links > links && rig->peer != NULL;
}

static void each_violation_ends_the_link_and_nothing_else(void **state)
{
    static const struct {
        uint8_t type, flags;
        uint64_t call;
        const char *meta, *raw;
    } cases[] = {
        {WIRE_HELLO, 0, 0, "{}", NULL},
        {WIRE_IMAGE, 0, 1, "{\"op\":9,\"reference\":\"a\"}", NULL},
        {WIRE_IMAGE, 0, 1, "{\"op\":0}", NULL},
        {WIRE_IMAGE, 0, 1, "{\"op\":2,\"reference\":\"a\\u0000b\"}", NULL},
        {WIRE_WELCOME, 0, 0, "{\"protocol\":1,\"controller\":\"x\"}", NULL},
        {WIRE_RUN, 0, 9,
         "{\"activation\":\"00000000000000000000000000000009\",\"account\":\"a\",\"revision\":999}",
         "{}"},
        {WIRE_RUN, 0, 9,
         "{\"activation\":\"00000000000000000000000000000009\",\"account\":\"a\",\"revision\":7}",
         "{"},
        {WIRE_RUN, 0, 9, "{\"activation\":\"9\",\"account\":\"a\",\"revision\":7}", "{}"},
        {WIRE_RUN, 0, 1,
         "{\"activation\":\"00000000000000000000000000000009\",\"account\":\"a\",\"revision\":7}",
         "{}"},
        {WIRE_RUN, 0, 9, "{\"activation\":7}", "{}"},
        {WIRE_WISH, 0, 0, "{\"name\":\"x\"}", NULL},
        {WIRE_FORGET_ACCOUNT, 0, 1, "{}", NULL},
        {WIRE_CODE, 0, 0, "{\"sha256\":\"zz\"}", "x"},
        {WIRE_CLAIMED, 0, 1, "{}", NULL},
    };
    const uint64_t wanted[] = {1};

    rig_up();
    rig_function(7, NULL);
    start(1, 0);
    for (size_t i = 0; i < nr_countof(cases); i++) {
        print_message("%zu\n", i);
        links = rig->links;
        rig_function(7, NULL);
        rig_send(cases[i].type, cases[i].flags, cases[i].call, cases[i].meta,
                 nr_str_of(cases[i].raw));
        rig_until(has_redialed, "the link ends and it dials again");
        rig_drop(rig_next(WIRE_HELLO));
        rig_welcome("c1", wanted, 1);
        assert_int_equal(rig->calls[0]->i, I_AWAIT);
    }
    rig_answer(0, "{}");
    rig_end(0, "");
    is_answered(1, "{}", NULL);
}

static void frames_of_calls_that_are_not_here_are_passed_over(void **state)
{
    rig_up();
    rig_send(WIRE_CLAIMED, 0, 5, NULL, nothing);
    rig_send(WIRE_DONE, 0, 5, NULL, nothing);
    rig_send(WIRE_CUT, 0, 5, "{\"err\":-24}", nothing);
    rig_send(WIRE_FORGET, 0, 5, NULL, nothing);
    rig_send(WIRE_RELEASE, 0, 5, NULL, nothing);
    rig_send(WIRE_KNOW, 0, 5, NULL, nothing);
    rig_send(WIRE_AUTH, 0, 5, NULL, NR_STR("x"));
    rig_send(200, 0, 5, "{\"of\":\"a later protocol\"}", nothing);
    rig_expect_nothing();
    assert_true(link_is_up(rig->link));
    assert_int_equal(rig->forgotten[0], 5);
}

static void a_function_that_is_none_bounces_its_calls(void **state)
{
    rig_up();
    rig_send(WIRE_FUNCTION, 0, 7, "{\"revision\":7}", NR_STR("{}{}"));
    rig_run(1, 7);
    rig_expect(WIRE_BOUNCE, 1);
    rig_run(2, 7);
    rig_expect(WIRE_BOUNCE, 2);
    assert_true(link_is_up(rig->link));
}

/* ---- the rest ----------------------------------------------------------------------------------------------------- */

static void a_cordoned_one_bounces_and_a_drained_one_says_when_it_is_empty(void **state)
{
    rig_up();
    rig_function(7, NULL);
    start(1, 0);
    rig->invoker.container_count = 1;
    rig_send(WIRE_CORDON, WIRE_ON, 0, NULL, nothing);
    rig_run(2, 7);
    rig_expect(WIRE_BOUNCE, 2);
    rig_send(WIRE_DRAIN, 0, 0, NULL, nothing);
    rig_expect_nothing();
    assert_false(rig->resting); /* a call runs */
    rig_answer(0, "{}");
    rig_end(0, "");
    is_answered(1, "{}", NULL);
    assert_true(rig->resting);
    rig->invoker.container_count = 0;
    rig_expect(WIRE_LEAVING, 0);
    rig_send(WIRE_CORDON, 0, 0, NULL, nothing);
    rig_expect_nothing();
    assert_false(rig->resting);
    rig_run(3, 7);
    wait_given(2);
}

static bool drained;

static void on_drained(void *arg)
{
    drained = true;
}

static bool is_drained(void)
{
    return drained;
}

static void who_leaves_gives_back_what_waits_and_waits_for_what_runs(void **state)
{
    drained = false;
    rig_up();
    rig_function(7, NULL);
    start(1, 0);
    rig_run(2, 7);
    wait_given(2);
    link_drain(rig->link, 60000, on_drained, NULL);
    struct rig_frame *f = rig_next(WIRE_LEAVING);

    assert_int_equal(f->head.flags, WIRE_MORE);
    rig_drop(f);
    rig_expect(WIRE_BOUNCE, 2);
    assert_null(rig->calls[1]);
    rig_run(3, 7);
    rig_expect(WIRE_BOUNCE, 3);
    rig_answer(0, "{}");
    rig_end(0, "");
    is_answered(1, "{}", NULL);
    rig_expect_nothing();
    assert_false(drained); /* the controller has not taken the result */
    rig_send(WIRE_DONE, 0, 1, NULL, nothing);
    rig_until(is_drained, "it is drained");
}

static void who_leaves_cuts_what_has_had_its_time(void **state)
{
    drained = false;
    rig_up();
    rig_function(7, NULL);
    start(1, 0);
    link_drain(rig->link, 1, on_drained, NULL);
    rig_drop(rig_next(WIRE_LEAVING));
    struct rig_frame *f = rig_next(WIRE_ANSWER);

    assert_non_null(strstr(f->meta, "\"err\":-17"));
    rig_drop(f);
    rig_expect(WIRE_END, 1);
    rig_send(WIRE_DONE, 0, 1, NULL, nothing);
    rig_until(is_drained, "it is drained");
    assert_int_equal(rig->errs[0], NR_ESTOPPING);
}

static const char *gone_path;

static bool file_is_gone(void)
{
    return access(gone_path, F_OK) != 0;
}

static void an_account_is_forgotten_with_its_code(void **state)
{
    char path[512];

    make_code();
    rig_up();
    rig_function(7, digest);
    rig_run(1, 7);
    while (serve_code() < code_bytes)
        continue;
    wait_given(1);
    (void)snprintf(path, sizeof(path), "%s", rig->calls[0]->fn->code_path);
    rig_send(WIRE_CUT, 0, 1, "{\"err\":-24}", nothing);
    rig_send(WIRE_FORGET_ACCOUNT, 0, 99, "{\"account\":\"acme\"}", nothing);
    rig_expect_nothing();
    assert_string_equal(rig->account, "acme");
    rig->account_done(rig->account_arg);
    rig_expect(WIRE_FORGOTTEN, 99);
    assert_int_equal(code_store_bytes(rig->link->codes), 0);
    gone_path = path;
    rig_until(file_is_gone, "the file is removed");
    free(code);
}

static void *ask(void *arg)
{
    char *auth = NULL;

    link_registry_auth(rig->link, "acme", "r.example/a", &auth);
    return auth;
}

static void credentials_are_asked_for(void **state)
{
    pthread_t thread;
    void *auth = NULL;

    rig_up();
    assert_int_equal(pthread_create(&thread, NULL, ask, NULL), 0);
    struct rig_frame *f = rig_next(WIRE_WANT_AUTH);

    assert_non_null(strstr(f->meta, "\"account\":\"acme\""));
    assert_non_null(strstr(f->meta, "r.example/a"));
    rig_send(WIRE_AUTH, 0, f->head.call, NULL, NR_STR("secret"));
    rig_drop(f);
    rig_expect_nothing();
    assert_int_equal(pthread_join(thread, &auth), 0);
    assert_string_equal(auth, "secret");
    free(auth);
    auth = NULL;
    assert_int_equal(pthread_create(&thread, NULL, ask, NULL), 0);
    rig_drop(rig_next(WIRE_WANT_AUTH));
    rig_cut_and_redial(); /* nobody will answer */
    assert_int_equal(pthread_join(thread, &auth), 0);
    assert_null(auth);
}

static void what_is_wished_for_is_known_when_its_code_is_here(void **state)
{
    make_code();
    rig_up();
    rig_function(7, digest);
    rig_send(WIRE_KNOW, 0, 7, NULL, nothing);
    while (serve_code() < code_bytes)
        assert_int_equal(rig->known_count, 0);
    rig_run(1, 7);
    wait_given(1);
    assert_int_equal(rig->known_count, 1);
    free(code);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_says_who_it_is),
        TEST(it_reports_slots_by_revision_and_figures_once_by_name),
        TEST(who_is_refused_dials_again_later),
        TEST(texts_are_judged_at_the_start),
        TEST(a_call_from_run_to_done),
        TEST(a_refused_claim_gives_the_slot_back_and_tells_nothing),
        TEST(a_container_that_is_new_says_cold),
        TEST(a_call_that_gets_no_slot_is_answered_without_a_claim),
        TEST(cuts),
        TEST(calls_wait_until_the_api_is_known),
        TEST(long_logs_go_in_parts_of_whole_lines),
        TEST(kept_results_have_a_ceiling),
        TEST(code_comes_in_parts_once_and_is_kept),
        TEST(a_kept_file_that_is_damaged_is_fetched_again),
        TEST(code_of_another_digest_is_not_run),
        TEST(code_that_the_controller_does_not_have_is_an_answer),
        TEST(a_fetch_goes_on_over_links),
        TEST(what_was_granted_goes_on_and_is_told_on_the_next_link),
        TEST(a_claim_that_was_granted_unheard_runs),
        TEST(a_wanted_call_that_is_not_here_is_answered),
        TEST(another_controller_finds_nothing_of_the_one_before),
        TEST(each_violation_ends_the_link_and_nothing_else),
        TEST(frames_of_calls_that_are_not_here_are_passed_over),
        TEST(a_function_that_is_none_bounces_its_calls),
        TEST(a_cordoned_one_bounces_and_a_drained_one_says_when_it_is_empty),
        TEST(who_leaves_gives_back_what_waits_and_waits_for_what_runs),
        TEST(who_leaves_cuts_what_has_had_its_time),
        TEST(an_account_is_forgotten_with_its_code),
        TEST(credentials_are_asked_for),
        TEST(what_is_wished_for_is_known_when_its_code_is_here),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
