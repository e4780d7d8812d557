/* The port's calls, on the scaler's thread: who may, which function answers, and what comes back. What takes long (replays) is done by a reading
 * thread of the database.
 */
#include "common/base/json.h"
#include "ports/function.h"
#include "scaler/internal.h"

enum { REPLY_MAX_BYTES = 16 << 20, PROBLEMS_MAX = 64, LIMIT_DEFAULT = 30, LIMIT_MOST = 200 };

/* 0: done; 1: later, by call_done(); else c->err is set, or becomes what the code says. */
static const struct op_row {
    int (*run)(struct scaler *s, struct scale_call *c);
    bool admin;  /* the administrator's only */
    bool named;  /* c->name is a policy that the caller may see */
    bool stored; /* changes what is managed here */
} ops[] = {
    [SCALE_PUT] = {call_put, true, false, true},
    [SCALE_LIST] = {call_list, false, false, false},
    [SCALE_SHOW] = {call_show, false, true, false},
    [SCALE_VERSIONS] = {call_versions, false, true, false},
    [SCALE_DELETE] = {call_delete, true, true, true},
    [SCALE_CHECK] = {call_check, true, false, false},
    [SCALE_IMPORT] = {call_import, true, false, false},
    [SCALE_EVALUATE] = {call_evaluate, false, false, false},
    [SCALE_EXPLAIN] = {call_explain, false, true, false},
    [SCALE_REPLAY] = {call_replay, false, false, false},
    [SCALE_FORECASTS] = {call_forecasts, false, false, false},
    [SCALE_CHANNELS] = {call_channels, true, false, false},
    [SCALE_CHANNEL_PUT] = {call_channel_put, true, false, true},
    [SCALE_CHANNEL_DELETE] = {call_channel_delete, true, false, true},
    [SCALE_STATUS] = {call_status, true, false, false},
};

bool call_may_see(const struct scale_call *c, const char *account)
{
    return c->admin || (account && c->account && strcmp(account, c->account->name) == 0);
}

int call_refuse_unknown(struct scale_call *c)
{
    return nr_err_set(&c->err, NR_ENOENT, "There is no policy '%.*s'.",
                      (int)(c->name.n < POLICY_NAME_MAX_BYTES ? c->name.n : POLICY_NAME_MAX_BYTES),
                      c->name.p ? c->name.p : "");
}

int call_reply(struct scale_call *c, json_t *j)
{
    size_t n = 0;
    nr_auto_free char *text = j ? nr_json_text(j, &n) : NULL;

    json_decref(j);
    if (text == NULL)
        return nr_err_set(&c->err, NR_ENOMEM, "%s", nr_err_text(NR_ENOMEM));
    nr_buf_add(&c->reply, text, n);
    return c->reply.failed
               ? nr_err_set(&c->err, NR_ETOOBIG, "The answer is larger than %d MB; ask for less.",
                            REPLY_MAX_BYTES >> 20)
               : 0;
}

static void add_text(json_t *to, const char *name, const char *text)
{
    if (text[0])
        (void)json_object_set_new(to, name, json_string(text));
}

struct policy *call_read(struct scale_call *c, struct nr_str text, const char *name)
{
    struct policy_problem problems[PROBLEMS_MAX];
    struct policy *p = NULL;
    size_t n = 0;

    if (policy_read(text, name, &p, problems, PROBLEMS_MAX, &n, &c->err) == 0)
        return p;
    json_t *list = json_array();

    for (size_t i = 0; i < n && i < PROBLEMS_MAX; i++) {
        json_t *one = json_pack("{ssss}", "path", problems[i].path, "why", problems[i].why);

        add_text(one, "value", problems[i].value);
        add_text(one, "nearest", problems[i].nearest);
        (void)json_array_append_new(list, one);
    }
    c->err.code = NR_EINVAL;
    (void)call_reply(c, json_pack("{ssso}", "error", c->err.text, "problems", list));
    return NULL;
}

json_t *call_row(const struct entry *e)
{
    const struct policy *p = e->policy;
    json_t *j = json_pack("{sssIsssosisI}", "policy", e->name, "number", (json_int_t)p->number,
                          "mode", policy_mode_text(p->mode), "target", policy_target_json(p),
                          "rules", (int)p->rule_count, "updated_ms", (json_int_t)e->updated_ms);

    if (e->decided) {
        (void)json_object_set_new(j, "desired", json_integer(e->desired));
        (void)json_object_set_new(j, "min_warm", json_integer(e->min_warm));
        (void)json_object_set_new(j, "maximum", json_integer(e->maximum));
        (void)json_object_set_new(j, "on_demand", json_boolean(e->on_demand));
        (void)json_object_set_new(j, "decided_ms", json_integer(e->decided_ms));
    }
    return j;
}

/* ---- running ------------------------------------------------------------------------------------------------ */

static void on_done(struct nr_mail *m)
{
    struct scale_call *c = nr_container_of(m, struct scale_call, mail);

    c->done(c);
}

void call_done(struct scaler *s, struct scale_call *c)
{
    c->mail.run = on_done;
    nr_mailbox_post(s->c.loop, &c->mail);
}

static int judge(struct scaler *s, struct scale_call *c, const struct op_row *op)
{
    const struct entry *e = op->named ? entry_find(s, c->name) : NULL;

    if (s->stopping)
        return nr_err_set(&c->err, NR_ESTOPPING, "The platform is stopping.");
    if (op->admin && !c->admin)
        return nr_err_set(&c->err, NR_EFORBIDDEN, "Scaling is the administrator's to set.");
    if (op->stored && !s->c.platform)
        return nr_err_set(&c->err, NR_EUNAVAIL, "Policies are managed by the platform.");
    if (op->named && (e == NULL || !call_may_see(c, e->policy->account)))
        return call_refuse_unknown(c);
    return 0;
}

void call_run(struct nr_mail *m)
{
    struct scale_call *c = nr_container_of(m, struct scale_call, mail);
    struct scaler *s = c->scaler;
    const struct op_row *op = &ops[c->op];

    nr_buf_init(&c->reply, REPLY_MAX_BYTES);
    c->err = (struct nr_err){0};
    c->created = false;
    if (c->limit <= 0)
        c->limit = LIMIT_DEFAULT;
    if (c->limit > LIMIT_MOST)
        c->limit = LIMIT_MOST;
    if (c->upto_ms <= 0)
        c->upto_ms = INT64_MAX;
    int r = judge(s, c, op);

    if (r == 0)
        r = op->run(s, c);
    if (r < 0 && c->err.code == 0)
        (void)nr_err_set(&c->err, r, "%s", nr_err_text(r));
    if (r <= 0)
        call_done(s, c);
}
