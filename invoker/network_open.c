/* Making the network at start, finding again what an earlier run left, and removing it where nobody wants it. Blocking.
 *
 * In this order: what the host must have, a subnet, the resolvers' file, the rules, the bridge, the slots of an earlier run, and when
 * there are none a first one, which shows that all of it works. What fails leaves nothing behind.
 */
#include <net/if.h>
#include <stdio.h>

#include "common/base/file.h"
#include "common/base/json.h"
#include "invoker/network_slot.h"
#include "invoker/start.h"

enum { ROUTES_MAX = 1024, FILE_MAX_BYTES = 1 << 20, TAG_BYTES = 8, NAME_BYTES = 8 };

bool network_is_slot(const json_t *labels)
{
    const char *kind = nr_json_string(labels, "narae.kind");

    return kind && strcmp(kind, "slot") == 0;
}

/* ---- what the host has ----------------------------------------------------------------------------------------- */

static int need_forwarding(struct nr_err *err)
{
    nr_auto_free char *text = NULL;
    size_t n = 0;
    int r = nr_file_read("/proc/sys/net/ipv4/ip_forward", 16, &text, &n, err);

    return r < 0 || text[0] == '1'
               ? r
               : nr_err_set(err, NR_EUNAVAIL,
                            "this host forwards no packets (sysctl net.ipv4.ip_forward=1)");
}

/* The host's resolvers; those of systemd-resolved's own file when the first one names only its local stub. */
static void find_resolvers(struct firewall *f)
{
    static const char *const files[] = {"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"};

    for (size_t i = 0; i < nr_countof(files) && f->resolver_count == 0; i++) {
        nr_auto_free char *text = NULL;
        size_t n = 0;

        if (nr_file_read(files[i], FILE_MAX_BYTES, &text, &n, NULL) == 0)
            f->resolver_count = firewall_resolvers((struct nr_str){text, n}, f->resolvers);
    }
}

/* No search domain of the host's, and nothing else of its file. */
static int write_resolvers(struct network *n, struct nr_err *err)
{
    char text[256] = "", address[SUBNET_TEXT_BYTES];
    size_t at = 0;

    for (unsigned i = 0; i < n->firewall.resolver_count; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "nameserver %s\n",
                               subnet_text((struct subnet){n->firewall.resolvers[i], 32}, address));
    (void)snprintf(text + at, sizeof(text) - at, "options timeout:2 attempts:2\n");
    return nr_file_write(n->v->run_dir, "resolv.conf", nr_str_of(text), 0644, err);
}

/* The bridge's own one when it is still there. */
static int find_subnet(struct firewall *f, struct nr_err *err)
{
    struct subnet taken[ROUTES_MAX + RESOLVERS_MAX], own;
    nr_auto_free char *text = NULL;
    size_t n = 0;
    int r = nr_file_read("/proc/net/route", FILE_MAX_BYTES, &text, &n, err);

    if (r < 0)
        return r;
    n = subnet_routes((struct nr_str){text, n}, f->bridge, taken, ROUTES_MAX, &own);
    for (unsigned i = 0; i < f->resolver_count; i++)
        taken[n++] = (struct subnet){f->resolvers[i], 32};
    if (own.prefix == SUBNET_PREFIX) {
        f->subnet = own;
        return 0;
    }
    return subnet_choose((uint32_t)strtoul(f->tag, NULL, 16), taken, n, &f->subnet)
               ? 0
               : nr_err_set(err, NR_EUNAVAIL, "no free subnet in 10.192.0.0/10");
}

/* ---- slots of an earlier run ----------------------------------------------------------------------------------- */

/* Our name in "/narae-<8>-<8 hex>", or NULL. */
static const char *name_in(const json_t *container)
{
    const char *full = json_string_value(json_array_get(json_object_get(container, "Names"), 0));
    const char *dash = full ? strrchr(full, '-') : NULL;

    return dash && strlen(dash + 1) == NAME_BYTES ? dash + 1 : NULL;
}

