/* The ports of the fleet's tests: hosts that are scripted, and an invoker of this process without containers. */
#include "fleet_rig.h"

#include <stdio.h>

/* ---- the scripted hosts ------------------------------------------------------------------------------------------- */

int far_listen(const struct far_listener_config *c, struct far_listener **ret, struct nr_err *err)
{
    (void)err;
    the->listener = *c;
    *ret = (struct far_listener *)the;
    return 0;
}

uint16_t far_port(const struct far_listener *l)
{
    (void)l;
    return 4000;
}

const char *far_pin(const struct far_listener *l)
{
    (void)l;
    return the->pin;
}

int far_listener_reload(struct far_listener *l, bool commit, struct nr_err *err)
{
    (void)l;
    the->reloads += commit;
    return the->bad_certificate ? nr_err_set(err, NR_EINVAL, "no certificate") : 0;
}

void far_listener_close(struct far_listener *l, void (*closed)(void *arg), void *arg)
{
    (void)l;
    closed(arg);
}

void far_metrics(struct far_listener *l, struct nr_buf *out)
{
    (void)l;
    nr_buf_adds(out, "");
}

const struct far_hello *far_hello(const struct far *f)
{
    return &f->hello;
}

bool far_is_up(const struct far *f)
{
    return f->up;
}

bool far_takes(const struct far *f, bool warm)
{
    (void)warm;
    return f->up && f->takes && !f->cordoned;
}

size_t far_calls(const struct far *f)
{
    return f->call_count;
}

void far_set_owner(struct far *f, void *owner)
{
    f->owner = owner;
}

void *far_owner(const struct far *f)
{
    return f->owner;
}

void far_run(struct far *f, struct activation *a)
{
    a->i = I_BORROW;
    f->calls[f->call_count++] = a;
}

void far_claimed(struct far *f, struct activation *a, int status)
{
    (void)f;
    a->i = status == 0 ? I_AWAIT : I_END;
}

void far_cut(struct far *f, struct activation *a, int err)
{
    f->call_count--;
    activation_fail(a, err, "cut");
    a->i = I_END;
    a->on_step(a);
}

void far_image(struct far *f, struct image_call *c)
{
    f->images++;
    c->done(c);
}

bool far_knows(const struct far *f, uint64_t revision)
{
    return f->up && f->known == revision;
}

int64_t far_function_peak_bytes(const struct far *f, const struct function *fn)
{
    return (int64_t)fn->revision * (f - the->far);
}

void far_forget(struct far *f, uint64_t revision)
{
    assert_int_equal(revision, the->fn.revision);
    f->forgets++;
}

void far_forget_account(struct far *f, const char *account, void (*done)(void *arg), void *arg)
{
    assert_string_equal(account, "leaver");
    f->forgotten = done;
    f->forgotten_arg = arg;
}

void pay(struct far *f)
{
    void (*done)(void *) = f->forgotten;

    f->forgotten = NULL;
    if (done)
        done(f->forgotten_arg);
}

void far_wish(struct far *f, const struct scaler_wish *w)
{
    f->desired = w->desired;
    f->maximum = w->maximum;
    f->wishes++;
}

void far_know(struct far *f, struct function *fn)
{
    assert_ptr_equal(fn, &the->fn);
    f->knows++;
}

void far_cordon(struct far *f, bool on)
{
    f->cordoned = on;
}

void far_drain(struct far *f, void (*done)(void *arg), void *arg)
{
    f->cordoned = true;
    f->drains++;
    f->forgotten = done;
    f->forgotten_arg = arg;
}

void far_load(const struct far *f, uint64_t revision, struct invoker_load *ret)
{
    (void)revision;
    *ret = f->load;
}

unsigned far_busy(const struct far *f)
{
    return (unsigned)f->call_count;
}

int64_t far_room_mb(const struct far *f)
{
    return f->hello.memory_max_mb;
}

void far_figures(struct far *f, void (*each)(void *arg, const struct container_figures *figures),
                 void *arg, struct node_figures *ret)
{
    const struct container_figures one = {.key = NR_STR("guest//fn"), .ready = 2, .memory_mb = 10};

    (void)f;
    each(arg, &one);
    *ret = (struct node_figures){.memory_max_mb = 1000, .containers = 2, .cpu_percent = 50};
}

