/* A server of the OpenWhisk contract wants the code inside the JSON of /init: source as a string, anything else as
 * base64 with "binary": true.
 */
#include "runtimes/agent/relay_body.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtimes/agent/logs.h"

#define CODE_MAX_BYTES (64 << 20)

char *relay_request(const char *path, const char *body, size_t length, size_t *ret_length)
{
    char *text = malloc(256 + length);
    if (!text)
        return NULL;
    int n =
        snprintf(text, 256,
                 "POST %s HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\n"
                 "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                 path, length);
    memcpy(text + n, body, length);
    *ret_length = (size_t)n + length;
    return text;
}

static char *read_code(int fd, size_t *ret_length)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || st.st_size > CODE_MAX_BYTES)
        return NULL;
    size_t length = (size_t)st.st_size, at = 0;
    char *code = malloc(length + 1);
    while (code && at < length) {
        ssize_t n = pread(fd, code + at, length - at, (off_t)at);
        if (n <= 0) {
            free(code);
            return NULL;
        }
        at += (size_t)n;
    }
    *ret_length = length;
    return code;
}

static char *base64(const unsigned char *from, size_t length)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = malloc(length / 3 * 4 + 5);
    char *to = text;
    for (size_t i = 0; text && i < length; i += 3) {
        size_t n = length - i < 3 ? length - i : 3;
        unsigned v = (unsigned)from[i] << 16 | (n > 1 ? (unsigned)from[i + 1] << 8 : 0) |
                     (n > 2 ? from[i + 2] : 0u);
        *to++ = digits[v >> 18];
        *to++ = digits[v >> 12 & 63];
        *to++ = n > 1 ? digits[v >> 6 & 63] : '=';
        *to++ = n > 2 ? digits[v & 63] : '=';
    }
    if (text)
        *to = 0;
    return text;
}

static bool is_text(const char *code, size_t length)
{
    return memchr(code, 0, length) == NULL && utf8_valid(code, length);
}

char *relay_init_body(json_t *value, int code_fd, size_t *ret_length)
{
    size_t length = 0;
    char *code = code_fd >= 0 ? read_code(code_fd, &length) : calloc(1, 1);
    if (!code)
        return NULL;
    bool text = is_text(code, length);
    char *coded = text ? NULL : base64((unsigned char *)code, length);
    json_t *string = text ? json_stringn(code, length) : json_string(coded);
    free(code);
    free(coded);
    json_t *body = json_pack("{s:O}", "value", value);
    json_object_set_new(value, "binary", json_boolean(!text));
    json_object_set_new(value, "code", string);
    char *bytes = body && string ? json_dumps(body, JSON_COMPACT) : NULL;
    json_object_del(value, "code");
    json_decref(body);
    if (bytes)
        *ret_length = strlen(bytes);
    return bytes;
}

char *relay_init_error(const struct text *body)
{
    static const char prefix[] = "The action failed during initialization: ";
    const char *bytes = body->bytes ? body->bytes : "";
    json_t *o = json_loadb(bytes, body->stored, 0, NULL);
    if (!json_object_get(o, "error")) {
        json_decref(o);
        char *clean = malloc(sizeof prefix + 3 * body->stored);
        if (!clean)
            return NULL;
        memcpy(clean, prefix, sizeof prefix - 1);
        size_t n = utf8_clean(clean + sizeof prefix - 1, bytes, body->stored);
        o = json_pack("{s:s#}", "error", clean, (int)(sizeof prefix - 1 + n));
        free(clean);
    }
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    return text;
}
