/* The administrator's changes: each is on disk before it holds and is answered. A token is shown once and kept as its hash.
 */
#include "controller/fleet.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "ports/tags.h"

enum { TOKEN_BYTES = 32, REPLY_MAX_BYTES = 16384 };

/* A change that is being written. */
struct change {
    struct invokers_call *call;
    char name[INVOKER_NAME_BYTES];
    char token[2 * TOKEN_BYTES + 1]; /* of an ADD */
};

static void answer(struct invokers *f, struct invokers_call *c, const struct fleet_host *h,
                   const char *token)
{
    struct nr_buf *out = &c->reply;

    nr_buf_adds(out, "{\"name\":");
    nr_buf_json(out, c->name);
    if (h)
        nr_buf_printf(
            out, ",\"cordoned\":%s,\"up\":%s,\"calls\":%zu", h->cordoned ? "true" : "false",
            h->far && far_is_up(h->far) ? "true" : "false", h->far ? far_calls(h->far) : (size_t)0);
    if (token) {
        nr_buf_printf(out, ",\"token\":\"%s\",\"listen\":", token);
        nr_buf_json(out, nr_str_of(f->config.listen));
        nr_buf_printf(out, ",\"port\":%u,\"pin\":", far_port(f->listener));
        if (f->pin[0])
            nr_buf_json(out, nr_str_of(f->pin));
        else
            nr_buf_adds(out, "null");
    }
    nr_buf_addc(out, '}');
    c->done(c);
}

static void fail(struct invokers_call *c, int code, const char *text)
{
    (void)nr_err_set(&c->err, code, "%s", text);
    c->done(c);
}

/* ---- what holds from now on --------------------------------------------------------------------------------------- */

/* A cordon of one that is being drained changes nothing. */
static enum fleet_cordon cordon_of(const struct fleet_host *h, enum invokers_op op)
{
    bool cordoned = h && h->cordoned, draining = h && h->draining;

    if (op == INVOKERS_UNCORDON)
        return FLEET_TAKES;
    if (op == INVOKERS_DRAIN || draining)
        return FLEET_DRAINING;
    return op == INVOKERS_CORDON || cordoned ? FLEET_CORDONED : FLEET_TAKES;
}

static void set_cordon(struct fleet_host *h, enum invokers_op op)
{
    enum fleet_cordon cordon = cordon_of(h, op);

    h->cordoned = cordon != FLEET_TAKES;
    h->draining = cordon == FLEET_DRAINING;
    if (h->far && op == INVOKERS_DRAIN && !h->drain_asked) {
        h->drain_asked = true;
        far_drain(h->far, fleet_host_drained, h);
    } else if (h->far && op != INVOKERS_DRAIN) {
        far_cordon(h->far, h->cordoned);
    }
    fleet_wish_again(h->fleet);
    fleet_retry(h->fleet);
}

static struct fleet_host *add(struct invokers *f, const struct fleet_write *w)
{
    const struct nr_str name = nr_str_of(w->name);
    struct fleet_host *h = fleet_host_find(f, name);

    if (h == NULL)
        h = fleet_host_make(f, name);
    if (h == NULL)
        return NULL;
    fleet_removed_drop(f, name);
    bool had_token = h->has_token;

    h->has_token = true;
    memcpy(h->token, w->token, sizeof(h->token));
    free(h->given);
    h->given = nr_strdup(w->given);
    fleet_host_tag(h);
    if (had_token && h->far)
        fleet_host_end(h); /* who holds the old token goes */
    return h;
}

static void on_changed(struct fleet_write *w, int status)
{
    struct change *x = w->arg;
    struct invokers_call *c = x->call;
    struct invokers *f = w->fleet;
    struct fleet_host *h = fleet_host_find(f, nr_str_of(x->name));

    if (status < 0) {
        fail(c, NR_EUNAVAIL, "The change could not be stored; nothing has changed.");
    } else if (c->op == INVOKERS_ADD) {
        c->made = h == NULL;
        h = add(f, w);
        if (h)
            answer(f, c, h, x->token);
        else
            fail(c, NR_EQUOTA, "There are 256 invokers; more cannot be.");
    } else if (c->op == INVOKERS_REMOVE) {
        if (h)
            fleet_host_remove(h);
        fleet_removed_note(f, nr_str_of(x->name));
        fleet_wish_again(f);
        answer(f, c, NULL, NULL);
    } else if (h) {
        set_cordon(h, c->op);
        answer(f, c, h, NULL);
    } else {
        fail(c, NR_ENOENT, "The invoker was removed meanwhile.");
    }
    nr_str_wipe((struct nr_str){x->token, sizeof(x->token)});
    free(x);
}

