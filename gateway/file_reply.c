/* A reply that is a file: sent in parts, each read on a work thread, the next one when the client has taken most of those before. So neither
 * the loop waits for a disk, nor is more of the file in memory than the client will take soon.
 */
#include "gateway/internal.h"

#define PART_BYTES (256 << 10)

struct file_reply {
    struct gateway_request *q;
    int fd; /* given */
    int64_t at, bytes;
    struct nr_work work;
    bool reading;
    ssize_t n; /* of the part that was read */
    char part[PART_BYTES];
};

static void read_work(struct nr_work *w)
{
    struct file_reply *f = nr_container_of(w, struct file_reply, work);
    int64_t left = f->bytes - f->at;

    f->n = pread(f->fd, f->part, left < PART_BYTES ? (size_t)left : PART_BYTES, f->at);
}

static void finish(struct file_reply *f)
{
    struct gateway_request *q = f->q;

    q->file = NULL;
    (void)close(f->fd);
    free(f);
    q->state = G_END;
    nr_http_reply_end(&q->http);
}

static void on_read(struct nr_work *w)
{
    struct file_reply *f = nr_container_of(w, struct file_reply, work);
    size_t waits = 0;

    f->reading = false;
    if (f->n > 0 && !f->q->http.gone) {
        waits = nr_http_reply_part(&f->q->http, (struct nr_str){f->part, (size_t)f->n});
        f->at += f->n;
    } else {
        f->at = f->bytes; /* nobody reads any more, or the disk gives nothing */
    }
    if (f->at < f->bytes && waits > PART_BYTES)
        return; /* on_drained() comes */
    file_reply_wake(f->q);
}

void file_reply_wake(struct gateway_request *q)
{
    struct file_reply *f = q->file;

    if (f->reading)
        return;
    if (f->at >= f->bytes || q->http.gone) {
        finish(f);
        return;
    }
    f->reading = true;
    f->work = (struct nr_work){.work = read_work, .done = on_read};
    nr_work_post(q->http.loop, &f->work);
}

void file_reply_begin(struct gateway_request *q, int fd, int64_t bytes, const char *media_type)
{
    struct file_reply *f = nr_alloc(sizeof(*f));

    f->q = q;
    f->fd = fd;
    f->bytes = bytes;
    q->file = f;
    q->status = 200;
    q->media_type = media_type;
    q->state = G_STREAM;
    reply_write(q);
    file_reply_wake(q);
}
