/* Parameters that are secret: what is stored and shown, who gets the value, and whom it is worth nothing to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "fnmanager/manager.h"
#include "fnmanager/sealed.h"
#include "rig.h"

#define CODE "\"exec\":{\"kind\":\"python:3\",\"code\":\"def main(a): return a\"}"
#define PLAIN "open-sesame-4711"
#define SECRET(key, value) "{\"key\":\"" key "\",\"value\":" value ",\"secret\":true}"
/* ids of accounts */
enum { GUEST = 7, ADMIN = 8 };
#define MANY_BYTES (64 * (SEALED_MAX + 1) + 8)

static struct secrets *box(struct rig *r)
{
    return &r->m->secrets;
}

static json_t *array(const char *text)
{
    json_t *j = nr_json_parse(nr_str_of(text), NULL);

    assert_true(json_is_array(j));
    return j;
}

static void takes(struct rig *r, json_t *parameters, int expect, const char *sentence)
{
    struct nr_err err = {0};
    int e = sealed_take(box(r), GUEST, parameters, NULL, &err);

    if (e != expect || strstr(err.text, sentence) == NULL || strstr(err.text, PLAIN) != NULL)
        fail_msg("%d (expected %d): %s", e, expect, err.text);
}

/* Does a file of the registry hold these bytes? */
static bool on_disk(struct rig *r, const char *bytes)
{
    static const char *const files[] = {"meta.db", "meta.db-wal"};
    bool found = false;
    size_t whole = 0;

    for (size_t i = 0; i < nr_countof(files); i++) {
        char path[128];
        nr_auto_free char *text = NULL;
        size_t n = 0;

        (void)snprintf(path, sizeof(path), "%s/%s", r->dir, files[i]);
        if (nr_file_read(path, 64 << 20, &text, &n, NULL) < 0)
            continue;
        found |= memmem(text, n, bytes, strlen(bytes)) != NULL;
        whole += n;
    }
    assert_true(whole > 0);
    return found;
}

static void comes_back_as_it_was(void **state)
{
    static const char *const values[] = {"\"" PLAIN "\"",
                                         "17",
                                         "null",
                                         "\"\"",
                                         "{\"a\":[1,2.5,\"\\u00fc\",{\"b\":null}]}",
                                         "[{\"value\":\"" PLAIN "\"}]"};
    struct rig *r = *state;

    for (size_t i = 0; i < nr_countof(values); i++) {
        char text[256];
        struct nr_err err = {0};

        (void)snprintf(text, sizeof(text),
                       "[{\"key\":\"k\",\"value\":%s,\"secret\":true,\"init\":true},"
                       "{\"key\":\"l\",\"value\":1,\"secret\":false}]",
                       values[i]);
        nr_auto_json json_t *a = array(text);
        nr_auto_json json_t *before = nr_json_parse(nr_str_of(values[i]), NULL);

        takes(r, a, 0, "");
        json_t *e = json_array_get(a, 0);
        assert_true(entity_is_sealed(e));
        assert_true(json_is_true(json_object_get(e, "init")));
        assert_null(json_object_get(e, "secret"));
        assert_null(strstr(nr_json_string(e, "value"), PLAIN));
        assert_false(entity_is_sealed(json_array_get(a, 1)));
        nr_auto_json json_t *again = json_deep_copy(a);
        takes(r, again, 0, "");
        assert_true(json_equal(a, again)); /* read and sent again */
        assert_int_equal(sealed_open(box(r), GUEST, a, &err), 0);
        assert_true(json_equal(json_object_get(e, "value"), before));
        assert_false(entity_is_sealed(e));
        sealed_forget(a);
    }
}

