/* Calls that run others: what a sequence and a conductor do step by step, what their records tell, how they end early. Functions are made by
 * their names here; see `shape` and `answer`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "controller/internal.h"
#include "ports/target.h"
#include "tests/unit/controller/fakes.h"

#define SEEN_MAX 400

/* What was run, in order: name and input of each call in a container. */
static struct {
    int count;
    char name[SEEN_MAX][16];
    char *input[SEEN_MAX];
    bool slot_was_back[SEEN_MAX]; /* of the call before */
    bool had_key[SEEN_MAX];
    struct activation *before; /* shared */
    int conductor_turn;
} seen;

/* Sequences by name. */
static const struct {
    const char *name, *steps[64];
} sequences[] = {
    {"abc", {"/guest/a", "/guest/p/b", "/other/q/c"}},
    {"aa", {"/guest/a", "/guest/a"}},
    {"nested", {"/guest/a", "/guest/abc", "/guest/d"}},
    {"fails", {"/guest/a", "/guest/broken", "/guest/d"}},
    {"gap", {"/guest/a", "/guest/absent", "/guest/d"}},
    {"closed", {"/guest/a", "/other/forbidden", "/guest/d"}},
    {"lost", {"/guest/a", "/guest/trouble"}},
    {"list", {"/guest/a", "/guest/array"}},
    {"versions", {"/guest/a?version=3"}},
    {"endless", {"/guest/endless"}},
    {"inside", {"/guest/abc", "/guest/d"}},
    {"conducts", {"/guest/a", "/guest/con", "/guest/d"}},
    {"wraps", {"/guest/ends"}},
    {"ends", {"/guest/b"}},
    {"wrapscon", {"/guest/con"}},
};

/* "long30" and "long50" call so many functions; "long60" calls long30 twice. */
static size_t long_steps(const char *name, const char **steps)
{
    size_t n = strcmp(name, "long30") == 0                                  ? 30
               : strcmp(name, "long50") == 0 || strcmp(name, "held50") == 0 ? 50
                                                                            : 0;

    for (size_t i = 0; i < n; i++)
        steps[i] = i % 2 ? "/guest/a" : "/guest/d";
    if (strcmp(name, "long60") != 0)
        return n;
    steps[0] = steps[1] = "/guest/long30";
    return 2;
}

static size_t steps_of(const char *name, const char **steps)
{
    for (size_t i = 0; i < nr_countof(sequences); i++) {
        size_t n = 0;

        if (strcmp(sequences[i].name, name) != 0)
            continue;
        for (; sequences[i].steps[n]; n++)
            steps[n] = sequences[i].steps[n];
        return n;
    }
    return long_steps(name, steps);
}

static bool shape(struct function *fn, struct nr_err *err)
{
    const char *steps[64];
    size_t n = steps_of(fn->name, steps);

    if (strcmp(fn->name, "absent") == 0)
        nr_err_set(err, NR_ENOENT, "The requested resource does not exist.");
    if (strcmp(fn->name, "forbidden") == 0)
        nr_err_set(err, NR_EFORBIDDEN, "Not for you.");
    if (strcmp(fn->name, "trouble") == 0)
        nr_err_set(err, NR_EIO, "The registry cannot be read.");
    fn->conductor = strncmp(fn->name, "con", 3) == 0;
    fn->memory_mb = strcmp(fn->name, "b") == 0 ? 512 : 128;
    fn->revision = fn->stored = n == 0 ? 7 : strcmp(fn->name, "abc") == 0 ? 9 : 8;
    if (n) /* only what runs in a container is updated here */
        fn->state = FN_LATEST;
    if (n) {
        fn->step_count = n;
        fn->steps = nr_alloc(n * sizeof(*fn->steps));
        free(fn->kind);
        fn->kind = nr_strdup("sequence");
    }
    for (size_t i = 0; i < n; i++)
        assert_int_equal(function_target_read(nr_str_of(steps[i]), "guest", &fn->steps[i], NULL),
                         0);
    return err->code == 0;
}

static void note_run(struct activation *a)
{
    assert_in_range(seen.count, 0, SEEN_MAX - 1);
    (void)snprintf(seen.name[seen.count], sizeof(seen.name[0]), "%.*s", (int)a->name.n, a->name.p);
    free(seen.input[seen.count]);
    seen.input[seen.count] = nr_strndup(a->input.p, a->input.n);
    seen.had_key[seen.count] = a->api_key.n > 0;
    seen.slot_was_back[seen.count++] = seen.before == NULL || seen.before->i == I_END;
    activation_unref(seen.before);
    seen.before = activation_ref(a);
}

/* What the conductors say, run by run; the last one again and again. */
static const char *const *conductor;

/* A function answers {"by":"its name"}; conductors and a few others do not. */
static void answer(struct fakes *f, struct activation *a)
{
    static char text[65536];

    note_run(a);
    f->status = OUTCOME_SUCCESS;
    f->result = text;
    (void)snprintf(text, sizeof(text), "{\"by\":\"%.*s\"}", (int)a->name.n, a->name.p);
    if (strncmp(a->name.p, "con", 3) == 0) {
        f->result = conductor[seen.conductor_turn];
        seen.conductor_turn += conductor[seen.conductor_turn + 1] != NULL;
        f->status =
            strncmp(f->result, "{\"error\"", 8) == 0 ? OUTCOME_APPLICATION_ERROR : OUTCOME_SUCCESS;
    } else if (nr_str_eqz(a->name, "broken")) {
        f->status = OUTCOME_APPLICATION_ERROR;
        f->result = "{\"error\":\"no\"}";
    } else if (nr_str_eqz(a->name, "array")) {
        f->result = "[1,2]";
    }
}

