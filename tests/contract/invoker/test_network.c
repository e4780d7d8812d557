/* Network slots over the real firewall and the real kernel: what a slot is, who is plugged in, what is told, what is left.
 * Skipped where there is no right to make a bridge or no Engine.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "invoker/network_slot.h"
#include "ports/grants.h"

static const char docker_socket[] = "/var/run/docker.sock";

struct rig {
    struct nr_loop loop;
    struct nr_log log;
    struct invoker v; /* of which the network knows the loop, the workers, the folder */
    struct network *n;
    char run_dir[64], installation[17], bridge[16];
    bool closed;
};

/* A container as the network sees it: a process in a network namespace of its own. */
struct user {
    struct net_user u;
    struct net_slot *slot;
    pid_t pid;
    int lost;
};

static void on_lost(struct net_user *u)
{
    nr_container_of(u, struct user, u)->lost++;
}

/* The process that the test calls a container's. */
static pid_t inside_pid;

static bool inside(pid_t pid, const char *container_id)
{
    return pid == inside_pid && strcmp(container_id, "it") == 0;
}

/* Ready when its namespace is there; it ends by a signal. */
static pid_t process_of_its_own(void)
{
    int fds[2];
    char byte;

    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();

    if (pid == 0) {
        if (unshare(CLONE_NEWNET) == 0 && write(fds[1], "", 1) == 1)
            for (;;)
                (void)pause();
        _exit(1);
    }
    (void)close(fds[1]);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    (void)close(fds[0]);
    return pid;
}

static void end(struct user *x)
{
    if (x->pid > 0) {
        (void)kill(x->pid, SIGKILL);
        (void)waitpid(x->pid, NULL, 0);
    }
    x->pid = 0;
}

/* Somebody's function with these grants; NULL: nobody's. */
static int plug(struct user *x, struct grants *g, struct nr_err *err)
{
    const struct function fn = {.grants = g};

    inside_pid = x->pid;
    return net_slot_plug(x->slot, x->pid, "it", g ? &fn : NULL, err);
}

static void take(struct rig *r, struct user *x, struct grants *g)
{
    struct nr_err err = {0};

    *x = (struct user){.u = {.lost = on_lost}};
    x->slot = net_slot_take(r->n, &x->u, &err);
    assert_non_null(x->slot);
    x->pid = process_of_its_own();
    if (plug(x, g, &err) != 0)
        fail_msg("net_slot_plug: %s", err.text);
}

