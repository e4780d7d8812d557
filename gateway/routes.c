/* The table of routes, and what a path means.
 *
 * A path is split at its slashes, each segment is decoded strictly (a bad escape or a NUL is refused) and compared with the
 * patterns of the table, whose rows also say which key, which body and which call. A path that fits a row of another method is
 * a 405 that names the methods it has; else it is a 404.
 *
 * What a pattern takes out of a path is checked here before any call sees it: names obey OpenWhisk's rule, which leaves no
 * slash, no dot segment and no NUL, and the namespace is `_` or the caller's own, but where a route is of what others may share: there the function
 * manager judges. The answer about a foreign namespace is the same whether the thing exists or not.
 */
#include "gateway/internal.h"
#include "gateway/openapi.h"

#define NS "/api/v1/namespaces/:namespace"
#define WEB "/api/v1/web/:account/:package/:name"
#define APIMGMT "/api/v1/web/whisk.system/apimgmt"
#define SCALING "/narae/v1/scaling"
#define WEB_FLAGS (ROUTE_ANY_TAIL | ROUTE_WEB)
#define CODE_MAX_BYTES (48 << 20)

static const struct body_limit bodies[] = {
    [BODY_IGNORED] = {"Request", 65536, 65536, false},
    [BODY_SETTINGS] = {"Request", 65536, 65536, true},
    [BODY_ACTION] = {"exec", 50 << 20, CODE_MAX_BYTES, true},
    [BODY_ENTITY] = {"Request", 8 << 20, 8 << 20, true},
    [BODY_ARCHIVE] = {"Archive", 128 << 20, 128 << 20, false},
    [BODY_PAYLOAD] = {"Request", NR_PAYLOAD_MAX_BYTES, NR_PAYLOAD_MAX_BYTES, true},
    [BODY_TEXT] = {"Document", 65536, 65536, false},
    [BODY_WEB] = {"Request", NR_PAYLOAD_MAX_BYTES, NR_PAYLOAD_MAX_BYTES, false},
};

