/* Hosts by name: wishes shared out, accounts that leave while a host is away, tokens, what a restart finds in fleet.db, figures of all.
 */
#include "fleet_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- wishes, accounts, names -------------------------------------------------------------------------------------- */

static int wished(const struct rig *r)
{
    int n = r->wished_here;

    for (size_t i = 0; i < HOSTS; i++)
        n += r->far[i].up ? r->far[i].desired : 0;
    return n;
}

static void test_wishes_follow_the_hosts(void **state)
{
    const struct scaler_wish wish = {.account = "guest",
                                     .package = "",
                                     .name = "fn",
                                     .desired = 7,
                                     .maximum = -1,
                                     .keep_alive_ms = -1};
    const struct scaler_wish over = {.account = "guest",
                                     .package = "",
                                     .name = "fn",
                                     .desired = -1,
                                     .maximum = -1,
                                     .keep_alive_ms = -1};
    struct rig r;

    (void)state;
    setup(&r);
    open_fleet(&r, true, "127.0.0.1:0");
    join(&r, 0);
    invokers_wish(r.f, &wish);
    invokers_know(r.f, &r.fn);
    assert_int_equal(wished(&r), 7);
    assert_true(r.far[0].knows > 0);
    join(&r, 1);
    join(&r, 2);
    assert_int_equal(wished(&r), 7);
    assert_in_range(r.far[2].desired, 1, 2);
    assert_true(r.far[2].knows > 0);
    int before[] = {r.far[0].wishes, r.far[1].wishes, r.far[2].wishes};

    fleet_wish_again(r.f); /* nothing is another one: nobody is told */
    for (size_t i = 0; i < HOSTS; i++)
        assert_int_equal(r.far[i].wishes, before[i]);
    lose(&r, 2);
    assert_int_equal(wished(&r), 7);
    int code;

    free(change(&r, INVOKERS_CORDON, "one", NULL, &code));
    assert_int_equal(code, 0);
    assert_int_equal(wished(&r), 7);
    assert_int_equal(r.far[0].desired, 0);
    invokers_wish(r.f, &over);
    assert_int_equal(r.far[1].desired, -1);
    assert_int_equal(r.f->wishes.count, 0);
    r.fn.refs = 1000;
    teardown(&r);
}

static void on_forgotten(void *arg)
{
    ((struct rig *)arg)->forgotten++;
}

static void test_an_account_leaves(void **state)
{
    struct rig r;

    (void)state;
    setup(&r);
    open_fleet(&r, true, "127.0.0.1:0");
    for (size_t i = 0; i < HOSTS; i++)
        join(&r, i);
    lose(&r, 2);
    invokers_forget_account(r.f, "leaver", on_forgotten, &r);
    pay(&r.far[0]);
    assert_int_equal(r.forgotten, 0); /* one that is up has not answered */
    lose(&r, 1);                      /* and is away now: that it owes it is written down */
    while (r.forgotten == 0)
        (void)uv_run(&r.loop.uv, UV_RUN_ONCE);
    assert_int_equal(r.forgotten, 1);
    assert_true(fleet_owes(r.f->hosts[1], "leaver"));
    r.fn.account = text("leaver"); /* another one of that name: not there until it has forgotten */
    r.far[1].up = true;
    r.listener.joined(r.listener.arg, &r.far[1]);
    r.load_here.ready = 0;
    struct activation *all[6];

    for (size_t i = 0; i < 6; i++)
        all[i] = call(&r);
    assert_int_equal(r.far[1].call_count, 0);
    free_calls(&r, all, 6);
    pay(&r.far[1]);
    assert_false(fleet_owes(r.f->hosts[1], "leaver"));
    /* What the third one owes is known after a restart. */
    close_fleet(&r);
    for (size_t i = 0; i < HOSTS; i++)
        r.far[i].forgotten = NULL;
    open_fleet(&r, true, "127.0.0.1:0");
    assert_int_equal(r.f->host_count, HOSTS);
    struct fleet_host *three = fleet_host_find(r.f, NR_STR("three"));

    assert_true(fleet_owes(three, "leaver"));
    assert_false(fleet_owes(fleet_host_find(r.f, NR_STR("two")), "leaver"));
    struct nr_err err = {0};

    assert_int_equal(r.listener.admit(r.listener.arg, &r.far[2].hello, "192.0.2.1", &err), 0);
    r.far[2].up = true;
    r.listener.joined(r.listener.arg, &r.far[2]);
    assert_non_null(r.far[2].forgotten);
    pay(&r.far[2]);
    assert_false(fleet_owes(three, "leaver"));
    teardown(&r);
}

static void on_crossed(struct invokers_call *c)
{
    *(bool *)c->owner = true;
}

