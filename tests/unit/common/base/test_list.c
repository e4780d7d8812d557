/* Order, removal inside a walk, links that know whether they are in a list. */
#include "check.h"

#include "common/base/list.h"

struct item {
    int n;
    struct nr_link link;
};

static int number(struct nr_link *l)
{
    return nr_container_of(l, struct item, link)->n;
}

static void test_order(void **state)
{
    struct nr_link head;
    struct item items[4] = {{.n = 0}, {.n = 1}, {.n = 2}, {.n = 3}};

    nr_list_init(&head);
    assert_true(nr_list_empty(&head));
    assert_null(nr_list_pop(&head));
    nr_list_add(&head, &items[1].link);
    nr_list_add(&head, &items[2].link);
    nr_list_push(&head, &items[0].link);
    nr_list_add(&items[2].link, &items[3].link);
    static const int order[] = {0, 1, 3, 2};

    for (size_t i = 0; i < nr_countof(order); i++) {
        struct nr_link *l = nr_list_pop(&head);

        assert_non_null(l);
        assert_int_equal(number(l), order[i]);
        assert_false(nr_list_linked(l));
    }
    assert_true(nr_list_empty(&head));
}

static void test_removal_inside_a_walk(void **state)
{
    struct nr_link head;
    struct item items[6] = {0};
    int seen = 0, left = 0;

    nr_list_init(&head);
    for (int i = 0; i < 6; i++) {
        items[i].n = i;
        nr_list_add(&head, &items[i].link);
    }
    NR_LIST_EACH(&head, it) {
        assert_int_equal(number(it), seen++);
        if (number(it) % 2 == 0)
            nr_list_del(it);
    }
    assert_int_equal(seen, 6);
    NR_LIST_EACH(&head, it)
        left += number(it);
    assert_int_equal(left, 1 + 3 + 5);
}

static void test_zeroed_link_is_in_no_list(void **state)
{
    struct item i = {0};

    assert_false(nr_list_linked(&i.link));
    nr_list_del(&i.link);
    assert_false(nr_list_linked(&i.link));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_removal_inside_a_walk),
        cmocka_unit_test(test_zeroed_link_is_in_no_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
