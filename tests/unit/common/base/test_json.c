/* The scanner against a table and against jansson, the key finder, the parser's ceilings and sentences, the writer. */
#include "check.h"

#include "common/base/buf.h"
#include "common/base/json.h"
#include "common/base/mem.h"

/* Text and what it is. */
static const struct {
    const char *text;
    enum nr_json_kind kind;
} texts[] = {
    {"{}", NR_JSON_OBJECT},
    {" \t\r\n{ \"a\" : 1 , \"b\":[ ] }\n", NR_JSON_OBJECT},
    {"{\"a\":{\"b\":{\"c\":[1,2,{\"d\":null}]}}}", NR_JSON_OBJECT},
    {"[]", NR_JSON_ARRAY},
    {"[1,-2.5e+10,true,false,null,\"x\"]", NR_JSON_ARRAY},
    {"[[[[]]],[]]", NR_JSON_ARRAY},
    {"\"\"", NR_JSON_STRING},
    {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"", NR_JSON_STRING},
    {"\"\\ud83d\\ude00\"", NR_JSON_STRING},
    {"\"\\uD834\\uDD1E and on\"", NR_JSON_STRING},
    {"\"\\u0000\"", NR_JSON_STRING},
    {"\"\xE2\x82\xAC\xF0\x9F\x98\x80\x7F\"", NR_JSON_STRING},
    {"\"eight by eight by eight by eight\"", NR_JSON_STRING},
    {"0", NR_JSON_NUMBER},
    {"-0", NR_JSON_NUMBER},
    {"-0.0e-0", NR_JSON_NUMBER},
    {"1E5", NR_JSON_NUMBER},
    {"9223372036854775807", NR_JSON_NUMBER},
    {"123.456e-7", NR_JSON_NUMBER},
    {"true", NR_JSON_TRUE},
    {" false ", NR_JSON_FALSE},
    {"null", NR_JSON_NULL},
    {"{\"a\":1,\"a\":2}", NR_JSON_OBJECT},
    {"{\"\":\"\"}", NR_JSON_OBJECT},
    /* bad */
    {"", NR_JSON_BAD},
    {"   ", NR_JSON_BAD},
    {"{", NR_JSON_BAD},
    {"}", NR_JSON_BAD},
    {"[", NR_JSON_BAD},
    {"]", NR_JSON_BAD},
    {"[1,]", NR_JSON_BAD},
    {"[,1]", NR_JSON_BAD},
    {"[1 2]", NR_JSON_BAD},
    {"[1}", NR_JSON_BAD},
    {"{]", NR_JSON_BAD},
    {"{\"a\"}", NR_JSON_BAD},
    {"{\"a\":}", NR_JSON_BAD},
    {"{\"a\":1,}", NR_JSON_BAD},
    {"{,\"a\":1}", NR_JSON_BAD},
    {"{\"a\" 1}", NR_JSON_BAD},
    {"{a:1}", NR_JSON_BAD},
    {"{'a':1}", NR_JSON_BAD},
    {"{1:1}", NR_JSON_BAD},
    {"{\"a\":1 \"b\":2}", NR_JSON_BAD},
    {"{\"a\":1]", NR_JSON_BAD},
    {"{\"a\":[1}", NR_JSON_BAD},
    {"{} x", NR_JSON_BAD},
    {"{}{}", NR_JSON_BAD},
    {"1 2", NR_JSON_BAD},
    {"{}//", NR_JSON_BAD},
    {"\xEF\xBB\xBF{}", NR_JSON_BAD},
    {"\"", NR_JSON_BAD},
    {"\"abc", NR_JSON_BAD},
    {"\"abc\\", NR_JSON_BAD},
    {"\"abc\\\"", NR_JSON_BAD},
    {"\"a\nb\"", NR_JSON_BAD},
    {"\"a\x01\"", NR_JSON_BAD},
    {"\"long enough for words \t x\"", NR_JSON_BAD},
    {"\"\\x\"", NR_JSON_BAD},
    {"\"\\u\"", NR_JSON_BAD},
    {"\"\\u12\"", NR_JSON_BAD},
    {"\"\\u123g\"", NR_JSON_BAD},
    {"\"\\U0041\"", NR_JSON_BAD},
    {"\"\\ud83d\"", NR_JSON_BAD},
    {"\"\\ud83dx\"", NR_JSON_BAD},
    {"\"\\ud83d\\n\"", NR_JSON_BAD},
    {"\"\\ud83d\\u0041\"", NR_JSON_BAD},
    {"\"\\ud83d\\ud83d\"", NR_JSON_BAD},
    {"\"\\ude00\"", NR_JSON_BAD},
    {"\"\\ud83d\\ude0\"", NR_JSON_BAD},
    {"\"\xFF\"", NR_JSON_BAD},
    {"\"\xC0\x80\"", NR_JSON_BAD},
    {"\"\xED\xA0\x80\"", NR_JSON_BAD},
    {"\"\xF4\x90\x80\x80\"", NR_JSON_BAD},
    {"\"\xE2\x82\"", NR_JSON_BAD},
    {"\"\xE2\x82", NR_JSON_BAD},
    {"\"12345678\xC3\"", NR_JSON_BAD},
    {"01", NR_JSON_BAD},
    {"-", NR_JSON_BAD},
    {"-a", NR_JSON_BAD},
    {"+1", NR_JSON_BAD},
    {".5", NR_JSON_BAD},
    {"1.", NR_JSON_BAD},
    {"1.e5", NR_JSON_BAD},
    {"1e", NR_JSON_BAD},
    {"1e+", NR_JSON_BAD},
    {"0x10", NR_JSON_BAD},
    {"1_000", NR_JSON_BAD},
    {"-01", NR_JSON_BAD},
    {"NaN", NR_JSON_BAD},
    {"Infinity", NR_JSON_BAD},
    {"tru", NR_JSON_BAD},
    {"truex", NR_JSON_BAD},
    {"TRUE", NR_JSON_BAD},
    {"nul", NR_JSON_BAD},
    {"[true,fals]", NR_JSON_BAD},
    {"\v1", NR_JSON_BAD},
    {"\xC2\xA0"
     "1",
     NR_JSON_BAD},
};

