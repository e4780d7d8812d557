/* Zone files (RFC 8536) as a list of moments at which the offset changes, the rule at the file's end written out until 2200; a look-up is a binary
 * search.
 *
 * From local time to a moment: the stretches of one offset each are gone through from one that must be too early; the first that ends after the time
 * either holds it (the first of two, where the clocks are put back) or begins after it (it was jumped over: the moment of the jump).
 *
 * A name goes to a path, so only letters, digits and "+-_/" may be in it, and it never begins with a slash; a file that is damaged is refused whole.
 */
#include "scaler/policy/zone.h"

#include <dirent.h>
#include <stdio.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "scaler/policy/civil.h"
#include "scaler/policy/words.h"

enum {
    ZONE_FILE_MAX = 65536,
    ZONE_NAME_MAX = 64,
    ZONE_CHANGES_MAX = 4096,
    ZONE_UNTIL_YEAR = 2200,
    ZONE_DEEPEST = 3,
    OFFSET_MAX_S = 26 * 3600,
    HEADER_BYTES = 44,
    TYPE_BYTES = 6
};

static const char *const zone_folders[] = {"/usr/share/zoneinfo", "/usr/lib/zoneinfo",
                                           "/usr/share/lib/zoneinfo", NULL};

struct zone {
    unsigned count;
    struct zone_change change[]; /* the first from ever on */
};

/* What a header counts. */
struct counts {
    uint32_t times, types, letters, leaps, standards, utcs;
    size_t time_bytes; /* 4 in the first part of a file, 8 in the second */
};

static uint64_t big_endian(const unsigned char *p, size_t bytes)
{
    uint64_t v = 0;

    while (bytes-- > 0)
        v = v << 8 | *p++;
    return v;
}

static bool read_counts(const unsigned char *p, size_t n, size_t time_bytes, struct counts *ret)
{
    if (n < HEADER_BYTES || memcmp(p, "TZif", 4) != 0)
        return false;
    *ret = (struct counts){.utcs = (uint32_t)big_endian(p + 20, 4),
                           .standards = (uint32_t)big_endian(p + 24, 4),
                           .leaps = (uint32_t)big_endian(p + 28, 4),
                           .times = (uint32_t)big_endian(p + 32, 4),
                           .types = (uint32_t)big_endian(p + 36, 4),
                           .letters = (uint32_t)big_endian(p + 40, 4),
                           .time_bytes = time_bytes};
    return ret->utcs <= ZONE_FILE_MAX && ret->standards <= ZONE_FILE_MAX && ret->leaps == 0 &&
           ret->times <= ZONE_CHANGES_MAX && ret->types >= 1 && ret->types <= 256 &&
           ret->letters <= ZONE_FILE_MAX;
}

static size_t body_bytes(const struct counts *c)
{
    return c->times * (c->time_bytes + 1) + c->types * (size_t)TYPE_BYTES + c->letters +
           c->standards + c->utcs;
}

static bool type_offset(const struct counts *c, const unsigned char *types, unsigned type,
                        int64_t *ret_s)
{
    if (type >= c->types)
        return false;
    *ret_s = (int32_t)(uint32_t)big_endian(types + type * (size_t)TYPE_BYTES, 4);
    return *ret_s >= -OFFSET_MAX_S && *ret_s <= OFFSET_MAX_S;
}

static bool read_changes(const struct counts *c, const unsigned char *body, struct zone *z)
{
    const unsigned char *indexes = body + c->times * c->time_bytes, *types = indexes + c->times;

    z->change[0].at_s = INT64_MIN;
    z->count = 1;
    if (!type_offset(c, types, 0, &z->change[0].offset_s))
        return false;
    for (uint32_t i = 0; i < c->times; i++) {
        struct zone_change *to = &z->change[z->count];
        uint64_t at = big_endian(body + i * c->time_bytes, c->time_bytes);

        to->at_s = c->time_bytes == 4 ? (int64_t)(int32_t)(uint32_t)at : (int64_t)at;
        if (!type_offset(c, types, indexes[i], &to->offset_s) || to->at_s < to[-1].at_s ||
            to->at_s > INT64_MAX / 4)
            return false;
        /* files may begin with the beginning of time, and say the same twice */
        if (to->at_s > INT64_MIN / 4 && to->at_s > to[-1].at_s)
            z->count++;
        else
            to[-1].offset_s = to->offset_s;
    }
    return true;
}

