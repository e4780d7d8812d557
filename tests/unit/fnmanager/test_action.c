/* Actions over a real data folder: every refusal with its exact text, what is stored, merged, listed, resolved and removed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "fnmanager/manager.h"
#include "tests/unit/fnmanager/rig.h"

#define PY "{\"exec\":{\"kind\":\"python:3\",\"code\":\"def main(a): return a\"}"

static int setup(void **state)
{
    struct rig *r = nr_alloc(sizeof(*r));

    rig_begin(r);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    rig_end(*state);
    free(*state);
    return 0;
}

static json_t *json(const char *text)
{
    struct nr_err err = {0};
    json_t *j = nr_json_parse(nr_str_of(text), &err);

    if (j == NULL)
        fail_msg("%s in %.300s", err.text, text);
    return j;
}

/* The value of key in an array of {key, value}, as compact text; "" when it is absent. */
static const char *value_of(const json_t *array, const char *key, char out[256])
{
    size_t i;
    json_t *e;

    out[0] = '\0';
    json_array_foreach(array, i, e) {
        if (strcmp(json_string_value(json_object_get(e, "key")), key) == 0) {
            nr_auto_free char *text = nr_json_text(json_object_get(e, "value"), NULL);
            (void)snprintf(out, 256, "%s", text);
        }
    }
    return out;
}

/* The document must be exactly `expected` but for the time, which must be now. */
static void assert_entity(const char *body, const char *expected)
{
    nr_auto_json json_t *j = json(body);
    nr_auto_json json_t *e = json(expected);
    json_int_t updated = json_integer_value(json_object_get(j, "updated"));

    assert_true(updated > nr_wall_ms() - 60000 && updated <= nr_wall_ms());
    json_object_del(j, "updated");
    if (!json_equal(j, e)) {
        nr_auto_free char *is = nr_json_text(j, NULL);
        fail_msg("%s\ninstead of\n%s", is, expected);
    }
}

static void expect(struct rig *r, struct rig_reply reply, int status, const char *text)
{
    if (reply.status != status || strcmp(reply.body, text) != 0)
        fail_msg("%d %s\ninstead of\n%d %s", reply.status, reply.body, status, text);
    rig_reply_fini(&reply);
}

