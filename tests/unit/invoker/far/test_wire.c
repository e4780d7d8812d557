/* The codec: what one end writes is what the other reads, for every form; members that are not known or not there; what is out of its range; ceilings and
 * directions of frames; HELLO with its names, tags and protocols; events; a report of more pools than go into a frame.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/socket.h>

#include "common/base/clock.h"
#include "invoker/far/wire.h"
#include "ports/event.h"

static struct nr_arena arena;
static struct nr_buf out;

static int setup(void **state)
{
    nr_arena_init(&arena, 1 << 20);
    nr_buf_init(&out, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    nr_arena_fini(&arena);
    nr_buf_fini(&out);
    return 0;
}

static void read_into(const struct wire_form *form, const char *json, void *to)
{
    struct nr_err err = {0};

    if (wire_read(form, nr_str_of(json), &arena, to, &err) < 0)
        fail_msg("%s: %s", json, err.text);
}

static void read_back(const struct wire_form *form, const void *from, void *to)
{
    struct nr_err err = {0};

    nr_buf_reset(&out, SIZE_MAX);
    wire_write(form, from, &out);
    if (wire_read(form, nr_buf_str(&out), &arena, to, &err) < 0)
        fail_msg("%.*s: %s", (int)out.n, out.p, err.text);
}

/* ---- forms ---- */

static void test_run(void **state)
{
    const struct wire_run said = {.activation = NR_STR("0123456789abcdef0123456789abcdef"),
                                  .account = NR_STR("ac\"me\n\xc3\xa4"),
                                  .transaction = NR_STR(""),
                                  .revision = INT64_MAX};
    struct wire_run got = {0};

    read_back(&wire_run_form, &said, &got);
    assert_true(nr_str_eq(said.activation, got.activation));
    assert_true(nr_str_eq(said.account, got.account));
    assert_int_equal(got.transaction.n, 0);
    assert_non_null(got.transaction.p); /* empty is not absent */
    assert_null(got.api_key.p);
    assert_true(got.revision == INT64_MAX);
}

static void test_answer(void **state)
{
    const struct wire_answer said = {.status = OUTCOME_INTERNAL_ERROR,
                                     .start = START_STEM,
                                     .cold = COLD_CRASHED,
                                     .timed_out = true,
                                     .stem_empty = true,
                                     .ran = true,
                                     .run_us = 1,
                                     .init_us = 2,
                                     .queue_us = 3,
                                     .network_us = 4,
                                     .create_us = 5,
                                     .boot_us = 6,
                                     .handover_us = 7,
                                     .thaw_us = 8,
                                     .err = NR_ETIMEOUT,
                                     .why = NR_STR("too late")};
    struct wire_answer got = {0};

    read_back(&wire_answer_form, &said, &got);
    assert_true(nr_str_eq(said.why, got.why));
    got.why = said.why;
    assert_memory_equal(&said, &got, sizeof(said));
}

/* An answer goes into another activation as it came out of the first, and no stage is longer than the call. */
static void test_answer_of_an_activation(void **state)
{
    struct activation *from = activation_make(), *to = activation_make();
    struct wire_answer said, got = {0};

    from->outcome.status = OUTCOME_APPLICATION_ERROR;
    from->outcome.is_array = true;
    from->start = START_COLD;
    from->cold = COLD_SCALE_OUT;
    from->started_us = 1000;
    from->answered_us = 4000;
    from->init_us = 500;
    from->boot_us = 1000000000;
    wire_answer_of(from, &said);
    read_back(&wire_answer_form, &said, &got);
    to->accepted_us = 1000000;
    wire_answer_into(&got, 1010000, to);
    assert_int_equal(to->outcome.status, OUTCOME_APPLICATION_ERROR);
    assert_true(to->outcome.is_array);
    assert_int_equal(to->start, START_COLD);
    assert_int_equal(to->cold, COLD_SCALE_OUT);
    assert_int_equal(to->answered_us, 1010000);
    assert_int_equal(to->started_us, 1007000);
    assert_int_equal(to->init_us, 500);
    assert_int_equal(to->boot_us, 10000);
    assert_int_equal(to->err, 0);
    activation_unref(from);
    activation_unref(to);
}

