/* Running the programs: iptables -S tells what is there, iptables-restore changes it in one transaction. Both come through posix_spawn
 * with a fixed path, fixed arguments and an environment of two lines; their input and output are files in memory.
 *
 * The programs take the host's lock (-w) themselves; in this process one change is made at a time, by who calls.
 */
#include "invoker/firewall.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "ports/grants.h"

enum { OUTPUT_MAX_BYTES = 4 << 20, PATH_BYTES = 64, LINK_LOCAL = 169 << 8 | 254 };
/* NAMES_MS: for all names of a slot together; the one that is being asked for then is still waited for. */
enum { NAME_SERVER_S = 1, NAMES_MS = 3000 };

/* ---- programs ----------------------------------------------------------------------------------------------- */

static bool find_program(const char *name, char path[PATH_BYTES])
{
    static const char *const folders[] = {"/usr/sbin", "/sbin", "/usr/bin", "/usr/local/sbin"};

    for (size_t i = 0; i < nr_countof(folders); i++) {
        (void)snprintf(path, PATH_BYTES, "%s/%s", folders[i], name);
        if (access(path, X_OK) == 0)
            return true;
    }
    return false;
}

static int memory_file(struct nr_str text)
{
    int fd = memfd_create("iptables", MFD_CLOEXEC);
    size_t at = 0;

    while (fd >= 0 && at < text.n) {
        ssize_t n = write(fd, text.p + at, text.n - at);

        if (n <= 0) {
            (void)close(fd);
            return -1;
        }
        at += (size_t)n;
    }
    if (fd >= 0)
        (void)lseek(fd, 0, SEEK_SET);
    return fd;
}

static void read_back(int fd, struct nr_buf *out)
{
    off_t size = lseek(fd, 0, SEEK_END), at = 0;

    while (at < size) {
        char *p = nr_buf_room(out, (size_t)(size - at));
        ssize_t n = p ? pread(fd, p, (size_t)(size - at), at) : -1;

        if (n <= 0)
            return;
        nr_buf_took(out, (size_t)n);
        at += n;
    }
}

