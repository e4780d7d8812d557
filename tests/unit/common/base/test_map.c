/* Put, replace, delete, growth, walks with removal, want of memory. */
#include "check.h"

#include "common/base/map.h"

struct value {
    struct nr_map_node node;
    char name[16];
    int seen;
};

static struct value *value_of(struct nr_map_node *n)
{
    return nr_container_of(n, struct value, node);
}

static void name_it(struct value *v, int i)
{
    int n = snprintf(v->name, sizeof(v->name), "key-%d", i);

    v->node.key = (struct nr_str){v->name, (size_t)n};
}

static void test_put_get_del(void **state)
{
    struct nr_map m;
    struct value a = {.node.key = NR_STR("k"), .seen = 1}, b = {.node.key = NR_STR("k"), .seen = 2};

    nr_map_init(&m);
    assert_null(nr_map_get(&m, NR_STR("k")));
    assert_null(nr_map_del(&m, NR_STR("k")));
    assert_null(nr_map_put(&m, &a.node));
    assert_null(nr_map_put(&m, &a.node));
    assert_int_equal(m.count, 1);
    assert_ptr_equal(nr_map_get(&m, NR_STR("k")), &a.node);
    assert_ptr_equal(nr_map_put(&m, &b.node), &a.node);
    assert_int_equal(m.count, 1);
    assert_ptr_equal(nr_map_del(&m, NR_STR("k")), &b.node);
    assert_null(nr_map_get(&m, NR_STR("k")));
    assert_int_equal(m.count, 0);
    nr_map_fini(&m);
    nr_map_fini(NULL);
}

static void test_keys_are_bytes(void **state)
{
    struct nr_map m;
    struct value a = {.node.key = NR_STR("a\0b")}, b = {.node.key = NR_STR("a")},
                 c = {.node.key = NR_STR("")};

    nr_map_init(&m);
    assert_null(nr_map_put(&m, &a.node));
    assert_null(nr_map_put(&m, &b.node));
    assert_null(nr_map_put(&m, &c.node));
    assert_ptr_equal(nr_map_get(&m, NR_STR("a\0b")), &a.node);
    assert_ptr_equal(nr_map_get(&m, NR_STR("a")), &b.node);
    assert_ptr_equal(nr_map_get(&m, NR_STR("")), &c.node);
    assert_null(nr_map_get(&m, NR_STR("a\0c")));
    nr_map_fini(&m);
}

static void test_ten_thousand(void **state)
{
    enum { COUNT = 10000 };
    struct value *values = nr_alloc(COUNT * sizeof(*values));
    struct nr_map m;

    nr_map_init(&m);
    for (int i = 0; i < COUNT; i++) {
        name_it(&values[i], i);
        assert_null(nr_map_put(&m, &values[i].node));
    }
    assert_int_equal(m.count, COUNT);
    assert_true(m.size >= COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_ptr_equal(nr_map_get(&m, values[i].node.key), &values[i].node);
    for (int i = 0; i < COUNT; i += 2)
        assert_ptr_equal(nr_map_del(&m, values[i].node.key), &values[i].node);
    for (int i = 0; i < COUNT; i++)
        assert_ptr_equal(nr_map_get(&m, values[i].node.key), i % 2 ? &values[i].node : NULL);
    nr_map_fini(&m);
    free(values);
}

static void fill(struct nr_map *m, int count)
{
    for (int i = 0; i < count; i++) {
        struct value *v = nr_alloc(sizeof(*v));

        name_it(v, i);
        assert_null(nr_map_put(m, &v->node));
    }
}

static struct nr_map_node *first(struct nr_map *m, size_t *at)
{
    *at = 0;
    return nr_map_next(m, at, NULL);
}

static void free_all(struct nr_map *m, int count)
{
    size_t at;
    int freed = 0;

    for (struct nr_map_node *n = first(m, &at), *next; n; n = next, freed++) {
        assert_ptr_equal(nr_map_del(m, n->key), n);
        next = nr_map_next(m, &at, n);
        free(value_of(n));
    }
    assert_int_equal(freed, count);
    assert_int_equal(m->count, 0);
}

/* Every third is taken out while we walk: each is met exactly once all the same. */
static void walk_with_removal(int count)
{
    struct nr_map m;
    size_t at;
    int met = 0;

    nr_map_init(&m);
    fill(&m, count);
    for (struct nr_map_node *n = first(&m, &at), *next; n; n = next, met++) {
        struct value *v = value_of(n);

        assert_int_equal(v->seen++, 0);
        if (met % 3 == 0)
            assert_ptr_equal(nr_map_del(&m, v->node.key), n);
        next = nr_map_next(&m, &at, n);
        if (met % 3 == 0)
            free(v);
    }
    assert_int_equal(met, count);
    free_all(&m, count - (count + 2) / 3);
    nr_map_fini(&m);
}

static void test_walks(void **state)
{
    walk_with_removal(0);
    walk_with_removal(1);
    walk_with_removal(1000);
}

/* Growth that fails leaves long chains, in which everything is still found and walked. */
static void test_no_memory_to_grow(void **state)
{
    nr_mem_fail_at(1, -1);
    walk_with_removal(500);
    nr_mem_fail_at(0, 0);
}

static bool is_odd(struct nr_map_node *n, void *arg)
{
    return nr_container_of(n, struct value, node)->seen % 2 == 1;
}

static int gone; /* nodes that were taken out */

/* The map may be changed meanwhile: what is put into it stays. */
static void take(struct nr_map_node *n, void *arg)
{
    struct value *v = value_of(n), *other;

    gone++;
    assert_null(nr_map_del(arg, n->key));
    if (v->seen == 1) {
        other = nr_alloc(sizeof(*other));
        name_it(other, -1);
        assert_null(nr_map_put(arg, &other->node));
    }
    free(v);
}

static void test_drain(void **state)
{
    enum { COUNT = 1000 };
    struct nr_map m;

    nr_map_init(&m);
    assert_int_equal(nr_map_drain(&m, NULL, take, &m), 0);
    for (int i = 0; i < COUNT; i++) {
        struct value *v = nr_alloc(sizeof(*v));

        name_it(v, i);
        v->seen = i;
        assert_null(nr_map_put(&m, &v->node));
    }
    gone = 0;
    assert_int_equal(nr_map_drain(&m, is_odd, take, &m), COUNT / 2);
    assert_int_equal(gone, COUNT / 2);
    assert_int_equal(m.count, COUNT / 2 + 1);
    assert_non_null(nr_map_get(&m, NR_STR("key-998")));
    assert_null(nr_map_get(&m, NR_STR("key-999")));
    assert_non_null(nr_map_get(&m, NR_STR("key--1")));
    assert_int_equal(nr_map_drain(&m, NULL, take, &m), COUNT / 2 + 1);
    assert_int_equal(m.count, 0);
    nr_map_fini(&m);
}

static void test_hash(void **state)
{
    assert_int_equal(nr_hash(NR_STR("narae")), nr_hash(NR_STR("narae")));
    assert_int_not_equal(nr_hash(NR_STR("narae")), nr_hash(NR_STR("naraf")));
    assert_int_not_equal(nr_hash(NR_STR("")), nr_hash(NR_STR("\0")));
    assert_int_not_equal(nr_hash(NR_STR("12345678")), nr_hash(NR_STR("12345678\0")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_get_del),
        cmocka_unit_test(test_keys_are_bytes),
        cmocka_unit_test(test_ten_thousand),
        cmocka_unit_test(test_walks),
        cmocka_unit_test(test_no_memory_to_grow),
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_drain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
