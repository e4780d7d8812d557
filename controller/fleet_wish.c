/* What the scaler wishes, shared out over the hosts. A wish is one for all hosts together; each gets a part of its containers, the function's home the first, and
 * nothing where the function cannot be. It is kept here, so that it can be shared out anew when a host joins, is lost or is cordoned.
 */
#include "controller/fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

enum { KEY_MAX_BYTES = 1024 };

struct fleet_wish {
    struct nr_map_node node; /* "account/package/name", "stem:python:3", "all"; made */
    struct scaler_wish wish; /* its texts are the next ones */
    char *account, *package, *name, *stem_kind;
    struct function *fn; /* shared; as it is now; NULL: not known yet */
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

static int share_of(const struct fleet_view *view, size_t at, int count)
{
    return count < 0 ? count : placement_share(view->hosts, view->n, &view->call, at, count);
}

static void share_out(struct invokers *f, struct fleet_wish *w)
{
    struct fleet_view view;

    look(f, w, &view);
    for (size_t i = 0; i < view.n; i++) {
        const struct fleet_host *host = view.of[i];
        struct scaler_wish part = w->wish;

        if (w->name || w->stem_kind) {
            part.desired = share_of(&view, i, w->wish.desired);
            part.maximum = share_of(&view, i, w->wish.maximum);
        }
        if (host == NULL) {
            invoker_wish(f->local, &part);
            if (w->fn && part.desired > 0)
                invoker_know(f->local, w->fn);
        } else if (host->far && far_is_up(host->far)) {
            far_wish(host->far, &part);
            if (w->fn && part.desired > 0)
                far_know(host->far, w->fn);
        }
    }
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
    share_out(f, w);
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
    share_out(f, w);
}

void fleet_wish_again(struct invokers *f)
{
    struct nr_map_node *n = NULL;
    size_t at = 0;

    if (f->closing)
        return;
    while ((n = nr_map_next(&f->wishes, &at, n)) != NULL)
        share_out(f, nr_container_of(n, struct fleet_wish, node));
}

/* ---- the end ------------------------------------------------------------------------------------------------------ */

void fleet_wish_forget_account(struct invokers *f, const char *account)
{
    struct nr_map_node *n = NULL;
    size_t at = 0;

    while ((n = nr_map_next(&f->wishes, &at, n)) != NULL) {
        struct fleet_wish *w = nr_container_of(n, struct fleet_wish, node);

        if (w->account == NULL || strcmp(w->account, account) != 0)
            continue;
        wish_free(f, w);
        n = NULL; /* a removal moves the others */
        at = 0;
    }
}

void fleet_wish_fini(struct invokers *f)
{
    struct nr_map_node *n;
    size_t at = 0;

    while ((n = nr_map_next(&f->wishes, &at, NULL)) != NULL) {
        wish_free(f, nr_container_of(n, struct fleet_wish, node));
        at = 0;
    }
    nr_map_fini(&f->wishes);
}
