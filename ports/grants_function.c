/* What a function gets of its account's grants: the egress list when it has egress, the volumes and devices that its annotations name.
 */
#include <string.h>

#include "common/base/json.h"
#include "common/base/mem.h"
#include "ports/grants_parts.h"

/* Folders of the container in which a volume may appear. */
static const char *const volume_prefixes[] = {"/data", "/mnt", "/srv", "/var/lib"};

static const json_t *annotation(const json_t *list, const char *key)
{
    const json_t *found = NULL;
    size_t i;
    json_t *each;

    json_array_foreach(list, i, each) {
        const char *name = nr_json_string(each, "key");

        if (name && strcmp(name, key) == 0)
            found = json_object_get(each, "value");
    }
    return json_is_null(found) ? NULL : found;
}

/* Below one of the allowed folders, without a step up, a double slash or a letter that a path of ours would not have. */
static bool good_path(const char *path)
{
    size_t n = path ? strlen(path) : 0;

    if (n == 0 || n > GRANT_PATH_MAX_BYTES || path[n - 1] == '/' || strstr(path, "..") ||
        strstr(path, "//") || strstr(path, "/./") || path[n - 1] == '.' ||
        strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./") != n)
        return false;
    for (size_t i = 0; i < nr_countof(volume_prefixes); i++) {
        size_t m = strlen(volume_prefixes[i]);

        if (strncmp(path, volume_prefixes[i], m) == 0 && (path[m] == '/' || path[m] == '\0'))
            return strcmp(path, "/var/lib") != 0;
    }
    return false;
}

/* Neither path may be or lie in the other. */
static bool collide(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    const char *longer = n > m ? a : b;
    size_t shorter = n > m ? m : n;

    return strncmp(a, b, shorter) == 0 && (longer[shorter] == '\0' || longer[shorter] == '/');
}

static int ask_volume(const struct grants *account, const json_t *asked, struct grants *g,
                      struct nr_err *err)
{
    const char *name = nr_json_string(asked, "name"), *path = nr_json_string(asked, "path");
    const struct grant_volume *found = NULL;

    if (!grants_good_name(name) || !good_path(path) || json_object_size(asked) != 2)
        return nr_err_set(err, NR_EINVAL,
                          "annotation narae.volumes: each is {\"name\",\"path\"} with a path below "
                          "/data, /mnt, /srv or /var/lib");
    for (unsigned i = 0; account && i < account->volume_count; i++)
        if (strcmp(account->volumes[i].name, name) == 0)
            found = &account->volumes[i];
    if (found == NULL)
        return nr_err_set(err, NR_EFORBIDDEN, "volume '%s' is not granted to this account", name);
    for (unsigned i = 0; i < g->volume_count; i++)
        if (strcmp(g->volumes[i].name, name) == 0 || collide(g->volumes[i].path, path))
            return nr_err_set(err, NR_EINVAL,
                              "annotation narae.volumes: '%s' at %s collides with another one",
                              name, path);
    g->volumes[g->volume_count++] = (struct grant_volume){
        .name = nr_strdup(name), .path = nr_strdup(path), .quota_mb = found->quota_mb};
    return 0;
}

static int ask_volumes(const struct grants *account, const json_t *list, struct grants *g,
                       struct nr_err *err)
{
    size_t i;
    json_t *each;

    if (list && (!json_is_array(list) || json_array_size(list) > GRANTS_VOLUMES_MAX))
        return nr_err_set(err, NR_EINVAL, "annotation narae.volumes must be an array");
    json_array_foreach(list, i, each) {
        int r = ask_volume(account, each, g, err);

        if (r < 0)
            return r;
    }
    return 0;
}

static int ask_devices(const struct grants *account, const json_t *list, struct grants *g,
                       struct nr_err *err)
{
    size_t i;
    json_t *each;

    if (list && (!json_is_array(list) || json_array_size(list) > GRANTS_DEVICES_MAX))
        return nr_err_set(err, NR_EINVAL, "annotation narae.devices must be an array of names");
    json_array_foreach(list, i, each) {
        const char *name = json_string_value(each);
        bool found = false;

        if (!grants_good_name(name))
            return nr_err_set(err, NR_EINVAL, "annotation narae.devices must be an array of names");
        for (unsigned k = 0; account && k < account->device_count; k++)
            found = found || strcmp(account->devices[k], name) == 0;
        if (!found)
            return nr_err_set(err, NR_EFORBIDDEN, "device '%s' is not granted to this account",
                              name);
        g->devices[g->device_count++] = nr_strdup(name);
    }
    return 0;
}

int grants_for_function(const struct grants *account, const json_t *annotations, bool egress,
                        struct grants **ret, struct nr_err *err)
{
    struct grants *g = grants_make();
    int r = ask_volumes(account, annotation(annotations, "narae.volumes"), g, err);

    if (r == 0)
        r = ask_devices(account, annotation(annotations, "narae.devices"), g, err);
    for (unsigned i = 0; r == 0 && egress && account && i < account->egress_count; i++) {
        g->egress[i] = account->egress[i];
        g->egress[i].name = nr_strdup(account->egress[i].name);
        g->egress_count++;
    }
    if (r < 0 || g->volume_count + g->device_count + g->egress_count == 0)
        grants_unref(nr_steal(&g));
    if (r == 0)
        *ret = g;
    return r;
}
