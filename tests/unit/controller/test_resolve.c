/* From a name and a version or an alias to a snapshot: what is asked once, what is kept, who gets which version. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "controller/internal.h"
#include "tests/unit/controller/fakes.h"

static int set_up(void **state)
{
    struct fakes *f = nr_alloc(sizeof(*f));

    fakes_open(f, false);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fakes_close(*state, false);
    free(*state);
    return 0;
}

/* The value of an annotation of the last reply (a record), as text; made. */
static char *annotation(const struct fakes *f, const char *key)
{
    nr_auto_json json_t *record = nr_json_parse(nr_str_of(f->last_body), NULL);
    size_t i;
    json_t *e;

    json_array_foreach(json_object_get(record, "annotations"), i, e) {
        if (strcmp(nr_json_string(e, "key"), key) == 0)
            return json_dumps(json_object_get(e, "value"), JSON_ENCODE_ANY);
    }
    return NULL;
}

static void each_version_is_asked_for_once(void **state)
{
    static const int64_t numbers[] = {0, 3, 1, 3, 0, 1, 2, 3};
    struct fakes *f = *state;

    for (size_t i = 0; i < nr_countof(numbers); i++) {
        (void)fakes_call_target(f, "hello", numbers[i], NULL, NULL);
        fakes_until(f, &f->replies, (int)i + 1);
        assert_int_equal(f->last_status, 200);
        assert_int_equal(f->last_version, numbers[i]);
        nr_auto_free char *told = annotation(f, "narae.version");
        char want[24];
        (void)snprintf(want, sizeof(want), "%lld", (long long)numbers[i]);
        if (numbers[i])
            assert_string_equal(told, want);
        else
            assert_null(told);
    }
    assert_int_equal(f->asked, 4);
    assert_int_equal(f->controller->cells, 4);
    controller_on_change(f->controller, "guest", "", "hello", 0, FN_KEPT);
    assert_int_equal(f->forgotten, 0);
    assert_int_equal(f->controller->cells, 0);
    (void)fakes_call_target(f, "hello", 3, NULL, NULL);
    fakes_until(f, &f->replies, nr_countof(numbers) + 1);
    assert_int_equal(f->asked, 5);
}

static void an_alias_is_asked_for_once_and_told(void **state)
{
    struct fakes *f = *state;

    f->split = (struct alias_split){.n = 1, .part = {{2, 100}}};
    for (int i = 1; i <= 5; i++) {
        (void)fakes_call_target(f, "hello", 0, "prod", NULL);
        fakes_until(f, &f->replies, i);
        assert_int_equal(f->last_version, 2);
        nr_auto_free char *told = annotation(f, "narae.alias");
        assert_string_equal(told, "\"prod\"");
    }
    assert_int_equal(f->asked, 1);
    assert_int_equal(f->alias_asked, 1);
    f->split.part[0].version = 1;
    controller_on_change(f->controller, "guest", "", "hello", 0, FN_KEPT);
    (void)fakes_call_target(f, "hello", 0, "prod", NULL);
    fakes_until(f, &f->replies, 6);
    assert_int_equal(f->last_version, 1);
}

static void an_unknown_alias_is_404_and_leaves_nothing(void **state)
{
    struct fakes *f = *state;

    (void)fakes_call_target(f, "hello", 0, "prod", NULL);
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->last_status, 404);
    assert_string_equal(f->last_id, "");
    assert_int_equal(f->controller->cells, 0);
    f->split = (struct alias_split){.n = 1, .part = {{2, 100}}};
    (void)fakes_call_target(f, "hello", 0, "prod", NULL);
    fakes_until(f, &f->replies, 2);
    assert_int_equal(f->last_status, 200);
}

