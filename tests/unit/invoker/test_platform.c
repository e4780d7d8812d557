/* Which images a node runs, and what a refusal says of those that it does not. */
#include "invoker/platform.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/json.h"
#include "common/base/mem.h"
#include "invoker/cpu_level.h"

static void an_image_fits_by_architecture_and_variant(void **state)
{
    static const struct {
        const char *node;
        struct image_platform image;
        bool fits;
    } cases[] = {
        {"amd64", {"linux", "amd64", NULL}, true},  {"amd64", {"linux", "amd64", ""}, true},
        {"amd64", {"linux", "amd64", "v1"}, true},  {"amd64", {"linux", "amd64", "v3"}, false},
        {"amd64", {"linux", "386", NULL}, false},   {"amd64", {"windows", "amd64", NULL}, false},
        {"amd64", {NULL, "amd64", NULL}, true},     {"amd64", {"linux", NULL, NULL}, false},
        {"amd64", {"linux", "AMD64", NULL}, false}, {"amd64", {"linux", "arm64", "v8"}, false},
        {"arm64", {"linux", "arm64", NULL}, true},  {"arm64", {"linux", "arm64", "v8"}, true},
        {"arm64", {"linux", "arm64", "8"}, true},   {"arm64", {"linux", "arm64", "v9"}, false},
        {"arm64", {"linux", "arm", "v7"}, false},   {"arm", {"linux", "arm", "v5"}, true},
        {"arm", {"linux", "arm", "v7"}, true},      {"arm", {"linux", "arm", NULL}, true},
        {"arm", {"linux", "arm", "v8"}, false},     {"arm", {"linux", "arm", "v77"}, false},
        {"arm", {"linux", "arm", "neon"}, false},   {"arm", {"linux", "arm", "v"}, false},
        {"arm", {"linux", "arm", "v0"}, false},     {"arm", {"linux", "arm64", NULL}, false},
    };

    (void)state;
    for (size_t i = 0; i < nr_countof(cases); i++)
        if (image_platform_fits(platform_named(cases[i].node), &cases[i].image) != cases[i].fits)
            fail_msg("case %zu: on %s an image for %s/%s", i, cases[i].node,
                     cases[i].image.architecture, cases[i].image.variant);
}

static void this_node_is_in_the_table(void **state)
{
    const struct platform *node = platform_here();

    (void)state;
    assert_non_null(node);
    assert_string_equal(platform_named(node->architecture)->architecture, node->architecture);
    if (strcmp(node->architecture, "amd64") == 0) /* as its processor is */
        assert_int_equal(node->newest_variant, cpu_level());
    else
        assert_ptr_equal(platform_named(node->architecture), node);
    assert_int_equal(node->narrow, sizeof(void *) == 4);
    assert_null(platform_named("pdp11"));
    struct image_platform any = {"linux", "pdp11", NULL};

    assert_true(image_platform_fits(NULL, &any));
    any.os = "plan9";
    assert_false(image_platform_fits(NULL, &any));
}

/* The row of "amd64", or of a level of it: "amd64/v3". */
static const struct platform *node_of(const char *name)
{
    const char *slash = strchr(name, '/');
    nr_auto_free char *architecture =
        nr_strndup(name, slash ? (size_t)(slash - name) : strlen(name));
    const struct platform *p = platform_named(architecture);

    while (slash && p->newest_variant < (unsigned)(slash[2] - '0'))
        p++;
    assert_string_equal(p->architecture, architecture);
    return p;
}

/* What the check says of a list, or "" (made). */
static char *said(const char *node, const char *list)
{
    nr_auto_json json_t *platforms = nr_json_parse(nr_str_of(list), NULL);
    struct nr_err err = {0};
    int r = image_platforms_check(node_of(node), platforms, "team/app:1", &err);

    assert_int_equal(r, err.code);
    assert_true(r == 0 || r == NR_EINVAL);
    return nr_strdup(err.text);
}

