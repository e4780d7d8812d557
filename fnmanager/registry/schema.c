/* Tables of the Meta Registry. `number` 0 of a function is LATEST; 1, 2, 3… are published versions. `code_folder` names the
 * folder of one upload below the buckets; folders that no version needs any more wait in `garbage` until calls that still hold an
 * old snapshot have ended. `counters.revision` grows with every change and is never used twice.
 */
#include "fnmanager/registry/schema.h"

#include <stddef.h>

#include "common/data/schema_versions.h"

static const char step_1[] =
    "CREATE TABLE counters(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO counters VALUES('revision', 0);"

    "CREATE TABLE accounts(name TEXT PRIMARY KEY, profile TEXT NOT NULL, invocations_per_minute INTEGER NOT NULL,"
    " fires_per_minute INTEGER NOT NULL, concurrent_invocations INTEGER NOT NULL, created_ms INTEGER NOT NULL) WITHOUT ROWID;"

    "CREATE TABLE keys(uuid TEXT PRIMARY KEY, account TEXT NOT NULL, mac BLOB NOT NULL, scopes INTEGER NOT NULL,"
    " created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;"
    "CREATE INDEX keys_by_account ON keys(account);"

    "CREATE TABLE packages(id INTEGER PRIMARY KEY, account TEXT NOT NULL, name TEXT NOT NULL, revision INTEGER NOT NULL,"
    " version TEXT NOT NULL, publish INTEGER NOT NULL DEFAULT 0, parameters TEXT NOT NULL DEFAULT '[]',"
    " annotations TEXT NOT NULL DEFAULT '[]', binding_account TEXT, binding_name TEXT, updated_ms INTEGER NOT NULL,"
    " UNIQUE(account, name));"

    "CREATE TABLE functions(id INTEGER PRIMARY KEY, account TEXT NOT NULL, package TEXT NOT NULL DEFAULT '', name TEXT NOT NULL,"
    " published INTEGER NOT NULL DEFAULT 0, created_ms INTEGER NOT NULL, UNIQUE(account, package, name));"

    "CREATE TABLE versions(id INTEGER PRIMARY KEY, function_id INTEGER NOT NULL, number INTEGER NOT NULL DEFAULT 0,"
    " revision INTEGER NOT NULL, state TEXT NOT NULL, state_before TEXT, state_reason TEXT, version TEXT NOT NULL,"
    " kind TEXT NOT NULL, image TEXT NOT NULL DEFAULT '', main TEXT NOT NULL DEFAULT '', publish INTEGER NOT NULL DEFAULT 0,"
    " has_code INTEGER NOT NULL DEFAULT 0, binary INTEGER NOT NULL DEFAULT 0, upload INTEGER NOT NULL DEFAULT 0,"
    " code_folder TEXT NOT NULL DEFAULT '', file TEXT NOT NULL DEFAULT '', code_bytes INTEGER NOT NULL DEFAULT 0,"
    " sent_bytes INTEGER NOT NULL DEFAULT 0, sha256 BLOB NOT NULL, parameters TEXT NOT NULL DEFAULT '[]',"
    " annotations TEXT NOT NULL DEFAULT '[]', timeout_ms INTEGER NOT NULL, memory_mb INTEGER NOT NULL,"
    " logs_mb INTEGER NOT NULL, concurrency INTEGER NOT NULL, instances INTEGER NOT NULL DEFAULT -1,"
    " settings TEXT NOT NULL DEFAULT '{}', note TEXT, updated_ms INTEGER NOT NULL, UNIQUE(function_id, number));"
    "CREATE INDEX versions_by_folder ON versions(code_folder);"

    "CREATE TABLE aliases(id INTEGER PRIMARY KEY, function_id INTEGER NOT NULL, name TEXT NOT NULL, weights TEXT NOT NULL,"
    " history TEXT NOT NULL DEFAULT '[]', protected INTEGER NOT NULL DEFAULT 0, updated_ms INTEGER NOT NULL,"
    " UNIQUE(function_id, name));"

    "CREATE TABLE triggers(id INTEGER PRIMARY KEY, account TEXT NOT NULL, name TEXT NOT NULL, revision INTEGER NOT NULL,"
    " version TEXT NOT NULL, publish INTEGER NOT NULL DEFAULT 0, parameters TEXT NOT NULL DEFAULT '[]',"
    " annotations TEXT NOT NULL DEFAULT '[]', updated_ms INTEGER NOT NULL, UNIQUE(account, name));"

    "CREATE TABLE rules(id INTEGER PRIMARY KEY, account TEXT NOT NULL, name TEXT NOT NULL, revision INTEGER NOT NULL,"
    " version TEXT NOT NULL, publish INTEGER NOT NULL DEFAULT 0, annotations TEXT NOT NULL DEFAULT '[]',"
    " status TEXT NOT NULL, trigger_account TEXT NOT NULL, trigger_name TEXT NOT NULL, action_account TEXT NOT NULL,"
    " action_package TEXT NOT NULL DEFAULT '', action_name TEXT NOT NULL, updated_ms INTEGER NOT NULL, UNIQUE(account, name));"
    "CREATE INDEX rules_by_trigger ON rules(trigger_account, trigger_name);"

    "CREATE TABLE routes(id INTEGER PRIMARY KEY, account TEXT NOT NULL, api_name TEXT NOT NULL, base_path TEXT NOT NULL,"
    " path TEXT NOT NULL, method TEXT NOT NULL, action_package TEXT NOT NULL DEFAULT '', action_name TEXT NOT NULL,"
    " settings TEXT NOT NULL DEFAULT '{}', updated_ms INTEGER NOT NULL, UNIQUE(account, base_path, path, method));"

    "CREATE TABLE scaling_rules(id INTEGER PRIMARY KEY, account TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL,"
    " enabled INTEGER NOT NULL DEFAULT 1, updated_ms INTEGER NOT NULL, UNIQUE(account, name));"

    "CREATE TABLE preenv_runs(id TEXT PRIMARY KEY, function_id INTEGER NOT NULL, number INTEGER NOT NULL DEFAULT 0,"
    " state TEXT NOT NULL, settings TEXT NOT NULL, result TEXT NOT NULL DEFAULT '{}', started_ms INTEGER NOT NULL,"
    " ended_ms INTEGER) WITHOUT ROWID;"

    "CREATE TABLE audit(id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, account TEXT NOT NULL, key_uuid TEXT NOT NULL,"
    " move TEXT NOT NULL, object TEXT NOT NULL, from_state TEXT NOT NULL, to_state TEXT NOT NULL, note TEXT);"

    "CREATE TABLE garbage(code_folder TEXT PRIMARY KEY, since_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX garbage_by_age ON garbage(since_ms);";

