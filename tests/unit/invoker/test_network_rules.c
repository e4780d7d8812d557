/* Network slots, the pure part: subnets that nobody uses, resolvers, the texts that go to iptables-restore. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "invoker/firewall.h"

static const char routes[] =
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    "docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
    "nr-01234567\t0010C00A\t00000000\t0001\t0\t0\t0\t00F0FFFF\t0\t0\t0\n";

static struct subnet subnet(const char *text)
{
    struct subnet s = {0};

    assert_true(subnet_read(nr_str_of(text), &s));
    return s;
}

static void routes_are_read(void **state)
{
    struct subnet list[8], own;
    char text[SUBNET_TEXT_BYTES];

    (void)state;
    assert_int_equal(subnet_routes(nr_str_of(routes), "nr-01234567", list, 8, &own), 1);
    assert_string_equal(subnet_text(list[0], text), "172.17.0.0/16");
    assert_string_equal(subnet_text(own, text), "10.192.16.0/20");
    assert_int_equal(subnet_routes(nr_str_of(routes), NULL, list, 8, &own), 2);
    assert_int_equal(own.prefix, 0);
    assert_int_equal(subnet_routes(nr_str_of(routes), NULL, list, 1, &own), 1);
    assert_int_equal(subnet_routes(NR_STR("nonsense\n\n\t\t\n"), NULL, list, 8, &own), 0);
}

static void a_free_subnet_is_chosen(void **state)
{
    struct subnet taken[3] = {subnet("10.192.0.0/20"), subnet("10.192.16.5"),
                              subnet("10.192.32.0/19")},
                  all = subnet("10.128.0.0/9"), got;
    char text[SUBNET_TEXT_BYTES];

    (void)state;
    assert_true(subnet_choose(0, NULL, 0, &got));
    assert_string_equal(subnet_text(got, text), "10.192.0.0/20");
    assert_true(subnet_choose(0, taken, 3, &got));
    assert_string_equal(subnet_text(got, text), "10.192.64.0/20");
    assert_true(subnet_choose(1023, NULL, 0, &got));
    assert_string_equal(subnet_text(got, text), "10.255.240.0/20");
    assert_true(subnet_choose(1023 + 1024, &got, 1, &got)); /* goes round */
    assert_string_equal(subnet_text(got, text), "10.192.0.0/20");
    assert_false(subnet_choose(7, &all, 1, &got));
}

static void overlaps(void **state)
{
    (void)state;
    assert_true(subnet_overlaps(subnet("10.0.0.0/8"), subnet("10.1.2.3")));
    assert_true(subnet_overlaps(subnet("10.1.2.3"), subnet("10.0.0.0/8")));
    assert_false(subnet_overlaps(subnet("10.0.0.0/24"), subnet("10.0.1.0/24")));
    assert_true(subnet_overlaps((struct subnet){0, 0}, subnet("1.2.3.4")));
}

static void resolvers_that_can_be_reached(void **state)
{
    static const char text[] =
        "# nameserver 9.9.9.9\nsearch corp.example\nnameserver 127.0.0.53\n"
        "nameserver 10.255.255.53\nnameserver\t192.0.2.7 \nnameserver fe80::1\n"
        "nameservers 1.1.1.1\nnameserver\nnameserver 1.2.3\nnameserver 8.8.8.8\n"
        "nameserver 8.8.4.4";
    uint32_t got[RESOLVERS_MAX];

    (void)state;
    assert_int_equal(firewall_resolvers(nr_str_of(text), got), 3);
    assert_int_equal(got[0], 0x0affff35);
    assert_int_equal(got[1], 0xc0000207);
    assert_int_equal(got[2], 0x08080808);
    assert_int_equal(firewall_resolvers(NR_STR(""), got), 0);
}

static const struct firewall example = {
    .tag = "01234567",
    .bridge = "nr-01234567",
    .subnet = {0x0ac00000, 20},
    .resolvers = {0x0affff35},
    .resolver_count = 1,
    .ipv6 = true,
};

