/* What the scaler wishes, shared out over the hosts. A wish is one for all hosts together; each gets a part of its containers, the function's home the first, and
 * nothing where the function cannot be. It is kept here, so that it can be shared out anew when a host joins, is lost or is cordoned: a host is told its part when that is
 * another one than it was told last. With many wishes and hosts that takes a while: it is done in turns of the loop.
 */
#include "controller/fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"

enum { KEY_MAX_BYTES = 1024, TURN_US = 500, NOT_TOLD = -2 };

/* What a host was told of a wish. */
struct told {
    int desired, maximum; /* desired NOT_TOLD: nothing */
};

struct fleet_wish {
    struct nr_map_node node; /* "account/package/name", "stem:python:3", "all"; made */
    struct scaler_wish wish; /* its texts are the next ones */
    char *account, *package, *name, *stem_kind;
    struct function *fn; /* shared; as it is now; NULL: not known yet */
    struct told *told;   /* made; by the hosts' slots */
    size_t told_count;
    struct nr_link due; /* in f->due: to be shared out anew */
};

static struct fleet_wish *find(const struct invokers *f, struct nr_str key)
{
    struct nr_map_node *n = nr_map_get(&f->wishes, key);

    return n ? nr_container_of(n, struct fleet_wish, node) : NULL;
}

static struct nr_str key_of(const char *account, const char *package, const char *name,
                            const char *stem_kind, char room[KEY_MAX_BYTES])
{
    int n = stem_kind ? snprintf(room, KEY_MAX_BYTES, "stem:%s", stem_kind)
            : name    ? snprintf(room, KEY_MAX_BYTES, "%s/%s/%s", account, package, name)
                      : snprintf(room, KEY_MAX_BYTES, "all");

    return (struct nr_str){room, n < KEY_MAX_BYTES ? (size_t)n : KEY_MAX_BYTES - 1};
}

static void wish_free(struct invokers *f, struct fleet_wish *w)
{
    char *key = (char *)(uintptr_t)w->node.key.p;

    (void)nr_map_del(&f->wishes, w->node.key);
    nr_list_del(&w->due);
    free(w->told);
    function_unref(w->fn);
    free(w->account);
    free(w->package);
    free(w->name);
    free(w->stem_kind);
    free(key);
    free(w);
}

static struct fleet_wish *wish_make(struct invokers *f, struct nr_str key,
                                    const struct scaler_wish *of)
{
    struct fleet_wish *w = nr_alloc(sizeof(*w));

    w->account = nr_strdup(of->account);
    w->package = nr_strdup(of->package);
    w->name = nr_strdup(of->name);
    w->stem_kind = nr_strdup(of->stem_kind);
    w->node.key = (struct nr_str){nr_strndup(key.p, key.n), key.n};
    (void)nr_map_put(&f->wishes, &w->node);
    return w;
}

size_t fleet_wish_hosts_max(const struct invokers *f, struct nr_str name)
{
    const struct fleet_wish *w = f->wishes.count ? find(f, name) : NULL;
    int most = w == NULL ? -1 : w->wish.maximum;

    if (w && w->wish.ahead_only && (most < 0 || w->wish.desired < most))
        most = w->wish.desired;
    return w == NULL || (w->wish.maximum < 0 && !w->wish.ahead_only) ? 0
           : most > 1                                                ? (size_t)most
                                                                     : 1;
}

/* ---- sharing out -------------------------------------------------------------------------------------------------- */

/* The hosts for it; what a function must find is passed over while it is not known. */
static void look(struct invokers *f, const struct fleet_wish *w, struct fleet_view *ret)
{
    char none[] = "";
    const struct function blank = {.account = w->account ? w->account : none,
                                   .package = w->package ? w->package : none,
                                   .name = w->name        ? w->name
                                           : w->stem_kind ? w->stem_kind
                                                          : none};

    fleet_look(f, w->fn ? w->fn : &blank, ret);
}

/* The parts of all hosts, as they stand in the view. */
static void share(const struct fleet_wish *w, const struct fleet_view *view,
                  struct told parts[static PLACE_HOSTS_MAX])
{
    bool whole = w->name == NULL && w->stem_kind == NULL; /* for all functions: for each host */
    uint16_t order[PLACE_HOSTS_MAX];
    size_t sharers = whole ? 0 : placement_order(view->hosts, view->n, &view->call, order);
    const struct scaler_wish *of = &w->wish;

    for (size_t i = 0; i < view->n; i++)
        parts[i] = (struct told){whole || of->desired < 0 ? of->desired : 0,
                                 whole || of->maximum < 0 ? of->maximum : 0};
    for (size_t rank = 0; rank < sharers; rank++) {
        struct told *part = &parts[order[rank]];

        if (of->desired > 0)
            part->desired = placement_share(rank, sharers, of->desired);
        if (of->maximum > 0)
            part->maximum = placement_share(rank, sharers, of->maximum);
    }
}

static struct told *told_in(struct fleet_wish *w, size_t slot)
{
    enum { STEP = 8 };

    if (slot >= w->told_count) {
        size_t n = (slot / STEP + 1) * STEP;
        struct told *more = nr_alloc(n * sizeof(*more));

        if (w->told_count)
            memcpy(more, w->told, w->told_count * sizeof(*more));
        for (size_t i = w->told_count; i < n; i++)
            more[i] = (struct told){.desired = NOT_TOLD};
        free(w->told);
        w->told = more;
        w->told_count = n;
    }
    return &w->told[slot];
}