static void test_put_refusals(void **state)
{
    static const struct {
        const char *body;
        int status;
        const char *text;
    } bad[] = {
        {"", 400, "The request content was malformed:\nRequest entity expected but not supplied"},
        {"[]", 400, "The request content was malformed:\nObject expected"},
        {"{}", 400, "exec undefined"},
        {"{\"exec\":null}", 400, "exec undefined"},
        {"{\"exec\":\"x\"}", 400, "The request content was malformed:\n'exec' must be an object"},
        {"{\"exec\":{}}", 400,
         "The request content was malformed:\n'kind' must be a string defined in 'exec'"},
        {"{\"exec\":{\"kind\":3}}", 400,
         "The request content was malformed:\n'kind' must be a string"},
        {"{\"exec\":{\"kind\":\"python\\u0000:3\",\"code\":\"\"}}", 400,
         "The request content was malformed:\n'kind' must not hold a NUL"},
        {"{\"exec\":{\"kind\":\"cobol:1\",\"code\":\"x\"}}", 400,
         "The specified runtime 'cobol:1' is not supported by this platform. Valid values are: 'nodejs:18', 'python:3', 'python:3.11'."},
        {"{\"exec\":{\"kind\":\"sequence\",\"components\":[]}}", 400,
         "No component specified for the sequence."},
        {"{\"exec\":{\"kind\":\"python:3\"}}", 400,
         "The request content was malformed:\n'code' must be a string defined in 'exec' for 'python:3' actions"},
        {"{\"exec\":{\"kind\":\"python:3\",\"code\":7}}", 400,
         "The request content was malformed:\n'code' must be a string"},
        {"{\"exec\":{\"kind\":\"python:3\",\"code\":\"x\",\"main\":[]}}", 400,
         "The request content was malformed:\n'main' must be a string"},
        {"{\"exec\":{\"kind\":\"blackbox\"}}", 400,
         "The request content was malformed:\n'image' must be a string defined in 'exec' for 'blackbox' actions"},
        {"{\"exec\":{\"kind\":\"blackbox\",\"image\":\"a b\"}}", 400,
         "The image reference 'a b' is not valid."},
        {PY ",\"parameters\":{}}", 400,
         "The request content was malformed:\n'parameters' must be an array of objects with 'key' and 'value'"},
        {PY ",\"parameters\":[{\"key\":\"a\"}]}", 400,
         "The request content was malformed:\nparameters malformed: element 0 needs a 'key' with a text and a 'value'"},
        {PY ",\"parameters\":[{\"key\":\"a\",\"value\":1},7]}", 400,
         "The request content was malformed:\nparameters malformed: element 1 needs a 'key' with a text and a 'value'"},
        {PY ",\"annotations\":[{\"key\":\"\",\"value\":1}]}", 400,
         "The request content was malformed:\nannotations malformed: element 0 needs a 'key' with a text and a 'value'"},
        {PY ",\"annotations\":[{\"key\":\"narae.network\",\"value\":\"all\"}]}", 400,
         "The annotation 'narae.network' must be 'egress' or 'none'."},
        {PY ",\"annotations\":[{\"key\":\"narae.network\",\"value\":true}]}", 400,
         "The annotation 'narae.network' must be 'egress' or 'none'."},
        {PY ",\"annotations\":[{\"key\":\"narae.exec\",\"value\":\"twice\"}]}", 400,
         "The annotation 'narae.exec' must be 'once', 'loop' or 'direct'."},
        {PY ",\"delAnnotations\":[1]}", 400,
         "The request content was malformed:\n'delAnnotations' must be an array of strings"},
        {PY ",\"limits\":[]}", 400,
         "The request content was malformed:\n'limits' must be an object"},
        {PY ",\"limits\":{\"memory\":\"256\"}}", 400,
         "The request content was malformed:\n'memory' must be an integer"},
        {PY ",\"limits\":{\"memory\":256.5}}", 400,
         "The request content was malformed:\n'memory' must be an integer"},
        {PY ",\"limits\":{\"memory\":4097}}", 400,
         "memory size 4097 MB exceeds allowed threshold of 4096 MB"},
        {PY ",\"limits\":{\"memory\":63}}", 400,
         "memory size 63 MB below allowed threshold of 64 MB"},
        {PY ",\"limits\":{\"memory\":-1}}", 400,
         "memory size -1 MB below allowed threshold of 64 MB"},
        {PY ",\"limits\":{\"logs\":11}}", 400, "log size 11 MB exceeds allowed threshold of 10 MB"},
        {PY ",\"limits\":{\"logs\":-1}}", 400, "log size -1 MB below allowed threshold of 0 MB"},
        {PY ",\"limits\":{\"timeout\":600001}}", 400,
         "duration 600001 milliseconds exceeds allowed threshold of 600000 milliseconds"},
        {PY ",\"limits\":{\"timeout\":99}}", 400,
         "duration 99 milliseconds below allowed threshold of 100 milliseconds"},
        {PY ",\"limits\":{\"concurrency\":65}}", 400,
         "concurrency 65 exceeds allowed threshold of 64"},
        {PY ",\"limits\":{\"concurrency\":0}}", 400, "concurrency 0 below allowed threshold of 1"},
        {PY ",\"limits\":{\"instances\":1001}}", 400,
         "Max action instance concurrency must not exceed your namespace concurrency of 1000."},
        {PY ",\"limits\":{\"instances\":-1}}", 400,
         "The request content was malformed:\n'instances' must not be negative"},
        {PY ",\"version\":\"1.0\"}", 400,
         "The request content was malformed:\n'version' must be three numbers with dots between"},
        {PY ",\"version\":1}", 400,
         "The request content was malformed:\n'version' must be a string"},
        {PY ",\"publish\":\"yes\"}", 400,
         "The request content was malformed:\n'publish' must be true or false"},
        {"{\"exec\":{\"kind\":\"python:3\",\"code\":\"UEsDBAAA\"}}", 400,
         NULL}, /* a zip of six bytes: the library's own words */
        {"{\"exec\":", 400, NULL},
    };
    struct rig *r = *state;

    for (size_t i = 0; i < nr_countof(bad); i++) {
        struct rig_reply reply =
            rig_call(r, r->guest, FN_ACTION_PUT, NULL, "bad", bad[i].body, i % 2);
        if (bad[i].text != NULL) {
            expect(r, reply, bad[i].status, bad[i].text);
            continue;
        }
        assert_int_equal(reply.status, bad[i].status);
        assert_true(nr_str_starts(nr_str_of(reply.body),
                                  "The request content was malformed:\nline 1, column ") ||
                    nr_str_starts(nr_str_of(reply.body), "The archive cannot be read: "));
        rig_reply_fini(&reply);
    }
    assert_int_equal(rig_bucket_files(r), 0);
    expect(r, rig_call(r, r->guest, FN_ACTION_GET, NULL, "bad", NULL, false), 404,
           "The requested resource does not exist.");
    assert_int_equal(r->changes, 0);
}

static void test_other_refusals(void **state)
{
    struct rig *r = *state;

    free(rig_put(r, "a", PY "}", false, 200));
    expect(r, rig_call(r, r->guest, FN_ACTION_PUT, NULL, "a", PY "}", false), 409,
           "resource already exists");
    expect(r, rig_call(r, r->guest, FN_ACTION_PUT, "nopkg", "a", PY "}", true), 404,
           "The requested resource does not exist.");
    expect(r, rig_call(r, r->guest, FN_ACTION_DELETE, NULL, "b", NULL, false), 404,
           "The requested resource does not exist.");
    expect(r, rig_call(r, r->guest, FN_ACTION_LIST, "nopkg", NULL, NULL, false), 404,
           "The requested resource does not exist.");
    expect(r, rig_call(r, r->admin, FN_ACTION_GET, NULL, "a", NULL, false), 404,
           "The requested resource does not exist.");
    struct rig_reply reply = rig_call(r, r->guest, FN_RESOLVE, NULL, "b", NULL, false);
    assert_int_equal(reply.status, 0);
    assert_int_equal(reply.code, NR_ENOENT);
    assert_null(reply.fn);
    rig_reply_fini(&reply);
}

