/* A list under a lock, and a thread that posts one message after the other. The list is also in scaling.db.
 *
 * A message that cannot be delivered is tried three times, then counted; a 4xx is not tried again. Nothing waits for it: each channel has messages of its
 * own, in order, and one that could not be told rests, longer each time, while the others have their turn.
 */
#include "scaler/channels.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/list.h"
#include "common/base/mem.h"
#include "common/net/fetch.h"

enum {
    WAITING_MAX = 32, /* of one channel */
    WAITING_MAX_BYTES = 2 << 20,
    TRIES = 3,
    TIMEOUT_MS = 5000,
    CONNECT_MS = 2000,
    PAUSE_MS = 500,
    QUIET_MS = 3600000,
    PAUSES_MOST = 6 /* doublings: half a minute */
};

struct channel {
    char *name, *url;
    int64_t updated_ms;
    uint64_t told, failed;
    char last_error[480];
    struct nr_link waiting;
    unsigned waiting_count, failures; /* in a row */
    size_t waiting_bytes;
    uint64_t next_ms; /* monotonic: not before */
};

struct telling {
    struct nr_link link;
    char *name, *url;
    unsigned tries;
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
    struct channel *list[CHANNELS_MAX];
    size_t count, turn; /* turn: of whom it is next */
    struct channels_stats stats;
};

static struct channel *find(struct channels *c, struct nr_str name)
{
    for (size_t i = 0; i < c->count; i++)
        if (nr_str_eqz(name, c->list[i]->name))
            return c->list[i];
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

static void telling_free(struct telling *t)
{
    free(t->name);
    free(t->url);
    free(t);
}

/* The first message of the next channel that may be told; NULL: none before *ret (monotonic). Under the lock. */
static struct telling *next(struct channels *c, struct timespec *ret)
{
    uint64_t now_ms = nr_mono_ms(), least_ms = now_ms + QUIET_MS;

    for (size_t i = 0; i < c->count; i++) {
        size_t at = (c->turn + i) % c->count;
        struct channel *ch = c->list[at];

        if (nr_list_empty(&ch->waiting))
            continue;
        if (ch->next_ms > now_ms) {
            least_ms = ch->next_ms < least_ms ? ch->next_ms : least_ms;
            continue;
        }
        struct telling *t = nr_container_of(nr_list_pop(&ch->waiting), struct telling, link);

        ch->waiting_count--;
        ch->waiting_bytes -= t->n;
        c->turn = at + 1;
        return t;
    }
    *ret = (struct timespec){.tv_sec = (time_t)(least_ms / 1000),
                             .tv_nsec = (long)(least_ms % 1000) * 1000000};
    return NULL;
}

/* t (given) was told, or waits again, or is given up. Under the lock. */
static void settle(struct channels *c, struct telling *t, int code, bool again,
                   const struct nr_err *err)
{
    struct channel *ch = find(c, nr_str_of(t->name));

    if (ch)
        ch->failures = code == 0 || !again          ? 0
                       : ch->failures < PAUSES_MOST ? ch->failures + 1
                                                    : PAUSES_MOST;
    if (ch && ch->failures > 0)
        ch->next_ms = nr_mono_ms() + ((uint64_t)PAUSE_MS << ch->failures);
    if (ch && code < 0 && again && ++t->tries < TRIES) {
        nr_list_push(&ch->waiting, &t->link);
        ch->waiting_count++;
        ch->waiting_bytes += t->n;
        return;
    }
    *(code == 0 ? &c->stats.told : &c->stats.failed) += 1;
    if (code < 0)
        nr_log(c->log, NR_LOG_WARN, "scaler", "channel %s could not be told: %s", t->name,
               err->text);
    if (ch) {
        *(code == 0 ? &ch->told : &ch->failed) += 1;
        (void)snprintf(ch->last_error, sizeof(ch->last_error), "%s", code < 0 ? err->text : "");
    }
    telling_free(t);
}

static void *run(void *arg)
{
    struct channels *c = arg;
    struct nr_fetch *f = nr_fetch_make(NULL);
    struct timespec until = {0};

    (void)pthread_mutex_lock(&c->lock);
    while (!atomic_load(&c->stop)) {
        struct telling *t = next(c, &until);
        struct nr_err err = {0};
        bool again = true;

        if (t == NULL) {
            (void)pthread_cond_timedwait(&c->wake, &c->lock, &until);
            continue;
        }
        (void)pthread_mutex_unlock(&c->lock);
        int code = post(f, c, t, &again, &err);

        (void)pthread_mutex_lock(&c->lock);
        settle(c, t, code, again, &err);
    }
    (void)pthread_mutex_unlock(&c->lock);
    nr_fetch_free(f);
    return NULL;
}

/* ---- opening and closing ------------------------------------------------------------------------------------ */

/* name, url: given. */
static struct channel *channel_make(char *name, char *url, int64_t updated_ms)
{
    struct channel *ch = nr_alloc(sizeof(*ch));

