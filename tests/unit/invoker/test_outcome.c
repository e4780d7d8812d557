/* Every event of the runtime contract and the exact status and text it becomes. */
#include "invoker/outcome.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define DEV OUTCOME_DEVELOPER_ERROR
#define APP OUTCOME_APPLICATION_ERROR
#define RUN false
#define INIT true

static const struct {
    const char *name;
    bool init;
    enum outcome_event event;
    uint8_t flags, verdict;
    const char *bytes;
    enum outcome_status status;
    const char *result;
} table[] = {
    {"object", RUN, EVENT_ANSWER, 0, 0, "{\"a\":1}", OUTCOME_SUCCESS, "{\"a\":1}"},
    {"white space around", RUN, EVENT_ANSWER, 0, 0, " {\"a\":1}\n", OUTCOME_SUCCESS, "{\"a\":1}"},
    {"array", RUN, EVENT_ANSWER, 0, 0, "[1,{}]", OUTCOME_SUCCESS, "[1,{}]"},
    {"inner error is no error", RUN, EVENT_ANSWER, 0, 0, "{\"a\":{\"error\":1}}", OUTCOME_SUCCESS,
     "{\"a\":{\"error\":1}}"},
    {"own error", RUN, EVENT_ANSWER, 0, 0, "{\"x\":1,\"error\":{\"code\":4}}", APP,
     "{\"error\":{\"code\":4}}"},
    {"null error", RUN, EVENT_ANSWER, 0, 0, "{\"error\":null}", APP, "{\"error\":null}"},
    {"number", RUN, EVENT_ANSWER, 0, 0, "7", DEV,
     "{\"error\":\"The action did not produce a valid JSON or JSON Array response: 7\"}"},
    {"text with quotes", RUN, EVENT_ANSWER, 0, 0, "\"a\"", DEV,
     "{\"error\":\"The action did not produce a valid JSON or JSON Array response: \\\"a\\\"\"}"},
    {"no JSON", RUN, EVENT_ANSWER, 0, 0, "oops", DEV,
     "{\"error\":\"The action did not produce a valid JSON or JSON Array response: oops\"}"},
    {"cut JSON", RUN, EVENT_ANSWER, 0, 0, "{\"a\":", DEV,
     "{\"error\":\"The action did not produce a valid JSON or JSON Array response: {\\\"a\\\":\"}"},
    {"nothing", RUN, EVENT_ANSWER, 0, 0, "", DEV,
     "{\"error\":\"The action did not produce a valid JSON or JSON Array response.\"}"},
    {"failed with error", RUN, EVENT_ANSWER, NR_FRAME_FAILED, 0, "{\"error\":\"thrown\"}", DEV,
     "{\"error\":\"thrown\"}"},
    {"failed without", RUN, EVENT_ANSWER, NR_FRAME_FAILED, 0, "{\"x\":1}", DEV,
     "{\"error\":\"The action did not produce a valid JSON or JSON Array response: {\\\"x\\\":1}\"}"},
    {"exited", RUN, EVENT_ENDED, 0, NR_VERDICT_EXITED, "", DEV,
     "{\"error\":\"The action did not produce a valid response and exited unexpectedly.\"}"},
    {"ended without an answer", RUN, EVENT_ENDED, 0, NR_VERDICT_OK, "", DEV,
     "{\"error\":\"The action did not produce a valid response and exited unexpectedly.\"}"},
    {"lost", RUN, EVENT_LOST, 0, 0, "", DEV,
     "{\"error\":\"The action did not produce a valid response and exited unexpectedly.\"}"},
    {"lost for want of memory", RUN, EVENT_LOST, 0, NR_VERDICT_OOM, "", DEV,
     "{\"error\":\"The action exhausted its memory and was aborted.\"}"},
    {"out of memory", RUN, EVENT_ENDED, 0, NR_VERDICT_OOM, "", DEV,
     "{\"error\":\"The action exhausted its memory and was aborted.\"}"},
    {"time limit", RUN, EVENT_TIMEOUT, 0, 0, "", DEV,
     "{\"error\":\"The action exceeded its time limits of 1500 milliseconds.\"}"},
    {"init: error", INIT, EVENT_ANSWER, NR_FRAME_FAILED, 0, "{\"error\":\"no main\"}", DEV,
     "{\"error\":\"no main\"}"},
    {"init: text", INIT, EVENT_ANSWER, NR_FRAME_FAILED, 0, "bad", DEV,
     "{\"error\":\"The action failed during initialization: bad\"}"},
    {"init: nothing", INIT, EVENT_ANSWER, NR_FRAME_FAILED, 0, "", DEV,
     "{\"error\":\"The action failed during initialization.\"}"},
    {"init: exited", INIT, EVENT_ENDED, 0, NR_VERDICT_EXITED, "", DEV,
     "{\"error\":\"The action did not initialize and exited unexpectedly.\"}"},
    {"init: out of memory", INIT, EVENT_ENDED, 0, NR_VERDICT_OOM, "", DEV,
     "{\"error\":\"The action exhausted its memory and was aborted.\"}"},
    {"init: lost for want of memory", INIT, EVENT_LOST, 0, NR_VERDICT_OOM, "", DEV,
     "{\"error\":\"The action exhausted its memory and was aborted.\"}"},
    {"init: lost", INIT, EVENT_LOST, 0, 0, "", DEV,
     "{\"error\":\"The action did not initialize and exited unexpectedly.\"}"},
    {"init: time limit", INIT, EVENT_TIMEOUT, 0, 0, "", DEV,
     "{\"error\":\"The action exceeded its time limits of 1500 milliseconds during initialization.\"}"},
};

