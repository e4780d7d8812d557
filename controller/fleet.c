/* The fleet: all invokers as one. With none but our own each call here is the same call of ports/invoker.h.
 */
#include "controller/fleet.h"

#include "common/base/mem.h"

int invokers_open(const struct invokers_config *c, struct invokers **ret, struct nr_err *err)
{
    struct invokers *f = nr_alloc(sizeof(*f));

    (void)err;
    f->loop = c->loop;
    f->local = c->local;
    f->log = c->log;
    *ret = f;
    return 0;
}

struct invoker *invokers_local(const struct invokers *f)
{
    return f->local;
}

/* ---- calls ------------------------------------------------------------------------------------------------------ */

void invokers_run(struct invokers *f, struct activation *a)
{
    invoker_run(f->local, a);
}

void invokers_claimed(struct activation *a, int status)
{
    invoker_claimed(a, status);
}

void invokers_cut(struct activation *a, int err)
{
    invoker_cut(a, err);
}

/* ---- all hosts -------------------------------------------------------------------------------------------------- */

void invokers_forget(struct invokers *f, uint64_t revision)
{
    invoker_forget(f->local, revision);
}

void invokers_forget_account(struct invokers *f, const char *account, void (*done)(void *arg),
                             void *arg)
{
    invoker_forget_account(f->local, account, done, arg);
}

void invokers_wish(struct invokers *f, const struct scaler_wish *w)
{
    invoker_wish(f->local, w);
}

void invokers_know(struct invokers *f, struct function *fn)
{
    invoker_know(f->local, fn);
}

bool invokers_ready(const struct invokers *f, char why[static INVOKER_WHY_BYTES])
{
    return invoker_ready(f->local, why);
}

void invokers_status(struct invokers *f, const char *account, struct nr_buf *out)
{
    invoker_status(f->local, account, out);
}

void invokers_metrics(struct invokers *f, struct nr_buf *out)
{
    invoker_metrics(f->local, out);
}

void invokers_figures(struct invokers *f,
                      void (*each)(void *arg, const struct container_figures *c), void *arg,
                      struct node_figures *ret)
{
    invoker_figures(f->local, each, arg, ret);
}

/* ---- the end ---------------------------------------------------------------------------------------------------- */

void invokers_drain(struct invokers *f, uint64_t max_ms, void (*done)(void *arg), void *arg)
{
    invoker_drain(f->local, max_ms, done, arg);
}

unsigned invokers_left(const struct invokers *f)
{
    return invoker_left(f->local);
}

void invokers_close(struct invokers *f, void (*closed)(void *arg), void *arg)
{
    struct invoker *local = f->local;

    free(f);
    invoker_close(local, closed, arg);
}