static void test_create_and_get(void **state)
{
    static const char entity[] =
        "{\"namespace\":\"guest\",\"name\":\"hello\",\"version\":\"0.0.1\",\"publish\":false,"
        "\"annotations\":[{\"key\":\"provide-api-key\",\"value\":false},{\"key\":\"exec\",\"value\":\"python:3\"}],"
        "\"parameters\":[{\"key\":\"who\",\"value\":\"x\"}],"
        "\"limits\":{\"timeout\":60000,\"memory\":256,\"logs\":10,\"concurrency\":1},"
        "\"exec\":{\"kind\":\"python:3\",\"code\":\"def main(a): return a\",\"binary\":false}}";
    static const char bare[] =
        "{\"namespace\":\"guest\",\"name\":\"hello\",\"version\":\"0.0.1\",\"publish\":false,"
        "\"annotations\":[{\"key\":\"provide-api-key\",\"value\":false},{\"key\":\"exec\",\"value\":\"python:3\"}],"
        "\"parameters\":[{\"key\":\"who\",\"value\":\"x\"}],"
        "\"limits\":{\"timeout\":60000,\"memory\":256,\"logs\":10,\"concurrency\":1},"
        "\"exec\":{\"kind\":\"python:3\",\"binary\":false}}";
    struct rig *r = *state;
    nr_auto_free char *made = rig_put(
        r, "hello",
        "{\"namespace\":\"_\",\"name\":\"pkg/other\",\"updated\":7,\"exec\":{\"kind\":\"Python:DEFAULT\","
        "\"code\":\"def main(a): return a\",\"binary\":true},\"parameters\":[{\"key\":\"who\",\"value\":"
        "\"y\"},{\"key\":\"who\",\"value\":\"x\"}]}\n",
        false, 200);
    struct rig_reply got = rig_call(r, r->guest, FN_ACTION_GET, NULL, "hello", NULL, false);
    struct fn_call call = {.op = FN_ACTION_GET, .account = r->guest, .name = NR_STR("hello")};
    struct rig_reply without = rig_run(r, &call);

    assert_entity(made, entity);
    assert_string_equal(got.body, made);
    assert_entity(without.body, bare);
    assert_null(strstr(made, " :"));
    assert_int_equal(r->changes, 0);
    rig_reply_fini(&got);
    rig_reply_fini(&without);
}

static void test_update_merges(void **state)
{
    struct rig *r = *state;
    char v[256];

    free(rig_put(
        r, "a",
        PY
        ",\"parameters\":[{\"key\":\"p\",\"value\":1}],\"annotations\":[{\"key\":\"one\",\"value\":1},{\"key\":\"two\","
        "\"value\":{\"x\":[1,2.5]}},{\"key\":\"provide-api-key\",\"value\":true}],\"limits\":{\"memory\":128}}",
        false, 200));
    nr_auto_free char *body = rig_put(
        r, "a",
        "{\"delAnnotations\":[\"one\",\"absent\"],\"annotations\":[{\"key\":\"three\",\"value\":3},"
        "{\"key\":\"exec\",\"value\":\"lies\"}],\"limits\":{\"timeout\":1000,\"instances\":4},"
        "\"publish\":true}",
        true, 200);
    nr_auto_json json_t *j = json(body);
    const json_t *annotations = json_object_get(j, "annotations"),
                 *l = json_object_get(j, "limits");

    assert_string_equal(value_of(annotations, "one", v), "");
    assert_string_equal(value_of(annotations, "two", v), "{\"x\":[1,2.5]}");
    assert_string_equal(value_of(annotations, "three", v), "3");
    assert_string_equal(value_of(annotations, "exec", v), "\"python:3\"");
    assert_string_equal(value_of(annotations, "provide-api-key", v), "true");
    assert_int_equal(json_array_size(annotations), 4);
    assert_string_equal(value_of(json_object_get(j, "parameters"), "p", v), "1");
    assert_int_equal(json_integer_value(json_object_get(l, "memory")), 128);
    assert_int_equal(json_integer_value(json_object_get(l, "timeout")), 1000);
    assert_int_equal(json_integer_value(json_object_get(l, "instances")), 4);
    assert_string_equal(nr_json_string(j, "version"), "0.0.2");
    assert_true(json_is_true(json_object_get(j, "publish")));
    assert_string_equal(nr_json_string(nr_json_object(j, "exec"), "code"), "def main(a): return a");
    assert_int_equal(r->changes, 1);
    assert_string_equal(r->changed, "guest//a");
}

