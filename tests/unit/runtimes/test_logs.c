/* Lines, stamps, bounds and the marker. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtimes/agent/logs.h"

#define STAMP "2026-01-02T03:04:05.123456789Z"

/* The frames' text in one piece, stamps replaced by a fixed one; made. */
static char *collect(struct logs *l, bool *ret_truncated, unsigned *ret_frames)
{
    struct outbox out = {0};
    size_t length = 0;
    char *text = calloc(1, 1);
    *ret_frames = 0;
    outbox_add(&out, logs_end(l, 42, ret_truncated));
    for (struct chunk *c = out.first; c; c = c->next) {
        struct nr_frame head;
        memcpy(&head, c->bytes, sizeof head);
        assert_int_equal(head.type, NR_FRAME_LOG);
        assert_int_equal(head.call, 42);
        assert_int_equal(head.length, c->size - sizeof head);
        assert_int_equal(head.flags, *ret_truncated ? NR_FRAME_TRUNCATED : 0);
        text = realloc(text, length + head.length + 1);
        memcpy(text + length, c->bytes + sizeof head, head.length);
        length += head.length;
        text[length] = 0;
        (*ret_frames)++;
    }
    outbox_fini(&out);
    assert_true(utf8_valid(text, length));
    for (char *p = text; *p; p = strchr(p, '\n') + 1) {
        assert_true(p[4] == '-' && p[10] == 'T' && p[19] == '.' && p[29] == 'Z');
        memcpy(p, STAMP, 30);
    }
    return text;
}

static void expect(struct logs *l, const char *text, bool truncated)
{
    bool cut;
    unsigned frames;
    char *got = collect(l, &cut, &frames);
    assert_string_equal(got, text);
    assert_int_equal(cut, truncated);
    free(got);
    logs_fini(l);
}

static void add(struct logs *l, enum log_stream stream, const char *text)
{
    logs_add(l, stream, text, strlen(text));
}

static void lines_of_two_streams(void **state)
{
    struct logs l = {0};
    (void)state;
    logs_begin(&l, 10000);
    add(&l, LOG_STDOUT, "one\ntw");
    add(&l, LOG_STDERR, "bad\n");
    add(&l, LOG_STDOUT, "o\n\nrest");
    expect(&l,
           STAMP " stdout: one\n" STAMP " stderr: bad\n" STAMP " stdout: two\n" STAMP
                 " stdout: \n" STAMP " stdout: rest\n",
           false);
}

static void nothing_outside_of_a_call(void **state)
{
    struct logs l = {0};
    (void)state;
    add(&l, LOG_STDOUT, "before\nhalf");
    logs_begin(&l, 10000);
    add(&l, LOG_STDOUT, "in\n");
    assert_int_equal(l.dropped_bytes, 11);
    expect(&l, STAMP " stdout: in\n", false);
}

static void cut_at_the_limit(void **state)
{
    struct logs l = {0};
    (void)state;
    logs_begin(&l, 2 * 40 + 3);
    add(&l, LOG_STDOUT, "\nabc\nmore\n");
    add(&l, LOG_STDERR, "never\n");
    expect(
        &l,
        STAMP
        " stdout: \n" STAMP " stdout: abc\n" STAMP
        " stderr: Logs were truncated because the total bytes size exceeds the limit of 83 bytes.\n",
        true);
    logs_begin(&l, 2 * 40 + 3);
    add(&l, LOG_STDOUT, "\nabc\n");
    expect(&l, STAMP " stdout: \n" STAMP " stdout: abc\n", false);
    logs_begin(&l, 40 + 3);
    add(&l, LOG_STDOUT, "abcd\n");
    expect(
        &l,
        STAMP
        " stdout: abc\n" STAMP
        " stderr: Logs were truncated because the total bytes size exceeds the limit of 43 bytes.\n",
        true);
}

static void limit_of_zero_is_silence(void **state)
{
    struct logs l = {0};
    (void)state;
    logs_begin(&l, 0);
    add(&l, LOG_STDOUT, "text\n");
    expect(&l, "", false);
}

static void a_flood_costs_the_limit(void **state)
{
    static char line[64 << 10];
    struct logs l = {0};
    bool cut;
    unsigned frames;
    (void)state;
    memset(line, 'x', sizeof line);
    logs_begin(&l, 1 << 20);
    for (int i = 0; i < 4096; i++)
        logs_add(&l, LOG_STDOUT, line, sizeof line);
    assert_true(l.used_bytes <= 1 << 20);
    assert_true(l.dropped_bytes > 250u << 20);
    char *text = collect(&l, &cut, &frames);
    assert_true(cut && strlen(text) <= (1 << 20) + 256 && frames > 1);
    for (char *p = text; *p; p = strchr(p, '\n') + 1)
        assert_true(strchr(p, '\n') - p <= LOG_LINE_MAX_BYTES + 39);
    free(text);
    logs_fini(&l);
}