/* Two changes of a name are on their way to the disk: neither brings back what the other one took away. */
static void test_changes_that_cross(void **state)
{
    struct rig r;
    bool done[2] = {false, false};
    struct invokers_call first = {.op = INVOKERS_REMOVE,
                                  .name = NR_STR("one"),
                                  .done = on_crossed,
                                  .owner = &done[0]},
                         second = {.op = INVOKERS_CORDON,
                                   .name = NR_STR("one"),
                                   .done = on_crossed,
                                   .owner = &done[1]};

    (void)state;
    setup(&r);
    open_fleet(&r, false, "127.0.0.1:0");
    join(&r, 0);
    invokers_post(r.f, &first);
    invokers_post(r.f, &second);
    while (!done[0] || !done[1])
        (void)uv_run(&r.loop.uv, UV_RUN_ONCE);
    assert_int_equal(first.err.code, 0);
    assert_int_equal(second.err.code, NR_ENOENT);
    nr_buf_fini(&first.reply);
    nr_buf_fini(&second.reply);
    close_fleet(&r);
    open_fleet(&r, false, "127.0.0.1:0");
    assert_int_equal(r.f->host_count, 0);
    assert_int_equal(r.f->removed_count, 1);
    teardown(&r);
}

static void test_tokens(void **state)
{
    struct nr_err err = {0};
    struct rig r;
    int code;

    (void)state;
    setup(&r);
    open_fleet(&r, false, "127.0.0.1:0");
    struct far_hello hello = {.name = text("one"), .token = text(""), .session = text("s")};

    assert_int_equal(r.listener.admit(r.listener.arg, &hello, "192.0.2.1", &err), NR_EFORBIDDEN);
    join(&r, 0);
    assert_int_equal(r.listener.admit(r.listener.arg, &hello, "192.0.2.1", &err), NR_EFORBIDDEN);
    hello.token = text("0000000000000000000000000000000000000000000000000000000000000000");
    assert_int_equal(r.listener.admit(r.listener.arg, &hello, "192.0.2.1", &err), NR_EFORBIDDEN);
    hello = r.far[0].hello; /* its link broke, and it is back before we know */
    assert_int_equal(r.listener.admit(r.listener.arg, &hello, "192.0.2.1", &err), 0);
    free(change(&r, INVOKERS_DRAIN, "one", NULL, &code));
    assert_int_equal(r.far[0].drains, 1);
    pay(&r.far[0]);
    close_fleet(&r); /* cordoned it is after a restart, too */
    open_fleet(&r, false, "127.0.0.1:0");
    assert_true(fleet_host_find(r.f, NR_STR("one"))->cordoned);
    free(change(&r, INVOKERS_REMOVE, "one", NULL, &code));
    assert_int_equal(code, 0);
    assert_int_equal(r.f->host_count, 0);
    assert_null(change(&r, INVOKERS_REMOVE, "one", NULL, &code));
    assert_int_equal(code, NR_ENOENT);
    static const char *const bad[] = {
        "",    "0",   "A",
        "a_b", "a.b", "0123456789012345678901234567890123456789012345678901234567890123"};

    for (size_t i = 0; i < nr_countof(bad); i++) {
        assert_null(change(&r, INVOKERS_ADD, bad[i], NULL, &code));
        assert_int_equal(code, NR_EINVAL);
    }
    teardown(&r);
}

/* A process whose name was removed dials on: over the unix socket, where no token is asked for, too. */
static void test_a_removed_name_stays_out(void **state)
{
    struct nr_err err = {0};
    struct rig r;
    int code;

    (void)state;
    setup(&r);
    r.pin = NULL;
    open_fleet(&r, true, "unix:/nowhere");
    struct far_hello hello = r.far[1].hello;

    assert_int_equal(r.listener.admit(r.listener.arg, &hello, "unix", &err), 0); /* unknown */
    r.far[1].up = true;
    r.listener.joined(r.listener.arg, &r.far[1]);
    assert_int_equal(r.f->host_count, 1);
    free(change(&r, INVOKERS_REMOVE, "two", NULL, &code));
    assert_int_equal(code, 0);
    assert_false(r.far[1].up);
    assert_int_equal(r.listener.admit(r.listener.arg, &hello, "unix", &err), NR_ENOENT);
    assert_non_null(strstr(err.text, "narae invokers add two"));
    close_fleet(&r); /* it stays out over a restart */
    open_fleet(&r, true, "unix:/nowhere");
    assert_int_equal(r.f->host_count, 0);
    assert_int_equal(r.f->removed_count, 1);
    assert_int_equal(r.listener.admit(r.listener.arg, &hello, "unix", &err), NR_ENOENT);
    join(&r, 1); /* added again, it comes with its token */
    assert_int_equal(r.f->removed_count, 0);
    assert_int_equal(r.listener.admit(r.listener.arg, &hello, "unix", &err), NR_EFORBIDDEN);
    lose(&r, 1);
    close_fleet(&r);
    open_fleet(&r, true, "unix:/nowhere");
    assert_int_equal(r.f->removed_count, 0);
    assert_int_equal(r.f->host_count, 1);
    for (int i = 0; i < FLEET_REMOVED_MAX + 3; i++) { /* as many as are remembered, and not more */
        char name[32];
        int n = snprintf(name, sizeof(name), "gone-%d", i);

        fleet_removed_note(r.f, (struct nr_str){name, (size_t)n});
    }
    assert_int_equal(r.f->removed_count, FLEET_REMOVED_MAX);
    assert_false(fleet_is_removed(r.f, NR_STR("gone-2")));
    assert_true(fleet_is_removed(r.f, NR_STR("gone-3")));
    teardown(&r);
}

