/* A sealed text is: one byte for the form, a random nonce, the ciphertext, the tag.
 *
 * The key's file is made when the first secret is sealed, so an installation without secrets has none; the registry then keeps the
 * key's name, and from then on a start without the file, or with another one, is refused: a new key made in silence would lose
 * every secret. First the file, then the name, then what was sealed: a crash in between leaves a file that the next first use takes.
 */
#include "fnmanager/accounts/secrets.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/data/digest.h"

enum { FORM = 1, NONCE_BYTES = 12, TAG_BYTES = 16 };
enum { HEAD_BYTES = 1 + NONCE_BYTES };

#define DAMAGED "A stored secret cannot be opened: it was changed, or sealed under another key."

struct name_job {
    struct nr_db_job job;
    int64_t name; /* 0: none is stored */
};

char *secrets_default_path(const char *data_dir)
{
    char real[PATH_MAX];
    size_t n;
    char *path;

    if (realpath(data_dir, real) == NULL)
        return NULL;
    n = strlen(real) + sizeof(".secret.key");
    path = nr_alloc(n);
    (void)snprintf(path, n, "%s.secret.key", real);
    return path;
}

/* What the registry remembers of a key: no key can be found from it. */
static int64_t key_name(const unsigned char key[SECRET_BYTES])
{
    unsigned char hash[NR_SHA256_BYTES];
    int64_t name;

    nr_hmac(key, NR_STR("narae key name"), hash);
    memcpy(&name, hash, sizeof(name));
    return name != 0 ? name : 1;
}

static int load_name_run(sqlite3 *db, struct nr_db_job *job)
{
    struct name_job *j = nr_container_of(job, struct name_job, job);
    sqlite3_stmt *s = nr_db_prepare(db, "SELECT value FROM counters WHERE name = 'secret_key'");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    r = sqlite3_step(s);
    if (r == SQLITE_ROW)
        j->name = sqlite3_column_int64(s, 0);
    (void)sqlite3_reset(s);
    return r == SQLITE_ROW || r == SQLITE_DONE ? 0 : nr_db_err(r);
}

static int store_name_run(sqlite3 *db, struct nr_db_job *job)
{
    struct name_job *j = nr_container_of(job, struct name_job, job);
    sqlite3_stmt *s =
        nr_db_prepare(db, "INSERT INTO counters(name, value) VALUES('secret_key', ?1)");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    sqlite3_bind_int64(s, 1, j->name);
    r = sqlite3_step(s);
    (void)sqlite3_reset(s);
    return r == SQLITE_DONE ? 0 : nr_db_err(r);
}

/* Reads the file of the key that is called `name`, or of any when it is 0. */
static int load_key(struct secrets *s, int64_t name, struct nr_err *err)
{
    int r = secret_file_read(s->path, s->key, s->log, err);

    if (r < 0 && name != 0)
        return nr_err_wrap(
            err, r, "stored secrets were sealed under the key of a file that must be put back");
    if (r < 0)
        return r;
    if (name != 0 && key_name(s->key) != name) {
        explicit_bzero(s->key, sizeof(s->key));
        return nr_err_set(
            err, NR_ECONFLICT,
            "%s holds another key than the one under which the stored secrets were sealed: put the right file back",
            s->path);
    }
    s->loaded = true;
    return 0;
}

int secrets_init(struct secrets *s, struct nr_db *db, const char *path, struct nr_log *log,
                 struct nr_err *err)
{
    struct name_job j = {.job = {.run = load_name_run}};
    int r;

    nr_check(pthread_mutex_init(&s->lock, NULL) == 0);
    s->db = db;
    s->log = log;
    s->path = nr_strdup(path);
    if ((r = nr_db_read_wait(db, &j.job)) < 0)
        return nr_err_set(err, r, "the name of the key of secrets cannot be read: %s",
                          nr_err_text(r));
    return j.name != 0 ? load_key(s, j.name, err) : 0;
}

int secrets_judge(const char *meta_path, const char *path, struct nr_log *log, struct nr_err *err)
{
    struct secrets s = {.log = log};
    int64_t name = 0;
    int r =
        nr_db_glance(meta_path, "SELECT value FROM counters WHERE name = 'secret_key'", &name, err);

    if (r < 0 || name == 0)
        return r;
    s.path = nr_strdup(path);
    r = load_key(&s, name, err);
    explicit_bzero(s.key, sizeof(s.key));
    free(s.path);
    return r;
}

void secrets_fini(struct secrets *s)
{
    if (s->path == NULL)
        return;
    pthread_mutex_destroy(&s->lock);
    explicit_bzero(s->key, sizeof(s->key));
    s->loaded = false;
    free(s->path);
    s->path = NULL;
}

/* The first secret: takes the file that is there (an earlier first use that ended in between, or one that was laid there), else makes it. */
static int first_use(struct secrets *s, struct nr_err *err)
{
    struct name_job j = {.job = {.run = store_name_run}};
    struct nr_err why = {0};
    int r = load_key(s, 0, &why);

    if (r == NR_ENOENT) {
        why.code = 0;
        why.text[0] = '\0';
        r = secret_file_make(s->path, s->key, &why);
    }
    if (r < 0)
        return nr_err_set(
            err, r,
            "There is no key under which secrets could be kept (%s); see --secret-key-file.",
            why.text);
    j.name = key_name(s->key);
    r = nr_db_write_wait(s->db, &j.job);
    s->loaded = r == 0;
    return r < 0 ? nr_err_set(err, r, "The key of secrets cannot be noted: %s.", nr_err_text(r))
                 : 0;
}

