/* One connection of an invoker: judged by its HELLO, then a table says whose each frame is.
 *
 * Happy: somebody dials -> HELLO within 5 s -> admitted -> far_join() -> frames until the link ends -> far_down()
 * Refused: a peer that may not dial goes without a word; whose HELLO is not good, or not admitted, gets REFUSED with a sentence.
 * Broken: what is against the protocol ends the link with one log line, and is counted. It costs this invoker its link, and nobody else anything.
 */
#include "invoker/far/far_state.h"

#include <unistd.h>

#include "common/base/clock.h"

/* What may wait to be sent in all: RUNs stop at WIRE_UNSENT_MAX_BYTES, all else is small or asked for. */
enum { UNSENT_CEILING_BYTES = WIRE_UNSENT_MAX_BYTES + 4 * WIRE_PAYLOAD_MAX_BYTES };
/* Connections on which no HELLO was admitted yet: of one address, and in all. */
enum { UNJOINED_ADDRESS_MAX = 16, UNJOINED_MAX = 64 };

/* ---- the end ---- */

static void free_link(struct far_link *link)
{
    nr_deadline_cancel(&link->ping);
    nr_list_del(&link->in_all);
    link->l->link_count--;
    link->l->unjoined_count -= !link->joined;
    free(link);
}

void far_link_close(struct far_link *link)
{
    nr_stream_close(link->s);
    free_link(link);
}

static void on_ended(void *arg, int code, const char *why)
{
    struct far_link *link = arg;
    struct far *f = link->f;

    nr_count(&link->l->m.ends, 1);
    if (!link->ending) /* who never said who he is may be anybody, as often as he likes */
        nr_log(link->l->config.log, f ? NR_LOG_WARN : NR_LOG_DEBUG, "invokers",
               "invoker=%s address=%s link=down why=\"%s\"", f ? f->hello->name : "?",
               nr_stream_peer(link->s), why);
    free_link(link);
    if (f)
        far_down(f);
}

int far_link_broken(struct far_link *link, const char *fmt, ...)
{
    char why[256];
    va_list ap;

    if (link->ending)
        return NR_EPROTO;
    va_start(ap, fmt);
    (void)vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    link->ending = true;
    nr_count(&link->l->m.violations, 1);
    nr_log(link->l->config.log, NR_LOG_WARN, "invokers",
           "invoker=%s address=%s link=broken why=\"%s\"", link->f ? link->f->hello->name : "?",
           nr_stream_peer(link->s), why);
    nr_stream_fail(link->s, NR_EPROTO, why);
    return NR_EPROTO;
}

/* ---- sending ---- */

void far_send(struct far *f, uint8_t type, uint8_t flags, uint64_t call)
{
    if (f->link)
        wire_send_bare(f->link->s, type, flags, call);
}

static void send_meta(struct far_link *link, const struct wire_head *head,
                      const struct wire_form *form, const void *from, struct nr_str raw)
{
    struct nr_buf meta;

    nr_buf_init(&meta, WIRE_META_MAX_BYTES);
    wire_write(form, from, &meta);
    if (!meta.failed)
        wire_send(link->s, head, nr_buf_str(&meta), raw);
    nr_str_wipe(nr_buf_str(&meta)); /* a RUN may hold a key */
    nr_buf_fini(&meta);
}

void far_send_meta(struct far *f, uint8_t type, uint8_t flags, uint64_t call,
                   const struct wire_form *form, const void *from)
{
    if (f->link)
        send_meta(f->link, &(struct wire_head){.type = type, .flags = flags, .call = call}, form,
                  from, (struct nr_str){NULL, 0});
}

/* ---- pings ---- */

static void on_ping_due(struct nr_deadline *d)
{
    struct far_link *link = nr_container_of(d, struct far_link, ping);

    if (link->f == NULL) {
        nr_stream_fail(link->s, NR_ETIMEOUT, "no HELLO came in time");
        return;
    }
    wire_send_bare(link->s, WIRE_PING, 0, nr_mono_us());
    nr_deadline_set(link->l->config.loop, d, WIRE_PING_MS);
}

