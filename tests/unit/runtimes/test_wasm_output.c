/* Which line of a module's stdout is the result, and what of it is log: the same however the bytes come. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtimes/wasm/output.h"

#define LOG_MAX 4096

static const struct {
    const char *said, *log, *result; /* result NULL: none */
} cases[] = {
    {"", "", NULL},
    {"{}", "", "{}"},
    {"{}\n", "", "{}"},
    {"  {\"a\":1}  \n\n \t\r\n", "", "{\"a\":1}  "},
    {"one\ntwo", "one\ntwo", NULL},
    {"one\n\n  two\n{}\n", "one\n\n  two\n", "{}"},
    {"{\"not\":1}\n\n[2]\n", "{\"not\":1}\n\n", "[2]"},
    {"{\"not\":1}\n \n\tword\n", "{\"not\":1}\n\n\tword\n", NULL},
    {"[1]\n[2]\n[3]", "[1]\n[2]\n", "[3]"},
    {"3\n", "3\n", NULL},
};

struct heard {
    char log[LOG_MAX];
    size_t length;
};

/* Says a text in two pieces, and hears what came of it. */
static void say(struct output *o, const char *text, size_t first, struct heard *h)
{
    int ends[2];
    size_t all = strlen(text);

    assert_int_equal(pipe(ends), 0);
    output_reset(o);
    o->fd = ends[1];
    assert_true(output_take(o, text, first));
    assert_true(output_take(o, text + first, all - first));
    close(ends[1]);
    h->length = 0;
    for (ssize_t n; (n = read(ends[0], h->log + h->length, LOG_MAX - h->length)) > 0;)
        h->length += (size_t)n;
    close(ends[0]);
}

static void the_same_however_it_comes(void **state)
{
    struct output o = {.limit = 1000};
    struct heard h;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t first = 0; first <= strlen(cases[i].said); first++) {
            say(&o, cases[i].said, first, &h);
            assert_int_equal(h.length, strlen(cases[i].log));
            assert_memory_equal(h.log, cases[i].log, h.length);
            assert_int_equal(o.total, cases[i].result ? strlen(cases[i].result) : 0);
            if (cases[i].result)
                assert_memory_equal(o.line, cases[i].result, o.total);
        }
    }
    free(o.line);
}

static void a_long_result_is_counted(void **state)
{
    static char piece[1 << 16];
    struct output o = {.fd = 2, .limit = 1000};

    (void)state;
    memset(piece, 'a', sizeof piece);
    assert_true(output_take(&o, "{", 1));
    for (int i = 0; i < 1000; i++)
        assert_true(output_take(&o, piece, sizeof piece));
    assert_int_equal(o.stored, 1000);
    assert_int_equal(o.total, 1 + 1000 * sizeof piece);
    output_reset(&o);
    assert_int_equal(o.total, 0);
    free(o.line);
}

static void blanks_without_end_are_log(void **state)
{
    char text[OUTPUT_LEAD_BYTES + 20];
    struct output o = {.limit = 1000};
    struct heard h;

    (void)state;
    memset(text, ' ', sizeof text);
    memcpy(text + OUTPUT_LEAD_BYTES + 10, "x\n", 3);
    for (size_t first = 0; first <= strlen(text); first++) {
        say(&o, text, first, &h);
        assert_int_equal(h.length, strlen(text));
        assert_memory_equal(h.log, text, h.length);
    }
    free(o.line);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_however_it_comes),
        cmocka_unit_test(a_long_result_is_counted),
        cmocka_unit_test(blanks_without_end_are_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
