/* Grants as texts and as shared structs. What comes in is an administrator's JSON and a tenant's annotations: both are judged member by
 * member, and whatever is refused is quoted.
 */
#include "ports/grants_parts.h"

#include <string.h>

#include "common/base/json.h"
#include "common/base/mem.h"

/* ---- holding ------------------------------------------------------------------------------------------------ */

struct grants *grants_ref(struct grants *g)
{
    if (g)
        atomic_fetch_add(&g->refs, 1);
    return g;
}

void grants_unref(struct grants *g)
{
    if (g == NULL || atomic_fetch_sub(&g->refs, 1) > 1)
        return;
    for (unsigned i = 0; i < g->egress_count; i++)
        free(g->egress[i].name);
    for (unsigned i = 0; i < g->volume_count; i++) {
        free(g->volumes[i].name);
        free(g->volumes[i].path);
    }
    for (unsigned i = 0; i < g->device_count; i++)
        free(g->devices[i]);
    free(g->egress);
    free(g->volumes);
    free(g->devices);
    free(g);
}

struct grants *grants_make(void)
{
    struct grants *g = nr_alloc(sizeof(*g));

    g->refs = 1;
    g->egress = nr_alloc(GRANTS_EGRESS_MAX * sizeof(*g->egress));
    g->volumes = nr_alloc(GRANTS_VOLUMES_MAX * sizeof(*g->volumes));
    g->devices = nr_alloc(GRANTS_DEVICES_MAX * sizeof(*g->devices));
    return g;
}

/* ---- one grant ---------------------------------------------------------------------------------------------- */

bool grants_good_name(const char *s)
{
    size_t n = s ? strlen(s) : 0;

    return n > 0 && n <= GRANT_NAME_MAX_BYTES &&
           strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == n && s[0] != '-' && s[0] != '_';
}

static bool good_host(struct nr_str s)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
    bool word = false;

    if (s.n == 0 || s.n > GRANT_HOST_MAX_BYTES || s.p[0] == '-' || s.p[0] == '.')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (memchr(letters, s.p[i], sizeof(letters) - 1) == NULL ||
            (s.p[i] == '.' && i > 0 && s.p[i - 1] == '.'))
            return false;
        word = word || s.p[i] > '9' || s.p[i] == '-';
    }
    return word; /* digits and dots only: a broken address */
}

bool grants_read_address(struct nr_str text, uint32_t *ret_address, uint8_t *ret_prefix)
{
    struct nr_str host, part, rest = text;
    uint32_t address = 0;
    int64_t number, prefix = 32;
    int parts = 0;

    if (!nr_str_split(&rest, '/', &host) || (rest.p && !nr_str_to_i64(rest, 0, 32, &prefix)))
        return false;
    while (nr_str_split(&host, '.', &part)) {
        if (part.n == 0 || part.n > 3 || (part.n > 1 && part.p[0] == '0') ||
            !nr_str_to_i64(part, 0, 255, &number))
            return false;
        address = address << 8 | (uint32_t)number;
        parts++;
    }
    uint32_t behind = prefix == 0 ? ~(uint32_t)0 : prefix == 32 ? 0 : ~(uint32_t)0 >> prefix;

    if (parts != 4 || (address & behind) != 0)
        return false;
    *ret_address = address;
    *ret_prefix = (uint8_t)prefix;
    return true;
}

static bool never(uint32_t address)
{
    return address >> 24 == 0 || address >> 24 == 127 || address >> 28 >= 14;
}

/* The last `c`, so that a name or an address may stand before it. */
static bool split_last(struct nr_str *s, char c, struct nr_str *ret_tail)
{
    const char *at = s->n ? memrchr(s->p, c, s->n) : NULL;

    if (at == NULL)
        return false;
    *ret_tail = (struct nr_str){at + 1, s->n - (size_t)(at + 1 - s->p)};
    s->n = (size_t)(at - s->p);
    return true;
}

int grants_read_egress(const char *text, struct grant_egress *ret, struct nr_err *err)
{
    struct nr_str host = nr_str_of(text), port, protocol;
    struct grant_egress g = {0};
    int64_t number;

    if (!split_last(&host, '/', &protocol) || !split_last(&host, ':', &port) ||
        !(nr_str_eqz(protocol, "tcp") || nr_str_eqz(protocol, "udp")) ||
        !nr_str_to_i64(port, 1, 65535, &number))
        return nr_err_set(err, NR_EINVAL,
                          "egress grant '%.*s' is not host:port/tcp or host:port/udp", 300, text);
    g.port = (uint16_t)number;
    g.udp = nr_str_eqz(protocol, "udp");
    if (!grants_read_address(host, &g.address, &g.prefix)) {
        if (!good_host(host))
            return nr_err_set(
                err, NR_EINVAL,
                "egress grant '%.*s': the host is no IPv4 address, no network and no name", 300,
                text);
        g.name = nr_strndup(host.p, host.n);
    } else if (g.prefix < GRANT_EGRESS_PREFIX_MIN || never(g.address)) {
        return nr_err_set(
            err, NR_EINVAL,
            "egress grant '%.*s': wider than /%d, or an address that no function may reach", 300,
            text, GRANT_EGRESS_PREFIX_MIN);
    }
    *ret = g;
    return 0;
}

