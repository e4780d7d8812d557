/* The kernel's energy counters of processor packages: microjoules that wrap at max_energy_range_uj. A zone `core` or `uncore` is part of its package and
 * is passed over, and so is `psys`, which counts the packages again. Two names for one zone (intel-rapl-mmio) are one.
 */
#include "invoker/energy.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/str.h"

enum { TEXT_BYTES = 64 };

/* The first line of a small file. */
static bool read_line(const char *folder, const char *name, char text[TEXT_BYTES])
{
    char path[RAPL_PATH_BYTES + 32];
    ssize_t n = -1;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        n = read(fd, text, TEXT_BYTES - 1);
        (void)close(fd);
    }
    text[n > 0 ? n : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return n > 0;
}

static bool read_count(const char *folder, const char *name, uint64_t *ret)
{
    char text[TEXT_BYTES];
    int64_t value;

    if (!read_line(folder, name, text) || !nr_str_to_i64(nr_str_of(text), 0, INT64_MAX, &value))
        return false;
    *ret = (uint64_t)value;
    return true;
}

static void add_zone(struct rapl *r, const char *root, const char *name)
{
    char what[TEXT_BYTES];
    char *path = r->zone[r->count].path;

    if (snprintf(path, RAPL_PATH_BYTES, "%s/%s", root, name) >= RAPL_PATH_BYTES)
        return;
    if (!read_line(path, "name", what) ||
        (strncmp(what, "package-", 8) != 0 && strcmp(what, "dram") != 0))
        return;
    if (read_count(path, "max_energy_range_uj", &r->zone[r->count].range_uj) &&
        read_count(path, "energy_uj", &r->zone[r->count].before_uj))
        r->count++;
}

bool rapl_open(const char *root, struct rapl *ret)
{
    DIR *d = opendir(root);
    const struct dirent *e;

    *ret = (struct rapl){0};
    while (d && ret->count < RAPL_ZONES_MAX && (e = readdir(d)) != NULL)
        if (strncmp(e->d_name, "intel-rapl:", 11) == 0)
            add_zone(ret, root, e->d_name);
    if (d)
        (void)closedir(d);
    return ret->count > 0;
}

double rapl_read(struct rapl *r)
{
    double joules = 0;

    for (unsigned i = 0; i < r->count; i++) {
        uint64_t now_uj, before_uj = r->zone[i].before_uj;

        if (!read_count(r->zone[i].path, "energy_uj", &now_uj))
            return -1;
        r->zone[i].before_uj = now_uj;
        if (now_uj < before_uj)
            now_uj += r->zone[i].range_uj;
        if (now_uj > before_uj)
            joules += (double)(now_uj - before_uj) / 1e6;
    }
    return joules;
}
