/* Records as clients read them: the activation record, its short form in lists, logs, result. Fields and order of nothing else than
 * openwhisk-api 2.1; our own findings travel as annotations `narae.*`.
 */
#include "controller/internal.h"

#include "ports/timing.h"

int64_t record_duration_ms(const struct activation *a)
{
    if (a->composition)
        return (int64_t)(a->steps_us / 1000);
    if (a->started_us == 0 || a->answered_us < a->started_us)
        return (int64_t)(a->init_us / 1000);
    return (int64_t)((a->answered_us - a->started_us + a->init_us + 500) / 1000);
}

static void add_number(struct nr_buf *out, const char *key, int64_t value)
{
    nr_buf_adds(out, ",{\"key\":\"");
    nr_buf_adds(out, key);
    nr_buf_adds(out, "\",\"value\":");
    nr_buf_addi(out, value);
    nr_buf_addc(out, '}');
}

static void add_text(struct nr_buf *out, const char *key, struct nr_str value)
{
    nr_buf_adds(out, ",{\"key\":\"");
    nr_buf_adds(out, key);
    nr_buf_adds(out, "\",\"value\":");
    nr_buf_json(out, value);
    nr_buf_addc(out, '}');
}

static uint64_t wait_us(const struct activation *a)
{
    uint64_t run_at = a->started_us - a->init_us;

    return a->started_us && run_at > a->accepted_us ? run_at - a->accepted_us : 0;
}

/* {"queue_us":120,"create_us":31000}: of the stages that took time of this call. */
static void add_stages(const struct activation *a, struct nr_buf *out)
{
    bool any = false;

    for (int s = 0; s < STAGES; s++) {
        uint64_t us = start_stage_us(a, (enum start_stage)s);

        if (us == 0)
            continue;
        nr_buf_adds(out, any ? ",\"" : ",{\"key\":\"narae.stages\",\"value\":{\"");
        nr_buf_adds(out, start_stage_name((enum start_stage)s));
        nr_buf_adds(out, "_us\":");
        nr_buf_addu(out, us);
        any = true;
    }
    if (any)
        nr_buf_adds(out, "}}");
}

/* How it started: a warm call tells that one word and nothing else. `initTime` is OpenWhisk's word for "its code was loaded for it". */
static void add_start(const struct activation *a, struct nr_buf *out)
{
    nr_buf_adds(out, ",{\"key\":\"narae.start\",\"value\":\"");
    nr_buf_adds(out, start_kind_text(a->start));
    nr_buf_adds(out, "\"}");
    if (a->init_us)
        add_number(out, "initTime", (int64_t)((a->init_us + 500) / 1000));
    if (a->cold) {
        nr_buf_adds(out, ",{\"key\":\"narae.cold\",\"value\":\"");
        nr_buf_adds(out, cold_cause_text(a->cold));
        nr_buf_adds(out, "\"}");
    }
    if (a->stem_empty)
        nr_buf_adds(out, ",{\"key\":\"narae.stem_empty\",\"value\":true}");
    add_stages(a, out);
}

/* The limits of a function; of a sequence the memory is the most that one of its functions has. */
static void add_limits(const struct activation *a, struct nr_buf *out)
{
    static const char key[] = "\"memory\":";
    const char *limits = a->fn ? a->fn->limits : "{}", *at = strstr(limits, key);
    int64_t memory_mb = compose_memory_mb(a);

    nr_buf_adds(out, ",{\"key\":\"limits\",\"value\":");
    if (at && memory_mb > 0) {
        at += sizeof(key) - 1;
        nr_buf_add(out, limits, (size_t)(at - limits));
        nr_buf_addi(out, memory_mb);
        nr_buf_adds(out, at + strspn(at, "0123456789"));
    } else {
        nr_buf_adds(out, limits);
    }
    nr_buf_addc(out, '}');
}

/* What it is: a function that ran in a container, or a sequence or composition, which runs in none. */
static void add_kind(const struct activation *a, struct nr_buf *out)
{
    const char *kind = a->fn ? a->fn->kind : "unknown";

    nr_buf_adds(out, ",{\"key\":\"kind\",\"value\":\"");
    nr_buf_adds(out, a->composition ? "sequence" : kind);
    nr_buf_adds(out, "\"}");
    if (a->composition == NULL) {
        nr_buf_adds(out, a->outcome.timed_out ? ",{\"key\":\"timeout\",\"value\":true}"
                                              : ",{\"key\":\"timeout\",\"value\":false}");
        return;
    }
    nr_buf_adds(out, a->cause[0] ? ",{\"key\":\"topmost\",\"value\":false}"
                                 : ",{\"key\":\"topmost\",\"value\":true}");
    if (a->fn->step_count == 0)
        nr_buf_adds(out, ",{\"key\":\"conductor\",\"value\":true}");
}

void record_annotations(const struct activation *a, struct nr_buf *out)
{
    nr_buf_adds(out, "[{\"key\":\"path\",\"value\":");
    nr_buf_json(out, nr_str_of(a->fn ? a->fn->path : ""));
    nr_buf_addc(out, '}');
    add_number(out, "waitTime", (int64_t)(wait_us(a) / 1000));
    add_kind(a, out);
    add_limits(a, out);
    if (a->caused_by_sequence)
        nr_buf_adds(out, ",{\"key\":\"causedBy\",\"value\":\"sequence\"}");
    if (a->fn && a->fn->binding && a->fn->binding[0])
        add_text(out, "binding", nr_str_of(a->fn->binding));
    if (a->fn && a->fn->published)
        add_number(out, "narae.version", a->fn->published);
    if (a->alias.n)
        add_text(out, "narae.alias", a->alias);
    if (a->held_ms)
        add_number(out, "narae.held_ms", a->held_ms);
    if (a->composition == NULL)
        add_start(a, out);
    nr_buf_addc(out, ']');
}

