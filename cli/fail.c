/* Failures and notes on the error channel. As text a failure is written at once, and lines that follow it belong to it. With -o json it waits
 * for them, so that one failure is one object on one line: it is written when the next one comes, or at the end.
 */
#include "cli/fail.h"

#include <stdarg.h>
#include <stdio.h>

#include "cli/cli.h"

const struct cli_why_row cli_whys[WHY_COUNT] = {
    [WHY_USAGE] = {"usage", 0, CLI_NOT_DONE,
                   "a mistake in the command: verb, option, word or value"},
    [WHY_FILE] = {"file", 0, CLI_NOT_DONE, "a file or folder could not be read, written or taken"},
    [WHY_MEMORY] = {"no_memory", 0, CLI_NOT_DONE, "this program has no memory left"},
    [WHY_NOT_CONFIRMED] = {"not_confirmed", 0, CLI_NOT_DONE,
                           "asked, and not confirmed; or nobody could be asked"},
    [WHY_NO_ANSWER] = {"no_answer", 0, CLI_NOT_DONE,
                       "nobody answers at the address, or the connection broke"},
    [WHY_BAD_REQUEST] = {"bad_request", 400, CLI_NOT_DONE,
                         "the platform does not take what was sent"},
    [WHY_UNAUTHORIZED] = {"unauthorized", 401, CLI_NOT_DONE, "no key, or one that is not known"},
    [WHY_FORBIDDEN] = {"forbidden", 403, CLI_NOT_DONE, "the key may not do it"},
    [WHY_NOT_FOUND] = {"not_found", 404, CLI_NOT_DONE, "there is nothing of this name"},
    [WHY_CONFLICT] = {"conflict", 409, CLI_NOT_DONE,
                      "it is there already, or its state does not allow it"},
    [WHY_GONE] = {"gone", 410, CLI_NOT_DONE, "it was retired for good"},
    [WHY_TOO_LARGE] = {"too_large", 413, CLI_NOT_DONE, "it is larger than allowed"},
    [WHY_BLOCKED] = {"blocked", 423, CLI_NOT_DONE, "calls are refused until it is unblocked"},
    [WHY_LIMIT] = {"limit", 429, CLI_NOT_DONE,
                   "a limit of the account, of the address or of a registry is reached"},
    [WHY_UNAVAILABLE] = {"unavailable", 503, CLI_NOT_DONE,
                         "starting, stopping or overloaded: try again"},
    [WHY_FULL] = {"full", 507, CLI_NOT_DONE, "the account's bucket has no room"},
    [WHY_PLATFORM] = {"platform", 0, CLI_NOT_DONE,
                      "the platform failed, or said what is not understood"},
    [WHY_PARTLY] = {"partly", 0, CLI_NOT_DONE, "some of it was done; the rest is named"},
    [WHY_FUNCTION] = {"function_failed", 0, CLI_FUNCTION_FAILED, "the function itself failed"},
};

enum cli_why cli_why_of(int http_status)
{
    for (int i = 0; i < WHY_COUNT; i++)
        if (cli_whys[i].http == http_status && http_status != 0)
            return (enum cli_why)i;
    return WHY_PLATFORM;
}

/* On one line; on a terminal nothing in it is obeyed. */
static void write_object(const json_t *object)
{
    nr_auto_free char *line = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);

    if (line)
        cli_print_line(stderr, line);
}

void cli_fail_end(const struct cli *c)
{
    if (c->failure == NULL || c->failure->told == NULL)
        return;
    write_object(c->failure->told);
    json_decref(c->failure->told);
    c->failure->told = NULL;
}

void cli_fail_set(const struct cli *c, const char *key, json_t *value)
{
    if (c->failure && c->failure->told && value)
        (void)json_object_set_new(c->failure->told, key, value);
    else
        json_decref(value);
}

/* Names of files may be any bytes: those that are no UTF-8 become U+FFFD. NULL: no memory. */
static json_t *json_of(struct nr_str text)
{
    struct nr_buf quoted;
    json_t *string = NULL;

    nr_buf_init(&quoted, 8 << 20);
    nr_buf_json(&quoted, text);
    if (!quoted.failed)
        string = nr_json_parse(nr_buf_str(&quoted), NULL);
    nr_buf_fini(&quoted);
    return string;
}

