/* Bytes of an agent, cut anywhere: what comes out in one piece comes out of any pieces, no payload is above its ceiling or outside of
 * what was fed, each frame was asked about before, no memory is taken for one that was refused, and an ANSWER goes on into the mapping to an outcome, which always has a result.
 * First byte: size of the pieces.
 */
#include "tests/fuzz/fuzz.h"

#include "common/base/mem.h"
#include "invoker/frame_reader.h"
#include "invoker/outcome.h"

struct sum {
    uint64_t hash, frames, begun;
    bool judge, refused;
};

enum { LOG_BYTES = 4096 }; /* a call's limit */

static void judge(const struct nr_frame *head, struct nr_str payload)
{
    const struct outcome_facts f = {.init = head->type == NR_FRAME_INIT_DONE,
                                    .event = EVENT_ANSWER,
                                    .flags = head->flags,
                                    .bytes = payload,
                                    .timeout_ms = 1};
    struct nr_arena arena;
    struct outcome o;

    nr_arena_init(&arena, 1 << 20);
    outcome_decide(&f, &arena, &o);
    nr_check(o.result.n > 0 && (o.result.p[0] == '{' || o.result.p[0] == '['));
    free(o.result_mem);
    nr_arena_fini(&arena);
}

static bool on_begin(void *arg, const struct nr_frame *head)
{
    struct sum *s = arg;

    nr_check(s->begun++ == s->frames && (int64_t)head->length <= frame_ceiling(head->type));
    s->refused = head->type == NR_FRAME_LOG && head->length > LOG_BYTES;
    return !s->refused;
}

static bool on_frame(void *arg, const struct nr_frame *head, struct nr_str payload)
{
    struct sum *s = arg;

    nr_check((int64_t)payload.n <= frame_ceiling(head->type) && payload.n == head->length &&
             s->begun == s->frames + 1);
    s->frames++;
    for (size_t i = 0; i < payload.n; i++)
        s->hash = s->hash * 31 + (unsigned char)payload.p[i];
    if (s->judge && (head->type == NR_FRAME_ANSWER || head->type == NR_FRAME_INIT_DONE))
        judge(head, payload);
    return true;
}

static const struct frame_to to = {on_begin, on_frame};

static int feed(const char *p, size_t n, size_t step, struct sum *s)
{
    struct frame_reader r;
    int status = 0;

    frame_reader_init(&r);
    for (size_t at = 0; at < n && status == 0 && !s->refused;) {
        char *room;
        size_t take = n - at < step ? n - at : step, free_bytes;

        if (frame_reader_room(&r, &room, &free_bytes)) {
            take = take < free_bytes ? take : free_bytes;
            memcpy(room, p + at, take);
            status = frame_reader_feed(&r, room, take, &to, s);
        } else {
            status = frame_reader_feed(&r, p + at, take, &to, s);
        }
        at += take;
    }
    nr_check(!s->refused || r.part.cap <= LOG_BYTES);
    frame_reader_fini(&r);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct sum whole = {.judge = true}, cut = {0};

    if (n < 1)
        return 0;
    int a = feed((const char *)bytes + 1, n - 1, n, &whole);
    int b = feed((const char *)bytes + 1, n - 1, 1 + bytes[0], &cut);

    nr_check(a == b && whole.frames == cut.frames && whole.hash == cut.hash);
    return 0;
}