/* clang-format off */
const struct route routes[] = {
    {NR_HTTP_GET, "/", 0, BODY_IGNORED, 0, info_root, 0},
    {NR_HTTP_GET, "/healthz", 0, BODY_IGNORED, ROUTE_ALWAYS, info_health, 0},
    {NR_HTTP_GET, "/ping", 0, BODY_IGNORED, ROUTE_ALWAYS, info_health, 1},
    {NR_HTTP_GET, "/readyz", 0, BODY_IGNORED, ROUTE_ALWAYS, info_ready, 0},
    {NR_HTTP_GET, "/metrics", SCOPE_READ, BODY_IGNORED, ROUTE_ALWAYS | ROUTE_KEY_OPTIONAL, info_metrics, 0},

    {NR_HTTP_POST, APIMGMT "/createApi", SCOPE_WRITE, BODY_PAYLOAD, 0, apis_call, FN_API_CREATE},
    {NR_HTTP_POST, APIMGMT "/createApi.http", SCOPE_WRITE, BODY_PAYLOAD, 0, apis_call, FN_API_CREATE},
    {NR_HTTP_GET, APIMGMT "/getApi", SCOPE_READ, BODY_IGNORED, 0, apis_call, FN_API_GET},
    {NR_HTTP_GET, APIMGMT "/getApi.http", SCOPE_READ, BODY_IGNORED, 0, apis_call, FN_API_GET},
    {NR_HTTP_DELETE, APIMGMT "/deleteApi", SCOPE_WRITE, BODY_IGNORED, 0, apis_call, FN_API_DELETE},
    {NR_HTTP_DELETE, APIMGMT "/deleteApi.http", SCOPE_WRITE, BODY_IGNORED, 0, apis_call, FN_API_DELETE},
    {NR_HTTP_GET, "/apis", 0, BODY_WEB, ROUTE_UNLISTED | WEB_FLAGS, apis_serve, 0},
    {NR_HTTP_HEAD, "/apis", 0, BODY_WEB, ROUTE_UNLISTED | WEB_FLAGS, apis_serve, 0},
    {NR_HTTP_POST, "/apis", 0, BODY_WEB, ROUTE_UNLISTED | WEB_FLAGS, apis_serve, 0},
    {NR_HTTP_PUT, "/apis", 0, BODY_WEB, ROUTE_UNLISTED | WEB_FLAGS, apis_serve, 0},
    {NR_HTTP_DELETE, "/apis", 0, BODY_WEB, ROUTE_UNLISTED | WEB_FLAGS, apis_serve, 0},
    {NR_HTTP_PATCH, "/apis", 0, BODY_WEB, ROUTE_UNLISTED | WEB_FLAGS, apis_serve, 0},
    {NR_HTTP_OPTIONS, "/apis", 0, BODY_WEB, ROUTE_UNLISTED | WEB_FLAGS, apis_serve, 0},

    {NR_HTTP_GET, WEB, 0, BODY_WEB, WEB_FLAGS, web_route_call, 0},
    {NR_HTTP_POST, WEB, 0, BODY_WEB, WEB_FLAGS, web_route_call, 0},
    {NR_HTTP_PUT, WEB, 0, BODY_WEB, WEB_FLAGS, web_route_call, 0},
    {NR_HTTP_DELETE, WEB, 0, BODY_WEB, WEB_FLAGS, web_route_call, 0},
    {NR_HTTP_PATCH, WEB, 0, BODY_WEB, WEB_FLAGS, web_route_call, 0},
    {NR_HTTP_HEAD, WEB, 0, BODY_WEB, WEB_FLAGS, web_route_call, 0},
    {NR_HTTP_OPTIONS, WEB, 0, BODY_WEB, WEB_FLAGS, web_route_call, 0},
    {NR_HTTP_OPTIONS, "/api/v1", 0, BODY_IGNORED, ROUTE_ANY_TAIL | ROUTE_UNLISTED, info_options, 0},
    {NR_HTTP_GET, "/api/v1/?", 0, BODY_IGNORED, 0, info_api, 0},
    {NR_HTTP_GET, "/api/v1/api-docs", 0, BODY_IGNORED, 0, openapi_call, OPENAPI_SWAGGER},
    {NR_HTTP_GET, "/api/v1/docs", 0, BODY_IGNORED, 0, openapi_page, 0},
    {NR_HTTP_GET, "/api/v1/namespaces/?", SCOPE_READ, BODY_IGNORED, 0, info_namespaces, 0},
    {NR_HTTP_GET, NS "/limits", SCOPE_READ, BODY_IGNORED, 0, info_limits, 0},

    {NR_HTTP_GET, NS "/actions/?", SCOPE_READ, BODY_IGNORED, 0, actions_call, FN_ACTION_LIST},
    {NR_HTTP_GET, NS "/actions/:package/", SCOPE_READ, BODY_IGNORED, ROUTE_SHARED, actions_call, FN_ACTION_LIST},
    {NR_HTTP_GET, NS "/actions/:name", SCOPE_READ, BODY_IGNORED, 0, actions_call, FN_ACTION_GET},
    {NR_HTTP_PUT, NS "/actions/:name", SCOPE_WRITE, BODY_ACTION, 0, actions_call, FN_ACTION_PUT},
    {NR_HTTP_DELETE, NS "/actions/:name", SCOPE_WRITE, BODY_IGNORED, 0, actions_call, FN_ACTION_DELETE},
    {NR_HTTP_POST, NS "/actions/:name", SCOPE_INVOKE, BODY_PAYLOAD, 0, invoke_call, 0},
    {NR_HTTP_GET, NS "/actions/:package/:name", SCOPE_READ, BODY_IGNORED, ROUTE_SHARED, actions_call, FN_ACTION_GET},
    {NR_HTTP_PUT, NS "/actions/:package/:name", SCOPE_WRITE, BODY_ACTION, 0, actions_call, FN_ACTION_PUT},
    {NR_HTTP_DELETE, NS "/actions/:package/:name", SCOPE_WRITE, BODY_IGNORED, 0, actions_call, FN_ACTION_DELETE},
    {NR_HTTP_POST, NS "/actions/:package/:name", SCOPE_INVOKE, BODY_PAYLOAD, ROUTE_SHARED, invoke_call, 0},

    {NR_HTTP_GET, NS "/packages/?", SCOPE_READ, BODY_IGNORED, ROUTE_SHARED, actions_call, FN_PACKAGE_LIST},
    {NR_HTTP_GET, NS "/packages/:package", SCOPE_READ, BODY_IGNORED, ROUTE_SHARED, actions_call, FN_PACKAGE_GET},
    {NR_HTTP_PUT, NS "/packages/:package", SCOPE_WRITE, BODY_ENTITY, 0, actions_call, FN_PACKAGE_PUT},
    {NR_HTTP_DELETE, NS "/packages/:package", SCOPE_WRITE, BODY_IGNORED, 0, actions_call, FN_PACKAGE_DELETE},

    {NR_HTTP_GET, NS "/triggers/?", SCOPE_READ, BODY_IGNORED, 0, actions_call, FN_TRIGGER_LIST},
    {NR_HTTP_GET, NS "/triggers/:name", SCOPE_READ, BODY_IGNORED, 0, actions_call, FN_TRIGGER_GET},
    {NR_HTTP_PUT, NS "/triggers/:name", SCOPE_WRITE, BODY_ENTITY, 0, actions_call, FN_TRIGGER_PUT},
    {NR_HTTP_DELETE, NS "/triggers/:name", SCOPE_WRITE, BODY_IGNORED, 0, actions_call, FN_TRIGGER_DELETE},
    {NR_HTTP_POST, NS "/triggers/:name", SCOPE_INVOKE, BODY_PAYLOAD, 0, fire_call, 0},
    {NR_HTTP_GET, NS "/rules/?", SCOPE_READ, BODY_IGNORED, 0, actions_call, FN_RULE_LIST},
    {NR_HTTP_GET, NS "/rules/:name", SCOPE_READ, BODY_IGNORED, 0, actions_call, FN_RULE_GET},
    {NR_HTTP_PUT, NS "/rules/:name", SCOPE_WRITE, BODY_ENTITY, 0, actions_call, FN_RULE_PUT},
    {NR_HTTP_POST, NS "/rules/:name", SCOPE_WRITE, BODY_ENTITY, 0, actions_call, FN_RULE_STATE},
    {NR_HTTP_DELETE, NS "/rules/:name", SCOPE_WRITE, BODY_IGNORED, 0, actions_call, FN_RULE_DELETE},

    {NR_HTTP_GET, NS "/activations/?", SCOPE_READ, BODY_IGNORED, 0, activations_call, QUERY_LIST},
    {NR_HTTP_GET, NS "/activations/:id", SCOPE_READ, BODY_IGNORED, 0, activations_call, QUERY_GET},
    {NR_HTTP_GET, NS "/activations/:id/logs", SCOPE_READ, BODY_IGNORED, 0, activations_call, QUERY_LOGS},
    {NR_HTTP_GET, NS "/activations/:id/result", SCOPE_READ, BODY_IGNORED, 0, activations_call, QUERY_RESULT},

    {NR_HTTP_GET, "/narae/v1/accounts", SCOPE_ADMIN, BODY_IGNORED, 0, accounts_call, FN_ACCOUNT_LIST},
    {NR_HTTP_POST, "/narae/v1/accounts", SCOPE_ADMIN, BODY_SETTINGS, 0, accounts_call, FN_ACCOUNT_CREATE},
    {NR_HTTP_POST, "/narae/v1/accounts/:account/suspend", SCOPE_ADMIN, BODY_SETTINGS, 0, accounts_call, FN_ACCOUNT_SUSPEND},
    {NR_HTTP_POST, "/narae/v1/accounts/:account/resume", SCOPE_ADMIN, BODY_SETTINGS, 0, accounts_call, FN_ACCOUNT_RESUME},
    {NR_HTTP_GET, "/narae/v1/accounts/:account/export", SCOPE_READ, BODY_IGNORED, 0, export_call, FN_ACCOUNT_EXPORT},
    {NR_HTTP_POST, "/narae/v1/accounts/:account/import", SCOPE_WRITE, BODY_ARCHIVE, 0, accounts_call, FN_ACCOUNT_IMPORT},
    {NR_HTTP_GET, "/narae/v1/accounts/:account/quota", SCOPE_READ, BODY_IGNORED, 0, accounts_call, FN_QUOTA_GET},
    {NR_HTTP_PUT, "/narae/v1/accounts/:account/quota", SCOPE_ADMIN, BODY_SETTINGS, 0, accounts_call, FN_QUOTA_PUT},
    {NR_HTTP_GET, "/narae/v1/accounts/:account/retention", SCOPE_READ, BODY_IGNORED, 0, accounts_call, FN_RETENTION_GET},
    {NR_HTTP_PUT, "/narae/v1/accounts/:account/retention", SCOPE_ADMIN, BODY_SETTINGS, 0, accounts_call, FN_RETENTION_PUT},
    {NR_HTTP_GET, "/narae/v1/accounts/:account/keys", SCOPE_READ, BODY_IGNORED, 0, accounts_call, FN_KEY_LIST},
    {NR_HTTP_POST, "/narae/v1/accounts/:account/keys", SCOPE_ADMIN, BODY_SETTINGS, 0, accounts_call, FN_KEY_CREATE},
    {NR_HTTP_POST, "/narae/v1/accounts/:account/keys/:item/rotate", SCOPE_ADMIN, BODY_SETTINGS, 0, accounts_call, FN_KEY_ROTATE},
    {NR_HTTP_DELETE, "/narae/v1/accounts/:account/keys/:item", SCOPE_ADMIN, BODY_IGNORED, 0, accounts_call, FN_KEY_REVOKE},
    {NR_HTTP_GET, "/narae/v1/accounts/:account", SCOPE_READ, BODY_IGNORED, 0, accounts_call, FN_ACCOUNT_SHOW},
    {NR_HTTP_DELETE, "/narae/v1/accounts/:account", SCOPE_ADMIN, BODY_IGNORED, 0, accounts_call, FN_ACCOUNT_DELETE},
    {NR_HTTP_GET, "/narae/v1/buckets", SCOPE_READ, BODY_IGNORED, 0, accounts_call, FN_BUCKET_LIST},
    {NR_HTTP_POST, "/narae/v1/buckets/:account/verify", SCOPE_READ, BODY_SETTINGS, 0, accounts_call, FN_BUCKET_VERIFY},
    {NR_HTTP_GET, "/narae/v1/accounts/:account/limits", SCOPE_ADMIN, BODY_IGNORED, 0, accounts_call, FN_ACCOUNT_GET},
    {NR_HTTP_PUT, "/narae/v1/accounts/:account/limits", SCOPE_ADMIN, BODY_SETTINGS, 0, accounts_call, FN_ACCOUNT_LIMITS},
    {NR_HTTP_GET, "/narae/v1/accounts/:account/grants", SCOPE_READ, BODY_IGNORED, 0, accounts_call, FN_GRANTS_GET},
    {NR_HTTP_PUT, "/narae/v1/accounts/:account/grants", SCOPE_ADMIN, BODY_SETTINGS, 0, accounts_call, FN_GRANTS_PUT},
    {NR_HTTP_GET, "/narae/v1/functions/?", SCOPE_READ, BODY_IGNORED, 0, functions_call, FN_FUNCTION_LIST},
    {NR_HTTP_GET, "/narae/v1/functions/:function", SCOPE_READ, BODY_IGNORED, 0, functions_call, FN_FUNCTION_GET},
    {NR_HTTP_GET, "/narae/v1/functions/:function/history", SCOPE_READ, BODY_IGNORED, 0, functions_call, FN_FUNCTION_HISTORY},
    {NR_HTTP_POST, "/narae/v1/functions/:function/block", SCOPE_WRITE, BODY_SETTINGS, 0, functions_call, FN_MOVE_BLOCK},
    {NR_HTTP_POST, "/narae/v1/functions/:function/unblock", SCOPE_WRITE, BODY_SETTINGS, 0, functions_call, FN_MOVE_UNBLOCK},
    {NR_HTTP_POST, "/narae/v1/functions/:function/retire", SCOPE_WRITE, BODY_SETTINGS, 0, functions_call, FN_MOVE_RETIRE},
    {NR_HTTP_POST, "/narae/v1/functions/:function/purge", SCOPE_WRITE, BODY_SETTINGS, 0, functions_call, FN_MOVE_PURGE},
    {NR_HTTP_POST, "/narae/v1/functions/:function/update", SCOPE_WRITE, BODY_SETTINGS, 0, functions_call, FN_UPDATE_BEGIN},
    {NR_HTTP_POST, "/narae/v1/functions/:function/update/commit", SCOPE_WRITE, BODY_ACTION, 0, functions_call, FN_UPDATE_COMMIT},
    {NR_HTTP_POST, "/narae/v1/functions/:function/update/abort", SCOPE_WRITE, BODY_SETTINGS, 0, functions_call, FN_UPDATE_ABORT},
    {NR_HTTP_GET, "/narae/v1/functions/:function/versions", SCOPE_READ, BODY_IGNORED, 0, functions_call, FN_VERSION_LIST},
    {NR_HTTP_POST, "/narae/v1/functions/:function/versions", SCOPE_WRITE, BODY_SETTINGS, 0, functions_call, FN_VERSION_PUBLISH},
    {NR_HTTP_GET, "/narae/v1/functions/:function/versions/:number", SCOPE_READ, BODY_IGNORED, 0, functions_call, FN_FUNCTION_GET},
    {NR_HTTP_DELETE, "/narae/v1/functions/:function/versions/:number", SCOPE_WRITE, BODY_IGNORED, 0, functions_call, FN_VERSION_DELETE},
    {NR_HTTP_POST, "/narae/v1/functions/:function/versions/:number/block", SCOPE_WRITE, BODY_SETTINGS, 0, functions_call, FN_MOVE_BLOCK},
    {NR_HTTP_POST, "/narae/v1/functions/:function/versions/:number/unblock", SCOPE_WRITE, BODY_SETTINGS, 0, functions_call, FN_MOVE_UNBLOCK},
    {NR_HTTP_POST, "/narae/v1/functions/:function/versions/:number/retire", SCOPE_WRITE, BODY_SETTINGS, 0, functions_call, FN_MOVE_RETIRE},
    {NR_HTTP_POST, "/narae/v1/functions/:function/versions/:number/purge", SCOPE_WRITE, BODY_SETTINGS, 0, functions_call, FN_MOVE_PURGE},
    {NR_HTTP_GET, "/narae/v1/functions/:function/versions/:number/diff/:item", SCOPE_READ, BODY_IGNORED, 0, functions_call, FN_VERSION_DIFF},
    {NR_HTTP_GET, "/narae/v1/functions/:function/aliases", SCOPE_READ, BODY_IGNORED, 0, functions_call, FN_ALIAS_LIST},
    {NR_HTTP_GET, "/narae/v1/functions/:function/aliases/:item", SCOPE_READ, BODY_IGNORED, 0, functions_call, FN_ALIAS_GET},
    {NR_HTTP_PUT, "/narae/v1/functions/:function/aliases/:item", SCOPE_WRITE, BODY_SETTINGS, 0, functions_call, FN_ALIAS_PUT},
    {NR_HTTP_DELETE, "/narae/v1/functions/:function/aliases/:item", SCOPE_WRITE, BODY_IGNORED, 0, functions_call, FN_ALIAS_DELETE},
    {NR_HTTP_POST, "/narae/v1/functions/:function/aliases/:item/rollback", SCOPE_WRITE, BODY_SETTINGS, 0, functions_call, FN_ALIAS_ROLLBACK},
    {NR_HTTP_GET, "/narae/v1/functions/:function/logs", SCOPE_READ, BODY_IGNORED, 0, logs_call, 0},
    {NR_HTTP_POST, "/narae/v1/functions/:function/preenv", SCOPE_WRITE, BODY_PAYLOAD, 0, functions_call, FN_PREENV_START},
    {NR_HTTP_GET, "/narae/v1/functions/:function/preenv", SCOPE_READ, BODY_IGNORED, 0, functions_call, FN_PREENV_LIST},
    {NR_HTTP_GET, "/narae/v1/functions/:function/preenv/:item", SCOPE_READ, BODY_IGNORED, 0, progress_call, FN_PREENV_GET},
    {NR_HTTP_POST, "/narae/v1/functions/:function/preenv/:item/cancel", SCOPE_WRITE, BODY_IGNORED, 0, functions_call, FN_PREENV_CANCEL},
    {NR_HTTP_POST, "/narae/v1/functions/:function/preenv/:item/apply", SCOPE_WRITE, BODY_IGNORED, 0, functions_call, FN_PREENV_APPLY},
    {NR_HTTP_GET, "/narae/v1/functions/:package/:name/logs", SCOPE_READ, BODY_IGNORED, 0, logs_call, 0},
    {NR_HTTP_GET, "/narae/v1/images", SCOPE_READ, BODY_IGNORED, 0, accounts_call, FN_IMAGE_LIST},
    {NR_HTTP_POST, "/narae/v1/images", SCOPE_WRITE, BODY_SETTINGS, 0, accounts_call, FN_IMAGE_PULL},
    {NR_HTTP_POST, "/narae/v1/images/prune", SCOPE_ADMIN, BODY_IGNORED, 0, accounts_call, FN_IMAGE_PRUNE},
    {NR_HTTP_GET, "/narae/v1/registries", SCOPE_READ, BODY_IGNORED, 0, accounts_call, FN_REGISTRY_LIST},
    {NR_HTTP_PUT, "/narae/v1/registries/:host", SCOPE_WRITE, BODY_SETTINGS, 0, accounts_call, FN_REGISTRY_PUT},
    {NR_HTTP_DELETE, "/narae/v1/registries/:host", SCOPE_WRITE, BODY_IGNORED, 0, accounts_call, FN_REGISTRY_DELETE},
    {NR_HTTP_GET, "/narae/v1/events", SCOPE_READ, BODY_IGNORED, 0, events_call, 0},
    {NR_HTTP_GET, "/narae/v1/invokers", SCOPE_READ, BODY_IGNORED, 0, info_invokers, 0},
    {NR_HTTP_PUT, "/narae/v1/invokers/:item", SCOPE_ADMIN, BODY_SETTINGS, 0, invokers_route_call, INVOKERS_ADD},
    {NR_HTTP_DELETE, "/narae/v1/invokers/:item", SCOPE_ADMIN, BODY_IGNORED, 0, invokers_route_call, INVOKERS_REMOVE},
    {NR_HTTP_POST, "/narae/v1/invokers/:item/cordon", SCOPE_ADMIN, BODY_IGNORED, 0, invokers_route_call, INVOKERS_CORDON},
    {NR_HTTP_POST, "/narae/v1/invokers/:item/uncordon", SCOPE_ADMIN, BODY_IGNORED, 0, invokers_route_call, INVOKERS_UNCORDON},
    {NR_HTTP_POST, "/narae/v1/invokers/:item/drain", SCOPE_ADMIN, BODY_IGNORED, 0, invokers_route_call, INVOKERS_DRAIN},
    {NR_HTTP_GET, SCALING "/policies", SCOPE_READ, BODY_IGNORED, 0, scaling_call, SCALE_LIST},
    {NR_HTTP_GET, SCALING "/policies/:item", SCOPE_READ, BODY_IGNORED, 0, scaling_call, SCALE_SHOW},
    {NR_HTTP_PUT, SCALING "/policies/:item", SCOPE_ADMIN, BODY_SETTINGS, 0, scaling_call, SCALE_PUT},
    {NR_HTTP_DELETE, SCALING "/policies/:item", SCOPE_ADMIN, BODY_IGNORED, 0, scaling_call, SCALE_DELETE},
    {NR_HTTP_GET, SCALING "/policies/:item/versions", SCOPE_READ, BODY_IGNORED, 0, scaling_call, SCALE_VERSIONS},
    {NR_HTTP_GET, SCALING "/policies/:item/explain", SCOPE_READ, BODY_IGNORED, 0, scaling_call, SCALE_EXPLAIN},
    {NR_HTTP_GET, SCALING "/policies/:item/evaluate", SCOPE_READ, BODY_IGNORED, 0, scaling_call, SCALE_EVALUATE},
    {NR_HTTP_POST, SCALING "/policies/:item/replay", SCOPE_ADMIN, BODY_SETTINGS, 0, scaling_call, SCALE_REPLAY},
    {NR_HTTP_POST, SCALING "/check", SCOPE_ADMIN, BODY_SETTINGS, 0, scaling_call, SCALE_CHECK},
    {NR_HTTP_POST, SCALING "/evaluate", SCOPE_ADMIN, BODY_SETTINGS, 0, scaling_call, SCALE_EVALUATE},
    {NR_HTTP_POST, SCALING "/import", SCOPE_ADMIN, BODY_TEXT, 0, scaling_call, SCALE_IMPORT},
    {NR_HTTP_GET, SCALING "/forecasts", SCOPE_READ, BODY_IGNORED, 0, scaling_call, SCALE_FORECASTS},
    {NR_HTTP_GET, SCALING "/channels", SCOPE_ADMIN, BODY_IGNORED, 0, scaling_call, SCALE_CHANNELS},
    {NR_HTTP_PUT, SCALING "/channels/:item", SCOPE_ADMIN, BODY_SETTINGS, 0, scaling_call, SCALE_CHANNEL_PUT},
    {NR_HTTP_DELETE, SCALING "/channels/:item", SCOPE_ADMIN, BODY_IGNORED, 0, scaling_call, SCALE_CHANNEL_DELETE},
    {NR_HTTP_GET, SCALING "/status", SCOPE_ADMIN, BODY_IGNORED, 0, scaling_call, SCALE_STATUS},
    {NR_HTTP_GET, "/narae/v1/openapi.json", 0, BODY_IGNORED, 0, openapi_call, OPENAPI_NARAE},
};
/* clang-format on */
_Static_assert(nr_countof(routes) <= ROUTES_MAX, "make room for the counters");

