/* Frames over a real socket pair: whole, in pieces, at their ceilings, with descriptors. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtimes/agent/frames.h"

static int pair[2];

static int open_pair(void **state)
{
    (void)state;
    return socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
}

static int close_pair(void **state)
{
    (void)state;
    close(pair[0]);
    close(pair[1]);
    return 0;
}

static void put(const void *bytes, size_t length)
{
    assert_int_equal(send(pair[0], bytes, length, 0), length);
}

static void two_frames_in_one_read(void **state)
{
    struct {
        struct nr_frame h;
        char text[3];
    } __attribute__((packed)) f = {{3, NR_FRAME_RUN, 0, 2, 9}, "abc"};
    struct inbox in;
    struct nr_frame head;
    char *payload;
    (void)state;
    inbox_init(&in);
    assert_int_equal(inbox_fill(&in, pair[1]), -EAGAIN);
    put(&f, sizeof f);
    f.h.call = 10;
    put(&f, sizeof f);
    assert_int_equal(inbox_fill(&in, pair[1]), 0);
    for (uint64_t call = 9; call <= 10; call++) {
        assert_true(inbox_peek(&in, &head, &payload));
        assert_int_equal(head.call, call);
        assert_memory_equal(payload, "abc", 3);
        inbox_drop(&in);
    }
    assert_false(inbox_peek(&in, &head, &payload));
    inbox_fini(&in);
}

static void byte_by_byte(void **state)
{
    struct {
        struct nr_frame h;
        char text[3];
    } __attribute__((packed)) f = {{3, NR_FRAME_INIT, 0, 0, 1}, "abc"};
    struct inbox in;
    struct nr_frame head;
    char *payload;
    (void)state;
    inbox_init(&in);
    for (size_t i = 0; i < sizeof f; i++) {
        assert_false(inbox_peek(&in, &head, &payload));
        put((char *)&f + i, 1);
        assert_int_equal(inbox_fill(&in, pair[1]), 0);
    }
    assert_true(inbox_peek(&in, &head, &payload));
    inbox_fini(&in);
}

static void ceilings(void **state)
{
    static const struct {
        uint8_t type;
        uint32_t length;
        int status;
    } cases[] = {
        {NR_FRAME_INIT, NR_FRAME_INIT_MAX_BYTES, 0},
        {NR_FRAME_INIT, NR_FRAME_INIT_MAX_BYTES + 1, -EPROTO},
        {NR_FRAME_RUN, NR_FRAME_META_MAX_BYTES + NR_FRAME_VALUE_MAX_BYTES, 0},
        {NR_FRAME_RUN, NR_FRAME_META_MAX_BYTES + NR_FRAME_VALUE_MAX_BYTES + 1, -EPROTO},
        {NR_FRAME_ANSWER, 1, -EPROTO},
        {0, 0, -EPROTO},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct nr_frame head = {cases[i].length, cases[i].type, 0, 0, 1};
        struct inbox in;
        inbox_init(&in);
        put(&head, sizeof head);
        assert_int_equal(inbox_fill(&in, pair[1]), cases[i].status);
        inbox_fini(&in);
    }
}

static void peer_that_is_gone(void **state)
{
    struct inbox in;
    struct outbox out = {0};
    (void)state;
    inbox_init(&in);
    shutdown(pair[0], SHUT_RDWR);
    assert_int_equal(inbox_fill(&in, pair[1]), -EPIPE);
    outbox_add(&out, chunk_frame(NR_FRAME_HELLO, 0, 0, "x", 1));
    assert_int_equal(outbox_flush(&out, pair[1]), -EPIPE);
    outbox_fini(&out);
    inbox_fini(&in);
}

static void descriptors_ride_along(void **state)
{
    struct nr_frame head = {0, NR_FRAME_INIT, 0, 0, 1};
    char control[CMSG_SPACE(2 * sizeof(int))] __attribute__((aligned(8))) = {0};
    struct iovec iov = {&head, sizeof head};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    int fds[2] = {open("/dev/null", O_RDONLY), open("/dev/null", O_RDONLY)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    struct inbox in;
    (void)state;
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fds);
    memcpy(CMSG_DATA(c), fds, sizeof fds);
    assert_int_equal(sendmsg(pair[0], &m, 0), sizeof head);
    inbox_init(&in);
    int next = open("/dev/null", O_RDONLY);
    close(next);
    assert_int_equal(inbox_fill(&in, pair[1]), 0);
    int fd = inbox_take_fd(&in);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(inbox_take_fd(&in), -1);
    close(fd);
    int again =
        open("/dev/null", O_RDONLY); /* the second one was closed: the same number is free */
    assert_int_equal(again, next);
    close(again);
    inbox_fini(&in);
    close(fds[0]);
    close(fds[1]);
}

/* More than the socket takes at once, read slowly: everything arrives, in order. */
static void large_output_in_parts(void **state)
{
    enum { FRAMES = 40, BYTES = 100000, PART = 70000 };
    const size_t total = (size_t)FRAMES * (BYTES + 16);
    struct outbox out = {0};
    char *payload = malloc(BYTES);
    char *got = malloc(total);
    size_t filled = 0;
    (void)state;
    for (int i = 0; i < FRAMES; i++) {
        memset(payload, 'a' + i % 26, BYTES);
        outbox_add(&out, chunk_frame(NR_FRAME_LOG, 0, (uint64_t)i, payload, BYTES));
    }
    int status;
    do {
        status = outbox_flush(&out, pair[1]);
        assert_true(status == 0 || status == -EAGAIN);
        ssize_t n = recv(pair[0], got + filled, total - filled < PART ? total - filled : PART, 0);
        assert_true(n > 0);
        filled += (size_t)n;
    } while (status != 0 || filled < total);
    for (int i = 0; i < FRAMES; i++) {
        struct nr_frame head;
        const char *frame = got + (size_t)i * (BYTES + 16);
        memcpy(&head, frame, sizeof head);
        assert_int_equal(head.call, i);
        assert_int_equal(frame[16], 'a' + i % 26);
        assert_int_equal(frame[16 + BYTES - 1], 'a' + i % 26);
    }
    assert_null(out.first);
    free(payload);
    free(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(two_frames_in_one_read, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(byte_by_byte, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(ceilings, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(peer_that_is_gone, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(descriptors_ride_along, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(large_output_in_parts, open_pair, close_pair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
