/* Names compare as strcmp() orders them, so that the list and the search agree. */
#include "ports/final.h"

#include <stdlib.h>
#include <string.h>

static int by_bytes(const void *key, const void *name)
{
    const struct nr_str *k = key;
    const char *n = *(char *const *)name;
    size_t length = strlen(n);
    int r = memcmp(k->p, n, k->n < length ? k->n : length);

    return r != 0 ? r : (k->n > length) - (k->n < length);
}

struct final_names final_names_of(char *const *names)
{
    struct final_names f = {.name = names};

    while (names != NULL && names[f.count] != NULL)
        f.count++;
    return f;
}

size_t final_names_find(const struct final_names *f, struct nr_str name)
{
    const struct nr_str key = {name.p != NULL ? name.p : "", name.n};
    char *const *found =
        f->count > 0 ? bsearch(&key, f->name, f->count, sizeof(*f->name), by_bytes) : NULL;

    return found != NULL ? (size_t)(found - f->name) : f->count;
}

bool final_names_have(const struct final_names *f, struct nr_str name)
{
    return final_names_find(f, name) < f->count;
}
