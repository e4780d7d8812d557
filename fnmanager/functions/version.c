/* Versions of LATEST: every overwrite bumps the last number unless the body names a version; delete and create starts again. */
#include "fnmanager/functions/version.h"

#include <stdint.h>
#include <string.h>

#include "common/base/str.h"

#define NUMBER_MAX INT32_MAX

static bool parse(const char *text, int64_t number[3])
{
    struct nr_str rest = nr_str_of(text), part;

    for (int i = 0; i < 3; i++) {
        if (!nr_str_split(&rest, '.', &part) || (part.n > 1 && part.p[0] == '0'))
            return false;
        if (!nr_str_to_i64(part, 0, NUMBER_MAX, &number[i]))
            return false;
    }
    return !nr_str_split(&rest, '.', &part) && strlen(text) < VERSION_TEXT_BYTES &&
           text[strlen(text) - 1] != '.';
}

bool version_valid(const char *text)
{
    int64_t number[3];

    return parse(text, number);
}

void version_bump(const char *text, char out[VERSION_TEXT_BYTES])
{
    int64_t n[3] = {0, 0, 0};

    (void)parse(text, n);
    (void)snprintf(out, VERSION_TEXT_BYTES, "%lld.%lld.%lld", (long long)n[0], (long long)n[1],
                   (long long)n[2] + 1);
}