/* However a line comes: the longest that is allowed is one line, one byte more is two, and none has an empty one behind it. */
static void the_longest_line_is_one(void **state)
{
    static const struct {
        size_t length, piece;
        int lines;
    } rows[] = {
        {LOG_LINE_MAX_BYTES, LOG_LINE_MAX_BYTES, 1},
        {LOG_LINE_MAX_BYTES, 4096, 1},
        {LOG_LINE_MAX_BYTES, 1000, 1},
        {LOG_LINE_MAX_BYTES + 1, 4096, 2},
        {LOG_LINE_MAX_BYTES + 1, LOG_LINE_MAX_BYTES, 2},
        {2 * LOG_LINE_MAX_BYTES, 4096, 2},
    };
    static char line[2 * LOG_LINE_MAX_BYTES];
    (void)state;
    memset(line, 'x', sizeof line);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct logs l = {0};
        bool cut;
        unsigned frames;
        int lines = 0;
        logs_begin(&l, 1 << 20);
        for (size_t at = 0; at < rows[i].length; at += rows[i].piece) {
            size_t left = rows[i].length - at;
            logs_add(&l, LOG_STDOUT, line + at, left < rows[i].piece ? left : rows[i].piece);
        }
        add(&l, LOG_STDOUT, "\n");
        char *text = collect(&l, &cut, &frames);
        for (char *p = text; *p; p = strchr(p, '\n') + 1)
            lines++;
        assert_int_equal(lines, rows[i].lines);
        assert_int_equal(strlen(text), rows[i].length + (size_t)lines * 40);
        free(text);
        logs_fini(&l);
    }
}

static void long_lines_split_between_characters(void **state)
{
    struct logs l = {0};
    bool cut;
    unsigned frames;
    (void)state;
    logs_begin(&l, 1 << 20);
    add(&l, LOG_STDOUT, "z");
    for (int i = 0; i < 40000; i++)
        add(&l, LOG_STDOUT, "\xc3\xa9");
    char *text = collect(&l, &cut, &frames);
    assert_false(cut);
    assert_null(strstr(text, "\xef\xbf\xbd"));
    assert_int_equal(strlen(text), 80001 + 2 * 40);
    free(text);
    logs_fini(&l);
}

static void sentinels_are_counted_not_shown(void **state)
{
    struct logs l = {.strip_sentinel = true};
    (void)state;
    logs_begin(&l, 10000);
    add(&l, LOG_STDOUT, "a\nXXX_THE_END_OF_A_WHISK_ACTI");
    assert_int_equal(l.sentinels[LOG_STDOUT], 0);
    add(&l, LOG_STDOUT, "VATION_XXX\nXXX_THE_END_OF_A_WHISK_ACTIVATION_XXX!\n");
    assert_int_equal(l.sentinels[LOG_STDOUT], 1);
    assert_int_equal(l.sentinels[LOG_STDERR], 0);
    expect(&l, STAMP " stdout: a\n" STAMP " stdout: XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX!\n",
           false);
}

static void text_is_made_valid(void **state)
{
    static const struct {
        const char *from;
        size_t length;
        const char *to;
    } cases[] = {
        {"plain", 5, "plain"},
        {"a\0b", 3,
         "a\xef\xbf\xbd"
         "b"},
        {"\xc3\xa9\xe4\xb8\x96\xf0\x9f\x98\x80", 9, "\xc3\xa9\xe4\xb8\x96\xf0\x9f\x98\x80"},
        {"\xc0\x80", 2, "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf4\x90\x80\x80", 4, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xe4\xb8", 2, "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xff", 1, "\xef\xbf\xbd"},
    };
    char to[64];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t n = utf8_clean(to, cases[i].from, cases[i].length);
        assert_int_equal(n, strlen(cases[i].to));
        assert_memory_equal(to, cases[i].to, n);
        assert_true(utf8_valid(to, n));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_two_streams),
        cmocka_unit_test(nothing_outside_of_a_call),
        cmocka_unit_test(cut_at_the_limit),
        cmocka_unit_test(limit_of_zero_is_silence),
        cmocka_unit_test(a_flood_costs_the_limit),
        cmocka_unit_test(the_longest_line_is_one),
        cmocka_unit_test(long_lines_split_between_characters),
        cmocka_unit_test(sentinels_are_counted_not_shown),
        cmocka_unit_test(text_is_made_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
