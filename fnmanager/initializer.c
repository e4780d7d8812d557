/* Fn Initializer. Start: data folder, meta.db (migrated and checked), buckets, accounts and keys, sweep what a crash left, the two
 * threads. Each step that fails ends the start with one sentence, and what was opened is closed in the opposite order.
 * Close: the threads finish what is queued, then the database.
 */
#include "common/base/file.h"
#include "fnmanager/accounts/account_delete.h"
#include "fnmanager/catalog.h"
#include "fnmanager/functions/kinds.h"
#include "fnmanager/functions/lifecycle_controller.h"
#include "fnmanager/manager.h"
#include "fnmanager/preenv/preenv_optimizer.h"
#include "fnmanager/registry/schema.h"
#include "fnmanager/storage/sweeper.h"

#define DB_PAGE_BYTES 4096
#define DB_BUSY_MS 5000
#define FREEZE_REVISIONS 10000

static int open_db(struct fnmanager *m, struct nr_err *err)
{
    struct nr_db_config c = {.steps = schema_steps,
                             .page_bytes = DB_PAGE_BYTES,
                             .readers = 2,
                             .busy_timeout_ms = DB_BUSY_MS};
    char path[4096];
    int r;

    if (snprintf(path, sizeof(path), "%s/meta.db", m->data_dir) >= (int)sizeof(path))
        return nr_err_set(err, NR_EINVAL, "the path of the data folder is too long");
    c.path = path;
    if ((r = nr_db_open(&c, &m->db, err)) < 0)
        return r;
    uint64_t revision = 0;
    if ((r = metadata_revision(m->db, &revision)) < 0)
        return nr_err_set(err, r, "%s has no counter of revisions: %s", path, nr_err_text(r));
    atomic_init(&m->revision,
                revision > m->config.revision_least ? revision : m->config.revision_least);
    return 0;
}

/* *ret made. */
static int secrets_path(const char *data_dir, const char *file, char **ret, struct nr_err *err)
{
    *ret = file ? nr_strdup(file) : secrets_default_path(data_dir);
    return *ret ? 0
                : nr_err_set(err, NR_EINVAL, "%s cannot be found, so neither the key of secrets",
                             data_dir);
}

int fnmanager_judge(const char *data_dir, const char *secret_key_file, struct nr_log *log,
                    struct nr_err *err)
{
    nr_auto_free char *path = NULL;
    char meta[4096];
    int r = secrets_path(data_dir, secret_key_file, &path, err);

    (void)snprintf(meta, sizeof(meta), "%s/meta.db", data_dir);
    return r < 0 ? r : secrets_judge(meta, path, log, err);
}

static int open_secrets(struct fnmanager *m, struct nr_err *err)
{
    nr_auto_free char *path = NULL;
    int r = secrets_path(m->data_dir, m->config.secret_key_file, &path, err);

    if (r < 0)
        return r;
    return secrets_init(&m->secrets, m->db, path, m->config.log, err);
}

static int open_parts(struct fnmanager *m, struct nr_err *err)
{
    struct accounts_config accounts = {m->data_dir, m->config.guest_profile, m->config.dev_keys,
                                       m->config.log, m->config.catalog};
    int r;

    if ((r = nr_dir_make(m->data_dir, 0755, err)) < 0 || (r = open_db(m, err)) < 0)
        return r;
    if ((r = storage_init(&m->storage, m->data_dir, err)) < 0)
        return r;
    if ((r = accounts_open(&m->accounts, m->db, &accounts, err)) < 0 ||
        (r = open_secrets(m, err)) < 0 || (r = lifecycle_open(m, err)) < 0)
        return r;
    m->sweeper =
        (struct sweeper){.s = &m->storage, .db = m->db, .log = m->config.log, .swept = &m->swept};
    if ((r = sweeper_start(&m->sweeper, err)) < 0)
        return r;
    m->preenv = preenv_open(m);
    return handler_init(&m->handler, m, err);
}

int fnmanager_open(const struct fnmanager_config *c, struct fnmanager **ret, struct nr_err *err)
{
    struct fnmanager *m = nr_alloc(sizeof(*m));
    int r;

    m->config = *c;
    nr_list_init(&m->departures);
    nr_list_init(&m->imports);
    pthread_mutex_init(&m->retrying, NULL);
    pthread_mutex_init(&m->composing, NULL);
    m->data_dir = nr_strdup(c->data_dir);
    m->native_image = nr_strdup(c->native_image);
    m->registries = nr_strdup(c->registries ? c->registries : "public");
    images_init(&m->images);
    compile_init(&m->compiling);
    r = open_parts(m, err);
    if (r == 0)
        r = account_delete_resume(m, err);
    if (r == 0 && c->catalog)
        catalog_install(m);
    if (r < 0) {
        fnmanager_close(m);
        return r;
    }
    *ret = m;
    return 0;
}