/* A copy of the key, made when this is the first use and something shall be sealed. */
static int take_key(struct secrets *s, bool may_make, unsigned char key[SECRET_BYTES],
                    struct nr_err *err)
{
    int r = 0;

    pthread_mutex_lock(&s->lock);
    if (!s->loaded)
        r = may_make ? first_use(s, err) : nr_err_set(err, NR_ECORRUPT, DAMAGED);
    if (r == 0)
        memcpy(key, s->key, SECRET_BYTES);
    pthread_mutex_unlock(&s->lock);
    return r;
}

static void free_cipher(EVP_CIPHER_CTX **c)
{
    EVP_CIPHER_CTX_free(*c);
}

/* Nothing is no call: there it would mean something else. */
static bool update(int (*with)(EVP_CIPHER_CTX *c, unsigned char *out, int *n,
                               const unsigned char *in, int in_bytes),
                   EVP_CIPHER_CTX *c, unsigned char *out, const void *in, size_t bytes)
{
    int n = 0;

    return bytes == 0 || (with(c, out, &n, in, (int)bytes) == 1 && (size_t)n == bytes);
}

static bool encrypt(const unsigned char key[SECRET_BYTES], struct nr_str text, struct nr_str about,
                    unsigned char *out)
{
    EVP_CIPHER_CTX *c __attribute__((cleanup(free_cipher))) = EVP_CIPHER_CTX_new();
    unsigned char *nonce = out + 1, *body = out + HEAD_BYTES;
    int n = 0, last = 0;

    return c && EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
           EVP_EncryptUpdate(c, NULL, &n, (const unsigned char *)about.p, (int)about.n) == 1 &&
           update(EVP_EncryptUpdate, c, body, text.p, text.n) &&
           EVP_EncryptFinal_ex(c, body + text.n, &last) == 1 &&
           EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, body + text.n) == 1;
}

static bool decrypt(const unsigned char key[SECRET_BYTES], struct nr_str sealed,
                    struct nr_str about, unsigned char *out)
{
    EVP_CIPHER_CTX *c __attribute__((cleanup(free_cipher))) = EVP_CIPHER_CTX_new();
    const unsigned char *from = (const unsigned char *)sealed.p;
    size_t bytes = sealed.n - HEAD_BYTES - TAG_BYTES;
    unsigned char tag[TAG_BYTES];
    int n = 0, last = 0;

    memcpy(tag, from + HEAD_BYTES + bytes, TAG_BYTES);
    return c && EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, from + 1) == 1 &&
           EVP_DecryptUpdate(c, NULL, &n, (const unsigned char *)about.p, (int)about.n) == 1 &&
           update(EVP_DecryptUpdate, c, out, from + HEAD_BYTES, bytes) &&
           EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag) == 1 &&
           EVP_DecryptFinal_ex(c, out + bytes, &last) == 1;
}

int secrets_seal(struct secrets *s, struct nr_str text, struct nr_str about, char **ret,
                 size_t *ret_bytes, struct nr_err *err)
{
    unsigned char key[SECRET_BYTES];
    size_t bytes = HEAD_BYTES + text.n + TAG_BYTES;
    bool done;
    int r;

    if (text.n > SECRETS_TEXT_MAX_BYTES)
        return nr_err_set(err, NR_ETOOBIG, "A secret of %zu bytes is larger than the allowed %d.",
                          text.n, SECRETS_TEXT_MAX_BYTES);
    unsigned char *out __attribute__((cleanup(nr_cleanup_free))) = nr_try_alloc(bytes);

    if (out == NULL)
        return nr_err_set(err, NR_ENOMEM, "There is no memory to seal a secret.");
    if ((r = take_key(s, true, key, err)) < 0)
        return r;
    out[0] = FORM;
    nr_random(out + 1, NONCE_BYTES);
    done = encrypt(key, text, about, out);
    explicit_bzero(key, sizeof(key));
    if (!done)
        return nr_err_set(err, NR_EINTERNAL, "A secret cannot be sealed.");
    *ret = (char *)nr_steal(&out);
    *ret_bytes = bytes;
    return 0;
}

int secrets_open(struct secrets *s, struct nr_str sealed, struct nr_str about, char **ret,
                 size_t *ret_bytes, struct nr_err *err)
{
    unsigned char key[SECRET_BYTES];
    size_t bytes;
    char *out;
    bool done;
    int r;

    if (sealed.n < HEAD_BYTES + TAG_BYTES || sealed.p[0] != FORM ||
        sealed.n > HEAD_BYTES + SECRETS_TEXT_MAX_BYTES + TAG_BYTES)
        return nr_err_set(err, NR_ECORRUPT, DAMAGED);
    if ((r = take_key(s, false, key, err)) < 0)
        return r;
    bytes = sealed.n - HEAD_BYTES - TAG_BYTES;
    out = nr_try_alloc(bytes + 1);
    done = out && decrypt(key, sealed, about, (unsigned char *)out);
    explicit_bzero(key, sizeof(key));
    if (!done) {
        r = out ? NR_ECORRUPT : NR_ENOMEM;
        secrets_forget(out, bytes);
        return nr_err_set(err, r, "%s",
                          r == NR_ENOMEM ? "There is no memory to open a secret." : DAMAGED);
    }
    *ret = out;
    *ret_bytes = bytes;
    return 0;
}

void secrets_forget(char *text, size_t bytes)
{
    if (text != NULL)
        explicit_bzero(text, bytes);
    free(text);
}
