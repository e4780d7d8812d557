/* A reader's queue. Whoever pushes onto an empty one posts its mail; the loop takes messages for two milliseconds at most and posts the
 * mail again when more wait, so a flood never holds the loop.
 *
 * Closing: the mail is the last that touches it. One under way finds `closed`; else it is posted for that.
 */
#include <time.h>

#include "common/base/clock.h"
#include "common/bus/internal.h"

enum { TURN_US = 2000, TURN_MESSAGES = 512, RING_FIRST = 16 };

static struct bus_note *pop(struct bus_feed *f)
{
    if (f->count == 0)
        return NULL;
    struct bus_note *n = f->ring[f->head & (f->size - 1)];

    f->head++;
    f->count--;
    f->bytes -= bus_size(n->key_n, n->value_n);
    if (f->taken && n->topic == BUS_METRICS)
        f->taken[n->partition] = n->next;
    (void)pthread_cond_signal(&f->room);
    return n;
}

static void post(struct bus_feed *f)
{
    if (f->posted)
        return;
    f->posted = true;
    nr_mailbox_post(f->reader->loop, &f->mail);
}

static void hand_over(struct bus_feed *f, struct bus_note *n)
{
    const struct bus_message m = {
        .topic = n->topic,
        .key = bus_note_key(n),
        .value = {n->empty ? NULL : n->bytes + n->key_n, n->value_n},
        .at_ms = n->at_ms,
    };

    if (!n->silent) {
        nr_count(&f->bus->received[n->topic], 1);
        f->reader->on_message(f->reader, &m);
    }
    bus_note_settle(n, false);
    bus_note_free(n);
}

static void end(struct bus_feed *f)
{
    struct bus_reader *r = f->reader;
    struct bus_note *n;

    while ((n = pop(f)) != NULL) { /* who leaves is owed nothing */
        bus_note_settle(n, false);
        bus_note_free(n);
    }
    void (*gone)(struct bus_reader *) = f->gone;

    r->impl = NULL;
    f->freed(f);
    gone(r);
}

/* What is next for the loop: a message, the news of what it owns, its end, or nothing more. */
static bool turn(struct bus_feed *f)
{
    (void)pthread_mutex_lock(&f->lock);
    bool closed = f->closed, tell_owned = f->tell_owned;
    struct bus_note *n = closed || tell_owned ? NULL : pop(f);

    f->tell_owned = false;
    f->posted = closed || tell_owned || n;
    (void)pthread_mutex_unlock(&f->lock);
    if (closed) {
        end(f);
        return false;
    }
    if (tell_owned && f->reader->on_owned)
        f->reader->on_owned(f->reader);
    if (n)
        hand_over(f, n);
    return tell_owned || n;
}

static void on_mail(struct nr_mail *m)
{
    struct bus_feed *f = nr_container_of(m, struct bus_feed, mail);
    uint64_t until_us = nr_mono_us() + TURN_US;

    for (unsigned i = 0; turn(f);) {
        if (++i == TURN_MESSAGES || nr_mono_us() >= until_us) {
            nr_mailbox_post(f->reader->loop, m); /* `posted` still stands */
            return;
        }
    }
}

void bus_feed_init(struct bus_feed *f, struct bus *b, struct bus_reader *r)
{
    f->bus = b;
    f->reader = r;
    f->count_max = BUS_QUEUE_MESSAGES;
    f->bytes_max = BUS_QUEUE_BYTES;
    f->mail.run = on_mail;
    (void)pthread_mutex_init(&f->lock, NULL);
    nr_mono_cond_init(&f->room);
}

static bool grow(struct bus_feed *f)
{
    size_t size = f->size ? f->size * 2 : RING_FIRST;
    struct bus_note **ring = nr_try_alloc(size * sizeof(struct bus_note *));

    if (!ring)
        return false;
    for (size_t i = 0; i < f->count; i++)
        ring[i] = f->ring[(f->head + i) & (f->size - 1)];
    free(f->ring);
    f->ring = ring;
    f->size = size;
    f->head = 0;
    return true;
}

/* An empty queue takes anything. */
static bool has_room(const struct bus_feed *f, size_t bytes)
{
    return f->count == 0 || (f->count < f->count_max && f->bytes + bytes <= f->bytes_max);
}

/* The lock is held. */
static bool push(struct bus_feed *f, struct bus_note *n)
{
    size_t bytes = bus_size(n->key_n, n->value_n);

    if (f->closed)
        return true;
    if (!has_room(f, bytes) || (f->count == f->size && !grow(f)))
        return false;
    f->ring[(f->head + f->count++) & (f->size - 1)] = n;
    f->bytes += bytes;
    atomic_fetch_add(&n->held, 1);
    atomic_fetch_add(&n->owed, 1);
    post(f);
    return true;
}

bool bus_feed_push(struct bus_feed *f, struct bus_note *n)
{
    (void)pthread_mutex_lock(&f->lock);
    bool pushed = push(f, n);

    (void)pthread_mutex_unlock(&f->lock);
    return pushed;
}

bool bus_feed_push_wait(struct bus_feed *f, struct bus_note *n, unsigned wait_ms)
{
    const struct timespec until = nr_mono_after(wait_ms);
    bool pushed;

    (void)pthread_mutex_lock(&f->lock);
    while (!(pushed = push(f, n))) {
        if (pthread_cond_timedwait(&f->room, &f->lock, &until) != 0)
            break;
    }
    (void)pthread_mutex_unlock(&f->lock);
    return pushed;
}

void bus_feed_owned(struct bus_feed *f)
{
    (void)pthread_mutex_lock(&f->lock);
    if (!f->closed) {
        f->tell_owned = true;
        post(f);
    }
    (void)pthread_mutex_unlock(&f->lock);
}

void bus_feed_close(struct bus_feed *f, void (*gone)(struct bus_reader *r))
{
    (void)pthread_mutex_lock(&f->lock);
    nr_check(!f->closed);
    f->gone = gone;
    f->closed = true;
    (void)pthread_cond_broadcast(&f->room);
    post(f);
    (void)pthread_mutex_unlock(&f->lock);
}

void bus_feed_fini(struct bus_feed *f)
{
    free(f->ring);
    (void)pthread_cond_destroy(&f->room);
    (void)pthread_mutex_destroy(&f->lock);
}
