/* A list under a lock, and a thread that posts one message after the other. The list is also in scaling.db.
 *
 * A message that cannot be delivered is tried three times within some seconds, then counted; a 4xx is not tried again. Nothing waits for it.
 */
#include "scaler/channels.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/list.h"
#include "common/base/mem.h"
#include "common/net/fetch.h"

enum { WAITING_MAX = 256, TRIES = 3, TIMEOUT_MS = 5000, CONNECT_MS = 2000, PAUSE_MS = 500 };

struct channel {
    char *name, *url;
    int64_t updated_ms;
    uint64_t told, failed;
    char last_error[480];
};

struct telling {
    struct nr_link link;
    char *name, *url;
    size_t n;
    char text[];
};

struct channels {
    struct store *store;
    struct nr_log *log;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    _Atomic bool stop;
    struct nr_link waiting;
    unsigned waiting_count;
    struct channel list[CHANNELS_MAX];
    size_t count;
    struct channels_stats stats;
};

static struct channel *find(struct channels *c, struct nr_str name)
{
    for (size_t i = 0; i < c->count; i++)
        if (nr_str_eqz(name, c->list[i].name))
            return &c->list[i];
    return NULL;
}

/* ---- the thread --------------------------------------------------------------------------------------------- */

/* 0: told. What cannot become better is not tried again. */
static int post(struct nr_fetch *f, struct channels *c, const struct telling *t, bool *ret_again,
                struct nr_err *err)
{
    struct nr_fetch_req r = {.method = "POST",
                             .url = t->url,
                             .body = {t->text, t->n},
                             .content_type = "application/json",
                             .connect_timeout_ms = CONNECT_MS,
                             .timeout_ms = TIMEOUT_MS,
                             .reply_max_bytes = 64 << 10,
                             .stop = &c->stop};
    int code = nr_fetch_call(f, &r, err);

    nr_buf_fini(&r.reply);
    *ret_again = true;
    if (code < 0)
        return code;
    if (r.status >= 200 && r.status < 300)
        return 0;
    *ret_again = r.status >= 500 || r.status == 429;
    return nr_err_set(err, NR_EUNAVAIL, "it answered with %d", r.status);
}

/* Until then, or until we are to stop. Under the lock. */
static void pause_for(struct channels *c, unsigned ms)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (!atomic_load(&c->stop) && pthread_cond_timedwait(&c->wake, &c->lock, &until) == 0)
        ;
}

static void note_end(struct channels *c, const struct telling *t, int code,
                     const struct nr_err *err)
{
    struct channel *ch = find(c, nr_str_of(t->name));

    *(code == 0 ? &c->stats.told : &c->stats.failed) += 1;
    if (code < 0)
        nr_log(c->log, NR_LOG_WARN, "scaler", "channel %s could not be told: %s", t->name,
               err->text);
    if (ch == NULL)
        return;
    *(code == 0 ? &ch->told : &ch->failed) += 1;
    (void)snprintf(ch->last_error, sizeof(ch->last_error), "%s", code < 0 ? err->text : "");
}

static void tell(struct channels *c, struct nr_fetch *f, struct telling *t)
{
    struct nr_err err = {0};
    bool again = true;
    int code = NR_ECANCELED;

    for (unsigned i = 0; i < TRIES && again && !atomic_load(&c->stop); i++) {
        err = (struct nr_err){0};
        if (i > 0) {
            (void)pthread_mutex_lock(&c->lock);
            pause_for(c, PAUSE_MS << i);
            (void)pthread_mutex_unlock(&c->lock);
        }
        code = post(f, c, t, &again, &err);
        if (code == 0)
            break;
    }
    (void)pthread_mutex_lock(&c->lock);
    note_end(c, t, code, &err);
    (void)pthread_mutex_unlock(&c->lock);
}

static void telling_free(struct telling *t)
{
    free(t->name);
    free(t->url);
    free(t);
}

