/* REPORT and EVENT: what happens on an invoker's host, as bytes and back. A report of many pools goes into several frames, so that neither end
 * reads a long text at once.
 */
#include "common/base/json_walk.h"
#include "invoker/far/wire_form.h"
#include "ports/event.h"

enum {
    POOL_MAX_BYTES = 8 << 10,
    NAME_MAX_BYTES = 1024,
    MEMBER_MAX_BYTES = 4096,
    MEMBER_WRITTEN_BYTES = MEMBER_MAX_BYTES - 16
};

/* ---- writing a report ---- */

void wire_report_begin(struct wire_report *r, struct nr_stream *to, const struct wire_node *node)
{
    *r = (struct wire_report){.to = to};
    nr_buf_init(&r->meta, WIRE_REPORT_MAX_BYTES);
    nr_buf_adds(&r->meta, "{\"node\":");
    wire_write(&wire_node_form, node, &r->meta);
}

static void send_part(struct wire_report *r, uint8_t flags, struct nr_str raw)
{
    nr_buf_adds(&r->meta, r->listing ? "]}" : "}");
    if (!r->meta.failed)
        wire_send(r->to, &(struct wire_head){.type = WIRE_REPORT, .flags = flags},
                  nr_buf_str(&r->meta), raw);
    nr_buf_reset(&r->meta, SIZE_MAX);
    nr_buf_addc(&r->meta, '{');
    r->listing = false;
}

void wire_report_pool(struct wire_report *r, const struct wire_pool *p)
{
    if (r->meta.n > WIRE_REPORT_MAX_BYTES - POOL_MAX_BYTES)
        send_part(r, WIRE_MORE, (struct nr_str){NULL, 0});
    nr_buf_adds(&r->meta, r->listing ? "," : r->meta.n > 1 ? ",\"pools\":[" : "\"pools\":[");
    r->listing = true;
    wire_write(&wire_pool_form, p, &r->meta);
}

void wire_report_name(struct wire_report *r, struct nr_str numbers)
{
    r->naming = true;
    r->names = numbers;
}

void wire_report_end(struct wire_report *r)
{
    struct nr_str rest = r->names;

    while (rest.n > WIRE_PART_MAX_BYTES) {
        send_part(r, WIRE_MORE, (struct nr_str){rest.p, WIRE_PART_MAX_BYTES});
        rest.p += WIRE_PART_MAX_BYTES;
        rest.n -= WIRE_PART_MAX_BYTES;
    }
    send_part(r, r->naming ? WIRE_ON : 0, rest);
    nr_buf_fini(&r->meta);
}

/* ---- reading a report ---- */

static int bad(struct nr_err *err, const char *what)
{
    return nr_err_set(err, NR_EPROTO, "REPORT: %s", what);
}

static int read_node(struct nr_str text, struct nr_arena *arena,
                     const struct wire_report_hooks *hooks, void *arg, struct nr_err *err)
{
    struct wire_node n = {0};

    if (nr_json_kind_of(text) != NR_JSON_OBJECT)
        return bad(err, "node is an object");
    int r = wire_read(&wire_node_form, text, arena, &n, err);

    if (r == 0)
        hooks->node(arg, &n);
    return r;
}

static int read_pools(struct nr_str list, struct nr_arena *arena,
                      const struct wire_report_hooks *hooks, void *arg, struct nr_err *err)
{
    struct nr_json_walk walk;
    struct nr_json_member m;
    int r = nr_json_kind_of(list) == NR_JSON_ARRAY ? 0 : bad(err, "pools are a list");

    nr_json_walk_begin(&walk, list);
    while (r == 0 && nr_json_walk_next(&walk, &m)) {
        struct wire_pool p = {0};

        r = wire_read(&wire_pool_form, m.value, arena, &p, err);
        if (r == 0 && (p.revision == 0 || p.figures.key.n == 0))
            r = bad(err, "a pool has a revision and a key");
        if (r == 0)
            hooks->pool(arg, &p);
    }
    return r;
}

int wire_report_read(const struct wire_frame *f, struct nr_arena *arena,
                     const struct wire_report_hooks *hooks, void *arg, struct nr_err *err)
{
    struct nr_str node = {NULL, 0}, pools = {NULL, 0};

    if (f->meta.n == 0)
        return bad(err, "it is empty");
    (void)nr_json_scan_key(f->meta, "node", &node);
    (void)nr_json_scan_key(f->meta, "pools", &pools);
    int r = node.n ? read_node(node, arena, hooks, arg, err) : 0;

    return r == 0 && pools.n ? read_pools(pools, arena, hooks, arg, err) : r;
}

