/* Network slots over the real Engine, the real firewall and the real kernel: who gets which, what dies, what is left.
 * Skipped where there is no Engine, no image or no right to make a bridge.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <net/if.h>
#include <signal.h>
#include <sys/wait.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "invoker/network_slot.h"
#include "ports/grants.h"

struct rig {
    struct nr_loop loop;
    struct nr_log log;
    struct node node;
    struct invoker v;
    struct network *n;
    char run_dir[64], folder[80], installation[17], bridge[16];
    bool closed, engine_closed;
};

/* Who waits, and what came. */
struct wish {
    struct net_wait w;
    struct net_slot *slot;
    struct nr_err err;
    int ready, died;
};

static void on_ready(struct net_wait *w, struct net_slot *slot, const struct nr_err *err)
{
    struct wish *x = nr_container_of(w, struct wish, w);

    x->ready++;
    x->slot = slot;
    if (err)
        x->err = *err;
}

static void on_died(struct net_wait *w)
{
    nr_container_of(w, struct wish, w)->died++;
}

static void take(struct rig *r, struct wish *x, const char *account, const struct grants *g)
{
    *x = (struct wish){.w = {.ready = on_ready, .died = on_died}};
    net_slot_take(r->n, account, g, true, &x->w);
}

static void on_stop(struct nr_deadline *d)
{
    (void)d;
}

/* Turns the loop until *what is at least n; 30 s. */
static bool turn_until(struct rig *r, const int *what, int n)
{
    struct nr_deadline wake = {.fire = on_stop};
    uint64_t end_ms = nr_mono_ms() + 30000;

    while (*what < n && nr_mono_ms() < end_ms) {
        nr_deadline_set(&r->loop, &wake, 20);
        (void)uv_run(&r->loop.uv, UV_RUN_ONCE);
    }
    nr_deadline_cancel(&wake);
    return *what >= n;
}

/* What the host says, asked apart from the code under test. */
static bool host_says(const char *command, const char *word)
{
    char line[512];
    bool found = false;
    FILE *f = popen(command, "r");

    assert_non_null(f);
    while (fgets(line, sizeof(line), f))
        found = found || strstr(line, word) != NULL;
    (void)pclose(f);
    return found;
}

static void rig_start(struct rig *r)
{
    struct nr_err err = {0};
    const struct engine_config e = {
        .loop = &r->loop, .socket_path = "/var/run/docker.sock", .workers = 2, .log = &r->log};

    assert_int_equal(nr_loop_init(&r->loop, &err), 0);
    r->closed = r->engine_closed = false;
    r->v = (struct invoker){.loop = &r->loop,
                            .node = &r->node,
                            .log = &r->log,
                            .run_dir = r->run_dir,
                            .folder = r->folder,
                            .hosts_path = r->run_dir,
                            .agent_path = (char *)(uintptr_t)NARAE_AGENT,
                            .installation = r->installation};
    nr_list_init(&r->v.orphans);
    assert_int_equal(engine_open(&e, &r->v.engine, &err), 0);
    if (network_open(&r->v, 2, &r->n, &err) != 0)
        fail_msg("network_open: %s", err.text);
}

static int rig_open(void **state)
{
    struct rig *r = nr_alloc(sizeof(*r));
    unsigned char random[8];

    nr_random(random, sizeof(random));
    nr_hex(random, sizeof(random), r->installation);
    r->log =
        (struct nr_log){.out = stderr, .level = getenv("RIG_LOG") ? NR_LOG_DEBUG : NR_LOG_ERROR};
    (void)snprintf(r->run_dir, sizeof(r->run_dir), "/run/narae-test-%.8s", r->installation);
    (void)snprintf(r->folder, sizeof(r->folder), "%s/c", r->run_dir);
    (void)snprintf(r->bridge, sizeof(r->bridge), "nr-%.8s", r->installation);
    assert_int_equal(nr_dir_make(r->folder, 0755, NULL), 0);
    rig_start(r);
    *state = r;
    return 0;
}

