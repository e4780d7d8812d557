/* One call that a controller gave to this invoker:
 *
 *   RUN       an activation is made, with its own copy of the input. It waits until its function's snapshot and code are here, and until functions can be told where the
 *             API is; then the invoker runs it like any other
 *   CLAIM     the invoker has a slot for it: the controller is asked, and the slot waits
 *   CLAIMED   granted: it is sent to the container, or watched first (serve_watch.c). Refused: the slot goes back and nothing more is said
 *   answer    ANSWER is sent at once, LOGS and END when the slot is back; all of it is kept until DONE
 *   CUT       as invoker_cut(); it ends as every call does
 *   not here  BOUNCE: this invoker takes nothing new, cannot have the code, or is asked for more than it may hold
 *
 * The link ends: calls that have not asked for their claim are dropped without a word, for the controller has taken them back. Those whose claim was asked for keep their slot
 * for a while: WELCOME tells whether it was granted. What was granted runs on.
 * Dropping and freeing: an activation that has begun is cut, and its end frees the call; one that has not is freed here.
 */
#include "invoker/far/serve.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "invoker/internal.h"
#include "ports/errand.h"

static const char provision_failed[] = "Failed to provision resources to run the action.";
static const char not_fetched[] = "Action could not be fetched.";
static const char nothing_left[] = "its container is gone";

static struct nr_str key_of(const uint64_t *number)
{
    return (struct nr_str){(const char *)number, sizeof(*number)};
}

static struct served *find(struct link *l, uint64_t number)
{
    struct nr_map_node *n = nr_map_get(&l->calls, key_of(&number));

    return n ? nr_container_of(n, struct served, node) : NULL;
}

size_t calls_open(const struct link *l)
{
    return l->open;
}

size_t link_running(const struct link *l)
{
    return l->open;
}

/* ---- the end of one ----------------------------------------------------------------------------------------- */

/* The activation is over for us. */
static void let_go(struct served *c)
{
    struct activation *a = c->a;

    if (a == NULL)
        return;
    c->a = NULL;
    c->link->open--;
    c->link->input_bytes -= c->input_bytes;
    nr_str_wipe(a->api_key);
    activation_unref(a);
}

void call_free(struct served *c)
{
    struct nr_link *const links[] = {&c->in_all, &c->waiting, &c->outbox, &c->kept, &c->unasked};

    if (nr_list_linked(&c->kept))
        c->link->kept_bytes -= result_kept_bytes(c);
    for (size_t i = 0; i < nr_countof(links); i++)
        nr_list_del(links[i]);
    (void)nr_map_del(&c->link->calls, c->node.key);
    let_go(c);
    known_unref(c->known);
    nr_buf_fini(&c->logs);
    free((char *)(uintptr_t)c->answer.p);
    free(c->result);
    free(c->usage);
    free(c);
}

/* Ends it with an answer of ours, though no container had it. */
static void end_unrun(struct served *c, const char *why)
{
    nr_list_del(&c->unasked);
    result_answered(c, NULL, why);
    let_go(c);
    result_ended(c, NULL);
}

static void bounce(struct link *l, struct served *c)
{
    uint64_t number = c->number;

    call_free(c);
    serve_send_bare(l, WIRE_BOUNCE, 0, number);
}

/* Nothing more of it is told. */
static void drop(struct served *c)
{
    c->unwanted = true;
    nr_list_del(&c->outbox);
    nr_list_del(&c->unasked);
    if (c->a == NULL || !c->begun) {
        call_free(c);
        return;
    }
    struct activation *a = c->a;

    if (c->claim_asked && !c->granted && a->i == I_CLAIM) {
        c->claim_asked = false;
        invoker_claimed(a, NR_ECANCELED);
    } else {
        invoker_cut(a, NR_ECANCELED);
    }
}

/* ---- what the invoker asks and tells -------------------------------------------------------------------------- */

static int on_claim(struct activation *a)
{
    struct served *c = a->owner;

    if (c->unwanted || !c->link->up)
        return NR_ECANCELED; /* without a link it was dropped before it could come here */
    c->claim_asked = true;
    nr_list_del(&c->unasked);
    serve_send_bare(c->link, WIRE_CLAIM, container_loaded(a->slot->ct) ? 0 : WIRE_COLD, c->number);
    return 1;
}

