/* A snapshot is made whole: parameters of packages and function merged once and split into those of every run and those of the start, annotations that mean something turned
 * into fields, the image of the kind filled in as the platform has it now.
 */
#include "fnmanager/functions/snapshot.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "fnmanager/functions/entity.h"
#include "fnmanager/accounts/grants_api.h"
#include "fnmanager/images/image_annotation.h"
#include "fnmanager/functions/kinds.h"
#include "fnmanager/functions/lifecycle.h"
#include "fnmanager/sealed.h"
#include "fnmanager/functions/sequence.h"
#include "ports/grants.h"

#define NO_MEMORY "There is no memory to load the function."

static char *joined(const char *a, const char *b, const char *c)
{
    size_t n = strlen(a) + strlen(b) + strlen(c) + 3;
    char *out = nr_alloc(n);

    (void)snprintf(out, n, "%s/%s%s%s", a, b, *b != '\0' ? "/" : "", c);
    return out;
}

/* Of several with a key the last one wins, whichever of both it is of. */
static int split_parameters(const json_t *all, struct function *f)
{
    nr_auto_json json_t *run = json_object();
    nr_auto_json json_t *init = json_object();
    size_t i;
    json_t *e;

    json_array_foreach(all, i, e) {
        bool at_init = json_is_true(json_object_get(e, "init"));
        const char *key = json_string_value(json_object_get(e, "key"));

        (void)json_object_del(run, key);
        (void)json_object_del(init, key);
        (void)json_object_set(at_init ? init : run, key, json_object_get(e, "value"));
    }
    f->parameters = nr_json_text(run, NULL);
    f->init_parameters = nr_json_text(init, NULL);
    return f->parameters != NULL && f->init_parameters != NULL ? 0 : NR_ENOMEM;
}

/* Grants are for an account's own code: of another's nobody knows what it does with them, and the owner's are for his calls only. */
static int refuse_foreign(const struct function *f, const json_t *annotations, struct nr_err *err)
{
    struct grants *share = NULL;

    if (grants_for_function(NULL, annotations, false, &share, NULL) == 0)
        return 0;
    return nr_err_set(
        err, NR_EFORBIDDEN,
        "The function '%s' asks for a volume or a device; such a function can only be "
        "called by the account that it belongs to.",
        f->path);
}

/* What was asked for when the function was stored may have been taken away since: then it does not run. */
static int set_grants(struct fnmanager *m, const struct place *p, const char *stored,
                      struct function *f, struct nr_err *err)
{
    nr_auto_json json_t *annotations = nr_json_parse(nr_str_of(stored), NULL);
    struct grants *has = NULL;
    int r;

    if (place_is_foreign(p))
        return refuse_foreign(f, annotations, err);
    r = grants_of_account(m, p->key.account, &has, err);
    if (r == 0)
        r = grants_for_function(has, annotations, f->network == FN_NET_EGRESS, &f->grants, err);
    grants_unref(has);
    return r;
}

static int set_image(struct fnmanager *m, const struct fn_row *row, struct function *f,
                     bool *ret_native, struct nr_err *err)
{
    const struct runtime_kind *kind;

    *ret_native = false;
    if (strcmp(row->kind, KIND_SEQUENCE) == 0) {
        f->image = nr_strdup("");
        return 0;
    }
    if (strcmp(row->kind, KIND_BLACKBOX) == 0) {
        *ret_native = kinds_image_is_native(row->image);
        f->relay = !*ret_native;
        nr_auto_free char *pin =
            f->relay ? image_pin_of(nr_str_of(row->annotations)) : nr_strdup("");

        f->image = nr_strdup(!f->relay ? m->native_image : pin[0] ? pin : row->image);
        return 0;
    }
    if ((kind = kinds_resolve(m->config.kinds, row->kind, err)) == NULL)
        return NR_EINVAL;
    if (kind->deprecated)
        return kinds_judge(m->config.kinds, kind->kind, err);
    f->image = nr_strdup(kind->image);
    return 0;
}

static int set_steps(const struct fn_row *row, struct function *f, struct nr_err *err)
{
    struct sequence s;
    int r = sequence_load(row->components, &s, err);

    if (r < 0) {
        sequence_fini(&s);
        return r;
    }
    f->steps = s.step;
    f->step_count = s.count;
    return 0;
}