static void on_closed(void *arg)
{
    *(bool *)arg = true;
}

static void turn_while_not(struct rig *r, const bool *done)
{
    struct nr_deadline wake = {.fire = on_stop};
    uint64_t end_ms = nr_mono_ms() + 30000;

    while (!*done && nr_mono_ms() < end_ms) {
        nr_deadline_set(&r->loop, &wake, 20);
        (void)uv_run(&r->loop.uv, UV_RUN_ONCE);
    }
    nr_deadline_cancel(&wake);
    assert_true(*done);
}

static void rig_stop(struct rig *r)
{
    network_drain(r->n, on_closed, &r->closed);
    turn_while_not(r, &r->closed);
    network_free(r->n);
    engine_close(r->v.engine, on_closed, &r->engine_closed);
    turn_while_not(r, &r->engine_closed);
    assert_int_equal(nr_loop_fini(&r->loop), 0);
}

/* Nothing of it may be left: bridge, rules, containers. */
static int rig_close(void **state)
{
    struct rig *r = *state;

    rig_stop(r);
    assert_int_equal(if_nametoindex(r->bridge), 0);
    assert_false(host_says("iptables -w -S", r->bridge + 3));
    assert_false(host_says("iptables -w -t nat -S", r->bridge + 3));
    assert_false(host_says("ip6tables -w -S", r->bridge + 3));
    assert_false(host_says("ip -o link", r->bridge + 3));
    (void)nr_dir_remove(r->run_dir, NULL);
    free(r);
    return 0;
}

/* ---- cases ------------------------------------------------------------------------------------------------------ */

static void a_slot_is_ready_at_once(void **state)
{
    struct rig *r = *state;
    struct wish x;

    take(r, &x, "guest", NULL);
    assert_int_equal(x.ready, 1);
    assert_non_null(x.slot);
    assert_int_equal(strlen(net_slot_name(x.slot)), 8);
    assert_int_equal(strlen(net_slot_mode(x.slot)), sizeof("container:") - 1 + 64);
    net_slot_return(x.slot, true);
}

static void many_at_once_get_one_each(void **state)
{
    enum { MANY = 9 };
    struct rig *r = *state;
    struct wish x[MANY];

    for (int i = 0; i < MANY; i++)
        take(r, &x[i], "guest", NULL);
    for (int i = 0; i < MANY; i++) {
        assert_true(turn_until(r, &x[i].ready, 1));
        assert_non_null(x[i].slot);
        for (int k = 0; k < i; k++)
            assert_ptr_not_equal(x[i].slot, x[k].slot);
    }
    for (int i = 0; i < MANY; i++)
        net_slot_return(x[i].slot, true);
}

static void only_the_same_account_gets_it_again(void **state)
{
    struct rig *r = *state;
    struct wish a, b, c;

    take(r, &a, "anna", NULL);
    assert_true(turn_until(r, &a.ready, 1));
    net_slot_return(a.slot, true);
    take(r, &b, "berta", NULL);
    assert_true(turn_until(r, &b.ready, 1));
    assert_ptr_not_equal(b.slot, a.slot);
    take(r, &c, "anna", NULL);
    assert_true(turn_until(r, &c.ready, 1));
    assert_ptr_equal(c.slot, a.slot);
    net_slot_return(b.slot, true);
    net_slot_return(c.slot, false);
}

static void a_death_is_told_once(void **state)
{
    struct rig *r = *state;
    struct wish x;
    char command[160];

    take(r, &x, "guest", NULL);
    assert_true(turn_until(r, &x.ready, 1));
    (void)snprintf(command, sizeof(command), "docker kill narae-%.8s-%s", r->installation,
                   net_slot_name(x.slot));
    assert_true(host_says(command, net_slot_name(x.slot)));
    assert_true(turn_until(r, &x.died, 1));
    net_slot_return(x.slot, true);
    assert_int_equal(x.died, 1);
}

