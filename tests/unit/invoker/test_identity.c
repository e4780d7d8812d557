/* An identity file says after a restart what was written before it; whatever else lies there is no identity. */
#include "invoker/identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/mem.h"

static const char name[] = "0a1b2c3d";
static char folder[] = "/tmp/narae-identity-XXXXXX";

static int setup(void **state)
{
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    return nr_dir_remove(folder, NULL);
}

static struct identity sample(void)
{
    return (struct identity){
        .container = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        .kind = "python:3",
        .account = "guest",
        .package = "p\"ack",
        .name = "näme",
        .version = "0.0.7",
        .space = "other",
        .published = 12,
        .revision = 41,
        .memory_mb = 128,
        .slots = 3,
        .network_slot = "01234567",
        .settings = "abc",
        .code = "def",
    };
}

static void same(const struct identity *a, const struct identity *b)
{
    assert_string_equal(a->container, b->container);
    assert_string_equal(a->kind, b->kind);
    assert_string_equal(a->account, b->account);
    assert_string_equal(a->package, b->package);
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->version, b->version);
    assert_string_equal(a->space, b->space);
    assert_int_equal(a->published, b->published);
    assert_string_equal(a->network_slot, b->network_slot);
    assert_string_equal(a->settings, b->settings);
    assert_string_equal(a->code, b->code);
    assert_int_equal(a->revision, b->revision);
    assert_int_equal(a->memory_mb, b->memory_mb);
    assert_int_equal(a->slots, b->slots);
}

static void what_was_written_is_read(void **state)
{
    const struct identity stem = {.container = "c",
                                  .kind = "nodejs:18",
                                  .account = "",
                                  .package = "",
                                  .name = "",
                                  .version = "",
                                  .memory_mb = 64,
                                  .slots = 1,
                                  .network_slot = "",
                                  .settings = ""};
    const struct identity all[] = {sample(), stem};
    struct identity got;
    struct stat st;
    char path[128];

    for (size_t i = 0; i < nr_countof(all); i++) { /* the second replaces the first */
        assert_int_equal(identity_write(folder, name, &all[i], NULL), 0);
        assert_int_equal(identity_read(folder, name, &got, NULL), 0);
        same(&got, &all[i]);
        identity_fini(&got);
    }
    (void)snprintf(path, sizeof(path), "%s/%s.json", folder, name);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(identity_remove(folder, name, NULL), 0);
    assert_int_equal(identity_remove(folder, name, NULL), 0);
    assert_int_equal(identity_read(folder, name, &got, NULL), NR_ENOENT);
}

static void what_is_no_identity(void **state)
{
    static const char *const table[] = {
        "",
        "{",
        "[]",
        "{}",
        "{\"container\":\"c\"}",
        /* revision, slots, memory_mb out of range; a number where a text belongs */
        "{\"container\":\"c\",\"kind\":\"k\",\"account\":\"a\",\"package\":\"\",\"name\":\"n\",\"version\":\"v\","
        "\"revision\":-1,\"memory_mb\":64,\"slots\":1,\"network_slot\":\"\",\"settings\":\"\",\"code\":\"\"}",
        "{\"container\":\"c\",\"kind\":\"k\",\"account\":\"a\",\"package\":\"\",\"name\":\"n\",\"version\":\"v\","
        "\"revision\":1,\"memory_mb\":64,\"slots\":0,\"network_slot\":\"\",\"settings\":\"\",\"code\":\"\"}",
        "{\"container\":\"c\",\"kind\":\"k\",\"account\":\"a\",\"package\":\"\",\"name\":\"n\",\"version\":\"v\","
        "\"revision\":1,\"memory_mb\":64,\"slots\":100000,\"network_slot\":\"\",\"settings\":\"\",\"code\":\"\"}",
        "{\"container\":\"c\",\"kind\":\"k\",\"account\":\"a\",\"package\":\"\",\"name\":\"n\",\"version\":\"v\","
        "\"revision\":1,\"memory_mb\":64,\"slots\":4294967297,\"network_slot\":\"\",\"settings\":\"\",\"code\":\"\"}",
        "{\"container\":\"c\",\"kind\":\"k\",\"account\":\"a\",\"package\":\"\",\"name\":\"n\",\"version\":\"v\","
        "\"revision\":1,\"memory_mb\":0,\"slots\":1,\"network_slot\":\"\",\"settings\":\"\",\"code\":\"\"}",
        /* of a release that did not say what code it holds */
        "{\"container\":\"c\",\"kind\":\"k\",\"account\":\"a\",\"package\":\"\",\"name\":\"n\",\"version\":\"v\","
        "\"revision\":1,\"memory_mb\":64,\"slots\":1,\"network_slot\":\"\",\"settings\":\"\"}",
        "{\"container\":\"c\",\"kind\":\"k\",\"account\":7,\"package\":\"\",\"name\":\"n\",\"version\":\"v\","
        "\"revision\":1,\"memory_mb\":64,\"slots\":1,\"network_slot\":\"\",\"settings\":\"\",\"code\":\"\"}",
    };
    struct identity got = {.kind = "untouched"};
    char file[32];

    (void)snprintf(file, sizeof(file), "%s.json", name);
    for (size_t i = 0; i < nr_countof(table); i++) {
        assert_int_equal(nr_file_write(folder, file, nr_str_of(table[i]), 0600, NULL), 0);
        if (identity_read(folder, name, &got, NULL) != NR_ECORRUPT)
            fail_msg("taken for an identity: %s", table[i]);
        assert_string_equal(got.kind, "untouched");
    }
}