static void one_more_is_too_many(struct rig *r)
{
    nr_auto_free char *text = nr_alloc(MANY_BYTES);
    size_t n = 1;

    text[0] = '[';
    for (int i = 0; i <= SEALED_MAX; i++)
        n += (size_t)snprintf(text + n, MANY_BYTES - n, "%s" SECRET("k%d", "1"), i ? "," : "", i);
    (void)snprintf(text + n, MANY_BYTES - n, "]");
    nr_auto_json json_t *a = array(text);
    takes(r, a, NR_ETOOBIG, "There are 257 secret parameters; at most 256 are allowed.");
    (void)json_array_remove(a, 0);
    takes(r, a, 0, "");
}

static void mistakes_are_told(void **state)
{
    static const struct {
        const char *element, *sentence;
    } rows[] = {
        {"{\"key\":\"k\",\"value\":\"" PLAIN "\",\"secret\":\"true\"}",
         "'secret' of the parameter 'k' must be true or false"},
        {"{\"key\":\"k\",\"value\":\"" PLAIN "\",\"secret\":1}",
         "'secret' of the parameter 'k' must be true or false"},
        {"{\"key\":\"k\",\"value\":\"" PLAIN "\",\"encryption\":\"aes-128\"}",
         "'encryption' of the parameter 'k' must be 'aes-256'"},
        {"{\"key\":\"k\",\"value\":\"" PLAIN "\",\"encryption\":true}",
         "'encryption' of the parameter 'k' must be 'aes-256'"},
        {"{\"key\":\"k\",\"value\":\"" PLAIN "\",\"encryption\":\"aes-256\"}",
         "The value of the parameter 'k' was sealed for another account"},
        {"{\"key\":\"k\",\"value\":17,\"encryption\":\"aes-256\"}",
         "The value of the parameter 'k' was sealed for another account"},
        {"{\"key\":\"k\",\"value\":\"\",\"encryption\":\"aes-256\",\"secret\":true}",
         "The value of the parameter 'k' was sealed for another account"},
    };
    struct rig *r = *state;

    for (size_t i = 0; i < nr_countof(rows); i++) {
        char text[256];

        (void)snprintf(text, sizeof(text), "[{\"key\":\"a\",\"value\":1},%s]", rows[i].element);
        nr_auto_json json_t *a = array(text);
        takes(r, a, NR_EINVAL, rows[i].sentence);
    }
    one_more_is_too_many(r);
}

static void worth_nothing_to_another_account(void **state)
{
    struct rig *r = *state;
    struct sealed_lost lost = {0};
    struct nr_err err = {0}, told = {0};
    nr_auto_json json_t *a = array(
        "[" SECRET("x", "\"" PLAIN "\"") ",{\"key\":\"y\",\"value\":1}," SECRET("z", "2") "]");

    takes(r, a, 0, "");
    assert_int_equal(sealed_take(box(r), ADMIN, a, NULL, &err), NR_EINVAL);
    assert_int_equal(sealed_open(box(r), ADMIN, a, &told), NR_ECORRUPT);
    assert_non_null(strstr(told.text, "The secret parameter 'x' cannot be opened"));
    assert_int_equal(sealed_take(box(r), ADMIN, a, &lost, NULL), 0);
    assert_int_equal(lost.n, 2);
    assert_int_equal(json_array_size(a), 1);
    err = (struct nr_err){0};
    sealed_tell_lost(&lost, &err);
    assert_non_null(strstr(err.text, "2 secret parameters were left out"));
    assert_non_null(strstr(err.text, "'z', 'x'"));
}

/* What was read is not refused for its size when it is sent again. */
static void counted_as_it_was_given(void **state)
{
    struct rig *r = *state;
    size_t n =
        (size_t)BODY_FIELD_MAX_BYTES - 3; /* with quotes and key it is just as large as may be */
    nr_auto_free char *value = nr_alloc(n + 1);

    memset(value, 'x', n);
    value[n] = '\0';
    nr_auto_json json_t *a =
        json_pack("[{s:s, s:s, s:b}]", "key", "k", "value", value, "secret", true);
    assert_int_equal(entity_field_bytes(a), BODY_FIELD_MAX_BYTES);
    takes(r, a, 0, "");
    assert_in_range(entity_field_bytes(a), BODY_FIELD_MAX_BYTES - 4, BODY_FIELD_MAX_BYTES);
}

