/* A version's settings are given to the parser and the merger of PUT, so that no archive brings what a client could not have sent. Its state,
 * number and code come from the archive's own fields.
 */
#include "fnmanager/archive/import_parse.h"

#include "fnmanager/functions/aliases.h"
#include "fnmanager/fields.h"
#include "fnmanager/functions/lifecycle.h"
#include "fnmanager/functions/merge.h"

#define NAME_MAX_BYTES 256
#define TEXT_MAX_BYTES 4096
/* Of publications: as many may follow as any function has ever had. */
#define PUBLISHED_MAX (INT32_MAX / 2)

void imported_fini(struct imported *i)
{
    whole_function_fini(&i->f);
    free(i->folder);
    free(i->of);
    *i = (struct imported){0};
}

static char *text_of(const json_t *o, const char *key)
{
    const char *text = nr_json_string(o, key);

    return nr_strndup(text != NULL ? text : "", TEXT_MAX_BYTES);
}

static int name_of(const json_t *o, const char *key, bool needed, char **ret, struct nr_err *err)
{
    const char *name = nr_json_string(o, key);

    if (name == NULL || (*name == '\0' && needed) || strlen(name) > NAME_MAX_BYTES ||
        (*name != '\0' && entity_name_check(nr_str_of(name), NULL) != 0))
        return nr_err_set(err, NR_EINVAL, "a function has no valid '%s'", key);
    *ret = nr_strdup(name);
    return 0;
}

/* The body that a PUT of this version would have; its code comes later. */
static int parse_action(const json_t *v, const struct runtime_kind *kinds,
                        const struct import_limits *limits, struct imported *i, struct fn_row *row,
                        const char **ret_extension, struct nr_err *err)
{
    nr_auto_json json_t *action = json_deep_copy(json_object_get(v, "action"));
    struct action_body body = {.image = "", .main = ""};
    int r = NR_EINVAL;

    if (json_is_true(json_object_get(v, "has_code")))
        (void)json_object_set_new(json_object_get(action, "exec"), "code", json_string("# code"));
    nr_auto_free char *text = action ? nr_json_text(action, NULL) : NULL;

    if (text == NULL)
        return nr_err_set(err, NR_EINVAL, "A version has no 'action'.");
    if ((r = action_body_parse(nr_str_of(text), kinds, &limits->ranges, &body, err)) == 0 &&
        (r = sealed_take(limits->secrets, limits->account, body.parameters, &i->lost, err)) == 0 &&
        (r = action_merge(&body, NULL, MOVE_UPDATE, row, err)) == 0)
        *ret_extension = body.extension;
    action_body_fini(&body);
    return r;
}

/* The file's name is one of the few that the platform gives. */
static bool file_is_good(const char *file, const char *extension)
{
    char source[16];

    (void)snprintf(source, sizeof(source), "code%.10s", extension != NULL ? extension : "");
    return strcmp(file, "exec") == 0 || strcmp(file, "code.zip") == 0 ||
           strcmp(file, "code.tgz") == 0 || (extension != NULL && strcmp(file, source) == 0);
}

static int parse_code(const json_t *code, const char *extension, struct imported *i, size_t *ret_of,
                      struct nr_err *err)
{
    const char *file = nr_json_string(code, "file"), *sha256 = nr_json_string(code, "sha256");
    struct imported_folder f = {.number = json_integer_value(json_object_get(code, "folder"))};
    struct code_upload *u = &f.upload;

    if (code == NULL || json_is_null(code))
        return 0;
    u->has_code = true;
    u->binary = json_is_true(json_object_get(code, "binary"));
    u->bytes = json_integer_value(json_object_get(code, "bytes"));
    if (file == NULL || !file_is_good(file, extension) || f.number < 1 || u->bytes < 0 ||
        u->bytes > CODE_MAX_BYTES || sha256 == NULL || strlen(sha256) != 2 * NR_SHA256_BYTES ||
        !nr_hex_decode(nr_str_of(sha256), u->sha256))
        return nr_err_set(err, NR_EINVAL, "What the archive says about its code cannot be.");
    (void)snprintf(u->file, sizeof(u->file), "%s", file);
    for (*ret_of = 1; *ret_of <= i->folders; (*ret_of)++) {
        const struct imported_folder *have = &i->folder[*ret_of - 1];
        if (have->number != f.number)
            continue;
        return strcmp(have->upload.file, u->file) == 0 && have->upload.bytes == u->bytes &&
                       memcmp(have->upload.sha256, u->sha256, sizeof(u->sha256)) == 0
                   ? 0
                   : nr_err_set(err, NR_EINVAL, "Two versions name the same code differently.");
    }
    i->folder[i->folders++] = f;
    return 0;
}

/* The state by its very name, and what an unblocking gives back: no version comes to be in a state that no move leads to. */
static bool read_states(const json_t *v, struct fn_row *row)
{
    const enum function_state home = row->number == 0 ? FN_LATEST : FN_PUBLISHED;
    const char *state = nr_json_string(v, "state"), *before = nr_json_string(v, "state_before");

    row->state = lifecycle_of_name(state != NULL ? state : "");
    row->state_before = home;
    if (state == NULL || strcmp(state, lifecycle_name(row->state)) != 0)
        return false;
    if (row->state == FN_BLOCKED)
        return before != NULL && strcmp(before, lifecycle_name(home)) == 0;
    return row->state == home || row->state == FN_RETIRED;
}

static int parse_version(const json_t *v, const struct runtime_kind *kinds,
                         const struct import_limits *limits, struct imported *i, size_t at,
                         struct nr_err *err)
{
    struct fn_row *row = &i->f.version[at];
    const char *extension = NULL;
    int r = parse_action(v, kinds, limits, i, row, &extension, err);

