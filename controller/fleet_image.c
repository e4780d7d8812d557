/* Images, asked of the fleet: of our own invoker where there is one, else of one of the others. Which host that is does not change while it is well, for
 * an answer may be about what an earlier question has brought there.
 */
#include <string.h>

#include "common/base/mem.h"
#include "controller/fleet.h"

struct asking {
    struct nr_mail mail;
    struct invokers *f;
    struct image_call *call;
};

/* The first by name that is well. NULL: none is. */
static struct far *host_of(const struct invokers *f)
{
    const struct fleet_host *first = NULL;

    for (size_t i = 0; i < f->host_count; i++) {
        const struct fleet_host *h = f->hosts[i];

        if (h->far && far_takes(h->far, false) && far_hello(h->far)->takes_images &&
            (first == NULL || strcmp(h->name, first->name) < 0))
            first = h;
    }
    return first ? first->far : NULL;
}

static void on_asked(struct nr_mail *m)
{
    struct asking *x = nr_container_of(m, struct asking, mail);
    struct image_call *c = x->call;
    struct far *far = x->f->closing ? NULL : host_of(x->f);
    char why[INVOKER_WHY_BYTES] = "none that is connected knows how to look for images";

    if (far) {
        far_image(far, c);
    } else {
        (void)invokers_ready(x->f, why);
        (void)nr_err_set(&c->err, x->f->closing ? NR_ESTOPPING : NR_EUNAVAIL,
                         "No invoker can be asked for images: %s.",
                         x->f->closing ? "the platform is stopping" : why);
        c->done(c);
    }
    free(x);
}

void invokers_image(struct invokers *f, struct image_call *c)
{
    if (f->local) {
        invoker_image(f->local, c);
        return;
    }
    struct asking *x = nr_alloc(sizeof(*x));

    *x = (struct asking){.mail.run = on_asked, .f = f, .call = c};
    nr_mailbox_post(f->loop, &x->mail);
}