static enum nr_json_kind kind_of(const json_t *j)
{
    static const enum nr_json_kind kinds[] = {
        [JSON_OBJECT] = NR_JSON_OBJECT, [JSON_ARRAY] = NR_JSON_ARRAY,
        [JSON_STRING] = NR_JSON_STRING, [JSON_INTEGER] = NR_JSON_NUMBER,
        [JSON_REAL] = NR_JSON_NUMBER,   [JSON_TRUE] = NR_JSON_TRUE,
        [JSON_FALSE] = NR_JSON_FALSE,   [JSON_NULL] = NR_JSON_NULL,
    };

    return j ? kinds[json_typeof(j)] : NR_JSON_BAD;
}

static enum nr_json_kind by_jansson(struct nr_str text)
{
    nr_auto_json json_t *j = json_loadb(text.p, text.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

    return kind_of(j);
}

/* The text in memory of exactly its size, so that a sanitizer sees a read behind it. */
static enum nr_json_kind scan_exact(struct nr_str text)
{
    nr_auto_free char *copy = nr_alloc(text.n);

    if (text.n)
        memcpy(copy, text.p, text.n);
    return nr_json_scan((struct nr_str){copy, text.n});
}

static void agree(struct nr_str text, enum nr_json_kind kind)
{
    struct nr_err err = {0};
    nr_auto_json json_t *j = nr_json_parse(text, &err);
    enum nr_json_kind scanned = scan_exact(text);

    if (scanned != kind || kind_of(j) != kind || by_jansson(text) != kind)
        print_error("in: %.*s (%s)\n", (int)text.n, text.p, err.text);
    assert_int_equal(scanned, kind);
    assert_int_equal(by_jansson(text), kind);
    assert_int_equal(kind_of(j), kind);
    assert_int_equal(err.code, kind == NR_JSON_BAD ? NR_EINVAL : 0);
}

static void test_table(void **state)
{
    for (size_t i = 0; i < nr_countof(texts); i++)
        agree(nr_str_of(texts[i].text), texts[i].kind);
}

/* Whatever the text is, both must say the same. At a number that fits no type jansson stops without looking further. */
static void agree_on(const char *text, size_t n)
{
    struct nr_str s = {text, n};
    json_error_t e;
    nr_auto_json json_t *j = json_loadb(text, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);

    if (j || json_error_code(&e) != json_error_numeric_overflow)
        agree(s, kind_of(j));
}

/* Each prefix of each text, and each text with one byte changed to each of a few. */
static void test_agrees_with_jansson_on_damage(void **state)
{
    static const char changes[] = "\"\\{}[]:,0-.eu \n\x80\xC3\xFFt";
    char text[256];

    for (size_t i = 0; i < nr_countof(texts); i++) {
        size_t n = strlen(texts[i].text);

        for (size_t k = 0; k < n; k++) {
            memcpy(text, texts[i].text, n);
            agree_on(text, k);
            for (size_t c = 0; c < sizeof(changes) - 1; c++) {
                text[k] = changes[c];
                agree_on(text, n);
            }
            /* jansson reads over a NUL behind a number; it must never see one. */
            text[k] = '\0';
            assert_int_equal(scan_exact((struct nr_str){text, n}), NR_JSON_BAD);
            assert_null(nr_json_parse((struct nr_str){text, n}, NULL));
        }
    }
}

/* Every escape \uXXXX alone, and every high with a few low halves. */
static void test_every_escape(void **state)
{
    char text[32];

    for (unsigned c = 0; c < 0x10000; c++) {
        int n = snprintf(text, sizeof(text), "\"\\u%04x\"", c);

        assert_int_equal(nr_json_scan((struct nr_str){text, (size_t)n}),
                         c >= 0xD800 && c <= 0xDFFF ? NR_JSON_BAD : NR_JSON_STRING);
    }
    for (unsigned c = 0xD700; c < 0xE100; c++) {
        int n = snprintf(text, sizeof(text), "\"\\u%04X\\uDC%02X\"", c, c & 0xFF);

        assert_int_equal(nr_json_scan((struct nr_str){text, (size_t)n}),
                         c >= 0xD800 && c <= 0xDBFF ? NR_JSON_STRING : NR_JSON_BAD);
    }
}

static size_t nest(char *out, const char *open, const char *middle, const char *close, int depth)
{
    char *p = out;

    for (int i = 0; i < depth; i++)
        p = stpcpy(p, open);
    p = stpcpy(p, middle);
    for (int i = 0; i < depth; i++)
        p = stpcpy(p, close);
    return (size_t)(p - out);
}

static void test_depth(void **state)
{
    static const struct {
        const char *open, *middle, *close;
        enum nr_json_kind kind;
    } shapes[] = {
        {"[", "", "]", NR_JSON_ARRAY},
        {"[", "1", "]", NR_JSON_ARRAY},
        {"{\"a\":", "{}", "}", NR_JSON_OBJECT},
    };
    char text[2048];

    for (size_t i = 0; i < nr_countof(shapes); i++) {
        int inner = shapes[i].middle[0] == '{';
        size_t n = nest(text, shapes[i].open, shapes[i].middle, shapes[i].close,
                        NR_JSON_DEPTH_MAX - inner);
        struct nr_err err = {0};

        agree((struct nr_str){text, n}, shapes[i].kind);
        n = nest(text, shapes[i].open, shapes[i].middle, shapes[i].close,
                 NR_JSON_DEPTH_MAX - inner + 1);
        assert_int_equal(nr_json_scan((struct nr_str){text, n}), NR_JSON_BAD);
        assert_null(nr_json_parse((struct nr_str){text, n}, &err));
        assert_says(&err, "nested deeper than 64");
    }
    /* Siblings do not add up. */
    char *p = stpcpy(text, "[");

    for (int i = 0; i < 300; i++)
        p = stpcpy(p, "[],");
    (void)stpcpy(p, "{}]");
    agree(nr_str_of(text), NR_JSON_ARRAY);
}

static void test_find_key(void **state)
{
    static const struct {
        const char *text, *key, *value; /* NULL: absent */
    } cases[] = {
        {"{\"a\":1}", "a", "1"},
        {"{\"a\":1}", "b", NULL},
        {"{}", "a", NULL},
        {" { \"a\" : [ 1 , {\"a\":2} ] , \"b\" : \"x\" } ", "a", "[ 1 , {\"a\":2} ]"},
        {" { \"a\" : [ 1 ] , \"b\" : \"x\"  } ", "b", "\"x\""},
        {"{\"b\":{\"a\":1}}", "a", NULL},
        {"{\"b\":{\"a\":1},\"a\":{\"b\":2}}", "a", "{\"b\":2}"},
        {"{\"a\":1,\"a\":2,\"c\":{\"a\":3}}", "a", "2"},
        {"{\"\\u0061\":7}", "a", "7"},
        {"{\"\\u0061b\":7}", "a", NULL},
        {"{\"\\ud83d\\ude00\":7}", "\xF0\x9F\x98\x80", "7"},
        {"{\"x\\/y\":7}", "x/y", "7"},
        {"{\"\\u0000\":7}", "", NULL},
        {"{\"\":true}", "", "true"},
        {"{\"ab\":1}", "a", NULL},
        {"{\"a\":-1.5e3}", "a", "-1.5e3"},
        {"{\"a\":null\n}", "a", "null"},
        {"[{\"a\":1}]", "a", NULL},
        {"\"a\"", "a", NULL},
        {"[\"a\",1]", "a", NULL},
    };

    for (size_t i = 0; i < nr_countof(cases); i++) {
        struct nr_str value = NR_STR("untouched"), text = nr_str_of(cases[i].text);

        assert_int_equal(nr_json_scan_key(text, cases[i].key, &value), nr_json_scan(text));
        assert_str_is(value, cases[i].value ? cases[i].value : "(absent)");
    }
    struct nr_str value = NR_STR("untouched");

    assert_int_equal(nr_json_scan_key(NR_STR("{\"a\":1"), "a", &value), NR_JSON_BAD);
    assert_str_is(value, "untouched");
}

static void test_sentences(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"{\n  \"a\": x}", "line 2, column 8: a value must stand here"},
        {"{\"a\":1", "line 1, column 7: the text ends too early"},
        {"[1 2]", "line 1, column 4: a comma or ] must stand here"},
        {"{\"a\":1 2}", "a comma or } must stand here"},
        {"{\"a\" 1}", "line 1, column 6: a colon must stand here"},
        {"{a}", "a key in quotes must stand here"},
        {"\"\\q\"", "line 1, column 2: no such escape"},
        {"\"\xFF\"", "not UTF-8"},
        {"{} {}", "line 1, column 4: something stands behind the value"},
        {"", "line 1, column 1: the text ends too early"},
        {"18446744073709551616", "integer"},
        {"9223372036854775808", "integer"},
        {"1e999", "overflow"},
        {"{\"\\u0000\":1}", "line 1"},
    };

    for (size_t i = 0; i < nr_countof(cases); i++) {
        struct nr_err err = {0};

        assert_null(nr_json_parse(nr_str_of(cases[i].text), &err));
        assert_int_equal(err.code, NR_EINVAL);
        assert_says(&err, cases[i].says);
    }
    assert_null(nr_json_parse((struct nr_str){NULL, 0}, NULL));
}

