/* GET /narae/v1/events: what happens, as a stream of server-sent events (`data: ` and a line of JSON each) from now on until the client has enough.
 *
 *   topic=events      (default) functions that change, containers that start and end, ... ; metrics, decisions: the same of those topics
 *   function=NAME     of this function only; NAME as in samples: "name" or "package/name"
 *
 * An administrator sees all, others what has their account in "account". All streams of a topic share one reader of the bus, for with a broker each
 * reader has a connection and a thread; it stays from the first stream on until the platform stops, and the gateway until it is gone. A client that does
 * not read gets a comment that says how much it has missed, once it reads again. A comment every 14 s keeps the ways between open. A stream ends with
 * its key.
 */
#include "gateway/internal.h"

#include "common/base/json_walk.h"
#include "common/bus/bus.h"
#include "gateway/event_about.h"

enum {
    LOOK_MS = 2000,  /* is the key still good; has the client read */
    QUIET_LOOKS = 7, /* between two comments */
    BEHIND_BYTES = 256 << 10,
    MESSAGE_MAX_BYTES = LOOP_WORK_MAX_BYTES, /* larger ones are no business of a stream */
    STREAMS_MAX = 64,
    STREAMS_OF_ACCOUNT_MAX = 8,
    FUNCTION_MAX_BYTES = 1024
};

struct event_stream {
    struct gateway_request *q;
    struct nr_link link; /* in the gateway's list */
    struct nr_deadline look;
    unsigned topic; /* of the table below */
    bool all;       /* of all accounts */
    unsigned quiet; /* looks since the last message */
    uint64_t missed;
    size_t function_n;
    char function[FUNCTION_MAX_BYTES];
};

static const struct {
    const char *name;
    enum bus_topic topic;
} topics[EVENT_TOPICS] = {
    {"events", BUS_EVENTS}, {"metrics", BUS_METRICS}, {"decisions", BUS_DECISIONS}};

/* The reader of one topic, for all streams of it. */
struct event_ear {
    struct bus_reader reader;
    struct gateway *g;
    unsigned topic;
};

static void on_unread(struct bus_reader *r)
{
    struct event_ear *ear = nr_container_of(r, struct event_ear, reader);
    struct gateway *g = ear->g;

    free(ear);
    g->live--;
    if (g->closed && g->live == 0)
        gateway_finish(g);
}

static void finish(struct event_stream *s)
{
    struct gateway_request *q = s->q;

    nr_deadline_cancel(&s->look);
    nr_list_del(&s->link);
    free(s);
    q->events = NULL;
    q->state = G_END;
    nr_http_reply_end(&q->http);
}

void events_wake(struct gateway_request *q)
{
    if (q->events && (q->http.gone || q->g->stopping))
        finish(q->events);
}

void events_stop_all(struct gateway *g)
{
    NR_LIST_EACH(&g->event_streams, it)
        finish(nr_container_of(it, struct event_stream, link));
    for (int i = 0; i < EVENT_TOPICS; i++) {
        struct event_ear *ear = g->ears[i];

        g->ears[i] = NULL;
        if (ear)
            bus_unread(g->config.bus, &ear->reader, on_unread);
    }
}

/* Does any stream follow this topic? */
static bool is_followed(const struct event_ear *ear)
{
    NR_LIST_EACH(&ear->g->event_streams, it)
        if (nr_container_of(it, struct event_stream, link)->topic == ear->topic)
            return true;
    return false;
}

static bool is_for(const struct event_stream *s, const struct event_about *about)
{
    return event_about_fits(about, s->all ? NULL : s->q->account->name,
                            (struct nr_str){s->function, s->function_n});
}

/* True: the client has taken enough to be told more. */
static bool keeps_up(struct event_stream *s)
{
    char text[80];
    int n;

    if (nr_http_reply_part(&s->q->http, (struct nr_str){NULL, 0}) > BEHIND_BYTES)
        return false;
    if (s->missed > 0) {
        n = snprintf(text, sizeof(text), ": %llu messages were missed\n\n",
                     (unsigned long long)s->missed);
        s->missed = 0;
        (void)nr_http_reply_part(&s->q->http, (struct nr_str){text, (size_t)n});
    }
    return true;
}

static void tell(struct event_stream *s, struct nr_str line)
{
    if (s->q->http.gone)
        return;
    if (keeps_up(s))
        (void)nr_http_reply_part(&s->q->http, line);
    else
        s->missed++;
    s->quiet = 0;
}

static void write_line(struct nr_buf *line, struct nr_str message)
{
    nr_buf_adds(line, "data: ");
    nr_json_layout(line, message, false);
    nr_buf_adds(line, "\n\n");
}

