/* What the controller has told of functions, by revision: a snapshot, and the code that belongs to it.
 *
 *   FUNCTION   its text is read, a long one by a work thread; then its code is looked for in the folder, or asked for (code.c), by the first of its revisions that the
 *              controller has told on this link. Calls wait meanwhile, in its list
 *   RELEASE    it is dropped; containers that run it keep their own hold of the snapshot
 *   FORGET     the same, and its containers go
 *   KNOW       what is wished for may start; when its code is here
 *
 * A snapshot outlives its link, for the controller tells it again and it is the same then; one that was not ready is dropped with the link. What is known holds its
 * code on the disk.
 */
#include "invoker/far/serve.h"

#include "common/base/json.h"
#include "invoker/far/snapshot.h"

/* So many may be known of earlier links beside those of this one. */
enum { KNOWN_MAX = 2 * WIRE_FUNCTIONS_MAX, AGAIN_MS = 5000 };

static struct nr_str key_of(const uint64_t *revision)
{
    return (struct nr_str){(const char *)revision, sizeof(*revision)};
}

struct known *known_find(struct link *l, uint64_t revision)
{
    struct nr_map_node *n = nr_map_get(&l->functions, key_of(&revision));

    return n ? nr_container_of(n, struct known, node) : NULL;
}

struct known *known_ref(struct known *k)
{
    k->refs++;
    return k;
}

static void wipe_text(struct known *k)
{
    if (k->text)
        nr_str_wipe((struct nr_str){k->text, k->text_bytes});
    free(k->text);
    k->text = NULL;
}

void known_unref(struct known *k)
{
    if (k == NULL || --k->refs > 0)
        return;
    if (k->code)
        code_release(k->code, &k->by_code);
    wipe_text(k);
    function_unref(k->fn);
    account_unref(k->account);
    free(k);
}

/* No RUN finds it any more. */
static void drop(struct known *k)
{
    (void)nr_map_del(&k->link->functions, k->node.key);
    known_unref(k);
}

/* ---- the way to READY ----------------------------------------------------------------------------------------- */

static void settle(struct known *k, enum known_state state)
{
    struct link *l = k->link;
    struct nr_link *first;

    k->state = state;
    if (state == KNOWN_BAD)
        nr_log(l->log, NR_LOG_WARN, "link", "revision %llu (%s) cannot run here: %s",
               (unsigned long long)k->revision, k->fn ? k->fn->path : "?", k->err.text);
    (void)known_ref(k);
    if (state == KNOWN_READY && k->wanted && l->up)
        invoker_know(l->invoker, k->fn);
    while ((first = nr_list_pop(&k->waiting)) != NULL)
        calls_go_on(nr_container_of(first, struct served, waiting));
    k->bad_ms = l->loop->now_ms;
    known_unref(k);
}

/* ---- its code --------------------------------------------------------------------------------------------------- */

bool known_want_code(void *arg, struct code *c, uint64_t at, size_t bytes)
{
    struct link *l = arg;
    const struct known *asks = NULL;
    char digest[2 * NR_SHA256_BYTES + 1];

    NR_LIST_EACH(&c->holders, each) {
        const struct known *k = nr_container_of(each, struct known, by_code);

        if (k->told == l->links && k->state == KNOWN_FETCHING)
            asks = k;
    }
    if (asks == NULL || !l->up)
        return false;
    nr_hex(c->sha256, sizeof(c->sha256), digest);
    const struct wire_range range = {
        .sha256 = nr_str_of(digest), .revision = asks->revision, .at = at, .bytes = bytes};

    wire_write(&wire_range_form, &range, serve_meta(l));
    serve_send(l, WIRE_WANT_CODE, 0, 0, (struct nr_str){NULL, 0});
    return true;
}

/* Others may let go of it while one is told: the search begins anew. */
void known_code_settled(void *arg, struct code *c)
{
    struct known *k;

    do {
        k = NULL;
        NR_LIST_EACH(&c->holders, each) {
            struct known *one = nr_container_of(each, struct known, by_code);

            if (one->state == KNOWN_FETCHING) {
                k = one;
                break;
            }
        }
        if (k == NULL)
            return;
        if (c->state != CODE_HERE) {
            k->err = c->err;
            k->refused = c->refused;
        }
        settle(k, c->state == CODE_HERE ? KNOWN_READY : KNOWN_BAD);
    } while (k != NULL);
}

