/* Views, numbers, UTF-8, base64, hex, percent. */
#include "check.h"

#include "common/base/clock.h"
#include "common/base/mem.h"

static void test_compare(void **state)
{
    assert_true(nr_str_eq(NR_STR("ab"), NR_STR("ab")));
    assert_false(nr_str_eq(NR_STR("ab"), NR_STR("abc")));
    assert_true(nr_str_eq((struct nr_str){NULL, 0}, NR_STR("")));
    assert_true(nr_str_eqz(NR_STR("ab"), "ab"));
    assert_false(nr_str_eqz(NR_STR("a\0"), "a"));
    assert_true(nr_str_ieqz(NR_STR("Basic"), "bAsIC"));
    assert_false(nr_str_ieqz(NR_STR("Basi"), "basic"));
    assert_false(nr_str_ieqz(NR_STR("Basics"), "basic"));
    assert_false(nr_str_ieqz(NR_STR("["), "{"));
    assert_true(nr_str_starts(NR_STR("/api/v1"), "/api/"));
    assert_false(nr_str_starts(NR_STR("/ap"), "/api/"));
    assert_true(nr_str_starts(NR_STR(""), ""));
    assert_true(nr_same_bytes("abc", "abd", 2));
    assert_false(nr_same_bytes("abc", "abd", 3));
    assert_true(nr_same_bytes("", "", 0));
    char secret[] = "key";

    nr_str_wipe(nr_str_of(secret));
    assert_memory_equal(secret, "\0\0\0", 4);
    nr_str_wipe((struct nr_str){NULL, 0});
}

static void test_split(void **state)
{
    struct nr_str rest = NR_STR("a,,bc"), part, absent = {NULL, 0};

    assert_true(nr_str_split(&rest, ',', &part));
    assert_str_is(part, "a");
    assert_true(nr_str_split(&rest, ',', &part));
    assert_str_is(part, "");
    assert_true(nr_str_split(&rest, ',', &part));
    assert_str_is(part, "bc");
    assert_false(nr_str_split(&rest, ',', &part));
    assert_false(nr_str_split(&absent, ',', &part));
    rest = NR_STR("a,");
    assert_true(nr_str_split(&rest, ',', &part));
    assert_true(nr_str_split(&rest, ',', &part));
    assert_str_is(part, "");
    assert_false(nr_str_split(&rest, ',', &part));
}

static void test_numbers(void **state)
{
    static const struct {
        const char *text;
        int64_t min, max;
        bool ok;
        int64_t value;
    } cases[] = {
        {"0", 0, 9, true, 0},
        {"007", 0, 9, true, 7},
        {"9", 0, 9, true, 9},
        {"10", 0, 9, false, 0},
        {"", 0, 9, false, 0},
        {"-", -9, 9, false, 0},
        {"-1", -9, 9, true, -1},
        {"-0", 0, 9, false, 0},
        {"+1", 0, 9, false, 0},
        {" 1", 0, 9, false, 0},
        {"1 ", 0, 9, false, 0},
        {"1x", 0, 9, false, 0},
        {"9223372036854775807", INT64_MIN, INT64_MAX, true, INT64_MAX},
        {"9223372036854775808", INT64_MIN, INT64_MAX, false, 0},
        {"-9223372036854775808", INT64_MIN, INT64_MAX, true, INT64_MIN},
        {"-9223372036854775809", INT64_MIN, INT64_MAX, false, 0},
        {"99999999999999999999999", INT64_MIN, INT64_MAX, false, 0},
    };

    for (size_t i = 0; i < nr_countof(cases); i++) {
        int64_t v = 42;
        bool ok = nr_str_to_i64(nr_str_of(cases[i].text), cases[i].min, cases[i].max, &v);

        if (ok != cases[i].ok)
            print_error("\"%s\"\n", cases[i].text);
        assert_int_equal(ok, cases[i].ok);
        assert_int_equal(v, ok ? cases[i].value : 42);
    }
}

/* Every code point is written, measured and found valid; every surrogate and every overlong form is not. */
static void test_utf8_all_characters(void **state)
{
    char text[4];

    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        size_t n = nr_utf8_put(c, text);
        bool surrogate = c >= 0xD800 && c <= 0xDFFF;

        assert_int_equal(nr_utf8_len(text, text + n), surrogate ? 0 : n);
        if (n > 1)
            assert_int_equal(nr_utf8_len(text, text + n - 1), 0);
    }
}

static void test_utf8_bad(void **state)
{
    static const char *const bad[] = {
        "\x80",
        "\xC0\x80",
        "\xC1\xBF",
        "\xC2",
        "\xC2\x41",
        "\xE0\x80\x80",
        "\xE0\x9F\xBF",
        "\xE2\x82",
        "\xED\xA0\x80",
        "\xF0\x80\x80\x80",
        "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80",
        "\xF5\x80\x80\x80",
        "\xFF",
        "long enough for words \xFF and more",
        "12345678\xC2",
    };

    for (size_t i = 0; i < nr_countof(bad); i++)
        assert_false(nr_utf8_valid(nr_str_of(bad[i])));
    assert_true(nr_utf8_valid(NR_STR("12345678\xC3\xA9 12345678 \xE2\x82\xAC \xF0\x9F\x98\x80")));
    assert_true(nr_utf8_valid((struct nr_str){NULL, 0}));
}

