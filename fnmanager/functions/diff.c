/* Settings are laid out flat, path by path ("limits.memory", "parameters.city"), and the two lists are walked side by side; so are the
 * files. The one file of a plain source is a list of one. Uploads with the same hash have the same files and are not opened.
 */
#include "fnmanager/functions/diff.h"

#include "common/base/json.h"
#include "fnmanager/storage/archive_list.h"
#include "fnmanager/sealed.h"

struct setting {
    char *path;
    json_t *value;
    bool secret;
};
struct settings {
    struct setting *item;
    size_t n;
};

static void settings_fini(struct settings *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->item[i].path);
        if (l->item[i].secret)
            sealed_forget_value(l->item[i].value);
        json_decref(l->item[i].value);
    }
    free(l->item);
}

static void add(struct settings *l, const char *group, const char *key, json_t *value)
{
    struct setting *grown = nr_try_realloc(l->item, (l->n + 1) * sizeof(*grown));
    size_t n = strlen(group) + strlen(key) + 1;

    if (grown == NULL) {
        json_decref(value);
        return;
    }
    l->item = grown;
    grown[l->n] = (struct setting){nr_alloc(n), value, false};
    (void)snprintf(grown[l->n++].path, n, "%s%s", group, key);
}

/* A secret that does not open is compared as it is stored. */
static void add_parameters(const struct diff_order *d, const char *text, struct settings *l)
{
    nr_auto_json json_t *all = nr_json_parse(nr_str_of(text), NULL);
    size_t i;
    json_t *e;

    json_array_foreach(all, i, e) {
        nr_auto_json json_t *one = json_pack("[O]", e);
        bool secret = entity_is_sealed(e);

        (void)sealed_open(d->secrets, d->account, one, NULL);
        add(l, "parameters.", nr_json_string(e, "key"), json_incref(json_object_get(e, "value")));
        if (l->n > 0)
            l->item[l->n - 1].secret = secret;
    }
}

static void add_array(struct settings *l, const char *group, const char *text)
{
    nr_auto_json json_t *all = nr_json_parse(nr_str_of(text), NULL);
    size_t i;
    json_t *e;

    json_array_foreach(all, i, e) {
        const char *key = json_string_value(json_object_get(e, "key"));
        if (key != NULL)
            add(l, group, key, json_incref(json_object_get(e, "value")));
    }
}

static int by_path(const void *a, const void *b)
{
    const struct setting *x = a, *y = b;

    return strcmp(x->path, y->path);
}

static void flatten(const struct diff_order *d, const struct fn_row *row, struct settings *l)
{
    const struct {
        const char *path;
        const char *text;
    } texts[] = {{"kind", row->kind}, {"image", row->image}, {"main", row->main}};
    const struct {
        const char *path;
        int64_t value;
    } limits[] = {{"timeout", row->limits.timeout_ms},
                  {"memory", row->limits.memory_mb},
                  {"logs", row->limits.logs_mb},
                  {"concurrency", row->limits.concurrency},
                  {"instances", row->limits.instances}};

    for (size_t i = 0; i < nr_countof(texts); i++) {
        if (texts[i].text[0] != '\0')
            add(l, "", texts[i].path, json_string(texts[i].text));
    }
    for (size_t i = 0; i < nr_countof(limits); i++) {
        if (limits[i].value >= 0)
            add(l, "limits.", limits[i].path, json_integer(limits[i].value));
    }
    if (row->components[0] != '\0') /* its one parameter says the same */
        add(l, "", "components", nr_json_parse(nr_str_of(row->components), NULL));
    else
        add_parameters(d, row->parameters, l);
    add_array(l, "annotations.", row->annotations);
    if (l->n > 0)
        qsort(l->item, l->n, sizeof(*l->item), by_path);
}

static void write_value(const struct setting *s, struct nr_buf *out)
{
    nr_auto_free char *text = s != NULL && !s->secret ? nr_json_text(s->value, NULL) : NULL;

    if (s != NULL && s->secret)
        nr_buf_adds(out, "{\"encryption\":\"" ENTITY_ENCRYPTION "\"}");
    else
        nr_buf_adds(out, text != NULL ? text : "null");
}

static void write_setting(const struct setting *from, const struct setting *to,
                          const char **between, struct nr_buf *out)
{
    if (from != NULL && to != NULL && from->secret == to->secret &&
        json_equal(from->value, to->value))
        return;
    nr_buf_adds(out, *between);
    nr_buf_adds(out, "{\"path\":");
    nr_buf_json(out, nr_str_of(from != NULL ? from->path : to->path));
    nr_buf_adds(out, ",\"from\":");
    write_value(from, out);
    nr_buf_adds(out, ",\"to\":");
    write_value(to, out);
    nr_buf_addc(out, '}');
    *between = ",";
}

