/* Grants as texts: what is accepted is exact, what is hostile is refused and quoted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/json.h"
#include "common/base/mem.h"
#include "ports/grants.h"

static void egress_texts(void **state)
{
    static const struct {
        const char *text, *name;
        uint32_t address;
        uint8_t prefix;
        uint16_t port;
        bool udp, good;
    } cases[] = {
        {"10.0.0.5:502/tcp", NULL, 0x0a000005, 32, 502, false, true},
        {"192.168.1.0/24:161/udp", NULL, 0xc0a80100, 24, 161, true, true},
        {"10.1.0.0/16:1/tcp", NULL, 0x0a010000, 16, 1, false, true},
        {"meter.lan:65535/tcp", "meter.lan", 0, 0, 65535, false, true},
        {"meter_7:80/udp", "meter_7", 0, 0, 80, true, true},
        {"10.0.0.0/15:80/tcp"},
        {"0.0.0.0/0:80/tcp"},
        {"0.0.0.0:80/tcp"},
        {"10.0.0.1/24:80/tcp"},
        {"10.0.0.01:80/tcp"},
        {"10.0.0.256:80/tcp"},
        {"10.0.0:80/tcp"},
        {"10.0.0.1.2:80/tcp"},
        {"10.0.0.1/33:80/tcp"},
        {"127.0.0.1:80/tcp"},
        {"224.0.0.1:80/udp"},
        {"255.255.255.255:80/udp"},
        {"10.0.0.1:0/tcp"},
        {"10.0.0.1:65536/tcp"},
        {"10.0.0.1:+1/tcp"},
        {"10.0.0.1:80/sctp"},
        {"10.0.0.1:80"},
        {"10.0.0.1/tcp"},
        {":80/tcp"},
        {""},
        {"/"},
        {":/tcp"},
        {"-j:80/tcp"},
        {"a..b:80/tcp"},
        {".a:80/tcp"},
        {"a b:80/tcp"},
        {"a\nb:80/tcp"},
        {"$(reboot):80/tcp"},
        {"::1:80/tcp"},
        {"[::1]:80/tcp"},
    };

    (void)state;
    for (size_t i = 0; i < nr_countof(cases); i++) {
        struct grant_egress g = {0};
        struct nr_err err = {0};
        int r = grants_read_egress(cases[i].text, &g, &err);

        if ((r == 0) != cases[i].good)
            fail_msg("'%s': %d %s", cases[i].text, r, err.text);
        if (r < 0) {
            assert_int_equal(r, NR_EINVAL);
            assert_non_null(strstr(err.text, cases[i].text));
            continue;
        }
        assert_int_equal(g.address, cases[i].address);
        assert_int_equal(g.port, cases[i].port);
        assert_int_equal(g.udp, cases[i].udp);
        if (cases[i].name)
            assert_string_equal(g.name, cases[i].name);
        else
            assert_int_equal(g.prefix, cases[i].prefix);
        free(g.name);
    }
}

static struct grants *read_good(const char *text, const struct grant_device *devices)
{
    nr_auto_json json_t *o = nr_json_parse(nr_str_of(text), NULL);
    struct grants *g = NULL;
    struct nr_err err = {0};

    if (grants_read(o, devices, &g, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    return g;
}

/* What is stored reads back as the same text. */
static void there_and_back(void **state)
{
    static const char text[] =
        "{\"egress\":[\"10.0.0.5:502/tcp\",\"192.168.1.0/24:161/udp\",\"meter.lan:1883/tcp\"],"
        "\"volumes\":[{\"name\":\"rows\",\"quota_mb\":64}],\"devices\":[\"gpio\"]}";
    struct grant_device *devices = NULL;

    (void)state;
    assert_int_equal(grants_read_devices("gpio=/dev/gpiochip0,meter=/dev/ttyUSB0", &devices, NULL),
                     0);
    struct grants *g = read_good(text, devices), *same = read_good(text, devices);
    nr_auto_json json_t *o = grants_json(g);
    nr_auto_free char *written = nr_json_text(o, NULL);

    assert_string_equal(written, text);
    assert_true(grants_same_egress(g, same));
    assert_false(grants_same_egress(g, NULL));
    assert_true(grants_same_egress(NULL, NULL));
    grants_unref(same);
    /* a device that is no longer offered is no reason to forget the rest */
    assert_int_equal(grants_stored(o, NULL, &same, NULL), 0);
    assert_int_equal(same->device_count, 0);
    assert_int_equal(same->volume_count, 1);
    grants_unref(same);
    grants_unref(g);
    grants_devices_free(devices);
}

static void bad_lists(void **state)
{
    static const char *const texts[] = {
        "{\"egress\":{}}",
        "{\"egress\":[1]}",
        "{\"egress\":[\"10.0.0.1:80/tcp\\u0000\"]}",
        "{\"volumes\":[{\"name\":\"..\",\"quota_mb\":1}]}",
        "{\"volumes\":[{\"name\":\"a/b\",\"quota_mb\":1}]}",
        "{\"volumes\":[{\"name\":\"\",\"quota_mb\":1}]}",
        "{\"volumes\":[{\"name\":\"a\",\"quota_mb\":65537}]}",
        "{\"volumes\":[{\"name\":\"a\",\"quota_mb\":1.5}]}",
        "{\"volumes\":[{\"name\":\"a\",\"quota_mb\":1},{\"name\":\"a\",\"quota_mb\":2}]}",
        "{\"volumes\":[{\"name\":\"a\",\"quota_mb\":1,\"path\":\"/etc\"}]}",
        "{\"devices\":[\"gpio\"]}",
        "{\"devices\":[\"/dev/mem\"]}",
        "{\"other\":[]}",
        "[]",
        "7",
    };

    (void)state;
    for (size_t i = 0; i < nr_countof(texts); i++) {
        nr_auto_json json_t *o = nr_json_parse(nr_str_of(texts[i]), NULL);
        struct grants *g = NULL;
        struct nr_err err = {0};

        assert_non_null(o);
        if (grants_read(o, NULL, &g, &err) != NR_EINVAL || err.text[0] == '\0')
            fail_msg("taken: %s", texts[i]);
        assert_null(g);
    }
}

