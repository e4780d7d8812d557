/* Statements about registries and images. Which versions use an image is not kept anywhere but in their annotations, so it is read from
 * there: it is asked for when images are listed or swept, not when functions run.
 */
#include "fnmanager/registry/metadata_images.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "fnmanager/images/image_annotation.h"
#include "fnmanager/registry/metadata_audit.h"
#include "fnmanager/registry/metadata_sql.h"

struct registry_job {
    struct nr_db_job job;
    const struct registry_row *row;
    struct nr_str account, host;
    struct fn_actor actor;
    char *username, *secret; /* out, made */
    size_t secret_bytes;
    struct nr_buf *out;
};

static int audit_registry(sqlite3 *db, const struct registry_job *j, const char *move,
                          struct nr_str note)
{
    const struct audit_line line = {.at_ms = nr_wall_ms(),
                                    .actor = j->actor,
                                    .move = move,
                                    .object = {.account = j->account},
                                    .from = "",
                                    .to = "",
                                    .note = note};

    return audit_put(db, &line);
}

static int put_run(sqlite3 *db, struct nr_db_job *job)
{
    struct registry_job *j = nr_container_of(job, struct registry_job, job);
    sqlite3_stmt *s = nr_db_prepare(
        db,
        "INSERT INTO registries(account, host, username, secret, updated_ms)"
        " VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(account, host) DO UPDATE SET"
        " username = excluded.username, secret = excluded.secret, updated_ms = excluded.updated_ms");

    if (s != NULL) {
        nr_db_bind_text(s, 1, j->row->account);
        nr_db_bind_text(s, 2, j->row->host);
        nr_db_bind_text(s, 3, j->row->username);
        nr_db_bind_blob(s, 4, j->row->secret);
        sqlite3_bind_int64(s, 5, nr_wall_ms());
    }
    int r = sql_run(db, s);

    return r == 0 ? audit_registry(db, j, "registry-put", j->row->host) : r;
}

int metadata_registry_put(struct nr_db *db, const struct registry_row *row, struct fn_actor actor)
{
    struct registry_job j = {
        .job = {.run = put_run}, .row = row, .account = row->account, .actor = actor};

    return nr_db_write_wait(db, &j.job);
}

static int delete_run(sqlite3 *db, struct nr_db_job *job)
{
    struct registry_job *j = nr_container_of(job, struct registry_job, job);
    sqlite3_stmt *s = nr_db_prepare(db, "DELETE FROM registries WHERE account = ?1 AND host = ?2");

    if (s != NULL) {
        nr_db_bind_text(s, 1, j->account);
        nr_db_bind_text(s, 2, j->host);
    }
    int r = sql_run(db, s);

    if (r == 0 && sqlite3_changes(db) == 0)
        return NR_ENOENT;
    return r == 0 ? audit_registry(db, j, "registry-delete", j->host) : r;
}

int metadata_registry_delete(struct nr_db *db, struct nr_str account, struct nr_str host,
                             struct fn_actor actor)
{
    struct registry_job j = {
        .job = {.run = delete_run}, .account = account, .host = host, .actor = actor};

    return nr_db_write_wait(db, &j.job);
}

static int load_run(sqlite3 *db, struct nr_db_job *job)
{
    struct registry_job *j = nr_container_of(job, struct registry_job, job);
    sqlite3_stmt *s = nr_db_prepare(
        db, "SELECT username, secret FROM registries WHERE account = ?1 AND host = ?2");

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, j->account);
    nr_db_bind_text(s, 2, j->host);
    int r = sqlite3_step(s);

    if (r == SQLITE_ROW) {
        struct nr_str secret = nr_db_column(s, 1);

        j->username = sql_text(s, 0);
        j->secret = nr_alloc(secret.n + 1); /* bytes, no text */
        if (secret.n > 0)
            memcpy(j->secret, secret.p, secret.n);
        j->secret_bytes = secret.n;
    }
    (void)sqlite3_reset(s);
    return r == SQLITE_ROW ? 0 : r == SQLITE_DONE ? NR_ENOENT : nr_db_err(r);
}

int metadata_registry(struct nr_db *db, struct nr_str account, struct nr_str host,
                      char **ret_username, char **ret_secret, size_t *ret_bytes)
{
    struct registry_job j = {.job = {.run = load_run}, .account = account, .host = host};
    int r = nr_db_read_wait(db, &j.job);

    if (r < 0) {
        free(j.username);
        free(j.secret);
        return r;
    }
    *ret_username = j.username;
    *ret_secret = j.secret;
    *ret_bytes = j.secret_bytes;
    return 0;
}

static int list_run(sqlite3 *db, struct nr_db_job *job)
{
    struct registry_job *j = nr_container_of(job, struct registry_job, job);
    sqlite3_stmt *s = nr_db_prepare(
        db, "SELECT host, username, updated_ms FROM registries WHERE account = ?1 ORDER BY host");
    const char *between = "";
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, j->account);
    nr_buf_adds(j->out, "{\"registries\":[");
    while ((r = sqlite3_step(s)) == SQLITE_ROW) {
        nr_buf_printf(j->out, "%s{\"host\":", between);
        nr_buf_json(j->out, nr_db_column(s, 0));
        nr_buf_adds(j->out, ",\"username\":");
        nr_buf_json(j->out, nr_db_column(s, 1));
        nr_buf_printf(j->out, ",\"updated_ms\":%lld}", (long long)sqlite3_column_int64(s, 2));
        between = ",";
    }
    nr_buf_adds(j->out, "]}");
    (void)sqlite3_reset(s);
    return r == SQLITE_DONE ? 0 : nr_db_err(r);
}