/* What the administrator allows an account: ports/grants.h as a JSON text. */
static const char step_2[] =
    "CREATE TABLE grants(account TEXT PRIMARY KEY, text TEXT NOT NULL, updated_ms INTEGER NOT NULL) WITHOUT ROWID;";

/* For the triggers of the accounts' step: the account that a version belongs to. */
#define ACCOUNT_OF(row)                                                                            \
    " WHERE account = (SELECT account FROM functions WHERE id = " row ".function_id);"
/* The bytes of row's folder when no other version names it, else 0. */
#define BYTES_OF(row)                                                                              \
    "CASE WHEN " row ".code_folder = '' OR EXISTS(SELECT 1 FROM versions WHERE code_folder = " row \
    ".code_folder AND id <> " row ".id) THEN 0 ELSE " row ".code_bytes + " row ".sent_bytes END"

/* Accounts: their state, quotas (-1: none), and what they use. The counts are kept by triggers, so that no statement that changes functions
 * can forget them: the bytes of a folder count once, for the first version that names it until the last one goes. */
static const char step_accounts[] =
    "ALTER TABLE accounts ADD COLUMN state TEXT NOT NULL DEFAULT 'ACTIVE';"
    "ALTER TABLE accounts ADD COLUMN reason TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE accounts ADD COLUMN quota_bytes INTEGER NOT NULL DEFAULT -1;"
    "ALTER TABLE accounts ADD COLUMN quota_functions INTEGER NOT NULL DEFAULT -1;"
    "ALTER TABLE accounts ADD COLUMN quota_versions INTEGER NOT NULL DEFAULT -1;"
    "ALTER TABLE keys ADD COLUMN note TEXT NOT NULL DEFAULT '';"

    "CREATE TABLE usage(account TEXT PRIMARY KEY, bytes INTEGER NOT NULL, functions INTEGER NOT NULL,"
    " versions INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO usage(account, bytes, functions, versions) SELECT f.account,"
    " (SELECT coalesce(sum(b), 0) FROM (SELECT max(v.code_bytes + v.sent_bytes) AS b FROM versions v JOIN functions g"
    "  ON g.id = v.function_id WHERE g.account = f.account AND v.code_folder <> '' GROUP BY v.code_folder)),"
    " count(*), (SELECT count(*) FROM versions v JOIN functions g ON g.id = v.function_id"
    "  WHERE g.account = f.account AND v.number > 0) FROM functions f GROUP BY f.account;"

    "CREATE TRIGGER usage_function_new AFTER INSERT ON functions BEGIN"
    " INSERT INTO usage(account, bytes, functions, versions) VALUES(NEW.account, 0, 1, 0)"
    " ON CONFLICT(account) DO UPDATE SET functions = functions + 1; END;"
    "CREATE TRIGGER usage_function_gone BEFORE DELETE ON functions BEGIN"
    " DELETE FROM versions WHERE function_id = OLD.id;"
    " UPDATE usage SET functions = functions - 1 WHERE account = OLD.account; END;"

    /* clang-format off */
    "CREATE TRIGGER usage_version_new AFTER INSERT ON versions BEGIN"
    " UPDATE usage SET versions = versions + (NEW.number > 0), bytes = bytes + " BYTES_OF("NEW") ACCOUNT_OF("NEW") " END;"
    "CREATE TRIGGER usage_version_gone AFTER DELETE ON versions BEGIN"
    " UPDATE usage SET versions = versions - (OLD.number > 0), bytes = bytes - " BYTES_OF("OLD") ACCOUNT_OF("OLD") " END;"
    "CREATE TRIGGER usage_version_changed AFTER UPDATE OF code_folder ON versions"
    " WHEN NEW.code_folder <> OLD.code_folder BEGIN UPDATE usage SET bytes = bytes - "
    BYTES_OF("OLD") " + " BYTES_OF("NEW") ACCOUNT_OF("NEW") " END;";