/* What comes after the last change that the file lists. */
static void add_rule(struct zone *z, const char *rule)
{
    int64_t last_s = z->change[z->count - 1].at_s;
    int year = 1970;

    if (last_s > 0)
        year = civil_from_days(floor_div(last_s, DAY_S)).year;
    for (struct zone_change two[2]; year < ZONE_UNTIL_YEAR; year++) {
        if (!zone_rule_year(rule, year, two))
            return;
        for (int i = 0; i < 2; i++)
            if (two[i].at_s > z->change[z->count - 1].at_s)
                z->change[z->count++] = two[i];
    }
}

/* A file of version 1 has one part, later ones a second with times of 64 bits, and the rule in a line behind it. */
static bool read_file(const char *file, size_t n, struct zone *z)
{
    const unsigned char *p = (const unsigned char *)file, *end = p + n;
    struct counts c;
    char rule[80];
    size_t letters;

    if (!read_counts(p, n, 4, &c) || (size_t)(end - p) < HEADER_BYTES + body_bytes(&c))
        return false;
    if (p[4] < '2')
        return read_changes(&c, p + HEADER_BYTES, z);
    p += HEADER_BYTES + body_bytes(&c);
    if (!read_counts(p, (size_t)(end - p), 8, &c) ||
        (size_t)(end - p) < HEADER_BYTES + body_bytes(&c) || !read_changes(&c, p + HEADER_BYTES, z))
        return false;
    p += HEADER_BYTES + body_bytes(&c);
    if (p == end || *p++ != '\n')
        return false;
    letters = (size_t)(end - p);
    letters = letters > 0 && p[letters - 1] == '\n' ? letters - 1 : letters;
    if (letters >= sizeof(rule))
        return false;
    memcpy(rule, p, letters);
    rule[letters] = '\0';
    add_rule(z, rule);
    return true;
}

static struct zone *make(void)
{
    size_t most = 1 + ZONE_CHANGES_MAX + 2 * (ZONE_UNTIL_YEAR - 1970);

    return nr_alloc(sizeof(struct zone) + most * sizeof(struct zone_change));
}

/* Only what is used stays. */
static struct zone *shrunk(struct zone *z)
{
    size_t bytes = sizeof(*z) + z->count * sizeof(z->change[0]);
    struct zone *less = nr_alloc(bytes);

    memcpy(less, z, bytes);
    free(z);
    return less;
}

/* "+09:00", "-3:30". */
static bool fixed_offset(const char *name, int64_t *ret_s)
{
    struct nr_str rest, hours;
    int64_t h, m = 0;

    if (name[0] != '+' && name[0] != '-')
        return false;
    rest = nr_str_of(name + 1);
    if (!nr_str_split(&rest, ':', &hours) || !nr_str_to_i64(hours, 0, 15, &h) ||
        (rest.p && !nr_str_to_i64(rest, 0, 59, &m)))
        return false;
    *ret_s = (name[0] == '-' ? -1 : 1) * (h * 3600 + m * 60);
    return true;
}

static bool name_fits(const char *name)
{
    size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-_/");

    return n > 0 && n <= ZONE_NAME_MAX && name[n] == '\0' && name[0] != '/' && name[n - 1] != '/' &&
           strstr(name, "//") == NULL;
}

