/* One name means one thing in an account, so that a URL with the wrong collection can be told from a missing one: the first is a conflict that names
 * the mistake, the second a 404.
 */
#include "fnmanager/registry/metadata_names.h"

#include "fnmanager/registry/metadata_sql.h"

struct name_job {
    struct nr_db_job job;
    struct nr_str account, name;
    enum name_collection mine;
    struct nr_err *err;
};

int sql_name_free(sqlite3 *db, struct nr_str account, struct nr_str name, enum name_collection mine,
                  struct nr_err *err)
{
    sqlite3_stmt *s = nr_db_prepare(
        db,
        "SELECT collection FROM ("
        "SELECT 0 AS collection FROM functions WHERE account = ?1 AND package = '' AND name = ?2"
        " UNION ALL SELECT 1 FROM packages WHERE account = ?1 AND name = ?2"
        " UNION ALL SELECT 2 FROM triggers WHERE account = ?1 AND name = ?2"
        " UNION ALL SELECT 3 FROM rules WHERE account = ?1 AND name = ?2)"
        " WHERE collection <> ?3 LIMIT 1");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, account);
    nr_db_bind_text(s, 2, name);
    sqlite3_bind_int(s, 3, (int)mine);
    r = sqlite3_step(s);
    (void)sqlite3_reset(s);
    if (r == SQLITE_ROW)
        return nr_err_set(err, NR_EEXIST, TEXT_OTHER_COLLECTION);
    return r == SQLITE_DONE ? 0 : nr_db_err(r);
}

int sql_audit_named(sqlite3 *db, const struct audit_line *line, enum name_collection of)
{
    static const char *const words[] = {[NAME_OF_FUNCTION] = "",
                                        [NAME_OF_PACKAGE] = "package:",
                                        [NAME_OF_TRIGGER] = "trigger:",
                                        [NAME_OF_RULE] = "rule:"};
    struct audit_line shown = *line;
    char name[ENTITY_NAME_MAX_BYTES + 16];
    int n = snprintf(name, sizeof(name), "%s%.*s", words[of], (int)line->object.name.n,
                     line->object.name.p);

    shown.object.name = (struct nr_str){name, (size_t)n};
    return audit_put(db, &shown);
}

static int name_run(sqlite3 *db, struct nr_db_job *job)
{
    const struct name_job *j = nr_container_of(job, struct name_job, job);

    return sql_name_free(db, j->account, j->name, j->mine, j->err);
}

int name_missing_key(struct nr_db *db, struct fn_key key, enum name_collection mine,
                     struct nr_err *err)
{
    struct name_job j = {.job = {.run = name_run},
                         .account = key.account,
                         .name = key.name,
                         .mine = mine,
                         .err = err};
    int r = key.package.n == 0 ? nr_db_read_wait(db, &j.job) : 0;

    return nr_err_set(err, r < 0 ? r : NR_ENOENT, "%s", r < 0 ? TEXT_INTERNAL : TEXT_NOT_FOUND);
}

int name_missing(struct fnmanager *m, struct fn_call *call, enum name_collection mine)
{
    return name_missing_key(m->db, handler_key(call), mine, &call->err);
}