static const char *const part_names[PART_COUNT] = {
    [PART_NAMESPACE] = ":namespace", [PART_PACKAGE] = ":package",
    [PART_NAME] = ":name",           [PART_ID] = ":id",
    [PART_ACCOUNT] = ":account",     [PART_FUNCTION] = ":function",
    [PART_NUMBER] = ":number",       [PART_HOST] = ":host",
    [PART_ITEM] = ":item",
};

static const char *const method_names[] = {
    [NR_HTTP_GET] = "GET",         [NR_HTTP_HEAD] = "HEAD",     [NR_HTTP_POST] = "POST",
    [NR_HTTP_PUT] = "PUT",         [NR_HTTP_DELETE] = "DELETE", [NR_HTTP_PATCH] = "PATCH",
    [NR_HTTP_OPTIONS] = "OPTIONS", [NR_HTTP_OTHER] = "OTHER",
};

const char *route_scope(unsigned scope)
{
    return scope == SCOPE_INVOKE  ? "invoke"
           : scope == SCOPE_READ  ? "read"
           : scope == SCOPE_WRITE ? "write"
                                  : "admin";
}

const char *route_method(enum nr_http_method m)
{
    return method_names[m];
}

size_t route_count(void)
{
    return nr_countof(routes);
}

const struct body_limit *route_body(const struct route *r)
{
    return &bodies[r->body];
}