static void write_settings(const struct diff_order *d, struct nr_buf *out)
{
    struct settings a = {0}, b = {0};
    const char *between = "";
    size_t i = 0, k = 0;

    flatten(d, d->from, &a);
    flatten(d, d->to, &b);
    nr_buf_adds(out, "\"settings\":[");
    while (i < a.n || k < b.n) {
        int r = i == a.n ? 1 : k == b.n ? -1 : strcmp(a.item[i].path, b.item[k].path);
        write_setting(r <= 0 ? &a.item[i] : NULL, r >= 0 ? &b.item[k] : NULL, &between, out);
        i += r <= 0;
        k += r >= 0;
    }
    nr_buf_addc(out, ']');
    settings_fini(&a);
    settings_fini(&b);
}

static int read_files(struct storage *s, const struct fn_row *row, struct archive_files *ret,
                      struct nr_err *err)
{
    nr_auto_free char *bytes = NULL;
    struct nr_str text;
    int r;

    if (row->file[0] == '\0')
        return 0;
    if ((r = storage_read(s, row->folder, row->file, row->code_bytes, row->sha256, &bytes, err)) <
        0)
        return r;
    text = (struct nr_str){bytes, (size_t)row->code_bytes};
    enum archive_format format = row->binary ? archive_format_of(text) : ARCHIVE_NONE;
    if (format != ARCHIVE_NONE)
        return archive_list(text, format, ret, err);
    ret->item = nr_alloc(sizeof(*ret->item));
    ret->item[0] = (struct archive_file){.path = nr_strdup(row->file), .bytes = row->code_bytes};
    memcpy(ret->item[0].sha256, row->sha256, sizeof(row->sha256));
    ret->n = 1;
    return 0;
}

static void write_file(const struct archive_file *from, const struct archive_file *to,
                       const char **between, struct nr_buf *out)
{
    if (from != NULL && to != NULL && memcmp(from->sha256, to->sha256, sizeof(to->sha256)) == 0)
        return;
    nr_buf_adds(out, *between);
    nr_buf_adds(out, "{\"path\":");
    nr_buf_json(out, nr_str_of(from != NULL ? from->path : to->path));
    nr_buf_printf(out, ",\"change\":\"%s\"",
                  from == NULL ? "added"
                  : to == NULL ? "removed"
                               : "changed");
    if (from != NULL)
        nr_buf_printf(out, ",\"from_bytes\":%lld", (long long)from->bytes);
    if (to != NULL)
        nr_buf_printf(out, ",\"to_bytes\":%lld", (long long)to->bytes);
    nr_buf_addc(out, '}');
    *between = ",";
}

static void write_files(const struct archive_files *a, const struct archive_files *b,
                        struct nr_buf *out)
{
    const char *between = "";
    size_t i = 0, k = 0;

    nr_buf_adds(out, ",\"files\":[");
    while (i < a->n || k < b->n) {
        int r = i == a->n ? 1 : k == b->n ? -1 : strcmp(a->item[i].path, b->item[k].path);
        write_file(r <= 0 ? &a->item[i] : NULL, r >= 0 ? &b->item[k] : NULL, &between, out);
        i += r <= 0;
        k += r >= 0;
    }
    nr_buf_addc(out, ']');
}

/* Path names of archives are bytes; what is no UTF-8 cannot be said in JSON. */
static void make_sayable(struct archive_files *l)
{
    for (size_t i = 0; i < l->n; i++) {
        for (char *p = l->item[i].path; !nr_utf8_valid(nr_str_of(l->item[i].path)) && *p != '\0';
             p++) {
            if ((unsigned char)*p >= 0x80)
                *p = '?';
        }
    }
}

int diff_write(const struct diff_order *d, struct nr_buf *out, struct nr_err *err)
{
    const struct fn_row *from = d->from, *to = d->to;
    bool same = strcmp(from->file, to->file) == 0 &&
                memcmp(from->sha256, to->sha256, sizeof(to->sha256)) == 0;
    struct archive_files a = {0}, b = {0};
    int r = same ? 0 : read_files(d->storage, from, &a, err);

    if (r == 0 && !same)
        r = read_files(d->storage, to, &b, err);
    if (r == 0) {
        make_sayable(&a);
        make_sayable(&b);
        write_settings(d, out);
        write_files(&a, &b, out);
    }
    archive_files_fini(&a);
    archive_files_fini(&b);
    return r;
}
