/* Images on another host: a question goes out as IMAGE, and what comes of it is put into the caller's struct. A list is read by a work thread, for it may be
 * long. A link that ends ends its questions: who asks may ask again.
 */
#include "invoker/far/far_state.h"

#include "common/base/clock.h"
#include "common/base/json.h"

/* How long an answer may take: of what the Engine knows itself, and of what registries are asked. */
enum { OWN_MS = 300000, REGISTRY_MS = 3600000 };

struct far_image {
    struct nr_link link; /* far.images */
    uint64_t number;
    struct far *f;
    struct far_listener *l;
    struct image_call *call;
    struct nr_deadline late;
    struct nr_work work; /* reads what was found */
    char *found;         /* made */
    size_t found_bytes;
};

static void fail(struct image_call *c, int code, const char *why)
{
    (void)nr_err_set(&c->err, code, "%s", why);
    c->done(c);
}

/* It is not f's any more. */
static void take_out(struct far_image *x)
{
    nr_deadline_cancel(&x->late);
    nr_list_del(&x->link);
    x->f->image_count--;
    x->f = NULL;
}

static void give_up(struct far_image *x, const char *why)
{
    struct image_call *c = x->call;

    take_out(x);
    free(x);
    fail(c, NR_EUNAVAIL, why);
}

static void on_late(struct nr_deadline *d)
{
    give_up(nr_container_of(d, struct far_image, late),
            "The invoker that was asked for the image has not answered in time.");
}

void far_images_drop(struct far *f)
{
    NR_LIST_EACH(&f->images, each)
        give_up(nr_container_of(each, struct far_image, link),
                "The invoker that was asked for the image was lost; try again.");
}

void far_image(struct far *f, struct image_call *c)
{
    const struct wire_image asked = {
        .op = c->op, .reference = nr_str_of(c->reference), .max_bytes = c->max_bytes};
    struct nr_buf meta;

    if (asked.reference.n > WIRE_REFERENCE_MAX_BYTES ||
        nr_str_of(c->auth).n > WIRE_AUTH_MAX_BYTES) {
        fail(c, NR_EINVAL,
             "The image reference, or what its registry is to be shown, is too long.");
        return;
    }
    if (f->link == NULL || !far_is_roomy(f) || !f->hello->takes_images) {
        fail(c, NR_EUNAVAIL, "The invoker that is asked for images is away, or too old for it.");
        return;
    }
    if (f->image_count >= WIRE_IMAGE_CALLS_MAX) {
        fail(c, NR_EUNAVAIL, "The invoker is looking for many images already; try again later.");
        return;
    }
    struct far_image *x = nr_alloc(sizeof(*x));

    *x = (struct far_image){
        .number = ++f->l->next_call, .f = f, .l = f->l, .call = c, .late.fire = on_late};
    nr_list_add(&f->images, &x->link);
    f->image_count++;
    nr_deadline_set(f->l->config.loop, &x->late,
                    c->op == IMAGE_ASK || c->op == IMAGE_PULL ? REGISTRY_MS : OWN_MS);
    nr_buf_init(&meta, WIRE_META_MAX_BYTES);
    wire_write(&wire_image_form, &asked, &meta);
    wire_send(f->link->s, &(struct wire_head){.type = WIRE_IMAGE, .call = x->number},
              nr_buf_str(&meta), nr_str_of(c->auth));
    nr_buf_fini(&meta);
}

/* ---- answers ---- */

static struct far_image *find(const struct far *f, uint64_t number)
{
    for (struct nr_link *it = f->images.next; it != &f->images; it = it->next) {
        struct far_image *x = nr_container_of(it, struct far_image, link);

        if (x->number == number)
            return x;
    }
    return NULL;
}

static int take_progress(struct far_link *link, const struct far_image *x,
                         const struct wire_frame *w)
{
    struct image_progress now = {0};
    struct nr_err err = {0};

    if (wire_read(&wire_progress_form, w->meta, &link->l->arena, &now, &err) < 0)
        return far_link_broken(link, "IMAGE_DONE: %s", err.text);
    if (x && x->call->progress)
        x->call->progress(x->call, &now);
    return 0;
}

static void put(struct nr_str text, char *out, size_t bytes)
{
    (void)snprintf(out, bytes, "%.*s", (int)text.n, text.n ? text.p : "");
}

static void take_done(struct image_call *c, const struct wire_image_done *said)
{
    put(said->id, c->id, sizeof(c->id));
    put(said->digest, c->digest, sizeof(c->digest));
    put(said->platform, c->platform, sizeof(c->platform));
    c->bytes = said->bytes;
    c->has_command = said->has_command;
    c->has_volumes = said->has_volumes;
    c->fits = said->fits;
    if (said->err)
        (void)nr_err_set(&c->err, (int)said->err, "%.*s", (int)said->why.n,
                         said->why.n ? said->why.p : "");
}

/* A work thread's. */
static void read_found(struct nr_work *w)
{
    struct far_image *x = nr_container_of(w, struct far_image, work);
    struct image_call *c = x->call;

    c->found = nr_json_parse((struct nr_str){x->found, x->found_bytes}, NULL);
    if (c->found == NULL && c->err.code == 0)
        (void)nr_err_set(&c->err, NR_EPROTO, "What the invoker has told of images is no JSON.");
    c->done(c);
}

static void on_read(struct nr_work *w)
{
    struct far_image *x = nr_container_of(w, struct far_image, work);
    struct far_listener *l = x->l;

    free(x->found);
    free(x);
    l->works--;
    far_listener_look_if_closed(l);
}

static void answer(struct far_image *x, struct nr_str found)
{
    struct image_call *c = x->call;

    take_out(x);
    x->found = found.n ? nr_try_alloc(found.n) : NULL;
    if (x->found == NULL) {
        free(x);
        if (found.n && c->err.code == 0)
            (void)nr_err_set(&c->err, NR_ENOMEM, "There is no memory for what was found.");
        c->done(c);
        return;
    }
    memcpy(x->found, found.p, found.n);
    x->found_bytes = found.n;
    x->work = (struct nr_work){.work = read_found, .done = on_read};
    x->l->works++;
    nr_work_post(x->l->config.loop, &x->work);
}

int far_on_image_done(struct far_link *link, const struct wire_frame *w)
{
    struct far_image *x = find(link->f, w->head.call);
    struct wire_image_done said = {0};
    struct nr_err err = {0};

    if (w->head.flags & WIRE_MORE)
        return take_progress(link, x, w);
    if (wire_read(&wire_image_done_form, w->meta, &link->l->arena, &said, &err) < 0)
        return far_link_broken(link, "IMAGE_DONE: %s", err.text);
    if (x == NULL)
        return 0; /* it was given up */
    take_done(x->call, &said);
    answer(x, w->raw);
    return 0;
}