/* ---- what an account has ------------------------------------------------------------------------------------ */

static int read_egress(const json_t *list, struct grants *g, struct nr_err *err)
{
    size_t i;
    json_t *each;

    if (list && (!json_is_array(list) || json_array_size(list) > GRANTS_EGRESS_MAX))
        return nr_err_set(err, NR_EINVAL, "'egress' must be an array of at most %d texts",
                          GRANTS_EGRESS_MAX);
    json_array_foreach(list, i, each) {
        const char *text = json_string_value(each);

        if (text == NULL || strlen(text) != json_string_length(each))
            return nr_err_set(err, NR_EINVAL, "'egress' must be an array of texts");
        if (grants_read_egress(text, &g->egress[g->egress_count], err) < 0)
            return NR_EINVAL;
        g->egress_count++;
    }
    return 0;
}

static int read_volumes(const json_t *list, struct grants *g, struct nr_err *err)
{
    size_t i;
    json_t *each;

    if (list && (!json_is_array(list) || json_array_size(list) > GRANTS_VOLUMES_MAX))
        return nr_err_set(err, NR_EINVAL, "'volumes' must be an array of at most %d objects",
                          GRANTS_VOLUMES_MAX);
    json_array_foreach(list, i, each) {
        const char *name = nr_json_string(each, "name");
        const json_t *quota = json_object_get(each, "quota_mb");
        int64_t mb = json_is_integer(quota) ? json_integer_value(quota) : 0;

        if (!grants_good_name(name) || mb < 1 || mb > GRANT_VOLUME_MAX_MB ||
            json_object_size(each) != 2)
            return nr_err_set(err, NR_EINVAL,
                              "a volume is {\"name\":\"a-z, 0-9, - and _\",\"quota_mb\":1 to %d}",
                              GRANT_VOLUME_MAX_MB);
        for (unsigned k = 0; k < g->volume_count; k++)
            if (strcmp(g->volumes[k].name, name) == 0)
                return nr_err_set(err, NR_EINVAL, "volume '%s' is named twice", name);
        g->volumes[g->volume_count++] =
            (struct grant_volume){.name = nr_strdup(name), .quota_mb = mb};
    }
    return 0;
}

static bool in_list(const char *const *list, const char *name)
{
    for (; list && *list; list++)
        if (strcmp(*list, name) == 0)
            return true;
    return false;
}

static bool offered(const struct grant_device *list, const char *name)
{
    for (; list && list->name; list++)
        if (strcmp(list->name, name) == 0)
            return true;
    return false;
}

static int read_devices(const json_t *list, const struct grant_device *known, bool lenient,
                        struct grants *g, struct nr_err *err)
{
    size_t i;
    json_t *each;

    if (list && (!json_is_array(list) || json_array_size(list) > GRANTS_DEVICES_MAX))
        return nr_err_set(err, NR_EINVAL, "'devices' must be an array of at most %d names",
                          GRANTS_DEVICES_MAX);
    json_array_foreach(list, i, each) {
        const char *name = json_string_value(each);

        if (lenient && name && !offered(known, name))
            continue;
        if (!grants_good_name(name) || !offered(known, name))
            return nr_err_set(
                err, NR_EINVAL,
                "device '%.*s' is not in this naraed's list (--device NAME=PATH at its start)",
                GRANT_NAME_MAX_BYTES, name ? name : "");
        g->devices[g->device_count++] = nr_strdup(name);
    }
    return 0;
}

static int read_all(const json_t *o, const struct grant_device *devices, bool lenient,
                    struct grants **ret, struct nr_err *err)
{
    static const char *const members[] = {"egress", "volumes", "devices", NULL};
    const char *key;
    json_t *value;

    if (!json_is_object(o))
        return nr_err_set(err, NR_EINVAL, "grants must be a JSON object");
    json_object_foreach((json_t *)(uintptr_t)o, key, value)
        if (!in_list(members, key))
            return nr_err_set(err, NR_EINVAL,
                              "grants have the members egress, volumes and devices, not '%.*s'", 64,
                              key);
    struct grants *g = grants_make();
    int r = read_egress(json_object_get(o, "egress"), g, err);

