/* The fire of a trigger, top to bottom: count it, look the trigger up, start a call for each active rule, write, answer.
 *
 * fire_tick() is the story; the activation is the trigger's record. The calls are ordinary ones that nobody waits for: each goes through
 * controller_tick(), looks its function up and is admitted, and then waits at C_ACCEPT (fire_accept) until all of them have come so far or were
 * refused. Then the record and the rows of all calls are written in one transaction: after a 202 none of them is lost, and without one none of
 * them runs.
 *
 *   no active rule   204, and no record: nothing happened
 *   a refused call   (no such function, blocked, retired, over a limit) is a line of the record; the others start
 *   a full disk      503, and nothing starts
 *   no room          for all its calls in the queue: 429, and nothing starts
 *   an update        of a function in a window that holds its calls does not hold the fire: its call waits when it is on disk
 *
 * What a call is given is the trigger's parameters, the headers of the fire and its payload, joined as texts: a later key wins. The joined
 * text lives with the trigger's activation, which all its calls share until they end.
 */
#include "controller/internal.h"

#include "common/base/clock.h"
#include "common/base/json.h"

#define INPUTS_MAX_BYTES (32u << 20) /* of all calls of one fire */

/* What becomes of a rule. */
struct fire_call {
    struct fire *fire;
    struct activation *a; /* shared; NULL: it was not started, or went on by itself */
    int code;             /* why it was refused, 0: it was not */
    struct nr_str error;  /* in the trigger's arena */
};

/* In the arena of the trigger's activation. */
struct fire {
    struct activation *trigger;
    struct trigger *what;    /* shared, from the look-up on */
    struct nr_str headers;   /* JSON object text */
    struct nr_str input;     /* of every call */
    struct fire_call *calls; /* one for each rule */
    size_t waiting;          /* calls that look their functions up */
};

/* ---- what is written -------------------------------------------------------------------------------------------- */

static void add_path(struct nr_buf *out, const char *account, const char *name)
{
    nr_buf_adds(out, account);
    nr_buf_addc(out, '/');
    nr_buf_adds(out, name);
}

static void add_action(struct nr_buf *out, const struct trigger_rule *rule)
{
    function_target_path(&rule->action, out);
    nr_buf_addc(out, '/');
    function_target_name(&rule->action, out);
}

/* Why no call was started. */
static void add_error(struct nr_buf *out, const struct fire *f, size_t at)
{
    const struct trigger_rule *rule = &f->what->rules[at];
    struct nr_buf text;

    nr_buf_init(&text, 8192);
    if (rule->active) {
        nr_buf_add(&text, f->calls[at].error.p, f->calls[at].error.n);
    } else {
        nr_buf_adds(&text, "Rule '");
        add_path(&text, f->what->account, rule->name);
        nr_buf_adds(&text, "' is inactive, action '");
        add_action(&text, rule);
        nr_buf_adds(&text, "' was not activated.");
    }
    nr_buf_json(out, nr_buf_str(&text));
    nr_buf_fini(&text);
}

/* The line of a rule in the record: JSON. */
static void add_line(struct nr_buf *out, const struct fire *f, size_t at)
{
    const struct fire_call *k = &f->calls[at];
    struct nr_buf path;

    nr_buf_init(&path, 4096);
    add_path(&path, f->what->account, f->what->rules[at].name);
    if (k->a) {
        nr_buf_printf(
            out, "{\"statusCode\":0,\"success\":true,\"activationId\":\"%s\",\"rule\":", k->a->id);
        nr_buf_json(out, nr_buf_str(&path));
    } else {
        nr_buf_printf(out, "{\"statusCode\":%d,\"success\":false,\"rule\":",
                      k->code && nr_err_status(k->code) >= 500 ? 3 : 1);
        nr_buf_json(out, nr_buf_str(&path));
        nr_buf_adds(out, ",\"error\":");
        add_error(out, f, at);
    }
    nr_buf_adds(out, ",\"action\":");
    nr_buf_reset(&path, 4096);
    add_action(&path, &f->what->rules[at]);
    nr_buf_json(out, nr_buf_str(&path));
    nr_buf_adds(out, "}\n");
    nr_buf_fini(&path);
}