/* clang-format on */

/* Update windows, and the history of a function's moves. hold_ms 0: the old code serves while the window is open; deadline_ms (wall
 * clock) 0: no window is open. moved_ms: of the last move. `number` of a line of the audit log: of the version that moved. */
static const char step_3[] =
    "ALTER TABLE versions ADD COLUMN hold_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE versions ADD COLUMN deadline_ms INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX versions_by_deadline ON versions(deadline_ms) WHERE deadline_ms > 0;"
    "ALTER TABLE versions ADD COLUMN moved_ms INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX versions_retired ON versions(moved_ms) WHERE state = 'RETIRED';"
    "CREATE INDEX versions_published ON versions(updated_ms) WHERE state = 'PUBLISHED';"
    "ALTER TABLE audit ADD COLUMN number INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX audit_by_object ON audit(object, id);";

/* Lists give the functions that changed last first. When LATEST changed stands beside the name too, kept by triggers, so that a page is
 * found by walking an index alone, whatever is skipped. */
static const char step_4[] =
    "ALTER TABLE functions ADD COLUMN updated_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE functions ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;"
    "UPDATE functions SET (updated_ms, revision) ="
    " (SELECT updated_ms, revision FROM versions WHERE function_id = functions.id AND number = 0)"
    " WHERE id IN (SELECT function_id FROM versions WHERE number = 0);"
    "CREATE INDEX functions_by_change ON functions(account, updated_ms DESC, revision DESC);"
    "CREATE INDEX functions_of_package ON functions(account, package, updated_ms DESC, revision DESC);"
    "CREATE TRIGGER latest_made AFTER INSERT ON versions WHEN new.number = 0 BEGIN"
    " UPDATE functions SET updated_ms = new.updated_ms, revision = new.revision WHERE id = new.function_id; END;"
    "CREATE TRIGGER latest_changed AFTER UPDATE OF updated_ms, revision ON versions WHEN new.number = 0 BEGIN"
    " UPDATE functions SET updated_ms = new.updated_ms, revision = new.revision WHERE id = new.function_id; END;";

