/* The tables of words, times as texts ("90s"), and the nearest of several words. */
#include "scaler/policy/words.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#include "common/base/edits.h"
#include "common/base/mem.h"
#include "scaler/policy/policy.h"

const char *const mode_words[] = {
    [POLICY_ENFORCE] = "enforce", [POLICY_DRY_RUN] = "dry_run", [POLICY_OFF] = "off", NULL};
const char *const aggregate_words[] = {[AGGREGATE_AVG] = "avg",
                                       [AGGREGATE_SUM] = "sum",
                                       [AGGREGATE_MIN] = "min",
                                       [AGGREGATE_MAX] = "max",
                                       [AGGREGATE_LAST] = "last",
                                       [AGGREGATE_RATE] = "rate",
                                       [AGGREGATE_P50] = "p50",
                                       [AGGREGATE_P90] = "p90",
                                       [AGGREGATE_P95] = "p95",
                                       [AGGREGATE_P99] = "p99",
                                       NULL};
const char *const compare_words[] = {[OP_NONE] = "",           [OP_GT] = ">",
                                     [OP_GE] = ">=",           [OP_LT] = "<",
                                     [OP_LE] = "<=",           [OP_EQ] = "==",
                                     [OP_NE] = "!=",           [OP_BETWEEN] = "between",
                                     [OP_OUTSIDE] = "outside", NULL};
const char *const action_words[] = {[ACTION_TRACK] = "track",     [ACTION_ADD] = "add",
                                    [ACTION_REMOVE] = "remove",   [ACTION_SET] = "set",
                                    [ACTION_PREWARM] = "prewarm", [ACTION_FREEZE] = "freeze",
                                    [ACTION_ALERT] = "alert",     NULL};
const char *const missing_words[] = {[MISSING_HOLD] = "hold",
                                     [MISSING_FALLBACK] = "fallback",
                                     [MISSING_CURRENT_IF_HIGHER] = "current_if_higher",
                                     NULL};

int word_find(const char *const *words, struct nr_str word)
{
    for (int i = 0; words[i]; i++)
        if (words[i][0] != '\0' && nr_str_eqz(word, words[i]))
            return i;
    return -1;
}

const char *policy_mode_text(enum policy_mode m)
{
    return mode_words[m];
}

const char *aggregate_text(enum aggregate a)
{
    return aggregate_words[a];
}

const char *compare_text(enum compare o)
{
    return compare_words[o];
}

const char *rule_action_text(enum rule_action a)
{
    return action_words[a];
}

/* Words of other languages and tools. */
static const struct {
    const char *word, *ours;
} elsewhere[] = {
    {"gt", ">"},
    {"gte", ">="},
    {"ge", ">="},
    {"lt", "<"},
    {"lte", "<="},
    {"le", "<="},
    {"eq", "=="},
    {"ne", "!="},
    {"<>", "!="},
    {"over", ">"},
    {"above", ">"},
    {"under", "<"},
    {"below", "<"},
    {"mean", "avg"},
    {"average", "avg"},
    {"median", "p50"},
    {"latest", "last"},
    {"per_second", "rate"},
    {"increase", "add"},
    {"decrease", "remove"},
    {"scale", "set"},
    {"notify", "alert"},
    {"disabled", "off"},
    {"paused", "off"},
    {"enabled", "enforce"},
    {"on", "enforce"},
    {"shadow", "dry_run"},
    {"static", "fallback"},
    {"concurrency", "inflight"},
    {"rps", "arrivals"},
    {"requests", "arrivals"},
    {"calls", "arrivals"},
    {"latency", "duration_ms"},
    {"latency_ms", "duration_ms"},
    {"lag", "trigger_lag"},
    {"replicas", "instances"},
    {"containers", "instances"},
};

const char *word_elsewhere(struct nr_str word)
{
    for (size_t i = 0; i < nr_countof(elsewhere); i++)
        if (nr_str_ieqz(word, elsewhere[i].word))
            return elsewhere[i].ours;
    return NULL;
}

static const struct {
    const char *name;
    int64_t ms;
} units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

enum { UNITS = nr_countof(units), DURATION_MAX_BYTES = 32 };
#define DURATION_MAX_MS (INT64_C(1000) * 86400000)