static void test_wish(void **state)
{
    const struct scaler_wish said = {.account = "acme",
                                     .package = "",
                                     .name = "f",
                                     .desired = -1,
                                     .maximum = 7,
                                     .keep_alive_ms = -1,
                                     .ahead_only = true};
    struct scaler_wish got = {0};

    read_back(&wire_wish_form, &said, &got);
    assert_string_equal(got.account, "acme");
    assert_string_equal(got.package, "");
    assert_string_equal(got.name, "f");
    assert_null(got.stem_kind);
    assert_int_equal(got.desired, -1);
    assert_int_equal(got.maximum, 7);
    assert_int_equal(got.keep_alive_ms, -1);
    assert_true(got.ahead_only);
}

static void test_pool_and_node(void **state)
{
    const struct wire_pool pool = {.revision = 12,
                                   .load = {1, 2, 3, 4},
                                   .figures = {.key = NR_STR("a/b/c"),
                                               .ready = 5,
                                               .busy = 6,
                                               .starting = 7,
                                               .waiting = 8,
                                               .oldest_us = 9,
                                               .instance_mb = 256,
                                               .instances_max = 10,
                                               .looked = true,
                                               .cpu_percent = 12.5,
                                               .memory_mb = 0.1,
                                               .memory_percent = 99.999,
                                               .joules = 1e-9,
                                               .cpu_seconds = 1e9}};
    const struct wire_node node = {.figures = {1024, 512, 3, 2, -1, 0.5},
                                   .containers_max = 40,
                                   .why = NR_STR("the Engine is away")};
    struct wire_pool got_pool = {0};
    struct wire_node got_node = {0};

    read_back(&wire_pool_form, &pool, &got_pool);
    assert_true(nr_str_eq(pool.figures.key, got_pool.figures.key));
    got_pool.figures.key = pool.figures.key;
    assert_memory_equal(&pool, &got_pool, sizeof(pool));
    read_back(&wire_node_form, &node, &got_node);
    assert_true(nr_str_eq(node.why, got_node.why));
    got_node.why = node.why;
    assert_memory_equal(&node, &got_node, sizeof(node));
}

/* Another version knows more, or less. */
static void test_members_that_are_not_known_or_not_there(void **state)
{
    struct wire_run got = {.account = NR_STR("before")};

    read_into(&wire_run_form, "{\"colour\":[{\"a\":1}],\"revision\": 7 ,\"x\":null}", &got);
    assert_int_equal(got.revision, 7);
    assert_true(nr_str_eqz(got.account, "before"));
    read_into(&wire_run_form, "{}", &got);
    assert_int_equal(got.revision, 7);
}

static void test_what_is_out_of_its_range(void **state)
{
    static const struct {
        const struct wire_form *form;
        const char *json, *says;
    } rows[] = {
        {&wire_run_form, "{\"revision\":-1}", "revision"},
        {&wire_run_form, "{\"revision\":9223372036854775808}", "revision"},
        {&wire_run_form, "{\"revision\":1.5}", "revision"},
        {&wire_run_form, "{\"revision\":\"1\"}", "revision"},
        {&wire_run_form, "{\"account\":1}", "account"},
        {&wire_run_form, "{\"activation\":\"0123456789abcdef0123456789abcdef0\"}", "activation"},
        {&wire_answer_form, "{\"status\":4}", "status"},
        {&wire_answer_form, "{\"start\":5}", "start"},
        {&wire_answer_form, "{\"cold\":6}", "cold"},
        {&wire_answer_form, "{\"ran\":1}", "ran"},
        {&wire_answer_form, "{\"err\":1}", "err"},
        {&wire_pool_form, "{\"ready\":16777217}", "ready"},
        {&wire_pool_form, "{\"joules\":1e999}", "joules"},
        {&wire_pool_form, "{\"joules\":-1}", "joules"},
        {&wire_pool_form, "{\"joules\":\"1\"}", "joules"},
        {&wire_range_form, "{\"at\":268435457}", "at"},
        {&wire_wish_form, "{\"account\":\"a\\u0000b\"}", "account"},
        {&wire_wish_form, "{\"desired\":-2}", "desired"},
    };

    for (size_t i = 0; i < nr_countof(rows); i++) {
        union {
            struct wire_answer answer;
            struct wire_pool pool;
            struct wire_run run;
            struct wire_range range;
            struct scaler_wish wish;
        } to;
        struct nr_err err = {0};

        memset(&to, 0, sizeof(to));
        if (wire_read(rows[i].form, nr_str_of(rows[i].json), &arena, &to, &err) != NR_EPROTO ||
            strstr(err.text, rows[i].says) == NULL)
            fail_msg("%s: %s", rows[i].json, err.text);
    }
}

/* ---- frames ---- */