/* The alias moves while the version that it pointed to is being asked for: nobody runs that one any more. */
static void a_move_while_it_is_looked_up_wins(void **state)
{
    struct fakes *f = *state;

    f->split = (struct alias_split){.n = 1, .part = {{1, 100}}};
    (void)fakes_call_target(f, "hello", 0, "prod", NULL);
    fakes_until(f, &f->asked, 1);
    f->split.part[0].version = 2;
    controller_on_change(f->controller, "guest", "", "hello", 0, FN_KEPT);
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->last_status, 200);
    assert_int_equal(f->last_version, 2);
}

static void weights_are_kept_and_the_same_id_chooses_the_same(void **state)
{
    const struct alias_split split = {.n = 3, .part = {{1, 70}, {2, 25}, {9, 5}}};
    int count[10] = {0}, calls = 40000;

    (void)state;
    for (int i = 0; i < calls; i++) {
        char id[33];

        nr_new_id(nr_wall_ms(), 3, id);
        int64_t version = resolve_choose(&split, id);
        assert_in_range(version, 1, 9);
        assert_int_equal(resolve_choose(&split, id), version);
        count[version]++;
    }
    /* twelve standard deviations at most: 0.23, 0.22 and 0.11 percent */
    assert_in_range(count[1] * 1000 / calls, 672, 728);
    assert_in_range(count[2] * 1000 / calls, 224, 276);
    assert_in_range(count[9] * 1000 / calls, 37, 63);
    assert_int_equal(count[1] + count[2] + count[9], calls);
    /* never another one in another release: accepted work is chosen for again by nobody, but records are compared */
    assert_int_equal(resolve_choose(&split, "0192a3b4c5d603f00112233445566778"),
                     resolve_choose(&split, "0192a3b4c5d603f00112233445566778"));
}

static void the_id_of_a_call_is_the_one_it_was_chosen_by(void **state)
{
    struct fakes *f = *state;

    f->split = (struct alias_split){.n = 2, .part = {{1, 50}, {2, 50}}};
    for (int i = 1; i <= 40; i++) {
        (void)fakes_call_target(f, "hello", 0, "prod", NULL);
        fakes_until(f, &f->replies, i);
        assert_int_equal(f->last_version, resolve_choose(&f->split, f->last_id));
    }
    assert_int_equal(f->asked, 2);
}

static void blocked_and_retired_cost_one_question(void **state)
{
    static const struct {
        enum function_state state;
        const char *name, *reason, *text;
        int status;
    } rows[] = {
        {FN_BLOCKED, "b", "leaks memory", "The function is blocked: leaks memory", 423},
        {FN_BLOCKED, "c", "", "The function is blocked.", 423},
        {FN_RETIRED, "r", "replaced", "The function is retired: replaced", 410},
    };
    struct fakes *f = *state;
    int replies = 0;

    for (size_t i = 0; i < nr_countof(rows); i++) {
        f->state = rows[i].state;
        f->reason = rows[i].reason;
        for (int k = 0; k < 3; k++) {
            (void)fakes_call_target(f, rows[i].name, 2, NULL, NULL);
            fakes_until(f, &f->replies, ++replies);
            assert_int_equal(f->last_status, rows[i].status);
            assert_string_equal(f->last_error_text, rows[i].text);
            assert_string_equal(f->last_id, "");
        }
        assert_int_equal(f->asked, i + 1);
    }
    assert_int_equal(f->runs, 0);
}

/* One function takes no more than its share of the cache, and the whole no more than it has. */
static void the_cache_is_bounded(void **state)
{
    struct fakes *f = *state;
    int replies = 0;

    for (int64_t n = 1; n <= 200; n++) {
        (void)fakes_call_target(f, "many", n, NULL, NULL);
        fakes_until(f, &f->replies, ++replies);
        assert_int_equal(f->last_version, n);
    }
    assert_int_equal(f->controller->cells, 65);
    (void)fakes_call_target(f, "many", 200, NULL, NULL);
    fakes_until(f, &f->replies, ++replies);
    assert_int_equal(f->asked, 200);
    for (int i = 0; i < 8300; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "f%d", i);
        (void)fakes_call_target(f, name, 0, NULL, NULL);
        fakes_until(f, &f->replies, ++replies);
    }
    assert_int_equal(f->controller->cells, 8192);
}

