/* The table of keys, and the check of one: HMAC of what was presented, compared in constant time with the stored one, or with zeros
 * when the uuid is unknown. Both take the same way through the same work.
 */
#include "fnmanager/accounts.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "fnmanager/key_files.h"

#define UUID_MAX_BYTES 128
#define SECRET_MAX_BYTES 256

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

static struct account *make_account(const struct account_row *row, const char *uuid,
                                    unsigned scopes)
{
    struct account *a = nr_alloc(sizeof(*a));

    atomic_init(&a->refs, 1);
    a->name = nr_strdup(row->name);
    a->uuid = nr_strdup(uuid);
    a->scopes = scopes;
    a->invocations_per_minute = row->invocations_per_minute;
    a->fires_per_minute = row->fires_per_minute;
    a->concurrent_invocations = row->concurrent_invocations;
    return a;
}

static void free_entry(struct key_entry *e)
{
    account_unref(e->account);
    free(e);
}

/* At open, before there are other threads that read the map. */
static void load_key(void *arg, const struct key_row *key, const struct account_row *account)
{
    struct accounts *a = arg;
    struct key_entry *e = nr_alloc(sizeof(*e) + key->uuid.n + 1);
    struct nr_map_node *old;

    memcpy(e->uuid, key->uuid.p, key->uuid.n);
    e->node.key = (struct nr_str){e->uuid, key->uuid.n};
    memcpy(e->mac, key->mac, sizeof(e->mac));
    e->expires_ms = key->expires_ms;
    e->account = make_account(account, e->uuid, key->scopes);
    old = nr_map_put(&a->by_uuid, &e->node);
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
    a->ready = true;
    if ((r = key_files_prepare(db, c, a->secret, err)) < 0)
        return r;
    r = metadata_keys(db, load_key, a);
    return r < 0 ? nr_err_set(err, r, "the keys cannot be read from meta.db: %s", nr_err_text(r))
                 : 0;
}

void accounts_close(struct accounts *a)
{
    struct nr_map_node *n = NULL;
    size_t at = 0;

    if (!a->ready)
        return;
    while ((n = nr_map_next(&a->by_uuid, &at, n)) != NULL) {
        (void)nr_map_del(&a->by_uuid, n->key);
        free_entry(nr_container_of(n, struct key_entry, node));
        n = NULL;
        at = 0;
    }
    nr_map_fini(&a->by_uuid);
    pthread_rwlock_destroy(&a->lock);
    pthread_mutex_destroy(&a->changing);
    explicit_bzero(a->secret, sizeof(a->secret));
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

/* New snapshots for all keys of the account; who holds an old one keeps it until his call ends. */
static void put_in_force(struct accounts *a, const struct account_row *row)
{
    struct nr_map_node *n = NULL;
    size_t at = 0;

    pthread_rwlock_wrlock(&a->lock);
    while ((n = nr_map_next(&a->by_uuid, &at, n)) != NULL) {
        struct key_entry *e = nr_container_of(n, struct key_entry, node);
        struct account *old = e->account;
        if (strcmp(old->name, row->name) != 0)
            continue;
        e->account = make_account(row, e->uuid, old->scopes);
        account_unref(old);
    }
    pthread_rwlock_unlock(&a->lock);
}

int accounts_set_limits(struct accounts *a, struct nr_db *db, const struct account_row *row)
{
    int r;

    pthread_mutex_lock(&a->changing);
    r = metadata_account_put(db, row);
    if (r == 0)
        put_in_force(a, row);
    pthread_mutex_unlock(&a->changing);
    return r;
}
