/* Annotation `final`: who calls the function must not give what its owner has bound. Held against the payload before the call is taken; the
 * payload is known to be good JSON, and is read in place. Both lists may be long, so the sorted one is searched, not walked.
 *
 * Steps of sequences and compositions get what the step before gave, which is no caller's word.
 */
#include "controller/internal.h"

#include "common/base/json_walk.h"

#define TEXT "Request defines parameters that are not allowed (e.g., reserved properties)."

/* A key of the payload against a name, as strcmp() orders names. */
static int by_bytes(const void *key, const void *name)
{
    const struct nr_str *k = key;
    const char *n = *(char *const *)name;
    size_t length = strlen(n);
    int r = memcmp(k->p, n, k->n < length ? k->n : length);

    return r != 0 ? r : (k->n > length) - (k->n < length);
}

/* The key with its escapes decoded into the arena; p NULL: no memory. */
static struct nr_str decoded(struct activation *a, struct nr_str key)
{
    char *room;

    if (memchr(key.p, '\\', key.n) == NULL)
        return key;
    room = nr_arena_get(&a->arena, key.n);
    return (struct nr_str){room, room != NULL ? nr_json_decode(key, room) : 0};
}

void final_check(struct activation *a)
{
    char **names = a->fn != NULL ? a->fn->final_names : NULL;
    struct nr_json_walk w;
    struct nr_json_member m;
    size_t count = 0;

    if (names == NULL || a->parent != NULL || a->durable || a->judged)
        return;
    while (names[count] != NULL)
        count++;
    nr_json_walk_begin(&w, a->input);
    while (nr_json_walk_next(&w, &m) && m.key.p != NULL) {
        struct nr_str key = decoded(a, m.key);

        if (key.p == NULL) {
            activation_fail(a, NR_ENOMEM, "%s", nr_err_text(NR_ENOMEM));
            return;
        }
        if (bsearch(&key, names, count, sizeof(*names), by_bytes) != NULL) {
            activation_fail(a, NR_EINVAL, TEXT);
            return;
        }
    }
}
