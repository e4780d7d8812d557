/* On an empty folder: secret.key, then for guest and administrator first the key file, then the row. A crash between the two leaves a file
 * that fits no row; the next start finds the account without a key and writes both anew.
 *
 * The public pair that tutorials use is in force only while it is asked for: a start without it removes it and, when it was in
 * use, gives guest a random key again.
 */
#include "fnmanager/accounts/key_files.h"

#include <limits.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "fnmanager/catalog.h"
#include "fnmanager/accounts/secret_file.h"

#define SECRET_FILE "secret.key"
#define KEY_SECRET_CHARS 64
#define DEV_UUID "23bc46b1-71f6-4ed5-8c54-816aa4f8c502"
#define DEV_SECRET "123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP"

/* Who does it: nobody, at start. */
static const struct fn_actor nobody;

/* How many keys each account of ours has. */
struct census {
    int all, guest, admin, dev;
};

void key_mac(const unsigned char key[32], struct nr_str uuid, struct nr_str secret,
             unsigned char out[NR_SHA256_BYTES])
{
    char text[512];
    size_t n = uuid.n + 1 + secret.n;

    nr_check(n <= sizeof(text));
    memcpy(text, uuid.p, uuid.n);
    text[uuid.n] = ':';
    memcpy(text + uuid.n + 1, secret.p, secret.n);
    nr_hmac(key, (struct nr_str){text, n}, out);
    explicit_bzero(text, sizeof(text));
}

void key_pair_make(struct key_pair *p)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned char bytes[16], more[KEY_SECRET_CHARS];
    char hex[33];

    nr_random(bytes, sizeof(bytes));
    bytes[6] = (unsigned char)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
    nr_hex(bytes, sizeof(bytes), hex);
    (void)snprintf(p->uuid, sizeof(p->uuid), "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
                   hex + 16, hex + 20);
    nr_random(more, sizeof(more));
    for (size_t i = 0; i < KEY_SECRET_CHARS; i++)
        p->secret[i] = letters[more[i] % 64];
    p->secret[KEY_SECRET_CHARS] = '\0';
    explicit_bzero(more, sizeof(more));
}

static void count_key(void *arg, const struct key_row *key, const struct account_row *account)
{
    struct census *c = arg;

    c->all++;
    c->guest += strcmp(account->name, ACCOUNT_GUEST) == 0;
    c->admin += strcmp(account->name, ACCOUNT_ADMIN) == 0;
    c->dev += nr_str_eqz(key->uuid, DEV_UUID);
}

static int read_secret(const struct accounts_config *c, bool may_make, unsigned char secret[32],
                       struct nr_err *err)
{
    struct nr_err why = {0};
    char path[4096];
    int r;

    if (snprintf(path, sizeof(path), "%s/%s", c->data_dir, SECRET_FILE) >= (int)sizeof(path))
        return nr_err_set(err, NR_EINVAL, "the path of the data folder is too long");
    r = secret_file_read(path, secret, c->log, &why);
    if (r == NR_ENOENT && may_make)
        return secret_file_make(path, secret, err);
    if (r < 0)
        return nr_err_set(err, r, "%s, and meta.db has keys that were hashed under it: put it back",
                          why.text);
    return 0;
}

static int write_file(const char *data_dir, const char *account, const struct key_pair *p,
                      struct nr_err *err)
{
    char text[sizeof(*p) + 2], name[32];
    int n = snprintf(text, sizeof(text), "%s:%s\n", p->uuid, p->secret), r;

    (void)snprintf(name, sizeof(name), "%s.key", account);
    r = nr_file_write(data_dir, name, (struct nr_str){text, (size_t)n}, 0600, err);
    explicit_bzero(text, sizeof(text));
    return r;
}

/* Does the account have a key file, and is it of this key? Its path goes into *path. */
static bool file_is_of(const char *data_dir, struct nr_str account, struct nr_str uuid,
                       char path[PATH_MAX])
{
    nr_auto_free char *text = NULL;
    size_t n = 0;
    bool of;

    if (!nr_str_eqz(account, ACCOUNT_GUEST) && !nr_str_eqz(account, ACCOUNT_ADMIN))
        return false;
    if (snprintf(path, PATH_MAX, "%s/%.*s.key", data_dir, (int)account.n, account.p) >= PATH_MAX ||
        nr_file_read(path, 512, &text, &n, NULL) < 0)
        return false;
    of = n > uuid.n && memcmp(text, uuid.p, uuid.n) == 0 && text[uuid.n] == ':';
    explicit_bzero(text, n);
    return of;
}

void key_file_renew(const char *data_dir, struct nr_str account, const struct key_pair *p)
{
    char path[PATH_MAX];

    if (file_is_of(data_dir, account, nr_str_of(p->uuid), path))
        (void)write_file(
            data_dir, nr_str_eqz(account, ACCOUNT_ADMIN) ? ACCOUNT_ADMIN : ACCOUNT_GUEST, p, NULL);
}

