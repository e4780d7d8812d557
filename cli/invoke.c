/* narae invoke: a call and its result on the output; with --logs what it wrote on the error channel, as soon as it has ended, however long
 * it runs.
 */
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/verbs.h"

#define POLL_MS 250
#define SPACE_MAX_BYTES 800

static char *call_path(const struct cli *c)
{
    static const struct {
        enum cli_option option;
        const char *name;
    } targets[] = {{OPT_VERSION, "version"}, {OPT_ALIAS, "alias"}};
    char name[3072];
    size_t n = sizeof(name) + SPACE_MAX_BYTES + 256;
    char *path = NULL;

    if (!cli_path_name(c->argv[0], name, sizeof(name)))
        return NULL;
    path = nr_alloc(n);
    int at = snprintf(path, n, "/api/v1/namespaces/%.*s/actions/%s?blocking=%s", SPACE_MAX_BYTES,
                      cli_space(c), name, c->text[OPT_ASYNC] ? "false" : "true");
    for (size_t i = 0; i < nr_countof(targets); i++)
        if (c->text[targets[i].option]) {
            nr_auto_free char *value = cli_path("%s", c->text[targets[i].option]);

            at += snprintf(path + at, n - (size_t)at, "&%s=%.100s", targets[i].name, value);
        }
    return path;
}

/* The record of a call that outlasts a request; NULL after saying why. */
static json_t *wait_for_end(struct cli *c, const char *id)
{
    static const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
    nr_auto_free char *path = cli_path("/api/v1/namespaces/_/activations/%s", id);
    json_t *record = NULL;
    int status = 0;

    while (cli_call(c, "GET", path, NULL, 404, &record, &status) != 0) {
        json_decref(record);
        record = NULL;
        if (status != 404)
            return NULL;
        (void)nanosleep(&pause, NULL);
    }
    return record;
}

static int print_logs(struct cli *c, const char *id)
{
    nr_auto_free char *path = cli_path("/api/v1/namespaces/_/activations/%s/logs", id ? id : "");
    nr_auto_json json_t *answer = NULL;
    json_t *line;
    size_t i;
    int e = id ? cli_call(c, "GET", path, NULL, 0, &answer, NULL) : 0;

    json_array_foreach(json_object_get(answer, "logs"), i, line)
        cli_print_line(stderr, json_string_value(line));
    return e;
}

static int accepted(struct cli *c, const json_t *answer)
{
    const char *id = nr_json_string(answer, "activationId");

    if (cli_json(c))
        cli_print_json(answer);
    else
        printf("%s\n", id ? id : "");
    if (!c->text[OPT_ASYNC])
        cli_note(c, "it still runs; its result: narae result %s", id ? id : "");
    return CLI_DONE;
}

/* The platform's own sentence, for which there is no status. */
static void hint_of_image(const struct cli *c, const json_t *response)
{
    const char *error = nr_json_string(json_object_get(response, "result"), "error");

    if (error && strncmp(error, "Failed to pull container image", 30) == 0)
        cli_fail_next(c, "`narae image pull REFERENCE` says why, `narae image list` what is here "
                         "already");
}

static int print_result(struct cli *c, const json_t *record)
{
    const json_t *response = json_object_get(record, "response");
    bool whole = (c->text[OPT_RECORD] || c->text[OPT_BLOCKING]) && !c->text[OPT_RESULT];

    if (c->text[OPT_LOGS])
        (void)print_logs(c, nr_json_string(record, "activationId"));
    cli_print_json(whole || response == NULL ? record : json_object_get(response, "result"));
    if (response == NULL || json_is_true(json_object_get(response, "success")))
        return CLI_DONE;
    int e =
        cli_fail_why(c, WHY_FUNCTION, "%s; what it wrote, if anything: narae logs %s",
                     nr_json_string(response, "status"), nr_json_string(record, "activationId"));

    cli_fail_set(c, "activation_id", json_string(nr_json_string(record, "activationId")));
    hint_of_image(c, response);
    return e;
}

/* The call is the platform's: who is tired of waiting ends this command and not the call. */
static void on_interrupt(int number)
{
    static const char text[] =
        "\nnarae: the call itself goes on; `narae activations` shows how it ends\n";

    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    (void)signal(number, SIG_DFL);
    (void)raise(number); /* comes when this returns */
}

int verb_invoke(struct cli *c)
{
    nr_auto_free char *path = call_path(c);
    nr_auto_json json_t *body = c->parameters ? json_incref(c->parameters) : json_object(),
                        *answer = NULL;
    int status = 0;

    if (path == NULL)
        return cli_fail(c, "the name %s is too long", c->argv[0]);
    if (c->text[OPT_VERSION] && c->text[OPT_ALIAS])
        return cli_fail(c, "--version or --alias, not both");
    if (c->term.err && !cli_json(c))
        (void)signal(SIGINT, on_interrupt);
    int e = cli_call(c, "POST", path, body, 502, &answer, &status);
    if (status == 202 && c->text[OPT_LOGS] && !c->text[OPT_ASYNC]) {
        nr_auto_json json_t *record = wait_for_end(c, nr_json_string(answer, "activationId"));

        return record ? print_result(c, record) : CLI_NOT_DONE;
    }
    if (status == 202)
        return accepted(c, answer);
    if (e == 0 || (status == 502 && json_object_get(answer, "response")))
        return print_result(c, answer);
    return status == 502
               ? cli_fail_why(c, WHY_PLATFORM, "%s",
                              nr_json_string(answer, "error") ? nr_json_string(answer, "error")
                                                              : "the call failed")
               : e;
}