static char *filter_text(const char *have)
{
    struct nr_buf out;

    nr_buf_init(&out, FIREWALL_TEXT_MAX_BYTES);
    firewall_filter_text(&example, nr_str_of(have), &out);
    char *text = nr_buf_detach(&out, NULL);

    nr_buf_fini(&out);
    return text;
}

/* Does `a` stand before `b`, both of them there? */
static void in_order(const char *text, const char *a, const char *b)
{
    const char *first = strstr(text, a), *second = strstr(text, b);

    if (first == NULL || second == NULL || first > second)
        fail_msg("'%s' is not before '%s' in:\n%s", a, b, text);
}

static void what_is_refused_comes_before_what_is_allowed(void **state)
{
    nr_auto_free char *text = filter_text("-P INPUT ACCEPT\n");

    (void)state;
    in_order(text, "-A NARAE-01234567-FW -o nr-01234567 -m conntrack",
             "-A NARAE-01234567-FW -o nr-01234567 -j DROP");
    in_order(text, "-A NARAE-01234567-FW ! -s 10.192.0.0/20 -j DROP",
             "--dport 53 -j ACCEPT\n-A NARAE-01234567-FW -j NARAE-01234567-GR");
    in_order(text, "-A NARAE-01234567-FW -j NARAE-01234567-GR",
             "-A NARAE-01234567-FW -d 10.0.0.0/8 -j NARAE-01234567-NO");
    in_order(text, "-A NARAE-01234567-FW -d 169.254.0.0/16 -j NARAE-01234567-NO",
             "-A NARAE-01234567-FW -j ACCEPT");
    in_order(text, "-A NARAE-01234567-IN -j NARAE-01234567-GR",
             "-A NARAE-01234567-IN -j NARAE-01234567-NO");
    assert_non_null(strstr(text, "-I INPUT 1 -i nr-01234567 -j NARAE-01234567-IN\n"));
    assert_non_null(strstr(text, ":NARAE-01234567-GR - [0:0]\n"));
    assert_null(strstr(text, "DOCKER-USER")); /* there is none */
}

static void what_is_there_is_left(void **state)
{
    static const char have[] = "-N DOCKER-USER\n-N NARAE-01234567-GR\n"
                               "-A INPUT -i nr-01234567 -j NARAE-01234567-IN\n";
    nr_auto_free char *text = filter_text(have);

    (void)state;
    assert_null(strstr(text, ":NARAE-01234567-GR"));
    assert_null(strstr(text, "-I INPUT"));
    assert_non_null(strstr(text, "-I DOCKER-USER 1 -i nr-01234567 -j NARAE-01234567-FW\n"));
    assert_false(firewall_complete(&example, nr_str_of(have), NR_STR(""), NR_STR("")));
}

static void only_ours_is_removed(void **state)
{
    static const char have[] =
        "-P INPUT ACCEPT\n-N NARAE-01234567-IN\n-N NARAE-01234567-17\n-N NARAE-89abcdef-IN\n"
        "-A INPUT -i nr-01234567 -j NARAE-01234567-IN\n-A INPUT -i nr-89abcdef -j NARAE-89abcdef-IN\n"
        "-A INPUT -s 1.2.3.4/32 -m comment --comment \"a b\" -j DROP\n"
        "-A NARAE-01234567-IN -j NARAE-01234567-17\n";
    static const char wanted[] = "*filter\n-D INPUT -i nr-01234567 -j NARAE-01234567-IN\n"
                                 "-F NARAE-01234567-IN\n-F NARAE-01234567-17\n"
                                 "-X NARAE-01234567-IN\n-X NARAE-01234567-17\nCOMMIT\n";
    struct nr_buf out;

    (void)state;
    nr_buf_init(&out, FIREWALL_TEXT_MAX_BYTES);
    firewall_removal_text(&example, "filter", nr_str_of(have), &out);
    nr_buf_addc(&out, '\0');
    assert_string_equal(out.p, wanted);
    nr_buf_reset(&out, SIZE_MAX);
    firewall_removal_text(&example, "nat", NR_STR("-P INPUT ACCEPT\n"), &out);
    assert_int_equal(out.n, 0);
    nr_buf_fini(&out);
}