void key_file_forget(const char *data_dir, struct nr_str account, struct nr_str uuid)
{
    char path[PATH_MAX];

    if (file_is_of(data_dir, account, uuid, path))
        (void)unlink(path);
}

/* File first, row second. */
static int give_key(struct nr_db *db, const struct accounts_config *c,
                    const unsigned char secret[32], const char *account, const struct key_pair *p,
                    struct nr_err *err)
{
    bool admin = strcmp(account, ACCOUNT_ADMIN) == 0;
    struct key_row row = {.uuid = nr_str_of(p->uuid),
                          .account = nr_str_of(account),
                          .scopes = admin ? SCOPES_USER | SCOPE_ADMIN : SCOPES_USER};
    int r = write_file(c->data_dir, account, p, err);

    if (r < 0)
        return r;
    key_mac(secret, row.uuid, nr_str_of(p->secret), row.mac);
    r = metadata_key_put(db, &row, nobody, "key-create");
    return r < 0 ? nr_err_set(err, r, "the key of %s cannot be stored: %s", account, nr_err_text(r))
                 : 0;
}

static int give_random_key(struct nr_db *db, const struct accounts_config *c,
                           const unsigned char secret[32], const char *account, struct nr_err *err)
{
    struct key_pair p;
    int r;

    key_pair_make(&p);
    r = give_key(db, c, secret, account, &p, err);
    explicit_bzero(&p, sizeof(p));
    return r;
}

/* Makes the account, or gives it another profile when its limits were never set by hand. */
static int prepare_account(struct nr_db *db, const char *name, const char *profile,
                           struct nr_err *err)
{
    struct account_row row = {0};
    struct account_change change = {
        .row = &row, .move = "account-profile", .from = "ACTIVE", .now_ms = nr_wall_ms()};
    int r = metadata_account(db, nr_str_of(name), &row);

    change.create = r == NR_ENOENT;
    if (r == 0 && (strcmp(row.profile, profile) == 0 || strcmp(row.profile, PROFILE_CUSTOM) == 0)) {
        account_row_fini(&row);
        return 0;
    }
    if (r < 0 && !change.create)
        return nr_err_set(err, r, "the account %s cannot be read: %s", name, nr_err_text(r));
    r = 0;
    if (!accounts_profile(profile, &row))
        r = nr_err_set(err, NR_EINVAL,
                       "there is no account profile '%.32s'; there are default, iot and local",
                       profile);
    if (change.create)
        accounts_new_row(name, &row);
    free(row.profile);
    row.profile = nr_strdup(profile);
    if (r == 0 && (r = metadata_account_change(db, &change)) < 0)
        (void)nr_err_set(err, r, "the account %s cannot be stored: %s", name, nr_err_text(r));
    account_row_fini(&row);
    return r;
}

/* Nobody has a key of it, unless the administrator makes one. */
static int prepare_system(struct nr_db *db, struct nr_err *err)
{
    struct account_row row = {0};
    int r = metadata_account(db, NR_STR(ACCOUNT_SYSTEM), &row);

    account_row_fini(&row);
    return r == NR_ENOENT ? prepare_account(db, ACCOUNT_SYSTEM, "default", err) : r;
}

static int prepare_guest_key(struct nr_db *db, const struct accounts_config *c,
                             const unsigned char secret[32], const struct census *census,
                             struct nr_err *err)
{
    static const struct key_pair dev = {DEV_UUID, DEV_SECRET};
    int r;

    if (c->dev_keys)
        return census->dev != 0 ? 0 : give_key(db, c, secret, ACCOUNT_GUEST, &dev, err);
    if (census->dev != 0 &&
        (r = metadata_key_delete(db, NR_STR(ACCOUNT_GUEST), NR_STR(DEV_UUID), nobody)) < 0)
        return nr_err_set(err, r, "the public key of guest cannot be removed: %s", nr_err_text(r));
    if (census->dev != 0 || census->guest == 0)
        return give_random_key(db, c, secret, ACCOUNT_GUEST, err);
    return 0;
}

int key_files_prepare(struct nr_db *db, const struct accounts_config *c, unsigned char secret[32],
                      struct nr_err *err)
{
    struct census census = {0};
    int r = metadata_keys(db, (struct nr_str){NULL, 0}, count_key, &census);

    if (r < 0)
        return nr_err_set(err, r, "the keys cannot be read from meta.db: %s", nr_err_text(r));
    if ((r = read_secret(c, census.all == 0, secret, err)) < 0)
        return r;
    if ((r = prepare_account(db, ACCOUNT_GUEST, c->guest_profile, err)) < 0)
        return r;
    if ((r = prepare_account(db, ACCOUNT_ADMIN, "local", err)) < 0)
        return r;
    if (c->catalog && (r = prepare_system(db, err)) < 0)
        return r;
    if ((r = prepare_guest_key(db, c, secret, &census, err)) < 0)
        return r;
    return census.admin != 0 ? 0 : give_random_key(db, c, secret, ACCOUNT_ADMIN, err);
}
