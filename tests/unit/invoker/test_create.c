/* Whatever stands in a function's snapshot, the create body holds what the list allows and nothing else. */
#include "invoker/create.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "common/base/json.h"
#include "common/base/mem.h"

static const char *const top[] = {
    "Image",           "User",        "Entrypoint",   "Cmd",          "Env",
    "NetworkDisabled", "AttachStdin", "AttachStdout", "AttachStderr", "StopSignal",
    "StopTimeout",     "Labels",      "HostConfig",   "Healthcheck",  NULL};
static const char *const host[] = {
    "CapDrop",       "SecurityOpt",      "ReadonlyRootfs", "Tmpfs",     "Mounts",  "Memory",
    "MemorySwap",    "MemorySwappiness", "CpuShares",      "PidsLimit", "Ulimits", "IpcMode",
    "CgroupnsMode",  "ShmSize",          "OomScoreAdj",    "LogConfig", "Init",    "AutoRemove",
    "RestartPolicy", "NetworkMode",      "MaskedPaths",    NULL};
static const char *const labels[] = {"narae.installation", "narae.invoker", "narae.kind",
                                     "narae.gpu", NULL};

static void only(const json_t *o, const char *const *allowed)
{
    void *it = json_object_iter((json_t *)(uintptr_t)o);

    assert_non_null(it);
    for (; it; it = json_object_iter_next((json_t *)(uintptr_t)o, it)) {
        const char *const *a = allowed;

        while (*a && strcmp(*a, json_object_iter_key(it)) != 0)
            a++;
        if (*a == NULL)
            fail_msg("%s is not on the list", json_object_iter_key(it));
    }
}

static json_t *body_of(const struct function *f, bool bridge, const json_t *command)
{
    struct create_spec s = {.id = "01234567",
                            .socket_dir = "/run/n/c/01234567",
                            .agent_path = "/opt/narae/agent",
                            .hosts_path = "/run/n/hosts",
                            .installation = "0123456789abcdef",
                            .invoker = "0",
                            .command = command,
                            .swappiness = true};
    size_t n;

    create_spec_of(f, bridge, &s);
    nr_auto_free char *text = create_body(&s, &n);

    assert_non_null(text);
    json_t *j = nr_json_parse((struct nr_str){text, n}, NULL);

    assert_non_null(j);
    return j;
}