static void fetch(struct known *k)
{
    k->state = KNOWN_FETCHING;
    if (k->fn->code_path[0] != '\0' && k->code == NULL)
        k->code = code_hold(k->link->codes, far_function_owner(k->fn), k->fn->sha256, &k->by_code);
    if (k->code == NULL || code_need(k->code) == 0)
        settle(k, KNOWN_READY);
}

void known_try_again(struct known *k)
{
    if (k->state != KNOWN_BAD || k->fn == NULL || k->link->loop->now_ms - k->bad_ms < AGAIN_MS)
        return;
    k->err = (struct nr_err){0};
    k->refused = false;
    fetch(k);
}

int frame_code(struct link *l, const struct wire_frame *f, struct nr_err *err)
{
    unsigned char sha256[NR_SHA256_BYTES];
    struct wire_range range = {0};
    struct wire_why why = {0};

    if (wire_read(&wire_range_form, f->meta, &l->arena, &range, err) < 0)
        return NR_EPROTO;
    if (range.sha256.n != 2 * sizeof(sha256) || !nr_hex_decode(range.sha256, sha256))
        return nr_err_set(err, NR_EPROTO, "its sha256 is no digest");
    struct code *c = code_fetched(l->codes, sha256);

    if (c == NULL)
        return 0; /* nobody needs it any more */
    if ((f->head.flags & WIRE_FAILED) == 0)
        return code_part(c, range.at, range.bytes, f->raw, err);
    if (wire_read(&wire_why_form, f->meta, &l->arena, &why, err) < 0)
        return NR_EPROTO;
    nr_auto_free char *text = nr_strndup(why.why.p ? why.why.p : "", why.why.n);

    code_refused(c, text);
    return 0;
}

/* ---- its text --------------------------------------------------------------------------------------------------- */

/* A work thread's, or the loop's for a short one. */
static void read_text(struct nr_work *w)
{
    struct known *k = nr_container_of(w, struct known, work);
    const struct snapshot_place place = {.code_dir = k->link->code_dir,
                                         .devices = k->link->c.devices};
    const struct nr_str meta = {k->text, k->meta_bytes};
    const struct nr_str raw = {k->text + k->meta_bytes, k->text_bytes - k->meta_bytes};

    if (far_function_read(meta, raw, &place, &k->fn, &k->err) < 0 && k->err.code == 0)
        k->err.code = NR_EINVAL;
}

static void on_text(struct nr_work *w)
{
    struct known *k = nr_container_of(w, struct known, work);

    wipe_text(k);
    if (k->err.code == 0 && k->fn->revision != k->revision)
        (void)nr_err_set(&k->err, NR_EINVAL, "it says that it is revision %llu",
                         (unsigned long long)k->fn->revision);
    if (k->err.code != 0)
        settle(k, KNOWN_BAD);
    else if (known_find(k->link, k->revision) == k || !nr_list_empty(&k->waiting))
        fetch(k);
    known_unref(k);
}

static bool is_old(struct nr_map_node *n, void *arg)
{
    const struct known *k = nr_container_of(n, struct known, node);

    return k->told != k->link->links;
}

static void known_gone(struct nr_map_node *n, void *arg)
{
    drop(nr_container_of(n, struct known, node));
}

/* Of earlier links; their revisions will be told anew. */
static void drop_old(struct link *l)
{
    (void)nr_map_drain(&l->functions, is_old, known_gone, NULL);
}

static struct known *make(struct link *l, uint64_t revision, const struct wire_frame *f)
{
    struct known *k = nr_alloc(sizeof(*k));

    *k = (struct known){.revision = revision, .link = l, .refs = 2, .told = l->links};
    nr_list_init(&k->waiting);
    k->node.key = key_of(&k->revision);
    (void)nr_map_put(&l->functions, &k->node);
    k->meta_bytes = f->meta.n;
    k->text_bytes = f->meta.n + f->raw.n;
    k->text = nr_try_alloc(k->text_bytes + 1);
    if (k->text == NULL)
        return k;
    memcpy(k->text, f->meta.p, f->meta.n);
    if (f->raw.n)
        memcpy(k->text + f->meta.n, f->raw.p, f->raw.n);
    return k;
}