static int set_up(void **state)
{
    struct fakes *f = nr_alloc(sizeof(*f));

    fakes_open(f, false);
    f->shape = shape;
    f->answer = answer;
    *state = f;
    return 0;
}

static void forget_seen(void)
{
    for (int i = 0; i < SEEN_MAX; i++)
        free(seen.input[i]);
    activation_unref(seen.before);
    memset(&seen, 0, sizeof(seen));
}

static int tear_down(void **state)
{
    forget_seen();
    fakes_close(*state, false);
    free(*state);
    return 0;
}

static json_t *parse(const char *text)
{
    json_t *j = nr_json_parse(nr_str_of(text), NULL);

    if (j == NULL)
        fail_msg("not JSON: %s", text);
    return j;
}

/* The stored record (made). */
static json_t *record(struct fakes *f, const char *id)
{
    nr_auto_free char *one = NULL;
    int err = 0;

    while (one == NULL) { /* it is there once its row is */
        one = fakes_ask(f, QUERY_GET, id, false, &err);
        fakes_turns(f, 1);
    }
    return parse(one);
}

static json_t *annotation(json_t *record, const char *key)
{
    size_t i;
    json_t *e;

    json_array_foreach(json_object_get(record, "annotations"), i, e) {
        if (strcmp(nr_json_string(e, "key"), key) == 0)
            return json_object_get(e, "value");
    }
    return NULL;
}

/* The n-th line of the log: the id of a step. */
static const char *line(json_t *record, size_t n)
{
    return json_string_value(json_array_get(json_object_get(record, "logs"), n));
}

static char *result_of(json_t *record)
{
    return json_dumps(json_object_get(json_object_get(record, "response"), "result"),
                      JSON_COMPACT | JSON_ENCODE_ANY);
}

/* Calls and waits for the answer; the record (made). */
static json_t *call(struct fakes *f, const char *name)
{
    int replies = f->replies;

    (void)fakes_call(f, name, true, 60000);
    fakes_until(f, &f->replies, replies + 1);
    assert_int_not_equal(f->last_id[0], '\0');
    return record(f, f->last_id);
}

static void check_seen(const char *const *names, size_t n)
{
    assert_int_equal(seen.count, n);
    for (size_t i = 0; i < n; i++)
        assert_string_equal(seen.name[i], names[i]);
}

/* ---- sequences -------------------------------------------------------------------------------------------------- */

static void output_is_the_next_input_and_the_record_tells_all(void **state)
{
    static const char *const names[] = {"a", "b", "c"};
    struct fakes *f = *state;
    nr_auto_json json_t *all = call(f, "abc");

    check_seen(names, nr_countof(names));
    assert_string_equal(seen.input[0], "{\"n\":1}");
    assert_string_equal(seen.input[1], "{\"by\":\"a\"}");
    assert_string_equal(seen.input[2], "{\"by\":\"b\"}");
    assert_int_equal(f->last_status, 200);
    assert_string_equal(f->asked_space, "other");
    nr_auto_free char *result = result_of(all);
    assert_string_equal(result, "{\"by\":\"c\"}");
    assert_string_equal(json_string_value(annotation(all, "kind")), "sequence");
    assert_true(json_is_true(annotation(all, "topmost")));
    assert_null(annotation(all, "timeout"));
    assert_null(annotation(all, "narae.start"));
    assert_null(annotation(all, "causedBy"));
    assert_null(annotation(all, "conductor"));
    assert_non_null(annotation(all, "waitTime"));
    assert_int_equal(json_integer_value(json_object_get(annotation(all, "limits"), "memory")), 512);
    assert_null(json_object_get(all, "cause"));
    assert_int_equal(json_array_size(json_object_get(all, "logs")), 3);
    json_int_t sum = 0;

    for (size_t i = 0; i < 3; i++) {
        nr_auto_json json_t *one = record(f, line(all, i));

        assert_string_equal(nr_json_string(one, "name"), names[i]);
        assert_string_equal(nr_json_string(one, "cause"), nr_json_string(all, "activationId"));
        assert_string_equal(json_string_value(annotation(one, "causedBy")), "sequence");
        assert_null(annotation(one, "topmost"));
        sum += json_integer_value(json_object_get(one, "duration"));
    }
    assert_int_equal(json_integer_value(json_object_get(all, "duration")), sum);
}

static void the_first_that_fails_ends_it(void **state)
{
    static const struct {
        const char *name, *result, *status;
        int ran;
        size_t lines;
    } rows[] = {
        {"fails", "{\"error\":\"no\"}", "application error", 2, 2},
        {"gap", "{\"error\":\"Sequence component does not exist.\"}", "application error", 1, 1},
        {"closed", "{\"error\":\"Not for you.\"}", "application error", 1, 1},
        {"lost", "{\"error\":\"The registry cannot be read.\"}", "whisk internal error", 1, 1},
    };
    struct fakes *f = *state;

    for (size_t i = 0; i < nr_countof(rows); i++) {
        seen.count = 0;
        nr_auto_json json_t *all = call(f, rows[i].name);
        nr_auto_free char *result = result_of(all);

        assert_string_equal(result, rows[i].result);
        assert_string_equal(nr_json_string(json_object_get(all, "response"), "status"),
                            rows[i].status);
        assert_int_equal(seen.count, rows[i].ran);
        assert_int_equal(json_array_size(json_object_get(all, "logs")), rows[i].lines);
        assert_int_equal(f->last_status, strstr(rows[i].status, "internal") ? 500 : 502);
    }
}