static void on_stop(struct nr_deadline *d)
{
    (void)d;
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

    assert_int_equal(nr_loop_init(&r->loop, &err), 0);
    r->closed = false;
    r->v = (struct invoker){.loop = &r->loop,
                            .log = &r->log,
                            .run_dir = r->run_dir,
                            .peer = {.inside = inside},
                            .installation = r->installation};
    const struct engine_config c = {
        .loop = &r->loop, .socket_path = docker_socket, .workers = 1, .log = &r->log};

    if (engine_open(&c, &r->v.engine, &err) != 0)
        fail_msg("engine_open: %s", err.text);
    if (network_open(&r->v, &r->n, &err) != 0)
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
    (void)snprintf(r->bridge, sizeof(r->bridge), "nr-%.8s", r->installation);
    assert_int_equal(nr_dir_make(r->run_dir, 0755, NULL), 0);
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
    r->closed = false;
    engine_close(r->v.engine, on_closed, &r->closed);
    turn_while_not(r, &r->closed);
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

static bool says_of(const struct user *x, const char *command, const char *word)
{
    char all[160];

    (void)snprintf(all, sizeof(all), "nsenter -t %d -n %s", (int)x->pid, command);
    return host_says(all, word);
}

static void a_slot_is_an_address_and_an_interface(void **state)
{
    struct rig *r = *state;
    struct user x, y;
    char line[80];

    take(r, &x, NULL);
    take(r, &y, NULL);
    assert_string_not_equal(net_slot_name(x.slot), net_slot_name(y.slot));
    (void)snprintf(line, sizeof(line), "inet %s/20", net_slot_name(x.slot));
    assert_true(says_of(&x, "ip -o addr show eth0", line));
    assert_false(says_of(&x, "ip -o addr show eth0", "inet6"));
    assert_true(says_of(&x, "ip route", "default via"));
    (void)snprintf(line, sizeof(line), "bridge -d link show dev %s", x.slot->link);
    assert_true(host_says(line, "isolated on"));
    end(&x);
    end(&y);
    net_slot_return(x.slot);
    net_slot_return(y.slot);
}

static void an_address_is_free_only_when_returned(void **state)
{
    struct rig *r = *state;
    struct user x, y = {.u = {.lost = on_lost}};
    char name[SUBNET_TEXT_BYTES];

    take(r, &x, NULL);
    (void)snprintf(name, sizeof(name), "%s", net_slot_name(x.slot));
    assert_null(net_slot_adopt(r->n, name, &y.u));
    r->n->next_index = x.slot->index - 1; /* its turn again */
    y.slot = net_slot_take(r->n, &y.u, NULL);
    assert_string_not_equal(net_slot_name(y.slot), name);
    net_slot_return(y.slot);
    end(&x);
    net_slot_return(x.slot);
    y.slot = net_slot_adopt(r->n, name, &y.u);
    assert_non_null(y.slot);
    net_slot_return(y.slot);
}

static void no_more_than_the_bridge_has_ports(void **state)
{
    struct rig *r = *state;
    struct net_slot **s = nr_alloc((NET_SLOTS_MAX + 1) * sizeof(struct net_slot *));
    struct nr_err err = {0};

    for (int i = 0; i < NET_SLOTS_MAX; i++)
        assert_non_null(s[i] = net_slot_take(r->n, NULL, &err));
    assert_null(net_slot_take(r->n, NULL, &err));
    assert_int_equal(err.code, NR_EBUSY);
    for (int i = 0; i < NET_SLOTS_MAX; i++)
        net_slot_return(s[i]);
    assert_int_equal(r->n->total, 0);
    free(s);
}

/* Ours, one that is not inside the container, one that has ended. */
static void only_the_containers_process_is_plugged_in(void **state)
{
    struct rig *r = *state;
    struct user x = {.u = {.lost = on_lost}};
    struct nr_err err = {0};

    x.slot = net_slot_take(r->n, &x.u, &err);
    x.pid = getpid();
    assert_int_equal(plug(&x, NULL, &err), NR_EUNAVAIL);
    x.pid = process_of_its_own();
    inside_pid = 1;
    assert_int_equal(net_slot_plug(x.slot, x.pid, "it", NULL, &err), NR_EUNAVAIL);
    pid_t ended = x.pid;

    end(&x);
    x.pid = ended;
    assert_int_equal(plug(&x, NULL, &err), NR_EUNAVAIL);
    assert_false(host_says("ip -o link", x.slot->link));
    net_slot_return(x.slot);
}

static void a_stopped_process_does_not_hold_it_up(void **state)
{
    struct rig *r = *state;
    struct user x = {.u = {.lost = on_lost}};
    struct nr_err err = {0};
    int status;

    x.slot = net_slot_take(r->n, &x.u, &err);
    x.pid = process_of_its_own();
    assert_int_equal(kill(x.pid, SIGSTOP), 0);
    assert_int_equal(waitpid(x.pid, &status, WUNTRACED), x.pid);
    uint64_t begun_ms = nr_mono_ms();

    assert_int_equal(plug(&x, NULL, &err), 0);
    assert_in_range(nr_mono_ms() - begun_ms, 0, 2000);
    end(&x);
    net_slot_return(x.slot);
}

/* Who is pulled out is told once; who is not is not. */
static void a_lost_interface_is_told_once(void **state)
{
    struct rig *r = *state;
    struct user x, y;

    take(r, &x, NULL);
    take(r, &y, NULL);
    assert_int_equal(network_link_remove(x.slot->link, NULL), 0);
    for (int i = 0; i < 2; i++) {
        network_look(r->n, i == 1);
        while (r->n->looking)
            (void)uv_run(&r->loop.uv, UV_RUN_ONCE);
    }
    assert_int_equal(x.lost, 1);
    assert_int_equal(y.lost, 0);
    end(&x);
    end(&y);
    net_slot_return(x.slot);
    net_slot_return(y.slot);
}

/* What the probe does: it goes as far as the firewall. Without the rules it comes through, and that is told. */
static void the_bridge_is_tried(void **state)
{
    struct rig *r = *state;
    struct user x = {.pid = process_of_its_own()};
    struct nr_err err = {0};
    char open_door[160];

    inside_pid = x.pid;
    if (network_try(r->n, x.pid, "it", &err) != 0)
        fail_msg("network_try: %s", err.text);
    (void)snprintf(open_door, sizeof(open_door), "iptables -w -I NARAE-%s-IN 1 -j ACCEPT 2>&1",
                   r->bridge + 3);
    assert_false(host_says(open_door, "?"));
    assert_int_equal(network_try(r->n, x.pid, "it", &err), NR_EUNAVAIL);
    assert_non_null(strstr(err.text, "lets containers reach the host"));
    assert_int_equal(r->n->total, 0);
    end(&x);
}

static struct grants *grants_of(const char *text)
{
    nr_auto_json json_t *o = nr_json_parse(nr_str_of(text), NULL);
    struct grants *g = NULL;

    assert_int_equal(grants_read(o, NULL, &g, NULL), 0);
    return g;
}

static void wait_for_no_slot(struct rig *r)
{
    struct nr_deadline wake = {.fire = on_stop};
    uint64_t end_ms = nr_mono_ms() + 30000;

    while (r->n->total > 0 && nr_mono_ms() < end_ms) {
        nr_deadline_set(&r->loop, &wake, 20);
        (void)uv_run(&r->loop.uv, UV_RUN_ONCE);
    }
    nr_deadline_cancel(&wake);
    assert_int_equal(r->n->total, 0);
}

static void grants_become_rules_of_one_slot(void **state)
{
    struct rig *r = *state;
    struct grants *g = grants_of("{\"egress\":[\"10.1.2.3:502/tcp\",\"192.168.7.0/24:161/udp\"]}");
    struct user x, y;

    take(r, &x, g);
    assert_true(host_says("iptables -w -S", "-d 10.1.2.3/32 -p tcp -m tcp --dport 502 -j ACCEPT"));
    assert_true(
        host_says("iptables -w -S", "-d 192.168.7.0/24 -p udp -m udp --dport 161 -j ACCEPT"));
    end(&x);
    net_slot_return(x.slot);
    assert_int_equal(r->n->count[NET_RETURNING], 1); /* the rules go first */
    wait_for_no_slot(r);
    assert_false(host_says("iptables -w -S", "10.1.2.3/32"));
    grants_unref(g);
    take(r, &y, NULL); /* a stem's: of nobody until it is handed over */
    assert_false(y.slot->granted);
    g = grants_of("{\"egress\":[\"10.9.9.9:53/udp\"]}");
    assert_int_equal(net_slot_grant(y.slot, &(struct function){.grants = g}, NULL), 0);
    assert_true(host_says("iptables -w -S", "-d 10.9.9.9/32 -p udp -m udp --dport 53 -j ACCEPT"));
    end(&y);
    net_slot_return(y.slot);
    grants_unref(g);
}

/* A run that left a slot: its interface stays, grants of that run are gone until it is plugged in again under its own address. */
static void the_next_start_adopts(void **state)
{
    struct rig *r = *state;
    struct grants *g = grants_of("{\"egress\":[\"10.1.2.3:502/tcp\"]}");
    struct user x, y;
    struct nr_err err = {0};
    char name[SUBNET_TEXT_BYTES], link[LINK_NAME_BYTES];

    take(r, &x, g);
    (void)snprintf(name, sizeof(name), "%s", net_slot_name(x.slot));
    (void)snprintf(link, sizeof(link), "%s", x.slot->link);
    net_slot_leave(x.slot);
    rig_stop(r);
    assert_int_not_equal(if_nametoindex(r->bridge), 0);
    assert_int_not_equal(if_nametoindex(link), 0);
    rig_start(r);
    assert_int_not_equal(if_nametoindex(link), 0);
    assert_false(host_says("iptables -w -S", "10.1.2.3/32"));
    y = (struct user){.u = {.lost = on_lost}, .pid = x.pid};
    static const char *const not_there[] = {"", "01234567", "10.0.0.1", "10.191.255.1",
                                            "127.0.0.1"};

    for (size_t i = 0; i < nr_countof(not_there); i++)
        assert_null(net_slot_adopt(r->n, not_there[i], &y.u));
    y.slot = net_slot_adopt(r->n, name, &y.u);
    assert_non_null(y.slot);
    assert_null(net_slot_adopt(r->n, name, &y.u));
    if (plug(&y, g, &err) != 0)
        fail_msg("net_slot_plug: %s", err.text);
    assert_true(says_of(&y, "ip -o addr show eth0", name));
    assert_true(host_says("iptables -w -S", "-d 10.1.2.3/32 -p tcp -m tcp --dport 502 -j ACCEPT"));
    end(&y);
    net_slot_return(y.slot);
    grants_unref(g);
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
    assert_int_equal(firewall_install(&r->n->firewall, false, NULL), 1);
    assert_true(host_says("iptables -w -S", jump));
    assert_int_equal(firewall_install(&r->n->firewall, false, NULL), 0);
}

static void look_with_rules(struct rig *r)
{
    network_look(r->n, true);
    while (r->n->looking)
        (void)uv_run(&r->loop.uv, UV_RUN_ONCE);
    if (r->n->look_err.code != 0)
        fail_msg("look: %s", r->n->look_err.text);
}

/* Every chain of ours emptied, with the jumps to it left: one look, and the rules for everybody and the grants are there again; with what
 * the program of this host prints the next look finds nothing to do. */
static void emptied_chains_are_filled(void **state)
{
    static const char *const chains[] = {"IN", "FW", "NO", "GR"};
    struct rig *r = *state;
    struct grants *g = grants_of("{\"egress\":[\"10.1.2.3:502/tcp\",\"192.168.7.0/24:161/udp\"]}");
    struct user x, y = {.pid = 0};
    char command[160], grant[80], number[16];
    struct nr_err err = {0};

    take(r, &x, g);
    look_with_rules(r);
    assert_false(r->n->put_back);
    (void)snprintf(grant, sizeof(grant), "-A NARAE-%s-%u -d 10.1.2.3/32", r->bridge + 3,
                   x.slot->index);
    (void)snprintf(number, sizeof(number), "%u", x.slot->index);
    for (size_t i = 0; i <= nr_countof(chains); i++) {
        (void)snprintf(command, sizeof(command), "iptables -w -F NARAE-%s-%s 2>&1", r->bridge + 3,
                       i < nr_countof(chains) ? chains[i] : number);
        assert_false(host_says(command, "iptables"));
    }
    assert_false(host_says("iptables -w -S", grant));
    look_with_rules(r);
    assert_true(r->n->put_back);
    assert_true(host_says("iptables -w -S", grant));
    (void)snprintf(command, sizeof(command), "-A NARAE-%s-GR -s %s/32", r->bridge + 3,
                   net_slot_name(x.slot));
    assert_true(host_says("iptables -w -S", command));
    inside_pid = y.pid = process_of_its_own();
    if (network_try(r->n, y.pid, "it", &err) != 0) /* the host is closed again */
        fail_msg("network_try: %s", err.text);
    look_with_rules(r);
    assert_false(r->n->put_back);
    end(&x);
    end(&y);
    net_slot_return(x.slot);
    wait_for_no_slot(r);
    look_with_rules(r);
    assert_false(r->n->put_back);
    grants_unref(g);
}

/* A container without grants that is plugged in on a work thread. */
struct plugging {
    struct nr_work work;
    struct user *user;
    int result;
    bool done;
};

static void plug_work(struct nr_work *w)
{
    struct plugging *p = nr_container_of(w, struct plugging, work);

    p->result = net_slot_plug(p->user->slot, p->user->pid, "it", NULL, NULL);
}

static void on_plugged(struct nr_work *w)
{
    nr_container_of(w, struct plugging, work)->done = true;
}

/* While somebody holds the lock of the host's firewall a look and slots that are given back wait for it, and nothing else does. */
static void a_held_lock_stops_no_start(void **state)
{
    struct rig *r = *state;
    struct grants *g = grants_of("{\"egress\":[\"10.1.2.3:502/tcp\"]}");
    struct nr_deadline wake = {.fire = on_stop};
    struct user x, y, z = {.u = {.lost = on_lost}};
    struct plugging p = {.work = {.work = plug_work, .done = on_plugged}, .user = &z, .result = -1};
    uint64_t end_ms = nr_mono_ms() + 30000;

    take(r, &x, g);
    take(r, &y, g);
    end(&x);
    end(&y);
    z.slot = net_slot_take(r->n, &z.u, NULL);
    inside_pid = z.pid = process_of_its_own();
    (void)pthread_mutex_lock(&r->n->firewall_lock);
    network_look(r->n, true);
    net_slot_return(x.slot);
    net_slot_return(y.slot);
    nr_work_post(&r->loop, &p.work);
    while (!p.done && nr_mono_ms() < end_ms) {
        nr_deadline_set(&r->loop, &wake, 20);
        (void)uv_run(&r->loop.uv, UV_RUN_ONCE);
    }
    nr_deadline_cancel(&wake);
    bool held_up = !p.done, waiting = r->n->looking && r->n->count[NET_RETURNING] == 2;

    (void)pthread_mutex_unlock(&r->n->firewall_lock);
    turn_while_not(r, &p.done);
    assert_false(held_up);
    assert_true(waiting);
    assert_int_equal(p.result, 0);
    end(&z);
    net_slot_return(z.slot);
    wait_for_no_slot(r);
    grants_unref(g);
}

/* ---- names in grants -------------------------------------------------------------------------------------------- */

enum { SILENT_NAMES = 60, ALL_NAMES_MS = 30000 /* of 60 s when each is waited for */ };

static bool replace_file(const char *folder, const char *name, const char *text, const char *path)
{
    char own[96];

    (void)snprintf(own, sizeof(own), "%s/%s", folder, name);
    return nr_file_write(folder, name, nr_str_of(text), 0644, NULL) == 0 &&
           mount(own, path, NULL, MS_BIND, NULL) == 0;
}

/* Names of the file, and a name server that takes questions and answers none. */
static bool own_names(const char *folder)
{
    const struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(53)};
    int fd = unshare(CLONE_NEWNET | CLONE_NEWNS) == 0 ? socket(AF_INET, SOCK_DGRAM, 0) : -1;

    return fd >= 0 && !host_says("ip link set lo up 2>&1", "") &&
           bind(fd, (const struct sockaddr *)&at, sizeof(at)) == 0 &&
           mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           replace_file(folder, "resolv", "nameserver 127.0.0.1\n", "/etc/resolv.conf") &&
           replace_file(folder, "switch", "hosts: files dns\n", "/etc/nsswitch.conf") &&
           replace_file(folder, "hosts",
                        "10.1.2.3 plc.test\n169.254.169.254 keys.test\n10.192.0.1 gate.test\n"
                        "10.192.0.77 slot.test\n127.0.0.1 self.test\n",
                        "/etc/hosts");
}

