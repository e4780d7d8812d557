/* backup.json: by it a backup of another release is told before anything else of it is read. A release only adds to a schema, so an older backup
 * is brought up to date by the next start; one that is newer by a single step is served as naraed serves such a database; beyond that
 * it is refused.
 */
#include <string.h>

#include "cli/backup/backup.h"
#include "cli/terminal.h"
#include "common/base/clock.h"
#include "common/base/json.h"

enum { MADE_BYTES = 25 };

void backup_head_write(struct nr_buf *out, const int schema[3])
{
    char made[MADE_BYTES];
    int n = 0;

    nr_wall_text(nr_wall_ms(), made);
    nr_buf_printf(out,
                  "{\"form\":%d,\"release\":\"" NARAE_VERSION "\",\"made\":\"%s\",\"schema\":{",
                  BACKUP_FORM, made);
    for (size_t i = 0; i < backup_file_count; i++)
        if (backup_files[i].kind == BACKUP_IS_DATABASE) {
            nr_buf_printf(out, "%s\"%s\":%d", n ? "," : "", backup_files[i].name, schema[n]);
            n++;
        }
    nr_buf_adds(out, "}}\n");
}

/* It is printed: nothing in it is obeyed by a terminal, and no character is cut in two. */
static void take_text(char *out, size_t n, const json_t *head, const char *key)
{
    const char *text = json_string_value(json_object_get(head, key));
    struct nr_buf clean;

    nr_buf_init(&clean, BACKUP_SMALL_MAX_BYTES);
    text_add_clean(nr_str_of(text ? text : "?"), &clean);
    size_t bytes = clean.n < n ? clean.n : n - 1;

    while (bytes > 0 && bytes < clean.n && (clean.p[bytes] & 0xC0) == 0x80)
        bytes--;
    memcpy(out, clean.n ? clean.p : "", bytes);
    out[bytes] = '\0';
    nr_buf_fini(&clean);
}

int backup_head_read(struct backup_reader *r, struct nr_str text, struct nr_err *err)
{
    nr_auto_json json_t *head = nr_json_parse(text, NULL);
    const json_t *schema = json_object_get(head, "schema");
    json_int_t form = json_integer_value(json_object_get(head, "form"));
    int n = 0;

    if (!json_is_object(schema) || form < 1)
        return nr_err_set(err, NR_EINVAL, BACKUP_HEAD " in it is not that of a backup");
    take_text(r->made, sizeof(r->made), head, "made");
    take_text(r->release, sizeof(r->release), head, "release");
    if (form > BACKUP_FORM)
        return nr_err_set(err, NR_EINVAL,
                          "it has form %lld, this release knows %d: restore it with release %s",
                          (long long)form, BACKUP_FORM, r->release);
    for (size_t i = 0; i < backup_file_count; i++) {
        const struct backup_file *f = &backup_files[i];

        if (f->kind != BACKUP_IS_DATABASE)
            continue;
        json_int_t version = json_integer_value(json_object_get(schema, f->name));
        if (version < 0 || version > f->schema + 1)
            return nr_err_set(
                err, NR_EINVAL,
                "the schema of its %s is version %lld, this release knows %d: restore it with release %s or a newer one",
                f->name, (long long)version, f->schema, r->release);
        r->schema[n++] = (int)version;
    }
    return 0;
}
