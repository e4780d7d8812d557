/* Bodies that go to a file: how much of them is there, and the pace that they are held to. */
#include "http_rig.h"

#include <sys/stat.h>

#include "common/base/clock.h"

#define BODY_BYTES (8 << 20)
#define WITHIN_MS 600000

struct filing {
    struct rig rig;
    struct client client;
    char *half; /* of the body */
    uint64_t wanted_bytes;
};

static bool are_filed(void *arg)
{
    struct filing *f = arg;

    return f->rig.filing != NULL && nr_http_filed_bytes(f->rig.filing) >= f->wanted_bytes;
}

static void begin(struct filing *f, uint64_t within_ms)
{
    char head[128];

    rig_config(&f->rig);
    f->rig.config.body_max_bytes = BODY_BYTES;
    f->rig.config.inflight_max_bytes = BODY_BYTES / 2; /* which such a body does not count into */
    f->rig.config.body_min_rate_bytes_s = 0;
    f->rig.file_within_ms = within_ms;
    rig_open(&f->rig);
    client_open(&f->rig, &f->client);
    f->half = nr_alloc(BODY_BYTES / 2);
    memset(f->half, 'h', BODY_BYTES / 2);
    (void)snprintf(head, sizeof(head),
                   "POST /file HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", BODY_BYTES);
    client_send(&f->rig, &f->client, nr_str_of(head), 0);
}

static void send_half(struct filing *f)
{
    client_send(&f->rig, &f->client, (struct nr_str){f->half, BODY_BYTES / 2}, 0);
}

static void wait_filed(struct filing *f, uint64_t bytes)
{
    f->wanted_bytes = bytes;
    rig_until(&f->rig, are_filed, f);
    assert_int_equal(nr_http_filed_bytes(f->rig.filing), bytes);
}

/* Time goes on by so much, and the server looks. */
static void later(struct filing *f, int s)
{
    nr_clock_fake((int64_t)s * 1000000, (int64_t)s * 1000);
    rig_turn(&f->rig, 20);
    client_poll(&f->client);
}

static void end(struct filing *f)
{
    nr_clock_fake(0, 0);
    free(f->half);
    client_close(&f->client);
    rig_close(&f->rig);
}

static void test_what_is_in_the_file_is_told(void **state)
{
    struct filing f;
    struct stat file;

    begin(&f, 0);
    send_half(&f);
    wait_filed(&f, BODY_BYTES / 2);
    assert_int_equal(fstat(f.rig.filing->body_fd, &file), 0);
    assert_int_equal(file.st_size, BODY_BYTES / 2);
    assert_int_equal(f.rig.requests, 0);
    send_half(&f);
    client_wait(&f.rig, &f.client, "HTTP/1.1 200 OK");
    end(&f);
}

static void test_without_a_pace_time_is_no_matter(void **state)
{
    struct filing f;

    begin(&f, 0);
    for (int s = 100; s <= 100000; s *= 10)
        later(&f, s);
    assert_int_equal(f.client.got.n, 0);
    send_half(&f);
    send_half(&f);
    client_wait(&f.rig, &f.client, "HTTP/1.1 200 OK");
    end(&f);
}

/* Nothing is asked for a sixtieth of the time, then an even pace: half is there at 310 s of 610. */
static void test_who_falls_behind_the_pace_is_refused(void **state)
{
    struct filing f;

    begin(&f, WITHIN_MS);
    later(&f, 8);
    assert_int_equal(f.client.got.n, 0);
    send_half(&f);
    wait_filed(&f, BODY_BYTES / 2);
    later(&f, 100);
    later(&f, 300);
    assert_int_equal(f.client.got.n, 0);
    nr_clock_fake(320000000, 320000);
    client_wait(&f.rig, &f.client, "408 Request Timeout");
    assert_int_equal(f.rig.requests, 0);
    end(&f);
}

static void test_who_sends_nothing_is_refused_soon(void **state)
{
    struct filing f;

    begin(&f, WITHIN_MS);
    later(&f, 9);
    assert_int_equal(f.client.got.n, 0);
    nr_clock_fake(12000000, 12000);
    client_wait(&f.rig, &f.client, "408 Request Timeout");
    end(&f);
}

static void test_who_keeps_the_pace_is_served(void **state)
{
    struct filing f;

    begin(&f, WITHIN_MS);
    send_half(&f);
    wait_filed(&f, BODY_BYTES / 2);
    later(&f, 300);
    send_half(&f);
    client_wait(&f.rig, &f.client, "HTTP/1.1 200 OK");
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_in_the_file_is_told),
        cmocka_unit_test(test_without_a_pace_time_is_no_matter),
        cmocka_unit_test(test_who_falls_behind_the_pace_is_refused),
        cmocka_unit_test(test_who_sends_nothing_is_refused_soon),
        cmocka_unit_test(test_who_keeps_the_pace_is_served),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