/* In namespaces of its own. Returns what is wrong; 0: nothing. */
static int ask_for_names(const char *folder)
{
    const struct firewall f = {
        .tag = "01234567", .bridge = "nr-01234567", .subnet = {0x0ac00000, 20}};
    struct firewall_target got[FIREWALL_ADDRESSES_MAX];
    struct nr_buf text;

    if (!own_names(folder))
        return 1;
    struct grants *g =
        grants_of("{\"egress\":[\"keys.test:80/tcp\",\"gate.test:80/tcp\","
                  "\"slot.test:80/tcp\",\"self.test:80/tcp\",\"plc.test:502/tcp\"]}");

    if (firewall_targets(&f, g, got) != 1 || got[0].to.address != 0x0a010203 || got[0].port != 502)
        return 2;
    grants_unref(g);
    nr_buf_init(&text, 1 << 16);
    nr_buf_adds(&text, "{\"egress\":[");
    for (int i = 0; i < SILENT_NAMES; i++)
        nr_buf_printf(&text, "\"n%d.silent.test:80/tcp\",", i);
    nr_buf_adds(&text, "\"10.9.9.9:53/udp\"]}");
    nr_buf_addc(&text, '\0');
    g = grants_of(text.p);
    nr_buf_fini(&text);
    uint64_t begun_ms = nr_mono_ms();

    if (firewall_targets(&f, g, got) != 1 || got[0].to.address != 0x0a090909)
        return 3;
    grants_unref(g);
    return nr_mono_ms() - begun_ms < ALL_NAMES_MS ? 0 : 4;
}

