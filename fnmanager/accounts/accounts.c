/* The table of keys, and the check of one: HMAC of what was presented, compared in constant time with the stored one, or with zeros
 * when the uuid is unknown. Both take the same way through the same work.
 *
 * A change is stored first and then put in force here, under one lock: what a request finds is never ahead of the registry, and behind it
 * only until the change is answered.
 */
#include "fnmanager/accounts/accounts.h"

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "fnmanager/accounts/key_files.h"

#define UUID_MAX_BYTES 128
#define SECRET_MAX_BYTES 256
#define REFUSED_MAX_BYTES 4096

struct key_entry {
    struct nr_map_node node;
    unsigned char mac[NR_SHA256_BYTES];
    int64_t expires_ms;
    struct account *account; /* shared */
    char uuid[];
};

static const struct {
    const char *name;
    int64_t invocations_per_minute, fires_per_minute, concurrent_invocations;
} profiles[] = {
    {"default", 60, 60, 30},
    {"iot", 6000, 6000, 200},
    {"local", -1, -1, 1000},
};

bool accounts_profile(const char *profile, struct account_row *row)
{
    for (size_t i = 0; i < nr_countof(profiles); i++) {
        if (strcmp(profiles[i].name, profile) != 0)
            continue;
        row->invocations_per_minute = profiles[i].invocations_per_minute;
        row->fires_per_minute = profiles[i].fires_per_minute;
        row->concurrent_invocations = profiles[i].concurrent_invocations;
        return true;
    }
    return false;
}

void accounts_new_row(const char *name, struct account_row *row)
{
    row->name = nr_strdup(name);
    row->reason = nr_strdup("");
    row->state = ACCOUNT_ACTIVE;
    row->quota = (struct account_amount){-1, -1, -1};
    row->keep = (struct account_keep){-1, -1, -1};
    row->created_ms = nr_wall_ms();
    nr_random(&row->id, sizeof(row->id));
}

/* Why no call of the account is taken (made), or NULL. */
static char *refused_text(const struct account_row *row)
{
    struct nr_buf text;
    char *made;

    if (row->state == ACCOUNT_ACTIVE)
        return NULL;
    nr_buf_init(&text, REFUSED_MAX_BYTES);
    nr_buf_printf(&text, "The account '%s' is %s", row->name,
                  row->state == ACCOUNT_DELETING ? "being deleted" : "suspended");
    if (row->reason[0] != '\0')
        nr_buf_printf(&text, ": %s", row->reason);
    nr_buf_addc(&text, '.');
    made = nr_buf_detach(&text, NULL);
    nr_buf_fini(&text);
    return made != NULL ? made : nr_strdup("The account is suspended.");
}

static struct account *make_account(const struct account_row *row, const char *uuid,
                                    unsigned scopes, uint64_t key)
{
    struct account *a = nr_alloc(sizeof(*a));

    atomic_init(&a->refs, 1);
    a->name = nr_strdup(row->name);
    a->uuid = nr_strdup(uuid);
    a->scopes = scopes;
    a->key = key;
    a->refused = refused_text(row);
    a->invocations_per_minute = row->invocations_per_minute;
    a->fires_per_minute = row->fires_per_minute;
    a->concurrent_invocations = row->concurrent_invocations;
    return a;
}

/* As the platform itself acts for it: no key was used. */
static void put_name(struct accounts *a, const struct account_row *row)
{
    account_names_put(&a->names, make_account(row, "", 0, 0), row->id);
}

static void load_name(void *arg, const struct account_row *account,
                      const struct account_amount *used)
{
    (void)used;
    put_name(arg, account);
}

static void free_entry(struct key_entry *e)
{
    account_unref(e->account);
    free(e);
}

/* A new key, or another one of the same uuid. */
static void load_key(void *arg, const struct key_row *key, const struct account_row *account)
{
    struct accounts *a = arg;
    struct key_entry *e = nr_alloc(sizeof(*e) + key->uuid.n + 1);
    struct nr_map_node *old;

    memcpy(e->uuid, key->uuid.p, key->uuid.n);
    e->node.key = (struct nr_str){e->uuid, key->uuid.n};
    memcpy(e->mac, key->mac, sizeof(e->mac));
    e->expires_ms = key->expires_ms;
    pthread_rwlock_wrlock(&a->lock);
    e->account = make_account(account, e->uuid, key->scopes, ++a->keys);
    old = nr_map_put(&a->by_uuid, &e->node);
    pthread_rwlock_unlock(&a->lock);
    if (old != NULL)
        free_entry(nr_container_of(old, struct key_entry, node));
}

