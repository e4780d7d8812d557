/* Frames in and out: which type may come from whom, how large it may be, and where its two parts lie.
 *
 * The table of types is the protocol's table of contents; a type that is not in it is taken up to the general ceiling and passed over.
 */
#include "invoker/far/wire.h"

#include "common/base/json.h"

enum { FROM_INVOKER = 1, FROM_CONTROLLER = 2, FROM_BOTH = 3, BEFORE_WELCOME = 4 };

static const struct wire_row {
    uint8_t type, from;
    const char *name;
    uint32_t meta_max, raw_max;
} rows[] = {
    {WIRE_PING, FROM_BOTH, "PING", 0, 0},
    {WIRE_PONG, FROM_BOTH, "PONG", 0, 0},
    {WIRE_HELLO, FROM_INVOKER | BEFORE_WELCOME, "HELLO", WIRE_HELLO_MAX_BYTES, 0},
    {WIRE_WANT_CODE, FROM_INVOKER, "WANT_CODE", 1024, 0},
    {WIRE_CLAIM, FROM_INVOKER, "CLAIM", 0, 0},
    {WIRE_ANSWER, FROM_INVOKER, "ANSWER", 8192, WIRE_PAYLOAD_MAX_BYTES - WIRE_META_MAX_BYTES},
    {WIRE_LOGS, FROM_INVOKER, "LOGS", 0, WIRE_PART_MAX_BYTES},
    {WIRE_END, FROM_INVOKER, "END", 1024, 0},
    {WIRE_BOUNCE, FROM_INVOKER, "BOUNCE", 0, 0},
    {WIRE_REPORT, FROM_INVOKER, "REPORT", WIRE_REPORT_MAX_BYTES, WIRE_PART_MAX_BYTES},
    {WIRE_EVENT, FROM_INVOKER, "EVENT", 64 << 10, 0},
    {WIRE_FORGOTTEN, FROM_INVOKER, "FORGOTTEN", 0, 0},
    {WIRE_WANT_AUTH, FROM_INVOKER, "WANT_AUTH", 8192, 0},
    {WIRE_LEAVING, FROM_INVOKER, "LEAVING", 0, 0},
    {WIRE_IMAGE_DONE, FROM_INVOKER, "IMAGE_DONE", 8192,
     WIRE_PAYLOAD_MAX_BYTES - WIRE_META_MAX_BYTES},
    {WIRE_WELCOME, FROM_CONTROLLER | BEFORE_WELCOME, "WELCOME", 8192, WIRE_CALLS_MAX * 8},
    {WIRE_REFUSED, FROM_CONTROLLER | BEFORE_WELCOME, "REFUSED", 8192, 0},
    {WIRE_FUNCTION, FROM_CONTROLLER, "FUNCTION", WIRE_META_MAX_BYTES,
     WIRE_PAYLOAD_MAX_BYTES - WIRE_META_MAX_BYTES},
    {WIRE_RUN, FROM_CONTROLLER, "RUN", 8192, WIRE_RUN_MAX_BYTES},
    {WIRE_CLAIMED, FROM_CONTROLLER, "CLAIMED", 0, 0},
    {WIRE_CUT, FROM_CONTROLLER, "CUT", 8192, 0},
    {WIRE_DONE, FROM_CONTROLLER, "DONE", 0, 0},
    {WIRE_CODE, FROM_CONTROLLER, "CODE", 8192, WIRE_PART_MAX_BYTES},
    {WIRE_FORGET, FROM_CONTROLLER, "FORGET", 0, 0},
    {WIRE_RELEASE, FROM_CONTROLLER, "RELEASE", 0, 0},
    {WIRE_FORGET_ACCOUNT, FROM_CONTROLLER, "FORGET_ACCOUNT", 8192, 0},
    {WIRE_WISH, FROM_CONTROLLER, "WISH", 16 << 10, 0},
    {WIRE_KNOW, FROM_CONTROLLER, "KNOW", 0, 0},
    {WIRE_AUTH, FROM_CONTROLLER, "AUTH", 0, WIRE_AUTH_MAX_BYTES},
    {WIRE_CORDON, FROM_CONTROLLER, "CORDON", 0, 0},
    {WIRE_DRAIN, FROM_CONTROLLER, "DRAIN", 0, 0},
    {WIRE_IMAGE, FROM_CONTROLLER, "IMAGE", 8192, WIRE_AUTH_MAX_BYTES},
};

static const struct wire_row *row_of(uint8_t type)
{
    for (size_t i = 0; i < nr_countof(rows); i++) {
        if (rows[i].type == type)
            return &rows[i];
    }
    return NULL;
}

const char *wire_type_text(uint8_t type)
{
    const struct wire_row *row = row_of(type);

    return row ? row->name : "?";
}

int64_t wire_length(const char *head, bool from_invoker, bool open)
{
    struct wire_head h;

    memcpy(&h, head, sizeof(h));
    const struct wire_row *row = row_of(h.type);
    uint64_t meta_max = row ? row->meta_max : WIRE_META_MAX_BYTES;
    uint64_t raw_max = row ? row->raw_max : WIRE_PAYLOAD_MAX_BYTES - WIRE_META_MAX_BYTES;

    if (row && !(row->from & (from_invoker ? FROM_INVOKER : FROM_CONTROLLER)))
        return NR_EPROTO;
    if (!open && (row == NULL || !(row->from & BEFORE_WELCOME)))
        return NR_EPROTO;
    if (h.meta > h.length || h.meta > meta_max || h.length - h.meta > raw_max)
        return NR_EPROTO;
    return h.length;
}

int wire_take(const char *head, struct nr_str payload, struct wire_frame *ret)
{
    memcpy(&ret->head, head, sizeof(ret->head));
    ret->meta = (struct nr_str){payload.p, ret->head.meta};
    ret->raw = (struct nr_str){payload.p + ret->head.meta, payload.n - ret->head.meta};
    return ret->meta.n == 0 || nr_json_scan(ret->meta) == NR_JSON_OBJECT ? 0 : NR_EPROTO;
}

bool wire_known(const struct wire_frame *f)
{
    return row_of(f->head.type) != NULL;
}

void wire_send_two(struct nr_stream *s, const struct wire_head *head, struct nr_str meta,
                   struct nr_str raw, struct nr_str more)
{
    struct wire_head h = *head;

    h.meta = (uint32_t)meta.n;
    h.length = (uint32_t)(meta.n + raw.n + more.n);
    const struct nr_str parts[] = {{(const char *)&h, sizeof(h)}, meta, raw, more};

    nr_stream_send(s, parts, nr_countof(parts));
}

void wire_send(struct nr_stream *s, const struct wire_head *head, struct nr_str meta,
               struct nr_str raw)
{
    wire_send_two(s, head, meta, raw, (struct nr_str){NULL, 0});
}

void wire_send_bare(struct nr_stream *s, uint8_t type, uint8_t flags, uint64_t call)
{
    wire_send(s, &(struct wire_head){.type = type, .flags = flags, .call = call},
              (struct nr_str){NULL, 0}, (struct nr_str){NULL, 0});
}