/* Runs of PreEnv: those of one function, those that go on after a restart. They go with their function. */
static const char step_5[] =
    "CREATE INDEX preenv_by_function ON preenv_runs(function_id, started_ms);"
    "CREATE INDEX preenv_unfinished ON preenv_runs(started_ms) WHERE state = 'running';"
    "CREATE TRIGGER preenv_gone AFTER DELETE ON functions BEGIN"
    " DELETE FROM preenv_runs WHERE function_id = old.id; END;";

/* Credentials of registries, `secret` sealed; and which image an account was given: `pin` is what it is for ever, `ours` that we pulled it.
 * They go with their account, but that we pulled an image is remembered, for else nobody would sweep it. */
static const char step_images[] =
    "CREATE TABLE registries(account TEXT NOT NULL, host TEXT NOT NULL, username TEXT NOT NULL, secret BLOB NOT NULL,"
    " updated_ms INTEGER NOT NULL, PRIMARY KEY(account, host)) WITHOUT ROWID;"
    "CREATE TABLE images(account TEXT NOT NULL, pin TEXT NOT NULL, reference TEXT NOT NULL, bytes INTEGER NOT NULL,"
    " pulled_ms INTEGER NOT NULL, ours INTEGER NOT NULL, PRIMARY KEY(account, pin)) WITHOUT ROWID;"
    "CREATE INDEX images_by_pin ON images(pin);"
    "CREATE INDEX versions_of_images ON versions(function_id) WHERE kind = 'blackbox';"
    "CREATE TRIGGER registries_gone AFTER DELETE ON accounts BEGIN"
    " DELETE FROM registries WHERE account = old.name;"
    " INSERT INTO images SELECT '', pin, reference, bytes, pulled_ms, ours FROM images WHERE account = old.name"
    " ON CONFLICT(account, pin) DO UPDATE SET ours = max(ours, excluded.ours);"
    " DELETE FROM images WHERE account = old.name; END;";

/* Packages, triggers, rules and APIs: their lists by change, what stands behind a binding, the steps of sequences (JSON array of references; ""
 * for what is none), the version that a rule names (0 and "": LATEST), and an API's own document, of which `routes` is what is served. They go with
 * their account. */
static const char step_entities[] =
    "ALTER TABLE versions ADD COLUMN components TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE rules ADD COLUMN action_version INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE rules ADD COLUMN action_alias TEXT NOT NULL DEFAULT '';"
    "CREATE INDEX packages_by_change ON packages(account, updated_ms DESC, revision DESC);"
    "CREATE INDEX packages_by_binding ON packages(binding_account, binding_name) WHERE binding_name IS NOT NULL;"
    "CREATE INDEX triggers_by_change ON triggers(account, updated_ms DESC, revision DESC);"
    "CREATE INDEX rules_by_change ON rules(account, updated_ms DESC, revision DESC);"
    "CREATE TABLE apis(account TEXT NOT NULL, base_path TEXT NOT NULL, name TEXT NOT NULL, document TEXT NOT NULL,"
    " updated_ms INTEGER NOT NULL, PRIMARY KEY(account, base_path)) WITHOUT ROWID;"
    "CREATE TRIGGER entities_gone AFTER DELETE ON accounts BEGIN"
    " DELETE FROM packages WHERE account = old.name; DELETE FROM triggers WHERE account = old.name;"
    " DELETE FROM rules WHERE account = old.name; DELETE FROM routes WHERE account = old.name;"
    " DELETE FROM apis WHERE account = old.name; END;";

