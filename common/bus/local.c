/* The bus in this process: a message is copied once and put into the queue of each reader of its topic, under one lock, so all readers
 * have the same order. Of the topic "policies" the last value of each key is kept, as a compacted topic of a broker does.
 *
 * A message is delivered when its last reader has had it, and dropped when one of them had no room. Of a group the reader that joined
 * first owns everything; when it leaves, the next one does.
 */
#include "common/base/clock.h"
#include "common/base/map.h"
#include "common/bus/internal.h"

struct local_reader {
    struct bus_feed feed;
    struct nr_link link; /* in local.readers, in order of joining */
    _Atomic bool owner;  /* of its group */
};

/* The last value of a key. */
struct kept {
    struct nr_map_node node;
    struct nr_link link; /* in local.kept, in order of publishing */
    struct bus_note *note;
};

struct local {
    struct bus bus;
    pthread_mutex_t lock; /* of all below */
    struct nr_link readers, kept;
    struct nr_map kept_by_key;
    size_t kept_bytes;
};

static struct local *local_of(struct bus *b)
{
    return nr_container_of(b, struct local, bus);
}

/* ---- what is kept ---- */

static void forget(struct local *l, struct kept *k)
{
    (void)nr_map_del(&l->kept_by_key, k->node.key);
    nr_list_del(&k->link);
    l->kept_bytes -= bus_size(k->note->key_n, k->note->value_n);
    bus_note_free(k->note);
    free(k);
}

/* False: what is kept has no room for it. */
static bool keep(struct local *l, struct nr_str key, struct nr_str value, int64_t at_ms)
{
    struct nr_map_node *node = nr_map_get(&l->kept_by_key, key);
    struct kept *old = node ? nr_container_of(node, struct kept, node) : NULL;
    size_t bytes = l->kept_bytes + bus_size(key.n, value.n) -
                   (old ? bus_size(old->note->key_n, old->note->value_n) : 0);
    struct bus_note *n = NULL;

    if (value.p) {
        if (bytes > BUS_QUEUE_BYTES || (!old && l->kept_by_key.count >= BUS_QUEUE_MESSAGES))
            return false;
        n = bus_note_make(NULL, BUS_POLICIES, key, value, at_ms);
        if (!n)
            return false;
    }
    if (old)
        forget(l, old);
    if (!n)
        return true;
    struct kept *k = nr_alloc(sizeof(*k));

    k->note = n;
    k->node.key = bus_note_key(n);
    (void)nr_map_put(&l->kept_by_key, &k->node);
    nr_list_add(&l->kept, &k->link);
    l->kept_bytes = bytes;
    return true;
}

/* ---- publish ---- */

static bool refuse(struct bus *b, enum bus_topic topic)
{
    nr_count(&b->dropped[topic], 1);
    return false;
}

static bool local_publish(struct bus *b, enum bus_topic topic, struct nr_str key,
                          struct nr_str value)
{
    struct local *l = local_of(b);
    struct bus_note *n = bus_note_make(b, topic, key, value, nr_wall_ms());

    if (!n)
        return refuse(b, topic);
    atomic_fetch_add(&b->unconfirmed_bytes, (int64_t)bus_size(key.n, value.n));
    (void)pthread_mutex_lock(&l->lock);
    bool missed = topic == BUS_POLICIES && !keep(l, key, value, n->at_ms);

    NR_LIST_EACH(&l->readers, link) {
        struct local_reader *lr = nr_container_of(link, struct local_reader, link);

        if (!missed && lr->feed.reader->topics & 1u << topic && !bus_feed_push(&lr->feed, n))
            atomic_store(&n->missed, true);
    }
    (void)pthread_mutex_unlock(&l->lock);
    missed = missed || atomic_load(&n->missed);
    bus_note_settle(n, missed);
    bus_note_free(n);
    return !missed;
}

/* ---- readers ---- */