static void add_response(struct nr_buf *out, const struct record *r)
{
    nr_buf_adds(out, "{\"status\":\"");
    nr_buf_adds(out, outcome_status_text((enum outcome_status)r->status));
    nr_buf_adds(out, r->status == OUTCOME_SUCCESS ? "\",\"success\":true,\"result\":"
                                                  : "\",\"success\":false,\"result\":");
    nr_buf_add(out, r->result.n ? r->result.p : "{}", r->result.n ? r->result.n : 2);
    nr_buf_adds(out, ",\"size\":");
    nr_buf_addu(out, r->result.n);
    nr_buf_addc(out, '}');
}

/* Lines, each ended by '\n', as an array of strings. */
static void add_lines(struct nr_buf *out, struct nr_str lines)
{
    struct nr_str line;
    bool first = true;

    nr_buf_addc(out, '[');
    while (lines.n > 0 && nr_str_split(&lines, '\n', &line)) {
        if (!first)
            nr_buf_addc(out, ',');
        first = false;
        nr_buf_json(out, line);
    }
    nr_buf_addc(out, ']');
}

static void add_common(struct nr_buf *out, const struct record *r)
{
    nr_buf_adds(out, "{\"namespace\":");
    nr_buf_json(out, r->account);
    nr_buf_adds(out, ",\"name\":");
    nr_buf_json(out, r->name);
    nr_buf_adds(out, ",\"version\":\"");
    nr_buf_add(out, r->version.p, r->version.n);
    nr_buf_adds(out, "\",\"publish\":false,\"activationId\":\"");
    nr_buf_add(out, r->id.p, r->id.n);
    nr_buf_adds(out, "\",\"start\":");
    nr_buf_addi(out, r->start_ms);
    if (r->kind != ACTIVATION_TRIGGER) { /* a trigger does not last */
        nr_buf_adds(out, ",\"end\":");
        nr_buf_addi(out, r->end_ms);
        nr_buf_adds(out, ",\"duration\":");
        nr_buf_addi(out, r->duration_ms);
    }
    if (r->cause.n) {
        nr_buf_adds(out, ",\"cause\":\"");
        nr_buf_add(out, r->cause.p, r->cause.n);
        nr_buf_addc(out, '"');
    }
    nr_buf_adds(out, ",\"annotations\":");
    nr_buf_add(out, r->annotations.p, r->annotations.n);
}

void record_write(struct nr_buf *out, const struct record *r, bool with_logs)
{
    add_common(out, r);
    nr_buf_adds(out, ",\"subject\":");
    nr_buf_json(out, r->account);
    nr_buf_adds(out, ",\"response\":");
    add_response(out, r);
    nr_buf_adds(out, ",\"logs\":");
    add_lines(out, with_logs ? r->logs : (struct nr_str){NULL, 0});
    nr_buf_addc(out, '}');
}

void record_write_brief(struct nr_buf *out, const struct record *r)
{
    add_common(out, r);
    nr_buf_adds(out, ",\"statusCode\":");
    nr_buf_addi(out, r->status);
    nr_buf_addc(out, '}');
}

void record_write_logs(struct nr_buf *out, const struct record *r)
{
    nr_buf_adds(out, "{\"logs\":");
    add_lines(out, r->logs);
    nr_buf_addc(out, '}');
}

void record_write_result(struct nr_buf *out, const struct record *r)
{
    add_response(out, r);
}

void record_accepted(struct activation *a)
{
    a->reply_status = 202;
    nr_buf_reset(&a->reply, 4096);
    nr_buf_printf(&a->reply, "{\"activationId\":\"%s\"}", a->id);
}

void record_reply(struct activation *a)
{
    static const int statuses[] = {[OUTCOME_SUCCESS] = 200,
                                   [OUTCOME_APPLICATION_ERROR] = 502,
                                   [OUTCOME_DEVELOPER_ERROR] = 502,
                                   [OUTCOME_INTERNAL_ERROR] = 500};

    a->reply_status = statuses[a->outcome.status];
    nr_buf_reset(&a->reply, 4096);
    if (a->result_only ||
        a->outcome.is_array) { /* an array is answered bare, also as a record (openwhisk-api 1.6) */
        nr_buf_add(&a->reply, a->outcome.result.p, a->outcome.result.n);
        return;
    }
    struct nr_buf annotations = {.p = NULL, .max_bytes = 65536};

    record_annotations(a, &annotations);
    struct record r = {.account = nr_str_of(a->account->name),
                       .name = a->name,
                       .version = nr_str_of(a->fn->version),
                       .id = {a->id, 32},
                       .cause = nr_str_of(a->cause),
                       .result = a->outcome.result,
                       .annotations = nr_buf_str(&annotations),
                       .start_ms = a->start_wall_ms,
                       .end_ms = a->end_wall_ms,
                       .duration_ms = record_duration_ms(a),
                       .status = (int)a->outcome.status};
    record_write(&a->reply, &r, false);
    nr_buf_fini(&annotations);
}
