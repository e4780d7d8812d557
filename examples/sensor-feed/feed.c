/* A call is {"readings":[...],"state":{device: state}} with the states of the devices that occur in
 * it; the answer's states replace them. The connection stays open between the calls.
 *
 * A call fails when the platform cannot be reached, answers another status than 200 (a 202 means
 * that the answer did not come in time), or answers something that is not the function's. The
 * states then stay as they were, so the following counts are wrong, and the caller ends with 1. */
#include "feed.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ANSWER_MAX_BYTES (8u << 20)
#define SHOWN_BYTES 300

struct answer {
    char *text;
    size_t length;
};

struct feed {
    CURL *curl;
    struct curl_slist *headers;
    char address[1024];
    char problem[CURL_ERROR_SIZE];
    json_t *batch;  /* messages for the next call */
    json_t *states; /* device: state */
    struct answer answer;
    struct feed_counts counts;
};

static size_t collect(char *bytes, size_t size, size_t count, void *context)
{
    struct answer *answer = context;
    size_t length = size * count;

    if (answer->length + length > ANSWER_MAX_BYTES)
        return 0;
    char *grown = realloc(answer->text, answer->length + length + 1);
    if (!grown)
        return 0;
    memcpy(grown + answer->length, bytes, length);
    answer->text = grown;
    answer->length += length;
    answer->text[answer->length] = '\0';
    return length;
}

/* Writes the address of the action, its names escaped, into feed->address. */
static int compose_address(struct feed *feed, const struct feed_settings *settings)
{
    const char *slash = strchr(settings->action, '/');
    size_t first_length = slash ? (size_t)(slash - settings->action) : strlen(settings->action);
    char *first = curl_easy_escape(feed->curl, settings->action, (int)first_length);
    char *second = slash ? curl_easy_escape(feed->curl, slash + 1, 0) : NULL;
    size_t url_length = strlen(settings->url);

    while (url_length > 0 && settings->url[url_length - 1] == '/')
        url_length--;
    int length = snprintf(feed->address, sizeof(feed->address),
                          "%.*s/api/v1/namespaces/_/actions/%s%s%s?blocking=true&result=true",
                          (int)url_length, settings->url, first ? first : "", slash ? "/" : "",
                          second ? second : "");
    bool whole = first && (second || !slash) && (size_t)length < sizeof(feed->address);
    curl_free(first);
    curl_free(second);
    return whole ? 0 : -1;
}