/* The record is complete from the beginning: nothing of the trigger itself lasts. */
static int insert_record(sqlite3 *db, const struct activation *a)
{
    sqlite3_stmt *s = nr_db_prepare(
        db, "INSERT INTO calls(id,state,kind,account,package,name,version,cause,transaction_id,"
            "accepted_ms,start_ms,end_ms,duration_ms,status,annotations,result,logs)"
            " VALUES(?1,2,1,?2,'',?3,?4,'',?5,?6,?6,?6,0,0,'[]',?7,?8)");

    if (s == NULL)
        return NR_EIO;
    nr_db_bind_text(s, 1, nr_str_of(a->id));
    nr_db_bind_text(s, 2, nr_str_of(a->account->name));
    nr_db_bind_text(s, 3, a->name);
    nr_db_bind_text(s, 4, nr_str_of(a->fire->what->version));
    nr_db_bind_text(s, 5, a->transaction);
    sqlite3_bind_int64(s, 6, a->start_wall_ms);
    nr_db_bind_text(s, 7, a->input);
    nr_db_bind_text(s, 8, nr_buf_str(&a->logs));
    return journal_step(s);
}

static int rows_run(sqlite3 *db, struct nr_db_job *job)
{
    const struct activation *a = nr_container_of(job, struct activation, row);
    const struct fire *f = a->fire;
    int r = insert_record(db, a);

    for (size_t i = 0; r == 0 && i < f->what->rule_count; i++)
        if (f->calls[i].a)
            r = journal_insert(db, f->calls[i].a);
    return r;
}

static void on_rows(struct nr_db_job *job)
{
    struct activation *a = nr_container_of(job, struct activation, row);
    struct controller *c = a->ctl;

    a->row_pending = false;
    if (c->closed)
        return;
    if (job->status == NR_ENOSPC)
        disk_is_full(c);
    if (job->status != 0) {
        nr_buf_adds(&a->reply_head, "Retry-After: 5\r\n");
        activation_fail(a, NR_EUNAVAIL, "The fire cannot be stored (%s); try again.",
                        nr_err_text(job->status));
    }
    fire_tick(a);
}

static void write_rows(struct controller *c, struct activation *a)
{
    nr_new_id(nr_wall_ms(), c->number, a->id);
    a->by_id.key = (struct nr_str){a->id, 32};
    for (size_t i = 0; i < a->fire->what->rule_count; i++)
        add_line(&a->logs, a->fire, i);
    a->row = (struct nr_db_job){.run = rows_run, .done = on_rows, .loop = c->loop};
    a->row_pending = true;
    nr_db_write(c->db, &a->row);
}

/* ---- the calls -------------------------------------------------------------------------------------------------- */

static void count_down(struct fire *f)
{
    if (--f->waiting == 0)
        fire_tick(f->trigger);
}

static void refuse_call(struct fire_call *k, int code, const char *text)
{
    k->code = code;
    k->error = nr_arena_copy(&k->fire->trigger->arena, nr_str_of(text));
    nr_count(&k->fire->trigger->ctl->m.rules_refused, 1);
}

/* on_reply of a call: it ended before it was on disk. */
static void on_refused(struct activation *a)
{
    struct fire_call *k = a->owner;

    if (k == NULL)
        return;
    refuse_call(k, a->error.code, a->error.text);
    a->owner = a->fire = NULL;
    k->a = NULL;
    activation_unref(a);
    count_down(k->fire);
}

bool fire_accept(struct controller *c, struct activation *a)
{
    int why = journal_keep(c, a);

    if (why != 0) {
        journal_refuse(c, a, why);
        return false;
    }
    count_down(a->fire);
    return true;
}

/* NULL: no memory. */
static struct activation *call_of(struct fire_call *k, const struct function_target *target)
{
    struct activation *trigger = k->fire->trigger, *a = activation_pool_take(trigger->ctl->pool);