/* ---- what is asked ------------------------------------------------------------------------------------------------ */

/* Its tags as JSON (made); NULL: none. */
static int read_body(const struct invokers_call *c, char **ret_tags, struct nr_err *err)
{
    nr_auto_json json_t *body = c->body.n ? nr_json_parse(c->body, err) : NULL;
    const char *key;
    json_t *value;
    int r = 0;

    if (c->body.n && !json_is_object(body))
        return nr_err_set(err, NR_EINVAL, "The body must be an object like {\"tags\":{}}.");
    json_object_foreach(body, key, value) {
        if (strcmp(key, "tags") != 0)
            return nr_err_set(err, NR_EINVAL, "The body has '%.64s'; it knows tags.", key);
        if (r == 0 && (r = tags_read(value, "tags", NULL, err)) == 0 && json_object_size(value))
            *ret_tags = json_dumps(value, JSON_COMPACT);
    }
    return r;
}

static int judge(struct invokers *f, struct invokers_call *c, struct fleet_host *h)
{
    if (h == NULL && c->op != INVOKERS_ADD)
        return nr_err_set(&c->err, NR_ENOENT, "There is no invoker '%.*s'; %zu are known.",
                          (int)(c->name.n < 80 ? c->name.n : 80), c->name.n ? c->name.p : "",
                          f->host_count);
    if (f->closing || f->listener == NULL)
        return nr_err_set(&c->err, f->closing ? NR_ESTOPPING : NR_EINVAL,
                          f->closing ? "The platform is stopping."
                                     : "This platform takes no invokers of other hosts: naraed was "
                                       "started without --invokers-listen.");
    if (!fleet_name_is_good(c->name))
        return nr_err_set(
            &c->err, NR_EINVAL,
            "The name of an invoker is 1 to %d of a-z, 0-9 and -, and not 0, which is "
            "this host's own; not '%.*s'.",
            INVOKER_NAME_BYTES - 1, (int)(c->name.n < 80 ? c->name.n : 80),
            c->name.n ? c->name.p : "");
    if (h == NULL && f->host_count == INVOKERS_MAX)
        return nr_err_set(&c->err, NR_EQUOTA, "There are %d invokers; more cannot be.",
                          INVOKERS_MAX);
    return 0;
}

static void make_token(struct change *x, struct fleet_write *w)
{
    unsigned char random[TOKEN_BYTES];

    nr_random(random, sizeof(random));
    nr_hex(random, sizeof(random), x->token);
    nr_sha256(nr_str_of(x->token), w->token);
    w->has_token = true;
}

static const struct {
    enum fleet_row row;
    enum fleet_cordon cordon;
} writes[] = {
    [INVOKERS_ADD] = {.row = FLEET_PUT},
    [INVOKERS_REMOVE] = {.row = FLEET_DELETE},
    [INVOKERS_CORDON] = {FLEET_CORDON, FLEET_CORDONED},
    [INVOKERS_UNCORDON] = {FLEET_CORDON, FLEET_TAKES},
    [INVOKERS_DRAIN] = {FLEET_CORDON, FLEET_DRAINING},
};

void invokers_post(struct invokers *f, struct invokers_call *c)
{
    struct fleet_host *h = fleet_host_find(f, c->name);
    struct fleet_write w = {.row = writes[c->op].row, .cordon = writes[c->op].cordon};

    nr_buf_init(&c->reply, REPLY_MAX_BYTES);
    if (judge(f, c, h) < 0 || (c->op == INVOKERS_ADD && read_body(c, &w.given, &c->err) < 0)) {
        c->done(c);
        return;
    }
    struct change *x = nr_alloc(sizeof(*x));

    x->call = c;
    memcpy(x->name, c->name.p, c->name.n);
    memcpy(w.name, x->name, sizeof(w.name));
    w.added_ms = h && c->op != INVOKERS_REMOVE ? h->added_ms : nr_wall_ms();
    if (c->op == INVOKERS_ADD) {
        make_token(x, &w);
        w.told = h ? nr_strdup(h->told) : NULL;
    }
    w.done = on_changed;
    w.arg = x;
    fleet_write(f, &w);
}