#define AMD64 "{\"os\":\"linux\",\"architecture\":\"amd64\"}"
#define ARM64 "{\"os\":\"linux\",\"architecture\":\"arm64\",\"variant\":\"v8\"}"
#define ARM "{\"os\":\"linux\",\"architecture\":\"arm\",\"variant\":\"v7\"}"
#define V1 "{\"os\":\"linux\",\"architecture\":\"amd64\",\"variant\":\"v1\"}"
#define V2 "{\"os\":\"linux\",\"architecture\":\"amd64\",\"variant\":\"v2\"}"
#define V3 "{\"os\":\"linux\",\"architecture\":\"amd64\",\"variant\":\"v3\"}"
#define NOTE "{\"os\":\"unknown\",\"architecture\":\"unknown\"}"

static void a_list_has_one_that_fits_or_names_what_it_has(void **state)
{
    static const struct {
        const char *node, *list, *said;
    } cases[] = {
        {"amd64", "[" ARM64 "," AMD64 "]", ""},
        {"arm64", "[" NOTE "," ARM64 "," AMD64 "]", ""},
        {"arm", "[" ARM64 "," ARM "]", ""},
        {"amd64", "[]", ""}, /* it tells nothing */
        {"amd64", "{}", ""},
        {"amd64", "null", ""},
        {"arm", "[" ARM64 "," AMD64 "," NOTE "," AMD64 "]",
         "The image 'team/app:1' is for linux/arm64/v8, linux/amd64; this host runs linux/arm."},
        {"amd64/v2", "[" V2 "," V3 "]", ""},
        {"amd64/v4", "[" V3 "]", ""},
        {"amd64/v2", "[" V3 "," ARM "]",
         "The image 'team/app:1' is for linux/amd64/v3, linux/arm/v7; this host runs "
         "linux/amd64/v2."},
        {"amd64", "[" V2 "]",
         "The image 'team/app:1' is for linux/amd64/v2; this host runs linux/amd64."},
        {"amd64", "[" ARM "]",
         "The image 'team/app:1' is for linux/arm/v7; this host runs linux/amd64."},
        {"amd64", "[" NOTE "]",
         "The image 'team/app:1' is for no processor; this host runs linux/amd64."},
        {"amd64", "[7,{\"architecture\":7},{\"os\":\"<b>\",\"architecture\":\"a b\"}]",
         "The image 'team/app:1' is for ?/?; this host runs linux/amd64."},
    };

    (void)state;
    for (size_t i = 0; i < nr_countof(cases); i++) {
        nr_auto_free char *text = said(cases[i].node, cases[i].list);

        assert_string_equal(text, cases[i].said);
    }
}

/* What runs on all of them goes first: a host with another processor takes the same. */
static void the_level_that_is_asked_for(void **state)
{
    static const struct {
        const char *node, *list;
        unsigned variant;
    } cases[] = {
        {"amd64/v3", "[" V2 "," V3 "]", 3},
        {"amd64/v3", "[" V3 "," V2 "," ARM64 "]", 3},
        {"amd64/v2", "[" V3 "," V2 "]", 2},
        {"amd64/v4", "[" NOTE "," V2 "]", 2},
        {"amd64/v3", "[" V3 "," AMD64 "]", 0},
        {"amd64/v3", "[" V3 "," V1 "]", 0},
        {"amd64", "[" V3 "," V2 "]", 0},
        {"amd64/v4", "[" ARM "]", 0},
        {"amd64/v4", "[]", 0},
        {"amd64/v4", "null", 0},
        {"arm64", "[" V2 "," AMD64 "]", 0},
    };

    (void)state;
    for (size_t i = 0; i < nr_countof(cases); i++) {
        nr_auto_json json_t *list = nr_json_parse(nr_str_of(cases[i].list), NULL);

        if (image_platforms_variant(node_of(cases[i].node), list) != cases[i].variant)
            fail_msg("case %zu: %s on %s", i, cases[i].list, cases[i].node);
    }
    assert_int_equal(image_platforms_variant(NULL, NULL), 0);
}

