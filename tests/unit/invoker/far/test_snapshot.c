/* A function that has travelled is the same one for an invoker; what is no function is refused with the name of the member that is wrong. */
#include "invoker/far/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "common/base/json.h"
#include "common/base/mem.h"
#include "invoker/far/code.h"
#include "ports/grants.h"

#define PARAMETERS "{\"a\":1,\"b\":\"\\u0000é\"}"
#define INIT_PARAMETERS "{\"TOKEN\":\"s\"}"

static struct grant_device meter = {.name = (char[]){"meter"}, .path = (char[]){"/dev/null"}};
static const char digest[] = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

static struct grants *some_grants(void)
{
    static const char has[] =
        "{\"egress\":[\"10.0.0.0/16:502/tcp\",\"plc.example:44818/udp\"],"
        "\"volumes\":[{\"name\":\"rows\",\"quota_mb\":64}],\"devices\":[\"meter\"]}";
    static const char asks[] =
        "[{\"key\":\"narae.volumes\",\"value\":[{\"name\":\"rows\",\"path\":\"/data/rows\"}]},"
        "{\"key\":\"narae.devices\",\"value\":[\"meter\"]}]";
    const struct grant_device devices[] = {meter, {NULL, NULL}};
    nr_auto_json json_t *account = nr_json_parse(nr_str_of(has), NULL);
    nr_auto_json json_t *annotations = nr_json_parse(nr_str_of(asks), NULL);
    struct grants *all = NULL, *ret = NULL;

    assert_int_equal(grants_read(account, devices, &all, NULL), 0);
    assert_int_equal(grants_for_function(all, annotations, true, &ret, NULL), 0);
    grants_unref(all);
    return ret;
}

static char **names(const char *one, const char *two)
{
    char **list = nr_alloc(3 * sizeof(*list));

    list[0] = nr_strdup(one);
    list[1] = nr_strdup(two);
    return list;
}

/* Every field that an invoker reads has a value that no other one has. */
static struct function *sample(void)
{
    struct function *f = nr_alloc(sizeof(*f));

    *f = (struct function){.revision = 7 | 1ull << 62,
                           .stored = 41,
                           .account = nr_strdup("acme"),
                           .package = nr_strdup("p\"ack"),
                           .name = nr_strdup("näme"),
                           .path = nr_strdup("owner/p\"ack/näme"),
                           .version = nr_strdup("0.0.3"),
                           .published = 3,
                           .state = FN_PUBLISHED,
                           .kind = nr_strdup("blackbox"),
                           .image = nr_strdup("registry.example/a/b@sha256:12"),
                           .relay = true,
                           .exec = nr_strdup("loop"),
                           .main = nr_strdup("Main.main"),
                           .binary = true,
                           .file = nr_strdup("code.zip"),
                           .code_path = nr_strdup("/elsewhere/code.zip"),
                           .code_bytes = 12345678901,
                           .parameters = nr_strdup(PARAMETERS),
                           .init_parameters = nr_strdup(INIT_PARAMETERS),
                           .timeout_ms = 61000,
                           .memory_mb = 192,
                           .log_max_bytes = 10 << 20,
                           .concurrency = 5,
                           .instances = 6,
                           .cpus_milli = 1500,
                           .cpu_share = 1024,
                           .gpu = {2, 4096, 25},
                           .network = FN_NET_EGRESS,
                           .provide_api_key = true,
                           .trial = true};
    atomic_init(&f->refs, 1);
    assert_true(nr_hex_decode(nr_str_of(digest), f->sha256));
    f->final_names = names("TOKEN", "a");
    f->bound_names = names("a", "b");
    f->grants = some_grants();
    return f;
}

static struct nr_buf text_of(const struct function *f)
{
    struct nr_buf out;

    nr_buf_init(&out, 1 << 20);
    far_function_write(f, &out);
    assert_false(out.failed);
    return out;
}

static int read_with(struct nr_str text, struct nr_str raw, struct function **ret,
                     struct nr_err *err)
{
    const struct grant_device devices[] = {meter, {NULL, NULL}};
    const struct snapshot_place place = {.code_dir = "/far/code", .devices = devices};

    return far_function_read(text, raw, &place, ret, err);
}

static int read_at_home(struct nr_str text, struct function **ret, struct nr_err *err)
{
    return read_with(text, NR_STR(PARAMETERS INIT_PARAMETERS), ret, err);
}

#define TEXT(member)                                                                               \
    {                                                                                              \
#member, offsetof(struct function, member), 0                                              \
    }
#define PLAIN(member)                                                                              \
    {                                                                                              \
#member, offsetof(struct function, member), sizeof(((struct function *)NULL)->member)      \
    }