static void test_versions(void **state)
{
    static const struct {
        const char *body, *version;
    } puts[] = {
        {"{}", "0.0.2"},   {"{\"version\":\"2.5.0\"}", "2.5.0"},
        {"{}", "2.5.1"},   {PY ",\"version\":\"0.0.1\"}", "0.0.1"},
        {PY "}", "0.0.2"},
    };
    struct rig *r = *state;

    free(rig_put(r, "a", PY "}", true, 200));
    for (size_t i = 0; i < nr_countof(puts); i++) {
        nr_auto_free char *body = rig_put(r, "a", puts[i].body, true, 200);
        nr_auto_json json_t *j = json(body);
        assert_string_equal(nr_json_string(j, "version"), puts[i].version);
    }
    struct rig_reply gone = rig_call(r, r->guest, FN_ACTION_DELETE, NULL, "a", NULL, false);
    nr_auto_json json_t *j = json(gone.body);
    assert_int_equal(gone.status, 200);
    assert_string_equal(nr_json_string(j, "version"), "0.0.2");
    assert_string_equal(nr_json_string(nr_json_object(j, "exec"), "code"), "def main(a): return a");
    rig_reply_fini(&gone);
    nr_auto_free char *again = rig_put(r, "a", PY "}", false, 200);
    nr_auto_json json_t *n = json(again);
    assert_string_equal(nr_json_string(n, "version"), "0.0.1");
}

/* What clients send as code comes back byte for byte, and is stored as what it is. */
static void test_code_forms(void **state)
{
    static const struct {
        const char *exec, *file;
        bool binary;
        int mode;
    } forms[] = {
        {"\"kind\":\"python:3\",\"code\":\"x = 'a\\n\\t\\\"\\u00e9\\ud83d\\ude00\\\\'\"", "code.py",
         false, 0444},
        {"\"kind\":\"nodejs:default\",\"code\":\"function main() { return {} }\",\"main\":\"main\"",
         "code.js", false, 0444},
        {"\"kind\":\"python:3\",\"code\":\"ZGVmIG1haW4oYSk6IHJldHVybiBhCg==\"", "code.py", true,
         0444},
        {"\"kind\":\"python:3\",\"code\":\" ZGVmIG1haW4oYSk6IHJldHVybiBhCg==\\n\"", "code.py", true,
         0444},
        {"\"kind\":\"python:3\",\"code\":\"ZGVmIG1haW4oYSk6IHJldHVybiBhCh==\"", "code.py", true,
         0444},
        {"\"kind\":\"python:3\",\"code\":\"pass\"", "code.py", true, 0444},
        {"\"kind\":\"python:3\",\"code\":\"\"", "", false, 0},
        {"\"kind\":\"blackbox\",\"image\":\"openwhisk/dockerskeleton\",\"code\":\"#!/bin/sh\\necho '{}'\\n\"",
         "exec", false, 0555},
        {"\"kind\":\"blackbox\",\"image\":\"openwhisk/dockerskeleton\",\"code\":\"f0VMRgIBAQAAAAAA\"",
         "exec", true, 0555},
        {"\"kind\":\"blackbox\",\"image\":\"me/own:1\"", "", false, 0},
        {"\"kind\":\"python:3\",\"code\":\"UEsDBAoAAAAAAAAAIQAAAAAAAAAAAAAAAAALAAAAX19tYWluX18ucHlQSwECHgMKAAAAAAAAACEAAAAAAAAAAAAAAAAA"
         "CwAAAAAAAAAAAAAApIEAAAAAX19tYWluX18ucHlQSwUGAAAAAAEAAQA5AAAAKQAAAAAA\"",
         "code.zip", true, 0444},
    };
    struct rig *r = *state;

    for (size_t i = 0; i < nr_countof(forms); i++) {
        char body[1024];
        struct stat st;
        (void)snprintf(body, sizeof(body), "{\"exec\":{%s}}", forms[i].exec);
        nr_auto_json json_t *sent = json(body);
        free(rig_put(r, "code", body, true, 200));
        struct rig_reply got = rig_call(r, r->guest, FN_ACTION_GET, NULL, "code", NULL, false);
        nr_auto_json json_t *j = json(got.body);
        const json_t *in = json_object_get(json_object_get(sent, "exec"), "code");
        const json_t *out = json_object_get(json_object_get(j, "exec"), "code");
        assert_true(in == out || json_equal(in, out));
        assert_int_equal(json_is_true(json_object_get(json_object_get(j, "exec"), "binary")),
                         forms[i].binary);
        rig_reply_fini(&got);
        struct rig_reply fn = rig_call(r, r->guest, FN_RESOLVE, NULL, "code", NULL, false);
        assert_non_null(fn.fn);
        assert_string_equal(fn.fn->file, forms[i].file);
        if (forms[i].mode != 0) {
            assert_int_equal(stat(fn.fn->code_path, &st), 0);
            assert_int_equal(st.st_mode & 07777, forms[i].mode);
            assert_int_equal(st.st_size, fn.fn->code_bytes);
        } else {
            assert_string_equal(fn.fn->code_path, "");
        }
        rig_reply_fini(&fn);
    }
}