static void lists_of_devices(void **state)
{
    static const char *const bad[] = {
        "gpio",           "gpio=",          "=/dev/null", "gpio=/etc/passwd",
        "gpio=/dev/../x", "Gpio=/dev/null", "a=/dev/a,,", "a=/dev/a b"};
    struct grant_device *list = NULL;

    (void)state;
    for (size_t i = 0; i < nr_countof(bad); i++)
        assert_int_equal(grants_read_devices(bad[i], &list, NULL), NR_EINVAL);
    assert_int_equal(grants_read_devices("", &list, NULL), 0);
    assert_null(list[0].name);
    grants_devices_free(list);
    assert_int_equal(grants_read_devices("a=/dev/a,b=/dev/bus/usb/001", &list, NULL), 0);
    assert_string_equal(list[1].name, "b");
    assert_string_equal(list[1].path, "/dev/bus/usb/001");
    assert_null(list[2].name);
    grants_devices_free(list);
}

static void what_a_function_gets(void **state)
{
    static const struct {
        const char *annotations;
        int status;
        unsigned volumes, devices;
    } cases[] = {
        {"[]", 0, 0, 0},
        {"[{\"key\":\"narae.volumes\",\"value\":[{\"name\":\"rows\",\"path\":\"/data\"}]}]", 0, 1,
         0},
        {"[{\"key\":\"narae.volumes\",\"value\":[{\"name\":\"rows\",\"path\":\"/var/lib/x\"}]}]", 0,
         1, 0},
        {"[{\"key\":\"narae.devices\",\"value\":[\"gpio\"]}]", 0, 0, 1},
        {"[{\"key\":\"narae.devices\",\"value\":[\"other\"]}]", NR_EFORBIDDEN, 0, 0},
        {"[{\"key\":\"narae.devices\",\"value\":[\"/dev/mem\"]}]", NR_EINVAL, 0, 0},
        {"[{\"key\":\"narae.devices\",\"value\":\"gpio\"}]", NR_EINVAL, 0, 0},
        {"[{\"key\":\"narae.volumes\",\"value\":[{\"name\":\"none\",\"path\":\"/data\"}]}]",
         NR_EFORBIDDEN, 0, 0},
        {"[{\"key\":\"narae.volumes\",\"value\":[{\"name\":\"rows\",\"path\":\"/\"}]}]", NR_EINVAL,
         0, 0},
        {"[{\"key\":\"narae.volumes\",\"value\":[{\"name\":\"rows\",\"path\":\"/data/..\"}]}]",
         NR_EINVAL, 0, 0},
        {"[{\"key\":\"narae.volumes\",\"value\":[{\"name\":\"rows\",\"path\":\"/var/lib\"}]}]",
         NR_EINVAL, 0, 0},
        {"[{\"key\":\"narae.volumes\",\"value\":[{\"name\":\"rows\",\"path\":\"/datax\"}]}]",
         NR_EINVAL, 0, 0},
        {"[{\"key\":\"narae.volumes\",\"value\":[{\"name\":\"rows\",\"path\":\"/data/a:ro\"}]}]",
         NR_EINVAL, 0, 0},
        {"[{\"key\":\"narae.volumes\",\"value\":[{\"name\":\"rows\",\"path\":\"/data\"},"
         "{\"name\":\"more\",\"path\":\"/data/x\"}]}]",
         NR_EINVAL, 0, 0},
        {"[{\"key\":\"narae.volumes\",\"value\":[{\"name\":\"rows\",\"path\":\"/data/y\"},"
         "{\"name\":\"more\",\"path\":\"/data/x\"}]}]",
         0, 2, 0},
    };
    struct grant_device *devices = NULL;

    (void)state;
    assert_int_equal(grants_read_devices("gpio=/dev/gpiochip0", &devices, NULL), 0);
    struct grants *has = read_good(
        "{\"egress\":[\"meter:1/tcp\"],\"devices\":[\"gpio\"],"
        "\"volumes\":[{\"name\":\"rows\",\"quota_mb\":1},{\"name\":\"more\",\"quota_mb\":2}]}",
        devices);

    for (size_t i = 0; i < nr_countof(cases); i++) {
        nr_auto_json json_t *asked = nr_json_parse(nr_str_of(cases[i].annotations), NULL);
        struct grants *share = NULL;
        struct nr_err err = {0};
        int r = grants_for_function(has, asked, true, &share, &err);

        if (r != cases[i].status)
            fail_msg("%s: %d %s", cases[i].annotations, r, err.text);
        if (r == 0) {
            assert_int_equal(share->egress_count, 1);
            assert_int_equal(share->volume_count, cases[i].volumes);
            assert_int_equal(share->device_count, cases[i].devices);
        }
        grants_unref(share);
    }
    struct grants *nothing = has;

    assert_int_equal(grants_for_function(has, NULL, false, &nothing, NULL), 0);
    assert_null(nothing);
    grants_unref(has);
    grants_devices_free(devices);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(egress_texts),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(bad_lists),
        cmocka_unit_test(lists_of_devices),
        cmocka_unit_test(what_a_function_gets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
