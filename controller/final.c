/* Annotation `final`: who calls the function must not give what its owner has bound. Held against the payload before the call is taken; the
 * payload is known to be good JSON, and is read in place.
 *
 * Steps of sequences and compositions get what the step before gave, which is no caller's word: what it gives under such a name is left out when the
 * function gets it.
 */
#include "controller/internal.h"

#include "common/base/json_walk.h"
#include "ports/final.h"

#define TEXT "Request defines parameters that are not allowed (e.g., reserved properties)."

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
    const struct final_names names = final_names_of(a->fn != NULL ? a->fn->final_names : NULL);
    struct nr_json_walk w;
    struct nr_json_member m;

    if (names.count == 0 || a->parent != NULL || a->durable || a->judged)
        return;
    nr_json_walk_begin(&w, a->input);
    while (nr_json_walk_next(&w, &m) && m.key.p != NULL) {
        struct nr_str key = decoded(a, m.key);

        if (key.p == NULL) {
            activation_fail(a, NR_ENOMEM, "%s", nr_err_text(NR_ENOMEM));
            return;
        }
        if (final_names_have(&names, key)) {
            activation_fail(a, NR_EINVAL, TEXT);
            return;
        }
    }
}