static struct rig_reply ask(struct rig *r, struct account *who, enum fn_op op, const char *space,
                            const char *package, const char *name, const char *body)
{
    struct fn_call call = {.op = op,
                           .account = who,
                           .space = nr_str_of(space),
                           .package = nr_str_of(package),
                           .name = nr_str_of(name),
                           .body = nr_str_of(body),
                           .overwrite = true};

    return rig_run(r, &call);
}

/* The answer has the status; it holds `text` and no secret. */
static void expect(struct rig_reply reply, int status, const char *text)
{
    if (reply.status != status || strstr(reply.body, text) == NULL ||
        strstr(reply.body, PLAIN) != NULL)
        fail_msg("%d (expected %d), without '%s' or with a secret: %.500s", reply.status, status,
                 text, reply.body);
    rig_reply_fini(&reply);
}

static void runs_with(struct rig *r, struct account *who, const char *space, const char *package,
                      const char *run, const char *init)
{
    struct rig_reply reply = ask(r, who, FN_RESOLVE, space, package, "f", NULL);

    if (reply.fn == NULL)
        fail_msg("%d: %s", reply.status, reply.body);
    assert_string_equal(reply.fn->parameters, run);
    assert_string_equal(reply.fn->init_parameters, init);
    rig_reply_fini(&reply);
}

/* Each layer is sealed for whom it is of: the package's owner, who binds it, the function's owner. */
static void given_to_who_runs(void **state)
{
    struct rig *r = *state;
    struct account *g = r->guest, *a = r->admin;

    expect(ask(r, g, FN_PACKAGE_PUT, NULL, "p", NULL,
               "{\"publish\":true,\"parameters\":[" SECRET("a", "\"" PLAIN "-a\"") "," SECRET(
                   "b", "\"" PLAIN "-b\"") "," SECRET("c", "\"" PLAIN "-c\"") "]}"),
           200, "\"encryption\":\"aes-256\"");
    expect(ask(r, g, FN_ACTION_PUT, NULL, "p", "f",
               "{" CODE
               ",\"parameters\":[{\"key\":\"c\",\"value\":{\"n\":1},\"secret\":true,\"init\":"
               "true}]}"),
           200, "\"init\":true,\"encryption\":\"aes-256\"");
    expect(ask(r, a, FN_PACKAGE_PUT, NULL, "bound", NULL,
               "{\"binding\":{\"namespace\":\"guest\",\"name\":\"p\"},\"parameters\":[" SECRET(
                   "b", "\"" PLAIN "-of-admin\"") "]}"),
           200, "\"encryption\":\"aes-256\"");
    runs_with(r, g, NULL, "p", "{\"a\":\"" PLAIN "-a\",\"b\":\"" PLAIN "-b\"}",
              "{\"c\":{\"n\":1}}");
    runs_with(r, a, "guest", "p", "{\"a\":\"" PLAIN "-a\",\"b\":\"" PLAIN "-b\"}",
              "{\"c\":{\"n\":1}}");
    runs_with(r, a, NULL, "bound", "{\"a\":\"" PLAIN "-a\",\"b\":\"" PLAIN "-of-admin\"}",
              "{\"c\":{\"n\":1}}");
    expect(ask(r, a, FN_PACKAGE_GET, "guest", "p", NULL, NULL), 200, "aes-256");
    expect(ask(r, a, FN_PACKAGE_GET, NULL, "bound", NULL, NULL), 200, "aes-256");
    expect(ask(r, a, FN_ACTION_GET, NULL, "bound", "f", NULL), 200, "aes-256");
    assert_false(on_disk(r, PLAIN));
    assert_true(on_disk(r, "aes-256"));
    rig_close(r); /* the key is read again */
    rig_open(r);
    runs_with(r, r->guest, NULL, "p", "{\"a\":\"" PLAIN "-a\",\"b\":\"" PLAIN "-b\"}",
              "{\"c\":{\"n\":1}}");
}