static void on_answer(struct served *c, const struct activation *a)
{
    nr_list_del(&c->unasked);
    if (c->unwanted)
        return;
    if (!c->granted && a->err == NR_ESTOPPING) { /* the invoker is being drained */
        c->unwanted = true;
        serve_send_bare(c->link, WIRE_BOUNCE, 0, c->number);
        return;
    }
    c->answered = true;
    result_answered(c, a, NULL);
}

void call_over(struct served *c)
{
    struct link *l = c->link;

    if (c->unwanted) {
        call_free(c);
    } else {
        struct activation *held = activation_ref(c->a);

        let_go(c);
        result_ended(c, held);
        activation_unref(held);
    }
    leave_look(l);
}

static void on_step(struct activation *a)
{
    struct served *c = a->owner;

    watch_end(c);
    if (a->i != I_END) {
        on_answer(c, a);
        return;
    }
    c->over = true;
    if (!c->watching)
        call_over(c);
}

/* ---- RUN ---------------------------------------------------------------------------------------------------- */

static struct nr_str copied(struct activation *a, struct nr_str s, bool *ok)
{
    struct nr_str out = s.n ? nr_arena_copy(&a->arena, s) : NR_STR("");

    *ok = *ok && out.p != NULL;
    return out;
}

static struct account *account_of(struct nr_str name)
{
    struct account *account = nr_alloc(sizeof(*account));

    *account = (struct account){.name = nr_strndup(name.p, name.n), .uuid = nr_strdup("")};
    atomic_init(&account->refs, 1);
    return account;
}

/* Shared with the other calls of its function, but for one of another name. */
static struct account *account_for(struct known *k, struct nr_str name)
{
    if (k->account == NULL)
        k->account = account_of(name);
    return nr_str_eqz(name, k->account->name) ? account_ref(k->account) : account_of(name);
}

/* NULL: no memory. */
static struct activation *activation_of(struct known *k, const struct wire_run *w,
                                        struct nr_str input)
{
    struct activation *a = activation_make();
    bool ok = true;

    if (a == NULL)
        return NULL;
    a->kind = ACTIVATION_FUNCTION;
    a->account = account_for(k, w->account);
    memcpy(a->id, w->activation.p, w->activation.n);
    a->transaction = copied(a, w->transaction, &ok);
    a->api_key = copied(a, w->api_key, &ok);
    a->input = copied(a, input, &ok);
    a->on_step = on_step;
    a->claim = on_claim;
    a->accepted_us = nr_mono_us();
    if (!ok) {
        activation_unref(a);
        return NULL;
    }
    return a;
}

static int judge(struct link *l, const struct wire_frame *f, const struct wire_run *w,
                 struct nr_err *err)
{
    if (find(l, f->head.call) != NULL)
        return nr_err_set(err, NR_EPROTO, "the number of a call was used twice");
    if (w->activation.n != sizeof(((struct activation *)NULL)->id) - 1 || w->account.n == 0 ||
        w->account.n > 1024 || memchr(w->account.p, '\0', w->account.n))
        return nr_err_set(err, NR_EPROTO, "an activation id of %zu, an account of %zu letters",
                          w->activation.n, w->account.n);
    if (nr_json_scan(f->raw) == NR_JSON_BAD)
        return nr_err_set(err, NR_EPROTO, "its input is no JSON text");
    if (known_find(l, w->revision) == NULL)
        return nr_err_set(err, NR_EPROTO, "a function that was not told");
    return 0;
}

static bool has_room(const struct link *l, size_t input_bytes)
{
    return leave_takes(l) && l->calls.count < WIRE_CALLS_MAX &&
           l->input_bytes + input_bytes <= SERVE_INPUT_MAX_BYTES;
}

