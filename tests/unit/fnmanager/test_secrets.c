/* The box of secrets: what comes back, what opens nothing, and a key that is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "fnmanager/registry/schema.h"
#include "fnmanager/accounts/secrets.h"

#define ABOUT NR_STR("registry/guest/docker.example")

struct box {
    char dir[64], db_path[96], key_path[96];
    struct nr_db *db;
    struct secrets secrets;
};

static void open_box(struct box *b, int expect)
{
    struct nr_db_config c = {.path = b->db_path,
                             .steps = schema_steps,
                             .page_bytes = 4096,
                             .readers = 1,
                             .busy_timeout_ms = 5000};
    struct nr_err err = {0};

    memset(&b->secrets, 0, sizeof(b->secrets));
    assert_int_equal(nr_db_open(&c, &b->db, &err), 0);
    assert_int_equal(secrets_init(&b->secrets, b->db, b->key_path, NULL, &err), expect);
    if (expect != 0)
        assert_non_null(strstr(err.text, b->key_path));
    err = (struct nr_err){0}; /* who only asks hears the same, beside whoever has it open */
    assert_int_equal(secrets_judge(b->db_path, b->key_path, NULL, &err), expect);
    if (expect != 0)
        assert_non_null(strstr(err.text, b->key_path));
}

static void close_box(struct box *b)
{
    secrets_fini(&b->secrets);
    nr_db_close(b->db);
}

