/* Execution settings in annotations: what is understood, what is refused and how, and what a node cannot give. */
#include "fnmanager/functions/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "common/base/json.h"
#include "common/base/mem.h"
#include "ports/tags.h"

static const struct node_gpu gpus[] = {{"a0", 4096, true}, {"a1", 8192, true}};
static const struct node node = {.memory_max_mb = 4096, .cores = 2, .gpus = gpus, .gpu_count = 2},
                         bare = {.cores = 2};

static void what_is_said_is_read(void **state)
{
    nr_auto_json json_t *all = nr_json_parse(
        NR_STR(
            "[{\"key\":\"narae.cpus\",\"value\":0.5},{\"key\":\"narae.cpu_share\",\"value\":2048},"
            "{\"key\":\"narae.gpu\",\"value\":{\"memory_mb\":512,\"percentage\":30}},{\"key\":\"other\",\"value\":1}]"),
        NULL);
    struct settings s;

    assert_int_equal(settings_read(all, &s, NULL), 0);
    assert_int_equal(s.cpus_milli, 500);
    assert_int_equal(s.cpu_share, 2048);
    assert_int_equal(s.gpu.count, 1); /* a share of one */
    assert_int_equal(s.gpu.memory_mb, 512);
    assert_int_equal(s.gpu.percentage, 30);
    assert_int_equal(settings_read(NULL, &s, NULL), 0);
    assert_int_equal(s.cpus_milli + s.cpu_share + s.gpu.count, 0);
}

static void ranges_are_told(void **state)
{
    static const struct {
        const char *key, *value, *part; /* part: of the sentence; NULL: accepted */
    } cases[] = {
        {"cpus", "0.05", NULL},
        {"cpus", "2", NULL},
        {"cpus", "0.04", "from 0.05"},
        {"cpus", "2.1", "exceeds the cores of this node: 2"},
        {"cpus", "-1", "from 0.05"},
        {"cpus", "1e300", "from 0.05"},
        {"cpus", "\"1\"", "must be a number"},
        {"cpus", "null", NULL},
        {"cpu_share", "2", NULL},
        {"cpu_share", "262144", NULL},
        {"cpu_share", "1", "from 2 to 262144"},
        {"cpu_share", "262145", "from 2 to 262144"},
        {"cpu_share", "2.5", "must be an integer"},
        {"gpu", "{\"count\":0}", NULL},
        {"gpu", "{\"count\":2}", NULL},
        {"gpu", "{\"count\":-1}", "count -1 below allowed threshold of 0"},
        {"gpu", "{\"count\":3}", "count 3 exceeds the GPUs of this node: 2 available"},
        {"gpu", "{\"count\":99999999999}", "exceeds allowed threshold of 64"},
        {"gpu", "{\"memory_mb\":256}", NULL},
        {"gpu", "{\"memory_mb\":255}", "below allowed threshold of 256"},
        {"gpu", "{\"memory_mb\":300}", "the nearest are 256 and 512"},
        {"gpu", "{\"memory_mb\":512}", NULL},
        {"gpu", "{\"memory_mb\":8192}", NULL},
        {"gpu", "{\"memory_mb\":8448}", "the largest has 8192 MB"},
        {"gpu", "{\"count\":2,\"memory_mb\":8192}", "has 1 GPUs of so much memory"},
        {"gpu", "{\"percentage\":0}", "below allowed threshold of 1"},
        {"gpu", "{\"percentage\":1}", NULL},
        {"gpu", "{\"percentage\":100}", NULL},
        {"gpu", "{\"percentage\":101}", "exceeds allowed threshold of 100"},
        {"gpu", "{\"percentage\":\"60\"}", "must be an integer"},
        {"gpu", "{\"count\":0,\"percentage\":60}", "share of 0 GPUs"},
        {"gpu", "{\"number\":1}", "knows count, memory_mb and percentage"},
        {"gpu", "1", "must be an object"},
        {"place", "{}", NULL},
        {"place", "{\"arch\":\"arm64\",\"gpu\":true,\"line\":7}", NULL},
        {"place", "\"arm64\"", "an object of at most 16 tags"},
        {"place", "{\"\":\"x\"}", "is no tag"},
        {"place", "{\"a=b\":\"x\"}", "'a=b' is no tag"},
        {"place", "{\"arch\":\"\"}", "narae.place.arch must be"},
        {"place", "{\"arch\":1.5}", "narae.place.arch must be"},
        {"place", "{\"arch\":null}", "narae.place.arch must be"},
        {"place", "{\"arch\":\"0123456789012345678901234567890123456789012345678901234567890123\"}",
         "of 1 to 63 bytes"},
    };

    for (size_t i = 0; i < nr_countof(cases); i++) {
        char text[256];
        struct nr_err err = {0};

        (void)snprintf(text, sizeof(text), "[{\"key\":\"narae.%s\",\"value\":%s}]", cases[i].key,
                       cases[i].value);
        int r = settings_check(text, &node, &err);

        if ((cases[i].part == NULL) != (r == 0) ||
            (cases[i].part && strstr(err.text, cases[i].part) == NULL))
            fail_msg("%s: %d %s", text, r, err.text);
    }
}