static void find_one(struct network *n, const json_t *each)
{
    const char *id = nr_json_string(each, "Id"), *name = name_in(each);
    const char *number = nr_json_string(json_object_get(each, "Labels"), "narae.slot");
    int64_t index = 0;
    pid_t pid;

    if (id == NULL || strlen(id) != 64 || name == NULL)
        return;
    bool known = number && nr_str_to_i64(nr_str_of(number), 1, 4000, &index);
    struct net_slot *s = network_add_slot(n, NET_FOUND, known ? (unsigned)index : 0);

    (void)snprintf(s->id, sizeof(s->id), "%s", id);
    (void)snprintf(s->name, sizeof(s->name), "%s", name);
    (void)snprintf(s->mode, sizeof(s->mode), "container:%s", id);
    s->granted = true;
    if (!known || slot_open_pid(engine_own_worker(n->v->engine), s, &pid, NULL) < 0)
        network_remove_slot(s);
    else
        network_watch(s);
}

static void find_slots(struct network *n, const json_t *list)
{
    size_t i;
    json_t *each;

    json_array_foreach(list, i, each)
        find_one(n, each);
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

static struct network *network_make(struct invoker *v, unsigned ahead)
{
    struct network *n = nr_alloc(sizeof(*n));
    size_t bytes = strlen(v->run_dir) + sizeof("/resolv.conf");

    n->v = v;
    n->ahead = n->ahead_min = ahead ? ahead : NET_AHEAD_MIN;
    n->installation = nr_strdup(v->installation);
    n->resolv_path = nr_alloc(bytes);
    (void)snprintf(n->resolv_path, bytes, "%s/resolv.conf", v->run_dir);
    (void)snprintf(n->firewall.tag, sizeof(n->firewall.tag), "%.*s", TAG_BYTES, v->installation);
    (void)snprintf(n->firewall.bridge, sizeof(n->firewall.bridge), "nr-%s", n->firewall.tag);
    nr_list_init(&n->slots);
    nr_list_init(&n->waiting);
    nr_check(pthread_mutex_init(&n->firewall_lock, NULL) == 0);
    return n;
}

static int make_first(struct network *n, struct nr_err *err)
{
    struct engine_worker *w = engine_own_worker(n->v->engine);

    n->image = slot_find_image(w);
    if (n->image == NULL) /* the first slot is made once there is one */
        return 0;
    struct net_slot *s = network_add_slot(n, NET_MAKING, 0);
    int r = slot_make(w, s, err);

    if (r < 0) {
        struct nr_err ignored = {0};

        (void)slot_remove(w, s, &ignored);
        return r;
    }
    network_made_slot(s);
    return 0;
}

/* Rules of an earlier run stay when there are slots of it, for their grants are among them. */
static int build(struct network *n, struct nr_err *err)
{
    struct firewall *f = &n->firewall;
    int r = need_forwarding(err);
    nr_auto_json json_t *list =
        r == 0 ? slot_list(engine_own_worker(n->v->engine), n->installation, err) : NULL;

    if (list == NULL)
        return nr_err_set(err, NR_EUNAVAIL, "the Engine's containers could not be listed");
    n->stale = json_array_size(list) > 0;
    find_resolvers(f);
    r = find_subnet(f, err);
    if (r == 0)
        r = write_resolvers(n, err);
    if (r == 0 && !n->stale)
        r = firewall_remove(f, err);
    if (r == 0)
        r = firewall_install(f, true, err);
    if (r == 0)
        r = network_link_bridge(f->bridge, f->subnet, err);
    if (r == 0)
        find_slots(n, list);
    return r == 0 && !n->stale ? make_first(n, err) : r;
}

int network_open(struct invoker *v, unsigned ahead, struct network **ret, struct nr_err *err)
{
    struct network *n = network_make(v, ahead);
    int r = build(n, err);

    if (r < 0) {
        (void)firewall_remove(&n->firewall, NULL);
        (void)network_link_remove(n->firewall.bridge, NULL);
        network_free(n);
        return r;
    }
    network_begin(n);
    *ret = n;
    return 0;
}

void network_sweep(struct invoker *v)
{
    struct network *n = network_make(v, 0);
    struct engine_worker *w = engine_own_worker(v->engine);
    nr_auto_json json_t *list = slot_list(w, v->installation, NULL);
    struct nr_err err = {0};
    size_t i;
    json_t *each;

    json_array_foreach(list, i, each) {
        const char *id = nr_json_string(each, "Id"), *name = name_in(each);

        if (id && name)
            remove_orphan(v, id, name);
    }
    if (if_nametoindex(n->firewall.bridge) != 0) {
        (void)firewall_remove(&n->firewall, &err);
        (void)network_link_remove(n->firewall.bridge, &err);
    }
    if (err.code != 0)
        nr_log(v->log, NR_LOG_WARN, "invoker", "the network of an earlier run is not all gone: %s",
               err.text);
    network_free(n);
}