int route_split(struct nr_str path, char *room, struct path *ret)
{
    struct path p = {.slash = path.n > 0 && path.p[path.n - 1] == '/'};
    struct nr_str rest, raw;

    if (path.n == 0 || path.p[0] != '/')
        return NR_EINVAL;
    rest =
        path.n == 1 ? (struct nr_str){NULL, 0} : (struct nr_str){path.p + 1, path.n - 1 - p.slash};
    while (nr_str_split(&rest, '/', &raw)) {
        ssize_t n = nr_pct_decode(raw, false, room);

        if (n < 0)
            return NR_EINVAL;
        if (p.count < PATH_SEGMENTS_MAX)
            p.segment[p.count++] = (struct nr_str){room, (size_t)n};
        else
            p.more = true;
        room += n;
    }
    *ret = p;
    return 0;
}

static enum route_part part_of(struct nr_str word)
{
    for (int i = 0; i < PART_COUNT; i++)
        if (nr_str_eqz(word, part_names[i]))
            return (enum route_part)i;
    nr_check(!"a part of a pattern without a name");
    return PART_COUNT;
}

/* The pattern's own slash at the end: 0 none, 1 one, 2 either. */
static int take_slash(struct nr_str *pattern)
{
    if (pattern->n >= 2 && pattern->p[pattern->n - 1] == '?') {
        pattern->n -= 2;
        return 2;
    }
    if (pattern->p[pattern->n - 1] == '/') {
        pattern->n--;
        return 1;
    }
    return 0;
}