static void test_resolve(void **state)
{
    struct rig *r = *state;
    unsigned char sha[32];

    free(rig_put(
        r, "fn",
        PY
        ",\"parameters\":[{\"key\":\"a\",\"value\":{\"b\":1}},{\"key\":\"TOKEN\",\"value\":\"t\",\"init\":true}],"
        "\"annotations\":[{\"key\":\"narae.network\",\"value\":\"none\"},{\"key\":\"provide-api-key\",\"value\":true}],"
        "\"limits\":{\"timeout\":5000,\"memory\":192,\"logs\":2,\"concurrency\":8,\"instances\":3}}",
        false, 200));
    struct rig_reply reply = rig_call(r, r->guest, FN_RESOLVE, NULL, "fn", NULL, false);
    const struct function *f = reply.fn;

    assert_non_null(f);
    assert_string_equal(f->account, "guest");
    assert_string_equal(f->package, "");
    assert_string_equal(f->path, "guest/fn");
    assert_string_equal(f->kind, "python:3");
    assert_string_equal(f->image, "narae/python:ba9876543210");
    assert_string_equal(f->parameters, "{\"a\":{\"b\":1}}");
    assert_string_equal(f->init_parameters, "{\"TOKEN\":\"t\"}");
    assert_string_equal(
        f->limits,
        "{\"timeout\":5000,\"memory\":192,\"logs\":2,\"concurrency\":8,\"instances\":3}");
    assert_int_equal(f->timeout_ms, 5000);
    assert_int_equal(f->memory_mb, 192);
    assert_int_equal(f->log_max_bytes, 2 << 20);
    assert_int_equal(f->concurrency, 8);
    assert_int_equal(f->instances, 3);
    assert_int_equal(f->network, FN_NET_NONE);
    assert_true(f->provide_api_key && !f->relay && !f->binary);
    assert_string_equal(f->exec, "");
    nr_sha256(NR_STR("def main(a): return a"), sha);
    assert_memory_equal(f->sha256, sha, sizeof(sha));
    struct rig_reply again = rig_call(r, r->guest, FN_RESOLVE, NULL, "fn", NULL, false);
    assert_int_equal(again.fn->revision, f->revision);
    assert_int_equal(r->m->storage.hashed, 1);
    rig_reply_fini(&again);
    rig_reply_fini(&reply);
}

static void test_native_and_own_images(void **state)
{
    struct rig *r = *state;

    free(rig_put(
        r, "native",
        "{\"exec\":{\"kind\":\"blackbox\",\"image\":\"openwhisk/dockerskeleton:1.0\",\"code\":\"#!/bin/sh\\n\"},"
        "\"annotations\":[{\"key\":\"narae.exec\",\"value\":\"loop\"}]}",
        false, 200));
    free(
        rig_put(r, "own", "{\"exec\":{\"kind\":\"BLACKBOX\",\"image\":\"me/own:1\"}}", false, 200));
    struct rig_reply native = rig_call(r, r->guest, FN_RESOLVE, NULL, "native", NULL, false);
    struct rig_reply own = rig_call(r, r->guest, FN_RESOLVE, NULL, "own", NULL, false);

    assert_string_equal(native.fn->image, "narae/native:000000000000");
    assert_string_equal(native.fn->exec, "loop");
    assert_false(native.fn->relay);
    assert_string_equal(own.fn->image, "me/own:1");
    assert_string_equal(own.fn->kind, "blackbox");
    assert_string_equal(own.fn->exec, "");
    assert_true(own.fn->relay);
    rig_reply_fini(&native);
    rig_reply_fini(&own);
}

/* The new revision is announced before the 2xx, with the old one; a snapshot's file stays for those who hold it. */
static void test_change_is_announced(void **state)
{
    struct rig *r = *state;
    struct stat st;

    free(rig_put(r, "a", PY "}", false, 200));
    struct rig_reply before = rig_call(r, r->guest, FN_RESOLVE, NULL, "a", NULL, false);
    struct rig_reply put =
        rig_call(r, r->guest, FN_ACTION_PUT, NULL, "a",
                 "{\"exec\":{\"kind\":\"python:3\",\"code\":\"def main(a): return {}\"}}", true);
    assert_int_equal(put.changes_at_done, 1);
    assert_int_equal(r->changed_revision, before.fn->revision);
    assert_int_equal(stat(before.fn->code_path, &st), 0);
    struct rig_reply after = rig_call(r, r->guest, FN_RESOLVE, NULL, "a", NULL, false);
    assert_true(after.fn->revision > before.fn->revision);
    assert_string_not_equal(after.fn->code_path, before.fn->code_path);
    struct rig_reply gone = rig_call(r, r->guest, FN_ACTION_DELETE, NULL, "a", NULL, false);
    assert_int_equal(gone.changes_at_done, 2);
    assert_int_equal(r->changed_revision, after.fn->revision);
    assert_int_equal(stat(after.fn->code_path, &st), 0);
    rig_reply_fini(&before);
    rig_reply_fini(&after);
    rig_reply_fini(&put);
    rig_reply_fini(&gone);
}

static struct rig_reply list(struct rig *r, int limit, int skip, bool count)
{
    struct fn_call call = {
        .op = FN_ACTION_LIST, .account = r->guest, .limit = limit, .skip = skip, .count = count};

    return rig_run(r, &call);
}