static void forget_key(struct accounts *a, struct nr_str uuid)
{
    struct nr_map_node *old;

    pthread_rwlock_wrlock(&a->lock);
    old = nr_map_del(&a->by_uuid, uuid);
    pthread_rwlock_unlock(&a->lock);
    if (old != NULL)
        free_entry(nr_container_of(old, struct key_entry, node));
}

int accounts_open(struct accounts *a, struct nr_db *db, const struct accounts_config *c,
                  struct nr_err *err)
{
    int r;

    nr_check(pthread_rwlock_init(&a->lock, NULL) == 0 &&
             pthread_mutex_init(&a->changing, NULL) == 0);
    nr_map_init(&a->by_uuid);
    account_names_init(&a->names);
    a->data_dir = nr_strdup(c->data_dir);
    a->ready = true;
    if ((r = key_files_prepare(db, c, a->secret, err)) < 0)
        return r;
    if ((r = metadata_keys(db, (struct nr_str){NULL, 0}, load_key, a)) == 0)
        r = metadata_accounts(db, load_name, a);
    return r < 0 ? nr_err_set(err, r, "the keys cannot be read from meta.db: %s", nr_err_text(r))
                 : 0;
}

static void entry_gone(struct nr_map_node *n, void *arg)
{
    (void)arg;
    free_entry(nr_container_of(n, struct key_entry, node));
}

void accounts_close(struct accounts *a)
{
    if (!a->ready)
        return;
    (void)nr_map_drain(&a->by_uuid, NULL, entry_gone, NULL);
    nr_map_fini(&a->by_uuid);
    account_names_fini(&a->names);
    pthread_rwlock_destroy(&a->lock);
    pthread_mutex_destroy(&a->changing);
    explicit_bzero(a->secret, sizeof(a->secret));
    free(a->data_dir);
    a->ready = false;
}

/* The stored hash and the account of a uuid; zeros and NULL when it is unknown or its key is over. */
static struct account *look_up(struct accounts *a, struct nr_str uuid,
                               unsigned char mac[NR_SHA256_BYTES])
{
    struct account *account = NULL;
    struct nr_map_node *n;

    memset(mac, 0, NR_SHA256_BYTES);
    pthread_rwlock_rdlock(&a->lock);
    n = nr_map_get(&a->by_uuid, uuid);
    if (n != NULL) {
        const struct key_entry *e = nr_container_of(n, struct key_entry, node);
        if (e->expires_ms == 0 || e->expires_ms > nr_wall_ms()) {
            memcpy(mac, e->mac, NR_SHA256_BYTES);
            account = account_ref(e->account);
        }
    }
    pthread_rwlock_unlock(&a->lock);
    return account;
}

int accounts_authenticate(struct accounts *a, struct nr_str uuid, struct nr_str secret,
                          struct account **ret)
{
    unsigned char stored[NR_SHA256_BYTES], presented[NR_SHA256_BYTES];
    struct account *account;
    bool same;

    if (uuid.n == 0 || uuid.n > UUID_MAX_BYTES || secret.n == 0 || secret.n > SECRET_MAX_BYTES) {
        nr_count(&a->refused, 1);
        return NR_EAUTH;
    }
    account = look_up(a, uuid, stored);
    key_mac(a->secret, uuid, secret, presented);
    same = nr_same_bytes(stored, presented, sizeof(stored));
    if (account == NULL || !same) {
        account_unref(account);
        nr_count(&a->refused, 1);
        return NR_EAUTH;
    }
    nr_count(&a->accepted, 1);
    *ret = account;
    return 0;
}