/* Is that another one than the host was told last? It is told now. */
static bool is_news(struct fleet_wish *w, const struct fleet_host *host, struct told part)
{
    struct told *last = told_in(w, host->slot);

    if (!host->fresh && last->desired == part.desired && last->maximum == part.maximum)
        return false;
    *last = part;
    return true;
}

static void tell(struct invokers *f, struct fleet_wish *w, struct fleet_host *host,
                 struct told part)
{
    struct scaler_wish wish = w->wish;

    wish.desired = part.desired;
    wish.maximum = part.maximum;
    if (host == NULL) {
        invoker_wish(f->local, &wish);
        if (w->fn && part.desired > 0)
            invoker_know(f->local, w->fn);
    } else if (host->far && far_is_up(host->far) && is_news(w, host, part)) {
        far_wish(host->far, &wish);
        if (w->fn && part.desired > 0)
            far_know(host->far, w->fn);
    }
}

static void share_out(struct invokers *f, struct fleet_wish *w)
{
    struct told parts[PLACE_HOSTS_MAX];
    struct fleet_view view;

    nr_list_del(&w->due);
    look(f, w, &view);
    share(w, &view, parts);
    for (size_t i = 0; i < view.n; i++)
        tell(f, w, view.of[i], parts[i]);
}

/* It is another one: everybody is told. */
static void share_out_anew(struct invokers *f, struct fleet_wish *w)
{
    for (size_t i = 0; i < w->told_count; i++)
        w->told[i].desired = NOT_TOLD;
    share_out(f, w);
}

static void share_some(struct invokers *f)
{
    uint64_t began_us = nr_mono_us();
    struct nr_link *it;

    while ((it = nr_list_pop(&f->due)) != NULL) {
        share_out(f, nr_container_of(it, struct fleet_wish, due));
        if (nr_mono_us() - began_us >= TURN_US)
            break;
    }
    if (!nr_list_empty(&f->due)) {
        nr_deadline_set(f->loop, &f->share, 0);
        return;
    }
    for (size_t i = 0; i < f->host_count; i++)
        f->hosts[i]->fresh = false;
}

static void on_share(struct nr_deadline *d)
{
    share_some(nr_container_of(d, struct invokers, share));
}

static bool is_nothing(const struct scaler_wish *w)
{
    return w->desired < 0 && w->maximum < 0 && w->keep_alive_ms < 0 && !w->ahead_only;
}

void invokers_wish(struct invokers *f, const struct scaler_wish *wish)
{
    char room[KEY_MAX_BYTES];
    struct fleet_wish *w;

    if (f->config.listen == NULL) {
        invoker_wish(f->local, wish);
        return;
    }
    const struct nr_str key =
        key_of(wish->account, wish->package, wish->name, wish->stem_kind, room);

    w = find(f, key);
    if (w == NULL)
        w = wish_make(f, key, wish);
    w->wish = *wish;
    w->wish.account = w->account;
    w->wish.package = w->package;
    w->wish.name = w->name;
    w->wish.stem_kind = w->stem_kind;
    share_out_anew(f, w);
    if (is_nothing(wish))
        wish_free(f, w);
}

void invokers_know(struct invokers *f, struct function *fn)
{
    char room[KEY_MAX_BYTES];
    struct fleet_wish *w;

    if (f->config.listen == NULL) {
        invoker_know(f->local, fn);
        return;
    }
    w = find(f, key_of(fn->account, fn->package, fn->name, NULL, room));
    if (w == NULL)
        return;
    function_unref(w->fn);
    w->fn = function_ref(fn);
    share_out_anew(f, w);
}

void fleet_wish_again(struct invokers *f)
{
    struct nr_map_node *n = NULL;
    size_t at = 0;

    if (f->closing)
        return;
    while ((n = nr_map_next(&f->wishes, &at, n)) != NULL) {
        struct fleet_wish *w = nr_container_of(n, struct fleet_wish, node);

        if (!nr_list_linked(&w->due))
            nr_list_add(&f->due, &w->due);
    }
    f->share.fire = on_share;
    share_some(f);
}

/* ---- the end ------------------------------------------------------------------------------------------------------ */

struct leaver {
    struct invokers *f;
    const char *account; /* NULL: all */
};

static bool is_of(struct nr_map_node *n, void *arg)
{
    const struct fleet_wish *w = nr_container_of(n, struct fleet_wish, node);
    const struct leaver *l = arg;

    return l->account == NULL || (w->account && strcmp(w->account, l->account) == 0);
}

static void gone(struct nr_map_node *n, void *arg)
{
    const struct leaver *l = arg;

    wish_free(l->f, nr_container_of(n, struct fleet_wish, node));
}

void fleet_wish_forget_account(struct invokers *f, const char *account)
{
    struct leaver l = {f, account};

    (void)nr_map_drain(&f->wishes, is_of, gone, &l);
}

void fleet_wish_fini(struct invokers *f)
{
    nr_deadline_cancel(&f->share);
    fleet_wish_forget_account(f, NULL);
    nr_map_fini(&f->wishes);
}