    *ch = (struct channel){.name = name, .url = url, .updated_ms = updated_ms};
    nr_list_init(&ch->waiting);
    return ch;
}

static void channel_free(struct channel *ch)
{
    struct nr_link *l;

    while ((l = nr_list_pop(&ch->waiting)) != NULL)
        telling_free(nr_container_of(l, struct telling, link));
    free(ch->name);
    free(ch->url);
    free(ch);
}

static int load_one(void *arg, sqlite3_stmt *st)
{
    struct channels *c = arg;
    struct nr_str name = nr_db_column(st, 0), url = nr_db_column(st, 1);

    if (c->count < CHANNELS_MAX)
        c->list[c->count++] = channel_make(nr_strndup(name.p, name.n), nr_strndup(url.p, url.n),
                                           sqlite3_column_int64(st, 2));
    return 0;
}

struct channels *channels_open(struct store *s, struct nr_log *log)
{
    struct channels *c = nr_alloc(sizeof(*c));

    c->store = s;
    c->log = log;
    (void)pthread_mutex_init(&c->lock, NULL);
    nr_mono_cond_init(&c->wake);
    (void)store_read(s, load_one, c, "SELECT name, url, updated FROM channels ORDER BY name", "");
    nr_check(pthread_create(&c->thread, NULL, run, c) == 0);
    return c;
}

void channels_close(struct channels *c)
{
    if (c == NULL)
        return;
    (void)pthread_mutex_lock(&c->lock);
    atomic_store(&c->stop, true);
    (void)pthread_cond_broadcast(&c->wake);
    (void)pthread_mutex_unlock(&c->lock);
    (void)pthread_join(c->thread, NULL);
    for (size_t i = 0; i < c->count; i++)
        channel_free(c->list[i]);
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

    if (ch == NULL)
        ch = c->list[c->count++] = channel_make(nr_strndup(name.p, name.n), NULL, now_ms);
    free(ch->url);
    ch->url = nr_strndup(url.p, url.n);
    ch->updated_ms = now_ms;
    ch->last_error[0] = '\0';
    ch->failures = 0; /* it may be another place, and is tried at once */
    ch->next_ms = 0;
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

    for (size_t i = 0; ch && r < 0 && i < c->count; i++)
        if (c->list[i] == ch) {
            memmove(c->list + i, c->list + i + 1, (--c->count - i) * sizeof(struct channel *));
            r = 0;
        }
    if (ch)
        channel_free(ch);
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
        const struct channel *ch = c->list[i];

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
    struct channel *ch = find(c, nr_str_of(name));
    bool goes =
        ch && ch->waiting_count < WAITING_MAX && ch->waiting_bytes + text.n <= WAITING_MAX_BYTES;

    if (goes) {
        *t = (struct telling){.name = nr_strdup(ch->name), .url = nr_strdup(ch->url), .n = text.n};
        memcpy(t->text, text.p, text.n);
        nr_list_add(&ch->waiting, &t->link);
        ch->waiting_count++;
        ch->waiting_bytes += text.n;
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