    if (a == NULL)
        return NULL;
    a->account = account_ref(trigger->account);
    if (strcmp(target->account, trigger->account->name) != 0)
        a->space = nr_arena_copy(&a->arena, nr_str_of(target->account));
    if (target->package[0])
        a->package = nr_arena_copy(&a->arena, nr_str_of(target->package));
    a->name = nr_arena_copy(&a->arena, nr_str_of(target->name));
    a->number = target->number;
    if (target->alias[0])
        a->alias = nr_arena_copy(&a->arena, nr_str_of(target->alias));
    a->transaction = nr_arena_copy(&a->arena, trigger->transaction);
    a->api_key = trigger->api_key;
    a->input = k->fire->input;
    a->input_of = activation_ref(trigger);
    a->input_secret = k->fire->what->secret;
    a->on_reply = on_refused;
    a->owner = k;
    a->fire = k->fire;
    return a;
}

/* Every active rule; fire_tick() goes on when the last one has looked its function up. */
static void start_calls(struct controller *c, struct fire *f)
{
    f->waiting = 1; /* until all have begun */
    for (size_t i = 0; i < f->what->rule_count; i++) {
        struct fire_call *k = &f->calls[i];

        k->fire = f;
        if (!f->what->rules[i].active)
            continue;
        struct activation *a = call_of(k, &f->what->rules[i].action);

        if (a == NULL) {
            refuse_call(k, NR_ENOMEM, nr_err_text(NR_ENOMEM));
            continue;
        }
        k->a = activation_ref(a);
        f->waiting++;
        controller_invoke(c, a);
    }
    f->waiting--;
}

/* Their rows are on disk, or not: they run, or end. */
static void let_go(struct controller *c, struct fire *f, int status)
{
    for (size_t i = 0; f->calls && i < f->what->rule_count; i++) {
        struct activation *a = f->calls[i].a;

        if (a == NULL)
            continue;
        f->calls[i].a = NULL;
        a->owner = a->fire = NULL;
        if (status == 0) {
            journal_accepted(c, a);
            a->replied = true;
        } else {
            journal_refuse(c, a, status);
        }
        if (status != 0 || a->err != 0 || !hold_call(c, a))
            controller_tick(a);
        activation_unref(a);
    }
}

/* ---- the trigger ------------------------------------------------------------------------------------------------ */

static size_t active_rules(const struct trigger *t)
{
    size_t n = 0;

    for (size_t i = 0; i < t->rule_count; i++)
        n += t->rules[i].active;
    return n;
}

/* {parameters,"__ow_headers":{...},payload} */
static void join_input(struct fire *f)
{
    struct activation *a = f->trigger;
    struct nr_str bound = nr_json_members(nr_str_of(f->what->parameters)),
                  given = nr_json_members(a->input), comma = NR_STR(","), none = {"", 0};
    const struct nr_str parts[] = {
        NR_STR("{"),
        bound,
        bound.n && f->headers.n ? comma : none,
        f->headers.n ? NR_STR("\"__ow_headers\":") : none,
        f->headers,
        given.n && (bound.n || f->headers.n) ? comma : none,
        given,
        NR_STR("}"),
    };
    size_t n = 0;

    for (size_t i = 0; i < nr_countof(parts); i++)
        n += parts[i].n;
    if (n > NR_PAYLOAD_MAX_BYTES)
        activation_fail(
            a, NR_ETOOBIG,
            "Request with the trigger's parameters larger than allowed: %zu > %d bytes.", n,
            NR_PAYLOAD_MAX_BYTES);
    else if (n * active_rules(f->what) > INPUTS_MAX_BYTES)
        activation_fail(a, NR_ETOOBIG,
                        "Requests of all rules of the trigger larger than allowed: %zu > %u bytes.",
                        n * active_rules(f->what), INPUTS_MAX_BYTES);
    else if (!backlog_refuse(a->ctl, a, active_rules(f->what), n * active_rules(f->what)))
        f->input = nr_arena_join(&a->arena, parts, nr_countof(parts));
}