/* What of struct function an invoker reads. */
static const struct {
    const char *name;
    size_t at, bytes; /* 0: a text */
} read_by_invokers[] = {
    PLAIN(revision),
    PLAIN(stored),
    TEXT(account),
    TEXT(package),
    TEXT(name),
    TEXT(path),
    TEXT(version),
    PLAIN(published),
    TEXT(kind),
    TEXT(image),
    PLAIN(relay),
    TEXT(exec),
    TEXT(main),
    PLAIN(binary),
    TEXT(file),
    PLAIN(code_bytes),
    PLAIN(sha256),
    TEXT(parameters),
    TEXT(init_parameters),
    PLAIN(timeout_ms),
    PLAIN(memory_mb),
    PLAIN(log_max_bytes),
    PLAIN(concurrency),
    PLAIN(instances),
    PLAIN(cpus_milli),
    PLAIN(cpu_share),
    PLAIN(gpu.count),
    PLAIN(gpu.memory_mb),
    PLAIN(gpu.percentage),
    PLAIN(network),
    PLAIN(provide_api_key),
    PLAIN(trial),
};

static void same_text(const struct function *a, const struct function *b, size_t at)
{
    const char *one, *other;

    memcpy(&one, (const char *)a + at, sizeof(one));
    memcpy(&other, (const char *)b + at, sizeof(other));
    assert_string_equal(one, other);
}

static void same_names(char *const *a, char *const *b)
{
    for (; a && b && *a && *b; a++, b++)
        assert_string_equal(*a, *b);
    assert_true((a == NULL || *a == NULL) && (b == NULL || *b == NULL));
}

static void it_travels_whole(void **state)
{
    struct function *f = sample(), *got = NULL;
    struct nr_buf text = text_of(f);
    struct nr_err err = {0};

    assert_int_equal(read_at_home(nr_buf_str(&text), &got, &err), 0);
    for (size_t i = 0; i < nr_countof(read_by_invokers); i++) {
        const size_t at = read_by_invokers[i].at, bytes = read_by_invokers[i].bytes;

        print_message("%s\n", read_by_invokers[i].name);
        if (bytes == 0)
            same_text(f, got, at);
        else
            assert_memory_equal((const char *)f + at, (const char *)got + at, bytes);
    }
    same_names(f->final_names, got->final_names);
    same_names(f->bound_names, got->bound_names);
    assert_true(grants_same_egress(f->grants, got->grants));
    assert_int_equal(got->grants->volume_count, 1);
    assert_string_equal(got->grants->volumes[0].name, "rows");
    assert_string_equal(got->grants->volumes[0].path, "/data/rows");
    assert_int_equal(got->grants->volumes[0].quota_mb, 64);
    assert_int_equal(got->grants->device_count, 1);
    assert_string_equal(got->grants->devices[0], "meter");
    nr_buf_fini(&text);
    function_unref(f);
    function_unref(got);
}

static void its_code_lies_here_by_its_digest(void **state)
{
    char folder[CODE_FOLDER_BYTES], path[256];
    struct function *f = sample(), *got = NULL;
    struct nr_buf text = text_of(f);

    assert_int_equal(read_at_home(nr_buf_str(&text), &got, NULL), 0);
    code_folder_of(NR_STR("owner"), folder);
    (void)snprintf(path, sizeof(path), "/far/code/%s/%s", folder, digest);
    assert_string_equal(got->code_path, path);
    nr_buf_fini(&text);
    function_unref(got);
    f->file[0] = '\0'; /* an own image has none */
    text = text_of(f);
    assert_int_equal(read_at_home(nr_buf_str(&text), &got, NULL), 0);
    assert_string_equal(got->code_path, "");
    nr_buf_fini(&text);
    function_unref(got);
    function_unref(f);
}

/* `change` is merged over the text of the sample; null takes a member out. */
static int read_changed(const char *change, struct nr_err *err)
{
    struct function *f = sample(), *got = NULL;
    struct nr_buf text = text_of(f);
    nr_auto_json json_t *o = nr_json_parse(nr_buf_str(&text), NULL);
    nr_auto_json json_t *changes = nr_json_parse(nr_str_of(change), NULL);
    const char *key;
    json_t *value;

    json_object_foreach(changes, key, value) {
        if (json_is_null(value))
            (void)json_object_del(o, key);
        else
            (void)json_object_set(o, key, value);
    }
    nr_auto_free char *changed = nr_json_text(o, NULL);
    int r = read_at_home(nr_str_of(changed), &got, err);

    function_unref(got);
    function_unref(f);
    nr_buf_fini(&text);
    return r;
}

