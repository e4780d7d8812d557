/* The folder of code: what is fetched is kept, the least recently used goes first, what is held stays; what was not asked for is refused; an earlier run's half files go. */
#include "invoker/far/code.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "ports/wire.h"

enum { FILE_BYTES = 1000, MAX_BYTES = 3500 };

static struct nr_loop loop;
static struct nr_log quiet = {.level = -1};
static char folder[64];
static struct code_store *store;
static unsigned wants, settled;
static uint64_t wanted_at;
static bool nobody; /* nobody can be asked */

static bool want(void *arg, struct code *c, uint64_t at, size_t bytes)
{
    wants++;
    wanted_at = at;
    return !nobody;
}

static void on_settled(void *arg, struct code *c)
{
    settled++;
}

static void open_store(void)
{
    const struct code_store_config c = {.loop = &loop,
                                        .dir = folder,
                                        .max_bytes = MAX_BYTES,
                                        .log = &quiet,
                                        .want = want,
                                        .settled = on_settled};

    assert_int_equal(code_store_open(&c, &store, NULL), 0);
}

static int setup(void **state)
{
    (void)snprintf(folder, sizeof(folder), "/tmp/narae-code-XXXXXX");
    wants = settled = 0;
    nobody = false;
    if (mkdtemp(folder) == NULL || nr_loop_init(&loop, NULL) < 0)
        return -1;
    open_store();
    return 0;
}

static int teardown(void **state)
{
    int busy = nr_loop_fini(&loop);

    code_store_free(store);
    return busy ? busy : nr_dir_remove(folder, NULL);
}

static void wait_settled(unsigned n)
{
    while (settled < n)
        (void)uv_run(&loop.uv, UV_RUN_ONCE);
}

/* Its text, made of its number. */
static struct nr_str text_of(int number)
{
    static char text[FILE_BYTES];

    memset(text, 'a' + number, sizeof(text));
    return (struct nr_str){text, sizeof(text)};
}

static struct code *hold(const char *account, int number, struct nr_link *holder)
{
    unsigned char sum[NR_SHA256_BYTES];

    nr_sha256(text_of(number), sum);
    return code_hold(store, nr_str_of(account), sum, holder);
}

static struct code *fetch(int number, struct nr_link *holder)
{
    struct code *c = hold("acme", number, holder);
    unsigned before = settled;

    assert_int_equal(code_need(c), 1);
    assert_int_equal(code_part(c, 0, FILE_BYTES, text_of(number), NULL), 0);
    wait_settled(before + 1);
    assert_int_equal(c->state, CODE_HERE);
    return c;
}

static void the_least_recently_used_goes_first(void **state)
{
    struct nr_link h = {0};

    for (int i = 0; i < 3; i++)
        code_release(fetch(i, &h), &h);
    code_release(hold("acme", 0, &h), &h); /* used again */
    assert_int_equal(code_store_bytes(store), 3 * FILE_BYTES);
    code_release(fetch(3, &h), &h);
    assert_int_equal(code_store_bytes(store), 3 * FILE_BYTES);
    struct code *c = hold("acme", 0, &h);

    assert_int_equal(c->state, CODE_HERE);
    code_release(c, &h);
    c = hold("acme", 1, &h);
    assert_int_equal(c->state, CODE_ABSENT);
    code_release(c, &h);
}

static void what_is_held_stays_and_no_more_comes(void **state)
{
    struct nr_link h[4] = {{0}};
    struct code *c[4];

    for (int i = 0; i < 3; i++)
        c[i] = fetch(i, &h[i]);
    c[3] = hold("acme", 3, &h[3]);
    assert_int_equal(code_need(c[3]), 1);
    assert_int_equal(code_part(c[3], 0, FILE_BYTES, text_of(3), NULL), 0);
    assert_int_equal(settled, 4);
    assert_int_equal(c[3]->state, CODE_ABSENT);
    assert_int_equal(c[3]->err.code, NR_ENOSPC);
    assert_false(c[3]->refused);
    assert_int_equal(c[0]->state, CODE_HERE);
    for (int i = 0; i < 4; i++)
        code_release(c[i], &h[i]);
}