static int spawn_and_wait(const char *path, const char *const *argv, const int fds[3])
{
    char path_line[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", locale[] = "LC_ALL=C";
    char *const env[] = {path_line, locale, NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status = -1;

    if (posix_spawn_file_actions_init(&actions) != 0)
        return -1;
    for (int i = 0; i < 3; i++)
        (void)posix_spawn_file_actions_adddup2(&actions, fds[i], i);
    if (posix_spawn(&pid, path, &actions, NULL, (char *const *)(uintptr_t)argv, env) == 0)
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            continue;
    (void)posix_spawn_file_actions_destroy(&actions);
    return status;
}

/* argv[0] is the program's name. Its output goes behind `out`, all of it or the call fails; when the program fails its first words go to
 * err. */
static int run(const char *const *argv, struct nr_str input, struct nr_buf *out, struct nr_err *err)
{
    char path[PATH_BYTES];
    struct nr_buf words;

    if (!find_program(argv[0], path))
        return nr_err_set(err, NR_EUNAVAIL, "there is no %s on this host", argv[0]);
    nr_auto_close int in = memory_file(input);
    nr_auto_close int to = memory_file((struct nr_str){NULL, 0});
    nr_auto_close int errors = memory_file((struct nr_str){NULL, 0});

    if (in < 0 || to < 0 || errors < 0)
        return nr_err_set(err, NR_EUNAVAIL, "%s: %s", argv[0], strerror(errno));
    int status = spawn_and_wait(path, argv, (int[3]){in, to, errors});

    nr_buf_init(&words, OUTPUT_MAX_BYTES);
    read_back(errors, &words);
    if (out)
        read_back(to, out);
    for (size_t i = 0; i < words.n; i++)
        if (words.p[i] == '\n')
            words.p[i] = ' ';
    int r = status == 0 ? 0
                        : nr_err_set(err, NR_EUNAVAIL, "%s failed: %.*s", argv[0],
                                     (int)(words.n < 200 ? words.n : 200), words.n ? words.p : "");
    nr_buf_fini(&words);
    if (r == 0 && out && out->failed)
        r = nr_err_set(err, NR_ETOOBIG, "%s printed more than %d bytes", argv[0], OUTPUT_MAX_BYTES);
    return r;
}

static int list(const char *program, const char *table, struct nr_buf *out, struct nr_err *err)
{
    const char *const argv[] = {program, "-w", "10", "-t", table, "-S", NULL};

    return run(argv, (struct nr_str){NULL, 0}, out, err);
}

static int restore(const char *program, const struct nr_buf *text, struct nr_err *err)
{
    const char *const argv[] = {program, "-w", "10", "--noflush", NULL};

    if (text->failed)
        return nr_err_set(err, NR_ETOOBIG, "the firewall's rules are longer than allowed");
    return text->n == 0 ? 0 : run(argv, nr_buf_str(text), NULL, err);
}

/* ---- installing and removing -------------------------------------------------------------------------------- */

/* What is there: filter, nat, IPv6's filter. */
struct tables {
    struct nr_buf filter, nat, ipv6, text;
};

static void tables_init(struct tables *t)
{
    nr_buf_init(&t->filter, OUTPUT_MAX_BYTES);
    nr_buf_init(&t->nat, OUTPUT_MAX_BYTES);
    nr_buf_init(&t->ipv6, OUTPUT_MAX_BYTES);
    nr_buf_init(&t->text, OUTPUT_MAX_BYTES);
}

static void tables_fini(struct tables *t)
{
    nr_buf_fini(&t->filter);
    nr_buf_fini(&t->nat);
    nr_buf_fini(&t->ipv6);
    nr_buf_fini(&t->text);
}

static int tables_read(struct tables *t, bool ipv6, struct nr_err *err)
{
    int r = list("iptables", "filter", &t->filter, err);

    if (r == 0)
        r = list("iptables", "nat", &t->nat, err);
    return r == 0 && ipv6 ? list("ip6tables", "filter", &t->ipv6, err) : r;
}

/* The bridge has no IPv6 of its own (network_link.c); where ip6tables works its rules stand behind that. */
static bool ipv6_works(void)
{
    struct nr_buf out;

    nr_buf_init(&out, OUTPUT_MAX_BYTES);
    bool works =
        access("/proc/net/if_inet6", F_OK) == 0 && list("ip6tables", "filter", &out, NULL) == 0;

    nr_buf_fini(&out);
    return works;
}

static int install(const struct firewall *f, struct tables *t, struct nr_err *err)
{
    firewall_filter_text(f, nr_buf_str(&t->filter), &t->text);
    int r = restore("iptables-restore", &t->text, err);

    nr_buf_reset(&t->text, SIZE_MAX);
    firewall_nat_text(f, nr_buf_str(&t->nat), &t->text);
    if (r == 0)
        r = restore("iptables-restore", &t->text, err);
    nr_buf_reset(&t->text, SIZE_MAX);
    firewall_ipv6_text(f, nr_buf_str(&t->ipv6), &t->text);
    return r == 0 && f->ipv6 ? restore("ip6tables-restore", &t->text, err) : r;
}

int firewall_install(struct firewall *f, bool renew, struct nr_err *err)
{
    struct tables t;

    tables_init(&t);
    if (renew)
        f->ipv6 = ipv6_works();
    int r = tables_read(&t, f->ipv6, err);
    bool changed =
        r == 0 && !renew &&
        !firewall_complete(f, nr_buf_str(&t.filter), nr_buf_str(&t.nat), nr_buf_str(&t.ipv6));

    if (r == 0 && (renew || changed))
        r = install(f, &t, err);
    nr_buf_reset(&t.text, SIZE_MAX);
    firewall_grants_text(f, nr_buf_str(&t.filter), &t.text);
    changed = changed || t.text.n > 0;
    if (r == 0)
        r = restore("iptables-restore", &t.text, err);
    tables_fini(&t);
    return r == 0 && !renew ? changed : r;
}

int firewall_remove(const struct firewall *f, struct nr_err *err)
{
    struct tables t;
    bool ipv6 = ipv6_works();

    tables_init(&t);
    int r = tables_read(&t, ipv6, err);

    firewall_removal_text(f, "nat", nr_buf_str(&t.nat), &t.text);
    if (r == 0)
        r = restore("iptables-restore", &t.text, err);
    nr_buf_reset(&t.text, SIZE_MAX);
    firewall_removal_text(f, "filter", nr_buf_str(&t.filter), &t.text);
    if (r == 0)
        r = restore("iptables-restore", &t.text, err);
    nr_buf_reset(&t.text, SIZE_MAX);
    firewall_removal_text(f, "filter", nr_buf_str(&t.ipv6), &t.text);
    if (r == 0 && ipv6)
        r = restore("ip6tables-restore", &t.text, err);
    tables_fini(&t);
    return r;
}

/* ---- grants ------------------------------------------------------------------------------------------------- */

/* A name may lead anywhere but to the host: its loopback, our bridge, what it tells about itself on link-local addresses (a cloud's keys);
 * nor to many at once. Whoever answers for the name decides that, not who has given the grant. */
static bool may_be_named(const struct firewall *f, uint32_t address)
{
    return address >> 24 != 0 && address >> 24 != 127 && address >> 16 != LINK_LOCAL &&
           address >> 28 < 14 && !subnet_has(f->subnet, address);
}

/* A name that does not resolve now lets nothing through for the life of the container: it is asked for once. */
static size_t resolve(const struct firewall *f, const struct grant_egress *g,
                      struct firewall_target *ret, size_t max)
{
    const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    size_t n = 0;

    if (getaddrinfo(g->name, NULL, &hints, &list) != 0)
        return 0;
    for (const struct addrinfo *a = list; a && n < max; a = a->ai_next) {
        uint32_t address =
            ntohl(((const struct sockaddr_in *)(const void *)a->ai_addr)->sin_addr.s_addr);

        if (may_be_named(f, address))
            ret[n++] = (struct firewall_target){{address, 32}, g->port, g->udp};
    }
    freeaddrinfo(list);
    return n;
}

/* Of this thread: a server that is silent would hold it for ten seconds and more. */
static void be_quick(void)
{
    if (res_init() != 0)
        return;
    _res.retrans = NAME_SERVER_S;
    _res.retry = 1;
}

size_t firewall_targets(const struct firewall *f, const struct grants *g,
                        struct firewall_target ret[FIREWALL_ADDRESSES_MAX])
{
    enum { max = FIREWALL_ADDRESSES_MAX };
    uint64_t until_ms = nr_mono_ms() + NAMES_MS;
    size_t n = 0;

    be_quick();
    for (unsigned i = 0; g && i < g->egress_count && n < max; i++) {
        const struct grant_egress *e = &g->egress[i];

        if (e->name && nr_mono_ms() < until_ms)
            n += resolve(f, e, ret + n, max - n);
        else if (e->name == NULL)
            ret[n++] = (struct firewall_target){{e->address, e->prefix}, e->port, e->udp};
    }
    return n;
}

bool firewall_there(const struct firewall *f)
{
    struct nr_buf have;

    nr_buf_init(&have, OUTPUT_MAX_BYTES);
    bool there = list("iptables", "filter", &have, NULL) == 0 && have.n > 0 &&
                 memmem(have.p, have.n, f->tag, strlen(f->tag)) != NULL;

    nr_buf_fini(&have);
    return there;
}

int firewall_forget_grants(const struct firewall *f, struct nr_err *err)
{
    struct nr_buf have, text;

    nr_buf_init(&have, OUTPUT_MAX_BYTES);
    nr_buf_init(&text, FIREWALL_TEXT_MAX_BYTES);
    int r = list("iptables", "filter", &have, err);

    if (r == 0)
        firewall_forget_text(f, nr_buf_str(&have), &text);
    if (r == 0)
        r = restore("iptables-restore", &text, err);
    nr_buf_fini(&have);
    nr_buf_fini(&text);
    return r;
}

int firewall_grant(struct firewall *f, unsigned slot, uint32_t address,
                   const struct firewall_target *targets, size_t n, struct nr_err *err)
{
    struct nr_buf have, text;

    nr_buf_init(&have, OUTPUT_MAX_BYTES);
    nr_buf_init(&text, FIREWALL_TEXT_MAX_BYTES);
    int r = list("iptables", "filter", &have, err);

    if (r == 0)
        firewall_slot_text(f, nr_buf_str(&have), slot, address, targets, n, &text);
    if (n == 0)
        firewall_keep(f, slot, address, NULL, 0);
    if (r == 0)
        r = restore("iptables-restore", &text, err);
    if (r == 0 && n > 0)
        firewall_keep(f, slot, address, targets, n);
    nr_buf_fini(&have);
    nr_buf_fini(&text);
    return r;
}
