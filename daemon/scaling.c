/* The scaler in this process or beside it: its wishes go to the invoker, and a function that is wished for is known to the invoker as it is now, before its
 * first call and after each change. While its account may call nothing (a limit of 0, suspended) the wish is kept here and taken back from the invoker.
 *
 * The role `scaler` is a process with a bus, a scaler and nothing else: it learns policies from the bus and has nobody to wish to.
 */
#include "daemon/scaling.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/map.h"
#include "common/base/mem.h"
#include "daemon/sampler.h"
#include "ports/scaler.h"

/* A function of which containers are wished for. */
struct wished {
    struct nr_map_node node;
    char *key; /* "account/package/name" */
    char *account, *package, *name;
    int desired, maximum;
    int64_t keep_alive_ms;
    bool ahead_only;
    bool taken_back; /* the invoker is to have none: its account may call nothing */
    bool asked, again;
};

struct scaling {
    struct daemon *d;
    struct nr_map wished;
};

/* A question to the function manager; it may outlive the wish. */
struct asking {
    struct fn_call call;
    struct scaling *s;
    struct account *account;
    char *key, *package, *name;
};

/* ---- what is wished for is known ----------------------------------------------------------------------------- */

static void ask(struct scaling *s, struct wished *w);

static struct wished *find(struct scaling *s, const char *key)
{
    struct nr_map_node *n = nr_map_get(&s->wished, nr_str_of(key));

    return n ? nr_container_of(n, struct wished, node) : NULL;
}

static void on_resolved(struct fn_call *call)
{
    struct asking *a = call->owner;
    struct scaling *s = a->s;
    struct wished *w = s->d->stopping ? NULL : find(s, a->key);

    if (w) {
        w->asked = false;
        if (call->fn && call->err.code == 0 && !w->again)
            invokers_know(s->d->invokers, call->fn);
        if (w->again)
            ask(s, w); /* it has changed meanwhile */
    }
    function_unref(call->fn);
    account_unref(a->account);
    nr_buf_fini(&call->reply);
    free(a->key);
    free(a->package);
    free(a->name);
    free(a);
}

/* The account of w (shared, given); NULL when it may call nothing: nor is its code loaded ahead. */
static struct account *who_may_call(struct scaling *s, const struct wished *w)
{
    struct account *account = NULL;

    if (fnmanager_account(s->d->fnmanager, nr_str_of(w->account), &account, NULL) < 0)
        return NULL;
    if (account->invocations_per_minute != 0 && account->concurrent_invocations != 0)
        return account;
    account_unref(account);
    return NULL;
}

/* As it was wished, or none at all. */
static void take_back(struct scaling *s, struct wished *w, bool none)
{
    const struct scaler_wish wish = {.account = w->account,
                                     .package = w->package,
                                     .name = w->name,
                                     .desired = none ? 0 : w->desired,
                                     .maximum = w->maximum,
                                     .keep_alive_ms = w->keep_alive_ms,
                                     .ahead_only = w->ahead_only};

    if (w->taken_back == none)
        return;
    w->taken_back = none;
    invokers_wish(s->d->invokers, &wish);
}

static void ask(struct scaling *s, struct wished *w)
{
    if (s->d->stopping)
        return;
    struct account *account = who_may_call(s, w);

    take_back(s, w, account == NULL);
    w->again = w->asked;
    if (w->asked || account == NULL) {
        account_unref(account);
        return;
    }
    struct asking *a = nr_alloc(sizeof(*a));

    *a = (struct asking){.s = s,
                         .account = account,
                         .key = nr_strdup(w->key),
                         .package = nr_strdup(w->package),
                         .name = nr_strdup(w->name)};
    a->call = (struct fn_call){.op = FN_RESOLVE,
                               .account = account,
                               .package = nr_str_of(a->package),
                               .name = nr_str_of(a->name),
                               .loop = &s->d->loop,
                               .done = on_resolved,
                               .owner = a};
    w->asked = true;
    fnmanager_post(s->d->fnmanager, &a->call);
}

static void wished_free(struct scaling *s, struct wished *w)
{
    (void)nr_map_del(&s->wished, w->node.key);
    free(w->key);
    free(w->account);
    free(w->package);
    free(w->name);
    free(w);
}

static void know(struct scaling *s, const struct scaler_wish *wish)
{
    struct nr_buf key;

    nr_buf_init(&key, 4096);
    nr_buf_printf(&key, "%s/%s/%s", wish->account, wish->package, wish->name);
    char *text = nr_buf_detach(&key, NULL);
    struct wished *w = text ? find(s, text) : NULL;

    if (text == NULL || (w == NULL && wish->desired <= 0)) {
        free(text);
        return;
    }
    if (w) {
        free(text);
    } else {
        w = nr_alloc(sizeof(*w));
        *w = (struct wished){.key = text,
                             .account = nr_strdup(wish->account),
                             .package = nr_strdup(wish->package),
                             .name = nr_strdup(wish->name)};
        w->node.key = nr_str_of(w->key);
        (void)nr_map_put(&s->wished, &w->node);
    }
    w->desired = wish->desired;
    w->maximum = wish->maximum;
    w->keep_alive_ms = wish->keep_alive_ms;
    w->ahead_only = wish->ahead_only;
    w->taken_back = false; /* the invoker has just been told */
    if (wish->desired > 0)
        ask(s, w);
    else
        wished_free(s, w);
}

