/* Query parameters: what each may hold, and the texts of the refusals that clients compare. Empty values count as absent only
 * where OpenWhisk treats them so; a parameter given twice counts once, the first.
 */
#include "gateway/internal.h"

#include "common/base/json.h"

static bool refuse(struct gateway_request *q, const char *name, const char *before,
                   struct nr_str value, const char *after)
{
    request_refuse(q, 400, "The query parameter '%s' was malformed:\n%s%.*s%s", name, before,
                   value.n < 128 ? (int)value.n : 128, value.p ? value.p : "", after);
    return false;
}

/* Present and decodable: true; else *ret_ok says whether the request may go on. */
static bool given(struct gateway_request *q, const char *name, struct nr_str *ret, bool *ret_ok)
{
    *ret_ok = true;
    if (!nr_http_query(&q->http, name, ret))
        return false;
    if (ret->p == NULL || !nr_utf8_valid(*ret)) {
        *ret_ok = refuse(q, name, "", nr_str_of("bad escape in its value."), "");
        return false;
    }
    return true;
}

bool query_text(struct gateway_request *q, const char *name, struct nr_str *ret)
{
    struct nr_str value;
    bool ok;

    if (given(q, name, &value, &ok))
        *ret = value;
    return ok;
}

static const struct {
    const char *word;
    bool value;
} bool_words[] = {
    {"true", true},   {"yes", true}, {"on", true},   {"1", true},
    {"false", false}, {"no", false}, {"off", false}, {"0", false},
};

bool query_bool(struct gateway_request *q, const char *name, bool *ret)
{
    struct nr_str value;
    bool ok;

    if (!given(q, name, &value, &ok))
        return ok;
    for (size_t i = 0; i < nr_countof(bool_words); i++)
        if (nr_str_ieqz(value, bool_words[i].word)) {
            *ret = bool_words[i].value;
            return true;
        }
    return refuse(q, name, "'", value, "' is not a valid Boolean value");
}

/* A whole number of any size: a text that is one, but out of range, is told so and not called no integer. */
static bool is_integer(struct nr_str s)
{
    size_t i = s.n > 1 && (s.p[0] == '-' || s.p[0] == '+') ? 1 : 0;

    if (s.n == i || s.n > 11)
        return false;
    for (; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return true;
}

/* A whole number from 0 to max; `out_of_range` goes between value and collection. */
static bool whole_number(struct gateway_request *q, const char *name, const char *collection,
                         int64_t max, const char *out_of_range, int *ret)
{
    struct nr_str value, digits;
    int64_t number;
    char after[96];
    bool ok;

    if (!given(q, name, &value, &ok))
        return ok;
    digits = value;
    if (digits.n > 1 && digits.p[0] == '+') {
        digits.p++;
        digits.n--;
    }
    if (nr_str_to_i64(digits, 0, max, &number)) {
        *ret = (int)number;
        return true;
    }
    (void)snprintf(after, sizeof(after), "' is not %s for %s.",
                   is_integer(value) ? out_of_range : "an integer", collection);
    return refuse(q, name, "The value '", value, after);
}

bool query_limit(struct gateway_request *q, const char *collection, int *ret_limit)
{
    return whole_number(q, "limit", collection, LIST_LIMIT_MAX, "in the range of 0 to 200",
                        ret_limit);
}

bool query_page(struct gateway_request *q, const char *collection, int *ret_limit, int *ret_skip,
                bool *ret_count)
{
    return query_limit(q, collection, ret_limit) &&
           whole_number(q, "skip", collection, INT32_MAX, "greater than or equal to 0", ret_skip) &&
           query_bool(q, "count", ret_count);
}

bool query_epoch(struct gateway_request *q, const char *name, int64_t *ret_ms)
{
    struct nr_str value;
    bool ok;

    if (!given(q, name, &value, &ok))
        return ok;
    return nr_str_to_i64(value, 0, INT64_MAX, ret_ms) ||
           refuse(q, name, "Parameter is not a valid value for epoch seconds: ", value, "");
}

bool query_timeout(struct gateway_request *q, uint32_t *ret_ms)
{
    struct nr_str value;
    int64_t ms;
    bool ok;

    if (!given(q, "timeout", &value, &ok))
        return ok;
    if (!nr_str_to_i64(value, 1, BLOCKING_WAIT_MAX_MS, &ms))
        return refuse(q, "timeout", "Timeout must be number of milliseconds up to 60000.",
                      (struct nr_str){"", 0}, "");
    *ret_ms = (uint32_t)ms;
    return true;
}

/* Where a version or an alias may be named. */
static const struct {
    const char *query, *header; /* one of them */
    bool alias;
} targets[] = {
    {.query = "version"},
    {.query = "alias", .alias = true},
    {.header = "x-narae-version"},
    {.header = "x-narae-alias", .alias = true},
};

static bool version_number(struct gateway_request *q, struct nr_str value, int64_t *ret)
{
    *ret = 0;
    if (nr_str_eqz(value, "latest") || nr_str_to_i64(value, 1, INT32_MAX, ret))
        return true;
    request_refuse(q, 400, "A version is a number from 1, or 'latest', not '%.*s'.",
                   value.n < 64 ? (int)value.n : 64, value.p ? value.p : "");
    return false;
}

static bool alias_name(struct gateway_request *q, struct nr_str value)
{
    struct nr_err err = {0};

    if (entity_name_check(value, &err) == 0)
        return true;
    request_refuse(q, 400, "The alias is not a name: %s", err.text);
    return false;
}

bool query_version(struct gateway_request *q, int64_t *ret_number, struct nr_str *ret_alias)
{
    unsigned found = 0;

    for (size_t i = 0; i < nr_countof(targets); i++) {
        struct nr_str value = {NULL, 0};
        bool ok = true;

        if (targets[i].header)
            value = nr_http_header(&q->http, targets[i].header);
        else if (q->http.query.n == 0 || !given(q, targets[i].query, &value, &ok))
            value.p = NULL;
        if (!ok)
            return false;
        if (value.p == NULL)
            continue;
        if (found++ > 0) {
            request_refuse(q, 400,
                           "A version or an alias can be named once: by ?version=, ?alias=, "
                           "X-Narae-Version or X-Narae-Alias.");
            return false;
        }
        if (targets[i].alias ? !alias_name(q, value) : !version_number(q, value, ret_number))
            return false;
        if (targets[i].alias)
            *ret_alias = value;
    }
    return true;
}

bool query_entity(struct gateway_request *q, struct nr_str *ret_package, struct nr_str *ret_name)
{
    struct nr_str value, rest, first;
    bool ok;

    if (!given(q, "name", &value, &ok) || value.n == 0)
        return ok;
    rest = value;
    (void)nr_str_split(&rest, '/', &first);
    if (entity_name_check(first, NULL) != 0 || (rest.p && entity_name_check(rest, NULL) != 0))
        return refuse(q, "name",
                      "Parameter may be a 'simple' name or 'package-name/simple' name: ", value,
                      "");
    *ret_package = rest.p ? first : (struct nr_str){NULL, 0};
    *ret_name = rest.p ? rest : first;
    return true;
}
