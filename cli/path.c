/* Names in paths: every byte that could mean something else is percent-encoded. */
#include <inttypes.h>
#include <stdarg.h>

#include "cli/cli.h"

#define PATH_MAX_BYTES (1 << 20)

bool cli_path_name(const char *name, char *out, size_t n)
{
    size_t at = 0;

    if (3 * strlen(name) + 1 > n)
        return false;
    for (const char *part = name; part; part = strchr(part, '/') ? strchr(part, '/') + 1 : NULL) {
        size_t part_n = strcspn(part, "/");

        if (part != name)
            out[at++] = '/';
        at += nr_pct_encode((struct nr_str){part, part_n}, out + at);
    }
    out[at] = '\0';
    return true;
}

static void add_encoded(struct nr_buf *b, const char *text)
{
    size_t n = strlen(text);
    char *room = nr_buf_room(b, 3 * n + 1);

    if (room)
        nr_buf_took(b, nr_pct_encode((struct nr_str){text, n}, room));
}

char *cli_path(const char *fmt, ...)
{
    struct nr_buf b;
    va_list ap;

    nr_buf_init(&b, PATH_MAX_BYTES);
    va_start(ap, fmt);
    for (const char *p = fmt; *p; p++) {
        if (p[0] == '%' && p[1] == 's')
            add_encoded(&b, va_arg(ap, const char *));
        else if (p[0] == '%' && p[1] == 'd')
            nr_buf_addi(&b, va_arg(ap, int64_t));
        else
            nr_buf_addc(&b, *p);
        p += p[0] == '%' && (p[1] == 's' || p[1] == 'd');
    }
    va_end(ap);
    char *path = nr_buf_detach(&b, NULL);
    return path ? path : nr_strdup("/");
}

char *cli_function_path(const struct cli *c, const char *tail)
{
    const char *version = c->text[OPT_VERSION];
    nr_auto_free char *base =
        version ? cli_path("/narae/v1/functions/%s/versions/%s", c->argv[0], version)
                : cli_path("/narae/v1/functions/%s", c->argv[0]);
    size_t n = strlen(base) + strlen(tail) + 1;
    char *path = nr_alloc(n);

    (void)snprintf(path, n, "%s%s", base, tail);
    return path;
}

char *cli_page(const struct cli *c, const char *path)
{
    size_t n = strlen(path) + 64;
    char *whole = nr_alloc(n);

    (void)snprintf(whole, n, "%s?limit=%" PRId64 "&skip=%" PRId64, path,
                   c->number[OPT_LIMIT] < 0 ? 30 : c->number[OPT_LIMIT],
                   c->number[OPT_SKIP] < 0 ? 0 : c->number[OPT_SKIP]);
    return whole;
}