/* As many at once as the cache has room for of one function, and one more: it is told to come again. */
static void too_many_versions_at_once_are_refused(void **state)
{
    struct fakes *f = *state;

    for (int64_t n = 1; n <= 65; n++)
        (void)fakes_call_target(f, "many", n, NULL, NULL);
    assert_int_equal(f->replies, 1);
    assert_int_equal(f->last_status, 503);
    assert_string_equal(f->last_head, "Retry-After: 1\r\n");
    fakes_until(f, &f->replies, 65);
    assert_int_equal(f->last_status, 200);
}

/* What a call was accepted for runs after a restart, whatever its alias says by then. */
static void accepted_work_keeps_its_version(void **state)
{
    struct fakes *f = *state;
    nr_auto_free char *one = NULL;
    char id[33];
    int err;

    f->split = (struct alias_split){.n = 1, .part = {{4, 100}}};
    f->run = FAKE_QUEUED;
    struct activation *a = activation_make();
    a->account = account_ref(f->account);
    a->name = nr_arena_copy(&a->arena, NR_STR("hello"));
    a->alias = nr_arena_copy(&a->arena, NR_STR("prod"));
    a->transaction = NR_STR("t1");
    a->input = NR_STR("{}");
    controller_invoke(f->controller, a);
    fakes_until(f, &f->held_count, 1);
    memcpy(id, f->held[0]->id, sizeof(id));
    fakes_close(f, true);
    fakes_open(f, true);
    f->split = (struct alias_split){.n = 1, .part = {{5, 100}}};
    fakes_until(f, &f->runs, 1);
    assert_int_equal(f->alias_asked, 0);
    while (one == NULL || strstr(one, "narae.version") == NULL) {
        free(nr_steal(&one));
        fakes_turns(f, 1);
        one = fakes_ask(f, QUERY_GET, id, false, &err);
    }
    assert_non_null(strstr(one, "{\"key\":\"narae.version\",\"value\":4}"));
    assert_non_null(strstr(one, "{\"key\":\"narae.alias\",\"value\":\"prod\"}"));
}

/* It was accepted and has not run: its record says why it never will. */
static void accepted_work_of_a_blocked_version_ends_with_the_reason(void **state)
{
    struct fakes *f = *state;
    nr_auto_free char *one = NULL;
    char id[33];
    int err = 0;

    f->run = FAKE_QUEUED;
    (void)fakes_call(f, "hello", false, 60000);
    fakes_until(f, &f->held_count, 1);
    memcpy(id, f->held[0]->id, sizeof(id));
    fakes_close(f, true);
    fakes_open(f, true);
    f->state = FN_BLOCKED;
    f->reason = "recalled";
    while (one == NULL) {
        fakes_turns(f, 1);
        one = fakes_ask(f, QUERY_GET, id, false, &err);
    }
    assert_non_null(strstr(one, "whisk internal error"));
    assert_non_null(strstr(one, "{\"error\":\"The function is blocked: recalled\"}"));
    assert_int_equal(f->runs, 0);
}

static int lacks;      /* so many questions are refused yet */
static int lacks_code; /* with this */

static bool shape_lacking(struct function *fn, struct nr_err *err)
{
    (void)fn;
    return lacks-- <= 0 || nr_err_set(err, lacks_code, "not compiled yet") == 0;
}