void far_status(const struct far *f, const char *account, struct nr_buf *out)
{
    (void)account;
    nr_buf_printf(out, "{\"name\":\"%s\",\"up\":%s}", f->hello.name, f->up ? "true" : "false");
}

/* What had not started comes back from inside. */
void bounce_all(struct far *f)
{
    while (f->call_count > 0) {
        struct activation *a = f->calls[--f->call_count];

        a->i = I_IDLE;
        the->listener.bounced(the->listener.arg, f, a);
    }
}

void far_end(struct far *f)
{
    f->up = false;
    bounce_all(f);
    pay(f);
}

/* ---- the invoker of this process ---------------------------------------------------------------------------------- */

void invoker_run(struct invoker *v, struct activation *a)
{
    (void)v;
    a->i = I_BORROW;
    the->here[the->here_count++] = a;
}

void invoker_claimed(struct activation *a, int status)
{
    a->i = status == 0 ? I_INIT : I_END;
}

void invoker_cut(struct activation *a, int err)
{
    the->here_count--;
    activation_fail(a, err, "cut here");
    a->i = I_END;
    a->on_step(a);
}

void invoker_image(struct invoker *v, struct image_call *c)
{
    (void)v;
    the->images_here++;
    c->done(c);
}

bool invoker_serves(const struct invoker *v, uint64_t revision)
{
    (void)v;
    return the->served_here == revision;
}

const char *invoker_engine(const struct invoker *v)
{
    (void)v;
    return "";
}

int64_t invoker_function_peak_bytes(const struct invoker *v, const char *path)
{
    (void)v;
    assert_non_null(path);
    return 1;
}

void invoker_forget(struct invoker *v, uint64_t revision)
{
    (void)v;
    (void)revision;
}

void invoker_load(const struct invoker *v, uint64_t revision, struct invoker_load *ret)
{
    (void)v;
    (void)revision;
    *ret = the->load_here;
}

void invoker_loads(const struct invoker *v,
                   void (*each)(void *arg, const struct function *f,
                                const struct invoker_load *load),
                   void *arg)
{
    const struct invoker_load load = {.busy = (unsigned)the->here_count};

    (void)v;
    each(arg, &the->fn, &load);
}

bool invoker_ready(const struct invoker *v, char why[static INVOKER_WHY_BYTES])
{
    (void)v;
    (void)snprintf(why, INVOKER_WHY_BYTES, "ill");
    return !the->here_is_ill;
}

void invoker_wish(struct invoker *v, const struct scaler_wish *w)
{
    (void)v;
    the->wished_here = w->desired;
}

void invoker_know(struct invoker *v, struct function *f)
{
    (void)v;
    (void)f;
}

void invoker_forget_account(struct invoker *v, const char *account, void (*done)(void *arg),
                            void *arg)
{
    (void)v;
    (void)account;
    done(arg);
}

void invoker_figures(struct invoker *v, void (*each)(void *arg, const struct container_figures *f),
                     void *arg, struct node_figures *ret)
{
    const struct container_figures one = {.key = NR_STR("guest//fn"), .ready = 1, .memory_mb = 5};

    (void)v;
    each(arg, &one);
    *ret = (struct node_figures){.memory_max_mb = 500, .containers = 1, .cpu_percent = 20};
}

void invoker_status(struct invoker *v, const char *account, struct nr_buf *out)
{
    (void)v;
    (void)account;
    nr_buf_adds(out, "{\"name\":\"0\"}");
}

void invoker_metrics(struct invoker *v, struct nr_buf *out)
{
    (void)v;
    (void)out;
}

void invoker_drain(struct invoker *v, uint64_t max_ms, void (*done)(void *arg), void *arg)
{
    (void)v;
    (void)max_ms;
    done(arg);
}

unsigned invoker_left(const struct invoker *v)
{
    (void)v;
    return 0;
}

void invoker_close(struct invoker *v, void (*closed)(void *arg), void *arg)
{
    (void)v;
    closed(arg);
}