static void triggers_have_them_too(void **state)
{
    struct rig *r = *state;
    struct fn_call call = {.op = FN_TRIGGER_RESOLVE, .account = r->guest, .name = NR_STR("t")};

    expect(ask(r, r->guest, FN_TRIGGER_PUT, NULL, NULL, "t",
               "{\"parameters\":[" SECRET("a", "\"" PLAIN "\"") "]}"),
           200, "aes-256");
    struct rig_reply reply = rig_run(r, &call);
    assert_int_equal(reply.status, 200);
    assert_string_equal(call.trigger->parameters, "{\"a\":\"" PLAIN "\"}");
    assert_true(call.trigger->secret);
    trigger_unref(call.trigger);
    rig_reply_fini(&reply);
    assert_false(on_disk(r, PLAIN));
}

static void differences_tell_no_value(void **state)
{
    static const char *const values[] = {"\"" PLAIN "-1\"", "\"" PLAIN "-1\"", "\"" PLAIN "-2\""};
    struct rig *r = *state;

    for (size_t i = 0; i < nr_countof(values); i++) {
        char body[256];
        (void)snprintf(body, sizeof(body), "{" CODE ",\"parameters\":[" SECRET("a", "%s") "]}",
                       values[i]);
        expect(ask(r, r->guest, FN_ACTION_PUT, NULL, NULL, "f", body), 200, "aes-256");
        expect(ask(r, r->guest, FN_VERSION_PUBLISH, NULL, NULL, "f", NULL), 201, "\"version\":");
    }
    for (int other = 2; other <= 3; other++) {
        struct fn_call call = {.op = FN_VERSION_DIFF,
                               .account = r->guest,
                               .name = NR_STR("f"),
                               .number = 1,
                               .item = other == 2 ? NR_STR("2") : NR_STR("3")};
        expect(rig_run(r, &call), 200,
               other == 2 ? "\"settings\":[]"
                          : "\"settings\":[{\"path\":\"parameters.a\",\"from\":{\"encryption\":"
                            "\"aes-256\"},\"to\":{\"encryption\":\"aes-256\"}}]");
    }
}

static void annotations_are_no_place_for_them(void **state)
{
    struct rig *r = *state;
    const char *sentence = "annotations malformed: only parameters may be secret";

    expect(ask(r, r->guest, FN_ACTION_PUT, NULL, NULL, "f",
               "{" CODE ",\"annotations\":[" SECRET("a", "\"" PLAIN "\"") "]}"),
           400, sentence);
    expect(ask(r, r->guest, FN_TRIGGER_PUT, NULL, NULL, "t",
               "{\"annotations\":[{\"key\":\"a\",\"value\":1,\"encryption\":\"aes-256\"}]}"),
           400, sentence);
    assert_false(on_disk(r, PLAIN));
}

static int setup(void **state)
{
    struct rig *r = nr_alloc(sizeof(*r));

    rig_begin(r);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    char key[96];

    (void)snprintf(key, sizeof(key), "%s.secret.key", r->dir);
    rig_end(r);
    (void)unlink(key);
    free(r);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(comes_back_as_it_was, setup, teardown),
        cmocka_unit_test_setup_teardown(mistakes_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(worth_nothing_to_another_account, setup, teardown),
        cmocka_unit_test_setup_teardown(counted_as_it_was_given, setup, teardown),
        cmocka_unit_test_setup_teardown(given_to_who_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(triggers_have_them_too, setup, teardown),
        cmocka_unit_test_setup_teardown(differences_tell_no_value, setup, teardown),
        cmocka_unit_test_setup_teardown(annotations_are_no_place_for_them, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
