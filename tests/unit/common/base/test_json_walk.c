/* Walking through members and items, decoding strings, laying out: against tables, and against jansson. */
#include "check.h"

#include "common/base/json_walk.h"
#include "common/base/mem.h"

/* "key=value|key=value" of what a walk finds. */
static void walk(const char *text, char out[512])
{
    struct nr_json_walk w;
    struct nr_json_member m;
    size_t n = 0;

    out[0] = '\0';
    nr_json_walk_begin(&w, nr_str_of(text));
    while (nr_json_walk_next(&w, &m))
        n += (size_t)snprintf(out + n, 512 - n, "%s%.*s=%.*s", n ? "|" : "", (int)m.key.n,
                              m.key.p ? m.key.p : "", (int)m.value.n, m.value.p);
    assert_false(nr_json_walk_next(&w, &m)); /* and stays at its end */
}

static void test_walk(void **state)
{
    static const struct {
        const char *text, *found;
    } rows[] = {
        {"{}", ""},
        {" { } ", ""},
        {"[]", ""},
        {"5", ""},
        {"\"{\"", ""},
        {"", ""},
        {"{\"a\":1}", "a=1"},
        {" {\n\"a\" : 1 ,\t\"b\":-2.5e3 } ", "a=1|b=-2.5e3"},
        {"{\"a\":{\"b\":[1,{\"c\":\"}]\"}]},\"d\":null}", "a={\"b\":[1,{\"c\":\"}]\"}]}|d=null"},
        {"{\"\\\"\":\"\\\\\",\"\":\"\"}", "\\\"=\"\\\\\"|=\"\""},
        {"{\"a\":1,\"a\":2}", "a=1|a=2"},
        {"[1, [2,3] ,{\"x\":[]},\"a,b\" , true]", "=1|=[2,3]|={\"x\":[]}|=\"a,b\"|=true"},
        {"[[],{}]", "=[]|={}"},
    };
    char found[512];

    for (size_t i = 0; i < nr_countof(rows); i++) {
        walk(rows[i].text, found);
        assert_string_equal(found, rows[i].found);
    }
}

static void test_kinds(void **state)
{
    static const char *const texts[] = {"{}", "[]", "\"\"", "-1", "0", "true", "false", "null"};

    for (size_t i = 0; i < nr_countof(texts); i++)
        assert_int_equal(nr_json_kind_of(nr_str_of(texts[i])), nr_json_scan(nr_str_of(texts[i])));
    assert_int_equal(nr_json_kind_of((struct nr_str){NULL, 0}), NR_JSON_BAD);
}

static void test_decode(void **state)
{
    static const struct {
        const char *text;
        size_t n;
        const char *bytes;
    } rows[] = {
        {"\"\"", 0, ""},
        {"\"plain\"", 5, "plain"},
        {"\"a\\nb\\t\\\"\\\\\\/\"", 7, "a\nb\t\"\\/"},
        {"\"\\u0000x\"", 2, "\0x"},
        {"\"\\u00e9\\u20AC\\ud83d\\ude00\"", 9, "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"},
        {"\"\xC3\xA9\"", 2, "\xC3\xA9"},
    };
    char out[64];

    for (size_t i = 0; i < nr_countof(rows); i++) {
        struct nr_str raw = nr_json_unquoted(nr_str_of(rows[i].text));

        assert_int_equal(nr_json_decode(raw, out), rows[i].n);
        assert_memory_equal(out, rows[i].bytes, rows[i].n);
    }
}

static void test_layout(void **state)
{
    static const struct {
        const char *text, *compact, *pretty;
    } rows[] = {
        {" 5 ", "5", "5"},
        {"{ }", "{}", "{}"},
        {"[ ]", "[]", "[]"},
        {"\" a  b \"", "\" a  b \"", "\" a  b \""},
        {"{ \"a\" : 1 }", "{\"a\":1}", "{\n  \"a\": 1\n}"},
        {"{\"a\":{},\"b\":[1 , 2,{\"c\":\"{\"}]}", "{\"a\":{},\"b\":[1,2,{\"c\":\"{\"}]}",
         "{\n  \"a\": {},\n  \"b\": [1, 2, {\n      \"c\": \"{\"\n    }]\n}"},
    };

    for (size_t i = 0; i < nr_countof(rows); i++)
        for (int pretty = 0; pretty <= 1; pretty++) {
            struct nr_buf out;

            nr_buf_init(&out, 4096);
            nr_json_layout(&out, nr_str_of(rows[i].text), pretty);
            nr_buf_addc(&out, '\0');
            assert_string_equal(out.p, pretty ? rows[i].pretty : rows[i].compact);
            nr_buf_fini(&out);
        }
}

