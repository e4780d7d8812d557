/* Kinds come as a table from the daemon; this file only reads it.
 *
 * A word is looked up in three steps: its exact (lower-case) kind, the default of its family, and at last what an alias stands for.
 * "blackbox" and "sequence" are no kinds of the table: who parses a body treats them before it asks here.
 */
#include "fnmanager/functions/kinds.h"

#include <ctype.h>
#include <strings.h>

static const struct runtime_kind *find(const struct runtime_kind *kinds, const char *word)
{
    for (const struct runtime_kind *k = kinds; k->kind != NULL; k++) {
        if (strcasecmp(k->kind, word) == 0)
            return k;
    }
    return NULL;
}

static const struct runtime_kind *find_default(const struct runtime_kind *kinds, const char *word)
{
    const char *colon = strchr(word, ':');

    if (colon == NULL || strcasecmp(colon, ":default") != 0)
        return NULL;
    for (const struct runtime_kind *k = kinds; k->kind != NULL; k++) {
        size_t n = strlen(k->family);
        if (k->is_default && n == (size_t)(colon - word) && strncasecmp(k->family, word, n) == 0)
            return k;
    }
    return NULL;
}

static void refuse(const struct runtime_kind *kinds, const char *word, struct nr_err *err)
{
    char list[256];
    size_t n = 0;

    list[0] = '\0';
    for (const struct runtime_kind *k = kinds; k->kind != NULL && n < sizeof(list); k++)
        n +=
            (size_t)snprintf(list + n, sizeof(list) - n, "%s'%s'", k == kinds ? "" : ", ", k->kind);
    nr_err_set(
        err, NR_EINVAL,
        "The specified runtime '%.64s' is not supported by this platform. Valid values are: %s.",
        word, list);
}

const struct runtime_kind *kinds_resolve(const struct runtime_kind *kinds, const char *word,
                                         struct nr_err *err)
{
    const struct runtime_kind *k = find(kinds, word);

    if (k == NULL)
        k = find_default(kinds, word);
    if (k != NULL && k->alias_of != NULL)
        k = find(kinds, k->alias_of);
    if (k == NULL)
        refuse(kinds, word, err);
    return k;
}

int kinds_judge(const struct runtime_kind *kinds, const char *kind, struct nr_err *err)
{
    const struct runtime_kind *k = find(kinds, kind);

    if (strcmp(kind, KIND_BLACKBOX) == 0 || strcmp(kind, KIND_SEQUENCE) == 0 ||
        (k != NULL && !k->deprecated))
        return 0;
    return nr_err_set(
        err, NR_EINVAL,
        "The '%.64s' runtime is no longer supported. You may read and delete but not update or invoke this action.",
        kind);
}

bool kinds_image_is_native(const char *image)
{
    static const char native[] = "openwhisk/dockerskeleton";

    if (strncmp(image, "docker.io/", 10) == 0)
        image += 10;
    if (strncmp(image, native, sizeof(native) - 1) != 0)
        return false;
    image += sizeof(native) - 1;
    return *image == '\0' || *image == ':' || *image == '@';
}

bool kinds_image_valid(const char *image)
{
    size_t n = strlen(image);

    if (n == 0 || n > 256 || !isalnum((unsigned char)image[0]) ||
        !isalnum((unsigned char)image[n - 1]))
        return false;
    for (const char *p = image; *p != '\0'; p++) {
        if (!isalnum((unsigned char)*p) && strchr("._-/:@", *p) == NULL)
            return false;
        if (*p == '/' && (p[1] == '/' || p[1] == '.'))
            return false;
    }
    return true;
}

static void write_kind(const struct runtime_kind *k, struct nr_buf *out)
{
    nr_buf_adds(out, "{\"kind\":");
    nr_buf_json(out, nr_str_of(k->kind));
    nr_buf_adds(out, ",\"image\":");
    nr_buf_json(out, nr_str_of(k->image));
    nr_buf_printf(out,
                  ",\"deprecated\":%s,\"default\":%s,\"attached\":false,\"requireMain\":false}",
                  k->deprecated ? "true" : "false", k->is_default ? "true" : "false");
}

static bool first_of_family(const struct runtime_kind *kinds, const struct runtime_kind *k)
{
    for (const struct runtime_kind *e = kinds; e < k; e++) {
        if (strcmp(e->family, k->family) == 0)
            return false;
    }
    return true;
}

void kinds_write(const struct runtime_kind *kinds, struct nr_buf *out)
{
    const char *between = "";

    nr_buf_addc(out, '{');
    for (const struct runtime_kind *k = kinds; k->kind != NULL; k++) {
        if (!first_of_family(kinds, k))
            continue;
        nr_buf_adds(out, between);
        between = ",";
        nr_buf_json(out, nr_str_of(k->family));
        nr_buf_adds(out, ":[");
        for (const struct runtime_kind *e = k; e->kind != NULL; e++) {
            if (strcmp(e->family, k->family) != 0)
                continue;
            if (e != k)
                nr_buf_addc(out, ',');
            write_kind(e, out);
        }
        nr_buf_addc(out, ']');
    }
    nr_buf_addc(out, '}');
}