/* Of an earlier run: chains with a number only, and who jumps to them is emptied before they go. */
static void grants_are_forgotten(void **state)
{
    static const char have[] = "-N NARAE-01234567-GR\n-N NARAE-01234567-IN\n-N NARAE-01234567-17\n"
                               "-N NARAE-01234567-4000\n-N NARAE-89abcdef-17\n-N NARAE-01234567-\n"
                               "-A NARAE-01234567-GR -s 10.0.0.5/32 -j NARAE-01234567-17\n";
    static const char wanted[] = "*filter\n:NARAE-01234567-GR - [0:0]\n"
                                 "-F NARAE-01234567-17\n-F NARAE-01234567-4000\n"
                                 "-X NARAE-01234567-17\n-X NARAE-01234567-4000\nCOMMIT\n";
    struct nr_buf out;

    (void)state;
    nr_buf_init(&out, FIREWALL_TEXT_MAX_BYTES);
    firewall_forget_text(&example, nr_str_of(have), &out);
    nr_buf_addc(&out, '\0');
    assert_string_equal(out.p, wanted);
    nr_buf_reset(&out, SIZE_MAX);
    firewall_forget_text(&example, NR_STR("-N NARAE-01234567-GR\n"), &out);
    assert_int_equal(out.n, 0);
    nr_buf_fini(&out);
}

static void grants_of_a_slot(void **state)
{
    const struct firewall_target targets[] = {{{0x0a000005, 32}, 502, false},
                                              {{0xc0a80100, 24}, 161, true}};
    static const char set[] =
        "*filter\n:NARAE-01234567-17 - [0:0]\n"
        "-A NARAE-01234567-17 -d 10.0.0.5/32 -p tcp -m tcp --dport 502 -j ACCEPT\n"
        "-A NARAE-01234567-17 -d 192.168.1.0/24 -p udp -m udp --dport 161 -j ACCEPT\n"
        "-A NARAE-01234567-GR -s 10.192.0.18/32 -j NARAE-01234567-17\nCOMMIT\n";
    static const char have[] =
        "-N NARAE-01234567-17\n-A NARAE-01234567-GR -s 10.192.0.18/32 -j NARAE-01234567-17\n";
    static const char gone[] = "*filter\n:NARAE-01234567-17 - [0:0]\n"
                               "-D NARAE-01234567-GR -s 10.192.0.18/32 -j NARAE-01234567-17\n"
                               "-X NARAE-01234567-17\nCOMMIT\n";
    struct nr_buf out;

    (void)state;
    nr_buf_init(&out, FIREWALL_TEXT_MAX_BYTES);
    firewall_slot_text(&example, NR_STR(""), 17, 0x0ac00012, targets, 2, &out);
    nr_buf_addc(&out, '\0');
    assert_string_equal(out.p, set);
    nr_buf_reset(&out, SIZE_MAX);
    firewall_slot_text(&example, nr_str_of(have), 17, 0x0ac00012, NULL, 0, &out);
    nr_buf_addc(&out, '\0');
    assert_string_equal(out.p, gone);
    nr_buf_reset(&out, SIZE_MAX);
    firewall_slot_text(&example, NR_STR(""), 17, 0x0ac00012, NULL, 0, &out);
    assert_int_equal(out.n, 0);
    nr_buf_fini(&out);
}

/* ---- is it as it was written? ------------------------------------------------------------------------------- */