/* The first of this group; the lock is held. */
static struct local_reader *first_of(struct local *l, const char *group)
{
    NR_LIST_EACH(&l->readers, link) {
        struct local_reader *lr = nr_container_of(link, struct local_reader, link);

        if (lr->feed.reader->group && strcmp(lr->feed.reader->group, group) == 0)
            return lr;
    }
    return NULL;
}

static void make_owner(struct local_reader *lr)
{
    lr->owner = true;
    bus_feed_owned(&lr->feed);
}

static void local_freed(struct bus_feed *f)
{
    bus_feed_fini(f);
    free(nr_container_of(f, struct local_reader, feed));
}

/* What is kept is a copy that counts nowhere, and it fits into an empty queue. */
static void give_kept(struct local *l, struct local_reader *lr)
{
    NR_LIST_EACH(&l->kept, link) {
        if (!bus_feed_push(&lr->feed, nr_container_of(link, struct kept, link)->note))
            nr_log(l->bus.log, NR_LOG_ERROR, "bus", "no memory: a reader misses a policy");
    }
}

static int local_read(struct bus *b, struct bus_reader *r, struct nr_err *err)
{
    struct local *l = local_of(b);
    struct local_reader *lr = nr_alloc(sizeof(*lr));

    (void)err;
    bus_feed_init(&lr->feed, b, r);
    lr->feed.freed = local_freed;
    r->impl = &lr->feed;
    (void)pthread_mutex_lock(&l->lock);
    if (r->group && !first_of(l, r->group))
        make_owner(lr);
    if (r->from == BUS_ALL && r->topics & 1u << BUS_POLICIES)
        give_kept(l, lr);
    nr_list_add(&l->readers, &lr->link);
    (void)pthread_mutex_unlock(&l->lock);
    return 0;
}

static void local_unread(struct bus *b, struct bus_reader *r, void (*gone)(struct bus_reader *r))
{
    struct local *l = local_of(b);
    struct local_reader *lr = nr_container_of(r->impl, struct local_reader, feed), *next;

    (void)pthread_mutex_lock(&l->lock);
    nr_list_del(&lr->link);
    if (lr->owner && (next = first_of(l, r->group)) != NULL)
        make_owner(next);
    (void)pthread_mutex_unlock(&l->lock);
    bus_feed_close(&lr->feed, gone);
}

static bool local_owns(const struct bus_reader *r, struct nr_str key)
{
    (void)key;
    return nr_container_of(r->impl, struct local_reader, feed)->owner;
}

static int64_t local_lag(struct bus *b, struct nr_str topic, struct nr_str group)
{
    (void)b;
    (void)topic;
    (void)group;
    return -1;
}

static bool local_connected(struct bus *b)
{
    (void)b;
    return true;
}

/* ---- life ---- */

static void local_close(struct bus *b, uint32_t flush_ms)
{
    struct local *l = local_of(b);

    (void)flush_ms; /* no reader is left: nothing waits */
    nr_check(nr_list_empty(&l->readers));
    NR_LIST_EACH(&l->kept, link)
        forget(l, nr_container_of(link, struct kept, link));
    nr_map_fini(&l->kept_by_key);
    (void)pthread_mutex_destroy(&l->lock);
    free(l);
}

static const struct bus_kind local_kind = {
    .publish = local_publish,
    .read = local_read,
    .unread = local_unread,
    .owns = local_owns,
    .lag = local_lag,
    .connected = local_connected,
    .close = local_close,
};

int bus_local_open(const struct bus_config *c, struct bus **ret, struct nr_err *err)
{
    struct local *l = nr_alloc(sizeof(*l));

    (void)err;
    l->bus.kind = &local_kind;
    l->bus.log = c->log;
    (void)pthread_mutex_init(&l->lock, NULL);
    nr_list_init(&l->readers);
    nr_list_init(&l->kept);
    nr_map_init(&l->kept_by_key);
    *ret = &l->bus;
    return 0;
}