static void a_sequence_in_a_sequence_has_its_own_record(void **state)
{
    static const char *const names[] = {"a", "a", "b", "c", "d"};
    struct fakes *f = *state;
    nr_auto_json json_t *all = call(f, "nested");
    nr_auto_json json_t *inner = record(f, line(all, 1));
    nr_auto_json json_t *last = record(f, line(inner, 2));

    check_seen(names, nr_countof(names));
    assert_int_equal(json_array_size(json_object_get(all, "logs")), 3);
    assert_string_equal(nr_json_string(inner, "name"), "abc");
    assert_true(json_is_false(annotation(inner, "topmost")));
    assert_string_equal(json_string_value(annotation(inner, "causedBy")), "sequence");
    assert_string_equal(nr_json_string(inner, "cause"), nr_json_string(all, "activationId"));
    assert_string_equal(nr_json_string(last, "cause"), nr_json_string(inner, "activationId"));
    assert_int_equal(json_integer_value(json_object_get(annotation(all, "limits"), "memory")), 512);
}

static void functions_are_counted_again_when_they_run(void **state)
{
    static const char want[] = "{\"error\":\"Too many actions in the sequence.\"}";
    struct fakes *f = *state;
    nr_auto_json json_t *fits = call(f, "long50");
    nr_auto_free char *good = result_of(fits);

    assert_string_equal(good, "{\"by\":\"a\"}");
    assert_int_equal(seen.count, 50);
    seen.count = 0;
    nr_auto_json json_t *all = call(f, "long60");
    nr_auto_free char *result = result_of(all);
    assert_string_equal(result, want);
    assert_int_equal(seen.count, 50);
    assert_int_equal(f->last_status, 502);
    seen.count = 0;
    nr_auto_json json_t *endless = call(f, "endless");
    nr_auto_free char *ended = result_of(endless);
    assert_string_equal(ended, want);
    assert_int_equal(seen.count, 0);
}

static void an_array_is_passed_on_and_answered_bare(void **state)
{
    struct fakes *f = *state;
    nr_auto_json json_t *all = call(f, "list");

    assert_string_equal(f->last_body, "[1,2]");
    nr_auto_free char *result = result_of(all);
    assert_string_equal(result, "[1,2]");
}

static void a_component_may_be_a_version(void **state)
{
    struct fakes *f = *state;
    nr_auto_json json_t *all = call(f, "versions");
    nr_auto_json json_t *one = record(f, line(all, 0));

    assert_int_equal(json_integer_value(annotation(one, "narae.version")), 3);
}

static void the_same_again_waits_for_the_slot(void **state)
{
    struct fakes *f = *state;
    nr_auto_json json_t *two = call(f, "aa");

    assert_int_equal(json_array_size(json_object_get(two, "logs")), 2);
    assert_int_equal(seen.count, 2);
    assert_true(seen.slot_was_back[1]);
    nr_auto_json json_t *known = call(f, "abc"); /* all functions have been looked up */
    seen.count = 0;
    nr_auto_json json_t *three = call(f, "abc");
    assert_int_equal(json_array_size(json_object_get(known, "logs")), 3);
    assert_int_equal(json_array_size(json_object_get(three, "logs")), 3);
    assert_false(seen.slot_was_back[1]);
}

/* A held step looks its function up again and is counted once; one that is held too long is what its sequence says. */
static void an_update_of_a_component_holds_its_step(void **state)
{
    struct fakes *f = *state;

    f->state = FN_UPDATING;
    f->hold_ms = 60000;
    (void)fakes_call(f, "held50", true, 60000);
    while (f->controller->held == 0)
        fakes_turns(f, 1);
    assert_int_equal(seen.count, 0);
    f->state = FN_LATEST;
    controller_on_change(f->controller, "guest", "", "d", 0, FN_KEPT);
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->last_status, 200);
    assert_int_equal(seen.count, 50);
    controller_on_change(f->controller, "guest", "", "d", 0, FN_KEPT);
    f->state = FN_UPDATING;
    f->hold_ms = 5;
    (void)fakes_call(f, "held50", true, 60000);
    fakes_until(f, &f->replies, 2);
    assert_int_equal(f->last_status, 500);
    assert_non_null(strstr(f->last_body, "The function is being updated"));
}

static void only_the_call_itself_is_admitted(void **state)
{
    struct fakes *f = *state;

    f->account->concurrent_invocations = 1;
    f->account->invocations_per_minute = 1;
    nr_auto_json json_t *all = call(f, "nested");
    assert_int_equal(f->last_status, 200);
    assert_int_equal(json_array_size(json_object_get(all, "logs")), 3);
    (void)fakes_call(f, "nested", true, 60000);
    fakes_until(f, &f->replies, 2);
    assert_int_equal(f->last_status, 429);
}

