/* What the Engine says of pulls, in pieces of any size, and what a refusal of a registry means. */
#include "invoker/images.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/mem.h"

static const char said[] =
    "{\"status\":\"Pulling from team/app\",\"id\":\"sha256:aa\"}\r\n"
    "{\"status\":\"Pulling fs layer\",\"progressDetail\":{},\"id\":\"0123456789ab\"}\r\n"
    "{\"status\":\"Already exists\",\"progressDetail\":{},\"id\":\"aaaaaaaaaaaa\"}\r\n"
    "{\"status\":\"Downloading\",\"progressDetail\":{\"current\":300,\"total\":1000},\"progress\":\"[=> ]\",\"id\":\"0123456789ab\"}\r\n";

static void progress_is_added_up_whatever_the_pieces(void **state)
{
    for (size_t piece = 1; piece < sizeof(said); piece += 7) {
        struct pull_text *t = pull_text_make(1 << 20);
        struct image_progress p;

        for (size_t at = 0; at < sizeof(said) - 1; at += piece) {
            size_t n = sizeof(said) - 1 - at < piece ? sizeof(said) - 1 - at : piece;

            assert_true(pull_text_add(t, (struct nr_str){said + at, n}));
        }
        p = pull_text_progress(t);
        assert_int_equal(p.layers, 2);
        assert_int_equal(p.layers_done, 1);
        assert_int_equal(p.bytes, 300);
        assert_int_equal(p.bytes_total, 1000);
        assert_true(
            pull_text_add(t, NR_STR("{\"status\":\"Download complete\",\"id\":\"0123456789ab\"}\n"
                                    "{\"status\":\"Pull complete\",\"id\":\"0123456789ab\"}\n")));
        p = pull_text_progress(t);
        assert_int_equal(p.bytes, 1000);
        assert_int_equal(p.layers_done, 2);
        assert_int_equal(pull_text_error(t, "a", NULL), 0);
        pull_text_free(t);
    }
}

static void a_pull_that_is_too_large_is_broken_off(void **state)
{
    struct pull_text *t = pull_text_make(999);
    struct nr_err err = {0};

    assert_false(pull_text_add(t, nr_str_of(said)));
    assert_int_equal(pull_text_error(t, "team/app:1", &err), NR_ETOOBIG);
    assert_non_null(strstr(err.text, "team/app:1"));
    pull_text_free(t);
    t = pull_text_make(1 << 20); /* a layer that is larger than it said */
    assert_false(pull_text_add(
        t,
        NR_STR(
            "{\"status\":\"Downloading\",\"progressDetail\":{\"current\":2000000,\"total\":-1},\"id\":\"b\"}\n")));
    pull_text_free(t);
}

static void what_it_makes_us_remember_is_bounded(void **state)
{
    struct pull_text *t = pull_text_make(1 << 20);
    char line[128];
    bool go_on = true;
    int n = 0;

    for (; go_on && n < 10000; n++) {
        (void)snprintf(line, sizeof(line), "{\"status\":\"Waiting\",\"id\":\"%012d\"}\n", n);
        go_on = pull_text_add(t, nr_str_of(line));
    }
    assert_false(go_on);
    assert_true(n < 1000);
    assert_int_equal(pull_text_error(t, "a", NULL), NR_ETOOBIG);
    pull_text_free(t);
    t = pull_text_make(1 << 20); /* a line without an end, and what is no JSON */
    for (int i = 0; i < 10000; i++)
        assert_true(
            pull_text_add(t, NR_STR("{\"status\":\"............................................")));
    assert_true(pull_text_add(
        t, NR_STR("\n[]\n7\n{\"status\":7}\n{\"id\":\"x\"}\n\n{\"error\":\"denied\"}\n")));
    assert_int_equal(pull_text_error(t, "a", NULL), NR_EFORBIDDEN);
    pull_text_free(t);
}

static void refusals_have_their_meaning_and_our_words(void **state)
{
    static const struct {
        const char *words;
        int code;
    } cases[] = {
        {"Get http://127.0.0.1:1/v2/x/manifests/1: no basic auth credentials", NR_EFORBIDDEN},
        {"unauthorized: authentication required", NR_EFORBIDDEN},
        {"manifest unknown: manifest unknown", NR_EINVAL},
        {"manifest for a:1 not found: manifest unknown: manifest unknown", NR_EINVAL},
        {"pull access denied for x, repository does not exist or may require 'docker login': denied",
         NR_EFORBIDDEN},
        {"dial tcp 127.0.0.1:1: connect: connection refused", NR_EUNAVAIL},
        {"dial tcp: lookup nowhere.example: no such host", NR_EUNAVAIL},
        {"net/http: request canceled (Client.Timeout exceeded while awaiting headers)",
         NR_EUNAVAIL},
        {"write /var/lib/docker/tmp/x: no space left on device", NR_ENOSPC},
        {"no matching manifest for linux/amd64 in the manifest list entries", NR_EINVAL},
        {"toomanyrequests: You have reached your pull rate limit", NR_EQUOTA},
        {"", NR_EPROTO},
        {"<script>alert(1)</script>", NR_EPROTO},
    };

    for (size_t i = 0; i < nr_countof(cases); i++) {
        struct nr_err err = {0};

        if (image_refusal("team/app:1", cases[i].words, &err) != cases[i].code)
            fail_msg("%s: %s", cases[i].words, err.text);
        assert_non_null(strstr(err.text, "team/app:1"));
        assert_true(cases[i].words[0] == '\0' || strstr(err.text, cases[i].words) == NULL);
    }
}

static void paths_take_plain_letters_only(void **state)
{
    assert_true(images_safe_in_path("127.0.0.1:5000/team/app@sha256:0a"));
    static const char *const bad[] = {"", "a b", "a?b", "a#b", "a%2fb", "../a", "a\nb", "a&b"};

    for (size_t i = 0; i < nr_countof(bad); i++)
        assert_false(images_safe_in_path(bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(progress_is_added_up_whatever_the_pieces),
        cmocka_unit_test(a_pull_that_is_too_large_is_broken_off),
        cmocka_unit_test(what_it_makes_us_remember_is_bounded),
        cmocka_unit_test(refusals_have_their_meaning_and_our_words),
        cmocka_unit_test(paths_take_plain_letters_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