static int64_t length(uint8_t type, uint32_t n, uint32_t meta, bool from_invoker, bool open)
{
    const struct wire_head h = {.type = type, .length = n, .meta = meta};

    return wire_length((const char *)&h, from_invoker, open);
}

static void test_ceilings_and_directions(void **state)
{
    static const struct {
        uint8_t type;
        uint32_t n, meta;
        bool from_invoker, open;
        int64_t r;
    } rows[] = {
        {WIRE_HELLO, WIRE_HELLO_MAX_BYTES, WIRE_HELLO_MAX_BYTES, true, false, WIRE_HELLO_MAX_BYTES},
        {WIRE_HELLO, WIRE_HELLO_MAX_BYTES + 1, WIRE_HELLO_MAX_BYTES + 1, true, false, NR_EPROTO},
        {WIRE_HELLO, 2, 2, false, false, NR_EPROTO},
        {WIRE_CLAIM, 0, 0, true, false, NR_EPROTO}, /* before WELCOME */
        {WIRE_CLAIM, 0, 0, true, true, 0},
        {WIRE_CLAIM, 1, 0, true, true, NR_EPROTO},
        {WIRE_RUN, 10, 2, true, true, NR_EPROTO},
        {WIRE_RUN, 10, 2, false, true, 10},
        {WIRE_RUN, 10, 11, false, true, NR_EPROTO}, /* more JSON than payload */
        {WIRE_RUN, WIRE_RUN_MAX_BYTES + 2, 2, false, true, WIRE_RUN_MAX_BYTES + 2},
        {WIRE_RUN, WIRE_RUN_MAX_BYTES + 3, 2, false, true, NR_EPROTO},
        {WIRE_LOGS, WIRE_PART_MAX_BYTES, 0, true, true, WIRE_PART_MAX_BYTES},
        {WIRE_LOGS, WIRE_PART_MAX_BYTES + 1, 0, true, true, NR_EPROTO},
        {WIRE_CODE, WIRE_PART_MAX_BYTES + 100, 100, false, true, WIRE_PART_MAX_BYTES + 100},
        {WIRE_REPORT, WIRE_REPORT_MAX_BYTES + 1, WIRE_REPORT_MAX_BYTES + 1, true, true, NR_EPROTO},
        {200, 100, 50, true, true, 100}, /* of another version */
        {200, WIRE_PAYLOAD_MAX_BYTES, WIRE_META_MAX_BYTES, true, true, WIRE_PAYLOAD_MAX_BYTES},
        {200, UINT32_MAX, 0, true, true, NR_EPROTO},
        {200, 100, 50, true, false, NR_EPROTO},
    };

    for (size_t i = 0; i < nr_countof(rows); i++) {
        int64_t r =
            length(rows[i].type, rows[i].n, rows[i].meta, rows[i].from_invoker, rows[i].open);

        if (r != rows[i].r)
            fail_msg("row %zu: %lld", i, (long long)r);
    }
}

static void test_take(void **state)
{
    struct wire_head h = {.type = WIRE_RUN, .length = 6, .meta = 2, .call = 9};
    struct wire_frame f;

    assert_int_equal(wire_take((const char *)&h, NR_STR("{}[1]!"), &f), 0);
    assert_int_equal(f.head.call, 9);
    assert_true(nr_str_eqz(f.raw, "[1]!"));
    assert_true(wire_known(&f));
    assert_string_equal(wire_type_text(WIRE_RUN), "RUN");
    h.meta = 3;
    assert_int_equal(wire_take((const char *)&h, NR_STR("[1]abc"), &f), NR_EPROTO);
    assert_int_equal(wire_take((const char *)&h, NR_STR("{\"aabc"), &f), NR_EPROTO);
    h.meta = 0;
    h.type = 200;
    assert_int_equal(wire_take((const char *)&h, NR_STR("[1]abc"), &f), 0);
    assert_false(wire_known(&f));
    assert_string_equal(wire_type_text(200), "?");
}

/* ---- HELLO ---- */

#define SESSION "0123456789abcdef0123456789abcdef"

