/* narae image and registry: own images on the node, and credentials of where they come from. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/verbs.h"

static const struct column images[] = {
    {"REFERENCE", "reference", CELL_TEXT, 16}, {"STATE", "state", CELL_STATE, 0},
    {"SIZE", "bytes", CELL_BYTES, 0},          {"USED BY", "used_by", CELL_LIST, 8},
    {"PULLED", "pulled_ms", CELL_TIME, 0},     {"DIGEST", "digest", CELL_TEXT, 0, true},
};

static const struct column registries[] = {
    {"REGISTRY", "registry", CELL_TEXT, 12},
    {"USERNAME", "username", CELL_TEXT, 8},
    {"SET", "updated_ms", CELL_TIME, 0},
};

int verb_image_list(struct cli *c)
{
    return cli_get_list(c, "/narae/v1/images", "images", images, nr_countof(images),
                        "no own images; narae deploy NAME --image REFERENCE uses one");
}

struct pulling {
    struct cli *c;
    json_t *last; /* made */
    char *error;  /* made */
};

static void take_progress(void *arg, const char *name, const json_t *data)
{
    struct pulling *p = arg;
    const char *error = nr_json_string(data, "error"), *status = nr_json_string(data, "status");
    double done = json_number_value(json_object_get(data, "bytes")),
           total = json_number_value(json_object_get(data, "total_bytes"));
    struct nr_buf bar;

    (void)name;
    json_decref(p->last);
    p->last = json_deep_copy(data);
    if (error && p->error == NULL)
        p->error = nr_strdup(error);
    if (!p->c->term.err || cli_json(p->c))
        return;
    nr_buf_init(&bar, 1 << 12);
    text_add_bar(&p->c->term, done, total, 24, &bar);
    (void)fprintf(stderr, "\r\033[K[%.*s] %.1f of %.1f MB  %.30s", (int)bar.n, bar.p, done / 1e6,
                  total / 1e6, status ? status : "");
    nr_buf_fini(&bar);
}

int verb_image_pull(struct cli *c)
{
    static const char *const headers[] = {"Accept: text/event-stream", NULL};
    nr_auto_json json_t *body = json_pack("{s:s}", "reference", c->argv[0]);
    struct pulling p = {.c = c};
    struct cli_events events;
    struct cli_stream s = {.method = "POST",
                           .path = "/narae/v1/images",
                           .body = body,
                           .headers = headers,
                           .on_bytes = cli_events_bytes,
                           .arg = &events};

    cli_events_init(&events, take_progress, &p);
    int e = cli_stream(c, &s);
    cli_events_fini(&events);
    if (c->term.err && !cli_json(c) && p.last)
        (void)fputs("\r\033[K", stderr);
    if (p.error)
        e = cli_fail("%s\n  narae registry set HOST keeps credentials, if it wants some", p.error);
    else if (e < 0)
        e = cli_fail("the connection broke; narae image list tells whether it came");
    else if (e == 0 && cli_json(c))
        cli_print_json(p.last ? p.last : body);
    else if (e == 0)
        printf("pulled %s\n", c->argv[0]);
    free(p.error);
    json_decref(p.last);
    return e;
}

int verb_image_prune(struct cli *c)
{
    nr_auto_json json_t *answer = NULL;
    int e = cli_confirm(c, "remove the images that no function uses");

    if (e != 0 || (e = cli_call(c, "POST", "/narae/v1/images/prune", NULL, 0, &answer, NULL)) != 0)
        return e;
    if (cli_json(c))
        cli_print_json(answer);
    else
        printf("removed %zu images, %.1f MB\n", json_array_size(json_object_get(answer, "removed")),
               json_number_value(json_object_get(answer, "bytes")) / 1e6);
    return CLI_DONE;
}

/* ---- registries ------------------------------------------------------------------------------------------------------------ */

int verb_registry_list(struct cli *c)
{
    return cli_get_list(c, "/narae/v1/registries", "registries", registries, nr_countof(registries),
                        "no credentials; narae registry set HOST --username NAME keeps some");
}

/* The password, read from the standard input when it is "-" (made); NULL after saying why. */
static char *password_of(const struct cli *c)
{
    char line[1024];

    if (c->text[OPT_USERNAME] == NULL || c->text[OPT_PASSWORD] == NULL) {
        (void)cli_fail("--username and --password are needed\n  for example: %s", c->verb->example);
        return NULL;
    }
    if (strcmp(c->text[OPT_PASSWORD], "-") != 0)
        return nr_strdup(c->text[OPT_PASSWORD]);
    if (fgets(line, sizeof(line), stdin) == NULL) {
        (void)cli_fail("--password -: the standard input is empty");
        return NULL;
    }
    line[strcspn(line, "\r\n")] = '\0';
    return nr_strdup(line);
}

int verb_registry_set(struct cli *c)
{
    nr_auto_free char *path = cli_path("/narae/v1/registries/%s", c->argv[0]),
                      *password = password_of(c);

    if (password == NULL)
        return CLI_NOT_DONE;
    nr_auto_json json_t *body =
        json_pack("{s:s,s:s}", "username", c->text[OPT_USERNAME], "password", password);
    int e = cli_do(c, "PUT", path, body, "kept the credentials of %s", c->argv[0]);
    nr_str_wipe(nr_str_of(password));
    return e;
}

int verb_registry_delete(struct cli *c)
{
    nr_auto_free char *path = cli_path("/narae/v1/registries/%s", c->argv[0]);
    int e = cli_confirm(c, "forget the credentials of %s", c->argv[0]);

    return e != 0 ? e : cli_do(c, "DELETE", path, NULL, "forgot the credentials of %s", c->argv[0]);
}