static bool fits(const struct route *r, const struct path *path, struct nr_str part[PART_COUNT])
{
    struct nr_str rest = nr_str_of(r->pattern), word;
    int slash = take_slash(&rest);
    unsigned i = 0;

    memset(part, 0, sizeof(struct nr_str) * PART_COUNT);
    if (!(r->flags & ROUTE_ANY_TAIL) && slash != 2 && (slash == 1) != path->slash)
        return false;
    if (rest.n > 0) {
        rest.p++;
        rest.n--;
        while (nr_str_split(&rest, '/', &word)) {
            if (i == path->count || path->segment[i].n == 0)
                return false;
            if (word.p[0] == ':')
                part[part_of(word)] = path->segment[i];
            else if (!nr_str_eq(word, path->segment[i]))
                return false;
            i++;
        }
    }
    return (i == path->count && !path->more) || (r->flags & ROUTE_ANY_TAIL);
}

const struct route *route_find(enum nr_http_method method, const struct path *path,
                               struct nr_str ret_part[PART_COUNT], int *ret_status,
                               struct nr_buf *ret_methods)
{
    struct nr_str part[PART_COUNT];

    for (size_t i = 0; i < nr_countof(routes); i++)
        if (routes[i].method == method && fits(&routes[i], path, part)) {
            memcpy(ret_part, part, sizeof(part));
            return &routes[i];
        }
    for (size_t i = 0; i < nr_countof(routes); i++) { /* which other methods has it? */
        const struct route *r = &routes[i];

        if (r->method == method || (r->flags & ROUTE_UNLISTED) || !fits(r, path, part))
            continue;
        if (ret_methods->n)
            nr_buf_adds(ret_methods, ", ");
        nr_buf_adds(ret_methods, method_names[r->method]);
    }
    *ret_status = ret_methods->n ? 405 : 404;
    return NULL;
}