static int on_ping(struct far_link *link, const struct wire_frame *w)
{
    wire_send_bare(link->s, WIRE_PONG, 0, w->head.call);
    return 0;
}

static int on_pong(struct far_link *link, const struct wire_frame *w)
{
    uint64_t now_us = nr_mono_us();

    if (w->head.call > now_us || now_us - w->head.call > WIRE_SILENCE_MS * 1000ull)
        return 0;
    link->rtt_us = now_us - w->head.call;
    if (w->head.call > link->heard_us)
        link->heard_us = w->head.call;
    nr_hist_add_us(&link->l->m.rtt, link->rtt_us);
    return 0;
}

/* ---- HELLO ---- */

static int refuse(struct far_link *link, const char *name, const char *why)
{
    const struct wire_why said = {.why = nr_str_of(why)};

    nr_count(&link->l->m.refused, 1);
    nr_log(link->l->config.log, NR_LOG_WARN, "invokers", "invoker=%s address=%s refused=\"%s\"",
           name, nr_stream_peer(link->s), why);
    send_meta(link, &(struct wire_head){.type = WIRE_REFUSED}, &wire_why_form, &said,
              (struct nr_str){NULL, 0});
    nr_stream_finish(link->s);
    free_link(link);
    return 0;
}

/* Another process of that name, whose link stands: one of the two was started by mistake, and the one that works is not to lose. */
static bool is_taken(const struct far_listener *l, const struct far_hello *h)
{
    for (struct nr_link *it = l->fars.next; it != &l->fars; it = it->next) {
        const struct far *f = nr_container_of(it, struct far, in_all);

        if (strcmp(f->hello->name, h->name) == 0)
            return f->link && strcmp(f->hello->session, h->session) != 0;
    }
    return false;
}

static int judge(struct far_link *link, const struct far_hello *h, struct nr_err *err)
{
    struct far_listener *l = link->l;
    const char *address = nr_stream_peer(link->s);
    uint64_t wait_s;
    int r = l->config.admit(l->config.arg, h, address, err);

    if (r == NR_EFORBIDDEN &&
        !nr_logins_failed(&l->failed, nr_str_of(address), l->config.loop->now_ms, &wait_s)) {
        *err = (struct nr_err){0}; /* nothing more is told of the name */
        return nr_err_set(err, NR_EQUOTA, "too many failed tokens from %s: wait %llu s", address,
                          (unsigned long long)wait_s);
    }
    if (r == 0 && is_taken(l, h))
        r = nr_err_set(err, NR_ECONFLICT,
                       "another process has joined as \"%s\": each invoker has a name of its own",
                       h->name);
    return r;
}

static int on_hello(struct far_link *link, const struct wire_frame *w)
{
    struct far_hello *h = NULL;
    struct nr_err err = {0};

    if (link->f)
        return far_link_broken(link, "a second HELLO");
    if (wire_hello_read(w->meta, &h, &err) < 0)
        return refuse(link, "?", err.text);
    if (judge(link, h, &err) < 0) {
        int r = refuse(link, h->name, err.text);

        wire_hello_free(h);
        return r;
    }
    nr_str_wipe(nr_str_of(h->token));
    h->token[0] = '\0';
    nr_count(&link->l->m.links, 1);
    nr_deadline_set(link->l->config.loop, &link->ping, WIRE_PING_MS);
    link->joined = true;
    link->l->unjoined_count--;
    far_join(link, h);
    return 0;
}

/* ---- frames ---- */

static const struct {
    uint8_t type;
    int (*take)(struct far_link *link, const struct wire_frame *w);
} takers[] = {
    {WIRE_PING, on_ping},
    {WIRE_PONG, on_pong},
    {WIRE_CLAIM, far_on_claim},
    {WIRE_ANSWER, far_on_answer},
    {WIRE_LOGS, far_on_logs},
    {WIRE_END, far_on_end},
    {WIRE_BOUNCE, far_on_bounce},
    {WIRE_REPORT, far_on_report},
    {WIRE_EVENT, far_on_event},
    {WIRE_WANT_CODE, far_on_want_code},
    {WIRE_WANT_AUTH, far_on_want_auth},
    {WIRE_FORGOTTEN, far_on_forgotten},
    {WIRE_LEAVING, far_on_leaving},
    {WIRE_IMAGE_DONE, far_on_image_done},
    {WIRE_HELLO, on_hello},
};