void fnmanager_close(struct fnmanager *m)
{
    if (m == NULL)
        return;
    handler_fini(&m->handler);
    preenv_close(m->preenv);
    sweeper_stop(&m->sweeper);
    account_delete_fini(m);
    secrets_fini(&m->secrets);
    accounts_close(&m->accounts);
    storage_fini(&m->storage);
    nr_db_close(m->db);
    free(m->data_dir);
    free(m->native_image);
    free(m->registries);
    pthread_mutex_destroy(&m->retrying);
    pthread_mutex_destroy(&m->composing);
    images_fini(&m->images);
    compile_fini(&m->compiling);
    free(m);
}

/* What still runs here may take a few numbers more; nothing of that reaches the registry. */
uint64_t fnmanager_freeze(struct fnmanager *m)
{
    sweeper_stop(&m->sweeper);
    nr_db_freeze(m->db);
    return atomic_load(&m->revision) + FREEZE_REVISIONS;
}

uint64_t fnmanager_next_revision(struct fnmanager *m)
{
    return atomic_fetch_add_explicit(&m->revision, 1, memory_order_relaxed) + 1;
}

int fnmanager_authenticate(struct fnmanager *m, struct nr_str uuid, struct nr_str secret,
                           struct account **ret)
{
    return accounts_authenticate(&m->accounts, uuid, secret, ret);
}

bool fnmanager_still_good(struct fnmanager *m, const struct account *account)
{
    return accounts_still_good(&m->accounts, account);
}

int fnmanager_account(struct fnmanager *m, struct nr_str name, struct account **ret,
                      struct nr_err *err)
{
    return account_names_find(&m->accounts.names, name, ret, err);
}

int fnmanager_has_function(struct fnmanager *m, struct nr_str account, struct nr_str package,
                           struct nr_str name)
{
    struct fn_row row = {0};
    int r = metadata_load(m->db, (struct fn_key){account, package, name}, &row);

    fn_row_fini(&row);
    return r;
}

int fnmanager_seal(struct fnmanager *m, struct nr_str text, struct nr_str about, char **ret,
                   size_t *ret_bytes, struct nr_err *err)
{
    return secrets_seal(&m->secrets, text, about, ret, ret_bytes, err);
}

int fnmanager_unseal(struct fnmanager *m, struct nr_str sealed, struct nr_str about, char **ret,
                     size_t *ret_bytes, struct nr_err *err)
{
    return secrets_open(&m->secrets, sealed, about, ret, ret_bytes, err);
}

void fnmanager_runtimes(struct fnmanager *m, struct nr_buf *out)
{
    kinds_write(m->config.kinds, out);
}

void fnmanager_metrics(struct fnmanager *m, struct nr_buf *out)
{
    const struct {
        const char *name, *help;
        uint64_t value;
    } counters[] = {
        {"narae_fnmanager_auth_accepted_total", "Keys that were right.", m->accounts.accepted},
        {"narae_fnmanager_auth_refused_total", "Keys that were unknown or wrong.",
         m->accounts.refused},
        {"narae_fnmanager_files_hashed_total", "Stored files whose hash was checked before use.",
         m->storage.hashed},
        {"narae_fnmanager_files_damaged_total",
         "Stored files that were not what was uploaded; never run.", m->storage.damaged},
        {"narae_fnmanager_compilers_total", "Compilers that were run.", m->compiling.runs},
        {"narae_fnmanager_compilers_lost_total",
         "Of them again, because a result went with its container.", m->compiling.lost},
        {"narae_fnmanager_compiled_damaged_total",
         "Compiled files that were not what the compiler had made; made anew, never run.",
         m->compiling.damaged},
        {"narae_fnmanager_swept_total", "Files and folders without a row that were removed.",
         m->swept},
    };

    for (size_t i = 0; i < nr_countof(counters); i++)
        nr_metric_one(out, counters[i].name, "counter", counters[i].help,
                      (double)counters[i].value);
    handler_metrics(&m->handler, out);
    preenv_metrics(m->preenv, out);
}