static void accepted_sequence_runs_and_is_counted_once(void **state)
{
    struct fakes *f = *state;
    struct nr_buf text;
    char id[33];

    (void)fakes_call(f, "abc", false, 60000);
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->last_status, 202);
    memcpy(id, f->last_id, sizeof(id));
    nr_auto_json json_t *all = record(f, id);
    assert_int_equal(json_array_size(json_object_get(all, "logs")), 3);
    assert_int_equal(f->replies, 1);
    nr_buf_init(&text, 1 << 20);
    controller_metrics(f->controller, &text);
    nr_buf_addc(&text, '\0');
    assert_non_null(strstr(text.p, "narae_accepted_drift 0\n"));
    assert_non_null(strstr(text.p, "narae_accepted_total 1\n"));
    nr_buf_fini(&text);
}

/* The caller's memory is gone when the first step still runs. */
static void impatient_caller_gets_202_and_the_record_later(void **state)
{
    struct fakes *f = *state;

    f->run = FAKE_HOLD;
    char *input = nr_strdup("{\"mine\":true}");
    struct activation *a = fakes_call_input(f, "abc", nr_str_of(input), 10);
    (void)a;
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->last_status, 202);
    nr_auto_free char *id = nr_strdup(f->last_id);
    memset(input, 'x', strlen(input));
    free(input);
    for (int i = 0; i < 3; i++) {
        fakes_until(f, &f->held_count, i + 1);
        fakes_finish(f, f->held[i]);
    }
    assert_string_equal(seen.input[0], "{\"mine\":true}");
    nr_auto_json json_t *all = record(f, id);
    assert_int_equal(json_array_size(json_object_get(all, "logs")), 3);
    assert_int_equal(f->replies, 1);
}

static void a_cut_reaches_the_step_that_runs(void **state)
{
    struct fakes *f = *state;

    f->run = FAKE_HOLD;
    (void)fakes_call(f, "nested", true, 60000);
    fakes_until(f, &f->held_count, 1);
    fakes_finish(f, f->held[0]);
    fakes_until(f, &f->held_count, 2); /* of the sequence inside */
    controller_on_change(f->controller, "guest", "", "nested", 8, FN_CANCEL);
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->cuts, 1);
    assert_int_equal(f->last_status, 502);
    nr_auto_json json_t *all = record(f, f->last_id);
    assert_int_equal(json_array_size(json_object_get(all, "logs")), 2);
    assert_int_equal(f->runs, 2);
}

/* Calls `name`, retires that while its second function runs, and checks the record. */
static void retired(struct fakes *f, const char *name, bool blocking, const char *which,
                    uint64_t revision)
{
    static const char want[] =
        "{\"error\":\"The call was ended: the function was retired, and its running calls with it.\"}";
    int replies = f->replies;

    f->held_count = 0;
    (void)fakes_call(f, name, blocking, 60000);
    fakes_until(f, &f->held_count, 1);
    fakes_finish(f, f->held[0]);
    fakes_until(f, &f->held_count, 2);
    controller_on_change(f->controller, "guest", "", which, revision, FN_CANCEL);
    fakes_until(f, &f->replies, replies + 1);
    assert_int_equal(f->last_error, 0);
    assert_int_equal(f->last_status, blocking ? 502 : 202);
    nr_auto_json json_t *all = record(f, f->last_id);
    nr_auto_free char *result = result_of(all);

    assert_string_equal(result, want);
    assert_string_equal(nr_json_string(json_object_get(all, "response"), "status"),
                        "application error");
    assert_int_equal(json_array_size(json_object_get(all, "logs")), 2);
}

static void it_is_told_the_same_whatever_of_it_was_retired(void **state)
{
    static const struct {
        const char *name, *which;
        uint64_t revision;
    } rows[] = {
        {"nested", "nested", 8},
        {"nested", "abc", 9},
        {"nested", "a", 7},
        {"abc", "b", 7},
    };
    struct fakes *f = *state;

    f->run = FAKE_HOLD;
    for (size_t i = 0; i < nr_countof(rows); i++) {
        retired(f, rows[i].name, true, rows[i].which, rows[i].revision);
        retired(f, rows[i].name, false, rows[i].which, rows[i].revision);
    }
}

/* The slot of the first run is awaited, and nothing runs that could be cut. */
static void retired_between_two_steps(void **state)
{
    struct fakes *f = *state;

    f->run = FAKE_HOLD;
    (void)fakes_call(f, "aa", true, 60000);
    fakes_until(f, &f->held_count, 1);
    fakes_answer(f, f->held[0]);
    assert_int_equal(f->replies, 0);
    controller_on_change(f->controller, "guest", "", "aa", 8, FN_CANCEL);
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->last_status, 502);
    assert_int_equal(f->cuts, 0);
    fakes_end(f->held[0]);
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

/* Rows are on disk and what ended is freed, but for so many calls; then its memory is used by others. */
static void only_these_are_left(struct fakes *f, int64_t calls)
{
    activation_unref(seen.before);
    seen.before = NULL;
    while (f->controller->running > calls)
        (void)uv_run(&f->loop.uv, UV_RUN_ONCE);
    enum fake_run run = f->run;
    int replies = f->replies;

    f->run = FAKE_ANSWER;
    (void)fakes_call(f, "long30", true, 60000);
    fakes_until(f, &f->replies, replies + 1);
    assert_int_equal(f->last_status, 200);
    f->run = run;
    activation_unref(seen.before);
    seen.before = NULL;
}

