/* Grants from an administrator's JSON, what a tenant's annotations ask of them, and the option that offers devices, on any bytes.
 *
 * What must hold: a refusal has a sentence; what is accepted is within its ceilings, names no path of ours and reads back as itself; a
 * function gets nothing that its account has not.
 * The text is `[grants, annotations]`; or, when it is not JSON, an egress grant and a list of devices.
 */
#include "fuzz.h"

#include <string.h>

#include "common/base/json.h"
#include "common/base/mem.h"
#include "ports/grants.h"

static const struct grant_device offered[] = {
    {(char[]){"gpio"}, (char[]){"/dev/gpiochip0"}},
    {(char[]){"meter"}, (char[]){"/dev/ttyUSB0"}},
    {0},
};

static void check_egress(const struct grant_egress *e)
{
    nr_check(e->port > 0);
    if (e->name) {
        nr_check(e->name[0] != '-' && strlen(e->name) <= GRANT_HOST_MAX_BYTES);
        nr_check(strpbrk(e->name, " \t\n;$/:'\"") == NULL);
        return;
    }
    nr_check(e->prefix >= GRANT_EGRESS_PREFIX_MIN && e->prefix <= 32);
    nr_check(e->address >> 24 != 127 && e->address >> 24 != 0 && e->address >> 28 < 14);
}

static void check(const struct grants *g)
{
    nr_check(g->egress_count <= GRANTS_EGRESS_MAX && g->volume_count <= GRANTS_VOLUMES_MAX &&
             g->device_count <= GRANTS_DEVICES_MAX);
    for (unsigned i = 0; i < g->egress_count; i++)
        check_egress(&g->egress[i]);
    for (unsigned i = 0; i < g->volume_count; i++) {
        const struct grant_volume *v = &g->volumes[i];

        nr_check(v->quota_mb >= 1 && v->quota_mb <= GRANT_VOLUME_MAX_MB);
        nr_check(v->name[0] && strpbrk(v->name, "/. ") == NULL);
        nr_check(v->path == NULL || (v->path[0] == '/' && strstr(v->path, "..") == NULL));
    }
    for (unsigned i = 0; i < g->device_count; i++)
        nr_check(strcmp(g->devices[i], "gpio") == 0 || strcmp(g->devices[i], "meter") == 0);
}

static void check_reads_back(const struct grants *g)
{
    nr_auto_json json_t *o = grants_json(g);
    struct grants *again = NULL, *stored = NULL;

    nr_check(o && grants_read(o, offered, &again, NULL) == 0);
    nr_check(grants_stored(o, NULL, &stored, NULL) == 0 && stored->device_count == 0);
    nr_auto_json json_t *same = grants_json(again);

    nr_check(json_equal(o, same) && grants_same_egress(g, again) && grants_same_egress(g, stored));
    grants_unref(again);
    grants_unref(stored);
}

static void ask(const struct grants *account, const json_t *annotations, bool egress)
{
    struct grants *g = NULL;
    struct nr_err err = {0};
    int r = grants_for_function(account, annotations, egress, &g, &err);

    nr_check((r < 0) == (err.text[0] != '\0'));
    if (r < 0 || g == NULL)
        return;
    check(g);
    nr_check(g->egress_count == (egress && account ? account->egress_count : 0));
    nr_check(account && g->volume_count <= account->volume_count);
    for (unsigned i = 0; i < g->volume_count; i++)
        nr_check(g->volumes[i].path != NULL);
    grants_unref(g);
}

static void read_json(const json_t *o)
{
    const json_t *grants = json_is_array(o) ? json_array_get(o, 0) : o;
    const json_t *annotations = json_array_get(o, 1);
    struct grants *g = NULL;
    struct nr_err err = {0};
    int r = grants_read(grants, offered, &g, &err);

    nr_check((r < 0) == (err.text[0] != '\0') && (r < 0) == (g == NULL));
    if (g) {
        check(g);
        check_reads_back(g);
    }
    ask(g, annotations, true);
    ask(g, annotations, false);
    grants_unref(g);
}

static void read_texts(const char *text)
{
    struct grant_egress e = {0};
    struct grant_device *list = NULL;
    struct nr_err err = {0};

    if (grants_read_egress(text, &e, &err) == 0) {
        check_egress(&e);
        free(e.name);
    } else {
        nr_check(err.text[0] != '\0');
    }
    if (grants_read_devices(text, &list, &err) == 0)
        for (const struct grant_device *d = list; d->name; d++)
            nr_check(strncmp(d->path, "/dev/", 5) == 0 && strstr(d->path, "..") == NULL);
    grants_devices_free(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    nr_auto_json json_t *o = nr_json_parse((struct nr_str){(const char *)bytes, n}, NULL);
    nr_auto_free char *text = nr_strndup((const char *)bytes, n);

    if (o)
        read_json(o);
    read_texts(text);
    return 0;
}