/* What `iptables -S` printed of an installation like the example, with the grants of two slots. */
static const char whole_filter[] =
    "-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-N DOCKER-USER\n-N NARAE-01234567-17\n-N NARAE-01234567-21\n"
    "-N NARAE-01234567-FW\n-N NARAE-01234567-GR\n-N NARAE-01234567-IN\n-N NARAE-01234567-NO\n"
    "-A INPUT -i nr-01234567 -j NARAE-01234567-IN\n"
    "-A FORWARD -o nr-01234567 -j NARAE-01234567-FW\n"
    "-A FORWARD -i nr-01234567 -j NARAE-01234567-FW\n"
    "-A DOCKER-USER -o nr-01234567 -j NARAE-01234567-FW\n"
    "-A DOCKER-USER -i nr-01234567 -j NARAE-01234567-FW\n"
    "-A NARAE-01234567-17 -d 10.0.0.5/32 -p tcp -m tcp --dport 502 -j ACCEPT\n"
    "-A NARAE-01234567-17 -d 192.168.1.0/24 -p udp -m udp --dport 161 -j ACCEPT\n"
    "-A NARAE-01234567-21 -d 10.0.0.6/32 -p tcp -m tcp --dport 80 -j ACCEPT\n"
    "-A NARAE-01234567-FW -o nr-01234567 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
    "-A NARAE-01234567-FW -o nr-01234567 -j DROP\n"
    "-A NARAE-01234567-FW ! -s 10.192.0.0/20 -j DROP\n"
    "-A NARAE-01234567-FW -d 10.255.255.53/32 -p udp -m udp --dport 53 -j ACCEPT\n"
    "-A NARAE-01234567-FW -d 10.255.255.53/32 -p tcp -m tcp --dport 53 -j ACCEPT\n"
    "-A NARAE-01234567-FW -j NARAE-01234567-GR\n"
    "-A NARAE-01234567-FW -d 0.0.0.0/8 -j NARAE-01234567-NO\n"
    "-A NARAE-01234567-FW -d 10.0.0.0/8 -j NARAE-01234567-NO\n"
    "-A NARAE-01234567-FW -d 100.64.0.0/10 -j NARAE-01234567-NO\n"
    "-A NARAE-01234567-FW -d 127.0.0.0/8 -j NARAE-01234567-NO\n"
    "-A NARAE-01234567-FW -d 169.254.0.0/16 -j NARAE-01234567-NO\n"
    "-A NARAE-01234567-FW -d 172.16.0.0/12 -j NARAE-01234567-NO\n"
    "-A NARAE-01234567-FW -d 192.0.0.0/24 -j NARAE-01234567-NO\n"
    "-A NARAE-01234567-FW -d 192.168.0.0/16 -j NARAE-01234567-NO\n"
    "-A NARAE-01234567-FW -d 198.18.0.0/15 -j NARAE-01234567-NO\n"
    "-A NARAE-01234567-FW -d 224.0.0.0/3 -j NARAE-01234567-NO\n"
    "-A NARAE-01234567-FW -j ACCEPT\n"
    "-A NARAE-01234567-GR -s 10.192.0.18/32 -j NARAE-01234567-17\n"
    "-A NARAE-01234567-GR -s 10.192.0.22/32 -j NARAE-01234567-21\n"
    "-A NARAE-01234567-IN -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
    "-A NARAE-01234567-IN -d 10.255.255.53/32 -p udp -m udp --dport 53 -j ACCEPT\n"
    "-A NARAE-01234567-IN -d 10.255.255.53/32 -p tcp -m tcp --dport 53 -j ACCEPT\n"
    "-A NARAE-01234567-IN -j NARAE-01234567-GR\n"
    "-A NARAE-01234567-IN -j NARAE-01234567-NO\n"
    "-A NARAE-01234567-NO -p tcp -j REJECT --reject-with tcp-reset\n"
    "-A NARAE-01234567-NO -j REJECT --reject-with icmp-admin-prohibited\n";
static const char whole_nat[] =
    "-N NARAE-01234567-NAT\n-A POSTROUTING -s 10.192.0.0/20 -j NARAE-01234567-NAT\n"
    "-A NARAE-01234567-NAT ! -o nr-01234567 -j MASQUERADE\n";
static const char whole_ipv6[] =
    "-N NARAE-01234567-V6\n-A INPUT -i nr-01234567 -j NARAE-01234567-V6\n"
    "-A FORWARD -i nr-01234567 -j NARAE-01234567-V6\n"
    "-A FORWARD -o nr-01234567 -j NARAE-01234567-V6\n-A NARAE-01234567-V6 -j DROP\n";