static int64_t on_length(void *arg, const char *head)
{
    struct far_link *link = arg;
    int64_t n = wire_length(head, true, link->f != NULL);
    struct wire_head h;

    if (n < 0) {
        memcpy(&h, head, sizeof(h));
        (void)far_link_broken(link, "a frame %s (%u) of %u bytes that may not be sent",
                              wire_type_text(h.type), h.type, h.length);
    }
    return n;
}

static int on_frame(void *arg, const char *head, struct nr_str payload)
{
    struct far_link *link = arg;
    struct far_listener *l = link->l;
    struct wire_frame w;

    if (wire_take(head, payload, &w) < 0)
        return far_link_broken(link, "a frame whose JSON is no object");
    for (size_t i = 0; i < nr_countof(takers); i++) {
        if (takers[i].type != w.head.type)
            continue;
        int r = takers[i].take(link, &w); /* link may be gone */

        nr_arena_reset(&l->arena);
        return r;
    }
    return 0;
}

static void on_drained(void *arg)
{
    struct far_link *link = arg;

    if (link->f)
        far_wants_go_on(link->f);
}

static const struct nr_stream_hooks hooks = {
    .head_bytes = sizeof(struct wire_head),
    .length = on_length,
    .frame = on_frame,
    .drained = on_drained,
    .ended = on_ended,
};

/* ---- the start ---- */

/* Of a unix socket: root, this user, or the one that was named. */
static bool may_dial(const struct far_listener *l, const struct nr_stream *s)
{
    int64_t uid = nr_stream_peer_uid(s);

    return l->tls || uid == 0 || uid == (int64_t)geteuid() ||
           (uid >= 0 && uid == l->config.invoker_uid);
}

/* Who has not said who he is goes when too many like him are there: of the new one's address, or the oldest. */
static void make_way(struct far_listener *l, const struct nr_stream *s)
{
    struct far_link *oldest = NULL, *oldest_there = NULL;
    unsigned there = 0;

    if (l->unjoined_count < UNJOINED_ADDRESS_MAX)
        return;
    for (struct nr_link *it = l->links.next; it != &l->links; it = it->next) {
        struct far_link *link = nr_container_of(it, struct far_link, in_all);
        bool from_there = strcmp(nr_stream_peer(link->s), nr_stream_peer(s)) == 0;

        if (link->joined)
            continue;
        oldest = oldest ? oldest : link;
        oldest_there = oldest_there || !from_there ? oldest_there : link;
        there += from_there;
    }
    if (there >= UNJOINED_ADDRESS_MAX)
        far_link_close(oldest_there);
    else if (oldest && l->unjoined_count >= UNJOINED_MAX)
        far_link_close(oldest);
}

void far_link_open(void *listener, struct nr_stream *s)
{
    struct far_listener *l = listener;

    make_way(l, s);
    if (l->closing || l->link_count - l->unjoined_count >= WIRE_LINKS_MAX || !may_dial(l, s)) {
        nr_count(&l->m.refused, 1);
        nr_stream_close(s);
        return;
    }
    struct far_link *link = nr_alloc(sizeof(*link));

    *link = (struct far_link){.l = l, .s = s, .ping = {.fire = on_ping_due}};
    nr_list_add(&l->links, &link->in_all);
    l->link_count++;
    l->unjoined_count++;
    nr_deadline_set(l->config.loop, &link->ping, WIRE_HELLO_MS);
    nr_stream_begin(s, &(struct nr_stream_config){.loop = l->config.loop,
                                                  .hooks = &hooks,
                                                  .arg = link,
                                                  .open_ms = WIRE_HELLO_MS,
                                                  .silence_ms = WIRE_SILENCE_MS,
                                                  .unsent_max_bytes = UNSENT_CEILING_BYTES,
                                                  .water_bytes = FAR_WATER_BYTES});
}