/* What was said of a drain holds while the host is away, on its next link, and over a restart; until it is empty. */
static void test_a_drain_holds(void **state)
{
    struct nr_err err = {0};
    struct nr_buf out;
    struct rig r;
    int code;

    (void)state;
    setup(&r);
    open_fleet(&r, false, "127.0.0.1:0");
    join(&r, 0);
    join(&r, 1);
    lose(&r, 0);
    free(change(&r, INVOKERS_DRAIN, "one", NULL, &code)); /* it is away: its far side tells it */
    assert_int_equal(code, 0);
    assert_int_equal(r.far[0].drains, 1);
    nr_buf_init(&out, 1 << 20);
    invokers_status(r.f, NULL, &out);
    nr_buf_add(&out, "", 1);
    assert_non_null(strstr(out.p, "\"state\":\"down\",\"draining\":true"));
    nr_buf_fini(&out);
    r.far[0].up = true;
    r.listener.joined(r.listener.arg, &r.far[0]);
    assert_int_equal(r.far[0].drains, 1);                  /* asked once */
    free(change(&r, INVOKERS_CORDON, "one", NULL, &code)); /* says nothing new */
    assert_true(fleet_host_find(r.f, NR_STR("one"))->draining);
    close_fleet(&r);
    r.far[0].forgotten = NULL;
    open_fleet(&r, false, "127.0.0.1:0");
    struct fleet_host *one = fleet_host_find(r.f, NR_STR("one"));

    assert_true(one->cordoned && one->draining);
    assert_false(fleet_host_find(r.f, NR_STR("two"))->cordoned);
    assert_int_equal(r.listener.admit(r.listener.arg, &r.far[0].hello, "192.0.2.1", &err), 0);
    r.far[0].up = true;
    r.listener.joined(r.listener.arg, &r.far[0]);
    assert_int_equal(r.far[0].drains, 2);
    pay(&r.far[0]); /* it is empty */
    assert_true(one->cordoned && !one->draining);
    close_fleet(&r);
    open_fleet(&r, false, "127.0.0.1:0");
    one = fleet_host_find(r.f, NR_STR("one"));
    assert_true(one->cordoned && !one->draining);
    free(change(&r, INVOKERS_DRAIN, "one", NULL, &code));
    free(change(&r, INVOKERS_UNCORDON, "one", NULL, &code));
    assert_true(!one->cordoned && !one->draining);
    teardown(&r);
}

static void test_the_certificate_is_loaded_again(void **state)
{
    struct nr_err err = {0};
    struct rig r;

    (void)state;
    setup(&r);
    open_fleet(&r, true, "127.0.0.1:0");
    r.log.level = -1;
    assert_int_equal(invokers_reload(NULL, true, &err), 0);
    assert_int_equal(invokers_reload(r.f, false, &err), 0);
    assert_int_equal(r.reloads, 0);
    r.pin = "sha256:11";
    assert_int_equal(invokers_reload(r.f, true, &err), 0);
    assert_int_equal(r.reloads, 1);
    assert_string_equal(r.f->pin, "sha256:11");
    r.bad_certificate = true;
    r.pin = "sha256:22";
    assert_int_equal(invokers_reload(r.f, false, &err), NR_EINVAL);
    assert_string_equal(r.f->pin, "sha256:11");
    teardown(&r);
}

/* ---- what is told ------------------------------------------------------------------------------------------------- */

static void take(void *arg, const struct container_figures *c)
{
    *(struct container_figures *)arg = *c;
}

static void test_figures_are_sums(void **state)
{
    struct container_figures one = {0};
    struct node_figures node;
    struct nr_buf text;
    struct rig r;

    (void)state;
    setup(&r);
    open_fleet(&r, true, "127.0.0.1:0");
    join(&r, 0);
    join(&r, 1);
    invokers_figures(r.f, take, &one, &node);
    assert_int_equal(one.ready, 5);
    assert_int_equal(node.memory_max_mb, 2500);
    assert_int_equal(node.containers, 5);
    assert_in_range((int)node.cpu_percent, 39, 41);
    nr_buf_init(&text, 1 << 20);
    invokers_status(r.f, NULL, &text);
    nr_buf_add(&text, "", 1);
    assert_non_null(strstr(text.p, "{\"name\":\"0\",\"layout\":\"this host and others\""));
    assert_non_null(strstr(text.p, "\"state\":\"up\",\"draining\":false,\"place\":["));
    nr_buf_fini(&text);
    teardown(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wishes_follow_the_hosts),
        cmocka_unit_test(test_an_account_leaves),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_changes_that_cross),
        cmocka_unit_test(test_a_removed_name_stays_out),
        cmocka_unit_test(test_a_drain_holds),
        cmocka_unit_test(test_the_certificate_is_loaded_again),
        cmocka_unit_test(test_figures_are_sums),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