static void a_place_is_a_list_of_tags(void **state)
{
    nr_auto_json json_t *all = nr_json_parse(
        NR_STR(
            "[{\"key\":\"narae.place\",\"value\":{\"arch\":\"arm64\",\"gpu\":false,\"line\":7}}]"),
        NULL);
    static const char *const want[] = {"arch=arm64", "gpu=false", "line=7"};
    struct settings s;

    assert_int_equal(settings_read(all, &s, NULL), 0);
    char **place = settings_place(&s);

    for (size_t i = 0; i < nr_countof(want); i++) {
        assert_string_equal(place[i], want[i]);
        assert_true(tags_have(place, want[i]));
    }
    assert_null(place[nr_countof(want)]);
    assert_false(tags_have(place, "arch=amd64"));
    tags_free(place);
    assert_int_equal(settings_read(NULL, &s, NULL), 0);
    assert_null(settings_place(&s));
}

static void what_another_host_may_have_is_not_refused(void **state)
{
    const struct node one_of_many = {.cores = 2, .more_hosts = true};
    static const char gpu[] = "[{\"key\":\"narae.gpu\",\"value\":{\"count\":2}}]";

    assert_int_equal(settings_check(gpu, &bare, NULL), NR_EINVAL);
    assert_int_equal(settings_check(gpu, &one_of_many, NULL), 0);
}

static void a_node_without_gpus_says_so(void **state)
{
    struct nr_err err = {0};

    assert_int_equal(
        settings_check("[{\"key\":\"narae.gpu\",\"value\":{\"count\":1}}]", &bare, &err),
        NR_EINVAL);
    assert_string_equal(err.text, "narae.gpu.count 1 exceeds the GPUs of this node: 0 available.");
    assert_int_equal(
        settings_check("[{\"key\":\"narae.gpu\",\"value\":{\"count\":0}}]", &bare, NULL), 0);
}

static void memory_has_steps(void **state)
{
    static const int64_t good[] = {-1, 64, 128, 1024, 65536}, bad[] = {63, 65, 96, 1000};
    struct nr_err err = {0};

    for (size_t i = 0; i < nr_countof(good); i++)
        assert_int_equal(settings_memory_step(good[i], NULL), 0);
    for (size_t i = 0; i < nr_countof(bad); i++)
        assert_int_equal(settings_memory_step(bad[i], NULL), NR_EINVAL);
    assert_int_equal(settings_memory_step(1000, &err), NR_EINVAL);
    assert_string_equal(
        err.text, "memory size 1000 MB is not a multiple of 64; the nearest are 960 and 1024.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_said_is_read),
        cmocka_unit_test(ranges_are_told),
        cmocka_unit_test(a_place_is_a_list_of_tags),
        cmocka_unit_test(what_another_host_may_have_is_not_refused),
        cmocka_unit_test(a_node_without_gpus_says_so),
        cmocka_unit_test(memory_has_steps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