/* The sequence inside answers what its last step did, and both have ended before the step after them reads it. */
static void what_a_step_is_given_outlives_who_gave_it(void **state)
{
    struct fakes *f = *state;

    f->run = FAKE_HOLD;
    (void)fakes_call(f, "inside", true, 60000);
    for (int i = 0; i < 3; i++) {
        fakes_until(f, &f->held_count, i + 1);
        fakes_finish(f, f->held[i]);
    }
    fakes_until(f, &f->held_count, 4);
    only_these_are_left(f, 2); /* inside, and d */
    fakes_finish(f, f->held[3]);
    fakes_until(f, &f->replies, 2);
    assert_int_equal(f->last_status, 200);
    assert_string_equal(seen.name[seen.count - 1], "d");
    assert_string_equal(seen.input[seen.count - 1], "{\"by\":\"c\"}");
}

/* Who holds a call has its result, also when the row is on disk and nobody else has it. */
static void a_result_lives_as_long_as_its_call(void **state)
{
    static const char *const boxed[] = {"{\"params\":3}", NULL};
    static const struct {
        const char *name, *result;
    } rows[] = {
        {"abc", "{\"by\":\"c\"}"},
        {"wraps", "{\"by\":\"b\"}"},
        {"con", "{\"value\":3}"},
        {"wrapscon", "{\"value\":3}"},
        {"gap", "{\"error\":\"Sequence component does not exist.\"}"},
    };
    struct fakes *f = *state;

    conductor = boxed;
    for (size_t i = 0; i < nr_countof(rows); i++) {
        struct activation *a = activation_ref(fakes_call(f, rows[i].name, true, 60000));

        only_these_are_left(f, 0);
        nr_auto_free char *result = nr_strndup(a->outcome.result.p, a->outcome.result.n);
        assert_string_equal(result, rows[i].result);
        assert_int_equal(a->refs, 1);
        activation_unref(a);
    }
}

/* A step whose slot comes back late has its row written when all above it have ended, and their functions are forgotten. */
static void the_texts_of_a_step_are_its_own(void **state)
{
    static const char *const says[] = {"{}", NULL};
    static const char *const names[][2] = {{"wraps", "b"}, {"wrapscon", "con"}};
    struct fakes *f = *state;

    conductor = says;
    for (size_t i = 0; i < nr_countof(names); i++) {
        int replies = f->replies;

        f->run = FAKE_HOLD;
        f->held_count = 0;
        (void)fakes_call(f, names[i][0], true, 60000);
        fakes_until(f, &f->held_count, 1);
        struct activation *step = f->held[0];

        fakes_answer(f, step);
        fakes_until(f, &f->replies, replies + 1);
        controller_on_change(f->controller, "guest", "", names[i][0], 8, FN_REPLACED);
        only_these_are_left(f, 1);
        assert_true(nr_str_eqz(step->transaction, "t1"));
        assert_true(nr_str_eqz(step->name, names[i][1]));
        nr_auto_free char *id = nr_strdup(step->id);
        fakes_end(step);
        nr_auto_json json_t *one = record(f, id);
        assert_string_equal(nr_json_string(one, "name"), names[i][1]);
    }
}

/* Running work may go on to its end while the platform stops, its next steps too. */
static void a_stop_lets_it_come_to_its_end(void **state)
{
    struct fakes *f = *state;
    int idle = 0;

    f->run = FAKE_HOLD;
    (void)fakes_call(f, "abc", true, 60000);
    fakes_until(f, &f->held_count, 1);
    controller_drain(f->controller, 60000, fakes_on_idle, &idle);
    for (int i = 0; i < 3; i++) {
        fakes_until(f, &f->held_count, i + 1);
        fakes_finish(f, f->held[i]);
    }
    fakes_until(f, &idle, 1);
    assert_int_equal(f->last_status, 200);
    f->controller->stopping = false; /* fakes_close() stops it again */
}

static void a_stop_that_takes_too_long_cuts_it(void **state)
{
    struct fakes *f = *state;
    int idle = 0;

    f->run = FAKE_HOLD;
    (void)fakes_call(f, "nested", true, 60000);
    fakes_until(f, &f->held_count, 1);
    fakes_finish(f, f->held[0]);
    fakes_until(f, &f->held_count, 2);
    controller_drain(f->controller, 1, fakes_on_idle, &idle);
    fakes_until(f, &idle, 1);
    assert_int_equal(f->cuts, 1);
    assert_int_equal(f->replies, 1);
    assert_int_equal(f->last_error, NR_ESTOPPING);
    f->controller->stopping = f->controller->cut = false;
}

static double metric(struct fakes *f, const char *name)
{
    struct nr_buf text;
    char line[64];

    nr_buf_init(&text, 1 << 20);
    controller_metrics(f->controller, &text);
    nr_buf_addc(&text, '\0');
    (void)snprintf(line, sizeof(line), "\n%s ", name);
    const char *at = strstr(text.p, line);
    double value = at ? strtod(at + strlen(line), NULL) : -1;

    nr_buf_fini(&text);
    return value;
}