/* Its compiler is missing at the start, or has no place: the call waits, and runs when it can. */
static void accepted_work_waits_for_its_code(void **state)
{
    static const int codes[] = {NR_EUNAVAIL, NR_EBUSY};
    struct fakes *f = *state;

    for (size_t i = 0; i < nr_countof(codes); i++) {
        f->run = FAKE_QUEUED;
        (void)fakes_call(f, "hello", false, 60000);
        fakes_until(f, &f->held_count, 1);
        fakes_close(f, true);
        lacks = 1;
        lacks_code = codes[i];
        fakes_open(f, true);
        f->shape = shape_lacking;
        fakes_until(f, &f->runs, 1);
        assert_int_equal(f->asked, 2);
        assert_int_equal(f->controller->reload_waiting, 0);
    }
}

/* Who is not answered yet waits for a place of the compiler as long as he said, and not for a compiler that is missing. */
static void a_call_waits_for_a_place_of_the_compiler(void **state)
{
    struct fakes *f = *state;

    f->shape = shape_lacking;
    lacks = 1;
    lacks_code = NR_EBUSY;
    (void)fakes_call(f, "hello", true, 60000);
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->last_status, 200);
    lacks = 1;
    (void)fakes_call(f, "impatient", true, 1);
    fakes_until(f, &f->replies, 2);
    assert_int_equal(f->last_error, NR_EBUSY);
    lacks = 1;
    lacks_code = NR_EUNAVAIL;
    (void)fakes_call(f, "without", true, 60000);
    fakes_until(f, &f->replies, 3);
    assert_int_equal(f->last_error, NR_EUNAVAIL);
    assert_int_equal(f->runs, 1);
}

static void cancel_ends_the_calls_of_that_revision(void **state)
{
    struct fakes *f = *state;
    int err;

    f->run = FAKE_HOLD;
    struct activation *a = fakes_call(f, "hello", true, 60000);
    fakes_until(f, &f->held_count, 1);
    char id[33];
    memcpy(id, a->id, sizeof(id));
    controller_on_change(f->controller, "guest", "", "hello", 7, FN_REPLACED);
    assert_int_equal(f->cuts, 0);
    controller_on_change(f->controller, "guest", "", "hello", 7, FN_CANCEL);
    assert_int_equal(f->cuts, 1);
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->last_status, 410);
    assert_string_equal(
        f->last_error_text,
        "The call was ended: the function was retired, and its running calls with it.");
    nr_auto_free char *one = fakes_ask(f, QUERY_GET, id, false, &err);
    assert_non_null(strstr(one, "whisk internal error"));
    assert_non_null(strstr(one, "The call was ended: the function was retired"));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static int calls_of(struct fakes *f, const char *space, const char *package)
{
    int before = f->asked, replies = f->replies;

    (void)fakes_call_package(f, space, package, "hello");
    fakes_until(f, &f->replies, replies + 1);
    assert_int_equal(f->last_status, 200);
    return f->asked - before;
}

static void a_namespace_is_part_of_the_name(void **state)
{
    struct fakes *f = *state;

    assert_int_equal(calls_of(f, NULL, "tools"), 1);
    assert_string_equal(f->asked_space, "");
    assert_int_equal(calls_of(f, "guest", "tools"), 0); /* his own, said in full */
    assert_int_equal(calls_of(f, "other", "tools"), 1);
    assert_string_equal(f->asked_space, "other");
    assert_int_equal(calls_of(f, "other", "tools"), 0);
    assert_int_equal(f->controller->cells, 2);
    controller_on_change(f->controller, "guest", "tools", "hello", 7, FN_REPLACED);
    assert_int_equal(calls_of(f, "other", "tools"), 0);
    assert_int_equal(calls_of(f, NULL, "tools"), 1);
    controller_on_change(f->controller, "other", "tools", "other", 7, FN_REPLACED);
    assert_int_equal(calls_of(f, "other", "tools"), 0);
    controller_on_change(f->controller, "other", "tools", "hello", 7, FN_REPLACED);
    assert_int_equal(calls_of(f, "other", "tools"), 1);
    assert_int_equal(calls_of(f, NULL, "tools"), 0);
}

