/* Cordon, drain and leaving, seen from the controller; frames that break the protocol; TLS.
 */
#include "far_rig.h"

#include <sys/stat.h>

/* ---- cordon, drain, leaving ---- */

static void test_cordon(void **state)
{
    struct function *f = make_function(7);
    struct activation *a = make_call(f);

    (void)join(SESSION);
    report("");
    (void)first_run(a);
    far_cordon(owner.f, true);
    assert_int_equal(owner.bounced, 0);
    assert_false(far_takes(owner.f, true));
    until(&owner.bounced, 1);
    assert_int_equal(hear(WIRE_CORDON)->head.flags, WIRE_ON);
    (void)hear(WIRE_CUT);
    peer_hang_up();
    (void)join(OTHER_SESSION); /* it holds over links and processes */
    assert_int_equal(hear(WIRE_CORDON)->head.flags, WIRE_ON);
    report("");
    assert_true(far_is_cordoned(owner.f));
    assert_false(far_takes(owner.f, true));
    far_cordon(owner.f, false);
    assert_int_equal(hear(WIRE_CORDON)->head.flags, 0);
    assert_true(far_takes(owner.f, true));
    activation_unref(a);
    function_unref(f);
}

static void test_drain(void **state)
{
    struct function *f = make_function(7);
    struct activation *a = make_call(f), *b = make_call(f);

    (void)join(SESSION);
    uint64_t call = first_run(a);

    say(WIRE_CLAIM, 0, call, NULL, NULL);
    (void)hear(WIRE_CLAIMED);
    (void)run(b);
    far_drain(owner.f, on_drained, NULL);
    (void)hear(WIRE_DRAIN);
    until(&owner.bounced, 1);
    assert_ptr_equal(owner.back, b);
    (void)hear(WIRE_CUT);
    assert_int_equal(owner.drained, 0);
    end_call(call);
    hear_nothing();
    assert_int_equal(owner.drained, 0); /* its containers are still there */
    say(WIRE_LEAVING, 0, 0, NULL, NULL);
    until(&owner.drained, 1);
    /* it holds over links and processes, until it is empty or takes calls again */
    far_drain(owner.f, on_drained, NULL);
    peer_hang_up();
    assert_int_equal(owner.drained, 1);
    assert_string_equal(far_why_not(owner.f), "it is not connected; it is drained when it is back");
    (void)join(OTHER_SESSION);
    (void)hear(WIRE_DRAIN);
    assert_string_equal(far_why_not(owner.f), "it is being drained");
    say(WIRE_LEAVING, 0, 0, NULL, NULL);
    until(&owner.drained, 2);
    assert_string_equal(far_why_not(owner.f), "it is cordoned");
    far_drain(owner.f, on_drained, NULL);
    (void)hear(WIRE_DRAIN);
    far_cordon(owner.f, false);
    assert_int_equal(owner.drained, 3);
    assert_int_equal(hear(WIRE_CORDON)->head.flags, 0);
    peer_hang_up();
    (void)join(OTHER_SESSION);
    hear_nothing();
    activation_unref(a);
    activation_unref(b);
    function_unref(f);
}

/* Its process is being stopped. */
static void test_leaving(void **state)
{
    struct function *f = make_function(7);
    struct activation *a = make_call(f);

    (void)join(SESSION);
    report("");
    (void)first_run(a);
    say(WIRE_LEAVING, WIRE_MORE, 0, NULL, NULL);
    until(&owner.bounced, 1);
    assert_false(far_takes(owner.f, true));
    assert_string_equal(far_why_not(owner.f), "it is being stopped");
    activation_unref(a);
    function_unref(f);
}

/* ---- who breaks the protocol ---- */

