/* docs/scaling.md speaks of the language as it is: its documents are accepted, it names every metric and every word, and the mistakes that it shows are told so.
 */
#include "scaler/policy/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "scaler/policy/words.h"

static int read_docs(void **state)
{
    struct nr_err err = {0};
    size_t n;
    char *text = NULL;

    if (nr_file_read(DOCS, 1 << 20, &text, &n, &err) < 0)
        print_error("%s\n", err.text);
    *state = text;
    return text ? 0 : -1;
}

static int free_docs(void **state)
{
    free(*state);
    return 0;
}

static void test_documents(void **state)
{
    const char *at = *state, *end;
    int found = 0;

    while ((at = strstr(at, "```json\n")) != NULL) {
        struct policy *p = NULL;
        struct nr_err err = {0};
        size_t count;

        at += sizeof("```json\n") - 1;
        end = strstr(at, "```");
        assert_non_null(end);
        if (policy_read((struct nr_str){at, (size_t)(end - at)}, "named", &p, NULL, 0, &count,
                        &err) < 0)
            fail_msg("%.*s%s", (int)(end - at), at, err.text);
        policy_unref(p);
        at = end + 3;
        found++;
    }
    assert_int_equal(found, 3);
}

/* Each in backquotes. */
static size_t words_untold(const char *docs, const char *const *words)
{
    size_t missing = 0;
    char quoted[80];

    for (; *words; words++) {
        (void)snprintf(quoted, sizeof(quoted), "`%s`", *words);
        if (**words && strstr(docs, quoted) == NULL) {
            print_error("docs/scaling.md has no %s\n", quoted);
            missing++;
        }
    }
    return missing;
}

static void test_words(void **state)
{
    const char *names[METRICS + 1] = {NULL};
    size_t missing = words_untold(*state, mode_words) + words_untold(*state, aggregate_words) +
                     words_untold(*state, compare_words) + words_untold(*state, action_words);

    for (int i = 0; i < METRICS; i++)
        names[i] = sample_metrics[i].name;
    missing += words_untold(*state, names);
    missing += words_untold(*state, (const char *const[]){"fallback", "current_if_higher", NULL});
    assert_int_equal(missing, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_words),
    };

    return cmocka_run_group_tests(tests, read_docs, free_docs);
}