static int64_t number(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

/* A snapshot full of what a tenant would like to say. */
static struct function hostile(char *text)
{
    return (struct function){.account = text,
                             .package = text,
                             .name = text,
                             .path = text,
                             .version = text,
                             .kind = text,
                             .image = text,
                             .exec = text,
                             .main = text,
                             .file = text,
                             .code_path = text,
                             .parameters = text,
                             .init_parameters = text,
                             .limits = text,
                             .memory_mb = 256,
                             .concurrency = 4,
                             .timeout_ms = 1000,
                             .log_max_bytes = 1};
}

static void nothing_but_the_list(void **state)
{
    char evil[] = "x\",\"Privileged\":true,\"Binds\":[\"/:/host\"],\"CapAdd\":[\"ALL\"],\"y\":\"";
    struct function f = hostile(evil);

    for (int i = 0; i < 8; i++) {
        f.network = i & 1 ? FN_NET_NONE : FN_NET_EGRESS;
        f.relay = i & 2;
        nr_auto_json json_t *command = json_pack("[s,s]", "/bin/x", evil);
        nr_auto_json json_t *j = body_of(&f, i & 4, f.relay ? command : NULL);
        const json_t *h = json_object_get(j, "HostConfig");

        only(j, top);
        only(h, host);
        only(json_object_get(j, "Labels"), labels);
        /* an image's own label would stand where we write none */
        assert_string_equal(nr_json_string(json_object_get(j, "Labels"), "narae.gpu"), "");
        assert_string_equal(nr_json_string(j, "Image"), evil); /* one string, whatever is in it */
        bool net = f.network == FN_NET_EGRESS && (i & 4);

        assert_int_equal(json_is_true(json_object_get(j, "NetworkDisabled")), !net);
        assert_string_equal(nr_json_string(h, "NetworkMode"), net ? "bridge" : "none");
        assert_int_equal(json_array_size(json_object_get(h, "Mounts")), net ? 2 : 3);
        size_t k;
        json_t *m;

        json_array_foreach(json_object_get(h, "Mounts"), k, m) {
            assert_true(json_is_true(json_object_get(m, "ReadOnly")));
            assert_string_equal(nr_json_string(m, "Type"), "bind");
        }
        assert_int_equal(json_array_size(json_object_get(j, "Cmd")), f.relay ? 5 : 2);
    }
}

/* Everybody else begins where the image says. */
static void the_proxy_of_action_loops_begins_at_the_root(void **state)
{
    static const char *const commands[][2] = {
        {"/bin/proxy", "/"}, {"/bin/proxy2", NULL}, {"proxy", NULL}, {"", NULL}};
    char empty[] = "";
    struct function f = hostile(empty);

    (void)state;
    f.relay = true;
    for (size_t i = 0; i < nr_countof(commands); i++) {
        nr_auto_json json_t *command = json_pack("[s]", commands[i][0]);
        nr_auto_json json_t *j = body_of(&f, false, command);
        const char *folder = nr_json_string(j, "WorkingDir");

        if (commands[i][1])
            assert_string_equal(folder, commands[i][1]);
        else
            assert_null(folder);
    }
}

static void hardening(void **state)
{
    char image[] = "narae/native:0", empty[] = "", file[] = "exec";
    struct function f = hostile(empty);

    f.image = image;
    f.file = file;
    f.concurrency = 1;
    nr_auto_json json_t *j = body_of(&f, true, NULL);
    const json_t *h = json_object_get(j, "HostConfig"), *tmpfs = json_object_get(h, "Tmpfs");

    assert_string_equal(nr_json_string(j, "User"), "65534:65534");
    nr_auto_free char *health = nr_json_text(json_object_get(j, "Healthcheck"), NULL);

    assert_string_equal(health, "{\"Test\":[\"NONE\"]}"); /* the image's would run, frozen or not */
    assert_string_equal(json_string_value(json_array_get(json_object_get(h, "CapDrop"), 0)), "ALL");
    assert_string_equal(json_string_value(json_array_get(json_object_get(h, "SecurityOpt"), 0)),
                        "no-new-privileges");
    assert_true(json_is_true(json_object_get(h, "ReadonlyRootfs")));
    assert_int_equal(number(h, "Memory"), 256 << 20);
    assert_int_equal(number(h, "MemorySwap"), 256 << 20);
    assert_int_equal(number(h, "CpuShares"), 1024);
    assert_int_equal(number(h, "PidsLimit"), 256);
    assert_string_equal(nr_json_string(json_object_get(h, "LogConfig"), "Type"), "none");
    assert_non_null(strstr(nr_json_string(tmpfs, "/tmp"), "noexec"));
    assert_null(strstr(nr_json_string(tmpfs, "/action"), "noexec"));
    assert_non_null(strstr(nr_json_string(tmpfs, "/action"), "size=16m"));
}

static void memory_steps(void **state)
{
    static const int64_t table[][2] = {{0, 64},    {1, 64},    {64, 64},    {65, 128},
                                       {128, 128}, {129, 192}, {4096, 4096}};

    for (size_t i = 0; i < nr_countof(table); i++)
        assert_int_equal(container_memory_mb(table[i][0]), table[i][1]);
}

/* A cap and a weight of the function's own, and GPUs: of two that it holds the Engine is asked for one. */
static void cpu_and_gpus(void **state)
{
    static const struct node_gpu gpus[] = {
        {"a0", 4096, true}, {"GPU-b1", 8192, true}, {"c2", 4096, false}};
    char image[] = "narae/native:0", empty[] = "";
    struct function f = hostile(empty);
    struct create_spec s = {.id = "01234567",
                            .agent_path = "/a",
                            .socket_dir = "/s",
                            .hosts_path = "/h",
                            .installation = "0",
                            .invoker = "0",
                            .gpus = gpus,
                            .gpu = {.want = {2, 1024, 60}, .devices = 6}};
    size_t n;

    f.image = image;
    f.file = empty;
    f.cpus_milli = 250;
    f.cpu_share = 77;
    create_spec_of(&f, false, &s);
    nr_auto_free char *text = create_body(&s, &n);
    nr_auto_json json_t *j = nr_json_parse((struct nr_str){text, n}, NULL);
    const json_t *h = json_object_get(j, "HostConfig");
    nr_auto_free char *requests = nr_json_text(json_object_get(h, "DeviceRequests"), NULL);
    nr_auto_free char *env = nr_json_text(json_object_get(j, "Env"), NULL);

    assert_int_equal(number(h, "NanoCpus"), 250000000);
    assert_int_equal(number(h, "CpuShares"), 77);
    assert_string_equal(
        requests, "[{\"Driver\":\"\",\"DeviceIDs\":[\"GPU-b1\"],\"Capabilities\":[[\"gpu\"]]}]");
    assert_string_equal(
        env,
        "[\"CUDA_MPS_ACTIVE_THREAD_PERCENTAGE=60\",\"CUDA_MPS_PINNED_DEVICE_MEM_LIMIT=0=1024M,1=1024M\"]");
    assert_string_equal(nr_json_string(json_object_get(j, "Labels"), "narae.gpu"),
                        "GPU-b1,c2;1024;60");
}

static void weights(void **state)
{
    struct function f = {.memory_mb = 100};

    assert_int_equal(function_cpu_shares(&f), 512); /* of the 128 MB that it gets */
    assert_false(function_has_cpu(&f));
    f.cpu_share = 2;
    assert_int_equal(function_cpu_shares(&f), 2);
    assert_true(function_has_cpu(&f));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_but_the_list),
        cmocka_unit_test(the_proxy_of_action_loops_begins_at_the_root),
        cmocka_unit_test(hardening),
        cmocka_unit_test(memory_steps),
        cmocka_unit_test(cpu_and_gpus),
        cmocka_unit_test(weights),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
