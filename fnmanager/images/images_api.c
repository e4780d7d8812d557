/* What is listed comes from three places: the registry (whose functions name which image), the Engine (which are on this host) and the
 * pulls under way.
 */
#include "fnmanager/images/images_api.h"

#include "common/base/json.h"
#include "fnmanager/images/images.h"
#include "fnmanager/manager.h"
#include "fnmanager/registry/metadata_images.h"

enum { REPLY_MAX_BYTES = 64 << 20 };

static bool is_admin(const struct fn_call *call)
{
    return (call->account->scopes & SCOPE_ADMIN) != 0;
}

static int give(struct fn_call *call, const json_t *o)
{
    size_t n = 0;
    nr_auto_free char *text = o ? nr_json_text(o, &n) : NULL;

    nr_buf_init(&call->reply, REPLY_MAX_BYTES);
    if (text == NULL)
        return nr_err_set(&call->err, NR_ENOMEM, "%s", TEXT_INTERNAL);
    nr_buf_add(&call->reply, text, n);
    return 0;
}

/* ---- list --------------------------------------------------------------------------------------------------- */

/* Every pin that the Engine's list has, as the keys of an object (made); NULL when the Engine does not say. */
static json_t *pins_here(struct fnmanager *m)
{
    struct image_call c = {.op = IMAGE_LIST};
    json_t *here = NULL, *image, *digest;
    size_t i, k;

    if (!images_are_possible(m) || images_ask(m, &c, NULL, NULL) < 0)
        return NULL;
    here = json_object();
    json_array_foreach(c.found, i, image) {
        const char *id = nr_json_string(image, "Id");

        if (id)
            (void)json_object_set_new(here, id, json_true());
        json_array_foreach(json_object_get(image, "RepoDigests"), k, digest) {
            if (json_is_string(digest))
                (void)json_object_set_new(here, json_string_value(digest), json_true());
        }
    }
    json_decref(c.found);
    return here;
}

static json_t *one_image(const char *pin, json_t *image, const json_t *here)
{
    const char *at = strchr(pin, '@');
    const char *state = here == NULL                 ? "unknown"
                        : json_object_get(here, pin) ? "present"
                                                     : "missing";

    return json_pack("{s:O, s:s, s:O, s:O, s:s, s:O}", "reference",
                     json_object_get(image, "reference"), "digest", at ? at + 1 : pin, "bytes",
                     json_object_get(image, "bytes"), "used_by", json_object_get(image, "used_by"),
                     "state", state, "pulled_ms", json_object_get(image, "pulled_ms"));
}

int image_list(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct nr_str whose =
        is_admin(call) ? (struct nr_str){NULL, 0} : nr_str_of(call->account->name);
    nr_auto_json json_t *all = NULL;
    nr_auto_json json_t *here = NULL;
    nr_auto_json json_t *out = json_pack("{s:[]}", "images");
    /* in the order in which an image goes from one to the next: what arrives meanwhile is told by one of them at least, and never as missing */
    nr_auto_json json_t *pulls = images_pulls(m, whose);
    json_t *list = json_object_get(out, "images"), *image;
    const char *pin;
    int r = metadata_images(m->db, whose, &all);

    *ret_old = 0;
    if (r < 0)
        return nr_err_set(&call->err, r, "%s", TEXT_INTERNAL);
    here = pins_here(m);
    json_object_foreach(all, pin, image)
        (void)json_array_append_new(list, one_image(pin, image, here));
    (void)json_array_extend(list, pulls);
    return give(call, out);
}

/* ---- pull --------------------------------------------------------------------------------------------------- */

/* A pull that goes on after its 202. */
struct pull_call {
    struct fn_call call;
    struct image_pull *pull;
    struct image_name name;
};

static void pull_done(struct fn_call *call)
{
    struct pull_call *p = nr_container_of(call, struct pull_call, call);

    account_unref(call->account);
    nr_buf_fini(&call->reply);
    free(p);
}

int image_pull_work(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct pull_call *p = nr_container_of(call, struct pull_call, call);
    nr_auto_free char *pin = NULL;

    *ret_old = 0;
    return images_pin_announced(m, p->pull, &p->name, &pin, &call->err);
}

static int begin(struct fnmanager *m, struct fn_call *call, const struct image_name *name)
{
    struct pull_call *p;
    struct image_pull *pull = NULL;
    int r = images_announce(m, call->account->name, name, &pull, &call->err);

    if (r < 0)
        return r;
    p = nr_alloc(sizeof(*p));
    p->pull = pull;
    p->name = *name;
    p->call = (struct fn_call){.op = FN_IMAGE_PULL_WORK,
                               .account = account_ref(call->account),
                               .loop = m->config.loop,
                               .done = pull_done};
    fnmanager_post(m, &p->call);
    return 0;
}

static int read_reference(struct fn_call *call, const json_t *body, const char **ret)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)body, key, value) {
        if (strcmp(key, "reference") != 0)
            return nr_err_set(&call->err, NR_EINVAL,
                              "There is no field '%.64s'; known is reference.", key);
    }
    *ret = nr_json_string(body, "reference");
    return *ret ? 0
                : nr_err_set(&call->err, NR_EINVAL,
                             "The body must be an object with a 'reference'.");
}

int image_pull(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    nr_auto_json json_t *body = nr_json_parse(call->body, NULL);
    nr_auto_json json_t *out = NULL;
    struct image_name name;
    const char *reference = NULL;
    int r = read_reference(call, body, &reference);

    *ret_old = 0;
    if (r < 0 || (r = image_name_parse(reference, &name, &call->err)) < 0 ||
        (r = registry_is_allowed(m, name.host, &call->err)) < 0)
        return r;
    if (!images_are_possible(m))
        return nr_err_set(&call->err, NR_EUNAVAIL, "This host has no Docker Engine.");
    if (!images_is_pulling(m, call->account->name, name.reference) &&
        (r = begin(m, call, &name)) < 0)
        return r;
    call->status = 202;
    out = json_pack("{s:s, s:s}", "reference", name.reference, "state", "pulling");
    return give(call, out);
}

/* ---- prune -------------------------------------------------------------------------------------------------- */

int image_prune(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    nr_auto_json json_t *out = NULL;
    int r;

    *ret_old = 0;
    if (!is_admin(call))
        return nr_err_set(&call->err, NR_EFORBIDDEN, TEXT_FORBIDDEN);
    r = images_prune(m, &out, &call->err);
    return r < 0 ? r : give(call, out);
}