/* The lines of what to do next, without their two spaces, behind those that are there. */
static void add_next(const struct cli *c, struct nr_str lines)
{
    json_t *told = c->failure->told;
    const char *before = nr_json_string(told, "next");
    struct nr_buf next;
    struct nr_str line;

    nr_buf_init(&next, 1 << 20);
    nr_buf_adds(&next, before ? before : "");
    while (nr_str_split(&lines, '\n', &line)) {
        while (line.n > 0 && line.p[0] == ' ')
            line = (struct nr_str){line.p + 1, line.n - 1};
        if (next.n)
            nr_buf_addc(&next, '\n');
        nr_buf_add(&next, line.p, line.n);
    }
    cli_fail_set(c, "next", json_of(nr_buf_str(&next)));
    nr_buf_fini(&next);
}

static bool keeps(const struct cli *c)
{
    return c->failure && c->form == FORM_JSON;
}

/* The first line is the error, the others what to do next. */
static void begin(const struct cli *c, enum cli_why why, const char *text)
{
    size_t n = strcspn(text, "\n");
    json_t *error = json_of((struct nr_str){text, n});

    cli_fail_end(c);
    c->failure->told = json_pack("{s:s,s:o}", "code", cli_whys[why].code, "error",
                                 error ? error : json_string("?"));
    if (c->verb)
        cli_fail_set(c, "verb", json_string(c->verb->name));
    if (text[n])
        add_next(c, nr_str_of(text + n + 1));
}

/* Each line by itself: on a terminal nothing in them is obeyed. */
static void write_lines(const char *before, char *text)
{
    char *line;

    (void)fputs(before, stderr);
    while ((line = strsep(&text, "\n")) != NULL)
        cli_print_line(stderr, line);
}

static void tell(const struct cli *c, enum cli_why why, const char *fmt, va_list ap)
{
    nr_auto_free char *text = NULL;

    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    if (text && keeps(c))
        begin(c, why, text);
    else if (text)
        write_lines("narae: ", text);
}

int cli_fail(const struct cli *c, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    tell(c, WHY_USAGE, fmt, ap);
    va_end(ap);
    return cli_whys[WHY_USAGE].exit_status;
}

int cli_fail_why(const struct cli *c, enum cli_why why, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    tell(c, why, fmt, ap);
    va_end(ap);
    return cli_whys[why].exit_status;
}

int cli_fail_http(const struct cli *c, int http_status, const char *text, const char *next,
                  const char *request_id)
{
    enum cli_why why = cli_why_of(http_status);
    struct nr_buf clean;

    nr_buf_init(&clean, 1 << 20);
    text_add_clean(nr_str_of(text), &clean);
    nr_buf_addc(&clean, '\0');
    if (keeps(c)) {
        begin(c, why, clean.failed ? "?" : clean.p);
        cli_fail_set(c, "http_status", json_integer(http_status));
        if (request_id)
            cli_fail_set(c, "request_id", json_string(request_id));
    } else {
        (void)fprintf(stderr, "narae: %s (HTTP %d)\n", clean.failed ? "?" : clean.p, http_status);
    }
    nr_buf_fini(&clean);
    if (next)
        cli_fail_next(c, "%s", next);
    return cli_whys[why].exit_status;
}

void cli_fail_next(const struct cli *c, const char *fmt, ...)
{
    nr_auto_free char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    va_end(ap);
    if (text == NULL)
        return;
    if (keeps(c) && c->failure->told)
        add_next(c, nr_str_of(text));
    else if (!keeps(c))
        write_lines("  ", text);
}

static void note(const struct cli *c, const char *before, const char *fmt, va_list ap)
{
    nr_auto_free char *text = NULL;

    if (vasprintf(&text, fmt, ap) < 0) {
        text = NULL;
        return;
    }
    if (!keeps(c)) {
        write_lines(before, text);
        return;
    }
    nr_auto_json json_t *object = json_pack("{s:o}", "note", json_of(nr_str_of(text)));

    if (object)
        write_object(object);
}

void cli_note(const struct cli *c, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    note(c, "narae: ", fmt, ap);
    va_end(ap);
}

void cli_remark(const struct cli *c, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    note(c, "", fmt, ap);
    va_end(ap);
}