/* What a crash while its first step waits for a slot (FAKE_QUEUED), or runs (FAKE_HOLD), leaves of an accepted sequence. */
static void after_a_crash(const char *name, enum fake_run run, const char *status, int runs)
{
    struct fakes *f = nr_alloc(sizeof(*f)), *g = nr_alloc(sizeof(*g));
    char command[256], id[33];

    fakes_open(f, false);
    f->shape = shape;
    f->answer = answer;
    f->run = run;
    (void)fakes_call(f, name, false, 60000);
    fakes_until(f, &f->held_count, 1);
    memcpy(id, f->last_id, sizeof(id));
    (void)snprintf(g->dir, sizeof(g->dir), "/tmp/narae-controller-XXXXXX");
    assert_non_null(mkdtemp(g->dir));
    (void)snprintf(command, sizeof(command), "cp %s/calls.db* %s/", f->dir, g->dir);
    FILE *cp = popen(command, "r");
    assert_non_null(cp);
    assert_int_equal(pclose(cp), 0);
    fakes_close(f, false);
    forget_seen();

    fakes_open(g, true);
    g->shape = shape;
    g->answer = answer;
    nr_auto_json json_t *all = record(g, id);
    assert_string_equal(nr_json_string(json_object_get(all, "response"), "status"), status);
    assert_int_equal(seen.count, runs);
    forget_seen();
    fakes_close(g, false);
    free(f);
    free(g);
}

static void a_crash_loses_none_and_runs_none_twice(void **state)
{
    (void)state;
    after_a_crash("abc", FAKE_QUEUED, "success", 3);
    after_a_crash("abc", FAKE_HOLD, "whisk internal error", 0);
}

static void stopping_leaves_what_waits_in_the_queue(void **state)
{
    struct fakes *f = *state;
    char id[33];
    int err;

    f->run = FAKE_QUEUED;
    (void)fakes_call(f, "inside", false, 60000); /* its first step is a sequence too */
    fakes_until(f, &f->held_count, 1);
    memcpy(id, f->last_id, sizeof(id));
    fakes_close(f, true);
    assert_int_equal(f->cuts, 1);
    fakes_open(f, true);
    f->shape = shape;
    f->answer = answer;
    nr_auto_json json_t *all = record(f, id);
    assert_int_equal(seen.count, 4);
    assert_int_equal(json_array_size(json_object_get(all, "logs")), 2);
    nr_auto_free char *count = fakes_ask(f, QUERY_LIST, "", true, &err);
    assert_string_equal(count, "{\"activations\":6}"); /* nothing is left of the attempt before */
}

static void a_claim_that_the_disk_refuses_is_tried_again(void **state)
{
    struct fakes *f = *state;
    char id[33];
    int err;

    f->run = FAKE_ENTER;
    (void)fakes_call(f, "inside", false, 60000);
    fakes_until(f, &f->held_count, 1);
    memcpy(id, f->last_id, sizeof(id));
    fakes_disk_full(true);
    fakes_claim(f, f->held[0]);
    fakes_until(f, &f->unclaimed, 1);
    fakes_disk_full(false);
    f->run = FAKE_ANSWER;
    nr_auto_json json_t *all = record(f, id);
    assert_int_equal(json_array_size(json_object_get(all, "logs")), 2);
    assert_int_equal(seen.count, 4);
    nr_auto_free char *count = fakes_ask(f, QUERY_LIST, "", true, &err);
    assert_string_equal(count, "{\"activations\":6}");
    assert_int_equal((int)metric(f, "narae_accepted_drift"), 0);
    assert_int_equal((int)metric(f, "narae_accepted_running"), 0);
}

/* Its caller is told to come back while no step has a slot yet: it is queued work from then on. */
static void an_impatient_caller_of_one_that_waits(void **state)
{
    struct fakes *f = *state;

    f->run = FAKE_ENTER;
    (void)fakes_call(f, "abc", true, 10);
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->last_status, 202);
    nr_auto_free char *id = nr_strdup(f->last_id);
    assert_int_equal((int)metric(f, "narae_accepted_queued"), 1);
    f->run = FAKE_ANSWER;
    fakes_claim(f, f->held[0]);
    nr_auto_json json_t *all = record(f, id);
    assert_int_equal(json_array_size(json_object_get(all, "logs")), 3);
    assert_int_equal((int)metric(f, "narae_accepted_drift"), 0);
}

/* ---- compositions ----------------------------------------------------------------------------------------------- */

static void a_conductor_says_what_runs_next(void **state)
{
    static const char *const says[] = {
        "{\"action\":\"a\",\"params\":{\"x\":1},\"state\":{\"s\": 1.50}}",
        "{\"action\":\"/_/p/b\",\"params\":7}",
        "{\"action\":\"/other/q/c\",\"state\":[1]}",
        "{\"params\":{\"done\":true},\"state\":1}",
        NULL,
    };
    static const char *const names[] = {"con", "a", "con", "b", "con", "c", "con"};
    static const char *const inputs[] = {
        "{\"n\":1}",      "{\"x\":1}", "{\"by\":\"a\",\"s\": 1.50}",  "{\"value\":7}",
        "{\"by\":\"b\"}", "{}",        "{\"by\":\"c\",\"state\":[1]}"};
    struct fakes *f = *state;

    conductor = says;
    nr_auto_json json_t *all = call(f, "con");
    check_seen(names, nr_countof(names));
    for (size_t i = 0; i < nr_countof(inputs); i++)
        assert_string_equal(seen.input[i], inputs[i]);
    nr_auto_free char *result = result_of(all);
    assert_string_equal(result, "{\"done\":true}");
    assert_string_equal(json_string_value(annotation(all, "kind")), "sequence");
    assert_true(json_is_true(annotation(all, "topmost")));
    assert_true(json_is_true(annotation(all, "conductor")));
    assert_int_equal(json_array_size(json_object_get(all, "logs")), 7);
    for (size_t i = 0; i < 7; i++) {
        nr_auto_json json_t *one = record(f, line(all, i));

        assert_string_equal(nr_json_string(one, "name"), names[i]);
        assert_string_equal(nr_json_string(one, "cause"), nr_json_string(all, "activationId"));
        assert_null(annotation(one, "conductor"));
    }
}

