/* Both sides are walked through where they stand; names are found by halves in the function's list of them, which was made with its snapshot. */
#include "invoker/value.h"

#include "common/base/err.h"
#include "common/base/json_walk.h"
#include "common/base/mem.h"
#include "ports/final.h"
#include "ports/frames.h"

#define TEXT_MAX_BYTES (2 * (size_t)NR_FRAME_VALUE_MAX_BYTES)

/* One join on its way. */
struct join {
    struct final_names bound, final;
    struct value_room *room;
    bool given_twice; /* a bound name is given, too */
    bool given_final; /* a final one is given */
};

void value_room_init(struct value_room *r)
{
    nr_buf_init(&r->text, TEXT_MAX_BYTES);
    nr_buf_init(&r->name, TEXT_MAX_BYTES);
    nr_buf_init(&r->marks, TEXT_MAX_BYTES);
}

void value_room_fini(struct value_room *r)
{
    nr_buf_fini(&r->text);
    nr_buf_fini(&r->name);
    nr_buf_fini(&r->marks);
}

/* The name of a member, decoded; p NULL: no memory. */
static struct nr_str name_of(struct join *j, struct nr_str key)
{
    struct nr_buf *b = &j->room->name;

    if (memchr(key.p, '\\', key.n) == NULL)
        return key;
    nr_buf_reset(b, VALUE_KEEP_BYTES);
    char *room = nr_buf_room(b, key.n);

    return (struct nr_str){room, room != NULL ? nr_json_decode(key, room) : 0};
}

static int mark(struct join *j, size_t at)
{
    struct nr_buf *b = &j->room->marks;

    if (!j->given_twice) {
        char *room = nr_buf_room(b, j->bound.count);

        if (room == NULL)
            return NR_ENOMEM;
        memset(room, 0, j->bound.count);
        nr_buf_took(b, j->bound.count);
        j->given_twice = true;
    }
    b->p[at] = 1;
    return 0;
}

/* Which names stand on both sides? */
static int compare(struct join *j, struct nr_str input)
{
    struct nr_json_walk walk;
    struct nr_json_member m;
    int r = 0;

    nr_json_walk_begin(&walk, input);
    while (r == 0 && nr_json_walk_next(&walk, &m)) {
        struct nr_str name = name_of(j, m.key);
        size_t at = name.p != NULL ? final_names_find(&j->bound, name) : 0;

        if (name.p == NULL)
            r = NR_ENOMEM;
        else if (final_names_have(&j->final, name))
            j->given_final = true;
        else if (at < j->bound.count)
            r = mark(j, at);
    }
    return r;
}

static bool is_kept(struct join *j, struct nr_str name, bool of_input)
{
    if (of_input)
        return !final_names_have(&j->final, name);
    size_t at = final_names_find(&j->bound, name);

    return at == j->bound.count || j->room->marks.p[at] == 0;
}

/* Copies the members that are kept; how many bytes in *ret_n. */
static int copy(struct join *j, struct nr_str object, bool of_input, size_t *ret_n)
{
    struct nr_buf *out = &j->room->text;
    struct nr_json_walk walk;
    struct nr_json_member m;
    size_t begin = out->n;

    nr_json_walk_begin(&walk, object);
    while (nr_json_walk_next(&walk, &m)) {
        struct nr_str name = name_of(j, m.key);

        if (name.p == NULL)
            return NR_ENOMEM;
        if (!is_kept(j, name, of_input))
            continue;
        if (out->n > begin)
            nr_buf_addc(out, ',');
        nr_buf_addc(out, '"');
        nr_buf_add(out, m.key.p, m.key.n);
        nr_buf_adds(out, "\":");
        nr_buf_add(out, m.value.p, m.value.n);
    }
    *ret_n = out->n - begin;
    return out->failed ? NR_ETOOBIG : 0;
}

int value_members(const struct function *f, struct nr_str input, struct value_room *room,
                  struct nr_str *ret_bound, struct nr_str *ret_given)
{
    struct nr_buf *const used[] = {&room->text, &room->name, &room->marks};
    struct join j = {.bound = final_names_of(f->bound_names),
                     .final = final_names_of(f->final_names),
                     .room = room};
    struct nr_str bound = nr_str_of(f->parameters);
    size_t bound_n = 0, given_n = 0;
    int r = 0;

    *ret_bound = nr_json_members(bound);
    *ret_given = nr_json_members(input);
    if ((j.bound.count == 0 && j.final.count == 0) || ret_given->n == 0)
        return 0;
    for (size_t i = 0; i < nr_countof(used); i++)
        nr_buf_reset(used[i], VALUE_KEEP_BYTES);
    if ((r = compare(&j, input)) == 0 && j.given_twice)
        r = copy(&j, bound, false, &bound_n);
    if (r == 0 && j.given_final)
        r = copy(&j, input, true, &given_n);
    if (r < 0)
        return r;
    if (j.given_twice) /* the buffer may have moved until now */
        *ret_bound = (struct nr_str){room->text.p, bound_n};
    if (j.given_final)
        *ret_given = (struct nr_str){room->text.p + bound_n, given_n};
    return 0;
}