/* A level is whole or it is not there; the kernel must save what its registers hold. */
static void levels_of_processors(void **state)
{
    static const struct cpu_words v2 = {.leaf1_ecx = 0x00982201, .extended1_ecx = 0x01},
                                  v3 = {0x38D83201, 0x00000128, 0x21, 0x06},
                                  v4 = {0x38D83201, 0xD0030128, 0x21, 0xE6},
                                  all = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT64_MAX},
                                  none = {0};
    static const struct {
        const struct cpu_words *words;
        unsigned level;
    } cases[] = {{&none, 1}, {&v2, 2}, {&v3, 3}, {&v4, 4}, {&all, 4}};

    (void)state;
    for (size_t i = 0; i < nr_countof(cases); i++)
        assert_int_equal(cpu_level_of(cases[i].words), cases[i].level);
    for (unsigned bit = 0; bit < 32; bit++) { /* each of them counts */
        struct cpu_words less[] = {v4, v4, v4};
        uint32_t gone = UINT32_C(1) << bit;

        less[0].leaf1_ecx &= ~gone;
        less[1].leaf7_ebx &= ~gone;
        less[2].extended1_ecx &= ~gone;
        assert_int_equal(cpu_level_of(&less[0]) < 4, (v4.leaf1_ecx & gone) != 0);
        assert_int_equal(cpu_level_of(&less[1]) < 4, (v4.leaf7_ebx & gone) != 0);
        assert_int_equal(cpu_level_of(&less[2]) < 4, (v4.extended1_ecx & gone) != 0);
    }
    struct cpu_words unsaved = v4;

    unsaved.xcr0 = 0x06;
    assert_int_equal(cpu_level_of(&unsaved), 3);
    unsaved.xcr0 = 0x02;
    assert_int_equal(cpu_level_of(&unsaved), 2);
}

/* A registry may send thousands of entries with words as long as it likes. */
static void a_hostile_list_is_told_in_a_line(void **state)
{
    nr_auto_json json_t *list = json_array();
    char variant[32], reference[400];
    struct nr_err err = {0};

    (void)state;
    memset(reference, 'r', sizeof(reference) - 1);
    reference[sizeof(reference) - 1] = '\0';
    for (int i = 0; i < 5000; i++) {
        (void)snprintf(variant, sizeof(variant), "v%011d", i);
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "os", "abcdefghijkl",
                                              "architecture", "abcdefghijkl", "variant", variant));
    }
    assert_int_equal(image_platforms_check(platform_named("amd64"), list, reference, &err),
                     NR_EINVAL);
    assert_non_null(strstr(err.text, " and more; this host runs linux/amd64."));
}

static void platforms_are_written_as_people_do(void **state)
{
    nr_auto_json json_t *image = nr_json_parse(
        NR_STR("{\"Os\":\"linux\",\"Architecture\":\"arm\",\"Variant\":\"v7\"}"), NULL);
    nr_auto_json json_t *none = json_object();
    struct image_platform p = image_platform_of(image);
    char text[48];

    (void)state;
    image_platform_write(&p, text, sizeof(text));
    assert_string_equal(text, "linux/arm/v7");
    p = image_platform_of(none);
    image_platform_write(&p, text, sizeof(text));
    assert_string_equal(text, "?/?");
    assert_false(image_platform_fits(platform_named("amd64"), &p));
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(an_image_fits_by_architecture_and_variant),
        cmocka_unit_test(this_node_is_in_the_table),
        cmocka_unit_test(a_list_has_one_that_fits_or_names_what_it_has),
        cmocka_unit_test(the_level_that_is_asked_for),
        cmocka_unit_test(levels_of_processors),
        cmocka_unit_test(a_hostile_list_is_told_in_a_line),
        cmocka_unit_test(platforms_are_written_as_people_do),
    };

    return cmocka_run_group_tests(cases, NULL, NULL);
}