/* Names lead neither to the host nor to other slots, and all of them that nobody answers for take a few seconds together; addresses behind
 * them count nevertheless. */
static void names_are_bounded(void **state)
{
    char folder[] = "/tmp/narae-names-XXXXXX";
    int status;

    (void)state;
    assert_non_null(mkdtemp(folder));
    pid_t pid = fork();

    if (pid == 0)
        _exit(ask_for_names(folder));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(nr_dir_remove(folder, NULL), 0);
    assert_int_equal(status, 0);
}

/* ---- a host with very many rules ------------------------------------------------------------------------------ */

enum { STRANGERS = 70000 };

/* In a network namespace of its own: more rules of others than are read. Returns what installing said. */
static int install_among_strangers(void)
{
    struct firewall f = {.tag = "01234567", .bridge = "nr-01234567", .subnet = {0x0ac00000, 20}};
    FILE *to = unshare(CLONE_NEWNET) == 0 ? popen("iptables-restore -w", "w") : NULL;

    if (to == NULL)
        return 1;
    (void)fputs("*filter\n", to);
    for (unsigned i = 0; i < STRANGERS; i++)
        (void)fprintf(to, "-A FORWARD -s 203.%u.%u.%u/32 -p tcp -m tcp --dport 8080 -j ACCEPT\n",
                      i >> 16, i >> 8 & 0xff, i & 0xff);
    (void)fputs("COMMIT\n", to);
    if (pclose(to) != 0)
        return 2;
    if (firewall_install(&f, true, NULL) != NR_ETOOBIG)
        return 3;
    return host_says("iptables -w -S FORWARD 1", f.tag) ? 4 : 0;
}

/* What could not be read whole is not taken for what is there: rules would be put in a second time with every look. */
static void too_many_rules_are_refused(void **state)
{
    int status;
    pid_t pid = fork();

    (void)state;
    if (pid == 0)
        _exit(install_among_strangers());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_slot_is_an_address_and_an_interface, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(an_address_is_free_only_when_returned, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(no_more_than_the_bridge_has_ports, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(only_the_containers_process_is_plugged_in, rig_open,
                                        rig_close),
        cmocka_unit_test_setup_teardown(a_stopped_process_does_not_hold_it_up, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(a_lost_interface_is_told_once, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(the_bridge_is_tried, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(grants_become_rules_of_one_slot, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(the_next_start_adopts, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(rules_come_back, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(emptied_chains_are_filled, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(a_held_lock_stops_no_start, rig_open, rig_close),
        cmocka_unit_test(names_are_bounded),
        cmocka_unit_test(too_many_rules_are_refused),
    };

    if (geteuid() != 0 || access(docker_socket, R_OK | W_OK) != 0) {
        printf("skipped: no right to make a bridge, or no Engine\n");
        return 77;
    }
    (void)setenv("UV_THREADPOOL_SIZE", "2", 1); /* as naraed has it */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
