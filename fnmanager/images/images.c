/* A deploy of an own image: its name is read; an image of this host that no registry has is taken as it is; else the registry is asked, with
 * the account's own credentials, whether the account may have it and which digest it is; what is not here is pulled by that digest. So a tag that is moved
 * changes nothing for what is deployed, and nobody gets what others pulled. When the disk is full images that nobody needs go, and the pull
 * is tried once more.
 *
 * Two pulls an account at a time: registries may be slow, and threads are few.
 */
#include "fnmanager/images/images.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "fnmanager/manager.h"
#include "fnmanager/registry/metadata_images.h"

enum {
    PULLS_MAX = 256,
    PULLS_OF_ACCOUNT_MAX = 2,
    FAILED_KEPT_MS = 600000,
    FAILED_OF_ACCOUNT_MAX = 8
};

static const char engine_away[] = "The Docker Engine of this host does not answer as it should.";

/* One that is asked for or under way, or has failed. */
struct image_pull {
    struct nr_link link;
    char *account, *reference; /* account "": it has left */
    struct image_progress progress;
    struct nr_err err; /* code != 0: it failed */
    int64_t begun_ms, ended_ms;
};

void images_init(struct images *i)
{
    (void)pthread_mutex_init(&i->lock, NULL);
    nr_list_init(&i->pulls);
    i->ready = true;
}

static void pull_free(struct images *i, struct image_pull *p)
{
    nr_list_del(&p->link);
    free(p->account);
    free(p->reference);
    free(p);
}

void images_fini(struct images *i)
{
    if (!i->ready)
        return;
    NR_LIST_EACH(&i->pulls, l)
        pull_free(i, nr_container_of(l, struct image_pull, link));
    (void)pthread_mutex_destroy(&i->lock);
    i->ready = false;
}

bool images_are_possible(const struct fnmanager *m)
{
    return m->config.image != NULL;
}

/* ---- the invoker, waited for -------------------------------------------------------------------------------- */

struct waiting {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool done;
    void *owner;
};

