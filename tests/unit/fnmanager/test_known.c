/* What a restore knows of the registry's schema is what the steps make; and what somebody else may write into one is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <sqlite3.h>

#include "cli/backup/known.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/data/digest.h"
#include "fnmanager/registry/schema.h"

static void all_that_the_steps_make_is_known(void **state)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    int rows = 0;

    (void)state;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    for (size_t i = 0; schema_steps[i]; i++)
        assert_int_equal(sqlite3_exec(db, schema_steps[i], NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT type, name, sql FROM sqlite_schema", -1, &s, NULL),
        SQLITE_OK);
    while (sqlite3_step(s) == SQLITE_ROW) {
        const char *type = (const char *)sqlite3_column_text(s, 0),
                   *name = (const char *)sqlite3_column_text(s, 1),
                   *sql = (const char *)sqlite3_column_text(s, 2);
        unsigned char sum[NR_SHA256_BYTES];
        char hex[2 * sizeof(sum) + 1];

        nr_sha256(nr_str_of(sql ? sql : ""), sum);
        nr_hex(sum, sizeof(sum), hex);
        if (!backup_schema_is_known(type, name, sql) ||
            (strcmp(type, "table") == 0 && !backup_table_is_known("meta.db", name)))
            fail_msg("the %s %s is missing in cli/backup/known.c: {\"%s\", \"%s\"}", type, name,
                     name, hex);
        rows++;
    }
    assert_true(rows > 40);
    (void)sqlite3_finalize(s);
    (void)sqlite3_close(db);
}

static void nothing_else_is(void **state)
{
    static const struct {
        const char *type, *name, *sql;
        bool known;
    } cases[] = {
        {"table", "t", "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT DEFAULT 'x', UNIQUE(b))",
         true},
        {"table", "t", "CREATE TABLE t(a, b, PRIMARY KEY (a, b)) WITHOUT ROWID", true},
        {"table", "t", "CREATE TABLE t(a CHECK(length(a) > 1))", false},
        {"table", "t", "CREATE TABLE t(a check (1))", false},
        {"table", "t", "CREATE TABLE t(a DEFAULT (random()))", false},
        {"table", "t", "CREATE TABLE t(a, b AS (hex(a)))", false},
        {"table", "t", "CREATE TABLE t(a, b GENERATED ALWAYS AS (a) STORED)", false},
        {"table", "t", "CREATE TABLE t(a CHECK --KEY\n(1))", false},
        {"table", "t", "CREATE TABLE t(a CHECK /* KEY*/ (1))", false},
        {"table", "t", "CREATE TABLE t(a DEFAULT \"MYKEY\" CHECK(1))", false},
        {"table", "t", "CREATE TABLE t", false},
        {"table", "t", "CREATE VIRTUAL TABLE t USING fts5(a)", false},
        {"table", "t", "CREATE VIEW t AS SELECT 1", false},
        {"table", "t", "CREATE TEMP TABLE t(a)", false},
        {"table", "t", NULL, false},
        {"view", "t", "CREATE VIEW t AS SELECT 1", false},
        {"view", "t", NULL, false},
        {"", "t", "CREATE TABLE t(a)", false},
        {"index", "i", NULL, true},
        {"index", "i", "CREATE INDEX i ON t(a, b DESC)", true},
        {"index", "i", "CREATE UNIQUE INDEX i ON t(a)", true},
        {"index", "i", "CREATE INDEX i ON t(hex(a))", false},
        {"index", "i", "CREATE INDEX i ON t(a+b)", false},
        {"index", "i", "CREATE INDEX i ON t(a) WHERE b > 1", false},
        {"index", "i", "CREATE INDEX i ON t(a", false},
        {"index", "calls_open", "CREATE INDEX calls_open ON calls(state, seq) WHERE state < 2",
         true},
        {"index", "calls_open", "CREATE INDEX calls_open ON calls(state, seq) WHERE state < 3",
         false},
        {"index", "open", "CREATE INDEX calls_open ON calls(state, seq) WHERE state < 2", false},
        {"trigger", "latest_made",
         "CREATE TRIGGER latest_made AFTER INSERT ON versions BEGIN SELECT 1; END", false},
        {"trigger", "latest_made", NULL, false},
    };

    (void)state;
    for (size_t i = 0; i < nr_countof(cases); i++)
        if (backup_schema_is_known(cases[i].type, cases[i].name, cases[i].sql) != cases[i].known)
            fail_msg("case %zu: %s", i, cases[i].sql ? cases[i].sql : "(none)");
    assert_true(backup_table_is_known("calls.db", "calls"));
    assert_false(backup_table_is_known("calls.db", "functions"));
    assert_false(backup_table_is_known("meta.db", "sqlite_stat1"));
    assert_false(backup_table_is_known("other.db", "calls"));
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(all_that_the_steps_make_is_known),
        cmocka_unit_test(nothing_else_is),
    };

    return cmocka_run_group_tests(cases, NULL, NULL);
}