/* One revision, and each time something else in the container. */
static void code_tells_histories_apart(void **state)
{
    char texts[][16] = {"main", "{}", "", "other", "{\"a\":1}", "once"};
    struct function one = {
        .revision = 30, .main = texts[0], .init_parameters = texts[1], .exec = texts[2]};
    struct function all[] = {one, one, one, one, one};

    one.sha256[0] = 7;
    for (size_t i = 0; i < nr_countof(all); i++)
        all[i] = one;
    all[1].sha256[31] = 1;
    all[2].main = texts[3];
    all[3].init_parameters = texts[4];
    all[4].exec = texts[5];
    for (size_t i = 0; i < nr_countof(all); i++)
        for (size_t j = 0; j < nr_countof(all); j++) {
            const struct identity a = identity_of(&all[i]), b = identity_of(&all[j]);

            assert_int_equal(strlen(a.code), IDENTITY_CODE_BYTES - 1);
            assert_int_equal(strcmp(a.code, b.code) == 0, i == j);
        }
}

/* What was forgotten is nobody's, and its folder stays until the container is gone. */
static void what_is_forgotten_is_not_read(void **state)
{
    const struct identity who = sample();
    struct identity got;

    assert_int_equal(identity_write(folder, name, &who, NULL), 0);
    identity_forget(folder, name);
    identity_forget(folder, name);
    assert_int_equal(identity_read(folder, name, &got, NULL), NR_ENOENT);
}

/* Adoption may only put a container to use that a start today would make alike. */
static void settings_tell_what_matters(void **state)
{
    const struct create_spec base = {.image = "narae/python:1",
                                     .id = "01234567",
                                     .socket_dir = "/run/n/c/01234567",
                                     .agent_path = "/opt/agent",
                                     .hosts_path = "/run/n/hosts",
                                     .installation = "0123456789abcdef",
                                     .invoker = "0",
                                     .kind = "python:3",
                                     .memory_mb = 128,
                                     .code_tmpfs_mb = 16};
    char want[IDENTITY_SETTINGS_BYTES], got[IDENTITY_SETTINGS_BYTES];
    struct create_spec s = base;

    identity_settings(&base, want);
    assert_int_equal(strlen(want), IDENTITY_SETTINGS_BYTES - 1);
    /* its own name, and what a hand-over may have changed */
    s.id = "76543210";
    s.socket_dir = "/run/n/c/76543210";
    s.memory_mb = 512;
    s.code_tmpfs_mb = 256;
    s.many_files = s.concurrent = true;
    s.kind = "python";
    identity_settings(&s, got);
    assert_string_equal(got, want);
    const struct create_spec others[] = {
        [0] = {.image = "narae/python:2"},
        [1] = {.seccomp = "{}"},
        [2] = {.agent_path = "/elsewhere/agent"},
        [3] = {.network = CREATE_NET_BRIDGE},
        [4] = {.runtime = "crun"},
    };

    for (size_t i = 0; i < nr_countof(others); i++) {
        s = base;
        s.image = others[i].image ? others[i].image : base.image;
        s.agent_path = others[i].agent_path ? others[i].agent_path : base.agent_path;
        s.seccomp = others[i].seccomp;
        s.network = others[i].network;
        s.runtime = others[i].runtime;
        identity_settings(&s, got);
        if (strcmp(got, want) == 0)
            fail_msg("case %zu: another container has the same settings", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(what_is_no_identity),
        cmocka_unit_test(settings_tell_what_matters),
        cmocka_unit_test(code_tells_histories_apart),
        cmocka_unit_test(what_is_forgotten_is_not_read),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