static void test_hello(void **state)
{
    char name[] = "box-1", token[] = "secret", session[] = SESSION, installation[] = "00ff",
         version[] = "0.1.0", arch[] = "x86_64", engine[] = "20.10, API 1.41",
         table[] = "[{\"name\":\"engine\"}]", kind[] = "python:3", image[] = "narae/python:1",
         key[] = "board", value[] = "rev.2";
    char *kinds[] = {kind, NULL}, *images[] = {image, NULL};
    struct far_tag tags[] = {{key, value}};
    const struct far_hello said = {.protocol = WIRE_PROTOCOL,
                                   .name = name,
                                   .token = token,
                                   .session = session,
                                   .installation = installation,
                                   .version = version,
                                   .arch = arch,
                                   .engine = engine,
                                   .capabilities = table,
                                   .cores = 4,
                                   .memory_max_mb = 2048,
                                   .gpus = 1,
                                   .kinds = kinds,
                                   .images = images,
                                   .tags = tags,
                                   .tag_count = 1};
    struct far_hello *got = NULL;
    struct nr_err err = {0};

    wire_hello_write(&said, WIRE_PROTOCOL_OLDEST, &out);
    if (wire_hello_read(nr_buf_str(&out), &got, &err) < 0)
        fail_msg("%.*s: %s", (int)out.n, out.p, err.text);
    assert_int_equal(got->protocol, WIRE_PROTOCOL);
    assert_string_equal(got->name, name);
    assert_string_equal(got->token, token);
    assert_string_equal(got->session, session);
    assert_string_equal(got->installation, installation);
    assert_string_equal(got->version, version);
    assert_string_equal(got->arch, arch);
    assert_string_equal(got->engine, engine);
    assert_string_equal(got->capabilities, table);
    assert_int_equal(got->cores, 4);
    assert_int_equal(got->memory_max_mb, 2048);
    assert_int_equal(got->gpus, 1);
    assert_string_equal(got->kinds[0], kind);
    assert_null(got->kinds[1]);
    assert_string_equal(got->images[0], image);
    assert_int_equal(got->tag_count, 1);
    assert_string_equal(got->tags[0].key, key);
    assert_string_equal(got->tags[0].value, value);
    wire_hello_free(got);
    wire_hello_free(NULL);
}

static void test_hello_of_strangers(void **state)
{
    static const char *const rows[] = {
        "{}",
        "{\"protocol\":1}",
        "{\"protocol\":1,\"name\":\"Box\",\"session\":\"" SESSION "\"}",
        "{\"protocol\":1,\"name\":\"a/b\",\"session\":\"" SESSION "\"}",
        "{\"protocol\":1,\"name\":\"\",\"session\":\"" SESSION "\"}",
        "{\"protocol\":1,\"name\":\"a\",\"session\":\"0\"}",
        "{\"protocol\":1,\"name\":\"a\",\"session\":\"0123456789ABCDEF0123456789abcdef\"}",
        "{\"protocol\":1,\"name\":\"a\",\"session\":\"" SESSION "\",\"arch\":\"a\\nb\"}",
        "{\"protocol\":1,\"name\":\"a\",\"session\":\"" SESSION "\",\"version\":\"\\\"\"}",
        "{\"protocol\":1,\"name\":\"a\",\"session\":\"" SESSION "\",\"kinds\":{}}",
        "{\"protocol\":1,\"name\":\"a\",\"session\":\"" SESSION "\",\"capabilities\":\"{}\"}",
        "{\"protocol\":1,\"name\":\"a\",\"session\":\"" SESSION "\",\"capabilities\":\"[\"}",
        "{\"protocol\":1,\"name\":\"a\",\"session\":\"" SESSION "\",\"kinds\":[1]}",
        "{\"protocol\":1,\"name\":\"a\",\"session\":\"" SESSION "\",\"tags\":[]}",
        "{\"protocol\":1,\"name\":\"a\",\"session\":\"" SESSION "\",\"tags\":{\"a\":1}}",
        "{\"protocol\":1,\"name\":\"a\",\"session\":\"" SESSION "\",\"tags\":{\"\":\"x\"}}",
        "{\"protocol\":1,\"name\":\"a\",\"session\":\"" SESSION "\",\"tags\":{\"a,b\":\"x\"}}",
        "{\"protocol\":0,\"name\":\"a\",\"session\":\"" SESSION "\"}",
        "{\"protocol\":9,\"oldest\":8,\"name\":\"a\",\"session\":\"" SESSION "\"}",
        "{\"protocol\":1,\"oldest\":2,\"name\":\"a\",\"session\":\"" SESSION "\"}",
    };

    for (size_t i = 0; i < nr_countof(rows); i++) {
        struct far_hello *got = NULL;
        struct nr_err err = {0};

        if (wire_hello_read(nr_str_of(rows[i]), &got, &err) == 0 || got || err.text[0] == '\0')
            fail_msg("%s was taken", rows[i]);
    }
}

