/* What a person reads: errors, questions, lists, the one line of a change. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"

void cli_print_line(FILE *out, const char *line)
{
    struct nr_buf clean;

    if (!isatty(fileno(out))) {
        (void)fprintf(out, "%s\n", line);
        return;
    }
    nr_buf_init(&clean, SIZE_MAX);
    text_add_clean(nr_str_of(line), &clean);
    nr_buf_addc(&clean, '\n');
    (void)fwrite(clean.p, 1, clean.n, out);
    nr_buf_fini(&clean);
}

/* One that has a point or an exponent, with the fewest digits that read back the same; any other as it is. */
static void add_short(const char *number, size_t n, struct nr_buf *out)
{
    char was[64], text[64];

    (void)snprintf(was, sizeof(was), "%.*s", (int)n, number);
    if (n >= sizeof(was) || strpbrk(was, ".eE") == NULL) {
        nr_buf_add(out, number, n);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, strtod(was, NULL));
        if (strtod(text, NULL) == strtod(was, NULL))
            break;
    }
    if (strstr(text, "e+") && fabs(strtod(was, NULL)) < 1e15) /* a thousand is no 1e+03 */
        (void)snprintf(text, sizeof(text), "%.0f", strtod(was, NULL));
    nr_buf_adds(out, text);
    if (strpbrk(text, ".e") == NULL)
        nr_buf_adds(out, ".0");
}

void cli_short_numbers(const char *json, struct nr_buf *out)
{
    bool quoted = false;

    while (*json) {
        size_t n = quoted ? 0 : strspn(json, "+-.0123456789eE"); /* of true and false: an e */

        if (n > 0 && strchr("-0123456789", *json)) {
            add_short(json, n, out);
            json += n;
            continue;
        }
        if (quoted && *json == '\\')
            nr_buf_addc(out, *json++);
        else if (*json == '"')
            quoted = !quoted;
        nr_buf_addc(out, *json++);
    }
}

void cli_print_json(const json_t *j)
{
    nr_auto_free char *text = json_dumps(j, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_SORT_KEYS);
    struct nr_buf short_text;

    nr_buf_init(&short_text, SIZE_MAX);
    cli_short_numbers(text ? text : "", &short_text);
    nr_buf_addc(&short_text, '\0');
    char *rest = short_text.p, *line;

    while ((line = strsep(&rest, "\n")) != NULL)
        cli_print_line(stdout, line);
    nr_buf_fini(&short_text);
}

int cli_confirm(struct cli *c, const char *fmt, ...)
{
    char line[16] = "", what[1024];
    va_list ap;

    if (c->text[OPT_YES])
        return 0;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    if (!c->term.in || !c->term.err)
        return cli_fail_why(c, WHY_NOT_CONFIRMED,
                            "%s? Nobody can be asked here\n  --yes says that it is meant", what);
    (void)fprintf(stderr, "narae: %s? [y/N] ", what);
    if (fgets(line, sizeof(line), stdin) == NULL)
        (void)fputc('\n', stderr);
    if (line[0] == 'y' || line[0] == 'Y')
        return 0;
    return cli_fail_why(c, WHY_NOT_CONFIRMED, "nothing was done");
}

void cli_show_list(struct cli *c, const json_t *answer, const char *key,
                   const struct column *columns, size_t count, const char *none)
{
    const json_t *rows = json_is_array(answer) ? answer : json_object_get(answer, key);

    if (cli_json(c))
        cli_print_json(answer);
    else if (json_array_size(rows) == 0)
        cli_remark(c, "%s", none);
    else
        table_print(stdout, &c->term, c->form == FORM_WIDE, columns, count, rows);
}

void cli_show_fields(struct cli *c, const json_t *answer, const struct column *columns,
                     size_t count)
{
    if (cli_json(c))
        cli_print_json(answer);
    else
        fields_print(stdout, &c->term, c->form == FORM_WIDE, columns, count, answer);
}

int cli_get_list(struct cli *c, const char *path, const char *key, const struct column *columns,
                 size_t count, const char *none)
{
    nr_auto_json json_t *answer = NULL;
    int e = cli_call(c, "GET", path, NULL, 0, &answer, NULL);

    if (e != 0)
        return e;
    if (key)
        cli_show_list(c, answer, key, columns, count, none);
    else
        cli_show_fields(c, answer, columns, count);
    return 0;
}

int cli_do(struct cli *c, const char *method, const char *path, const json_t *body, const char *fmt,
           ...)
{
    nr_auto_json json_t *answer = NULL;
    int e = cli_call(c, method, path, body, 0, &answer, NULL);
    va_list ap;

    if (e != 0)
        return e;
    if (cli_json(c) && answer) {
        cli_print_json(answer);
        return 0;
    }
    va_start(ap, fmt);
    (void)vprintf(fmt, ap);
    va_end(ap);
    (void)fputc('\n', stdout);
    return 0;
}
