/* What a file or a folder becomes as a function: its kind, its name, its code. */
#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "common/base/file.h"
#include "tests/unit/common/base/check.h"

struct place {
    char root[64];
};

static int make_place(void **state)
{
    struct place *p = nr_alloc(sizeof(*p));

    (void)snprintf(p->root, sizeof(p->root), "/tmp/narae-cli-XXXXXX");
    *state = p;
    return mkdtemp(p->root) ? 0 : -1;
}

static int remove_place(void **state)
{
    struct place *p = *state;
    struct nr_err err = {0};
    int e = nr_dir_remove(p->root, &err);

    free(p);
    return e;
}

static const char *put(const struct place *p, const char *name, struct nr_str bytes, mode_t mode)
{
    static char path[256];
    char folder[256];
    struct nr_err err = {0};

    (void)snprintf(path, sizeof(path), "%s/%s", p->root, name);
    (void)snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') - path), path);
    assert_ok(nr_dir_make(folder, 0755, &err), &err);
    assert_ok(nr_file_write(folder, strrchr(path, '/') + 1, bytes, mode, &err), &err);
    return path;
}

static json_t *exec_of(const struct cli *c, const char *path)
{
    struct nr_err err = {0};
    json_t *exec = cli_source_exec(c, path, &err);

    if (exec == NULL)
        fail_msg("%s: %s", path, err.text);
    return exec;
}

/* ---- single files ------------------------------------------------------------------------------------------------ */

#define PYTHON_TEXT "def main(args):\n    return args\n"
#define ELF "\177ELF\002\001\001\000\377\376"

static const struct {
    const char *file, *kind;
    struct nr_str bytes;
    bool encoded;
} files[] = {
    {"f.py", "python:default", {PYTHON_TEXT, sizeof(PYTHON_TEXT) - 1}, false},
    {"f.js", "nodejs:default", {"function main(){}", 17}, false},
    {"f.go", "go:default", {"package main\n", 13}, false},
    {"f.java", "java:default", {"class F {}", 10}, false},
    {"f.jar", "java:default", {"PK\3\4 of a jar", 13}, true},
    {"f.sh", "blackbox", {"echo {}", 7}, false},
    {"f", "blackbox", {"#!/bin/sh\necho {}\n", 18}, false},
    {"f.bin", "blackbox", {ELF, sizeof(ELF) - 1}, true},
    {"f.wasm", "wasm:default", {"\0asm\1\0\0\0", 8}, true},
    {"latin1.py", "python:default", {"# \351\n", 4}, true},
};

static void a_file_has_a_kind(void **state)
{
    const struct cli c = {0};

    for (size_t i = 0; i < nr_countof(files); i++) {
        nr_auto_json json_t *exec = exec_of(&c, put(*state, files[i].file, files[i].bytes, 0644));
        const char *code = nr_json_string(exec, "code");
        char encoded[128];

        assert_string_equal(nr_json_string(exec, "kind"), files[i].kind);
        (void)nr_base64_encode(files[i].bytes.p, files[i].bytes.n, encoded);
        if (files[i].encoded)
            assert_string_equal(code, encoded);
        else
            assert_str_is(files[i].bytes, code);
        if (strcmp(files[i].kind, "blackbox") == 0)
            assert_string_equal(nr_json_string(exec, "image"), "openwhisk/dockerskeleton");
        else
            assert_null(json_object_get(exec, "image"));
    }
}

static void what_is_asked_for_wins(void **state)
{
    struct cli c = {.text = {[OPT_KIND] = "native", [OPT_MAIN] = "start"}};
    nr_auto_json json_t *native = exec_of(&c, put(*state, "odd", NR_STR("words"), 0644));

    assert_string_equal(nr_json_string(native, "kind"), "blackbox");
    assert_string_equal(nr_json_string(native, "image"), "openwhisk/dockerskeleton");
    assert_string_equal(nr_json_string(native, "main"), "start");
    c = (struct cli){.text = {[OPT_KIND] = "blackbox", [OPT_IMAGE] = "me/mine"}};
    nr_auto_json json_t *own = exec_of(&c, put(*state, "f.py", NR_STR("x"), 0644));
    assert_string_equal(nr_json_string(own, "image"), "me/mine");
    nr_auto_json json_t *php = exec_of(&c, put(*state, "f.php", NR_STR("<?php"), 0644));
    assert_string_equal(nr_json_string(php, "code"), "<?php");
    nr_auto_json json_t *other = exec_of(&c, put(*state, "f.phar", NR_STR("<?\0php"), 0644));
    assert_string_equal(nr_json_string(other, "code"), "PD8AcGhw");
}

