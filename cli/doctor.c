/* narae doctor: what the platform found on its host. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/verbs.h"

static void print_capability(const struct cli *c, const json_t *row)
{
    bool ok = json_is_true(json_object_get(row, "yes"));
    const char *detail = nr_json_string(row, "value"), *next = nr_json_string(row, "next");

    printf("%s%-5s%s", term_begin(&c->term, ok ? GREEN : RED), ok ? "yes" : "no",
           term_end(&c->term));
    text_print_row(stdout, &c->term, 5, 30, nr_json_string(row, "name"), detail ? detail : "");
    if (next)
        text_print_row(stdout, &c->term, 0, 30, "     ->", next);
}

/* In a pipe a line is whole, whatever its length. */
static void print_whole(const json_t *row)
{
    const char *detail = nr_json_string(row, "value"), *next = nr_json_string(row, "next");

    printf("%-4s %-24s %s\n", json_is_true(json_object_get(row, "yes")) ? "yes" : "no",
           nr_json_string(row, "name"), detail ? detail : "");
    if (next)
        printf("%-4s %-24s -> %s\n", "", "", next);
}

/* Who runs functions, as a row like those of the table: this host, others, or both, and how many of them are there. NULL: an older platform does not tell. */
static json_t *layout_row(const json_t *answer)
{
    const char *layout = nr_json_string(answer, "layout");
    const json_t *far = json_object_get(answer, "invokers"), *one;
    size_t i, up = 0, known = json_array_size(far);
    char text[160];

    if (layout == NULL)
        return NULL;
    json_array_foreach(far, i, one)
        up += json_is_true(json_object_get(one, "up"));
    if (known > 0)
        (void)snprintf(text, sizeof(text), "%s; %zu of %zu invokers of other hosts are connected",
                       layout, up, known);
    else
        (void)snprintf(text, sizeof(text), "%s", layout);
    return json_pack("{s:s, s:s, s:b}", "name", "functions run on", "value", text, "yes",
                     up > 0 || strcmp(layout, "other hosts") != 0);
}

static int print_row(const struct cli *c, const json_t *row)
{
    if (row && c->term.columns)
        print_capability(c, row);
    else if (row)
        print_whole(row);
    return row && !json_is_true(json_object_get(row, "yes"));
}

int verb_doctor(struct cli *c)
{
    nr_auto_json json_t *answer = NULL;
    json_t *invoker, *row;
    size_t i, k;
    char text[128];
    int bad = 0, e = cli_call(c, "GET", "/narae/v1/invokers", NULL, 0, &answer, NULL);

    if (e != 0)
        return e;
    if (cli_json(c)) {
        cli_print_json(answer);
        return CLI_DONE;
    }
    nr_auto_json json_t *list =
        json_is_array(answer) ? json_incref(answer) : json_pack("[O]", answer);
    json_array_foreach(list, i, invoker) {
        nr_auto_json json_t *layout = layout_row(invoker);

        bad += print_row(c, layout);
        json_array_foreach(json_object_get(invoker, "capabilities"), k, row) {
            bad += print_row(c, row);
        }
    }
    if (bad) {
        (void)snprintf(text, sizeof(text),
                       "%d of these are missing; each line says what is done instead, and what "
                       "helps",
                       bad);
        text_print_wrapped(stderr, &c->term, 0, 0, text);
    }
    return CLI_DONE;
}