static int setup(void **state)
{
    struct box *b = nr_alloc(sizeof(*b));

    (void)snprintf(b->dir, sizeof(b->dir), "/tmp/narae-box-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    (void)snprintf(b->db_path, sizeof(b->db_path), "%s/meta.db", b->dir);
    (void)snprintf(b->key_path, sizeof(b->key_path), "%s/the.key", b->dir);
    open_box(b, 0);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct box *b = *state;

    close_box(b);
    assert_int_equal(nr_dir_remove(b->dir, NULL), 0);
    free(b);
    return 0;
}

static void seal(struct box *b, struct nr_str text, char **ret, size_t *ret_n)
{
    struct nr_err err = {0};

    if (secrets_seal(&b->secrets, text, ABOUT, ret, ret_n, &err) != 0)
        fail_msg("seal: %s", err.text);
}

static void assert_opens(struct box *b, struct nr_str sealed, struct nr_str text)
{
    struct nr_err err = {0};
    char *out = NULL;
    size_t n = 0;

    if (secrets_open(&b->secrets, sealed, ABOUT, &out, &n, &err) != 0)
        fail_msg("open: %s", err.text);
    assert_int_equal(n, text.n);
    assert_memory_equal(out, text.p, n);
    assert_int_equal(out[n], '\0');
    secrets_forget(out, n);
}

static int open_as(struct box *b, struct nr_str sealed, struct nr_str about)
{
    char *out = NULL;
    size_t n = 0;
    int r = secrets_open(&b->secrets, sealed, about, &out, &n, NULL);

    secrets_forget(out, n);
    return r;
}

static void test_comes_back(void **state)
{
    static const char *const texts[] = {"", "x", "correct horse battery staple", "sp\xc3\xa4t"};
    struct box *b = *state;
    struct stat st;

    assert_int_equal(stat(b->key_path, &st), -1); /* no secret, no key */
    for (size_t i = 0; i < nr_countof(texts); i++) {
        nr_auto_free char *one = NULL;
        nr_auto_free char *two = NULL;
        size_t n = 0, m = 0;

        seal(b, nr_str_of(texts[i]), &one, &n);
        seal(b, nr_str_of(texts[i]), &two, &m);
        assert_int_equal(n, m);
        assert_true(memcmp(one, two, n) != 0); /* another nonce each time */
        assert_opens(b, (struct nr_str){one, n}, nr_str_of(texts[i]));
        assert_opens(b, (struct nr_str){two, m}, nr_str_of(texts[i]));
        assert_null(strlen(texts[i]) > 1 ? memmem(one, n, texts[i], strlen(texts[i])) : NULL);
    }
    assert_int_equal(stat(b->key_path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_ceiling(void **state)
{
    struct box *b = *state;
    nr_auto_free char *text = nr_alloc(SECRETS_TEXT_MAX_BYTES + 1);
    nr_auto_free char *sealed = NULL;
    struct nr_err err = {0};
    size_t n = 0;

    memset(text, 'a', SECRETS_TEXT_MAX_BYTES + 1);
    assert_int_equal(secrets_seal(&b->secrets, (struct nr_str){text, SECRETS_TEXT_MAX_BYTES + 1},
                                  ABOUT, &sealed, &n, &err),
                     NR_ETOOBIG);
    assert_non_null(strstr(err.text, "1048577"));
    assert_non_null(strstr(err.text, "1048576"));
    seal(b, (struct nr_str){text, SECRETS_TEXT_MAX_BYTES}, &sealed, &n);
    assert_opens(b, (struct nr_str){sealed, n}, (struct nr_str){text, SECRETS_TEXT_MAX_BYTES});
}

/* Any bit, any cut, another owner. */
static void test_changed(void **state)
{
    struct box *b = *state;
    nr_auto_free char *sealed = NULL;
    size_t n = 0;

    seal(b, NR_STR("password"), &sealed, &n);
    for (size_t i = 0; i < 8 * n; i++) {
        sealed[i / 8] = (char)(sealed[i / 8] ^ 1 << i % 8);
        assert_int_equal(open_as(b, (struct nr_str){sealed, n}, ABOUT), NR_ECORRUPT);
        sealed[i / 8] = (char)(sealed[i / 8] ^ 1 << i % 8);
    }
    for (size_t cut = 0; cut < n; cut++)
        assert_int_equal(open_as(b, (struct nr_str){sealed, cut}, ABOUT), NR_ECORRUPT);
    assert_int_equal(
        open_as(b, (struct nr_str){sealed, n}, NR_STR("registry/other/docker.example")),
        NR_ECORRUPT);
    assert_opens(b, (struct nr_str){sealed, n}, NR_STR("password"));
}

static void reopen(struct box *b, int expect)
{
    close_box(b);
    open_box(b, expect);
}

static void test_key_lost(void **state)
{
    struct box *b = *state;
    nr_auto_free char *sealed = NULL;
    nr_auto_free char *kept = NULL;
    unsigned char other[SECRET_BYTES];
    size_t n = 0, m = 0;

    assert_int_equal(open_as(b, NR_STR("\1 what nobody sealed, and long enough for a head"), ABOUT),
                     NR_ECORRUPT);
    seal(b, NR_STR("password"), &sealed, &n);
    reopen(b, 0);
    assert_opens(b, (struct nr_str){sealed, n}, NR_STR("password"));

    assert_int_equal(nr_file_read(b->key_path, 128, &kept, &m, NULL), 0);
    assert_int_equal(unlink(b->key_path), 0);
    reopen(b, NR_ENOENT);
    assert_int_equal(secret_file_make(b->key_path, other, NULL), 0);
    reopen(b, NR_ECONFLICT);
    assert_int_equal(nr_file_write(b->dir, "the.key", NR_STR("abc\n"), 0600, NULL), 0);
    reopen(b, NR_ECORRUPT);
    assert_int_equal(nr_file_write(b->dir, "the.key", (struct nr_str){kept, m}, 0644, NULL), 0);
    reopen(b, 0);
    assert_opens(b, (struct nr_str){sealed, n}, NR_STR("password"));

    struct stat st;
    assert_int_equal(stat(b->key_path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600); /* closed again */
}

/* A crash after the file and before the first row: the file is taken. And a file that cannot be made is said. */
static void test_first_use(void **state)
{
    struct box *b = *state;
    nr_auto_free char *sealed = NULL;
    unsigned char key[SECRET_BYTES];
    struct nr_err err = {0};
    size_t n = 0;

    assert_int_equal(secret_file_make(b->key_path, key, NULL), 0);
    seal(b, NR_STR("password"), &sealed, &n);
    assert_memory_equal(b->secrets.key, key, sizeof(key));

    struct box second = {0};
    (void)snprintf(second.dir, sizeof(second.dir), "/tmp/narae-box-XXXXXX");
    assert_non_null(mkdtemp(second.dir));
    (void)snprintf(second.db_path, sizeof(second.db_path), "%s/meta.db", second.dir);
    (void)snprintf(second.key_path, sizeof(second.key_path), "%s/no/such/the.key", second.dir);
    open_box(&second, 0);
    nr_auto_free char *not_sealed = NULL;
    assert_true(secrets_seal(&second.secrets, NR_STR("x"), ABOUT, &not_sealed, &n, &err) < 0);
    assert_non_null(strstr(err.text, "--secret-key-file"));
    close_box(&second);
    assert_int_equal(nr_dir_remove(second.dir, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ceiling, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_key_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_first_use, setup, teardown),
    };

    return cmocka_run_group_tests_name("secrets", tests, NULL, NULL);
}