static void prepare(struct feed *feed, const struct feed_settings *settings)
{
    CURL *curl = feed->curl;

    curl_easy_setopt(curl, CURLOPT_URL, feed->address);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
    curl_easy_setopt(curl, CURLOPT_USERPWD, settings->key);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, feed->headers);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, settings->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, feed->problem);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &feed->answer);
    if (settings->insecure) {
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

struct feed *feed_open(const struct feed_settings *settings)
{
    struct feed *feed = calloc(1, sizeof(*feed));
    if (!feed)
        goto fail;
    feed->curl = curl_easy_init();
    feed->headers = curl_slist_append(NULL, "Content-Type: application/json");
    feed->batch = json_array();
    feed->states = json_object();
    feed->counts.quarantined = json_object();
    if (!feed->curl || !feed->headers || !feed->batch || !feed->states ||
        !feed->counts.quarantined || compose_address(feed, settings) != 0)
        goto fail;
    prepare(feed, settings);
    return feed;
fail:
    fprintf(stderr, "sensor-feed: cannot prepare: out of memory, or the address is too long\n");
    feed_close(feed);
    return NULL;
}

void feed_close(struct feed *feed)
{
    if (!feed)
        return;
    curl_easy_cleanup(feed->curl);
    curl_slist_free_all(feed->headers);
    json_decref(feed->batch);
    json_decref(feed->states);
    json_decref(feed->counts.quarantined);
    free(feed->answer.text);
    free(feed);
}

int feed_add(struct feed *feed, const char *line)
{
    json_error_t error;
    json_t *message = json_loads(line, 0, &error);

    if (!json_is_string(json_object_get(message, "device"))) {
        fprintf(stderr, "sensor-feed: not a message: %.*s\n", SHOWN_BYTES, line);
        json_decref(message);
        return -1;
    }
    return json_array_append_new(feed->batch, message);
}

long feed_pending(const struct feed *feed)
{
    return (long)json_array_size(feed->batch);
}

const struct feed_counts *feed_counts(const struct feed *feed)
{
    return &feed->counts;
}

/* The body of the next call (made with malloc), or NULL without memory. */
static char *compose_body(struct feed *feed)
{
    json_t *states = json_object(), *message;
    size_t i;

    json_array_foreach(feed->batch, i, message) {
        const char *device = json_string_value(json_object_get(message, "device"));
        json_t *state = json_object_get(feed->states, device);
        if (state)
            json_object_set(states, device, state);
    }
    json_t *call = json_pack("{s:O,s:o}", "readings", feed->batch, "state", states);
    char *body = call ? json_dumps(call, JSON_COMPACT) : NULL;
    json_decref(call);
    return body;
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Posts `body` (lent); the answer is in feed->answer. Returns 0, or -1 after a line on stderr. */
static int post(struct feed *feed, const char *body)
{
    long status = 0;
    int64_t began_us = now_us();

    feed->answer.length = 0;
    feed->problem[0] = '\0';
    curl_easy_setopt(feed->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
    curl_easy_setopt(feed->curl, CURLOPT_POSTFIELDS, body);
    CURLcode code = curl_easy_perform(feed->curl);

    int64_t spent_us = now_us() - began_us;
    feed->counts.calls++;
    feed->counts.spent_us += spent_us;
    if (spent_us > feed->counts.slowest_us)
        feed->counts.slowest_us = spent_us;

    if (code != CURLE_OK) {
        fprintf(stderr, "sensor-feed: %s: %s\n", feed->address,
                feed->problem[0] ? feed->problem : curl_easy_strerror(code));
        return -1;
    }
    curl_easy_getinfo(feed->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
        fprintf(stderr, "sensor-feed: %s: status %ld%s: %.*s\n", feed->address, status,
                status == 202 ? " (no answer in time)" : "", SHOWN_BYTES,
                feed->answer.length ? feed->answer.text : "");
        return -1;
    }
    return 0;
}

static void count_reasons(struct feed_counts *counts, json_t *quarantined)
{
    json_t *record;
    size_t i;

    json_array_foreach(quarantined, i, record) {
        const char *reason = json_string_value(json_object_get(record, "reason"));
        reason = reason ? reason : "unnamed";
        json_int_t number = json_integer_value(json_object_get(counts->quarantined, reason));
        json_object_set_new(counts->quarantined, reason, json_integer(number + 1));
    }
}

static bool has_flag(json_t *row, const char *name)
{
    json_t *flag;
    size_t i;

    json_array_foreach(json_object_get(row, "flags"), i, flag) {
        const char *text = json_string_value(flag);
        if (text && strcmp(text, name) == 0)
            return true;
    }
    return false;
}

/* Counts the function's answer and takes over its states. Returns 0, or -1 when it is none. */
static int count_answer(struct feed *feed, json_t *answer)
{
    struct feed_counts *counts = &feed->counts;
    json_t *rows = json_object_get(answer, "rows");
    json_t *quarantined = json_object_get(answer, "quarantined");
    json_t *dropped = json_object_get(answer, "dropped");
    json_t *states = json_object_get(answer, "state");
    json_t *row;
    size_t i;

    if (!json_is_array(rows) || !json_is_array(quarantined) || !json_is_array(dropped) ||
        !json_is_object(states))
        return -1;
    counts->rows += json_array_size(rows);
    counts->dropped += json_array_size(dropped);
    json_array_foreach(rows, i, row)
        counts->late += has_flag(row, "late");
    count_reasons(counts, quarantined);
    return json_object_update(feed->states, states);
}

int feed_send(struct feed *feed)
{
    int status = -1;
    char *body = compose_body(feed);

    if (!body)
        fprintf(stderr, "sensor-feed: out of memory\n");
    else
        status = post(feed, body);
    free(body);

    if (status == 0) {
        json_t *answer =
            json_loadb(feed->answer.text ? feed->answer.text : "", feed->answer.length, 0, NULL);
        status = count_answer(feed, answer);
        json_decref(answer);
        if (status != 0)
            fprintf(stderr, "sensor-feed: not an answer of the function: %.*s\n", SHOWN_BYTES,
                    feed->answer.length ? feed->answer.text : "");
    }
    if (status == 0)
        feed->counts.sent += (uint64_t)feed_pending(feed);
    else
        feed->counts.failed++;
    json_array_clear(feed->batch);
    return status;
}
