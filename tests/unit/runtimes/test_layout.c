/* The headers that are compiled elsewhere, by users and for images, say again what the agent and the host say: all must agree. */
#include "unit.h"

#include "ports/frames.h"
#include "runtimes/agent/control.h"
#include "runtimes/native/narae.h"
#include "runtimes/python/wire.h"

#define same_field(a, b, field)                                                                    \
    do {                                                                                           \
        assert_int_equal(offsetof(struct a, field), offsetof(struct b, field));                    \
        assert_int_equal(sizeof(((struct a *)NULL)->field), sizeof(((struct b *)NULL)->field));    \
    } while (0)

static void frames_agree(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct narae_frame), sizeof(struct nr_frame));
    same_field(narae_frame, nr_frame, length);
    same_field(narae_frame, nr_frame, type);
    same_field(narae_frame, nr_frame, flags);
    same_field(narae_frame, nr_frame, value_at);
    same_field(narae_frame, nr_frame, call);
    assert_int_equal(sizeof(struct narae_end), sizeof(struct nr_frame_end));
    same_field(narae_end, nr_frame_end, verdict);
    same_field(narae_end, nr_frame_end, exit_status);
    assert_int_equal(NARAE_RUN_MAX_BYTES, NR_FRAME_META_MAX_BYTES + NR_FRAME_VALUE_MAX_BYTES);
}

static void numbers_agree(void **state)
{
    static const int pairs[][2] = {
        {NARAE_INIT_DONE, NR_FRAME_INIT_DONE},
        {NARAE_ANSWER, NR_FRAME_ANSWER},
        {NARAE_END, NR_FRAME_END},
        {NARAE_INIT, NR_FRAME_INIT},
        {NARAE_RUN, NR_FRAME_RUN},
        {NARAE_FAILED, NR_FRAME_FAILED},
        {NARAE_TRUNCATED, NR_FRAME_TRUNCATED},
        {NARAE_OK, NR_VERDICT_OK},
        {NARAE_TAINTED, NR_VERDICT_TAINTED},
        {NARAE_TO_INIT, CONTROL_INIT},
        {NARAE_TO_SERVE, CONTROL_SERVE},
        {NARAE_TO_REDIALLED, CONTROL_REDIALLED},
        {NARAE_LOADED, CONTROL_LOADED},
        {NARAE_FORKED, CONTROL_FORKED},
        {NARAE_DONE, CONTROL_DONE},
        {NARAE_LOST, CONTROL_LOST},
        {NARAE_CONTROL_FD, CONTROL_FD},
        {NARAE_PAGE_FD, CONTROL_PAGE_FD},
    };
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        assert_int_equal(pairs[i][0], pairs[i][1]);
}

static void control_agrees(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct narae_control), sizeof(struct control));
    same_field(narae_control, control, type);
    same_field(narae_control, control, slot);
    same_field(narae_control, control, call);
    same_field(narae_control, control, value);
    same_field(narae_control, control, length);
    assert_int_equal(sizeof(struct narae_line), sizeof(struct control_slot));
    same_field(narae_line, control_slot, activity);
    same_field(narae_line, control_slot, answering);
    same_field(narae_line, control_slot, call);
    same_field(narae_line, control_slot, begun);
    same_field(narae_line, control_slot, ended);
}

static void python_agrees(void **state)
{
    static const int pairs[][2] = {
        {FRAME_INIT_DONE, NR_FRAME_INIT_DONE},
        {FRAME_ANSWER, NR_FRAME_ANSWER},
        {FRAME_END, NR_FRAME_END},
        {FRAME_RUN, NR_FRAME_RUN},
        {FLAG_FAILED, NR_FRAME_FAILED},
        {FLAG_TRUNCATED, NR_FRAME_TRUNCATED},
        {VERDICT_OK, NR_VERDICT_OK},
        {VERDICT_TAINTED, NR_VERDICT_TAINTED},
        {CONTROL_SAY_DONE, CONTROL_DONE},
        {FRAME_MAX_BYTES, NARAE_RUN_MAX_BYTES},
    };
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        assert_int_equal(pairs[i][0], pairs[i][1]);
    assert_int_equal(sizeof(struct wire_frame), sizeof(struct nr_frame));
    same_field(wire_frame, nr_frame, length);
    same_field(wire_frame, nr_frame, type);
    same_field(wire_frame, nr_frame, flags);
    same_field(wire_frame, nr_frame, value_at);
    same_field(wire_frame, nr_frame, call);
    assert_int_equal(sizeof(struct wire_end), sizeof(struct nr_frame_end));
    same_field(wire_end, nr_frame_end, verdict);
    same_field(wire_end, nr_frame_end, exit_status);
    assert_int_equal(sizeof(struct wire_control), sizeof(struct control));
    same_field(wire_control, control, type);
    same_field(wire_control, control, slot);
    same_field(wire_control, control, call);
    same_field(wire_control, control, value);
    same_field(wire_control, control, length);
    assert_int_equal(sizeof(struct wire_line), sizeof(struct control_slot));
    same_field(wire_line, control_slot, activity);
    same_field(wire_line, control_slot, answering);
    same_field(wire_line, control_slot, call);
    same_field(wire_line, control_slot, begun);
    same_field(wire_line, control_slot, ended);
}

/* What a function's author sees. */
static void meta_is_read(void **state)
{
    static const char meta[] =
        "{\"activation_id\":\"abc\",\"namespace\": \"gu\\\"est\",\"deadline\":\"17\",\"value\":";
    struct narae_call call = {.meta = meta, .meta_length = sizeof meta - 1};
    char to[16];
    (void)state;
    assert_string_equal(narae_meta(&call, "activation_id", to, sizeof to), "abc");
    assert_string_equal(narae_meta(&call, "namespace", to, sizeof to), "gu\\\"est");
    assert_string_equal(narae_meta(&call, "deadline", to, 3), "17");
    assert_null(narae_meta(&call, "deadline", to, 2));
    assert_null(narae_meta(&call, "api_key", to, sizeof to));
    assert_null(narae_meta(&call, "value", to, sizeof to));
}

static void failures_are_json(void **state)
{
    struct narae_call call = {0};
    char longer[2000];
    (void)state;
    assert_int_equal(narae_fail(&call, "a \"b\" \\ c\n"), 1);
    assert_string_equal(call.sentence, "a \\\"b\\\" \\\\ c ");
    memset(longer, '"', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    narae_fail(&call, longer);
    assert_true(strlen(call.sentence) < sizeof call.sentence);
    assert_int_equal(strlen(call.sentence) % 2, 0);
}

int main(void)
{
    (void)narae_serve;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_agree),   cmocka_unit_test(numbers_agree),
        cmocka_unit_test(control_agrees), cmocka_unit_test(python_agrees),
        cmocka_unit_test(meta_is_read),   cmocka_unit_test(failures_are_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