/* The text names its revision; the frame's call does too, for who does not read it. */
static int revision_of(const struct wire_frame *f, uint64_t *ret, struct nr_err *err)
{
    struct nr_str text;
    int64_t number;

    *ret = f->head.call;
    if (*ret != 0)
        return 0;
    if (nr_json_scan_key(f->meta, "revision", &text) != NR_JSON_OBJECT || text.p == NULL ||
        !nr_str_to_i64(text, 1, INT64_MAX, &number))
        return nr_err_set(err, NR_EPROTO, "it names no revision");
    *ret = (uint64_t)number;
    return 0;
}

int frame_function(struct link *l, const struct wire_frame *f, struct nr_err *err)
{
    uint64_t revision;

    if (revision_of(f, &revision, err) < 0)
        return NR_EPROTO;
    struct known *k = known_find(l, revision);

    if (k && k->state == KNOWN_READY) {
        k->told = l->links;
        return 0;
    }
    if (k)
        return nr_err_set(err, NR_EPROTO, "revision %llu is told twice",
                          (unsigned long long)revision);
    if (l->functions.count >= KNOWN_MAX)
        drop_old(l);
    if (l->functions.count >= KNOWN_MAX)
        return nr_err_set(err, NR_EPROTO, "more than %d functions are told", KNOWN_MAX);
    k = make(l, revision, f);
    k->work = (struct nr_work){.work = read_text, .done = on_text};
    if (k->text == NULL) {
        (void)nr_err_set(&k->err, NR_ENOMEM, "no memory for its text");
        on_text(&k->work);
    } else if (k->text_bytes > SERVE_INLINE_MAX_BYTES) {
        nr_work_post(l->loop, &k->work);
    } else {
        read_text(&k->work);
        on_text(&k->work);
    }
    return 0;
}

/* ---- RELEASE, FORGET, KNOW -------------------------------------------------------------------------------------- */

int frame_release(struct link *l, const struct wire_frame *f, struct nr_err *err)
{
    struct known *k = known_find(l, f->head.call);

    if (k)
        drop(k);
    return 0;
}

int frame_forget(struct link *l, const struct wire_frame *f, struct nr_err *err)
{
    invoker_forget(l->invoker, f->head.call);
    return frame_release(l, f, err);
}

int frame_know(struct link *l, const struct wire_frame *f, struct nr_err *err)
{
    struct known *k = known_find(l, f->head.call);

    if (k == NULL)
        return 0; /* it could not run here */
    k->wanted = true;
    if (k->state == KNOWN_READY)
        invoker_know(l->invoker, k->fn);
    return 0;
}

/* ---- all of them ------------------------------------------------------------------------------------------------ */

static bool is_not_ready(struct nr_map_node *n, void *arg)
{
    return nr_container_of(n, struct known, node)->state != KNOWN_READY;
}

static bool is_of(struct nr_map_node *n, void *account)
{
    const struct known *k = nr_container_of(n, struct known, node);

    return k->fn &&
           (strcmp(k->fn->account, account) == 0 || nr_str_eqz(far_function_owner(k->fn), account));
}

void known_lost(struct link *l)
{
    struct nr_map_node *n = NULL;
    size_t at = 0;

    while ((n = nr_map_next(&l->functions, &at, n)) != NULL) {
        struct known *k = nr_container_of(n, struct known, node);

        if (k->code)
            code_lost(k->code);
    }
    (void)nr_map_drain(&l->functions, is_not_ready, known_gone, NULL);
}

static void note_revision(void *arg, const struct function *f, const struct invoker_load *load)
{
    nr_buf_add(arg, &f->revision, sizeof(f->revision));
}

void known_forget_all(struct link *l)
{
    struct nr_buf list;
    uint64_t revision;

    (void)nr_map_drain(&l->functions, NULL, known_gone, NULL);
    nr_buf_init(&list, 64 << 20);
    invoker_loads(l->invoker, note_revision, &list);
    for (size_t at = 0; at + sizeof(revision) <= list.n; at += sizeof(revision)) {
        memcpy(&revision, list.p + at, sizeof(revision));
        invoker_forget(l->invoker, revision);
    }
    nr_buf_fini(&list);
}

void known_forget_account(struct link *l, const char *account)
{
    (void)nr_map_drain(&l->functions, is_of, known_gone, (char *)(uintptr_t)account);
    code_forget(l->codes, nr_str_of(account));
}

void known_fini(struct link *l)
{
    (void)nr_map_drain(&l->functions, NULL, known_gone, NULL);
}
