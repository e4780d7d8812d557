/* Two processes of one installation side by side: the one that was here before ends its calls, the one that came after serves.
 *
 *   coming   the one that serves leaves containers alone that it does not know: the other one tries the Engine with some
 *   over     what is idle is let go of, as a stop with keep_containers does it: sockets are closed before this returns, so that the other one may
 *            open them. What has calls stays ours, and what is still started for calls that wait gets names that say so
 *   beside   neither touches containers, folders and slots of the other, and nothing that both need is removed
 *   alone    the other one has ended: whatever is left of it goes, as what a crash leaves
 */
#include "common/base/clock.h"
#include "invoker/adopt.h"
#include "invoker/internal.h"
#include "invoker/sweep.h"

bool beside_foreign(const struct invoker *v, const char *name)
{
    return v->foreign && v->foreign(v->foreign_arg, name);
}

int invoker_adopt(struct invoker *v,
                  struct function *(*function_of)(void *arg, const struct function_names *names),
                  void *arg, struct nr_err *err)
{
    const struct invoker_config c = {.function_of = function_of, .function_of_arg = arg};

    return adopt_open(v, &c, err);
}

void invoker_alone(struct invoker *v)
{
    v->beside = false;
    sweep_hurry(v->sweep);
}

void invoker_room(struct invoker *v)
{
    if (!nr_list_empty(&v->hungry))
        pool_stir(v);
}

void invoker_expect(struct invoker *v, bool on)
{
    v->expects = on;
}

/* What is idle goes to the other one. */
static void let_go(struct invoker *v)
{
    for (struct nr_link *l = v->containers.next, *next; l != &v->containers; l = next) {
        struct container *ct = nr_container_of(l, struct container, in_all);

        next = l->next;
        if (ct->left)
            container_retire(ct, ENDED_DRAINED);
    }
}

static int64_t write_names(const struct invoker *v, struct nr_buf *out)
{
    const char *comma = "";
    int64_t memory_mb = 0;

    nr_buf_printf(out, "{\"prefix\":\"%s\",\"containers\":[", v->prefix);
    for (struct nr_link *l = v->containers.next; l != &v->containers; l = l->next) {
        const struct container *ct = nr_container_of(l, struct container, in_all);

        if (ct->left)
            continue;
        nr_buf_printf(out, "%s\"%s\"", comma, ct->name);
        comma = ",";
        memory_mb += ct->memory_mb;
    }
    nr_buf_adds(out, "]}");
    return memory_mb;
}

int64_t invoker_hand_over(struct invoker *v, struct nr_buf *out)
{
    unsigned char random[(BESIDE_PREFIX_BYTES - 1) / 2];

    v->handed = v->beside = v->resting = true;
    sweep_stop(v->sweep);
    nr_random(random, sizeof(random));
    nr_hex(random, sizeof(random), v->prefix);
    adopt_leave(v);
    let_go(v);
    return write_names(v, out);
}
