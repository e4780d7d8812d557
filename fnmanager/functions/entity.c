/* Exactly the fields that clients know, in compact JSON: validators of clients refuse others. */
#include "fnmanager/functions/entity.h"

#include "fnmanager/entities/entity_body.h"
#include "fnmanager/functions/lifecycle.h"
#include "ports/fnmanager.h"

void entity_write_limits(const struct fn_limits *l, struct nr_buf *out)
{
    nr_buf_printf(out, "{\"timeout\":%lld,\"memory\":%lld,\"logs\":%lld,\"concurrency\":%lld",
                  (long long)l->timeout_ms, (long long)l->memory_mb, (long long)l->logs_mb,
                  (long long)l->concurrency);
    if (l->instances >= 0)
        nr_buf_printf(out, ",\"instances\":%lld", (long long)l->instances);
    nr_buf_addc(out, '}');
}

/* The stored ones, and what this API has no field for: the state when it is not LATEST, and the newest version that was published. */
static void write_annotations(const struct entity_item *i, struct nr_buf *out)
{
    const char *between = i->annotations.n > 2 ? "," : ""; /* "[]" is empty */

    nr_buf_add(out, i->annotations.p, i->annotations.n - 1);
    if (i->state != FN_LATEST) {
        nr_buf_printf(out, "%s{\"key\":\"" ENTITY_STATE "\",\"value\":\"%s\"}", between,
                      lifecycle_name(i->state));
        between = ",";
    }
    if (i->newest > 0)
        nr_buf_printf(out, "%s{\"key\":\"" ENTITY_PUBLISHED "\",\"value\":%lld}", between,
                      (long long)i->newest);
    nr_buf_addc(out, ']');
}

/* What a list item and the whole entity begin with; the object stays open. */
static void write_common(const struct entity_item *i, struct nr_buf *out)
{
    nr_buf_adds(out, "{\"namespace\":");
    entity_write_namespace(i->account, i->package, out);
    nr_buf_adds(out, ",\"name\":");
    nr_buf_json(out, i->name);
    nr_buf_adds(out, ",\"version\":");
    nr_buf_json(out, i->version);
    nr_buf_printf(out, ",\"publish\":%s,\"updated\":%lld,\"annotations\":",
                  i->publish ? "true" : "false", (long long)i->updated_ms);
    write_annotations(i, out);
    nr_buf_adds(out, ",\"limits\":");
    entity_write_limits(&i->limits, out);
}

void entity_write_item(const struct entity_item *item, struct nr_buf *out)
{
    write_common(item, out);
    nr_buf_printf(out, ",\"exec\":{\"binary\":%s}}", item->binary ? "true" : "false");
}

static void write_member(const char *head, const char *text, struct nr_buf *out)
{
    if (*text == '\0')
        return;
    nr_buf_adds(out, head);
    nr_buf_json(out, nr_str_of(text));
}

void entity_write_head(struct fn_key key, const struct fn_row *row, bool with_code,
                       struct nr_buf *out)
{
    struct entity_item common = {
        .account = key.account,
        .package = key.package,
        .name = key.name,
        .version = nr_str_of(row->version),
        .publish = row->publish,
        .annotations = nr_str_of(row->annotations),
        .limits = row->limits,
        .updated_ms = row->updated_ms,
        .state = row->state,
        .newest = row->newest,
    };

    write_common(&common, out);
    nr_buf_adds(out, ",\"parameters\":");
    nr_buf_adds(out, row->parameters);
    nr_buf_adds(out, ",\"exec\":{\"kind\":");
    nr_buf_json(out, nr_str_of(row->kind));
    if (row->components[0] != '\0') {
        nr_buf_adds(out, ",\"components\":");
        nr_buf_adds(out, row->components);
        return;
    }
    write_member(",\"image\":", row->image, out);
    write_member(",\"main\":", row->main, out);
    nr_buf_printf(out, ",\"binary\":%s%s", row->binary ? "true" : "false",
                  with_code ? ",\"code\":" : "");
}

void entity_write_tail(struct nr_buf *out)
{
    nr_buf_adds(out, "}}");
}