    if (r < 0)
        return r;
    row->number = json_integer_value(json_object_get(v, "number"));
    free(row->reason);
    free(row->note);
    row->reason = text_of(v, "reason");
    row->note = text_of(v, "note");
    row->updated_ms = json_integer_value(json_object_get(v, "updated_ms"));
    if ((at == 0) != (row->number == 0) || (at > 0 && row->number <= row[-1].number) ||
        row->number > i->f.published || row->updated_ms < 0 || !read_states(v, row))
        return nr_err_set(err, NR_EINVAL,
                          "Its version %lld cannot be: numbers and states do not fit.",
                          (long long)row->number);
    return parse_code(json_object_get(v, "code"), extension, i, &i->of[at], err);
}

static bool has_version(const struct whole_function *f, int64_t number)
{
    for (size_t i = 1; i < f->versions; i++) {
        if (f->version[i].number == number)
            return true;
    }
    return false;
}

static int parse_alias(const json_t *o, struct whole_function *f, struct nr_err *err)
{
    struct alias_row *a = &f->aliases.item[f->aliases.n];
    struct nr_err why = {0};
    int r = name_of(o, "name", true, &a->name, err);

    if (r < 0)
        return r;
    f->aliases.n++;
    a->history = nr_strdup("");
    a->is_protected = json_is_true(json_object_get(o, "protected"));
    if (alias_weights_read(json_object_get(o, "weights"), &a->split, &why) < 0)
        return nr_err_set(err, NR_EINVAL, "Its alias '%s' cannot be: %s", a->name, why.text);
    for (size_t i = 0; i < a->split.n; i++) {
        if (!has_version(f, a->split.part[i].version))
            return nr_err_set(err, NR_EINVAL,
                              "Its alias '%s' points to version %lld, which is missing.", a->name,
                              (long long)a->split.part[i].version);
    }
    return 0;
}

static int parse_lists(const json_t *o, const struct runtime_kind *kinds,
                       const struct import_limits *limits, struct imported *i, struct nr_err *err)
{
    const json_t *versions = json_object_get(o, "versions"),
                 *aliases = json_object_get(o, "aliases");
    size_t n = json_array_size(versions), m = json_array_size(aliases);
    int r = 0;

    if (n == 0 || n > IMPORT_VERSIONS_MAX || m > ALIASES_MAX)
        return nr_err_set(err, NR_EINVAL,
                          "It has %zu versions (allowed: 1 to %d) and %zu aliases (allowed: %d).",
                          n, IMPORT_VERSIONS_MAX, m, ALIASES_MAX);
    i->f.version = nr_try_alloc(n * sizeof(*i->f.version));
    i->folder = nr_try_alloc(n * sizeof(*i->folder));
    i->of = nr_try_alloc(n * sizeof(*i->of));
    i->f.aliases.item = nr_try_alloc((m + 1) * sizeof(*i->f.aliases.item));
    if (i->f.version == NULL || i->folder == NULL || i->of == NULL || i->f.aliases.item == NULL)
        return nr_err_set(err, NR_ENOMEM, "There is no memory to read it.");
    for (size_t at = 0; r == 0 && at < n; at++) {
        i->f.versions = at + 1;
        r = parse_version(json_array_get(versions, at), kinds, limits, i, at, err);
    }
    for (size_t at = 0; r == 0 && at < m; at++)
        r = parse_alias(json_array_get(aliases, at), &i->f, err);
    return r;
}

int imported_parse(struct nr_str text, const struct runtime_kind *kinds,
                   const struct import_limits *limits, struct imported *ret, struct nr_err *err)
{
    const int64_t built_bytes = (int64_t)nr_json_built_bytes(text);
    nr_auto_json json_t *o =
        built_bytes <= IMPORT_BUILT_MAX_BYTES ? nr_json_parse(text, err) : NULL;
    char *package = NULL;
    int r;

    if (built_bytes > IMPORT_BUILT_MAX_BYTES)
        return nr_err_set(err, NR_ETOOBIG, "the values of a function.json need %lld > %lld bytes",
                          (long long)built_bytes, IMPORT_BUILT_MAX_BYTES);
    if (o == NULL)
        return NR_EINVAL;
    if ((r = name_of(o, "package", false, &package, err)) < 0)
        return r;
    ret->f.package = package;
    if ((r = name_of(o, "name", true, &ret->f.name, err)) < 0)
        return r;
    ret->f.published = json_integer_value(json_object_get(o, "published"));
    if (ret->f.published < 0 || ret->f.published > PUBLISHED_MAX)
        return nr_err_set(err, NR_EINVAL, "Its count of publications cannot be (allowed: %d).",
                          PUBLISHED_MAX);
    return parse_lists(o, kinds, limits, ret, err);
}

struct imported_folder *imported_folder(struct imported *i, int64_t number, const char *file)
{
    for (size_t at = 0; at < i->folders; at++) {
        if (i->folder[at].number == number && strcmp(i->folder[at].upload.file, file) == 0)
            return &i->folder[at];
    }
    return NULL;
}

int imported_is_whole(struct imported *i, struct nr_err *err)
{
    for (size_t at = 0; at < i->f.versions; at++) {
        struct code_upload none = {.has_code = i->f.version[at].has_code};
        const struct code_upload *u = i->of[at] != 0 ? &i->folder[i->of[at] - 1].upload : &none;

        if (i->of[at] != 0 && u->number == 0)
            return nr_err_set(err, NR_EINVAL, "The archive lacks its code %s.", u->file);
        code_into_row(u, &i->f.version[at]);
    }
    return 0;
}