static void what_ends_a_composition(void **state)
{
    static const struct {
        const char *says[2], *result, *status;
    } rows[] = {
        {{"{\"x\":1}"}, "{\"x\":1}", "success"},
        {{"{\"params\":3}"}, "{\"value\":3}", "success"},
        {{"{\"params\":{\"y\":2},\"x\":1}"}, "{\"y\":2}", "success"},
        {{"[1,2]"}, "[1,2]", "success"},
        {{"{\"error\":\"no\"}"}, "{\"error\":\"no\"}", "application error"},
    };
    struct fakes *f = *state;

    for (size_t i = 0; i < nr_countof(rows); i++) {
        conductor = rows[i].says;
        seen.conductor_turn = 0;
        nr_auto_json json_t *all = call(f, "con");
        nr_auto_free char *result = result_of(all);

        assert_string_equal(result, rows[i].result);
        assert_string_equal(nr_json_string(json_object_get(all, "response"), "status"),
                            rows[i].status);
        assert_int_equal(json_array_size(json_object_get(all, "logs")), 1);
    }
}

static void failures_are_told_to_the_conductor(void **state)
{
    static const struct {
        const char *says[3], *fed;
        size_t lines;
    } rows[] = {
        {{"{\"action\":3,\"state\":{\"s\":1}}", "{}"},
         "{\"error\":\"Failed to parse action name from json value 3 during composition.\",\"s\":1}",
         2},
        {{"{\"action\":\"a/b/c/d\"}", "{}"},
         "{\"error\":\"Failed to parse action name from json value \\\"a/b/c/d\\\" during composition.\"}",
         2},
        {{"{\"action\":null}", "{}"},
         "{\"error\":\"Failed to parse action name from json value null during composition.\"}",
         2},
        {{"{\"action\":\"absent\"}", "{}"},
         "{\"error\":\"Failed to resolve action with name 'absent' during composition.\"}",
         2},
        {{"{\"action\":\"/other/forbidden\",\"state\":{\"error\":\"mine\"}}", "{}"},
         "{\"error\":\"Failed entitlement check for action with name '/other/forbidden' during composition.\","
         "\"error\":\"mine\"}",
         2},
        {{"{\"action\":\"broken\",\"state\":{\"s\":2}}", "{}"}, "{\"error\":\"no\",\"s\":2}", 3},
        {{"{\"action\":\"fails\"}", "{}"}, "{\"error\":\"no\"}", 3},
        {{"{\"action\":\"array\",\"state\":{\"s\":2}}", "{}"}, "{\"value\":[1,2],\"s\":2}", 3},
    };
    struct fakes *f = *state;

    for (size_t i = 0; i < nr_countof(rows); i++) {
        conductor = rows[i].says;
        seen.conductor_turn = seen.count = 0;
        nr_auto_json json_t *all = call(f, "con");

        assert_string_equal(seen.name[seen.count - 1], "con");
        assert_string_equal(seen.input[seen.count - 1], rows[i].fed);
        assert_int_equal(json_array_size(json_object_get(all, "logs")), rows[i].lines);
        assert_int_equal(f->last_status, 200);
    }
}

static void on_reply_with_key(struct activation *a)
{
    struct fakes *f = a->owner;

    f->replies++;
    f->last_status = a->reply_status;
}

static void call_with_key(struct fakes *f, const char *name)
{
    struct activation *a = activation_make();
    int replies = f->replies;

    assert_non_null(a);
    a->account = account_ref(f->account);
    a->name = nr_str_of(name);
    a->transaction = NR_STR("t1");
    a->input = NR_STR("{}");
    a->api_key = NR_STR("u:s");
    a->blocking = true;
    a->wait_ms = 60000;
    a->on_reply = on_reply_with_key;
    a->owner = f;
    controller_invoke(f->controller, a);
    fakes_until(f, &f->replies, replies + 1);
}