bool accounts_still_good(struct accounts *a, const struct account *account)
{
    struct nr_map_node *n;
    bool good = false;

    pthread_rwlock_rdlock(&a->lock);
    n = nr_map_get(&a->by_uuid, nr_str_of(account->uuid));
    if (n != NULL) {
        const struct key_entry *e = nr_container_of(n, struct key_entry, node);
        good = e->account->key == account->key && e->account->refused == NULL &&
               (e->account->scopes & account->scopes) == account->scopes &&
               (e->expires_ms == 0 || e->expires_ms > nr_wall_ms());
    }
    pthread_rwlock_unlock(&a->lock);
    return good;
}

int accounts_may_go_on(struct accounts *a, const char *account, const char *uuid, unsigned scopes,
                       struct nr_err *err)
{
    struct nr_map_node *n;
    int r = 0;

    pthread_rwlock_rdlock(&a->lock);
    n = nr_map_get(&a->by_uuid, nr_str_of(uuid));
    const struct key_entry *e = n ? nr_container_of(n, struct key_entry, node) : NULL;

    if (e == NULL || strcmp(e->account->name, account) != 0 ||
        (e->account->scopes & scopes) != scopes ||
        (e->expires_ms != 0 && e->expires_ms <= nr_wall_ms()))
        r = nr_err_set(err, NR_EFORBIDDEN,
                       "The key that it was started with is not good any more.");
    else if (e->account->refused != NULL)
        r = nr_err_set(err, NR_EFORBIDDEN, "%s", e->account->refused);
    pthread_rwlock_unlock(&a->lock);
    return r;
}

/* New snapshots for the account and all its keys; who holds an old one keeps it until his call ends. */
static void put_in_force(struct accounts *a, const struct account_row *row)
{
    struct nr_map_node *n = NULL;
    size_t at = 0;

    put_name(a, row);
    pthread_rwlock_wrlock(&a->lock);
    while ((n = nr_map_next(&a->by_uuid, &at, n)) != NULL) {
        struct key_entry *e = nr_container_of(n, struct key_entry, node);
        struct account *old = e->account;
        if (strcmp(old->name, row->name) != 0)
            continue;
        e->account = make_account(row, e->uuid, old->scopes, old->key);
        account_unref(old);
    }
    pthread_rwlock_unlock(&a->lock);
}

static int edit_locked(struct accounts *a, struct nr_db *db, const struct accounts_edit *e,
                       struct account_row *row, struct nr_err *err)
{
    struct account_change c = {
        .row = row, .actor = e->actor, .move = e->move, .now_ms = nr_wall_ms()};
    int r = metadata_account(db, e->name, row);

    if (r < 0)
        return r;
    c.from = account_state_name(row->state);
    if ((r = e->edit(row, e->arg, err)) < 0)
        return r;
    c.note = row->reason[0] != '\0' ? row->reason : NULL;
    if ((r = metadata_account_change(db, &c)) == 0)
        put_in_force(a, row);
    return r;
}

int accounts_edit(struct accounts *a, struct nr_db *db, const struct accounts_edit *e,
                  struct account_row *ret, struct nr_err *err)
{
    struct account_row row = {0};
    int r;

    pthread_mutex_lock(&a->changing);
    r = edit_locked(a, db, e, &row, err);
    pthread_mutex_unlock(&a->changing);
    if (r == 0)
        *ret = row;
    else
        account_row_fini(&row);
    return r;
}

int accounts_create(struct accounts *a, struct nr_db *db, const struct account_row *row,
                    struct fn_actor actor, struct key_pair *ret_pair)
{
    struct key_row key = {.account = nr_str_of(row->name), .scopes = SCOPES_USER};
    const struct account_change c = {.row = row,
                                     .create = true,
                                     .key = &key,
                                     .actor = actor,
                                     .move = "account-create",
                                     .from = "",
                                     .now_ms = row->created_ms};
    int r;

    key_pair_make(ret_pair);
    key.uuid = nr_str_of(ret_pair->uuid);
    key_mac(a->secret, key.uuid, nr_str_of(ret_pair->secret), key.mac);
    pthread_mutex_lock(&a->changing);
    if ((r = metadata_account_change(db, &c)) == 0) {
        put_name(a, row);
        load_key(a, &key, row);
    }
    pthread_mutex_unlock(&a->changing);
    return r;
}

