/* A snapshot is made whole: parameters split into those of every run and those of the start, annotations that mean something turned
 * into fields, the image of the kind filled in as the platform has it now. The file's hash is checked before anybody may run it.
 */
#include "fnmanager/resolve.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "fnmanager/entity.h"
#include "fnmanager/grants_api.h"
#include "fnmanager/image_annotation.h"
#include "fnmanager/kinds.h"
#include "fnmanager/lifecycle.h"
#include "fnmanager/settings.h"
#include "fnmanager/metadata_aliases.h"
#include "ports/grants.h"

static char *joined(const char *a, const char *b, const char *c)
{
    size_t n = strlen(a) + strlen(b) + strlen(c) + 3;
    char *out = nr_alloc(n);

    (void)snprintf(out, n, "%s/%s%s%s", a, b, *b != '\0' ? "/" : "", c);
    return out;
}

/* The value of an annotation, lent; NULL when there is none. */
static const json_t *annotation(const json_t *annotations, const char *key)
{
    size_t i;
    json_t *e;

    json_array_foreach(annotations, i, e) {
        if (strcmp(json_string_value(json_object_get(e, "key")), key) == 0)
            return json_object_get(e, "value");
    }
    return NULL;
}

/* As clients write truth: true, a number other than 0, a text that is neither empty nor "false", anything else but null. */
static bool is_truthy(const json_t *j)
{
    if (j == NULL || json_is_null(j) || json_is_false(j))
        return false;
    if (json_is_number(j))
        return json_number_value(j) < 0 || json_number_value(j) > 0;
    if (json_is_string(j))
        return *json_string_value(j) != '\0' && strcmp(json_string_value(j), "false") != 0;
    return true;
}

static int split_parameters(const char *stored, struct function *f)
{
    nr_auto_json json_t *all = nr_json_parse(nr_str_of(stored), NULL);
    nr_auto_json json_t *run = json_object();
    nr_auto_json json_t *init = json_object();
    size_t i;
    json_t *e;

    if (all == NULL)
        return NR_ENOMEM;
    json_array_foreach(all, i, e) {
        json_t *into = json_is_true(json_object_get(e, "init")) ? init : run;
        (void)json_object_set(into, json_string_value(json_object_get(e, "key")),
                              json_object_get(e, "value"));
    }
    f->parameters = nr_json_text(run, NULL);
    f->init_parameters = nr_json_text(init, NULL);
    return f->parameters != NULL && f->init_parameters != NULL ? 0 : NR_ENOMEM;
}

static void read_annotations(const char *stored, bool native, struct function *f)
{
    nr_auto_json json_t *all = nr_json_parse(nr_str_of(stored), NULL);
    const char *network = json_string_value(annotation(all, "narae.network"));
    const char *exec = json_string_value(annotation(all, "narae.exec"));

    f->network = network != NULL && strcmp(network, "none") == 0 ? FN_NET_NONE : FN_NET_EGRESS;
    f->exec = nr_strdup(!native ? "" : exec != NULL ? exec : "once");
    f->provide_api_key = is_truthy(annotation(all, "provide-api-key"));
    struct settings s = {.cpus_milli = 0};

    (void)settings_read(all, &s, NULL); /* checked when it was stored */
    f->cpus_milli = s.cpus_milli;
    f->cpu_share = s.cpu_share;
    f->gpu = s.gpu;
}

/* What was asked for when the function was stored may have been taken away since: then it does not run. */
static int set_grants(struct fnmanager *m, struct fn_key key, const char *stored,
                      struct function *f, struct nr_err *err)
{
    nr_auto_json json_t *annotations = nr_json_parse(nr_str_of(stored), NULL);
    struct grants *has = NULL;
    int r = grants_of_account(m, key.account, &has, err);

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
    f->image = nr_strdup(kind->image);
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

static int fill(struct fnmanager *m, struct fn_key key, const struct fn_row *row,
                struct function *f, struct nr_err *err)
{
    bool native;
    int r;

    f->revision = row->revision;
    f->published = row->number;
    f->state = row->state;
    f->reason = nr_strdup(row->reason);
    f->hold_ms = hold_of(row);
    f->account = nr_strndup(key.account.p, key.account.n);
    f->package = key.package.n != 0 ? nr_strndup(key.package.p, key.package.n) : nr_strdup("");
    f->name = nr_strndup(key.name.p, key.name.n);
    f->path = joined(f->account, f->package, f->name);
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
    if ((r = set_image(m, row, f, &native, err)) < 0)
        return r;
    read_annotations(row->annotations, native, f);
    if (lifecycle_may_run(f->state, NULL) == 0 &&
        (r = set_grants(m, key, row->annotations, f, err)) < 0)
        return r;
    if ((r = split_parameters(row->parameters, f)) < 0 || f->limits == NULL)
        return nr_err_set(err, NR_ENOMEM, "There is no memory to load the function.");
    return 0;
}

/* No such version of a function: which of the two is missing? */
static int refuse_unknown(struct fnmanager *m, struct fn_key key, struct nr_err *err,
                          const char *what, struct nr_str which)
{
    struct fn_row row = {0};
    int r = metadata_load(m->db, key, &row);

    fn_row_fini(&row);
    if (r == NR_ENOENT)
        return nr_err_set(err, r, TEXT_NOT_FOUND);
    if (r < 0)
        return nr_err_set(err, r, TEXT_INTERNAL);
    return nr_err_set(err, NR_ENOENT, "The function has no %s %.*s.", what, (int)which.n, which.p);
}

int function_resolve(struct fnmanager *m, struct fn_key key, int64_t number, struct function **ret,
                     struct nr_err *err)
{
    struct fn_row row = {0};
    struct function *f;
    char text[24];
    int r = metadata_load_version(m->db, key, number, &row);

    if (r == NR_ENOENT && number != 0) {
        (void)snprintf(text, sizeof(text), "%lld", (long long)number);
        return refuse_unknown(m, key, err, "version", nr_str_of(text));
    }
    if (r < 0)
        return nr_err_set(err, r, "%s", r == NR_ENOENT ? TEXT_NOT_FOUND : TEXT_INTERNAL);
    if (lifecycle_may_run(row.state, NULL) == 0)
        r = storage_verify(&m->storage, &row, err);
    if (r == 0) {
        f = nr_alloc(sizeof(*f));
        atomic_init(&f->refs, 1);
        r = fill(m, key, &row, f, err);
        if (r == 0)
            *ret = f;
        else
            function_unref(f);
    }
    fn_row_fini(&row);
    return r;
}

int alias_resolve(struct fnmanager *m, struct fn_key key, struct nr_str alias,
                  struct alias_split *ret, struct nr_err *err)
{
    int r = metadata_alias(m->db, key, alias, ret);

    if (r == NR_ENOENT)
        return refuse_unknown(m, key, err, "alias", alias);
    return r < 0 ? nr_err_set(err, r, TEXT_INTERNAL) : 0;
}

struct function *fnmanager_function(struct fnmanager *m, const char *account, const char *package,
                                    const char *name)
{
    const struct fn_key key = {nr_str_of(account), nr_str_of(package), nr_str_of(name)};
    struct function *f = NULL;

    if (function_resolve(m, key, 0, &f, NULL) == 0 && lifecycle_may_run(f->state, NULL) == 0)
        return f;
    function_unref(f);
    return NULL;
}
