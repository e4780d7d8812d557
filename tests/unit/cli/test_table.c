/* Widths of texts and tables, cells, bars: what a terminal gets. */
#include <stdio.h>

#include "cli/table.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "tests/unit/common/base/check.h"

static void assert_text(struct nr_buf *b, const char *expected)
{
    nr_buf_addc(b, '\0');
    assert_false(b->failed);
    assert_string_equal(b->p, expected);
    nr_buf_fini(b);
}

static void widths_of_texts(void **state)
{
    static const struct {
        const char *text;
        unsigned columns;
    } texts[] = {{"", 0},
                 {"abc", 3},
                 {"\303\251t\303\251", 3},        /* été */
                 {"e\314\201", 1},                /* e and a combining accent */
                 {"\345\271\263\346\210\220", 4}, /* two wide characters */
                 {"\352\260\200", 2},             /* a Hangul syllable */
                 {"\360\237\232\200", 2},         /* a rocket */
                 {"\377\376", 2}};                /* no UTF-8: a column each */

    (void)state;
    for (size_t i = 0; i < nr_countof(texts); i++)
        assert_int_equal(text_columns(nr_str_of(texts[i].text)), texts[i].columns);
}

static void a_text_is_cut_to_its_columns(void **state)
{
    static const struct {
        const char *text;
        unsigned columns, taken;
        bool utf8;
        const char *cut;
    } cuts[] = {{"hello", 5, 5, true, "hello"},
                {"hello", 4, 4, true, "hel\342\200\246"},
                {"hello", 4, 4, false, "hel~"},
                {"hello", 1, 1, true, "\342\200\246"},
                {"hello", 0, 0, true, ""},
                {"\345\271\263\346\210\220\345\271\263", 4, 3, true, "\345\271\263\342\200\246"},
                {"\345\271\263\346\210\220", 4, 4, true, "\345\271\263\346\210\220"}};

    (void)state;
    for (size_t i = 0; i < nr_countof(cuts); i++) {
        const struct terminal t = {.utf8 = cuts[i].utf8};
        struct nr_buf b;

        nr_buf_init(&b, 256);
        assert_int_equal(text_add_cut(&t, nr_str_of(cuts[i].text), cuts[i].columns, &b),
                         cuts[i].taken);
        assert_text(&b, cuts[i].cut);
    }
}

static void what_could_harm_a_terminal_is_made_harmless(void **state)
{
    struct nr_buf b;

    (void)state;
    nr_buf_init(&b, 256);
    text_add_clean(NR_STR("a\033[2Jb\nc\td\177\302\233e\342\200\256f\377g\303\251"), &b);
    assert_text(&b, "a?[2Jb c d??e?f?g\303\251");
}

static void bars(void **state)
{
    static const struct {
        double part, whole;
        unsigned width;
        bool utf8;
        const char *bar;
    } rows[] = {{0, 10, 4, false, "    "},  {5, 10, 4, false, "##  "},  {10, 10, 4, false, "####"},
                {20, 10, 4, false, "####"}, {-1, 10, 4, false, "    "}, {5, 0, 4, false, "    "},
                {5, 10, 4, true, "██  "},   {1, 16, 2, true, "▏ "}};

    (void)state;
    for (size_t i = 0; i < nr_countof(rows); i++) {
        const struct terminal t = {.utf8 = rows[i].utf8};
        struct nr_buf b;

        nr_buf_init(&b, 256);
        text_add_bar(&t, rows[i].part, rows[i].whole, rows[i].width, &b);
        assert_text(&b, rows[i].bar);
    }
}

static void cells(void **state)
{
    static const struct {
        const char *json;
        enum cell_form form;
        const char *text;
    } rows[] = {{"null", CELL_TEXT, "-"},
                {"\"\"", CELL_TEXT, "-"},
                {"\"a b\"", CELL_STATE, "a b"},
                {"12", CELL_NUMBER, "12"},
                {"0.5", CELL_NUMBER, "0.5"},
                {"256", CELL_MB, "256 MB"},
                {"60000", CELL_MS, "60000 ms"},
                {"1.25", CELL_MS, "1.2 ms"},
                {"0", CELL_BYTES, "0 B"},
                {"1023", CELL_BYTES, "1023 B"},
                {"1536", CELL_BYTES, "1.5 KB"},
                {"52428800", CELL_BYTES, "50 MB"},
                {"59000", CELL_AGE, "59s"},
                {"90000", CELL_AGE, "1.5m"},
                {"[1,2]", CELL_LIST, "1,2"},
                {"-1", CELL_LIMIT, "none"},
                {"null", CELL_LIMIT, "none"},
                {"0", CELL_LIMIT, "0"},
                {"[\"prod\",\"beta\"]", CELL_LIST, "prod,beta"},
                {"[]", CELL_LIST, "-"},
                {"3", CELL_LIST, "3"},
                {"true", CELL_YES, "yes"},
                {"false", CELL_YES, "-"},
                {"{\"prod\":{\"version\":2}}", CELL_OBJECT, "prod=2"},
                {"\"egress\"", CELL_OBJECT, "egress"},
                {"\"not a number\"", CELL_MB, "not a number"}};

    (void)state;
    for (size_t i = 0; i < nr_countof(rows); i++) {
        nr_auto_json json_t *j = nr_json_parse(nr_str_of(rows[i].json), NULL);
        struct nr_buf b;

        nr_buf_init(&b, 256);
        cell_add(j, rows[i].form, &b);
        assert_text(&b, rows[i].text);
    }
}