/* Names of a page of either list, in its order; made. */
static char *page_names(struct rig *r, enum fn_op op, int limit, int skip)
{
    struct fn_call call = {.op = op, .account = r->guest, .limit = limit, .skip = skip};
    struct rig_reply reply = rig_run(r, &call);
    nr_auto_json json_t *j = nr_json_parse(nr_str_of(reply.body), NULL);
    const json_t *rows = json_is_array(j) ? j : json_object_get(j, "functions");
    struct nr_buf names;
    size_t i;
    json_t *row;

    assert_int_equal(reply.status, 200);
    nr_buf_init(&names, 4096);
    json_array_foreach(rows, i, row) {
        nr_buf_adds(&names, nr_json_string(row, "name"));
        nr_buf_addc(&names, ' ');
    }
    nr_buf_addc(&names, '\0');
    rig_reply_fini(&reply);
    return nr_buf_detach(&names, NULL);
}

/* A page is found from the nearer end: every one of them must be the same piece of the whole. */
static void test_every_page(void **state)
{
    static const enum fn_op lists[] = {FN_ACTION_LIST, FN_FUNCTION_LIST};
    struct rig *r = *state;
    char name[16];

    for (int i = 0; i < 9; i++) {
        (void)snprintf(name, sizeof(name), "f%d", i * 4 % 9);
        free(rig_put(r, name, PY "}", false, 200));
    }
    free(rig_put(r, "f4", PY "}", true, 200));
    for (size_t l = 0; l < nr_countof(lists); l++) {
        nr_auto_free char *whole = page_names(r, lists[l], 0, 0);
        assert_int_equal(strlen(whole), 27);
        assert_memory_equal(whole, l == 0 ? "f4 f5 f1 " : "f0 f1 f2 ", 9);
        for (int skip = 0; skip <= 11; skip++)
            for (int limit = 1; limit <= 10; limit++) {
                nr_auto_free char *page = page_names(r, lists[l], limit, skip);
                int rows = skip >= 9 ? 0 : skip + limit > 9 ? 9 - skip : limit;

                assert_int_equal(strlen(page), rows * 3);
                assert_memory_equal(page, whole + (skip < 9 ? skip * 3 : 0), (size_t)rows * 3);
            }
    }
}

static void test_lists(void **state)
{
    struct rig *r = *state;
    char name[16];

    struct rig_reply empty = list(r, 30, 0, false);
    assert_string_equal(empty.body, "[]");
    rig_reply_fini(&empty);
    for (int i = 0; i < 205; i++) {
        (void)snprintf(name, sizeof(name), "f%03d", i);
        free(rig_put(r, name, PY "}", false, 200));
    }
    free(rig_put(r, "f000", "{}", true, 200));
    static const struct {
        int limit, skip, size;
        const char *first;
    } cases[] = {{30, 0, 30, "f000"},
                 {0, 0, 200, "f000"},
                 {2, 1, 2, "f204"},
                 {200, 203, 2, "f002"},
                 {10, 300, 0, NULL}};
    for (size_t i = 0; i < nr_countof(cases); i++) {
        struct rig_reply reply = list(r, cases[i].limit, cases[i].skip, false);
        nr_auto_json json_t *j = json(reply.body);
        assert_int_equal(json_array_size(j), cases[i].size);
        if (cases[i].first != NULL)
            assert_string_equal(nr_json_string(json_array_get(j, 0), "name"), cases[i].first);
        rig_reply_fini(&reply);
    }
    expect(r, list(r, 0, 0, true), 200, "{\"actions\":205}");
    expect(r, list(r, 0, 200, true), 200, "{\"actions\":5}");
    expect(r, list(r, 0, 300, true), 200, "{\"actions\":0}");
}

static void test_list_item(void **state)
{
    struct rig *r = *state;

    free(rig_put(r, "hello", PY ",\"parameters\":[{\"key\":\"secret\",\"value\":1}]}", false, 200));
    struct rig_reply reply = list(r, 0, 0, false);
    nr_auto_json json_t *j = json(reply.body);
    nr_auto_free char *item = nr_json_text(json_array_get(j, 0), NULL);
    assert_entity(
        item,
        "{\"namespace\":\"guest\",\"name\":\"hello\",\"version\":\"0.0.1\",\"publish\":false,"
        "\"annotations\":[{\"key\":\"provide-api-key\",\"value\":false},{\"key\":\"exec\",\"value\":\"python:3\"}],"
        "\"limits\":{\"timeout\":60000,\"memory\":256,\"logs\":10,\"concurrency\":1},\"exec\":{\"binary\":false}}");
    rig_reply_fini(&reply);
}

/* {"exec":{...,"code":"xxx…"}} with n bytes of code, then `tail`. */
static char *sized_body(size_t n, char fill, const char *tail)
{
    static const char head[] = "{\"exec\":{\"kind\":\"python:3\",\"code\":\"";
    size_t at = sizeof(head) - 1;
    char *body = nr_alloc(at + n + strlen(tail) + 1);

    memcpy(body, head, at);
    memset(body + at, fill, n);
    memcpy(body + at + n, tail, strlen(tail));
    return body;
}