static void it_is_found_again_by_the_next_process(void **state)
{
    struct nr_link h = {0};
    char path[256], name[CODE_FOLDER_BYTES];

    code_release(fetch(0, &h), &h);
    code_folder_of(NR_STR("acme"), name);
    (void)snprintf(path, sizeof(path), "%s/%s/half.part", folder, name);
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    (void)fclose(f);
    code_store_free(store);
    open_store();
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(code_store_bytes(store), FILE_BYTES);
    struct code *c = hold("acme", 0, &h);

    assert_int_equal(c->state, CODE_FOUND);
    assert_int_equal(code_need(c), 1);
    wait_settled(2);
    assert_int_equal(c->state, CODE_HERE);
    assert_int_equal(wants, 1);
    assert_int_equal(code_need(c), 0);
    code_release(c, &h);
}

static void accounts_have_files_of_their_own_and_take_them_along(void **state)
{
    struct nr_link h = {0}, other = {0};
    struct code *c = fetch(0, &h), *d = hold("umbrella", 0, &other);

    assert_int_equal(d->state, CODE_ABSENT);
    code_release(d, &other);
    code_forget(store, NR_STR("umbrella"));
    assert_int_equal(code_store_bytes(store), FILE_BYTES);
    code_forget(store, NR_STR("acme"));
    assert_int_equal(c->state, CODE_HERE); /* held */
    code_release(c, &h);
    assert_int_equal(code_store_bytes(store), 0);
}

static void what_was_not_asked_for_is_refused(void **state)
{
    struct nr_link h = {0};
    struct code *c = hold("acme", 0, &h);
    struct nr_str text = text_of(0);

    assert_int_equal(code_part(c, 0, FILE_BYTES, text, NULL), NR_EPROTO);
    assert_int_equal(code_need(c), 1);
    assert_int_equal(code_part(c, 1, FILE_BYTES, text, NULL), NR_EPROTO);
    assert_int_equal(code_part(c, 0, WIRE_CODE_MAX_BYTES + 1, text, NULL), NR_EPROTO);
    assert_int_equal(code_part(c, 0, 10, text, NULL), NR_EPROTO);
    assert_int_equal(code_part(c, 0, 0, nr_str_of(NULL), NULL), NR_EPROTO); /* it was 10 */
    assert_int_equal(code_need(c), 1);
    code_release(c, &h);
    assert_int_equal(code_store_bytes(store), 0);
}

static void a_file_without_bytes_is_one_too(void **state)
{
    struct nr_link h = {0};
    unsigned char sum[NR_SHA256_BYTES];

    nr_sha256((struct nr_str){NULL, 0}, sum);
    struct code *c = code_hold(store, NR_STR("acme"), sum, &h);

    assert_int_equal(code_need(c), 1);
    assert_int_equal(code_part(c, 0, 0, (struct nr_str){NULL, 0}, NULL), 0);
    wait_settled(1);
    assert_int_equal(c->state, CODE_HERE);
    code_release(c, &h);
}

static void without_a_link_nothing_is_asked_until_it_is_needed_again(void **state)
{
    struct nr_link h = {0};
    struct code *c = hold("acme", 0, &h);

    nobody = true;
    assert_int_equal(code_need(c), 1);
    assert_int_equal(code_part(c, 0, FILE_BYTES, text_of(0), NULL), NR_EPROTO);
    nobody = false;
    assert_int_equal(code_need(c), 1);
    assert_int_equal(wants, 2);
    assert_int_equal(code_part(c, 0, FILE_BYTES, (struct nr_str){text_of(0).p, 400}, NULL), 0);
    code_lost(c);
    assert_int_equal(code_need(c), 1);
    assert_int_equal(wanted_at, 0);
    assert_int_equal(code_part(c, 0, FILE_BYTES, text_of(0), NULL), 0);
    wait_settled(1);
    assert_int_equal(c->state, CODE_HERE);
    code_release(c, &h);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_least_recently_used_goes_first),
        TEST(what_is_held_stays_and_no_more_comes),
        TEST(it_is_found_again_by_the_next_process),
        TEST(accounts_have_files_of_their_own_and_take_them_along),
        TEST(what_was_not_asked_for_is_refused),
        TEST(a_file_without_bytes_is_one_too),
        TEST(without_a_link_nothing_is_asked_until_it_is_needed_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
