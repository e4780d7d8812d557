/* Frames out of bytes. feed() takes whole frames where they lie; the first cut one goes to `part`: its header first, and once
 * that is complete its ceiling is checked, and `begin` asked, before memory for the payload is taken.
 */
#include "invoker/frame_reader.h"

#include "common/base/mem.h"

enum {
    HEAD_BYTES = sizeof(struct nr_frame),
    PAYLOAD_MAX_BYTES = NR_FRAME_LOG_MAX_BYTES, /* no ceiling is above it */
    PART_KEEP_BYTES = 0
};

int64_t frame_ceiling(uint8_t type)
{
    static const int64_t ceilings[] = {
        [NR_FRAME_HELLO] = NR_FRAME_HELLO_MAX_BYTES,
        [NR_FRAME_INIT_DONE] = NR_FRAME_INIT_MAX_BYTES,
        [NR_FRAME_ANSWER] = NR_FRAME_ANSWER_MAX_BYTES,
        [NR_FRAME_LOG] = NR_FRAME_LOG_MAX_BYTES,
        [NR_FRAME_END] = sizeof(struct nr_frame_end),
    };

    return type >= NR_FRAME_HELLO && type < nr_countof(ceilings) ? ceilings[type] : -1;
}

void frame_reader_init(struct frame_reader *r)
{
    nr_buf_init(&r->part, HEAD_BYTES + (size_t)PAYLOAD_MAX_BYTES);
}

void frame_reader_fini(struct frame_reader *r)
{
    nr_buf_fini(&r->part);
}

static int check(const struct nr_frame *head)
{
    if ((int64_t)head->length > frame_ceiling(head->type))
        return NR_EPROTO;
    return head->type == NR_FRAME_END && head->length != sizeof(struct nr_frame_end) ? NR_EPROTO
                                                                                     : 0;
}

/* Bytes that the frame in `part` still lacks, as far as is known. */
static size_t missing(const struct frame_reader *r)
{
    struct nr_frame head;

    if (r->part.n < HEAD_BYTES)
        return HEAD_BYTES - r->part.n;
    memcpy(&head, r->part.p, sizeof(head));
    return HEAD_BYTES + head.length - r->part.n;
}

bool frame_reader_room(struct frame_reader *r, char **ret_at, size_t *ret_n)
{
    size_t n = missing(r);

    if (r->part.n == 0 || n == 0)
        return false;
    char *at = nr_buf_room(&r->part, n);

    if (at == NULL)
        return false;
    *ret_at = at;
    *ret_n = n;
    return true;
}

/* Adds up to the end of the header, or of the frame; hands a complete frame on. Returns the bytes taken or NR_E*. */
static ssize_t collect(struct frame_reader *r, const char *bytes, size_t n,
                       const struct frame_to *to, void *arg, bool *ret_stop)
{
    struct nr_frame head;
    size_t take = missing(r);

    take = take < n ? take : n;
    if (r->part.p && bytes == r->part.p + r->part.n)
        nr_buf_took(&r->part, take);
    else
        nr_buf_add(&r->part, bytes, take);
    if (r->part.failed)
        return NR_ENOMEM;
    if (r->part.n < HEAD_BYTES)
        return (ssize_t)take;
    memcpy(&head, r->part.p, sizeof(head));
    if (r->part.n == HEAD_BYTES) { /* the last bytes of the header were the ones just taken */
        if (check(&head) < 0)
            return NR_EPROTO;
        *ret_stop = !to->begin(arg, &head);
    }
    if (!*ret_stop && missing(r) == 0) {
        *ret_stop = !to->frame(arg, &head, (struct nr_str){r->part.p + HEAD_BYTES, head.length});
        nr_buf_reset(&r->part, PART_KEEP_BYTES);
    }
    return (ssize_t)take;
}

int frame_reader_feed(struct frame_reader *r, const char *bytes, size_t n,
                      const struct frame_to *to, void *arg)
{
    bool stop = false;

    while (n > 0 && !stop) {
        struct nr_frame head;
        ssize_t took;

        if (r->part.n == 0 && n >= HEAD_BYTES) {
            memcpy(&head, bytes, sizeof(head));
            if (check(&head) < 0)
                return NR_EPROTO;
            took = (ssize_t)(HEAD_BYTES + (size_t)head.length);
            if ((size_t)took <= n) {
                stop = !to->begin(arg, &head) ||
                       !to->frame(arg, &head, (struct nr_str){bytes + HEAD_BYTES, head.length});
                bytes += took;
                n -= (size_t)took;
                continue;
            }
        }
        took = collect(r, bytes, n, to, arg, &stop);
        if (took < 0)
            return (int)took;
        bytes += took;
        n -= (size_t)took;
    }
    return 0;
}