/* What an account's replaced code still takes: the folder among the garbage keeps whose it is and how many bytes, put there by the same
 * triggers that take them off what the account uses. */
#define THEIR_GARBAGE(row)                                                                         \
    " INSERT INTO garbage(code_folder, since_ms, account, bytes) SELECT " row ".code_folder,"      \
    " CAST(strftime('%s', 'now') AS INTEGER) * 1000, account, " BYTES_OF(                          \
        row) " FROM functions WHERE id = " row                                                     \
             ".function_id AND " BYTES_OF(                                                         \
                 row) " > 0 ON CONFLICT(code_folder) DO UPDATE SET account = excluded.account,"    \
                      " bytes = excluded.bytes;"
/* clang-format off */
static const char step_garbage[] =
    "ALTER TABLE usage ADD COLUMN garbage_bytes INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE garbage ADD COLUMN account TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE garbage ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;"
    "CREATE TRIGGER garbage_new AFTER INSERT ON garbage BEGIN"
    " UPDATE usage SET garbage_bytes = garbage_bytes + NEW.bytes WHERE account = NEW.account; END;"
    "CREATE TRIGGER garbage_sized AFTER UPDATE OF bytes ON garbage BEGIN"
    " UPDATE usage SET garbage_bytes = garbage_bytes + NEW.bytes - OLD.bytes WHERE account = NEW.account; END;"
    "CREATE TRIGGER garbage_gone AFTER DELETE ON garbage BEGIN"
    " UPDATE usage SET garbage_bytes = garbage_bytes - OLD.bytes WHERE account = OLD.account; END;"
    "CREATE TRIGGER garbage_of_version AFTER DELETE ON versions WHEN OLD.code_folder <> '' BEGIN"
    THEIR_GARBAGE("OLD") " END;"
    "CREATE TRIGGER garbage_of_change AFTER UPDATE OF code_folder ON versions"
    " WHEN NEW.code_folder <> OLD.code_folder AND OLD.code_folder <> '' BEGIN" THEIR_GARBAGE("OLD") " END;";
/* clang-format on */

/* Which account of its name: a name is free again when its account has left, and nothing of that one may serve who gets it. */
static const char step_account_ids[] =
    "ALTER TABLE accounts ADD COLUMN id INTEGER NOT NULL DEFAULT 0;"
    "UPDATE accounts SET id = random();";

/* What compilers made for an account's versions, as it was measured last: it counts against the quota as code does. */
static const char step_compiled[] =
    "ALTER TABLE usage ADD COLUMN compiled_bytes INTEGER NOT NULL DEFAULT 0;";

/* What an account keeps of its functions' past; -1: as the platform does. */
static const char step_retention[] =
    "ALTER TABLE accounts ADD COLUMN keep_versions INTEGER NOT NULL DEFAULT -1;"
    "ALTER TABLE accounts ADD COLUMN keep_versions_days INTEGER NOT NULL DEFAULT -1;"
    "ALTER TABLE accounts ADD COLUMN keep_retired_days INTEGER NOT NULL DEFAULT -1;";

const char *const schema_steps[] = {step_1,       step_2,           step_3,        step_4,
                                    step_5,       step_accounts,    step_images,   step_entities,
                                    step_garbage, step_account_ids, step_compiled, step_retention,
                                    NULL};
NR_SCHEMA_CHECK(schema_steps, NR_SCHEMA_META);
