/* Invokers of other hosts: who may join, and what they take. From a request to a change of the fleet, and its answer back. Only the administrator comes here (the table
 * of routes); who looks at them asks info.c.
 */
#include "gateway/internal.h"

/* From the arena of the request: it lives until its answer. */
struct change {
    struct invokers_call call;
    struct gateway_request *q;
};

static void on_done(struct invokers_call *c)
{
    struct gateway_request *q = nr_container_of(c, struct change, call)->q;

    if (c->err.code != 0) {
        request_refuse(q, nr_err_status(c->err.code), "%s", c->err.text);
    } else {
        nr_buf_add(&q->text, c->reply.p, c->reply.n);
        q->status = c->made ? 201 : 200;
        q->body = nr_buf_str(&q->text);
    }
    nr_str_wipe(nr_buf_str(&c->reply)); /* a token may be in it */
    nr_buf_fini(&c->reply);
    request_tick(q);
}

void invokers_route_call(struct gateway_request *q)
{
    struct change *x = nr_arena_get(&q->http.arena, sizeof(*x));

    if (x == NULL) {
        request_refuse(q, 503, UNAVAILABLE_TEXT);
        request_tick(q);
        return;
    }
    *x = (struct change){
        .q = q,
        .call = {.op = (enum invokers_op)q->route->op,
                 .name = q->part[PART_ITEM],
                 .body = q->route->op == INVOKERS_ADD ? q->http.body : (struct nr_str){NULL, 0},
                 .done = on_done}};
    invokers_post(q->g->config.invokers, &x->call);
}