/* Called through a binding: what changes of its code, of the package that is bound or of the binding is seen by the next call. */
static void what_came_through_a_binding_goes_with_each_part_of_the_way(void **state)
{
    static const struct {
        const char *account, *package, *name;
        uint64_t revision;
        enum fn_change what;
        int asked; /* questions of the next call */
    } rows[] = {
        {"other", "tools", "hello", 7, FN_REPLACED, 1},
        {"other", "tools", "hello", 6, FN_REPLACED, 1}, /* another version of it */
        {"other", "tools", "hello", 7, FN_KEPT, 1},     /* an alias, an update window */
        {"other", "tools", "", 0, FN_PACKAGE_CHANGED, 1},
        {"guest", "bound", "", 0, FN_PACKAGE_CHANGED, 1},
        {"other", "", "", 0, FN_ACCOUNT_CHANGED, 1}, /* whose code it is */
        {"guest", "", "", 0, FN_ACCOUNT_CHANGED, 1}, /* who calls it */
        {"othe", "", "", 0, FN_ACCOUNT_CHANGED, 0},
        {"tools", "", "", 0, FN_ACCOUNT_CHANGED, 0},
        {"other", "tools", "hi", 7, FN_REPLACED, 0},
        {"other", "toolsets", "hello", 7, FN_REPLACED, 0},
        {"other", "", "hello", 7, FN_REPLACED, 0},
        {"other", "tool", "", 0, FN_PACKAGE_CHANGED, 0},
        {"guest", "tools", "", 0, FN_PACKAGE_CHANGED, 0},
    };
    struct fakes *f = *state;

    f->code = "other/tools";
    f->derived = 70;
    assert_int_equal(calls_of(f, NULL, "bound"), 1);
    for (size_t i = 0; i < nr_countof(rows); i++) {
        controller_on_change(f->controller, rows[i].account, rows[i].package, rows[i].name,
                             rows[i].revision, rows[i].what);
        assert_int_equal(calls_of(f, NULL, "bound"), rows[i].asked);
    }
}

/* Who gets the name of an account asks for everything anew. */
static void what_an_account_called_leaves_with_it(void **state)
{
    struct fakes *f = *state;

    f->code = "other/tools";
    f->derived = 70;
    assert_int_equal(calls_of(f, NULL, "bound"), 1);
    for (int i = 0; i < 2; i++) {
        int gone = 0;

        controller_forget_account(f->controller, i ? "guest" : "guests", fakes_on_idle, &gone);
        fakes_until(f, &gone, 1);
        assert_int_equal(f->controller->cells, i ? 0 : 1);
        assert_int_equal(calls_of(f, NULL, "bound"), i);
    }
}

static void containers_of_derived_revisions_end_with_what_they_came_from(void **state)
{
    static const struct {
        const char *account, *package, *name;
        uint64_t revision;
        enum fn_change what;
        bool derived_ends;
    } rows[] = {
        {"other", "tools", "hello", 7, FN_REPLACED, true},
        {"other", "tools", "hello", 7, FN_CANCEL, true},
        {"other", "tools", "hello", 6, FN_REPLACED, false}, /* another version of it */
        {"other", "tools", "hello", 7, FN_KEPT, false},
        {"other", "tools", "", 0, FN_PACKAGE_CHANGED, true},
        {"guest", "bound", "", 0, FN_PACKAGE_CHANGED, true},
        {"guest", "other", "", 0, FN_PACKAGE_CHANGED, false},
    };
    struct fakes *f = *state;

    f->code = "other/tools";
    f->derived = 70;
    for (size_t i = 0; i < nr_countof(rows); i++) {
        (void)calls_of(f, NULL, "bound");
        int told = f->forgotten;

        controller_on_change(f->controller, rows[i].account, rows[i].package, rows[i].name,
                             rows[i].revision, rows[i].what);
        bool stored = rows[i].revision && rows[i].what != FN_KEPT;
        assert_int_equal(f->forgotten - told, (stored ? 1 : 0) + (rows[i].derived_ends ? 1 : 0));
    }
}