static struct grants *grants_of(const char *text)
{
    nr_auto_json json_t *o = nr_json_parse(nr_str_of(text), NULL);
    struct grants *g = NULL;

    assert_int_equal(grants_read(o, NULL, &g, NULL), 0);
    return g;
}

static void grants_become_rules_of_one_slot(void **state)
{
    struct rig *r = *state;
    struct grants *g = grants_of("{\"egress\":[\"10.1.2.3:502/tcp\",\"192.168.7.0/24:161/udp\"]}");
    struct wish x, y;

    take(r, &x, "guest", g);
    assert_int_equal(x.ready, 0); /* the rules come first */
    assert_true(turn_until(r, &x.ready, 1));
    assert_true(host_says("iptables -w -S", "-d 10.1.2.3/32 -p tcp -m tcp --dport 502 -j ACCEPT"));
    assert_true(
        host_says("iptables -w -S", "-d 192.168.7.0/24 -p udp -m udp --dport 161 -j ACCEPT"));
    net_slot_return(x.slot, true);
    take(r, &y, "guest", g);
    assert_int_equal(y.ready, 1);
    assert_ptr_equal(x.slot, y.slot);
    net_slot_return(y.slot, false);
    grants_unref(g);
    take(r, &x, "", NULL); /* a stem's: of nobody until it is handed over */
    assert_true(turn_until(r, &x.ready, 1));
    g = grants_of("{\"egress\":[\"10.9.9.9:53/udp\"]}");
    assert_int_equal(net_slot_own(x.slot, "guest", g, NULL), 0);
    assert_true(host_says("iptables -w -S", "-d 10.9.9.9/32 -p udp -m udp --dport 53 -j ACCEPT"));
    net_slot_return(x.slot, true);
    grants_unref(g);
}

/* A run that left its slots: the held one is found again by its name, the others go. */
static void the_next_start_adopts(void **state)
{
    struct rig *r = *state;
    struct wish x, y = {.w = {.ready = on_ready, .died = on_died}};
    char name[9], mode[80];

    take(r, &x, "guest", NULL);
    assert_true(turn_until(r, &x.ready, 1));
    (void)snprintf(name, sizeof(name), "%s", net_slot_name(x.slot));
    (void)snprintf(mode, sizeof(mode), "%s", net_slot_mode(x.slot));
    rig_stop(r); /* with x's slot still held: left for the next start */
    assert_int_not_equal(if_nametoindex(r->bridge), 0);
    rig_start(r);
    assert_null(net_slot_adopt(r->n, "00000000", &y.w));
    y.slot = net_slot_adopt(r->n, name, &y.w);
    assert_non_null(y.slot);
    assert_string_equal(net_slot_mode(y.slot), mode);
    assert_null(net_slot_adopt(r->n, name, &y.w));
    net_slot_return(y.slot, true);
}

/* Rules that somebody threw away come back with the next look; a second installing changes nothing. */
static void rules_come_back(void **state)
{
    struct rig *r = *state;
    char command[160], jump[80];

    (void)snprintf(jump, sizeof(jump), "-A INPUT -i %s -j NARAE-%s-IN", r->bridge, r->bridge + 3);
    (void)snprintf(command, sizeof(command), "iptables -w -D %s", jump + 3);
    assert_true(host_says("iptables -w -S", jump));
    assert_false(host_says(command, "?"));
    assert_false(host_says("iptables -w -S", jump));
    assert_int_equal(firewall_install(&r->n->firewall, false, NULL), 0);
    assert_true(host_says("iptables -w -S", jump));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_slot_is_ready_at_once, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(many_at_once_get_one_each, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(only_the_same_account_gets_it_again, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(a_death_is_told_once, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(grants_become_rules_of_one_slot, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(the_next_start_adopts, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(rules_come_back, rig_open, rig_close),
    };

    if (geteuid() != 0 || access("/var/run/docker.sock", W_OK) != 0) {
        printf("skipped: no right to make a bridge, or no Engine\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