static void on_done(struct image_call *c)
{
    struct waiting *w = c->owner;

    pthread_mutex_lock(&w->lock);
    w->done = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

int images_ask(struct fnmanager *m, struct image_call *c,
               void (*progress)(struct image_call *c, const struct image_progress *p), void *owner)
{
    struct waiting w = {
        .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER, .owner = owner};

    c->owner = &w;
    c->done = on_done;
    c->progress = progress;
    m->config.image(m->config.arg, c);
    pthread_mutex_lock(&w.lock);
    while (!w.done)
        pthread_cond_wait(&w.wake, &w.lock);
    pthread_mutex_unlock(&w.lock);
    (void)pthread_cond_destroy(&w.wake);
    (void)pthread_mutex_destroy(&w.lock);
    return c->err.code;
}

/* ---- pulls under way ---------------------------------------------------------------------------------------- */

/* Failed ones of a while ago, an earlier one of the same, and of one account the oldest that are too many. */
static void tidy(struct images *i, const char *account, const char *reference)
{
    int64_t now_ms = nr_wall_ms();
    struct image_pull *oldest = NULL;
    unsigned failed = 0;

    NR_LIST_EACH(&i->pulls, l) {
        struct image_pull *p = nr_container_of(l, struct image_pull, link);
        bool own = strcmp(p->account, account) == 0;

        if (p->ended_ms == 0)
            continue;
        if ((own && strcmp(p->reference, reference) == 0) ||
            now_ms - p->ended_ms > FAILED_KEPT_MS) {
            pull_free(i, p);
        } else if (own) {
            oldest = oldest ? oldest : p;
            failed++;
        }
    }
    if (failed >= FAILED_OF_ACCOUNT_MAX)
        pull_free(i, oldest);
}

/* Of the account, or with NULL of all. */
static unsigned under_way(const struct images *i, const char *account)
{
    unsigned n = 0;

    for (struct nr_link *l = i->pulls.next; l != &i->pulls; l = l->next) {
        const struct image_pull *p = nr_container_of(l, struct image_pull, link);

        n += p->ended_ms == 0 && (account == NULL || strcmp(p->account, account) == 0);
    }
    return n;
}

int images_announce(struct fnmanager *m, const char *account, const struct image_name *name,
                    struct image_pull **ret, struct nr_err *err)
{
    struct images *i = &m->images;
    struct image_pull *p = NULL;

    pthread_mutex_lock(&i->lock);
    tidy(i, account, name->reference);
    if (under_way(i, account) >= PULLS_OF_ACCOUNT_MAX || under_way(i, NULL) >= PULLS_MAX) {
        (void)nr_err_set(
            err, NR_EQUOTA,
            "%d images of this account are being looked for already; try again when one is there.",
            PULLS_OF_ACCOUNT_MAX);
    } else {
        p = nr_alloc(sizeof(*p));
        p->account = nr_strdup(account);
        p->reference = nr_strdup(name->reference);
        p->begun_ms = nr_wall_ms();
        nr_list_add(&i->pulls, &p->link);
    }
    pthread_mutex_unlock(&i->lock);
    if (p != NULL)
        *ret = p;
    return p != NULL ? 0 : NR_EQUOTA;
}

/* A failed one is kept for those who ask what became of it. */
static void pull_end(struct images *i, struct image_pull *p, const struct nr_err *err)
{
    pthread_mutex_lock(&i->lock);
    p->ended_ms = nr_wall_ms();
    p->err = *err;
    if (err->code == 0)
        pull_free(i, p);
    pthread_mutex_unlock(&i->lock);
}

void images_forget(struct images *i, struct nr_str account)
{
    if (!i->ready)
        return;
    pthread_mutex_lock(&i->lock);
    NR_LIST_EACH(&i->pulls, l) {
        struct image_pull *p = nr_container_of(l, struct image_pull, link);

        if (!nr_str_eqz(account, p->account))
            continue;
        p->account[0] = '\0';
        if (p->ended_ms != 0)
            pull_free(i, p);
    }
    pthread_mutex_unlock(&i->lock);
}

/* Whose it is (made). */
static char *account_of(struct images *i, const struct image_pull *p)
{
    char *account;

    pthread_mutex_lock(&i->lock);
    account = nr_strdup(p->account);
    pthread_mutex_unlock(&i->lock);
    return account;
}

struct progress_to {
    struct images *images;
    struct image_pull *pull;
};

static void on_progress(struct image_call *c, const struct image_progress *now)
{
    const struct waiting *w = c->owner;
    const struct progress_to *to = w->owner;

    pthread_mutex_lock(&to->images->lock);
    to->pull->progress = *now;
    pthread_mutex_unlock(&to->images->lock);
}

bool images_is_pulling(struct fnmanager *m, const char *account, const char *reference)
{
    bool found = false;

    pthread_mutex_lock(&m->images.lock);
    for (struct nr_link *l = m->images.pulls.next; l != &m->images.pulls; l = l->next) {
        const struct image_pull *p = nr_container_of(l, struct image_pull, link);

        found = found || (p->ended_ms == 0 && strcmp(p->account, account) == 0 &&
                          strcmp(p->reference, reference) == 0);
    }
    pthread_mutex_unlock(&m->images.lock);
    return found;
}

static json_t *pull_json(const struct image_pull *p)
{
    json_t *o = json_pack("{s:s, s:s, s:s}", "reference", p->reference, "account", p->account,
                          "state", p->ended_ms ? "failed" : "pulling");

    if (p->ended_ms)
        (void)json_object_set_new(o, "error", json_string(p->err.text));
    else
        (void)json_object_set_new(
            o, "progress",
            json_pack("{s:i, s:i, s:I, s:I}", "layers", (int)p->progress.layers, "layers_done",
                      (int)p->progress.layers_done, "bytes", (json_int_t)p->progress.bytes,
                      "bytes_total", (json_int_t)p->progress.bytes_total));
    return o;
}

json_t *images_pulls(struct fnmanager *m, struct nr_str account)
{
    json_t *list = json_array();

    pthread_mutex_lock(&m->images.lock);
    for (struct nr_link *l = m->images.pulls.next; l != &m->images.pulls; l = l->next) {
        const struct image_pull *p = nr_container_of(l, struct image_pull, link);

        if (account.p == NULL || nr_str_eqz(account, p->account))
            (void)json_array_append_new(list, pull_json(p));
    }
    pthread_mutex_unlock(&m->images.lock);
    return list;
}

/* ---- which one it is ---------------------------------------------------------------------------------------- */

static bool has_text(const json_t *array, const char *text)
{
    size_t i;
    json_t *e;

    json_array_foreach(array, i, e) {
        if (json_is_string(e) && strcmp(json_string_value(e), text) == 0)
            return true;
    }
    return false;
}

/* A registry has told a digest for this repository: it is not from here. */
static bool is_of_registry(const json_t *digests, const char *repository)
{
    size_t i, n = strlen(repository);
    json_t *e;

    json_array_foreach(digests, i, e) {
        const char *digest = json_string_value(e);

        if (digest && strncmp(digest, repository, n) == 0 && digest[n] == '@')
            return true;
    }
    return false;
}

/* It must be of this host's kind, say what to run, and not ask for disk. */
static int check_found(const struct image_call *c, const char *reference, struct nr_err *err)
{
    if (!c->fits)
        return nr_err_set(err, NR_EINVAL,
                          "The image '%.128s' is for %s, which this host does not run.", reference,
                          c->platform);
    if (!c->has_command)
        return nr_err_set(
            err, NR_EINVAL,
            "The image '%.128s' names no entry point and no command: there is nothing to run in it.",
            reference);
    if (c->has_volumes)
        return nr_err_set(
            err, NR_EINVAL,
            "The image '%.128s' declares volumes (VOLUME), which no function gets; /tmp is writable.",
            reference);
    return 0;
}

/* One deploy on its way. */
struct pinning {
    struct fnmanager *m;
    const char *account;
    struct image_name name;
    char *auth;
    char pin[IMAGE_REFERENCE_BYTES];
    int64_t bytes;
    bool ours;
};

/* NR_ENOENT: it is to be asked for. */
static int take_local(struct pinning *p, struct nr_err *err)
{
    struct image_call c = {.op = IMAGE_FIND, .reference = p->name.reference};
    int r = images_ask(p->m, &c, NULL, NULL);
    bool local = r == 0 && has_text(json_object_get(c.found, "RepoTags"), p->name.reference) &&
                 !is_of_registry(json_object_get(c.found, "RepoDigests"), p->name.repository);

    json_decref(c.found);
    if (r < 0 && r != NR_ENOENT)
        return nr_err_set(err, NR_EUNAVAIL, "%s", engine_away);
    if (!local)
        return NR_ENOENT;
    (void)snprintf(p->pin, sizeof(p->pin), "%s", c.id);
    p->bytes = c.bytes;
    return check_found(&c, p->name.reference, err);
}

static int ask_registry(struct pinning *p, struct nr_err *err)
{
    struct image_call c = {.op = IMAGE_ASK, .reference = p->name.reference, .auth = p->auth};
    int r = images_ask(p->m, &c, NULL, NULL);

    if (r < 0)
        return nr_err_set(err, r, "%s", c.err.text);
    int n = snprintf(p->pin, sizeof(p->pin), "%s@%s", p->name.repository, c.digest);

    return n > 0 && (size_t)n < sizeof(p->pin)
               ? 0
               : nr_err_set(err, NR_EINVAL, "The image reference is too long.");
}

static int find_pinned(struct pinning *p, struct nr_err *err)
{
    struct image_call c = {.op = IMAGE_FIND, .reference = p->pin};
    int r = images_ask(p->m, &c, NULL, NULL);

    json_decref(c.found);
    if (r < 0)
        return r == NR_ENOENT ? r : nr_err_set(err, NR_EUNAVAIL, "%s", engine_away);
    p->bytes = c.bytes;
    return check_found(&c, p->name.reference, err);
}

static int pull_once(struct pinning *p, struct image_pull *pull, struct nr_err *err)
{
    struct progress_to to = {&p->m->images, pull};
    struct image_call c = {.op = IMAGE_PULL,
                           .reference = p->pin,
                           .auth = p->auth,
                           .max_bytes = (int64_t)IMAGE_MAX_MB << 20};
    int r = images_ask(p->m, &c, on_progress, &to);

    return r < 0 ? nr_err_set(err, r, "%s", c.err.text) : 0;
}

static int pull_pinned(struct pinning *p, struct image_pull *pull, struct nr_err *err)
{
    struct nr_err why = {0};
    int r = pull_once(p, pull, &why);
    json_t *pruned = NULL;

    if (r == NR_ENOSPC && images_prune(p->m, &pruned, NULL) == 0 &&
        json_array_size(json_object_get(pruned, "removed")) > 0) {
        why = (struct nr_err){0};
        r = pull_once(p, pull, &why);
    }
    json_decref(pruned);
    p->ours = r == 0;
    if (r < 0)
        return nr_err_set(err, r, "%s", why.text);
    r = find_pinned(p, err);
    return r == NR_ENOENT
               ? nr_err_set(err, NR_EPROTO, "The image '%.128s' was pulled and is not there.",
                            p->name.reference)
               : r;
}

static int get(struct pinning *p, struct image_pull *pull, struct nr_err *err)
{
    int r = take_local(p, err);

    if (r != NR_ENOENT)
        return r;
    if ((r = registry_is_allowed(p->m, p->name.host, err)) < 0 ||
        (r = registry_auth(p->m, nr_str_of(p->account), p->name.host, &p->auth, err)) < 0 ||
        (r = ask_registry(p, err)) < 0)
        return r;
    r = find_pinned(p, err);
    return r == NR_ENOENT ? pull_pinned(p, pull, err) : r;
}

static int note(struct pinning *p, struct nr_err *err)
{
    const struct image_row row = {.account = nr_str_of(p->account),
                                  .pin = nr_str_of(p->pin),
                                  .reference = nr_str_of(p->name.reference),
                                  .bytes = p->bytes,
                                  .pulled_ms = nr_wall_ms(),
                                  .ours = p->ours};
    int r = metadata_image_put(p->m->db, &row);

    return r < 0 ? nr_err_set(err, r, "%s", r == NR_ENOSPC ? TEXT_NO_SPACE : TEXT_INTERNAL) : 0;
}

int images_pin(struct fnmanager *m, const char *account, const char *reference, char **ret_pin,
               struct nr_err *err)
{
    struct image_name name;
    struct image_pull *pull = NULL;
    int r = image_name_parse(reference, &name, err);

    if (r == 0)
        r = images_announce(m, account, &name, &pull, err);
    return r == 0 ? images_pin_announced(m, pull, &name, ret_pin, err) : r;
}

int images_pin_announced(struct fnmanager *m, struct image_pull *pull,
                         const struct image_name *name, char **ret_pin, struct nr_err *err)
{
    nr_auto_free char *account = account_of(&m->images, pull);
    struct pinning p = {.m = m, .account = account, .name = *name};
    struct nr_err why = {0};
    int r = account[0] != '\0' ? get(&p, pull, &why)
                               : nr_err_set(&why, NR_EFORBIDDEN, "The account has been deleted.");

    if (r == 0)
        r = note(&p, &why);
    registry_forget_auth(p.auth);
    if (r < 0)
        (void)nr_err_set(&why, r, "%s", nr_err_text(r));
    pull_end(&m->images, pull, &why);
    if (r < 0)
        return nr_err_set(err, r, "%s", why.text);
    *ret_pin = nr_strdup(p.pin);
    nr_log(m->config.log, NR_LOG_INFO, "fnmanager", "account=%s image=%s pin=%s%s", account,
           p.name.reference, p.pin, p.ours ? " pulled" : "");
    return 0;
}

/* ---- what nobody needs -------------------------------------------------------------------------------------- */

static int remove_pin(struct fnmanager *m, const char *pin, struct nr_err *err)
{
    struct image_call c = {.op = IMAGE_REMOVE, .reference = pin};
    int r = images_ask(m, &c, NULL, NULL);

    if (r == 0)
        r = metadata_image_forget(m->db, pin);
    return r < 0 ? nr_err_set(err, r, "%s", c.err.code ? c.err.text : TEXT_INTERNAL) : 0;
}

static void prune_one(struct fnmanager *m, const char *pin, const json_t *image, json_t *out,
                      json_int_t *bytes)
{
    struct nr_err why = {0};
    bool removed = remove_pin(m, pin, &why) == 0;
    json_t *o = json_pack("{s:O, s:s, s:O}", "reference", json_object_get(image, "reference"),
                          "digest", pin, "bytes", json_object_get(image, "bytes"));

    if (removed)
        *bytes += json_integer_value(json_object_get(image, "bytes"));
    else
        (void)json_object_set_new(o, "why", json_string(why.text));
    (void)json_array_append_new(json_object_get(out, removed ? "removed" : "kept"), o);
}

/* Somebody's deploy is about to name it. */
static bool is_being_got(const json_t *pulls, const char *reference)
{
    size_t i;
    json_t *p;

    json_array_foreach(pulls, i, p) {
        if (strcmp(nr_json_string(p, "state"), "pulling") == 0 &&
            strcmp(nr_json_string(p, "reference"), reference) == 0)
            return true;
    }
    return false;
}

int images_prune(struct fnmanager *m, json_t **ret, struct nr_err *err)
{
    nr_auto_json json_t *all = NULL;
    nr_auto_json json_t *pulls = images_pulls(m, (struct nr_str){NULL, 0});
    json_t *out = json_pack("{s:[], s:[]}", "removed", "kept"), *image;
    json_int_t bytes = 0;
    const char *pin;
    int r = metadata_images(m->db, (struct nr_str){NULL, 0}, &all);

    json_object_foreach(all, pin, image) {
        if (!json_is_true(json_object_get(image, "ours")) ||
            json_array_size(json_object_get(image, "used_by")) > 0 ||
            is_being_got(pulls, nr_json_string(image, "reference")))
            continue;
        prune_one(m, pin, image, out, &bytes);
    }
    (void)json_object_set_new(out, "bytes", json_integer(bytes));
    if (r < 0) {
        json_decref(out);
        return nr_err_set(err, r, "%s", TEXT_INTERNAL);
    }
    *ret = out;
    return 0;
}
