/* What is told of a call that was answered: ANSWER, its LOGS in parts, END. All of it is made once, kept until DONE, and sent from its beginning on each link that still wants
 * it. What waits to be sent on the link has a water mark: above it the next part waits for the stream to have drained, so that a slow link holds parts and not
 * results twice.
 *
 * What all kept results may be together has a ceiling. Above it the oldest is let go of: what is told of it then is that it was lost.
 */
#include "invoker/far/serve.h"

#include "common/base/clock.h"
#include "ports/errand.h"

static const char lost_text[] = "The result of the call was lost: too many waited to be told.";

size_t result_kept_bytes(const struct served *c)
{
    return c->answer.n + c->result_bytes + c->logs.n;
}

/* ---- making --------------------------------------------------------------------------------------------------- */

static void set_answer(struct served *c, const struct wire_answer *w)
{
    struct nr_buf *b = serve_meta(c->link);

    wire_write(&wire_answer_form, w, b);
    free((char *)(uintptr_t)c->answer.p);
    c->answer = (struct nr_str){nr_strndup(b->p ? b->p : "{}", b->p ? b->n : 2), b->p ? b->n : 2};
}

/* No memory for it: it is lost. */
static bool set_result(struct served *c, struct nr_str result)
{
    char *copy = nr_try_alloc(result.n + 1);

    free(c->result);
    c->result = copy;
    c->result_bytes = copy ? result.n : 0;
    if (copy && result.n)
        memcpy(copy, result.p, result.n);
    return copy != NULL;
}

/* The platform's own answer, as the function's caller sees it. */
static void set_own(struct served *c, const char *why, bool dropped)
{
    const struct wire_answer w = {.status = OUTCOME_INTERNAL_ERROR, .dropped = dropped};
    struct nr_buf text;

    nr_buf_init(&text, 1024);
    nr_buf_adds(&text, "{\"error\":");
    nr_buf_json(&text, nr_str_of(why));
    nr_buf_addc(&text, '}');
    set_answer(c, &w);
    (void)set_result(c, nr_buf_str(&text));
    nr_buf_fini(&text);
}

static void put_out(struct served *c)
{
    if (!nr_list_linked(&c->outbox) && c->link->up && !c->unwanted)
        nr_list_add(&c->link->outbox, &c->outbox);
}

void result_answered(struct served *c, const struct activation *a, const char *why)
{
    struct wire_answer w = {0};

    c->answered = true;
    if (a)
        wire_answer_of(a, &w);
    if (a == NULL) {
        set_own(c, why, false);
    } else if (set_result(c, a->outcome.result)) {
        set_answer(c, &w);
    } else {
        c->link->results_dropped++;
        set_own(c, lost_text, true);
    }
    put_out(c);
    results_send(c->link);
}

void result_refused(struct served *c, int err, const char *why)
{
    const struct wire_answer w = {.err = err, .why = nr_str_of(why)};

    c->answered = true;
    set_answer(c, &w);
    put_out(c);
    results_send(c->link);
}

/* Whole lines, none longer than a part; what is too much is missing at the end. */
static void cut_logs(struct nr_buf *logs)
{
    size_t line = 0;

    if (logs->n > WIRE_LOGS_MAX_BYTES)
        logs->n = WIRE_LOGS_MAX_BYTES;
    if (logs->n > 0)
        logs->p[logs->n - 1] = '\n';
    while (line < logs->n) {
        const char *end = memchr(logs->p + line, '\n', logs->n - line);
        size_t n = (size_t)(end - (logs->p + line)) + 1;

        if (n > WIRE_PART_MAX_BYTES) {
            n = WIRE_PART_MAX_BYTES;
            logs->p[line + n - 1] = '\n';
        }
        line += n;
    }
}

/* Lets go of the oldest until the rest may be kept. */
static void trim(struct link *l)
{
    while (l->kept_bytes > WIRE_KEPT_MAX_BYTES && !nr_list_empty(&l->kept)) {
        struct served *c = nr_container_of(nr_list_pop(&l->kept), struct served, kept);

        l->kept_bytes -= result_kept_bytes(c);
        l->results_dropped++;
        c->dropped = true;
        nr_log(l->log, NR_LOG_WARN, "link",
               "the result of a call (%zu bytes) is let go of: more than %d bytes wait to be taken",
               result_kept_bytes(c), WIRE_KEPT_MAX_BYTES);
        nr_buf_reset(&c->logs, 0);
        c->logs_sent = 0;
        set_own(c, lost_text, true);
    }
}

void result_ended(struct served *c, struct activation *a)
{
    struct link *l = c->link;

    if (a) {
        c->logs = a->logs;
        nr_buf_init(&a->logs, 0);
        cut_logs(&c->logs);
    }
    c->ended = true;
    nr_list_add(&l->kept, &c->kept);
    l->kept_bytes += result_kept_bytes(c);
    trim(l);
    put_out(c);
    results_send(l);
}

void result_again(struct served *c)
{
    c->sent = SENT_NOTHING;
    c->logs_sent = 0;
    put_out(c);
}

/* ---- sending -------------------------------------------------------------------------------------------------- */

static void send_answer(struct link *l, const struct served *c)
{
    struct nr_buf *b = serve_meta(l);

    nr_buf_add(b, c->answer.p, c->answer.n);
    serve_send(l, WIRE_ANSWER, 0, c->number, (struct nr_str){c->result, c->result_bytes});
}

/* Whole lines where they fit into a part. */
static struct nr_str next_part(const struct served *c)
{
    struct nr_str part = {c->logs.p + c->logs_sent, c->logs.n - c->logs_sent};

    if (part.n <= WIRE_PART_MAX_BYTES)
        return part;
    const char *end = memrchr(part.p, '\n', WIRE_PART_MAX_BYTES); /* see cut_logs() */

    part.n = (size_t)(end + 1 - part.p);
    return part;
}

static void send_end(struct link *l, const struct served *c)
{
    struct nr_buf *b = serve_meta(l);

    if (c->usage)
        wire_write(&wire_usage_form, c->usage, b);
    serve_send(l, WIRE_END, 0, c->number, (struct nr_str){NULL, 0});
}

/* One frame of it. False: all is sent that can be. */
static bool send_next(struct link *l, struct served *c)
{
    switch (c->sent) {
    case SENT_NOTHING:
        send_answer(l, c);
        c->sent = SENT_ANSWER;
        return true;
    case SENT_ANSWER:
        if (!c->ended)
            return false;
        if (c->logs_sent < c->logs.n) {
            struct nr_str part = next_part(c);

            (void)serve_meta(l);
            serve_send(l, WIRE_LOGS, 0, c->number, part);
            c->logs_sent += part.n;
            return true;
        }
        c->sent = SENT_LOGS;
        return true;
    case SENT_LOGS:
        send_end(l, c);
        c->sent = SENT_END;
        return false;
    case SENT_END: return false;
    }
    return false;
}

void results_send(struct link *l)
{
    while (serve_flows(l) && !nr_list_empty(&l->outbox)) {
        struct served *c = nr_container_of(l->outbox.next, struct served, outbox);

        if (!send_next(l, c))
            nr_list_del(&c->outbox);
    }
}
