/* A value is looked at word by word, for what stands before a word says little: "Basic KEY", "KEY", "Bearer KEY", "Basic a, Basic KEY". */
#include "gateway/credentials.h"

#include <ctype.h>
#include <string.h>

#define UUID_MIN_CHARS 32
#define UUID_MAX_CHARS 40
#define SECRET_CHARS 64

struct nr_str credentials_read(struct nr_str header, char *room)
{
    struct nr_str scheme, none = {NULL, 0};

    if (!nr_str_split(&header, ' ', &scheme) || !nr_str_ieqz(scheme, "basic") || header.p == NULL)
        return none;
    while (header.n && header.p[0] == ' ') {
        header.p++;
        header.n--;
    }
    if (header.n == 0 || header.n > CREDENTIALS_MAX_BYTES)
        return none;
    ssize_t n = nr_base64_decode(header, (unsigned char *)room);

    return n > 0 ? (struct nr_str){room, (size_t)n} : none;
}

/* ---- forms ---- */

/* One more or less, or its dashes, may be missing. */
static bool is_uuid(struct nr_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!isxdigit((unsigned char)s.p[i]) && s.p[i] != '-')
            return false;
    return s.n >= UUID_MIN_CHARS && s.n <= UUID_MAX_CHARS;
}

static bool is_secret(struct nr_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!isalnum((unsigned char)s.p[i]) && s.p[i] != '-' && s.p[i] != '_')
            return false;
    return s.n == SECRET_CHARS;
}

static bool is_key(struct nr_str credentials, bool whole)
{
    struct nr_str secret = credentials, uuid;

    while (secret.n && isspace((unsigned char)secret.p[secret.n - 1])) /* a line end of a file */
        secret.n--;
    if (!nr_str_split(&secret, ':', &uuid) || secret.p == NULL)
        return false;
    return whole ? is_uuid(uuid) && is_secret(secret) : is_uuid(uuid) || is_secret(secret);
}

bool credentials_are_key(struct nr_str credentials)
{
    return is_key(credentials, false);
}

/* ---- words ---- */

/* The next word of a value; blanks, commas and quotes stand between them. */
static bool next_word(struct nr_str *rest, struct nr_str *ret)
{
    static const char between[] = " \t,;\"'";

    while (rest->n && strchr(between, rest->p[0]))
        rest->p++, rest->n--;
    *ret = (struct nr_str){rest->p, 0};
    while (rest->n && strchr(between, rest->p[0]) == NULL)
        rest->p++, rest->n--, ret->n++;
    return ret->n > 0;
}

static bool word_is_key(struct nr_str word, bool whole)
{
    char room[CREDENTIALS_MAX_BYTES + 4];

    if (is_key(word, whole))
        return true;
    if (word.n > CREDENTIALS_MAX_BYTES)
        return false;
    ssize_t n = nr_base64_decode(word, (unsigned char *)room);
    bool found = n > 0 && is_key((struct nr_str){room, (size_t)n}, whole);

    explicit_bzero(room, sizeof(room));
    return found;
}

bool credentials_show_key(struct nr_str header)
{
    struct nr_str rest = header, word;
    bool basic = false;

    while (next_word(&rest, &word)) {
        if (word_is_key(word, !basic))
            return true;
        basic = nr_str_ieqz(word, "basic");
    }
    return false;
}