int frame_run(struct link *l, const struct wire_frame *f, struct nr_err *err)
{
    struct wire_run w = {0};

    if (wire_read(&wire_run_form, f->meta, &l->arena, &w, err) < 0 || judge(l, f, &w, err) < 0)
        return NR_EPROTO;
    struct known *k = known_find(l, w.revision);
    struct activation *a = has_room(l, f->raw.n) ? activation_of(k, &w, f->raw) : NULL;

    if (a == NULL) {
        serve_send_bare(l, WIRE_BOUNCE, 0, f->head.call);
        return 0;
    }
    struct served *c = nr_alloc(sizeof(*c));

    *c = (struct served){
        .number = f->head.call, .link = l, .known = known_ref(k), .a = a, .input_bytes = f->raw.n};
    c->follows = w.follows;
    c->usage = w.watched ? nr_alloc(sizeof(*c->usage)) : NULL;
    a->owner = c;
    nr_buf_init(&c->logs, 0);
    c->node.key = key_of(&c->number);
    (void)nr_map_put(&l->calls, &c->node);
    nr_list_add(&l->all, &c->in_all);
    nr_list_add(&l->unasked, &c->unasked);
    l->open++;
    l->input_bytes += c->input_bytes;
    known_try_again(k);
    calls_go_on(c);
    return 0;
}

static void begin(struct served *c)
{
    if (c->follows && !invoker_serves(c->link->invoker, c->known->revision)) {
        nr_list_del(&c->unasked);
        result_refused(c, NR_ENOENT, nothing_left);
        let_go(c);
        result_ended(c, NULL);
        return;
    }
    c->a->fn = function_ref(c->known->fn);
    c->begun = true;
    invoker_run(c->link->invoker, c->a);
}

void calls_go_on(struct served *c)
{
    struct link *l = c->link;

    nr_list_del(&c->waiting);
    switch (c->known->state) {
    case KNOWN_READING:
    case KNOWN_FETCHING: nr_list_add(&c->known->waiting, &c->waiting); break;
    case KNOWN_BAD: /* another host may have what is not here; what the controller does not have is nowhere */
        if (c->known->refused)
            end_unrun(c, not_fetched);
        else
            bounce(l, c);
        break;
    case KNOWN_READY:
        if (l->api_known)
            begin(c);
        else
            nr_list_add(&l->held, &c->waiting);
        break;
    }
}

void link_api_known(struct link *l)
{
    struct nr_link *first;

    l->api_known = true;
    while ((first = nr_list_pop(&l->held)) != NULL)
        calls_go_on(nr_container_of(first, struct served, waiting));
}

/* ---- CLAIMED, CUT, DONE --------------------------------------------------------------------------------------- */

static void grant(struct served *c)
{
    struct activation *a = c->a;

    c->granted = true;
    if (c->usage)
        watch_begin(c);
    else
        invoker_claimed(a, 0);
    if (c->link->late && c->a == a)
        invoker_cut(a, NR_ESTOPPING);
}

int frame_claimed(struct link *l, const struct wire_frame *f, struct nr_err *err)
{
    struct served *c = find(l, f->head.call);

    if (c == NULL || c->unwanted || c->a == NULL || !c->claim_asked || c->granted)
        return 0; /* it was cut meanwhile */
    if (f->head.flags & WIRE_FAILED)
        drop(c);
    else
        grant(c);
    return 0;
}

int frame_cut(struct link *l, const struct wire_frame *f, struct nr_err *err)
{
    struct served *c = find(l, f->head.call);
    struct wire_why w = {0};

    if (wire_read(&wire_why_form, f->meta, &l->arena, &w, err) < 0)
        return NR_EPROTO;
    if (c == NULL || c->a == NULL)
        return 0;
    if (!c->granted) { /* it has not started: the controller knows how it ends */
        drop(c);
        return 0;
    }
    invoker_cut(c->a, w.err < 0 && w.err > INT16_MIN ? (int)w.err : NR_ECANCELED);
    return 0;
}

int frame_done(struct link *l, const struct wire_frame *f, struct nr_err *err)
{
    struct served *c = find(l, f->head.call);

    if (c && c->ended) {
        call_free(c);
        leave_look(l);
    }
    return 0;
}

/* ---- the link comes and goes ---------------------------------------------------------------------------------- */

/* Drops those that `which` says. Dropping one may end others, but frees no other: they are taken out of the list first. */
static void drop_those(struct link *l, bool (*which)(const struct served *c))
{
    struct nr_link todo, *first;

    nr_list_init(&todo);
    NR_LIST_EACH(&l->all, each) {
        struct served *c = nr_container_of(each, struct served, in_all);

        if (!c->unwanted && which(c)) {
            nr_list_del(each);
            nr_list_add(&todo, each);
        }
    }
    while ((first = nr_list_pop(&todo)) != NULL) {
        nr_list_add(&l->all, first);
        drop(nr_container_of(first, struct served, in_all));
    }
}