/* ---- events ---- */

/* Of a function; of the node all are absent. */
struct event_head {
    const char *event, *account, *package, *name, *version;
};

#define AT(member) offsetof(struct event_head, member)
static const struct wire_field head_fields[] = {
    {"event", WIRE_Z, AT(event), 0, 64},
    {"account", WIRE_Z, AT(account), 0, NAME_MAX_BYTES},
    {"package", WIRE_Z, AT(package), 0, NAME_MAX_BYTES},
    {"name", WIRE_Z, AT(name), 0, NAME_MAX_BYTES},
    {"version", WIRE_Z, AT(version), 0, NAME_MAX_BYTES},
};
#undef AT
static WIRE_FORM(head_form, head_fields);

static void write_member(const char *name, const struct event_value *v, struct nr_buf *out)
{
    if (v->text ? v->text[0] == '\0' : v->number < 0)
        return;
    if (out->n && out->p[out->n - 1] != '{')
        nr_buf_addc(out, ',');
    nr_buf_json(out, nr_str_of(name));
    nr_buf_addc(out, ':');
    if (v->text) /* no longer than the other end takes */
        nr_buf_json(out, (struct nr_str){v->text, strnlen(v->text, MEMBER_WRITTEN_BYTES)});
    else
        nr_buf_addi(out, v->number);
}

void wire_event_write(const struct event *e, struct nr_buf *out)
{
    const struct event_row *row = &event_table[e->id];
    const struct event_head head = {row->name, e->account, e->package, e->name, e->version};

    wire_write(&head_form, &head, out);
    if (!out->failed)
        out->n--;
    nr_buf_adds(out, ",\"members\":{");
    for (size_t i = 0; i < EVENT_MEMBERS_MAX && row->members[i]; i++)
        write_member(row->members[i], &e->member[i], out);
    nr_buf_adds(out, "}}");
}

static int find_event(const char *name, struct event *ret)
{
    for (int i = 0; name && i < EVENTS; i++) {
        if (strcmp(event_table[i].name, name) == 0) {
            ret->id = (enum event_id)i;
            return 0;
        }
    }
    return NR_ENOENT;
}

/* Text or number, as it comes. */
static int read_member(struct nr_str value, struct nr_arena *arena, struct event_value *to)
{
    const struct wire_field text = {"member", WIRE_Z, 0, 0, MEMBER_MAX_BYTES},
                            number = {"member", WIRE_I64, 0, 0, INT64_MAX};
    bool is_text = nr_json_kind_of(value) == NR_JSON_STRING;

    return is_text ? wire_read_value(&text, value, arena, &to->text, NULL)
                   : wire_read_value(&number, value, arena, &to->number, NULL);
}

static int read_members(struct nr_str json, struct nr_arena *arena, struct event *e,
                        struct nr_err *err)
{
    const struct event_row *row = &event_table[e->id];
    struct nr_str value;

    for (size_t i = 0; i < EVENT_MEMBERS_MAX && row->members[i]; i++) {
        e->member[i].number = -1;
        value = (struct nr_str){NULL, 0};
        (void)nr_json_scan_key(json, row->members[i], &value);
        if (value.n && read_member(value, arena, &e->member[i]) < 0)
            return nr_err_set(err, NR_EPROTO, "EVENT: member \"%s\"", row->members[i]);
    }
    return 0;
}

int wire_event_read(struct nr_str json, struct nr_arena *arena, struct event *ret,
                    struct nr_err *err)
{
    struct event_head head = {0};
    struct nr_str members = {NULL, 0};
    struct event e = {0};
    int r = wire_read(&head_form, json, arena, &head, err);

    if (r < 0)
        return r;
    if (find_event(head.event, &e) < 0)
        return nr_err_set(err, NR_ENOENT, "an event that is not known here");
    if ((head.account == NULL) != (head.name == NULL))
        return nr_err_set(err, NR_EPROTO, "EVENT: a function has an account and a name");
    e.account = head.account;
    e.package = head.account && head.package == NULL ? "" : head.package;
    e.name = head.name;
    e.version = head.version;
    (void)nr_json_scan_key(json, "members", &members);
    if (members.n && nr_json_kind_of(members) != NR_JSON_OBJECT)
        return nr_err_set(err, NR_EPROTO, "EVENT: members are an object");
    r = read_members(members.n ? members : NR_STR("{}"), arena, &e, err);
    if (r == 0)
        *ret = e;
    return r;
}