/* Neither the code nor the package of what is being looked up is known yet: the change wins all the same. */
static void a_change_behind_a_binding_while_it_is_looked_up_wins(void **state)
{
    struct fakes *f = *state;

    f->code = "other/tools";
    f->derived = 70;
    for (int i = 0; i < 2; i++) {
        (void)fakes_call_package(f, NULL, "bound", "hello");
        assert_int_equal(f->asked, 2 * i + 1);
        controller_on_change(f->controller, "other", "tools", i ? "" : "hello", i ? 0 : 7,
                             i ? FN_PACKAGE_CHANGED : FN_REPLACED);
        fakes_until(f, &f->replies, i + 1);
        assert_int_equal(f->asked, 2 * i + 2);
        controller_on_change(f->controller, "guest", "bound", "", 0, FN_PACKAGE_CHANGED);
    }
}

struct found {
    struct function_query q;
    int done;
};

static void on_found(struct function_query *q)
{
    ((struct found *)q->owner)->done++;
}

static void find(struct fakes *f, struct found *ret, const char *alias)
{
    *ret = (struct found){.q = {.account = f->account,
                                .name = NR_STR("hello"),
                                .alias = nr_str_of(alias),
                                .done = on_found,
                                .owner = ret}};
    controller_find(f->controller, &ret->q);
    fakes_until(f, &ret->done, 1);
    assert_int_equal(ret->done, 1);
}

static void a_function_is_found_as_a_call_would(void **state)
{
    struct fakes *f = *state;
    struct found one;

    find(f, &one, "");
    assert_non_null(one.q.fn);
    assert_int_equal(one.q.err.code, 0);
    function_unref(one.q.fn);
    (void)fakes_call(f, "hello", true, 1000); /* and the call asks nobody */
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->asked, 1);
    f->split = (struct alias_split){.n = 2, .part = {{5, 1}, {6, 99}}};
    find(f, &one, "prod");
    assert_int_equal(one.q.fn->published, 5);
    function_unref(one.q.fn);
    controller_on_change(f->controller, "guest", "", "hello", 7, FN_REPLACED);
    f->state = FN_RETIRED;
    find(f, &one, "");
    assert_int_equal(one.q.err.code, 0);
    assert_int_equal(one.q.fn->state, FN_RETIRED);
    function_unref(one.q.fn);
    controller_on_change(f->controller, "guest", "", "hello", 7, FN_REPLACED);
    f->unknown = true;
    find(f, &one, "");
    assert_null(one.q.fn);
    assert_int_equal(one.q.err.code, NR_ENOENT);
    assert_int_equal(f->runs, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(each_version_is_asked_for_once),
        CASE(an_alias_is_asked_for_once_and_told),
        CASE(an_unknown_alias_is_404_and_leaves_nothing),
        CASE(a_move_while_it_is_looked_up_wins),
        CASE(weights_are_kept_and_the_same_id_chooses_the_same),
        CASE(the_id_of_a_call_is_the_one_it_was_chosen_by),
        CASE(blocked_and_retired_cost_one_question),
        CASE(the_cache_is_bounded),
        CASE(too_many_versions_at_once_are_refused),
        CASE(accepted_work_keeps_its_version),
        CASE(accepted_work_of_a_blocked_version_ends_with_the_reason),
        CASE(accepted_work_waits_for_its_code),
        CASE(a_call_waits_for_a_place_of_the_compiler),
        CASE(cancel_ends_the_calls_of_that_revision),
        CASE(a_namespace_is_part_of_the_name),
        CASE(what_came_through_a_binding_goes_with_each_part_of_the_way),
        CASE(what_an_account_called_leaves_with_it),
        CASE(containers_of_derived_revisions_end_with_what_they_came_from),
        CASE(a_change_behind_a_binding_while_it_is_looked_up_wins),
        CASE(a_function_is_found_as_a_call_would),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