static void test_hostile_frames(void **state)
{
    static const struct {
        const char *what;
        uint8_t type, flags;
        int call; /* 0: none; 1: given, 2: granted, 3: answered */
        const char *meta, *raw;
    } rows[] = {
        {"a frame of the controller", WIRE_RUN, 0, 0, "{}", "{}"},
        {"a second HELLO", WIRE_HELLO, 0, 0, "{}", NULL},
        {"JSON that is none", WIRE_EVENT, 0, 0, "{\"event\":", NULL},
        {"JSON that is no object", WIRE_REPORT, 0, 0, "[]", NULL},
        {"a payload where none is", WIRE_CLAIM, 0, 1, NULL, "x"},
        {"a report of half a call", WIRE_REPORT, WIRE_ON, 0, "{}", "1234"},
        {"an answer that ran without a claim", WIRE_ANSWER, 0, 1, "{\"ran\":true}", "{}"},
        {"an answer that is success without a claim", WIRE_ANSWER, 0, 1, "{}", "{}"},
        {"logs before the answer", WIRE_LOGS, 0, 2, NULL, "x\n"},
        {"an end before the answer", WIRE_END, 0, 2, NULL, NULL},
        {"a bounce of what was granted", WIRE_BOUNCE, 0, 2, NULL, NULL},
        {"a second claim", WIRE_CLAIM, 0, 2, NULL, NULL},
        {"an answer without a result", WIRE_ANSWER, 0, 2, "{\"ran\":true}", NULL},
        {"an answer that is no JSON", WIRE_ANSWER, 0, 2, "{\"ran\":true}", "{\"a\":"},
        {"an answer that is a number", WIRE_ANSWER, 0, 2, "{\"ran\":true}", "1"},
        {"an answer of a status that is none", WIRE_ANSWER, 0, 2, "{\"status\":9}", "{}"},
        {"a second answer", WIRE_ANSWER, 0, 3, "{\"ran\":true}", "{}"},
        {"logs of nothing", WIRE_LOGS, 0, 3, NULL, NULL},
        {"a report of nothing", WIRE_REPORT, 0, 0, NULL, NULL},
        {"a report of a bad pool", WIRE_REPORT, 0, 0, "{\"pools\":[{\"revision\":0}]}", NULL},
        {"an event without a name", WIRE_EVENT, 0, 0,
         "{\"event\":\"oom_killed\",\"account\":\"a\"}", NULL},
        {"code without measure", WIRE_WANT_CODE, 0, 0, "{\"bytes\":-1}", NULL},
    };

    for (size_t i = 0; i < nr_countof(rows); i++) {
        struct function *f = make_function(7);
        struct activation *a = make_call(f);

        memset(&steps, 0, sizeof(steps));
        (void)join(SESSION);
        uint64_t call = first_run(a);
        int lost = owner.lost;

        if (rows[i].call >= 2) {
            say(WIRE_CLAIM, 0, call, NULL, NULL);
            (void)hear(WIRE_CLAIMED);
        }
        if (rows[i].call == 3)
            say(WIRE_ANSWER, 0, call, an_answer, "{}");
        say(rows[i].type, rows[i].flags, call, rows[i].meta, rows[i].raw);
        until(&owner.lost, lost + 1);
        if (metric("narae_invoker_violations_total") != (double)i + 1)
            fail_msg("%s was not counted", rows[i].what);
        if (far_has(owner.f, a)) /* granted: it ends by its own limit, or with the session */
            (void)join(OTHER_SESSION);
        assert_false(far_has(owner.f, a));
        if (far_is_up(owner.f))
            peer_hang_up();
        activation_unref(a);
        function_unref(f);
    }
    (void)join(SESSION); /* nobody else has lost anything */
    report("");
    assert_true(far_takes(owner.f, false));
}

static void test_before_hello(void **state)
{
    peer_dial();
    say(WIRE_CLAIM, 0, 1, NULL, NULL);
    until(&peer->ended, 1);
    peer_dial();
    say(WIRE_HELLO, 0, 0, "{\"name\":1}", NULL);
    (void)hear(WIRE_REFUSED);
    until(&peer->ended, 1);
    assert_int_equal(owner.admitted, 0);
}

/* By TCP: a certificate of its own, made once, with a pin that stays. */
static void test_tls(void **state)
{
    struct far_listener_config c = {.loop = &loop,
                                    .listen = "127.0.0.1:0",
                                    .data_dir = dir,
                                    .invoker_uid = -1,
                                    .log = &quiet,
                                    .admit = admit,
                                    .joined = on_joined,
                                    .lost = on_lost,
                                    .bounced = on_bounced,
                                    .reported = on_reported};
    struct far_listener *l = NULL;
    struct nr_tls *client = NULL;
    struct stat st;
    char path[128], pin[NR_TLS_PIN_BYTES], plain[sizeof(address)];
    int closed = owner.closed;

    assert_int_equal(far_listen(&c, &l, NULL), 0);
    (void)snprintf(pin, sizeof(pin), "%s", far_pin(l));
    (void)snprintf(path, sizeof(path), "%s/invokers.key", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    memcpy(plain, address, sizeof(plain));
    (void)snprintf(address, sizeof(address), "tls://127.0.0.1:%u", far_port(l));
    assert_int_equal(nr_tls_open_client(pin, &client, NULL), 0);
    peer_tls = client;
    (void)join(SESSION);
    assert_string_equal(far_hello(owner.f)->name, "box-1");
    peer_hang_up();
    far_end(owner.f);
    owner.f = NULL;
    far_listener_close(l, on_closed, NULL);
    until(&owner.closed, closed + 1);
    assert_int_equal(far_listen(&c, &l, NULL), 0); /* as a next start */
    assert_string_equal(far_pin(l), pin);
    far_listener_close(l, on_closed, NULL);
    until(&owner.closed, closed + 2);
    owner.closed = 0;
    peer_tls = NULL;
    nr_tls_close(client);
    memcpy(address, plain, sizeof(plain));
    c.cert_path = path; /* without its key */
    assert_int_equal(far_listen(&c, &l, NULL), NR_EINVAL);
    c.listen = "nowhere";
    c.cert_path = NULL;
    assert_int_equal(far_listen(&c, &l, NULL), NR_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_cordon),         T(test_drain),        T(test_leaving),
        T(test_hostile_frames), T(test_before_hello), T(test_tls),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