/* A later version that still speaks ours. */
static void test_protocols(void **state)
{
    struct far_hello *got = NULL;

    assert_int_equal(
        wire_hello_read(NR_STR("{\"protocol\":2,\"oldest\":1,\"name\":\"a\",\"session\":\"" SESSION
                               "\",\"wings\":2}"),
                        &got, NULL),
        0);
    assert_int_equal(got->protocol, 1);
    assert_string_equal(got->token, "");
    assert_int_equal(got->tag_count, 0);
    assert_null(got->kinds[0]);
    wire_hello_free(got);
}

static void test_hello_has_ceilings(void **state)
{
    struct far_hello *got = NULL;
    struct nr_err err = {0};

    nr_buf_adds(&out, "{\"protocol\":1,\"name\":\"a\",\"session\":\"" SESSION
                      "\",\"tags\":{\"k0\":\"v\"");
    for (int i = 1; i < WIRE_TAGS_MAX; i++)
        nr_buf_printf(&out, ",\"k%d\":\"v\"", i);
    size_t most = out.n;

    nr_buf_adds(&out, "}}");
    assert_int_equal(wire_hello_read(nr_buf_str(&out), &got, &err), 0);
    assert_int_equal(got->tag_count, WIRE_TAGS_MAX);
    wire_hello_free(got);
    got = NULL;
    out.n = most;
    nr_buf_adds(&out, ",\"more\":\"v\"}}");
    assert_int_equal(wire_hello_read(nr_buf_str(&out), &got, &err), NR_EPROTO);
    assert_non_null(strstr(err.text, "32"));
    assert_null(got);
}

/* ---- events ---- */

/* Every event of the table, with a text or a number for each member. */
static void test_events(void **state)
{
    for (int id = 0; id < EVENTS; id++) {
        const struct event_row *row = &event_table[id];
        struct event said = {.id = (enum event_id)id,
                             .account = "acme",
                             .package = "p",
                             .name = "f",
                             .version = "0.0.1"},
                     got;
        struct nr_err err = {0};

        for (int i = 0; i < EVENT_MEMBERS_MAX; i++) {
            said.member[i].text = i % 2 ? "te\"xt" : NULL;
            said.member[i].number = i % 2 ? 0 : 40 + i;
        }
        nr_buf_reset(&out, SIZE_MAX);
        wire_event_write(&said, &out);
        if (wire_event_read(nr_buf_str(&out), &arena, &got, &err) < 0)
            fail_msg("%.*s: %s", (int)out.n, out.p, err.text);
        assert_int_equal(got.id, id);
        assert_string_equal(got.account, "acme");
        assert_string_equal(got.package, "p");
        assert_string_equal(got.version, "0.0.1");
        for (int i = 0; i < EVENT_MEMBERS_MAX && row->members[i]; i++) {
            if (i % 2)
                assert_string_equal(got.member[i].text, "te\"xt");
            else
                assert_int_equal(got.member[i].number, 40 + i);
        }
    }
}

static void test_events_that_are_none(void **state)
{
    struct event e;

    assert_int_equal(wire_event_read(NR_STR("{\"event\":\"sunrise\"}"), &arena, &e, NULL),
                     NR_ENOENT);
    assert_int_equal(wire_event_read(NR_STR("{}"), &arena, &e, NULL), NR_ENOENT);
    assert_int_equal(
        wire_event_read(NR_STR("{\"event\":\"node_full\",\"account\":\"a\"}"), &arena, &e, NULL),
        NR_EPROTO);
    assert_int_equal(
        wire_event_read(NR_STR("{\"event\":\"node_full\",\"members\":[]}"), &arena, &e, NULL),
        NR_EPROTO);
    assert_int_equal(
        wire_event_read(NR_STR("{\"event\":\"node_full\",\"members\":{\"used_mb\":-5}}"), &arena,
                        &e, NULL),
        NR_EPROTO);
    assert_int_equal(wire_event_read(NR_STR("{\"event\":\"node_full\"}"), &arena, &e, NULL), 0);
    assert_null(e.account);
    assert_int_equal(e.member[0].number, -1);
}

/* ---- reports ---- */

enum { POOLS = 1000 };

struct heard {
    int nodes, pools, frames, whole;
    uint64_t sum;
    bool ended;
};