static void *run(void *arg)
{
    struct channels *c = arg;
    struct nr_fetch *f = nr_fetch_make(NULL);

    (void)pthread_mutex_lock(&c->lock);
    while (!atomic_load(&c->stop)) {
        struct nr_link *l = nr_list_pop(&c->waiting);

        if (l == NULL) {
            (void)pthread_cond_wait(&c->wake, &c->lock);
            continue;
        }
        c->waiting_count--;
        (void)pthread_mutex_unlock(&c->lock);
        struct telling *t = nr_container_of(l, struct telling, link);

        tell(c, f, t);
        telling_free(t);
        (void)pthread_mutex_lock(&c->lock);
    }
    (void)pthread_mutex_unlock(&c->lock);
    nr_fetch_free(f);
    return NULL;
}

/* ---- opening and closing ------------------------------------------------------------------------------------ */

static int load_one(void *arg, sqlite3_stmt *st)
{
    struct channels *c = arg;
    struct nr_str name = nr_db_column(st, 0), url = nr_db_column(st, 1);

    if (c->count < CHANNELS_MAX)
        c->list[c->count++] = (struct channel){.name = nr_strndup(name.p, name.n),
                                               .url = nr_strndup(url.p, url.n),
                                               .updated_ms = sqlite3_column_int64(st, 2)};
    return 0;
}

struct channels *channels_open(struct store *s, struct nr_log *log)
{
    struct channels *c = nr_alloc(sizeof(*c));

    c->store = s;
    c->log = log;
    nr_list_init(&c->waiting);
    (void)pthread_mutex_init(&c->lock, NULL);
    (void)pthread_cond_init(&c->wake, NULL);
    (void)store_read(s, load_one, c, "SELECT name, url, updated FROM channels ORDER BY name", "");
    nr_check(pthread_create(&c->thread, NULL, run, c) == 0);
    return c;
}

