/* Images have an operating system, an architecture and perhaps a variant of it ("linux", "arm", "v7"). One tag can stand for several images,
 * a manifest list: the Engine of each host then takes the entry that is made for it, and the tag's pin, the digest of the list, is the same
 * everywhere. Whether there is such an entry is asked here, at deploy, before anything is pulled. Of amd64 there may be entries for levels of
 * its processors ("v3"), which the Engine does not find by itself: where a list has none for all of them, the highest that this one has is
 * asked for by name.
 *
 * Registries may say anything: of their words only those that an architecture can be called are told again, and no more than a line of them.
 */
#include "invoker/platform.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/base/json.h"
#include "common/base/mem.h"
#include "invoker/cpu_level.h"

static const struct platform platforms[] = {
    {"amd64", 1, "linux/amd64", "SCMP_ARCH_X86_64", false},
    {"amd64", 2, "linux/amd64/v2", "SCMP_ARCH_X86_64", false},
    {"amd64", 3, "linux/amd64/v3", "SCMP_ARCH_X86_64", false},
    {"amd64", 4, "linux/amd64/v4", "SCMP_ARCH_X86_64", false},
    {"arm64", 8, "linux/arm64", "SCMP_ARCH_AARCH64", false},
    {"arm", 7, "linux/arm", "SCMP_ARCH_ARM", true},
};

#if defined(__x86_64__)
static const char here[] = "amd64";
#elif defined(__aarch64__)
static const char here[] = "arm64";
#elif defined(__arm__)
static const char here[] = "arm";
#else
static const char here[] = "";
#endif

enum { TOLD_MAX = 6, NAME_BYTES = 48, PART_MAX_BYTES = 12 };

const struct platform *platform_named(const char *architecture)
{
    for (size_t i = 0; i < nr_countof(platforms); i++)
        if (strcmp(platforms[i].architecture, architecture) == 0)
            return &platforms[i];
    return NULL;
}

const struct platform *platform_here(void)
{
    const struct platform *p = platform_named(here);
    unsigned level = cpu_level();

    while (p && p < platforms + nr_countof(platforms) - 1 && p->newest_variant < level &&
           strcmp(p[1].architecture, here) == 0)
        p++;
    return p;
}

/* ---- one image ---------------------------------------------------------------------------------------------- */

struct image_platform image_platform_of(const json_t *image)
{
    return (struct image_platform){nr_json_string(image, "Os"),
                                   nr_json_string(image, "Architecture"),
                                   nr_json_string(image, "Variant")};
}

/* The word, or "?" for what is none. */
static const char *word(const char *text)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t n = text ? strspn(text, good) : 0;

    return n > 0 && n <= PART_MAX_BYTES && text[n] == '\0' ? text : "?";
}

void image_platform_write(const struct image_platform *p, char *out, size_t bytes)
{
    bool varies = p->variant && p->variant[0] != '\0';

    (void)snprintf(out, bytes, "%s/%s%s%s", word(p->os), word(p->architecture), varies ? "/" : "",
                   varies ? word(p->variant) : "");
}

/* "v7" or "7" is 7; 0: none is told. Whatever else runs nowhere. */
static unsigned variant_number(const char *variant)
{
    const char *digits = variant && variant[0] == 'v' ? variant + 1 : variant;

    if (variant == NULL || variant[0] == '\0')
        return 0;
    return digits[0] >= '1' && digits[0] <= '9' && digits[1] == '\0' ? (unsigned)(digits[0] - '0')
                                                                     : UINT32_MAX;
}

bool image_platform_fits(const struct platform *node, const struct image_platform *p)
{
    if (p->os && p->os[0] != '\0' && strcmp(p->os, "linux") != 0)
        return false;
    if (node == NULL)
        return true;
    return p->architecture && strcmp(p->architecture, node->architecture) == 0 &&
           variant_number(p->variant) <= node->newest_variant;
}

/* ---- a manifest list ---------------------------------------------------------------------------------------- */

/* Names, each once. */
struct told {
    char names[TOLD_MAX][NAME_BYTES];
    size_t count, more;
};

static void tell(struct told *t, const struct image_platform *p)
{
    char name[NAME_BYTES];

    image_platform_write(p, name, sizeof(name));
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->names[i], name) == 0)
            return;
    if (t->count == TOLD_MAX)
        t->more++;
    else
        (void)snprintf(t->names[t->count++], NAME_BYTES, "%s", name);
}

/* Builders put entries into a list that are about an image and are none: of the architecture "unknown". */
static bool is_no_image(const struct image_platform *p)
{
    return p->architecture && strcmp(p->architecture, "unknown") == 0;
}

static int none_fits(const struct platform *node, const struct told *t, const char *reference,
                     struct nr_err *err)
{
    char list[TOLD_MAX * (NAME_BYTES + 2) + 1] = "";
    size_t n = 0;

    for (size_t i = 0; i < t->count; i++)
        n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i > 0 ? ", " : "", t->names[i]);
    return nr_err_set(err, NR_EINVAL, "The image '%.128s' is for %s%s; this host runs %s.",
                      reference, n > 0 ? list : "no processor", t->more > 0 ? " and more" : "",
                      node->name);
}

int image_platforms_check(const struct platform *node, const json_t *told_of, const char *reference,
                          struct nr_err *err)
{
    struct told t = {.count = 0};
    const json_t *e;
    size_t i;

    if (node == NULL || json_array_size(told_of) == 0)
        return 0;
    json_array_foreach(told_of, i, e) {
        struct image_platform p = {nr_json_string(e, "os"), nr_json_string(e, "architecture"),
                                   nr_json_string(e, "variant")};

        if (is_no_image(&p))
            continue;
        if (image_platform_fits(node, &p))
            return 0;
        tell(&t, &p);
    }
    return none_fits(node, &t, reference, err);
}

unsigned image_platforms_variant(const struct platform *node, const json_t *told_of)
{
    unsigned best = 0;
    const json_t *e;
    size_t i;

    if (node == NULL)
        return 0;
    json_array_foreach(told_of, i, e) {
        struct image_platform p = {nr_json_string(e, "os"), nr_json_string(e, "architecture"),
                                   nr_json_string(e, "variant")};
        unsigned variant = variant_number(p.variant);

        if (!image_platform_fits(node, &p))
            continue;
        if (variant <= 1)
            return 0;
        best = variant > best ? variant : best;
    }
    return best;
}