static void on_node(void *arg, const struct wire_node *n)
{
    struct heard *h = arg;

    assert_int_equal(n->figures.memory_max_mb, 4096);
    assert_true(n->ready);
    h->nodes++;
}

static void on_pool(void *arg, const struct wire_pool *p)
{
    struct heard *h = arg;

    h->pools++;
    h->sum += p->revision + p->load.busy;
}

static const struct wire_report_hooks report_hooks = {on_node, on_pool};

static int64_t on_length(void *arg, const char *head)
{
    return wire_length(head, true, true);
}

static int on_frame(void *arg, const char *head, struct nr_str payload)
{
    struct heard *h = arg;
    struct wire_frame f;

    assert_int_equal(wire_take(head, payload, &f), 0);
    h->frames++;
    h->whole += !(f.head.flags & WIRE_MORE);
    return wire_report_read(&f, &arena, &report_hooks, h, NULL);
}

static void on_ended(void *arg, int code, const char *why)
{
    ((struct heard *)arg)->ended = true;
}

static const struct nr_stream_hooks hooks = {.head_bytes = sizeof(struct wire_head),
                                             .length = on_length,
                                             .frame = on_frame,
                                             .ended = on_ended};

static void test_a_report_in_many_frames(void **state)
{
    struct heard h = {0};
    struct nr_loop loop;
    struct nr_stream *from, *to;
    struct wire_report r;
    uint64_t sum = 0;
    int fd[2];

    assert_int_equal(nr_loop_init(&loop, NULL), 0);
    const struct nr_stream_config c = {
        .loop = &loop, .hooks = &hooks, .arg = &h, .open_ms = 30000, .unsent_max_bytes = 8 << 20};

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd), 0);
    assert_int_equal(nr_stream_adopt(&c, fd[0], NULL, &from, NULL), 0);
    assert_int_equal(nr_stream_adopt(&c, fd[1], NULL, &to, NULL), 0);
    wire_report_begin(&r, from,
                      &(struct wire_node){.figures = {.memory_max_mb = 4096}, .ready = true});
    for (unsigned i = 1; i <= POOLS; i++) {
        const struct wire_pool p = {.revision = i,
                                    .load = {.busy = i % 7},
                                    .figures = {.key = NR_STR("account/package/function")}};

        sum += i + i % 7;
        wire_report_pool(&r, &p);
    }
    wire_report_end(&r);
    while (!h.whole && !h.ended)
        (void)uv_run(&loop.uv, UV_RUN_ONCE);
    assert_int_equal(h.nodes, 1);
    assert_int_equal(h.pools, POOLS);
    assert_int_equal(h.whole, 1);
    assert_true(h.frames > 1 && h.sum == sum);
    wire_report_begin(&r, from,
                      &(struct wire_node){.figures = {.memory_max_mb = 4096}, .ready = true});
    wire_report_end(&r);
    while (h.whole < 2 && !h.ended)
        (void)uv_run(&loop.uv, UV_RUN_ONCE);
    assert_int_equal(h.nodes, 2);
    assert_int_equal(h.pools, POOLS);
    nr_stream_close(from);
    nr_stream_close(to);
    assert_int_equal(nr_loop_fini(&loop), 0);
}

static void test_reports_that_are_none(void **state)
{
    static const char *const rows[] = {
        "",
        "{\"node\":[]}",
        "{\"node\":{\"containers\":-1}}",
        "{\"pools\":{}}",
        "{\"pools\":[1]}",
        "{\"pools\":[{}]}",
        "{\"pools\":[{\"revision\":1}]}",
        "{\"pools\":[{\"key\":\"a\"}]}",
    };

    for (size_t i = 0; i < nr_countof(rows); i++) {
        const struct wire_frame f = {.meta = nr_str_of(rows[i])};
        struct heard h = {0};
        struct nr_err err = {0};

        if (wire_report_read(&f, &arena, &report_hooks, &h, &err) != NR_EPROTO || !err.text[0])
            fail_msg("%s was taken", rows[i]);
    }
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_run),
        T(test_answer),
        T(test_answer_of_an_activation),
        T(test_wish),
        T(test_pool_and_node),
        T(test_members_that_are_not_known_or_not_there),
        T(test_what_is_out_of_its_range),
        T(test_ceilings_and_directions),
        T(test_take),
        T(test_hello),
        T(test_hello_of_strangers),
        T(test_protocols),
        T(test_hello_has_ceilings),
        T(test_events),
        T(test_events_that_are_none),
        T(test_a_report_in_many_frames),
        T(test_reports_that_are_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