static int refuse(const char *name, struct nr_err *err)
{
    char near[ZONE_NAME_MAX + 1];

    zone_nearest(name, near, sizeof(near));
    if (near[0] != '\0')
        return nr_err_set(err, NR_EINVAL, "there is no time zone \"%.80s\"; the nearest is \"%s\"",
                          name, near);
    return nr_err_set(err, NR_EINVAL,
                      "there is no time zone \"%.80s\" in this host's zone files; \"UTC\" and "
                      "\"+09:00\" need none",
                      name);
}

static struct zone *fixed(int64_t offset_s)
{
    struct zone *z = nr_alloc(sizeof(*z) + sizeof(z->change[0]));

    z->count = 1;
    z->change[0] = (struct zone_change){INT64_MIN, offset_s};
    return z;
}

int zone_open(const char *name, struct zone **ret, struct nr_err *err)
{
    nr_auto_free char *file = NULL;
    struct zone *z;
    char path[160];
    int64_t offset_s = 0;
    size_t n = 0;

    if (name == NULL || strcmp(name, "UTC") == 0 || fixed_offset(name, &offset_s)) {
        *ret = fixed(offset_s);
        return 0;
    }
    if (!name_fits(name))
        return refuse(name, err);
    for (const char *const *f = zone_folders; *f && file == NULL; f++) {
        (void)snprintf(path, sizeof(path), "%s/%s", *f, name);
        (void)nr_file_read(path, ZONE_FILE_MAX, &file, &n, NULL);
    }
    if (file == NULL)
        return refuse(name, err);
    z = make();
    if (!read_file(file, n, z)) {
        free(z);
        return nr_err_set(err, NR_EINVAL, "the file of the time zone \"%s\" cannot be read", name);
    }
    *ret = shrunk(z);
    return 0;
}

void zone_free(struct zone *z)
{
    free(z);
}

static unsigned stretch_of(const struct zone *z, int64_t utc_s)
{
    unsigned low = 0, high = z->count;

    while (high - low > 1) {
        unsigned middle = (low + high) / 2;

        if (z->change[middle].at_s <= utc_s)
            low = middle;
        else
            high = middle;
    }
    return low;
}

int64_t zone_offset_s(const struct zone *z, int64_t utc_s)
{
    return z->change[stretch_of(z, utc_s)].offset_s;
}

int64_t zone_to_utc_s(const struct zone *z, int64_t local_s)
{
    unsigned i = stretch_of(z, local_s - OFFSET_MAX_S);

    while (i + 1 < z->count && local_s - z->change[i].offset_s >= z->change[i + 1].at_s)
        i++;
    if (local_s - z->change[i].offset_s < z->change[i].at_s)
        return z->change[i].at_s;
    return local_s - z->change[i].offset_s;
}

/* Zone names are the paths below the folder; "posix" and "right" hold all of them once more. */
static void look_through(const char *folder, const char *prefix, int depth, struct nearest *n)
{
    char path[300], name[200];
    struct dirent *e;
    DIR *d;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, prefix);
    d = opendir(path);
    while (d != NULL && (e = readdir(d)) != NULL) {
        bool skip = e->d_name[0] < 'A' || e->d_name[0] > 'Z' || strlen(e->d_name) > ZONE_NAME_MAX;

        if (skip || snprintf(name, sizeof(name), "%s%s%.64s", prefix, prefix[0] ? "/" : "",
                             e->d_name) >= (int)sizeof(name))
            continue;
        if (e->d_type == DT_DIR && depth < ZONE_DEEPEST)
            look_through(folder, name, depth + 1, n);
        else
            nearest_try(n, name);
    }
    if (d != NULL)
        closedir(d);
}

void zone_nearest(const char *name, char *out, size_t out_bytes)
{
    struct nearest n;

    nearest_begin(&n, nr_str_of(name));
    for (const char *const *f = zone_folders; *f; f++)
        look_through(*f, "", 1, &n);
    (void)snprintf(out, out_bytes, "%s", n.best);
}