static void test_base64_vectors(void **state)
{
    static const struct {
        const char *text, *plain;
    } good[] = {
        {"", ""},
        {"Zg==", "f"},
        {"Zg", "f"},
        {"Zm8=", "fo"},
        {"Zm8", "fo"},
        {"Zm9v", "foo"},
        {"Zm9vYg==", "foob"},
        {"Zm9vYmFy", "foobar"},
        {"+/+/", "\xFB\xFF\xBF"},
        {" Zm9v\r\n", "foo"},
    };
    static const char *const bad[] = {"Z",     "Zg=",   "Zg===", "=",        "====",    "Z===",
                                      "Zm9v=", "Zm9vZ", "Zm 9v", "Zm9v-_-_", "Zg==Zg=="};
    unsigned char out[32];

    for (size_t i = 0; i < nr_countof(good); i++) {
        ssize_t n = nr_base64_decode(nr_str_of(good[i].text), out);

        assert_int_equal(n, strlen(good[i].plain));
        assert_memory_equal(out, good[i].plain, (size_t)n);
    }
    for (size_t i = 0; i < nr_countof(bad); i++)
        assert_int_equal(nr_base64_decode(nr_str_of(bad[i]), out), -1);
}

static void test_base64_round_trip(void **state)
{
    unsigned char bytes[100], back[128];
    char text[200];

    nr_random(bytes, sizeof(bytes));
    for (size_t n = 0; n <= sizeof(bytes); n++) {
        size_t length = nr_base64_encode(bytes, n, text);

        assert_int_equal(length, 4 * ((n + 2) / 3));
        assert_int_equal(strlen(text), length);
        assert_int_equal(nr_base64_looks(nr_str_of(text)), n > 0);
        assert_int_equal(nr_base64_decode(nr_str_of(text), back), n);
        assert_memory_equal(back, bytes, n);
        while (length && text[length - 1] == '=')
            length--;
        assert_int_equal(nr_base64_decode((struct nr_str){text, length}, back), n);
    }
}

/* Each of the 256 bytes, in each of the four places. */
static void test_base64_alphabet(void **state)
{
    unsigned char out[8];

    for (int place = 0; place < 4; place++)
        for (int c = 0; c < 256; c++) {
            char text[5] = "AAAA";
            bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                          (c >= '0' && c <= '9') || c == '+' || c == '/';

            text[place] = (char)c;
            if (c == '=' || c <= ' ')
                continue;
            assert_int_equal(nr_base64_decode((struct nr_str){text, 4}, out), letter ? 3 : -1);
            assert_int_equal(nr_base64_looks((struct nr_str){text, 4}), letter);
        }
}

static void test_base64_looks(void **state)
{
    assert_true(nr_base64_looks(NR_STR(" UEsDBA== \n")));
    assert_false(nr_base64_looks(NR_STR("")));
    assert_false(nr_base64_looks(NR_STR("   ")));
    assert_false(nr_base64_looks(NR_STR("====")));
    assert_false(nr_base64_looks(NR_STR("abc")));
    assert_false(nr_base64_looks(NR_STR("a=bc")));
    assert_false(nr_base64_looks(NR_STR("def main(args): return {}")));
}

static void test_hex(void **state)
{
    char text[9];
    unsigned char back[4] = {9, 9, 9, 9};

    nr_hex("\x00\x1f\xa0\xff", 4, text);
    assert_string_equal(text, "001fa0ff");
    assert_true(nr_hex_decode(NR_STR("001FA0ff"), back));
    assert_memory_equal(back, "\x00\x1f\xa0\xff", 4);
    assert_false(nr_hex_decode(NR_STR("0"), back));
    assert_false(nr_hex_decode(NR_STR("11zz"), back));
    assert_memory_equal(back, "\x00\x1f\xa0\xff", 4);
    assert_true(nr_hex_decode(NR_STR(""), back));
}

static void test_percent(void **state)
{
    static const struct {
        const char *text;
        bool plus;
        const char *plain; /* NULL: refused */
    } cases[] = {
        {"a%20b", false, "a b"}, {"a+b", true, "a b"}, {"a+b", false, "a+b"},
        {"%2f%2F", false, "//"}, {"%", false, NULL},   {"%2", false, NULL},
        {"a%2", false, NULL},    {"%zz", false, NULL}, {"%2z", false, NULL},
        {"%00", false, NULL},    {"", false, ""},      {"%e2%82%ac", false, "\xE2\x82\xAC"},
    };
    char out[64], back[64];

    for (size_t i = 0; i < nr_countof(cases); i++) {
        ssize_t n = nr_pct_decode(nr_str_of(cases[i].text), cases[i].plus, out);

        assert_int_equal(n, cases[i].plain ? (ssize_t)strlen(cases[i].plain) : -1);
        if (n > 0)
            assert_memory_equal(out, cases[i].plain, (size_t)n);
    }
    assert_int_equal(nr_pct_decode(NR_STR("a\0b"), false, out), -1);
    assert_int_equal(nr_pct_encode(NR_STR("a b/_.-%\0\xC3\xA9Z"), out),
                     strlen("a%20b%2F_.-%25%00%C3%A9Z"));
    assert_string_equal(out, "a%20b%2F_.-%25%00%C3%A9Z");
    nr_pct_encode(NR_STR("caf\xC3\xA9 +1"), out);
    assert_int_equal(nr_pct_decode(nr_str_of(out), true, back), 8);
    assert_memory_equal(back, "caf\xC3\xA9 +1", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare),           cmocka_unit_test(test_split),
        cmocka_unit_test(test_numbers),           cmocka_unit_test(test_utf8_all_characters),
        cmocka_unit_test(test_utf8_bad),          cmocka_unit_test(test_base64_vectors),
        cmocka_unit_test(test_base64_round_trip), cmocka_unit_test(test_base64_alphabet),
        cmocka_unit_test(test_base64_looks),      cmocka_unit_test(test_hex),
        cmocka_unit_test(test_percent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
