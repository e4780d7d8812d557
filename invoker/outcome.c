/* From facts to an outcome. Ends without an answer are a table; an answer is judged by its JSON:
 *
 *   object without "error"         success, the object
 *   array                          success, the array
 *   object with "error"            application error, only {"error": v}
 *   anything else                  developer error with the text
 *   said to have failed (not 200)  developer error with its "error", or the text
 *   longer than the limit          application error with the true length and the head
 */
#include "invoker/outcome.h"

#include "common/base/json.h"

enum {
    IN_ARENA_MAX_BYTES = 64 << 10,
    TEXT_MAX_BYTES = 64 << 10, /* of an answer that is quoted in an error */
    ERROR_MAX_BYTES = 6 * TEXT_MAX_BYTES + 512,
};

#define INVALID "The action did not produce a valid JSON or JSON Array response"
#define INIT_FAILED "The action failed during initialization"
#define NO_MEMORY_TEXT "{\"error\":\"The platform is out of memory.\"}"

/* The first line that fits counts. `after` set: the time limit stands between `before` and `after`. */
static const struct rule {
    bool init;
    enum outcome_event event;
    int verdict; /* -1: any */
    const char *before, *after;
} rules[] = {
    {true, EVENT_TIMEOUT, -1, "The action exceeded its time limits of ",
     " milliseconds during initialization."},
    {false, EVENT_TIMEOUT, -1, "The action exceeded its time limits of ", " milliseconds."},
    {true, EVENT_ENDED, NR_VERDICT_OOM, "The action exhausted its memory and was aborted.", NULL},
    {false, EVENT_ENDED, NR_VERDICT_OOM, "The action exhausted its memory and was aborted.", NULL},
    {true, EVENT_LOST, NR_VERDICT_OOM, "The action exhausted its memory and was aborted.", NULL},
    {false, EVENT_LOST, NR_VERDICT_OOM, "The action exhausted its memory and was aborted.", NULL},
    {true, EVENT_ENDED, -1, "The action did not initialize and exited unexpectedly.", NULL},
    {true, EVENT_LOST, -1, "The action did not initialize and exited unexpectedly.", NULL},
    {false, EVENT_ENDED, -1, "The action did not produce a valid response and exited unexpectedly.",
     NULL},
    {false, EVENT_LOST, -1, "The action did not produce a valid response and exited unexpectedly.",
     NULL},
};

static void no_memory(struct outcome *o)
{
    o->status = OUTCOME_INTERNAL_ERROR;
    o->result = NR_STR(NO_MEMORY_TEXT);
}

/* Takes the text in b (given) as the result. */
static void take_buf(struct outcome *o, struct nr_buf *b)
{
    size_t n;
    char *p = nr_buf_detach(b, &n);

    nr_buf_fini(b);
    if (p == NULL) {
        no_memory(o);
        return;
    }
    o->result_mem = p;
    o->result = (struct nr_str){p, n};
}

static void take_copy(struct outcome *o, struct nr_arena *arena, struct nr_str text)
{
    if (text.n <= IN_ARENA_MAX_BYTES) {
        o->result = nr_arena_copy(arena, text);
    } else if ((o->result_mem = nr_try_alloc(text.n)) != NULL) {
        memcpy(o->result_mem, text.p, text.n);
        o->result = (struct nr_str){o->result_mem, text.n};
    }
    if (o->result.p == NULL)
        no_memory(o);
}

static void take_error(struct outcome *o, enum outcome_status status, struct nr_str text)
{
    struct nr_buf b;

    o->status = status;
    nr_buf_init(&b, ERROR_MAX_BYTES);
    nr_buf_adds(&b, "{\"error\":");
    nr_buf_json(&b, text);
    nr_buf_addc(&b, '}');
    take_buf(o, &b);
}

/* {"error": <JSON value as it stands>} */
static void take_error_value(struct outcome *o, enum outcome_status status, struct nr_str value)
{
    struct nr_buf b;

    o->status = status;
    nr_buf_init(&b, value.n + 32);
    nr_buf_adds(&b, "{\"error\":");
    nr_buf_add(&b, value.p, value.n);
    nr_buf_addc(&b, '}');
    take_buf(o, &b);
}

static struct nr_str trimmed(struct nr_str s)
{
    while (s.n && strchr(" \t\r\n", s.p[0]) && s.p[0])
        s.p++, s.n--;
    while (s.n && strchr(" \t\r\n", s.p[s.n - 1]) && s.p[s.n - 1])
        s.n--;
    return s;
}