static void test_text(void **state)
{
    static const char *const same[] = {
        "{\"z\":1,\"a\":[],\"b\":{},\"c\":[1,[2,{\"x\":null}]]}",
        "\"\\u0000\\n\xE2\x82\xAC\"",
        "0.1",
        "1.0",
        "-0.0",
        "3.3333333333333335",
        "1e+300",
        "4.94065645841247e-324",
        "100000.0",
        "0.30000000000000004",
        "9223372036854775807",
        "-9223372036854775808",
        "true",
        "null",
    };

    for (size_t i = 0; i < nr_countof(same); i++) {
        struct nr_err err = {0};
        nr_auto_json json_t *j = nr_json_parse(nr_str_of(same[i]), &err);
        size_t n = 0;
        nr_auto_free char *text = nr_json_text(j, &n);

        assert_non_null(text);
        assert_string_equal(text, same[i]);
        assert_int_equal(n, strlen(same[i]));
    }
    assert_null(nr_json_text(NULL, NULL));
    nr_auto_json json_t *last = nr_json_parse(NR_STR("{\"a\":1,\"a\":2}"), NULL);
    nr_auto_free char *text = nr_json_text(last, NULL);

    assert_string_equal(text, "{\"a\":2}");
}

static void test_members(void **state)
{
    nr_auto_json json_t *j = nr_json_parse(NR_STR("{\"o\":{\"s\":\"t\"},\"n\":1}"), NULL);

    assert_non_null(nr_json_object(j, "o"));
    assert_null(nr_json_object(j, "n"));
    assert_null(nr_json_object(j, "absent"));
    assert_string_equal(nr_json_string(nr_json_object(j, "o"), "s"), "t");
    assert_null(nr_json_string(j, "n"));
    assert_null(nr_json_string(j, "o"));
    assert_null(nr_json_string(NULL, "o"));
}