/* A shared conductor says its owner's words in its caller's name. */
static void a_conductor_of_another_account_reaches_nothing_of_its_callers(void **state)
{
#define NO(name)                                                                                   \
    "{\"error\":\"Failed entitlement check for action with name '" name "' during composition.\"}"
    static const char *const says[] = {
        "{\"action\":\"a\"}",
        "{\"action\":\"/_/p/b\"}",
        "{\"action\":\"/guest/a\"}",
        "{\"action\":\"_/a?version=1\"}",
        "{\"action\":\"/other/q/c\"}",
        "{\"params\":{\"done\":true}}",
        NULL,
    };
    static const char *const inputs[] = {
        "{}", NO("a"), NO("/_/p/b"), NO("/guest/a"), NO("_/a?version=1"), "{}", "{\"by\":\"c\"}"};
    struct fakes *f = *state;

    conductor = says;
    call_with_key(f, "con"); /* his own may */
    assert_string_equal(seen.name[1], "a");
    for (int i = 0; i < seen.count; i++)
        assert_true(seen.had_key[i]);
    seen.conductor_turn = seen.count = 0;
    f->code = "other/q";
    call_with_key(f, "con2");
    assert_int_equal(f->last_status, 200);
    assert_int_equal(seen.count, nr_countof(inputs));
    for (size_t i = 0; i < nr_countof(inputs); i++) {
        assert_string_equal(seen.name[i], i == 5 ? "c" : "con2");
        assert_string_equal(seen.input[i], inputs[i]);
        assert_false(seen.had_key[i]);
    }
}

static void a_composition_that_never_ends_is_ended(void **state)
{
    static const char *const says[] = {"{\"action\":\"a\"}", NULL};
    struct fakes *f = *state;

    conductor = says;
    nr_auto_json json_t *all = call(f, "con");
    nr_auto_free char *result = result_of(all);
    assert_string_equal(result, "{\"error\":\"Too many actions in the composition.\"}");
    assert_int_equal(f->last_status, 502);
    /* 101 runs of the conductor and 50 components; from then on it was told that there are too many */
    assert_int_equal(seen.count, 151);
    assert_string_equal(seen.input[150], result);
    assert_int_equal(json_array_size(json_object_get(all, "logs")), 151);
}

static void a_composition_in_a_composition_shares_its_budget(void **state)
{
    static const char *const says[] = {"{\"action\":\"con2\"}", NULL};
    struct fakes *f = *state;

    conductor = says; /* con calls con2, which calls con2, ... */
    nr_auto_json json_t *all = call(f, "con");
    nr_auto_free char *result = result_of(all);
    assert_non_null(strstr(result, "Too many actions in the composition."));
    assert_in_range(seen.count, 50, 101);
    nr_auto_json json_t *inner = record(f, line(all, 1));
    assert_true(json_is_false(annotation(inner, "topmost")));
    assert_true(json_is_true(annotation(inner, "conductor")));
}

static void a_conductor_in_a_sequence_is_one_component(void **state)
{
    static const char *const says[] = {"{\"action\":\"b\"}", "{\"x\":1}", NULL};
    static const char *const names[] = {"a", "con", "b", "con", "d"};
    struct fakes *f = *state;

    conductor = says;
    nr_auto_json json_t *all = call(f, "conducts");
    check_seen(names, nr_countof(names));
    assert_string_equal(seen.input[4], "{\"x\":1}");
    assert_int_equal(json_array_size(json_object_get(all, "logs")), 3);
}

/* Read by a work thread; the caller's cut waits for it. */
static void a_large_result_of_a_conductor_is_read_elsewhere(void **state)
{
    static char large[70000];
    static const char *const says[] = {large, "{}", NULL};
    struct fakes *f = *state;

    (void)snprintf(large, sizeof(large), "{\"params\":\"%0*d\",\"action\":\"a\"}", 69000, 0);
    conductor = says;
    nr_auto_json json_t *all = call(f, "con");
    assert_int_equal(json_array_size(json_object_get(all, "logs")), 3);
    assert_int_equal(strlen(seen.input[1]), 69000 + strlen("{\"value\":\"\"}"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(output_is_the_next_input_and_the_record_tells_all),
        CASE(the_first_that_fails_ends_it),
        CASE(a_sequence_in_a_sequence_has_its_own_record),
        CASE(functions_are_counted_again_when_they_run),
        CASE(an_array_is_passed_on_and_answered_bare),
        CASE(a_component_may_be_a_version),
        CASE(the_same_again_waits_for_the_slot),
        CASE(an_update_of_a_component_holds_its_step),
        CASE(only_the_call_itself_is_admitted),
        CASE(accepted_sequence_runs_and_is_counted_once),
        CASE(impatient_caller_gets_202_and_the_record_later),
        CASE(a_cut_reaches_the_step_that_runs),
        CASE(it_is_told_the_same_whatever_of_it_was_retired),
        CASE(retired_between_two_steps),
        CASE(what_a_step_is_given_outlives_who_gave_it),
        CASE(a_result_lives_as_long_as_its_call),
        CASE(the_texts_of_a_step_are_its_own),
        CASE(a_stop_lets_it_come_to_its_end),
        CASE(a_stop_that_takes_too_long_cuts_it),
        cmocka_unit_test(a_crash_loses_none_and_runs_none_twice),
        CASE(stopping_leaves_what_waits_in_the_queue),
        CASE(a_claim_that_the_disk_refuses_is_tried_again),
        CASE(an_impatient_caller_of_one_that_waits),
        CASE(a_conductor_says_what_runs_next),
        CASE(what_ends_a_composition),
        CASE(failures_are_told_to_the_conductor),
        CASE(a_conductor_of_another_account_reaches_nothing_of_its_callers),
        CASE(a_composition_that_never_ends_is_ended),
        CASE(a_composition_in_a_composition_shares_its_budget),
        CASE(a_conductor_in_a_sequence_is_one_component),
        CASE(a_large_result_of_a_conductor_is_read_elsewhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
