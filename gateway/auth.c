/* Who calls: Basic authentication by "uuid:key", and a bound on failed attempts of one address.
 *
 * The key is verified first, so a good key works from every address at any time; only what failed is counted (logins.h). Who is above his share is
 * answered 429 instead of 401. Who has a function's secret tried by his own API is counted by his name, whoever calls the API.
 */
#include "gateway/internal.h"

#include <stdio.h>

#include "common/base/clock.h"
#include "gateway/credentials.h"

#define NOTHING_SHOWN                                                                              \
    "The resource requires authentication, which was not supplied with the request"

static void refuse_401(struct gateway_request *q, const char *text)
{
    request_head(q, "WWW-Authenticate: Basic realm=\"OpenWhisk secure realm\"\r\n");
    request_refuse(q, 401, "%s", text);
}

/* Counts a failure of `who`, an address or another name. Beyond the share 429, and false. */
static bool may_fail(struct gateway_request *q, struct nr_str who, const char *shown)
{
    struct gateway *g = q->g;
    uint64_t wait_s = 0;

    nr_count(&g->counts.failed_logins, 1);
    if (nr_logins_failed(&g->logins, who, nr_mono_ms(), &wait_s))
        return true;
    nr_count(&g->counts.blocked_logins, 1);
    request_head(q, "Retry-After: %llu\r\n", (unsigned long long)wait_s);
    request_refuse(q, 429, "Too many failed logins from this %s (allowed: %u a minute).", shown,
                   g->logins.per_minute);
    return false;
}

/* 401 with the text; beyond the address's share 429. */
static void refuse_login(struct gateway_request *q, const char *text)
{
    if (may_fail(q, q->http.peer, "address"))
        refuse_401(q, text);
}

/* "uuid:key" out of the header, in the request's arena; absent when it is not of that form. */
static struct nr_str credentials(struct gateway_request *q, struct nr_str header)
{
    char *room = nr_arena_get(&q->http.arena, CREDENTIALS_MAX_BYTES + 4);

    return room ? credentials_read(header, room) : (struct nr_str){NULL, 0};
}

void auth_refuse_nothing(struct gateway_request *q)
{
    refuse_401(q, NOTHING_SHOWN);
}

void auth_refuse_secret(struct gateway_request *q)
{
    refuse_login(q, NOTHING_SHOWN);
}

void auth_refuse_route(struct gateway_request *q, struct nr_str account)
{
    char who[NR_LOGINS_ADDRESS_BYTES] = "API of ";
    size_t n = strlen(who), more = sizeof(who) - 1 - n;

    if (account.n < more)
        more = account.n;
    memcpy(who + n, account.p, more);
    if (may_fail(q, (struct nr_str){who, n + more}, "API"))
        refuse_401(q, NOTHING_SHOWN);
}

bool auth_may_guess(struct gateway_request *q)
{
    return !credentials_are_key(q->api_key) || may_fail(q, q->http.peer, "address");
}

struct account *auth_caller(struct gateway_request *q)
{
    struct nr_str header = nr_http_header(&q->http, "authorization");
    struct account *account = NULL;
    struct nr_str secret, uuid;

    if (header.p == NULL)
        return NULL;
    q->api_key = credentials(q, header);
    secret = q->api_key;
    if (secret.p == NULL || !nr_str_split(&secret, ':', &uuid) || secret.p == NULL ||
        fnmanager_authenticate(q->g->config.fnmanager, uuid, secret, &account) != 0)
        return NULL;
    return account;
}

void auth_check(struct gateway_request *q)
{
    if (nr_http_header(&q->http, "authorization").p == NULL) {
        auth_refuse_nothing(q);
        return;
    }
    q->account = auth_caller(q);
    if (q->account == NULL)
        refuse_login(q, "The supplied authentication is invalid");
    else if (q->account->refused)
        request_refuse(q, 403, "%s", q->account->refused);
}