/* The text without the line at `line`, or with this one put in before it. */
static char *changed(const char *text, const char *line, const char *put_in)
{
    const char *behind = put_in ? line : strchr(line, '\n') + 1;
    struct nr_buf out;

    nr_buf_init(&out, FIREWALL_TEXT_MAX_BYTES);
    nr_buf_add(&out, text, (size_t)(line - text));
    nr_buf_printf(&out, "%s%s", put_in ? put_in : "", behind);
    char *all = nr_buf_detach(&out, NULL);

    nr_buf_fini(&out);
    return all;
}

static struct firewall with_two_slots(void)
{
    const struct firewall_target first[] = {{{0x0a000005, 32}, 502, false},
                                            {{0xc0a80100, 24}, 161, true}},
                                 second = {{0x0a000006, 32}, 80, false};
    struct firewall f = example;

    firewall_keep(&f, 17, 0x0ac00012, first, 2);
    firewall_keep(&f, 21, 0x0ac00016, &second, 1);
    return f;
}

static char *grants_text(const struct firewall *f, const char *have)
{
    struct nr_buf out;

    nr_buf_init(&out, FIREWALL_TEXT_MAX_BYTES);
    firewall_grants_text(f, nr_str_of(have), &out);
    char *text = nr_buf_detach(&out, NULL);

    nr_buf_fini(&out);
    return text;
}

/* As it was written? The rules for everybody and those of slots. */
static bool is_whole(const struct firewall *f, const char *filter, const char *nat,
                     const char *ipv6)
{
    nr_auto_free char *grants = grants_text(f, filter);

    return (grants == NULL || grants[0] == '\0') &&
           firewall_complete(f, nr_str_of(filter), nr_str_of(nat), nr_str_of(ipv6));
}

/* Whichever rule is taken away, and wherever one is put into a chain of ours, it is seen. */
static void every_changed_line_is_seen(void **state)
{
    static const char *const tables[] = {whole_filter, whole_nat, whole_ipv6};
    struct firewall f = with_two_slots();

    (void)state;
    assert_true(is_whole(&f, whole_filter, whole_nat, whole_ipv6));
    for (size_t t = 0; t < nr_countof(tables); t++)
        for (const char *line = tables[t]; *line; line = strchr(line, '\n') + 1) {
            const char *ours = strstr(line, "NARAE-01234567-");
            char extra[80];

            if (strncmp(line, "-A ", 3) != 0)
                continue;
            (void)snprintf(extra, sizeof(extra), "-A %.*s -j ACCEPT\n", (int)strcspn(line + 3, " "),
                           line + 3);
            for (int added = 0; added < (ours == line + 3 ? 2 : 1); added++) {
                nr_auto_free char *text = changed(tables[t], line, added ? extra : NULL);

                if (is_whole(&f, t == 0 ? text : whole_filter, t == 1 ? text : whole_nat,
                             t == 2 ? text : whole_ipv6))
                    fail_msg("not seen: %s", text);
            }
        }
    firewall_fini(&f);
}

/* Only what is missing is written: the chain of one slot, or the jumps to all. */
static void grants_are_put_back(void **state)
{
    static const char chain[] =
        "*filter\n:NARAE-01234567-17 - [0:0]\n"
        "-A NARAE-01234567-17 -d 10.0.0.5/32 -p tcp -m tcp --dport 502 -j ACCEPT\n"
        "-A NARAE-01234567-17 -d 192.168.1.0/24 -p udp -m udp --dport 161 -j ACCEPT\nCOMMIT\n";
    static const char jumps[] = "*filter\n:NARAE-01234567-GR - [0:0]\n"
                                "-A NARAE-01234567-GR -s 10.192.0.22/32 -j NARAE-01234567-21\n"
                                "-A NARAE-01234567-GR -s 10.192.0.18/32 -j NARAE-01234567-17\n"
                                "COMMIT\n";
    struct firewall f = with_two_slots();
    nr_auto_free char *no_rule =
        changed(whole_filter, strstr(whole_filter, "-A NARAE-01234567-17 -d 192"), NULL);
    nr_auto_free char *no_jump =
        changed(whole_filter, strstr(whole_filter, "-A NARAE-01234567-GR -s 10.192.0.18"), NULL);
    nr_auto_free char *chain_again = grants_text(&f, no_rule);
    nr_auto_free char *jumps_again = grants_text(&f, no_jump);

    (void)state;
    assert_string_equal(chain_again, chain);
    assert_string_equal(jumps_again, jumps);
    firewall_keep(&f, 17, 0, NULL,
                  0); /* its slot has been given back: the jump that is left is one too many */
    nr_auto_free char *one_left = grants_text(&f, whole_filter);

    in_order(one_left, ":NARAE-01234567-GR", "-j NARAE-01234567-21\n");
    assert_null(strstr(one_left, "-17"));
    firewall_fini(&f);
    assert_null(f.slots);
}