/* What its calls need; a fails when they cannot be. */
static void prepare(struct fire *f)
{
    struct activation *a = f->trigger;
    size_t bytes = f->what->rule_count * sizeof(*f->calls);

    join_input(f);
    if (a->err)
        return;
    f->calls = nr_arena_get(&a->arena, bytes);
    if (f->calls && f->input.p)
        memset(f->calls, 0, bytes);
    else
        activation_fail(a, NR_ENOMEM, "The fire needs more memory than there is just now.");
}

static bool is_idle(const struct activation *a)
{
    return a->err == 0 && active_rules(a->fire->what) == 0;
}

static void answer(struct controller *c, struct activation *a)
{
    if (a->err) {
        a->id[0] = '\0';
    } else if (is_idle(a)) {
        a->reply_status = 204;
        nr_count(&c->m.fires_idle, 1);
    } else {
        record_accepted(a);
        nr_count(&c->m.fires, 1);
    }
    nr_log(c->log, NR_LOG_INFO, "controller", "fire=%s trigger=%s/%.*s http=%d",
           a->id[0] ? a->id : "-", a->account->name, (int)a->name.n, a->name.p,
           a->err ? nr_err_status(a->error.code) : a->reply_status);
    a->replied = true;
    a->on_reply(a);
}

static int look_up(struct controller *c, struct activation *a)
{
    struct trigger *what = NULL;
    int later = triggers_find(c, a, &what);

    if (what)
        a->fire->what = trigger_ref(what);
    return later;
}

void fire_tick(struct activation *a)
{
    struct controller *c = a->ctl;
    struct fire *f = a->fire;

    switch (a->c) {
    case C_RESOLVE: /* snapshot cache; a miss asks the function manager */
        if (a->err == 0 && look_up(c, a) == 1)
            return;
        a->c = C_ADMIT;
        /* fall through */
    case C_ADMIT: /* a call for each active rule */
        if (a->err == 0 && !is_idle(a))
            prepare(f);
        a->c = C_ACCEPT;
        if (a->err == 0 && !is_idle(a))
            start_calls(c, f);
        /* fall through */
    case C_ACCEPT: /* ticked when the last of them has looked its function up, or was refused */
        if (f && f->waiting > 0)
            return;
        a->c = C_RECORD;
        if (a->err == 0 && !is_idle(a)) {
            write_rows(c, a);
            return;
        }
        /* fall through */
    case C_RUN:
    case C_RECORD: /* ticked when all rows are on disk, or none */
        answer(c, a);
        if (f)
            let_go(c, f, a->err);
        a->c = C_END;
        /* fall through */
    case C_END:
        if (f)
            trigger_unref(f->what);
        controller_end(c, a);
    }
}

/* NULL: no memory. */
static struct fire *fire_make(struct activation *a, struct nr_str headers)
{
    struct fire *f = nr_arena_get(&a->arena, sizeof(*f));

    if (f == NULL)
        return NULL;
    *f = (struct fire){.trigger = a};
    if (headers.n)
        f->headers = nr_arena_copy(&a->arena, headers);
    return f->headers.n == headers.n ? f : NULL;
}

void controller_fire(struct controller *c, struct activation *a, struct nr_str headers)
{
    a->ctl = c;
    a->kind = ACTIVATION_TRIGGER;
    a->accepted_us = nr_mono_us();
    a->start_wall_ms = nr_wall_ms();
    a->c = C_RESOLVE;
    nr_list_add(&c->all, &a->in_account);
    c->running++;
    c->asked.running += a->asked;
    a->fire = fire_make(a, headers);
    if (c->stopping) {
        nr_buf_adds(&a->reply_head, "Retry-After: 5\r\n");
        activation_fail(
            a, NR_ESTOPPING,
            "The server is currently unavailable (because it is overloaded or down for maintenance).");
    } else if (a->fire == NULL) {
        activation_fail(a, NR_ENOMEM, "The fire needs more memory than there is just now.");
    } else {
        admission_fire(c, a, c->loop->now_ms);
    }
    fire_tick(a);
}