static bool id_is_good(struct gateway_request *q, struct nr_str id)
{
    if (id.n != 32) {
        request_refuse(q, 400, "Activation id length is %zu but must be 32.", id.n);
        return false;
    }
    for (size_t i = 0; i < id.n; i++)
        if (memchr("0123456789abcdef", id.p[i], 16) == NULL) {
            request_refuse(q, 400, "The activation id is not valid.");
            return false;
        }
    return true;
}

static bool name_is_good(struct gateway_request *q, struct nr_str name)
{
    struct nr_err err = {0};

    if (name.p == NULL || entity_name_check(name, &err) == 0)
        return true;
    request_refuse(q, 400, "%s", err.text);
    return false;
}

static bool number_is_good(struct gateway_request *q, struct nr_str number)
{
    int64_t n;

    if (number.p == NULL || nr_str_eqz(number, "latest") || nr_str_to_i64(number, 1, INT32_MAX, &n))
        return true;
    request_refuse(q, 400, "A version is a number from 1, or 'latest', not '%.*s'.",
                   number.n < 64 ? (int)number.n : 64, number.p);
    return false;
}

/* "package/name" in one segment: both words of its own. */
static void split_function(struct nr_str part[PART_COUNT])
{
    struct nr_str rest = part[PART_FUNCTION], first;

    if (rest.p == NULL)
        return;
    (void)nr_str_split(&rest, '/', &first);
    part[PART_PACKAGE] = rest.p ? first : (struct nr_str){NULL, 0};
    part[PART_NAME] = rest.p ? rest : first;
}