static void every_event(void **state)
{
    for (size_t i = 0; i < nr_countof(table); i++) {
        struct nr_arena arena;
        struct outcome o;
        const struct outcome_facts f = {.init = table[i].init,
                                        .event = table[i].event,
                                        .flags = table[i].flags,
                                        .verdict = table[i].verdict,
                                        .bytes = nr_str_of(table[i].bytes),
                                        .timeout_ms = 1500};

        nr_arena_init(&arena, 1 << 20);
        outcome_decide(&f, &arena, &o);
        if (o.status != table[i].status || !nr_str_eqz(o.result, table[i].result))
            fail_msg("%s: status %d, %.*s", table[i].name, o.status, (int)o.result.n, o.result.p);
        assert_int_equal(o.timed_out, table[i].event == EVENT_TIMEOUT);
        assert_int_equal(o.out_of_memory, strstr(table[i].result, "exhausted its memory") != NULL);
        assert_int_equal(o.is_array, strcmp(table[i].name, "array") == 0);
        assert_int_equal(outcome_reusable(&o, NR_VERDICT_OK),
                         o.status <= OUTCOME_APPLICATION_ERROR);
        assert_false(outcome_reusable(&o, NR_VERDICT_TAINTED));
        free(o.result_mem);
        nr_arena_fini(&arena);
    }
}

/* `n` letters as an answer with these flags; prefix: its eight bytes of true length. */
static void decide_long(struct outcome *o, struct nr_arena *arena, size_t n, uint64_t true_bytes)
{
    bool cut = true_bytes != 0;
    size_t at = cut ? sizeof(true_bytes) : 0;
    char *p = nr_alloc(n + at);

    memcpy(p, &true_bytes, at);
    memset(p + at, 'x', n);
    memcpy(p + at, "{\"x\":\"", 6);
    memcpy(p + at + n - 2, "\"}", 2);
    const struct outcome_facts f = {.event = EVENT_ANSWER,
                                    .flags = cut ? NR_FRAME_TRUNCATED : 0,
                                    .bytes = {p, n + at},
                                    .timeout_ms = 1};

    outcome_decide(&f, arena, o);
    free(p);
}

static bool begins(const struct outcome *o, const char *text)
{
    return o->result.n > strlen(text) && memcmp(o->result.p, text, strlen(text)) == 0;
}

static void result_limit(void **state)
{
    struct nr_arena arena;
    struct outcome o;

    nr_arena_init(&arena, 1 << 16);
    decide_long(&o, &arena, NR_RESULT_MAX_BYTES, 0);
    assert_int_equal(o.status, OUTCOME_SUCCESS);
    assert_int_equal(o.result.n, NR_RESULT_MAX_BYTES);
    free(o.result_mem);

    decide_long(&o, &arena, NR_RESULT_MAX_BYTES + 1, 0);
    assert_int_equal(o.status, APP);
    assert_true(
        begins(&o, "{\"error\":\"The action produced a response that exceeded the allowed length: "
                   "1048577 > 1048576 bytes. The truncated response was: {\\\"x\\\":\\\"xx"));
    assert_true(o.result.n < 70000);
    free(o.result_mem);

    decide_long(&o, &arena, NR_RESULT_MAX_BYTES, 2147483648u);
    assert_int_equal(o.status, APP);
    assert_true(
        begins(&o, "{\"error\":\"The action produced a response that exceeded the allowed length: "
                   "2147483648 > 1048576 bytes. "));
    free(o.result_mem);
    nr_arena_fini(&arena);
}

/* Each allocation that fails leaves an outcome, never a crash or an empty result. */
static void without_memory(void **state)
{
    for (long n = 1; n <= 6; n++) {
        struct nr_arena arena;
        struct outcome o;

        nr_arena_init(&arena, 1 << 16);
        nr_mem_fail_at(n, 1);
        decide_long(&o, &arena, NR_RESULT_MAX_BYTES + 1, 0);
        nr_mem_fail_at(0, 0);
        assert_true(o.result.n > 0);
        free(o.result_mem);
        nr_mem_fail_at(n, -1);
        decide_long(&o, &arena, 100000, 0);
        nr_mem_fail_at(0, 0);
        assert_true(o.result.n > 0 && (n > 1 || o.status == OUTCOME_INTERNAL_ERROR));
        free(o.result_mem);
        nr_arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_event),
        cmocka_unit_test(result_limit),
        cmocka_unit_test(without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