static size_t built, built_peak;

static void *count_malloc(size_t n)
{
    size_t *p = malloc(n + 16);

    if (p == NULL)
        return NULL;
    *p = n + 16; /* the sixteen stand for what malloc itself needs */
    built += *p;
    built_peak = built > built_peak ? built : built_peak;
    return p + 2;
}

static void count_free(void *p)
{
    if (p == NULL)
        return;
    built -= *((size_t *)p - 2);
    free((size_t *)p - 2);
}

/* What is told beforehand is never less than what is taken then, and not ten times as much. */
static void test_built_bytes(void **state)
{
    static const struct {
        const char *head, *item, *tail;
    } shapes[] = {
        {"[", "1", "]"},
        {"[", "-1.5", "]"},
        {"[", "null", "]"},
        {"[", "[]", "]"},
        {"[", "{}", "]"},
        {"[", "\"\"", "]"},
        {"[", "\"some longer text of one value\"", "]"},
        {"[", "[1,2]", "]"},
        {"[", "[[[[[[[[]]]]]]]]", "]"},
        {"[", "{\"\":1}", "]"},
        {"[", "{\"key\":\"name\",\"value\":{\"a\":[1,2,3,4,5,6,7,8,9]}}", "]"},
    };
    json_malloc_t old_malloc;
    json_free_t old_free;

    (void)state;
    json_get_alloc_funcs(&old_malloc, &old_free);
    json_set_alloc_funcs(count_malloc, count_free);
    for (size_t i = 0; i < nr_countof(shapes); i++) {
        for (int items = 1; items <= 100000; items *= 10) {
            struct nr_buf b;
            nr_buf_init(&b, 64 << 20);
            nr_buf_adds(&b, shapes[i].head);
            for (int n = 0; n < items; n++)
                nr_buf_printf(&b, "%s%s", n > 0 ? "," : "", shapes[i].item);
            nr_buf_adds(&b, shapes[i].tail);
            built_peak = built = 0;
            size_t told = nr_json_built_bytes(nr_buf_str(&b));
            json_t *j = nr_json_parse(nr_buf_str(&b), NULL);
            assert_non_null(j);
            json_decref(j);
            assert_int_equal(built, 0);
            if (items > 1 && (built_peak > told || told > 10 * built_peak))
                fail_msg("%d times %s: told %zu, taken %zu", items, shapes[i].item, told,
                         built_peak);
            nr_buf_fini(&b);
        }
    }
    json_set_alloc_funcs(old_malloc, old_free);
    assert_int_equal(nr_json_built_bytes(NR_STR("[1,")), 0);
    assert_int_equal(nr_json_built_bytes(NR_STR("")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),        cmocka_unit_test(test_agrees_with_jansson_on_damage),
        cmocka_unit_test(test_every_escape), cmocka_unit_test(test_depth),
        cmocka_unit_test(test_find_key),     cmocka_unit_test(test_sentences),
        cmocka_unit_test(test_text),         cmocka_unit_test(test_members),
        cmocka_unit_test(test_built_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