static void columns_are_cut_then_left_out(void **state)
{
    static const struct {
        unsigned limit;
        size_t shown;
        unsigned widths[4]; /* of those that are shown */
    } rows[] = {{0, 4, {20, 5, 30, 10}},
                {200, 4, {20, 5, 30, 10}},
                {71, 4, {20, 5, 30, 10}},
                {61, 4, {20, 5, 20, 10}},
                {41, 4, {10, 5, 10, 10}},
                {31, 4, {4, 5, 6, 10}},
                {30, 3, {10, 5, 11}},
                {19, 3, {4, 5, 6}},
                {18, 2, {11, 5}},
                {11, 2, {4, 5}},
                {10, 1, {10}},
                {3, 1, {3}}};

    (void)state;
    for (size_t i = 0; i < nr_countof(rows); i++) {
        struct table_room room[] = {{20, 4}, {5, 0}, {30, 6}, {10, 0}};
        unsigned sum = 0;
        size_t shown = table_fit(room, 4, rows[i].limit);

        assert_int_equal(shown, rows[i].shown);
        for (size_t k = 0; k < shown; k++) {
            assert_int_equal(room[k].width, rows[i].widths[k]);
            sum += room[k].width + (k ? 2 : 0);
        }
        assert_true(rows[i].limit == 0 || sum <= rows[i].limit);
    }
}

/* An id that people copy stays whole while there are columns behind the third to leave out. */
static void a_dear_column_is_cut_last(void **state)
{
    static const struct {
        unsigned limit;
        size_t shown;
        unsigned dear;
    } rows[] = {{100, 5, 32}, {65, 5, 32}, {57, 4, 32}, {48, 3, 32},
                {40, 3, 24},  {24, 3, 8},  {20, 2, 10}};

    (void)state;
    for (size_t i = 0; i < nr_countof(rows); i++) {
        struct table_room room[] = {{8, 0}, {32, 8, true}, {4, 0}, {7, 0}, {20, 6}};

        assert_int_equal(table_fit(room, 5, rows[i].limit), rows[i].shown);
        assert_int_equal(room[1].width, rows[i].dear);
    }
}

static void a_table_is_as_wide_as_it_may_be(void **state)
{
    static const struct column columns[] = {{"NAME", "name", CELL_TEXT, 4},
                                            {"SIZE", "limits.size", CELL_MB, 0},
                                            {"NOTE", "note", CELL_TEXT, 4},
                                            {"MORE", "more", CELL_TEXT, 0, true}};
    static const struct {
        unsigned columns;
        bool wide;
        const char *text;
    } tables[] = {
        {0, false, "NAME         SIZE  NOTE\nlonger-name  1 MB  first one\nb               -  -\n"},
        {0, true,
         "NAME         SIZE  NOTE       MORE\nlonger-name  1 MB  first one  x\n"
         "b               -  -          -\n"},
        {22, false,
         "NAME      SIZE  NOTE\nlonger\342\200\246   1 MB  first\342\200\246\n"
         "b            -  -\n"},
    };
    nr_auto_json json_t *rows = nr_json_parse(
        NR_STR("[{\"name\":\"longer-name\",\"limits\":{\"size\":1},\"note\":\"first one\","
               "\"more\":\"x\"},{\"name\":\"b\"}]"),
        NULL);

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const struct terminal t = {.columns = tables[i].columns, .utf8 = true};
        nr_auto_free char *text = NULL;
        size_t n;
        FILE *out = open_memstream(&text, &n);

        table_print(out, &t, tables[i].wide, columns, nr_countof(columns), rows);
        assert_int_equal(fclose(out), 0);
        assert_string_equal(text, tables[i].text);
    }
    for (unsigned limit = 20; limit < 40; limit++) { /* never a line wider than the terminal */
        const struct terminal t = {.columns = limit, .utf8 = true};
        nr_auto_free char *text = NULL;
        size_t n;
        FILE *out = open_memstream(&text, &n);

        table_print(out, &t, true, columns, nr_countof(columns), rows);
        assert_int_equal(fclose(out), 0);
        struct nr_str rest = {text, n}, line;
        while (nr_str_split(&rest, '\n', &line))
            assert_true(text_columns(line) <= limit);
    }
}

static void help_is_wrapped_below_itself(void **state)
{
    static const struct {
        unsigned columns, indent, at;
        const char *text, *wrapped;
    } rows[] = {
        {20, 2, 0, "one two three four five", "one two three four\n  five\n"},
        {20, 2, 2, "one two three four five", "one two three four\n  five\n"},
        {20, 2, 0, "averyveryverylongwordindeed a b", "averyveryverylongwordindeed\n  a b\n"},
        {0, 2, 0, "one two", "one two\n"},
        {20, 2, 0, "", "\n"}};

    (void)state;
    for (size_t i = 0; i < nr_countof(rows); i++) {
        const struct terminal t = {.columns = rows[i].columns};
        nr_auto_free char *text = NULL;
        size_t n;
        FILE *out = open_memstream(&text, &n);

        text_print_wrapped(out, &t, rows[i].indent, rows[i].at, rows[i].text);
        assert_int_equal(fclose(out), 0);
        assert_string_equal(text, rows[i].wrapped);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(widths_of_texts),
        cmocka_unit_test(a_text_is_cut_to_its_columns),
        cmocka_unit_test(what_could_harm_a_terminal_is_made_harmless),
        cmocka_unit_test(bars),
        cmocka_unit_test(cells),
        cmocka_unit_test(columns_are_cut_then_left_out),
        cmocka_unit_test(a_dear_column_is_cut_last),
        cmocka_unit_test(a_table_is_as_wide_as_it_may_be),
        cmocka_unit_test(help_is_wrapped_below_itself),
    };

    return cmocka_run_group_tests_name("cli/table", tests, NULL, NULL);
}