static void test_sizes(void **state)
{
    struct rig *r = *state;
    struct nr_buf text;

    nr_auto_free char *most = sized_body(48u << 20, '#', "\"}}");
    nr_auto_free char *over = sized_body((48u << 20) + 1, '#', "\"}}");
    free(rig_put(r, "most", most, false, 200));
    expect(r, rig_call(r, r->guest, FN_ACTION_PUT, NULL, "over", over, false), 413,
           "exec larger than allowed: 50331649 > 50331648 bytes.");
    for (int extra = 0; extra < 2; extra++) {
        for (int field = 0; field < 2; field++) {
            static const char *const fields[] = {"parameters", "annotations"};
            char sentence[100];
            nr_buf_init(&text, 4 << 20);
            nr_buf_printf(&text, PY ",\"%s\":[{\"key\":\"k\",\"value\":\"", fields[field]);
            /* key and quotes are 3 bytes; what each action gets is counted too: 4 + 10 and 15 + 5 */
            for (int i = 0; i < (1 << 20) - 3 - (field == 1 ? 34 : 0) + extra; i++)
                nr_buf_addc(&text, 'v');
            nr_buf_adds(&text, "\"}]}");
            nr_buf_addc(&text, '\0');
            (void)snprintf(sentence, sizeof(sentence),
                           "%s larger than allowed: 1048577 > 1048576 bytes.", fields[field]);
            struct rig_reply reply =
                rig_call(r, r->guest, FN_ACTION_PUT, NULL, field == 0 ? "p" : "q", text.p, false);
            if (extra != 0)
                expect(r, reply, 413, sentence);
            else
                assert_int_equal(reply.status, 200);
            if (extra == 0)
                rig_reply_fini(&reply);
            nr_buf_fini(&text);
            struct rig_reply gone =
                rig_call(r, r->guest, FN_ACTION_DELETE, NULL, field == 0 ? "p" : "q", NULL, false);
            rig_reply_fini(&gone);
        }
    }
}

/* "<head>item,item,...<tail>" of about n bytes. */
static char *repeated(const char *head, const char *item, const char *tail, size_t n)
{
    struct nr_buf b;
    size_t ignored;

    nr_buf_init(&b, 128 << 20);
    nr_buf_adds(&b, head);
    while (b.n + strlen(item) + 1 < n) {
        nr_buf_adds(&b, item);
        nr_buf_addc(&b, ',');
    }
    nr_buf_adds(&b, item);
    nr_buf_adds(&b, tail);
    return nr_buf_detach(&b, &ignored);
}

/* A body is refused before its many values take memory that no field of it could fill; what fields may hold has room. */
static void test_many_values(void **state)
{
    struct rig *r = *state;
    struct nr_buf both;
    static const char not_text[] = "{\"exec\":{\"kind\":\"python:3\",\"code\":[";
    static const struct {
        const char *head, *item, *tail;
        size_t bytes;
        const char *refusal;
    } rows[] = {
        {PY ",\"x\":[", "[]", "]}", 6 << 20, "Memory for the values of the request larger than"},
        {PY ",\"x\":[", "{\"a\":1}", "]}", 3 << 20, "Memory for the values of the request larger"},
        {not_text, "[]", "]}}", 6 << 20, "Memory for the values of the request larger than"},
        {not_text, "\"text\"", "]}}", 40 << 20, "Request without its code larger than allowed: "},
        {PY ",\"x\":\"", "some text", "\"}", 9 << 20, "Request without its code larger than"},
    };

    for (size_t i = 0; i < nr_countof(rows); i++) {
        nr_auto_free char *body = repeated(rows[i].head, rows[i].item, rows[i].tail, rows[i].bytes);
        struct rig_reply reply = rig_call(r, r->guest, FN_ACTION_PUT, NULL, "many", body, false);
        if (reply.status != 413 ||
            strncmp(reply.body, rows[i].refusal, strlen(rows[i].refusal)) != 0)
            fail_msg("row %zu: %d %.200s", i, reply.status, reply.body);
        rig_reply_fini(&reply);
    }
    nr_auto_free char *bad = repeated(PY ",\"x\":[", "[]", "", 9 << 20);
    struct rig_reply reply = rig_call(r, r->guest, FN_ACTION_PUT, NULL, "many", bad, false);
    assert_int_equal(reply.status, 400);
    rig_reply_fini(&reply);
    /* two full fields of numbers, and escapes in place of every letter */
    nr_auto_free char *pairs = repeated("", "[1,2]", "", (1 << 20) - 400);
    nr_buf_init(&both, 16 << 20);
    nr_buf_printf(&both, PY ",\"parameters\":[{\"key\":\"k\",\"value\":[%s]}],", pairs);
    nr_buf_printf(&both, "\"annotations\":[{\"key\":\"k\",\"value\":[%s]}]}", pairs);
    nr_buf_addc(&both, '\0');
    free(rig_put(r, "pairs", both.p, false, 200));
    nr_buf_fini(&both);
    nr_auto_free char *letters =
        repeated(PY ",\"parameters\":[{\"key\":\"k\",\"value\":[", "\"\\uac00\\uac01\\uac02\"",
                 "]}]}", 2 * ((1 << 20) - 400) - 400000);
    free(rig_put(r, "letters", letters, false, 200));
}