/* At most TEXT_MAX_BYTES of it, not cut inside a character. */
static struct nr_str head_of(struct nr_str s)
{
    if (s.n <= TEXT_MAX_BYTES)
        return s;
    s.n = TEXT_MAX_BYTES;
    while (s.n > TEXT_MAX_BYTES - 4 && ((unsigned char)s.p[s.n] & 0xC0) == 0x80)
        s.n--;
    return s;
}

/* "<lead>: <text>" or "<lead>." */
static void quote(struct outcome *o, const char *lead, struct nr_str text)
{
    struct nr_buf b;

    nr_buf_init(&b, TEXT_MAX_BYTES + 256);
    nr_buf_adds(&b, lead);
    nr_buf_adds(&b, text.n ? ": " : ".");
    text = head_of(text);
    nr_buf_add(&b, text.p, text.n);
    take_error(o, OUTCOME_DEVELOPER_ERROR, nr_buf_str(&b));
    nr_buf_fini(&b);
}

static void too_long(struct outcome *o, uint64_t true_bytes, struct nr_str head)
{
    struct nr_buf b;

    nr_buf_init(&b, TEXT_MAX_BYTES + 256);
    nr_buf_printf(
        &b,
        "The action produced a response that exceeded the allowed length: %llu > %d bytes. "
        "The truncated response was: ",
        (unsigned long long)true_bytes, NR_RESULT_MAX_BYTES);
    head = head_of(head);
    nr_buf_add(&b, head.p, head.n);
    take_error(o, OUTCOME_APPLICATION_ERROR, nr_buf_str(&b));
    nr_buf_fini(&b);
}

static void answered(const struct outcome_facts *f, struct nr_arena *arena, struct outcome *o)
{
    struct nr_str text = f->bytes, error = {NULL, 0};
    uint64_t true_bytes = text.n;

    if ((f->flags & NR_FRAME_TRUNCATED) && text.n >= sizeof(true_bytes)) {
        memcpy(&true_bytes, text.p, sizeof(true_bytes));
        text.p += sizeof(true_bytes);
        text.n -= sizeof(true_bytes);
    }
    if ((f->flags & NR_FRAME_TRUNCATED) || text.n > NR_RESULT_MAX_BYTES) {
        too_long(o, true_bytes, text);
        return;
    }
    text = trimmed(text);
    enum nr_json_kind kind = nr_json_scan_key(text, "error", &error);

    if (f->init || (f->flags & NR_FRAME_FAILED)) {
        if (kind == NR_JSON_OBJECT && error.p)
            take_error_value(o, OUTCOME_DEVELOPER_ERROR, error);
        else
            quote(o, f->init ? INIT_FAILED : INVALID, text);
    } else if (kind == NR_JSON_OBJECT && error.p) {
        take_error_value(o, OUTCOME_APPLICATION_ERROR, error);
    } else if (kind == NR_JSON_OBJECT || kind == NR_JSON_ARRAY) {
        o->status = OUTCOME_SUCCESS;
        o->is_array = kind == NR_JSON_ARRAY;
        take_copy(o, arena, text);
    } else {
        quote(o, INVALID, text);
    }
}

static void unanswered(const struct outcome_facts *f, struct outcome *o)
{
    const struct rule *r = rules;
    struct nr_buf b;

    while (r->init != f->init || r->event != f->event ||
           (r->verdict >= 0 && r->verdict != f->verdict))
        r++;
    nr_buf_init(&b, 256);
    nr_buf_adds(&b, r->before);
    if (r->after) {
        nr_buf_addi(&b, f->timeout_ms);
        nr_buf_adds(&b, r->after);
    }
    o->timed_out = f->event == EVENT_TIMEOUT;
    o->out_of_memory = r->verdict == NR_VERDICT_OOM;
    take_error(o, OUTCOME_DEVELOPER_ERROR, nr_buf_str(&b));
    nr_buf_fini(&b);
}

void outcome_decide(const struct outcome_facts *f, struct nr_arena *arena, struct outcome *o)
{
    *o = (struct outcome){.status = OUTCOME_INTERNAL_ERROR};
    if (f->event == EVENT_ANSWER)
        answered(f, arena, o);
    else
        unanswered(f, o);
}

void outcome_refuse(struct outcome *o, enum outcome_status status, const char *text)
{
    *o = (struct outcome){.status = status};
    take_error(o, status, nr_str_of(text));
}

bool outcome_reusable(const struct outcome *o, uint8_t verdict)
{
    return verdict == NR_VERDICT_OK &&
           (o->status == OUTCOME_SUCCESS || o->status == OUTCOME_APPLICATION_ERROR);
}