    if (r == 0)
        r = read_volumes(json_object_get(o, "volumes"), g, err);
    if (r == 0)
        r = read_devices(json_object_get(o, "devices"), devices, lenient, g, err);
    if (r < 0)
        grants_unref(g);
    else
        *ret = g;
    return r;
}

int grants_read(const json_t *o, const struct grant_device *devices, struct grants **ret,
                struct nr_err *err)
{
    return read_all(o, devices, false, ret, err);
}

int grants_stored(const json_t *o, const struct grant_device *devices, struct grants **ret,
                  struct nr_err *err)
{
    return read_all(o, devices, true, ret, err);
}

/* ---- what this naraed offers -------------------------------------------------------------------------------- */

static bool good_device_path(struct nr_str s)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:";

    if (!nr_str_starts(s, "/dev/") || s.n > GRANT_PATH_MAX_BYTES ||
        memmem(s.p, s.n, "..", 2) != NULL)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (memchr(letters, s.p[i], sizeof(letters) - 1) == NULL)
            return false;
    return true;
}

int grants_read_devices(const char *text, struct grant_device **ret, struct nr_err *err)
{
    struct grant_device *list = nr_alloc((GRANTS_DEVICES_MAX + 1) * sizeof(*list));
    struct nr_str rest = nr_str_of(text), part, name;
    size_t n = 0;

    while (text && text[0] && nr_str_split(&rest, ',', &part)) {
        struct nr_str path = part;
        nr_auto_free char *key =
            nr_str_split(&path, '=', &name) ? nr_strndup(name.p, name.n) : NULL;

        if (n == GRANTS_DEVICES_MAX || !grants_good_name(key) || path.p == NULL ||
            !good_device_path(path)) {
            grants_devices_free(list);
            return nr_err_set(err, NR_EINVAL,
                              "'%.*s' is not NAME=/dev/PATH, or there are more than %d devices",
                              (int)(part.n < 100 ? part.n : 100), part.p, GRANTS_DEVICES_MAX);
        }
        list[n++] = (struct grant_device){nr_steal(&key), nr_strndup(path.p, path.n)};
    }
    *ret = list;
    return 0;
}

void grants_devices_free(struct grant_device *list)
{
    for (struct grant_device *d = list; d && d->name; d++) {
        free(d->name);
        free(d->path);
    }
    free(list);
}

static json_t *egress_json(const struct grant_egress *e)
{
    char text[GRANT_HOST_MAX_BYTES + 16], prefix[8] = "";

    if (e->prefix < 32)
        (void)snprintf(prefix, sizeof(prefix), "/%u", (unsigned)e->prefix);
    if (e->name)
        (void)snprintf(text, sizeof(text), "%s:%u/%s", e->name, (unsigned)e->port,
                       e->udp ? "udp" : "tcp");
    else
        (void)snprintf(text, sizeof(text), "%u.%u.%u.%u%s:%u/%s", e->address >> 24,
                       e->address >> 16 & 0xff, e->address >> 8 & 0xff, e->address & 0xff, prefix,
                       (unsigned)e->port, e->udp ? "udp" : "tcp");
    return json_string(text);
}

json_t *grants_json(const struct grants *g)
{
    json_t *egress = json_array(), *volumes = json_array(), *devices = json_array();

    for (unsigned i = 0; g && i < g->egress_count; i++)
        (void)json_array_append_new(egress, egress_json(&g->egress[i]));
    for (unsigned i = 0; g && i < g->volume_count; i++)
        (void)json_array_append_new(volumes,
                                    json_pack("{s:s, s:I}", "name", g->volumes[i].name, "quota_mb",
                                              (json_int_t)g->volumes[i].quota_mb));
    for (unsigned i = 0; g && i < g->device_count; i++)
        (void)json_array_append_new(devices, json_string(g->devices[i]));
    return json_pack("{s:o, s:o, s:o}", "egress", egress, "volumes", volumes, "devices", devices);
}

static bool same_egress(const struct grant_egress *a, const struct grant_egress *b)
{
    bool same_name = a->name && b->name ? strcmp(a->name, b->name) == 0 : a->name == b->name;

    return same_name && a->address == b->address && a->prefix == b->prefix && a->port == b->port &&
           a->udp == b->udp;
}

bool grants_same_egress(const struct grants *a, const struct grants *b)
{
    unsigned n = a ? a->egress_count : 0;

    if (n != (b ? b->egress_count : 0))
        return false;
    for (unsigned i = 0; i < n; i++)
        if (!same_egress(&a->egress[i], &b->egress[i]))
            return false;
    return true;
}
