/* Wishes, and accounts that leave. A wish holds until another one takes its place; a controller tells all of its own anew on each link, so those of the link before are taken back
 * first: what was wished for while the link was down is not known here.
 */
#include "invoker/far/serve.h"

#include "ports/scaler.h"

/* Something is wished for, by name. */
struct wished {
    struct nr_map_node node; /* "account\npackage\nname", a stem's kind, or "" for all functions */
    char *key;
    char *account, *package, *name, *stem_kind; /* NULL: absent */
};

/* An account that is leaving, asked for by number. */
struct forgetting {
    struct nr_link link; /* in link.forgettings */
    struct link *l;
    uint64_t number, told; /* by which link */
    char *account;
};

/* ---- wishes ----------------------------------------------------------------------------------------------------- */

static void wished_free(struct link *l, struct wished *w)
{
    (void)nr_map_del(&l->wished, w->node.key);
    free(w->key);
    free(w->account);
    free(w->package);
    free(w->name);
    free(w->stem_kind);
    free(w);
}

static char *key_of(const struct scaler_wish *w)
{
    struct nr_buf b;

    nr_buf_init(&b, 16 << 10);
    if (w->stem_kind)
        nr_buf_printf(&b, "%s", w->stem_kind);
    else if (w->name)
        nr_buf_printf(&b, "%s\n%s\n%s", w->account, w->package, w->name);
    else
        nr_buf_adds(&b, "\n");
    char *key = nr_buf_detach(&b, NULL);

    nr_buf_fini(&b);
    return key;
}

static bool is_none(const struct scaler_wish *w)
{
    return w->desired < 0 && w->maximum < 0 && w->keep_alive_ms < 0 && !w->ahead_only;
}

static int note(struct link *l, const struct scaler_wish *w)
{
    nr_auto_free char *key = key_of(w);
    struct nr_map_node *n = key ? nr_map_get(&l->wished, nr_str_of(key)) : NULL;

    if (n && is_none(w))
        wished_free(l, nr_container_of(n, struct wished, node));
    if (n || is_none(w))
        return 0;
    if (key == NULL || l->wished.count >= SERVE_WISHED_MAX)
        return NR_ETOOBIG;
    struct wished *one = nr_alloc(sizeof(*one));

    *one = (struct wished){.account = nr_strdup(w->account),
                           .package = nr_strdup(w->package),
                           .name = nr_strdup(w->name),
                           .stem_kind = nr_strdup(w->stem_kind)};
    one->key = nr_steal(&key);
    one->node.key = nr_str_of(one->key);
    (void)nr_map_put(&l->wished, &one->node);
    return 0;
}

int frame_wish(struct link *l, const struct wire_frame *f, struct nr_err *err)
{
    struct scaler_wish w = {.desired = -1, .maximum = -1, .keep_alive_ms = -1};

    if (wire_read(&wire_wish_form, f->meta, &l->arena, &w, err) < 0)
        return NR_EPROTO;
    if (w.name && w.account == NULL)
        return nr_err_set(err, NR_EPROTO, "it names a function without an account");
    if (w.name && w.package == NULL)
        w.package = "";
    if (note(l, &w) == 0)
        invoker_wish(l->invoker, &w);
    else
        nr_log(l->log, NR_LOG_WARN, "link", "a wish is passed over: there are %d already",
               SERVE_WISHED_MAX);
    return 0;
}

static void take_back(struct nr_map_node *n, void *arg)
{
    struct wished *one = nr_container_of(n, struct wished, node);
    struct link *l = arg;
    const struct scaler_wish w = {.account = one->account,
                                  .package = one->package,
                                  .name = one->name,
                                  .stem_kind = one->stem_kind,
                                  .desired = -1,
                                  .maximum = -1,
                                  .keep_alive_ms = -1};

    invoker_wish(l->invoker, &w);
    wished_free(l, one);
}

void wishes_clear(struct link *l)
{
    (void)nr_map_drain(&l->wished, NULL, take_back, l);
}

static void wished_gone(struct nr_map_node *n, void *arg)
{
    wished_free(arg, nr_container_of(n, struct wished, node));
}

void wishes_fini(struct link *l)
{
    (void)nr_map_drain(&l->wished, NULL, wished_gone, l);
}

/* ---- accounts that leave ---------------------------------------------------------------------------------------- */

static void forgetting_free(struct forgetting *g)
{
    nr_list_del(&g->link);
    free(g->account);
    free(g);
}

static void on_forgotten(void *arg)
{
    struct forgetting *g = arg;
    struct link *l = g->l;

    known_forget_account(l, g->account); /* what was told of it meanwhile, too */
    if (g->told == l->links) /* else the controller asks again, with a number of the new link */
        serve_send_bare(l, WIRE_FORGOTTEN, 0, g->number);
    forgetting_free(g);
}

int frame_forget_account(struct link *l, const struct wire_frame *f, struct nr_err *err)
{
    struct wire_auth w = {0};

    if (wire_read(&wire_auth_form, f->meta, &l->arena, &w, err) < 0)
        return NR_EPROTO;
    if (w.account.n == 0 || memchr(w.account.p, '\0', w.account.n))
        return nr_err_set(err, NR_EPROTO, "it names no account");
    struct forgetting *g = nr_alloc(sizeof(*g));

    *g = (struct forgetting){.l = l,
                             .number = f->head.call,
                             .told = l->links,
                             .account = nr_strndup(w.account.p, w.account.n)};
    nr_list_add(&l->forgettings, &g->link);
    known_forget_account(l, g->account);
    invoker_forget_account(l->invoker, g->account, on_forgotten, g);
    return 0;
}

void forgettings_fini(struct link *l)
{
    NR_LIST_EACH(&l->forgettings, each)
        forgetting_free(nr_container_of(each, struct forgetting, link));
}