static void set_limits(const struct fn_row *row, struct function *f)
{
    struct nr_buf text;

    nr_buf_init(&text, 512);
    entity_write_limits(&row->limits, &text);
    f->limits = nr_buf_detach(&text, NULL);
    nr_buf_fini(&text);
    f->timeout_ms = row->limits.timeout_ms;
    f->memory_mb = row->limits.memory_mb;
    f->log_max_bytes = row->limits.logs_mb << 20;
    f->concurrency = (int)row->limits.concurrency;
    f->instances = row->limits.instances > 0 ? row->limits.instances : 0;
}

/* A window whose end is due but not yet told is over: nobody is held for it. */
static uint32_t hold_of(const struct fn_row *row)
{
    bool open = row->state == FN_UPDATING && row->deadline_ms > nr_wall_ms();

    return open ? (uint32_t)row->hold_ms : 0;
}

static char *text_of(struct nr_str s)
{
    return s.n != 0 ? nr_strndup(s.p, s.n) : nr_strdup("");
}

/* Who calls what by which names, and whose code it is. */
static void set_names(const struct place *p, struct function *f)
{
    nr_auto_free char *owner = text_of(p->key.account), *package = text_of(p->key.package);
    nr_auto_free char *space = text_of(p->asked.space), *asked = text_of(p->asked.package);

    f->account = text_of(p->asked.caller);
    f->package = text_of(p->asked.package);
    f->name = text_of(p->asked.name);
    f->path = joined(owner, package, f->name);
    f->binding = place_is_bound(p) ? joined(space, "", asked) : nr_strdup("");
}

/* What packages bind makes it a function of its own; the key of who calls is not for another account's code. */
static int set_bound(struct fnmanager *m, const struct place *p, const struct fn_row *row,
                     struct function *f, struct nr_err *err)
{
    nr_auto_free char *bound = place_bound(p);
    nr_auto_json json_t *all = NULL;
    int r = 0;

    if (bound == NULL)
        return nr_err_set(err, NR_ENOMEM, NO_MEMORY);
    f->revision = place_revision(m, p, bound, row->revision);
    f->stored = row->revision;
    f->provide_api_key &= !place_is_foreign(p);
    /* A sequence's one parameter only tells what its components are. */
    if (f->steps == NULL)
        r = place_opened(m, p, row->parameters, &all, err);
    if (r == 0 && (r = split_parameters(all, f)) < 0)
        r = nr_err_set(err, r, NO_MEMORY);
    sealed_forget(all);
    return r;
}

static int fill(struct fnmanager *m, const struct place *p, const struct fn_row *row,
                struct function *f, struct nr_err *err)
{
    bool native;
    int r;

    set_names(p, f);
    f->published = row->number;
    f->state = row->state;
    f->reason = nr_strdup(row->reason);
    f->hold_ms = hold_of(row);
    f->version = nr_strdup(row->version);
    f->kind = nr_strdup(row->kind);
    f->main = nr_strdup(row->main);
    f->binary = row->binary;
    f->file = nr_strdup(row->file);
    f->code_path =
        row->file[0] != '\0' ? storage_path(&m->storage, row->folder, row->file) : nr_strdup("");
    f->code_bytes = row->code_bytes;
    memcpy(f->sha256, row->sha256, sizeof(f->sha256));
    set_limits(row, f);
    if ((r = set_steps(row, f, err)) < 0 || (r = set_image(m, row, f, &native, err)) < 0)
        return r;
    snapshot_annotations(row->annotations, native, f);
    f->labelled = m->config.label && snapshot_has_label(row->annotations, m->config.label);
    if (lifecycle_may_run(f->state, NULL) == 0 &&
        (r = set_grants(m, p, row->annotations, f, err)) < 0)
        return r;
    if ((r = set_bound(m, p, row, f, err)) < 0)
        return r;
    if (f->limits == NULL || snapshot_final(row->annotations, f) < 0)
        return nr_err_set(err, NR_ENOMEM, NO_MEMORY);
    return 0;
}

int snapshot_make(struct fnmanager *m, const struct place *p, const struct fn_row *row,
                  struct function **ret, struct nr_err *err)
{
    struct function *f = nr_alloc(sizeof(*f));
    int r;

    atomic_init(&f->refs, 1);
    r = fill(m, p, row, f, err);
    if (r == 0)
        *ret = f;
    else
        function_unref(f);
    return r;
}