/* ---- texts that end anywhere -------------------------------------------------------------------------------- */

/* A page whose last byte is the last that may be read. */
static char *page_end(size_t *ret_bytes)
{
    size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
    char *p = mmap(NULL, 2 * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(p != MAP_FAILED);
    assert_int_equal(mprotect(p + bytes, bytes, PROT_NONE), 0);
    *ret_bytes = bytes;
    return p + bytes;
}

static void read_rules(struct nr_str have, struct nr_buf *out)
{
    const struct firewall_target one = {{0x0a000005, 32}, 502, false};
    uint32_t resolvers[RESOLVERS_MAX];
    struct subnet list[4], own;

    nr_buf_reset(out, SIZE_MAX);
    firewall_filter_text(&example, have, out);
    firewall_nat_text(&example, have, out);
    firewall_ipv6_text(&example, have, out);
    firewall_removal_text(&example, "filter", have, out);
    firewall_slot_text(&example, have, 17, 0x0ac00012, &one, 1, out);
    firewall_slot_text(&example, have, 17, 0x0ac00012, NULL, 0, out);
    firewall_forget_text(&example, have, out);
    firewall_grants_text(&example, have, out);
    assert_false(firewall_complete(&example, have, have, have));
    (void)firewall_resolvers(have, resolvers);
    (void)subnet_routes(have, example.bridge, list, 4, &own);
    assert_false(out->failed);
}

/* What iptables, /proc and resolv.conf print is no C string: nothing behind its last byte is read, wherever it was cut. */
static void nothing_is_read_behind_a_text(void **state)
{
    static const char *const texts[] = {
        "-P INPUT ACCEPT\n-N DOCKER-USER\n-N NARAE-01234567-GR\n-N NARAE-01234567-17\n"
        "-A INPUT -i nr-01234567 -j NARAE-01234567-IN\n"
        "-A POSTROUTING -s 10.192.0.0/20 -j NARAE-01234567-NAT\n"
        "-A NARAE-01234567-GR -s 10.192.0.18/32 -j NARAE-01234567-17\n-N",
        "nameserver 10.255.255.53\nnameserver\t192.0.2.7 \n",
        routes,
    };
    size_t page_bytes;
    struct nr_buf out;
    char *const end = page_end(&page_bytes);

    (void)state;
    nr_buf_init(&out, FIREWALL_TEXT_MAX_BYTES);
    for (size_t i = 0; i < nr_countof(texts); i++)
        for (size_t n = 0; n <= strlen(texts[i]); n++) {
            memcpy(end - n, texts[i], n);
            read_rules((struct nr_str){end - n, n}, &out);
        }
    nr_buf_fini(&out);
    assert_int_equal(munmap(end - page_bytes, 2 * page_bytes), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_are_read),
        cmocka_unit_test(a_free_subnet_is_chosen),
        cmocka_unit_test(overlaps),
        cmocka_unit_test(resolvers_that_can_be_reached),
        cmocka_unit_test(what_is_refused_comes_before_what_is_allowed),
        cmocka_unit_test(what_is_there_is_left),
        cmocka_unit_test(only_ours_is_removed),
        cmocka_unit_test(grants_are_forgotten),
        cmocka_unit_test(grants_of_a_slot),
        cmocka_unit_test(every_changed_line_is_seen),
        cmocka_unit_test(grants_are_put_back),
        cmocka_unit_test(nothing_is_read_behind_a_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