/* Several parts may stand in a row, each of a smaller unit than the one before: "1h30m". */
int duration_read(struct nr_str text, int64_t *ret_ms)
{
    const char *p = text.p, *end = text.p + text.n;
    int64_t sum = 0, number;
    size_t next = 0;

    if (text.n == 0 || text.n > DURATION_MAX_BYTES)
        return NR_EINVAL;
    while (p < end) {
        const char *digits = p;
        size_t i;

        while (p < end && isdigit((unsigned char)*p))
            p++;
        if (!nr_str_to_i64((struct nr_str){digits, (size_t)(p - digits)}, 0, DURATION_MAX_MS,
                           &number))
            return NR_EINVAL;
        const char *letters = p;

        while (p < end && isalpha((unsigned char)*p))
            p++;
        for (i = next; i < UNITS; i++)
            if (nr_str_eqz((struct nr_str){letters, (size_t)(p - letters)}, units[i].name))
                break;
        if (i == UNITS || number > DURATION_MAX_MS / units[i].ms)
            return NR_EINVAL;
        sum += number * units[i].ms;
        next = i + 1;
    }
    if (sum > DURATION_MAX_MS)
        return NR_EINVAL;
    *ret_ms = sum;
    return 0;
}

int duration_guess(struct nr_str text, int64_t *ret_ms)
{
    static const struct {
        const char *begins;
        int64_t ms;
    } words[] = {{"ms", 1},    {"milli", 1},   {"s", 1000},    {"min", 60000},
                 {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    size_t digits = 0, at;
    int64_t number;

    while (digits < text.n && isdigit((unsigned char)text.p[digits]))
        digits++;
    at = digits;
    while (at < text.n && text.p[at] == ' ')
        at++;
    if (!nr_str_to_i64((struct nr_str){text.p, digits}, 0, 1000000, &number))
        return NR_EINVAL;
    for (size_t i = 0; i < nr_countof(words); i++) {
        size_t n = strlen(words[i].begins);

        if (text.n - at >= n && strncasecmp(text.p + at, words[i].begins, n) == 0) {
            *ret_ms = number * words[i].ms;
            return 0;
        }
    }
    return NR_EINVAL;
}

void duration_write(int64_t ms, char ret[24])
{
    size_t i = 0;

    if (ms == 0) {
        memcpy(ret, "0s", 3);
        return;
    }
    /* whole days are written as such from two on: people say 24h */
    while (ms % units[i].ms != 0 || (i == 0 && ms < 2 * units[0].ms))
        i++;
    (void)snprintf(ret, 24, "%lld%s", (long long)(ms / units[i].ms), units[i].name);
}

void nearest_begin(struct nearest *n, struct nr_str word)
{
    size_t bytes = word.n < sizeof(n->word) ? word.n : sizeof(n->word) - 1;

    memset(n, 0, sizeof(*n));
    for (size_t i = 0; i < bytes; i++)
        n->word[i] = (char)tolower((unsigned char)word.p[i]);
}

/* The same letters in another order: what quick fingers write. */
static bool same_letters(const char *a, const char *b, size_t n)
{
    int count[256] = {0};

    for (size_t i = 0; i < n; i++) {
        count[(unsigned char)a[i]]++;
        count[(unsigned char)b[i]]--;
    }
    for (size_t i = 0; i < nr_countof(count); i++)
        if (count[i] != 0)
            return false;
    return true;
}

/* The beginning of a word, or the last part of a path. */
static bool part_of(const char *word, size_t letters, const char *candidate, size_t m)
{
    const char *last = strrchr(candidate, '/');

    return ((letters >= 3 || !isalnum((unsigned char)word[0])) &&
            strncmp(word, candidate, letters) == 0) ||
           (last && strcmp(last + 1, word) == 0);
}

void nearest_try(struct nearest *n, const char *candidate)
{
    char lower[sizeof(n->word)] = {0};
    size_t letters = strlen(n->word), m = strlen(candidate);
    unsigned near = letters < 3 ? 1 : letters < 7 ? 2 : (unsigned)(letters / 3), edits;
    size_t rank;

    if (m == 0 || m >= sizeof(lower) || letters == 0)
        return;
    for (size_t i = 0; i < m; i++)
        lower[i] = (char)tolower((unsigned char)candidate[i]);
    edits = nr_edits((struct nr_str){n->word, letters}, (struct nr_str){lower, m});
    rank = 2 * edits;
    if (part_of(n->word, letters, lower, m) || (letters == m && same_letters(n->word, lower, m)))
        rank = rank > 0;
    else if (m >= 3 && strncmp(n->word, lower, m) == 0)
        rank += 2 * m; /* a word that goes on where ours ends: better than none */
    else if (edits > near || edits >= m)
        return;
    if (n->best[0] == '\0' || rank < n->rank ||
        (rank == n->rank && strcmp(candidate, n->best) < 0)) {
        memcpy(n->best, candidate, m + 1);
        n->rank = rank;
        n->edits = edits;
    }
}