/* Stores a key with its new secret and puts it in force; the lock is held. */
static int put_key(struct accounts *a, struct nr_db *db, struct key_row *key, struct fn_actor actor,
                   const char *move, struct key_pair *pair)
{
    struct account_row row = {0};
    int r;

    key->uuid = nr_str_of(pair->uuid);
    key_mac(a->secret, key->uuid, nr_str_of(pair->secret), key->mac);
    if ((r = metadata_key_put(db, key, actor, move)) == 0 &&
        (r = metadata_account(db, key->account, &row)) == 0)
        load_key(a, key, &row);
    account_row_fini(&row);
    return r;
}

int accounts_key_add(struct accounts *a, struct nr_db *db, struct key_row *key,
                     struct fn_actor actor, struct key_pair *ret_pair)
{
    int r;

    key_pair_make(ret_pair);
    key->created_ms = nr_wall_ms();
    pthread_mutex_lock(&a->changing);
    r = put_key(a, db, key, actor, "key-create", ret_pair);
    pthread_mutex_unlock(&a->changing);
    return r;
}

/* The key that is to be rotated. */
struct wanted {
    struct nr_str uuid;
    struct key_row row;
    char *note; /* made */
    bool found;
};

static void want_key(void *arg, const struct key_row *key, const struct account_row *account)
{
    struct wanted *w = arg;

    (void)account;
    if (!nr_str_eq(key->uuid, w->uuid))
        return;
    w->row = *key;
    w->note = nr_strndup(key->note.n != 0 ? key->note.p : "", key->note.n);
    w->found = true;
}

int accounts_key_rotate(struct accounts *a, struct nr_db *db, struct nr_str account,
                        struct nr_str uuid, struct fn_actor actor, struct key_row *key,
                        struct key_pair *ret_pair, char **ret_note)
{
    struct wanted w = {.uuid = uuid};
    int r;

    key_pair_make(ret_pair);
    pthread_mutex_lock(&a->changing);
    r = metadata_keys(db, account, want_key, &w);
    if (r == 0 && !w.found)
        r = NR_ENOENT;
    if (r == 0) {
        (void)snprintf(ret_pair->uuid, sizeof(ret_pair->uuid), "%.*s", (int)uuid.n, uuid.p);
        w.row.account = account;
        w.row.note = nr_str_of(w.note);
        r = put_key(a, db, &w.row, actor, "key-rotate", ret_pair);
    }
    if (r == 0)
        key_file_renew(a->data_dir, account, ret_pair);
    pthread_mutex_unlock(&a->changing);
    *key = w.row;
    *ret_note = w.note;
    return r;
}

int accounts_key_revoke(struct accounts *a, struct nr_db *db, struct nr_str account,
                        struct nr_str uuid, struct fn_actor actor)
{
    int r;

    pthread_mutex_lock(&a->changing);
    if ((r = metadata_key_delete(db, account, uuid, actor)) == 0) {
        forget_key(a, uuid);
        key_file_forget(a->data_dir, account, uuid);
    }
    pthread_mutex_unlock(&a->changing);
    return r;
}

/* One uuid of the account's keys that are in memory; false when there is none. */
static bool any_key(struct accounts *a, struct nr_str name, char uuid[UUID_MAX_BYTES + 1])
{
    struct nr_map_node *n = NULL;
    size_t at = 0;

    pthread_rwlock_rdlock(&a->lock);
    while ((n = nr_map_next(&a->by_uuid, &at, n)) != NULL) {
        const struct key_entry *e = nr_container_of(n, struct key_entry, node);
        if (!nr_str_eqz(name, e->account->name))
            continue;
        (void)snprintf(uuid, UUID_MAX_BYTES + 1, "%s", e->uuid);
        break;
    }
    pthread_rwlock_unlock(&a->lock);
    return n != NULL;
}

int accounts_remove(struct accounts *a, struct nr_db *db, struct nr_str name, struct fn_actor actor)
{
    char uuid[UUID_MAX_BYTES + 1];
    int r;

    pthread_mutex_lock(&a->changing);
    r = metadata_account_remove(db, name, actor);
    while (r == 0 && any_key(a, name, uuid))
        forget_key(a, nr_str_of(uuid));
    if (r == 0)
        account_names_forget(&a->names, name);
    pthread_mutex_unlock(&a->changing);
    return r;
}