static void test_large_upload(void **state)
{
    struct rig *r = *state;
    size_t n = 30u << 20, chars;
    nr_auto_free unsigned char *noise = nr_alloc(n);
    nr_auto_free char *body = sized_body(4 * (n / 3), 'A', "\"}}");
    uint64_t from_ms;
    unsigned seed = 3;

    for (size_t i = 0; i < n; i++)
        noise[i] = (unsigned char)rand_r(&seed);
    chars = nr_base64_encode(noise, n, strchr(body, 'A'));
    memcpy(strchr(body, '\0'), "", 1);
    assert_int_equal(chars, 4 * (n / 3));
    memcpy(body + strlen("{\"exec\":{\"kind\":\"python:3\",\"code\":\"") + chars, "\"}}", 4);
    from_ms = nr_mono_ms();
    nr_auto_free char *made = rig_put(r, "large", body, false, 200);
    print_message("PUT of %zu MB: %llu ms\n", strlen(body) >> 20,
                  (unsigned long long)(nr_mono_ms() - from_ms));
    from_ms = nr_mono_ms();
    struct rig_reply got = rig_call(r, r->guest, FN_ACTION_GET, NULL, "large", NULL, false);
    print_message("GET: %llu ms\n", (unsigned long long)(nr_mono_ms() - from_ms));
    assert_string_equal(got.body, made);
    assert_non_null(memmem(made, strlen(made), body + 36, chars));
    rig_reply_fini(&got);
}

static void test_damaged_file(void **state)
{
    struct rig *r = *state;

    free(rig_put(r, "a", PY "}", false, 200));
    struct rig_reply ok = rig_call(r, r->guest, FN_RESOLVE, NULL, "a", NULL, false);
    char *dir = nr_strdup(ok.fn->code_path), *slash = strrchr(dir, '/');
    *slash = '\0';
    assert_int_equal(nr_file_write(dir, slash + 1, NR_STR("def main(a): return b"), 0444, NULL), 0);
    rig_close(r);
    rig_open(r);
    struct rig_reply bad = rig_call(r, r->guest, FN_RESOLVE, NULL, "a", NULL, false);
    assert_int_equal(bad.code, NR_ECORRUPT);
    assert_null(bad.fn);
    assert_non_null(strstr(bad.body, "code of the function is unavailable"));
    assert_int_equal(r->m->storage.damaged, 1);
    struct rig_reply get = rig_call(r, r->guest, FN_ACTION_GET, NULL, "a", NULL, false);
    assert_int_equal(get.status, 500);
    struct rig_reply gone = rig_call(r, r->guest, FN_ACTION_DELETE, NULL, "a", NULL, false);
    assert_int_equal(gone.status, 200);
    assert_null(strstr(gone.body, "\"code\""));
    rig_reply_fini(&ok);
    rig_reply_fini(&bad);
    rig_reply_fini(&get);
    rig_reply_fini(&gone);
    free(dir);
}

/* Many changes of one action at once: all succeed, one after the other, each on what the other left. */
static void test_racing_updates(void **state)
{
    enum { CALLS = 40 };
    struct rig *r = *state;
    struct fn_call calls[CALLS];
    nr_auto_free char *big = sized_body(100000, '#', "\"}}");
    bool done[CALLS] = {false};

    free(rig_put(r, "a", PY "}", false, 200));
    memset(calls, 0, sizeof(calls));
    struct fn_call first = {.op = FN_ACTION_GET, .account = r->guest, .name = NR_STR("a")};
    struct rig_reply reply = rig_run(r, &first);
    for (int i = 0; i < CALLS; i++) {
        calls[i] = first;
        calls[i].op = FN_ACTION_PUT;
        calls[i].err = (struct nr_err){0};
        calls[i].reply = (struct nr_buf){0};
        calls[i].overwrite = true;
        calls[i].body = i % 2 != 0 ? nr_str_of(big) : NR_STR("{}");
        calls[i].owner = &done[i];
        fnmanager_post(r->m, &calls[i]);
    }
    for (int i = 0; i < CALLS; i++) {
        while (!done[i])
            (void)uv_run(&r->loop.uv, UV_RUN_ONCE);
        assert_int_equal(calls[i].status, 200);
        nr_buf_fini(&calls[i].reply);
    }
    rig_reply_fini(&reply);
    nr_auto_free char *last = rig_put(r, "a", "{}", true, 200);
    nr_auto_json json_t *j = json(last);
    assert_string_equal(nr_json_string(j, "version"), "0.0.42");
    assert_int_equal(r->changes, CALLS + 1);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_put_refusals),
        CASE(test_other_refusals),
        CASE(test_create_and_get),
        CASE(test_update_merges),
        CASE(test_versions),
        CASE(test_code_forms),
        CASE(test_resolve),
        CASE(test_native_and_own_images),
        CASE(test_change_is_announced),
        CASE(test_lists),
        CASE(test_every_page),
        CASE(test_list_item),
        CASE(test_sizes),
        CASE(test_many_values),
        CASE(test_large_upload),
        CASE(test_damaged_file),
        CASE(test_racing_updates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