int metadata_registries(struct nr_db *db, struct nr_str account, struct nr_buf *out)
{
    struct registry_job j = {.job = {.run = list_run}, .account = account, .out = out};

    return nr_db_read_wait(db, &j.job);
}

/* ---- images ------------------------------------------------------------------------------------------------- */

struct image_job {
    struct nr_db_job job;
    const struct image_row *row;
    const char *pin;
    struct nr_str account;
    json_t *all; /* out, made */
};

static int image_put_run(sqlite3 *db, struct nr_db_job *job)
{
    const struct image_row *row = nr_container_of(job, struct image_job, job)->row;
    sqlite3_stmt *s = nr_db_prepare(
        db,
        "INSERT INTO images(account, pin, reference, bytes, pulled_ms, ours)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT(account, pin) DO UPDATE SET reference = excluded.reference,"
        " bytes = excluded.bytes, pulled_ms = iif(excluded.ours, excluded.pulled_ms, pulled_ms),"
        " ours = max(ours, excluded.ours)");

    if (s != NULL) {
        nr_db_bind_text(s, 1, row->account);
        nr_db_bind_text(s, 2, row->pin);
        nr_db_bind_text(s, 3, row->reference);
        sqlite3_bind_int64(s, 4, row->bytes);
        sqlite3_bind_int64(s, 5, row->pulled_ms);
        sqlite3_bind_int(s, 6, row->ours);
    }
    return sql_run(db, s);
}

int metadata_image_put(struct nr_db *db, const struct image_row *row)
{
    struct image_job j = {.job = {.run = image_put_run, .single = true}, .row = row};

    return nr_db_write_wait(db, &j.job);
}

static int forget_run(sqlite3 *db, struct nr_db_job *job)
{
    struct image_job *j = nr_container_of(job, struct image_job, job);
    sqlite3_stmt *s = nr_db_prepare(db, "DELETE FROM images WHERE pin = ?1");

    if (s != NULL)
        nr_db_bind_text(s, 1, nr_str_of(j->pin));
    return sql_run(db, s);
}

int metadata_image_forget(struct nr_db *db, const char *pin)
{
    struct image_job j = {.job = {.run = forget_run, .single = true}, .pin = pin};

    return nr_db_write_wait(db, &j.job);
}

static int load_images(sqlite3 *db, struct image_job *j)
{
    sqlite3_stmt *s = nr_db_prepare(
        db, "SELECT pin, max(reference), max(bytes), max(pulled_ms), max(ours) FROM images"
            " WHERE ?1 IS NULL OR account = ?1 GROUP BY pin ORDER BY pin");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, j->account);
    while ((r = sqlite3_step(s)) == SQLITE_ROW) {
        nr_auto_free char *pin = sql_text(s, 0);
        nr_auto_free char *reference = sql_text(s, 1);

        (void)json_object_set_new(j->all, pin,
                                  json_pack("{s:s, s:I, s:I, s:b, s:[]}", "reference", reference,
                                            "bytes", (json_int_t)sqlite3_column_int64(s, 2),
                                            "pulled_ms", (json_int_t)sqlite3_column_int64(s, 3),
                                            "ours", sqlite3_column_int(s, 4), "used_by"));
    }
    (void)sqlite3_reset(s);
    return r == SQLITE_DONE ? 0 : nr_db_err(r);
}

/* One version: its image has one user more; one that nobody was noted to have gets an entry. */
static void add_user(struct image_job *j, sqlite3_stmt *s)
{
    nr_auto_free char *pin = image_pin_of(nr_db_column(s, 4));
    nr_auto_free char *account = sql_text(s, 0);
    nr_auto_free char *package = sql_text(s, 1);
    nr_auto_free char *name = sql_text(s, 2);
    nr_auto_free char *reference = sql_text(s, 5);
    long long number = sqlite3_column_int64(s, 3);
    json_t *image = json_object_get(j->all, pin);

    if (pin[0] == '\0')
        return;
    if (image == NULL) {
        image = json_pack("{s:s, s:i, s:i, s:b, s:[]}", "reference", reference, "bytes", 0,
                          "pulled_ms", 0, "ours", 0, "used_by");
        (void)json_object_set_new(j->all, pin, image);
    }
    json_t *user =
        number > 0
            ? json_sprintf("%s/%s%s%s@%lld", account, package, package[0] ? "/" : "", name, number)
            : json_sprintf("%s/%s%s%s", account, package, package[0] ? "/" : "", name);
    (void)json_array_append_new(json_object_get(image, "used_by"), user);
}

static int images_run(sqlite3 *db, struct nr_db_job *job)
{
    struct image_job *j = nr_container_of(job, struct image_job, job);
    sqlite3_stmt *s;
    int r = load_images(db, j);

    if (r < 0)
        return r;
    s = nr_db_prepare(
        db, "SELECT f.account, f.package, f.name, v.number, v.annotations, v.image FROM versions v"
            " JOIN functions f ON f.id = v.function_id WHERE v.kind = 'blackbox'"
            " AND (?1 IS NULL OR f.account = ?1) ORDER BY f.account, f.package, f.name, v.number");
    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, j->account);
    while ((r = sqlite3_step(s)) == SQLITE_ROW)
        add_user(j, s);
    (void)sqlite3_reset(s);
    return r == SQLITE_DONE ? 0 : nr_db_err(r);
}

int metadata_images(struct nr_db *db, struct nr_str account, json_t **ret)
{
    struct image_job j = {.job = {.run = images_run}, .account = account, .all = json_object()};
    int r = nr_db_read_wait(db, &j.job);

    if (r < 0)
        json_decref(j.all);
    else
        *ret = j.all;
    return r;
}