/* Says the same whether the resource exists or not. */
static void refuse_foreign(struct gateway_request *q)
{
    const struct nr_str *p = q->part;
    struct nr_str last = p[PART_ID].p ? p[PART_ID] : p[PART_NAME];

    request_refuse(q, 403,
                   "The supplied authentication is not authorized to access '%.*s%s%.*s%s%.*s'.",
                   (int)p[PART_NAMESPACE].n, p[PART_NAMESPACE].p, p[PART_PACKAGE].p ? "/" : "",
                   (int)p[PART_PACKAGE].n, p[PART_PACKAGE].p ? p[PART_PACKAGE].p : "",
                   last.p ? "/" : "", (int)last.n, last.p ? last.p : "");
}

struct nr_str request_space(const struct gateway_request *q)
{
    struct nr_str ns = q->part[PART_NAMESPACE];
    bool own = ns.p == NULL || nr_str_eqz(ns, "_") || nr_str_eqz(ns, q->account->name);

    return own ? (struct nr_str){NULL, 0} : ns;
}

void route_check_parts(struct gateway_request *q)
{
    struct nr_str *part = q->part;
    struct nr_str ns = part[PART_NAMESPACE];

    if (ns.p && entity_name_check(ns, NULL) != 0) {
        request_refuse(q, 400, "The namespace contains illegal characters.");
        return;
    }
    split_function(part);
    if (!name_is_good(q, part[PART_PACKAGE]) || !name_is_good(q, part[PART_NAME]) ||
        !name_is_good(q, part[PART_ACCOUNT]) || !name_is_good(q, part[PART_ITEM]) ||
        !number_is_good(q, part[PART_NUMBER]))
        return;
    if (part[PART_ID].p && !id_is_good(q, part[PART_ID]))
        return;
    if ((q->route->flags & ROUTE_SHARED) == 0 && request_space(q).n != 0)
        refuse_foreign(q);
}