static void what_cannot_be_told(void **state)
{
    const struct cli c = {0};
    struct nr_err err = {0}, absent = {0}, empty = {0};
    const struct place *p = *state;
    char path[256];

    assert_null(cli_source_exec(&c, put(p, "f.txt", NR_STR("words"), 0644), &err));
    assert_says(&err, "--kind");
    assert_null(cli_source_exec(&c, "/nowhere/f.py", &absent));
    assert_says(&absent, "/nowhere/f.py: No such file");
    (void)snprintf(path, sizeof(path), "%s/empty", p->root);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_null(cli_source_exec(&c, path, &empty));
    assert_says(&empty, "holds no file");
}

/* ---- folders and archives ------------------------------------------------------------------------------------------ */

static const struct {
    const char *sign, *kind;
    bool last; /* in the order of names */
} signs[] = {{"__main__.py", "python:default", false}, {"package.json", "nodejs:default", true},
             {"index.js", "nodejs:default", false},    {"go.mod", "go:default", false},
             {"main.go", "go:default", true},          {"exec", "blackbox", false}};

/* "name mode;" of each entry of an archive in base64. */
static void list_archive(const char *code, char *out, size_t n)
{
    nr_auto_free unsigned char *bytes = nr_alloc(strlen(code) + 3);
    ssize_t length = nr_base64_decode(nr_str_of(code), bytes);
    struct archive *a = archive_read_new();
    struct archive_entry *e;
    size_t used = 0;

    assert_true(length > 0);
    (void)archive_read_support_format_zip_seekable(a);
    assert_int_equal(archive_read_open_memory(a, bytes, (size_t)length), ARCHIVE_OK);
    out[0] = '\0';
    while (archive_read_next_header(a, &e) == ARCHIVE_OK)
        used += (size_t)snprintf(out + used, n - used, "%s %o;", archive_entry_pathname(e),
                                 (unsigned)archive_entry_perm(e));
    (void)archive_read_free(a);
}

static void a_folder_is_packed(void **state)
{
    const struct cli c = {0};
    char folder[256], name[64], listed[512], expected[512];

    for (size_t i = 0; i < nr_countof(signs); i++) {
        const struct place *p = *state;

        (void)snprintf(name, sizeof(name), "app%zu/%s", i, signs[i].sign);
        (void)put(p, name, NR_STR("{}"), 0755);
        (void)snprintf(name, sizeof(name), "app%zu/lib/part", i);
        (void)put(p, name, NR_STR("part"), 0644);
        (void)snprintf(name, sizeof(name), "app%zu/.hidden", i);
        (void)put(p, name, NR_STR("no"), 0644);
        (void)snprintf(folder, sizeof(folder), "%s/app%zu", p->root, i);
        nr_auto_json json_t *exec = exec_of(&c, folder);
        assert_string_equal(nr_json_string(exec, "kind"), signs[i].kind);
        list_archive(nr_json_string(exec, "code"), listed, sizeof(listed));
        (void)snprintf(expected, sizeof(expected),
                       signs[i].last ? "lib/part 644;%s 755;" : "%s 755;lib/part 644;",
                       signs[i].sign);
        assert_string_equal(listed, expected);
    }
}

static void an_archive_is_looked_into(void **state)
{
    const struct cli c = {0};
    const struct place *p = *state;
    char folder[256];

    (void)put(p, "app/index.js", NR_STR("exports.main = a => a"), 0644);
    (void)snprintf(folder, sizeof(folder), "%s/app", p->root);
    nr_auto_json json_t *packed = exec_of(&c, folder);
    const char *code = nr_json_string(packed, "code");
    nr_auto_free unsigned char *zip = nr_alloc(strlen(code) + 3);
    ssize_t n = nr_base64_decode(nr_str_of(code), zip);
    nr_auto_json json_t *exec =
        exec_of(&c, put(p, "app.zip", (struct nr_str){(const char *)zip, (size_t)n}, 0644));

    assert_string_equal(nr_json_string(exec, "kind"), "nodejs:default");
    assert_string_equal(nr_json_string(exec, "code"), code);
}

static void a_path_suggests_a_name(void **state)
{
    static const struct {
        const char *path, *name;
    } names[] = {{"hello.py", "hello"}, {"/a/b/hello.tar.gz", "hello.tar"}, {"app/", "app"},
                 {"a.b/app", "app"},    {".profile", ".profile"},           {"x", "x"},
                 {"some/dir///", "dir"}};
    char out[64];

    (void)state;
    for (size_t i = 0; i < nr_countof(names); i++) {
        cli_source_name(names[i].path, out, sizeof(out));
        assert_string_equal(out, names[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_has_a_kind, make_place, remove_place),
        cmocka_unit_test_setup_teardown(what_is_asked_for_wins, make_place, remove_place),
        cmocka_unit_test_setup_teardown(what_cannot_be_told, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_folder_is_packed, make_place, remove_place),
        cmocka_unit_test_setup_teardown(an_archive_is_looked_into, make_place, remove_place),
        cmocka_unit_test(a_path_suggests_a_name),
    };

    return cmocka_run_group_tests_name("cli/source", tests, NULL, NULL);
}