static void on_message(struct bus_reader *r, const struct bus_message *m)
{
    struct event_ear *ear = nr_container_of(r, struct event_ear, reader);
    struct event_about about;
    struct nr_buf line;

    if (!is_followed(ear) || m->value.p == NULL || m->value.n > MESSAGE_MAX_BYTES ||
        !event_about_read(m->value, topics[ear->topic].topic == BUS_DECISIONS, &about))
        return;
    nr_buf_init(&line, MESSAGE_MAX_BYTES + 64);
    NR_LIST_EACH(&ear->g->event_streams, it) {
        struct event_stream *s = nr_container_of(it, struct event_stream, link);

        if (s->topic != ear->topic || !is_for(s, &about))
            continue;
        if (nr_buf_str(&line).n == 0) /* the first that is told */
            write_line(&line, m->value);
        if (!line.failed)
            tell(s, nr_buf_str(&line));
    }
    nr_buf_fini(&line);
}

static void on_look(struct nr_deadline *d)
{
    struct event_stream *s = nr_container_of(d, struct event_stream, look);

    if (!fnmanager_still_good(s->q->g->config.fnmanager, s->q->account)) {
        finish(s);
        return;
    }
    nr_deadline_set(s->q->http.loop, d, LOOK_MS);
    if (++s->quiet < QUIET_LOOKS || !keeps_up(s))
        return;
    s->quiet = 0;
    (void)nr_http_reply_part(&s->q->http, NR_STR(": alive\n\n"));
}

/* What is asked for; false: it is refused. */
static bool read_question(struct gateway_request *q, struct event_stream *s)
{
    struct nr_str topic = NR_STR("events"), function = {NULL, 0};

    if (!query_text(q, "topic", &topic) || !query_text(q, "function", &function))
        return false;
    while (s->topic < EVENT_TOPICS && !nr_str_eqz(topic, topics[s->topic].name))
        s->topic++;
    if (s->topic == EVENT_TOPICS)
        request_refuse(q, 400,
                       "The query parameter 'topic' is one of events, metrics, decisions, not "
                       "'%.*s'.",
                       topic.n < 64 ? (int)topic.n : 64, topic.p);
    else if (function.n > FUNCTION_MAX_BYTES)
        request_refuse(q, 400, "The query parameter 'function' is longer than %d bytes.",
                       FUNCTION_MAX_BYTES);
    if (q->status)
        return false;
    s->function_n = function.n;
    if (function.n)
        memcpy(s->function, function.p, function.n);
    return true;
}

/* Refuses the one too many. */
static bool may_stream(struct gateway_request *q)
{
    unsigned own = 0, all = 0;

    NR_LIST_EACH(&q->g->event_streams, it) {
        own += strcmp(nr_container_of(it, struct event_stream, link)->q->account->name,
                      q->account->name) == 0;
        all++;
    }
    if (own < STREAMS_OF_ACCOUNT_MAX && all < STREAMS_MAX)
        return true;
    bool mine = own >= STREAMS_OF_ACCOUNT_MAX;

    request_head(q, "Retry-After: 5\r\n");
    request_refuse(q, 429, "Too many clients follow the events%s (count: %u, allowed: %d).",
                   mine ? " of this account" : "", (mine ? own : all) + 1,
                   mine ? STREAMS_OF_ACCOUNT_MAX : STREAMS_MAX);
    return false;
}

/* Somebody listens to the topic: from its first stream on until the platform stops. */
static int listen_to(struct gateway *g, unsigned topic, struct nr_err *err)
{
    struct event_ear *ear = g->ears[topic] ? NULL : nr_alloc(sizeof(*ear));

    if (ear == NULL)
        return 0;
    *ear = (struct event_ear){.g = g, .topic = topic};
    ear->reader.loop = g->config.loop;
    ear->reader.topics = 1u << topics[topic].topic;
    ear->reader.on_message = on_message;
    if (bus_read(g->config.bus, &ear->reader, err) < 0) {
        free(ear);
        return NR_EUNAVAIL;
    }
    g->ears[topic] = ear;
    g->live++;
    return 0;
}

static void begin(struct gateway_request *q, struct event_stream *s)
{
    q->events = s;
    s->look.fire = on_look;
    nr_list_add(&q->g->event_streams, &s->link);
    nr_deadline_set(q->http.loop, &s->look, LOOK_MS);
    reply_stream(q, "text/event-stream");
    (void)nr_http_reply_part(&q->http, NR_STR(": from now on\n\n"));
}

void events_call(struct gateway_request *q)
{
    struct bus *bus = q->g->config.bus;
    struct event_stream *s = bus && may_stream(q) ? nr_try_alloc(sizeof(*s)) : NULL;
    struct nr_err err = {0};

    if (s == NULL) {
        request_refuse(q, 503, UNAVAILABLE_TEXT); /* unless it was refused already */
        request_tick(q);
        return;
    }
    *s = (struct event_stream){.q = q, .all = q->account->scopes & SCOPE_ADMIN};
    if (read_question(q, s) && listen_to(q->g, s->topic, &err) == 0) {
        begin(q, s);
        return;
    }
    free(s);
    request_refuse(q, 503, "%s", err.text[0] ? err.text : UNAVAILABLE_TEXT);
    request_tick(q);
}
