/* Frames of a link between controller and invoker, from either side: whatever is taken stays below its ceilings and inside of what was fed, every text that
 * a reader gives lies in the frame or in the arena, and what was read is written and read again the same. First byte: whose frames they are, and whether
 * the link is open.
 */
#include "tests/fuzz/fuzz.h"

#include "invoker/far/snapshot.h"
#include "invoker/far/wire.h"
#include "ports/errand.h"
#include "ports/event.h"

/* What is read of one form, largest first. */
union any {
    struct wire_pool pool;
    struct wire_answer answer;
    struct wire_node node;
    struct wire_run run;
    struct wire_welcome welcome;
    struct wire_range range;
    struct wire_why why;
    struct wire_auth auth;
    struct scaler_wish wish;
    struct call_usage usage;
    struct wire_image image;
    struct wire_image_done image_done;
    struct image_progress progress;
};

/* Twice through the same form: the second text is the first. */
static void again(const struct wire_form *form, const union any *first, struct nr_arena *arena)
{
    union any second;
    struct nr_buf a, b;

    memset(&second, 0, sizeof(second));
    nr_buf_init(&a, 4 << 20);
    nr_buf_init(&b, 4 << 20);
    wire_write(form, first, &a);
    int r = wire_read(form, nr_buf_str(&a), arena, &second, NULL);

    if (r == 0) { /* what was no UTF-8 grew, perhaps above its ceiling */
        wire_write(form, &second, &b);
        nr_check(!a.failed && nr_str_eq(nr_buf_str(&a), nr_buf_str(&b)));
    }
    nr_buf_fini(&a);
    nr_buf_fini(&b);
}

static void read_form(const struct wire_form *form, const struct wire_frame *f,
                      struct nr_arena *arena)
{
    union any to;

    memset(&to, 0, sizeof(to));
    if (wire_read(form, f->meta, arena, &to, NULL) == 0)
        again(form, &to, arena);
}

static void on_node(void *arg, const struct wire_node *n)
{
    nr_check(n->figures.memory_max_mb >= 0 && n->why.n <= 1024);
}

static void on_pool(void *arg, const struct wire_pool *p)
{
    nr_check(p->revision > 0 && p->figures.key.n > 0 && p->figures.joules >= 0);
}

static void read_hello(const struct wire_frame *f)
{
    struct far_hello *h = NULL;

    if (wire_hello_read(f->meta, &h, NULL) < 0)
        return;
    nr_check(h->name[0] && strlen(h->name) <= WIRE_NAME_MAX_BYTES);
    nr_check(strlen(h->session) == WIRE_SESSION_BYTES && h->tag_count <= WIRE_TAGS_MAX);
    wire_hello_free(h);
}

static void read_event(const struct wire_frame *f, struct nr_arena *arena)
{
    struct event e;
    struct nr_buf out;

    if (wire_event_read(f->meta, arena, &e, NULL) < 0)
        return;
    nr_check((e.account == NULL) == (e.name == NULL) && e.id < EVENTS);
    nr_buf_init(&out, 1 << 20);
    wire_event_write(&e, &out);
    nr_check(!out.failed);
    nr_buf_fini(&out);
}

static void read_function(const struct wire_frame *f)
{
    const struct snapshot_place place = {.code_dir = "/nowhere"};
    struct function *fn = NULL;

    if (far_function_read(f->meta, f->raw, &place, &fn, NULL) == 0)
        function_unref(fn);
}

static void read_meta(const struct wire_frame *f, struct nr_arena *arena)
{
    static const struct {
        uint8_t type;
        const struct wire_form *form;
    } forms[] = {
        {WIRE_WELCOME, &wire_welcome_form},
        {WIRE_REFUSED, &wire_why_form},
        {WIRE_CUT, &wire_why_form},
        {WIRE_RUN, &wire_run_form},
        {WIRE_ANSWER, &wire_answer_form},
        {WIRE_WANT_CODE, &wire_range_form},
        {WIRE_CODE, &wire_range_form},
        {WIRE_WANT_AUTH, &wire_auth_form},
        {WIRE_WISH, &wire_wish_form},
        {WIRE_END, &wire_usage_form},
        {WIRE_IMAGE, &wire_image_form},
        {WIRE_IMAGE_DONE, &wire_image_done_form},
        {WIRE_IMAGE_DONE, &wire_progress_form},
    };
    static const struct wire_report_hooks hooks = {on_node, on_pool};

    for (size_t i = 0; i < nr_countof(forms); i++) {
        if (forms[i].type == f->head.type)
            read_form(forms[i].form, f, arena);
    }
    if (f->head.type == WIRE_HELLO)
        read_hello(f);
    else if (f->head.type == WIRE_EVENT)
        read_event(f, arena);
    else if (f->head.type == WIRE_REPORT)
        (void)wire_report_read(f, arena, &hooks, NULL, NULL);
    else if (f->head.type == WIRE_FUNCTION)
        read_function(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const char *p = (const char *)bytes + 1, *end = (const char *)bytes + n;
    struct nr_arena arena;

    if (n < 1)
        return 0;
    while (end - p >= (ptrdiff_t)sizeof(struct wire_head)) {
        int64_t length = wire_length(p, bytes[0] & 1, bytes[0] & 2);
        struct wire_frame f;

        if (length < 0)
            return 0;
        nr_check(length <= WIRE_PAYLOAD_MAX_BYTES);
        if (length > end - p - (ptrdiff_t)sizeof(struct wire_head))
            return 0;
        const char *payload = p + sizeof(struct wire_head);

        if (wire_take(p, (struct nr_str){payload, (size_t)length}, &f) < 0)
            return 0;
        nr_check(f.meta.n + f.raw.n == (size_t)length && f.meta.n <= WIRE_META_MAX_BYTES);
        nr_arena_init(&arena, 4 << 20);
        if (f.meta.n > 0)
            read_meta(&f, &arena);
        nr_arena_fini(&arena);
        p = payload + length;
    }
    return 0;
}