/* As deep as a text may be; and a ceiling that is met. */
static void test_layout_at_its_limits(void **state)
{
    struct nr_buf text, out;

    nr_buf_init(&text, 4096);
    for (int i = 0; i < NR_JSON_DEPTH_MAX; i++)
        nr_buf_adds(&text, "{\"a\":");
    text.n -= 4; /* the last one is empty */
    for (int i = 0; i < NR_JSON_DEPTH_MAX; i++)
        nr_buf_addc(&text, '}');
    assert_int_equal(nr_json_scan(nr_buf_str(&text)), NR_JSON_OBJECT);
    nr_buf_init(&out, 65536);
    nr_json_layout(&out, nr_buf_str(&text), true);
    assert_false(out.failed);
    assert_int_equal(nr_json_scan(nr_buf_str(&out)), NR_JSON_OBJECT);
    nr_buf_fini(&out);
    nr_buf_init(&out, 100);
    nr_json_layout(&out, nr_buf_str(&text), true);
    assert_true(out.failed);
    nr_buf_fini(&out);
    nr_buf_fini(&text);
}

/* A value of every kind, made by chance. */
static json_t *any_value(unsigned *seed, int depth)
{
    switch (rand_r(seed) % (depth > 0 ? 7 : 5)) {
    case 0: return json_integer(rand_r(seed) - 1000);
    case 1: return json_string("a \"quoted\"\\, {text} [\n] \xC3\xA9");
    case 2: return json_true();
    case 3: return json_null();
    case 4: return json_real(rand_r(seed) / 7.0);
    case 5: {
        json_t *list = json_array();

        for (int i = rand_r(seed) % 5; i > 0; i--)
            json_array_append_new(list, any_value(seed, depth - 1));
        return list;
    }
    default: {
        json_t *object = json_object();
        char key[16];

        for (int i = rand_r(seed) % 5; i > 0; i--) {
            (void)snprintf(key, sizeof(key), "k\"%d", i);
            json_object_set_new(object, key, any_value(seed, depth - 1));
        }
        return object;
    }
    }
}

static void test_agrees_with_jansson(void **state)
{
    unsigned seed = 6;

    for (int i = 0; i < 2000; i++) {
        json_t *value = any_value(&seed, 5);
        char *wide = json_dumps(value, JSON_INDENT(3) | JSON_ENCODE_ANY);
        char *compact = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        struct nr_buf out;

        nr_buf_init(&out, 1 << 20);
        nr_json_layout(&out, nr_str_of(wide), false);
        assert_int_equal(out.n, strlen(compact));
        assert_memory_equal(out.p, compact, out.n);
        nr_buf_reset(&out, 0);
        nr_json_layout(&out, nr_str_of(compact), true);
        nr_auto_json json_t *again = nr_json_parse(nr_buf_str(&out), NULL);
        assert_true(again && json_equal(again, value));
        struct nr_json_walk w;
        struct nr_json_member m;
        size_t count = 0;

        nr_json_walk_begin(&w, nr_str_of(wide));
        while (nr_json_walk_next(&w, &m)) {
            nr_auto_json json_t *one = nr_json_parse(m.value, NULL);
            assert_non_null(one);
            count++;
        }
        assert_int_equal(count,
                         json_is_object(value) ? json_object_size(value) : json_array_size(value));
        nr_buf_fini(&out);
        free(wide);
        free(compact);
        json_decref(value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_layout_at_its_limits),
        cmocka_unit_test(test_agrees_with_jansson),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
