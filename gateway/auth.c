/* Who calls: Basic authentication by "uuid:key", and a bound on failed attempts of one address.
 *
 * The key is verified first, so a good key works from every address at any time; only what failed is counted. Each address has a
 * bucket of tokens that fills up again within a minute; when it is empty a failed attempt is answered 429 instead of 401. The
 * table holds ADDRESSES_MAX of them, the one that failed longest ago goes. An IPv6 address counts with its /64. Who has a function's secret tried by his
 * own API has a bucket by his name, whoever calls the API.
 */
#include "gateway/internal.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "gateway/credentials.h"

#define ADDRESSES_MAX 4096
#define ADDRESS_BYTES 48
#define ATTEMPT 60000 /* so that each millisecond brings `per_minute`, without a remainder */

struct login_bucket {
    struct nr_map_node node;
    struct nr_link lru;
    char address[ADDRESS_BYTES];
    uint64_t tokens; /* ATTEMPT of them pay for one attempt */
    uint64_t filled_ms;
};

void logins_init(struct logins *l, unsigned per_minute)
{
    nr_map_init(&l->by_address);
    nr_list_init(&l->lru);
    l->per_minute = per_minute;
}

static void forget(struct logins *l, struct login_bucket *b)
{
    (void)nr_map_del(&l->by_address, b->node.key);
    nr_list_del(&b->lru);
    free(b);
}

void logins_fini(struct logins *l)
{
    while (!nr_list_empty(&l->lru))
        forget(l, nr_container_of(l->lru.next, struct login_bucket, lru));
    nr_map_fini(&l->by_address);
}

/* The key of an address: IPv4 as it is, IPv6 by its first 64 bits. */
static size_t address_key(struct nr_str address, char out[ADDRESS_BYTES])
{
    unsigned char bytes[16];
    size_t n = address.n < ADDRESS_BYTES ? address.n : ADDRESS_BYTES - 1;

    memcpy(out, address.p, n);
    out[n] = '\0';
    if (inet_pton(AF_INET6, out, bytes) == 1) {
        nr_hex(bytes, 8, out);
        return 16;
    }
    return n;
}

static struct login_bucket *bucket_of(struct logins *l, struct nr_str address, uint64_t now_ms)
{
    char key[ADDRESS_BYTES];
    size_t n = address_key(address, key);
    struct nr_map_node *node = nr_map_get(&l->by_address, (struct nr_str){key, n});
    struct login_bucket *b;

    if (node) {
        b = nr_container_of(node, struct login_bucket, node);
        nr_list_del(&b->lru);
    } else {
        if (l->by_address.count >= ADDRESSES_MAX)
            forget(l, nr_container_of(l->lru.prev, struct login_bucket, lru));
        b = nr_alloc(sizeof(*b));
        memcpy(b->address, key, n);
        b->node.key = (struct nr_str){b->address, n};
        b->tokens = (uint64_t)l->per_minute * ATTEMPT;
        b->filled_ms = now_ms;
        (void)nr_map_put(&l->by_address, &b->node);
    }
    nr_list_push(&l->lru, &b->lru);
    return b;
}

bool logins_failed(struct logins *l, struct nr_str address, uint64_t now_ms, uint64_t *ret_wait_s)
{
    struct login_bucket *b = bucket_of(l, address, now_ms);
    uint64_t full = (uint64_t)l->per_minute * ATTEMPT;
    uint64_t gained = (now_ms - b->filled_ms) * l->per_minute;

    b->tokens = gained > full - b->tokens ? full : b->tokens + gained;
    b->filled_ms = now_ms;
    if (b->tokens >= ATTEMPT) {
        b->tokens -= ATTEMPT;
        return true;
    }
    *ret_wait_s = (ATTEMPT - b->tokens) / l->per_minute / 1000 + 1;
    return false;
}

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
    if (logins_failed(&g->logins, who, nr_mono_ms(), &wait_s))
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
    char who[ADDRESS_BYTES] = "API of ";
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