void channels_close(struct channels *c)
{
    struct nr_link *l;

    if (c == NULL)
        return;
    (void)pthread_mutex_lock(&c->lock);
    atomic_store(&c->stop, true);
    (void)pthread_cond_broadcast(&c->wake);
    (void)pthread_mutex_unlock(&c->lock);
    (void)pthread_join(c->thread, NULL);
    while ((l = nr_list_pop(&c->waiting)) != NULL)
        telling_free(nr_container_of(l, struct telling, link));
    for (size_t i = 0; i < c->count; i++) {
        free(c->list[i].name);
        free(c->list[i].url);
    }
    (void)pthread_cond_destroy(&c->wake);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

/* ---- the list ----------------------------------------------------------------------------------------------- */

static int judge(struct nr_str name, struct nr_str url, struct nr_err *err)
{
    if (name.n == 0 || name.n > CHANNEL_NAME_MAX_BYTES || !nr_utf8_valid(name))
        return nr_err_set(err, NR_EINVAL, "A channel's name has 1 to %d bytes.",
                          CHANNEL_NAME_MAX_BYTES);
    if (url.n > CHANNEL_URL_MAX_BYTES)
        return nr_err_set(err, NR_EINVAL, "A channel's URL has at most %d bytes, this one has %zu.",
                          CHANNEL_URL_MAX_BYTES, url.n);
    if (!nr_str_starts(url, "http://") && !nr_str_starts(url, "https://"))
        return nr_err_set(err, NR_EINVAL,
                          "A channel's URL begins with http:// or https://, not '%.*s'.",
                          (int)(url.n < 80 ? url.n : 80), url.p ? url.p : "");
    for (size_t i = 0; i < url.n; i++)
        if ((unsigned char)url.p[i] <= ' ' || url.p[i] == 0x7f)
            return nr_err_set(err, NR_EINVAL,
                              "A channel's URL has no blanks and no control characters.");
    return 0;
}

static void set(struct channels *c, struct nr_str name, struct nr_str url, int64_t now_ms)
{
    struct channel *ch = find(c, name);

    if (ch == NULL) {
        ch = &c->list[c->count++];
        *ch = (struct channel){.name = nr_strndup(name.p, name.n)};
    }
    free(ch->url);
    ch->url = nr_strndup(url.p, url.n);
    ch->updated_ms = now_ms;
    ch->last_error[0] = '\0';
}

int channel_put(struct channels *c, struct nr_str name, struct nr_str url, int64_t now_ms,
                struct nr_err *err)
{
    static const char *const sql[] = {
        "INSERT OR REPLACE INTO channels(name, url, updated) VALUES(?1, ?2, ?3)", NULL};
    int r = judge(name, url, err);

    if (r < 0)
        return r;
    (void)pthread_mutex_lock(&c->lock);
    bool full = c->count == CHANNELS_MAX && find(c, name) == NULL;

    (void)pthread_mutex_unlock(&c->lock);
    if (full)
        return nr_err_set(err, NR_EQUOTA, "There are %d channels, and there may be no more.",
                          CHANNELS_MAX);
    r = store_write(c->store, sql, "tti", name, url, now_ms);
    if (r < 0)
        return nr_err_set(err, r, "The channel could not be stored: %s.", nr_err_text(r));
    (void)pthread_mutex_lock(&c->lock);
    set(c, name, url, now_ms);
    (void)pthread_mutex_unlock(&c->lock);
    return 0;
}

int channel_delete(struct channels *c, struct nr_str name, struct nr_err *err)
{
    static const char *const sql[] = {"DELETE FROM channels WHERE name = ?1", NULL};
    int r = NR_ENOENT;

    (void)pthread_mutex_lock(&c->lock);
    struct channel *ch = find(c, name);

    if (ch) {
        free(ch->name);
        free(ch->url);
        memmove(ch, ch + 1, (size_t)(c->list + c->count - ch - 1) * sizeof(*ch));
        c->count--;
        r = 0;
    }
    (void)pthread_mutex_unlock(&c->lock);
    if (r < 0)
        return nr_err_set(err, r, "There is no channel '%.*s'.", (int)(name.n < 128 ? name.n : 128),
                          name.p ? name.p : "");
    r = store_write(c->store, sql, "t", name);
    return r < 0 ? nr_err_set(err, r, "The channel could not be deleted: %s.", nr_err_text(r)) : 0;
}

bool channel_known(struct channels *c, const char *name)
{
    (void)pthread_mutex_lock(&c->lock);
    bool known = find(c, nr_str_of(name)) != NULL;

    (void)pthread_mutex_unlock(&c->lock);
    return known;
}

void channels_write(struct channels *c, struct nr_buf *out)
{
    (void)pthread_mutex_lock(&c->lock);
    nr_buf_adds(out, "{\"channels\":[");
    for (size_t i = 0; i < c->count; i++) {
        const struct channel *ch = &c->list[i];

        nr_buf_adds(out, i > 0 ? ",{\"channel\":" : "{\"channel\":");
        nr_buf_json(out, nr_str_of(ch->name));
        nr_buf_adds(out, ",\"url\":");
        nr_buf_json(out, nr_str_of(ch->url));
        nr_buf_printf(out, ",\"updated_ms\":%lld,\"told\":%llu,\"failed\":%llu",
                      (long long)ch->updated_ms, (unsigned long long)ch->told,
                      (unsigned long long)ch->failed);
        if (ch->last_error[0]) {
            nr_buf_adds(out, ",\"last_error\":");
            nr_buf_json(out, nr_str_of(ch->last_error));
        }
        nr_buf_addc(out, '}');
    }
    nr_buf_adds(out, "]}");
    (void)pthread_mutex_unlock(&c->lock);
}

bool channel_tell(struct channels *c, const char *name, struct nr_str text)
{
    struct telling *t = nr_try_alloc(sizeof(*t) + text.n);

    if (t == NULL)
        return false;
    (void)pthread_mutex_lock(&c->lock);
    const struct channel *ch = find(c, nr_str_of(name));
    bool goes = ch && c->waiting_count < WAITING_MAX;

    if (goes) {
        *t = (struct telling){.name = nr_strdup(ch->name), .url = nr_strdup(ch->url), .n = text.n};
        memcpy(t->text, text.p, text.n);
        nr_list_add(&c->waiting, &t->link);
        c->waiting_count++;
        (void)pthread_cond_signal(&c->wake);
    } else {
        c->stats.dropped++;
        free(t);
    }
    (void)pthread_mutex_unlock(&c->lock);
    return goes;
}

struct channels_stats channels_stats(struct channels *c)
{
    (void)pthread_mutex_lock(&c->lock);
    struct channels_stats s = c->stats;

    (void)pthread_mutex_unlock(&c->lock);
    return s;
}