void scaling_changed(struct daemon *d, const char *account, const char *package, const char *name)
{
    struct nr_map_node *n = NULL;
    size_t at = 0;

    if (d->scaling == NULL || d->stopping)
        return;
    while ((n = nr_map_next(&d->scaling->wished, &at, n)) != NULL) {
        struct wished *w = nr_container_of(n, struct wished, node);

        if (strcmp(w->account, account) == 0 &&
            (package == NULL || strcmp(w->package, package) == 0) &&
            (name[0] == '\0' || strcmp(w->name, name) == 0))
            ask(d->scaling, w);
    }
}

static void on_wish(void *arg, const struct scaler_wish *w)
{
    struct daemon *d = arg;

    if (d->stopping)
        return;
    invokers_wish(d->invokers, w);
    if (w->name)
        know(d->scaling, w);
}

/* The function manager knows it; an account that is suspended has its functions all the same. */
static enum scaler_known on_known(void *arg, const char *account, const char *function)
{
    struct daemon *d = arg;
    struct account *there = NULL;
    struct nr_str rest = nr_str_of(function), package;

    if (fnmanager_account(d->fnmanager, nr_str_of(account), &there, NULL) == NR_ENOENT)
        return SCALER_NO_ACCOUNT;
    account_unref(there);
    (void)nr_str_split(&rest, '/', &package);
    if (rest.p == NULL) {
        rest = package;
        package = NR_STR("");
    }
    return fnmanager_has_function(d->fnmanager, nr_str_of(account), package, rest) == NR_ENOENT
               ? SCALER_NO_FUNCTION
               : SCALER_KNOWN;
}

/* ---- opening and closing ------------------------------------------------------------------------------------- */

static enum scaler_predict predict_of(const char *word)
{
    return strcmp(word, "on") == 0       ? SCALER_PREDICT_ON
           : strcmp(word, "shadow") == 0 ? SCALER_PREDICT_SHADOW
                                         : SCALER_PREDICT_OFF;
}

bool scaling_is_all(const struct daemon *d)
{
    return strcmp(d->options.roles, "scaler") == 0;
}

int scaling_judge(struct daemon *d, struct nr_err *err)
{
    if (scaling_is_all(d) && d->options.kafka == NULL)
        return nr_err_set(
            err, NR_EINVAL,
            "--roles=scaler needs --kafka: it hears of calls and policies over a broker");
    if (strcmp(d->options.scaler, "elsewhere") == 0 && d->options.kafka == NULL)
        return nr_err_set(err, NR_EINVAL,
                          "--scaler=elsewhere needs --kafka: decisions come over a broker");
    if (d->options.scaling_time > 1 && d->options.kafka)
        return nr_err_set(err, NR_EINVAL,
                          "--scaling-time=%lld is a trial within one process: not with --kafka, "
                          "over which others are told of times",
                          (long long)d->options.scaling_time);
    return 0;
}

int part_open_scaler(struct daemon *d, struct nr_err *err)
{
    static const char *const stem_kinds[] = {"python:3", "nodejs:18", "native", "wasm:1", NULL};
    bool alone = scaling_is_all(d);

    if (!alone && strcmp(d->options.scaler, "off") == 0)
        return 0;
    const struct scaler_config c = {.loop = &d->loop,
                                    .bus = d->bus,
                                    .brokers = d->options.kafka,
                                    .data_dir = d->options.data,
                                    .node = d->host,
                                    .decides = alone || strcmp(d->options.scaler, "here") == 0,
                                    .platform = !alone,
                                    .predict = predict_of(d->options.predict),
                                    .memory_price = (double)d->options.memory_price / 1000,
                                    .pace = {nr_wall_ms(), d->options.scaling_time},
                                    .retention_s = d->options.scaling_days * 86400,
                                    .history_max_bytes = d->options.scaling_mb << 20,
                                    .wish = alone ? NULL : on_wish,
                                    .known = alone ? NULL : on_known,
                                    .stem_kinds = alone ? NULL : stem_kinds,
                                    .arg = d,
                                    .log = &d->log};

    if (c.pace.times > 1)
        sampler_pace(d->sampler, &c.pace);
    d->scaling = nr_alloc(sizeof(*d->scaling));
    d->scaling->d = d;
    nr_map_init(&d->scaling->wished);
    return scaler_open(&c, &d->scaler, err);
}

static void wished_gone(struct nr_map_node *n, void *arg)
{
    wished_free(arg, nr_container_of(n, struct wished, node));
}

void scaling_close(struct daemon *d)
{
    scaler_close(d->scaler);
    d->scaler = NULL;
    if (d->scaling == NULL)
        return;
    (void)nr_map_drain(&d->scaling->wished, NULL, wished_gone, d->scaling);
    nr_map_fini(&d->scaling->wished);
}

void scaling_free(struct daemon *d)
{
    free(d->scaling);
    d->scaling = NULL;
}