static bool has_not_asked(const struct served *c)
{
    return c->a != NULL && !c->claim_asked && !c->answered;
}

static bool has_asked_only(const struct served *c)
{
    return c->a != NULL && c->claim_asked && !c->granted && !c->answered;
}

static bool is_not_named(const struct served *c)
{
    return !c->named;
}

/* Results that came while nobody could be told, and that are not wanted any more. */
static uint64_t late_results(const struct link *l)
{
    uint64_t n = 0;

    for (struct nr_link *it = l->all.next; it != &l->all; it = it->next) {
        const struct served *c = nr_container_of(it, struct served, in_all);

        n += is_not_named(c) && c->granted && c->answered && !c->unwanted;
    }
    return n;
}

void calls_lost(struct link *l)
{
    drop_those(l, has_not_asked);
    NR_LIST_EACH(&l->outbox, each)
        nr_list_del(each);
}

void calls_refuse(struct link *l)
{
    drop_those(l, has_asked_only);
}

void calls_bounce(struct link *l)
{
    NR_LIST_EACH(&l->all, each) {
        const struct served *c = nr_container_of(each, struct served, in_all);

        if (!c->unwanted && has_not_asked(c))
            serve_send_bare(l, WIRE_BOUNCE, 0, c->number);
    }
    drop_those(l, has_not_asked);
}

static bool runs(const struct served *c)
{
    return c->a != NULL && c->granted && c->a->err == 0;
}

void calls_cut(struct link *l, int err)
{
    struct nr_link todo, *first;

    nr_list_init(&todo);
    NR_LIST_EACH(&l->all, each) {
        if (runs(nr_container_of(each, struct served, in_all))) {
            nr_list_del(each);
            nr_list_add(&todo, each);
        }
    }
    while ((first = nr_list_pop(&todo)) != NULL) {
        struct served *c = nr_container_of(first, struct served, in_all);

        nr_list_add(&l->all, first);
        if (runs(c))
            invoker_cut(c->a, err);
    }
}

/* The controller waits for one that is not here: it never ran here, or its result was let go of. */
static void answer_lost(struct link *l, uint64_t number)
{
    struct served *c = nr_alloc(sizeof(*c));

    *c = (struct served){.number = number, .link = l, .granted = true, .named = true};
    nr_buf_init(&c->logs, 0);
    c->node.key = key_of(&c->number);
    (void)nr_map_put(&l->calls, &c->node);
    nr_list_add(&l->all, &c->in_all);
    result_answered(c, NULL, provision_failed);
    result_ended(c, NULL);
}

static void name_wanted(struct link *l, struct nr_str wanted)
{
    uint64_t number;

    for (size_t at = 0; at + sizeof(number) <= wanted.n; at += sizeof(number)) {
        memcpy(&number, wanted.p + at, sizeof(number));
        struct served *c = find(l, number);

        if (c == NULL && l->calls.count < WIRE_CALLS_MAX)
            answer_lost(l, number);
        else if (c)
            c->named = !c->unwanted;
        if (c && c->named && c->answered)
            result_again(c);
    }
}

void calls_resume(struct link *l, struct nr_str wanted)
{
    NR_LIST_EACH(&l->all, each)
        nr_container_of(each, struct served, in_all)->named = false;
    name_wanted(l, wanted);
    l->results_late += late_results(l);
    drop_those(l, is_not_named);
    /* Granting one may end it and others, so that the walk begins anew after each. */
    for (struct nr_link *each = l->all.next; each != &l->all;) {
        struct served *c = nr_container_of(each, struct served, in_all);
        bool waits = c->named && c->a && c->claim_asked && !c->granted;

        each = each->next;
        if (waits) {
            grant(c);
            each = l->all.next;
        }
    }
    results_send(l);
}

void calls_free(struct link *l)
{
    NR_LIST_EACH(&l->all, each)
        call_free(nr_container_of(each, struct served, in_all));
}
