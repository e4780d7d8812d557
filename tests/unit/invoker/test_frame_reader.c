/* Frames come out the same however the bytes were cut, and nothing above its ceiling gets in. */
#include "invoker/frame_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "common/base/mem.h"

struct seen {
    struct nr_buf text;
    const char *from, *to; /* the bytes fed */
    unsigned frames, in_place, begun;
    bool stop_at_first, refuse;
};

static bool on_begin(void *arg, const struct nr_frame *head)
{
    struct seen *s = arg;

    assert_int_equal(s->begun, s->frames); /* once for each, before it */
    assert_true((int64_t)head->length <= frame_ceiling(head->type));
    s->begun++;
    return !s->refuse;
}

static bool on_frame(void *arg, const struct nr_frame *head, struct nr_str payload)
{
    struct seen *s = arg;

    assert_int_equal(s->begun, s->frames + 1);
    nr_buf_printf(&s->text, "%u/%llu:", head->type, (unsigned long long)head->call);
    nr_buf_add(&s->text, payload.p, payload.n);
    nr_buf_addc(&s->text, ';');
    s->frames++;
    s->in_place += payload.p >= s->from && payload.p <= s->to;
    return !s->stop_at_first;
}

static const struct frame_to to = {on_begin, on_frame};

static void add(struct nr_buf *b, uint8_t type, uint64_t call, const void *payload, size_t n)
{
    const struct nr_frame head = {.length = (uint32_t)n, .type = type, .call = call};

    nr_buf_add(b, &head, sizeof(head));
    nr_buf_add(b, payload, n);
}

static void three(struct nr_buf *b)
{
    const struct nr_frame_end end = {.verdict = NR_VERDICT_OK};

    nr_buf_init(b, 1 << 20);
    add(b, NR_FRAME_ANSWER, 7, "{\"a\":1}", 7);
    add(b, NR_FRAME_LOG, 7, "", 0);
    add(b, NR_FRAME_END, 7, &end, sizeof(end));
}

/* Feeds as slot.c does: into the room of a frame that has begun, else from the shared bytes; `step` bytes at most at a time. */
static int feed(struct frame_reader *r, struct seen *s, const struct nr_buf *b, size_t step)
{
    int status = 0;

    s->from = b->p;
    s->to = b->p + b->n;
    for (size_t at = 0, n; at < b->n && status == 0; at += n) {
        char *room;

        n = b->n - at < step ? b->n - at : step;
        if (frame_reader_room(r, &room, &n)) {
            n = n < step ? n : step;
            n = n < b->n - at ? n : b->n - at;
            memcpy(room, b->p + at, n);
            status = frame_reader_feed(r, room, n, &to, s);
        } else {
            status = frame_reader_feed(r, b->p + at, n, &to, s);
        }
    }
    return status;
}

static void any_cut(void **state)
{
    struct nr_buf b;

    three(&b);
    struct nr_str want = NR_STR("3/7:{\"a\":1};4/7:;5/7:\0\0\0\0\0\0\0\0;");

    for (size_t step = 1; step <= b.n; step++) {
        struct frame_reader r;
        struct seen s = {0};

        nr_buf_init(&s.text, 4096);
        frame_reader_init(&r);
        assert_int_equal(feed(&r, &s, &b, step), 0);
        assert_true(nr_str_eq(nr_buf_str(&s.text), want));
        if (step == b.n)
            assert_int_equal(s.in_place, 3); /* nothing was copied */
        frame_reader_fini(&r);
        nr_buf_fini(&s.text);
    }
    nr_buf_fini(&b);
}

static void ceilings(void **state)
{
    static const struct {
        uint8_t type;
        uint32_t length;
        int status;
    } table[] = {
        {NR_FRAME_HELLO, NR_FRAME_HELLO_MAX_BYTES, 0},
        {NR_FRAME_HELLO, NR_FRAME_HELLO_MAX_BYTES + 1, NR_EPROTO},
        {NR_FRAME_ANSWER, NR_FRAME_ANSWER_MAX_BYTES, 0},
        {NR_FRAME_ANSWER, NR_FRAME_ANSWER_MAX_BYTES + 1, NR_EPROTO},
        {NR_FRAME_LOG, NR_FRAME_LOG_MAX_BYTES, 0},
        {NR_FRAME_LOG, NR_FRAME_LOG_MAX_BYTES + 1, NR_EPROTO},
        {NR_FRAME_LOG, UINT32_MAX, NR_EPROTO},
        {NR_FRAME_END, sizeof(struct nr_frame_end), 0},
        {NR_FRAME_END, sizeof(struct nr_frame_end) - 1, NR_EPROTO},
        {NR_FRAME_END, sizeof(struct nr_frame_end) + 1, NR_EPROTO},
        {NR_FRAME_INIT, 0, NR_EPROTO},
        {NR_FRAME_RUN, 0, NR_EPROTO},
        {0, 0, NR_EPROTO},
        {255, 0, NR_EPROTO},
    };

    for (size_t i = 0; i < nr_countof(table); i++) {
        const struct nr_frame head = {.length = table[i].length, .type = table[i].type};

        for (size_t step = 1; step <= sizeof(head); step += sizeof(head) - 1) {
            struct frame_reader r;
            struct seen s = {0};
            struct nr_buf b;

            nr_buf_init(&b, 64);
            nr_buf_add(&b, &head, sizeof(head));
            frame_reader_init(&r);
            int status = feed(&r, &s, &b, step);

            if (status != table[i].status)
                fail_msg("type %u, length %u: %d", table[i].type, table[i].length, status);
            frame_reader_fini(&r);
            nr_buf_fini(&b);
        }
    }
}

/* Whoever knows the call says no to a header: nothing of the frame is kept, and no room is made for it, however it was cut. */
static void refused_before_memory_is_taken(void **state)
{
    const struct nr_frame head = {.length = NR_FRAME_LOG_MAX_BYTES, .type = NR_FRAME_LOG};

    for (size_t step = 1; step <= sizeof(head); step++) {
        struct frame_reader r;
        struct seen s = {.refuse = true};
        struct nr_buf b;

        nr_buf_init(&b, 64);
        nr_buf_add(&b, &head, sizeof(head));
        frame_reader_init(&r);
        assert_int_equal(feed(&r, &s, &b, step), 0);
        assert_int_equal(s.begun, 1);
        assert_int_equal(s.frames, 0);
        assert_true(r.part.cap < 4096);
        frame_reader_fini(&r);
        nr_buf_fini(&b);
    }
}

static void stops_when_told(void **state)
{
    struct frame_reader r;
    struct seen s = {.stop_at_first = true};
    struct nr_buf b;

    three(&b);
    nr_buf_init(&s.text, 4096);
    frame_reader_init(&r);
    assert_int_equal(frame_reader_feed(&r, b.p, b.n, &to, &s), 0);
    assert_int_equal(s.frames, 1);
    frame_reader_fini(&r);
    nr_buf_fini(&s.text);
    nr_buf_fini(&b);
}

static void without_memory(void **state)
{
    struct frame_reader r;
    struct seen s = {0};
    struct nr_buf b;

    three(&b);
    frame_reader_init(&r);
    nr_mem_fail_at(1, -1);
    assert_int_equal(frame_reader_feed(&r, b.p, 20, &to, &s), NR_ENOMEM);
    nr_mem_fail_at(0, 0);
    frame_reader_fini(&r);
    nr_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_cut),
        cmocka_unit_test(ceilings),
        cmocka_unit_test(refused_before_memory_is_taken),
        cmocka_unit_test(stops_when_told),
        cmocka_unit_test(without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