static void each_member_is_judged(void **state)
{
    static const char *const members[] = {"revision",
                                          "stored",
                                          "account",
                                          "package",
                                          "name",
                                          "path",
                                          "version",
                                          "published",
                                          "kind",
                                          "image",
                                          "relay",
                                          "exec",
                                          "main",
                                          "binary",
                                          "file",
                                          "code_bytes",
                                          "parameters_bytes",
                                          "timeout_ms",
                                          "memory_mb",
                                          "log_max_bytes",
                                          "concurrency",
                                          "instances",
                                          "cpus_milli",
                                          "cpu_share",
                                          "gpu_count",
                                          "gpu_memory_mb",
                                          "network",
                                          "gpu_percentage",
                                          "provide_api_key",
                                          "trial",
                                          "sha256",
                                          "final_names",
                                          "bound_names"};
    static const char *const wrong[] = {"{\"%s\":null}", "{\"%s\":{}}", "{\"%s\":1.5}"};
    char change[128], quoted[64];

    for (size_t i = 0; i < nr_countof(members); i++)
        for (size_t k = 0; k < nr_countof(wrong); k++) {
            struct nr_err err = {0};
            struct nr_buf b;

            nr_buf_init(&b, sizeof(change));
            nr_buf_add(&b, wrong[k], strcspn(wrong[k], "%"));
            nr_buf_adds(&b, members[i]);
            nr_buf_adds(&b, strchr(wrong[k], '%') + 2);
            (void)snprintf(change, sizeof(change), "%.*s", (int)b.n, b.p);
            nr_buf_fini(&b);
            (void)snprintf(quoted, sizeof(quoted), "'%s'", members[i]);
            assert_int_equal(read_changed(change, &err), NR_EINVAL);
            assert_non_null(strstr(err.text, quoted));
        }
}

static void values_have_bounds(void **state)
{
    static const struct {
        const char *change, *why;
    } cases[] = {
        {"{\"revision\":0}", "'revision' of a function is 0"},
        {"{\"concurrency\":0}", "'concurrency' of a function is 0, not 1 to 64"},
        {"{\"concurrency\":65}", "65, not 1 to 64"},
        {"{\"network\":2}", "'network'"},
        {"{\"timeout_ms\":-1}", "'timeout_ms'"},
        {"{\"memory_mb\":99999999}", "'memory_mb'"},
        {"{\"account\":\"\"}", "has 0 bytes; 1 to 1024"},
        {"{\"account\":\"a\\u0000b\"}", "'account'"},
        {"{\"sha256\":\"../../etc/passwd\"}", "'sha256'"},
        {"{\"bound_names\":[\"b\",\"a\"]}", "no sorted list"},
        {"{\"final_names\":[1]}", "no sorted list"},
        {"{\"grants\":{\"has\":{\"devices\":[\"rocket\"]},\"asks\":[]}}", "rocket"},
        {"{\"grants\":{\"has\":{},\"asks\":[{\"key\":\"narae.volumes\",\"value\":[{\"name\":\"x\","
         "\"path\":\"/data/x\"}]}]}}",
         "not granted"},
        {"{\"grants\":[]}", "object"},
    };

    for (size_t i = 0; i < nr_countof(cases); i++) {
        struct nr_err err = {0};

        print_message("%s\n", cases[i].change);
        assert_true(read_changed(cases[i].change, &err) < 0);
        assert_non_null(strstr(err.text, cases[i].why));
    }
    assert_int_equal(read_changed("{\"of a later version\":[1]}", NULL), 0);
}

static void the_raw_part_is_two_objects(void **state)
{
    static const char *const parts[] = {"",
                                        PARAMETERS,
                                        PARAMETERS "{",
                                        PARAMETERS "[1]",
                                        PARAMETERS INIT_PARAMETERS "x",
                                        "{}" INIT_PARAMETERS};
    struct function *f = sample(), *got = NULL;
    struct nr_buf text = text_of(f);

    for (size_t i = 0; i < nr_countof(parts); i++)
        assert_int_equal(read_with(nr_buf_str(&text), nr_str_of(parts[i]), &got, NULL), NR_EINVAL);
    assert_null(got);
    nr_buf_fini(&text);
    function_unref(f);
}

static void what_is_no_object_is_refused(void **state)
{
    static const char *const texts[] = {"", "[]", "null", "{", "{}", "{\"revision\":"};
    struct function *got = NULL;

    for (size_t i = 0; i < nr_countof(texts); i++) {
        struct nr_err err = {0};

        assert_int_equal(read_at_home(nr_str_of(texts[i]), &got, &err), NR_EINVAL);
        assert_null(got);
    }
}

static void a_small_buffer_fails_and_says_so(void **state)
{
    struct function *f = sample();
    struct nr_buf out;

    nr_buf_init(&out, 64);
    far_function_write(f, &out);
    assert_true(out.failed);
    nr_buf_fini(&out);
    function_unref(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_travels_whole),
        cmocka_unit_test(its_code_lies_here_by_its_digest),
        cmocka_unit_test(each_member_is_judged),
        cmocka_unit_test(values_have_bounds),
        cmocka_unit_test(the_raw_part_is_two_objects),
        cmocka_unit_test(what_is_no_object_is_refused),
        cmocka_unit_test(a_small_buffer_fails_and_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
